// A program under a journal, judged (DURABILITY 6 and 7). It listens and connects, echoes and checks echoes, closes halves,
// aborts, and draws its choices; it dies at random instants, is rolled back to old snapshots and replayed, while its
// connections come back at the last durable instant. Its peer never dies, and compares every byte.
#pragma once

#include <cstdint>
#include <string>

namespace keepnet::sim {

struct JournaledOutcome {
    bool ok = false;
    std::string property{};    ///< that did not hold
    std::string detail{};
    std::uint64_t hash = 0;    ///< of all frames that the program's host has sent
    unsigned restores = 0;
    std::uint32_t conversations = 0;  ///< that came to their end
    std::uint64_t segments = 0;
};

/// One seed: faults, then none, then every conversation ends and nothing is left.
JournaledOutcome run_journaled(std::uint64_t seed);

}  // namespace keepnet::sim
