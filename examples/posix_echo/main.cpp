// Gives a C program (echo.c) its stack: memory, a clock, entropy, and a thread that polls. A server on a network would
// attach a device (drivers/tap) and name its descriptor to start(); ::1 needs none.
#include <cstdio>
#include <cstdlib>

#include <sys/random.h>

#include <keepnet/posix_runtime.hpp>
#include <keepnet/stack.hpp>

extern "C" int echo_program();

int main() {
    using namespace keepnet;
    const StackConfig config;
    const std::size_t bytes = (Stack::arena_bytes(config) + 4095) / 4096 * 4096;
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(4096, bytes));
    posix::RealTime clock;
    CreateOptions options{.now = clock.now()};
    if (memory == nullptr || getrandom(options.entropy.data(), options.entropy.size(), 0) < 0) return 1;
    auto stack = Stack::create({memory, bytes}, config, options);
    if (!stack) return 1;

    posix::Runtime runtime(clock);
    runtime.add(*stack);
    clock.start(runtime, {});
    const int status = echo_program();
    clock.stop();
    std::free(memory);
    return status;
}
