// RFC 8200: the IPv6 header, extension headers, options, routing headers, fragments.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

const Bytes echo = icmp_message(peer_address, stack_address, 128, 0, echo_body(1, 1, {}));

IpFields from_peer(std::uint8_t next_header) {
    return {.src = peer_address, .dst = stack_address, .next_header = next_header};
}

/// An options header of 8 bytes that ends in `next`, with one option of four data bytes.
Bytes options_header(std::uint8_t next, std::uint8_t option) { return {next, 0, option, 4, 0, 0, 0, 0}; }

}  // namespace

WIRE_CASE("RFC 8200 3: a packet shorter than it says, or of another version, is dropped", "[ipv6]") {
    Fixture t(way);
    SECTION("payload length beyond the frame") {
        IpFields ip = from_peer(proto_icmp);
        ip.payload_length = 500;
        t.peer_sends_ip(ip_packet(ip, echo));
        t.expect_dropped(DropReason::ipv6_truncated);
    }
    SECTION("not even a header") {
        t.peer_sends_ip(Bytes{0x60, 0, 0, 0});
        t.expect_dropped(DropReason::ipv6_truncated);
    }
    SECTION("version") {
        IpFields ip = from_peer(proto_icmp);
        ip.version = 4;
        t.peer_sends_ip(ip_packet(ip, echo));
        t.expect_dropped(DropReason::ipv6_bad_version);
    }
    t.expect_silence();
}

WIRE_CASE("RFC 8200 3: what Ethernet padded is not payload", "[ipv6]") {
    Fixture t(way);
    t.peer_sends_ip(ip_packet(from_peer(proto_icmp), echo) + Bytes(30, 0xee));
    CHECK(t.expect_icmp(129, 0).icmp->body.size() == 4);
}

WIRE_CASE("RFC 8200 4: an unknown next header is a parameter problem, code 1, with a pointer to it",
          "[ipv6]") {
    Fixture t(way);
    SECTION("in the IPv6 header") {
        t.peer_sends_ip(ip_packet(from_peer(200), Bytes(20, 1)));
        CHECK(get32(t.expect_icmp(4, 1).icmp->body, 0) == 6);
    }
    SECTION("in an extension header") {
        t.peer_sends_ip(ip_packet(from_peer(60), options_header(201, 0x1e) + Bytes(20, 1)));
        CHECK(get32(t.expect_icmp(4, 1).icmp->body, 0) == 40);
    }
    SECTION("hop-by-hop behind another header") {
        t.peer_sends_ip(
            ip_packet(from_peer(60), options_header(0, 0x1e) + options_header(proto_icmp, 0x1e) + echo));
        CHECK(get32(t.expect_icmp(4, 1).icmp->body, 0) == 40);
    }
    t.expect_silence().expect_dropped(DropReason::ipv6_next_header_unknown);
}

WIRE_CASE("RFC 8200 4.2: unknown options, by their two highest bits", "[ipv6]") {
    for (const std::uint8_t header : {std::uint8_t{0}, std::uint8_t{60}}) {
        CAPTURE(unsigned{header});
        Fixture t(way);
        t.peer_sends_ip(ip_packet(from_peer(header), options_header(proto_icmp, 0x1e) + echo));
        t.expect_icmp(129, 0);
        t.peer_sends_ip(ip_packet(from_peer(header), options_header(proto_icmp, 0x5e) + echo));
        t.expect_silence().expect_dropped(DropReason::ipv6_option_refused);
        for (const std::uint8_t option : {std::uint8_t{0x9e}, std::uint8_t{0xde}}) {
            t.peer_sends_ip(ip_packet(from_peer(header), options_header(proto_icmp, option) + echo));
            CHECK(get32(t.expect_icmp(4, 2).icmp->body, 0) == 42);
        }
        // To a multicast address only 10 is answered.
        IpFields group = from_peer(header);
        group.dst = ipv6_all_nodes;
        const auto send = [&](std::uint8_t option) {
            t.peer_sends_frame(ethernet(multicast_mac(group.dst), peer_mac, 0x86dd,
                                        ip_packet(group, options_header(proto_icmp, option) + echo)));
        };
        send(0xde);
        t.expect_silence();
        send(0x9e);
        t.expect_icmp(4, 2);
        t.expect_silence();
    }
}

WIRE_CASE("RFC 8200 4: extension headers that run past the packet are dropped", "[ipv6]") {
    Fixture t(way);
    SECTION("header length") {
        t.peer_sends_ip(ip_packet(from_peer(60), Bytes{proto_icmp, 40, 1, 4, 0, 0, 0, 0} + echo));
    }
    SECTION("option length") {
        t.peer_sends_ip(ip_packet(from_peer(60), Bytes{proto_icmp, 0, 0x1e, 200, 0, 0, 0, 0} + echo));
    }
    SECTION("not even two bytes") { t.peer_sends_ip(ip_packet(from_peer(60), Bytes{proto_icmp})); }
    t.ignore_output();
    t.expect_dropped(DropReason::ipv6_extension_malformed);
}

WIRE_CASE("RFC 8200 4.4, RFC 5095 3: routing headers", "[ipv6]") {
    Fixture t(way);
    SECTION("a way left to go: parameter problem, code 0, at the routing type") {
        t.peer_sends_ip(ip_packet(from_peer(43), Bytes{proto_icmp, 0, 0, 1, 0, 0, 0, 0} + echo));
        CHECK(get32(t.expect_icmp(4, 0).icmp->body, 0) == 42);
        t.expect_dropped(DropReason::ipv6_routing_header);
    }
    SECTION("none left: ignored") {
        t.peer_sends_ip(ip_packet(from_peer(43), Bytes{proto_icmp, 0, 77, 0, 0, 0, 0, 0} + echo));
        t.expect_icmp(129, 0);
    }
    t.expect_silence();
}

WIRE_CASE("RFC 8200 4.5: fragments are dropped and counted, RFC 6946: an atomic one is a packet", "[ipv6]") {
    Fixture t(way);
    const auto fragment = [](std::uint8_t offset_and_more) {
        return Bytes{proto_icmp, 0, 0, offset_and_more, 0, 0, 0, 1};
    };
    t.peer_sends_ip(ip_packet(from_peer(44), fragment(1) + echo));
    t.expect_silence().expect_dropped(DropReason::ipv6_fragment);
    t.peer_sends_ip(ip_packet(from_peer(44), fragment(8) + echo));
    t.expect_silence().expect_dropped(DropReason::ipv6_fragment);
    t.peer_sends_ip(ip_packet(from_peer(44), fragment(0) + echo));
    t.expect_icmp(129, 0);
}

WIRE_CASE("RFC 8200 4.5: a fragment that is no multiple of 8 bytes, or too far back, is told", "[ipv6]") {
    Fixture t(way);
    SECTION("length") {
        t.peer_sends_ip(ip_packet(from_peer(44), Bytes{proto_icmp, 0, 0, 1, 0, 0, 0, 1} + Bytes(13, 0x81)));
        CHECK(get32(t.expect_icmp(4, 0).icmp->body, 0) == 4);
    }
    SECTION("beyond 65,535") {
        t.peer_sends_ip(
            ip_packet(from_peer(44), Bytes{proto_icmp, 0, 0xff, 0xf8, 0, 0, 0, 1} + Bytes(16, 0x81)));
        CHECK(get32(t.expect_icmp(4, 0).icmp->body, 0) == 42);
    }
    t.expect_silence();
}

WIRE_CASE("RFC 8200 4.7: no next header: the rest is ignored", "[ipv6]") {
    Fixture t(way);
    t.peer_sends_ip(ip_packet(from_peer(59), Bytes(40, 3)));
    t.expect_silence();
}

WIRE_CASE("RFC 4291 2: addresses that cannot be on the wire", "[ipv6]") {
    Fixture t(way);
    const auto send = [&](const Ipv6Address& src, const Ipv6Address& dst) {
        const IpFields ip{.src = src, .dst = dst, .next_header = proto_icmp};
        t.peer_sends_ip(ip_packet(ip, icmp_message(src, dst, 128, 0, echo_body(1, 1, {}))));
        t.expect_silence();
    };
    send(ipv6_all_nodes, stack_address);
    t.expect_dropped(DropReason::ipv6_bad_source);
    send(ipv6_loopback, stack_address);
    t.expect_dropped(DropReason::ipv6_bad_source);
    send(stack_address, stack_address);
    t.expect_dropped(DropReason::ipv6_bad_source);
    send(peer_address, ipv6_loopback);
    t.expect_dropped(DropReason::ipv6_bad_destination);
    send(peer_address, {});
    t.expect_dropped(DropReason::ipv6_bad_destination);
    send(peer_address, far_address);
    t.expect_dropped(DropReason::ipv6_not_for_us);
}

WIRE_CASE("RFC 2464: frames that are not for us", "[link]") {
    Fixture t(way);
    const Bytes packet = ip_packet(from_peer(proto_icmp), echo);
    t.peer_sends_frame(ethernet({{2, 9, 9, 9, 9, 9}}, peer_mac, 0x86dd, packet));
    t.expect_silence().expect_dropped(DropReason::frame_not_for_us);
    t.peer_sends_frame(ethernet(stack_mac, peer_mac, 0x0800, packet));
    t.expect_silence().expect_dropped(DropReason::ethertype_unknown);
    t.peer_sends_frame(Bytes(13, 0));
    t.expect_silence().expect_dropped(DropReason::frame_truncated);
    t.peer_sends_frame({});
    t.expect_silence().expect_dropped(DropReason::frame_truncated);
}

WIRE_CASE("RFC 6437 3: a flow has one label, not zero, another flow another one", "[ipv6]") {
    auto t = established(way);
    t.app_sends(10);
    const std::uint32_t label = t.expect_packet().flow_label;
    CHECK(label != 0);
    t.peer_sends(ack(11));
    t.app_sends(10);
    CHECK(t.expect_packet().flow_label == label);
    t.use_flow(1);
    t.peer_sends(syn());
    const Packet p = t.expect_packet();
    CHECK(p.flow_label != 0);
    CHECK(p.flow_label != label);
}

WIRE_CASE("RFC 8200 3: the hop limit is ours, the traffic class the socket's", "[ipv6]") {
    auto t = established(way);
    t.set(SocketOption::hop_limit, 33).set(SocketOption::traffic_class, 0x28);
    t.app_sends(10);
    const Packet p = t.expect_packet();
    CHECK(p.hop_limit == 33);
    CHECK((p.traffic_class & 0xfc) == 0x28);
}
