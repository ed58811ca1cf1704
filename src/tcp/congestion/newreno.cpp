#include "tcp/congestion/newreno.hpp"

#include <algorithm>

namespace keepnet::tcp::congestion::newreno {

void grow(CongestionState& s, const View& v, std::uint32_t acked) {
    s.bytes_acked += std::min(acked, s.cwnd);
    if (s.bytes_acked < s.cwnd) return;
    s.bytes_acked -= s.cwnd;
    s.cwnd += v.mss;
}

std::uint32_t threshold(std::uint32_t flight, std::uint32_t mss) { return std::max(flight / 2, 2 * mss); }

}  // namespace keepnet::tcp::congestion::newreno
