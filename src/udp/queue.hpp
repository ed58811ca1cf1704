// Queues of datagrams: chains of DatagramState, the oldest first. What the files of udp/ share.
#pragma once

#include "udp/udp.hpp"

namespace keepnet::udp {

inline constexpr std::uint32_t none = BitTree::none;

/// A datagram behind the tail.
void push(World& w, Link& head, Link& tail, std::uint32_t datagram);
/// Takes the head out and destroys it; its payload's reference is given back.
void pop(World& w, Link& head, Link& tail);

/// Is the socket a place for datagrams from `remote` to `local`? 0: no; else the more specific, the greater.
unsigned match(const SocketState& s, const Endpoint& local, const Endpoint& remote);
/// The most specific socket, the lowest slot among equals; or none.
std::uint32_t find_socket(const UdpContext& cx, const Endpoint& local, const Endpoint& remote);

}  // namespace keepnet::udp
