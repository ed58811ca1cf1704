#!/usr/bin/env bash
# test.sh BUILD COMPILER KIND [C-COMPILER]: a program of five lines, outside the tree, gets keepnet as a user would.
#   package      from an installation, with find_package(keepnet)
#   components   the same with COMPONENTS, where what the others need is not installed; one that is not there is named
#   c            a project in C alone, with find_package and with pkg-config
#   pkg-config   from an installation that was moved since, with pkg-config
#   subproject   from the sources, with FetchContent
set -euo pipefail
build=$(realpath "$1")
compiler=$2
kind=$3
c_compiler=${4:-cc}
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
    components)
        cmake --install "$build" --prefix "$work/installed" >/dev/null
        cp -r "$tests/components" sources
        # Nothing of what the other components need can be found.
        without=(-DCMAKE_DISABLE_FIND_PACKAGE_CapnProto=ON -DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON -DCMAKE_PREFIX_PATH="$work/installed")
        build_with_cmake sources "${without[@]}"
        if cmake -G Ninja -S sources -B none -DCMAKE_CXX_COMPILER="$compiler" "${without[@]}" -DCOMPONENT=teleport >none.log 2>&1; then
            echo "a component that does not exist was found"
            exit 1
        fi
        tr -s '\n ' ' ' <none.log | grep -q 'without the component teleport' || { cat none.log; exit 1; }
        ;;
    c)
        cmake --install "$build" --prefix "$work/installed" >/dev/null
        cp -r "$tests/c" sources
        cmake -G Ninja -S sources -B out -DCMAKE_C_COMPILER="$c_compiler" -DCMAKE_PREFIX_PATH="$work/installed" >configure.log ||
            { cat configure.log; exit 1; }
        cmake --build out -- --quiet
        out/consumer
        export PKG_CONFIG_PATH
        PKG_CONFIG_PATH=$(dirname "$(find "$work/installed" -name keepnet.pc)")
        # shellcheck disable=SC2046
        "$c_compiler" sources/main.c -o consumer $(pkg-config --cflags --libs keepnet)
        ./consumer
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
