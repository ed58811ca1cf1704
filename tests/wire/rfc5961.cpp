// RFC 5961: blind in-window attacks (RST, SYN, data), challenge ACKs and their rate limit.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE("RFC 5961 3.2: a reset in the window but not at RCV.NXT is challenged", "[rfc5961]") {
    auto t = established(way);
    t.peer_sends(rst().seq(2));
    t.expect(ack(1).seq(1)).expect_silence().expect(TcpPhase::established);
    t.expect_dropped(DropReason::tcp_challenged_reset);
    t.after(2_s).peer_sends(rst().seq(65'535));
    t.expect(ack(1).seq(1)).expect(TcpPhase::established);
    // The true peer answers the challenge with a reset at the right number.
    t.peer_sends(rst().seq(1));
    t.expect_silence().expect(TcpPhase::closed);
}

WIRE_CASE("RFC 5961 3.2: a reset outside the window is dropped", "[rfc5961]") {
    auto t = established(way);
    t.peer_sends(rst().seq(0));
    t.expect_silence().expect(TcpPhase::established);
    t.peer_sends(rst().seq(70'000));
    t.expect_silence().expect(TcpPhase::established);
    t.peer_sends(rst().seq(0x8000'0001));
    t.expect_silence().expect(TcpPhase::established);
    t.expect_dropped(DropReason::tcp_unacceptable_sequence, 3);
}

WIRE_CASE("RFC 5961 4.2: a SYN on a synchronized connection is challenged, wherever it is", "[rfc5961]") {
    for (const std::uint32_t at : {0U, 1U, 2U, 5000U, 70'000U, 0x8000'0000U}) {
        CAPTURE(at);
        auto t = established(way);
        t.peer_sends(syn().seq(at));
        t.expect(ack(1).seq(1)).expect_silence().expect(TcpPhase::established);
    }
}

WIRE_CASE("RFC 5961 4.2: the same in every phase after", "[rfc5961]") {
    for (const TcpPhase phase : {TcpPhase::fin_wait_1, TcpPhase::fin_wait_2, TcpPhase::close_wait,
                                 TcpPhase::closing, TcpPhase::last_ack}) {
        CAPTURE(keepnet::name(phase));
        auto t = reach(phase, way);
        t.after(150_ms).ignore_output();
        t.peer_sends(syn().seq(t.flow().snd_nxt + 10));
        t.expect(ack(t.flow().snd_nxt)).expect_silence().expect(phase);
    }
}

WIRE_CASE("RFC 5961 5.2: an ACK of what was never sent is answered and dropped with its data", "[rfc5961]") {
    auto t = established(way);
    t.app_sends(100).expect(data(100));
    t.peer_sends(data(10).ack(102));
    t.expect(ack(1).seq(101)).expect_silence().expect_readable(0).expect_dropped(DropReason::tcp_bad_ack);
}

WIRE_CASE("RFC 5961 5.2: an ACK older than the largest window is challenged and its data dropped",
          "[rfc5961]") {
    auto t = established(way);
    for (int i = 0; i < 200; ++i) {
        t.app_sends(1000);
        while (t.take()) {
        }
        t.peer_sends(ack());
    }
    t.ignore_output();
    REQUIRE(t.flow().rcv_nxt == 200'001);
    SECTION("within MAX.SND.WND: a duplicate, the data counts") {
        t.peer_sends(data(10).ack(200'001 - 60'000));
        t.expect_readable(10);
        t.after(200_ms).ignore_output();
    }
    SECTION("beyond: challenged") {
        t.peer_sends(data(10).ack(200'001 - 70'000));
        t.expect(ack(1).seq(200'001))
            .expect_silence()
            .expect_readable(0)
            .expect_dropped(DropReason::tcp_bad_ack);
    }
}

WIRE_CASE("RFC 5961 7: challenge ACKs of the whole stack are rate limited", "[rfc5961]") {
    FixtureOptions options;
    options.config.tcp.challenge_acks_per_second = 3;
    auto t = established(way, options);
    int answers = 0;
    for (int i = 0; i < 50; ++i) {
        t.peer_sends(rst().seq(100 + static_cast<std::uint32_t>(i)));
        while (t.take()) ++answers;
    }
    CHECK(answers >= 1);
    CHECK(answers <= 3);
    t.after(5_s);
    t.peer_sends(rst().seq(100));
    t.expect(ack(1));
}

WIRE_CASE("RFC 9293 3.10.7.4: answers to unacceptable segments are rate limited for each connection",
          "[rfc5961]") {
    auto t = established(way);
    int answers = 0;
    for (int i = 0; i < 50; ++i) {
        t.peer_sends(ack().seq(0xffff'f000));
        while (t.take()) ++answers;
    }
    CHECK(answers == 1);
    t.after(500_ms).peer_sends(ack().seq(0xffff'f000));
    t.expect(ack(1).seq(1)).expect_silence();
}

WIRE_CASE("RFC 5961 3.2: a reset that carries an ACK is judged by its sequence number alone", "[rfc5961]") {
    auto t = established(way);
    t.peer_sends(rst_ack().seq(1).ack(0x7000'0000));
    t.expect_silence().expect(TcpPhase::closed);
}
