// Whose turn it is: connections with something to send go round robin, a bounded number of segments each.
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

/// After so many full rings in a row the rest of the round is not tried.
constexpr unsigned busy_in_a_row_max = 16;

/// Restored connections speak first in order of their slots, a bounded number at a time (DURABILITY 8).
void pace_resumed(TcpContext& cx) {
    std::uint32_t cursor = cx.w.stack().resume_cursor;
    const std::uint32_t end = cx.w.connections.high_water();
    if (cursor >= end) return;
    std::uint32_t budget = cx.w.config().tcp.resume_paced_per_poll;
    if (budget == 0) budget = 1;
    for (; cursor < end && budget != 0; ++cursor) {
        if (!cx.w.connections.is_live(cursor) || !cx.w.connections.get(cursor).resume_owed) continue;
        cx.tables.run.set(cursor);
        kick_peer(cx, cx.w.connections.get(cursor));
        --budget;
    }
    cx.w.edit_stack().resume_cursor = cursor;
}

/// Senders that found no buffer try again when there are some.
void wake_waiting_senders(TcpContext& cx) {
    BitTree& waiting = cx.tables.waiting_send;
    if (waiting.empty() || !cx.w.pool.may_take(PoolUse::send) || cx.w.slice_nodes.available() == 0) return;
    for (std::uint32_t i = waiting.find(0); i != BitTree::none; i = waiting.find(i + 1)) {
        waiting.clear(i);
        if (cx.w.sockets.is_live(i)) cx.w.notify(cx.w.sockets.handle_of(i));
    }
}

Transmitted take_turn(TcpContext& cx, std::uint32_t i) {
    TcpConnectionState& c = cx.w.connections.edit(i);
    Transmitted last = Transmitted::sent;
    for (std::uint32_t left = cx.w.config().poll.segments_per_turn; left != 0; --left) {
        last = transmit_next(cx, c);
        if (last != Transmitted::sent) break;
    }
    if (last == Transmitted::nothing) cx.tables.run.clear(i);
    settle(cx, c);
    return last;
}

}  // namespace

bool run_output(TcpContext& cx, std::uint32_t turns) {
    pace_resumed(cx);
    wake_waiting_senders(cx);
    BitTree& run = cx.tables.run;
    for (unsigned busy = 0; turns != 0 && busy < busy_in_a_row_max; --turns) {
        const std::uint32_t i = run.find_cyclic(cx.w.stack().output_cursor);
        if (i == BitTree::none) break;
        busy = take_turn(cx, i) == Transmitted::busy ? busy + 1 : 0;
        cx.w.edit_stack().output_cursor = i + 1;
    }
    return !run.empty() || cx.w.stack().resume_cursor < cx.w.connections.high_water();
}

bool has_output(const TcpContext& cx) {
    if (cx.w.stack().resume_cursor < cx.w.connections.high_water()) return true;
    std::uint32_t i = cx.tables.run.find_cyclic(cx.w.stack().output_cursor);
    for (unsigned looked = 0; i != BitTree::none && looked < busy_in_a_row_max; ++looked) {
        const TcpConnectionState& c = cx.w.connections.get(i);
        const auto route = ip::find_route(cx, c.remote.address, request_for(c).interface);
        // No route: the next turn will find out, and lose the segment.
        if (!route || cx.ports.of(route->interface).room() != 0) return true;
        i = cx.tables.run.find(i + 1);
    }
    return false;
}

}  // namespace keepnet::tcp
