// Where standards meet restore: what a tester sees from outside of a host that went away and came back (T1 to T12).
// What restore.cpp, durability.cpp and rfc4862_dad.cpp show already is not written twice: docs/conformance.md
// names them.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr auto new_address = Ipv6Address::from_words({0x2001, 0xdb8, 0xbeef, 0, 0, 0, 0, 1});
constexpr MacAddress new_mac{{0x02, 0, 0, 0, 0, 0x77}};
constexpr MacAddress new_router_mac{{0x02, 0, 0, 0, 0, 0x99}};

/// The blocked reader of a connection that has ended wakes, and is told why.
void expect_reader_wakes(Fixture& t, Error why, Verdict verdict) {
    CHECK(t.verdict() == verdict);
    CHECK(t.stack().readiness(t.socket)->has(Readiness::readable));
    CHECK(t.stack().readiness(t.socket)->has(Readiness::error));
    std::uint8_t byte = 0;
    CHECK(keepnet::name(t.stack().receive(t.socket, {&byte, 1}).error()) == keepnet::name(why));
    t.expect_error(why);
}

bool is_ready(Fixture& t, SocketHandle socket) {
    t.keep_still(true);  // readiness is no state: a swap would report everything
    bool found = false;
    while (const auto s = t.stack().next_ready()) found = found || *s == socket;
    t.keep_still(false);
    return found;
}

FixtureOptions with_dad() {
    FixtureOptions options;
    options.config.nd.dad_transmits = 1;
    return options;
}

/// A neighbour-discovery message in a frame of the test's own.
void nd_arrives(Fixture& t, std::uint8_t type, const Bytes& body, const Ipv6Address& src, const Ipv6Address& dst,
                const MacAddress& from = peer_mac) {
    const IpFields ip{.src = src, .dst = dst, .next_header = proto_icmp, .hop_limit = 255};
    const MacAddress to = dst.is_multicast() ? multicast_mac(dst) : t.mac;
    t.peer_sends_frame(ethernet(to, from, 0x86dd, ip_packet(ip, icmp_message(src, dst, type, 0, body))));
}

bool has_override(const Packet& p) { return p.icmp->type == 136 && (get32(p.icmp->body, 0) & 0x2000'0000U) != 0; }
bool is_dad_probe(const Packet& p) { return p.icmp->type == 135 && p.src.is_unspecified(); }
/// Does a solicitation say the sender's link address?
bool shows_link_address(const Packet& p) {
    const Bytes& body = p.icmp->body;
    for (std::size_t at = 20; at + 1 < body.size() && body[at + 1] != 0; at += std::size_t{8} * body[at + 1]) {
        if (body[at] == 1) return true;
    }
    return false;
}

/// A segment to an address of the stack's that is not stack_address.
void tcp_arrives(Fixture& t, const Ipv6Address& dst, const TcpFields& fields) {
    const IpFields ip{.src = t.peer, .dst = dst, .next_header = proto_tcp};
    t.peer_sends_ip(ip_packet(ip, tcp_segment(ip.src, ip.dst, fields)));
}

}  // namespace

WIRE_CASE("T1: ISNs of one pair of endpoints go on growing, whatever a day the wall clock jumps", "[restore][T1]") {
    auto t = listening(way);
    t.flow().offers_ts = true;
    std::optional<std::uint32_t> last_iss;
    std::optional<std::uint32_t> last_ts;
    std::int64_t wall_clock_ns = std::int64_t{1} << 60;
    const std::int64_t day_ns = (86'400_s).ns;
    for (const std::int64_t jump : {std::int64_t{0}, -day_ns, day_ns, -day_ns}) {
        CAPTURE(jump);
        t.peer_sends(syn());
        const Packet p = t.expect_packet();
        REQUIRE(p.tcp->ts.has_value());
        // RFC 9293 3.4.1: as a number in a circle, at most half of it ahead; RFC 7323 5.2 for TSval.
        if (last_iss) CHECK(static_cast<std::int32_t>(p.tcp->seq - *last_iss) > 0);
        if (last_ts) CHECK(static_cast<std::int32_t>(p.tcp->ts->first - *last_ts) > 0);
        last_iss = p.tcp->seq;
        last_ts = p.tcp->ts->first;
        t.peer_sends(rst().seq(1));
        t.snapshot();
        wall_clock_ns += jump;
        checkpoint::RestoreOptions options;
        options.elapsed = Duration{jump > 0 ? jump : 0};
        options.wall_clock_ns = wall_clock_ns;
        t.crash(1_s, options).ignore_output();
        t.flow().snd_nxt = t.flow().rcv_nxt = t.flow().peer_edge = 0;
    }
}

WIRE_CASE("T2: RFC 7323 5.5: after 25 days TS.Recent says nothing, after ten minutes it still does",
          "[restore][T2]") {
    for (const bool long_away : {false, true}) {
        CAPTURE(long_away);
        auto t = listening(way);
        t.flow().offers_ts = true;
        open_passive(t);
        const std::uint32_t recent = t.connection()->ts.recent;
        t.snapshot().crash(long_away ? 25LL * 24 * 3600_s : 600_s).ignore_output();
        // A peer whose clock ran on past half the circle looks old; one that is old is a duplicate.
        t.peer_sends(data(10).ts(recent - 100, t.flow().ts_recent));
        t.ignore_output();
        CHECK(t.readable() == (long_away ? 10 : 0));
        if (!long_away) t.expect_dropped(DropReason::tcp_paws);
    }
}

WIRE_CASE("T4: the peer reset the connection while we were away: our first segment learns it", "[restore][T4]") {
    auto t = established(way);
    t.snapshot().crash(5_s);
    const Packet p = t.expect_packet();  // even an idle one speaks
    CHECK(p.tcp->flags == flag::ack);
    // RFC 9293 3.5.2: a host without the connection takes the reset's SEQ from our ACK.
    t.peer_sends(rst().seq(p.tcp->ack - t.flow().iss));
    CHECK(is_ready(t, t.socket));
    expect_reader_wakes(t, Error::connection_reset, Verdict::reset_by_peer);
}

WIRE_CASE("T4: the path's MTU shrank while we were away", "[restore][T4]") {
    auto t = listening(way);
    REQUIRE(t.stack().add_route({}, 0, t.interface(), peer_link_local).has_value());
    t.peer = far_address;
    open_passive(t);
    t.app_sends(5000).ignore_output();
    t.snapshot().crash(5_s);
    const Packet first = t.expect_packet();
    CHECK(first.tcp->payload.size() == 1440);
    const Bytes quoted(first.ip.begin(), first.ip.begin() + 1232);
    t.peer_sends_icmp(2, 0, icmp_error_body(1280, quoted));
    const Packet again = t.expect_packet();
    CHECK(again.tcp->seq == first.tcp->seq);
    CHECK(again.tcp->payload.size() == 1220);
    t.flow().rcv_nxt = 5001;
    t.peer_sends(ack(5001));
    CHECK(t.info().tx_acknowledged == 5000);
    t.expect_silence();
}

WIRE_CASE("T5: the peer's keep-alive gave us up: verdict `reset_by_peer`, and the reader wakes", "[restore][T5]") {
    auto t = established(way);
    t.set(SocketOption::keep_alive, 1);
    t.peer_sends(data(10)).app_reads(10);
    t.after(1_s).ignore_output();
    t.snapshot();
    // Its probes, one before SND.UNA (RFC 9293 3.8.4), met nobody; the connection is gone at its side.
    t.crash(3 * 3600_s);
    const Packet p = t.expect_packet();
    t.peer_sends(rst().seq(p.tcp->ack - t.flow().iss));
    CHECK(is_ready(t, t.socket));
    expect_reader_wakes(t, Error::connection_reset, Verdict::reset_by_peer);
    t.after(3 * 3600_s).expect_silence();
}

WIRE_CASE("T5: it probes still when we are back: answered, and the connection goes on", "[restore][T5]") {
    auto t = established(way);
    t.peer_sends(data(10)).app_reads(10);
    t.after(1_s).ignore_output();
    t.snapshot().crash(600_s).ignore_output();
    t.peer_sends(ack(1).seq(10));
    t.expect(ack(11).seq(1));
    t.app_sends(10).expect(data(10).seq(1));
    t.peer_sends(ack(11));
    CHECK(t.verdict() == Verdict::resumed);
}

WIRE_CASE("T6: RFC 4862 5.5.4: an address whose lifetime ended while we were away is not used again",
          "[restore][T6]") {
    auto t = established(way);
    REQUIRE(t.stack().add_address(t.interface(), new_address, 64).has_value());
    t.world().addresses.for_each([&](std::uint32_t i, const AddressState& a) {
        if (a.address != stack_address) return;
        t.world().addresses.edit(i).valid_until = t.now() + 10_s;
        t.world().arm(StateKind::address, i, t.now() + 10_s);
    });
    t.app_sends(100).ignore_output();
    t.take_nd();
    t.snapshot().crash(20_s);
    t.expect_silence();
    for (const Packet& p : t.take_nd()) CHECK(p.src != stack_address);
    CHECK(is_ready(t, t.socket));
    expect_reader_wakes(t, Error::address_gone, Verdict::address_gone);
    t.peer_sends_icmp(128, 0, echo_body(1, 1, {}));
    t.expect_silence();
}

WIRE_CASE("T6: the prefix was renumbered: the old connection says so, the listener serves the new address",
          "[restore][T6]") {
    auto t = established(way);
    t.app_sends(100).ignore_output();
    t.snapshot().crash_unready(5_s).ignore_output();
    REQUIRE(t.stack().add_address(t.interface(), new_address, 64).has_value());
    REQUIRE(t.stack().add_route({}, 0, t.interface(), peer_link_local).has_value());  // the peer is off the link now
    REQUIRE(t.stack().remove_address(t.interface(), stack_address).has_value());
    t.settle().ignore_output();
    CHECK(is_ready(t, t.socket));
    expect_reader_wakes(t, Error::address_gone, Verdict::address_gone);
    t.stack().ready(false);
    t.after(10_s).expect_silence();
    tcp_arrives(t, new_address, {.src_port = 41'000, .dst_port = 80, .seq = 7, .flags = flag::syn, .window = 1000});
    const Packet p = t.expect_packet();
    CHECK(p.src == new_address);
    CHECK(p.tcp->flags == (flag::syn | flag::ack));
    tcp_arrives(t, new_address,
                {.src_port = 41'000, .dst_port = 80, .seq = 8, .ack = p.tcp->seq + 1, .flags = flag::ack, .window = 1000});
    CHECK(t.stack().accept(t.listener).has_value());
}

WIRE_CASE("T6: RFC 4861 7.3: the router has another link address: found again, and nothing is lost",
          "[restore][T6]") {
    auto t = listening(way);
    REQUIRE(t.stack().add_route({}, 0, t.interface(), peer_link_local).has_value());
    t.peer = far_address;
    open_passive(t);
    t.app_sends(100);
    CHECK(t.expect_packet().eth_dst == peer_mac);
    t.snapshot();
    t.answers_nd = false;
    t.take_nd();
    t.crash(5_s);
    t.mark();
    // The old router's link address is asked first, by unicast; nobody is there.
    const auto asked = t.take_nd();
    CHECK(std::any_of(asked.begin(), asked.end(), [](const Packet& p) {
        return p.icmp->type == 135 && p.dst == peer_link_local && p.eth_dst == peer_mac;
    }));
    // Then everybody on the link is, and the new router answers.
    bool answered = false;
    bool arrived = false;
    for (int i = 0; i < 200 && !arrived; ++i) {
        t.after(50_ms);
        for (const Packet& p : t.take_nd()) {
            if (answered || p.icmp->type != 135 || !p.dst.is_multicast() || p.src.is_unspecified()) continue;
            answered = true;
            nd_arrives(t, 136, advertisement_body(peer_link_local, true, true, true, new_router_mac), peer_link_local,
                       p.src, new_router_mac);
        }
        while (const auto p = t.take()) {
            if (p->eth_dst != new_router_mac) continue;
            CHECK(p->tcp->seq - *t.flow().stack_iss == 1);
            CHECK(p->tcp->payload.size() == 100);
            arrived = true;
        }
    }
    CHECK(answered);
    CHECK(arrived);
    CHECK(t.elapsed() <= 6_s);
    t.answers_nd = true;
    t.peer_sends(ack(101));
    CHECK(t.verdict() == Verdict::resumed);
}

WIRE_CASE("T6: another host defends our address while we come back: `address_gone`, a pending SYN too",
          "[restore][T6]") {
    Fixture t(way, with_dad());
    t.after(2_s).take_nd();
    t.app_connects();
    t.expect(syn());
    t.snapshot().crash(5_s).ignore_output();
    nd_arrives(t, 136, advertisement_body(stack_address, false, false, true, peer_mac), stack_address, ipv6_all_nodes);
    CHECK(is_ready(t, t.socket));
    expect_reader_wakes(t, Error::address_gone, Verdict::address_gone);
    t.after(100_s).expect_silence();
}

WIRE_CASE("T6: RFC 4429 3: our own link address changed: optimistic until it is known to be ours alone",
          "[restore][T6]") {
    Fixture t(way, with_dad());
    t.after(2_s);
    t.app_listens();
    open_passive(t);
    t.app_sends(100).expect(data(100));
    t.take_nd();
    t.snapshot();
    t.mac = new_mac;
    t.crash(5_s);
    t.mark();
    // The connection speaks at once, from the new link address (the fixture looks at each frame's source).
    t.expect(data(100).seq(1));
    const auto early = t.take_nd();
    CHECK(std::any_of(early.begin(), early.end(), is_dad_probe));
    for (const Packet& p : early) {
        CHECK_FALSE(has_override(p));
        if (p.icmp->type == 135) CHECK_FALSE(shows_link_address(p));
    }
    // Whoever asks is told, without Override (3.3).
    nd_arrives(t, 135, solicitation_body(stack_address, peer_mac), peer_address, solicited_node(stack_address));
    const auto answer = t.take_nd();
    REQUIRE(std::any_of(answer.begin(), answer.end(), [](const Packet& p) { return p.icmp->type == 136; }));
    for (const Packet& p : answer) CHECK_FALSE(has_override(p));
    t.peer_sends(ack(101));
    CHECK(t.verdict() == Verdict::resumed);
    // A second later it is ours: neighbours are told, with Override now.
    t.at(900_ms);
    for (const Packet& p : t.take_nd()) CHECK_FALSE(has_override(p));
    t.at(1500_ms);
    const auto late = t.take_nd();
    CHECK(std::any_of(late.begin(), late.end(), [](const Packet& p) { return has_override(p) && p.dst == peer_address; }));
    CHECK(std::any_of(late.begin(), late.end(), [](const Packet& p) {
        return p.icmp->type == 135 && p.dst == peer_address && shows_link_address(p);
    }));
    t.app_sends(10).expect(data(10).seq(101));
}

WIRE_CASE("T6: our own link address changed and the address is somebody's: nothing of it is used", "[restore][T6]") {
    Fixture t(way, with_dad());
    t.after(2_s);
    t.app_listens();
    open_passive(t);
    t.snapshot();
    t.mac = new_mac;
    t.crash(5_s).ignore_output();
    // RFC 4862 5.4.3: while it is optimistic, another host's probe is a conflict as well as an advertisement.
    nd_arrives(t, 135, solicitation_body(stack_address), ipv6_unspecified, solicited_node(stack_address));
    expect_reader_wakes(t, Error::address_gone, Verdict::address_gone);
    t.peer_sends_icmp(128, 0, echo_body(1, 1, {}));
    t.after(10_s).expect_silence();
}

WIRE_CASE("T7: restored in every phase, twice in a row, with unread data where there can be some", "[restore][T7]") {
    for (const TcpPhase phase :
         {TcpPhase::syn_sent, TcpPhase::syn_received, TcpPhase::established, TcpPhase::fin_wait_1, TcpPhase::fin_wait_2,
          TcpPhase::close_wait, TcpPhase::closing, TcpPhase::last_ack, TcpPhase::time_wait}) {
        CAPTURE(keepnet::name(phase));
        auto t = reach(phase, way);
        const bool may_receive =
            phase == TcpPhase::established || phase == TcpPhase::fin_wait_1 || phase == TcpPhase::fin_wait_2;
        if (may_receive) t.peer_sends(data(50).ack(phase == TcpPhase::fin_wait_2 ? 2 : 1));
        t.ignore_output();
        t.snapshot().crash(1_s).ignore_output();
        t.snapshot().crash(1_s).ignore_output();
        if (phase == TcpPhase::syn_received) {
            t.peer_sends(ack(1)).app_accepts();
            t.expect(TcpPhase::established);
            continue;
        }
        t.expect(phase);
        if (may_receive) t.app_reads(50);
        const bool has_peer = phase != TcpPhase::syn_sent && phase != TcpPhase::time_wait;
        CHECK(t.verdict() == (phase == TcpPhase::time_wait ? Verdict::closed : Verdict::pending));
        if (has_peer) t.peer_sends(ack(1));
        if (has_peer) CHECK(t.verdict() == Verdict::resumed);
    }
}

WIRE_CASE("T9: a snapshot that is older than what the peer was told: each side goes on as if it had been slow",
          "[restore][T9]") {
    FixtureOptions options(DurabilityPolicy::snapshot);
    auto t = established(way, options);
    t.auto_commit(false).set(SocketOption::no_delay, 1).snapshot().ignore_output();
    // Behind the snapshot: the peer sends, we read and answer; nothing of it was promised.
    t.peer_sends(data(100));
    t.app_reads(100).app_sends(200);
    t.expect_silence();
    t.crash(1_s).ignore_output();
    CHECK(t.flow().last_ack == 1);
    CHECK(t.info().tx_accepted == 0);
    // The peer still has the bytes: they come again, and the application, rolled back too, takes them again.
    t.peer_sends(data(100).seq(1));
    t.app_reads(100).app_sends(200);
    t.expect_silence().snapshot();
    t.expect(data(200).seq(1).ack(101));
    t.flow().rcv_nxt = 201;
    t.peer_sends(ack(201));
    CHECK(t.info().tx_acknowledged == 200);
}

WIRE_CASE("T11: checkpoints in the middle of traffic both ways: nothing is lost, and the source goes on",
          "[restore][T11]") {
    auto t = established(way);
    t.keep_still(true);
    std::uint32_t sent = 0;
    std::uint32_t received = 0;
    Bytes first_snapshot;
    for (int i = 0; i < 200; ++i) {
        t.app_sends(1440);
        sent += 1440;
        // The cut falls between what was queued and its acknowledgement; it is encoded while segments go.
        const auto cut = t.stack().cut();
        REQUIRE(cut.has_value());
        checkpoint::VectorSink sink;
        checkpoint::Encoder encoder(t.stack(), *cut, {}, sink);
        t.peer_sends(data(1000).seq(received + 1).ack(sent - 1440 + 1));
        received += 1000;
        t.app_reads(1000);
        for (;;) {
            const auto step = encoder.step();
            REQUIRE(step.has_value());
            if (*step == checkpoint::Encoder::Progress::done) break;
            if (*step == checkpoint::Encoder::Progress::waiting) t.stack().sweep();
        }
        t.flow().rcv_nxt = sent + 1;
        t.peer_sends(ack(sent + 1).seq(received + 1));
        REQUIRE(t.stack().committed(*cut).has_value());
        // Taking it disturbed nothing: everything arrived, in order, with no retransmission.
        t.ignore_output();
        REQUIRE(t.info().tx_acknowledged == sent);
        REQUIRE(t.info().retransmissions == 0);
        if (i == 100) first_snapshot = std::move(sink.bytes);
    }
    CHECK(t.info().rx_consumed == received);
    // And what was taken in the middle is whole: the connection as it was then.
    Arena arena(Stack::arena_bytes(t.config()));
    auto back = checkpoint::restore(arena.span(), t.config(), first_snapshot, {.now = t.now()});
    REQUIRE(back.has_value());
    const auto info = back->stack.info(t.socket);
    CHECK(info->tx_accepted == 101 * 1440);
    CHECK(info->tx_acknowledged == 100 * 1440);
    CHECK(info->rx_consumed == 100 * 1000);
}

WIRE_CASE("T12: RFC 9293 3.4.3: connections that a rollback forgot: new ISNs and TSvals are beyond theirs, no quiet time",
          "[restore][T12]") {
    Fixture t(way);
    t.snapshot();
    const Endpoint local{stack_address, 5000, 0};
    const auto connect = [&] {
        const auto s = t.stack().open_tcp();
        REQUIRE(t.stack().bind(*s, local).has_value());
        t.socket = *s;
        t.app_connects();
        return t.expect_packet();
    };
    const Packet lost = connect();
    t.peer_sends(syn_ack().ack(1));
    t.expect(ack(1));
    t.app_sends(3000).ignore_output();
    const std::uint32_t lost_end = *t.flow().stack_iss + 3001;
    // The last durable state knows nothing of it; the same four numbers are used at once, without waiting an MSL.
    for (const Duration away : {Duration{}, 1_s}) {
        t.crash(away).ignore_output();
        t.flow().stack_iss.reset();
        t.flow().seen_ack = t.flow().seen_ts = false;
        const Packet again = connect();
        // Proof in place of the wait: the clock behind both was reserved ahead by the snapshot (DURABILITY 1).
        CHECK(static_cast<std::int32_t>(again.tcp->seq - lost_end) > 0);
        CHECK(static_cast<std::int32_t>(again.tcp->ts->first - lost.tcp->ts->first) > 0);
        const std::int64_t ticks = t.config().tcp.timestamp_reservation.ns / 4000;
        CHECK(again.tcp->seq - lost.tcp->seq >= static_cast<std::uint32_t>(ticks));
    }
}

WIRE_CASE("T12: RFC 9293 3.10.7: the peer still has the lost connection: its ACK is answered with a reset, then all is new",
          "[restore][T12]") {
    Fixture t(way);
    t.snapshot();
    const auto s = t.stack().open_tcp();
    REQUIRE(t.stack().bind(*s, {stack_address, 5000, 0}).has_value());
    t.socket = *s;
    open_active(t);
    const std::uint32_t old_iss = *t.flow().stack_iss;
    t.crash(1_s).ignore_output();
    const auto fresh = t.stack().open_tcp();
    REQUIRE(t.stack().bind(*fresh, {stack_address, 5000, 0}).has_value());
    t.socket = *fresh;
    t.app_connects();
    const Packet again = t.expect_packet();
    // RFC 5961 4: a SYN on an established connection draws a challenge ACK of the old numbers.
    const std::uint32_t want = old_iss + 1 - again.tcp->seq;
    t.peer_sends(ack(want).seq(1));
    t.expect(rst().seq(want)).expect(TcpPhase::syn_sent);
    t.flow().snd_nxt = 0;
    REQUIRE(t.wait(t.elapsed() + 5_s).has_value());
    t.peer_sends(syn_ack().seq(0).ack(1));
    t.expect(TcpPhase::established).ignore_output();
}
