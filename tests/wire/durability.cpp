// DURABILITY 1 row by row, 2 and 4: nothing is promised before it is durable, and all of it goes on
// afterwards. The fixture's monitor compares every segment of these tests with the marks of the last commit.
#include "support/held.hpp"

using namespace keepnet;
using namespace keepnet::test;

HELD_CASE("DURABILITY 1, data: nothing leaves before the commit that covers it", "[durability]") {
    auto t = held_established(way, held);
    CHECK_FALSE(t.commit_is_wanted());
    t.app_sends(100).expect_silence();
    CHECK(t.commit_is_wanted());
    CHECK(t.info().undurable_send_bytes == 100);
    t.cut();
    t.app_sends(50).expect_silence();
    t.commit();
    t.expect(data(100).seq(1)).expect_silence();
    CHECK(t.info().undurable_send_bytes == 50);
    t.peer_sends(ack(101));
    t.expect_silence();
    t.snapshot();
    t.expect(data(50).seq(101)).expect_silence();
    t.peer_sends(ack(151));
    CHECK_FALSE(t.commit_is_wanted());
}

HELD_CASE("DURABILITY 1, data: a retransmission is held to the same mark", "[durability]") {
    auto t = held_established(way, held);
    t.app_sends(100).snapshot();
    t.expect(data(100).seq(1));
    t.app_sends(100);
    const auto again = t.wait(3_s);
    REQUIRE(again.has_value());
    CHECK(again->tcp->seq - *t.flow().stack_iss == 1);
    CHECK(again->tcp->payload.size() == 100);
}

HELD_CASE("DURABILITY 1, SYN: an active open costs two commits", "[durability]") {
    Fixture t(way, held);
    t.app_connects();
    t.expect_silence().expect(TcpPhase::syn_sent);
    CHECK(t.commit_is_wanted());
    t.after(10_s).expect_silence();
    t.snapshot();
    t.expect(syn().seq(0)).expect_silence();
    t.peer_sends(syn_ack().ack(1));
    // The peer's ISN is not durable: no segment with an ACK may leave.
    t.expect_silence();
    CHECK(t.commit_is_wanted());
    t.snapshot();
    t.expect(ack(1).seq(1)).expect(TcpPhase::established).expect_silence();
    CHECK_FALSE(t.commit_is_wanted());
}

HELD_CASE("DURABILITY 1, SYN: a passive open costs one commit", "[durability]") {
    auto t = listening(way, held);
    t.snapshot().auto_commit(false);
    t.peer_sends(syn());
    t.expect_silence().expect(TcpPhase::syn_received);
    CHECK(t.commit_is_wanted());
    t.after(5_s).peer_sends(syn());
    t.expect_silence();
    t.snapshot();
    t.expect(syn_ack().seq(0).ack(1)).expect_silence();
    t.peer_sends(ack(1));
    t.expect(TcpPhase::established);
    t.app_accepts();
}

HELD_CASE("DURABILITY 1, FIN: held, though the phase changes with the call, and it asks for a commit",
          "[durability]") {
    auto t = held_established(way, held);
    t.app_shuts_down();
    t.expect_silence().expect(TcpPhase::fin_wait_1);
    CHECK(t.commit_is_wanted());
    t.snapshot();
    t.expect(fin().seq(1)).expect_silence();
    t.peer_sends(ack(2));
    t.expect(TcpPhase::fin_wait_2);
}

HELD_CASE("DURABILITY 1, FIN: behind data of an earlier commit", "[durability]") {
    auto t = held_established(way, held);
    t.app_sends(100).cut();
    t.app_shuts_down().commit();
    t.expect(data(100).seq(1)).expect_silence();
    t.snapshot();
    t.expect(fin().seq(101)).expect_silence();
}

HELD_CASE("DURABILITY 1, ACK: never above what is durable, one comes at once with the commit",
          "[durability]") {
    auto t = held_established(way, held);
    t.peer_sends(data(100));
    t.after(1_s).expect_silence();
    CHECK(t.commit_is_wanted());
    CHECK(t.info().undurable_receive_bytes == 100);
    t.cut();
    t.peer_sends(data(50)).commit();
    t.expect(ack(101).seq(1)).expect_silence();
    t.after(1_s).expect_silence();
    t.snapshot();
    t.expect(ack(151)).expect_silence();
    CHECK_FALSE(t.commit_is_wanted());
    t.app_reads(150);
}

HELD_CASE("DURABILITY 1, ACK: the peer's FIN counts as one", "[durability]") {
    auto t = held_established(way, held);
    t.peer_sends(data(10).also(flag::fin));
    t.after(1_s).expect_silence().expect(TcpPhase::close_wait);
    t.snapshot();
    t.expect(ack(12).seq(1)).expect_silence();
    t.app_reads(10).expect_end_of_stream();
}

HELD_CASE("DURABILITY 1, ACK: it rides on data, clamped", "[durability]") {
    auto t = held_established(way, held);
    t.app_sends(100).cut();
    t.peer_sends(data(100)).commit();
    t.expect(data(100).seq(1).ack(1)).expect_silence();
    t.snapshot();
    t.expect(ack(101).seq(101));
}

HELD_CASE("DURABILITY 1, SEQ of a pure ACK may equal the mark, not pass it", "[durability]") {
    auto t = held_established(way, held);
    t.app_sends(100).expect_silence();
    t.after(1_s).peer_sends(ack().seq(0));  // a keep-alive probe
    t.expect(ack(1).seq(1)).expect_silence();
}

HELD_CASE("DURABILITY 1, window: the edge counts what was durably consumed", "[durability]") {
    FixtureOptions options = held;
    options.config.tcp.receive_buffer = 8000;
    Fixture t = established(way, options);
    t.auto_commit(false).snapshot().ignore_output();
    for (int i = 0; i < 8; ++i) t.peer_sends(data(1000));
    t.snapshot();
    t.expect(ack(8001).window(0)).expect_silence();
    t.app_reads(4000);
    // Read, but a crash would bring these bytes back into the queue: no room is granted for them.
    t.expect_silence();
    CHECK(t.commit_is_wanted());
    t.cut();
    t.app_reads(2000).commit();
    t.expect(ack(8001).window(4000)).expect_silence();
    t.snapshot();
    t.expect(ack(8001).window(6000)).expect_silence();
    t.app_reads(2000);
}

HELD_CASE("DURABILITY 1, window: the edge stays where it is while data waits for a commit", "[durability]") {
    auto t = held_established(way, held);
    const std::uint32_t edge = t.flow().right_edge;
    t.peer_sends(data(1000)).app_reads(1000);
    t.after(1_s).peer_sends(ack().seq(0));
    t.expect(ack(1).window(edge - 1));
}

HELD_CASE("DURABILITY 1: withheld ACKs do not come out as duplicates", "[durability]") {
    auto t = held_established(way, held);
    t.peer_sends(data(100));
    t.peer_sends(data(100).seq(201)).peer_sends(data(100).seq(301)).peer_sends(data(100).seq(401));
    t.after(1_s).expect_silence();
    t.snapshot();
    t.expect(ack(101));
    t.ignore_output();
    // All that is in order is durable: out of order is now reported at once (RFC 5681 4.2).
    t.peer_sends(data(100).seq(501));
    t.expect(ack(101)).expect_silence();
    t.peer_sends(data(100).seq(101)).snapshot();
    t.expect(ack(601));
    t.app_reads(600);
    t.ignore_output();
}

HELD_CASE("DURABILITY 1: a commit acknowledges in steps of at most eight segments", "[durability]") {
    auto t = held_established(way, held);
    for (int i = 0; i < 40; ++i) t.peer_sends(data(1440));
    t.expect_silence().snapshot();
    std::uint32_t last = 1;
    int acks = 0;
    while (const auto p = t.take()) {
        const std::uint32_t now = p->tcp->ack - t.flow().iss;
        CHECK(now - last <= 8 * 1440);
        CHECK(now - last > 0);
        last = now;
        ++acks;
    }
    CHECK(last == 1 + 40 * 1440);
    CHECK(acks >= 5);
    t.app_reads(40 * 1440);
}

HELD_CASE("DURABILITY 1, RST of the application is output: held like data", "[durability]") {
    SECTION("abort") {
        auto t = held_established(way, held);
        t.app_aborts().expect_silence();
        CHECK(t.commit_is_wanted());
        t.after(1_s).expect_silence();
        t.snapshot();
        const Packet p = t.expect_packet();
        CHECK((p.tcp->flags & flag::rst) != 0);
        CHECK(p.tcp->seq - *t.flow().stack_iss == 1);
        t.expect_silence().expect(TcpPhase::closed);
    }
    SECTION("close with unread data") {
        auto t = held_established(way, held);
        t.peer_sends(data(10)).app_closes();
        t.expect_silence();
        t.snapshot();
        const Packet p = t.expect_packet();
        CHECK((p.tcp->flags & flag::rst) != 0);
    }
    SECTION("linger 0, a crash before the commit: the connection is as it was") {
        auto t = held_established(way, held);
        t.app_aborts().expect_silence();
        t.crash(1_s).ignore_output();
        t.expect(TcpPhase::established);
        t.peer_sends(data(10));
        t.snapshot();
        t.expect(ack(11));
    }
}

HELD_CASE("DURABILITY 1, RST: a death that is not durable answers nothing", "[durability]") {
    auto t = held_established(way, held);
    t.peer_sends(rst());
    t.expect_silence();
    t.peer_sends(data(10).seq(1));
    t.expect_silence().expect_dropped(DropReason::tcp_tombstone);
    t.peer_sends(syn().seq(5000));
    t.expect_silence();
    t.snapshot();
    t.expect_silence();
    t.peer_sends(data(10).seq(1));
    t.expect(rst().seq(1)).expect_silence();
}

HELD_CASE("DURABILITY 1, RST: a crash takes a death back that was not durable", "[durability][restore]") {
    auto t = held_established(way, held);
    t.peer_sends(rst());
    t.expect(TcpPhase::closed);
    t.crash(1_s).ignore_output();
    t.expect(TcpPhase::established);
    // The peer knows nothing of it any more and says so.
    t.app_sends(10).snapshot().ignore_output();
    t.peer_sends(rst().seq(1));
    t.expect(TcpPhase::closed);
    CHECK(t.verdict() == Verdict::reset_by_peer);
}

HELD_CASE("DURABILITY 1, timestamps: TSecr follows the ACK that was sent", "[durability]") {
    auto t = listening(way, held);
    t.flow().offers_ts = true;
    open_passive(t);
    t.auto_commit(false).snapshot().ignore_output();
    const auto clock = static_cast<std::uint32_t>(t.now().ns / 1'000'000);
    t.peer_sends(data(10).ts(clock + 1, t.flow().ts_recent)).cut();
    t.peer_sends(data(10).ts(clock + 2, t.flow().ts_recent)).commit();
    t.expect(ack(11).where("TSecr of what it covers", [clock](const TcpFields& s, const Flow&) {
        return s.ts && s.ts->second == clock + 1;
    }));
    t.app_reads(20).snapshot();
    t.expect(ack(21));
}

HELD_CASE("DURABILITY 1, timestamps: a stack that cannot commit stops its clock at the reservation",
          "[durability]") {
    auto t = listening(way, held);
    t.flow().offers_ts = true;
    open_passive(t);
    t.auto_commit(false).snapshot().ignore_output();
    t.after(1_s).peer_sends(ack().seq(0));
    t.expect(ack(1));
    const std::uint32_t at_cut = t.flow().last_tsval;
    for (const Duration d : {3000_s, 3000_s, 3000_s, 90'000_s}) {
        t.after(d).ignore_output();
        t.peer_sends(ack().seq(0));
        t.expect(ack(1));
        CHECK(t.flow().last_tsval - at_cut <= 3'600'000);
    }
    const std::uint32_t stopped = t.flow().last_tsval;
    t.snapshot().ignore_output();
    t.after(1_s).peer_sends(ack().seq(0));
    t.expect(ack(1));
    CHECK(t.flow().last_tsval - stopped > 0);
}

HELD_CASE("DURABILITY 1: held data runs no retransmission, persist or user time-out", "[durability]") {
    auto t = held_established(way, held);
    t.set(SocketOption::user_timeout, (5_s).ns);
    SECTION("window open") {
        t.app_sends(100);
        t.after(3000_s).expect_silence().expect(TcpPhase::established);
        t.snapshot();
        t.expect(data(100).seq(1));
        t.peer_sends(ack(101));
    }
    SECTION("window closed") {
        t.peer_sends(ack(1).window(0));
        t.app_sends(100);
        t.after(3000_s).expect_silence().expect(TcpPhase::established);
        t.snapshot();
        t.expect_silence();
        const auto p = t.wait(t.elapsed() + 10_s);
        REQUIRE(p.has_value());
        CHECK(p->tcp->payload.size() <= 1);
        t.peer_sends(ack(1).window(1000).seq(1));
        t.ignore_output();
    }
}

HELD_CASE("DURABILITY 1: keep-alives promise nothing and are sent", "[durability]") {
    auto t = held_established(way, held);
    t.set(SocketOption::keep_alive, 1);
    t.set(SocketOption::keep_alive_idle, (10_s).ns);
    t.snapshot().ignore_output();
    t.app_sends(20);
    t.peer_sends(data(20));
    // Undurable on both sides: the probe shows neither.
    const auto p = t.wait(t.elapsed() + 30_s);
    REQUIRE(p.has_value());
    CHECK(p->tcp->ack - t.flow().iss == 1);
    CHECK(p->tcp->seq - *t.flow().stack_iss == 0);
    CHECK(p->tcp->payload.empty());
    t.app_reads(20);
}

HELD_CASE("DURABILITY 1: challenge ACKs are sent with clamped fields", "[durability]") {
    auto t = held_established(way, held);
    t.peer_sends(data(100)).app_sends(30);
    t.expect_silence();
    t.peer_sends(syn().seq(900));
    t.expect(ack(1).seq(1)).expect_silence();
    t.after(1_s).peer_sends(rst().seq(500));
    t.expect(ack(1).seq(1)).expect_silence();
    t.app_reads(100);
}

HELD_CASE("DURABILITY 1: neighbour discovery and ICMPv6 are exempt", "[durability]") {
    Fixture t(way, held);
    t.peer_sends_icmp(128, 0, echo_body(1, 1, {}));
    t.expect_icmp(129, 0);
    CHECK_FALSE(t.commit_is_wanted());
}

HELD_CASE("DURABILITY 2: TIME-WAIT starts when the ACK of the peer's FIN was sent", "[durability]") {
    auto t = held_at(TcpPhase::fin_wait_1, way, held);
    t.peer_sends(fin().ack(2));
    t.expect_silence().expect(TcpPhase::time_wait);
    t.after(500_s).expect_silence().expect(TcpPhase::time_wait);
    t.snapshot();
    t.expect(ack(2).seq(2));
    t.after(59_s).expect(TcpPhase::time_wait);
    t.after(2_s).expect(TcpPhase::closed).expect_silence();
}

HELD_CASE("DURABILITY 2: LAST-ACK is left only when the ACK of the peer's FIN was sent", "[durability]") {
    auto t = held_established(way, held);
    t.app_shuts_down().snapshot();
    t.expect(fin().seq(1));
    // Simultaneous close: our FIN is acknowledged before the ACK of the peer's may leave.
    t.peer_sends(fin().ack(1));
    t.expect(TcpPhase::closing).expect_silence();
    t.peer_sends(ack(2).seq(2));
    t.after(200_s);
    CHECK(t.connection() != nullptr);
    t.ignore_output();
    t.snapshot();
    t.expect(ack(2).seq(2));
}

HELD_CASE("DURABILITY 2: accepted, used and closed between two snapshots", "[durability]") {
    auto t = listening(way, held);
    t.snapshot().auto_commit(false);
    t.peer_sends(syn()).snapshot();
    t.expect(syn_ack().ack(1));
    const auto use = [&] {
        t.peer_sends(data(20).seq(1).ack(1));
        t.app_accepts();
        t.app_reads(20).app_sends(30).app_closes();
        t.expect_silence();
    };
    use();
    SECTION("a commit lets all of it out") {
        t.snapshot();
        const Packet first = t.expect_packet();
        CHECK(first.tcp->ack - t.flow().iss == 21);
        CHECK(first.tcp->payload.size() == 30);
        t.ignore_output();
        CHECK(t.flow().rcv_nxt == 32);
        t.peer_sends(fin().ack(32));
        t.ignore_output();
        t.snapshot().ignore_output();
    }
    SECTION("a crash before it: the handshake is half done again, and all of it happens once more") {
        t.crash(1_s).ignore_output();
        t.expect(TcpPhase::syn_received);
        use();
        t.snapshot();
        const Packet first = t.expect_packet();
        CHECK(first.tcp->payload.size() == 30);
        t.ignore_output();
        CHECK(t.flow().rcv_nxt == 32);
    }
}

HELD_CASE("DURABILITY 2: tombstones are bounded, what has no room for one is silent, not answered",
          "[durability]") {
    FixtureOptions options = held;
    options.config.capacity.tcp_tombstones = 2;
    auto t = listening(way, options);
    for (std::size_t i = 0; i < 6; ++i) {
        t.use_flow(i);
        open_passive(t);
    }
    t.auto_commit(false).snapshot().ignore_output();
    for (std::size_t i = 0; i < 6; ++i) {
        t.use_flow(i);
        t.peer_sends(rst());
    }
    for (std::size_t i = 0; i < 6; ++i) {
        t.use_flow(i);
        t.peer_sends(data(10).seq(1));
        t.expect_silence();
    }
    t.snapshot();
    for (std::size_t i = 0; i < 6; ++i) {
        t.use_flow(i);
        t.peer_sends(data(10).seq(1));
        t.expect(rst().seq(1));
    }
}

HELD_CASE("DURABILITY 4: an idle stack asks for nothing", "[durability]") {
    auto t = held_established(way, held);
    t.after(100_s);
    CHECK_FALSE(t.commit_is_wanted());
    t.peer_sends(ack(1));
    CHECK_FALSE(t.commit_is_wanted());
}

HELD_CASE("DURABILITY 4: commit_wanted is the instant since which output is held", "[durability]") {
    auto t = held_established(way, held);
    t.at(5_s).app_sends(1);
    const Instant since = t.now();
    t.at(9_s).app_sends(1);
    CHECK(t.commit_wanted() == since);
    t.snapshot().ignore_output();
    CHECK(t.commit_wanted() == never);
}

HELD_CASE("DURABILITY 5: a cut that was given up moves no mark", "[durability]") {
    auto t = held_established(way, held);
    t.app_sends(100).cut().abandon();
    t.expect_silence();
    CHECK(t.commit_is_wanted());
    t.snapshot();
    t.expect(data(100).seq(1));
}

HELD_CASE("DURABILITY 5: two cuts are out, committing the later one commits both", "[durability]") {
    if (held.journal) return;  // one record is written at a time, and what comes meanwhile fills the next
    auto t = held_established(way, held);
    t.app_sends(100).cut();
    t.app_sends(50).cut();
    CHECK(t.stack().cut().error() == Error::too_many_cuts);
    t.app_sends(25);
    SECTION("in order") {
        t.commit();
        t.expect(data(100).seq(1)).expect_silence();
        t.peer_sends(ack(101));
        t.commit();
        t.expect(data(50).seq(101)).expect_silence();
    }
    SECTION("the later alone") {
        t.commit_last();
        t.expect(data(150).seq(1)).expect_silence();
    }
}

HELD_CASE("each phase, its SYN or FIN not yet durable, makes progress after the commit", "[durability]") {
    SECTION("close in CLOSE-WAIT") {
        auto t = held_at(TcpPhase::close_wait, way, held);
        t.app_shuts_down().expect_silence().expect(TcpPhase::last_ack);
        t.snapshot();
        t.expect(fin().seq(1).ack(2));
        t.peer_sends(ack(2));
        t.expect(TcpPhase::closed);
    }
    SECTION("both FINs undurable") {
        auto t = held_established(way, held);
        t.app_shuts_down().peer_sends(fin().ack(1));
        t.expect_silence();
        t.snapshot();
        t.expect(fin().seq(1).ack(2)).expect_silence();
        t.peer_sends(ack(2));
        t.after(100_s).expect_silence();
    }
    SECTION("FIN in FIN-WAIT-2") {
        auto t = held_at(TcpPhase::fin_wait_2, way, held);
        t.peer_sends(fin()).expect_silence();
        t.snapshot();
        t.expect(ack(2).seq(2)).expect(TcpPhase::time_wait);
    }
    SECTION("close right after accept") {
        auto t = listening(way, held);
        t.snapshot().auto_commit(false);
        t.peer_sends(syn()).snapshot();
        t.expect(syn_ack());
        t.peer_sends(ack(1)).app_accepts().app_closes();
        t.expect_silence();
        t.snapshot();
        t.expect(fin().seq(1).ack(1));
        t.peer_sends(fin().ack(2));
        t.snapshot();
        t.expect(ack(2));
    }
    SECTION("connect, write and close at once") {
        Fixture t(way, held);
        t.app_connects();
        t.snapshot();
        t.expect(syn());
        t.peer_sends(syn_ack().ack(1));
        t.app_sends(10).app_shuts_down();
        t.expect_silence();
        t.snapshot();
        t.expect(fin().seq(1).ack(1).length(10)).expect_silence();
    }
}

HELD_CASE("a socket's policy is its own", "[durability]") {
    FixtureOptions options = held;
    options.config.policy = DurabilityPolicy::none;
    Fixture t(way, options);
    t.listener = *t.stack().open_tcp();
    t.set(SocketOption::policy, static_cast<std::int64_t>(held.config.policy));
    t.listener = *t.stack().bind(t.listener, {.port = 80});
    REQUIRE(t.stack().listen(t.listener, 8).has_value());
    t.settle().peer_sends(syn()).expect_silence();
    t.snapshot();
    t.expect(syn_ack());
    t.use_flow(1);
    const auto other = t.stack().open_tcp();
    t.socket = *other;
    t.app_connects();
    t.expect(syn());
}
