// RFC 5682: a time-out that was none, told by what the peer answers; and undoing by D-SACK (RFC 3708, as Linux).
#include <algorithm>

#include "recovery.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// Until the time-out: the probe is gone, nothing was answered. The time-out's retransmission is taken.
void wait_for_timeout(Fixture& t) {
    while (t.stack().statistics().tcp_timeouts == 0) {
        REQUIRE(t.elapsed() < 10_s);
        t.ignore_output();
        t.after(1_ms);
    }
    CHECK(sent_numbers(t) == Numbers{0});
}

}  // namespace

WIRE_CASE("RFC 5682 3.1: originals that are acknowledged after the time-out show that it was none", "[frto]") {
    auto t = bulk_for_recovery(way);
    wait_for_timeout(t);
    CHECK(t.info().congestion_window == recovery_mss);
    // The ACKs were only late. The first answer lets two new segments out, not the second of the window.
    t.peer_sends(ack_before(1));
    for (const std::uint32_t n : sent_numbers(t)) CHECK(n >= 10);
    t.peer_sends(ack_before(2));
    CHECK_FALSE(t.connection()->recovery.after_timeout);
    CHECK(t.info().congestion_window >= 10 * recovery_mss);
    for (const std::uint32_t n : sent_numbers(t)) CHECK(n >= 10);
    t.peer_sends(ack());
    t.ignore_output();
    CHECK(t.connection()->recovery.retransmissions == 1);
}

WIRE_CASE("RFC 5682 3.1: an answer that reports only what was new takes the time-out for real", "[frto]") {
    auto t = bulk_for_recovery(way);
    wait_for_timeout(t);
    t.after(recovery_rtt).peer_sends(ack_before(1));
    const Numbers fresh = sent_numbers(t);
    REQUIRE_FALSE(fresh.empty());
    CHECK(fresh.front() >= 10);
    t.after(recovery_rtt).peer_sends(sacks(1, {{fresh.front(), fresh.front() + 1}}));
    const Numbers again = sent_numbers(t);
    REQUIRE_FALSE(again.empty());
    CHECK(again.front() == 1);
    CHECK(t.connection()->recovery.after_timeout);
    CHECK(t.info().congestion_window <= 4 * recovery_mss);
}

WIRE_CASE("RFC 5682 3.1: a first answer that does not advance takes the time-out for real", "[frto]") {
    auto t = bulk_for_recovery(way);
    wait_for_timeout(t);
    t.peer_sends(ack_before(0));
    CHECK(t.connection()->repair.frto == FrtoStep::idle);
    t.after(recovery_rtt).peer_sends(ack_before(1));
    const Numbers again = sent_numbers(t);
    REQUIRE_FALSE(again.empty());
    CHECK(again.front() == 1);
}

WIRE_CASE("RFC 2883 5: when all that was sent again turns out to have arrived twice, the reduction is undone", "[undo]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 4}}));
    t.expect(segment_number(0));
    t.ignore_output();
    const std::uint32_t reduced = t.connection()->congestion.ssthresh;
    CHECK(reduced < 10 * recovery_mss);
    // The first comes after all, and then what was sent again.
    t.peer_sends(ack_before(4));
    t.ignore_output();
    t.peer_sends(sacks(4, {{0, 1}}));
    CHECK_FALSE(t.connection()->recovery.in_recovery);
    CHECK(t.info().congestion_window >= 10 * recovery_mss);
    CHECK(t.connection()->rack.window_steps == 2);
    t.ignore_output();
}
