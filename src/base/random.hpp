// The stack's only source of randomness: ChaCha8 with fast key erasure. Its state is a plain value in the
// snapshot; its seed comes from the embedder. Numbers that were given out cannot be computed back from the
// state.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <keepnet/bytes.hpp>

namespace keepnet {

struct RandomState {
    std::array<std::uint32_t, 8> key{};     ///< replaced with every block
    std::uint64_t counter = 0;              ///< blocks made since the seed
    std::array<std::uint32_t, 8> buffer{};  ///< words not given out yet; zero once they are
    std::uint32_t available = 0;            ///< how many of them, at the buffer's end: 0..8

    friend constexpr bool operator==(const RandomState&, const RandomState&) = default;
};

/// Starts anew: everything that follows depends on `entropy` alone.
void seed(RandomState& state, std::span<const std::uint8_t, 32> entropy);
/// Adds entropy of any length; what was known before of the numbers to come is worthless afterwards.
void mix(RandomState& state, ByteView entropy);

[[nodiscard]] std::uint32_t next_u32(RandomState& state);
[[nodiscard]] std::uint64_t next_u64(RandomState& state);
/// 0..bound-1, each equally likely; 0 if bound is 0.
[[nodiscard]] std::uint32_t uniform(RandomState& state, std::uint32_t bound);

/// No more than this of buffer is ever available: a decoded state must satisfy it.
[[nodiscard]] constexpr bool is_valid(const RandomState& state) {
    return state.available <= state.buffer.size();
}

}  // namespace keepnet
