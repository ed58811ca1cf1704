// RFC 4861: neighbour discovery: resolution, advertisements, unreachability detection, validation.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr MacAddress other_mac{{0x02, 0, 0, 0, 0, 0x99}};

Ipv6Address target_of(const Packet& p) {
    Ipv6Address a;
    std::copy_n(p.icmp->body.begin() + 4, 16, a.octets.begin());
    return a;
}

Fixture& peer_nd(Fixture& t, std::uint8_t type, const Bytes& body, const Ipv6Address& dst = stack_address,
                 std::uint8_t hop_limit = 255, std::uint8_t code = 0, const Ipv6Address& src = peer_address) {
    const IpFields ip{.src = src, .dst = dst, .next_header = proto_icmp, .hop_limit = hop_limit};
    const MacAddress mac = dst.is_multicast() ? multicast_mac(dst) : stack_mac;
    return t.peer_sends_frame(
        ethernet(mac, peer_mac, 0x86dd, ip_packet(ip, icmp_message(ip.src, ip.dst, type, code, body))));
}

/// The entry of the peer, or null.
const NeighborState* entry(Fixture& t) {
    const NeighborState* found = nullptr;
    t.world().neighbors.for_each([&](std::uint32_t, const NeighborState& n) {
        if (n.address == peer_address) found = &n;
    });
    return found;
}

void ping(Fixture& t) { t.peer_sends_icmp(128, 0, echo_body(1, 1, pattern_bytes(Side::peer, 1, 8))); }

}  // namespace

WIRE_CASE("RFC 4861 7.2.2: the first packet waits for the link address, then goes out", "[nd]") {
    Fixture t(way);
    t.answers_nd = false;
    t.app_connects();
    t.expect_silence();
    const auto asked = t.take_nd();
    REQUIRE(asked.size() == 1);
    const Packet& ns = asked[0];
    CHECK(ns.icmp->type == 135);
    CHECK(ns.src == stack_address);
    CHECK(ns.dst == solicited_node(peer_address));
    CHECK(target_of(ns) == peer_address);
    // 7.2.2: a multicast solicitation carries the source link-layer address option.
    REQUIRE(ns.icmp->body.size() >= 28);
    CHECK(Bytes(ns.icmp->body.begin() + 20, ns.icmp->body.begin() + 28) == Bytes{1, 1, 2, 0, 0, 0, 0, 1});
    peer_nd(t, 136, advertisement_body(peer_address, false, true, true, peer_mac));
    t.expect(syn());
}

WIRE_CASE("RFC 4861 7.2.2: three solicitations, a second apart, then the packet's sender is told", "[nd]") {
    Fixture t(way);
    t.answers_nd = false;
    t.app_connects();
    CHECK(t.take_nd().size() == 1);
    t.after(999_ms);
    CHECK(t.take_nd().empty());
    t.after(1_ms);
    CHECK(t.take_nd().size() == 1);
    t.after(1_s);
    CHECK(t.take_nd().size() == 1);
    t.after(990_ms);
    CHECK(t.take_nd().empty());
    t.after(10_ms);
    t.expect_dropped(DropReason::neighbor_unreachable, t.drops(DropReason::neighbor_unreachable));
    CHECK(t.drops(DropReason::neighbor_unreachable) >= 1);
}

WIRE_CASE("RFC 4861 7.2.2: more than one packet waits, bounded, the oldest makes room", "[nd]") {
    Fixture t(way);
    t.answers_nd = false;
    const auto udp = *t.stack().open_udp();
    for (std::uint8_t i = 0; i < 10; ++i) {
        const Bytes payload(10, i);
        REQUIRE(t.stack()
                    .send_datagram(udp, {.destination = {.address = peer_address, .port = 7}}, payload)
                    .has_value());
        t.settle();
    }
    t.expect_silence().expect_dropped(DropReason::pending_queue_full, 6);
    peer_nd(t, 136, advertisement_body(peer_address, false, true, true, peer_mac));
    for (std::uint8_t i = 6; i < 10; ++i) {
        const Packet p = t.expect_packet();
        REQUIRE(p.udp);
        CHECK(p.udp->payload == Bytes(10, i));
    }
    t.expect_silence();
    REQUIRE(t.stack().close(udp).has_value());
}

WIRE_CASE("RFC 4861 7.2.4: a solicitation for our address is answered, solicited and overriding", "[nd]") {
    Fixture t(way);
    peer_nd(t, 135, solicitation_body(stack_address, peer_mac), solicited_node(stack_address));
    const auto nd = t.take_nd();
    REQUIRE(nd.size() == 1);
    const Packet& na = nd[0];
    CHECK(na.icmp->type == 136);
    CHECK(na.src == stack_address);
    CHECK(na.dst == peer_address);
    CHECK(na.eth_dst == peer_mac);
    CHECK(target_of(na) == stack_address);
    CHECK((get32(na.icmp->body, 0) & 0xe000'0000U) == 0x6000'0000U);
    CHECK(Bytes(na.icmp->body.begin() + 20, na.icmp->body.begin() + 28) == Bytes{2, 1, 2, 0, 0, 0, 0, 1});
}

WIRE_CASE("RFC 4861 7.2.3: the solicitation's source link address makes an entry, STALE", "[nd]") {
    Fixture t(way);
    t.answers_nd = false;
    peer_nd(t, 135, solicitation_body(stack_address, peer_mac), solicited_node(stack_address));
    REQUIRE(entry(t) != nullptr);
    CHECK(entry(t)->mac == peer_mac);
    // 7.3.3: STALE; and the advertisement that answered was a packet to it, so DELAY.
    CHECK(entry(t)->phase == NeighborPhase::delay);
    t.take_nd();
    ping(t);
    CHECK(t.expect_icmp(129, 0).eth_dst == peer_mac);
}

WIRE_CASE("RFC 4861 7.2.4: to an unspecified source the answer goes to all nodes, unsolicited", "[nd]") {
    Fixture t(way);
    peer_nd(t, 135, solicitation_body(stack_address), solicited_node(stack_address), 255, 0,
            ipv6_unspecified);
    const auto nd = t.take_nd();
    REQUIRE(nd.size() == 1);
    CHECK(nd[0].icmp->type == 136);
    CHECK(nd[0].dst == ipv6_all_nodes);
    CHECK((get32(nd[0].icmp->body, 0) & 0x4000'0000U) == 0);
}

WIRE_CASE("RFC 4861 7.1.1: solicitations that are not valid are dropped", "[nd]") {
    Fixture t(way);
    const Bytes good = solicitation_body(stack_address, peer_mac);
    SECTION("hop limit is not 255") {
        peer_nd(t, 135, good, solicited_node(stack_address), 254);
        t.expect_dropped(DropReason::nd_bad_hop_limit);
    }
    SECTION("code is not 0") {
        peer_nd(t, 135, good, solicited_node(stack_address), 255, 1);
        t.expect_dropped(DropReason::nd_malformed);
    }
    SECTION("shorter than 24 bytes") {
        peer_nd(t, 135, Bytes(good.begin(), good.begin() + 16), solicited_node(stack_address));
        t.expect_dropped(DropReason::nd_malformed);
    }
    SECTION("an option of length 0") {
        Bytes body = good;
        body[21] = 0;
        peer_nd(t, 135, body, solicited_node(stack_address));
        t.expect_dropped(DropReason::nd_malformed);
    }
    SECTION("a multicast target") {
        peer_nd(t, 135, solicitation_body(ipv6_all_nodes, peer_mac), solicited_node(stack_address));
        t.expect_dropped(DropReason::nd_malformed);
    }
    SECTION("unspecified source with a link address option") {
        peer_nd(t, 135, good, solicited_node(stack_address), 255, 0, ipv6_unspecified);
        t.expect_dropped(DropReason::nd_malformed);
    }
    SECTION("unspecified source, not to a solicited-node address") {
        peer_nd(t, 135, solicitation_body(stack_address), stack_address, 255, 0, ipv6_unspecified);
        t.expect_dropped(DropReason::nd_malformed);
    }
    SECTION("somebody else's address") {
        peer_nd(t, 135, solicitation_body(far_address, peer_mac), stack_address);
        t.expect_dropped(DropReason::nd_not_for_us);
    }
    CHECK(t.take_nd().empty());
    t.expect_silence();
}

WIRE_CASE("RFC 4861 7.2.5: an advertisement for which there is no entry is dropped", "[nd]") {
    Fixture t(way);
    peer_nd(t, 136, advertisement_body(peer_address, false, false, true, peer_mac));
    t.expect_dropped(DropReason::nd_unmatched);
    CHECK(entry(t) == nullptr);
}

WIRE_CASE("RFC 4861 7.1.2: advertisements that are not valid are dropped", "[nd]") {
    Fixture t(way);
    ping(t);
    t.ignore_output();
    SECTION("hop limit") {
        peer_nd(t, 136, advertisement_body(peer_address, false, true, true, other_mac), stack_address, 64);
        t.expect_dropped(DropReason::nd_bad_hop_limit);
    }
    SECTION("multicast destination, yet solicited") {
        peer_nd(t, 136, advertisement_body(peer_address, false, true, true, other_mac), ipv6_all_nodes);
        t.expect_dropped(DropReason::nd_malformed);
    }
    SECTION("multicast target") {
        peer_nd(t, 136, advertisement_body(ipv6_all_nodes, false, true, true, other_mac));
        t.expect_dropped(DropReason::nd_malformed);
    }
    CHECK(entry(t)->mac == peer_mac);
}

WIRE_CASE("RFC 4861 7.2.5: the Override and Solicited flags", "[nd]") {
    Fixture t(way);
    ping(t);
    t.ignore_output();
    REQUIRE(entry(t)->phase == NeighborPhase::reachable);
    SECTION("no Override, another address: REACHABLE becomes STALE, the address stays") {
        peer_nd(t, 136, advertisement_body(peer_address, false, true, false, other_mac));
        CHECK(entry(t)->mac == peer_mac);
        CHECK(entry(t)->phase == NeighborPhase::stale);
    }
    SECTION("Override, not solicited: the new address, STALE") {
        peer_nd(t, 136, advertisement_body(peer_address, false, false, true, other_mac));
        CHECK(entry(t)->mac == other_mac);
        CHECK(entry(t)->phase == NeighborPhase::stale);
    }
    SECTION("Override and solicited: the new address, REACHABLE") {
        peer_nd(t, 136, advertisement_body(peer_address, false, true, true, other_mac));
        CHECK(entry(t)->mac == other_mac);
        CHECK(entry(t)->phase == NeighborPhase::reachable);
    }
    SECTION("no Override, the same address, solicited: confirmed") {
        t.after(40_s);
        peer_nd(t, 136, advertisement_body(peer_address, false, true, false, peer_mac));
        CHECK(entry(t)->phase == NeighborPhase::reachable);
    }
}

WIRE_CASE("RFC 4861 7.3.3: REACHABLE, STALE, DELAY for five seconds, then unicast probes", "[nd]") {
    Fixture t(way);
    ping(t);
    t.expect_icmp(129, 0);
    REQUIRE(entry(t)->phase == NeighborPhase::reachable);
    // ReachableTime is drawn from 15 to 45 seconds (6.3.2).
    t.after(14_s);
    CHECK(entry(t)->phase == NeighborPhase::reachable);
    t.after(32_s);
    CHECK(entry(t)->phase == NeighborPhase::stale);
    t.take_nd();
    t.answers_nd = false;
    ping(t);
    t.expect_icmp(129, 0);
    CHECK(entry(t)->phase == NeighborPhase::delay);
    t.after(4999_ms);
    CHECK(t.take_nd().empty());
    t.after(1_ms);
    auto probe = t.take_nd();
    REQUIRE(probe.size() == 1);
    CHECK(probe[0].dst == peer_address);
    CHECK(probe[0].eth_dst == peer_mac);
    CHECK(entry(t)->phase == NeighborPhase::probe);
    t.after(1_s);
    CHECK(t.take_nd().size() == 1);
    SECTION("an answer makes it REACHABLE again") {
        peer_nd(t, 136, advertisement_body(peer_address, false, true, false, peer_mac));
        CHECK(entry(t)->phase == NeighborPhase::reachable);
    }
    SECTION("without one the entry goes after three probes, and the next packet asks everybody") {
        t.after(1_s);
        CHECK(t.take_nd().size() == 1);
        t.after(1_s);
        CHECK((entry(t) == nullptr || entry(t)->phase != NeighborPhase::probe));
        ping(t);
        probe = t.take_nd();
        REQUIRE_FALSE(probe.empty());
        CHECK(probe[0].dst == solicited_node(peer_address));
    }
}

WIRE_CASE("RFC 4861 7.3.1: TCP's progress confirms the neighbour", "[nd]") {
    auto t = established(way);
    t.answers_nd = false;
    t.take_nd();
    for (int i = 0; i < 40; ++i) {
        t.after(3_s);
        t.app_sends(10).expect(data(10));
        t.peer_sends(ack());
    }
    CHECK(t.take_nd().empty());
    CHECK(entry(t)->phase == NeighborPhase::reachable);
}

WIRE_CASE("RFC 6980 5: fragmented neighbour discovery is ignored", "[nd]") {
    Fixture t(way);
    const IpFields ip{
        .src = peer_address, .dst = solicited_node(stack_address), .next_header = 44, .hop_limit = 255};
    const Bytes message = icmp_message(ip.src, ip.dst, 135, 0, solicitation_body(stack_address, peer_mac));
    const Bytes atomic = Bytes{proto_icmp, 0, 0, 0, 0, 0, 0, 1} + message;
    t.peer_sends_frame(ethernet(multicast_mac(ip.dst), peer_mac, 0x86dd, ip_packet(ip, atomic)));
    CHECK(t.take_nd().empty());
    CHECK(entry(t) == nullptr);
    t.expect_dropped(DropReason::ipv6_fragment);
}

WIRE_CASE("RFC 4861 5.2: what is not on the link goes through the router", "[nd]") {
    Fixture t(way);
    REQUIRE(t.stack().add_route({}, 0, t.interface(), peer_link_local).has_value());
    t.peer = far_address;
    t.app_connects();
    const Packet p = t.expect_packet();
    CHECK(p.dst == far_address);
    CHECK(p.eth_dst == peer_mac);
    const auto nd = t.take_nd();
    REQUIRE(nd.size() == 1);
    CHECK(target_of(nd[0]) == peer_link_local);
}

WIRE_CASE("RFC 4861 7.2: a full neighbour cache makes room", "[nd]") {
    Fixture t(way);
    const auto udp = *t.stack().open_udp();
    for (std::uint16_t i = 0; i < 40; ++i) {
        Ipv6Address to = peer_address;
        to.octets[14] = 1;
        to.octets[15] = static_cast<std::uint8_t>(i);
        REQUIRE(t.stack()
                    .send_datagram(udp, {.destination = {.address = to, .port = 7}}, Bytes(4, 1))
                    .has_value());
        t.settle();
        const Packet p = t.expect_packet();
        CHECK(p.dst == to);
        t.after(2_s);
    }
    CHECK(t.world().neighbors.in_use() <= 16);
    REQUIRE(t.stack().close(udp).has_value());
}
