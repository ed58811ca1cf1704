// Packets that the stack sends to itself: a ring in the arena, an effect on its way like a transmit ring. They are copied
// into buffers of their own, and delivered by the poll loop, never from inside output().
#pragma once

#include <cstdint>

#include <keepnet/endpoint.hpp>

#include "base/arena.hpp"
#include "base/packet_pool.hpp"

namespace keepnet::ip {

/// Packets under way; a power of two. Beyond it output is `busy`, as with a device's ring.
inline constexpr std::uint32_t loopback_packets = 256;

struct Loopback {
    struct Entry {
        Slice packet{};               ///< holds a reference
        InterfaceIndex interface = 0; ///< whose address the destination is; 0: ::1
    };
    Entry* ring = nullptr;            ///< in the arena
    std::uint32_t head = 0;
    std::uint32_t tail = 0;

    /// Reads and writes nothing of the memory.
    void place(ArenaCarver& carver) { ring = carver.take<Entry>(loopback_packets); }
    /// Empty, whatever was in it. After place().
    void initialize() { head = tail = 0; }
    [[nodiscard]] std::uint32_t queued() const { return tail - head; }
};

}  // namespace keepnet::ip
