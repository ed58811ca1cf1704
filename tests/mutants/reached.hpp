// The mutations whose places were passed since the last call.
#pragma once

#include <cstdint>
#include <vector>

namespace keepnet::mutants {

std::vector<std::uint32_t> take_reached();

}  // namespace keepnet::mutants
