#include "nd/cache.hpp"

#include <cstring>

#include "wire/bytes.hpp"
#include "wire/ethernet.hpp"
#include "wire/udp.hpp"

namespace keepnet::nd {

namespace {

std::uint32_t hint_of(const Ipv6Address& a) {
    // Of the interface identifier: neighbours share the rest. A collision costs a search, nothing else.
    std::uint64_t identifier = 0;
    std::memcpy(&identifier, a.octets.data() + 8, sizeof identifier);
    return static_cast<std::uint32_t>(identifier * 0x9e37'79b9'7f4a'7c15U >> 32) % link::neighbor_hints;
}

bool is_this(const World& w, std::uint32_t i, InterfaceIndex interface, const Ipv6Address& address) {
    if (!w.neighbors.is_live(i)) return false;
    const NeighborState& n = w.neighbors.get(i);
    return n.interface == interface && n.address == address;
}

/// Who goes when the cache is full: the entry that was used longest ago. Unanswered addresses, which a scan
/// from outside can make us ask for, get no more than half of the cache (RFC 6583 6).
std::uint32_t find_victim(const World& w) {
    std::uint32_t incomplete = 0;
    std::uint32_t oldest_incomplete = none;
    std::uint32_t oldest_other = none;
    const auto older = [&](const NeighborState& n, std::uint32_t than) {
        return than == none || n.last_used < w.neighbors.get(than).last_used;
    };
    w.neighbors.for_each([&](std::uint32_t i, const NeighborState& n) {
        if (n.phase == NeighborPhase::incomplete) {
            ++incomplete;
            if (older(n, oldest_incomplete)) oldest_incomplete = i;
        } else if (older(n, oldest_other)) {
            oldest_other = i;
        }
    });
    const bool too_many = incomplete * 2 >= w.neighbors.capacity();
    return oldest_other == none || too_many ? oldest_incomplete : oldest_other;
}

/// What was left to the device is done here: the packet may go out through another one. The field, at `at` in
/// the frame, holds the sum of the pseudo-header.
void complete_checksum(const PacketPool& pool, PendingPacketState& p, std::size_t at) {
    constexpr std::size_t transport = wire::ipv6_header_bytes;
    const std::size_t field = at - wire::ethernet_header_bytes;
    const MutableBytes header{p.header.data(), p.header_length};
    Checksum sum;
    sum.add(header.subspan(transport));
    for (std::size_t i = 0; i < p.slice_count; ++i) sum.add(pool.view(p.slices[i]));
    const bool is_udp = header[6] == wire::number(wire::NextHeader::udp);
    wire::store_u16(header, field, is_udp ? wire::udp_checksum_field(sum) : sum.fold());
}

}  // namespace

std::uint32_t find_own(const World& w, InterfaceIndex interface, const Ipv6Address& address) {
    for (std::uint32_t i = w.addresses.next(0); i != none; i = w.addresses.next(i + 1)) {
        const AddressState& a = w.addresses.get(i);
        if (a.interface == interface && a.address == address) return i;
    }
    return none;
}

std::uint32_t find_neighbor(const link::LinkContext& cx, InterfaceIndex interface,
                            const Ipv6Address& address) {
    std::uint32_t& hint = cx.ports.of(interface).neighbors[hint_of(address)];
    if (is_this(cx.w, hint, interface, address)) return hint;
    for (std::uint32_t i = cx.w.neighbors.next(0); i != none; i = cx.w.neighbors.next(i + 1)) {
        if (is_this(cx.w, i, interface, address)) return hint = i;
    }
    return none;
}

std::uint32_t create_neighbor(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& address) {
    if (cx.w.neighbors.available() == 0) {
        const std::uint32_t victim = find_victim(cx.w);
        if (victim == none) return none;
        const std::uint32_t waiting = cx.w.neighbors.get(victim).pending_count;
        for (std::uint32_t i = 0; i < waiting; ++i) cx.w.drop(DropReason::pending_queue_full);
        destroy_neighbor(cx, victim);
    }
    const Handle<NeighborState> handle = cx.w.neighbors.create();
    if (!handle) return none;
    NeighborState& n = cx.w.neighbors.edit(handle);
    n.address = address;
    n.interface = interface;
    n.last_used = cx.now;
    set_timer(cx, handle.index(), cx.now);
    cx.ports.of(interface).neighbors[hint_of(address)] = handle.index();
    return handle.index();
}

void destroy_neighbor(link::LinkContext& cx, std::uint32_t neighbor) {
    retire_unreachable(cx, neighbor);
    while (const auto packet = pop_pending(cx, neighbor)) release_packet(cx.w.pool, *packet);
    cx.w.arm(StateKind::neighbor, neighbor, never);
    cx.w.neighbors.destroy(neighbor);
}

void set_timer(link::LinkContext& cx, std::uint32_t neighbor, Deadline deadline) {
    cx.w.neighbors.edit(neighbor).timer = deadline;
    cx.w.arm(StateKind::neighbor, neighbor, deadline);
}

void set_reachable(link::LinkContext& cx, std::uint32_t neighbor) {
    NeighborState& n = cx.w.neighbors.edit(neighbor);
    n.phase = NeighborPhase::reachable;
    n.probes_sent = 0;
    set_timer(cx, neighbor, cx.now + cx.w.interfaces.get(n.interface - 1).reachable);
}

void set_stale(link::LinkContext& cx, std::uint32_t neighbor) {
    NeighborState& n = cx.w.neighbors.edit(neighbor);
    n.phase = NeighborPhase::stale;
    n.probes_sent = 0;
    set_timer(cx, neighbor, cx.now + cx.w.config().nd.stale_lifetime);
}

void enqueue_pending(link::LinkContext& cx, std::uint32_t neighbor, const link::QueuedFrame& frame) {
    // A super-frame is only good for the device that it was made for; its transport sends it again.
    if (frame.segment_bytes != 0) return cx.w.drop(DropReason::pending_queue_full);
    NeighborState& n = cx.w.neighbors.edit(neighbor);
    const bool is_full = n.pending_count >= cx.w.config().nd.pending_per_neighbor;
    if (is_full || (cx.w.pending_packets.available() == 0 && n.pending_head)) {
        if (const auto oldest = pop_pending(cx, neighbor)) {
            release_packet(cx.w.pool, *oldest);
            cx.w.drop(DropReason::pending_queue_full);
        }
    }
    const Handle<PendingPacketState> handle = cx.w.pending_packets.create();
    if (!handle) return cx.w.drop(DropReason::pending_queue_full);

    PendingPacketState& p = cx.w.pending_packets.edit(handle);
    const std::size_t bytes = frame.header_length - wire::ethernet_header_bytes;
    KEEPNET_ASSERT(bytes <= p.header.size() && frame.slice_count <= p.slices.size());
    p.header_length = static_cast<std::uint16_t>(bytes);
    std::memcpy(p.header.data(), frame.header.data() + wire::ethernet_header_bytes, bytes);
    p.slice_count = frame.slice_count;
    for (std::size_t i = 0; i < frame.slice_count; ++i) {
        p.slices[i] = frame.slices[i];
        cx.w.pool.retain(frame.slices[i].buffer);
    }
    if (frame.needs_checksum) complete_checksum(cx.w.pool, p, frame.checksum_start + frame.checksum_offset);
    const Link link = Link::to(handle.index());
    if (n.pending_tail) {
        cx.w.pending_packets.edit(n.pending_tail.index()).next = link;
    } else {
        n.pending_head = link;
        if (has_given_up(n)) ++cx.ports.of(n.interface).unreachable;
    }
    n.pending_tail = link;
    ++n.pending_count;
}

std::optional<PendingPacketState> pop_pending(link::LinkContext& cx, std::uint32_t neighbor) {
    if (!cx.w.neighbors.get(neighbor).pending_head) return std::nullopt;
    NeighborState& n = cx.w.neighbors.edit(neighbor);
    const std::uint32_t index = n.pending_head.index();
    const PendingPacketState packet = cx.w.pending_packets.get(index);
    cx.w.pending_packets.destroy(index);
    n.pending_head = packet.next;
    if (!n.pending_head) n.pending_tail = {};
    --n.pending_count;
    return packet;
}

void release_packet(PacketPool& pool, const PendingPacketState& packet) {
    for (std::size_t i = 0; i < packet.slice_count; ++i) pool.release(packet.slices[i].buffer);
}

void send_pending(link::LinkContext& cx, std::uint32_t neighbor) {
    const NeighborState& n = cx.w.neighbors.get(neighbor);
    while (const auto packet = pop_pending(cx, neighbor)) {
        link::QueuedFrame* frame = link::plan_frame(cx, n.interface);
        if (frame == nullptr) {
            cx.w.drop(DropReason::transmit_ring_full);
        } else {
            std::memcpy(frame->header.data() + wire::ethernet_header_bytes, packet->header.data(),
                        packet->header_length);
            frame->header_length =
                static_cast<std::uint16_t>(wire::ethernet_header_bytes + packet->header_length);
            frame->slice_count = packet->slice_count;
            for (std::size_t i = 0; i < packet->slice_count; ++i) frame->slices[i] = packet->slices[i];
            link::commit_frame(cx, n.interface, *frame, n.mac);
        }
        release_packet(cx.w.pool, *packet);
    }
}

}  // namespace keepnet::nd
