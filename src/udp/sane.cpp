// What must hold of UDP sockets and their queues that a snapshot or a surviving arena gives, and what is
// derived.
#include "state/limits.hpp"
#include "udp/queue.hpp"

namespace keepnet::udp {

namespace {

bool is_datagram_sane(const World& w, const DatagramState& d) {
    if (d.interface != 0 && !w.interfaces.is_live(d.interface - 1)) return false;
    if (d.payload.length != 0 && !is_slice_sane(w.pool, d.payload)) return false;
    return is_instant_sane(d.held_since);
}

/// Bounded by the count: a ring of links does not end. In the held queue the released ones come first.
bool is_queue_sane(const World& w, Link at, Link tail, std::uint32_t count) {
    if (count > w.datagrams.capacity() || (count == 0 && tail)) return false;
    CutNumber after = 0;
    for (std::uint32_t left = count; left != 0; --left) {
        if (!at || !w.datagrams.is_live(at.index())) return false;
        const DatagramState& d = w.datagrams.get(at.index());
        if (!is_datagram_sane(w, d) || d.after_cut < after || (left == 1) != (at == tail)) return false;
        after = d.after_cut;
        at = d.next;
    }
    return !at;
}

}  // namespace

bool is_sane(const World& w, std::uint32_t udp_socket) {
    const UdpSocketState& u = w.udp_sockets.get(udp_socket);
    const SocketState* s = w.sockets.find(u.socket);
    if (s == nullptr || s->kind != SocketKind::udp || s->udp != w.udp_sockets.handle_of(udp_socket))
        return false;
    if (s->is_bound && s->local.port == 0) return false;
    return is_queue_sane(w, u.receive_head, u.receive_tail, u.receive_count) &&
           is_queue_sane(w, u.held_head, u.held_tail, u.held_count);
}

void rebuild(UdpContext& cx) {
    cx.tables.initialize();
    cx.w.udp_sockets.for_each([&](std::uint32_t i, const UdpSocketState& u) {
        if (cx.w.sockets.get(u.socket).is_bound) enter(cx, i);
        // How far a buffer was packed is not in a snapshot: nothing more goes into it.
        const Slice last = u.receive_tail ? cx.w.datagrams.get(u.receive_tail.index()).payload : Slice{};
        if (last.length != 0) cx.w.pool.set_used(last.buffer, packet_buffer_bytes);
        for (Link at = u.held_head; at; at = cx.w.datagrams.get(at.index()).next) {
            ++(cx.w.datagrams.get(at.index()).after_cut == 0 ? cx.tables.released() : cx.tables.held());
        }
    });
}

}  // namespace keepnet::udp
