// Stands before src/base/planted.hpp in the variant of the libraries that has faults: which one is chosen at run time.
#pragma once

#include "base/fault.hpp"

namespace keepnet {

inline Fault planted_fault = Fault::none;
inline std::uint64_t planted_reached = 0;  ///< times that its place was come by
inline bool is_planted(Fault fault) {
    if (planted_fault != fault) return false;
    ++planted_reached;
    return true;
}

}  // namespace keepnet
