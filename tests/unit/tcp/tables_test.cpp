// The hash table of connections against a naive search, and SYN cookies.
#include "tcp/tables.hpp"

#include <catch2/catch_test_macros.hpp>
#include <random>
#include <vector>

#include "support/arena.hpp"
#include "tcp/cookies.hpp"

using namespace keepnet;
using namespace keepnet::tcp;

TEST_CASE("Pair table: finds what a search through all would find") {
    StackConfig config;
    config.capacity.tcp_connections = 128;
    config.capacity.packet_buffers = 4;
    ArenaCarver size(nullptr);
    World w;
    PairTable table;
    w.place(size, config);
    table.place(size, config.capacity.tcp_connections);
    test::Arena arena(size.bytes());
    ArenaCarver carver(arena.span().data());
    w.place(carver, config);
    table.place(carver, config.capacity.tcp_connections);
    w.initialize(config);
    table.clear({1, 2});
    std::mt19937 random(11);
    const auto endpoint = [&] {
        Endpoint e;
        e.address =
            Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, static_cast<std::uint16_t>(random() % 3)});
        if (random() % 2 == 0) e.address.octets[0] = 0x20;
        e.port = static_cast<std::uint16_t>(1 + random() % 4);
        e.interface = static_cast<InterfaceIndex>(random() % 2);
        return e;
    };
    const auto same = [](const Endpoint& a, const Endpoint& b) {
        return a.address == b.address && a.port == b.port &&
               (!a.address.is_link_local() || a.interface == b.interface);
    };
    std::vector<std::uint32_t> in;
    for (int step = 0; step < 20'000; ++step) {
        const Endpoint local = endpoint(), remote = endpoint();
        std::uint32_t expected = PairTable::none;
        for (const std::uint32_t i : in) {
            const auto& c = w.connections.get(i);
            if (same(c.local, local) && same(c.remote, remote)) expected = i;
        }
        REQUIRE(table.find(w.connections, local, remote) == expected);
        if (expected == PairTable::none && in.size() < 120 && random() % 3 != 0) {
            const std::uint32_t i = w.connections.create().index();
            w.connections.edit(i).local = local;
            w.connections.edit(i).remote = remote;
            table.insert(w.connections, i);
            in.push_back(i);
        } else if (!in.empty() && random() % 2 == 0) {
            const std::size_t k = random() % in.size();
            table.erase(w.connections, in[k]);
            w.connections.destroy(in[k]);
            in.erase(in.begin() + static_cast<std::ptrdiff_t>(k));
        }
    }
}

TEST_CASE("RFC 4987 3.6: a cookie gives back the MSS class, to the same four numbers and secret only") {
    const HashKey key{5, 6};
    const Endpoint local{Ipv6Address::from_words({1, 0, 0, 0, 0, 0, 0, 1}), 80, 1};
    const Endpoint remote{Ipv6Address::from_words({1, 0, 0, 0, 0, 0, 0, 2}), 4000, 1};
    for (std::uint32_t epoch = 0; epoch < 3; ++epoch) {
        for (std::uint32_t m = 0; m < 8; ++m) {
            const Seq cookie = make_cookie(key, epoch, local, remote, Seq{77}, m);
            CHECK(check_cookie(key, epoch, local, remote, Seq{77}, cookie) == m);
            CHECK_FALSE(check_cookie(key, epoch + 1, local, remote, Seq{77}, cookie));
            CHECK_FALSE(check_cookie({5, 7}, epoch, local, remote, Seq{77}, cookie));
            CHECK_FALSE(check_cookie(key, epoch, remote, local, Seq{77}, cookie));
            CHECK_FALSE(check_cookie(key, epoch, local, remote, Seq{78}, cookie));
            CHECK_FALSE(check_cookie(key, epoch, local, remote, Seq{77}, cookie + 1));
        }
    }
    Endpoint other = remote;
    other.port = 4001;
    CHECK(make_cookie(key, 0, local, other, Seq{77}, 2) != make_cookie(key, 0, local, remote, Seq{77}, 2));
}

TEST_CASE("SYN cookies: the MSS class is never above what the peer said") {
    for (std::uint32_t mss = 64; mss <= 65535; mss += 7) {
        const std::uint32_t index = cookie_mss_index(static_cast<std::uint16_t>(mss));
        REQUIRE(cookie_mss(index) <= mss);
        if (index < 7) REQUIRE(cookie_mss(index + 1) > mss);
    }
    CHECK(cookie_mss(cookie_mss_index(1440)) == 1440);
    CHECK(cookie_mss(cookie_mss_index(1)) == 64);
}

TEST_CASE("SYN cookies: TSval carries the scale, is not ahead of the clock, and not far behind it") {
    for (std::uint32_t now = 0; now < 100'000; now += 13) {
        for (std::uint8_t shift = 0; shift <= 16; ++shift) {
            const std::uint32_t t = cookie_timestamp(now, shift);
            REQUIRE(static_cast<std::int32_t>(now - t) >= 0);
            REQUIRE(now - t < 64);
            REQUIRE(window_scale_of(t) == std::min<std::uint8_t>(shift, 14));
        }
        REQUIRE_FALSE(window_scale_of(cookie_timestamp(now, {})));
    }
}
