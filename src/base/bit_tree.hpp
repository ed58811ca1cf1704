// A set of small integers with an ordered search: 64-ary tree of bits, a set bit above says that the word below is
// not empty. Used for free slots (lowest first) and for run queues (round robin from a cursor), both canonical:
// what comes next depends on what is in the set, not on the order in which it came in.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/arena.hpp"

namespace keepnet {

class BitTree {
  public:
    static constexpr std::uint32_t none = 0xffff'ffff;

    /// Takes its words from the arena. Zeroed memory is the empty set.
    void place(ArenaCarver& carver, std::uint32_t capacity) {
        capacity_ = capacity;
        std::uint32_t words = capacity;
        depth_ = 0;
        do {
            words = (words + 63) / 64;
            levels_[depth_] = carver.take<std::uint64_t>(words);
            widths_[depth_] = words;
            ++depth_;
        } while (words > 1);
    }

    [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
    [[nodiscard]] bool empty() const { return levels_[depth_ - 1][0] == 0; }
    [[nodiscard]] bool test(std::uint32_t i) const { return (levels_[0][i / 64] >> (i % 64) & 1) != 0; }

    void set(std::uint32_t i) {
        for (unsigned level = 0; level < depth_; ++level, i /= 64) {
            std::uint64_t& word = levels_[level][i / 64];
            const bool was_empty = word == 0;
            word |= std::uint64_t{1} << (i % 64);
            if (!was_empty) return;
        }
    }
    void clear(std::uint32_t i) {
        for (unsigned level = 0; level < depth_; ++level, i /= 64) {
            std::uint64_t& word = levels_[level][i / 64];
            word &= ~(std::uint64_t{1} << (i % 64));
            if (word != 0) return;
        }
    }
    /// Puts every number below capacity into the set, or none.
    void fill(bool all) {
        std::uint32_t count = capacity_;
        for (unsigned level = 0; level < depth_; ++level) {
            for (std::uint32_t w = 0; w < widths_[level]; ++w) {
                const std::uint32_t rest = count - w * 64;
                levels_[level][w] = !all ? 0 : rest >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << rest) - 1;
            }
            count = widths_[level];
        }
    }
    /// The smallest member that is not below `from`, or none.
    [[nodiscard]] std::uint32_t find(std::uint32_t from) const {
        if (from >= capacity_) return none;
        std::uint32_t i = from;
        for (unsigned level = 0; level < depth_; ++level) {
            if (i / 64 >= widths_[level]) return none;
            const std::uint64_t word = levels_[level][i / 64] >> (i % 64);
            if (word != 0) return descend(level, i + static_cast<std::uint32_t>(std::countr_zero(word)));
            i = i / 64 + 1;
        }
        return none;
    }
    /// Like find, but starts again at 0 behind the last member.
    [[nodiscard]] std::uint32_t find_cyclic(std::uint32_t from) const {
        const std::uint32_t i = find(from);
        return i != none ? i : find(0);
    }

  private:
    [[nodiscard]] std::uint32_t descend(unsigned level, std::uint32_t i) const {
        while (level > 0) {
            --level;
            i = i * 64 + static_cast<std::uint32_t>(std::countr_zero(levels_[level][i]));
        }
        return i;
    }

    std::array<std::uint64_t*, 6> levels_{};
    std::array<std::uint32_t, 6> widths_{};
    std::uint32_t capacity_ = 0;
    unsigned depth_ = 0;
};

}  // namespace keepnet
