#!/usr/bin/env bash
# test.sh BUILD COMPILER KIND: a program of five lines, outside the tree, gets keepnet as a user would.
#   package      from an installation, with find_package(keepnet)
#   pkg-config   from an installation that was moved since, with pkg-config
#   subproject   from the sources, with FetchContent
set -euo pipefail
build=$(realpath "$1")
compiler=$2
kind=$3
tests=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

build_with_cmake() {   # build_with_cmake SOURCES ARGUMENT...
    cmake -G Ninja -S "$1" -B out -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Release "${@:2}" >configure.log ||
        { cat configure.log; exit 1; }
    cmake --build out --target consumer -- --quiet
    out/consumer
}

case $kind in
    package)
        cmake --install "$build" --prefix "$work/installed" >/dev/null
        cp -r "$tests/consumer" sources
        build_with_cmake sources -DCMAKE_PREFIX_PATH="$work/installed"
        ;;
    pkg-config)
        cmake --install "$build" --prefix "$work/first" >/dev/null
        mv first second
        export PKG_CONFIG_PATH
        PKG_CONFIG_PATH=$(dirname "$(find "$work/second" -name keepnet.pc)")
        # shellcheck disable=SC2046
        "$compiler" -std=c++23 "$tests/consumer/main.cpp" -o consumer $(pkg-config --cflags --libs keepnet)
        ./consumer
        ;;
    subproject)
        cp -r "$tests/consumer" "$tests/subproject" .
        build_with_cmake subproject -DKEEPNET_SOURCE="$(realpath "$tests/../..")" \
            -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache)"
        [[ ! -e out/_deps/keepnet-build/tests ]] || { echo "the tests of keepnet are built too"; exit 1; }
        ;;
esac
echo "$kind: works"
