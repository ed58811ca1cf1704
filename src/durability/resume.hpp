// What a restored or adopted state becomes before it runs again (DURABILITY 8): the new clock, fresh randomness, sockets
// that wait for their owners. Connections are tcp::resume's part.
//
// In Stack, for restore and attach alike: renew(world), then everything derived is rebuilt, then tcp::resume.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <keepnet/stack.hpp>
#include <keepnet/time.hpp>

#include "state/world.hpp"

namespace keepnet::durability {

struct ResumeOptions {
    Instant now{};                            ///< on the new clock
    Duration elapsed{};                       ///< since the cut; unknown or negative: 0
    std::array<std::uint8_t, 32> entropy{};
    bool icmp_kick = false;                   ///< for StackState::kick_peers
    std::uint64_t epoch = 0;                  ///< what the embedder's fence counts, or 0
    /// Beside a living original: see durability/identity.hpp.
    bool clone = false;
    std::span<const AddressMapping> address_map{};
    /// What the cut reserved for the wire clock, ns; INT64_MIN: an adopted arena, whose own clock is the truth.
    std::int64_t wire_clock_reserved_ns = INT64_MIN;
};

/// Handles created after the cut are lost with it, and their numbers must not come again.
inline constexpr std::uint64_t generation_jump = std::uint64_t{1} << 20;

/// The wire clock starts within weeks of 0 and cannot honestly get here.
inline constexpr std::int64_t wire_clock_last_ns = INT64_MAX / 8;

/// Every instant of the state, moved by `by`; deadlines that age are moved `aged` earlier besides. `never` and
/// `long_ago` stay.
void shift_times(World& w, Duration by, Duration aged);

/// Changes state alone; nothing derived.
void renew(World& w, const ResumeOptions& options);

}  // namespace keepnet::durability
