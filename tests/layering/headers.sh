#!/usr/bin/env bash
# headers.sh COMPILER BUILD [FOLDER...]: compiles each header of the folders (include, src and drivers) alone and without a
# warning. Public ones also at -Weffc++, those of the core as a kernel would: freestanding, without exceptions and RTTI, and
# those that end in .h as C too. At -std=c++20 the first thing that a public header says is which C++ it needs.
set -uo pipefail
compiler=$1
build=$2
shift 2
folders=("$@")
((${#folders[@]})) || folders=(include src drivers)
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
public=(-Weffc++ -I include -I "$build/include")
freestanding=(-ffreestanding -fno-exceptions -fno-rtti)
schema=(-I include -I src -isystem "$build/generated")
if "$compiler" --version | grep -q clang; then schema+=(-include cmake/capnp_clang.hpp); fi

alone() {   # alone FILE HOW-IT-IS-INCLUDED FLAG...
    local file=$1 line=$2 said
    shift 2
    if ! said=$(printf '#include <%s>\n' "$line" | "$compiler" -x c++ -std=c++23 -Wall -Wextra -Wconversion -Wshadow \
        -Werror "$@" -fsyntax-only - 2>&1); then
        printf '== %s alone, %s\n%s\n' "$file" "$compiler" "$said"
        return 1
    fi
}

alone_in_c() {   # alone_in_c FILE
    local said
    [[ $1 == include/*.h ]] || return 0
    if ! said=$(printf '#include <%s>\n' "${1#include/}" | "$compiler" -x c -std=c11 -Wall -Wextra -Wpedantic -Werror \
        -I include -fsyntax-only - 2>&1); then
        printf '== %s alone as C, %s\n%s\n' "$1" "$compiler" "$said"
        return 1
    fi
}

older() {   # older FILE HOW-IT-IS-INCLUDED FLAG...
    local file=$1 line=$2 said first
    shift 2
    [[ $file == include/*.hpp || $file == drivers/*.hpp ]] || return 0
    said=$(printf '#include <%s>\n' "$line" | LC_ALL=C "$compiler" -x c++ -std=c++20 "$@" -fsyntax-only - 2>&1) || true
    first=$(grep -m 1 'error:' <<<"$said")
    [[ $first == *"keepnet needs C++23"* ]] && return 0
    printf '== %s at -std=c++20, %s\n%s\n' "$file" "$compiler" "${first:-no error}"
    return 1
}

declare -A running=()
failed=0
count=0
reap() {
    local pid
    wait -n -p pid || failed=$((failed + 1))
    unset "running[$pid]"
}
while IFS= read -r file; do
    case $file in
        include/keepnet/checkpoint.hpp | include/keepnet/posix.h | include/keepnet/posix_runtime.hpp | include/keepnet/asio/* | include/keepnet/hosted/*)
            how=("${file#include/}" "${public[@]}") ;;
        include/*) how=("${file#include/}" "${public[@]}" "${freestanding[@]}") ;;
        drivers/*) how=("keepnet/$file" "${public[@]}") ;;
        src/checkpoint/* | src/posix/* | src/hosted/*) how=("${file#src/}" "${schema[@]}") ;;
        src/*) how=("${file#src/}" -I include -I src "${freestanding[@]}") ;;
    esac
    { alone "$file" "${how[@]}" && alone_in_c "$file" && older "$file" "${how[@]}"; } &
    running[$!]=1
    count=$((count + 1))
    ((${#running[@]} < $(nproc))) || reap
done < <(find "${folders[@]}" \( -name '*.hpp' -o -name '*.h' \) -type f | sort)
while ((${#running[@]})); do reap; done
echo "$count headers, $failed failed"
((failed == 0 && count > 0))
