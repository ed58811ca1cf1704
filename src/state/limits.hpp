// What any instant, deadline or slice of a decoded state must satisfy before it is computed with.
#pragma once

#include <keepnet/time.hpp>

#include "base/packet_pool.hpp"

namespace keepnet {

/// So far from the ends that sums and differences of two of them do not overflow.
[[nodiscard]] constexpr bool is_instant_sane(Instant t) { return t >= long_ago && t.ns <= INT64_MAX / 4; }
[[nodiscard]] constexpr bool is_deadline_sane(Deadline t) { return t == never || is_instant_sane(t); }

/// Inside a buffer, and not empty. Whether the buffer is referenced is known when all slices are counted.
[[nodiscard]] inline bool is_slice_sane(const PacketPool& pool, const Slice& s) {
    // Behind `used` append() would write: bytes under a slice never change.
    return s.buffer < pool.capacity() && s.length != 0 && s.offset + s.length <= pool.used(s.buffer);
}

}  // namespace keepnet
