// UDP (RFC 768, 8085): sockets, demultiplexing, queues.
#pragma once

#include <expected>

#include <keepnet/stack.hpp>

#include "ip/ip.hpp"
#include "state/world.hpp"

namespace keepnet::udp {

/// Derived: rebuilt from the sockets. Bound sockets by port.
struct Tables;

struct UdpContext : ip::IpContext {
    Tables& tables;
};

/// Delivers, or answers with port unreachable.
void on_datagram(UdpContext& cx, const ip::TransportInput& input);
/// Port unreachable for a connected socket becomes its pending error.
void on_error(UdpContext& cx, const ip::TransportError& error);
std::expected<void, Error> send(UdpContext& cx, Handle<SocketState> socket, const SendDatagram& how, ByteView payload);
std::expected<ReceivedDatagram, Error> peek(const UdpContext& cx, Handle<SocketState> socket);
std::expected<void, Error> consume(UdpContext& cx, Handle<SocketState> socket);
[[nodiscard]] Readiness readiness(const UdpContext& cx, const SocketState& socket);
/// The instant since which the longest-waiting datagram is held; `never`: none is.
Instant commit_wanted(const UdpContext& cx);
/// Datagrams held for cut `n` or an earlier one go out.
void on_committed(UdpContext& cx, CutNumber n);
/// Frees the queues and the UDP part of a socket.
void release(UdpContext& cx, std::uint32_t udp_socket);
/// A bound socket appears in, or disappears from, the table. The socket's local endpoint is complete.
void enter(UdpContext& cx, std::uint32_t udp_socket);
void leave(UdpContext& cx, std::uint32_t udp_socket);
/// Is `local` taken for UDP? (port 0 is never)
bool is_taken(const UdpContext& cx, const Endpoint& local, bool reuse_address);
/// Everything derived, from the state.
void rebuild(UdpContext& cx);

}  // namespace keepnet::udp
