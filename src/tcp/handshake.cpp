// The three-way handshake from both sides, simultaneous open, and what is agreed in it. RFC
// 9293 3.5, 3.10.7.3; RFC 7323 2, 3; RFC 6691; RFC 6528.
#include <algorithm>
#include <array>

#include "tcp/acceptance.hpp"
#include "tcp/congestion/congestion.hpp"
#include "tcp/counters.hpp"
#include "tcp/ecn.hpp"
#include "tcp/rtt.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

constexpr std::uint8_t wscale_max = 14;      // RFC 7323 2.3
constexpr std::uint16_t mss_floor = 48;      // a peer that says less gets this (Linux's TCP_MIN_SND_MSS)
constexpr std::uint16_t headers_bytes = 60;  // IPv6 and TCP without options

std::array<std::uint64_t, 5> pair_words(const Endpoint& local, const Endpoint& remote) {
    std::array<std::uint64_t, 5> words{};
    __builtin_memcpy(words.data(), local.address.octets.data(), 16);
    __builtin_memcpy(words.data() + 2, remote.address.octets.data(), 16);
    words[4] = std::uint64_t{local.port} << 16 | remote.port;
    return words;
}

/// RFC 9293 3.10.7.3, first and second. False: the segment goes no further.
bool check_syn_sent(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    const wire::TcpFlags& f = s.repr.flags;
    if (f.ack && classify_ack(c.snd, s.repr.ack) != AckKind::advances) {
        cx.w.drop(f.rst ? DropReason::tcp_reset_unmatched : DropReason::tcp_bad_ack);
        if (!f.rst) answer_with_reset(cx, s);
        return false;
    }
    if (f.rst) {
        if (!f.ack) {
            cx.w.drop(DropReason::tcp_reset_unmatched);
            return false;
        }
        ++cx.w.count().tcp_resets_received;
        end_connection(cx, c, Error::connection_refused, Verdict::reset_by_peer);
        return false;
    }
    if (!f.syn) {
        cx.w.drop(f.ack ? DropReason::tcp_unacceptable_sequence : DropReason::tcp_no_ack_flag);
        return false;
    }
    return true;
}

}  // namespace

Seq initial_sequence(const TcpContext& cx, const Endpoint& local, const Endpoint& remote) {
    const StackState& s = cx.w.stack();
    const std::uint64_t f = hash24_words(s.isn_key, pair_words(local, remote));
    const std::int64_t m = wire_clock_ns(s, cx.now) / 4000;
    return Seq{static_cast<std::uint32_t>(f + static_cast<std::uint64_t>(m))};
}

std::uint32_t timestamp_offset(const World& w, const Endpoint& local, const Endpoint& remote) {
    return static_cast<std::uint32_t>(hash24_words(w.stack().timestamp_key, pair_words(local, remote)));
}

std::uint32_t timestamp_now(const TcpContext& cx, std::uint32_t offset) {
    return static_cast<std::uint32_t>(wire_clock_ns(cx.w.stack(), cx.now) / 1'000'000) + offset;
}

std::uint16_t advertised_mss(const TcpContext& cx, const Endpoint& remote, std::uint16_t max_segment) {
    std::uint16_t mss = cx.w.config().tcp.mss_default;
    if (const auto route = ip::find_route(cx, remote.address, remote.interface)) {
        if (cx.w.interfaces.is_live(route->interface - 1)) {
            mss = static_cast<std::uint16_t>(cx.w.interfaces.get(route->interface - 1).mtu - headers_bytes);
        }
    }
    return max_segment != 0 ? std::min(mss, max_segment) : mss;
}

void update_mss(const TcpContext& cx, TcpConnectionState& c) {
    std::uint16_t path = ip::path_mtu(cx, c.remote.address, request_for(c).interface);
    if (c.mtu_search.active) path = std::min(path, c.mtu_search.low);
    std::uint32_t mss = std::min<std::uint32_t>(c.mss_peer, path - headers_bytes);
    if (c.options.max_segment != 0) mss = std::min<std::uint32_t>(mss, c.options.max_segment);
    mss = std::max<std::uint32_t>(mss, mss_floor);
    // RFC 6691: the option says what a segment without options may hold.
    c.mss = static_cast<std::uint16_t>(mss - (c.ts.enabled ? timestamps_bytes : 0U));
}

void learn_irs(TcpConnectionState& c, Seq irs) {
    c.rcv.irs = irs;
    c.rcv.nxt = irs + 1;
    c.rcv.acked = irs;
    c.rcv.adv = irs + 1;
    c.rcv.up = irs;
    c.marks.rcv_durable = irs;
    c.marks.consumed = irs + 1;
    // A cut that saw us without the peer's number saw nothing of its stream.
    for (CutEdge& e : c.marks.edges) {
        if (e.cut == 0) continue;
        e.rcv_nxt = irs;
        e.consumed = irs + 1;
    }
}

void take_syn_options(TcpContext& cx, TcpConnectionState& c, const wire::TcpOptions& o,
                      bool timestamps_offered, bool scale_offered) {
    const TcpConfig& config = cx.w.config().tcp;
    c.ts.enabled = timestamps_offered && config.timestamps && o.timestamps.has_value();
    if (c.ts.enabled) {
        c.ts.recent = o.timestamps->tsval;
        c.ts.recent_at = cx.now;
    }
    c.rack.fack = c.snd.iss;
    c.sack.permitted = config.sack && o.sack_permitted;
    if (scale_offered && config.window_scaling && o.window_scale) {
        c.snd.wscale = std::min(*o.window_scale, wscale_max);
    } else {
        c.snd.wscale = 0;
        c.rcv.wscale = 0;
    }
    c.mss_peer = o.mss ? *o.mss : config.mss_default;
    update_mss(cx, c);
}

void establish(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    const TcpConfig& config = cx.w.config().tcp;
    const bool syn_was_lost = c.rtt.backoff != 0;
    measure_round_trip(cx, c, s);
    end_timeouts(cx, c);
    c.counters.data_in_at = c.counters.ack_in_at = c.counters.data_out_at = cx.now;
    // RFC 6298 5.7: what the first round trip did to a SYN, data shall not suffer.
    if (syn_was_lost) c.rtt.rto = config.rto_after_syn_loss;
    c.rtt.backoff = 0;
    c.snd.una = s.repr.ack;
    c.snd.nxt = max_seq(c.snd.nxt, c.snd.una);
    // RFC 5681 3.1: one segment after a SYN was lost.
    c.congestion = congestion::begin(c.congestion.algorithm, c.mss, syn_was_lost ? 1U : config.initial_window_segments,
                                     cx.now);
    if (syn_was_lost) c.congestion.cwnd = c.mss;
    c.phase = c.snd.fin_queued ? TcpPhase::fin_wait_1 : TcpPhase::established;
    c.timers.retransmit = never;
    c.timers.user_timeout = never;
    c.ack_now = c.rcv.acked != acknowledgeable(c);
    cx.w.notify(c.socket);
    take_queued_text(cx, c);
    if (c.rcv.acked != c.rcv.nxt && acknowledgeable(c) == c.rcv.nxt) c.ack_now = true;
}

void on_syn_sent(TcpContext& cx, TcpConnectionState& c, Segment& s) {
    if (!check_syn_sent(cx, c, s)) return;
    learn_irs(c, s.repr.seq);
    c.rcv.adv = c.rcv.nxt + std::min(c.rcv.buffer, 65535U);  // what our SYN said
    take_syn_options(cx, c, s.repr.options, true, true);
    c.snd.wnd = s.repr.window;  // RFC 7323 2.2: not scaled in a SYN
    c.snd.wnd_max = c.snd.wnd;
    c.snd.wl1 = s.repr.seq;
    c.snd.wl2 = s.repr.ack;
    on_heard(cx, c);
    if (s.repr.flags.ack) {
        ecn::take_syn_ack(c.ecn, s.repr.flags);
        establish(cx, c, s);
        take_text(cx, c, s);
        return;
    }
    // Simultaneous open: our SYN goes again, with the ACK of theirs.
    ecn::take_syn(c.ecn, s.repr.flags, c.ecn.requested ? EcnMode::respond : EcnMode::off);
    c.phase = TcpPhase::syn_received;
    c.snd.nxt = c.snd.iss;
    c.snd.wl2 = c.snd.iss;
    queue_syn_text(cx, c, s);
}

}  // namespace keepnet::tcp
