#include "link/link.hpp"

#include <bit>

#include "wire/ethernet.hpp"

namespace keepnet::link {

namespace {

bool is_known(const LinkContext& cx, InterfaceIndex interface) {
    return interface != 0 && cx.w.interfaces.is_live(interface - 1);
}

void release_slices(PacketPool& pool, const QueuedFrame& frame) {
    for (std::size_t i = 0; i < frame.slice_count; ++i) pool.release(frame.slices[i].buffer);
}

/// RFC 2464 7: every IPv6 multicast has a 33:33 address. Which groups are ours is for the IPv6 header to say.
bool is_for_us(const MacAddress& destination, const MacAddress& own) {
    if (destination == own || destination == mac_broadcast) return true;
    return destination.octets[0] == 0x33 && destination.octets[1] == 0x33;
}

/// Frames offered to a device at once.
constexpr std::size_t burst_max = 32;

struct Burst {
    std::array<TxFrame, burst_max> frames;
    std::array<std::array<ByteView, frame_slices>, burst_max> payloads;
};

void show(const PacketPool& pool, const QueuedFrame& queued, TxFrame& frame,
          std::array<ByteView, frame_slices>& payload) {
    for (std::size_t i = 0; i < queued.slice_count; ++i) payload[i] = pool.view(queued.slices[i]);
    frame = {.header = {queued.header.data(), queued.header_length},
             .payload = {payload.data(), queued.slice_count},
             .needs_checksum = queued.needs_checksum,
             .checksum_start = queued.checksum_start,
             .checksum_offset = queued.checksum_offset,
             .segment_bytes = queued.segment_bytes};
}

}  // namespace

void Ports::place(ArenaCarver& carver, const CapacityConfig& capacity) {
    ring_frames = std::bit_ceil(std::max(capacity.transmit_ring, 1U));
    by_slot = {carver.take<Port>(capacity.interfaces), capacity.interfaces};
    rings = carver.take<QueuedFrame>(std::size_t{ring_frames} * capacity.interfaces);
}

void Ports::initialize() {
    for (std::size_t i = 0; i < by_slot.size(); ++i) {
        by_slot[i] = {};
        by_slot[i].ring = rings + i * ring_frames;
        by_slot[i].ring_mask = ring_frames - 1;
    }
}

QueuedFrame* plan_frame(LinkContext& cx, InterfaceIndex interface) {
    if (!is_known(cx, interface)) return nullptr;
    Port& port = cx.ports.of(interface);
    if (port.room() == 0) return nullptr;
    QueuedFrame& frame = port.ring[port.tail & port.ring_mask];
    frame.header_length = 0;
    frame.slice_count = 0;
    frame.needs_checksum = false;
    frame.segment_bytes = 0;
    return &frame;
}

void commit_frame(LinkContext& cx, InterfaceIndex interface, QueuedFrame& frame,
                  const MacAddress& destination) {
    Port& port = cx.ports.of(interface);
    KEEPNET_ASSERT(&frame == &port.ring[port.tail & port.ring_mask] && port.room() != 0);
    KEEPNET_ASSERT(frame.header_length >= wire::ethernet_header_bytes && frame.slice_count <= frame_slices);
    wire::emit_ethernet({.dst = destination, .src = cx.w.interfaces.get(interface - 1).mac}, frame.header);
    for (std::size_t i = 0; i < frame.slice_count; ++i) cx.w.pool.retain(frame.slices[i].buffer);
    ++port.tail;
}

std::size_t flush(LinkContext& cx, InterfaceIndex interface) {
    if (!is_known(cx, interface)) return 0;
    Port& port = cx.ports.of(interface);
    if (port.device == nullptr) return 0;
    std::size_t total = 0;
    std::uint64_t bytes = 0;
    Burst burst;
    while (port.queued() != 0) {
        const std::size_t count = std::min<std::size_t>(port.queued(), burst_max);
        for (std::size_t i = 0; i < count; ++i) {
            const QueuedFrame& queued = port.ring[(port.head + i) & port.ring_mask];
            show(cx.w.pool, queued, burst.frames[i], burst.payloads[i]);
        }
        const std::size_t taken = std::min(count, port.device->transmit({burst.frames.data(), count}));
        for (std::size_t i = 0; i < taken; ++i) {
            bytes += burst.frames[i].bytes();
            release_slices(cx.w.pool, port.ring[port.head++ & port.ring_mask]);
        }
        total += taken;
        if (taken < count) break;
    }
    if (total != 0) {
        Statistics& statistics = cx.w.count();
        statistics.frames_sent += total;
        statistics.bytes_sent += bytes;
    }
    return total;
}

void discard(LinkContext& cx, InterfaceIndex interface) {
    Port& port = cx.ports.of(interface);
    while (port.queued() != 0) release_slices(cx.w.pool, port.ring[port.head++ & port.ring_mask]);
}

std::optional<Received> on_frame(LinkContext& cx, InterfaceIndex interface, const RxFrame& frame) {
    KEEPNET_ASSERT(is_known(cx, interface));
    Statistics& statistics = cx.w.count();
    ++statistics.frames_received;
    statistics.bytes_received += frame.length;
    const auto drop = [&](DropReason reason) {
        cx.w.drop(reason);
        return std::nullopt;
    };
    if (frame.buffer >= cx.w.pool.capacity() || frame.offset + frame.length > packet_buffer_bytes ||
        frame.length < wire::ethernet_header_bytes) {
        return drop(DropReason::frame_truncated);
    }
    const ByteView bytes = cx.w.pool.view({frame.buffer, frame.offset, frame.length});
    const auto ethernet = wire::parse_ethernet(bytes);
    if (!ethernet || ethernet->ethertype != wire::EtherType::ipv6) return drop(DropReason::ethertype_unknown);
    const bool has_addresses = !is_point_to_point(cx, interface);
    if (has_addresses && !is_for_us(ethernet->dst, cx.w.interfaces.get(interface - 1).mac))
        return drop(DropReason::frame_not_for_us);
    constexpr auto header = static_cast<std::uint16_t>(wire::ethernet_header_bytes);
    return Received{.interface = interface,
                    .is_multicast = has_addresses && ethernet->dst.is_multicast(),
                    .checksum_verified = frame.checksum_verified,
                    .packet = {frame.buffer, static_cast<std::uint16_t>(frame.offset + header),
                               static_cast<std::uint16_t>(frame.length - header)}};
}

}  // namespace keepnet::link
