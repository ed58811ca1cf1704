// Birth and end of a connection, and what every event ends with: everything that is derived follows the
// state.
#include <algorithm>

#include "tcp/counters.hpp"
#include "tcp/queues.hpp"
#include "tcp/recovery/sack.hpp"
#include "tcp/rtt.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

constexpr Duration cork_max = milliseconds(200);  // Linux's TCP_CORK
constexpr std::uint32_t evict_search_max = 4096;  // slots: a search of all of a million would be felt

Duration give_up_after(const TcpContext& cx, const TcpConnectionState& c) {
    const TcpConfig& config = cx.w.config().tcp;
    return c.options.user_timeout.ns > 0 ? c.options.user_timeout : config.data_give_up;
}

void leave_tables(TcpContext& cx, std::uint32_t i) {
    ConnectionExtra& extra = cx.tables.extra[i];
    if (!extra.in_pairs) return;
    cx.tables.pairs.erase(cx.w.connections, i);
    if (extra.is_spent) {
        --cx.tables.spent;
    } else {
        --cx.tables.port_uses[cx.w.connections.get(i).local.port];
    }
    extra.in_pairs = extra.is_spent = false;
}

/// False: there is no need, or no room, to remember it.
bool stay_spent(TcpContext& cx, std::uint32_t i, const TcpConnectionState& c) {
    Tables& t = cx.tables;
    ConnectionExtra& extra = t.extra[i];
    if (!is_spent(c) || c.cookie_until <= cx.now || !extra.in_pairs) return false;
    if (!extra.is_spent) {
        const std::uint32_t most = cx.w.connections.capacity() / 4;
        if (t.spent >= most || t.spent >= cx.w.config().tcp.spent_cookies) return false;
        extra.is_spent = true;
        ++t.spent;
        --t.port_uses[c.local.port];
    }
    cx.w.arm(StateKind::tcp_connection, i, c.cookie_until);
    return true;
}

/// A new connection of the same four numbers knows a cookie of the old one from its own.
void forget_spent(TcpContext& cx, const Endpoint& local, const Endpoint& remote) {
    if (cx.tables.spent == 0) return;
    const std::uint32_t i = cx.tables.pairs.find(cx.w.connections, local, remote);
    if (i == PairTable::none || !is_spent(cx.w.connections.get(i))) return;
    TcpConnectionState& c = cx.w.connections.edit(i);
    c.cookie_until = never;
    settle(cx, c);
}

/// A slot for the living: the one whose cookie is the first to be no good, and that nobody holds.
void forget_oldest_spent(TcpContext& cx) {
    if (cx.tables.spent == 0) return;
    const auto& connections = cx.w.connections;
    std::uint32_t oldest = PairTable::none;
    connections.for_each([&](std::uint32_t i, const TcpConnectionState& c) {
        if (!cx.tables.extra[i].is_spent || c.socket) return;
        if (oldest == PairTable::none || c.cookie_until < connections.get(oldest).cookie_until) oldest = i;
    });
    if (oldest == PairTable::none) return;
    TcpConnectionState& c = cx.w.connections.edit(oldest);
    c.cookie_until = never;
    settle(cx, c);
}

/// Would the wait be missed by nobody but a late duplicate? Nobody holds it, and the peer has been told what it waits for.
bool may_evict(const TcpConnectionState& c) {
    return c.phase == TcpPhase::time_wait && is_orphan(c) && !c.fin_ack_owed;
}

/// A slot for the living: of the connections in TIME-WAIT that a bounded search meets the one that has waited longest
/// (Linux's tcp_max_tw_buckets, RFC 6191 1). Who asks has completed a handshake or is our own application: spoofed SYNs
/// do not come so far.
void evict_time_wait(TcpContext& cx) {
    const auto& connections = cx.w.connections;
    std::uint32_t oldest = PairTable::none;
    std::uint32_t at = uniform(cx.w.edit_stack().random, connections.high_water());
    for (std::uint32_t left = std::min(evict_search_max, connections.high_water()); left != 0; --left) {
        if (connections.is_live(at)) {
            const TcpConnectionState& c = connections.get(at);
            const bool is_older = oldest == PairTable::none || c.timers.time_wait < connections.get(oldest).timers.time_wait;
            if (may_evict(c) && is_older) oldest = at;
        }
        at = at + 1 < connections.high_water() ? at + 1 : 0;
    }
    if (oldest == PairTable::none) return;
    TcpConnectionState& c = cx.w.connections.edit(oldest);
    ++cx.w.count().tcp_time_waits_evicted;
    c.cookie_until = never;
    // Nothing may say "no such connection" before that is durable (DURABILITY 2), and a tombstone would keep the slot.
    if (c.policy != DurabilityPolicy::none) cx.w.edit_stack().silent_until = cx.w.cuts().current;
    replace_time_wait(cx, c);
}

void drop_tombstone(TcpContext& cx, TcpConnectionState& c) {
    if (!c.tombstone) return;
    c.tombstone = false;
    c.marks.died_after = 0;
    --cx.tables.tombstones;
}

/// An end that a rollback would undo is not shown to the peer: not by answering "no such connection" either.
void bury(TcpContext& cx, TcpConnectionState& c) {
    Tables& t = cx.tables;
    const CutNumber next_cut = cx.w.cuts().current;
    if (t.tombstones >= cx.w.config().capacity.tcp_tombstones && !c.rst_owed) {
        cx.w.edit_stack().silent_until = next_cut;
        return;
    }
    c.tombstone = true;
    c.marks.died_after = next_cut;
    ++t.tombstones;
}

void update_grant(TcpContext& cx, std::uint32_t i, const TcpConnectionState& c) {
    ConnectionExtra& extra = cx.tables.extra[i];
    std::uint32_t granted = c.receive_queue.bytes;
    if (is_synchronized(c) || c.phase == TcpPhase::syn_received) {
        const Seq consumed = rcv_consumed(c);
        if (after(c.rcv.adv, consumed)) granted = c.rcv.adv - consumed;
    }
    cx.tables.granted_total += granted;
    cx.tables.granted_total -= extra.granted;
    extra.granted = granted;
}

void update_timers(TcpContext& cx, TcpConnectionState& c) {
    TcpTimers& t = c.timers;
    const TcpConfig& config = cx.w.config().tcp;
    const bool has_text = c.snd.nxt != snd_end(c);
    if (has_text && needs_persist(c)) {
        if (t.persist == never) {
            t.persist = cx.now + current_rto(c.rtt, config);
            c.probes_sent = 0;
        }
    } else if (t.persist != never) {
        t.persist = never;
        c.probes_sent = 0;
    }
    if (is_synchronized(c)) {
        const bool waits = after(c.snd.max, c.snd.una) || t.persist != never;
        if (!waits) t.user_timeout = never;
        if (waits && t.user_timeout == never) t.user_timeout = cx.now + give_up_after(cx, c);
    }
    if (!has_text || !is_corked(c)) {
        t.cork = never;
    } else if (t.cork == never) {
        t.cork = cx.now + cork_max;
    }
    if (c.options.keep_alive && c.phase >= TcpPhase::established && c.phase <= TcpPhase::close_wait) {
        if (t.keep_alive == never) t.keep_alive = cx.now + c.options.keep_alive_idle;
    } else {
        t.keep_alive = never;
    }
}

Deadline earliest(const TcpConnectionState& c) {
    const TcpTimers& t = c.timers;
    const Deadline recovery = earlier(t.retransmit, earlier(c.rack.reorder, c.rack.probe));
    return earlier(earlier(earlier(recovery, t.persist), earlier(t.delayed_ack, t.keep_alive)),
                   earlier(earlier(t.time_wait, t.user_timeout), earlier(t.cork, t.pace)));
}

}  // namespace

std::uint32_t create_connection(TcpContext& cx, const Endpoint& local, const Endpoint& remote,
                                const SocketOptions& options) {
    forget_spent(cx, local, remote);
    if (cx.w.connections.available() == 0) forget_oldest_spent(cx);
    if (cx.w.connections.available() == 0) evict_time_wait(cx);
    const auto handle = cx.w.connections.create();
    if (!handle) return PairTable::none;
    const std::uint32_t i = handle.index();
    TcpConnectionState& c = cx.w.connections.edit(i);
    c.local = local;
    c.remote = remote;
    c.policy = holds_output(options.policy) ? options.policy : DurabilityPolicy::none;
    c.send_policy = holds_output(options.send_policy) ? options.send_policy : DurabilityPolicy::none;
    c.congestion.algorithm = options.congestion == CongestionAlgorithm::cubic ? CongestionAlgorithm::cubic
                                                                              : CongestionAlgorithm::newreno;
    c.last_heard = cx.now;
    c.rtt.rto = cx.w.config().tcp.rto_initial;
    c.flow_label = ip::flow_label(cx, local.address, remote.address, local.port, remote.port,
                                  wire::number(wire::NextHeader::tcp));
    cx.tables.extra[i] = {};
    cx.tables.extra[i].in_pairs = true;
    cx.tables.pairs.insert(cx.w.connections, i);
    ++cx.tables.port_uses[local.port];
    return i;
}

std::uint32_t receive_buffer_of(const SocketOptions& o) {
    constexpr std::uint32_t most = 65535U << 14;  // what a window can say (RFC 7323 2.3)
    return o.receive_buffer < most ? o.receive_buffer : most;
}

void take_options(TcpConnectionState& c, const SocketOptions& o) {
    c.options.hop_limit = o.hop_limit;
    c.options.traffic_class = o.traffic_class;
    c.options.keep_alive_probes = o.keep_alive_probes;
    c.options.no_delay = o.no_delay;
    c.options.cork = o.cork;
    c.options.quick_ack = o.quick_ack;
    c.options.keep_alive = o.keep_alive && o.keep_alive_idle.ns > 0 && o.keep_alive_interval.ns > 0;
    c.options.max_segment = o.max_segment;
    c.options.keep_alive_idle = o.keep_alive_idle;
    c.options.keep_alive_interval = o.keep_alive_interval;
    c.options.user_timeout = o.user_timeout;
    c.tuning.fixed = o.receive_buffer_fixed;
}

void tell_socket(TcpContext& cx, const TcpConnectionState& c, Error e) {
    if (cx.w.sockets.find(c.socket) == nullptr) return;
    SocketState& s = cx.w.sockets.edit(c.socket);
    if (e != Error::invalid) s.error = e;
    s.verdict = c.verdict;
    cx.w.notify(c.socket);
}

void end_connection(TcpContext& cx, TcpConnectionState& c, Error why, Verdict verdict) {
    if (is_dead(c)) return;
    const bool was_half_open = c.phase == TcpPhase::syn_received && c.is_passive;
    if (c.listener) leave_listener(cx, c);
    if (c.phase == TcpPhase::syn_sent || c.phase == TcpPhase::syn_received) ++cx.w.count().tcp_attempt_fails;
    c.phase = TcpPhase::closed;
    c.timers = {};
    c.ack_now = c.window_update_owed = c.probe_owed = c.fin_ack_owed = c.resume_owed = false;
    c.recovery.retransmit_owed = false;
    sack::forget(cx.w, c);
    clear_queue(cx.w, c.send_queue);
    clear_queue(cx.w, c.out_of_order);
    cx.tables.extra[cx.w.connections.index_of(c)].cursor = {};
    c.error = why;
    if (c.verdict == Verdict::pending) c.verdict = verdict;
    tell_socket(cx, c, why);
    // A half-open child has no application that a rollback could bring back to it.
    if (c.policy != DurabilityPolicy::none && !was_half_open) bury(cx, c);
}

void replace_time_wait(TcpContext& cx, TcpConnectionState& c) {
    c.phase = TcpPhase::closed;
    c.timers = {};
    c.ack_now = false;
    sack::forget(cx.w, c);
    settle(cx, c);
}

void enter_time_wait(TcpContext& cx, TcpConnectionState& c) {
    c.phase = TcpPhase::time_wait;
    ++cx.w.count().tcp_time_waits;
    c.timers = {};
    sack::forget(cx.w, c);
    if (c.verdict == Verdict::pending) {
        c.verdict = Verdict::closed;
        tell_socket(cx, c, Error::invalid);
    }
    if (!c.fin_ack_owed) c.timers.time_wait = cx.now + cx.w.config().tcp.msl * 2;
    cx.w.notify(c.socket);
}

void on_fin_ack_transmitted(TcpContext& cx, TcpConnectionState& c) {
    c.fin_ack_owed = false;
    switch (c.phase) {
        case TcpPhase::closing:
            if (c.snd.fin_acked) enter_time_wait(cx, c);
            return;
        case TcpPhase::last_ack:
            if (c.snd.fin_acked) end_connection(cx, c, Error::invalid, Verdict::closed);
            return;
        case TcpPhase::time_wait:
            c.timers.time_wait = cx.now + cx.w.config().tcp.msl * 2;
            return;
        case TcpPhase::invalid:
        case TcpPhase::closed:
        case TcpPhase::listen:
        case TcpPhase::syn_sent:
        case TcpPhase::syn_received:
        case TcpPhase::established:
        case TcpPhase::fin_wait_1:
        case TcpPhase::fin_wait_2:
        case TcpPhase::close_wait:
            return;
    }
}

void on_sign_of_life(TcpConnectionState& c) {
    if (c.rtt.backoff == 0 || c.snd.wnd == 0 || !is_synchronized(c) || !before(c.snd.una, c.snd.max)) return;
    c.rtt.backoff = 0;
    c.recovery.retransmit_owed = true;
}

void on_heard(TcpContext& cx, TcpConnectionState& c) {
    c.last_heard = cx.now;
    c.error = Error::invalid;
    if (c.verdict == Verdict::pending) {
        c.verdict = Verdict::resumed;
        tell_socket(cx, c, Error::invalid);
        on_sign_of_life(c);
        if (c.timers.delayed_ack != never) c.ack_now = true;  // the answer to the probe of a restore
    }
    if (c.timers.persist == never) {
        c.probes_sent = 0;
    } else {
        // RFC 9293 3.8.6.1: a peer that answers probes may keep its window shut for as long as it likes.
        c.timers.user_timeout = cx.now + give_up_after(cx, c);
    }
}

void notify_writable(TcpContext& cx, const TcpConnectionState& c) {
    const SocketState* s = cx.w.sockets.find(c.socket);
    if (s == nullptr) return;
    const std::uint32_t buffer = s->options.send_buffer;
    if (c.send_queue.bytes > buffer - buffer / 3) return;
    cx.w.notify(c.socket);
}

void notify_sent(TcpContext& cx, const TcpConnectionState& c) {
    const SocketState* s = cx.w.sockets.find(c.socket);
    // Linux's __sk_stream_memory_free: woken for half of it.
    if (s != nullptr && s->options.not_sent_low_water != 0 && unsent_bytes(c) < (s->options.not_sent_low_water + 1) / 2) {
        cx.w.notify(c.socket);
    }
}

void settle(TcpContext& cx, TcpConnectionState& c) {
    const std::uint32_t i = cx.w.connections.index_of(c);
    if (is_dead(c)) {
        if (!c.socket) clear_queue(cx.w, c.receive_queue);
        update_grant(cx, i, c);
        cx.w.arm(StateKind::tcp_connection, i, never);
        if (c.tombstone) {
            note_held(cx, c);
            return;
        }
        forget_held(cx, i);
        if (c.rst_owed) {
            cx.tables.run.set(i);
            return;
        }
        cx.tables.run.clear(i);
        if (stay_spent(cx, i, c)) return;
        c.cookie_until = never;
        leave_tables(cx, i);
        if (!c.socket) {
            cx.w.connections.destroy(i);
        }
        return;
    }
    update_timers(cx, c);
    note_limit(cx, c);
    update_grant(cx, i, c);
    if (c.policy != DurabilityPolicy::none) note_held(cx, c);
    cx.w.arm(StateKind::tcp_connection, i, earliest(c));
    if (!cx.tables.run.test(i) && has_something_to_send(c)) cx.tables.run.set(i);
}

void rebuild_connection(TcpContext& cx, std::uint32_t i, const TcpConnectionState& c) {
    Tables& t = cx.tables;
    t.extra[i] = {};
    if (!is_dead(c) || c.tombstone || c.rst_owed || is_spent(c)) {
        t.pairs.insert(cx.w.connections, i);
        t.extra[i].in_pairs = true;
        t.extra[i].is_spent = is_spent(c);
        ++(is_spent(c) ? t.spent : t.port_uses[c.local.port]);
    }
    if (c.tombstone) ++t.tombstones;
    update_grant(cx, i, c);
    if (is_dead(c) ? c.tombstone : c.policy != DurabilityPolicy::none && is_past_marks(c)) t.held.set(i);
    if (t.held.test(i)) {
        want_commit(t, c);
        t.extra[i].moved_in = cx.w.cuts().current;
        t.extra[i].moved_at = c.marks.held_since == never ? cx.now : c.marks.held_since;
    }
    cx.w.arm(StateKind::tcp_connection, i, is_spent(c) ? c.cookie_until : is_dead(c) ? never : earliest(c));
    const bool waits_for_its_turn = c.resume_owed && i >= cx.w.stack().resume_cursor;
    if (has_something_to_send(c) && !waits_for_its_turn) t.run.set(i);
}

void lift_tombstone(TcpContext& cx, TcpConnectionState& c) {
    drop_tombstone(cx, c);
    settle(cx, c);
}

}  // namespace keepnet::tcp
