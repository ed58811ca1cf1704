// UDP: RFC 768, RFC 8200 8.1, RFC 8085.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

struct UdpFixture : Fixture {
    SocketHandle udp{};
    explicit UdpFixture(Way way, const FixtureOptions& options = {}) : Fixture(way, options) {
        udp = *stack().open_udp();
        const auto bound = stack().bind(udp, {.port = 53});
        REQUIRE(bound.has_value());
        udp = *bound;
        settle();
    }
    UdpFixture& from_peer(std::size_t n, std::uint16_t src_port = 999, std::uint16_t dst_port = 53) {
        peer_sends_udp({.src_port = src_port,
                        .dst_port = dst_port,
                        .payload = pattern_bytes(Side::peer, 1, n),
                        .length = {},
                        .checksum = {}});
        return *this;
    }
    Bytes receive() {
        Stack& s = stack();
        const auto d = s.peek_datagram(udp);
        REQUIRE(d.has_value());
        CHECK(d->source.address == peer_address);
        Bytes out(d->payload.begin(), d->payload.end());
        REQUIRE(s.consume_datagram(udp).has_value());
        return out;
    }
};

}  // namespace

WIRE_CASE("RFC 768: a datagram is delivered with its source, and answered", "[udp]") {
    UdpFixture t(way);
    for (const std::size_t n : {0U, 1U, 100U, 1452U}) {
        CAPTURE(n);
        t.from_peer(n);
        const auto d = t.stack().peek_datagram(t.udp);
        REQUIRE(d.has_value());
        CHECK(d->source.port == 999);
        CHECK(d->destination == stack_address);
        CHECK(d->hop_limit == 64);
        const Endpoint source = d->source;
        CHECK(t.receive() == pattern_bytes(Side::peer, 1, n));
        REQUIRE(t.stack()
                    .send_datagram(t.udp, {.destination = source}, pattern_bytes(Side::stack, 1, n))
                    .has_value());
        t.settle();
        const Packet p = t.expect_packet();
        REQUIRE(p.udp);
        CHECK(p.udp->src_port == 53);
        CHECK(p.udp->dst_port == 999);
        CHECK(p.udp->payload == pattern_bytes(Side::stack, 1, n));
    }
    CHECK(t.stack().peek_datagram(t.udp).error() == Error::would_block);
}

WIRE_CASE("RFC 8200 8.1: a zero checksum is dropped, a wrong one too", "[udp]") {
    UdpFixture t(way);
    t.peer_sends_udp({.src_port = 9, .dst_port = 53, .payload = {1, 2}, .length = {}, .checksum = 0});
    t.peer_sends_udp({.src_port = 9, .dst_port = 53, .payload = {1, 2}, .length = {}, .checksum = 0x1234});
    t.expect_silence().expect_dropped(DropReason::udp_bad_checksum, 2);
    CHECK_FALSE(t.stack().peek_datagram(t.udp).has_value());
}

WIRE_CASE("RFC 768: a length that does not fit is dropped", "[udp]") {
    UdpFixture t(way);
    t.peer_sends_udp({.src_port = 9, .dst_port = 53, .payload = {1, 2}, .length = 7, .checksum = {}});
    t.peer_sends_udp({.src_port = 9, .dst_port = 53, .payload = {1, 2}, .length = 11, .checksum = {}});
    t.expect_silence().expect_dropped(DropReason::udp_bad_length, 2);
    t.peer_sends_ip(
        ip_packet({.src = peer_address, .dst = stack_address, .next_header = proto_udp}, Bytes(7, 0)));
    t.expect_silence().expect_dropped(DropReason::udp_truncated);
}

WIRE_CASE("UdpConfig: a full queue drops what comes", "[udp]") {
    FixtureOptions options;
    options.config.udp.receive_queue = 4;
    UdpFixture t(way, options);
    for (std::size_t i = 1; i <= 6; ++i) t.from_peer(i);
    t.expect_silence().expect_dropped(DropReason::udp_queue_full, 2);
    for (std::size_t i = 1; i <= 4; ++i) CHECK(t.receive().size() == i);
    t.from_peer(9);
    CHECK(t.receive().size() == 9);
}

WIRE_CASE("a connected socket takes datagrams of its peer alone, and learns of a closed port", "[udp]") {
    UdpFixture t(way);
    REQUIRE(t.stack().connect(t.udp, {.address = peer_address, .port = 999}).has_value());
    t.from_peer(5, 1000);
    t.ignore_output();
    CHECK_FALSE(t.stack().peek_datagram(t.udp).has_value());
    t.from_peer(5, 999);
    CHECK(t.receive().size() == 5);
    REQUIRE(t.stack().send_datagram(t.udp, {}, Bytes{1, 2, 3}).has_value());
    t.settle();
    const Packet sent = t.expect_packet();
    t.peer_sends_icmp(1, 4, icmp_error_body(0, sent.ip));
    CHECK(*t.stack().take_error(t.udp) == Error::connection_refused);
}

WIRE_CASE("RFC 1122 4.1.3.3: who is not connected has sent to many, and learns of nobody's closed port", "[udp]") {
    UdpFixture t(way);
    REQUIRE(t.stack().send_datagram(t.udp, {.destination = {peer_address, 999}}, Bytes{1}).has_value());
    t.settle();
    const Packet sent = t.expect_packet();
    t.peer_sends_icmp(1, 4, icmp_error_body(0, sent.ip));
    CHECK(*t.stack().take_error(t.udp) == Error::invalid);
    CHECK(t.stack().peek_datagram(t.udp).error() == Error::would_block);
}

WIRE_CASE("RFC 1122 4.1.3.3, DURABILITY 8: a connected socket's error waits over a crash, and is told once", "[udp][restore]") {
    UdpFixture t(way);
    REQUIRE(t.stack().connect(t.udp, {.address = peer_address, .port = 999}).has_value());
    REQUIRE(t.stack().send_datagram(t.udp, {}, Bytes{1}).has_value());
    t.settle();
    const Packet sent = t.expect_packet();
    t.peer_sends_icmp(1, 4, icmp_error_body(0, sent.ip));
    t.snapshot();
    t.crash(1_s).ignore_output();
    CHECK(t.stack().readiness(t.udp)->has(Readiness::error));
    CHECK(*t.stack().take_error(t.udp) == Error::connection_refused);
    CHECK(*t.stack().take_error(t.udp) == Error::invalid);
    t.from_peer(5);
    CHECK(t.receive().size() == 5);
}

WIRE_CASE("RFC 4443 2.4 e.3: what comes for a group reaches each socket of the port, and a port of nobody's is not answered",
          "[udp][multicast]") {
    UdpFixture t(way);
    const IpFields ip{.src = peer_address, .dst = ipv6_all_nodes, .next_header = proto_udp, .hop_limit = 1};
    t.peer_sends_ip(ip_packet(ip, udp_datagram(ip.src, ip.dst, {.src_port = 999, .dst_port = 53, .payload = {1, 2}})));
    t.expect_silence();
    const auto d = t.stack().peek_datagram(t.udp);
    REQUIRE(d.has_value());
    CHECK(d->destination == ipv6_all_nodes);
    CHECK(d->hop_limit == 1);
    REQUIRE(t.stack().consume_datagram(t.udp).has_value());
    t.peer_sends_ip(ip_packet(ip, udp_datagram(ip.src, ip.dst, {.src_port = 999, .dst_port = 54, .payload = {1, 2}})));
    t.expect_silence().expect_dropped(DropReason::udp_no_socket);
    // A group that nobody here has joined.
    const auto other = Ipv6Address::from_words({0xff02, 0, 0, 0, 0, 0, 0, 0x99});
    t.peer_sends_ip(ip_packet({.src = peer_address, .dst = other, .next_header = proto_udp},
                              udp_datagram(peer_address, other, {.src_port = 999, .dst_port = 53, .payload = {1}})));
    t.expect_silence().expect_dropped(DropReason::ipv6_not_for_us);
    CHECK_FALSE(t.stack().peek_datagram(t.udp).has_value());
}

WIRE_CASE("RFC 768: what one frame cannot carry is refused", "[udp]") {
    UdpFixture t(way);
    const Bytes large(1453, 1);
    const auto sent =
        t.stack().send_datagram(t.udp, {.destination = {.address = peer_address, .port = 9}}, large);
    CHECK((!sent && sent.error() == Error::message_too_long));
    t.settle().expect_silence();
}

WIRE_CASE("DURABILITY 1: datagrams are sent at once by default, or held for a commit", "[udp][durability]") {
    UdpFixture t(way, FixtureOptions(DurabilityPolicy::snapshot));
    const SendDatagram to{.destination = {.address = peer_address, .port = 9}};
    REQUIRE(t.stack().send_datagram(t.udp, to, Bytes{1}).has_value());
    t.settle();
    CHECK(t.expect_packet().udp->payload == Bytes{1});
    REQUIRE(t.stack().set_option(t.udp, SocketOption::hold_output, 1).has_value());
    t.keep_still(true);
    REQUIRE(t.stack().send_datagram(t.udp, to, Bytes{2}).has_value());
    t.settle().expect_silence();
    CHECK(t.commit_is_wanted());
    t.cut();
    REQUIRE(t.stack().send_datagram(t.udp, to, Bytes{3}).has_value());
    t.settle().expect_silence();
    t.commit();
    CHECK(t.expect_packet().udp->payload == Bytes{2});
    t.expect_silence();
    t.snapshot();
    CHECK(t.expect_packet().udp->payload == Bytes{3});
    CHECK_FALSE(t.commit_is_wanted());
}

WIRE_CASE("a UDP socket and its queue survive a crash", "[udp][restore]") {
    UdpFixture t(way);
    t.from_peer(5).from_peer(6);
    t.snapshot();
    t.crash(1_s).ignore_output();
    CHECK(t.receive().size() == 5);
    CHECK(t.receive().size() == 6);
    t.from_peer(7);
    CHECK(t.receive().size() == 7);
}
