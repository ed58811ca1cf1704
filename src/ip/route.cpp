// Routes and our own addresses.
#include "ip/own.hpp"
#include "nd/nd.hpp"

namespace keepnet::ip {

namespace {

constexpr std::uint8_t link_local_prefix_bits = 64;

Ipv6Address masked(Ipv6Address a, unsigned prefix_length) {
    for (unsigned i = 0; i < 16; ++i) {
        const unsigned begin = i * 8;
        if (prefix_length >= begin + 8) continue;
        const unsigned keep = prefix_length > begin ? prefix_length - begin : 0;
        a.octets[i] = static_cast<std::uint8_t>(a.octets[i] & (0xff00U >> keep));
    }
    return a;
}

std::uint32_t find_exact_route(const World& w, const Ipv6Address& prefix, std::uint8_t prefix_length,
                               InterfaceIndex interface) {
    for (std::uint32_t i = w.routes.next(0); i != none; i = w.routes.next(i + 1)) {
        const RouteState& r = w.routes.get(i);
        if (r.interface == interface && r.prefix_length == prefix_length && r.prefix == prefix) return i;
    }
    return none;
}

/// Does the next hop's link address stay unanswered? Another router of the same prefix is then better (RFC
/// 4861 6.3.6).
bool is_silent(const World& w, const RouteState& r) {
    for (std::uint32_t i = w.neighbors.next(0); i != none; i = w.neighbors.next(i + 1)) {
        const NeighborState& n = w.neighbors.get(i);
        if (n.interface == r.interface && n.address == r.next_hop)
            return n.phase == NeighborPhase::incomplete;
    }
    return false;
}

bool is_better(const World& w, const RouteState& r, const RouteState& than) {
    if (r.prefix_length != than.prefix_length) return r.prefix_length > than.prefix_length;
    return is_silent(w, than) && !is_silent(w, r);
}

InterfaceIndex first_interface(const World& w) {
    const std::uint32_t slot = w.interfaces.next(0);
    return slot == none ? 0 : slot + 1;
}

/// Where a destination that is no more than one link wide is, if nobody said: only when there is no choice.
InterfaceIndex only_interface(const World& w) { return w.interfaces.in_use() == 1 ? first_interface(w) : 0; }

void destroy_route(World& w, std::uint32_t route) {
    w.arm(StateKind::route, route, never);
    w.routes.destroy(route);
}

/// The on-link route that came with an address goes with the last address of its prefix.
void remove_prefix_route(World& w, const AddressState& gone) {
    const Ipv6Address prefix = masked(gone.address, gone.prefix_length);
    for (std::uint32_t i = w.addresses.next(0); i != none; i = w.addresses.next(i + 1)) {
        const AddressState& a = w.addresses.get(i);
        const bool is_same = a.interface == gone.interface && a.prefix_length == gone.prefix_length;
        if (is_same && masked(a.address, a.prefix_length) == prefix) return;
    }
    const std::uint32_t route = find_exact_route(w, prefix, gone.prefix_length, gone.interface);
    if (route != none && w.routes.get(route).from_address) destroy_route(w, route);
}

}  // namespace

std::optional<std::uint32_t> find_address(const Context& cx, const Ipv6Address& address,
                                          InterfaceIndex interface, bool any_status) {
    for (std::uint32_t i = cx.w.addresses.next(0); i != none; i = cx.w.addresses.next(i + 1)) {
        const AddressState& a = cx.w.addresses.get(i);
        if (a.address == address && is_on(a, interface) && (any_status || is_usable(status_of(a)))) return i;
    }
    return std::nullopt;
}

std::optional<RouteChoice> find_route(const Context& cx, const Ipv6Address& destination,
                                      InterfaceIndex interface) {
    const World& w = cx.w;
    if (interface != 0 && !is_interface(w, interface)) return std::nullopt;
    if (destination.is_unspecified() || destination.is_loopback()) return std::nullopt;
    if (destination.is_multicast()) {
        const InterfaceIndex out = interface != 0 ? interface : first_interface(w);
        return out == 0 ? std::nullopt : std::optional(RouteChoice{out, destination});
    }
    if (destination.is_link_local()) {
        // On the link whether we have such an address ourselves or not (RFC 4861 5.1).
        const InterfaceIndex out = interface != 0 ? interface : only_interface(w);
        return out == 0 ? std::nullopt : std::optional(RouteChoice{out, destination});
    }
    const RouteState* best = nullptr;
    w.routes.for_each([&](std::uint32_t, const RouteState& r) {
        if (interface != 0 && r.interface != interface) return;
        if (best != nullptr && r.prefix_length < best->prefix_length) return;
        if (!prefix_matches(r.prefix, destination, r.prefix_length)) return;
        if (best == nullptr || is_better(w, r, *best)) best = &r;
    });
    if (best == nullptr) return std::nullopt;
    return RouteChoice{best->interface, best->next_hop.is_unspecified() ? destination : best->next_hop};
}

std::expected<void, Error> add_route(IpContext& cx, const Ipv6Address& prefix, std::uint8_t prefix_length,
                                     InterfaceIndex interface, const Ipv6Address& next_hop,
                                     bool from_address) {
    if (!is_interface(cx.w, interface)) return std::unexpected(Error::no_device);
    if (prefix_length > 128 || prefix.is_multicast() || next_hop.is_multicast() || next_hop.is_loopback()) {
        return std::unexpected(Error::invalid_argument);
    }
    const Ipv6Address network = masked(prefix, prefix_length);
    std::uint32_t route = find_exact_route(cx.w, network, prefix_length, interface);
    if (route != none && from_address) return {};  // what the user routed there stays
    if (route == none) {
        const Handle<RouteState> handle = cx.w.routes.create();
        if (!handle) return std::unexpected(Error::no_memory);
        route = handle.index();
    }
    RouteState& r = cx.w.routes.edit(route);
    r = {.prefix = network,
         .next_hop = next_hop,
         .interface = interface,
         .prefix_length = prefix_length,
         .from_address = from_address};
    cx.w.arm(StateKind::route, route, r.valid_until);
    return {};
}

std::expected<void, Error> remove_route(IpContext& cx, const Ipv6Address& prefix, std::uint8_t prefix_length,
                                        InterfaceIndex interface) {
    if (prefix_length > 128) return std::unexpected(Error::invalid_argument);
    const std::uint32_t route =
        find_exact_route(cx.w, masked(prefix, prefix_length), prefix_length, interface);
    if (route == none) return std::unexpected(Error::no_route);
    destroy_route(cx.w, route);
    return {};
}

std::expected<void, Error> add_address(IpContext& cx, InterfaceIndex interface, const Ipv6Address& address,
                                       std::uint8_t prefix_length, bool generated) {
    if (!is_interface(cx.w, interface)) return std::unexpected(Error::no_device);
    if (prefix_length > 128 || address.is_unspecified() || address.is_multicast() || address.is_loopback()) {
        return std::unexpected(Error::invalid_argument);
    }
    for (std::uint32_t i = cx.w.addresses.next(0); i != none; i = cx.w.addresses.next(i + 1)) {
        const AddressState& a = cx.w.addresses.get(i);
        if (a.interface == interface && a.address == address) return std::unexpected(Error::address_in_use);
    }
    const Handle<AddressState> handle = cx.w.addresses.create();
    if (!handle) return std::unexpected(Error::no_memory);
    AddressState& a = cx.w.addresses.edit(handle);
    a.address = address;
    a.prefix_length = prefix_length;
    a.status = static_cast<std::uint8_t>(AddressStatus::tentative);
    a.is_generated = generated;
    a.interface = interface;
    cx.w.addresses_changed = true;
    if (const auto added = add_route(cx, address, prefix_length, interface, {}, true); !added) {
        cx.w.addresses.destroy(handle);
        return added;
    }
    nd::start_dad(cx, handle.index());
    return {};
}

std::expected<void, Error> remove_address(IpContext& cx, InterfaceIndex interface,
                                          const Ipv6Address& address) {
    for (std::uint32_t i = cx.w.addresses.next(0); i != none; i = cx.w.addresses.next(i + 1)) {
        const AddressState gone = cx.w.addresses.get(i);
        if (gone.interface != interface || gone.address != address) continue;
        cx.w.arm(StateKind::address, i, never);
        cx.w.addresses.destroy(i);
        cx.w.address_lost = cx.w.addresses_changed = true;
        remove_prefix_route(cx.w, gone);
        return {};
    }
    return std::unexpected(Error::address_not_available);
}

void replace_address(IpContext& cx, std::uint32_t address, const Ipv6Address& to) {
    const AddressState gone = cx.w.addresses.get(address);
    if (to.is_unspecified()) {
        cx.w.arm(StateKind::address, address, never);
        cx.w.addresses.destroy(address);
    } else {
        AddressState& a = cx.w.addresses.edit(address);
        a = {.address = to,
             .prefix_length = gone.prefix_length,
             .status = static_cast<std::uint8_t>(AddressStatus::optimistic),
             .interface = gone.interface,
             .dad = cx.now};
        const auto routed = add_route(cx, to, gone.prefix_length, gone.interface, {}, true);
        if (!routed) cx.w.drop(DropReason::no_slot);
    }
    remove_prefix_route(cx.w, gone);
}

void on_interface_up(IpContext& cx, InterfaceIndex interface) {
    nd::start_interface(cx, interface);
    if (!cx.w.interfaces.get(interface - 1).link_local_wanted) return;
    for (std::uint32_t i = cx.w.addresses.next(0); i != none; i = cx.w.addresses.next(i + 1)) {
        const AddressState& a = cx.w.addresses.get(i);
        if (a.interface == interface && a.address.is_link_local()) return;
    }
    const Ipv6Address address = nd::generate_link_local(cx.w.stack(), interface, 0);
    if (!add_address(cx, interface, address, link_local_prefix_bits, true)) cx.w.drop(DropReason::no_slot);
}

void on_mac_changed(IpContext& cx, InterfaceIndex interface) {
    for (std::uint32_t i = cx.w.addresses.next(0); i != none; i = cx.w.addresses.next(i + 1)) {
        const AddressState& a = cx.w.addresses.get(i);
        if (a.interface != interface || !is_usable(status_of(a))) continue;
        cx.w.addresses.edit(i).status = static_cast<std::uint8_t>(AddressStatus::optimistic);
    }
}

void on_route_timer(IpContext& cx, std::uint32_t route) {
    if (!cx.w.routes.is_live(route)) return;
    const Deadline end = cx.w.routes.get(route).valid_until;
    if (end > cx.now) return cx.w.arm(StateKind::route, route, end);
    destroy_route(cx.w, route);
}

}  // namespace keepnet::ip
