// The window of RFC 5681 3.1, with byte counting (RFC 3465).
#pragma once

#include <cstdint>

#include "tcp/congestion/congestion.hpp"

namespace keepnet::tcp::congestion::newreno {

/// Congestion avoidance: one segment for each window acknowledged.
void grow(CongestionState& s, const View& v, std::uint32_t acked);
/// RFC 5681 (4): half of what is in flight, at least two segments.
[[nodiscard]] std::uint32_t threshold(std::uint32_t flight, std::uint32_t mss);

}  // namespace keepnet::tcp::congestion::newreno
