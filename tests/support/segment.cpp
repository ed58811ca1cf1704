#include "support/segment.hpp"

#include <sstream>

namespace keepnet::test {

Bytes pattern_bytes(Side side, std::uint64_t position, std::size_t n) {
    Bytes out(n);
    for (std::size_t i = 0; i < n; ++i) out[i] = pattern(side, position + i);
    return out;
}

std::string Segment::text() const {
    std::ostringstream out;
    out << (flags_value ? flags_text(*flags_value) : "any flags");
    if (seq_value) out << " seq=" << *seq_value;
    if (ack_value) out << " ack=" << *ack_value;
    if (window_value) out << " win=" << *window_value;
    if (length_value) out << " len=" << *length_value;
    if (mss_value) out << " mss=" << *mss_value;
    if (wscale_value) out << " ws=" << static_cast<unsigned>(*wscale_value);
    if (ts_value) out << " ts=" << ts_value->first << "," << ts_value->second;
    if (without_ts) out << " no ts";
    for (const Check& check : checks) out << ", " << check.what;
    return out.str();
}

}  // namespace keepnet::test
