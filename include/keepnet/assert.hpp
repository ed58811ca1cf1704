// A broken invariant of the stack's own ends here, in release builds too. Nothing that arrives from outside reaches it.
#pragma once

#include <keepnet/cxx23.hpp>

/// The library's own definition is weak and traps. An embedder (a kernel, say) may define it; it must not return.
extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line);

#define KEEPNET_ASSERT(expression)                                     \
    (__builtin_expect(static_cast<bool>(expression), 1) ? void(0)      \
                                                        : keepnet_assert_failed(#expression, __FILE_NAME__, __LINE__))
