// What was sent and is not acknowledged yet: a stretch of the send stream, FIN included, that left at one time and has
// one fate (the scoreboard of RFC 6675 3, with the times of RFC 8985 5.2). A list for each connection, from una on,
// without gaps; none for a peer without SACK.
#pragma once

#include <cstdint>

#include <keepnet/time.hpp>

#include "base/handle.hpp"
#include "base/seq.hpp"

namespace keepnet {

struct SentRangeState {
    Seq seq{};
    std::uint32_t length = 0;
    Instant sent_at{};           ///< for the last time
    bool sacked = false;
    bool lost = false;           ///< and not sent again since
    bool retransmitted = false;
    Link next{};
};

}  // namespace keepnet
