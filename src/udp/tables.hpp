// What UDP derives from its sockets: who is bound to a port. Chains are in the order of the slots, whatever the order in
// which sockets were bound, so that a restored stack does as the original would.
#pragma once

#include <bit>
#include <cstdint>

#include "base/arena.hpp"
#include "base/handle.hpp"
#include "state/world.hpp"

namespace keepnet::udp {

struct Tables {
    Link* heads = nullptr;            ///< by port & mask
    Link* nexts = nullptr;            ///< by slot of the UDP socket
    std::uint32_t* counts = nullptr;  ///< see below
    std::uint32_t mask = 0;
    std::uint32_t capacity = 0;

    /// Datagrams held for a commit, and held ones that were released and found the ring full.
    [[nodiscard]] std::uint32_t& held() const { return counts[0]; }
    [[nodiscard]] std::uint32_t& released() const { return counts[1]; }

    /// Reads and writes nothing of the memory.
    void place(ArenaCarver& carver, const CapacityConfig& config) {
        capacity = config.udp_sockets;
        mask = std::bit_ceil(capacity == 0 ? 1U : capacity) - 1;
        heads = carver.take<Link>(mask + std::size_t{1});
        nexts = carver.take<Link>(capacity);
        counts = carver.take<std::uint32_t>(2);
    }
    /// Nobody is bound. After place().
    void initialize() {
        for (std::uint32_t i = 0; i <= mask; ++i) heads[i] = {};
        for (std::uint32_t i = 0; i < capacity; ++i) nexts[i] = {};
        held() = released() = 0;
    }
};

}  // namespace keepnet::udp
