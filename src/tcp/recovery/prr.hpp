// Proportional rate reduction (RFC 9937): how much may be sent for each ACK of a recovery, so that what is under way
// shrinks to ssthresh evenly, and grows back to it when losses took more. Pure functions on values.
#pragma once

#include <cstdint>

#include "state/tcp_connection_state.hpp"

namespace keepnet::tcp::prr {

/// One ACK, or the timer, that began a recovery or came in it.
struct Step {
    std::uint32_t delivered = 0;  ///< bytes, DeliveredData
    std::uint32_t pipe = 0;       ///< bytes, with what is lost taken off
    std::uint32_t ssthresh = 0;
    std::uint32_t mss = 0;
    bool is_safe = false;         ///< SafeACK: it advances, and shows no further loss
};

/// `flight`: RecoverFS, 6.1.
void begin(RepairState& r, std::uint32_t flight);
/// 6.2: the congestion window until the next ACK.
[[nodiscard]] std::uint32_t window(RepairState& r, const Step& s);

}  // namespace keepnet::tcp::prr
