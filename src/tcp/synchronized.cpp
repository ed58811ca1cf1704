// A segment for a connection whose peer's SYN is known: RFC 9293 3.10.7.4, step by step, with RFC 5961's
// answers to blind guesses and RFC 7323's timestamps.
#include <algorithm>

#include "tcp/acceptance.hpp"
#include "tcp/congestion/congestion.hpp"
#include "tcp/counters.hpp"
#include "tcp/cookies.hpp"
#include "tcp/ecn.hpp"
#include "tcp/mtu_search.hpp"
#include "tcp/push.hpp"
#include "tcp/queues.hpp"
#include "tcp/recovery/newreno.hpp"
#include "tcp/recovery/sack.hpp"
#include "tcp/rtt.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

constexpr Duration timestamp_lifetime = seconds(24LL * 86400);  // RFC 7323 5.5

bool is_recent_valid(const TcpContext& cx, const TcpConnectionState& c) {
    return cx.now - c.ts.recent_at <= timestamp_lifetime;
}

/// PAWS (RFC 7323 5.3, R1), and segments that lack what was negotiated (3.2). False: dropped.
bool check_timestamp(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    if (!c.ts.enabled || s.repr.flags.rst) return true;
    if (!s.repr.options.timestamps) {
        cx.w.drop(DropReason::tcp_no_timestamp);
        return false;
    }
    if (!is_older_timestamp(s.repr.options.timestamps->tsval, c.ts.recent) || !is_recent_valid(cx, c))
        return true;
    cx.w.drop(DropReason::tcp_paws);
    answer_unacceptable(cx, c, s);
    return false;
}

/// RFC 7323 4.3 (2): only a segment that begins no later than the last ACK that we sent; or the first one after a restore,
/// because what would be echoed instead measures our outage (DURABILITY 8).
void take_timestamp(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    if (!c.ts.enabled || !s.repr.options.timestamps) return;
    if (after(s.repr.seq, c.rcv.acked) && c.verdict != Verdict::pending) return;
    const std::uint32_t tsval = s.repr.options.timestamps->tsval;
    if (is_older_timestamp(tsval, c.ts.recent) && is_recent_valid(cx, c)) return;
    c.ts.recent = tsval;
    c.ts.recent_at = cx.now;
}

/// First check, the sequence number. False: dropped and answered.
bool check_sequence(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    if (is_acceptable(s.repr.seq, s.length(), c.rcv.nxt, c.rcv.adv)) return true;
    // "Special allowance": the text is not acceptable, the ACK of a segment at a closed window is.
    if (c.rcv.adv == c.rcv.nxt && s.repr.seq == c.rcv.nxt) return true;
    cx.w.drop(DropReason::tcp_unacceptable_sequence);
    if (c.phase == TcpPhase::time_wait && s.fin && !c.fin_ack_owed) {
        c.timers.time_wait = cx.now + cx.w.config().tcp.msl * 2;
    }
    answer_unacceptable(cx, c, s);
    return false;
}

/// The peer reset the connection.
void on_reset(TcpContext& cx, TcpConnectionState& c) {
    ++cx.w.count().tcp_resets_received;
    switch (c.phase) {
        case TcpPhase::syn_received:
            // A passive open goes back to LISTEN: the listener never left it.
            return end_connection(cx, c, Error::connection_refused, Verdict::reset_by_peer);
        case TcpPhase::established:
        case TcpPhase::close_wait:
        case TcpPhase::fin_wait_1:
        case TcpPhase::fin_wait_2:
            ++cx.w.count().tcp_established_resets;
            return end_connection(cx, c, Error::connection_reset, Verdict::reset_by_peer);
        case TcpPhase::closing:
        case TcpPhase::last_ack:
        case TcpPhase::time_wait:
            return end_connection(cx, c, Error::invalid, Verdict::closed);
        case TcpPhase::invalid:
        case TcpPhase::closed:
        case TcpPhase::listen:
        case TcpPhase::syn_sent:
            return;
    }
}

/// Second check, RST: RFC 5961 3.2, RFC 1337.
void take_reset(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    if (c.phase == TcpPhase::time_wait) return cx.w.drop(DropReason::tcp_reset_in_time_wait);
    // The peer's answer to a segment of ours bears the ACK that this had, which may be behind what has come
    // since.
    const bool exact =
        s.repr.seq == c.rcv.nxt || (c.policy != DurabilityPolicy::none && s.repr.seq == c.rcv.acked);
    if (exact) return on_reset(cx, c);
    if (!in_window(s.repr.seq, c.rcv.nxt, c.rcv.adv - c.rcv.nxt)) {
        return cx.w.drop(DropReason::tcp_unacceptable_sequence);
    }
    cx.w.drop(DropReason::tcp_challenged_reset);
    send_challenge(cx, c);
}

/// Is it the SYN that we know already, from a peer that has not got ours?
bool is_repeated_syn(const TcpConnectionState& c, const Segment& s) {
    return c.phase == TcpPhase::syn_received && s.repr.seq == c.rcv.irs && !s.repr.flags.ack;
}

/// Fourth check, SYN. True: only a simultaneous open's SYN-ACK, whose SYN is known and whose ACK counts (RFC
/// 9293 3.5, figure 8).
bool take_syn(TcpContext& cx, TcpConnectionState& c, Segment& s) {
    const bool half_open = c.phase == TcpPhase::syn_received;
    if (half_open && !c.is_passive && s.repr.seq == c.rcv.irs && s.repr.flags.ack) {
        s.repr.seq += 1;
        s.repr.flags.syn = false;
        s.came_with_syn = true;
        return true;
    }
    if (is_repeated_syn(c, s)) {
        cx.w.drop(DropReason::tcp_unacceptable_sequence);
        if (!ecn::is_setup_syn(s.repr.flags)) c.ecn.enabled = false;  // RFC 3168 6.1.1
        if (cx.now - c.last_invalid_ack >= cx.w.config().tcp.invalid_ack_interval) {
            c.last_invalid_ack = cx.now;
            c.snd.nxt = c.snd.iss;  // our SYN goes again
        }
        return false;
    }
    if (half_open && c.is_passive) {
        // Back to LISTEN, for a SYN inside the window only.
        if (!check_sequence(cx, c, s)) return false;
        cx.w.drop(DropReason::tcp_challenged_syn);
        end_connection(cx, c, Error::connection_reset, Verdict::reset_by_peer);
        return false;
    }
    // RFC 5961 4.2: whatever its sequence number, a SYN gets a challenge. A peer that restarted will reset
    // us.
    cx.w.drop(DropReason::tcp_challenged_syn);
    ++cx.w.count().tcp_syn_challenges;
    send_challenge(cx, c);
    return false;
}

/// Fifth check in SYN-RECEIVED. False: the segment goes no further.
bool complete_handshake(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    if (classify_ack(c.snd, s.repr.ack) != AckKind::advances) {
        cx.w.drop(DropReason::tcp_bad_ack);
        // A peer that has a cookie of ours: what comes with the cookie itself takes this record's place (supersede()).
        if (!c.is_passive || !brings_cookie(cx, s, c.rcv.irs)) answer_with_reset(cx, s);
        return false;
    }
    if (c.is_passive && !queue_for_accept(cx, c)) {
        cx.w.drop(DropReason::tcp_listen_overflow);
        return false;
    }
    c.snd.wnd = std::uint32_t{s.repr.window} << (s.came_with_syn ? 0U : c.snd.wscale);
    c.snd.wnd_max = c.snd.wnd;
    c.snd.wl1 = s.repr.seq;
    c.snd.wl2 = s.repr.ack;
    establish(cx, c, s);
    return true;
}

/// `advanced`: its ACK is the newest there was, so its window is, whatever its SEQ. A peer whose window we shrank goes
/// back in SEQ, and a window that stayed behind would move its edge on with una, beyond what it ever said.
void take_window(TcpConnectionState& c, const Segment& s, bool advanced) {
    if (!advanced && !is_newer_window(c.snd, s.repr.seq, s.repr.ack)) return;
    c.snd.wnd = std::uint32_t{s.repr.window} << c.snd.wscale;
    if (c.snd.wnd > c.snd.wnd_max) c.snd.wnd_max = c.snd.wnd;
    c.snd.wl1 = s.repr.seq;
    c.snd.wl2 = s.repr.ack;
}

void on_fin_acked(TcpContext& cx, TcpConnectionState& c) {
    c.snd.fin_acked = true;
    switch (c.phase) {
        case TcpPhase::fin_wait_1:
            c.phase = TcpPhase::fin_wait_2;
            if (is_orphan(c)) c.timers.time_wait = cx.now + cx.w.config().tcp.fin_wait_2;
            return;
        case TcpPhase::closing:
            // DURABILITY 2: not before the peer has our ACK of its FIN.
            if (!c.fin_ack_owed) enter_time_wait(cx, c);
            return;
        case TcpPhase::last_ack:
            if (!c.fin_ack_owed || is_planted(Fault::early_end_of_last_ack)) {
                end_connection(cx, c, Error::invalid, Verdict::closed);
            }
            return;
        case TcpPhase::invalid:
        case TcpPhase::closed:
        case TcpPhase::listen:
        case TcpPhase::syn_sent:
        case TcpPhase::syn_received:
        case TcpPhase::established:
        case TcpPhase::fin_wait_2:
        case TcpPhase::close_wait:
        case TcpPhase::time_wait:
            return;
    }
}

/// Forgets what was acknowledged. True: the FIN too.
bool advance_una(TcpContext& cx, TcpConnectionState& c, Seq ack) {
    const Seq data_end = c.snd.una + c.send_queue.bytes;
    const bool fin_acked = after(ack, data_end);
    Link& cursor = cx.tables.extra[cx.w.connections.index_of(c)].cursor;
    trim_front(cx.w, c.send_queue, (fin_acked ? data_end : ack) - c.snd.una, &cursor);
    c.snd.una = ack;
    if (before(c.snd.nxt, ack)) {
        c.snd.nxt = ack;
        cursor = {};
    }
    if (c.push_seq_valid != 0 && after_eq(ack, c.push_seq)) c.push_seq_valid = 0;
    push::forget(c.push, ack);
    // MSG_MORE holds text back until there is another call, or an ACK, as on Linux.
    if (!c.options.cork && c.send_queue.bytes != 0) {
        c.push_seq = c.snd.una + c.send_queue.bytes;
        c.push_seq_valid = 1;
    }
    return fin_acked;
}

void on_new_ack(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    const Seq ack = s.repr.ack;
    const std::uint32_t acked = ack - c.snd.una;
    const congestion::View view = congestion::view_of(c, cx.now);
    const std::uint32_t reported = std::min(acked, c.recovery.duplicate_acks * std::uint32_t{c.mss});
    measure_round_trip(cx, c, s);
    end_timeouts(cx, c);
    const bool fin_acked = advance_una(cx, c, ack);
    c.timers.retransmit = c.snd.nxt != c.snd.una ? cx.now + current_rto(c.rtt, cx.w.config().tcp) : never;
    if (c.sack.permitted) {
        sack::on_ack(cx, c, s, view);
    } else if (recovery::on_new_ack(c.recovery, c.congestion, view, ack)) {
        // What duplicate ACKs reported had left the pipe then (RFC 3042); they told of all but the first.
        congestion::on_ack(c.congestion, view, std::max(acked - reported, std::min<std::uint32_t>(acked, c.mss)));
    }
    mtu_search::on_ack(cx, c);
    c.timers.user_timeout = never;  // progress: settle() starts it anew if something is still under way
    // Once for all that comes at one instant.
    if (c.last_heard != cx.now) ip::confirm_reachable(cx, c.remote.address, c.remote.interface);
    if (fin_acked) on_fin_acked(cx, c);
    notify_writable(cx, c);
}

void on_repeated_ack(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    if (c.sack.permitted) {
        // Whatever else it carries: what it reports is what counts. A D-SACK may come when all is acknowledged.
        if (after(c.snd.max, c.snd.una) || s.repr.options.sack_count != 0) sack::on_ack(cx, c, s, congestion::view_of(c, cx.now));
        return;
    }
    // RFC 5681 2: a duplicate acknowledgement carries nothing else.
    const std::uint32_t wnd = std::uint32_t{s.repr.window} << c.snd.wscale;
    if (!after(c.snd.max, c.snd.una) || s.length() != 0 || wnd != c.snd.wnd || wnd == 0) return;
    const congestion::View view = congestion::view_of(c, cx.now);
    if (!recovery::on_duplicate_ack(c.recovery, c.congestion, view)) return;
    ++cx.w.count().tcp_fast_retransmits;
    if (mtu_search::on_loss(cx, c, c.snd.una)) congestion::undo(c.congestion, view);
}

/// ECE: something on the way to the peer was marked. Before the ACK itself counts: it opens no window that it shuts.
void take_echo(const TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    if (!c.ecn.enabled || !s.repr.flags.ece || s.came_with_syn) return;
    congestion::View view = congestion::view_of(c, cx.now);
    view.una = s.repr.ack;
    (void)congestion::on_ecn_echo(c.congestion, view);
}

void on_sample(const TcpContext& cx, TcpConnectionState& c, Duration sample) {
    take_sample(c.rtt, sample, cx.w.config().tcp);
    congestion::on_round_trip(c.congestion, congestion::view_of(c, cx.now), sample);
}

}  // namespace

void measure_round_trip(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    if (c.ts.enabled && s.repr.options.timestamps) {
        const std::uint32_t elapsed_ms = timestamp_now(cx, c.ts.offset) - s.repr.options.timestamps->tsecr;
        // What was sent before a restart measures our outage, not the path (DURABILITY 8); an echo from the
        // future, or from long ago, was never ours.
        const std::int64_t sent_ns =
            wire_clock_ns(cx.w.stack(), cx.now) - std::int64_t{elapsed_ms} * 1'000'000;
        if (elapsed_ms > 0x7fff'ffff || sent_ns < cx.w.stack().wire_clock_resumed_ns - 1'000'000) return;
        return on_sample(cx, c, milliseconds(elapsed_ms));
    }
    if (!c.rtt.timing || before(s.repr.ack, c.rtt.timed)) return;
    c.rtt.timing = false;
    on_sample(cx, c, cx.now - c.rtt.timed_at);
}

bool take_ack(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    const AckKind kind = classify_ack(c.snd, s.repr.ack);
    switch (kind) {
        case AckKind::unsent:
        case AckKind::ancient:
            // Two stacks that disagree would answer each other for ever: the limit of unacceptable segments
            // holds.
            cx.w.drop(DropReason::tcp_bad_ack);
            answer_unacceptable(cx, c, s);
            return false;
        case AckKind::old:
            return true;
        case AckKind::repeats:
            take_echo(cx, c, s);
            on_repeated_ack(cx, c, s);
            break;
        case AckKind::advances:
            take_echo(cx, c, s);
            on_new_ack(cx, c, s);
            break;
    }
    if (!is_dead(c)) take_window(c, s, kind == AckKind::advances);
    return !is_dead(c);
}

namespace {

/// The peer's window was shrunk under data that is on its way (DURABILITY 9), so our pure ACKs have gone back in SEQ to
/// where its window ended. If the same happened to the peer, each side's ACKs lie before what the other has received:
/// were they not looked at, both would wait for ever. Text stays unacceptable.
void take_ack_of_shrunk(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    const bool is_shrunk = before(c.snd.una + c.snd.wnd, c.snd.max);
    const bool is_old_ack = s.repr.flags.ack && s.length() == 0 && before(s.repr.seq, c.rcv.nxt) &&
                            c.rcv.nxt - s.repr.seq <= 65535U << c.rcv.wscale;
    if (!is_synchronized(c) || !is_shrunk || !is_old_ack) return;
    const AckKind kind = classify_ack(c.snd, s.repr.ack);
    if (kind != AckKind::advances && kind != AckKind::repeats) return;
    if (!take_ack(cx, c, s)) return;
    take_window(c, s, true);
    on_heard(cx, c);
}

}  // namespace

void on_synchronized(TcpContext& cx, TcpConnectionState& c, Segment& s) {
    World& w = cx.w;
    if (s.repr.flags.rst) return take_reset(cx, c, s);
    if (s.repr.flags.syn && !take_syn(cx, c, s)) return;
    if (!check_timestamp(cx, c, s)) return;
    // After a restore what comes first may be what we have already: its answer is the first news of the peer.
    if (c.verdict == Verdict::pending && c.rcv.nxt - s.repr.seq <= 65535U << c.rcv.wscale) take_timestamp(cx, c, s);
    if (!check_sequence(cx, c, s)) return take_ack_of_shrunk(cx, c, s);
    if (!s.repr.flags.ack) return w.drop(DropReason::tcp_no_ack_flag);
    if (c.phase == TcpPhase::syn_received) {
        if (!complete_handshake(cx, c, s)) return;
    } else if (!take_ack(cx, c, s)) {
        return;
    }
    take_timestamp(cx, c, s);
    on_heard(cx, c);
    take_text(cx, c, s);
}

}  // namespace keepnet::tcp
