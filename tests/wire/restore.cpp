// DURABILITY 8: what comes back, how it announces itself, what the application is told.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// Snapshot at this instant, crash, back after `elapsed`.
Fixture& bounce(Fixture& t, Duration elapsed = 1_s) {
    if (t.way() == Way::plain) t.expect_silence();
    return t.snapshot().ignore_output().crash(elapsed);
}

/// The first segment that the restored connection sent, if any; at the very instant of the restore.
std::optional<Packet> spoke(Fixture& t) {
    auto p = t.take();
    if (p) CHECK(t.taken_at() == t.now());
    return p;
}

const FixtureOptions held{DurabilityPolicy::snapshot};

}  // namespace

WIRE_CASE("DURABILITY 8: SYN-SENT goes on at once", "[restore]") {
    auto t = syn_sent(way);
    bounce(t);
    t.expect(syn().seq(0)).expect_silence().expect(TcpPhase::syn_sent);
    t.peer_sends(syn_ack().ack(1));
    t.expect(ack(1).seq(1)).expect(TcpPhase::established);
    CHECK(t.verdict() == Verdict::resumed);
}

WIRE_CASE("DURABILITY 8: SYN-RECEIVED goes on, and is accepted", "[restore]") {
    auto t = syn_received(way);
    bounce(t);
    const auto p = spoke(t);
    REQUIRE(p.has_value());
    CHECK(p->tcp->flags == (flag::syn | flag::ack));
    t.peer_sends(ack(1));
    t.expect(TcpPhase::established).app_accepts();
    t.app_sends(10).expect(data(10).seq(1));
}

WIRE_CASE("DURABILITY 8: a connection in the accept queue waits there still", "[restore]") {
    auto t = syn_received(way);
    t.peer_sends(data(10).ack(1));
    bounce(t);
    t.ignore_output();
    t.app_accepts().app_reads(10);
    t.app_sends(10).expect(data(10).seq(1));
}

WIRE_CASE("DURABILITY 8: data both ways: our first segment at once, the received data unread", "[restore]") {
    auto t = established(way);
    t.peer_sends(data(100));
    t.app_sends(5000);
    t.ignore_output();
    bounce(t, 30_s);
    const auto p = spoke(t);
    REQUIRE(p.has_value());
    CHECK(p->tcp->seq - *t.flow().stack_iss == 1);
    CHECK(p->tcp->ack - t.flow().iss == 101);
    CHECK(p->tcp->payload.size() == 1440);
    // One segment; the peer's ACK tells the rest.
    t.expect_silence();
    CHECK(t.verdict() == Verdict::pending);
    t.flow().rcv_nxt = 5001;
    t.peer_sends(ack(5001));
    CHECK(t.verdict() == Verdict::resumed);
    CHECK(t.info().tx_acknowledged == 5000);
    t.expect_silence().app_reads(100);
    t.app_sends(10).expect(data(10).seq(5001));
}

WIRE_CASE("DURABILITY 8: the peer has some of it: only what is missing is sent", "[restore]") {
    auto t = established(way);
    t.app_sends(5000).ignore_output();
    bounce(t);
    t.expect(data(1440).seq(1));
    t.peer_sends(ack(2881));
    const Packet p = t.expect_packet();
    CHECK(p.tcp->seq - *t.flow().stack_iss == 2881);
    t.ignore_output();
    t.flow().rcv_nxt = 5001;
    t.peer_sends(ack(5001)).expect_silence();
}

WIRE_CASE("DURABILITY 8: an ACK that advances goes out at once", "[restore]") {
    auto t = established(way);
    t.peer_sends(data(100));
    t.expect_silence().snapshot().crash(1_s);
    t.expect(ack(101).seq(1)).expect_silence();
    t.app_reads(100);
}

WIRE_CASE("DURABILITY 1: after a commit the lost run sent what the restored one has not: its ACK is accepted",
          "[restore]") {
    auto t = established(way, held);
    t.auto_commit(false).set(SocketOption::no_delay, 1).snapshot().ignore_output();
    t.app_sends(3000).snapshot();
    t.ignore_output();
    REQUIRE(t.flow().rcv_nxt == 3001);
    t.crash(1_s);
    // The snapshot was taken before anything of it had been sent; yet the peer has it.
    t.peer_sends(ack(3001));
    CHECK(t.info().tx_acknowledged == 3000);
    t.ignore_output();
    t.expect(TcpPhase::established);
    t.after(10_s).expect_silence();
}

WIRE_CASE("DURABILITY 8: FIN-WAIT-1 repeats its FIN at once", "[restore]") {
    auto t = fin_wait_1(way);
    bounce(t);
    t.expect(fin().seq(1)).expect_silence().expect(TcpPhase::fin_wait_1);
    t.peer_sends(ack(2));
    t.expect(TcpPhase::fin_wait_2);
    t.peer_sends(fin());
    t.expect(ack(2)).expect(TcpPhase::time_wait);
}

WIRE_CASE("DURABILITY 8: FIN-WAIT-2, and data goes on coming", "[restore]") {
    auto t = fin_wait_2(way);
    bounce(t);
    t.ignore_output().peer_sends(data(10));
    t.app_reads(10);
    t.peer_sends(fin());
    t.expect(ack(12)).expect(TcpPhase::time_wait);
}

WIRE_CASE("DURABILITY 8: CLOSE-WAIT, and data goes on leaving", "[restore]") {
    auto t = close_wait(way);
    bounce(t);
    t.ignore_output().expect_end_of_stream();
    t.app_sends(10).expect(data(10).seq(1).ack(2));
    t.app_shuts_down().expect(fin().seq(11));
    t.peer_sends(ack(12));
    t.expect(TcpPhase::closed);
}

WIRE_CASE("DURABILITY 8: LAST-ACK and CLOSING repeat their FIN at once", "[restore]") {
    for (const TcpPhase phase : {TcpPhase::last_ack, TcpPhase::closing}) {
        CAPTURE(keepnet::name(phase));
        auto t = reach(phase, way);
        bounce(t);
        t.expect(fin().seq(1).ack(2)).expect_silence().expect(phase);
        t.peer_sends(ack(2));
        t.expect(phase == TcpPhase::closing ? TcpPhase::time_wait : TcpPhase::closed);
    }
}

WIRE_CASE("DURABILITY 8: TIME-WAIT ages while we are away, and acknowledges a repeated FIN", "[restore]") {
    auto t = time_wait(way);
    t.at(10_s);
    bounce(t, 20_s);
    t.ignore_output().expect(TcpPhase::time_wait);
    t.peer_sends(fin().seq(1));
    t.expect(ack(2));
    t.crash(3600_s);
    t.ignore_output().expect(TcpPhase::closed);
}

WIRE_CASE("DURABILITY 8: with unread data and the peer's FIN", "[restore]") {
    auto t = established(way);
    t.peer_sends(data(100).also(flag::fin));
    t.expect(ack(102));
    bounce(t);
    t.ignore_output();
    t.app_reads(60);
    bounce(t);
    t.ignore_output();
    t.app_reads(40).expect_end_of_stream();
    CHECK(t.info().rx_consumed == 100);
}

WIRE_CASE("DURABILITY 8: out-of-order data comes back", "[restore]") {
    auto t = established(way);
    t.peer_sends(data(100).seq(101));
    t.expect(ack(1));
    bounce(t);
    t.ignore_output();
    t.peer_sends(data(100).seq(1));
    t.expect(ack(201)).app_reads(200);
}

WIRE_CASE("DURABILITY 8: every phase with its SYN or FIN undurable, held until a commit of the restored run",
          "[restore]") {
    SECTION("FIN after the last commit is forgotten") {
        auto t = established(way, held);
        t.auto_commit(false).snapshot().ignore_output();
        t.app_shuts_down().expect_silence();
        t.crash(1_s).ignore_output();
        t.expect(TcpPhase::established);
        t.app_sends(10).snapshot();
        t.expect(data(10).seq(1));
    }
    SECTION("FIN in the snapshot goes out") {
        auto t = established(way, held);
        t.auto_commit(false).snapshot().ignore_output();
        t.app_shuts_down().cut();
        t.expect_silence().commit();
        t.expect(fin().seq(1));
        t.crash(1_s);
        t.expect(fin().seq(1));
    }
    SECTION("SYN-SENT in the snapshot goes out") {
        Fixture t(way, held);
        t.app_connects();
        t.snapshot();
        t.expect(syn());
        t.crash(1_s);
        t.expect(syn());
        t.peer_sends(syn_ack().ack(1));
        t.expect_silence().snapshot();
        t.expect(ack(1));
    }
    SECTION("the peer's FIN in the snapshot is acknowledged") {
        auto t = established(way, held);
        t.auto_commit(false).snapshot().ignore_output();
        t.peer_sends(fin()).expect_silence().snapshot();
        t.ignore_output().crash(1_s);
        t.ignore_output();
        CHECK(t.flow().last_ack == 2);
        t.expect(TcpPhase::close_wait);
    }
}

WIRE_CASE("LESSONS: a thousand restores of one connection", "[restore]") {
    auto t = established(way);
    t.keep_still(true);
    std::uint32_t sent = 0;
    std::uint32_t received = 0;
    for (int i = 0; i < 1000; ++i) {
        t.app_sends(7);
        sent += 7;
        t.expect(data(7).seq(sent - 6));
        t.peer_sends(data(5).seq(1 + received).ack(i % 3 == 0 ? sent + 1 : sent - 6));
        received += 5;
        t.ignore_output();
        t.snapshot().crash(Duration{i * 1'000'000LL}).ignore_output();
        t.app_reads(5);
        t.peer_sends(ack(sent + 1).seq(received + 1)).ignore_output();
        REQUIRE(t.info().tx_acknowledged == sent);
    }
    CHECK(t.stack().restarts() == 1000);
    CHECK(t.info().rx_consumed == 5000);
    t.expect(TcpPhase::established);
}

WIRE_CASE("T2: away for 1 s, 1 min, 10 min, 25 days: the connection resumes, TSval goes on", "[restore]") {
    for (const Duration away : {1_s, 60_s, 600_s, 25LL * 24 * 3600_s}) {
        CAPTURE(away.ms());
        auto t = listening(way);
        t.flow().offers_ts = true;
        open_passive(t);
        t.app_sends(100).expect(data(100));
        t.snapshot();
        t.crash(away);
        t.expect(data(100).seq(1));
        const auto clock = static_cast<std::uint32_t>(t.now().ns / 1'000'000);
        t.peer_sends(data(20).ack(101).ts(clock, t.flow().ts_recent));
        t.app_reads(20);
        CHECK(t.info().tx_acknowledged == 100);
        CHECK(t.info().srtt < 1_s);
        t.after(1_s).ignore_output();
    }
}

WIRE_CASE("T1: a clock that starts anew, or runs backwards, does not take TSval back", "[restore]") {
    auto t = listening(way);
    t.flow().offers_ts = true;
    open_passive(t);
    t.app_sends(10).expect(data(10));
    checkpoint::RestoreOptions options;
    options.elapsed = Duration{-86'400'000'000'000};
    t.snapshot().crash(5_s, options);
    t.expect(data(10).seq(1));  // the monitor compares TSval
    options.elapsed = 86'400_s;
    t.snapshot().crash(0_s, options);
    t.expect(data(10).seq(1));
    t.peer_sends(ack(11));
}

WIRE_CASE("DURABILITY 8: nobody else's time-out: retransmission starts anew", "[restore]") {
    auto t = established(way);
    t.app_sends(100).expect(data(100));
    for (int i = 0; i < 6; ++i) REQUIRE(t.wait(t.elapsed() + 100_s).has_value());
    t.snapshot().crash(1_s);
    t.expect(data(100).seq(1));
    const Instant resumed = t.now();
    // Back-off forgotten: the next one comes within a second or so.
    REQUIRE(t.wait(t.elapsed() + 10_s).has_value());
    CHECK(t.taken_at() - resumed <= 1100_ms);
}

WIRE_CASE("DURABILITY 8: an outage is no user time-out", "[restore]") {
    auto t = established(way);
    t.set(SocketOption::user_timeout, (30_s).ns);
    t.app_sends(100).expect(data(100));
    t.snapshot().crash(3600_s);
    t.expect(data(100).seq(1)).expect(TcpPhase::established);
    t.peer_sends(ack(101));
}

WIRE_CASE("DURABILITY 8: verdict `resumed` for an idle connection comes with the peer's first segment",
          "[restore]") {
    auto t = established(way);
    bounce(t);
    t.ignore_output();
    CHECK(t.verdict() == Verdict::pending);
    t.peer_sends(data(1));
    CHECK(t.verdict() == Verdict::resumed);
    t.app_reads(1);
}

WIRE_CASE("DURABILITY 8: verdict `reset_by_peer`, and a reader wakes", "[restore]") {
    auto t = established(way);
    t.app_sends(10).expect(data(10));
    bounce(t);
    t.expect(data(10));
    t.peer_sends(rst().seq(1));
    CHECK(t.verdict() == Verdict::reset_by_peer);
    std::uint8_t byte = 0;
    CHECK(t.stack().receive(t.socket, {&byte, 1}).error() == Error::connection_reset);
    CHECK(t.stack().readiness(t.socket)->has(Readiness::readable));
}

WIRE_CASE("DURABILITY 8: a reset in LAST-ACK, CLOSING or TIME-WAIT is a normal end", "[restore]") {
    for (const TcpPhase phase : {TcpPhase::last_ack, TcpPhase::closing}) {
        CAPTURE(keepnet::name(phase));
        auto t = reach(phase, way);
        bounce(t);
        t.ignore_output();
        t.peer_sends(rst().seq(2));
        t.expect(TcpPhase::closed);
        CHECK(t.verdict() == Verdict::closed);
    }
}

WIRE_CASE("DURABILITY 8: verdict `expired` for a peer that stays silent", "[restore]") {
    auto t = established(way);
    t.app_sends(10).expect(data(10));
    bounce(t);
    t.after(3000_s).ignore_output();
    t.expect(TcpPhase::closed);
    CHECK(t.verdict() == Verdict::expired);
    t.expect_error(Error::timed_out);
}

WIRE_CASE("DURABILITY 8: every restored socket is reported ready once, so that its owner looks",
          "[restore]") {
    auto t = established(way);
    t.snapshot().crash_unready(1_s);
    std::vector<std::uint64_t> ready;
    t.keep_still(true);
    CHECK(t.stack().claim(t.socket).has_value());
    CHECK(t.stack().claim(t.listener).has_value());
    while (const auto s = t.stack().next_ready()) ready.push_back(s->raw);
    CHECK(std::find(ready.begin(), ready.end(), t.socket.raw) != ready.end());
    t.stack().ready(true);
    t.settle().ignore_output();
}

WIRE_CASE("DURABILITY 8: the restored host announces itself: a unicast solicitation, then an advertisement",
          "[restore][nd]") {
    auto t = established(way);
    t.take_nd();
    bounce(t);
    const auto nd = t.take_nd();
    std::size_t solicited = nd.size();
    std::size_t advertised = nd.size();
    for (std::size_t i = nd.size(); i-- > 0;) {
        const Packet& p = nd[i];
        if (p.icmp->type == 135 && p.dst == peer_address && p.eth_dst == peer_mac) {
            solicited = i;
            // with our link address
            CHECK(Bytes(p.icmp->body.begin() + 20, p.icmp->body.begin() + 28) ==
                  Bytes{1, 1, 2, 0, 0, 0, 0, 1});
        }
        if (p.icmp->type == 136 && (get32(p.icmp->body, 0) & 0x2000'0000U) != 0) advertised = i;
    }
    REQUIRE(solicited < nd.size());
    REQUIRE(advertised < nd.size());
    CHECK(solicited < advertised);
    t.ignore_output();
}

WIRE_CASE("DURABILITY 8: claims: a listen or bind that equals a restored socket returns it",
          "[restore][claims]") {
    auto t = established(way);
    t.snapshot().crash_unready(1_s);
    t.ignore_output();
    const SocketHandle old_listener = t.listener;
    auto s = t.stack().open_tcp();
    REQUIRE(s.has_value());
    s = t.stack().bind(*s, {.port = 80});
    REQUIRE(s.has_value());
    CHECK(s->raw == old_listener.raw);
    s = t.stack().listen(*s, 8);
    REQUIRE(s.has_value());
    CHECK(s->raw == old_listener.raw);
    CHECK(t.stack().claim(t.socket).has_value());
    t.stack().ready(true);
    t.settle().ignore_output();
    CHECK(t.info().claimed);
    t.use_flow(1);
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1)).app_accepts();
}

WIRE_CASE("DURABILITY 8: what stays unclaimed is closed at ready(), or kept", "[restore][claims]") {
    auto t = established(way);
    t.snapshot().crash_unready(1_s);
    t.ignore_output();
    SECTION("closed") {
        t.stack().ready(true);
        t.settle();
        CHECK_FALSE(t.stack().info(t.socket).has_value());
        t.expect(fin().seq(1)).expect(TcpPhase::fin_wait_1);
    }
    SECTION("kept") {
        t.stack().ready(false);
        t.settle();
        CHECK_FALSE(t.info().claimed);
        t.expect(TcpPhase::established);
    }
}

WIRE_CASE("DURABILITY 8: sockets can be enumerated, with what they are", "[restore][claims]") {
    auto t = established(way);
    t.snapshot().crash_unready(1_s);
    t.ignore_output();
    REQUIRE(t.restored().size() == 2);
    for (const checkpoint::SocketReport& r : t.restored()) {
        if (r.socket == t.socket) {
            CHECK(r.phase == TcpPhase::established);
            CHECK(r.verdict == Verdict::pending);
            CHECK(r.remote.port == 40000);
        } else {
            CHECK(r.socket == t.listener);
            CHECK(r.phase == TcpPhase::listen);
        }
    }
    t.stack().ready(false);
}

WIRE_CASE("DURABILITY 1: before ready() nothing that matches nothing is answered", "[restore][claims]") {
    auto t = established(way);
    t.snapshot().crash_unready(1_s);
    t.ignore_output();
    t.use_flow(1);
    t.peer_sends(data(10).seq(1).ack(100));
    t.expect_silence();
    t.flow().stack_port = 81;
    t.peer_sends(syn());
    t.expect_silence().expect_dropped(DropReason::tcp_not_ready, 2);
    t.stack().ready(false);
    t.peer_sends(syn().seq(0));
    t.expect(rst_ack().ack(1));
}

WIRE_CASE("a handle from after the snapshot is stale, and its number does not come again", "[restore]") {
    auto t = listening(way);
    t.snapshot();
    const auto lost = t.stack().open_tcp();
    t.crash(1_s);
    CHECK(t.stack().info(*lost).error() == Error::stale_handle);
    for (int i = 0; i < 10; ++i) CHECK(t.stack().open_tcp()->raw != lost->raw);
}

WIRE_CASE("T3: the peer repeats itself while we are away: its next segment is answered at once",
          "[restore]") {
    auto t = established(way);
    t.snapshot();
    t.peer_sends(data(100));
    t.ignore_output();
    t.crash(5_s).ignore_output();
    t.peer_sends(data(100).seq(1));
    t.expect_by(t.elapsed() + 100_ms, ack(101));
    t.app_reads(100);
}

WIRE_CASE("T4: the peer closed its window, or sent its FIN, while we were away", "[restore]") {
    auto t = established(way);
    t.app_sends(3000).ignore_output();
    t.snapshot().crash(5_s);
    t.expect(data(1440).seq(1));
    SECTION("zero window") {
        t.flow().window = 0;
        t.peer_sends(ack(1441));
        t.expect_silence();
        REQUIRE(t.wait(t.elapsed() + 10_s).has_value());
        t.flow().window = 65'535;
        t.peer_sends(ack(1441));
        t.ignore_output();
        t.flow().rcv_nxt = 3001;
        t.peer_sends(ack(3001));
        CHECK(t.info().tx_acknowledged == 3000);
    }
    SECTION("FIN") {
        t.flow().rcv_nxt = 3001;
        t.peer_sends(fin().ack(3001));
        t.expect(ack(2)).expect(TcpPhase::close_wait).expect_end_of_stream();
    }
}

WIRE_CASE("RFC 6437: flow labels are the same after a restore, RFC 6528: initial numbers go on growing",
          "[restore]") {
    auto t = established(way);
    t.app_sends(10);
    const std::uint32_t label = t.expect_packet().flow_label;
    t.snapshot().crash(1_s);
    CHECK(t.expect_packet().flow_label == label);
    t.peer_sends(ack(11));
    const std::uint32_t iss = *t.flow().stack_iss;
    t.peer_sends(rst().seq(1));
    t.flow().snd_nxt = 0;
    t.flow().rcv_nxt = 0;
    t.flow().peer_edge = 0;
    t.peer_sends(syn());
    t.expect(syn_ack());
    CHECK(static_cast<std::int32_t>(*t.flow().stack_iss - iss) > 0);
}

WIRE_CASE("DURABILITY 7: application blobs come back with the snapshot that they were in", "[restore]") {
    auto t = established(way);
    t.blobs = {{.name = "app", .bytes = {1, 2, 3}}};
    t.snapshot();
    t.blobs = {};
    t.crash(1_s).ignore_output();
    REQUIRE(t.blobs.size() == 1);
    CHECK(t.blobs[0].name == "app");
    CHECK(t.blobs[0].bytes == Bytes{1, 2, 3});
}

WIRE_CASE(
    "DURABILITY 8, RFC 6069: a restored receiver asks its peer for what it holds back, if the embedder wants "
    "that",
    "[restore]") {
    for (const bool wanted : {false, true}) {
        auto t = established(way);
        t.peer_sends(data(100)).app_reads(100);
        t.after(100_ms).snapshot().ignore_output();
        t.crash(1_s, {.icmp_kick = wanted});
        int asked = 0;
        while (const auto p = t.take()) {
            if (!p->icmp) continue;
            ++asked;
            CHECK(p->icmp->type == 1);
            CHECK(p->icmp->code == 0);
            // The quoted segment: from the peer, and where it would go on.
            const Bytes& body = p->icmp->body;
            REQUIRE(body.size() == 4 + 60);
            const Seq next = t.connection()->rcv.nxt;
            CHECK(std::equal(peer_address.octets.begin(), peer_address.octets.end(), body.begin() + 4 + 8));
            CHECK(
                std::equal(stack_address.octets.begin(), stack_address.octets.end(), body.begin() + 4 + 24));
            CHECK(body[4 + 40] << 8 == (t.connection()->remote.port & 0xff00));
            CHECK((body[48] << 24 | body[49] << 16 | body[50] << 8 | body[51]) == static_cast<int>(next.raw));
        }
        // Each takes one doubling of the peer's back-off back.
        CHECK(asked == (wanted ? 8 : 0));
        t.peer_sends(data(10));
        t.app_reads(10);
    }
}
