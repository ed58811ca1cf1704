#include "tcp/push.hpp"

#include <algorithm>

#include "tcp/recovery/scoreboard.hpp"

namespace keepnet::tcp::push {

namespace {

/// What one super-frame holds.
constexpr std::uint32_t super_frame_bytes = 65536;

/// Linux's tcp_tso_autosize(): what leaves in a millisecond at twice the window a round trip, in avoidance 1.2 times; and more
/// where the round trip is short.
std::uint32_t segments_at_once(const TcpContext& cx, const TcpConnectionState& c) {
    std::uint64_t bytes = super_frame_bytes;
    if (c.rtt.srtt.ns > 0) {
        const std::uint64_t window = std::max(c.congestion.cwnd, c.snd.nxt - c.snd.una);
        const std::uint64_t tenths = c.congestion.cwnd < c.congestion.ssthresh / 2 ? 20 : 12;
        bytes = window * tenths * 100'000 / (static_cast<std::uint64_t>(c.rtt.srtt.ns) / 1000 + 1) / 1024;
        const std::int64_t least_us = (c.rack.rtt_min.ns > 0 ? c.rack.rtt_min : c.rtt.srtt).us();
        if (least_us >> 9 < 32) bytes += super_frame_bytes >> (least_us >> 9);
        bytes = std::min<std::uint64_t>(bytes, super_frame_bytes);
    }
    return std::max<std::uint32_t>(static_cast<std::uint32_t>(bytes) / c.mss, cx.w.config().tcp.push_segments_min);
}

}  // namespace

void mark(TcpConnectionState& c, Seq end) {
    PushState& p = c.push;
    if (p.count != 0 && after_eq(p.marks[p.count - 1U], end)) return;
    if (p.count != 0 && after(p.marks[p.count - 1U], c.snd.max)) --p.count;
    if (p.count == p.marks.size()) {
        std::shift_left(p.marks.begin(), p.marks.end(), 1);
        --p.count;
    }
    p.marks[p.count++] = end;
}

void forget(PushState& p, Seq una) {
    std::uint8_t gone = 0;
    while (gone < p.count && before_eq(p.marks[gone], una)) ++gone;
    if (gone == 0) return;
    std::shift_left(p.marks.begin(), p.marks.end(), gone);
    p.count = static_cast<std::uint8_t>(p.count - gone);
}

bool is_marked(const PushState& p, Seq seq, Seq end) {
    for (std::uint8_t i = 0; i < p.count; ++i) {
        if (after(p.marks[i], seq) && before_eq(p.marks[i], end)) return true;
    }
    return false;
}

std::uint32_t stretch(const TcpContext& cx, const TcpConnectionState& c, std::uint32_t bytes, std::uint32_t available) {
    if (c.push.stretch_left != 0) return c.push.stretch_left;
    const std::uint32_t mss = c.mss;
    // As Linux, half of the window at most, so that there are two of them on their way.
    const std::uint32_t window = c.congestion.cwnd / mss;
    const std::uint32_t load = (pipe(c) + mss - 1) / mss;
    const std::uint32_t room = std::min(std::max(window / 2, 1U), window > load ? window - load : 1U);
    const std::uint32_t segments = std::min(room, segments_at_once(cx, c));
    const Seq edge = c.snd.una + c.snd.wnd;
    const std::uint32_t in_window = after(edge, c.snd.max) ? edge - c.snd.max : 0;
    return std::max(bytes, std::min({segments * mss, available, in_window < available ? in_window - in_window % mss : available}));
}

}  // namespace keepnet::tcp::push
