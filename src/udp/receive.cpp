// Who is bound where, and datagrams on their way to the application (RFC 768, RFC 8200 8.1).
#include "ip/inherited.hpp"
#include "ip/sharing.hpp"
#include "udp/queue.hpp"
#include "wire/bytes.hpp"
#include "wire/icmpv6.hpp"
#include "wire/udp.hpp"

namespace keepnet::udp {

namespace {

/// Payloads up to this are copied together into one buffer instead of holding one of the device's each.
constexpr std::size_t packed_bytes_max = 512;

bool overlaps(const Endpoint& a, const Endpoint& b) {
    const bool same_address =
        a.address == b.address || a.address.is_unspecified() || b.address.is_unspecified();
    const bool same_link = a.interface == b.interface || a.interface == 0 || b.interface == 0;
    return a.port == b.port && same_address && same_link;
}

/// Behind the last packed payload if there is room, else in a new buffer. Its length is 0 when there is none.
Slice pack(UdpContext& cx, const UdpSocketState& u, ByteView payload) {
    PacketPool& pool = cx.w.pool;
    if (u.receive_tail) {
        const Slice last = cx.w.datagrams.get(u.receive_tail.index()).payload;
        if (last.length != 0 && pool.used(last.buffer) + payload.size() <= packet_buffer_bytes) {
            pool.retain(last.buffer);
            return pool.append(last.buffer, payload);
        }
    }
    const BufferIndex buffer = pool.allocate(PoolUse::optional);
    return buffer == no_buffer ? Slice{} : pool.append(buffer, payload);
}

/// The payload in a form that may stay; its length is 0 when there is no room for it.
Slice keep(UdpContext& cx, const UdpSocketState& u, const Slice& payload) {
    PacketPool& pool = cx.w.pool;
    if (payload.length <= packed_bytes_max) return pack(cx, u, pool.view(payload));
    if (!pool.may_take(PoolUse::optional)) return {};
    pool.retain(payload.buffer);
    pool.set_used(payload.buffer, packet_buffer_bytes);  // nothing is packed behind a frame
    return payload;
}

void enqueue(UdpContext& cx, std::uint32_t udp_socket, const ip::TransportInput& input,
             const wire::UdpRepr& repr, const Slice& payload) {
    UdpSocketState& u = cx.w.udp_sockets.edit(udp_socket);
    const SocketState& s = cx.w.sockets.get(u.socket);
    if (s.receive_shut) return cx.w.drop(DropReason::udp_no_socket);
    if (u.receive_count >= s.options.receive_buffer) {
        ++u.dropped;
        return cx.w.drop(DropReason::udp_queue_full);
    }
    if (cx.w.datagrams.available() == 0) {
        ++u.dropped;
        return cx.w.drop(DropReason::no_slot);
    }
    Slice kept;
    if (payload.length != 0) {
        kept = keep(cx, u, payload);
        if (kept.length == 0) {
            ++u.dropped;
            return cx.w.drop(DropReason::out_of_buffers);
        }
    }
    const Handle<DatagramState> handle = cx.w.datagrams.create();
    DatagramState& d = cx.w.datagrams.edit(handle);
    d.source = input.source;
    d.destination = input.destination;
    d.source_port = repr.src_port;
    d.destination_port = repr.dst_port;
    d.interface = input.interface;
    d.hop_limit = input.hop_limit;
    d.traffic_class = input.traffic_class;
    d.payload = kept;
    push(cx.w, u.receive_head, u.receive_tail, handle.index());
    ++u.receive_count;
    ++cx.w.count().udp_received;
    cx.w.notify(u.socket);
}

std::optional<wire::UdpRepr> check(UdpContext& cx, const ip::TransportInput& input, ByteView bytes) {
    const auto drop = [&](DropReason reason) {
        cx.w.drop(reason);
        return std::nullopt;
    };
    if (bytes.size() < wire::udp_header_bytes) return drop(DropReason::udp_truncated);
    const auto repr = wire::parse_udp(bytes);
    if (!repr) {
        return drop(repr.error() == wire::ParseError::bad_checksum ? DropReason::udp_bad_checksum
                                                                   : DropReason::udp_bad_length);
    }
    if (!input.checksum_verified && !wire::udp_checksum_ok(input.source, input.destination, *repr, bytes)) {
        return drop(DropReason::udp_bad_checksum);
    }
    return *repr;
}

}  // namespace

unsigned match(const SocketState& s, const Endpoint& local, const Endpoint& remote) {
    if (s.local.port != local.port) return 0;
    unsigned score = 1;
    if (!s.local.address.is_unspecified()) {
        if (s.local.address != local.address) return 0;
        score += 4;
    }
    if (s.local.interface != 0 && local.interface != 0) {
        if (s.local.interface != local.interface) return 0;
        score += 2;
    }
    if (s.remote.port != 0) {
        if (s.remote.port != remote.port || s.remote.address != remote.address) return 0;
        if (s.remote.interface != 0 && remote.interface != 0 && s.remote.interface != remote.interface)
            return 0;
        score += 8;
    }
    return score;
}

std::uint32_t find_socket(const UdpContext& cx, const Endpoint& local, const Endpoint& remote) {
    std::uint32_t best = none;
    unsigned best_score = 0;
    std::uint64_t best_share = 0;
    for (Link at = cx.tables.heads[local.port & cx.tables.mask]; at; at = cx.tables.nexts[at.index()]) {
        const SocketState& s = cx.w.sockets.get(cx.w.udp_sockets.get(at.index()).socket);
        const unsigned score = match(s, local, remote);
        if (score == 0 || score < best_score) continue;
        const bool shares = s.options.reuse_port;
        if (score == best_score && !(shares && best_share != 0)) continue;
        const std::uint64_t share = shares ? ip::share_of(cx.w, at.index(), remote) : 0;
        if (score == best_score && share <= best_share) continue;
        best = at.index();
        best_score = score;
        best_share = share;
    }
    return best;
}

void push(World& w, Link& head, Link& tail, std::uint32_t datagram) {
    const Link link = Link::to(datagram);
    if (tail) {
        w.datagrams.edit(tail.index()).next = link;
    } else {
        head = link;
    }
    tail = link;
}

void pop(World& w, Link& head, Link& tail) {
    const std::uint32_t index = head.index();
    const DatagramState& d = w.datagrams.get(index);
    if (d.payload.length != 0) w.pool.release(d.payload.buffer);
    head = d.next;
    if (!head) tail = {};
    w.datagrams.destroy(index);
}

void on_datagram(UdpContext& cx, const ip::TransportInput& input) {
    const ByteView bytes = cx.w.pool.view(input.payload);
    const auto repr = check(cx, input, bytes);
    if (!repr) return;
    const Slice payload{input.payload.buffer,
                        static_cast<std::uint16_t>(input.payload.offset + wire::udp_header_bytes),
                        static_cast<std::uint16_t>(repr->length - wire::udp_header_bytes)};
    const Endpoint local{input.destination, repr->dst_port, input.interface};
    const Endpoint remote{input.source, repr->src_port, input.interface};
    if (!input.destination.is_multicast()) {
        const std::uint32_t found = find_socket(cx, local, remote);
        if (found != none) return enqueue(cx, found, input, *repr, payload);
    } else {
        // Every member of the group gets its own.
        bool delivered = false;
        for (Link at = cx.tables.heads[local.port & cx.tables.mask]; at; at = cx.tables.nexts[at.index()]) {
            const SocketState& s = cx.w.sockets.get(cx.w.udp_sockets.get(at.index()).socket);
            if (match(s, local, remote) == 0) continue;
            enqueue(cx, at.index(), input, *repr, payload);
            delivered = true;
        }
        if (delivered) return;
    }
    cx.w.drop(DropReason::udp_no_socket);
    if (ip::is_inherited(cx.w, local, remote)) return;
    ip::send_error(cx, input, static_cast<std::uint8_t>(wire::Icmpv6Type::destination_unreachable),
                   wire::code_port_unreachable);
}

void on_error(UdpContext& cx, const ip::TransportError& error) {
    const ByteView quoted{error.quoted.data(), error.quoted_length};
    const Endpoint local{error.local, quoted.size() < 8 ? std::uint16_t{0} : wire::load_u16(quoted, 0),
                         error.interface};
    const Endpoint remote{error.remote, quoted.size() < 8 ? std::uint16_t{0} : wire::load_u16(quoted, 2),
                          error.interface};
    const std::uint32_t found = local.port == 0 ? none : find_socket(cx, local, remote);
    if (found == none) return cx.w.drop(DropReason::icmpv6_error_unmatched);
    const auto type = static_cast<wire::Icmpv6Type>(error.type);
    if (type == wire::Icmpv6Type::packet_too_big) {
        return ip::accept_path_mtu(cx, error.remote, error.interface, error.mtu);
    }
    // RFC 1122 4.1.3.3 in IPv6: only a connected socket can say to whom the error belongs.
    const Handle<SocketState> socket = cx.w.udp_sockets.get(found).socket;
    if (cx.w.sockets.get(socket).remote.port == 0) return;
    if (type != wire::Icmpv6Type::destination_unreachable) return;
    cx.w.sockets.edit(socket).error =
        error.code == wire::code_port_unreachable ? Error::connection_refused : Error::host_unreachable;
    cx.w.notify(socket);
}

std::expected<ReceivedDatagram, Error> peek(const UdpContext& cx, Handle<SocketState> socket) {
    const SocketState* s = cx.w.sockets.find(socket);
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    const UdpSocketState& u = cx.w.udp_sockets.get(s->udp);
    if (!u.receive_head) return std::unexpected(s->error != Error::invalid ? s->error : Error::would_block);
    const DatagramState& d = cx.w.datagrams.get(u.receive_head.index());
    return ReceivedDatagram{.source = {d.source, d.source_port, d.interface},
                            .destination = d.destination,
                            .interface = d.interface,
                            .hop_limit = d.hop_limit,
                            .traffic_class = d.traffic_class,
                            .payload = d.payload.length == 0 ? ByteView{} : cx.w.pool.view(d.payload)};
}

std::expected<void, Error> consume(UdpContext& cx, Handle<SocketState> socket) {
    const SocketState* s = cx.w.sockets.find(socket);
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    if (!cx.w.udp_sockets.get(s->udp).receive_head) return std::unexpected(Error::would_block);
    UdpSocketState& u = cx.w.udp_sockets.edit(s->udp);
    pop(cx.w, u.receive_head, u.receive_tail);
    --u.receive_count;
    cx.w.notify(socket);
    return {};
}

Readiness readiness(const UdpContext& cx, const SocketState& socket) {
    const UdpSocketState& u = cx.w.udp_sockets.get(socket.udp);
    Readiness r;
    if (u.receive_head) r.bits |= Readiness::readable;
    if (u.held_count < cx.w.config().udp.held_queue) r.bits |= Readiness::writable;
    if (socket.error != Error::invalid) r.bits |= Readiness::error;
    return r;
}

void enter(UdpContext& cx, std::uint32_t udp_socket) {
    const std::uint16_t port = cx.w.sockets.get(cx.w.udp_sockets.get(udp_socket).socket).local.port;
    Link* at = &cx.tables.heads[port & cx.tables.mask];
    while (*at && at->index() < udp_socket) at = &cx.tables.nexts[at->index()];
    if (*at && at->index() == udp_socket) return;
    cx.tables.nexts[udp_socket] = *at;
    *at = Link::to(udp_socket);
}

void leave(UdpContext& cx, std::uint32_t udp_socket) {
    const std::uint16_t port = cx.w.sockets.get(cx.w.udp_sockets.get(udp_socket).socket).local.port;
    Link* at = &cx.tables.heads[port & cx.tables.mask];
    while (*at && at->index() != udp_socket) at = &cx.tables.nexts[at->index()];
    if (*at) *at = cx.tables.nexts[udp_socket];
}

bool is_taken(const UdpContext& cx, const Endpoint& local, bool reuse_address, bool reuse_port) {
    if (local.port == 0) return false;
    for (Link at = cx.tables.heads[local.port & cx.tables.mask]; at; at = cx.tables.nexts[at.index()]) {
        const SocketState& s = cx.w.sockets.get(cx.w.udp_sockets.get(at.index()).socket);
        const bool may_share =
            (reuse_address && s.options.reuse_address) || (reuse_port && s.options.reuse_port);
        if (overlaps(s.local, local) && !may_share) return true;
    }
    return false;
}

}  // namespace keepnet::udp
