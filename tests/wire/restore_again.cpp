// DURABILITY 8, what shows only when the restored is restored, or where both sides had said something: each life must be
// able to say what the one before it could.
#include "support/held.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE("DURABILITY 8: text behind a SYN that is not acknowledged is still behind it in the third life", "[restore]") {
    const auto third_life = [&](bool simultaneous) {
        Fixture t(way);
        t.app_connects();
        t.expect(syn().seq(0));
        t.app_sends(10);
        if (simultaneous) {
            t.peer_sends(syn());
            t.expect(syn_ack().seq(0).ack(1)).expect(TcpPhase::syn_received);
        }
        for (int life = 0; life < 3; ++life) {
            t.snapshot().crash(1_s);
            t.expect(simultaneous ? syn_ack().seq(0).ack(1) : syn().seq(0)).expect_silence();
        }
        return t;
    };
    SECTION("SYN-SENT") {
        auto t = third_life(false);
        // RFC 9293 3.10.7.3: none of the text was ever sent.
        t.peer_sends(syn_ack().ack(6));
        t.expect(rst().seq(6)).expect(TcpPhase::syn_sent);
        t.peer_sends(syn_ack().ack(1));
        t.expect(data(10).seq(1).ack(1)).expect(TcpPhase::established);
        t.peer_sends(ack(11));
        CHECK(t.info().tx_acknowledged == 10);
    }
    SECTION("SYN-RECEIVED") {
        auto t = third_life(true);
        t.peer_sends(ack(6).seq(1));
        t.expect(rst().seq(6)).expect(TcpPhase::syn_received);
        t.peer_sends(ack(1).seq(1));
        t.expect(data(10).seq(1).ack(1)).expect(TcpPhase::established);
        t.peer_sends(ack(11));
        CHECK(t.info().tx_acknowledged == 10);
    }
}

HELD_CASE("DURABILITY 8: text that is not acknowledged goes first, where the ACK alone would wait for a probe's answer",
          "[restore]") {
    auto t = listening(way, held);
    t.flow().offers_ts = true;
    open_held(t);
    SECTION("text of ours") {
        t.app_sends(10).peer_sends(data(100));
        t.snapshot().ignore_output().crash(1_s);
        t.expect(data(10).seq(1).ack(101)).expect_silence();
    }
    SECTION("a FIN of ours") {
        t.app_shuts_down().peer_sends(data(100));
        t.snapshot().ignore_output().crash(1_s);
        t.expect(fin().seq(1).ack(101)).expect_silence();
    }
    SECTION("nothing of ours: a probe, and the ACK behind what the peer says to it") {
        t.peer_sends(data(100)).snapshot().ignore_output();
        t.crash(1_s);
        t.expect(ack(101).seq(0)).expect_silence();
        t.peer_sends(ack(1));
        t.expect(ack(101).seq(1)).expect_silence();
    }
    t.app_reads(100).peer_sends(ack());
    t.snapshot().ignore_output();
}
