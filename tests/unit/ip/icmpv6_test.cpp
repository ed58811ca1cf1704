// ICMPv6 at a host (RFC 4443): echo, errors that come in, errors that go out.
#include <catch2/catch_test_macros.hpp>

#include "support/world_fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

using F = WorldFixture;

/// A packet that we could have sent, for an error to quote.
Bytes our_packet(std::uint8_t next_header = proto_tcp, const Ipv6Address& src = F::own,
                 std::size_t bytes = 20) {
    Bytes payload(bytes);
    for (std::size_t i = 0; i < bytes; ++i) payload[i] = static_cast<std::uint8_t>(i + 1);
    return ip_packet({.src = src, .dst = F::far, .next_header = next_header}, payload);
}

/// What the peer sent and we are to complain about.
ip::TransportInput about(F& f, const BufferRef& buffer, const Bytes& packet, bool is_multicast = false) {
    std::copy(packet.begin(), packet.end(), f.w.pool.buffer(buffer.get()).begin());
    return {.source = F::peer,
            .destination = F::own,
            .interface = F::nic,
            .next_header = packet[6],
            .is_multicast = is_multicast,
            .packet = {buffer.get(), 0, static_cast<std::uint16_t>(packet.size())}};
}

}  // namespace

TEST_CASE("RFC 4443 4.2: an echo reply has the request's identifier, sequence and data") {
    F f;
    f.introduce();
    for (const std::size_t bytes : {0U, 1U, 56U, 1452U}) {
        Bytes data(bytes);
        for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::uint8_t>(i);
        f.receive_icmp(128, 0, echo_body(0x1234, 7, data));
        const Packet p = f.sent_one();
        REQUIRE(p.icmp);
        CHECK(p.icmp->type == 129);
        CHECK(p.icmp->body == echo_body(0x1234, 7, data));
        CHECK(p.src == F::own);
        CHECK(p.dst == F::peer);
        CHECK(p.eth_dst == F::peer_mac);
    }
    CHECK(f.w.statistics.get(0U).icmp_echo_answered == 4);
    f.expect_drops({});
}

TEST_CASE("RFC 4443 4.2: the reply to a multicast request comes from a unicast address") {
    F f;
    f.introduce();
    f.receive_icmp(128, 0, echo_body(1, 1, Bytes(4)), F::peer, ipv6_all_nodes);
    CHECK(f.sent_one().src == F::own);
}

TEST_CASE("ICMPv6: echo gives way: no buffer, no ring, no route") {
    F f;
    f.introduce();
    std::vector<BufferIndex> taken;
    while (f.w.pool.may_take(PoolUse::optional)) taken.push_back(f.w.pool.allocate(PoolUse::optional));
    f.receive_icmp(128, 0, echo_body(1, 1, Bytes(4)));
    f.expect_drops({DropReason::out_of_buffers});
    for (const BufferIndex b : taken) f.w.pool.release(b);

    f.receive_icmp(128, 0, echo_body(1, 1, Bytes(4)), F::far);
    f.expect_drops({DropReason::no_route});

    f.ports.of(F::nic).device = nullptr;
    for (int i = 0; i < 16; ++i) f.receive_icmp(128, 0, echo_body(1, 1, Bytes(4)));
    f.expect_drops({});
    f.receive_icmp(128, 0, echo_body(1, 1, Bytes(4)));
    f.expect_drops({DropReason::transmit_ring_full});
    f.ports.of(F::nic).device = &f.device;
    CHECK(f.sent().size() == 16);
}

TEST_CASE("ICMPv6: icmpv6_truncated") {
    F f;
    f.receive_ip({.src = F::peer, .dst = F::own, .next_header = proto_icmp}, Bytes{128, 0, 0});
    f.expect_drops({DropReason::icmpv6_truncated});
    f.receive_icmp(128, 0, Bytes{1, 2});
    f.expect_drops({DropReason::icmpv6_truncated});
    f.receive_icmp(1, 0, Bytes{1, 2});
    f.expect_drops({DropReason::icmpv6_truncated});
}

TEST_CASE("ICMPv6: icmpv6_bad_checksum") {
    F f;
    const Bytes bad = icmp_message(F::peer, F::own, 128, 0, echo_body(1, 1, {}), true);
    f.receive_ip({.src = F::peer, .dst = F::own, .next_header = proto_icmp}, bad);
    f.expect_drops({DropReason::icmpv6_bad_checksum});
    CHECK(f.sent().empty());
}

TEST_CASE("RFC 4443 2.4 (b): icmpv6_type_unknown") {
    F f;
    for (const std::uint8_t type : std::initializer_list<std::uint8_t>{129, 130, 140, 200, 255}) {
        f.receive_icmp(type, 0, Bytes(8));
        f.expect_drops({DropReason::icmpv6_type_unknown});
    }
    CHECK(f.sent().empty());
}

TEST_CASE("ICMPv6: icmpv6_error_malformed") {
    F f;
    const Bytes whole = our_packet();
    for (const std::size_t n : {0U, 39U, 40U, 47U}) {
        f.receive_icmp(
            1, 0, icmp_error_body(0, Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n))));
        f.expect_drops({DropReason::icmpv6_error_malformed});
    }
    // RFC 8201 4: a Packet Too Big below 1280 is discarded.
    f.receive_icmp(2, 0, icmp_error_body(1279, whole));
    f.expect_drops({DropReason::icmpv6_error_malformed});
    CHECK(f.errors.empty());
}

TEST_CASE("RFC 5927: icmpv6_error_unmatched") {
    F f;
    f.receive_icmp(1, 0, icmp_error_body(0, our_packet(proto_tcp, F::peer)));
    f.expect_drops({DropReason::icmpv6_error_unmatched});
    f.receive_icmp(1, 0, icmp_error_body(0, our_packet(proto_icmp)));
    f.expect_drops({DropReason::icmpv6_error_unmatched});
    f.receive_icmp(1, 4, icmp_error_body(0, our_packet(proto_udp)));  // no such socket
    f.expect_drops({DropReason::icmpv6_error_unmatched});
    CHECK(f.w.destinations.in_use() == 0);
}

TEST_CASE("ICMPv6: an error goes to the transport with what it quotes") {
    F f;
    f.receive_icmp(1, 3, icmp_error_body(0, our_packet(proto_tcp, F::own, 24)));
    f.receive_icmp(2, 0, icmp_error_body(1400, our_packet(proto_tcp, F::own, 8)));
    REQUIRE(f.errors.size() == 2);
    const auto& e = f.errors[0];
    CHECK(e.local == F::own);
    CHECK(e.remote == F::far);
    CHECK(e.next_header == proto_tcp);
    CHECK(e.type == 1);
    CHECK(e.code == 3);
    CHECK(e.quoted_length == 20);
    CHECK(e.quoted[0] == 1);
    CHECK(e.quoted[19] == 20);
    CHECK(f.errors[1].mtu == 1400);
    CHECK(f.errors[1].quoted_length == 8);
    // Nothing is believed before the transport has looked.
    CHECK(f.w.destinations.in_use() == 0);
    // RFC 4443 2.4 (a): an unknown error is for the upper layer.
    f.receive_icmp(99, 1, icmp_error_body(0, our_packet()));
    CHECK(f.errors.back().type == 99);
    f.expect_drops({});
}

TEST_CASE("RFC 4443 2.4 (c): an error quotes as much as fits 1280 bytes") {
    F f;
    f.introduce();
    f.receive_ip({.src = F::peer, .dst = F::own, .next_header = 200}, Bytes(1400, 9));
    const Packet p = f.sent_one();
    CHECK(p.ip.size() == 1280);
    CHECK(get32(p.icmp->body, 4) >> 28 == 6);
    CHECK(p.icmp->body.back() == 9);
    CHECK(f.w.statistics.get(0U).icmp_errors_sent == 1);
}

TEST_CASE("RFC 4443 2.4 (e): what is never answered with an error") {
    F f;
    f.introduce();
    auto cx = f.cx();
    const BufferRef buffer{f.w.pool, f.w.pool.allocate(PoolUse::receive)};
    const auto packet = [&](std::uint8_t icmp_type) {
        return ip_packet({.src = F::peer, .dst = F::own, .next_header = proto_icmp},
                         icmp_message(F::peer, F::own, icmp_type, 0, Bytes(8)));
    };
    for (const std::uint8_t type : std::initializer_list<std::uint8_t>{1, 2, 3, 4, 100, 137}) {
        ip::send_error(cx, about(f, buffer, packet(type)), 1, 4);
        CHECK(f.sent().empty());
    }
    const Bytes udp = ip_packet({.src = F::peer, .dst = F::own, .next_header = proto_udp}, Bytes(8));
    ip::send_error(cx, about(f, buffer, udp, true), 1, 4);
    CHECK(f.sent().empty());
    auto nobody = about(f, buffer, udp);
    nobody.source = ipv6_unspecified;
    ip::send_error(cx, nobody, 1, 4);
    nobody.source = ipv6_all_nodes;
    ip::send_error(cx, nobody, 1, 4);
    CHECK(f.sent().empty());
    f.expect_drops({});
    // The exceptions for multicast: Packet Too Big, and Parameter Problem code 2.
    ip::send_error(cx, about(f, buffer, udp, true), 2, 0, 1300);
    CHECK(get32(f.sent_one().icmp->body, 0) == 1300);
    ip::send_error(cx, about(f, buffer, udp, true), 4, 2, 40);
    CHECK(f.sent_one().icmp->code == 2);
    ip::send_error(cx, about(f, buffer, packet(128)), 1, 4);
    CHECK(f.sent_one().icmp->type == 1);
}

TEST_CASE("RFC 4443 2.4 (f): error_rate_limited, and the limit refills with time") {
    WorldOptions options;
    options.config.ip.icmp_errors_per_second = 10;
    options.config.ip.icmp_errors_burst = 3;
    F f{options};
    f.introduce();
    const auto provoke = [&] { f.receive_ip({.src = F::peer, .dst = F::own, .next_header = 200}, Bytes(8)); };
    for (int i = 0; i < 3; ++i) {
        provoke();
        f.expect_drops({DropReason::ipv6_next_header_unknown});
    }
    provoke();
    f.expect_drops({DropReason::ipv6_next_header_unknown, DropReason::error_rate_limited});
    CHECK(f.sent().size() == 3);
    f.advance(100_ms);
    provoke();
    f.expect_drops({DropReason::ipv6_next_header_unknown});
    CHECK(f.sent().size() == 1);
}

TEST_CASE("RFC 8201: a path's MTU sinks when its transport says so, never below 1280, and comes back") {
    F f;
    auto cx = f.cx();
    REQUIRE(ip::add_route(cx, ipv6_unspecified, 0, F::nic, F::peer, false));
    CHECK(ip::path_mtu(cx, F::far, 0) == 1500);
    ip::accept_path_mtu(cx, F::far, F::nic, 1279);
    CHECK(ip::path_mtu(cx, F::far, 0) == 1500);
    ip::accept_path_mtu(cx, F::far, F::nic, 1400);
    CHECK(ip::path_mtu(cx, F::far, 0) == 1400);
    ip::accept_path_mtu(cx, F::far, F::nic, 1450);  // a larger one is no news
    CHECK(ip::path_mtu(cx, F::far, 0) == 1400);
    ip::accept_path_mtu(cx, F::far, F::nic, 1300);
    CHECK(ip::path_mtu(cx, F::far, 0) == 1300);
    CHECK(ip::path_mtu(cx, F::peer, 0) == 1500);
    f.rebuild();
    f.advance(599_s);
    CHECK(ip::path_mtu(cx, F::far, 0) == 1300);
    f.advance(1_s);
    CHECK(ip::path_mtu(cx, F::far, 0) == 1500);
    f.expect_drops({});
}

TEST_CASE("RFC 8201: when the table is full, what would be forgotten first makes room (no_slot)") {
    F f;
    auto cx = f.cx();
    REQUIRE(ip::add_route(cx, ipv6_unspecified, 0, F::nic, F::peer, false));
    Ipv6Address a = F::far;
    for (std::uint8_t i = 0; i < 3; ++i) {
        a.octets[15] = i;
        auto now = f.cx();
        ip::accept_path_mtu(now, a, F::nic, 1300);
        f.advance(1_s);
    }
    f.expect_drops({DropReason::no_slot});
    CHECK(ip::path_mtu(cx, a, 0) == 1300);
    a.octets[15] = 0;
    CHECK(ip::path_mtu(cx, a, 0) == 1500);
}
