// The chosen mutation comes from the environment, before main(): the test programs know nothing of it.
#include "mutant.hpp"

#include <atomic>
#include <cstdlib>

#include "reached.hpp"

namespace keepnet::mutants {

constinit std::uint32_t chosen = 0;
constinit bool notes_reached = false;

namespace {

constexpr std::size_t places = 4096;  // some ten times the list
constinit std::atomic<std::uint32_t> reached[places]{};

[[gnu::constructor(101)]] void choose() {
    if (const char* number = std::getenv("KEEPNET_MUTANT")) chosen = static_cast<std::uint32_t>(std::strtoul(number, nullptr, 10));
    notes_reached = std::getenv("KEEPNET_MUTANTS_REACHED") != nullptr;
}

}  // namespace

void note_reached(std::uint32_t mutant) {
    for (std::size_t i = 0, at = mutant % places; i < places; ++i, at = at + 1 < places ? at + 1 : 0) {
        std::uint32_t there = reached[at].load(std::memory_order_relaxed);
        if (there == mutant) return;
        if (there == 0 && reached[at].compare_exchange_strong(there, mutant)) return;
        if (there == mutant) return;
    }
}

std::vector<std::uint32_t> take_reached() {
    std::vector<std::uint32_t> all;
    for (auto& place : reached) {
        if (const std::uint32_t mutant = place.exchange(0)) all.push_back(mutant);
    }
    return all;
}

}  // namespace keepnet::mutants
