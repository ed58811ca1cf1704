// RFC 6298: the retransmission timer.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// Sends n bytes, the peer acknowledges them after `rtt`.
void round_trip(Fixture& t, Duration rtt, std::size_t n = 100) {
    t.app_sends(n).expect(data(n));
    t.after(rtt).peer_sends(ack());
    t.expect_silence();
}

}  // namespace

WIRE_CASE("RFC 6298 2.1: one second until the first measurement", "[rto]") {
    Fixture t(way);
    t.app_connects();
    t.expect(syn());
    t.mark();
    t.expect_between(1_s, 1_s, syn());
}

WIRE_CASE("RFC 6298 2.2: the first measurement R gives SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR",
          "[rto]") {
    auto t = syn_sent(way);
    t.at(100_ms).peer_sends(syn_ack().seq(0).ack(1));
    t.expect(ack(1));
    t.mark();
    CHECK(t.info().srtt == 100_ms);
    CHECK(t.info().rttvar == 50_ms);
    CHECK(t.info().rto == 300_ms);
    t.app_sends(10).expect(data(10));
    t.expect_between(300_ms, 300_ms, data(10).seq(1));
}

WIRE_CASE("RFC 6298 2.3: a later measurement: RTTVAR first, then SRTT", "[rto]") {
    auto t = syn_sent(way);
    t.at(100_ms).peer_sends(syn_ack().seq(0).ack(1));
    t.expect(ack(1));
    round_trip(t, 200_ms);
    // RTTVAR = 3/4 * 50 + 1/4 * |100 - 200| = 62.5; SRTT = 7/8 * 100 + 1/8 * 200 = 112.5; RTO = 362.5
    CHECK(t.info().rttvar == 62'500_us);
    CHECK(t.info().srtt == 112'500_us);
    CHECK(t.info().rto == 362'500_us);
}

WIRE_CASE("RFC 6298 2.4: the configured minimum holds", "[rto]") {
    auto t = syn_sent(way);
    t.at(1_ms).peer_sends(syn_ack().seq(0).ack(1));
    t.expect(ack(1));
    t.mark();
    t.app_sends(10).expect(data(10));
    t.expect_between(200_ms, 205_ms, data(10).seq(1));
}

WIRE_CASE("RFC 6298 3: a retransmitted segment is not measured (Karn)", "[rto]") {
    auto t = syn_sent(way);
    t.at(100_ms).peer_sends(syn_ack().seq(0).ack(1));
    t.expect(ack(1));
    t.mark();
    t.app_sends(10).expect(data(10));
    t.expect_between(300_ms, 300_ms, data(10).seq(1));
    t.at(310_ms).peer_sends(ack(11));
    CHECK(t.info().srtt == 100_ms);
    // 5: the doubled time-out stays until there is a measurement of something sent once.
    t.app_sends(10).expect(data(10).seq(11));
    const auto again = t.wait(3_s);
    REQUIRE(again.has_value());
    CHECK(t.taken_at() - t.now() == Duration{});
    t.peer_sends(ack());
    round_trip(t, 100_ms);
    CHECK(t.info().rto < 400_ms);
}

WIRE_CASE("RFC 6298 3: a fast retransmission is not measured either", "[rto]") {
    auto t = syn_sent(way);
    t.flow().offers_mss = 1000;
    t.at(100_ms).peer_sends(syn_ack().seq(0).ack(1));
    t.expect(ack(1));
    t.app_sends(5000).ignore_output();
    for (int i = 0; i < 3; ++i) t.after(1_ms).peer_sends(ack(1));
    t.expect(data(1000).seq(1)).ignore_output();
    t.after(150_ms).peer_sends(ack(5001));
    CHECK(t.info().srtt == 100_ms);
}

WIRE_CASE(
    "RFC 6298 5.1 to 5.3: the timer runs while something is outstanding, anew after each ACK of new data",
    "[rto]") {
    auto t = syn_sent(way);
    t.at(100_ms).peer_sends(syn_ack().seq(0).ack(1));
    t.expect(ack(1));
    t.mark();
    t.set(SocketOption::no_delay, 1);
    t.app_sends(10).expect(data(10).seq(1));
    t.at(50_ms).app_sends(10).expect(data(10).seq(11));
    t.at(100_ms).peer_sends(ack(11));
    t.expect_silence();
    const Duration rto = t.info().rto;
    t.expect_between(100_ms + rto, 100_ms + rto, data(10).seq(11));
    t.peer_sends(ack(21));
    t.after(100_s).expect_silence();
}

WIRE_CASE("RFC 6298 5.5: the time-out doubles, up to the maximum", "[rto]") {
    auto t = established(way);
    t.app_sends(10).expect(data(10));
    Instant last = t.now();
    std::vector<Duration> gaps;
    while (t.elapsed() < 600_s) {
        const auto p = t.wait(700_s);
        if (!p) break;
        CHECK(p->tcp->payload.size() == 10);
        gaps.push_back(t.taken_at() - last);
        last = t.taken_at();
    }
    REQUIRE(gaps.size() > 8);
    for (std::size_t i = 1; i < gaps.size(); ++i) {
        CHECK(gaps[i] == (gaps[i - 1] * 2 < 60_s ? gaps[i - 1] * 2 : 60_s));
    }
}

WIRE_CASE("RFC 6298 5.7: after the SYN was lost, data starts with three seconds", "[rto]") {
    auto t = syn_sent(way);
    t.expect_between(1_s, 1_s, syn());
    t.at(1100_ms).peer_sends(syn_ack().seq(0).ack(1));
    t.expect(ack(1));
    t.mark();
    t.app_sends(10).expect(data(10));
    t.expect_between(3_s, 3_s, data(10));
}

WIRE_CASE("RFC 9293 3.8.3: data is repeated for at least 100 s, then the caller is told", "[rto]") {
    auto t = established(way);
    t.app_sends(10).expect(data(10));
    t.at(100_s).ignore_output();
    t.expect(TcpPhase::established);
    t.at(1100_s).ignore_output();
    t.expect(TcpPhase::closed).expect_error(Error::timed_out);
}

WIRE_CASE("RFC 9293 3.9.1: the user time-out ends a connection whose peer is silent", "[rto]") {
    auto t = established(way);
    t.set(SocketOption::user_timeout, (10_s).ns);
    t.app_sends(10).expect(data(10));
    t.at(9_s).ignore_output();
    t.expect(TcpPhase::established);
    t.at(12_s).ignore_output();
    t.expect(TcpPhase::closed).expect_error(Error::timed_out);
}

WIRE_CASE("RFC 6298 5.4: a time-out sends the earliest outstanding segment alone", "[rto]") {
    auto t = established(way);
    t.set(SocketOption::no_delay, 1).app_sends(5000);
    t.expect(data(1440)).expect(data(1440)).expect(data(1440)).expect(data(680)).expect_silence();
    const auto p = t.wait(2_s);
    REQUIRE(p.has_value());
    CHECK(p->tcp->seq - *t.flow().stack_iss == 1);
    CHECK(p->tcp->payload.size() == 1440);
    t.expect_silence();
}

WIRE_CASE("RFC 7323 4.2: with timestamps a retransmission can be measured", "[rto]") {
    auto t = listening(way);
    t.flow().offers_ts = true;
    open_passive(t);
    t.app_sends(10).expect(data(10));
    const auto again = t.wait(2_s);
    REQUIRE(again.has_value());
    t.after(100_ms).peer_sends(ack(11));
    CHECK(t.info().srtt >= 10_ms);
}
