// What IPv6 input takes, what it drops and under which name, and what it answers (RFC 8200, 4443 3).
#include <algorithm>

#include <catch2/catch_test_macros.hpp>

#include "support/world_fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

using F = WorldFixture;
constexpr auto mac_of_nodes = multicast_mac(ipv6_all_nodes);

Bytes frame(const IpFields& ip, ByteView payload) {
    return ethernet(F::own_mac, F::peer_mac, 0x86dd, ip_packet(ip, payload));
}

IpFields from_peer(std::uint8_t next_header) {
    return {.src = F::peer, .dst = F::own, .next_header = next_header};
}

/// Extension header: next, length in units of 8 behind the first, and six bytes or more.
Bytes extension(std::uint8_t next, Bytes rest) {
    Bytes out(2 + rest.size());
    out[0] = next;
    out[1] = static_cast<std::uint8_t>(out.size() / 8 - 1);
    std::ranges::copy(rest, out.begin() + 2);
    return out;
}

Bytes fragment(std::uint8_t next, std::uint16_t offset_and_more) {
    return {next,
            0,
            static_cast<std::uint8_t>(offset_and_more >> 8),
            static_cast<std::uint8_t>(offset_and_more),
            1,
            2,
            3,
            4};
}

Bytes a_datagram(std::uint16_t port = 9) {
    return udp_datagram(F::peer, F::own, {.src_port = 7, .dst_port = port, .payload = Bytes{1, 2, 3, 4}});
}

void expect_parameter_problem(F& f, std::uint8_t code, std::uint32_t pointer) {
    const Packet p = f.sent_one();
    REQUIRE(p.icmp);
    CHECK(p.icmp->type == 4);
    CHECK(p.icmp->code == code);
    CHECK(get32(p.icmp->body, 0) == pointer);
    CHECK(p.dst == F::peer);
    CHECK(p.src == F::own);
}

}  // namespace

TEST_CASE("IPv6 input: TCP goes up with what the transport needs to know") {
    F f;
    const Bytes segment = tcp_segment(F::peer, F::own, {.src_port = 1, .dst_port = 2, .flags = flag::syn});
    f.receive_ip(
        {.src = F::peer, .dst = F::own, .next_header = proto_tcp, .hop_limit = 33, .traffic_class = 3},
        segment);
    REQUIRE(f.segments.size() == 1);
    const auto& input = f.segments[0].input;
    CHECK(input.source == F::peer);
    CHECK(input.destination == F::own);
    CHECK(input.interface == F::nic);
    CHECK(input.hop_limit == 33);
    CHECK(input.traffic_class == 3);
    CHECK_FALSE(input.is_multicast);
    CHECK_FALSE(input.checksum_verified);
    CHECK(input.packet.length == 40 + segment.size());
    CHECK(f.segments[0].payload == segment);
    f.expect_drops({});
}

TEST_CASE("IPv6 input: Ethernet padding is not payload") {
    F f;
    Bytes padded = frame(from_peer(proto_tcp), Bytes(20, 7));
    padded.resize(padded.size() + 30);
    f.receive(padded);
    REQUIRE(f.segments.size() == 1);
    CHECK(f.segments[0].payload.size() == 20);
    CHECK(f.segments[0].input.packet.length == 60);
}

TEST_CASE("IPv6 input: ipv6_truncated") {
    F f;
    const Bytes whole = frame(from_peer(proto_tcp), Bytes(20));
    for (const std::size_t n : {14U, 15U, 53U, 54U, 73U}) {
        f.receive({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)});
        f.expect_drops({DropReason::ipv6_truncated});
    }
}

TEST_CASE("IPv6 input: ipv6_bad_version") {
    F f;
    IpFields ip = from_peer(proto_tcp);
    ip.version = 4;
    f.receive(frame(ip, Bytes(20)));
    f.expect_drops({DropReason::ipv6_bad_version});
}

TEST_CASE("IPv6 input: ipv6_bad_source") {
    F f;
    for (const Ipv6Address& source : {ipv6_all_nodes, ipv6_loopback, F::own, ipv6_unspecified}) {
        f.receive(frame({.src = source, .dst = F::own, .next_header = proto_tcp}, Bytes(20)));
        f.expect_drops({DropReason::ipv6_bad_source});
    }
    // What only looks like neighbour discovery does not pass either.
    for (const Ipv6Address& source : {F::own, ipv6_unspecified}) {
        f.receive_icmp(128, 0, echo_body(1, 1, Bytes(4)), source, F::own, 255);
        f.expect_drops({DropReason::ipv6_bad_source});
    }
    f.receive_nd(135, solicitation_body(F::own), F::own, solicited_node(F::own));
    f.expect_drops({DropReason::ipv6_bad_source});
    CHECK(f.sent().empty());
}

TEST_CASE("IPv6 input: ipv6_bad_destination") {
    F f;
    const auto interface_local = Ipv6Address::from_words({0xff01, 0, 0, 0, 0, 0, 0, 1});
    const auto reserved = Ipv6Address::from_words({0xff00, 0, 0, 0, 0, 0, 0, 1});
    for (const Ipv6Address& destination : {ipv6_unspecified, ipv6_loopback, interface_local, reserved}) {
        f.receive(frame({.src = F::peer, .dst = destination, .next_header = proto_tcp}, Bytes(20)));
        f.expect_drops({DropReason::ipv6_bad_destination});
    }
}

TEST_CASE("IPv6 input: ipv6_not_for_us") {
    F f;
    for (const Ipv6Address& destination : {F::far, ipv6_all_routers, solicited_node(F::peer)}) {
        f.receive(frame({.src = F::peer, .dst = destination, .next_header = proto_tcp}, Bytes(20)));
        f.expect_drops({DropReason::ipv6_not_for_us});
    }
    CHECK(f.sent().empty());
}

TEST_CASE("IPv6 input: the groups that we are in") {
    F f;
    for (const Ipv6Address& group : {ipv6_all_nodes, solicited_node(F::own)}) {
        f.receive_ip({.src = F::peer, .dst = group, .next_header = proto_tcp}, Bytes(20));
    }
    REQUIRE(f.segments.size() == 2);
    CHECK(f.segments[0].input.is_multicast);
    f.expect_drops({});
}

TEST_CASE("IPv6 input: a unicast packet in a link-layer multicast counts as multicast") {
    F f;
    f.receive(ethernet(mac_of_nodes, F::peer_mac, 0x86dd, ip_packet(from_peer(proto_tcp), Bytes(20))));
    REQUIRE(f.segments.size() == 1);
    CHECK(f.segments[0].input.is_multicast);
}

TEST_CASE("IPv6 input: ipv6_tentative_destination (RFC 4862 5.4)") {
    WorldOptions options;
    options.config.nd.dad_transmits = 1;
    F f{options};
    f.receive(frame(from_peer(proto_tcp), Bytes(20)));
    f.expect_drops({DropReason::ipv6_tentative_destination});
    f.receive_icmp(128, 0, echo_body(1, 1, {}), F::peer, F::own, 255);
    f.expect_drops({DropReason::ipv6_tentative_destination});
    f.advance(1_s);
    f.receive(frame(from_peer(proto_tcp), Bytes(20)));
    CHECK(f.segments.size() == 1);
    f.expect_drops({});
}

TEST_CASE("IPv6 input: ipv6_extension_malformed") {
    F f;
    f.introduce();
    // Runs past the packet: silence.
    f.receive(frame(from_peer(60), Bytes{6, 4, 1, 4, 0, 0, 0, 0}));
    f.expect_drops({DropReason::ipv6_extension_malformed});
    f.receive(frame(from_peer(0), Bytes{6, 0, 1}));
    f.expect_drops({DropReason::ipv6_extension_malformed});
    CHECK(f.sent().empty());
    // An option runs past its header: the sender is told.
    f.receive(frame(from_peer(60), extension(59, {1, 9, 0, 0, 0, 0})));
    f.expect_drops({DropReason::ipv6_extension_malformed});
    expect_parameter_problem(f, 0, 43);
}

TEST_CASE("RFC 8200 4.2: ipv6_option_refused by the action bits of an unknown option") {
    F f;
    f.introduce();
    const auto receive_option = [&](std::uint8_t type, const Ipv6Address& dst) {
        f.receive_ip({.src = F::peer, .dst = dst, .next_header = 60}, extension(59, {type, 4, 0, 0, 0, 0}));
    };
    receive_option(0x1e, F::own);  // 00: skip
    f.expect_drops({});
    receive_option(0x5e, F::own);  // 01: discard
    f.expect_drops({DropReason::ipv6_option_refused});
    CHECK(f.sent().empty());
    receive_option(0x9e, F::own);  // 10: and report
    f.expect_drops({DropReason::ipv6_option_refused});
    expect_parameter_problem(f, 2, 42);
    receive_option(0x9e, ipv6_all_nodes);  // also to a multicast
    f.expect_drops({DropReason::ipv6_option_refused});
    expect_parameter_problem(f, 2, 42);
    receive_option(0xde, F::own);  // 11: and report
    f.expect_drops({DropReason::ipv6_option_refused});
    expect_parameter_problem(f, 2, 42);
    receive_option(0xde, ipv6_all_nodes);  // but not to a multicast
    f.expect_drops({DropReason::ipv6_option_refused});
    CHECK(f.sent().empty());
}

TEST_CASE("RFC 8200 4.4, 5095: ipv6_routing_header with segments left") {
    F f;
    f.introduce();
    f.receive(frame(from_peer(43), extension(59, {0, 1, 0, 0, 0, 0})));
    f.expect_drops({DropReason::ipv6_routing_header});
    expect_parameter_problem(f, 0, 42);
    // With none left it is no more than a header to be skipped.
    f.receive(frame(from_peer(43), extension(proto_tcp, {0, 0, 0, 0, 0, 0}) + Bytes(20)));
    f.expect_drops({});
    CHECK(f.segments.size() == 1);
}

TEST_CASE("IPv6 input: ipv6_fragment, and RFC 6946: an atomic one is none") {
    F f;
    f.introduce();
    f.receive(frame(from_peer(44), fragment(proto_tcp, 1) + Bytes(24)));
    f.expect_drops({DropReason::ipv6_fragment});
    f.receive(frame(from_peer(44), fragment(proto_tcp, 64) + Bytes(20)));
    f.expect_drops({DropReason::ipv6_fragment});
    CHECK(f.sent().empty());
    // RFC 8200 4.5: not the last one, and no multiple of 8.
    f.receive(frame(from_peer(44), fragment(proto_tcp, 1) + Bytes(23)));
    f.expect_drops({DropReason::ipv6_fragment});
    expect_parameter_problem(f, 0, 4);
    // RFC 7112: a first fragment without its headers.
    f.receive(frame(from_peer(44), fragment(proto_tcp, 1) + Bytes(8)));
    f.expect_drops({DropReason::ipv6_fragment});
    expect_parameter_problem(f, 3, 0);
    f.receive(frame(from_peer(44), fragment(proto_tcp, 0) + Bytes(20)));
    f.expect_drops({});
    CHECK(f.segments.size() == 1);
}

TEST_CASE("RFC 6980: neighbour discovery in a fragment, even an atomic one, is ignored") {
    F f;
    const auto group = solicited_node(F::own);
    const Bytes ns = icmp_message(F::peer, group, 135, 0, solicitation_body(F::own, F::peer_mac));
    f.receive_ip({.src = F::peer, .dst = group, .next_header = 44, .hop_limit = 255},
                 fragment(proto_icmp, 0) + ns);
    f.expect_drops({DropReason::ipv6_fragment});
    CHECK(f.sent().empty());
    CHECK(f.neighbor(F::peer) == nullptr);
    // Other ICMPv6 may come that way.
    f.introduce();
    const Bytes echo = icmp_message(F::peer, F::own, 128, 0, echo_body(1, 2, Bytes(3)));
    f.receive_ip(from_peer(44), fragment(proto_icmp, 0) + echo);
    CHECK(f.sent_one().icmp->type == 129);
}

TEST_CASE("RFC 8200 4: ipv6_next_header_unknown points at the field that named it") {
    F f;
    f.introduce();
    f.receive(frame(from_peer(200), Bytes(20)));
    f.expect_drops({DropReason::ipv6_next_header_unknown});
    expect_parameter_problem(f, 1, 6);
    f.receive(frame(from_peer(60), extension(201, {1, 4, 0, 0, 0, 0}) + Bytes(20)));
    f.expect_drops({DropReason::ipv6_next_header_unknown});
    expect_parameter_problem(f, 1, 40);
    // RFC 8200 4.1: hop-by-hop anywhere but first.
    f.receive(frame(from_peer(60), extension(0, {1, 4, 0, 0, 0, 0}) + extension(59, {1, 4, 0, 0, 0, 0})));
    f.expect_drops({DropReason::ipv6_next_header_unknown});
    expect_parameter_problem(f, 1, 40);
}

TEST_CASE("RFC 8200 4.7: no next header is no error") {
    F f;
    f.receive(frame(from_peer(59), Bytes(8)));
    f.expect_drops({});
    CHECK(f.sent().empty());
    CHECK(f.segments.empty());
}

TEST_CASE("IPv6 input: hop-by-hop and destination options before UDP are skipped") {
    F f;
    const auto socket = f.open_udp({F::own, 9});
    f.receive(frame(from_peer(0),
                    extension(60, {5, 2, 0, 0, 1, 0}) + extension(17, {1, 4, 0, 0, 0, 0}) + a_datagram()));
    auto cx = f.cx();
    const auto d = udp::peek(cx, socket);
    REQUIRE(d);
    CHECK(d->payload.size() == 4);
    f.expect_drops({});
    f.close_udp(socket);
}

TEST_CASE("IPv6 input: a hop limit of 0 does not matter to the destination (RFC 8200 3)") {
    F f;
    f.receive_ip({.src = F::peer, .dst = F::own, .next_header = proto_tcp, .hop_limit = 0}, Bytes(20));
    CHECK(f.segments.size() == 1);
}

TEST_CASE("IPv6 input: any cut of a packet drops it once, and any bit turned over is answered at most once") {
    F f;
    f.introduce();
    const auto socket = f.open_udp({F::own, 9});
    const Bytes quoted = ip_packet({.src = F::own, .dst = F::peer, .next_header = proto_udp}, Bytes(16));
    const std::vector<Bytes> packets{
        frame(from_peer(60), extension(17, {1, 4, 0, 0, 0, 0}) + a_datagram(9)),
        frame(from_peer(proto_icmp), icmp_message(F::peer, F::own, 128, 0, echo_body(1, 2, Bytes(9)))),
        frame(from_peer(proto_icmp), icmp_message(F::peer, F::own, 1, 4, icmp_error_body(0, quoted))),
    };
    for (const Bytes& whole : packets) {
        for (std::size_t n = 0; n < whole.size(); ++n) {
            const std::uint64_t before = f.all_drops();
            f.receive({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)});
            CHECK(f.all_drops() == before + 1);
            CHECK(f.sent().empty());
        }
        // Each bit turned over: whatever it is now, it is bounded.
        for (std::size_t bit = 14 * 8; bit < whole.size() * 8; ++bit) {
            Bytes bad = whole;
            bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1U << (bit % 8));
            f.receive(bad);
            std::size_t answers = 0;
            for (const Packet& p : f.sent()) answers += p.is_nd() ? 0 : 1;
            CHECK(answers <= 1);
            f.advance(100_ms);  // the rate limit is another test
        }
    }
    f.close_udp(socket);
}
