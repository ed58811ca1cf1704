// DURABILITY 1, what we send: data, SYN, FIN, urgent pointer, SEQ of a pure ACK, RST. Beside durability.cpp:
// the corners of each row. The fixture's monitor compares every segment with the marks of the last commit.
#include "support/held.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// The relative end of what a segment occupies.
std::uint32_t end_of(const Packet& p, const Flow& f) { return p.tcp->seq - *f.stack_iss + p.tcp_length(); }

bool is_reset(const Packet& p) { return p.tcp && (p.tcp->flags & flag::rst) != 0; }

}  // namespace

HELD_CASE("DURABILITY 1, data: a window full of it leaves up to the mark, and not a byte more", "[marks]") {
    auto t = held_established(way, held);
    t.app_sends(5000).cut();
    t.app_sends(5000).commit();
    std::uint32_t end = 0;
    for (int i = 0; i < 20; ++i) {
        while (const auto p = t.take()) end = std::max(end, end_of(*p, t.flow()));
        t.peer_sends(ack());
    }
    CHECK(end == 5001);
    t.expect_silence();
    t.snapshot();
    for (int i = 0; i < 20; ++i) {
        while (const auto p = t.take()) end = std::max(end, end_of(*p, t.flow()));
        t.peer_sends(ack());
    }
    CHECK(end == 10'001);
    CHECK(t.info().tx_acknowledged == 10'000);
}

HELD_CASE("DURABILITY 1, data: what was sent when a cut was taken is cut with it, a crash repeats it alone",
          "[marks]") {
    auto t = held_established(way, held);
    t.app_sends(300).snapshot();
    t.expect(data(300).seq(1));
    t.app_sends(200).cut();  // never committed
    t.crash(1_s);
    t.expect(data(300).seq(1)).expect_silence();
    // The application does again what was rolled back, and perhaps something else.
    CHECK(t.info().tx_accepted == 300);
    t.app_sends(50).expect_silence();
    t.peer_sends(ack(301));
    t.expect_silence().snapshot();
    t.expect(data(50).seq(301)).expect_silence();
    t.peer_sends(ack(351));
}

HELD_CASE("DURABILITY 1, SYN: in a simultaneous open neither side's SYN is shown or acknowledged early",
          "[marks]") {
    Fixture t(way, held);
    t.app_connects().expect_silence();
    t.snapshot();
    t.expect(syn().seq(0));
    t.peer_sends(syn());
    t.expect(TcpPhase::syn_received).expect_silence();
    CHECK(t.commit_is_wanted());
    t.after(500_ms);
    while (const auto p = t.take()) CHECK((p->tcp->flags & flag::ack) == 0);
    t.snapshot();
    bool acknowledged = false;
    for (int i = 0; i < 8 && !acknowledged; ++i) {
        t.after(1_s);
        while (const auto p = t.take()) {
            acknowledged =
                acknowledged || ((p->tcp->flags & flag::ack) != 0 && p->tcp->ack - t.flow().iss == 1);
        }
    }
    CHECK(acknowledged);
    t.peer_sends(ack(1));
    t.expect(TcpPhase::established);
    t.app_sends(10).snapshot();
    t.expect(data(10).seq(1));
}

HELD_CASE("DURABILITY 1, SYN: a crash between the two commits of an active open", "[marks]") {
    Fixture t(way, held);
    t.app_connects();
    t.snapshot();
    t.expect(syn().seq(0));
    const std::uint32_t iss = *t.flow().stack_iss;
    t.peer_sends(syn_ack().ack(1));
    t.expect_silence();
    t.crash(1_s);
    t.expect(syn().seq(0)).expect(TcpPhase::syn_sent);
    CHECK(*t.flow().stack_iss == iss);
    // The peer is in SYN-RECEIVED, and says so again.
    t.peer_sends(syn_ack().seq(0).ack(1));
    t.expect_silence();
    CHECK(t.commit_is_wanted());
    t.snapshot();
    t.expect(ack(1).seq(1)).expect(TcpPhase::established);
}

HELD_CASE("DURABILITY 1, SYN: what is written before the handshake is over waits for its own commit",
          "[marks]") {
    Fixture t(way, held);
    t.app_connects().snapshot();
    t.expect(syn().seq(0));
    t.app_sends(40);
    t.peer_sends(syn_ack().ack(1)).cut();
    t.app_sends(60).commit();
    t.expect(data(40).seq(1).ack(1)).expect_silence();
    t.peer_sends(ack(41));
    t.expect_silence().snapshot();
    t.expect(data(60).seq(41)).expect_silence();
}

HELD_CASE("DURABILITY 1, FIN: of an application that closed, not only shut down", "[marks]") {
    auto t = held_established(way, held);
    t.app_sends(10).cut();
    t.app_closes().commit();
    t.expect(data(10).seq(1)).expect_silence();
    // The peer acknowledges all that it got: no FIN is acknowledged, and none is sent.
    t.peer_sends(ack(11));
    t.after(100_s).expect_silence().expect(TcpPhase::fin_wait_1);
    CHECK(t.commit_is_wanted());
    t.snapshot();
    t.expect(fin().seq(11)).expect_silence();
    t.peer_sends(ack(12));
    t.expect(TcpPhase::fin_wait_2);
}

HELD_CASE("DURABILITY 1, FIN: a crash takes the close back", "[marks]") {
    auto t = held_established(way, held);
    t.app_shuts_down().expect(TcpPhase::fin_wait_1);
    t.crash(1_s).ignore_output();
    t.expect(TcpPhase::established);
    t.app_sends(10).snapshot();
    t.expect(data(10).seq(1)).expect_silence();
}

HELD_CASE("DURABILITY 1, urgent pointer: one that comes promises nothing, none is sent", "[marks]") {
    auto t = held_established(way, held);
    t.app_sends(500);
    t.peer_sends(data(100).also(flag::urg).urgent(50));
    t.after(1_s).expect_silence();
    t.peer_sends(ack().seq(100).also(flag::urg).urgent(65'535));
    t.expect(ack(1).seq(1)).expect_silence();
    t.app_reads(100).snapshot();
    // The monitor has looked at URG and the pointer of each.
    t.expect(data(500).seq(1).ack(101)).expect_silence();
}

HELD_CASE("DURABILITY 1, SEQ of a pure ACK equals the mark once all before it was sent", "[marks]") {
    auto t = held_established(way, held);
    t.set(SocketOption::no_delay, 1).snapshot().ignore_output();
    t.app_sends(100).cut();
    t.app_sends(100).commit();
    t.expect(data(100).seq(1));
    t.peer_sends(data(10).ack(1)).snapshot();
    t.expect(data(100).seq(101).ack(11)).expect_silence();
    t.app_sends(100).after(1_s).ignore_output();
    t.peer_sends(ack(1).seq(0));
    t.expect(ack(11).seq(201)).expect_silence();
    t.app_reads(10);
}

HELD_CASE("DURABILITY 1, SEQ of a pure ACK is never above the peer's right edge", "[marks]") {
    auto t = held_established(way, held);
    t.app_sends(1000).snapshot();
    t.expect(data(1000).seq(1));
    // The peer shrinks its window under what is on its way (DURABILITY 9).
    t.peer_sends(ack(1).window(300));
    t.ignore_output();
    t.peer_sends(data(10).ack(1).window(300)).snapshot();
    const auto p = t.take();
    REQUIRE(p.has_value());
    CHECK(p->tcp->ack - t.flow().iss == 11);
    CHECK(p->tcp->seq - *t.flow().stack_iss <= 301);
    t.ignore_output();
    t.app_reads(10);
}

HELD_CASE("DURABILITY 1, SEQ of a pure ACK after a restore: the mark, though nothing was sent in this life",
          "[marks]") {
    auto t = held_established(way, held);
    t.app_sends(100).snapshot();
    t.expect(data(100).seq(1));
    t.peer_sends(ack(101));
    t.crash(1_s);
    // The lost run sent these: the peer has them, and takes only what fits its RCV.NXT.
    t.expect(data(100).seq(1)).expect_silence();
    t.peer_sends(ack(101));
    t.after(1_s).peer_sends(data(10));
    t.snapshot();
    t.expect(ack(11).seq(101)).expect_silence();
    t.app_reads(10);
}

HELD_CASE("DURABILITY 1, RST: linger 0 and a half-read connection are held as an abort is", "[marks]") {
    SECTION("linger 0") {
        auto t = held_established(way, held);
        t.set(SocketOption::linger, 0).snapshot().ignore_output();
        t.app_closes().after(10_s).expect_silence();
        CHECK(t.commit_is_wanted());
        t.snapshot();
        CHECK(is_reset(t.expect_packet()));
        t.expect_silence();
    }
    SECTION("close with unread data that is durable itself") {
        auto t = held_established(way, held);
        t.peer_sends(data(10)).snapshot();
        t.expect(ack(11));
        t.app_closes().after(10_s).expect_silence();
        t.snapshot();
        CHECK(is_reset(t.expect_packet()));
        t.expect_silence();
    }
    SECTION("data for a socket that was closed") {
        auto t = held_established(way, held);
        t.app_closes();
        t.peer_sends(data(10)).after(10_s).expect_silence();
        t.peer_sends(data(10).seq(1)).expect_silence();
        t.snapshot();
        CHECK(is_reset(t.expect_packet()));
        t.expect_silence();
    }
    SECTION("a reset does not overtake data that is durable") {
        auto t = held_established(way, held);
        t.app_sends(10).cut();
        t.app_aborts().commit();
        t.expect_silence();
        t.snapshot();
        const Packet p = t.expect_packet();
        CHECK(is_reset(p));
        CHECK(p.tcp->seq - *t.flow().stack_iss <= 11);
    }
}

HELD_CASE("DURABILITY 1, RST: a half-open peer hears of an abort only when that is durable", "[marks]") {
    auto t = listening(way, held);
    t.snapshot().auto_commit(false);
    t.peer_sends(syn()).snapshot();
    t.expect(syn_ack());
    t.peer_sends(ack(1));
    SECTION("the listener closes with it in the accept queue") {
        REQUIRE(t.stack().close(std::exchange(t.listener, {})).has_value());
        t.settle().after(1_s).expect_silence();
        t.peer_sends(data(10)).expect_silence();
        t.crash(1_s).ignore_output();
        // The peer goes on with the handshake that the restored host knows.
        t.peer_sends(data(10).seq(1).ack(1));
        t.expect(TcpPhase::established).snapshot();
        t.expect(ack(11));
        const auto s = t.stack().next_socket({});
        REQUIRE(s);
        t.listener = s;
        t.app_accepts().app_reads(10);
    }
    SECTION("and the close becomes durable") {
        REQUIRE(t.stack().close(std::exchange(t.listener, {})).has_value());
        t.settle().expect_silence().snapshot();
        CHECK(is_reset(t.expect_packet()));
        t.expect_silence();
    }
}

HELD_CASE("DURABILITY 1, RST: none before ready(), whatever comes", "[marks]") {
    auto t = listening(way, held);
    t.snapshot();
    t.crash_unready(1_s);
    for (const Segment& s : {data(10).seq(1).ack(1), ack(7).seq(3), fin().seq(9).ack(9), syn_ack().ack(5)}) {
        t.use_flow(3).flow().stack_port = 99;  // nobody listens there
        t.peer_sends(s);
        t.expect_silence();
    }
    t.expect_dropped(DropReason::tcp_not_ready, 4);
    t.stack().ready(false);
    t.settle().peer_sends(data(10).seq(1).ack(1));
    t.expect(rst().seq(1)).expect_silence();
    t.flow().stack_port = 80;
}
