// Our own addresses: duplicate detection (RFC 4862 5.4, 4429, 7527), generation (RFC 7217), announcement (RFC
// 9131, DURABILITY 8), lifetimes; and the constants of an interface.
#include "nd/cache.hpp"

namespace keepnet::nd {

namespace {

/// RFC 7217 7.
constexpr std::uint8_t identifier_retries = 3;
constexpr Duration identifier_delay = seconds(1);
/// RFC 4861 6.3.4: ReachableTime is drawn anew "at least every few hours".
constexpr Duration reachable_redraw_interval = seconds(2 * 3600);

void set_status(World& w, AddressState& a, AddressStatus status) {
    w.addresses_changed = w.addresses_changed || a.status != static_cast<std::uint8_t>(status);
    a.status = static_cast<std::uint8_t>(status);
}

/// RFC 4862 5.1 DupAddrDetectTransmits, which is a constant of each interface.
std::uint8_t probes_of(const World& w, const AddressState& a) {
    return w.interfaces.get(a.interface - 1).private_link ? std::uint8_t{0} : w.config().nd.dad_transmits;
}

bool has_lifetime(Deadline d) { return d != never; }

void arm_address(World& w, std::uint32_t address) {
    const AddressState& a = w.addresses.get(address);
    w.arm(StateKind::address, address, earlier(a.dad, earlier(a.preferred_until, a.valid_until)));
}

void draw_nonce(World& w, AddressState& a) {
    const std::uint64_t bits = next_u64(w.edit_stack().random);
    for (std::size_t i = 0; i < a.dad_nonce.size(); ++i)
        a.dad_nonce[i] = static_cast<std::uint8_t>(bits >> (8 * i));
}

/// RFC 4861 6.3.2: uniform between 0.5 and 1.5 of the base.
Duration draw_reachable(World& w) {
    const Duration base = w.config().nd.reachable_base;
    const std::int64_t part = next_u32(w.edit_stack().random) & 0xffff;
    return base / 2 + Duration{base.ns / 0x1'0000 * part};
}

bool announce_to_all(link::LinkContext& cx, const AddressState& a) {
    if (link::is_point_to_point(cx, a.interface)) return true;
    return advertise(cx, a.interface,
                     {.target = a.address,
                      .destination = ipv6_all_nodes,
                      .mac = multicast_mac(ipv6_all_nodes),
                      .override_cache = true});
}

/// RFC 9131 6.1.1: first-hop routers can make their entry before the first packet comes back; Override is
/// clear.
void announce_to_routers(link::LinkContext& cx, const AddressState& a) {
    if (link::is_point_to_point(cx, a.interface)) return;
    advertise(cx, a.interface,
              {.target = a.address,
               .destination = ipv6_all_routers,
               .mac = multicast_mac(ipv6_all_routers),
               .override_cache = false});
}

bool is_optimistic(const World& w, InterfaceIndex interface, const Ipv6Address& address) {
    return status_of(w.addresses.get(find_own(w, interface, address))) == AddressStatus::optimistic;
}

/// DURABILITY 8, Identity: a unicast solicitation makes the neighbour's entry of us, the advertisement
/// corrects it.
void announce_to_neighbors(link::LinkContext& cx, InterfaceIndex interface) {
    if (link::is_point_to_point(cx, interface)) return;
    for (std::uint32_t i = cx.w.neighbors.next(0); i != none; i = cx.w.neighbors.next(i + 1)) {
        const NeighborState& n = cx.w.neighbors.get(i);
        if (n.interface != interface || has_given_up(n)) continue;
        if (n.phase == NeighborPhase::incomplete) {
            cx.w.neighbors.edit(i).probes_sent = 0;
            set_timer(cx, i, cx.now);
            continue;
        }
        const auto source = solicitation_source(cx.w, interface, n.address, {});
        if (!source) continue;
        const bool sent = solicit_unicast(cx, interface, n.address, *source, n.mac);
        NeighborState& probed = cx.w.neighbors.edit(i);
        probed.phase = NeighborPhase::probe;
        probed.probes_sent = sent ? 1 : 0;
        set_timer(cx, i, cx.now + (sent ? cx.w.interfaces.get(interface - 1).retransmit : retry_interval));
        // RFC 4429 3.3: an optimistic address overrides nothing; it is announced when it is ours.
        if (is_optimistic(cx.w, interface, *source)) continue;
        advertise(cx, interface,
                  {.target = *source, .destination = n.address, .mac = n.mac, .override_cache = true});
    }
}

/// Detection is over and found nobody.
void become_valid(link::LinkContext& cx, std::uint32_t address) {
    AddressState& a = cx.w.addresses.edit(address);
    const AddressStatus before = status_of(a);
    if (before == AddressStatus::tentative || before == AddressStatus::optimistic) {
        set_status(cx.w, a, AddressStatus::preferred);
        if (a.announce) {
            announce_to_neighbors(cx, a.interface);
        } else {
            announce_to_routers(cx, a);
        }
    }
    if (a.announce) a.announce = !announce_to_all(cx, a);
    a.dad = a.announce ? cx.now + retry_interval : never;
}

void on_dad_timer(link::LinkContext& cx, std::uint32_t address) {
    AddressState& a = cx.w.addresses.edit(address);
    if (a.dad_probes_left == 0 || link::is_point_to_point(cx, a.interface)) return become_valid(cx, address);
    draw_nonce(cx.w, a);
    if (!send_dad_probe(cx, a)) {
        a.dad = cx.now + retry_interval;
        return;
    }
    --a.dad_probes_left;
    a.dad = cx.now + cx.w.interfaces.get(a.interface - 1).retransmit;
}

}  // namespace

Ipv6Address generate_link_local(const StackState& stack, InterfaceIndex interface, std::uint8_t dad_counter) {
    auto address = Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, 0});
    // RFC 7217 5: RID = F(Prefix, Net_Iface, Network_ID, DAD_Counter, secret_key); one prefix, and no
    // Network_ID.
    for (std::uint64_t attempt = 0;; ++attempt) {
        const std::array<std::uint64_t, 3> input{interface, dad_counter, attempt};
        const std::uint64_t identifier = hash24_words(stack.interface_key, input);
        // RFC 5453: the subnet-router anycast address, and the reserved ones at the end.
        const bool is_reserved =
            identifier == 0 || (identifier >= 0xfdff'ffff'ffff'ff80 && identifier <= 0xfdff'ffff'ffff'ffff);
        if (is_reserved && attempt < 8) continue;
        for (std::size_t i = 0; i < 8; ++i) {
            address.octets[8 + i] = static_cast<std::uint8_t>(identifier >> (56 - 8 * i));
        }
        return address;
    }
}

void start_interface(link::LinkContext& cx, InterfaceIndex interface) {
    InterfaceState& state = cx.w.interfaces.edit(interface - 1);
    state.retransmit = cx.w.config().nd.retransmit;
    state.reachable = draw_reachable(cx.w);
    state.reachable_redraw = cx.now + reachable_redraw_interval;
    cx.w.arm(StateKind::interface, interface - 1, state.reachable_redraw);
}

void start_dad(link::LinkContext& cx, std::uint32_t address) {
    AddressState& a = cx.w.addresses.edit(address);
    if (status_of(a) != AddressStatus::optimistic) set_status(cx.w, a, AddressStatus::tentative);
    a.dad_probes_left = probes_of(cx.w, a);
    // RFC 4862 5.4.2's random delay is for hosts that boot together: the embedder knows whether its do.
    on_dad_timer(cx, address);
    arm_address(cx.w, address);
}

void announce(link::LinkContext& cx, InterfaceIndex interface) {
    announce_to_neighbors(cx, interface);
    for (std::uint32_t i = cx.w.addresses.next(0); i != none; i = cx.w.addresses.next(i + 1)) {
        const AddressStatus status = status_of(cx.w.addresses.get(i));
        if (cx.w.addresses.get(i).interface != interface || status == AddressStatus::duplicate) continue;
        AddressState& a = cx.w.addresses.edit(i);
        a.announce = status != AddressStatus::tentative;
        if (status == AddressStatus::preferred || status == AddressStatus::deprecated) {
            a.announce = !announce_to_all(cx, a);
        }
        a.dad_probes_left = probes_of(cx.w, a);
        a.dad = cx.now;
        arm_address(cx.w, i);
    }
}

void on_conflict(link::LinkContext& cx, std::uint32_t address) {
    AddressState& a = cx.w.addresses.edit(address);
    set_status(cx.w, a, AddressStatus::duplicate);
    a.dad = never;
    a.dad_probes_left = 0;
    a.announce = false;
    cx.w.address_lost = cx.w.addresses_changed = true;
    if (a.is_generated && a.dad_counter < identifier_retries) {
        ++a.dad_counter;
        a.address = generate_link_local(cx.w.stack(), a.interface, a.dad_counter);
        set_status(cx.w, a, AddressStatus::tentative);
        a.dad_probes_left = std::max<std::uint8_t>(cx.w.config().nd.dad_transmits, 1);
        a.dad = cx.now + identifier_delay;
    }
    arm_address(cx.w, address);
}

void on_address_timer(link::LinkContext& cx, std::uint32_t address) {
    if (!cx.w.addresses.is_live(address)) return;
    const AddressState& a = cx.w.addresses.get(address);
    if (has_lifetime(a.valid_until) && a.valid_until <= cx.now) {
        cx.w.addresses.destroy(address);
        cx.w.address_lost = cx.w.addresses_changed = true;
        return;
    }
    if (has_lifetime(a.preferred_until) && a.preferred_until <= cx.now) {
        AddressState& old = cx.w.addresses.edit(address);
        old.preferred_until = never;
        if (status_of(old) == AddressStatus::preferred) set_status(cx.w, old, AddressStatus::deprecated);
    }
    if (a.dad != never && a.dad <= cx.now) on_dad_timer(cx, address);
    arm_address(cx.w, address);
}

void expire_addresses(link::LinkContext& cx) {
    for (std::uint32_t i = cx.w.addresses.next(0); i != none; i = cx.w.addresses.next(i + 1)) {
        const Deadline end = cx.w.addresses.get(i).valid_until;
        if (end == never || end > cx.now) continue;
        cx.w.arm(StateKind::address, i, never);
        cx.w.addresses.destroy(i);
        cx.w.address_lost = cx.w.addresses_changed = true;
    }
}

void on_interface_timer(link::LinkContext& cx, std::uint32_t interface) {
    if (!cx.w.interfaces.is_live(interface)) return;
    InterfaceState& state = cx.w.interfaces.edit(interface);
    if (state.reachable_redraw > cx.now)
        return cx.w.arm(StateKind::interface, interface, state.reachable_redraw);
    state.reachable = draw_reachable(cx.w);
    state.reachable_redraw = cx.now + reachable_redraw_interval;
    cx.w.arm(StateKind::interface, interface, state.reachable_redraw);
}

}  // namespace keepnet::nd
