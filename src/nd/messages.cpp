// Solicitations and advertisements: what goes out, and what comes in (RFC 4861 7.1, 7.2).
#include "nd/cache.hpp"
#include "wire/ethernet.hpp"
#include "wire/icmpv6.hpp"
#include "wire/ipv6.hpp"
#include "wire/ndp.hpp"

namespace keepnet::nd {

namespace {

constexpr std::size_t icmp_start = wire::ethernet_header_bytes + wire::ipv6_header_bytes;

/// The next frame, with the message that `emit` writes behind an IPv6 header; null when the ring is full.
template <class Emit>
link::QueuedFrame* plan_message(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& source,
                                const Ipv6Address& destination, Emit&& emit) {
    link::QueuedFrame* frame = link::plan_frame(cx, interface);
    if (frame == nullptr) {
        cx.w.drop(DropReason::transmit_ring_full);
        return nullptr;
    }
    const MutableBytes room{frame->header};
    const std::size_t bytes = emit(room.subspan(icmp_start));
    KEEPNET_ASSERT(bytes != 0);
    wire::fill_icmpv6_checksum(source, destination, room.subspan(icmp_start, bytes));
    wire::emit_ipv6({.payload_length = static_cast<std::uint16_t>(bytes),
                     .next_header = wire::NextHeader::icmpv6,
                     .hop_limit = wire::ndp_hop_limit,
                     .src = source,
                     .dst = destination},
                    room.subspan(wire::ethernet_header_bytes));
    frame->header_length = static_cast<std::uint16_t>(icmp_start + bytes);
    ++cx.w.count().ip_sent;
    ++cx.w.count().icmp_sent;
    return frame;
}

const MacAddress& own_mac(const World& w, InterfaceIndex interface) {
    return w.interfaces.get(interface - 1).mac;
}

/// RFC 4429 3.2: what an optimistic address says must not lead anybody to its link address.
bool may_show_link_address(const World& w, InterfaceIndex interface, const Ipv6Address& source) {
    const std::uint32_t own = find_own(w, interface, source);
    return own == none || status_of(w.addresses.get(own)) != AddressStatus::optimistic;
}

bool solicit(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& target,
             const Ipv6Address& source, const Ipv6Address& destination, const MacAddress& mac) {
    wire::NeighborSolicitationRepr repr{.target = target};
    if (may_show_link_address(cx.w, interface, source)) repr.options.source_link = own_mac(cx.w, interface);
    link::QueuedFrame* frame = plan_message(cx, interface, source, destination, [&](MutableBytes out) {
        return wire::emit_neighbor_solicitation(repr, out);
    });
    if (frame == nullptr) return false;
    link::commit_frame(cx, interface, *frame, mac);
    return true;
}

bool is_unicast(const MacAddress& mac) { return !mac.is_multicast() && !mac.is_unspecified(); }

/// RFC 4861 7.2.3: the sender told its link address by asking for ours.
void learn_from_solicitation(link::LinkContext& cx, const NdMessage& m, const MacAddress& mac) {
    std::uint32_t neighbor = find_neighbor(cx, m.interface, m.source);
    if (neighbor == none) {
        neighbor = create_neighbor(cx, m.interface, m.source);
        if (neighbor == none) return cx.w.drop(DropReason::no_slot);
    } else if (cx.w.neighbors.get(neighbor).phase != NeighborPhase::incomplete &&
               cx.w.neighbors.get(neighbor).mac == mac) {
        return;
    }
    retire_unreachable(cx, neighbor);
    cx.w.neighbors.edit(neighbor).mac = mac;
    set_stale(cx, neighbor);
    send_pending(cx, neighbor);
}

/// While our own detection runs (RFC 4862 5.4.3). True: nothing is left to be done.
bool on_solicitation_for_tentative(link::LinkContext& cx, const NdMessage& m, std::uint32_t address,
                                   ByteView nonce) {
    const AddressState& a = cx.w.addresses.get(address);
    const bool is_probe = m.source.is_unspecified();
    if (is_probe && a.dad != never && nonce.size() == a.dad_nonce.size() &&
        std::equal(nonce.begin(), nonce.end(), a.dad_nonce.begin())) {
        return true;  // RFC 7527 4.3: our own probe came back
    }
    const AddressStatus status = status_of(a);
    if (status != AddressStatus::tentative && status != AddressStatus::optimistic) return false;
    if (is_probe) {
        on_conflict(cx, address);
        return true;
    }
    // RFC 4862 5.4.3: a tentative address answers nobody; RFC 4429 3.3: an optimistic one does.
    if (status == AddressStatus::optimistic) return false;
    cx.w.drop(DropReason::ipv6_tentative_destination);
    return true;
}

void on_solicitation(link::LinkContext& cx, const NdMessage& m) {
    const auto repr = wire::parse_neighbor_solicitation({m.icmp, m.source, m.destination});
    if (!repr || (repr->options.source_link && !is_unicast(*repr->options.source_link))) {
        return cx.w.drop(DropReason::nd_malformed);
    }
    const std::uint32_t address = find_own(cx.w, m.interface, repr->target);
    if (address == none || status_of(cx.w.addresses.get(address)) == AddressStatus::duplicate) {
        return cx.w.drop(DropReason::nd_not_for_us);
    }
    if (on_solicitation_for_tentative(cx, m, address, repr->options.nonce)) return;
    if (find_own(cx.w, m.interface, m.source) != none) return cx.w.drop(DropReason::ipv6_bad_source);
    if (repr->options.source_link) learn_from_solicitation(cx, m, *repr->options.source_link);
    answer_solicitation(cx, cx.w.addresses.get(address), m.source);
}

/// RFC 4861 7.2.5 for an entry whose link address is known.
void update_known(link::LinkContext& cx, std::uint32_t neighbor,
                  const wire::NeighborAdvertisementRepr& repr) {
    const NeighborState& n = cx.w.neighbors.get(neighbor);
    const auto& mac = repr.options.target_link;
    const bool is_other = mac && *mac != n.mac;
    if (is_other && !repr.override_cache) {
        if (n.phase == NeighborPhase::reachable) set_stale(cx, neighbor);
        return;
    }
    if (is_other) cx.w.neighbors.edit(neighbor).mac = *mac;
    if (n.is_router != repr.router) cx.w.neighbors.edit(neighbor).is_router = repr.router;
    if (repr.solicited) {
        set_reachable(cx, neighbor);
    } else if (is_other) {
        set_stale(cx, neighbor);
    }
}

/// RFC 4862 5.4.4; also while a restored address is in use and its probe runs beside (DURABILITY 8).
void on_advertisement_of_own(link::LinkContext& cx, const NdMessage& m, std::uint32_t address,
                             const wire::NeighborAdvertisementRepr& repr) {
    if (repr.options.target_link == own_mac(cx.w, m.interface)) return;  // our own, come back
    const AddressState& a = cx.w.addresses.get(address);
    if (a.dad == never || status_of(a) == AddressStatus::duplicate)
        return cx.w.drop(DropReason::nd_unmatched);
    on_conflict(cx, address);
}

void on_advertisement(link::LinkContext& cx, const NdMessage& m) {
    const auto repr = wire::parse_neighbor_advertisement({m.icmp, m.source, m.destination});
    if (!repr || (repr->options.target_link && !is_unicast(*repr->options.target_link))) {
        return cx.w.drop(DropReason::nd_malformed);
    }
    if (const std::uint32_t own = find_own(cx.w, m.interface, repr->target); own != none) {
        return on_advertisement_of_own(cx, m, own, *repr);
    }
    const std::uint32_t neighbor = find_neighbor(cx, m.interface, repr->target);
    if (neighbor == none) return cx.w.drop(DropReason::nd_unmatched);
    if (cx.w.neighbors.get(neighbor).phase != NeighborPhase::incomplete)
        return update_known(cx, neighbor, *repr);
    // A link with addresses needs the option here (RFC 4861 7.2.5).
    if (!repr->options.target_link) return cx.w.drop(DropReason::nd_malformed);
    retire_unreachable(cx, neighbor);
    NeighborState& n = cx.w.neighbors.edit(neighbor);
    n.mac = *repr->options.target_link;
    n.is_router = repr->router;
    if (repr->solicited) {
        set_reachable(cx, neighbor);
    } else {
        set_stale(cx, neighbor);
    }
    send_pending(cx, neighbor);
}

bool is_valid_router_message(const NdMessage& m, wire::Icmpv6Type type) {
    const wire::NdpMessage message{m.icmp, m.source, m.destination};
    if (type == wire::Icmpv6Type::router_solicitation)
        return wire::parse_router_solicitation(message).has_value();
    if (type == wire::Icmpv6Type::router_advertisement)
        return wire::parse_router_advertisement(message).has_value();
    return wire::parse_redirect(message).has_value();
}

}  // namespace

bool solicit_multicast(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& target,
                       const Ipv6Address& source) {
    const Ipv6Address group = solicited_node(target);
    return solicit(cx, interface, target, source, group, multicast_mac(group));
}

bool solicit_unicast(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& target,
                     const Ipv6Address& source, const MacAddress& mac) {
    return solicit(cx, interface, target, source, target, mac);
}

bool send_dad_probe(link::LinkContext& cx, const AddressState& address) {
    const Ipv6Address group = solicited_node(address.address);
    wire::NeighborSolicitationRepr repr{.target = address.address};
    repr.options.nonce = address.dad_nonce;
    link::QueuedFrame* frame =
        plan_message(cx, address.interface, ipv6_unspecified, group,
                     [&](MutableBytes out) { return wire::emit_neighbor_solicitation(repr, out); });
    if (frame == nullptr) return false;
    link::commit_frame(cx, address.interface, *frame, multicast_mac(group));
    return true;
}

bool advertise(link::LinkContext& cx, InterfaceIndex interface, const Announcement& announcement) {
    wire::NeighborAdvertisementRepr repr{.override_cache = announcement.override_cache,
                                         .target = announcement.target};
    repr.options.target_link = own_mac(cx.w, interface);
    link::QueuedFrame* frame =
        plan_message(cx, interface, announcement.target, announcement.destination,
                     [&](MutableBytes out) { return wire::emit_neighbor_advertisement(repr, out); });
    if (frame == nullptr) return false;
    link::commit_frame(cx, interface, *frame, announcement.mac);
    return true;
}

void answer_solicitation(link::LinkContext& cx, const AddressState& address, const Ipv6Address& to) {
    const bool is_probe = to.is_unspecified();
    const Ipv6Address destination = is_probe ? ipv6_all_nodes : to;
    wire::NeighborAdvertisementRepr repr{
        .solicited = !is_probe,
        .override_cache = status_of(address) != AddressStatus::optimistic,  // RFC 4429 3.3
        .target = address.address};
    repr.options.target_link = own_mac(cx.w, address.interface);
    link::QueuedFrame* frame =
        plan_message(cx, address.interface, address.address, destination,
                     [&](MutableBytes out) { return wire::emit_neighbor_advertisement(repr, out); });
    if (frame != nullptr) send_to(cx, address.interface, destination, *frame);
}

void on_message(link::LinkContext& cx, const NdMessage& message) {
    if (message.hop_limit != wire::ndp_hop_limit) return cx.w.drop(DropReason::nd_bad_hop_limit);
    if (link::is_point_to_point(cx, message.interface)) return cx.w.drop(DropReason::nd_not_for_us);
    const auto header = wire::parse_icmpv6_header(message.icmp);
    if (!header) return cx.w.drop(DropReason::icmpv6_truncated);
    switch (header->type) {
        case wire::Icmpv6Type::neighbor_solicitation:
            return on_solicitation(cx, message);
        case wire::Icmpv6Type::neighbor_advertisement:
            return on_advertisement(cx, message);
        case wire::Icmpv6Type::router_solicitation:
        case wire::Icmpv6Type::router_advertisement:
        case wire::Icmpv6Type::redirect:
            // A host has no use for the first; routes are static yet, so it has none for the others.
            return cx.w.drop(is_valid_router_message(message, header->type) ? DropReason::icmpv6_type_unknown
                                                                            : DropReason::nd_malformed);
        default:
            return cx.w.drop(DropReason::icmpv6_type_unknown);
    }
}

}  // namespace keepnet::nd
