// TCP_INFO (keepnet/tcp_info.hpp) and the counters behind it.
#include <algorithm>

#include "tcp/congestion/congestion.hpp"
#include "tcp/counters.hpp"
#include "tcp/rtt.hpp"

namespace keepnet::tcp {

namespace {

constexpr std::uint32_t segment_in_default = 536;  // Linux's TCP_MSS_DEFAULT

/// Linux's numbers of the phases (include/net/tcp_states.h).
std::uint8_t number_of(TcpPhase phase) {
    switch (phase) {
        case TcpPhase::established: return 1;
        case TcpPhase::syn_sent: return 2;
        case TcpPhase::syn_received: return 3;
        case TcpPhase::fin_wait_1: return 4;
        case TcpPhase::fin_wait_2: return 5;
        case TcpPhase::time_wait: return 6;
        case TcpPhase::invalid:
        case TcpPhase::closed: return 7;
        case TcpPhase::close_wait: return 8;
        case TcpPhase::last_ack: return 9;
        case TcpPhase::listen: return 10;
        case TcpPhase::closing: return 11;
    }
    return 7;
}

std::uint64_t whole(std::int64_t ns, std::int64_t unit_ns) { return ns > 0 ? static_cast<std::uint64_t>(ns / unit_ns) : 0; }
std::uint32_t capped(std::uint64_t n) { return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, UINT32_MAX)); }
std::uint32_t us(Duration d) { return capped(whole(d.ns, 1'000)); }
std::uint64_t long_us(Duration d) { return whole(d.ns, 1'000); }
std::uint32_t ms(Duration d) { return capped(whole(d.ns, 1'000'000)); }
std::uint32_t segments(std::uint32_t bytes, std::uint32_t mss) { return (bytes + mss - 1) / mss; }

template <class T>
void count_up(T& counter) {
    if (counter != static_cast<T>(-1)) ++counter;
}

SendLimit limit_of(const TcpConnectionState& c) {
    if (!is_synchronized(c) || c.send_queue.bytes == 0) return SendLimit::idle;
    const Seq end = c.snd.una + c.send_queue.bytes;
    const std::uint32_t unsent = before(c.snd.nxt, end) ? end - c.snd.nxt : 0;
    if (unsent == 0) return c.counters.send_was_short ? SendLimit::buffer : SendLimit::network;
    const std::uint32_t next = c.snd.nxt - c.snd.una + std::min<std::uint32_t>(unsent, c.mss);
    return next > c.snd.wnd && c.snd.nxt - c.snd.una < c.congestion.cwnd ? SendLimit::window : SendLimit::network;
}

void add_limited(Instant now, TcpCounters& n) {
    if (n.limit == SendLimit::idle || now < n.limit_since) return;
    Duration& sum = n.limited[static_cast<std::size_t>(n.limit) - 1];
    sum = sum + (now - n.limit_since);
}

/// Bytes that were sent again, and are neither acknowledged nor reported.
std::uint32_t sent_again(const World& w, const TcpConnectionState& c) {
    std::uint32_t bytes = 0;
    for (Link at = c.sack.head; at;) {
        const SentRangeState& r = w.sent_ranges.get(at.index());
        if (r.retransmitted && !r.sacked && !r.lost) bytes += r.length;
        at = r.next;
    }
    return bytes;
}

void fill_send_side(const World& w, const TcpConnectionState& c, TcpInfo& info) {
    info.snd_mss = c.mss;
    info.snd_wscale = c.snd.wscale;
    info.snd_wnd = c.snd.wnd;
    info.unacked = segments(c.snd.nxt - c.snd.una, c.mss);
    info.sacked = segments(c.sack.sacked, c.mss);
    info.retrans = segments(sent_again(w, c), c.mss);
    // Linux counts what is lost until it has arrived.
    const bool is_repairing = c.recovery.in_recovery || c.recovery.after_timeout;
    info.lost = segments(c.sack.lost, c.mss) + (is_repairing ? info.retrans : 0);
    info.notsent_bytes = unsent_bytes(c);
    info.snd_cwnd = c.congestion.cwnd / c.mss;
    const bool is_infinite = c.congestion.ssthresh == 0 || c.congestion.ssthresh >= congestion::window_max;
    info.snd_ssthresh = is_infinite ? TcpInfo::infinite_ssthresh : c.congestion.ssthresh / c.mss;
    info.total_retrans = c.recovery.retransmissions;
    if (c.recovery.after_timeout) {
        info.ca_state = TcpInfo::ca_loss;
    } else if (c.recovery.in_recovery) {
        info.ca_state = TcpInfo::ca_recovery;
    } else if (c.congestion.is_cut && before(c.snd.una, c.congestion.cut_until)) {
        info.ca_state = TcpInfo::ca_cwr;
    } else if (c.recovery.duplicate_acks != 0) {
        info.ca_state = TcpInfo::ca_disorder;
    }
    const std::uint64_t syn = is_syn_unacked(c) ? 0 : 1;
    info.bytes_acked = c.tx_accepted - c.send_queue.bytes + syn + (c.snd.fin_acked ? 1 : 0);
}

/// What has arrived, and how; a peer without SACK says no more than its ACK does.
void fill_delivery(const TcpConnectionState& c, TcpInfo& info) {
    const std::uint64_t arrived = c.tx_accepted - c.send_queue.bytes + c.sack.sacked;
    info.delivered = capped((arrived + c.mss - 1) / c.mss) + (is_syn_unacked(c) ? 0 : 1);
    if (!c.sack.permitted) return;
    info.options |= TcpInfo::option_sack;
    if (c.rack.rtt_min.ns != 0) info.min_rtt = us(c.rack.rtt_min);
    info.reord_seen = c.rack.reordering_seen ? 1 : 0;
}

void fill_receive_side(const TcpConnectionState& c, TcpInfo& info) {
    info.rcv_wscale = c.rcv.wscale;
    info.rcv_ssthresh = c.rcv.buffer;
    info.rcv_space = c.tuning.space;
    info.rcv_rtt = us(c.tuning.rtt);
    info.rcv_wnd = after(c.rcv.adv, c.rcv.nxt) ? c.rcv.adv - c.rcv.nxt : 0;
    info.rcv_mss = c.counters.segment_in_max != 0 ? c.counters.segment_in_max : segment_in_default;
    info.bytes_received = c.rx_consumed + c.receive_queue.bytes + (c.rcv.fin_received ? 1 : 0);
}

void fill_times(const TcpContext& cx, const TcpConnectionState& c, TcpInfo& info) {
    const TcpConfig& config = cx.w.config().tcp;
    info.rto = us(current_rto(c.rtt, config));
    info.ato = us(config.delayed_ack);
    info.rtt = us(c.rtt.srtt);
    info.rttvar = us(c.rtt.rttvar);
    info.retransmits = c.rtt.backoff;
    info.backoff = c.timers.persist != never ? c.probes_sent : c.rtt.backoff;
    info.probes = c.probes_sent;
    info.last_data_sent = ms(cx.now - c.counters.data_out_at);
    info.last_data_recv = ms(cx.now - c.counters.data_in_at);
    info.last_ack_recv = ms(cx.now - c.counters.ack_in_at);
}

void fill_counters(const TcpContext& cx, const TcpConnectionState& c, TcpInfo& info) {
    TcpCounters n = c.counters;
    add_limited(cx.now, n);
    info.segs_in = n.segments_in;
    info.segs_out = n.segments_out;
    info.data_segs_in = n.data_segments_in;
    info.data_segs_out = n.data_segments_out;
    info.rcv_ooopack = n.out_of_order_in;
    info.bytes_sent = n.bytes_out;
    info.bytes_retrans = n.bytes_retransmitted;
    info.total_rto = n.timeouts;
    info.total_rto_recoveries = n.timeout_series;
    const Duration open = n.timeout_since == never ? Duration{} : cx.now - n.timeout_since;
    info.total_rto_time = ms(n.timeout_time + open);
    info.busy_time = long_us(n.limited[0] + n.limited[1] + n.limited[2]);
    info.rwnd_limited = long_us(n.limited[1]);
    info.sndbuf_limited = long_us(n.limited[2]);
}

}  // namespace

void count_received(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    TcpCounters& n = c.counters;
    ++n.segments_in;
    if (s.repr.flags.ack) n.ack_in_at = cx.now;
    if (s.payload.length == 0) {
        if (s.length() == 0 && s.repr.flags.ack && !s.repr.flags.rst) ++cx.w.count().tcp_pure_acks;
        return;
    }
    ++n.data_segments_in;
    n.data_in_at = cx.now;
    n.segment_in_max = std::max(n.segment_in_max, s.payload.length);
}

void count_sent(TcpContext& cx, TcpConnectionState& c, std::uint32_t bytes, bool again) {
    TcpCounters& n = c.counters;
    ++n.segments_out;
    if (bytes == 0) return;
    ++n.data_segments_out;
    n.bytes_out += bytes;
    n.data_out_at = cx.now;
    if (again) {
        n.bytes_retransmitted += bytes;
    } else {
        ++cx.w.count().tcp_original_data_sent;
    }
}

void count_timeout(TcpContext& cx, TcpConnectionState& c) {
    TcpCounters& n = c.counters;
    count_up(n.timeouts);
    if (n.timeout_since != never) return;
    count_up(n.timeout_series);
    n.timeout_since = cx.now;
}

void end_timeouts(TcpContext& cx, TcpConnectionState& c) {
    TcpCounters& n = c.counters;
    if (n.timeout_since == never) return;
    if (cx.now > n.timeout_since) n.timeout_time = n.timeout_time + (cx.now - n.timeout_since);
    n.timeout_since = never;
}

void note_limit(TcpContext& cx, TcpConnectionState& c) {
    const SendLimit limit = limit_of(c);
    if (limit == c.counters.limit) return;
    add_limited(cx.now, c.counters);
    c.counters.limit = limit;
    c.counters.limit_since = cx.now;
}

TcpInfo tcp_info(const TcpContext& cx, const SocketState& socket) {
    TcpInfo info;
    if (const TcpListenerState* l = cx.w.listeners.find(socket.listener)) {
        info.state = number_of(TcpPhase::listen);
        info.unacked = l->accept_count;
        info.sacked = l->backlog;
        return info;
    }
    const TcpConnectionState* found = cx.w.connections.find(socket.connection);
    if (found == nullptr) return info;
    const TcpConnectionState& c = *found;
    info.state = number_of(c.phase);
    fill_times(cx, c, info);
    fill_counters(cx, c, info);
    if (is_dead(c)) return info;  // queues and windows mean nothing any more
    if (c.ts.enabled) info.options |= TcpInfo::option_timestamps;
    if (c.rcv.wscale != 0 || c.snd.wscale != 0) info.options |= TcpInfo::option_window_scale;
    if (c.ecn.enabled) info.options |= TcpInfo::option_ecn;
    info.pmtu = ip::path_mtu(cx, c.remote.address, request_for(c).interface);
    info.advmss = advertised_mss(cx, c.remote, c.options.max_segment) - (c.ts.enabled ? timestamps_bytes : 0U);
    fill_send_side(cx.w, c, info);
    fill_delivery(c, info);
    fill_receive_side(c, info);
    return info;
}

}  // namespace keepnet::tcp
