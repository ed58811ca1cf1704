// One seed from start to end: first safety under every fault, then the faults stop and there must be
// progress, then everything is closed and nothing may be left.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/host.hpp"

namespace keepnet::sim {

/// What is left out of a plan, to make a failure small.
struct Without {
    std::vector<std::uint32_t> connections{};      ///< these are not opened
    std::array<unsigned, hosts_max> deaths{99, 99, 99, 99, 99};  ///< of each host, at most
    unsigned quiet_lines = 0;                      ///< bit for each host whose line loses and delays nothing
    bool partitions = false, strays = false, narrows = false;
    Instant faults_end = never;
};

struct RunOptions {
    std::uint64_t seed = 1;
    bool verbose = false;
    // for the self-test
    AppFault app_fault = AppFault::none;
    HostFault host_fault = HostFault::none;
    bool forge = false;
    Setting setting = Setting::all;
    Without without{};
    std::string pcap{};  ///< file for what is on the wire; "": none
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
    Tally tally{};  ///< of all hosts
};

Outcome run(const RunOptions& options);

}  // namespace keepnet::sim
