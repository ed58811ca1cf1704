#include "tcp/congestion/congestion.hpp"

#include <algorithm>

#include "tcp/congestion/cubic.hpp"
#include "tcp/congestion/hystart.hpp"
#include "tcp/congestion/newreno.hpp"

namespace keepnet::tcp::congestion {

namespace {

bool is_cubic(const CongestionState& s) { return s.algorithm == CongestionAlgorithm::cubic; }
/// RFC 9406 4.1: only the first one, while the threshold is as it was at the start.
bool is_first_slow_start(const CongestionState& s) { return s.ssthresh == window_max && s.cwnd < s.ssthresh; }
/// Has all that is in flight had its reduction?
bool has_been_cut(const CongestionState& s, const View& v) { return s.is_cut && before(v.una, s.cut_until); }

/// Was the window in use? In slow start also when half of it was: it is to become twice as large (as Linux).
bool was_in_use(const CongestionState& s) {
    return s.is_limited || (s.cwnd < s.ssthresh && s.cwnd < 2 * std::uint64_t{s.flight_max});
}

/// Bytes of `acked` that are left for congestion avoidance.
std::uint32_t slow_start(CongestionState& s, const View& v, std::uint32_t acked) {
    // RFC 3465 2.3: after a time-out an ACK may be for what had arrived before; one segment. Else all of it (RFC 9406 4.2, L):
    // what a large ACK lets out is paced.
    const std::uint32_t counted = v.after_timeout ? std::min<std::uint32_t>(acked, v.mss) : acked;
    if (is_cubic(s) && is_first_slow_start(s)) {
        s.cwnd += hystart::growth(s, counted);
        return 0;
    }
    const std::uint32_t gain = std::min(counted, s.ssthresh - s.cwnd);
    s.cwnd += gain;
    return counted - gain;
}

void remember(CongestionState& s) {
    s.prior_cwnd = s.cwnd;
    s.prior_ssthresh = s.ssthresh;
    s.prior_cubic = s.cubic;
}

void forget_round(CongestionState& s, const View& v) {
    s.is_limited = false;
    s.flight_max = 0;
    s.flight_until = v.max;
    s.used = 0;
    s.used_since = v.now;
}

/// Linux's tcp_current_ssthresh(): what the path was good for is not forgotten.
std::uint32_t remembered_threshold(const CongestionState& s) {
    return std::max(s.ssthresh, s.cwnd / 2 + s.cwnd / 4);
}

/// A congestion event: the threshold of the algorithm, once for a window's data.
void cut(CongestionState& s, const View& v) {
    remember(s);
    s.ssthresh = is_cubic(s) ? cubic::reduce(s, v) : newreno::threshold(std::min(s.cwnd, v.flight), v.mss);
    s.bytes_acked = 0;
    s.hystart = {};
    s.is_cut = true;
    s.cut_until = v.max;
}

}  // namespace

std::uint32_t initial_window(std::uint32_t mss, std::uint32_t segments) {
    return std::min(segments * mss, std::max(2 * mss, segments * 1460));
}

CongestionState begin(CongestionAlgorithm algorithm, std::uint32_t mss, std::uint32_t segments, Instant now) {
    CongestionState s;
    s.algorithm = algorithm;
    s.cwnd = initial_window(mss, segments);
    s.ssthresh = window_max;
    s.last_sent = now;
    s.used_since = now;
    return s;
}

void change_algorithm(CongestionState& s, CongestionAlgorithm algorithm) {
    if (s.algorithm == algorithm) return;
    s.algorithm = algorithm;
    s.cubic = s.prior_cubic = {};
    s.hystart = {};
    s.bytes_acked = 0;
}

void on_round_trip(CongestionState& s, const View& v, Duration sample) {
    if (is_cubic(s) && is_first_slow_start(s)) hystart::on_round_trip(s, v, sample);
}

void on_ack(CongestionState& s, const View& v, std::uint32_t acked) {
    // RFC 3168 6.1.2: no growth within the window that was cut. After a time-out the window starts from one.
    if (has_been_cut(s, v) && !v.after_timeout) return;
    s.is_cut = s.is_cut && v.after_timeout;
    if (!was_in_use(s)) {
        s.cubic.epoch_start = never;  // RFC 9438 5.8: such time does not count
        return;
    }
    if (s.cwnd < s.ssthresh) acked = slow_start(s, v, acked);
    if (acked != 0 && s.cwnd >= s.ssthresh) {
        is_cubic(s) ? cubic::grow(s, v, acked) : newreno::grow(s, v, acked);
    }
    s.cwnd = std::min(s.cwnd, window_max);
}

void on_loss(CongestionState& s, const View& v) {
    if (!has_been_cut(s, v)) return cut(s, v);
    s.prior_cwnd = 0;  // what was cut before was not for this, and is not given back with it
}

void on_timeout(CongestionState& s, const View& v, bool first) {
    if (first) {
        if (!has_been_cut(s, v)) remember(s);
        const std::uint32_t threshold = is_cubic(s) ? cubic::reduce_for_timeout(s, v)
                                                    : newreno::threshold(std::min(s.cwnd, v.flight), v.mss);
        if (!has_been_cut(s, v)) s.ssthresh = threshold;
    }
    s.hystart = {};
    s.cwnd = v.mss;
    s.bytes_acked = 0;
    s.is_cut = true;
    s.cut_until = v.max;
}

void undo(CongestionState& s, const View& v) {
    if (s.prior_cwnd == 0) return;
    s.is_cut = false;
    s.cwnd = std::max(s.cwnd, s.prior_cwnd);
    s.ssthresh = std::max(s.ssthresh, s.prior_ssthresh);
    s.cubic = s.prior_cubic;
    s.prior_cwnd = 0;
    s.flight_until = v.max;
}

bool on_ecn_echo(CongestionState& s, const View& v) {
    // CWR goes with what follows cut_until: until that is acknowledged it is the old mark.
    if (s.is_cut && before_eq(v.una, s.cut_until)) return false;
    cut(s, v);
    s.prior_cwnd = 0;  // a mark is never wrong
    s.cwnd = std::min(s.cwnd, s.ssthresh);
    return true;
}

void before_send(CongestionState& s, const View& v, std::uint32_t segments, Duration rto) {
    const Duration idle = v.now - s.last_sent;
    if (s.cubic.epoch_start != never) s.cubic.epoch_start = s.cubic.epoch_start + idle;  // RFC 9438 5.8
    if (rto.ns <= 0 || idle <= rto) return;
    const std::uint32_t least = std::min(initial_window(v.mss, segments), s.cwnd);
    s.ssthresh = remembered_threshold(s);
    // Half for each time-out that has passed.
    for (Duration left = idle - rto; left.ns > 0 && s.cwnd > least; left = left - rto) s.cwnd /= 2;
    s.cwnd = std::max(s.cwnd, least);
    forget_round(s, v);
}

void after_send(CongestionState& s, const View& v, std::uint32_t segments, Duration rto) {
    const bool limits = v.flight + v.mss > s.cwnd;
    if (after_eq(v.una, s.flight_until) || limits || (!s.is_limited && v.flight > s.flight_max)) {
        s.is_limited = limits;
        s.flight_max = v.flight;
        s.flight_until = v.max;
    }
    if (was_in_use(s)) {
        s.used = 0;
        s.used_since = v.now;
        return;
    }
    s.used = std::max(s.used, v.flight);
    if (v.now - s.used_since < rto) return;
    // RFC 2861 3.2: for a whole time-out it was not: half way down to what was.
    const std::uint32_t used = std::max(s.used, initial_window(v.mss, segments));
    if (used < s.cwnd && !has_been_cut(s, v)) {
        s.ssthresh = remembered_threshold(s);
        s.cwnd = (s.cwnd + used) / 2;
    }
    s.used = 0;
    s.used_since = v.now;
}

void restart(CongestionState& s, const View& v, std::uint32_t segments) {
    const CongestionAlgorithm algorithm = s.algorithm;
    const std::uint32_t threshold = s.ssthresh;
    s = begin(algorithm, v.mss, segments, v.now);
    s.ssthresh = std::max(threshold, 2 * v.mss);
}

}  // namespace keepnet::tcp::congestion
