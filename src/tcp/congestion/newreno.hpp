// Congestion control after RFC 5681, with byte counting (RFC 3465) and the initial window of RFC 6928: pure
// functions on a value. Another algorithm would be another pair of files with these verbs.
#pragma once

#include <cstdint>

#include "state/tcp_connection_state.hpp"

namespace keepnet::tcp::congestion {

inline constexpr std::uint32_t window_max = 1U << 30;  // RFC 7323 2.3: no window can be larger

/// RFC 6928 2, for any number of segments: IW = min(n * MSS, max(2 * MSS, n * 1460)).
[[nodiscard]] std::uint32_t initial_window(std::uint32_t mss, std::uint32_t segments);
[[nodiscard]] CongestionState begin(std::uint32_t mss, std::uint32_t segments, Instant now);
/// New data was acknowledged outside recovery. `flight` before the ACK: a window that was not in use does not
/// grow (RFC 7661 in spirit).
void on_ack(CongestionState& s, std::uint32_t acked, std::uint32_t mss, std::uint32_t flight);
/// RFC 5681 (4): half of what is in flight, at least two segments.
[[nodiscard]] std::uint32_t loss_threshold(std::uint32_t flight, std::uint32_t mss);
/// RFC 5681 3.1: `first` timeout of this segment; a repeated one leaves the threshold alone.
void on_timeout(CongestionState& s, std::uint32_t flight, std::uint32_t mss, bool first);
/// RFC 5681 4.1: the window with which to start again when nothing was sent for a timeout.
[[nodiscard]] std::uint32_t window_after_idle(const CongestionState& s, std::uint32_t mss,
                                              std::uint32_t segments, Instant now, Duration rto);

}  // namespace keepnet::tcp::congestion
