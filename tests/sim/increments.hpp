// DURABILITY 5: an incremental snapshot equals the full one at every cut. Beside each whole snapshot that a host writes,
// the increment on the one before it is taken, from a copy of the arena in the same instant; base and increment must
// come to the whole one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "support/arena.hpp"

namespace keepnet::sim {

class IncrementCheck {
  public:
    /// Just before Stack::cut().
    void copy(std::span<const std::byte> arena);
    /// Just behind it: what an increment on the last whole snapshot would have been; empty: there is none to follow.
    std::vector<std::uint8_t> take(const Stack& stack, const StackConfig& config, const checkpoint::EncodeOptions& options);
    /// The whole snapshot of that cut. Throws a Failure where they differ. True: it was compared.
    bool compare(const std::vector<std::uint8_t>& increment, const std::vector<std::uint8_t>& whole);

  private:
    test::Arena copy_{};
    std::vector<std::uint8_t> base_{};  ///< the last whole snapshot
    CutId cut_ = 0;
    std::uint64_t id_ = 0;
};

}  // namespace keepnet::sim
