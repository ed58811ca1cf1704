// RFC 9293 3.6: every order in which a connection can end; 3.10.4, 3.10.5 and 3.10.7.4.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE("RFC 9293 3.6 figure 12: normal close, we first", "[close]") {
    auto t = fin_wait_1(way);
    t.at(10_ms).peer_sends(ack(2));
    t.expect(TcpPhase::fin_wait_2).expect_silence();
    t.peer_sends(fin());
    t.expect(ack(2).seq(2)).expect(TcpPhase::time_wait).expect_silence();
    t.expect_end_of_stream();
    t.after(59'999_ms).expect(TcpPhase::time_wait);
    t.after(1_ms).expect(TcpPhase::closed).expect_silence();
}

WIRE_CASE("RFC 9293 3.6: FIN and its ACK in one segment", "[close]") {
    auto t = fin_wait_1(way);
    t.peer_sends(fin().ack(2));
    t.expect(ack(2).seq(2)).expect(TcpPhase::time_wait).expect_silence();
}

WIRE_CASE("RFC 9293 3.6 figure 13: both close at once", "[close]") {
    auto t = fin_wait_1(way);
    t.peer_sends(fin().ack(1));
    t.expect(ack(2).seq(2)).expect(TcpPhase::closing).expect_silence();
    t.peer_sends(ack(2));
    t.expect(TcpPhase::time_wait).expect_silence();
}

WIRE_CASE("RFC 9293 3.6: the peer first", "[close]") {
    auto t = close_wait(way);
    t.expect_end_of_stream();
    t.app_shuts_down();
    t.expect(fin().seq(1).ack(2)).expect(TcpPhase::last_ack);
    t.peer_sends(ack(2));
    t.expect(TcpPhase::closed).expect_silence();
    CHECK(t.stack().readiness(t.socket)->has(Readiness::hung_up));
}

WIRE_CASE("RFC 9293 3.6: half-close, the peer goes on sending", "[close]") {
    auto t = fin_wait_2(way);
    t.peer_sends(data(100));
    t.expect_by(500_ms, ack(101).seq(2));
    t.app_reads(100);
    t.peer_sends(data(50).also(flag::fin));
    t.expect(ack(152).seq(2)).expect(TcpPhase::time_wait);
    t.app_reads(50).expect_end_of_stream();
}

WIRE_CASE("RFC 9293 3.6: half-close, we go on sending", "[close]") {
    auto t = close_wait(way);
    t.app_sends(100);
    t.expect(data(100).seq(1).ack(2));
    t.peer_sends(ack(101));
    t.app_sends(50).expect(data(50).seq(101));
    t.app_shuts_down();
    t.expect(fin().seq(151));
    t.peer_sends(ack(152));
    t.expect(TcpPhase::closed).expect_silence();
}

WIRE_CASE("RFC 9293 3.10.4: FIN waits for what was accepted before it", "[close]") {
    auto t = listening(way);
    t.flow().window = 1000;
    open_passive(t);
    t.app_sends(2500);
    t.expect(data(1000).seq(1)).expect_silence();
    t.app_shuts_down();
    t.expect_silence();
    t.peer_sends(ack(1001));
    t.expect(data(1000).seq(1001)).expect_silence();
    t.peer_sends(ack(2001));
    t.expect(fin().seq(2001).length(500)).expect_silence().expect(TcpPhase::fin_wait_1);
    t.peer_sends(ack(2502));
    t.expect(TcpPhase::fin_wait_2);
}

WIRE_CASE("RFC 9293 3.10.4: close with SYN-RECEIVED waits for the handshake", "[close]") {
    auto t = syn_sent(way);
    t.app_shuts_down();
    t.expect_silence();
    // A call of CLOSE in SYN-SENT deletes the connection (3.10.4); nothing is owed to the peer.
    t.peer_sends(syn_ack().seq(0).ack(1));
    const auto answer = t.take();
    if (answer) CHECK((answer->tcp->flags & (flag::rst | flag::fin | flag::ack)) != 0);
    t.ignore_output();
}

WIRE_CASE("RFC 9293 3.10.7.4: FIN out of order waits for what is missing", "[close]") {
    auto t = established(way);
    t.peer_sends(fin().seq(101));
    t.expect(ack(1)).expect(TcpPhase::established).expect_silence();
    t.peer_sends(data(100).seq(1));
    t.expect(ack(102)).expect(TcpPhase::close_wait);
    t.app_reads(100).expect_end_of_stream();
}

WIRE_CASE("RFC 9293 3.10.7.4: a repeated FIN is acknowledged again in every phase after it", "[close]") {
    for (const TcpPhase phase :
         {TcpPhase::close_wait, TcpPhase::closing, TcpPhase::last_ack, TcpPhase::time_wait}) {
        CAPTURE(keepnet::name(phase));
        auto t = reach(phase, way);
        t.after(700_ms).ignore_output();
        t.peer_sends(fin().seq(1));
        t.expect(ack(2)).expect_silence().expect(phase);
    }
}

WIRE_CASE("RFC 9293 3.10.7.4: a repeated FIN restarts TIME-WAIT", "[close]") {
    auto t = time_wait(way);
    t.at(40_s).peer_sends(fin().seq(1));
    t.expect(ack(2).seq(2));
    t.at(61_s).expect(TcpPhase::time_wait);
    t.at(99_s).expect(TcpPhase::time_wait);
    t.at(101_s).expect(TcpPhase::closed).expect_silence();
}

WIRE_CASE("RFC 1337 3: a reset does not end TIME-WAIT", "[close]") {
    auto t = time_wait(way);
    t.peer_sends(rst().seq(2));
    t.expect_silence().expect(TcpPhase::time_wait).expect_dropped(DropReason::tcp_reset_in_time_wait);
}

WIRE_CASE("RFC 6191 2: a later SYN opens anew from TIME-WAIT", "[close]") {
    auto t = time_wait(way);
    const std::uint32_t old_end = *t.flow().stack_iss + 2;
    t.flow().iss += 100'000;
    t.flow().snd_nxt = 0;
    t.flow().peer_edge = 0;
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
    // RFC 9293 3.6.1, MAY-2: its ISN is above everything that the old connection used.
    CHECK(static_cast<std::int32_t>(*t.flow().stack_iss - old_end) > 0);
    t.flow().rcv_nxt = 1;
    t.peer_sends(ack(1));
    t.expect(TcpPhase::established);
}

WIRE_CASE("RFC 6191 2: an old SYN in TIME-WAIT is only acknowledged", "[close]") {
    auto t = time_wait(way);
    t.peer_sends(syn().seq(0xffff'0000));
    t.expect(ack(2).seq(2)).expect_silence().expect(TcpPhase::time_wait);
}

WIRE_CASE("RFC 6191 2: with timestamps, a SYN with a newer one opens anew though its number is lower",
          "[close]") {
    auto t = listening(way);
    t.flow().offers_ts = true;
    open_passive(t);
    t.app_shuts_down().expect(fin());
    t.after(10_ms).peer_sends(fin().ack(2));
    t.expect(ack(2)).expect(TcpPhase::time_wait);
    t.after(2_s);
    t.flow().iss -= 100'000;
    t.flow().snd_nxt = 0;
    t.flow().peer_edge = 0;
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
}

WIRE_CASE("RFC 9293 3.6.1: close() with unread data resets", "[close]") {
    auto t = established(way);
    t.peer_sends(data(10));
    t.after(100_ms).ignore_output();
    t.app_closes();
    const Packet p = t.expect_packet();
    CHECK((p.tcp->flags & flag::rst) != 0);
    CHECK(p.tcp->seq == *t.flow().stack_iss + 1);
    t.expect_silence().expect(TcpPhase::closed);
}

WIRE_CASE("RFC 9293 3.10.4: close() with everything read sends FIN", "[close]") {
    auto t = established(way);
    t.peer_sends(data(10));
    t.after(100_ms).ignore_output();
    t.app_reads(10).app_closes();
    t.expect(fin().seq(1).ack(11)).expect_silence().expect(TcpPhase::fin_wait_1);
    t.peer_sends(ack(2));
    t.expect(TcpPhase::fin_wait_2);
}

WIRE_CASE("RFC 9293 3.6.1: data for a closed socket is answered with a reset", "[close]") {
    auto t = established(way);
    t.app_closes();
    t.expect(fin().seq(1));
    t.peer_sends(ack(2));
    t.peer_sends(data(10));
    const Packet p = t.expect_packet();
    CHECK((p.tcp->flags & flag::rst) != 0);
    t.expect_silence().expect(TcpPhase::closed).expect_dropped(DropReason::tcp_data_after_close);
}

WIRE_CASE("RFC 9293 3.6.1: an orphan does not stay in FIN-WAIT-2 for ever", "[close]") {
    auto t = established(way);
    t.app_closes();
    t.expect(fin());
    t.peer_sends(ack(2));
    t.expect(TcpPhase::fin_wait_2);
    t.after(61_s).ignore_output();
    t.expect(TcpPhase::closed);
}

WIRE_CASE("RFC 9293 3.6: with its handle FIN-WAIT-2 stays", "[close]") {
    auto t = fin_wait_2(way);
    t.after(600_s).expect(TcpPhase::fin_wait_2).expect_silence();
    t.peer_sends(data(10));
    t.expect_by(601_s, ack(11));
    t.app_reads(10);
}

WIRE_CASE("RFC 9293 3.10.5: abort resets in every synchronized phase but TIME-WAIT", "[close]") {
    for (const TcpPhase phase : synchronized_phases) {
        CAPTURE(keepnet::name(phase));
        auto t = reach(phase, way);
        t.app_aborts();
        const bool resets = phase == TcpPhase::established || phase == TcpPhase::fin_wait_1 ||
                            phase == TcpPhase::fin_wait_2 || phase == TcpPhase::close_wait;
        if (resets) {
            const Packet p = t.expect_packet();
            CHECK((p.tcp->flags & flag::rst) != 0);
            const bool fin_sent = phase == TcpPhase::fin_wait_1 || phase == TcpPhase::fin_wait_2;
            CHECK(p.tcp->seq - *t.flow().stack_iss == (fin_sent ? 2U : 1U));
        } else {
            t.ignore_output();
        }
        t.expect_silence();
        if (phase != TcpPhase::time_wait) t.expect(TcpPhase::closed);
    }
}

WIRE_CASE("RFC 9293 3.10.4: linger 0 makes close() a reset", "[close]") {
    auto t = established(way);
    t.set(SocketOption::linger, 0).app_closes();
    const Packet p = t.expect_packet();
    CHECK((p.tcp->flags & flag::rst) != 0);
    t.expect_silence().expect(TcpPhase::closed);
}

WIRE_CASE("RFC 9293 3.10.7.4: FIN is repeated until acknowledged", "[close]") {
    auto t = fin_wait_1(way);
    t.expect_between(200_ms, 1_s, fin().seq(1));
    t.expect_between(400_ms, 3_s, fin().seq(1));
    t.peer_sends(ack(2));
    t.expect(TcpPhase::fin_wait_2).expect_silence();
}

WIRE_CASE("RFC 9293 3.10.7.4: a reset at the left edge ends every synchronized phase but TIME-WAIT",
          "[close]") {
    for (const TcpPhase phase : synchronized_phases) {
        if (phase == TcpPhase::time_wait) continue;
        CAPTURE(keepnet::name(phase));
        auto t = reach(phase, way);
        t.peer_sends(rst());
        t.expect_silence().expect(TcpPhase::closed);
        const bool normal = phase == TcpPhase::closing || phase == TcpPhase::last_ack;
        const auto error = t.stack().take_error(t.socket);
        if (normal) {
            CHECK((!error || *error == Error::invalid || *error == Error::connection_reset));
        } else {
            CHECK(*error == Error::connection_reset);
        }
    }
}

WIRE_CASE("RFC 9293 3.9.1: send after shutdown fails, received data can still be read", "[close]") {
    auto t = established(way);
    t.peer_sends(data(10));
    t.after(100_ms).ignore_output();
    t.app_shuts_down().expect(fin().seq(1));
    const std::uint8_t byte = 1;
    const auto sent = t.stack().send(t.socket, ByteView{&byte, 1});
    CHECK((!sent && sent.error() == Error::closed));
    t.app_reads(10);
}

WIRE_CASE("RFC 9293 3.10.7.4: after a reset what was received is gone and the caller is told", "[close]") {
    auto t = established(way);
    t.peer_sends(rst());
    std::uint8_t byte = 0;
    const auto got = t.stack().receive(t.socket, {&byte, 1});
    REQUIRE_FALSE(got.has_value());
    CHECK(keepnet::name(got.error()) == keepnet::name(Error::connection_reset));
    t.expect(TcpPhase::closed);
}
