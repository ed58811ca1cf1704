// Typed reference between state objects: slot index and generation in one 64-bit value. A generation is never
// used twice (one saved counter gives them), so a stale handle finds nothing and never aliases.
#pragma once

#include <compare>
#include <cstdint>

namespace keepnet {

inline constexpr unsigned handle_index_bits = 24;
inline constexpr std::uint32_t handle_index_max = (1U << handle_index_bits) - 1;
inline constexpr std::uint64_t handle_generation_max = (std::uint64_t{1} << (64 - handle_index_bits)) - 1;

template <class T>
struct Handle {
    std::uint64_t raw = 0;  ///< 0 names nothing: generations start at 1

    [[nodiscard]] static constexpr Handle make(std::uint32_t index, std::uint64_t generation) {
        return {generation << handle_index_bits | index};
    }
    [[nodiscard]] constexpr std::uint32_t index() const {
        return static_cast<std::uint32_t>(raw & handle_index_max);
    }
    [[nodiscard]] constexpr std::uint64_t generation() const { return raw >> handle_index_bits; }
    constexpr explicit operator bool() const { return raw != 0; }
    friend constexpr auto operator<=>(Handle, Handle) = default;
};

/// A link to a slot by its bare index, where one owner holds the only reference (queue entries). 1-based so that
/// zeroed memory is an empty link.
struct Link {
    std::uint32_t plus_one = 0;

    [[nodiscard]] static constexpr Link to(std::uint32_t index) { return {index + 1}; }
    [[nodiscard]] constexpr std::uint32_t index() const { return plus_one - 1; }
    constexpr explicit operator bool() const { return plus_one != 0; }
    friend constexpr auto operator<=>(Link, Link) = default;
};

}  // namespace keepnet
