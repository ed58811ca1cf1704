// What a snapshot's header says.
#pragma once

#include <cstdint>
#include <optional>

#include <keepnet/config.hpp>

#include "durability/sweep_queue.hpp"

namespace keepnet::checkpoint {

struct HeaderFacts {
    durability::CutRecord record{};   ///< `since` not 0: an increment on that cut
    durability::CutRecord earlier{};  ///< another cut that still waited for its commit
    std::uint8_t earlier_place = 0;
    std::uint64_t epoch = 0;
    CutNumber stamp_base = 0;
    std::optional<std::int64_t> wall_clock_ns{};
    CapacityConfig capacity{};
};

}  // namespace keepnet::checkpoint
