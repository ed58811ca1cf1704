// A state that has just been decoded or adopted: everything derived, and DURABILITY 8 for each connection.
#include "ip/inherited.hpp"
#include "tcp/congestion/congestion.hpp"
#include "tcp/mtu_search.hpp"
#include "tcp/recovery/newreno.hpp"
#include "tcp/recovery/sack.hpp"
#include "tcp/rtt.hpp"
#include "tcp/tuning.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

/// The right edge as far as the old host may have shown it: after the commit it was free to go to where the durable
/// consumption allows, and each ACK, of which there was one for every eight segments, to the next multiple of the scale.
/// The result is such a multiple itself, so another life from the same snapshot shows the same.
Seq edge_possibly_shown(const TcpConnectionState& c) {
    const auto further = [](Seq a, Seq b) { return after(b, a) ? b : a; };
    Seq edge = further(c.rcv.adv, rcv_consumed(c) + c.rcv.buffer);
    edge = further(edge, c.marks.consumed + c.marks.buffer);
    for (const CutEdge& e : c.marks.edges) {
        if (e.cut != 0) edge = further(edge, e.consumed + e.buffer);
    }
    const std::uint32_t unit = 1U << c.rcv.wscale;
    if (c.rcv.nxt != c.rcv.acked) edge = edge + ((c.rcv.nxt - c.rcv.acked) / (8U * c.mss) + 3) * unit;
    edge = edge + (unit - (edge - c.rcv.nxt) % unit) % unit;
    // A SYN's field says less, but the old host may have got past the handshake, and then the peer does not look at it.
    const Seq sayable = c.rcv.nxt + (65535U << c.rcv.wscale);
    return further(c.rcv.adv, after(edge, sayable) ? sayable : edge);
}

/// The marks come from the ends, never from the snapshot: after its commit the old host was free to go that
/// far.
void marks_from_ends(TcpConnectionState& c) {
    c.marks = {};
    c.marks.rcv_durable = c.rcv.nxt;
    c.marks.snd_durable = snd_end(c);
    c.marks.consumed = rcv_consumed(c);
    c.marks.buffer = c.rcv.buffer;
}

/// Our outage counts neither against the peer nor against us; TIME-WAIT alone goes on ageing
/// (durability::renew did it).
void restart_counts(TcpContext& cx, TcpConnectionState& c) {
    const TcpConfig& config = cx.w.config().tcp;
    const Deadline time_wait = c.timers.time_wait;
    restart_rtt(c.rtt, config);
    c.timers = {};
    c.timers.time_wait = time_wait;
    mtu_search::restart(c.mtu_search);
    tuning::restart(c.tuning);
    c.probes_sent = 0;
    c.segments_since_ack = 0;
    c.last_heard = cx.now;
    c.last_invalid_ack = long_ago;
    c.error = Error::invalid;
}

/// snd.max is as far as the old host may have sent; sending starts again at una.
void go_back(TcpContext& cx, TcpConnectionState& c) {
    const TcpConfig& config = cx.w.config().tcp;
    if (!is_planted(Fault::literal_snd_nxt)) {
        c.snd.max = snd_end(c);
        c.snd.nxt = c.snd.una;
    }
    c.snd.sml = c.snd.una;
    if (is_syn_unacked(c)) {
        // Queued data has never been sent while the SYN was not acknowledged.
        c.snd.max = c.snd.iss + 1;
        return;
    }
    recovery::restart(c.recovery, congestion::view_of(c, cx.now));
    if (c.sack.permitted) sack::restart(cx, c);
    // Into a closed window nothing was sent: the persist timer asks.
    c.recovery.retransmit_owed = c.snd.max != c.snd.una && c.snd.wnd != 0;
    congestion::restart(c.congestion, congestion::view_of(c, cx.now), config.initial_window_segments);
}

/// The secrets stay for another lifetime (durability::renew), and what they made stays good as long.
bool is_cookie_good(const TcpContext& cx, const TcpConnectionState& c) {
    return c.cookie_until != never && c.cookie_until > cx.now;
}

/// It had ended before the cut: that is durable. What is left is what its application may still read and ask.
void resume_dead(TcpContext& cx, TcpConnectionState& c) {
    c.marks.died_after = 0;
    c.marks.held_since = never;
    if (c.tombstone) --cx.tables.tombstones;
    c.tombstone = false;
    if (is_cookie_good(cx, c)) c.cookie_until = cookie_end(cx);
    if (c.error == Error::invalid) c.verdict = Verdict::closed;
    if (c.verdict == Verdict::not_restored) {  // and not well
        const bool refused = c.error == Error::connection_reset || c.error == Error::connection_refused;
        c.verdict = refused                           ? Verdict::reset_by_peer
                    : c.error == Error::address_gone ? Verdict::address_gone
                                                     : Verdict::expired;
    }
    tell_socket(cx, c, Error::invalid);
    settle(cx, c);
}

void retire(TcpContext& cx, TcpConnectionState& c) {
    ip::remember_inherited(cx.w, c.local, c.remote);
    c.rst_owed = false;
    c.cookie_until = never;  // its secrets are not ours
    if (is_dead(c)) return resume_dead(cx, c);
    c.policy = c.send_policy = DurabilityPolicy::none;  // no tombstone: the set of inherited pairs keeps silent for it
    c.verdict = Verdict::pending;
    const bool had_ended = c.phase == TcpPhase::time_wait;
    end_connection(cx, c, had_ended ? Error::invalid : Error::dropped_by_policy,
                   had_ended ? Verdict::closed : Verdict::dropped_by_policy);
    settle(cx, c);
}

/// Would the first ACK be news to a peer that sends, and bear the time stamp of a segment from before the outage? Linux would
/// measure its round trip by it, and take its time-outs for spurious (RFC 3522): all that was lost counts as on its way
/// again, and the next time-out is as long as the outage was. So the peer is probed first, and what it answers has a
/// new time stamp.
bool must_probe_first(const TcpConnectionState& c) {
    const bool may_send = c.phase == TcpPhase::established || c.phase == TcpPhase::fin_wait_1 ||
                          c.phase == TcpPhase::fin_wait_2;
    return may_send && c.ts.enabled && c.policy != DurabilityPolicy::none && after(c.rcv.nxt, c.rcv.acked);
}

void resume_connection(TcpContext& cx, TcpConnectionState& c) {
    if (is_dead(c)) return resume_dead(cx, c);
    if (is_cookie_good(cx, c)) c.cookie_until = cookie_end(cx);
    const bool probes = must_probe_first(c);
    if (c.policy != DurabilityPolicy::none && c.phase != TcpPhase::syn_sent) {
        c.rcv.adv = edge_possibly_shown(c);
        c.rcv.acked = c.rcv.nxt;  // perhaps it was: the first ACK must not be behind it
    }
    marks_from_ends(c);
    restart_counts(cx, c);
    go_back(cx, c);
    c.probe_owed = false;
    if (c.phase == TcpPhase::time_wait) {
        c.verdict = Verdict::closed;
        c.ack_now = c.fin_ack_owed;
    } else {
        c.verdict = Verdict::pending;
        // Our own data, where there is some, cannot wait: it goes first, and is acknowledged.
        c.probe_owed = probes && c.snd.max == c.snd.una;
        c.ack_now = is_synchronized(c) && !c.probe_owed;
    }
    c.resume_owed = c.ack_now || c.probe_owed || is_syn_unacked(c);
    tell_socket(cx, c, Error::invalid);
    settle(cx, c);
    // In its turn, not with all the others: run_output() lets them speak a few at a time.
    if (c.resume_owed) cx.tables.run.clear(cx.w.connections.index_of(c));
}

void count_uses(TcpContext& cx) {
    World& w = cx.w;
    Tables& t = cx.tables;
    w.listeners.for_each([&](std::uint32_t, const TcpListenerState& l) { ++t.port_uses[l.local.port]; });
    w.sockets.for_each([&](std::uint32_t i, const SocketState& s) {
        if (s.kind != SocketKind::tcp || !s.is_bound) return;
        t.bound.set(i);
        ++t.port_uses[s.local.port];
    });
}

}  // namespace

void drop_restored(TcpContext& cx, std::uint32_t connection, bool tell_peer, Error error, Verdict verdict) {
    TcpConnectionState& c = cx.w.connections.edit(connection);
    if (is_dead(c)) return;
    c.verdict = verdict;
    if (tell_peer) {
        abort_connection(cx, c, error);
    } else {
        end_connection(cx, c, error, verdict);
    }
    settle(cx, c);
}

void rebuild(TcpContext& cx) {
    World& w = cx.w;
    Tables& t = cx.tables;
    t.clear(w, w.stack().port_key);
    count_uses(cx);
    w.connections.for_each(
        [&](std::uint32_t i, const TcpConnectionState& c) { rebuild_connection(cx, i, c); });
}

namespace {

void resume_listeners(TcpContext& cx, Deadline cookies_until) {
    World& w = cx.w;
    for (std::uint32_t i = w.listeners.next(0); i != BitTree::none; i = w.listeners.next(i + 1)) {
        if (w.listeners.get(i).died_after != 0) {
            --cx.tables.port_uses[w.listeners.get(i).local.port];
            w.listeners.destroy(i);
            continue;
        }
        w.listeners.edit(i).cookies_until = cookies_until;
    }
}

void begin_life(World& w) {
    w.edit_stack().resume_cursor = 0;
    w.edit_stack().silent_until = 0;  // every death in the snapshot is durable
}

}  // namespace

void resume(TcpContext& cx) {
    World& w = cx.w;
    begin_life(w);
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        resume_connection(cx, w.connections.edit(i));
    }
    resume_listeners(cx, cx.now + w.config().tcp.syn_cookie_lifetime);
}

void retire_inherited(TcpContext& cx) {
    World& w = cx.w;
    begin_life(w);
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        retire(cx, w.connections.edit(i));
    }
    resume_listeners(cx, never);  // the cookies that are out were made with the original's secrets
}

}  // namespace keepnet::tcp
