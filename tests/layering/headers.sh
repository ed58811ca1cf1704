#!/usr/bin/env bash
# headers.sh COMPILER INCLUDE_DIR...: compiles each header alone and without a warning. Public ones also at -Weffc++,
# those of the core as a kernel would: freestanding, without exceptions and RTTI.
set -uo pipefail
compiler=$1
shift
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
includes=()
for folder in "$@"; do includes+=(-I "$folder"); done

alone() {   # alone FILE HOW-IT-IS-INCLUDED FLAG...
    local file=$1 line=$2 said
    shift 2
    if ! said=$(printf '#include <%s>\n' "$line" | "$compiler" -x c++ -std=c++23 -Wall -Wextra -Wconversion -Wshadow \
        -Werror "$@" -c -o /dev/null - 2>&1); then
        printf '== %s alone, %s\n%s\n' "$file" "$compiler" "$said"
        return 1
    fi
}

freestanding=(-ffreestanding -fno-exceptions -fno-rtti)
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
        include/keepnet/checkpoint.hpp | include/keepnet/posix.h | include/keepnet/asio/*)
            how=("${file#include/}" -Weffc++ -I include) ;;
        include/*) how=("${file#include/}" -Weffc++ -I include "${freestanding[@]}") ;;
        drivers/*) how=("keepnet/$file" -Weffc++ "${includes[@]}") ;;
        src/checkpoint/* | src/posix/*) how=("${file#src/}" "${includes[@]}" -I src) ;;
        src/*) how=("${file#src/}" -I include -I src "${freestanding[@]}") ;;
    esac
    alone "$file" "${how[@]}" &
    running[$!]=1
    count=$((count + 1))
    ((${#running[@]} < $(nproc))) || reap
done < <(find include src drivers \( -name '*.hpp' -o -name '*.h' \) -type f | sort)
while ((${#running[@]})); do reap; done
echo "$count headers, $failed failed"
((failed == 0 && count > 0))
