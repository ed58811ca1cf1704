#include "tcp/congestion/hystart.hpp"

#include <algorithm>

namespace keepnet::tcp::congestion::hystart {

namespace {

// RFC 9406 4.3.
constexpr Duration thresh_min = milliseconds(4);
constexpr Duration thresh_max = milliseconds(16);
constexpr int thresh_divisor = 8;
constexpr std::uint8_t samples_needed = 8;
constexpr std::uint32_t css_growth_divisor = 4;
constexpr std::uint8_t css_rounds_max = 5;

/// The round of which windowEnd was the end is over. `now_acked`: SND.UNA does not bear this ACK yet.
void end_round(CongestionState& s, const View& v) {
    HystartState& h = s.hystart;
    if (h.in_round) {
        h.last_rtt = h.round_rtt;
        if (h.css_baseline.ns != 0 && ++h.css_rounds >= css_rounds_max) {
            s.ssthresh = s.cwnd;  // to congestion avoidance
            h = {};
            return;
        }
    }
    h.round_rtt = {};
    h.samples = 0;
    h.round_end = v.max;
    h.in_round = true;
}

}  // namespace

void on_round_trip(CongestionState& s, const View& v, Duration sample) {
    HystartState& h = s.hystart;
    if (!h.in_round || after_eq(v.una, h.round_end)) end_round(s, v);
    if (!h.in_round) return;
    if (sample.ns <= 0) sample = microseconds(1);  // 0 means that there is none
    h.round_rtt = h.round_rtt.ns == 0 ? sample : std::min(h.round_rtt, sample);
    if (h.samples < samples_needed) ++h.samples;
    if (h.samples < samples_needed) return;
    if (h.css_baseline.ns != 0) {
        if (h.round_rtt < h.css_baseline) {  // it was but a spike: back to slow start
            h.css_baseline = {};
            h.css_rounds = 0;
        }
        return;
    }
    if (h.last_rtt.ns == 0) return;
    const Duration thresh = std::clamp(h.last_rtt / thresh_divisor, thresh_min, thresh_max);
    if (h.round_rtt < h.last_rtt + thresh) return;
    h.css_baseline = h.round_rtt;
    h.css_rounds = 0;
}

std::uint32_t growth(const CongestionState& s, std::uint32_t acked) {
    return s.hystart.css_baseline.ns != 0 ? acked / css_growth_divisor : acked;
}

}  // namespace keepnet::tcp::congestion::hystart
