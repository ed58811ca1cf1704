// Two stacks that talk to each other in memory under a virtual clock, driven by calls drawn from one seed: connections
// that come and go, streams both ways, datagrams, a neighbour that never answers. Same seed, same states.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <random>
#include <vector>

#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/stack.hpp>

#include "stack/core.hpp"
#include "support/arena.hpp"
#include "support/sample_config.hpp"

namespace keepnet::test {

inline StackConfig busy_config() {
    StackConfig config = sample_config();
    config.capacity.slice_nodes = 512;
    config.capacity.sent_ranges = 256;
    config.capacity.packet_buffers = 512;
    config.capacity.shadow_objects = 512;
    config.capacity.tcp_connections = 24;
    config.capacity.sockets = 24;
    config.capacity.tcp_tombstones = 8;
    config.capacity.udp_datagrams = 32;
    config.policy = DurabilityPolicy::snapshot;
    config.nd.dad_transmits = 0;
    return config;
}

class BusyPair {
  public:
    explicit BusyPair(std::uint64_t seed, const StackConfig& config = busy_config())
        : random_(seed), hosts_{Host(config, 1), Host(config, 2)} {
        drivers::MemoryDevice* devices[] = {&link_.a(), &link_.b()};
        for (std::size_t i = 0; i < 2; ++i) {
            Host& h = hosts_[i];
            const auto interface = h.stack.attach_device(*devices[i], {});
            (void)h.stack.add_address(*interface, h.address, 64);
            h.listener = *h.stack.listen(*h.stack.bind(*h.stack.open_tcp(), {.port = 7}), 4);
            h.udp = *h.stack.bind(*h.stack.open_udp(), {.port = 9});
            (void)h.stack.set_option(h.udp, SocketOption::hold_output, 1);
        }
    }
    BusyPair(const BusyPair&) = delete;
    BusyPair& operator=(const BusyPair&) = delete;

    /// A millisecond: a few calls on either side, then frames go to and fro.
    void turn() {
        for (Host& h : hosts_) {
            for (std::uint64_t n = random_() % 4; n != 0; --n) act(h);
        }
        now = now + milliseconds(1);
        poll();
    }
    void poll() {
        for (int i = 0; i < 3; ++i) {
            for (Host& h : hosts_) h.stack.poll(now);
        }
    }
    /// The one whose cuts are looked at. The other's policy needs commits, too: commit_other().
    Stack& stack() { return hosts_[0].stack; }
    World& w() { return hosts_[0].stack.core().world; }
    Stack& other() { return hosts_[1].stack; }
    void commit_other() {
        if (const auto cut = other().cut()) (void)other().committed(*cut);
    }
    [[nodiscard]] StackConfig config() const { return hosts_[0].stack.config(); }

    Instant now{1'000'000'000};

  private:
    struct Host {
        Host(const StackConfig& config, std::uint8_t number)
            : arena(Stack::arena_bytes(config)), stack(make(arena, config, number)),
              address(Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, number})) {}
        static Stack make(const Arena& arena, const StackConfig& config, std::uint8_t number) {
            CreateOptions options{.now = Instant{1'000'000'000}, .arena_is_zeroed = true};
            options.entropy.fill(number);
            return *Stack::create(arena.span(), config, options);
        }
        Arena arena;
        Stack stack;
        Ipv6Address address;
        SocketHandle listener{};
        SocketHandle udp{};
        std::vector<SocketHandle> sockets{};
    };

    std::uint64_t below(std::uint64_t n) { return random_() % n; }
    void act(Host& h) {
        std::array<std::uint8_t, 4000> bytes{};
        for (auto& byte : bytes) byte = static_cast<std::uint8_t>(counter_++);
        const Host& to = &h == &hosts_[0] ? hosts_[1] : hosts_[0];
        const ByteView some = ByteView(bytes).first(1 + below(bytes.size() - 1));
        while (const auto s = h.stack.accept(h.listener)) h.sockets.push_back(*s);
        const std::uint64_t what = below(12);
        if (what == 0 && h.sockets.size() < 5) {
            if (const auto s = h.stack.open_tcp()) {
                (void)h.stack.connect(*s, {.address = to.address, .port = 7});
                h.sockets.push_back(*s);
            }
        } else if (what == 1) {
            const Ipv6Address silent = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99});
            const Endpoint where{below(8) == 0 ? silent : to.address, 9, 0};
            (void)h.stack.send_datagram(h.udp, {.destination = where}, some.first(1 + below(some.size()) % 600));
        } else if (what == 2) {
            if (h.stack.peek_datagram(h.udp)) (void)h.stack.consume_datagram(h.udp);
        } else if (!h.sockets.empty()) {
            const std::size_t i = below(h.sockets.size());
            const SocketHandle s = h.sockets[i];
            if (what == 3 && below(4) == 0) {
                (void)(below(5) == 0 ? h.stack.abort(s) : h.stack.close(s));
                h.sockets.erase(h.sockets.begin() + static_cast<std::ptrdiff_t>(i));
            } else if (what < 8) {
                (void)h.stack.send(s, some.first(1 + below(some.size())));
            } else {
                (void)h.stack.receive(s, MutableBytes(bytes).first(some.size()));
            }
        }
    }

    std::mt19937_64 random_;
    std::uint64_t counter_ = 0;
    drivers::MemoryLink<256> link_{drivers::memory_capabilities(1), drivers::memory_capabilities(2)};
    std::array<Host, 2> hosts_;
};

}  // namespace keepnet::test
