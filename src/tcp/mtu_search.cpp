#include "tcp/mtu_search.hpp"

#include <algorithm>

#include "tcp/verbs.hpp"
#include "wire/ipv6.hpp"

namespace keepnet::tcp::mtu_search {

namespace {

/// Time-outs in a row of a segment that a smaller one might spare: Linux's tcp_retries1.
constexpr std::uint8_t timeouts_needed = 3;
/// Nearer than this is found: RFC 4821 7.6.1 has it that the search ends somewhere. Linux's tcp_probe_threshold.
constexpr std::uint16_t threshold_bytes = 8;
/// RFC 4821 7.4: what the window must hold besides, for the loss of a probe to be seen by duplicate ACKs.
constexpr std::uint32_t window_segments = 11;

std::uint32_t headers_of(const TcpConnectionState& c) { return 60U + (c.ts.enabled ? timestamps_bytes : 0U); }

std::uint16_t largest(const TcpContext& cx, const TcpConnectionState& c) {
    const std::uint32_t path = ip::path_mtu(cx, c.remote.address, request_for(c).interface);
    std::uint32_t mss = c.mss_peer;
    if (c.options.max_segment != 0) mss = std::min<std::uint32_t>(mss, c.options.max_segment);
    return static_cast<std::uint16_t>(std::min(path, mss + 60U));
}

void fail(const TcpContext& cx, MtuSearchState& m) {
    m.high = std::max<std::uint16_t>(m.low, static_cast<std::uint16_t>(m.probe - 1));
    m.probe = 0;
    m.is_sent = false;
    m.next = cx.now;
}

void plan(const TcpContext& cx, TcpConnectionState& c) {
    MtuSearchState& m = c.mtu_search;
    if (cx.now < m.next || c.recovery.in_recovery || c.recovery.after_timeout) return;
    if (c.congestion.cwnd < window_segments * c.mss) return;
    if (m.high <= m.low + threshold_bytes) {  // found; once in a while it may have grown
        m.high = std::max(largest(cx, c), m.low);  // another conversation may have learnt of a smaller one
        m.next = cx.now + cx.w.config().tcp.mtu_probe_interval;
        return;
    }
    m.probe = static_cast<std::uint16_t>((m.low + m.high + 1) / 2);
    m.is_sent = false;
}

}  // namespace

void on_timeout(const TcpContext& cx, TcpConnectionState& c) {
    MtuSearchState& m = c.mtu_search;
    if (m.probe != 0) fail(cx, m);
    const std::uint32_t base_mss = wire::ipv6_mtu_min - headers_of(c);
    if (!cx.w.config().tcp.mtu_probing || c.rtt.backoff < timeouts_needed || c.mss <= base_mss) return;
    if (c.snd.wnd <= base_mss || c.send_queue.bytes <= base_mss) return;  // what is lost is small enough
    m.active = true;
    m.low = static_cast<std::uint16_t>(wire::ipv6_mtu_min);
    // What was lost need not pass; and a search that ended lately is not begun again at once.
    m.high = static_cast<std::uint16_t>(c.mss + headers_of(c) - 1);
    m.next = cx.now;
    update_mss(cx, c);
}

void on_ack(const TcpContext& cx, TcpConnectionState& c) {
    MtuSearchState& m = c.mtu_search;
    if (!m.active) return;
    if (m.probe == 0) return plan(cx, c);
    if (!m.is_sent || before(c.snd.una, m.probe_end)) return;
    m.low = m.probe;
    m.high = std::max(m.high, m.low);
    m.probe = 0;
    m.is_sent = false;
    m.next = cx.now;
    update_mss(cx, c);
    // A window is at least a segment, and segments have grown.
    c.congestion.cwnd = std::max<std::uint32_t>(c.congestion.cwnd, c.mss);
    c.congestion.ssthresh = std::max<std::uint32_t>(c.congestion.ssthresh, c.mss);
}

bool on_loss(const TcpContext& cx, TcpConnectionState& c, Seq lost) {
    MtuSearchState& m = c.mtu_search;
    if (m.probe == 0 || !m.is_sent) return false;
    const std::uint32_t text = m.probe - headers_of(c);
    if (!in_window(lost, m.probe_end - text, text)) return false;
    fail(cx, m);
    return true;
}

void on_sent_again(const TcpContext& cx, TcpConnectionState& c, Seq seq, Seq end) {
    MtuSearchState& m = c.mtu_search;
    if (m.probe == 0 || !m.is_sent) return;
    const Seq probe_begin = m.probe_end - (m.probe - headers_of(c));
    if (before(seq, m.probe_end) && after(end, probe_begin)) fail(cx, m);
}

void on_too_big(TcpConnectionState& c, std::uint32_t mtu) {
    MtuSearchState& m = c.mtu_search;
    if (!m.active || mtu < wire::ipv6_mtu_min || mtu >= m.high) return;
    m.high = static_cast<std::uint16_t>(mtu);
    m.low = std::min(m.low, m.high);
    if (m.probe > m.high) restart(m);
}

void restart(MtuSearchState& m) {
    m.probe = 0;
    m.is_sent = false;
}

std::uint32_t due_text(const TcpConnectionState& c) {
    const MtuSearchState& m = c.mtu_search;
    if (m.probe == 0 || m.is_sent || c.snd.nxt != c.snd.max) return 0;
    const std::uint32_t headers = headers_of(c);
    return m.probe > headers + c.mss ? m.probe - headers : 0;
}

void on_sent(TcpConnectionState& c, Seq end) {
    c.mtu_search.is_sent = true;
    c.mtu_search.probe_end = end;
}

}  // namespace keepnet::tcp::mtu_search
