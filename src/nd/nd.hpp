// Neighbour discovery (RFC 4861): link addresses, unreachability detection, duplicate address detection (RFC 4862 5.4,
// 4429, 7527), and how a restored host announces itself (DURABILITY 8).
#pragma once

#include <optional>

#include <keepnet/bytes.hpp>

#include "link/link.hpp"
#include "state/world.hpp"

namespace keepnet::nd {

/// An IPv6 packet without its Ethernet header, in the shape of a frame: header starts at header[14].
/// Resolves the next hop and sends it, or lets it wait. False: nothing happened, the ring is full.
bool send_to(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& next_hop, link::QueuedFrame& frame);

/// A checked ICMPv6 message of types 133..137 (checksum right), with the IPv6 fields it came with.
struct NdMessage {
    InterfaceIndex interface = 0;
    Ipv6Address source{};
    Ipv6Address destination{};
    std::uint8_t hop_limit = 0;
    ByteView icmp{};
};
void on_message(link::LinkContext& cx, const NdMessage& message);

/// Upper layers saw the neighbour answer (RFC 4861 7.3.1). Cheap: called for each ACK that advances.
void confirm_reachable(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& next_hop);

/// Starts duplicate address detection of a tentative address, or makes it usable when it is off.
void start_dad(link::LinkContext& cx, std::uint32_t address);
/// After a restore (DURABILITY 8): addresses are valid at once, a probe runs beside; `unicast` solicitations with our
/// link address go to each next hop in the cache, then an advertisement with Override.
void announce(link::LinkContext& cx, InterfaceIndex interface);

/// Re-arms timers and rebuilds tables from the state. Changes no state.
void rebuild(link::LinkContext& cx);
void on_neighbor_timer(link::LinkContext& cx, std::uint32_t neighbor);
void on_address_timer(link::LinkContext& cx, std::uint32_t address);
void on_interface_timer(link::LinkContext& cx, std::uint32_t interface);

/// Packets of a neighbour that cannot be reached: the IP layer answers each with an ICMPv6 error or tells the
/// transport. Takes one; its slices' references pass to the caller.
std::optional<PendingPacketState> take_unreachable(link::LinkContext& cx);

}  // namespace keepnet::nd
