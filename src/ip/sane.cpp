// What must hold of interfaces, addresses, routes and path MTUs that a snapshot or a surviving arena gives.
#include "ip/own.hpp"
#include "state/limits.hpp"
#include "wire/ipv6.hpp"

namespace keepnet::ip {

namespace {

constexpr Duration interval_max = seconds(24 * 3600);

bool is_interval(Duration d) { return d >= Duration{} && d <= interval_max; }

bool is_host_address(const Ipv6Address& a) {
    return !a.is_unspecified() && !a.is_multicast() && !a.is_loopback();
}

}  // namespace

bool is_interface_sane(const World& w, std::uint32_t interface) {
    const InterfaceState& s = w.interfaces.get(interface);
    constexpr std::uint16_t mtu_max = packet_buffer_bytes - 68;  // IpConfig::mtu_max
    return s.index == interface + 1 && !s.mac.is_multicast() && s.mtu >= wire::ipv6_mtu_min &&
           s.mtu <= mtu_max && s.hop_limit != 0 && is_interval(s.retransmit) && is_interval(s.reachable) &&
           is_deadline_sane(s.reachable_redraw) && s.device.length <= device_state_bytes_max;
}

bool is_address_sane(const World& w, std::uint32_t address) {
    const AddressState& a = w.addresses.get(address);
    const AddressStatus status = status_of(a);
    if (!is_interface(w, a.interface) || !is_host_address(a.address) || a.prefix_length > 128) return false;
    if (status == AddressStatus::invalid || status > AddressStatus::duplicate) return false;
    // Whatever is not decided yet must be decided some day.
    const bool is_open = status == AddressStatus::tentative || status == AddressStatus::optimistic;
    if (is_open && a.dad == never) return false;
    return is_deadline_sane(a.dad) && is_deadline_sane(a.preferred_until) && is_deadline_sane(a.valid_until);
}

bool is_route_sane(const World& w, std::uint32_t route) {
    const RouteState& r = w.routes.get(route);
    return is_interface(w, r.interface) && r.prefix_length <= 128 && !r.prefix.is_multicast() &&
           !r.next_hop.is_multicast() && !r.next_hop.is_loopback() && is_deadline_sane(r.valid_until);
}

bool is_destination_sane(const World& w, std::uint32_t destination) {
    const DestinationState& d = w.destinations.get(destination);
    return is_host_address(d.address) && d.path_mtu >= wire::ipv6_mtu_min && is_instant_sane(d.expires);
}

void rebuild(IpContext& cx) {
    cx.w.routes.for_each(
        [&](std::uint32_t i, const RouteState& r) { cx.w.arm(StateKind::route, i, r.valid_until); });
    cx.w.destinations.for_each(
        [&](std::uint32_t i, const DestinationState& d) { cx.w.arm(StateKind::destination, i, d.expires); });
}

}  // namespace keepnet::ip
