// The highest stamp in each block of 64 slots, and in each 64 blocks: what changed since a cut is found at a cost that
// follows what changed. Derived: Slab::rebuild() makes it from the slots.
#pragma once

#include <cstdint>

#include "base/arena.hpp"
#include "base/cut_control.hpp"

namespace keepnet {

class ChangeIndex {
  public:
    void place(ArenaCarver& carver, std::uint32_t slots) {
        blocks_ = (slots + block_slots - 1) / block_slots;
        groups_ = (slots + group_slots - 1) / group_slots;
        block_stamps_ = carver.take<CutNumber>(blocks_);
        group_stamps_ = carver.take<CutNumber>(groups_);
    }
    /// Nothing has ever changed.
    void clear() {
        for (std::uint32_t i = 0; i < blocks_; ++i) block_stamps_[i] = 0;
        for (std::uint32_t i = 0; i < groups_; ++i) group_stamps_[i] = 0;
    }
    /// Slot `index` carries `stamp` now.
    void note(std::uint32_t index, CutNumber stamp) {
        CutNumber& block = block_stamps_[index / block_slots];
        if (block >= stamp) return;
        block = stamp;
        CutNumber& group = group_stamps_[index / group_slots];
        if (group < stamp) group = stamp;
    }
    /// How many slots from `index` on certainly carry no stamp above `n`: up to the end of its block or group; 0: unknown.
    [[nodiscard]] std::uint32_t unchanged_from(std::uint32_t index, CutNumber n) const {
        if (group_stamps_[index / group_slots] <= n) return group_slots - index % group_slots;
        if (block_stamps_[index / block_slots] <= n) return block_slots - index % block_slots;
        return 0;
    }

  private:
    static constexpr std::uint32_t block_slots = 64;
    static constexpr std::uint32_t group_slots = 64 * block_slots;

    CutNumber* block_stamps_ = nullptr;
    CutNumber* group_stamps_ = nullptr;
    std::uint32_t blocks_ = 0;
    std::uint32_t groups_ = 0;
};

}  // namespace keepnet
