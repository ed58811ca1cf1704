#include "tcp/recovery/newreno.hpp"

#include <algorithm>

#include "tcp/congestion/congestion.hpp"

namespace keepnet::tcp::recovery {

namespace {


}  // namespace

bool on_duplicate_ack(RecoveryState& r, CongestionState& s, const View& v) {
    if (r.in_recovery) {
        // Step 4: a segment has left the network. A peer may send more of these than there were segments.
        s.cwnd = std::min(s.cwnd + v.mss, congestion::window_max);
        return false;
    }
    if (r.duplicate_acks < duplicate_threshold) ++r.duplicate_acks;
    if (r.duplicate_acks != duplicate_threshold) return false;
    // RFC 6582 3.2 step 2, the careful variant: these may answer what was sent again needlessly.
    if (r.after_timeout) return false;
    r.in_recovery = true;
    r.recover = v.max;
    r.retransmit_owed = true;
    congestion::on_loss(s, v);
    s.cwnd = s.ssthresh + duplicate_threshold * v.mss;
    return true;
}

bool on_new_ack(RecoveryState& r, CongestionState& s, const View& v, Seq ack) {
    r.duplicate_acks = 0;
    r.retransmit_owed = false;
    if (r.after_timeout && after_eq(ack, r.recover)) r.after_timeout = false;
    if (!r.in_recovery) return true;
    const std::uint32_t acked = ack - v.una;
    if (after_eq(ack, r.recover)) {
        // RFC 6582 3.2 step 3, full acknowledgement, (1): no burst of what is left of the window.
        const std::uint32_t left = v.flight > acked ? v.flight - acked : 0;
        s.cwnd = std::min(s.ssthresh, std::max(left, v.mss) + v.mss);
        r.in_recovery = false;
        return false;
    }
    // Partial: one hole more, and the window shrinks by what has left it.
    r.retransmit_owed = true;
    s.cwnd = s.cwnd > acked ? s.cwnd - acked : 0;
    if (acked >= v.mss) s.cwnd += v.mss;
    s.cwnd = std::max(s.cwnd, v.mss);
    return false;
}

void on_timeout(RecoveryState& r, const View& v) {
    r.in_recovery = false;
    r.after_timeout = true;
    r.retransmit_owed = false;
    r.duplicate_acks = 0;
    r.recover = v.max;
}

void restart(RecoveryState& r, const View& v) {
    on_timeout(r, v);
    r.after_timeout = v.una != v.max;
}

}  // namespace keepnet::tcp::recovery
