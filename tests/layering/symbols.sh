#!/usr/bin/env bash
# symbols.sh ARCHIVE: the core, linked to one object, must need nothing but memcpy, memmove, memset and memcmp, and must
# hold no variable that changes.
set -uo pipefail
archive=$1
object=$(mktemp)
trap 'rm -f "$object"' EXIT
ld -r --whole-archive "$archive" -o "$object" || exit 1
status=0

undefined=$(nm -u "$object" | awk '{print $NF}' | grep -vxE 'mem(cpy|move|set|cmp)|_GLOBAL_OFFSET_TABLE_')
if [[ -n $undefined ]]; then
    echo "undefined symbols, and who needs them:"
    for symbol in $undefined; do
        echo "  $(c++filt "$symbol")"
        nm -A -u "$archive" | awk -v symbol="$symbol" '$NF == symbol {print "    " $1}' | sort -u
    done
    status=1
fi

# Tables of pointers (virtual functions) are written once, by the loader: .data.rel.ro is no variable.
variables=$(nm -f sysv "$object" | awk -F'|' '$7 ~ /^ *(\.data|\.bss|\*COM\*|\.tdata|\.tbss)(\.|$)/ && $7 !~ /\.data\.rel\.ro/ {print $1}')
if [[ -n $variables ]]; then
    echo "variables that may change:"
    c++filt <<<"$variables" | sed 's/^/  /'
    status=1
fi
((status)) || echo "$(nm "$object" | grep -c ' [TtWw] ') functions, no foreign symbol, no variable"
exit $status
