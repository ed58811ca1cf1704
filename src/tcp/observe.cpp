// What the application can ask: readiness, counters of a connection, which endpoints are taken.
#include "tcp/counters.hpp"

namespace keepnet::tcp {

namespace {

bool overlaps(const Endpoint& a, const Endpoint& b) {
    if (a.port != b.port) return false;
    if (a.interface != 0 && b.interface != 0 && a.interface != b.interface) return false;
    return a.address.is_unspecified() || b.address.is_unspecified() || a.address == b.address;
}

std::uint64_t acknowledged(const TcpConnectionState& c) {
    // What an aborted connection had queued is gone: nobody knows how much of it arrived.
    if (is_dead(c)) return c.snd.fin_acked ? c.tx_accepted : 0;
    return c.tx_accepted - c.send_queue.bytes;
}

}  // namespace

Readiness readiness(const TcpContext& cx, const SocketState& socket) {
    Readiness r;
    if (socket.error != Error::invalid) r.bits |= Readiness::error;
    if (const TcpListenerState* l = cx.w.listeners.find(socket.listener)) {
        if (l->accept_count != 0) r.bits |= Readiness::readable;
        return r;
    }
    const TcpConnectionState* found = cx.w.connections.find(socket.connection);
    if (found == nullptr) return r;
    const TcpConnectionState& c = *found;
    const bool over = is_dead(c) || c.phase == TcpPhase::time_wait;
    if (c.receive_queue.bytes != 0 || c.rcv.fin_received || c.receive_abandoned || is_dead(c)) {
        r.bits |= Readiness::readable;
    }
    if (is_synchronized(c) && can_accept_data(c) && send_room_of(socket.options, c) != 0) {
        if (cx.w.pool.may_take(PoolUse::send)) {
            r.bits |= Readiness::writable;
        } else if (c.socket) {
            cx.tables.waiting_send.set(c.socket.index());  // told when there are buffers again
        }
    }
    if (is_synchronized(c)) r.bits |= Readiness::connected;
    if (c.rcv.fin_received) r.bits |= Readiness::peer_closed;
    if (over || (c.rcv.fin_received && c.snd.fin_queued)) r.bits |= Readiness::hung_up;
    return r;
}

void fill_info(const TcpContext& cx, const SocketState& socket, SocketInfo& info) {
    if (const TcpListenerState* l = cx.w.listeners.find(socket.listener)) {
        info.phase = TcpPhase::listen;
        info.accept_queue = l->accept_count;
        info.half_open = l->half_open;
    }
    const TcpConnectionState* found = cx.w.connections.find(socket.connection);
    if (found == nullptr) return;
    const TcpConnectionState& c = *found;
    info.phase = c.phase;
    info.policy = c.policy;
    info.send_policy = c.send_policy;
    info.verdict = c.verdict;
    info.rx_consumed = c.rx_consumed;
    info.tx_accepted = c.tx_accepted;
    info.tx_acknowledged = acknowledged(c);
    info.receive_queue_bytes = c.receive_queue.bytes;
    info.send_queue_bytes = c.send_queue.bytes;
    info.out_of_order_bytes = c.out_of_order.bytes;
    if (!is_dead(c)) {
        info.undurable_receive_bytes = c.rcv.nxt - acknowledgeable(c);
        info.undurable_send_bytes = snd_end(c) - sendable_end(c);
        info.receive_window = after(c.rcv.adv, c.rcv.nxt) ? c.rcv.adv - c.rcv.nxt : 0;
    }
    info.send_window = c.snd.wnd;
    info.congestion_window = c.congestion.cwnd;
    info.slow_start_threshold = c.congestion.ssthresh;
    info.mss = c.mss;
    info.srtt = c.rtt.srtt;
    info.rttvar = c.rtt.rttvar;
    info.rto = c.rtt.rto;
    info.retransmissions = c.recovery.retransmissions;
}

bool is_taken(const TcpContext& cx, const Endpoint& local, bool reuse_address, bool reuse_port) {
    const auto shares = [&](Handle<SocketState> socket) {
        const SocketState* s = cx.w.sockets.find(socket);
        return reuse_port && s != nullptr && s->options.reuse_port;
    };

    if (cx.tables.port_uses[local.port] == 0) return false;
    const World& w = cx.w;
    for (std::uint32_t i = w.listeners.next(0); i != BitTree::none; i = w.listeners.next(i + 1)) {
        const TcpListenerState& l = w.listeners.get(i);
        if (l.died_after == 0 && overlaps(l.local, local) && !shares(l.socket)) return true;
    }
    if (reuse_address) return false;
    const BitTree& bound = cx.tables.bound;
    for (std::uint32_t i = bound.find(0); i != BitTree::none; i = bound.find(i + 1)) {
        if (overlaps(w.sockets.get(i).local, local) && !shares(w.sockets.handle_of(i))) return true;
    }
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        const TcpConnectionState& c = w.connections.get(i);
        if (!cx.tables.extra[i].in_pairs || cx.tables.extra[i].is_spent || !overlaps(c.local, local)) continue;
        const TcpListenerState* parent = w.listeners.find(c.listener);
        if (!shares(parent != nullptr ? parent->socket : c.socket)) return true;
    }
    return false;
}

bool is_pair_free(const TcpContext& cx, const Endpoint& local, const Endpoint& remote) {
    if (cx.tables.port_uses[local.port] == 0) return true;
    const std::uint32_t i = cx.tables.pairs.find(cx.w.connections, local, remote);
    return i == PairTable::none || is_spent(cx.w.connections.get(i));
}

}  // namespace keepnet::tcp
