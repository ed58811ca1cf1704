// CUBIC (RFC 9438): in congestion avoidance the window is a cubic function of the time since the last reduction, and
// never less than Reno's would be. Integers: windows in bytes, time in milliseconds.
#pragma once

#include <cstdint>

#include "tcp/congestion/congestion.hpp"

namespace keepnet::tcp::congestion::cubic {

/// RFC 9438 4.2 to 4.5.
void grow(CongestionState& s, const View& v, std::uint32_t acked);
/// RFC 9438 4.6, 4.7: a congestion event; returns the threshold.
[[nodiscard]] std::uint32_t reduce(CongestionState& s, const View& v);
/// RFC 9438 4.8: a time-out; returns the threshold.
[[nodiscard]] std::uint32_t reduce_for_timeout(CongestionState& s, const View& v);
/// RFC 9438 4.2: W_cubic(t), in bytes; `since` the epoch began.
[[nodiscard]] std::uint32_t window_at(const CubicState& s, std::uint32_t mss, Duration since);
/// RFC 9438 (2): K, for `missing` bytes between the window and W_max.
[[nodiscard]] Duration time_to_origin(std::uint32_t missing, std::uint32_t mss);

}  // namespace keepnet::tcp::congestion::cubic
