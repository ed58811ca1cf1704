// Places where the simulator's judges plant a known fault, to be judged by whether they find it (tests/sim/planted). In
// this tree's libraries is_planted() is constant and nothing of a fault is compiled; the variant with the faults has
// another header of this name before this one.
#pragma once

#include "base/fault.hpp"

namespace keepnet {

constexpr bool is_planted(Fault) { return false; }

}  // namespace keepnet
