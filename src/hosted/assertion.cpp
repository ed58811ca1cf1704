// A broken invariant, said aloud: what a hosted program gets instead of the core's own definition, which can only trap.
// Weak, as that one is: an embedder's own is taken instead.
#include <cstdio>
#include <cstdlib>

#include <keepnet/assert.hpp>

/// Named on the linker's command line, so that this file is in every hosted program, before the core's.
extern "C" const char keepnet_assertion_is_printed = 1;

extern "C" [[gnu::weak, noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "keepnet: %s:%u: broken invariant: %s\n", file, line, expression);
    std::abort();
}
