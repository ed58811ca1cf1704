// Path MTU (RFC 8201): smaller ones are learnt for a while, never larger ones, never below 1280.
#include "ip/own.hpp"
#include "nd/nd.hpp"
#include "wire/ipv6.hpp"

namespace keepnet::ip {

namespace {

std::uint32_t find_destination(const World& w, const Ipv6Address& address) {
    for (std::uint32_t i = w.destinations.next(0); i != none; i = w.destinations.next(i + 1)) {
        if (w.destinations.get(i).address == address) return i;
    }
    return none;
}

/// When the table is full, what would be forgotten first makes room.
std::uint32_t make_destination(World& w) {
    if (w.destinations.available() == 0) {
        std::uint32_t first = none;
        w.destinations.for_each([&](std::uint32_t i, const DestinationState& d) {
            if (first == none || d.expires < w.destinations.get(first).expires) first = i;
        });
        if (first != none) w.destinations.destroy(first);
        w.drop(DropReason::no_slot);
    }
    const Handle<DestinationState> handle = w.destinations.create();
    return handle ? handle.index() : none;
}

}  // namespace

std::uint16_t mtu_through(const Context& cx, const Ipv6Address& destination, InterfaceIndex interface) {
    const std::uint16_t mtu = cx.w.interfaces.get(interface - 1).mtu;
    const std::uint32_t known = find_destination(cx.w, destination);
    return known == none ? mtu : std::min(mtu, cx.w.destinations.get(known).path_mtu);
}

std::uint16_t path_mtu(const Context& cx, const Ipv6Address& destination, InterfaceIndex interface) {
    if (destination.is_loopback() || find_address(cx, destination, interface))
        return cx.w.config().ip.mtu_max;
    const auto route = find_route(cx, destination, interface);
    if (!route) return static_cast<std::uint16_t>(wire::ipv6_mtu_min);
    return mtu_through(cx, destination, route->interface);
}

void accept_path_mtu(IpContext& cx, const Ipv6Address& destination, InterfaceIndex interface,
                     std::uint32_t mtu) {
    // RFC 8201 4: below 1280 it is discarded, and a larger one than assumed is no news.
    if (mtu < wire::ipv6_mtu_min || mtu >= path_mtu(cx, destination, interface)) return;
    std::uint32_t known = find_destination(cx.w, destination);
    if (known == none) known = make_destination(cx.w);
    if (known == none) return;
    DestinationState& d = cx.w.destinations.edit(known);
    d.address = destination;
    d.path_mtu = static_cast<std::uint16_t>(mtu);
    d.expires = cx.now + cx.w.config().ip.path_mtu_lifetime;
    cx.w.arm(StateKind::destination, known, d.expires);
}

void on_destination_timer(IpContext& cx, std::uint32_t destination) {
    if (!cx.w.destinations.is_live(destination)) return;
    const Deadline end = cx.w.destinations.get(destination).expires;
    if (end > cx.now) return cx.w.arm(StateKind::destination, destination, end);
    cx.w.destinations.destroy(destination);
}

void confirm_reachable(IpContext& cx, const Ipv6Address& destination, InterfaceIndex interface) {
    const auto route = find_route(cx, destination, interface);
    if (route && !route->next_hop.is_multicast())
        nd::confirm_reachable(cx, route->interface, route->next_hop);
}

}  // namespace keepnet::ip
