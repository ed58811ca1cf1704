// The neighbour cache (RFC 4861 5.1) and the packets that wait in it.
#pragma once

#include <array>
#include <cstdint>

#include <keepnet/address.hpp>
#include <keepnet/endpoint.hpp>
#include <keepnet/time.hpp>

#include "base/handle.hpp"
#include "base/packet_pool.hpp"
#include "base/slab.hpp"

namespace keepnet {

enum class NeighborPhase : std::uint8_t { invalid = 0, incomplete, reachable, stale, delay, probe };

struct NeighborState {
    Ipv6Address address{};
    MacAddress mac{};
    NeighborPhase phase = NeighborPhase::incomplete;
    bool is_router = false;
    std::uint8_t probes_sent = 0;
    std::uint8_t pending_count = 0;
    InterfaceIndex interface = 0;
    Deadline timer = never;           ///< of the phase: probe again, give up, become stale, be forgotten
    Instant last_used{};
    Link pending_head{};              ///< PendingPacketState, the oldest first
    Link pending_tail{};
};

inline constexpr std::size_t pending_header_bytes = 120;
inline constexpr std::size_t pending_slices = 4;

/// An IPv6 packet, complete but for the Ethernet header, that waits for a link address.
struct PendingPacketState {
    Link next{};
    std::uint16_t header_length = 0;
    std::uint8_t slice_count = 0;
    std::array<std::uint8_t, pending_header_bytes> header{};  ///< IPv6 and transport header
    std::array<Slice, pending_slices> slices{};               ///< each holds a reference
};

/// With the bytes under its slices.
template <>
inline constexpr std::size_t delta_bytes_max<PendingPacketState> =
    sizeof(PendingPacketState) + pending_slices * (packet_buffer_bytes + 48) + 48;

}  // namespace keepnet
