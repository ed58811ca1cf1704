// Before every source of the build with mutations (-include): KEEPNET_MUTANT(n) says whether mutation n is the chosen one.
// plant.py writes it around each place of the list, in a copy of the sources; the sources themselves know nothing of it.
#pragma once

#include <cstdint>

namespace keepnet::mutants {

extern std::uint32_t chosen;  ///< 0: none
extern bool notes_reached;
void note_reached(std::uint32_t mutant);

/// What the compiler computes is never mutated.
constexpr bool is_chosen(std::uint32_t mutant) {
    if consteval {
        return false;
    } else {
        if (notes_reached) note_reached(mutant);
        return chosen == mutant;
    }
}

}  // namespace keepnet::mutants

#define KEEPNET_MUTANT(n) ::keepnet::mutants::is_chosen(n)
