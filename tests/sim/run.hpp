// One seed from start to end: first safety under every fault, then the faults stop and there must be
// progress, then everything is closed and nothing may be left.
#pragma once

#include <cstdint>
#include <string>

#include "sim/host.hpp"

namespace keepnet::sim {

struct RunOptions {
    std::uint64_t seed = 1;
    bool verbose = false;
    // for the self-test
    AppFault app_fault = AppFault::none;
    HostFault host_fault = HostFault::none;
    bool forge = false;
};

struct Outcome {
    bool ok = false;
    std::string property{};  ///< that did not hold
    std::string detail{};
    std::string tail{};  ///< the last events
    std::uint64_t hash = 0;
    std::uint64_t turns = 0;
    std::uint64_t segments = 0;
    Instant end{};
    Tally tally{};  ///< of both hosts
};

Outcome run(const RunOptions& options);

}  // namespace keepnet::sim
