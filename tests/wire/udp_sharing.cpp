// UDP: who shares a port, datagrams to groups, and what a datagram says of itself beside its bytes.
#include <algorithm>
#include <map>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

SocketHandle open_at(Fixture& t, std::uint16_t port, std::initializer_list<SocketOption> on = {}) {
    const auto s = t.stack().open_udp();
    REQUIRE(s.has_value());
    for (const SocketOption option : on) REQUIRE(t.stack().set_option(*s, option, 1).has_value());
    const auto bound = t.stack().bind(*s, {.port = port});
    return bound ? *bound : SocketHandle{};
}
Error why_not(Fixture& t, std::uint16_t port, std::initializer_list<SocketOption> on = {}) {
    const auto s = t.stack().open_udp();
    REQUIRE(s.has_value());
    for (const SocketOption option : on) REQUIRE(t.stack().set_option(*s, option, 1).has_value());
    const auto bound = t.stack().bind(*s, {.port = port});
    REQUIRE(t.stack().close(*s).has_value());
    return bound ? Error::invalid : bound.error();
}
void from_peer(Fixture& t, std::uint16_t src_port, std::uint16_t dst_port = 53) {
    t.peer_sends_udp({.src_port = src_port, .dst_port = dst_port, .payload = {1, 2, 3}, .length = {}, .checksum = {}});
}
std::uint32_t queued(Fixture& t, SocketHandle s) { return t.stack().info(s)->datagrams_queued; }

}  // namespace

WIRE_CASE("SO_REUSEADDR, SO_REUSEPORT: both sockets must say the same for a UDP port to be shared", "[udp]") {
    Fixture t(way);
    open_at(t, 53);
    CHECK(why_not(t, 53) == Error::address_in_use);
    CHECK(why_not(t, 53, {SocketOption::reuse_address, SocketOption::reuse_port}) == Error::address_in_use);
    open_at(t, 54, {SocketOption::reuse_port});
    CHECK(why_not(t, 54) == Error::address_in_use);
    CHECK(why_not(t, 54, {SocketOption::reuse_address}) == Error::address_in_use);
    CHECK(why_not(t, 54, {SocketOption::reuse_port}) == Error::invalid);
    open_at(t, 55, {SocketOption::reuse_address});
    CHECK(why_not(t, 55, {SocketOption::reuse_port}) == Error::address_in_use);
    CHECK(why_not(t, 55, {SocketOption::reuse_address}) == Error::invalid);
}

WIRE_CASE("SO_REUSEPORT: each peer has its socket, all of them have some, and one that goes takes nobody's peers along", "[udp]") {
    FixtureOptions options;
    options.config.udp.receive_queue = 1000;
    options.config.capacity.udp_datagrams = 1000;
    Fixture t(way, options);
    SocketHandle sockets[4];
    for (SocketHandle& s : sockets) s = open_at(t, 53, {SocketOption::reuse_port});
    std::map<std::uint16_t, std::size_t> home;
    const auto who_got_one = [&] {
        std::size_t found = 4;
        for (std::size_t i = 0; i < 4; ++i) {
            if (!sockets[i] || queued(t, sockets[i]) == 0) continue;
            CHECK(found == 4);
            found = i;
            REQUIRE(t.stack().consume_datagram(sockets[i]).has_value());
        }
        return found;
    };
    std::array<unsigned, 4> shares{};
    for (std::uint16_t port = 1000; port < 1064; ++port) {
        from_peer(t, port);
        const std::size_t first = who_got_one();
        REQUIRE(first < 4);
        home[port] = first;
        ++shares[first];
        from_peer(t, port);
        CHECK(who_got_one() == first);
    }
    for (const unsigned share : shares) CHECK(share >= 4);
    REQUIRE(t.stack().close(sockets[2]).has_value());
    sockets[2] = {};
    for (const auto& [port, before] : home) {
        from_peer(t, port);
        const std::size_t now = who_got_one();
        CHECK((before == 2 ? now != 2 && now < 4 : now == before));
    }
}

WIRE_CASE("RFC 3493 5.2: what is sent to a group reaches this host's sockets, unless its sender says no", "[udp][multicast]") {
    Fixture t(way);
    const SocketHandle sender = open_at(t, 700);
    const SocketHandle a = open_at(t, 53, {SocketOption::reuse_address});
    const SocketHandle b = open_at(t, 53, {SocketOption::reuse_address});
    const SendDatagram to_all{.destination = {ipv6_all_nodes, 53, t.interface()}};
    const Bytes text{7, 8};
    // What is on its way to ourselves is no state: like a frame on a wire, a swap loses it.
    const auto send = [&](const SendDatagram& how) {
        t.keep_still(true);
        REQUIRE(t.stack().send_datagram(sender, how, text).has_value());
        t.settle().keep_still(false);
    };
    send(to_all);
    Packet p = t.expect_packet();
    CHECK(p.dst == ipv6_all_nodes);
    CHECK(p.hop_limit == 1);
    CHECK(queued(t, a) == 1);
    CHECK(queued(t, b) == 1);
    const auto d = t.stack().peek_datagram(a);
    REQUIRE(d.has_value());
    CHECK(d->destination == ipv6_all_nodes);
    CHECK(d->interface == t.interface());
    CHECK(d->source.port == 700);
    REQUIRE(t.stack().set_option(sender, SocketOption::multicast_loop, 0).has_value());
    send(to_all);
    t.expect_packet();
    CHECK(queued(t, a) == 1);
    // Hop limit 0: this host and no further.
    REQUIRE(t.stack().set_option(sender, SocketOption::multicast_loop, 1).has_value());
    REQUIRE(t.stack().set_option(sender, SocketOption::multicast_hop_limit, 0).has_value());
    send(to_all);
    t.expect_silence();
    CHECK(queued(t, a) == 2);
    REQUIRE(t.stack().set_option(sender, SocketOption::multicast_hop_limit, 9).has_value());
    REQUIRE(t.stack().set_option(sender, SocketOption::multicast_interface, t.interface()).has_value());
    send({.destination = {ipv6_all_nodes, 53}});
    CHECK(t.expect_packet().hop_limit == 9);
}

WIRE_CASE("RFC 3542 6: source, hop limit and traffic class for one datagram, and of each that comes", "[udp]") {
    Fixture t(way);
    const SocketHandle s = open_at(t, 53);
    REQUIRE(t.stack().set_option(s, SocketOption::hop_limit, 33).has_value());
    REQUIRE(t.stack().set_option(s, SocketOption::traffic_class, 0x20).has_value());
    const Endpoint to{t.peer, 99};
    const Bytes text{1};
    REQUIRE(t.stack().send_datagram(s, {.destination = to}, text).has_value());
    t.settle();
    Packet p = t.expect_packet();
    CHECK(p.hop_limit == 33);
    CHECK(p.traffic_class == 0x20);
    REQUIRE(t.stack().send_datagram(s, {.destination = to, .source = stack_address, .hop_limit = 7, .traffic_class = 0xb8}, text).has_value());
    t.settle();
    p = t.expect_packet();
    CHECK(p.hop_limit == 7);
    CHECK(p.traffic_class == 0xb8);
    CHECK(p.src == stack_address);
    CHECK(t.stack().send_datagram(s, {.destination = to, .source = far_address}, text).error() == Error::address_not_available);
    const IpFields ip{.src = t.peer, .dst = stack_address, .next_header = proto_udp, .hop_limit = 5, .traffic_class = 0x48};
    t.peer_sends_ip(ip_packet(ip, udp_datagram(ip.src, ip.dst, {.src_port = 9, .dst_port = 53, .payload = {1}})));
    const auto d = t.stack().peek_datagram(s);
    REQUIRE(d.has_value());
    CHECK(d->hop_limit == 5);
    CHECK(d->traffic_class == 0x48);
    CHECK(d->destination == stack_address);
    CHECK(d->interface == t.interface());
}

WIRE_CASE("UDP: what a full queue dropped is counted for its socket", "[udp]") {
    Fixture t(way);
    const SocketHandle s = open_at(t, 53);
    REQUIRE(t.stack().set_option(s, SocketOption::receive_buffer, 2).has_value());
    for (int i = 0; i < 5; ++i) from_peer(t, 9);
    CHECK(queued(t, s) == 2);
    CHECK(t.stack().info(s)->datagrams_dropped == 3);
}

WIRE_CASE("UDP: a socket that is disconnected hears everybody again", "[udp]") {
    Fixture t(way);
    const SocketHandle s = open_at(t, 53);
    REQUIRE(t.stack().connect(s, {t.peer, 9}).has_value());
    from_peer(t, 10);
    CHECK(queued(t, s) == 0);
    t.ignore_output();
    REQUIRE(t.stack().connect(s, {}).has_value());
    from_peer(t, 10);
    CHECK(queued(t, s) == 1);
    CHECK(t.stack().send_datagram(s, {}, Bytes{1}).error() == Error::not_connected);
}

WIRE_CASE("RFC 4113: datagrams are counted under the names that nstat prints, each drop under its own", "[udp][mib]") {
    Fixture t(way);
    const auto mib = [&](std::string_view name) {
        std::array<MibCounter, 256> all{};
        const auto counters = std::span(all).first(t.stack().mib_counters(all));
        const auto found = std::ranges::find(counters, name, &MibCounter::name);
        REQUIRE(found != counters.end());
        return found->value;
    };
    const SocketHandle s = open_at(t, 53);
    REQUIRE(t.stack().set_option(s, SocketOption::receive_buffer, 2).has_value());
    for (int i = 0; i < 3; ++i) from_peer(t, 9);
    from_peer(t, 9, 54);
    t.expect_icmp(1, 4);
    t.peer_sends_udp({.src_port = 9, .dst_port = 53, .payload = {1}, .length = {}, .checksum = 0});
    REQUIRE(t.stack().send_datagram(s, {.destination = {t.peer, 9}}, Bytes{1}).has_value());
    t.settle().ignore_output();
    CHECK(mib("Udp6InDatagrams") == 2);
    CHECK(mib("Udp6NoPorts") == 1);
    CHECK(mib("Udp6RcvbufErrors") == 1);
    CHECK(mib("Udp6InCsumErrors") == 1);
    CHECK(mib("Udp6InErrors") == 2);
    CHECK(mib("Udp6OutDatagrams") == 1);
}
