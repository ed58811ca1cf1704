// The socket methods of Stack: they check the handle and the argument, choose endpoints, and hand on to the protocol.
#include <cstring>

#include "stack/calls.hpp"
#include "stack/core.hpp"
#include "stack/ports.hpp"

namespace keepnet::calls {

namespace {

using SocketRef = Handle<SocketState>;

const SocketState* find(const Core& core, SocketHandle socket) { return core.world.sockets.find({socket.raw}); }

/// The error of a handle that does not name a socket of `kind`; Error::invalid when it does.
Error check(const Core& core, SocketHandle socket, SocketKind kind) {
    const SocketState* state = find(core, socket);
    if (state == nullptr) return Error::stale_handle;
    return state->kind == kind ? Error::invalid : Error::wrong_kind;
}

SocketOptions default_options(const World& w, SocketKind kind) {
    const StackConfig& config = w.config();
    SocketOptions o;
    o.receive_buffer = kind == SocketKind::tcp ? config.tcp.receive_buffer : config.udp.receive_queue;
    o.send_buffer = config.tcp.send_buffer;
    o.keep_alive_idle = config.tcp.keepalive_idle;
    o.keep_alive_interval = config.tcp.keepalive_interval;
    o.keep_alive_probes = config.tcp.keepalive_probes;
    o.policy = o.send_policy = w.stack().default_policy;
    o.congestion = config.tcp.congestion;
    o.ecn = config.tcp.ecn;
    return o;
}

/// A restored socket that nobody has claimed and that is what `local` would become.
SocketHandle find_claimable(const Core& core, const SocketState& like, const Endpoint& local) {
    const auto& sockets = core.world.sockets;
    for (std::uint32_t i = sockets.next(0); i != BitTree::none; i = sockets.next(i + 1)) {
        const SocketState& s = sockets.get(i);
        if (!s.claimed && s.kind == like.kind && s.is_bound && s.local == local && !s.connection &&
            s.remote == Endpoint{}) {
            return {sockets.handle_of(i).raw};
        }
    }
    return {};
}

SocketHandle exchange(Core& core, SocketHandle fresh, SocketHandle restored) {
    World& w = core.world;
    if (const auto udp = w.sockets.get(SocketRef{fresh.raw}).udp) {
        auto cx = core.udp_context();
        udp::release(cx, udp.index());
    }
    w.sockets.destroy(SocketRef{fresh.raw});
    w.sockets.edit(SocketRef{restored.raw}).claimed = true;
    w.notify({restored.raw});
    return restored;
}

/// Gives an unbound socket its local endpoint for a conversation with `remote`.
Error bind_towards(Core& core, SocketRef socket, const Endpoint& remote) {
    World& w = core.world;
    const SocketState& s = w.sockets.get(socket);
    Endpoint local = s.local;
    if (local.address.is_unspecified() && remote.address.is_loopback()) {
        local.address = ipv6_loopback;
    } else if (local.address.is_unspecified()) {
        const auto cx = core.ip_context();
        const auto route = ip::find_route(cx, remote.address, remote.interface);
        if (!route) return Error::no_route;
        const auto source = ip::select_source(cx, remote.address, *route);
        if (!source) return Error::address_not_available;
        local.address = *source;
        if (source->is_link_local()) local.interface = route->interface;
    }
    if (local.port == 0) {
        const auto port = pick_port(core, s.kind, local, remote);
        if (!port) return Error::no_ports;
        local.port = *port;
    } else if (s.kind == SocketKind::tcp && !tcp::is_pair_free(core.tcp_context(), local, remote)) {
        return Error::address_in_use;
    }
    SocketState& edited = w.sockets.edit(socket);
    edited.local = local;
    edited.is_bound = true;
    return Error::invalid;
}

bool is_valid_remote(const Endpoint& remote) {
    return remote.port != 0 && !remote.address.is_unspecified() &&
           (!remote.address.is_link_local() || remote.interface != 0);
}

std::expected<SocketHandle, Error> open(Core& core, SocketKind kind) {
    World& w = core.world;
    const SocketRef socket = w.sockets.create();
    if (!socket) return std::unexpected(Error::no_memory);
    SocketState& s = w.sockets.edit(socket);
    s.kind = kind;
    s.options = default_options(w, kind);
    if (kind == SocketKind::udp) {
        s.udp = w.udp_sockets.create();
        if (!s.udp) {
            w.sockets.destroy(socket);
            return std::unexpected(Error::no_memory);
        }
        w.udp_sockets.edit(s.udp).socket = socket;
    }
    return SocketHandle{socket.raw};
}

}  // namespace

std::expected<SocketHandle, Error> open_tcp(Core& core) {
    const Step step(core);
    return open(core, SocketKind::tcp);
}

std::expected<SocketHandle, Error> open_udp(Core& core) {
    const Step step(core);
    return open(core, SocketKind::udp);
}

std::expected<SocketHandle, Error> bind(Core& core, SocketHandle socket, const Endpoint& local) {
    const Step step(core);
    World& w = core.world;
    const SocketState* s = find(core, socket);
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    if (s->is_bound || s->connection || s->listener) return std::unexpected(Error::invalid_state);
    if (!local.address.is_unspecified() && !local.address.is_multicast() && !local.address.is_loopback() &&
        !ip::find_address(core.ip_context(), local.address, local.interface, true)) {
        return std::unexpected(Error::address_not_available);
    }
    if (local.address.is_multicast() && s->kind == SocketKind::tcp) return std::unexpected(Error::invalid_argument);
    if (local.port != 0) {
        if (const SocketHandle restored = find_claimable(core, *s, local)) {
            return exchange(core, socket, restored);
        }
    }
    Endpoint bound = local;
    if (bound.port == 0) {
        const auto port = pick_port(core, s->kind, local, {});
        if (!port) return std::unexpected(Error::no_ports);
        bound.port = *port;
    } else if (!is_endpoint_free(core, s->kind, bound, s->options)) {
        return std::unexpected(Error::address_in_use);
    }
    SocketState& edited = w.sockets.edit(SocketRef{socket.raw});
    edited.local = bound;
    edited.is_bound = true;
    if (edited.kind == SocketKind::udp) {
        auto cx = core.udp_context();
        udp::enter(cx, edited.udp.index());
    } else {
        auto cx = core.tcp_context();
        tcp::on_bound(cx, {socket.raw});
    }
    return socket;
}

std::expected<SocketHandle, Error> listen(Core& core, SocketHandle socket, std::uint32_t backlog) {
    const Step step(core);
    if (const Error e = check(core, socket, SocketKind::tcp); e != Error::invalid) return std::unexpected(e);
    if (backlog == 0) return std::unexpected(Error::invalid_argument);
    const SocketState& s = *find(core, socket);
    if (s.connection) return std::unexpected(Error::invalid_state);
    if (!s.is_bound) {
        const auto port = pick_port(core, SocketKind::tcp, s.local, {});
        if (!port) return std::unexpected(Error::no_ports);
        SocketState& edited = core.world.sockets.edit(SocketRef{socket.raw});
        edited.local.port = *port;
        edited.is_bound = true;
        auto cx = core.tcp_context();
        tcp::on_bound(cx, {socket.raw});
    }
    auto cx = core.tcp_context();
    if (const auto done = tcp::listen(cx, {socket.raw}, backlog); !done) return std::unexpected(done.error());
    return socket;
}

std::expected<SocketHandle, Error> accept(Core& core, SocketHandle listener) {
    const Step step(core);
    if (const Error e = check(core, listener, SocketKind::tcp); e != Error::invalid) return std::unexpected(e);
    auto cx = core.tcp_context();
    const auto accepted = tcp::accept(cx, {listener.raw});
    if (!accepted) return std::unexpected(accepted.error());
    return SocketHandle{accepted->raw};
}

std::expected<void, Error> connect(Core& core, SocketHandle socket, const Endpoint& remote) {
    const Step step(core);
    World& w = core.world;
    const SocketState* s = find(core, socket);
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    const SocketRef ref{socket.raw};
    if (s->kind == SocketKind::udp && remote == Endpoint{}) {
        w.sockets.edit(ref).remote = {};
        return {};
    }
    if (!is_valid_remote(remote)) return std::unexpected(Error::invalid_argument);
    if (s->kind == SocketKind::udp) {
        auto cx = core.udp_context();
        if (s->is_bound) udp::leave(cx, s->udp.index());
        const Error e = bind_towards(core, ref, remote);
        if (e == Error::invalid) w.sockets.edit(ref).remote = remote;
        if (w.sockets.get(ref).is_bound) udp::enter(cx, s->udp.index());
        if (e != Error::invalid) return std::unexpected(e);
        return {};
    }
    if (s->listener) return std::unexpected(Error::invalid_state);
    if (s->connection) {
        const TcpPhase phase = w.connections.get(s->connection).phase;
        const bool under_way = phase == TcpPhase::syn_sent || phase == TcpPhase::syn_received;
        return std::unexpected(under_way ? Error::in_progress : Error::already_connected);
    }
    if (remote.address.is_multicast()) return std::unexpected(Error::invalid_argument);
    const SocketState before = *s;
    auto cx = core.tcp_context();
    if (const Error e = bind_towards(core, ref, remote); e != Error::invalid) return std::unexpected(e);
    const auto done = tcp::connect(cx, ref, remote);
    if (!done) {
        SocketState& edited = w.sockets.edit(ref);
        edited.local = before.local;
        edited.is_bound = before.is_bound;
    }
    return done;
}

std::expected<std::size_t, Error> send(Core& core, SocketHandle socket, std::span<const ByteView> data, bool more) {
    const Step step(core);
    if (const Error e = check(core, socket, SocketKind::tcp); e != Error::invalid) return std::unexpected(e);
    auto cx = core.tcp_context();
    return tcp::send(cx, {socket.raw}, data, more);
}

std::expected<std::size_t, Error> send_room(Core& core, SocketHandle socket) {
    if (const Error e = check(core, socket, SocketKind::tcp); e != Error::invalid) return std::unexpected(e);
    return tcp::send_room(core.tcp_context(), {socket.raw});
}

std::expected<std::size_t, Error> peek(Core& core, SocketHandle socket, std::span<ByteView> out, std::size_t skip) {
    if (const Error e = check(core, socket, SocketKind::tcp); e != Error::invalid) return std::unexpected(e);
    return tcp::peek(core.tcp_context(), {socket.raw}, out, skip);
}

std::expected<void, Error> consume(Core& core, SocketHandle socket, std::size_t bytes) {
    const Step step(core);
    if (const Error e = check(core, socket, SocketKind::tcp); e != Error::invalid) return std::unexpected(e);
    auto cx = core.tcp_context();
    return tcp::consume(cx, {socket.raw}, bytes);
}

std::expected<std::size_t, Error> receive(Core& core, SocketHandle socket, MutableBytes out) {
    if (out.empty()) return 0;
    std::array<ByteView, 64> views;
    std::size_t copied = 0;
    while (copied < out.size()) {
        const auto n = peek(core, socket, views, 0);
        if (!n) {
            if (copied == 0) return std::unexpected(n.error());
            break;
        }
        std::size_t taken = 0;
        for (std::size_t i = 0; i < *n && copied < out.size(); ++i) {
            const std::size_t part = std::min(views[i].size(), out.size() - copied);
            std::memcpy(out.data() + copied, views[i].data(), part);
            copied += part;
            taken += part;
        }
        if (const auto done = consume(core, socket, taken); !done) return std::unexpected(done.error());
    }
    return copied;
}

std::expected<void, Error> shutdown(Core& core, SocketHandle socket, CloseDirection direction) {
    const Step step(core);
    if (const Error e = check(core, socket, SocketKind::tcp); e != Error::invalid) return std::unexpected(e);
    auto cx = core.tcp_context();
    return tcp::shutdown(cx, {socket.raw}, direction);
}

namespace {

std::expected<void, Error> end(Core& core, SocketHandle socket, void (*end_tcp)(tcp::TcpContext&, SocketRef)) {
    const Step step(core);
    World& w = core.world;
    const SocketState* s = find(core, socket);
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    if (s->kind == SocketKind::udp) {
        auto cx = core.udp_context();
        udp::release(cx, s->udp.index());
    } else {
        auto cx = core.tcp_context();
        end_tcp(cx, {socket.raw});
    }
    w.changed_sockets.clear(SocketRef{socket.raw}.index());
    w.sockets.destroy(SocketRef{socket.raw});
    return {};
}

}  // namespace

std::expected<void, Error> close(Core& core, SocketHandle socket) { return end(core, socket, tcp::close); }
std::expected<void, Error> abort(Core& core, SocketHandle socket) { return end(core, socket, tcp::abort); }

std::expected<void, Error> send_datagram(Core& core, SocketHandle socket, const SendDatagram& how, ByteView payload) {
    const Step step(core);
    if (const Error e = check(core, socket, SocketKind::udp); e != Error::invalid) return std::unexpected(e);
    const SocketRef ref{socket.raw};
    const SocketState& s = core.world.sockets.get(ref);
    const bool is_connected = s.remote.port != 0;
    if (how.destination.port == 0 && !is_connected) return std::unexpected(Error::not_connected);
    if (how.destination.port != 0 && !is_valid_remote(how.destination)) {
        return std::unexpected(Error::invalid_argument);
    }
    auto cx = core.udp_context();
    if (!s.is_bound) {
        const auto port = pick_port(core, SocketKind::udp, s.local, {});
        if (!port) return std::unexpected(Error::no_ports);
        SocketState& edited = core.world.sockets.edit(ref);
        edited.local.port = *port;
        edited.is_bound = true;
        udp::enter(cx, edited.udp.index());
    }
    return udp::send(cx, ref, how, payload);
}

std::expected<ReceivedDatagram, Error> peek_datagram(Core& core, SocketHandle socket) {
    if (const Error e = check(core, socket, SocketKind::udp); e != Error::invalid) return std::unexpected(e);
    return udp::peek(core.udp_context(), {socket.raw});
}

std::expected<void, Error> consume_datagram(Core& core, SocketHandle socket) {
    const Step step(core);
    if (const Error e = check(core, socket, SocketKind::udp); e != Error::invalid) return std::unexpected(e);
    auto cx = core.udp_context();
    return udp::consume(cx, {socket.raw});
}

}  // namespace keepnet::calls
