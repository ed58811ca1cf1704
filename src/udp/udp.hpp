// UDP (RFC 768, 8085): sockets, demultiplexing, queues.
#pragma once

#include <expected>

#include <keepnet/stack.hpp>

#include "ip/ip.hpp"
#include "state/world.hpp"
#include "udp/tables.hpp"

namespace keepnet::udp {

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
Instant commit_wanted(const UdpContext& cx, CommitBy by = CommitBy::snapshot);
/// Datagrams held for cut `n` or an earlier one go out.
void on_committed(UdpContext& cx, CutNumber n, CommitBy by = CommitBy::snapshot);
/// Frees the queues and the UDP part of a socket.
void release(UdpContext& cx, std::uint32_t udp_socket);
/// A bound socket appears in, or disappears from, the table. The socket's local endpoint is complete.
void enter(UdpContext& cx, std::uint32_t udp_socket);
void leave(UdpContext& cx, std::uint32_t udp_socket);
/// Is `local` taken for UDP? (port 0 is never)
bool is_taken(const UdpContext& cx, const Endpoint& local, bool reuse_address, bool reuse_port = false);
/// After a restore: what a snapshot holds is durable, so what it holds back goes out (a datagram may repeat). Behind
/// rebuild().
void resume(UdpContext& cx);
/// The same for a clone: what was held is the original's to send, and so is a connected socket's conversation.
void retire_inherited(UdpContext& cx);
/// Sends released datagrams that found the ring full. In every poll.
void run_output(UdpContext& cx);
/// Would run_output() send something now?
bool has_output(const UdpContext& cx);
/// False when a field of a (decoded) socket or of its two queues cannot be. Reads only; that no two
/// queues meet is for the caller to find.
bool is_sane(const World& w, std::uint32_t udp_socket);
/// Everything derived, from the state. Changes no state.
void rebuild(UdpContext& cx);

}  // namespace keepnet::udp
