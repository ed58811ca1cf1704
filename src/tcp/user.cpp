// The calls of the application: RFC 9293 3.10.1 to 3.10.6.
#include <algorithm>

#include "tcp/acceptance.hpp"
#include "tcp/congestion/congestion.hpp"
#include "tcp/counters.hpp"
#include "tcp/push.hpp"
#include "tcp/queues.hpp"
#include "tcp/tuning.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

/// Null when the socket has no connection.
TcpConnectionState* edit_connection(TcpContext& cx, Handle<SocketState> socket) {
    const SocketState* s = cx.w.sockets.find(socket);
    if (s == nullptr || cx.w.connections.find(s->connection) == nullptr) return nullptr;
    return &cx.w.connections.edit(s->connection);
}
const TcpConnectionState* find_connection(const TcpContext& cx, Handle<SocketState> socket) {
    const SocketState* s = cx.w.sockets.find(socket);
    return s == nullptr ? nullptr : cx.w.connections.find(s->connection);
}

std::unexpected<Error> why_ended(const TcpConnectionState& c) {
    return std::unexpected(c.error != Error::invalid ? c.error : Error::not_connected);
}

Error why_not_sendable(const TcpConnectionState* c) {
    if (c == nullptr) return Error::not_connected;
    if (is_dead(*c) && c->error != Error::invalid) return c->error;
    return can_accept_data(*c) ? Error::invalid : Error::closed;
}

std::uint32_t room_of(const TcpContext& cx, Handle<SocketState> socket, const TcpConnectionState& c) {
    return send_room_of(cx.w.sockets.get(socket).options, c);
}

Seq end_of_text(const TcpConnectionState& c) {
    return c.snd.una + ((is_syn_unacked(c) ? 1U : 0U) + c.send_queue.bytes);
}

void push_all(TcpConnectionState& c) {
    c.push_seq = end_of_text(c);
    c.push_seq_valid = 1;
}

void owe_window_update(const TcpContext& cx, TcpConnectionState& c) {
    if (cx.w.stack().suspend == SuspendPhase::running && is_synchronized(c) && !c.rcv.fin_received &&
        is_window_update_due(cx, c))
        c.window_update_owed = true;
}

void leave_bound(TcpContext& cx, Handle<SocketState> socket) {
    const std::uint32_t i = socket.index();
    cx.tables.waiting_send.clear(i);
    if (!cx.tables.bound.test(i)) return;
    cx.tables.bound.clear(i);
    --cx.tables.port_uses[cx.w.sockets.get(socket).local.port];
}

}  // namespace

void on_bound(TcpContext& cx, Handle<SocketState> socket) {
    if (cx.tables.bound.test(socket.index())) return;
    cx.tables.bound.set(socket.index());
    ++cx.tables.port_uses[cx.w.sockets.get(socket).local.port];
}

std::expected<void, Error> connect(TcpContext& cx, Handle<SocketState> socket, const Endpoint& remote) {
    World& w = cx.w;
    const SocketState& s = w.sockets.get(socket);
    if (!is_pair_free(cx, s.local, remote)) return std::unexpected(Error::address_in_use);
    const std::uint32_t i = create_connection(cx, s.local, remote, s.options);
    if (i == PairTable::none) return std::unexpected(Error::no_memory);
    TcpConnectionState& c = w.connections.edit(i);
    take_options(c, s.options);
    c.phase = TcpPhase::syn_sent;
    c.socket = socket;
    c.rcv.buffer = receive_buffer_of(s.options);
    c.rcv.wscale = w.config().tcp.window_scaling ? window_scale_for(tuning::buffer_limit(w.config().tcp, s.options)) : 0;
    const Seq iss = initial_sequence(cx, c.local, remote);
    c.snd.iss = c.snd.una = c.snd.nxt = c.snd.max = c.snd.sml = iss;
    c.ts.enabled = w.config().tcp.timestamps;  // offered
    c.ecn.requested = s.options.ecn == EcnMode::request;
    c.ts.offset = timestamp_offset(w, c.local, c.remote);
    c.mss_peer = w.config().tcp.mss_default;
    update_mss(cx, c);
    begin_marks(c);
    ++w.count().tcp_active_opens;
    SocketState& edited = w.sockets.edit(socket);
    edited.connection = w.connections.handle_of(i);
    edited.remote = remote;
    edited.error = Error::invalid;
    on_bound(cx, socket);
    settle(cx, c);
    return {};
}

std::expected<void, Error> listen(TcpContext& cx, Handle<SocketState> socket, std::uint32_t backlog) {
    World& w = cx.w;
    const SocketState& s = w.sockets.get(socket);
    if (w.listeners.find(s.listener) != nullptr) {
        w.listeners.edit(s.listener).backlog = backlog;
        return {};
    }
    for (std::uint32_t i = w.listeners.next(0); i != BitTree::none; i = w.listeners.next(i + 1)) {
        const TcpListenerState& there = w.listeners.get(i);
        if (there.died_after != 0 || there.local != s.local) continue;
        if (!s.options.reuse_port || !w.sockets.get(there.socket).options.reuse_port) return std::unexpected(Error::address_in_use);
    }
    const auto handle = w.listeners.create();
    if (!handle) return std::unexpected(Error::no_memory);
    TcpListenerState& l = w.listeners.edit(handle.index());
    l.socket = socket;
    l.local = s.local;
    l.backlog = backlog;
    w.sockets.edit(socket).listener = handle;
    ++cx.tables.port_uses[l.local.port];
    return {};
}

std::expected<Handle<SocketState>, Error> accept(TcpContext& cx, Handle<SocketState> listener) {
    World& w = cx.w;
    const SocketState* parent = w.sockets.find(listener);
    if (parent == nullptr || w.listeners.find(parent->listener) == nullptr)
        return std::unexpected(Error::invalid_state);
    const TcpListenerState& l = w.listeners.get(parent->listener);
    if (l.accept_count == 0) return std::unexpected(Error::would_block);
    const auto socket = w.sockets.create();
    if (!socket) return std::unexpected(Error::no_memory);
    TcpConnectionState& c = w.connections.edit(l.accept_head.index());
    leave_listener(cx, c);
    c.socket = socket;
    SocketState& s = w.sockets.edit(socket.index());
    s.kind = SocketKind::tcp;
    s.is_bound = true;
    s.local = c.local;
    s.remote = c.remote;
    s.options = w.sockets.get(listener).options;
    s.verdict = c.verdict;
    s.connection = w.connections.handle_of(w.connections.index_of(c));
    on_bound(cx, socket);
    w.notify(socket);
    settle(cx, c);
    return socket;
}

std::expected<std::size_t, Error> send(TcpContext& cx, Handle<SocketState> socket,
                                       std::span<const ByteView> data, bool more) {
    TcpConnectionState* c = edit_connection(cx, socket);
    if (const Error e = why_not_sendable(c); e != Error::invalid) return std::unexpected(e);
    std::size_t wanted = 0;
    std::size_t taken = 0;
    bool starved = false;
    for (const ByteView& part : data) {
        wanted += part.size();
        const std::size_t most = std::min<std::size_t>(part.size(), room_of(cx, socket, *c));
        if (starved || most == 0) continue;
        const std::uint32_t n =
            append_bytes(cx.w, c->send_queue, end_of_text(*c), part.first(most), PoolUse::send);
        taken += n;
        starved = n < most;
        if (n < part.size()) break;
    }
    if (starved) cx.tables.waiting_send.set(socket.index());
    c->counters.send_was_short = taken < wanted;
    if (taken == 0)
        return wanted == 0 ? std::expected<std::size_t, Error>(0) : std::unexpected(Error::would_block);
    c->tx_accepted += taken;
    if (!more) push::mark(*c, end_of_text(*c));
    if (!more && !c->options.cork) push_all(*c);
    settle(cx, *c);
    return taken;
}

std::expected<std::size_t, Error> send_room(const TcpContext& cx, Handle<SocketState> socket) {
    const TcpConnectionState* c = find_connection(cx, socket);
    if (const Error e = why_not_sendable(c); e != Error::invalid) return std::unexpected(e);
    return room_of(cx, socket, *c);
}

std::expected<std::size_t, Error> peek(const TcpContext& cx, Handle<SocketState> socket,
                                       std::span<ByteView> out, std::size_t skip) {
    const TcpConnectionState* c = find_connection(cx, socket);
    if (c == nullptr) return std::unexpected(Error::not_connected);
    std::size_t filled = 0;
    for (Link at = c->receive_queue.head; at && filled < out.size();) {
        const SliceNodeState& node = cx.w.slice_nodes.get(at.index());
        if (skip >= node.slice.length) {
            skip -= node.slice.length;
        } else {
            out[filled++] = cx.w.pool.view(node.slice).subspan(skip);
            skip = 0;
        }
        at = node.next;
    }
    if (filled != 0 || out.empty()) return filled;
    if (c->rcv.fin_received || c->receive_abandoned) return std::unexpected(Error::end_of_stream);
    if (is_dead(*c)) return why_ended(*c);
    return std::unexpected(is_synchronized(*c) ? Error::would_block : Error::not_connected);
}

std::expected<void, Error> consume(TcpContext& cx, Handle<SocketState> socket, std::size_t bytes) {
    TcpConnectionState* c = edit_connection(cx, socket);
    if (c == nullptr) return std::unexpected(Error::not_connected);
    if (bytes > c->receive_queue.bytes) return std::unexpected(Error::invalid_argument);
    trim_front(cx.w, c->receive_queue, static_cast<std::uint32_t>(bytes), nullptr);
    c->rx_consumed += bytes;
    tuning::on_consumed(cx, *c);
    owe_window_update(cx, *c);
    // What ack_field() kept back for want of room.
    if (is_synchronized(*c) && c->timers.delayed_ack == never && after(ack_field(*c), c->rcv.acked)) {
        c->ack_now = true;
    }
    settle(cx, *c);
    return {};
}

void queue_fin(TcpConnectionState& c) {
    if (c.snd.fin_queued) return;
    push_all(c);
    c.snd.fin_queued = true;
    if (c.phase == TcpPhase::established) c.phase = TcpPhase::fin_wait_1;
    if (c.phase == TcpPhase::close_wait) c.phase = TcpPhase::last_ack;
    // In SYN-SENT and SYN-RECEIVED it waits for establish().
}

void abandon_receiving(TcpContext& cx, TcpConnectionState& c) {
    c.receive_abandoned = true;
    c.rx_consumed += c.receive_queue.bytes;
    clear_queue(cx.w, c.receive_queue);
    owe_window_update(cx, c);
}

std::expected<void, Error> shutdown(TcpContext& cx, Handle<SocketState> socket, CloseDirection direction) {
    TcpConnectionState* c = edit_connection(cx, socket);
    if (c == nullptr || is_dead(*c)) return std::unexpected(Error::not_connected);
    if (direction == CloseDirection::invalid) return std::unexpected(Error::invalid_argument);
    if (direction != CloseDirection::receive) queue_fin(*c);
    if (direction != CloseDirection::send) {
        abandon_receiving(cx, *c);
        cx.w.sockets.edit(socket).receive_shut = true;
    }
    cx.w.notify(socket);
    settle(cx, *c);
    return {};
}

void close(TcpContext& cx, Handle<SocketState> socket) {
    World& w = cx.w;
    const SocketState& s = w.sockets.get(socket);
    leave_bound(cx, socket);
    if (w.listeners.find(s.listener) != nullptr) close_listener(cx, s.listener.index());
    TcpConnectionState* c = edit_connection(cx, socket);
    if (c == nullptr) return;
    // RFC 2525 2.17: the peer must learn that what it sent was not read.
    const bool loses_data = c->receive_queue.bytes != 0 && c->phase != TcpPhase::time_wait;
    if (s.options.linger.ns == 0 || loses_data) {
        if (!is_dead(*c)) ++(loses_data ? w.count().tcp_aborts_on_close : w.count().tcp_aborts_on_linger);
        abort_connection(cx, *c, Error::connection_aborted);
    } else if (c->phase == TcpPhase::syn_sent) {
        end_connection(cx, *c, Error::connection_aborted, Verdict::closed);
    } else if (!is_dead(*c)) {
        queue_fin(*c);
        if (c->phase == TcpPhase::fin_wait_2) c->timers.time_wait = cx.now + w.config().tcp.fin_wait_2;
    }
    c->socket = {};
    c->receive_abandoned = true;
    c->rx_consumed += c->receive_queue.bytes;
    clear_queue(w, c->receive_queue);
    settle(cx, *c);
}

void abort(TcpContext& cx, Handle<SocketState> socket) {
    World& w = cx.w;
    leave_bound(cx, socket);
    const SocketState& s = w.sockets.get(socket);
    if (w.listeners.find(s.listener) != nullptr) close_listener(cx, s.listener.index());
    TcpConnectionState* c = edit_connection(cx, socket);
    if (c == nullptr) return;
    if (!is_dead(*c)) ++w.count().tcp_aborts_on_linger;
    // RFC 9293 3.10.5: a peer that has everything and has closed its side needs no reset.
    const bool both_closed = c->phase == TcpPhase::closing || c->phase == TcpPhase::last_ack;
    if (both_closed && c->snd.max == snd_end(*c)) {
        end_connection(cx, *c, Error::connection_aborted, Verdict::closed);
    } else {
        abort_connection(cx, *c, Error::connection_aborted);
    }
    c->socket = {};
    settle(cx, *c);
}

void on_option(TcpContext& cx, Handle<SocketState> socket, SocketOption option) {
    TcpConnectionState* c = edit_connection(cx, socket);
    if (c == nullptr || is_dead(*c)) return;
    const SocketOptions& o = cx.w.sockets.get(socket).options;
    take_options(*c, o);
    if (option == SocketOption::receive_buffer) {
        // The scale was agreed in the handshake: no field could say more.
        c->rcv.buffer = std::min(o.receive_buffer, 65535U << c->rcv.wscale);
        owe_window_update(cx, *c);
    }
    const bool may_go = (option == SocketOption::cork && !o.cork) || (option == SocketOption::no_delay && o.no_delay);
    if (may_go) push_all(*c);
    if (option == SocketOption::keep_alive || option == SocketOption::keep_alive_idle)
        c->timers.keep_alive = never;
    if (option == SocketOption::quick_ack && o.quick_ack && c->timers.delayed_ack != never) c->ack_now = true;
    if (option == SocketOption::congestion) congestion::change_algorithm(c->congestion, o.congestion);
    if (option == SocketOption::user_timeout && is_synchronized(*c)) c->timers.user_timeout = never;
    cx.w.notify(socket);
    settle(cx, *c);
}

}  // namespace keepnet::tcp
