#include "tcp/congestion/newreno.hpp"

#include <algorithm>

namespace keepnet::tcp::congestion {

std::uint32_t initial_window(std::uint32_t mss, std::uint32_t segments) {
    return std::min(segments * mss, std::max(2 * mss, segments * 1460));
}

CongestionState begin(std::uint32_t mss, std::uint32_t segments, Instant now) {
    CongestionState s;
    s.cwnd = initial_window(mss, segments);
    s.ssthresh = window_max;
    s.last_sent = now;
    return s;
}

void on_ack(CongestionState& s, std::uint32_t acked, std::uint32_t mss, std::uint32_t flight) {
    if (flight < s.cwnd / 2) return;
    if (s.cwnd < s.ssthresh) {
        // RFC 3465 2.2 with L = 2: an ACK for two segments opens by two.
        s.cwnd += std::min(acked, 2 * mss);
    } else {
        s.bytes_acked += std::min(acked, s.cwnd);
        if (s.bytes_acked >= s.cwnd) {
            s.bytes_acked -= s.cwnd;
            s.cwnd += mss;
        }
    }
    s.cwnd = std::min(s.cwnd, window_max);
}

std::uint32_t loss_threshold(std::uint32_t flight, std::uint32_t mss) {
    return std::max(flight / 2, 2 * mss);
}

void on_timeout(CongestionState& s, std::uint32_t flight, std::uint32_t mss, bool first) {
    if (first) s.ssthresh = loss_threshold(flight, mss);
    s.cwnd = mss;
    s.bytes_acked = 0;
}

std::uint32_t window_after_idle(const CongestionState& s, std::uint32_t mss, std::uint32_t segments,
                                Instant now, Duration rto) {
    if (now - s.last_sent <= rto) return s.cwnd;
    return std::min(s.cwnd, initial_window(mss, segments));
}

}  // namespace keepnet::tcp::congestion
