// RFC 8985: RACK, by times, and tail loss probes; RFC 9937: proportional rate reduction.
#include <algorithm>

#include "recovery.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE("RFC 8985 6.2: one segment delivered behind a hole: a quarter of the smallest round trip later it is lost",
          "[rack]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 2}}));
    CHECK(sent_numbers(t) == Numbers{10});
    t.mark();
    t.expect_between(25_ms, 25_ms, segment_number(0));
    t.ignore_output();
    CHECK(t.connection()->recovery.in_recovery);
}

WIRE_CASE("RFC 8985 6.2: what comes late within the window was only reordered, and nothing is sent again", "[rack]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 2}}));
    t.ignore_output();
    t.after(10_ms).peer_sends(ack_before(2));
    CHECK(t.connection()->rack.reordering_seen);
    CHECK(t.connection()->rack.reorder == never);
    t.after(100_ms);
    CHECK(t.connection()->recovery.retransmissions == 0);
    t.ignore_output();
}

WIRE_CASE("RFC 8985 6.2: once reordering was seen three deliveries do not do, the time does", "[rack]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 2}}));
    t.after(10_ms).peer_sends(ack_before(2));
    t.ignore_output();
    REQUIRE(t.connection()->rack.reordering_seen);
    t.mark();
    t.peer_sends(sacks(2, {{3, 6}}));
    for (const std::uint32_t n : sent_numbers(t)) CHECK(n >= 10);
    const auto p = t.wait(200_ms);
    REQUIRE(p);
    CHECK((p->tcp->seq - *t.flow().stack_iss - 1) / recovery_mss == 2);
    CHECK(t.elapsed() <= 30_ms);
    t.ignore_output();
}

WIRE_CASE("RFC 8985 3.1: a retransmission that is lost too is sent again without a time-out", "[rack]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 10}}));
    const Numbers first = sent_numbers(t);
    REQUIRE(std::count(first.begin(), first.end(), 0U) == 1);
    // What was sent behind it arrives, it does not.
    REQUIRE(first.back() >= 10);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, first.back() + 1}}));
    Numbers again = sent_numbers(t);
    if (again.empty() || again.front() != 0) {
        t.after(60_ms);
        for (const std::uint32_t n : sent_numbers(t)) again.push_back(n);
    }
    CHECK(std::count(again.begin(), again.end(), 0U) == 1);
    CHECK(t.stack().statistics().tcp_timeouts == 0);
}

WIRE_CASE("RFC 8985 7.2: two round trips without an answer probe the tail, with its last segment", "[tlp]") {
    auto t = open_for_recovery(way);
    t.app_sends(3 * recovery_mss);
    for (std::uint32_t n = 0; n < 3; ++n) t.expect(segment_number(n));
    t.mark();
    t.expect_between(200_ms, 205_ms, segment_number(2));
    // Its answer shows what is missing, before the retransmission timer would have.
    t.after(recovery_rtt).peer_sends(sacks(0, {{2, 3}}));
    CHECK(t.stack().statistics().tcp_timeouts == 0);
    const auto p = t.wait(400_ms);
    REQUIRE(p);
    CHECK(p->tcp->seq - *t.flow().stack_iss == 1);
    t.ignore_output();
}

WIRE_CASE("RFC 8985 7.2: one segment waits for a delayed ACK, but not longer than for the time-out", "[tlp]") {
    auto t = open_for_recovery(way);
    t.app_sends(recovery_mss).expect(segment_number(0)).mark();
    t.expect_between(300_ms, 300_ms, segment_number(0));
    CHECK(t.stack().statistics().tcp_timeouts == 0);
    CHECK(t.info().congestion_window == 10 * recovery_mss);
    // The probe is the last before the timer.
    t.mark();
    t.expect_between(300_ms, 300_ms, segment_number(0));
    CHECK(t.stack().statistics().tcp_timeouts == 1);
    t.peer_sends(ack());
}

WIRE_CASE("RFC 8985 7.3: a probe sends new data where the peer's window has room", "[tlp]") {
    auto t = bulk_for_recovery(way);
    t.mark();
    t.expect_between(200_ms, 205_ms, segment_number(10));
    t.peer_sends(ack());
    t.ignore_output();
    CHECK(t.connection()->recovery.retransmissions == 0);
}

WIRE_CASE("RFC 8985 7.4.2: a loss that only the probe repaired halves the window", "[tlp]") {
    auto t = open_for_recovery(way);
    t.app_sends(3 * recovery_mss);
    for (std::uint32_t n = 0; n < 3; ++n) t.expect(segment_number(n));
    t.mark();
    t.expect_between(200_ms, 205_ms, segment_number(2));
    t.app_sends(recovery_mss).expect(segment_number(3));
    t.after(recovery_rtt).peer_sends(ack_before(4));
    CHECK(t.info().congestion_window < 10 * recovery_mss);
    t.ignore_output();
}

WIRE_CASE("RFC 8985 7.4.2: a probe that was needless, as its D-SACK says, costs nothing", "[tlp]") {
    auto t = open_for_recovery(way);
    t.app_sends(3 * recovery_mss);
    for (std::uint32_t n = 0; n < 3; ++n) t.expect(segment_number(n));
    t.mark();
    t.expect_between(200_ms, 205_ms, segment_number(2));
    t.peer_sends(ack_before(3));
    t.after(recovery_rtt).peer_sends(sacks(3, {{2, 3}}));
    CHECK(t.info().congestion_window >= 10 * recovery_mss);
    CHECK(t.connection()->rack.window_steps == 1);
    CHECK_FALSE(t.connection()->rack.probe_out);
}

WIRE_CASE("RFC 8985 7: a peer without SACK is not probed", "[tlp]") {
    auto t = open_for_recovery(way, {}, false);
    t.app_sends(3 * recovery_mss);
    for (std::uint32_t n = 0; n < 3; ++n) t.expect(segment_number(n));
    t.mark();
    t.expect_between(300_ms, 300_ms, segment_number(0));
    CHECK(t.stack().statistics().tcp_timeouts == 1);
    t.peer_sends(ack_before(3));
}

WIRE_CASE("RFC 8985 7: data that waits for a commit is not probed", "[tlp][marks]") {
    auto t = open_for_recovery(way, FixtureOptions(DurabilityPolicy::snapshot));
    t.auto_commit(false);
    t.app_sends(recovery_mss);
    t.mark();
    t.expect_silence_until(2_s);
    CHECK(t.connection()->rack.probe == never);
    t.snapshot();
    t.expect(segment_number(0));
    t.auto_commit(true).peer_sends(ack());
    t.ignore_output();
}

WIRE_CASE("RFC 9937 6.2: for each ACK of a recovery so much that the flight shrinks to the threshold evenly", "[prr]") {
    FixtureOptions options;
    options.config.tcp.initial_window_segments = 20;
    auto t = open_for_recovery(way, options);
    t.app_sends(60'000);
    CHECK(sent_numbers(t).size() == 20);
    t.after(recovery_rtt);
    Numbers numbers;
    // The first is lost; the other nineteen are reported one by one.
    for (std::uint32_t n = 2; n <= 20; ++n) {
        t.peer_sends(sacks(0, {{1, n}}));
        const Numbers now = sent_numbers(t);
        CHECK(now.size() <= 2);
        numbers.insert(numbers.end(), now.begin(), now.end());
    }
    REQUIRE(t.connection()->recovery.in_recovery);
    const std::uint32_t threshold = t.connection()->congestion.ssthresh;
    const std::uint32_t flight = pipe_of(*t.connection());
    CHECK(flight <= threshold + recovery_mss);
    CHECK(flight + 2 * recovery_mss >= threshold);
    CHECK(std::count(numbers.begin(), numbers.end(), 0U) == 1);
}

WIRE_CASE("RFC 9937 6.2: when losses took more than the reduction asks for, the flight grows back slowly", "[prr]") {
    FixtureOptions options;
    options.config.tcp.initial_window_segments = 20;
    auto t = open_for_recovery(way, options);
    t.app_sends(60'000);
    CHECK(sent_numbers(t).size() == 20);
    t.after(recovery_rtt);
    // Sixteen of twenty are lost: for each delivery one segment leaves, not the sixteen at once.
    t.peer_sends(sacks(0, {{16, 17}}));
    t.peer_sends(sacks(0, {{16, 18}}));
    t.ignore_output();
    t.peer_sends(sacks(0, {{16, 19}}));
    CHECK(sent_numbers(t).size() <= 4);
    t.peer_sends(sacks(0, {{16, 20}}));
    CHECK(sent_numbers(t).size() <= 2);
}
