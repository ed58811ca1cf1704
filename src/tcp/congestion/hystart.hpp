// HyStart++ (RFC 9406): the first slow start ends when round trips grow, before there is loss.
#pragma once

#include <cstdint>

#include "tcp/congestion/congestion.hpp"

namespace keepnet::tcp::congestion::hystart {

/// 4.2: a sample of the round trip, and what follows of it.
void on_round_trip(CongestionState& s, const View& v, Duration sample);
/// 4.2: by how much the window opens for `acked` bytes.
[[nodiscard]] std::uint32_t growth(const CongestionState& s, std::uint32_t acked);

}  // namespace keepnet::tcp::congestion::hystart
