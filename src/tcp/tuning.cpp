#include "tcp/tuning.hpp"

#include <algorithm>

#include "tcp/rtt.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp::tuning {

namespace {

/// What the application takes in a round trip before there is a measurement: an initial window.
constexpr std::uint32_t first_space_segments = 10;
/// Room for the window of a slow start that goes on while we measure (Linux's tcp_rcv_space_adjust()).
constexpr std::uint32_t spare_segments = 16;

/// The time in which a window arrives is a round trip at least. The least of them, since a sender may have less to send.
void measure(const TcpContext& cx, TcpConnectionState& c) {
    ReceiveTuning& t = c.tuning;
    if (t.rtt_since != long_ago && before(c.rcv.nxt, t.rtt_end)) return;
    if (t.rtt_since != long_ago) {
        const Duration sample = std::max(cx.now - t.rtt_since, microseconds(1));
        if (t.rtt.ns == 0 || sample < t.rtt) t.rtt = sample;
    }
    // A window that a slow reader keeps nearly shut fills in no time.
    if (c.rcv.adv - c.rcv.nxt < c.rcv.buffer / 2) {
        t.rtt_since = long_ago;
        return;
    }
    t.rtt_since = cx.now;
    t.rtt_end = c.rcv.adv;
}

/// 0: not known yet.
Duration round_trip(const TcpConnectionState& c) {
    const bool is_held = c.policy != DurabilityPolicy::none;
    if (is_held || c.rtt.srtt.ns == 0) return c.tuning.rtt;
    return c.tuning.rtt.ns == 0 ? c.rtt.srtt : std::min(c.tuning.rtt, c.rtt.srtt);
}

}  // namespace

std::uint32_t buffer_limit(const TcpConfig& config, const SocketOptions& options) {
    const std::uint32_t buffer = receive_buffer_of(options);
    if (options.receive_buffer_fixed) return buffer;
    return std::max(buffer, std::min(config.receive_buffer_tuned, config.buffer_max));
}

bool on_text(const TcpContext& cx, TcpConnectionState& c) {
    ReceiveTuning& t = c.tuning;
    const TcpConfig& config = cx.w.config().tcp;
    // After a pause the peer, which ought to have begun slow start again, gets its ACKs at once.
    if (t.last_text == long_ago || cx.now - t.last_text > current_rto(c.rtt, config)) t.quick_acks = config.quick_acks;
    t.last_text = cx.now;
    measure(cx, c);
    if (t.quick_acks == 0 || t.interactive) return false;
    --t.quick_acks;
    return true;
}

void on_answer(const TcpContext& cx, ReceiveTuning& t) {
    if (t.last_text != long_ago && cx.now - t.last_text <= cx.w.config().tcp.delayed_ack) t.interactive = true;
}

void on_consumed(const TcpContext& cx, TcpConnectionState& c) {
    ReceiveTuning& t = c.tuning;
    const Seq consumed = rcv_consumed(c);
    const Duration rtt = round_trip(c);
    if (t.fixed || rtt.ns == 0 || !is_synchronized(c)) return;
    if (t.since == long_ago) {
        t.since = cx.now;
        t.seq = consumed;
        return;
    }
    if (cx.now - t.since < rtt) return;
    const std::uint32_t taken = consumed - t.seq;
    t.since = cx.now;
    t.seq = consumed;
    // Of a snapshot that may hold anything the buffer is at least not what is divided by.
    if (t.space == 0) t.space = std::clamp(c.rcv.buffer, 1U, first_space_segments * c.mss);
    if (taken <= t.space) return;
    const std::uint64_t base = 2 * std::uint64_t{taken} + spare_segments * c.mss;
    const std::uint64_t wanted = base + 2 * (base * (taken - t.space) / t.space);
    const TcpConfig& config = cx.w.config().tcp;
    const std::uint64_t limit =
        std::min<std::uint64_t>(std::min(config.receive_buffer_tuned, config.buffer_max), 65535U << c.rcv.wscale);
    if (std::min(wanted, limit) > c.rcv.buffer) c.rcv.buffer = static_cast<std::uint32_t>(std::min(wanted, limit));
    t.space = taken;
}

void restart(ReceiveTuning& t) {
    t.last_text = t.rtt_since = t.since = long_ago;
    t.rtt = {};
    t.interactive = false;
}

}  // namespace keepnet::tcp::tuning
