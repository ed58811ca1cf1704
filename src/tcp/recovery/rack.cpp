#include "tcp/recovery/rack.hpp"

namespace keepnet::tcp::rack {

namespace {

constexpr std::uint8_t window_rounds_max = 16;         // RFC 8985 6.2
constexpr Duration rtt_min_lifetime = seconds(300);    // Linux's window of the minimum
constexpr Duration probe_slack = milliseconds(2);      // of the peer's and our timers

void take_rtt_min(RackState& r, Duration rtt, Instant now) {
    if (r.rtt_min.ns != 0 && rtt > r.rtt_min && now - r.rtt_min_at < rtt_min_lifetime) return;
    r.rtt_min = rtt.ns > 0 ? rtt : nanoseconds(1);  // 0 means that there is none
    r.rtt_min_at = now;
}

}  // namespace

void on_delivered(RackState& r, const Sending& s, bool retransmitted, bool echo_is_older, Instant now) {
    const Duration rtt = now - s.at;
    if (retransmitted) {
        // Which of the sendings was it? Not the last, if that would have been faster than ever.
        if (echo_is_older || rtt < r.rtt_min) return;
    } else {
        take_rtt_min(r, rtt, now);
    }
    if (r.sent_at != long_ago && !is_sent_after(s, {r.sent_at, r.end})) return;
    r.rtt = rtt;
    r.sent_at = s.at;
    r.end = s.end;
}

void detect_reordering(RackState& r, Seq end, bool retransmitted) {
    if (after(end, r.fack)) {
        r.fack = end;
    } else if (before(end, r.fack) && !retransmitted) {
        r.reordering_seen = true;
    }
}

void note_duplicates(RackState& r, bool any, Seq una, Seq nxt) {
    if (r.in_dsack_round && after_eq(una, r.dsack_round)) r.in_dsack_round = false;
    if (!any || r.in_dsack_round) return;
    r.in_dsack_round = true;
    r.dsack_round = nxt;
    if (r.window_steps < 255) ++r.window_steps;
    r.window_rounds = window_rounds_max;
}

void on_recovered(RackState& r) {
    if (r.window_rounds != 0) --r.window_rounds;
    if (r.window_rounds == 0) r.window_steps = 1;
}

Duration reordering_window(const RackState& r, bool is_sure, Duration srtt) {
    if (!r.reordering_seen && is_sure) return {};
    const Duration window = r.rtt_min / 4 * r.window_steps;
    return window < srtt ? window : srtt;
}

std::optional<Duration> time_left(const RackState& r, const Sending& s, Duration window, Instant now) {
    if (r.sent_at == long_ago || !is_sent_after({r.sent_at, r.end}, s)) return {};
    return s.at + r.rtt + window - now;
}

Duration probe_timeout(Duration srtt, bool is_one_segment, Duration ack_delay_max, Duration rto_initial) {
    if (srtt.ns == 0) return rto_initial;
    return srtt * 2 + (is_one_segment ? ack_delay_max : probe_slack);
}

void forget_sendings(RackState& r, Seq una) {
    r.reorder = r.probe = never;
    r.sent_at = long_ago;
    r.end = r.fack = una;
    r.in_dsack_round = r.probe_owed = r.probe_out = false;
}

}  // namespace keepnet::tcp::rack
