// What must hold of neighbours that a snapshot or a surviving arena gives, and what is derived from them.
#include "nd/cache.hpp"
#include "state/limits.hpp"
#include "wire/ipv6.hpp"

namespace keepnet::nd {

namespace {

bool is_packet_sane(const World& w, const PendingPacketState& p) {
    if (p.header_length < wire::ipv6_header_bytes || p.header_length > p.header.size()) return false;
    if (p.slice_count > p.slices.size()) return false;
    for (std::size_t i = 0; i < p.slice_count; ++i) {
        if (!is_slice_sane(w.pool, p.slices[i])) return false;
    }
    return true;
}

/// Bounded by the count: a ring of links does not end.
bool is_chain_sane(const World& w, const NeighborState& n) {
    Link at = n.pending_head;
    for (std::uint32_t left = n.pending_count; left != 0; --left) {
        if (!at || !w.pending_packets.is_live(at.index())) return false;
        const PendingPacketState& p = w.pending_packets.get(at.index());
        if (!is_packet_sane(w, p) || (left == 1) != (at == n.pending_tail)) return false;
        at = p.next;
    }
    return !at && (n.pending_count != 0 || !n.pending_tail);
}

}  // namespace

bool is_neighbor_sane(const World& w, std::uint32_t neighbor) {
    const NeighborState& n = w.neighbors.get(neighbor);
    if (n.interface == 0 || !w.interfaces.is_live(n.interface - 1)) return false;
    if (n.address.is_unspecified() || n.address.is_multicast()) return false;
    if (n.phase == NeighborPhase::invalid || n.phase > NeighborPhase::probe) return false;
    if (!is_deadline_sane(n.timer) || !is_instant_sane(n.last_used)) return false;
    const bool is_incomplete = n.phase == NeighborPhase::incomplete;
    if (is_incomplete ? has_given_up(n) && n.pending_count == 0 : n.timer == never || n.pending_count != 0)
        return false;
    if (!is_incomplete && n.mac.is_multicast()) return false;
    return is_chain_sane(w, n);
}

void rebuild(link::LinkContext& cx) {
    for (auto& port : cx.ports.by_slot) port.unreachable = 0;
    cx.w.neighbors.for_each([&](std::uint32_t i, const NeighborState& n) {
        cx.w.arm(StateKind::neighbor, i, n.timer);
        if (has_given_up(n) && n.pending_head) ++cx.ports.of(n.interface).unreachable;
    });
    cx.w.addresses.for_each([&](std::uint32_t i, const AddressState& a) {
        cx.w.arm(StateKind::address, i, earlier(a.dad, earlier(a.preferred_until, a.valid_until)));
    });
    cx.w.interfaces.for_each([&](std::uint32_t i, const InterfaceState& state) {
        cx.w.arm(StateKind::interface, i, state.reachable_redraw);
    });
}

}  // namespace keepnet::nd
