#!/usr/bin/env bash
# symbols_test.sh COMPILER: shows that symbols.sh finds what it is for.
set -uo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

try() {   # try WANTED-STATUS WANTED-WORD SOURCE
    local said
    printf '%s\n' "$3" | "$compiler" -x c++ -std=c++23 -O2 -fPIC -ffreestanding -fno-exceptions -fno-rtti -c \
        -o "$work/a.o" - || exit 1
    rm -f "$work/a.a"
    ar rcs "$work/a.a" "$work/a.o"
    said=$("$here/symbols.sh" "$work/a.a")
    if [[ $? -ne $1 || $said != *"$2"* ]]; then
        echo "for: $3"
        echo "wanted $1 and '$2', got: $said"
        status=1
    fi
}

compiler=$1
try 0 "no foreign symbol" 'extern "C" void* memcpy(void*, const void*, unsigned long);
    struct A { virtual int f() = 0; }; struct B : A { int f() override { return 1; } };
    int g(A& a) { return a.f(); } int h() { B b; return g(b); }
    extern const int table[3]; const int table[3] = {1, 2, 3};
    void copy(char* a, const char* b, unsigned long n) { memcpy(a, b, n); }'
try 1 "puts" 'extern "C" int puts(const char*); int f() { return puts("x"); }'
try 1 "operator new" 'int* f() { return new int(3); }'
try 1 "counter" 'int counter = 0; int f() { return ++counter; }'
try 1 "counter" 'int counter = 4; int f() { return ++counter; }'
try 1 "count" 'int f() { static int count = 0; return ++count; }'
try 1 "inline_counter" 'inline int inline_counter = 3; int f() { return ++inline_counter; }'
exit $status
