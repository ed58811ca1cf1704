// RACK-TLP (RFC 8985): what was sent before something that has been delivered, and has not been delivered itself within
// the reordering window, is lost. Pure functions on values; the ranges are the scoreboard's.
#pragma once

#include <optional>

#include "state/tcp_connection_state.hpp"

namespace keepnet::tcp::rack {

/// Of one sending: when, and where it ended.
struct Sending {
    Instant at{};
    Seq end{};
};
/// RFC 8985 6.2, RACK_sent_after.
[[nodiscard]] constexpr bool is_sent_after(const Sending& a, const Sending& b) {
    return a.at > b.at || (a.at == b.at && after(a.end, b.end));
}

/// Steps 1 and 2: a delivery. `echo_is_older`: its time stamp says that an earlier sending was delivered.
void on_delivered(RackState& r, const Sending& s, bool retransmitted, bool echo_is_older, Instant now);
/// Step 3, RACK_detect_reordering: something below what had been delivered, and sent once, came late.
void detect_reordering(RackState& r, Seq end, bool retransmitted);
/// Step 4, RACK_update_reo_wnd: a round in which the peer reported duplicates asks for more patience.
void note_duplicates(RackState& r, bool any, Seq una, Seq nxt);
/// The same, on leaving a recovery: sixteen of them without duplicates make the window what it was.
void on_recovered(RackState& r);
/// `is_sure`: in recovery, or as much delivered behind a hole as three duplicate ACKs say (RFC 5681 3.2).
[[nodiscard]] Duration reordering_window(const RackState& r, bool is_sure, Duration srtt);
/// Step 5, for one sending below what has been delivered: how long it may still take; 0 or less: lost; none: it was sent
/// after what was delivered last.
[[nodiscard]] std::optional<Duration> time_left(const RackState& r, const Sending& s, Duration window, Instant now);
/// 7.2, TLP_calc_PTO, without the bound by the retransmission timer.
[[nodiscard]] Duration probe_timeout(Duration srtt, bool is_one_segment, Duration ack_delay_max, Duration rto_initial);
/// After a restore, and after una has caught up with everything: nothing is known of what is under way.
void forget_sendings(RackState& r, Seq una);

}  // namespace keepnet::tcp::rack
