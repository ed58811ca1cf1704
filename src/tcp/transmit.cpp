// One segment: plan it (a pure question), hand it to IP, and only when IP has taken it, commit it. A full
// ring changes nothing. RFC 9293 3.8.6, 3.7.4 (Nagle); RFC 5681; DURABILITY 1 for every field.
#include <algorithm>

#include "tcp/acceptance.hpp"
#include "tcp/congestion/congestion.hpp"
#include "tcp/cookies.hpp"
#include "tcp/counters.hpp"
#include "tcp/ecn.hpp"
#include "tcp/mtu_search.hpp"
#include "tcp/push.hpp"
#include "tcp/queues.hpp"
#include "tcp/recovery/reports.hpp"
#include "tcp/recovery/sack.hpp"
#include "tcp/recovery/scoreboard.hpp"
#include "tcp/rtt.hpp"
#include "tcp/tuning.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

/// An ACK acknowledges at most so much at once after a commit: a stretch would make the peer burst
/// (DURABILITY 1).
constexpr std::uint32_t ack_step_segments = 8;
constexpr std::size_t option_bytes_max = wire::tcp_header_bytes_max - wire::tcp_header_bytes;

enum class Hold : std::uint8_t { nothing, go, window, nagle, cork };

struct Plan {
    enum class Kind : std::uint8_t { none, reset, syn, data, probe, ack } kind = Kind::none;
    Hold hold = Hold::nothing;
    bool fin = false;
    Seq seq{};
    std::uint32_t bytes = 0;
};

Seq data_end(const TcpConnectionState& c) { return c.snd.una + c.send_queue.bytes; }

/// SEQ of a segment without text: the peer's RCV.NXT as far as we know, but never beyond its window.
Seq seq_without_text(const TcpConnectionState& c) {
    if (is_syn_unacked(c)) return c.snd.nxt;
    return min_seq(c.snd.max, c.snd.una + c.snd.wnd);
}

/// A full segment; or an MTU probe, where enough follows it for its loss to be seen (RFC 4821 7.4). The windows may have to
/// drain for it; but with nothing in flight nobody waits.
std::uint32_t segment_size(const TcpConnectionState& c, std::uint32_t available, std::uint32_t usable) {
    const std::uint32_t probe = mtu_search::due_text(c);
    const std::uint32_t needed = probe + 3U * c.mss;
    if (probe == 0 || available < needed || c.snd.wnd < needed) return c.mss;
    return usable >= probe || c.snd.nxt != c.snd.una ? probe : c.mss;
}

/// RFC 3042: the first two duplicate ACKs each let a new segment out. (With SACK what they report leaves the pipe.)
std::uint32_t congestion_window(const TcpConnectionState& c) {
    const bool is_limited = !c.sack.permitted && !c.recovery.in_recovery && !c.recovery.after_timeout;
    const std::uint32_t more = is_limited ? std::min<std::uint32_t>(c.recovery.duplicate_acks, 2) * c.mss : 0;
    return c.congestion.cwnd + more;
}

/// Text at snd.nxt, FIN included. `force`: the persist timer overrides the silly-window rule (RFC
/// 9293 3.8.6.2.1).
Plan plan_data(const TcpConnectionState& c, bool force) {
    Plan p;
    const Seq limit = sendable_end(c);
    const Seq end = min_seq(data_end(c), limit);
    // What the peer has need not be sent again.
    const bool goes_back = before(c.snd.nxt, c.snd.max) && c.sack.ranges != 0;
    const Seq until = goes_back ? min_seq(end, c.sack.stop) : end;
    const std::uint32_t available = before(c.snd.nxt, until) ? until - c.snd.nxt : 0;
    const bool is_fin_known = goes_back && before_eq(c.sack.stop, data_end(c));
    const bool fin_ready = c.snd.fin_queued && !c.snd.fin_acked && before_eq(c.snd.nxt, data_end(c)) &&
                           after(limit, data_end(c)) && !is_fin_known;
    if (available == 0 && !fin_ready) return p;
    p.seq = c.snd.nxt;
    const std::uint32_t in_flight = c.snd.nxt - c.snd.una;
    // Restored, and the peer not heard yet: one segment, its ACK tells the rest (DURABILITY 8).
    const bool is_pending = c.verdict == Verdict::pending;
    const std::uint32_t window = is_pending ? std::min<std::uint32_t>(c.snd.wnd, c.mss) : c.snd.wnd;
    const std::uint32_t load = pipe(c);
    const std::uint32_t cwnd = congestion_window(c);
    std::uint32_t usable = std::min(window > in_flight ? window - in_flight : 0, cwnd > load ? cwnd - load : 0);
    // The rest of a burst waits for its timer; what goes again does not.
    if (c.timers.pace != never && c.snd.nxt == c.snd.max) usable = std::min(usable, c.congestion.pace_left);
    const std::uint32_t segment = segment_size(c, available, usable);
    const std::uint32_t len = std::min({available, usable, segment});
    const bool whole = len == available;
    // The congestion window need not wait for a FIN: it is no load.
    p.fin = fin_ready && whole && p.seq + len == data_end(c) && c.snd.wnd > in_flight + len;
    p.bytes = len;
    if (segment > c.mss && len < segment) {
        p.hold = Hold::window;
        return p;
    }
    p.hold = Hold::go;
    if (p.fin || len == segment || (len != 0 && (force || before(c.snd.nxt, c.snd.max)))) return p;
    if (len == 0) {
        p.hold = Hold::window;
        return p;
    }
    if (!whole) {
        if (len < c.snd.wnd_max / 2 || usable < c.snd.wnd) p.hold = Hold::window;
        return p;
    }
    if (c.push_seq_valid == 0 || after_eq(c.snd.nxt, c.push_seq)) {
        p.hold = Hold::cork;
        return p;
    }
    p.bytes = std::min(len, c.push_seq - c.snd.nxt);
    // Minshall's form, as Linux: a partial segment waits for the ACK of the partial one before it, not of
    // full ones.
    if (!c.options.no_delay && after(c.snd.sml, c.snd.una) && before_eq(c.snd.sml, c.snd.nxt))
        p.hold = Hold::nagle;
    return p;
}

/// Of seq..end-1, which has been sent, as much as a segment holds; a FIN may be the last of it.
Plan plan_sent(const TcpConnectionState& c, Seq seq, Seq end) {
    Plan p;
    const Seq text_end = min_seq(data_end(c), end);
    p.kind = Plan::Kind::data;
    p.seq = seq;
    p.bytes = before(seq, text_end) ? std::min<std::uint32_t>(text_end - seq, c.mss) : 0;
    p.fin = c.snd.fin_queued && !c.snd.fin_acked && p.seq + p.bytes == data_end(c) && after(end, data_end(c));
    if (p.bytes == 0 && !p.fin) p.kind = Plan::Kind::none;
    return p;
}

/// RFC 6675 4, NextSeg rule 1: the first that is lost, when the window has room.
Plan plan_lost(const TcpConnectionState& c) {
    if (c.sack.lost_left == c.sack.lost_right) return {};
    const Plan p = plan_sent(c, c.sack.lost_left, c.sack.lost_right);
    const std::uint32_t load = pipe(c);
    return load == 0 || load + p.bytes <= c.congestion.cwnd ? p : Plan{};
}

/// RFC 8985 7.3: a new segment, if the peer's window allows one, else the last one again.
Plan plan_tail_probe(const TcpConnectionState& c) {
    const Seq limit = min_seq(min_seq(data_end(c), sendable_end(c)), c.snd.una + c.snd.wnd);
    if (c.snd.nxt == c.snd.max && before(c.snd.max, limit)) {
        Plan p;
        p.kind = Plan::Kind::data;
        p.seq = c.snd.max;
        p.bytes = std::min<std::uint32_t>(limit - c.snd.max, c.mss);
        return p;
    }
    const std::uint32_t tail = std::min({std::uint32_t{c.rack.tail_bytes}, std::uint32_t{c.mss}, c.snd.max - c.snd.una});
    return tail == 0 ? Plan{} : plan_sent(c, c.snd.max - tail, c.snd.max);
}

/// What fast retransmit, or a restore, owes: the segment at una, whatever the windows say.
Plan plan_retransmission(const TcpConnectionState& c) {
    Plan p;
    const Seq sent = min_seq(c.snd.max, sendable_end(c));
    if (!before(c.snd.una, sent)) return p;
    const Seq end = min_seq(data_end(c), sent);
    p.kind = Plan::Kind::data;
    p.seq = c.snd.una;
    p.bytes = std::min<std::uint32_t>(end - c.snd.una, c.mss);
    // Restored: snd.max is what may have been sent, and the peer's window is the limit of what was.
    if (c.verdict != Verdict::not_restored && p.bytes > c.snd.wnd) p.bytes = c.snd.wnd;
    p.fin = c.snd.fin_queued && p.seq + p.bytes == data_end(c) && after(sent, data_end(c));
    if (p.bytes == 0 && !p.fin) p.kind = Plan::Kind::none;
    return p;
}

bool is_ack_due(const TcpConnectionState& c) {
    if (!c.ack_now && !c.window_update_owed && !c.resume_owed && !c.fin_ack_owed) return false;
    // A withheld ACK must not come out as a duplicate one (DURABILITY 1).
    if (is_planted(Fault::withheld_acks_sent) && c.ack_now) return true;
    return c.resume_owed || acknowledgeable(c) == c.rcv.nxt || after(acknowledgeable(c), c.rcv.acked);
}

Plan plan_syn(const TcpConnectionState& c) {
    Plan p;
    const bool unsent = c.snd.nxt == c.snd.iss;
    if (unsent && after(sendable_end(c), c.snd.iss) &&
        (c.phase == TcpPhase::syn_sent || may_acknowledge(c))) {
        p.kind = Plan::Kind::syn;
        p.seq = c.snd.iss;
    } else if (!unsent && c.phase == TcpPhase::syn_received && c.ack_now && is_ack_due(c)) {
        p.kind = Plan::Kind::ack;
        p.seq = c.snd.nxt;
    }
    return p;
}

Plan plan_next(const TcpConnectionState& c) {
    Plan p;
    if (is_dead(c)) {
        if (c.rst_owed && !c.tombstone) {
            p.kind = Plan::Kind::reset;
            p.seq = c.rst_is_answer ? c.snd.una : seq_without_text(c);
        }
        return p;
    }
    if (is_syn_unacked(c)) return plan_syn(c);
    if (!may_acknowledge(c)) return p;
    if (c.recovery.retransmit_owed) {
        p = plan_retransmission(c);
        if (p.kind != Plan::Kind::none) return p;
    }
    if (c.rack.probe_owed) {
        p = plan_tail_probe(c);
        if (p.kind != Plan::Kind::none) return p;
    }
    p = plan_lost(c);
    if (p.kind != Plan::Kind::none) return p;
    p = plan_data(c, c.probe_owed);
    if (p.hold == Hold::go) {
        p.kind = Plan::Kind::data;
        return p;
    }
    p = {};
    if (c.probe_owed) {
        p.kind = Plan::Kind::probe;
        p.seq = c.snd.una - 1;
    } else if (is_ack_due(c)) {
        p.kind = Plan::Kind::ack;
        p.seq = seq_without_text(c);
    }
    return p;
}

/// Bytes that all granted windows together may reach.
std::uint64_t grant_limit(const World& w) {
    const std::uint64_t limit = w.config().tcp.receive_grant_bytes;
    return limit != 0 ? limit : std::uint64_t{w.pool.capacity()} * packet_buffer_bytes / 2;
}

/// Less than this is not worth telling (RFC 9293 3.8.6.2.2).
std::uint32_t window_step(const TcpConnectionState& c) {
    return std::min<std::uint32_t>(c.rcv.buffer / 2, c.mss);
}

WindowChoice window_for(const TcpContext& cx, const TcpConnectionState& c, Seq ack, bool is_syn) {
    // RFC 7323 2.2: the window of a SYN is never scaled. DURABILITY 9: a suspended stack shows none.
    if (cx.w.stack().suspend != SuspendPhase::running) return {0, c.rcv.adv};
    const std::uint64_t limit = grant_limit(cx.w);
    const std::uint64_t pool_left = limit > cx.tables.granted_total ? limit - cx.tables.granted_total : 0;
    const std::uint64_t left = std::min(pool_left, cx.w.grant_room);
    // Nobody takes more than an eighth of what is left; two segments are everybody's due.
    const std::uint32_t due = 2U * c.mss;
    const std::uint32_t held = c.rcv.adv - ack;
    WindowNeed n;
    n.ack = ack;
    n.adv = c.rcv.adv;
    n.wanted = wanted_edge(c);
    n.step = window_step(c);
    n.room = std::max(static_cast<std::uint32_t>(std::min<std::uint64_t>(left / 8, UINT32_MAX / 2)),
                      due > held ? due - held : 0);
    n.wscale = is_syn ? 0 : c.rcv.wscale;
    return choose_window(n);
}

/// Is the peer's cookie all that the connection may be known by in our next life; or may a cookie take its place yet?
bool is_beside_cookie(const TcpConnectionState& c, Seq ack) {
    if (c.cookie_until == never || c.policy == DurabilityPolicy::none) return false;
    return c.phase == TcpPhase::syn_received || (c.snd.max == c.snd.iss + 1 && ack == c.rcv.irs + 1);
}

/// TSval. What a cookie's connection says before it may be durable is all that its next life will have echoed, so it
/// goes on saying what its SYN-ACK did: the peer's window scale. A record that a cookie may supersede says no time above
/// what the cookie's connection will.
std::uint32_t timestamp_for(const TcpContext& cx, const TcpConnectionState& c, Seq ack) {
    const std::uint32_t clock = timestamp_now(cx, c.ts.offset);
    if (!is_beside_cookie(c, ack)) return clock;
    return cookie_timestamp(clock, cookie_scale(c.snd.wscale, c.rcv.wscale));
}

/// New text at snd.max that nothing but the windows holds back.
std::uint32_t text_that_may_leave(const TcpConnectionState& c) {
    const Seq end = min_seq(data_end(c), sendable_end(c));
    const std::uint32_t all = after(end, c.snd.max) ? end - c.snd.max : 0;
    const bool is_released = c.push_seq_valid != 0 && after_eq(c.push_seq, end);
    const bool waits = !c.options.no_delay && after(c.snd.sml, c.snd.una) && before_eq(c.snd.sml, c.snd.nxt);
    return is_released && !waits ? all : all - all % c.mss;
}

/// One segment is no stretch.
bool ends_stretch(const TcpConnectionState& c, const Plan& p) {
    return c.push.stretch_left != 0 && c.push.stretch_left <= p.bytes;
}

/// Nothing of it was ever sent, and no persist timer forces it.
bool is_new_text(const TcpConnectionState& c, const Plan& p) {
    return p.kind == Plan::Kind::data && p.bytes != 0 && p.seq == c.snd.max && !c.probe_owed;
}

wire::TcpRepr header_for(const TcpContext& cx, const TcpConnectionState& c, const Plan& p,
                         WindowChoice& window) {
    wire::TcpRepr h;
    h.src_port = c.local.port;
    h.dst_port = c.remote.port;
    h.seq = p.seq;
    const bool is_syn = p.kind == Plan::Kind::syn;
    h.flags.syn = is_syn;
    h.flags.rst = p.kind == Plan::Kind::reset;
    h.flags.fin = p.fin;
    const bool is_answer = h.flags.rst && c.rst_is_answer;
    h.flags.ack = c.phase != TcpPhase::syn_sent && !is_answer;
    ecn::mark(c, h.flags, is_new_text(c, p));
    const Seq end = p.seq + p.bytes;
    // What a timer forces out is pushed too, as on Linux: nothing follows it soon.
    h.flags.psh = p.bytes != 0 && (push::is_marked(c.push, p.seq, end) || (p.seq == c.snd.max && ends_stretch(c, p)) ||
                                   (c.probe_owed && end == data_end(c)));
    if (h.flags.ack) {
        h.ack = ack_field(c);
        window = window_for(cx, c, h.ack, is_syn);
        h.window = window.field;
    } else {
        h.window = static_cast<std::uint16_t>(std::min(c.rcv.buffer, 65535U));
    }
    // RFC 7323 3.2: in a reset too, but for an answer to one segment (RFC 9293 3.5.2).
    if (c.ts.enabled && !is_answer) {
        h.options.timestamps = {timestamp_for(cx, c, h.ack), h.flags.ack ? c.ts.recent : 0};
    }
    if (h.flags.ack && !is_syn && !h.flags.rst) {
        const std::size_t room = option_bytes_max - (h.options.timestamps ? timestamps_bytes : 0U);
        const std::size_t beside_text = c.mss > p.bytes ? c.mss - p.bytes : 0U;
        fill_sack(cx.w, c, h.ack, p.bytes == 0 ? room : std::min(room, beside_text), h.options);
    }
    if (is_syn) {
        h.options.sack_permitted = c.phase == TcpPhase::syn_sent ? cx.w.config().tcp.sack : c.sack.permitted;
        h.options.mss = advertised_mss(cx, c.remote, c.options.max_segment);
        // In a SYN-ACK only what the peer offered; two shifts of 0 say the same as no option.
        const bool is_offer = c.phase == TcpPhase::syn_sent && cx.w.config().tcp.window_scaling;
        if (is_offer || c.rcv.wscale != 0 || c.snd.wscale != 0) {
            h.options.window_scale = c.rcv.wscale;
        }
    }
    return h;
}

void commit_ack(TcpContext& cx, TcpConnectionState& c, const wire::TcpRepr& h, const WindowChoice& window) {
    const bool was_shut = c.rcv.adv == c.rcv.acked;
    const bool is_shut = window.field == 0;
    if (is_shut && !was_shut) ++cx.w.count().tcp_zero_windows_sent;
    if (was_shut && !is_shut) ++cx.w.count().tcp_zero_windows_reopened;
    on_sack_sent(c, h.options);
    c.rcv.acked = h.ack;
    c.rcv.adv = window.adv;
    c.segments_since_ack = 0;
    c.timers.delayed_ack = never;
    c.window_update_owed = false;
    // More to say when a step ended before what may be acknowledged.
    c.ack_now = after(ack_field(c), h.ack);
    if (c.fin_ack_owed && c.rcv.fin_received && h.ack == c.rcv.nxt) on_fin_ack_transmitted(cx, c);
}

/// What leaves at once is a burst at most; more than that goes at twice the window a round trip, twice the rate at which
/// ACKs let it out. So it is only felt where they do not: after a commit, after a pause, when a window opens.
void pace_burst(const TcpContext& cx, TcpConnectionState& c, std::uint32_t bytes) {
    constexpr Duration interval_min = milliseconds(1);  // below that a timer costs more than the burst
    const std::uint32_t burst = cx.w.config().tcp.burst_segments * c.mss;
    if (c.timers.pace == never) {
        if (burst == 0 || c.congestion.cwnd <= burst) return;
        const Duration interval = c.rtt.srtt / (2 * std::int64_t{c.congestion.cwnd} / burst);
        if (interval < interval_min) return;
        c.timers.pace = cx.now + interval;
        c.congestion.pace_left = burst;
    }
    c.congestion.pace_left -= std::min(c.congestion.pace_left, bytes);
}

void commit_text(TcpContext& cx, TcpConnectionState& c, const Plan& p, Link cursor) {
    const std::uint32_t length = p.bytes + (p.fin ? 1U : 0U) + (p.kind == Plan::Kind::syn ? 1U : 0U);
    const Seq end = p.seq + length;
    const bool is_probe = p.bytes != 0 && p.bytes == mtu_search::due_text(c);
    const TcpConfig& config = cx.w.config().tcp;
    const Duration idle_max = config.restart_after_idle ? current_rto(c.rtt, config) : Duration{INT64_MAX};
    if (before(p.seq, c.snd.max)) {
        if (p.kind == Plan::Kind::syn) ++cx.w.count().tcp_syn_retransmits;
        ++c.recovery.retransmissions;
        ++cx.w.count().tcp_segments_retransmitted;
        mtu_search::on_sent_again(cx, c, p.seq, end);
        c.rtt.timing = false;  // RFC 6298 3: whose ACK is the next one?
    } else {
        if (p.kind == Plan::Kind::data && c.snd.max == c.snd.una) {
            congestion::before_send(c.congestion, congestion::view_of(c, cx.now), config.initial_window_segments, idle_max);
        }
        if (p.kind == Plan::Kind::data) {
            const std::uint32_t stretch = push::stretch(cx, c, p.bytes, text_that_may_leave(c));
            c.push.stretch_left = stretch - std::min(stretch, p.bytes);
        }
        if (!c.rtt.timing) {
            c.rtt.timing = true;
            c.rtt.timed = end;
            c.rtt.timed_at = cx.now;
        }
    }
    if (p.seq == c.snd.una && c.recovery.retransmit_owed) {
        // What is sent again has a whole time-out to be acknowledged.
        c.recovery.retransmit_owed = false;
        c.timers.retransmit = never;
    }
    if (after(end, c.snd.nxt)) {
        c.snd.nxt = end;
        cx.tables.extra[cx.w.connections.index_of(c)].cursor = cursor;
    }
    const bool is_first = !before(p.seq, c.snd.max);
    if (is_first && p.kind == Plan::Kind::data) {
        tuning::on_answer(cx, c.tuning);
        if (is_probe) mtu_search::on_sent(c, end);
        pace_burst(cx, c, p.bytes);
    }
    c.snd.max = max_seq(c.snd.max, end);
    if (is_first) notify_sent(cx, c);
    if (p.bytes != 0 && p.bytes < c.mss) c.snd.sml = end;
    c.congestion.last_sent = cx.now;
    if (is_first && p.kind == Plan::Kind::data) {
        congestion::after_send(c.congestion, congestion::view_of(c, cx.now), config.initial_window_segments, idle_max);
    }
    if (c.sack.permitted && is_synchronized(c)) sack::on_sent(cx, c, p.seq, end, is_first);
    if (c.timers.retransmit == never && (is_first || !is_planted(Fault::timer_not_rearmed))) {
        c.timers.retransmit = cx.now + current_rto(c.rtt, config);
    }
    if (c.sack.permitted && is_first) sack::arm_probe(cx, c);
    if (is_syn_unacked(c) && c.timers.user_timeout == never) {
        c.timers.user_timeout = cx.now + (c.is_passive                    ? config.synack_give_up
                                          : c.options.user_timeout.ns > 0 ? c.options.user_timeout
                                                                          : config.syn_give_up);
    }
}

ip::OutputResult hand_over(TcpContext& cx, const TcpConnectionState& c, const wire::TcpRepr& h,
                           const Gathered& text, bool is_new) {
    ip::OutputRequest r = request_for(c);
    r.traffic_class = ecn::traffic_class(c, is_new);
    r.header_length = static_cast<std::uint8_t>(wire::emit_tcp(h, r.header));
    r.slices = text.slices;
    r.slice_count = text.count;
    return ip::submit(cx, r);
}

void commit_transmit(TcpContext& cx, TcpConnectionState& c, const Plan& p, const wire::TcpRepr& h,
                     const WindowChoice& window, Link cursor) {
    ++cx.w.count().tcp_segments_sent;
    count_sent(cx, c, p.bytes, before(p.seq, c.snd.max));
    switch (p.kind) {
        case Plan::Kind::none:
            return;
        case Plan::Kind::reset:
            c.rst_owed = false;
            ++cx.w.count().tcp_resets_sent;
            return;
        case Plan::Kind::syn:
        case Plan::Kind::data:
            commit_text(cx, c, p, cursor);
            break;
        case Plan::Kind::probe:
            break;
        case Plan::Kind::ack:
            break;
    }
    const bool asks_after_restore = p.kind == Plan::Kind::probe && c.resume_owed;
    c.probe_owed = false;
    c.resume_owed = false;
    if (h.flags.ack) commit_ack(cx, c, h, window);
    // The answer makes the ACK leave (on_heard); if there is none it leaves all the same.
    if (asks_after_restore) c.timers.delayed_ack = cx.now + cx.w.config().tcp.delayed_ack;
}

/// The plan's bytes as slices; a plan that needs more slices than there are becomes shorter.
Gathered gather_text(const TcpContext& cx, const TcpConnectionState& c, Plan& p) {
    if (p.bytes == 0) return {};
    const Link from = cx.tables.extra[cx.w.connections.index_of(c)].cursor;
    const Gathered text = gather(cx.w, c.send_queue, from, p.seq, p.bytes);
    if (text.bytes != p.bytes) p.fin = false;
    p.bytes = text.bytes;
    return text;
}

Transmitted transmit(TcpContext& cx, TcpConnectionState& c, Plan p) {
    for (int tries = 0; tries < 2; ++tries) {
        Gathered text = gather_text(cx, c, p);
        if (p.bytes > c.mss && p.bytes != mtu_search::due_text(c)) {  // no probe, for want of slices
            p.bytes = c.mss;
            text = gather_text(cx, c, p);
        }
        WindowChoice window{0, c.rcv.adv};
        const wire::TcpRepr h = header_for(cx, c, p, window);
        switch (hand_over(cx, c, h, text, is_new_text(c, p))) {
            case ip::OutputResult::invalid:
            case ip::OutputResult::busy:
                return Transmitted::busy;
            case ip::OutputResult::address_gone:
                c.rst_owed = false;
                end_connection(cx, c, Error::address_gone, Verdict::address_gone);
                return Transmitted::nothing;
            case ip::OutputResult::too_big: {
                const std::uint16_t before_it = c.mss;
                update_mss(cx, c);
                if (c.mss > before_it) c.mss = before_it;
                if (c.mss < before_it && p.bytes > c.mss && tries == 0) {
                    p.bytes = c.mss;
                    p.fin = false;
                    continue;
                }
                break;
            }
            case ip::OutputResult::no_route:
                c.error = Error::host_unreachable;
                break;
            case ip::OutputResult::sent:
                break;
        }
        // What found no way is a lost segment: its timer runs.
        commit_transmit(cx, c, p, h, window, text.cursor);
        break;
    }
    return Transmitted::sent;
}

}  // namespace

Seq ack_field(const TcpConnectionState& c) {
    Seq end = acknowledgeable(c);
    if (!is_synchronized(c) || !after(end, c.rcv.acked)) return end;
    const std::uint32_t step = ack_step_segments * c.mss;
    if (c.policy != DurabilityPolicy::none && end - c.rcv.acked > step) end = c.rcv.acked + step;
    // Each ACK that does not fit the old edge's scale pushes the edge on (choose_window). Once it is beyond the buffer by
    // more than some, only numbers that fit are acknowledged.
    const std::uint32_t unit = 1U << c.rcv.wscale;
    const std::uint32_t misfit = (c.rcv.adv - end) & (unit - 1);
    if (misfit == 0 || c.rcv.fin_received) return end;
    // Where nothing is unread nobody's reading would bring the rest later; and a push is no more than what it acknowledges.
    if (end == rcv_consumed(c)) return end;
    if (!after(c.rcv.adv, rcv_consumed(c) + (c.rcv.buffer + c.rcv.buffer / 8 + 64 * unit))) return end;
    return max_seq(c.rcv.acked, end - (unit - misfit));
}

ip::OutputRequest request_for(const TcpConnectionState& c) {
    ip::OutputRequest r;
    r.source = c.local.address;
    r.destination = c.remote.address;
    r.interface = c.remote.interface != 0 ? c.remote.interface : c.local.interface;
    r.next_header = wire::number(wire::NextHeader::tcp);
    r.hop_limit = c.options.hop_limit;
    r.traffic_class = c.options.traffic_class;
    r.flow_label = c.flow_label;
    r.checksum_offset = wire::tcp_checksum_offset;
    return r;
}

Transmitted transmit_next(TcpContext& cx, TcpConnectionState& c) {
    const Plan p = plan_next(c);
    return p.kind == Plan::Kind::none ? Transmitted::nothing : transmit(cx, c, p);
}

void send_ack(TcpContext& cx, TcpConnectionState& c) {
    if (is_dead(c) || c.phase == TcpPhase::syn_sent || !may_acknowledge(c)) return;
    Plan p;
    p.kind = Plan::Kind::ack;
    p.seq = seq_without_text(c);
    if (transmit(cx, c, p) == Transmitted::busy) c.ack_now = true;
}

bool has_something_to_send(const TcpConnectionState& c) { return plan_next(c).kind != Plan::Kind::none; }

bool needs_persist(const TcpConnectionState& c) {
    if (!is_synchronized(c) || !may_acknowledge(c)) return false;
    if (c.timers.pace != never) return false;
    if (c.snd.nxt != c.snd.una || c.timers.retransmit != never || c.recovery.retransmit_owed) return false;
    return plan_data(c, false).hold == Hold::window;
}

bool is_corked(const TcpConnectionState& c) {
    if (c.push_seq_valid != 0 && c.push_seq == data_end(c)) return false;  // nothing behind what was pushed
    return is_synchronized(c) && may_acknowledge(c) && plan_data(c, false).hold == Hold::cork;
}

bool is_window_update_due(const TcpContext& cx, const TcpConnectionState& c) {
    // While much is open, the ACKs of what comes say it soon enough.
    if (!after(wanted_edge(c), c.rcv.adv) || c.rcv.adv - c.rcv.nxt > c.rcv.buffer / 2) return false;
    // Where there is no room to grant it, the update would say nothing new: a duplicate ACK. Rounding may take
    // less than a unit away.
    const std::uint32_t gain = window_for(cx, c, ack_field(c), false).adv - c.rcv.adv;
    return gain + (1U << c.rcv.wscale) > window_step(c);
}

}  // namespace keepnet::tcp
