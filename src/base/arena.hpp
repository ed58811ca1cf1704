// Carves one block of memory into the arrays of a stack. The same walk runs twice: over nothing, to learn the size,
// and over the block, to place the arrays; so the layout is a function of the config alone and an arena may move.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace keepnet {

inline constexpr std::size_t cache_line = 64;

class ArenaCarver {
  public:
    /// `base` may be null: then only bytes() is of use.
    explicit ArenaCarver(std::byte* base) : base_(base) {}

    /// An array of `count` objects, on a cache line of its own. Its content is whatever the memory holds.
    template <class T>
    T* take(std::size_t count) {
        static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= cache_line);
        used_ = (used_ + cache_line - 1) & ~(cache_line - 1);
        const std::size_t at = used_;
        used_ += sizeof(T) * count;
        hash_ = (hash_ ^ sizeof(T)) * 0x100'0000'01b3U;
        hash_ = (hash_ ^ count) * 0x100'0000'01b3U;
        return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
    }

    [[nodiscard]] std::size_t bytes() const { return (used_ + cache_line - 1) & ~(cache_line - 1); }
    /// Differs between builds and configs whose arrays differ in size or number.
    [[nodiscard]] std::uint64_t layout_hash() const { return hash_; }

  private:
    std::byte* base_;
    std::size_t used_ = 0;
    std::uint64_t hash_ = 0xcbf2'9ce4'8422'2325U;
};

}  // namespace keepnet
