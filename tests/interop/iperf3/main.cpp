// An iperf3 server on keepnet, for one client at a time: keepnet-iperf3 TAP ADDRESS
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>

#include <poll.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <keepnet/drivers/tap/tap.hpp>
#include <keepnet/stack.hpp>

#include "peer.hpp"

namespace {

keepnet::Instant clock_now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return {std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

[[noreturn]] void fail(const char* what, std::string_view why) {
    std::fprintf(stderr, "keepnet-iperf3: %s: %.*s\n", what, static_cast<int>(why.size()), why.data());
    std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) fail("usage", "keepnet-iperf3 TAP ADDRESS");
    const auto address = keepnet::parse_ipv6(argv[2]);
    if (!address) fail(argv[2], "not an IPv6 address");
    const auto tap =
        keepnet::drivers::TapDevice::open({.name = argv[1], .mac = {{0x02, 0x6b, 0x6e, 0, 0, 2}}});
    if (!tap) fail(argv[1], tap.error().message);

    const keepnet::StackConfig config;
    const auto bytes = keepnet::Stack::arena_bytes(config);
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail("arena", "no memory");
    keepnet::CreateOptions options{.now = clock_now(), .arena_is_zeroed = true};
    if (::getrandom(options.entropy.data(), options.entropy.size(), 0) != 32) fail("getrandom", "failed");
    auto stack = keepnet::Stack::create({static_cast<std::byte*>(memory), bytes}, config, options);
    if (!stack) fail("stack", name(stack.error()));
    const auto nic = stack->attach_device(**tap, {});
    if (!nic) fail(argv[1], name(nic.error()));
    if (const auto added = stack->add_address(*nic, *address, 64); !added) fail(argv[2], name(added.error()));

    iperf3::Peer peer(*stack);
    if (const auto listening = peer.listen(5201); !listening) fail("port 5201", name(listening.error()));
    for (;;) {
        (void)stack->poll(clock_now());
        while (stack->next_ready()) {
        }
        const bool more = peer.progress();
        const auto left = std::min(stack->next_deadline() - clock_now(), keepnet::seconds(60));
        const timespec timeout{.tv_sec = left.ns / 1'000'000'000, .tv_nsec = left.ns % 1'000'000'000};
        constexpr timespec at_once{};
        pollfd fd{.fd = (*tap)->fd(), .events = POLLIN, .revents = 0};
        (void)::ppoll(&fd, 1, more || left.ns <= 0 ? &at_once : &timeout, nullptr);
    }
}
