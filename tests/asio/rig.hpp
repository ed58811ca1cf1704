// Two stacks back to back in memory, each with a context of its own on one io_context, under a virtual clock
// that jumps to the next deadline as soon as nothing is left to do. Nothing here sleeps.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <memory>
#include <span>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <catch2/catch_test_macros.hpp>

#include <keepnet/asio/context.hpp>
#include <keepnet/asio/tcp.hpp>
#include <keepnet/asio/udp.hpp>
#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/stack.hpp>

namespace test {

namespace net = boost::asio;
using keepnet::asio::tcp;
using keepnet::asio::udp;

struct FreeDeleter {
    void operator()(std::byte* memory) const { std::free(memory); }
};

/// A stack with an arena of its own.
struct Host {
    static keepnet::StackConfig config(keepnet::DurabilityPolicy policy = keepnet::DurabilityPolicy::none) {
        keepnet::StackConfig c;
        c.capacity.sockets = 64;
        c.capacity.tcp_connections = 64;
        c.capacity.tcp_tombstones = 16;
        c.capacity.tcp_listeners = 8;
        c.capacity.udp_sockets = 8;
        c.capacity.slice_nodes = 4096;
        c.capacity.sent_ranges = 4096;
        c.capacity.packet_buffers = 2048;
        c.capacity.shadow_objects = 1024;
        c.nd.dad_transmits = 0;
        c.policy = policy;
        return c;
    }

    Host(std::uint8_t number, keepnet::LinkDevice& device, keepnet::Instant now,
         keepnet::DurabilityPolicy policy = keepnet::DurabilityPolicy::none)
        : settings(config(policy)),
          bytes(keepnet::Stack::arena_bytes(settings)),
          memory(static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096))),
          address(keepnet::Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, number})),
          stack(create(number, now)) {
        const auto interface = stack.attach_device(device, {});
        REQUIRE(interface.has_value());
        REQUIRE(stack.add_address(*interface, address, 64).has_value());
    }

    /// The host that comes back: `make` restores a stack in the arena that it is given.
    template <typename Make>
    requires std::invocable < Make, std::span<std::byte>,
    const keepnet::StackConfig& >
        Host(std::uint8_t number, keepnet::LinkDevice& device, keepnet::DurabilityPolicy policy, Make make)
        : settings(config(policy)),
    bytes(keepnet::Stack::arena_bytes(settings)),
    memory(static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096))),
    address(keepnet::Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, number})),
    stack(make(std::span(memory.get(), bytes), settings)) {
        REQUIRE(stack.attach_device(device, {}).has_value());
    }

    keepnet::StackConfig settings;
    std::size_t bytes;
    std::unique_ptr<std::byte, FreeDeleter> memory;
    keepnet::Ipv6Address address;
    keepnet::Stack stack;

  private:
    keepnet::Stack create(std::uint8_t number, keepnet::Instant now) {
        keepnet::CreateOptions options{.now = now};
        options.entropy.fill(number);
        auto made = keepnet::Stack::create(std::span(memory.get(), bytes), settings, options);
        REQUIRE(made.has_value());
        return std::move(*made);
    }
};

inline net::ip::address_v6 asio_address(const keepnet::Ipv6Address& address) {
    net::ip::address_v6::bytes_type bytes;
    std::copy(address.octets.begin(), address.octets.end(), bytes.begin());
    return net::ip::address_v6(bytes);
}

class Rig {
  public:
    explicit Rig(keepnet::DurabilityPolicy policy_of_b = keepnet::DurabilityPolicy::none)
        : a(1, link.a(), now), context_a(io, a.stack, options()) {
        b = std::make_unique<Host>(std::uint8_t{2}, link.b(), now, policy_of_b);
        context_b = std::make_unique<keepnet::asio::context>(io, b->stack, options());
    }

    /// Runs until nothing happens any more before `limit` of virtual time has passed, or until `done` says
    /// so.
    template <typename Done>
    bool run_until(Done done, keepnet::Duration limit = keepnet::seconds(30)) {
        const auto end = now + limit;
        for (;;) {
            io.restart();
            if (io.poll_one() != 0) {
                if (done()) return true;
                continue;
            }
            if (link.a().pending() != 0) context_a.wake();
            if (link.b().pending() != 0) context_b->wake();
            if (link.a().pending() != 0 || link.b().pending() != 0) continue;
            if (done()) return true;
            const auto next = earlier(context_a.next_deadline(), context_b->next_deadline());
            if (next > end) return false;
            now = later(now, next);
            context_a.wake();
            context_b->wake();
        }
    }
    void settle(keepnet::Duration limit = keepnet::milliseconds(100)) {
        run_until([] { return false; }, limit);
    }

    /// Spawns a coroutine whose exception fails the test; `finish()` counts the ones that have not ended.
    template <typename Awaitable>
    void spawn(Awaitable awaitable) {
        ++unfinished;
        net::co_spawn(io, std::move(awaitable), [this](std::exception_ptr thrown, auto&&...) {
            --unfinished;
            if (thrown) failure = thrown;
        });
    }
    void finish(keepnet::Duration limit = keepnet::seconds(120)) {
        run_until([this] { return unfinished == 0; }, limit);
        if (failure) std::rethrow_exception(failure);
        REQUIRE(unfinished == 0);
    }

    [[nodiscard]] tcp::endpoint at_b(std::uint16_t port) const { return {asio_address(b->address), port}; }

    /// A connection from a (first) to b (second).
    std::pair<tcp::socket, tcp::socket> connected(std::uint16_t port = 7) {
        tcp::acceptor acceptor(*context_b, {tcp::v6(), port});
        std::pair<tcp::socket, tcp::socket> ends{tcp::socket(context_a), tcp::socket(*context_b)};
        int done = 0;
        ends.first.async_connect(at_b(port), [&](boost::system::error_code failed) {
            CHECK(!failed);
            ++done;
        });
        acceptor.async_accept(ends.second, [&](boost::system::error_code failed) {
            CHECK(!failed);
            ++done;
        });
        REQUIRE(run_until([&] { return done == 2; }));
        return ends;
    }

    net::io_context io{1};
    keepnet::Instant now{keepnet::seconds(1000).ns};
    keepnet::drivers::MemoryLink<256> link{};
    Host a;
    keepnet::asio::context context_a;
    std::unique_ptr<Host> b{};  // these two may die and come back
    std::unique_ptr<keepnet::asio::context> context_b{};
    int unfinished = 0;
    std::exception_ptr failure{};

    keepnet::asio::context_options options() {
        return {.clock = [this] { return now; }, .timer = false};
    }
};

/// Byte i of a stream that every test recognises.
inline std::uint8_t pattern(std::size_t i) { return static_cast<std::uint8_t>(i * 131 + (i >> 8) * 17); }

}  // namespace test
