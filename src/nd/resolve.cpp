// From the next hop to its link address, and whether it still answers (RFC 4861 7.2.2, 7.3).
#include "nd/cache.hpp"
#include "wire/bytes.hpp"
#include "wire/ethernet.hpp"

namespace keepnet::nd {

namespace {

/// An entry is not written for every packet: an age is exact to this.
constexpr Duration last_used_grain = seconds(1);

/// The source of the packet that waits longest: it is the one to ask with (RFC 4861 7.2.2).
Ipv6Address prompting_source(const World& w, const NeighborState& n) {
    if (!n.pending_head) return {};
    return wire::load_ipv6(w.pending_packets.get(n.pending_head.index()).header, 8);
}

/// The next solicitation of an incomplete entry, or of one that is probed. A full ring costs no attempt.
void probe(link::LinkContext& cx, std::uint32_t neighbor) {
    NeighborState& n = cx.w.neighbors.edit(neighbor);
    const auto source = solicitation_source(cx.w, n.interface, n.address, prompting_source(cx.w, n));
    bool sent = true;
    if (source) {
        sent = n.phase == NeighborPhase::incomplete
                   ? solicit_multicast(cx, n.interface, n.address, *source)
                   : solicit_unicast(cx, n.interface, n.address, *source, n.mac);
    }
    if (sent) ++n.probes_sent;
    set_timer(cx, neighbor,
              cx.now + (sent ? cx.w.interfaces.get(n.interface - 1).retransmit : retry_interval));
}

void give_up(link::LinkContext& cx, std::uint32_t neighbor) {
    if (!cx.w.neighbors.get(neighbor).pending_head) return destroy_neighbor(cx, neighbor);
    set_timer(cx, neighbor, never);
    ++cx.ports.of(cx.w.neighbors.get(neighbor).interface).unreachable;
}

void on_stale_timer(link::LinkContext& cx, std::uint32_t neighbor) {
    const Deadline end = cx.w.neighbors.get(neighbor).last_used + cx.w.config().nd.stale_lifetime;
    if (end > cx.now) return set_timer(cx, neighbor, end);
    destroy_neighbor(cx, neighbor);
}

/// Bits of prefix that two addresses share.
unsigned shared_bits(const Ipv6Address& a, const Ipv6Address& b) {
    unsigned bits = 0;
    while (bits < 128 && prefix_matches(a, b, bits + 1)) ++bits;
    return bits;
}

}  // namespace

std::optional<Ipv6Address> solicitation_source(const World& w, InterfaceIndex interface,
                                               const Ipv6Address& target, const Ipv6Address& preferred) {
    std::optional<Ipv6Address> best;
    unsigned best_bits = 0;
    for (std::uint32_t i = w.addresses.next(0); i != none; i = w.addresses.next(i + 1)) {
        const AddressState& a = w.addresses.get(i);
        if (a.interface != interface || !is_usable(status_of(a))) continue;
        if (a.address == preferred) return preferred;
        const unsigned bits = shared_bits(a.address, target);
        if (best && bits <= best_bits) continue;
        best = a.address;
        best_bits = bits;
    }
    return best;
}

void send_to(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& next_hop,
             link::QueuedFrame& frame) {
    if (link::is_point_to_point(cx, interface)) return link::commit_frame(cx, interface, frame, {});
    if (next_hop.is_multicast()) return link::commit_frame(cx, interface, frame, multicast_mac(next_hop));
    std::uint32_t neighbor = find_neighbor(cx, interface, next_hop);
    const bool is_new = neighbor == none;
    if (is_new) {
        neighbor = create_neighbor(cx, interface, next_hop);
        if (neighbor == none) return cx.w.drop(DropReason::no_slot);
    }
    const NeighborState& n = cx.w.neighbors.get(neighbor);
    if (cx.now - n.last_used >= last_used_grain) cx.w.neighbors.edit(neighbor).last_used = cx.now;
    if (n.phase == NeighborPhase::incomplete) {
        enqueue_pending(cx, neighbor, frame);
        if (is_new) probe(cx, neighbor);
        return;
    }
    if (n.phase == NeighborPhase::stale) {
        cx.w.neighbors.edit(neighbor).phase = NeighborPhase::delay;
        set_timer(cx, neighbor, cx.now + cx.w.config().nd.delay_first_probe);
    }
    link::commit_frame(cx, interface, frame, n.mac);
}

void confirm_reachable(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& next_hop) {
    const std::uint32_t neighbor = find_neighbor(cx, interface, next_hop);
    if (neighbor == none) return;
    const NeighborState& n = cx.w.neighbors.get(neighbor);
    if (n.phase == NeighborPhase::incomplete) return;
    const Deadline until = cx.now + cx.w.interfaces.get(interface - 1).reachable;
    if (n.phase == NeighborPhase::reachable && until - n.timer < last_used_grain) return;
    set_reachable(cx, neighbor);
}

void on_neighbor_timer(link::LinkContext& cx, std::uint32_t neighbor) {
    if (!cx.w.neighbors.is_live(neighbor)) return;
    const NeighborState& n = cx.w.neighbors.get(neighbor);
    if (n.timer > cx.now) return cx.w.arm(StateKind::neighbor, neighbor, n.timer);
    const NdConfig& config = cx.w.config().nd;
    switch (n.phase) {
        case NeighborPhase::incomplete:
            if (n.probes_sent < config.multicast_probes) return probe(cx, neighbor);
            return give_up(cx, neighbor);
        case NeighborPhase::reachable:
            return set_stale(cx, neighbor);
        case NeighborPhase::stale:
            return on_stale_timer(cx, neighbor);
        case NeighborPhase::delay: {
            NeighborState& probed = cx.w.neighbors.edit(neighbor);
            probed.phase = NeighborPhase::probe;
            probed.probes_sent = 0;
            return probe(cx, neighbor);
        }
        case NeighborPhase::probe:
            if (n.probes_sent < config.unicast_probes) return probe(cx, neighbor);
            // The next packet asks everybody on the link again, which is what RFC 7048 wants of a patient
            // host.
            return destroy_neighbor(cx, neighbor);
        case NeighborPhase::invalid:
            break;
    }
    KEEPNET_ASSERT(false);
}

void retire_unreachable(link::LinkContext& cx, std::uint32_t neighbor) {
    const NeighborState& n = cx.w.neighbors.get(neighbor);
    if (has_given_up(n) && n.pending_head) --cx.ports.of(n.interface).unreachable;
}

std::optional<UnreachablePacket> take_unreachable(link::LinkContext& cx) {
    for (std::size_t slot = 0; slot < cx.ports.by_slot.size(); ++slot) {
        if (cx.ports.by_slot[slot].unreachable == 0) continue;
        const auto interface = static_cast<InterfaceIndex>(slot + 1);
        for (std::uint32_t i = cx.w.neighbors.next(0); i != none; i = cx.w.neighbors.next(i + 1)) {
            const NeighborState& n = cx.w.neighbors.get(i);
            if (n.interface != interface || !has_given_up(n)) continue;
            const auto packet = pop_pending(cx, i);
            if (!n.pending_head) {
                if (packet) --cx.ports.of(interface).unreachable;
                destroy_neighbor(cx, i);
            }
            if (packet) return UnreachablePacket{interface, *packet};
        }
        KEEPNET_ASSERT(false);
    }
    return std::nullopt;
}

void forget_pending(link::LinkContext& cx) {
    for (std::uint32_t i = cx.w.neighbors.next(0); i != none; i = cx.w.neighbors.next(i + 1)) {
        if (has_given_up(cx.w.neighbors.get(i))) continue;  // its end is told to whoever sent
        while (const auto packet = pop_pending(cx, i)) release_packet(cx.w.pool, *packet);
    }
}

void forget_interface(link::LinkContext& cx, InterfaceIndex interface) {
    for (std::uint32_t i = cx.w.neighbors.next(0); i != none; i = cx.w.neighbors.next(i + 1)) {
        if (cx.w.neighbors.get(i).interface == interface) destroy_neighbor(cx, i);
    }
}

}  // namespace keepnet::nd
