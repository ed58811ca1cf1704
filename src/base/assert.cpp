#include <keepnet/assert.hpp>

// Both are weak: an embedder's or a C++ runtime's own definition is taken instead.
extern "C" [[gnu::weak, noreturn]] void keepnet_assert_failed(const char*, const char*, unsigned) {
    __builtin_trap();
}
extern "C" [[gnu::weak, noreturn]] void __cxa_pure_virtual() { __builtin_trap(); }
