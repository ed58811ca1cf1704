// What an application may choose for a TCP connection, as far as it shows on the wire.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE("TCP_MAXSEG, RFC 9293 3.7.1: it is the MSS of our SYN-ACK, and the limit of what we send",
          "[options][mss]") {
    auto t = listening(way);
    REQUIRE(t.stack().set_option(t.listener, SocketOption::max_segment, 600).has_value());
    t.peer_sends(syn());
    t.expect(syn_ack().mss(600));
    t.peer_sends(ack(1));
    t.app_accepts().app_sends(1300, true);
    t.expect(data(600)).expect(data(600)).expect_silence();
    CHECK_FALSE(t.stack().set_option(t.socket, SocketOption::max_segment, 500).has_value());
    CHECK_FALSE(t.stack().set_option(t.listener, SocketOption::max_segment, 63).has_value());
}

WIRE_CASE("TCP_MAXSEG, RFC 9293 3.7.1: a peer with a smaller MSS gets smaller segments all the same",
          "[options][mss]") {
    auto t = listening(way);
    REQUIRE(t.stack().set_option(t.listener, SocketOption::max_segment, 600).has_value());
    t.flow().offers_mss = 500;
    open_passive(t);
    t.app_sends(1000);
    t.expect(data(500)).expect(data(500)).expect_silence();
}

WIRE_CASE(
    "TCP_CONGESTION, RFC 9438 4.6, RFC 5681 3.2: after a loss CUBIC keeps 7/10 of the window, NewReno a half",
    "[options][congestion]") {
    constexpr std::uint32_t mss = 1000;
    const auto after_loss = [&](std::int64_t at_start, std::optional<std::int64_t> later) {
        FixtureOptions options;
        options.config.tcp.congestion = static_cast<CongestionAlgorithm>(at_start);
        auto t = listening(way, options);
        t.flow().offers_mss = mss;
        open_passive(t);
        if (later) t.set(SocketOption::congestion, *later);
        t.app_sends(30'000).ignore_output();
        t.after(50_ms);
        t.peer_sends(ack(1)).peer_sends(ack(1)).ignore_output();  // RFC 3042
        t.peer_sends(ack(1));
        t.expect(data(mss).seq(1)).ignore_output();
        return t.info().slow_start_threshold / mss;
    };
    constexpr auto newreno = static_cast<std::int64_t>(CongestionAlgorithm::newreno);
    constexpr auto cubic = static_cast<std::int64_t>(CongestionAlgorithm::cubic);
    CHECK(after_loss(cubic, {}) == 7);
    CHECK(after_loss(newreno, {}) == 5);
    CHECK(after_loss(cubic, newreno) == 5);
    CHECK(after_loss(newreno, cubic) == 7);
}

WIRE_CASE("RFC 5482 3.1: how long a peer would wait changes nothing here, and we do not say how long we do",
          "[options][rto]") {
    // One second, in granularity 0. That none of ours has the option is checked with every frame.
    const Bytes advice{28, 4, 0, 1};
    auto t = listening(way);
    t.peer_sends(syn().options(advice));
    t.expect(syn_ack());
    t.peer_sends(ack(1).options(advice));
    t.app_accepts().mark();
    t.peer_sends(data(10).options(advice));
    t.expect_by(500_ms, ack(11));
    t.app_reads(10);
    t.set(SocketOption::user_timeout, (300_s).ns).mark();
    t.app_sends(10).expect(data(10));
    // What the application says holds: longer than the advice.
    t.at(200_s).ignore_output().expect(TcpPhase::established);
    t.at(301_s).ignore_output();
    t.expect_error(Error::timed_out);
}

WIRE_CASE("RFC 9293 3.8.5: urgent data is data, wherever the pointer points", "[options][urgent]") {
    for (const std::uint16_t pointer :
         {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{50}, std::uint16_t{100}, std::uint16_t{65535}}) {
        CAPTURE(pointer);
        auto t = established(way);
        t.peer_sends(data(100).also(flag::urg).urgent(pointer));
        t.app_reads(100).ignore_output();
        // And what comes behind it, without the bit, too; nothing waits for an urgent end that lies in the
        // future.
        t.peer_sends(data(100));
        t.app_reads(100).ignore_output();
        t.expect(TcpPhase::established);
    }
}

WIRE_CASE(
    "MSG_MORE and TCP_CORK, RFC 9293 3.7.4: full segments go, the last one waits for more, for its end, or "
    "for 200 ms",
    "[options][nagle]") {
    SECTION("more comes") {
        auto t = established(way);
        t.app_sends(2000, true).expect(data(1440)).expect_silence();
        t.app_sends(880, false).expect(data(1440)).expect_silence();
    }
    SECTION("the end comes") {
        auto t = established(way);
        t.app_sends(100, true).expect_silence();
        t.app_shuts_down().expect(data(100).also(flag::fin));
    }
    SECTION("nothing comes") {
        auto t = established(way);
        t.set(SocketOption::cork, 1).mark();
        t.app_sends(100).expect_silence();
        t.expect_between(199_ms, 201_ms, data(100));
    }
    SECTION("the cork goes") {
        auto t = established(way);
        t.set(SocketOption::cork, 1).app_sends(100).expect_silence();
        t.set(SocketOption::cork, 0).settle().expect(data(100));
    }
}

WIRE_CASE("TCP_QUICKACK, RFC 9293 3.8.6.3: on, each segment is acknowledged at once, off, every second one",
          "[options][ack]") {
    auto t = established(way);
    t.set(SocketOption::quick_ack, 1);
    t.peer_sends(data(100));
    t.expect(ack(101));
    t.set(SocketOption::quick_ack, 0).mark();
    t.peer_sends(data(100));
    t.expect_silence().expect_by(500_ms, ack(201));
    t.app_reads(200);
}
