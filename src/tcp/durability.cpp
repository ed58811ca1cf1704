// The marks of DURABILITY 1: what went past them, what a commit lets out, what a restore makes of them.
#include <algorithm>

#include "tcp/queues.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

/// Is there output that a commit would let out?
bool is_output_held(const TcpConnectionState& c) {
    if (is_dead(c)) return c.tombstone && (c.rst_owed || c.ack_now);
    if (after(snd_end(c), c.marks.snd_durable)) return true;
    if (c.phase == TcpPhase::syn_sent) return false;
    // The peer's SYN too: in a simultaneous open ours has left long ago.
    if (after(c.rcv.nxt, c.marks.rcv_durable)) return true;
    if (!is_synchronized(c)) return false;
    // A window update that would be sent if what was consumed were durable.
    const Seq edge = rcv_consumed(c) + c.rcv.buffer;
    const std::uint32_t step = std::min<std::uint32_t>(c.rcv.buffer / 2, c.mss);
    return after(edge, c.rcv.adv) && edge - c.rcv.adv >= step && c.rcv.adv - c.rcv.nxt <= c.rcv.buffer / 2;
}

/// The ends of the connection at cut `n`; false when it was not there yet.
bool edge_at(const TcpContext& cx, std::uint32_t i, CutNumber n, CutEdge& edge) {
    const TcpConnectionState& c = cx.w.connections.get(i);
    if (!cx.w.connections.changed_since(i, n)) {
        edge = {n, c.rcv.nxt, snd_end(c), rcv_consumed(c), c.rcv.buffer};
        return true;
    }
    for (const CutEdge& e : c.marks.edges) {
        if (e.cut == n) {
            edge = e;
            return true;
        }
    }
    return false;
}

void move_marks(const TcpContext& cx, TcpConnectionState& c, const CutEdge& edge, CommitBy by) {
    DurableMarks& m = c.marks;
    const bool is_snapshot = by == CommitBy::snapshot;
    if (is_snapshot || c.policy == DurabilityPolicy::journal) {
        m.rcv_durable = max_seq(m.rcv_durable, edge.rcv_nxt);
        m.consumed = max_seq(m.consumed, edge.consumed);
        m.buffer = edge.buffer;
    }
    if (is_snapshot || c.send_policy == DurabilityPolicy::journal) m.snd_durable = max_seq(m.snd_durable, edge.snd_end);
    // A snapshot makes every earlier cut durable; a flush says nothing of a snapshot that somebody still writes.
    for (CutEdge& e : m.edges) {
        if (e.cut != 0 && (e.cut == edge.cut || (is_snapshot && e.cut < edge.cut))) e = {};
    }
    if (after(ack_field(c), c.rcv.acked)) c.ack_now = true;
    if (is_window_update_due(cx, c)) c.window_update_owed = true;
}

/// What is still held has been so since the first move behind the cut.
void restart_held_since(TcpContext& cx, std::uint32_t i, TcpConnectionState& c, CutNumber n) {
    const ConnectionExtra& extra = cx.tables.extra[i];
    if (c.marks.held_since == never) return;
    c.marks.held_since = !is_output_held(c) ? never : extra.moved_in > n ? extra.moved_at : cx.now;
}

void commit_connection(TcpContext& cx, std::uint32_t i, CutNumber n, CommitBy by) {
    if (by == CommitBy::journal && cx.w.connections.get(i).policy != DurabilityPolicy::journal) return;
    CutEdge edge{};
    const bool was_there = edge_at(cx, i, n, edge);
    const CutNumber died_after = cx.w.connections.get(i).marks.died_after;
    if (!was_there && died_after == 0) return;
    TcpConnectionState& c = cx.w.connections.edit(i);
    if (is_dead(c)) {
        const bool is_durable = by == CommitBy::snapshot || c.send_policy == DurabilityPolicy::journal;
        if (is_durable && died_after != 0 && died_after <= n) lift_tombstone(cx, c);
        return;
    }
    move_marks(cx, c, edge, by);
    restart_held_since(cx, i, c, n);
    settle(cx, c);
}

void lift_listeners(TcpContext& cx, CutNumber n) {
    World& w = cx.w;
    for (std::uint32_t i = w.listeners.next(0); i != BitTree::none; i = w.listeners.next(i + 1)) {
        const TcpListenerState& l = w.listeners.get(i);
        if (l.died_after == 0 || l.died_after > n) continue;
        --cx.tables.port_uses[l.local.port];
        w.listeners.destroy(i);
    }
}

void find_held_since(TcpContext& cx) {
    Tables& t = cx.tables;
    t.held_since = t.flush_since = never;
    t.held_stale = false;
    for (std::uint32_t i = t.held.find(0); i != BitTree::none; i = t.held.find(i + 1)) {
        want_commit(t, cx.w.connections.get(i));
    }
}

}  // namespace

bool is_past_marks(const TcpConnectionState& c) {
    return c.tombstone || c.marks.rcv_durable != c.rcv.nxt || c.marks.snd_durable != snd_end(c) ||
           c.marks.consumed != rcv_consumed(c) || c.marks.buffer != c.rcv.buffer;
}

void begin_marks(TcpConnectionState& c) {
    c.marks = {};
    c.marks.rcv_durable = c.rcv.irs;
    c.marks.snd_durable = c.snd.iss;
    c.marks.consumed = c.rcv.irs + 1;
    c.marks.buffer = c.rcv.buffer;
}

void want_commit(Tables& t, const TcpConnectionState& c) {
    if (c.send_policy == DurabilityPolicy::snapshot) t.held_since = earlier(t.held_since, c.marks.held_since);
    if (c.policy == DurabilityPolicy::journal) t.flush_since = earlier(t.flush_since, c.marks.held_since);
}

void note_held(TcpContext& cx, TcpConnectionState& c) {
    const std::uint32_t i = cx.w.connections.index_of(c);
    Tables& t = cx.tables;
    if (!is_past_marks(c)) {
        forget_held(cx, i);
        c.marks.held_since = never;
        return;
    }
    t.held.set(i);
    if (!is_output_held(c)) {
        if (c.marks.held_since != never) t.held_stale = true;
        c.marks.held_since = never;
        return;
    }
    ConnectionExtra& extra = t.extra[i];
    if (extra.moved_in != cx.w.cuts().current) {
        extra.moved_in = cx.w.cuts().current;
        extra.moved_at = cx.now;
    }
    if (c.marks.held_since == never) c.marks.held_since = cx.now;
    want_commit(t, c);
}

void forget_held(TcpContext& cx, std::uint32_t i) {
    Tables& t = cx.tables;
    if (!t.held.test(i)) return;
    t.held.clear(i);
    t.held_stale = true;
}

Instant commit_wanted(const TcpContext& cx, CommitBy by) {
    Tables& t = cx.tables;
    if (t.held_stale) {
        TcpContext again = cx;
        find_held_since(again);
    }
    const Instant since = by == CommitBy::snapshot ? t.held_since : t.flush_since;
    // Ends that wait for a commit keep their slots: ask before these run out.
    const bool pressed =
        cx.w.stack().silent_until != 0 || t.tombstones > cx.w.config().capacity.tcp_tombstones / 2;
    return pressed ? earlier(since, cx.now) : since;
}

void on_committed(TcpContext& cx, CutNumber n, CommitBy by) {
    Tables& t = cx.tables;
    for (std::uint32_t i = t.held.find(0); i != BitTree::none; i = t.held.find(i + 1))
        commit_connection(cx, i, n, by);
    lift_listeners(cx, n);
    const CutNumber silent_until = cx.w.stack().silent_until;
    if (silent_until != 0 && silent_until <= n) cx.w.edit_stack().silent_until = 0;
    find_held_since(cx);
}

void on_abandoned(TcpContext& cx, CutNumber n) {
    const BitTree& held = cx.tables.held;
    for (std::uint32_t i = held.find(0); i != BitTree::none; i = held.find(i + 1)) {
        TcpConnectionState& c = cx.w.connections.edit(i);
        for (CutEdge& e : c.marks.edges) {
            if (e.cut == n) e = {};
        }
    }
}

void on_suspend(TcpContext& cx) {
    World& w = cx.w;
    const bool running = w.stack().suspend == SuspendPhase::running;
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        TcpConnectionState& c = w.connections.edit(i);
        if (!is_synchronized(c) || c.phase == TcpPhase::time_wait) continue;
        if (!running) c.ack_now = true;
        if (running && is_window_update_due(cx, c)) c.window_update_owed = true;
        settle(cx, c);
    }
}

bool is_quiet(const TcpContext& cx) {
    if (!cx.tables.run.empty()) return false;
    const World& w = cx.w;
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        const TcpConnectionState& c = w.connections.get(i);
        if (is_synchronized(c) && c.rcv.acked != c.rcv.nxt) return false;
    }
    return true;
}

}  // namespace keepnet::tcp
