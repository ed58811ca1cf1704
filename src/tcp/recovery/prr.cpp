#include "tcp/recovery/prr.hpp"

#include <algorithm>

namespace keepnet::tcp::prr {

void begin(RepairState& r, std::uint32_t flight) {
    r.prr_delivered = 0;
    r.prr_out = 0;
    r.prr_flight = std::max(flight, 1U);
}

std::uint32_t window(RepairState& r, const Step& s) {
    r.prr_delivered += s.delivered;
    const std::int64_t delivered = r.prr_delivered;
    const std::int64_t out = r.prr_out;
    std::int64_t count = 0;
    if (s.pipe > s.ssthresh) {
        const std::int64_t share = (delivered * s.ssthresh + r.prr_flight - 1) / r.prr_flight;
        count = share - out;
    } else {
        count = std::max<std::int64_t>(delivered - out, s.delivered);
        if (s.is_safe) count += s.mss;
        count = std::min<std::int64_t>(std::int64_t{s.ssthresh} - s.pipe, count);
    }
    // What began the recovery sends the first lost segment whatever the sum says.
    if (out == 0 && count < s.mss) count = s.mss;
    return std::max(s.mss, s.pipe + static_cast<std::uint32_t>(std::max<std::int64_t>(count, 0)));
}

}  // namespace keepnet::tcp::prr
