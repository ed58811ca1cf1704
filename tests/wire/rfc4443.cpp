// RFC 4443: echo, errors, and what must not be answered with one.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

Bytes udp_to(std::uint16_t port, std::size_t bytes = 20) {
    return udp_datagram(peer_address, stack_address,
                        {.src_port = 999,
                         .dst_port = port,
                         .payload = pattern_bytes(Side::peer, 1, bytes),
                         .length = {},
                         .checksum = {}});
}

}  // namespace

WIRE_CASE("RFC 4443 4.2: an echo request is answered with its data", "[icmp]") {
    Fixture t(way);
    for (const std::size_t n : {0U, 1U, 56U, 1400U, 1452U}) {
        CAPTURE(n);
        const Bytes body = echo_body(0x1234, 7, pattern_bytes(Side::peer, 1, n));
        t.peer_sends_icmp(128, 0, body);
        const Packet p = t.expect_icmp(129, 0);
        CHECK(p.src == stack_address);
        CHECK(p.dst == peer_address);
        CHECK(p.icmp->body == body);
    }
    t.expect_silence();
}

WIRE_CASE("RFC 4443 4.2: an echo request to a multicast group is answered from our address", "[icmp]") {
    Fixture t(way);
    const IpFields ip{.src = peer_address, .dst = ipv6_all_nodes, .next_header = proto_icmp};
    const Bytes message = icmp_message(ip.src, ip.dst, 128, 0, echo_body(1, 2, {}));
    t.peer_sends_frame(ethernet(multicast_mac(ip.dst), peer_mac, 0x86dd, ip_packet(ip, message)));
    CHECK(t.expect_icmp(129, 0).src == stack_address);
}

WIRE_CASE("RFC 4443 3.1: a closed UDP port is told, with a quotation", "[icmp]") {
    Fixture t(way);
    const IpFields ip{.src = peer_address, .dst = stack_address, .next_header = proto_udp};
    const Bytes packet = ip_packet(ip, udp_to(7777));
    t.peer_sends_ip(packet);
    const Packet p = t.expect_icmp(1, 4);
    CHECK(p.src == stack_address);
    CHECK(Bytes(p.icmp->body.begin() + 4, p.icmp->body.end()) == packet);
    t.expect_dropped(DropReason::udp_no_socket);
}

WIRE_CASE("RFC 4443 2.4 (c): an error is no larger than 1,280 bytes", "[icmp]") {
    Fixture t(way);
    const IpFields ip{.src = peer_address, .dst = stack_address, .next_header = proto_udp};
    const Bytes packet = ip_packet(ip, udp_to(7777, 1400));
    t.peer_sends_ip(packet);
    const Packet p = t.expect_icmp(1, 4);
    CHECK(p.ip.size() == 1280);
    CHECK(std::equal(p.icmp->body.begin() + 4, p.icmp->body.end(), packet.begin()));
}

WIRE_CASE("RFC 4443 2.4 (e): no error about an error, a multicast, or a source that is nobody", "[icmp]") {
    Fixture t(way);
    SECTION("ICMPv6 error of an unknown type") { t.peer_sends_icmp(100, 0, icmp_error_body(0, udp_to(1))); }
    SECTION("multicast destination") {
        const IpFields ip{.src = peer_address, .dst = ipv6_all_nodes, .next_header = proto_udp};
        const Bytes d = udp_datagram(
            ip.src, ip.dst, {.src_port = 9, .dst_port = 9, .payload = {1}, .length = {}, .checksum = {}});
        t.peer_sends_frame(ethernet(multicast_mac(ip.dst), peer_mac, 0x86dd, ip_packet(ip, d)));
    }
    SECTION("link-layer multicast") {
        const IpFields ip{.src = peer_address, .dst = stack_address, .next_header = proto_udp};
        t.peer_sends_frame(
            ethernet(multicast_mac(ipv6_all_nodes), peer_mac, 0x86dd, ip_packet(ip, udp_to(9))));
    }
    SECTION("unspecified source") {
        const IpFields ip{.src = {}, .dst = stack_address, .next_header = proto_udp};
        const Bytes d = udp_datagram(
            ip.src, ip.dst, {.src_port = 9, .dst_port = 9, .payload = {1}, .length = {}, .checksum = {}});
        t.peer_sends_ip(ip_packet(ip, d));
    }
    t.expect_silence();
}

WIRE_CASE("RFC 4443 2.4 (f): errors are rate limited", "[icmp]") {
    Fixture t(way);
    int errors = 0;
    for (int i = 0; i < 200; ++i) {
        t.peer_sends_udp({.src_port = 9, .dst_port = 9, .payload = {1}, .length = {}, .checksum = {}});
        while (t.take()) ++errors;
    }
    CHECK(errors == 20);
    CHECK(t.drops(DropReason::error_rate_limited) == 180);
    t.after(1_s).peer_sends_udp({.src_port = 9, .dst_port = 9, .payload = {1}, .length = {}, .checksum = {}});
    t.expect_icmp(1, 4);
}

WIRE_CASE("RFC 4443 2.4 (b): information of an unknown type is dropped without an answer", "[icmp]") {
    Fixture t(way);
    t.peer_sends_icmp(200, 0, Bytes(8, 1));
    t.expect_silence().expect_dropped(DropReason::icmpv6_type_unknown);
}

WIRE_CASE("RFC 4443 2.3: a wrong checksum is dropped", "[icmp]") {
    Fixture t(way);
    const IpFields ip{.src = peer_address, .dst = stack_address, .next_header = proto_icmp};
    t.peer_sends_ip(ip_packet(ip, icmp_message(ip.src, ip.dst, 128, 0, echo_body(1, 1, {}), true)));
    t.expect_silence().expect_dropped(DropReason::icmpv6_bad_checksum);
}

WIRE_CASE("RFC 5461 2.3, RFC 9293 3.9.2.2: soft errors do not end a connection", "[icmp]") {
    auto t = established(way);
    t.app_sends(100);
    const Packet sent = t.expect_packet();
    for (const std::uint8_t code : {std::uint8_t{0}, std::uint8_t{3}, std::uint8_t{4}, std::uint8_t{1}}) {
        t.peer_sends_icmp(1, code, icmp_error_body(0, sent.ip));
        t.expect_silence().expect(TcpPhase::established);
    }
    t.peer_sends_icmp(3, 0, icmp_error_body(0, sent.ip));
    t.peer_sends_icmp(4, 1, icmp_error_body(6, sent.ip));
    t.expect(TcpPhase::established);
    t.flow().rcv_nxt = 101;
    t.peer_sends(ack(101));
    CHECK(t.info().tx_acknowledged == 100);
}

WIRE_CASE("RFC 9293 3.9.2.2: port unreachable ends an attempt to connect", "[icmp]") {
    Fixture t(way);
    t.app_connects();
    const Packet sent = t.expect_packet();
    t.peer_sends_icmp(1, 4, icmp_error_body(0, sent.ip));
    // A hard error may end it; if it does, the caller learns why.
    if (t.connection() == nullptr || t.connection()->phase == TcpPhase::closed) {
        const auto e = *t.stack().take_error(t.socket);
        CHECK((e == Error::connection_refused || e == Error::host_unreachable));
    }
}

WIRE_CASE("RFC 5927 4: an error that quotes what is not in flight is ignored", "[icmp]") {
    auto t = established(way);
    t.app_sends(100);
    Packet sent = t.expect_packet();
    t.peer_sends(ack());
    t.expect_silence();
    // all was acknowledged: the quoted sequence number lies before SND.UNA
    Bytes big = icmp_error_body(1280, sent.ip);
    t.peer_sends_icmp(2, 0, big);
    t.app_sends(5000);
    CHECK(t.expect_packet().tcp->payload.size() == 1440);
    t.ignore_output();
    t.peer_sends_icmp(
        2, 0,
        icmp_error_body(1280, ip_packet({.src = far_address, .dst = peer_address, .next_header = proto_tcp},
                                        Bytes(20, 0))));
    t.expect_dropped(DropReason::icmpv6_error_unmatched, t.drops(DropReason::icmpv6_error_unmatched));
    CHECK(t.drops(DropReason::icmpv6_error_unmatched) >= 1);
}

WIRE_CASE("RFC 8201 4: Packet Too Big makes segments smaller, and what was too big is sent again", "[pmtu]") {
    auto t = established(way);
    t.app_sends(4000);
    const Packet first = t.expect_packet();
    CHECK(first.tcp->payload.size() == 1440);
    t.ignore_output();
    t.after(10_ms).peer_sends_icmp(2, 0, icmp_error_body(1300, first.ip));
    const auto again = t.take();
    REQUIRE(again.has_value());
    CHECK(again->tcp->seq - *t.flow().stack_iss == 1);
    CHECK(again->ip.size() <= 1300);
    while (const auto p = t.take()) CHECK(p->ip.size() <= 1300);
    t.flow().rcv_nxt = 4001;
    t.peer_sends(ack(4001));
    t.ignore_output();
    t.app_sends(3000);
    while (const auto p = t.take()) CHECK(p->ip.size() <= 1300);
    // 4: no attempt with a larger one within five minutes.
    t.peer_sends(ack());
    t.after(299_s);
    t.app_sends(3000);
    while (const auto p = t.take()) CHECK(p->ip.size() <= 1300);
    t.peer_sends(ack());
}

WIRE_CASE("RFC 8201 4: a Packet Too Big below 1,280, or above what we use, changes nothing", "[pmtu]") {
    auto t = established(way);
    t.app_sends(1440);
    const Packet first = t.expect_packet();
    t.peer_sends_icmp(2, 0, icmp_error_body(600, first.ip));
    t.peer_sends_icmp(2, 0, icmp_error_body(9000, first.ip));
    t.flow().rcv_nxt = 1441;
    t.peer_sends(ack(1441));
    t.ignore_output();
    t.app_sends(1440);
    CHECK(t.expect_packet().tcp->payload.size() == 1440);
}
