// SipHash (Aumasson and Bernstein): a keyed hash that an attacker without the key can neither predict nor
// collide. 2-4 rounds where the value leaves the host (sequence numbers, cookies, ports); 1-3 inside hash
// tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <keepnet/bytes.hpp>

namespace keepnet {

struct HashKey {
    std::uint64_t k0 = 0;
    std::uint64_t k1 = 0;

    friend constexpr bool operator==(const HashKey&, const HashKey&) = default;
};

/// SipHash-2-4 of any bytes.
[[nodiscard]] std::uint64_t hash24(const HashKey& key, ByteView bytes);
/// SipHash-1-3 of any bytes.
[[nodiscard]] std::uint64_t hash13(const HashKey& key, ByteView bytes);

/// The same of whole words: equal to the hash of their little-endian bytes. For table keys of fixed size.
[[nodiscard]] std::uint64_t hash24_words(const HashKey& key, std::span<const std::uint64_t> words);
[[nodiscard]] std::uint64_t hash13_words(const HashKey& key, std::span<const std::uint64_t> words);

}  // namespace keepnet
