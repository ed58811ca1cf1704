// A stack's state as one number: every field of every object, and every byte that is queued. What a snapshot
// of a cut decodes to must have the number that the stack had at the cut.
#pragma once

#include <cstdint>

#include "state/world.hpp"

namespace keepnet::sim {

std::uint64_t digest_of(World& w);

}  // namespace keepnet::sim
