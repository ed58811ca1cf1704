// RFC 6675: the scoreboard, what is lost, and how much is under way. RFC 3042 and RFC 2018 8 (reneging) with it.
#include <algorithm>

#include "recovery.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE("RFC 6675 5: three segments delivered behind a hole send it again, fewer let new data out", "[recovery]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 2}}));
    CHECK(sent_numbers(t) == Numbers{10});
    t.peer_sends(sacks(0, {{1, 3}}));
    CHECK(sent_numbers(t) == Numbers{11});
    t.peer_sends(sacks(0, {{1, 4}}));
    t.expect(segment_number(0));
    CHECK(t.stack().statistics().tcp_fast_retransmits == 1);
    CHECK(t.connection()->recovery.in_recovery);
    t.ignore_output();
}

WIRE_CASE("RFC 6675 5: every hole of a window is filled in one round trip, and only the holes", "[recovery]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 4}}));
    CHECK(sent_numbers(t).front() == 0);
    t.peer_sends(sacks(0, {{5, 6}, {1, 4}}));
    t.peer_sends(sacks(0, {{7, 8}, {5, 6}, {1, 4}}));
    t.peer_sends(sacks(0, {{9, 10}, {7, 8}, {5, 6}, {1, 4}}));
    Numbers old;
    for (const std::uint32_t n : sent_numbers(t)) {
        if (n < 10) old.push_back(n);
    }
    t.after(recovery_rtt).peer_sends(sacks(4, {{9, 10}, {7, 8}, {5, 6}}));
    for (const std::uint32_t n : sent_numbers(t)) {
        if (n < 10) old.push_back(n);
    }
    CHECK(old == Numbers{4, 6, 8});
}

WIRE_CASE("RFC 6675 5: recovery ends with the ACK of all that was out when it began, at the threshold", "[recovery]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 10}}));
    t.ignore_output();
    REQUIRE(t.connection()->recovery.in_recovery);
    const std::uint32_t threshold = t.connection()->congestion.ssthresh;
    CHECK(threshold < 10 * recovery_mss);
    t.after(recovery_rtt).peer_sends(ack_before(10));
    CHECK_FALSE(t.connection()->recovery.in_recovery);
    CHECK(t.info().congestion_window == threshold);
    t.ignore_output();
}

WIRE_CASE("RFC 6675 4: what is under way is what was neither delivered nor lost", "[recovery]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{5, 8}}));
    const TcpConnectionState& c = *t.connection();
    CHECK(c.sack.sacked == 3 * recovery_mss);
    // 0 to 4 are lost; what was sent again of them is under way.
    const std::uint32_t again = c.recovery.retransmissions;
    CHECK(c.sack.lost == (5 - again) * recovery_mss);
    t.ignore_output();
}

WIRE_CASE("RFC 6675 5.1: after a time-out what was delivered is not sent again", "[recovery]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{3, 4}}));  // one: not enough for the others
    t.ignore_output();
    // Whatever is sent again is lost, too, until the time-out.
    while (t.connection() != nullptr && !t.connection()->recovery.after_timeout) {
        REQUIRE(t.elapsed() < 5_s);
        t.after(10_ms);
    }
    t.ignore_output();
    t.peer_sends(sacks(1, {{3, 4}}));
    Numbers numbers;
    for (std::uint32_t acked = 1; acked < 12 && numbers.size() < 12; ++acked) {
        for (const std::uint32_t n : sent_numbers(t)) numbers.push_back(n);
        t.after(recovery_rtt).peer_sends(sacks(acked < 3 ? acked : acked + 1, {{3, 4}}));
    }
    CHECK(std::find(numbers.begin(), numbers.end(), 3U) == numbers.end());
    CHECK(std::find(numbers.begin(), numbers.end(), 2U) != numbers.end());
    t.ignore_output();
}

WIRE_CASE("RFC 6675 5.1: a FIN that was delivered does not go again with the text before it", "[recovery]") {
    auto t = open_for_recovery(way);
    t.app_sends(recovery_mss);
    t.expect(segment_number(0));
    t.app_shuts_down();
    t.expect(fin().seq(start_of(1)));
    t.after(10_ms).peer_sends(ack_before(0).sack({{start_of(1), start_of(1) + 1}}));
    std::uint32_t again = 0;
    while (t.elapsed() < 3_s) {
        t.after(50_ms);
        while (const auto p = t.take()) {
            CHECK(p->tcp->payload.size() == recovery_mss);
            CHECK((p->tcp->flags & flag::fin) == 0);
            ++again;
        }
    }
    CHECK(again >= 2);
    t.peer_sends(ack(start_of(1) + 1));
    t.expect(TcpPhase::fin_wait_2);
}

WIRE_CASE("RFC 2018 8: what a peer reported and dropped is sent again after a time-out", "[recovery]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 10}}));
    t.ignore_output();
    // The hole is filled and the ACK ends there: the rest is gone.
    t.after(recovery_rtt).peer_sends(ack_before(1));
    t.ignore_output();
    Numbers numbers;
    while (t.elapsed() < 30_s && std::find(numbers.begin(), numbers.end(), 1U) == numbers.end()) {
        t.after(50_ms);
        for (const std::uint32_t n : sent_numbers(t)) numbers.push_back(n);
    }
    CHECK(std::find(numbers.begin(), numbers.end(), 1U) != numbers.end());
}

WIRE_CASE("RFC 3042: without SACK the first two duplicate ACKs let a new segment out each", "[recovery]") {
    auto t = bulk_for_recovery(way, {}, false);
    t.after(recovery_rtt).peer_sends(ack_before(0));
    CHECK(sent_numbers(t) == Numbers{10});
    t.peer_sends(ack_before(0));
    CHECK(sent_numbers(t) == Numbers{11});
    CHECK(t.info().congestion_window == 10 * recovery_mss);
    t.peer_sends(ack_before(0));
    t.expect(segment_number(0));
    t.ignore_output();
}

WIRE_CASE("RFC 3042: an ACK that repeats itself and reports nothing lets nothing out", "[recovery]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt);
    for (int i = 0; i < 5; ++i) t.peer_sends(ack_before(0));
    t.expect_silence();
}

WIRE_CASE("Bad input: SACK blocks of what was never sent, of what is acknowledged, and of nothing", "[recovery][hostile]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(ack_before(2));
    t.ignore_output();
    const std::uint32_t end = t.connection()->snd.max - t.connection()->snd.iss;
    const std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> reports = {
        {{end, end + 1000}},                         // never sent
        {{start_of(3), end + 1}},                    // and up to there
        {{start_of(5), start_of(4)}},                // backwards
        {{start_of(5), start_of(5)}},                // empty
        {{start_of(2), start_of(4)}},                // at una
        {{start_of(3), start_of(3) + 0x8000'0000U}}, // half around
        {{start_of(3) + 0x8000'0000U, start_of(4)}},
        {{0, 0xffff'ffffU}},
        {{start_of(1), start_of(4)}},                // across una
        {{start_of(0), start_of(1)}, {0xffff'fff0U, 5}},
    };
    for (const auto& blocks : reports) {
        t.peer_sends(ack_before(2).sack(blocks));
        CHECK(t.connection()->sack.sacked == 0);
        CHECK_FALSE(t.connection()->recovery.in_recovery);
    }
    t.expect_silence();
    t.peer_sends(sacks(2, {{3, 6}}));
    t.expect(segment_number(2));
    t.ignore_output();
}

WIRE_CASE("Bad input: a peer that reports every second byte costs a bounded number of ranges", "[recovery][hostile]") {
    FixtureOptions options;
    options.config.tcp.sent_ranges = 40;
    auto t = bulk_for_recovery(way, options);
    t.keep_still(true).after(recovery_rtt);
    for (std::uint32_t i = 0; i < 2000; ++i) {
        const std::uint32_t at = start_of(1) + i * 4;
        t.peer_sends(ack_before(0).sack({{at + 6, at + 7}, {at + 4, at + 5}, {at + 2, at + 3}, {at, at + 1}}));
        t.ignore_output();
        REQUIRE(t.connection()->sack.ranges <= 40);
    }
    CHECK(t.drops(DropReason::no_slot) != 0);
    // It lives, and what is acknowledged is acknowledged.
    t.peer_sends(ack());
    t.expect(TcpPhase::established);
    t.ignore_output();
    CHECK(t.connection()->sack.sacked == 0);
}

WIRE_CASE("Limits: when no range is left for all connections, the sender goes on without", "[recovery]") {
    FixtureOptions options;
    options.config.capacity.sent_ranges = 1;
    auto t = bulk_for_recovery(way, options);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 5}}));
    CHECK(t.connection()->sack.sacked == 0);
    t.ignore_output();
    t.mark();
    // What nobody could note down is what the time-out is for.
    while (t.elapsed() < 10_s && t.connection()->recovery.retransmissions == 0) t.after(50_ms);
    CHECK(t.connection()->recovery.retransmissions != 0);
    t.ignore_output();
    t.peer_sends(ack());
    t.ignore_output();
}

WIRE_CASE("DURABILITY 8: a restored sender knows what the peer had, and sends the rest", "[recovery][restore]") {
    auto t = bulk_for_recovery(way, FixtureOptions(DurabilityPolicy::snapshot));
    t.after(recovery_rtt).peer_sends(sacks(0, {{4, 9}}));
    t.ignore_output();
    t.snapshot();
    t.crash(2_s);
    Numbers numbers;
    for (std::uint32_t round = 0; round < 12; ++round) {
        for (const std::uint32_t n : sent_numbers(t)) numbers.push_back(n);
        const std::uint32_t have = t.flow().rcv_nxt > 1 ? (t.flow().rcv_nxt - 1) / recovery_mss : 0;
        (void)have;
        t.after(20_ms).peer_sends(sacks(round < 4 ? round : 9, {{round < 9 ? 4U : 10U, round < 9 ? 9U : 11U}}));
    }
    for (const std::uint32_t n : {4U, 5U, 6U, 7U, 8U}) {
        CHECK(std::find(numbers.begin(), numbers.end(), n) == numbers.end());
    }
    CHECK(std::find(numbers.begin(), numbers.end(), 3U) != numbers.end());
    t.ignore_output();
}
