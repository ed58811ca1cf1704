// Datagrams of the application on their way out, at once or after a commit (DURABILITY 1); and the end of a
// socket.
#include "ip/inherited.hpp"
#include "ip/own.hpp"
#include "udp/queue.hpp"
#include "wire/ipv6.hpp"
#include "wire/udp.hpp"

namespace keepnet::udp {

namespace {

std::expected<Ipv6Address, Error> choose_source(const UdpContext& cx, const Ipv6Address& wanted,
                                                const Endpoint& destination) {
    if (!wanted.is_unspecified() && !wanted.is_multicast()) {
        if (!wanted.is_loopback() && !ip::find_address(cx, wanted, destination.interface)) {
            return std::unexpected(Error::address_not_available);
        }
        return wanted;
    }
    if (destination.address.is_loopback()) return ipv6_loopback;
    if (ip::find_address(cx, destination.address, destination.interface)) return destination.address;
    const auto route = ip::find_route(cx, destination.address, destination.interface);
    if (!route) return std::unexpected(Error::no_route);
    const auto source = ip::select_source(cx, destination.address, *route);
    if (!source) return std::unexpected(Error::no_route);
    return *source;
}

std::uint8_t hop_limit_of(const SocketState& s, const SendDatagram& how, const Ipv6Address& destination) {
    if (how.hop_limit != 0) return how.hop_limit;
    // RFC 3493 5.2: a group is not left for beyond the link by accident; 0 does not leave this host.
    return destination.is_multicast() ? s.options.multicast_hop_limit : s.options.hop_limit;
}

/// What is sent to a group that this host has joined reaches its own sockets too (RFC 3493 5.2).
void loop_multicast(UdpContext& cx, const ip::OutputRequest& r) {
    const auto route = ip::find_route(cx, r.destination, r.interface);
    if (!route || !ip::has_joined(cx.w, r.destination, route->interface)) return;
    if (ip::send_to_self(cx, r, r.source, route->interface) != ip::OutputResult::sent) {
        cx.w.drop(DropReason::out_of_buffers);
    }
}

ip::OutputResult transmit(UdpContext& cx, const DatagramState& d, const SocketOptions& options) {
    ip::OutputRequest r;
    r.source = d.source;
    r.destination = d.destination;
    r.interface = d.interface;
    r.next_header = wire::number(wire::NextHeader::udp);
    r.hop_limit = d.hop_limit;
    r.traffic_class = d.traffic_class;
    r.header_length = wire::udp_header_bytes;
    r.flow_label =
        ip::flow_label(cx, d.source, d.destination, d.source_port, d.destination_port, r.next_header);
    r.checksum_offset = wire::udp_checksum_offset;
    wire::emit_udp({d.source_port, d.destination_port,
                    static_cast<std::uint16_t>(wire::udp_header_bytes + d.payload.length)},
                   r.header);
    if (d.payload.length != 0) {
        r.slices[0] = d.payload;
        r.slice_count = 1;
    }
    const bool is_group = d.destination.is_multicast();
    const bool stays = is_group && d.hop_limit == 0;
    const ip::OutputResult result = stays ? ip::OutputResult::sent : ip::submit(cx, r);
    if (result != ip::OutputResult::sent) return result;
    if (is_group && options.multicast_loop) loop_multicast(cx, r);
    ++cx.w.count().udp_sent;
    return result;
}

Error error_of(ip::OutputResult result) {
    switch (result) {
        case ip::OutputResult::busy:
            return Error::would_block;
        case ip::OutputResult::address_gone:
            return Error::address_not_available;
        case ip::OutputResult::too_big:
            return Error::message_too_long;
        case ip::OutputResult::no_route:
        case ip::OutputResult::sent:
        case ip::OutputResult::invalid:
            break;
    }
    return Error::no_route;
}

std::expected<void, Error> hold(UdpContext& cx, std::uint32_t udp_socket, const DatagramState& datagram) {
    if (cx.w.udp_sockets.get(udp_socket).held_count >= cx.w.config().udp.held_queue) {
        return std::unexpected(Error::would_block);
    }
    const Handle<DatagramState> handle = cx.w.datagrams.create();
    if (!handle) return std::unexpected(Error::no_memory);
    DatagramState& d = cx.w.datagrams.edit(handle);
    d = datagram;
    d.after_cut = cx.w.cuts().current;
    d.held_since = cx.now;
    UdpSocketState& u = cx.w.udp_sockets.edit(udp_socket);
    push(cx.w, u.held_head, u.held_tail, handle.index());
    ++u.held_count;
    ++cx.tables.held();
    return {};
}

void drop_held(UdpContext& cx, UdpSocketState& u) {
    while (u.held_head) {
        const bool is_released = cx.w.datagrams.get(u.held_head.index()).after_cut == 0;
        --(is_released ? cx.tables.released() : cx.tables.held());
        pop(cx.w, u.held_head, u.held_tail);
    }
    u.held_count = 0;
}

/// Nobody will hear of it: the call that gave it returned long ago.
void count_lost(World& w, ip::OutputResult result) {
    if (result == ip::OutputResult::sent) return;
    w.drop(result == ip::OutputResult::too_big ? DropReason::ipv6_fragment : DropReason::no_route);
}

void send_released(UdpContext& cx, std::uint32_t udp_socket) {
    while (cx.w.udp_sockets.get(udp_socket).held_head) {
        const DatagramState& d = cx.w.datagrams.get(cx.w.udp_sockets.get(udp_socket).held_head.index());
        if (d.after_cut != 0) return;
        const SocketState& s = cx.w.sockets.get(cx.w.udp_sockets.get(udp_socket).socket);
        const ip::OutputResult result = transmit(cx, d, s.options);
        if (result == ip::OutputResult::busy) return;
        count_lost(cx.w, result);
        UdpSocketState& u = cx.w.udp_sockets.edit(udp_socket);
        pop(cx.w, u.held_head, u.held_tail);
        --u.held_count;
        --cx.tables.released();
        cx.w.notify(u.socket);
    }
}

/// Is it `by` that lets out what the socket holds?
bool waits_for(const World& w, const UdpSocketState& u, CommitBy by) {
    const SocketState* s = w.sockets.find(u.socket);
    return s != nullptr && (s->options.send_policy == DurabilityPolicy::journal) == (by == CommitBy::journal);
}

/// Everything held for cut `n` or an earlier one may go.
void mark_released(UdpContext& cx, const UdpSocketState& u, CutNumber n) {
    for (Link at = u.held_head; at; at = cx.w.datagrams.get(at.index()).next) {
        const CutNumber after = cx.w.datagrams.get(at.index()).after_cut;
        if (after > n) return;
        if (after == 0) continue;
        cx.w.datagrams.edit(at.index()).after_cut = 0;
        --cx.tables.held();
        ++cx.tables.released();
    }
}

}  // namespace

std::expected<void, Error> send(UdpContext& cx, Handle<SocketState> socket, const SendDatagram& how,
                                ByteView payload) {
    const SocketState* s = cx.w.sockets.find(socket);
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    if (s->verdict == Verdict::dropped_by_policy) return std::unexpected(Error::dropped_by_policy);
    if (!s->is_bound) return std::unexpected(Error::invalid_state);
    Endpoint destination = how.destination.port != 0 ? how.destination : s->remote;
    if (destination.port == 0 || destination.address.is_unspecified())
        return std::unexpected(Error::not_connected);
    if (destination.interface == 0 && destination.address.is_multicast()) {
        destination.interface = s->options.multicast_interface;
    }
    if (destination.interface == 0) destination.interface = s->local.interface;
    const auto source =
        choose_source(cx, how.source.is_unspecified() ? s->local.address : how.source, destination);
    if (!source) return std::unexpected(source.error());
    const std::size_t mtu = ip::path_mtu(cx, destination.address, destination.interface);
    if (wire::ipv6_header_bytes + wire::udp_header_bytes + payload.size() > mtu) {
        return std::unexpected(Error::message_too_long);
    }
    DatagramState d;
    d.source = *source;
    d.destination = destination.address;
    d.source_port = s->local.port;
    d.destination_port = destination.port;
    d.interface = destination.interface;
    d.hop_limit = hop_limit_of(*s, how, destination.address);
    d.traffic_class =
        how.traffic_class >= 0 ? static_cast<std::uint8_t>(how.traffic_class) : s->options.traffic_class;
    BufferRef buffer;
    if (!payload.empty()) {
        buffer = {cx.w.pool, cx.w.pool.allocate(PoolUse::send)};
        if (!buffer) return std::unexpected(Error::no_memory);
        d.payload = cx.w.pool.append(buffer.get(), payload);
    }
    if (s->options.hold_output && holds_output(s->options.send_policy)) {
        const auto held = hold(cx, s->udp.index(), d);
        if (held) static_cast<void>(buffer.take());  // the queue's now
        return held;
    }
    const ip::OutputResult result = transmit(cx, d, s->options);
    if (result != ip::OutputResult::sent) return std::unexpected(error_of(result));
    return {};
}

Instant commit_wanted(const UdpContext& cx, CommitBy by) {
    if (cx.tables.held() == 0) return never;
    Instant earliest = never;
    cx.w.udp_sockets.for_each([&](std::uint32_t, const UdpSocketState& u) {
        if (!waits_for(cx.w, u, by)) return;
        for (Link at = u.held_head; at; at = cx.w.datagrams.get(at.index()).next) {
            const DatagramState& d = cx.w.datagrams.get(at.index());
            if (d.after_cut == 0) continue;
            earliest = earlier(earliest, d.held_since);
            return;
        }
    });
    return earliest;
}

void on_committed(UdpContext& cx, CutNumber n, CommitBy by) {
    if (cx.tables.held() == 0) return;
    cx.w.udp_sockets.for_each([&](std::uint32_t, const UdpSocketState& u) {
        if (by == CommitBy::snapshot || waits_for(cx.w, u, by)) mark_released(cx, u, n);
    });
    run_output(cx);
}

void resume(UdpContext& cx) {
    constexpr CutNumber every = UINT64_MAX;
    cx.w.udp_sockets.for_each([&](std::uint32_t, const UdpSocketState& u) { mark_released(cx, u, every); });
}

void retire_inherited(UdpContext& cx) {
    World& w = cx.w;
    for (std::uint32_t i = w.udp_sockets.next(0); i != none; i = w.udp_sockets.next(i + 1)) {
        drop_held(cx, w.udp_sockets.edit(i));
        const Handle<SocketState> socket = w.udp_sockets.get(i).socket;
        if (w.sockets.get(socket).remote.port == 0) continue;
        SocketState& s = w.sockets.edit(socket);
        ip::remember_inherited(w, s.local, s.remote);
        s.receive_shut = true;
        s.verdict = Verdict::dropped_by_policy;
        s.error = Error::dropped_by_policy;
        w.notify(socket);
    }
}

void run_output(UdpContext& cx) {
    if (cx.tables.released() == 0) return;
    for (std::uint32_t i = cx.w.udp_sockets.next(0); i != none; i = cx.w.udp_sockets.next(i + 1)) {
        send_released(cx, i);
    }
}

bool has_output(const UdpContext& cx) {
    if (cx.tables.released() == 0) return false;
    bool has_room = false;
    cx.w.interfaces.for_each([&](std::uint32_t i, const InterfaceState&) {
        const link::Port& port = cx.ports.of(i + 1);
        has_room = has_room || (port.device != nullptr && port.room() != 0);
    });
    return has_room;
}

void release(UdpContext& cx, std::uint32_t udp_socket) {
    leave(cx, udp_socket);
    UdpSocketState& u = cx.w.udp_sockets.edit(udp_socket);
    while (u.receive_head) pop(cx.w, u.receive_head, u.receive_tail);
    drop_held(cx, u);
    cx.w.udp_sockets.destroy(udp_socket);
}

}  // namespace keepnet::udp
