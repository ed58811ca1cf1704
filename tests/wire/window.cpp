// RFC 9293 3.8.6: windows: silly ones, closed ones, probes, shrinking.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// A receive buffer of 8,000 bytes, full segments of 1,000.
Fixture small_window(Way way) {
    FixtureOptions options;
    options.config.tcp.receive_buffer = 8000;
    return established(way, options);
}

}  // namespace

WIRE_CASE("RFC 9293 3.8.6: the window is what the buffer has room for, and closes when nobody reads",
          "[window]") {
    auto t = small_window(way);
    std::uint32_t edge = 0;
    for (int i = 0; i < 8; ++i) t.peer_sends(data(1000));
    t.after(100_ms);
    while (const auto p = t.take()) edge = p->tcp->ack - t.flow().iss + p->tcp->window;
    CHECK(edge == 8001);
    CHECK(t.info().receive_window == 0);
    // Beyond the window: not taken, acknowledged.
    t.after(1_s).peer_sends(data(1000));
    t.expect(ack(8001).window(0)).expect_readable(8000);
    t.flow().snd_nxt = 8001;
}

WIRE_CASE("RFC 9293 3.8.6.2.2: the window opens in steps of a segment or half the buffer, at once then",
          "[window]") {
    auto t = small_window(way);
    for (int i = 0; i < 8; ++i) t.peer_sends(data(1000));
    t.after(100_ms).ignore_output();
    t.app_reads(100).app_reads(100);
    t.expect_silence();
    for (int i = 0; i < 20; ++i) t.app_reads(100);
    // 2,200 bytes are free: at least one full segment (1,440) and the peer was at zero.
    const auto p = t.take();
    REQUIRE(p.has_value());
    CHECK(p->tcp->window >= 1440);
    CHECK(p->tcp->ack - t.flow().iss == 8001);
    t.ignore_output();
    t.app_reads(8000 - 2200);
    t.ignore_output();
    CHECK(t.info().receive_window == 8000);
}

WIRE_CASE("RFC 9293 3.8.6.1: a probe of one byte at a closed window is answered", "[window]") {
    auto t = small_window(way);
    for (int i = 0; i < 8; ++i) t.peer_sends(data(1000));
    t.after(1_s).ignore_output();
    for (int i = 0; i < 5; ++i) {
        t.after(1_s).peer_sends(data(1).seq(8001));
        t.expect(ack(8001).window(0)).expect_silence();
    }
    t.flow().snd_nxt = 8001;
    t.app_reads(8000);
    t.expect(ack(8001).window(8000));
    t.peer_sends(data(10));
    t.after(100_ms).ignore_output();
    t.app_reads(10);
}

WIRE_CASE("RFC 9293 3.10.7.4: what a segment has beyond the window is cut off", "[window]") {
    auto t = small_window(way);
    for (int i = 0; i < 5; ++i) t.peer_sends(data(1440));
    t.ignore_output();
    t.peer_sends(data(1440).seq(7201).also(flag::fin));
    t.after(100_ms).ignore_output();
    t.expect_readable(8000).expect(TcpPhase::established);
    t.expect_dropped(DropReason::tcp_beyond_window);
}

WIRE_CASE("RFC 9293 3.8.6.1: our probes of a closed window back off and never give up on a peer that answers",
          "[window]") {
    auto t = established(way);
    t.peer_sends(ack(1).window(0));
    t.app_sends(500);
    t.expect_silence();
    Instant last = t.now();
    Duration gap{};
    for (int i = 0; i < 30; ++i) {
        const auto p = t.wait(t.elapsed() + 200_s);
        REQUIRE(p.has_value());
        // A probe is one byte of new data, or a segment that is unacceptable: either makes the peer answer.
        CHECK(p->tcp->payload.size() <= 1);
        if (i >= 1) CHECK(t.taken_at() - last >= gap);
        gap = t.taken_at() - last;
        CHECK(gap <= 60_s);
        last = t.taken_at();
        t.peer_sends(ack(1).window(0));
        t.expect_silence();
    }
    CHECK(gap == 60_s);
    t.expect(TcpPhase::established);
    t.peer_sends(ack(1).window(65535));
    const Packet p = t.expect_packet();
    CHECK(p.tcp->seq - *t.flow().stack_iss <= 2);
    CHECK(p.tcp->payload.size() >= 499);
    t.flow().rcv_nxt = 501;
    t.peer_sends(ack(501));
}

WIRE_CASE("RFC 9293 3.8.6.1: the first probe comes after a retransmission time-out", "[window]") {
    auto t = established(way);
    t.peer_sends(ack(1).window(0));
    t.mark();
    t.app_sends(500);
    const Duration rto = t.info().rto;
    const auto p = t.wait(10_s);
    REQUIRE(p.has_value());
    CHECK(t.taken_at() - t.now() == Duration{});
    CHECK(t.elapsed() >= 200_ms);
    CHECK(t.elapsed() <= rto + 1_ms);
}

WIRE_CASE("RFC 9293 3.8.6.1: a peer that does not answer probes is given up", "[window]") {
    auto t = established(way);
    t.peer_sends(ack(1).window(0));
    t.app_sends(500);
    t.after(2000_s).ignore_output();
    t.expect(TcpPhase::closed).expect_error(Error::timed_out);
}

WIRE_CASE("RFC 9293 3.8.6.2.1: the sender sends no silly segments", "[window]") {
    auto t = established(way);
    t.flow().window = 2000;
    t.peer_sends(ack(1));
    t.set(SocketOption::no_delay, 1);
    t.app_sends(5000);
    // 1,440 fit; the remaining 560 are less than half of the largest window (1,000), and a full segment does
    // not fit.
    t.expect(data(1440).seq(1));
    t.take();
    t.peer_sends(ack(1441).window(560));
    t.expect_silence();
    t.peer_sends(ack(1441).window(1500));
    t.expect(data(1440).seq(1441)).expect_silence();
}

WIRE_CASE("RFC 9293 3.8.6: a peer that shrinks its window is borne", "[window]") {
    auto t = established(way);
    t.flow().window = 10'000;
    t.peer_sends(ack(1));
    t.app_sends(10'000);
    std::size_t bytes = 0;
    while (const auto p = t.take()) bytes += p->tcp->payload.size();
    CHECK(bytes > 7000);
    t.flow().window = 1000;
    t.peer_sends(ack(1));
    t.expect_silence();
    // What is beyond the new edge is not sent again until the window opens; what is inside may be.
    t.peer_sends(ack(1001).window(0));
    t.expect(TcpPhase::established);
    t.after(5_s);
    while (const auto p = t.take()) CHECK(p->tcp->payload.size() <= 1440);
    t.flow().window = 20'000;
    t.peer_sends(ack(1001));
    for (int i = 0; i < 40 && t.info().send_queue_bytes != 0; ++i) {
        t.after(1_s);
        while (t.take()) {
        }
        t.peer_sends(ack());
    }
    CHECK(t.info().tx_acknowledged == 10'000);
}

WIRE_CASE("RFC 9293 3.10.7.4: old segments do not update the window (WL1, WL2)", "[window]") {
    auto t = established(way);
    t.peer_sends(data(10).window(3000));
    CHECK(t.info().send_window == 3000);
    t.peer_sends(data(10).window(4000));
    CHECK(t.info().send_window == 4000);
    t.peer_sends(ack(1).seq(15).window(9));
    CHECK(t.info().send_window == 4000);
    t.after(600_ms).ignore_output();
    t.peer_sends(ack(1).seq(21).window(2000));
    CHECK(t.info().send_window == 2000);
    t.app_reads(20);
}

WIRE_CASE("RFC 9293 3.10.7.4: an ACK that advances brings its window, though its SEQ is older than WL1", "[window]") {
    auto t = established(way);
    t.app_sends(300).expect(data(300));
    // Out of order: SEQ is ahead, and becomes WL1.
    t.peer_sends(data(10).seq(500).ack(1).window(5000));
    t.after(100_ms).ignore_output();
    CHECK(t.info().send_window == 5000);
    // A peer whose window was shrunk goes back in SEQ. Were its window not taken, the edge would move on with una.
    t.peer_sends(ack(301).seq(1).window(4700));
    CHECK(t.info().tx_acknowledged == 300);
    CHECK(t.info().send_window == 4700);
    t.peer_sends(data(499).seq(1).ack(301));
    t.after(100_ms).ignore_output();
    t.app_reads(509);
}

// Both sides may have sent into a window that was then shrunk: each one's pure ACKs lie before the other's RCV.NXT.
WIRE_CASE("DURABILITY 9: while our data is beyond a shrunk window, an ACK before RCV.NXT still counts", "[window]") {
    auto t = established(way);
    t.peer_sends(data(100));
    t.after(100_ms).ignore_output();
    t.app_sends(300).expect(data(300));
    t.peer_sends(ack(1).seq(101).window(0));
    CHECK(t.info().send_window == 0);
    t.peer_sends(ack(301).seq(1).window(5000));
    t.after(100_ms).ignore_output();
    CHECK(t.info().tx_acknowledged == 300);
    CHECK(t.info().send_window == 5000);
    t.app_reads(100);
}

WIRE_CASE("RFC 9293 3.8.6: segments sent into a closed window still carry valid ACKs", "[window]") {
    auto t = small_window(way);
    t.app_sends(100).expect(data(100));
    for (int i = 0; i < 8; ++i) t.peer_sends(data(1000).ack(1));
    t.after(100_ms).ignore_output();
    REQUIRE(t.info().receive_window == 0);
    // 3.10.7.4: with a zero window, ACKs at RCV.NXT are still taken.
    t.peer_sends(ack(101));
    CHECK(t.info().tx_acknowledged == 100);
}

WIRE_CASE("RFC 9293 3.8.6.2.2: many small reads make few window updates", "[window]") {
    FixtureOptions options;
    options.config.tcp.receive_buffer = 32'000;
    auto t = established(way, options);
    int updates = 0;
    for (int round = 0; round < 10; ++round) {
        t.peer_sends(data(1000)).peer_sends(data(1000));
        t.after(50_ms).ignore_output();
        for (int i = 0; i < 20; ++i) t.app_reads(100);
        while (t.take()) ++updates;
    }
    CHECK(updates <= 10);
}

WIRE_CASE("RFC 9293 3.10.7.4: a FIN right behind a full window is not taken, and comes again when there is room", "[window]") {
    FixtureOptions options;
    options.config.tcp.receive_buffer = 4096;
    const auto full = [&] {
        auto t = established(way, options);
        t.peer_sends(data(1440));
        t.peer_sends(data(1440));
        t.after(100_ms).ignore_output();
        return t;
    };
    const auto reopened = [](Fixture& t) {
        t.expect(TcpPhase::established).expect_dropped(DropReason::tcp_beyond_window);
        t.after(1_s).expect_silence();
        t.flow().snd_nxt = 4097;
        t.app_reads(4096);
        t.expect(ack(4097).window(4096));
        std::uint8_t byte = 0;
        CHECK(t.stack().receive(t.socket, {&byte, 1}).error() == Error::would_block);
        t.peer_sends(fin());
        t.expect(ack(4098)).expect(TcpPhase::close_wait).expect_end_of_stream();
    };
    SECTION("with the text that fills it to its last byte") {
        auto t = full();
        t.peer_sends(data(1216).also(flag::fin));
        t.expect(ack(4097).window(0));
        reopened(t);
    }
    SECTION("with one byte less than the window, it is inside") {
        auto t = full();
        t.peer_sends(data(1215).also(flag::fin));
        t.expect(ack(4097)).expect(TcpPhase::close_wait);
        t.app_reads(4095).expect_end_of_stream();
    }
    SECTION("out of order") {
        auto t = full();
        t.peer_sends(data(616).seq(3481).also(flag::fin));
        t.expect(ack(2881));
        t.peer_sends(data(600).seq(2881));
        t.expect(ack(4097).window(0));
        reopened(t);
    }
    SECTION("alone, at a window that is shut") {
        auto t = full();
        t.peer_sends(data(1216));
        t.after(1_s).ignore_output();
        t.peer_sends(fin().seq(4097));
        t.expect(ack(4097).window(0));
        reopened(t);
    }
}
