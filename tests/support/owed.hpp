// DURABILITY, rule (3): nobody waits for a timer that somebody could have spared, and nobody waits for nothing. What a
// connection owes has its turn, or a deadline that brings it one.
#pragma once

#include <string>

#include "stack/core.hpp"

namespace keepnet::test {

/// What is owed and will never be paid, of the stack as poll() leaves it; empty: nothing.
std::string unpaid(const Core& core);

}  // namespace keepnet::test
