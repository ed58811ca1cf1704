// What there is once in a stack: secrets, clocks, cursors, rate limits.
#pragma once

#include <array>
#include <cstdint>

#include <keepnet/config.hpp>
#include <keepnet/time.hpp>

#include "base/cut_control.hpp"
#include "base/random.hpp"
#include "base/siphash.hpp"

namespace keepnet {

/// Tokens that come back with time: `tokens` at `refilled`, both of the last use.
struct RateLimitState {
    std::uint32_t tokens = 0;
    Instant refilled = long_ago;
};

enum class SuspendPhase : std::uint8_t { invalid = 0, running, draining, suspended };

/// A SYN cookie's TSval is rounded down to so many low bits of milliseconds, which carry what the SYN said.
inline constexpr std::uint32_t cookie_timestamp_bits = 5;
inline constexpr Duration cookie_timestamp_step = milliseconds(1 << cookie_timestamp_bits);

struct StackState {
    RandomState random{};
    HashKey isn_key{};        ///< RFC 6528 3: F(); kept over a restore, so that ISNs of one tuple go on growing
    HashKey port_key{};       ///< RFC 6056 3.3.3
    HashKey flow_key{};       ///< RFC 6437: labels are the same after a restore
    HashKey interface_key{};  ///< RFC 7217 secret
    HashKey timestamp_key{};  ///< RFC 7323 7.1: the offset of each connection
    /// SYN-cookie secrets, the newer first; each serves for half of syn_cookie_lifetime, and then to verify as long.
    std::array<HashKey, 2> cookie_keys{};
    Instant cookie_rotated{};
    std::uint32_t cookie_epoch = 0;  ///< counts rotations; its lowest bit travels in the cookie

    /// The clock behind TSval and ISNs: wire_clock = now + wire_clock_offset; it never runs back, over restores too.
    Duration wire_clock_offset{};
    /// The last value that a committed cut reserved; the clock stops there. INT64_MAX: no cut was committed yet.
    std::int64_t wire_clock_ceiling_ns = INT64_MAX;
    /// The wire clock when this run began: an echoed TSval from before it measures our outage, not the path.
    std::int64_t wire_clock_resumed_ns = 0;
    /// The instant of the last step.
    Instant now{};

    std::uint64_t restarts = 0;
    bool kick_peers = false;         ///< restored: who holds data back is asked for it, by ICMPv6 (RFC 6069)
    bool ready = true;               ///< Stack::ready() has been called since the last restore
    SuspendPhase suspend = SuspendPhase::running;
    Deadline suspend_until = never;
    DurabilityPolicy default_policy = DurabilityPolicy::none;

    std::uint32_t port_cursor = 0;       ///< RFC 6056 3.3.3
    std::uint32_t output_cursor = 0;     ///< fairness: the connection whose turn comes next
    std::uint32_t ready_cursor = 0;      ///< fairness: the socket that next_ready() looks at first
    std::uint32_t resume_cursor = 0;     ///< restored connections below it have spoken
    /// An ended connection found no place as a tombstone: what matches nothing is not answered before this cut, or a
    /// later one, is committed. 0: none did.
    CutNumber silent_until = 0;

    /// A clone's: the pairs of endpoints of connections that are the original's (ip/inherited.hpp). All zero: no clone.
    std::array<std::uint64_t, 64> inherited{};

    RateLimitState icmp_errors{};
    RateLimitState challenge_acks{};
    RateLimitState half_open{};

    std::uint64_t journal_id = 0;        ///< of the journal that this stack writes to; 0: none
    std::uint64_t journal_lsn = 0;       ///< where it stood at the last cut: a restore goes on from there
    std::uint8_t journal_stack = 0;      ///< which of the journal's stacks this is
};

}  // namespace keepnet
