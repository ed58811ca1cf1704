// A failing seed made small: what can be left out of its plan while the same property still fails.
#pragma once

#include <string>

#include "sim/run.hpp"

namespace keepnet::sim {

struct Shrunk {
    Without without{};
    std::string description{};
    unsigned runs = 0;
};

/// `failed`: what the seed ended with.
Shrunk shrink(const RunOptions& options, const Outcome& failed);

}  // namespace keepnet::sim
