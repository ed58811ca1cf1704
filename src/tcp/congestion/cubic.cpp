#include "tcp/congestion/cubic.hpp"

#include <algorithm>

namespace keepnet::tcp::congestion::cubic {

namespace {

// RFC 9438 4.6: beta is 0.7; 5: C is 0.4 segments a second cubed, which is a segment for 2.5 * 10^9 ms^3.
constexpr std::uint32_t beta_tenths = 7;
constexpr std::uint64_t cube_ms_per_segment = 2'500'000'000;
/// RFC 9438 (4): alpha = 3 * (1 - beta) / (1 + beta).
constexpr std::uint32_t alpha_numerator = 9;
constexpr std::uint32_t alpha_denominator = 17;
/// A time whose cube still fits, some 35 minutes; the window has reached its limit long before.
constexpr std::int64_t time_max_ms = 1 << 21;

/// The largest x with x^3 <= n.
std::uint64_t cube_root(std::uint64_t n) {
    std::uint64_t root = 0;
    for (int bit = 20; bit >= 0; --bit) {
        const std::uint64_t x = root | std::uint64_t{1} << bit;
        if (x * x * x <= n) root = x;
    }
    return root;
}

std::uint32_t tenths(std::uint32_t value, std::uint32_t n) {
    return static_cast<std::uint32_t>(std::uint64_t{value} * n / 10);
}

void begin_epoch(CongestionState& s, const View& v) {
    CubicState& q = s.cubic;
    q.epoch_start = v.now;
    q.k = q.w_max > s.cwnd ? time_to_origin(q.w_max - s.cwnd, v.mss) : Duration{};
    q.w_max = std::max(q.w_max, s.cwnd);
    q.w_est = s.cwnd;
    q.w_est_rest = 0;
    s.bytes_acked = 0;
}

/// RFC 9438 (4): Reno's window with CUBIC's reduction; with Reno's own increase once it is where the reduction began.
void grow_estimate(CongestionState& s, const View& v, std::uint32_t acked) {
    CubicState& q = s.cubic;
    const bool is_slower = q.w_est < q.cwnd_prior;
    const std::uint64_t gain = std::uint64_t{acked} * v.mss * (is_slower ? alpha_numerator : alpha_denominator);
    const std::uint64_t unit = std::uint64_t{s.cwnd} * alpha_denominator;
    const std::uint64_t sum = gain / unit;
    const std::uint64_t rest = gain % unit / alpha_denominator + q.w_est_rest;
    q.w_est = static_cast<std::uint32_t>(std::min<std::uint64_t>(q.w_est + sum + rest / s.cwnd, window_max));
    q.w_est_rest = static_cast<std::uint32_t>(rest % s.cwnd);
}

/// 4.6: of the window and not of what is in flight, as Linux; a window that is not in use does not grow, and decays.
std::uint32_t threshold(const CongestionState& s, const View& v) {
    return std::max(tenths(s.cwnd, beta_tenths), 2 * v.mss);
}

}  // namespace

Duration time_to_origin(std::uint32_t missing, std::uint32_t mss) {
    return milliseconds(static_cast<std::int64_t>(cube_root(missing * cube_ms_per_segment / mss)));
}

std::uint32_t window_at(const CubicState& s, std::uint32_t mss, Duration since) {
    const std::int64_t t_ms = (since - s.k).ns / 1'000'000;
    const auto distance = static_cast<std::uint64_t>(std::min(t_ms < 0 ? -t_ms : t_ms, time_max_ms));
    const std::uint64_t cube = distance * distance * distance;
    // In thousandths of a segment on the way: no product is too large.
    const std::uint64_t bytes = cube / (cube_ms_per_segment / 1000) * mss / 1000;
    if (t_ms < 0) return bytes < s.w_max ? s.w_max - static_cast<std::uint32_t>(bytes) : 0;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(s.w_max + bytes, window_max));
}

void grow(CongestionState& s, const View& v, std::uint32_t acked) {
    CubicState& q = s.cubic;
    acked = std::min(acked, s.cwnd);
    if (q.epoch_start == never || q.epoch_start > v.now) begin_epoch(s, v);
    grow_estimate(s, v, acked);
    const Duration since = v.now - q.epoch_start;
    if (window_at(q, v.mss, since) < q.w_est) {  // 4.3: Reno-friendly
        s.cwnd = std::max(s.cwnd, q.w_est);
        s.bytes_acked = 0;
        return;
    }
    // 4.2: the window in a round trip, between this one and half as much again.
    const std::uint32_t target = std::clamp(window_at(q, v.mss, since + v.srtt), s.cwnd, s.cwnd + s.cwnd / 2);
    const std::uint64_t gain = std::uint64_t{acked} * (target - s.cwnd) + std::min(s.bytes_acked, s.cwnd);
    s.bytes_acked = static_cast<std::uint32_t>(gain % s.cwnd);
    s.cwnd += static_cast<std::uint32_t>(gain / s.cwnd);
}

std::uint32_t reduce(CongestionState& s, const View& v) {
    CubicState& q = s.cubic;
    const std::uint32_t window = s.cwnd;
    q.epoch_start = never;
    q.cwnd_prior = window;
    // 4.7, fast convergence: less than last time; somebody else needs room.
    q.w_max = window < q.w_max ? tenths(window, 10 + beta_tenths) / 2 : window;
    return threshold(s, v);
}

std::uint32_t reduce_for_timeout(CongestionState& s, const View& v) {
    s.cubic = {};
    s.cubic.cwnd_prior = s.cwnd;
    s.bytes_acked = 0;
    return threshold(s, v);
}

}  // namespace keepnet::tcp::congestion::cubic
