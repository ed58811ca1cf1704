#include <keepnet/assert.hpp>

extern "C" [[gnu::weak, noreturn]] void keepnet_assert_failed(const char*, const char*, unsigned) {
    __builtin_trap();
}
