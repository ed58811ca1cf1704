// Ethernet framing (RFC 2464) and the frames that wait for a device. A transmit ring is an effect on its way out, not
// state: what a crash takes from it is a lost frame.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include <keepnet/config.hpp>
#include <keepnet/link_device.hpp>

#include "state/world.hpp"

namespace keepnet::link {

inline constexpr std::size_t frame_header_bytes = 144;  ///< Ethernet 14, IPv6 40, TCP 60, and some room
inline constexpr std::size_t frame_slices = 4;

/// A frame complete but for what its device completes. The ring owns one reference to each slice.
struct QueuedFrame {
    std::uint16_t header_length = 0;
    std::uint8_t slice_count = 0;
    bool needs_checksum = false;
    std::uint16_t checksum_start = 0;
    std::uint16_t checksum_offset = 0;
    std::uint16_t segment_bytes = 0;
    std::array<std::uint8_t, frame_header_bytes> header{};
    std::array<Slice, frame_slices> slices{};
};

/// Where a neighbour was found last, by a hash of its address: a hint, checked at every use.
inline constexpr std::uint32_t neighbor_hints = 64;

/// What is bound to one interface while this process runs.
struct Port {
    LinkDevice* device = nullptr;
    LinkCapabilities capabilities{};
    QueuedFrame* ring = nullptr;      ///< in the arena
    std::uint32_t ring_mask = 0;
    std::uint32_t head = 0;           ///< next to hand to the device
    std::uint32_t tail = 0;           ///< next free place
    std::uint32_t unreachable = 0;    ///< neighbours that gave up and still hold packets (nd/)
    std::array<std::uint32_t, neighbor_hints> neighbors{};
    [[nodiscard]] std::uint32_t queued() const { return tail - head; }
    [[nodiscard]] std::uint32_t room() const { return ring_mask + 1 - queued(); }
};

/// Ports by interface slot.
struct Ports {
    std::span<Port> by_slot{};
    QueuedFrame* rings = nullptr;
    std::uint32_t ring_frames = 0;
    /// Reads and writes nothing of the memory.
    void place(ArenaCarver& carver, const CapacityConfig& capacity);
    /// Every ring empty, every device gone. After place(), wherever the arena now is.
    void initialize();
    [[nodiscard]] Port& of(InterfaceIndex interface) const { return by_slot[interface - 1]; }
};

struct LinkContext : Context {
    Ports& ports;
};

/// Where the next frame of this interface is to be written; null when the ring is full or the interface unknown.
/// Nothing is queued before commit_frame(). With no device frames are queued until the ring is full.
QueuedFrame* plan_frame(LinkContext& cx, InterfaceIndex interface);
/// Queues the planned frame: its Ethernet header is written here, the slices are retained.
void commit_frame(LinkContext& cx, InterfaceIndex interface, QueuedFrame& frame, const MacAddress& destination);
/// Offers the queued frames to the device; returns how many it took. References are given back.
std::size_t flush(LinkContext& cx, InterfaceIndex interface);
/// Forgets what is queued.
void discard(LinkContext& cx, InterfaceIndex interface);

/// Nobody is asked for a link address there, and none is looked at (LinkCapabilities::point_to_point).
[[nodiscard]] inline bool is_point_to_point(const LinkContext& cx, InterfaceIndex interface) {
    return cx.ports.of(interface).capabilities.point_to_point;
}

/// What a received frame holds, if it is for us.
struct Received {
    InterfaceIndex interface = 0;
    bool is_multicast = false;        ///< link-layer multicast or broadcast
    bool checksum_verified = false;
    bool is_looped = false;           ///< the stack sent it to itself (ip::take_loopback)
    Slice packet{};                   ///< the IPv6 packet; the caller's reference stays the caller's
};
/// Checks the Ethernet header; counts and returns nothing when the frame goes no further.
std::optional<Received> on_frame(LinkContext& cx, InterfaceIndex interface, const RxFrame& frame);

}  // namespace keepnet::link
