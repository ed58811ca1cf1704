#include "durability/identity.hpp"

#include <algorithm>

#include "durability/resume.hpp"
#include "nd/nd.hpp"

namespace keepnet::durability {
namespace {

const AddressMapping* find_mapping(std::span<const AddressMapping> map, const Ipv6Address& address) {
    if (address.is_unspecified()) return nullptr;
    const auto found = std::ranges::find(map, address, &AddressMapping::from);
    return found == map.end() || found->to == address ? nullptr : &*found;
}

Endpoint moved(std::span<const AddressMapping> map, Endpoint local) {
    if (const AddressMapping* m = find_mapping(map, local.address)) local.address = m->to;
    return local;
}

/// A connection's local endpoint is half of its name: it stays with it. An unconnected UDP socket has no other end.
bool is_movable(const SocketState& s) { return s.is_bound && !s.connection && s.remote == Endpoint{}; }

/// Would socket `i` come to where another one of its kind is, or comes to before it?
bool collides(const World& w, std::span<const AddressMapping> map, std::uint32_t i) {
    const SocketState& s = w.sockets.get(i);
    const Endpoint target = moved(map, s.local);
    for (std::uint32_t k = w.sockets.next(0); k != BitTree::none; k = w.sockets.next(k + 1)) {
        const SocketState& other = w.sockets.get(k);
        if (k == i || other.kind != s.kind || !is_movable(other) || other.local == s.local) continue;
        const bool stays = find_mapping(map, other.local.address) == nullptr;
        if (stays ? other.local == target : k < i && moved(map, other.local) == target) return true;
    }
    return false;
}

void move_sockets(World& w, std::span<const AddressMapping> map) {
    // From the last to the first: whoever is asked about still stands where it stood.
    for (std::uint32_t i = w.sockets.high_water(); i-- != 0;) {
        if (!w.sockets.is_live(i) || !is_movable(w.sockets.get(i))) continue;
        if (find_mapping(map, w.sockets.get(i).local.address) == nullptr || collides(w, map, i)) continue;
        SocketState& s = w.sockets.edit(i);
        s.local = moved(map, s.local);
        if (s.listener) w.listeners.edit(s.listener).local = s.local;
    }
}

bool has_address(const World& w, InterfaceIndex interface, const Ipv6Address& address, std::uint32_t but) {
    for (std::uint32_t i = w.addresses.next(0); i != BitTree::none; i = w.addresses.next(i + 1)) {
        const AddressState& a = w.addresses.get(i);
        if (i != but && a.interface == interface && a.address == address) return true;
    }
    return false;
}

}  // namespace

void draw_secrets(StackState& s) {
    const auto key = [&] { return HashKey{next_u64(s.random), next_u64(s.random)}; };
    for (HashKey* k : {&s.isn_key, &s.port_key, &s.flow_key, &s.interface_key, &s.timestamp_key, &s.cookie_keys[0],
                       &s.cookie_keys[1]}) {
        *k = key();
    }
    s.port_cursor = next_u32(s.random);
    // RFC 7323 5.4 and RFC 6528 3 want clocks, not their origin: a random one tells nobody how long we have been up.
    s.wire_clock_offset = Duration{static_cast<std::int64_t>(next_u64(s.random) >> 12)} - Duration{s.now.ns};
}

void become_clone(ip::IpContext& cx) {
    World& w = cx.w;
    StackState& s = w.edit_stack();
    draw_secrets(s);
    // Nothing was ever said with this clock, so there is nothing that it must not run behind.
    s.wire_clock_resumed_ns = s.now.ns + s.wire_clock_offset.ns;
    s.wire_clock_ceiling_ns = INT64_MAX;
    // Numbers of handles that no other clone of the same snapshot gives out, as far as chance goes.
    const std::uint64_t jump = generation_jump * (next_u32(s.random) & 0x3ff);
    w.header->generations = std::min(w.header->generations + jump, handle_generation_max);
    for (std::uint32_t i = w.interfaces.next(0); i != BitTree::none; i = w.interfaces.next(i + 1)) {
        w.interfaces.edit(i).mac = {};  // the original's; attach_device gives another
    }
    for (std::uint32_t i = w.addresses.next(0); i != BitTree::none; i = w.addresses.next(i + 1)) {
        const AddressState& a = w.addresses.get(i);
        if (!a.is_generated) continue;
        const AddressMapping one[] = {{a.address, nd::generate_link_local(w.stack(), a.interface, 0)}};
        move_sockets(w, one);
        ip::replace_address(cx, i, one[0].to);
        w.addresses.edit(i).is_generated = true;
    }
}

void move_addresses(ip::IpContext& cx, std::span<const AddressMapping> map) {
    if (map.empty()) return;
    World& w = cx.w;
    move_sockets(w, map);
    for (std::uint32_t i = w.addresses.next(0); i != BitTree::none; i = w.addresses.next(i + 1)) {
        const AddressState& a = w.addresses.get(i);
        const AddressMapping* m = find_mapping(map, a.address);
        if (m == nullptr) continue;
        // What is there now, and moves on itself, is no obstacle.
        const bool is_there = has_address(w, a.interface, m->to, i) && find_mapping(map, m->to) == nullptr;
        ip::replace_address(cx, i, is_there ? Ipv6Address{} : m->to);
    }
}

void tell_homeless_sockets(ip::IpContext& cx) {
    World& w = cx.w;
    for (std::uint32_t i = w.sockets.next(0); i != BitTree::none; i = w.sockets.next(i + 1)) {
        const SocketState& s = w.sockets.get(i);
        const Ipv6Address& local = s.local.address;
        if (!s.is_bound || s.connection || local.is_unspecified() || local.is_multicast() || local.is_loopback()) continue;
        if (s.verdict == Verdict::dropped_by_policy || ip::find_address(cx, local, s.local.interface, true)) continue;
        SocketState& homeless = w.sockets.edit(i);
        homeless.verdict = Verdict::address_gone;
        homeless.error = Error::address_gone;
        w.notify(w.sockets.handle_of(i));
    }
}

}  // namespace keepnet::durability
