// Neighbour discovery: resolution, unreachability, the tables of RFC 4861 7.2.5 and 7.3.
#include <catch2/catch_test_macros.hpp>

#include "support/world_fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

using F = WorldFixture;
using Phase = NeighborPhase;
constexpr std::uint8_t solicitation = 135;
constexpr std::uint8_t advertisement = 136;
constexpr MacAddress other_mac{{0x02, 0, 0, 0, 0, 0x99}};

Ipv6Address neighbour(std::uint8_t n) {
    Ipv6Address a = F::peer;
    a.octets[15] = n;
    return a;
}

void answer(F& f, bool solicited, bool override_cache, std::optional<MacAddress> mac = F::peer_mac,
            bool router = false, const Ipv6Address& who = F::peer) {
    f.receive_nd(advertisement, advertisement_body(who, router, solicited, override_cache, mac), who,
                 solicited ? F::own : ipv6_all_nodes);
}

/// The peer is known and REACHABLE.
void make_reachable(F& f) {
    REQUIRE(f.output(F::peer) == ip::OutputResult::sent);
    answer(f, true, true);
    REQUIRE(f.neighbor(F::peer)->phase == Phase::reachable);
    f.sent();
}

Phase phase(F& f) {
    REQUIRE(f.neighbor(F::peer) != nullptr);
    return f.neighbor(F::peer)->phase;
}

void expect_solicitation(const Packet& p, const Ipv6Address& target, bool multicast) {
    REQUIRE(p.icmp);
    CHECK(p.icmp->type == solicitation);
    CHECK(p.icmp->code == 0);
    CHECK(p.hop_limit == 255);
    CHECK(p.src == F::own);
    CHECK(p.dst == (multicast ? solicited_node(target) : target));
    CHECK(p.eth_dst == (multicast ? multicast_mac(p.dst) : F::peer_mac));
    CHECK(p.icmp->body == solicitation_body(target, F::own_mac));
}

}  // namespace

TEST_CASE("RFC 4861 7.2.2: a packet for an unknown neighbour waits for its link address") {
    F f;
    CHECK(f.output(F::peer, 100) == ip::OutputResult::sent);
    expect_solicitation(f.sent_one(), F::peer, true);
    CHECK(phase(f) == Phase::incomplete);
    answer(f, true, true);
    CHECK(phase(f) == Phase::reachable);
    const Packet p = f.sent_one();
    REQUIRE(p.udp);
    CHECK(p.udp->payload == Bytes(100, 0x5a));
    CHECK(p.eth_dst == F::peer_mac);
    CHECK(f.w.pending_packets.in_use() == 0);
    // The next one does not wait.
    f.output(F::peer);
    CHECK(f.sent_one().udp);
    f.expect_drops({});
}

TEST_CASE("RFC 4861 7.2.2: three solicitations a second apart, then address unreachable, type 1 code 3") {
    F f;
    f.output(F::peer);
    f.output(F::peer);
    expect_solicitation(f.sent_one(), F::peer, true);
    for (int i = 0; i < 2; ++i) {
        f.advance(999_ms);
        CHECK(f.sent().empty());
        f.advance(1_ms);
        expect_solicitation(f.sent_one(), F::peer, true);
    }
    f.advance(999_ms);
    CHECK(f.errors.empty());
    f.advance(1_ms);
    REQUIRE(f.errors.size() == 2);
    CHECK(f.errors[0].type == 1);
    CHECK(f.errors[0].code == 3);
    CHECK(f.errors[0].local == F::own);
    CHECK(f.errors[0].remote == F::peer);
    CHECK(f.errors[0].next_header == proto_udp);
    CHECK(f.errors[0].quoted_length == 8);
    CHECK(f.errors[0].quoted[1] == 7);
    CHECK(f.errors[0].quoted[3] == 9);
    CHECK(f.neighbor(F::peer) == nullptr);
    CHECK(f.sent().empty());
    CHECK(f.drops(DropReason::neighbor_unreachable) == 2);
    CHECK(f.drops(DropReason::icmpv6_error_unmatched) == 2);  // no such socket
    // It starts anew with the next packet.
    f.output(F::peer);
    expect_solicitation(f.sent_one(), F::peer, true);
}

TEST_CASE("RFC 4861 7.2.2: more packets than the queue takes: the oldest goes (pending_queue_full)") {
    F f;
    for (std::size_t i = 1; i <= 6; ++i) f.output(F::peer, i);
    f.expect_drops({DropReason::pending_queue_full, DropReason::pending_queue_full});
    f.sent();
    answer(f, true, true);
    const auto packets = f.sent();
    REQUIRE(packets.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) CHECK(packets[i].udp->payload.size() == i + 3);
}

TEST_CASE("neighbour cache: the slab of waiting packets is shared, and its end is counted") {
    F f;
    for (std::uint8_t n = 2; n < 5; ++n) {
        for (int i = 0; i < 2; ++i) f.output(neighbour(n), 1);
    }
    f.expect_drops({});
    f.output(neighbour(9), 1);  // none left, and it has none of its own
    f.expect_drops({DropReason::pending_queue_full});
    f.output(neighbour(2), 2);  // its own oldest goes
    f.expect_drops({DropReason::pending_queue_full});
    CHECK(f.w.pending_packets.in_use() == 6);
}

TEST_CASE("RFC 4861 7.3.2: REACHABLE, STALE, DELAY, PROBE, and a confirmed answer") {
    F f;
    make_reachable(f);
    const Duration reachable = f.w.interfaces.get(0U).reachable;
    CHECK(reachable >= 15_s);
    CHECK(reachable <= 45_s);
    f.advance(reachable);
    CHECK(phase(f) == Phase::stale);
    CHECK(f.sent().empty());
    f.output(F::peer);
    CHECK(phase(f) == Phase::delay);
    CHECK(f.sent_one().udp);
    f.advance(4999_ms);
    CHECK(f.sent().empty());
    f.advance(1_ms);
    CHECK(phase(f) == Phase::probe);
    expect_solicitation(f.sent_one(), F::peer, false);
    f.output(F::peer);
    CHECK(f.sent_one().udp);  // still sent meanwhile
    answer(f, true, true);
    CHECK(phase(f) == Phase::reachable);
}

TEST_CASE("RFC 4861 7.3.3: three unanswered probes and the entry is gone, the next packet asks everybody") {
    F f;
    f.introduce();
    f.output(F::peer);
    f.sent();
    f.advance(5_s);
    expect_solicitation(f.sent_one(), F::peer, false);
    for (int i = 0; i < 2; ++i) {
        f.advance(1_s);
        expect_solicitation(f.sent_one(), F::peer, false);
    }
    f.advance(1_s);
    CHECK(f.neighbor(F::peer) == nullptr);
    CHECK(f.sent().empty());
    f.output(F::peer);
    expect_solicitation(f.sent_one(), F::peer, true);
}

TEST_CASE("RFC 4861 7.3.1: upper layers confirm, from DELAY and PROBE and STALE") {
    F f;
    f.introduce();
    auto confirm = [&] {
        auto cx = f.cx();
        ip::confirm_reachable(cx, F::peer, F::nic);
    };
    confirm();
    CHECK(phase(f) == Phase::reachable);
    const Deadline first = f.neighbor(F::peer)->timer;
    f.advance(500_ms);
    confirm();  // a second later at the earliest
    CHECK(f.neighbor(F::peer)->timer == first);
    f.advance(600_ms);
    confirm();
    CHECK(f.neighbor(F::peer)->timer == first + 1100_ms);
    f.advance(46_s);
    CHECK(phase(f) == Phase::stale);
    f.output(F::peer);
    f.advance(5_s);
    CHECK(phase(f) == Phase::probe);
    confirm();
    CHECK(phase(f) == Phase::reachable);
    f.sent();
}

TEST_CASE("RFC 4861 7.3.1: what has no link address cannot be confirmed") {
    F f;
    f.output(F::peer);
    auto cx = f.cx();
    ip::confirm_reachable(cx, F::peer, F::nic);
    CHECK(phase(f) == Phase::incomplete);
    ip::confirm_reachable(cx, F::far, F::nic);  // no route
    ip::confirm_reachable(cx, neighbour(77), F::nic);
    CHECK(f.w.neighbors.in_use() == 1);
}

TEST_CASE("RFC 4861 7.2.5: advertisements for an entry whose link address is known") {
    struct Row {
        Phase before;
        bool solicited, override_cache;
        std::optional<MacAddress> mac;
        Phase after;
        MacAddress mac_after;
    };
    const Row rows[] = {
        // the same address: Solicited confirms, otherwise nothing changes
        {Phase::reachable, true, false, F::peer_mac, Phase::reachable, F::peer_mac},
        {Phase::stale, true, false, F::peer_mac, Phase::reachable, F::peer_mac},
        {Phase::stale, false, false, F::peer_mac, Phase::stale, F::peer_mac},
        {Phase::reachable, false, true, F::peer_mac, Phase::reachable, F::peer_mac},
        {Phase::stale, false, true, F::peer_mac, Phase::stale, F::peer_mac},
        // no address at all
        {Phase::stale, true, false, {}, Phase::reachable, F::peer_mac},
        {Phase::stale, false, true, {}, Phase::stale, F::peer_mac},
        // another address without Override: only REACHABLE falls to STALE
        {Phase::reachable, true, false, other_mac, Phase::stale, F::peer_mac},
        {Phase::reachable, false, false, other_mac, Phase::stale, F::peer_mac},
        {Phase::stale, true, false, other_mac, Phase::stale, F::peer_mac},
        // another address with Override
        {Phase::reachable, true, true, other_mac, Phase::reachable, other_mac},
        {Phase::reachable, false, true, other_mac, Phase::stale, other_mac},
        {Phase::stale, true, true, other_mac, Phase::reachable, other_mac},
        {Phase::stale, false, true, other_mac, Phase::stale, other_mac},
    };
    for (const Row& row : rows) {
        F f;
        make_reachable(f);
        if (row.before == Phase::stale) f.advance(46_s);
        REQUIRE(phase(f) == row.before);
        answer(f, row.solicited, row.override_cache, row.mac);
        INFO("S " << row.solicited << " O " << row.override_cache << " row " << (&row - rows));
        CHECK(phase(f) == row.after);
        CHECK(f.neighbor(F::peer)->mac == row.mac_after);
        f.expect_drops({});
    }
}

TEST_CASE("RFC 4861 7.2.5: the Router flag is taken over when the advertisement counts") {
    F f;
    make_reachable(f);
    answer(f, true, true, F::peer_mac, true);
    CHECK(f.neighbor(F::peer)->is_router);
    answer(f, false, false, other_mac, false);  // does not count
    CHECK(f.neighbor(F::peer)->is_router);
    answer(f, false, true, F::peer_mac, false);
    CHECK_FALSE(f.neighbor(F::peer)->is_router);
}

TEST_CASE("RFC 4861 7.2.5: an unsolicited advertisement completes an entry as STALE, and never makes one") {
    F f;
    answer(f, false, true);
    CHECK(f.neighbor(F::peer) == nullptr);
    f.expect_drops({DropReason::nd_unmatched});
    f.output(F::peer);
    f.sent();
    answer(f, false, false);
    CHECK(phase(f) == Phase::stale);
    CHECK(f.sent_one().udp);
}

TEST_CASE("RFC 4861 7.2.3, 7.2.4: a solicitation is answered, and teaches the sender's link address") {
    F f;
    f.receive_nd(solicitation, solicitation_body(F::own, F::peer_mac), F::peer, solicited_node(F::own));
    const Packet p = f.sent_one();
    REQUIRE(p.icmp);
    CHECK(p.icmp->type == advertisement);
    CHECK(p.icmp->body == advertisement_body(F::own, false, true, true, F::own_mac));
    CHECK(p.src == F::own);
    CHECK(p.dst == F::peer);
    CHECK(p.eth_dst == F::peer_mac);
    CHECK(p.hop_limit == 255);
    CHECK(phase(f) == Phase::delay);  // learnt as STALE, used for the answer
    // A new link address: STALE again.
    f.receive_nd(solicitation, solicitation_body(F::own, other_mac), F::peer, F::own);
    CHECK(f.sent_one().eth_dst == other_mac);
    // Without the option, nothing is learnt, and the answer waits for resolution.
    f.receive_nd(solicitation, solicitation_body(F::own), neighbour(9), F::own);
    CHECK(f.neighbor(neighbour(9))->phase == Phase::incomplete);
    CHECK(f.sent_one().icmp->type == solicitation);
    f.expect_drops({});
}

TEST_CASE("RFC 4861 7.2.3: a solicitation completes an entry that waits") {
    F f;
    f.output(F::peer);
    f.sent();
    f.receive_nd(solicitation, solicitation_body(F::own, F::peer_mac), F::peer, solicited_node(F::own));
    const auto packets = f.sent();
    REQUIRE(packets.size() == 2);
    CHECK(packets[0].udp);
    CHECK(packets[1].icmp->type == advertisement);
}

TEST_CASE("neighbour discovery: nd_bad_hop_limit") {
    F f;
    f.receive_icmp(solicitation, 0, solicitation_body(F::own, F::peer_mac), F::peer, solicited_node(F::own),
                   254);
    f.expect_drops({DropReason::nd_bad_hop_limit});
    f.receive_icmp(advertisement, 0, advertisement_body(F::peer, false, true, true, F::peer_mac), F::peer,
                   F::own, 64);
    f.expect_drops({DropReason::nd_bad_hop_limit});
    CHECK(f.sent().empty());
}

TEST_CASE("neighbour discovery: nd_malformed") {
    F f;
    f.output(F::peer);
    f.sent();
    const Bytes good = solicitation_body(F::own, F::peer_mac);
    const auto expect_malformed = [&](std::uint8_t type, const Bytes& body, const Ipv6Address& src,
                                      const Ipv6Address& dst, std::uint8_t code = 0) {
        f.receive_icmp(type, code, body, src, dst, 255);
        f.expect_drops({DropReason::nd_malformed});
    };
    expect_malformed(solicitation, good, F::peer, F::own, 1);                                 // code
    expect_malformed(solicitation, Bytes(good.begin(), good.begin() + 19), F::peer, F::own);  // too short
    expect_malformed(solicitation, good + Bytes{1, 0, 0, 0, 0, 0, 0, 0}, F::peer,
                     F::own);  // option of length 0
    expect_malformed(solicitation, good + Bytes{1, 2, 0, 0, 0, 0, 0, 0}, F::peer,
                     F::own);  // option past the end
    expect_malformed(solicitation, solicitation_body(ipv6_all_nodes), F::peer, F::own);  // multicast target
    expect_malformed(solicitation, good, ipv6_unspecified, solicited_node(F::own));  // :: with a link address
    expect_malformed(solicitation, solicitation_body(F::own), ipv6_unspecified,
                     F::own);  // :: not to the group
    expect_malformed(solicitation, solicitation_body(F::own, mac_broadcast), F::peer,
                     F::own);  // no unicast address
    expect_malformed(advertisement, advertisement_body(ipv6_all_nodes, false, false, true, F::peer_mac),
                     F::peer, F::own);
    expect_malformed(advertisement, advertisement_body(F::peer, false, true, true, F::peer_mac), F::peer,
                     ipv6_all_nodes);
    expect_malformed(advertisement, advertisement_body(F::peer, false, true, true, mac_broadcast), F::peer,
                     F::own);
    expect_malformed(advertisement, advertisement_body(F::peer, false, true, true), F::peer,
                     F::own);  // for INCOMPLETE
    expect_malformed(134, Bytes(4), F::peer, ipv6_all_nodes);
    expect_malformed(137, Bytes(4), F::peer, F::own);
    CHECK(phase(f) == Phase::incomplete);
    CHECK(f.sent().empty());
}

TEST_CASE("neighbour discovery: nd_not_for_us") {
    F f;
    f.receive_nd(solicitation, solicitation_body(F::peer, F::peer_mac), neighbour(9), ipv6_all_nodes);
    f.expect_drops({DropReason::nd_not_for_us});
    CHECK(f.sent().empty());
    CHECK(f.w.neighbors.in_use() == 0);
}

TEST_CASE("neighbour discovery: messages of routers are valid, counted, and do nothing yet") {
    F f;
    constexpr auto router = Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, 9});
    f.receive_nd(134, Bytes(12), router, ipv6_all_nodes);
    f.expect_drops({DropReason::icmpv6_type_unknown});
    Bytes redirect(4);
    redirect = redirect + Bytes(router.octets.begin(), router.octets.end()) +
               Bytes(F::far.octets.begin(), F::far.octets.end());
    f.receive_nd(137, redirect, router, F::own);
    f.expect_drops({DropReason::icmpv6_type_unknown});
    CHECK(f.w.neighbors.in_use() == 0);
}

TEST_CASE("neighbour cache: a full one forgets what was used longest ago") {
    F f;
    for (std::uint8_t n = 2; n < 10; ++n) {
        f.introduce(neighbour(n), {{2, 0, 0, 0, 0, n}});
        f.advance(1_s);
    }
    f.output(neighbour(2));  // the oldest is used
    f.sent();
    f.introduce(neighbour(50), other_mac);
    CHECK(f.w.neighbors.in_use() == 8);
    CHECK(f.neighbor(neighbour(2)) != nullptr);
    CHECK(f.neighbor(neighbour(3)) == nullptr);
    f.expect_drops({});
}

TEST_CASE("RFC 6583: addresses that nobody answers for do not push out the neighbours in use") {
    F f;
    for (std::uint8_t n = 2; n < 6; ++n) f.introduce(neighbour(n), {{2, 0, 0, 0, 0, n}});
    for (std::uint8_t n = 100; n < 120; ++n) f.output(neighbour(n));
    for (std::uint8_t n = 2; n < 6; ++n) CHECK(f.neighbor(neighbour(n)) != nullptr);
    CHECK(f.w.neighbors.in_use() == 8);
    f.sent();
}

TEST_CASE("neighbour cache: an entry that nobody uses is forgotten") {
    F f;
    f.introduce();
    f.advance(5_s);
    f.advance(3_s);  // three probes: the answer to the solicitation had used it
    CHECK(f.neighbor(F::peer) == nullptr);
    make_reachable(f);
    f.advance(46_s);
    CHECK(phase(f) == Phase::stale);
    f.advance(600_s);
    CHECK(f.neighbor(F::peer) == nullptr);
    f.sent();
}

TEST_CASE("neighbour discovery: a full ring delays a solicitation and costs no attempt") {
    F f;
    f.output(F::peer);
    f.sent();
    f.ports.of(F::nic).device = nullptr;
    for (int i = 0; i < 16; ++i) f.output(ipv6_all_nodes, 0, F::nic);
    CHECK(f.output(ipv6_all_nodes, 0, F::nic) == ip::OutputResult::busy);
    f.expect_drops({});
    f.advance(1_s);
    f.expect_drops({DropReason::transmit_ring_full});
    CHECK(f.neighbor(F::peer)->probes_sent == 1);
    f.ports.of(F::nic).device = &f.device;
    CHECK(f.sent().size() == 16);
    f.advance(10_ms);
    expect_solicitation(f.sent_one(), F::peer, true);
}

TEST_CASE("neighbour discovery: timers and counts are rebuilt from the state") {
    F f;
    f.output(F::peer);
    f.introduce(neighbour(3), other_mac);
    f.sent();
    const Deadline next = f.next_deadline();
    f.rebuild();
    CHECK(f.next_deadline() == next);
    f.advance(3_s);
    CHECK(f.errors.size() == 1);
}

TEST_CASE("neighbour discovery: ReachableTime is drawn anew every few hours (RFC 4861 6.3.4)") {
    F f;
    const Duration before = f.w.interfaces.get(0U).reachable;
    f.advance(seconds(2 * 3600));
    CHECK(f.w.interfaces.get(0U).reachable != before);
    CHECK(f.w.interfaces.get(0U).reachable_redraw == f.now + seconds(2 * 3600));
}
