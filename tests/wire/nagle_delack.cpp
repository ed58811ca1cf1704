// RFC 9293 3.7.4: Nagle; 3.8.6.3: delayed ACKs.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE("RFC 9293 3.7.4: a small segment waits while data is unacknowledged", "[nagle]") {
    auto t = established(way);
    t.app_sends(10).expect(data(10).seq(1));
    t.app_sends(20).expect_silence();
    t.app_sends(30).expect_silence();
    t.peer_sends(ack(11));
    t.expect(data(50).seq(11)).expect_silence();
}

WIRE_CASE("RFC 9293 3.7.4: a full segment does not wait", "[nagle]") {
    auto t = established(way);
    t.app_sends(10).expect(data(10).seq(1));
    t.app_sends(2000).expect(data(1440).seq(11)).expect_silence();
    t.peer_sends(ack(1451));
    t.expect(data(560).seq(1451)).expect_silence();
}

WIRE_CASE("RFC 9293 3.7.4: Nagle can be switched off", "[nagle]") {
    auto t = established(way);
    t.set(SocketOption::no_delay, 1);
    t.app_sends(10).expect(data(10).seq(1));
    t.app_sends(20).expect(data(20).seq(11));
    t.set(SocketOption::no_delay, 0);
    t.app_sends(5).expect_silence();
    t.set(SocketOption::no_delay, 1);
    t.expect(data(5).seq(31)).expect_silence();
}

WIRE_CASE("RFC 9293 3.7.4: FIN does not wait, and takes the rest along", "[nagle]") {
    auto t = established(way);
    t.app_sends(10).expect(data(10).seq(1));
    t.app_sends(20).expect_silence();
    t.app_shuts_down();
    t.expect(fin().seq(11).length(20)).expect_silence();
}

WIRE_CASE("cork: a partial segment is held, 200 ms at most", "[nagle]") {
    auto t = established(way);
    t.set(SocketOption::cork, 1).mark();
    t.app_sends(10).expect_silence();
    SECTION("uncorked") {
        t.at(50_ms).set(SocketOption::cork, 0);
        t.expect(data(10).seq(1));
    }
    SECTION("no delay asked for, as Linux: what is held goes, what comes is held again") {
        t.at(50_ms).set(SocketOption::no_delay, 1);
        t.expect(data(10).seq(1));
        t.app_sends(20).expect_silence();
    }
    SECTION("full segment") {
        t.app_sends(1440);
        t.expect(data(1440).seq(1)).expect_silence();
        t.peer_sends(ack(1441));
        t.expect_silence().expect_between(100_ms, 200_ms, data(10).seq(1441));
    }
    SECTION("time") { t.expect_between(200_ms, 200_ms, data(10).seq(1)); }
}

WIRE_CASE("send with `more` holds a partial segment", "[nagle]") {
    auto t = established(way);
    t.app_sends(10, true).expect_silence();
    t.app_sends(20);
    t.expect(data(30).seq(1)).expect_silence();
}

WIRE_CASE("RFC 9293 3.9.1.2: PSH is on the last of several segments that the window lets out at once", "[nagle]") {
    auto t = established(way);
    t.peer_sends(ack(1).window(4000));
    const auto psh = [&](std::size_t bytes, std::uint32_t seq) {
        const Packet p = t.expect_packet();
        CHECK(p.tcp->payload.size() == bytes);
        CHECK(p.tcp->seq == t.flow().stack_iss.value() + seq);
        return (p.tcp->flags & flag::psh) != 0;
    };
    t.app_sends(10'000);
    CHECK_FALSE(psh(1440, 1));
    CHECK(psh(1440, 1441));
    t.at(10_ms).peer_sends(ack(1441).window(4000));
    // One alone is not worth it.
    CHECK_FALSE(psh(1440, 2881));
    t.expect_silence();
}

WIRE_CASE("RFC 9293 3.9.1: PSH is on the segment that ends a write", "[nagle]") {
    auto t = established(way);
    t.set(SocketOption::no_delay, 1).app_sends(2000);
    t.expect(data(1440).where("no PSH",
                              [](const TcpFields& s, const Flow&) { return (s.flags & flag::psh) == 0; }));
    t.expect(data(560).also(flag::psh));
}

WIRE_CASE("RFC 9293 3.8.6.3: an ACK is delayed by less than half a second", "[delack]") {
    auto t = established(way);
    t.peer_sends(data(100)).mark();
    t.expect_silence().at(39_ms).expect_silence();
    t.expect_between(40_ms, 40_ms, ack(101).seq(1));
    t.after(1_s).expect_silence();
}

WIRE_CASE("RFC 9293 3.8.6.3: every second full segment is acknowledged at once", "[delack]") {
    auto t = established(way);
    for (int i = 0; i < 5; ++i) {
        t.peer_sends(data(1440));
        t.expect_silence();
        t.peer_sends(data(1440));
        t.expect(ack(1 + 2880 * (static_cast<std::uint32_t>(i) + 1))).expect_silence();
        t.app_reads(2880).ignore_output();
    }
}

WIRE_CASE("RFC 9293 3.8.6.3: every second one also when the peer's full segments are smaller than ours", "[delack]") {
    auto t = established(way);
    t.peer_sends(data(1000));
    t.expect_silence();
    t.peer_sends(data(1000));
    t.expect(ack(2001)).expect_silence();
    t.app_reads(2000).ignore_output();
}

WIRE_CASE("RFC 9293 3.8.6.3: data that we send carries the ACK", "[delack]") {
    auto t = established(way);
    t.peer_sends(data(100));
    t.expect_silence();
    t.app_sends(10);
    t.expect(data(10).seq(1).ack(101));
    t.after(1_ms).peer_sends(ack());
    t.after(1_s).expect_silence();
}

WIRE_CASE("quick_ack: every segment is acknowledged at once", "[delack]") {
    auto t = established(way);
    t.set(SocketOption::quick_ack, 1);
    t.peer_sends(data(10));
    t.expect(ack(11)).expect_silence();
    t.peer_sends(data(10));
    t.expect(ack(21)).expect_silence();
}

WIRE_CASE("RFC 9293 3.10.7.4: a FIN is acknowledged at once", "[delack]") {
    auto t = established(way);
    t.peer_sends(data(100).also(flag::fin));
    t.expect(ack(102)).expect_silence();
    t.app_reads(100);
}

WIRE_CASE("RFC 9293 3.8.2: an old duplicate is acknowledged at once", "[delack]") {
    auto t = established(way);
    t.peer_sends(data(100));
    t.expect_by(1_s, ack(101));
    t.after(1_s).peer_sends(data(100).seq(1));
    t.expect(ack(101)).expect_silence();
    t.app_reads(100);
}

WIRE_CASE("RFC 9293 3.10.7.4: the urgent pointer does not disturb the stream", "[urgent]") {
    auto t = established(way);
    t.peer_sends(data(100).also(flag::urg).urgent(50));
    t.peer_sends(data(100).also(flag::urg).urgent(60'000));
    t.after(100_ms).ignore_output();
    t.app_reads(200);
}
