#!/usr/bin/env bash
# needs_nothing.sh ARCHIVE OBJECT...: linked to one object they must need nothing but memcpy, memmove, memset and memcmp.
set -uo pipefail
archive=$1
shift
object=$(mktemp)
trap 'rm -f "$object"' EXIT
ld -r "$@" --whole-archive "$archive" -o "$object" || exit 1
nm "$object" | grep -q ' T two_stacks$' || { echo "there is no two_stacks in $*"; exit 1; }
undefined=$(nm -u "$object" | awk '{print $NF}' | grep -vxE 'mem(cpy|move|set|cmp)|_GLOBAL_OFFSET_TABLE_')
[[ -z $undefined ]] && exit 0
echo "undefined symbols:"
c++filt <<<"$undefined" | sed 's/^/  /'
exit 1
