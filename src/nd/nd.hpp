// Neighbour discovery (RFC 4861): link addresses, unreachability detection, duplicate address detection (RFC 4862 5.4,
// 4429, 7527), and how a restored host announces itself (DURABILITY 8).
#pragma once

#include <optional>

#include <keepnet/bytes.hpp>

#include "link/link.hpp"
#include "state/world.hpp"

namespace keepnet::nd {

/// An IPv6 packet without its Ethernet header, in the shape of a frame: header starts at header[14]. `frame` is what
/// link::plan_frame gave. Resolves the next hop and sends it, or lets it wait, or drops it (counted).
void send_to(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& next_hop, link::QueuedFrame& frame);

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

/// An interface got a (new) device: RetransTimer, ReachableTime and its redrawing.
void start_interface(link::LinkContext& cx, InterfaceIndex interface);
/// Starts duplicate address detection of a tentative (or optimistic) address, or makes it usable when it is off.
void start_dad(link::LinkContext& cx, std::uint32_t address);
/// After a restore (DURABILITY 8): addresses are valid at once, a probe runs beside; unicast solicitations with our
/// link address go to each next hop in the cache, then an advertisement with Override. Addresses whose status the
/// caller has made optimistic (a new MAC) are announced when their detection is over (RFC 4429).
void announce(link::LinkContext& cx, InterfaceIndex interface);

/// RFC 7217 with the secret of this state; `dad_counter` conflicts so far.
Ipv6Address generate_link_local(const StackState& stack, InterfaceIndex interface, std::uint8_t dad_counter);

void on_neighbor_timer(link::LinkContext& cx, std::uint32_t neighbor);
void on_address_timer(link::LinkContext& cx, std::uint32_t address);
void on_interface_timer(link::LinkContext& cx, std::uint32_t interface);

/// Packets of a neighbour that cannot be reached: the IP layer tells the transport. Takes one; its slices' references
/// pass to the caller.
struct UnreachablePacket {
    InterfaceIndex interface = 0;
    PendingPacketState packet{};
};
std::optional<UnreachablePacket> take_unreachable(link::LinkContext& cx);

/// After a restore: addresses whose lifetime ended while we were away must not speak once more (RFC 4862 5.5.4).
void expire_addresses(link::LinkContext& cx);

/// Forgets the neighbours of an interface and what waits for them.
void forget_interface(link::LinkContext& cx, InterfaceIndex interface);

/// After a restore: what waited for a link address was made before the cut, and later segments may have gone out since.
/// Their owners send anew what is still true.
void forget_pending(link::LinkContext& cx);

/// Arms every timer and counts what is counted, from the state. Changes no state.
void rebuild(link::LinkContext& cx);
/// False when a field of a (decoded) neighbour, or of the chain of packets that it holds, cannot be. Reads
/// only; that no two chains meet is for the caller to find.
bool is_neighbor_sane(const World& w, std::uint32_t neighbor);

}  // namespace keepnet::nd
