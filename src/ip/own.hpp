// Which addresses are ours: what the files of ip/ ask the address table.
#pragma once

#include "ip/ip.hpp"

namespace keepnet::ip {

inline constexpr std::uint32_t none = BitTree::none;

[[nodiscard]] inline AddressStatus status_of(const AddressState& a) {
    return static_cast<AddressStatus>(a.status);
}
/// May be a source and a destination (RFC 4429: an optimistic one too).
[[nodiscard]] constexpr bool is_usable(AddressStatus s) {
    return s == AddressStatus::preferred || s == AddressStatus::deprecated || s == AddressStatus::optimistic;
}
/// An address belongs to the host (RFC 1122 3.3.4.2's weak model), a link-local one to its link (RFC 4007).
[[nodiscard]] inline bool is_on(const AddressState& a, InterfaceIndex interface) {
    return interface == 0 || a.interface == interface || !a.address.is_link_local();
}
[[nodiscard]] inline bool is_interface(const World& w, InterfaceIndex interface) {
    return interface != 0 && w.interfaces.is_live(interface - 1);
}

/// The slots of two addresses, found in one walk, whatever their status; a usable one comes first where there
/// are two.
struct OwnPair {
    std::uint32_t source = none;
    std::uint32_t destination = none;
};
[[nodiscard]] inline bool is_usable(const World& w, std::uint32_t address) {
    return address != none && is_usable(status_of(w.addresses.get(address)));
}
[[nodiscard]] inline OwnPair find_pair(const World& w, const Ipv6Address& source,
                                       const Ipv6Address& destination, InterfaceIndex interface) {
    OwnPair own;
    const auto take = [&](std::uint32_t& place, std::uint32_t i) {
        if (!is_usable(w, place)) place = i;
    };
    w.addresses.for_each([&](std::uint32_t i, const AddressState& a) {
        if (a.address == source && is_on(a, interface)) take(own.source, i);
        if (a.address == destination && is_on(a, interface)) take(own.destination, i);
    });
    return own;
}

/// path_mtu() once the way is known and not through ourselves.
std::uint16_t mtu_through(const Context& cx, const Ipv6Address& destination, InterfaceIndex interface);
/// Copies the packet into a buffer of its own and queues it; see loopback.hpp.
OutputResult send_to_self(IpContext& cx, const OutputRequest& request, const Ipv6Address& source,
                          InterfaceIndex interface);
/// Handles an ICMPv6 message; an error about something that we may have sent is for its transport.
Delivery on_icmpv6(IpContext& cx, const TransportInput& input, bool is_looped);

/// Do we listen to the group there? All nodes, and the solicited-node group of each of our addresses (RFC 4291 2.8).
bool has_joined(const World& w, const Ipv6Address& group, InterfaceIndex interface);

}  // namespace keepnet::ip
