#include "base/checksum.hpp"

#include <bit>

// Freestanding compilation makes a call out of a plain memcpy, hence __builtin_memcpy.
namespace keepnet {

namespace {

constexpr std::uint16_t swap16(std::uint16_t v) { return static_cast<std::uint16_t>(v << 8 | v >> 8); }

constexpr std::uint16_t to_memory_order(std::uint16_t v) {
    return std::endian::native == std::endian::little ? swap16(v) : v;
}

constexpr std::uint32_t to_memory_order_32(std::uint32_t v) {
    return std::endian::native == std::endian::little ? __builtin_bswap32(v) : v;
}

/// One's complement addition of 64-bit words: 2^64 = 1, as 2^16 = 1.
constexpr std::uint64_t add_carry(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t s = a + b;
    return s + (s < a ? 1 : 0);
}

constexpr std::uint16_t to_16(std::uint64_t s) {
    s = (s & 0xffff'ffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16 & 0xffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return static_cast<std::uint16_t>(s);
}

#if defined(__SSE2__)

using Words [[gnu::vector_size(16)]] = short;
using Sums [[gnu::vector_size(16)]] = int;

constexpr std::size_t vector_bytes = sizeof(Words);
/// A lane takes at most 2^16 from each of two accumulators' vectors: far below 2^31 after this many.
constexpr std::size_t vectors_at_once = 4096;

Words load_vector(const std::uint8_t* p) {
    Words v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

/// PMADDWD adds pairs of *signed* words: each is moved down by 2^15 before and the total moved up again
/// after.
std::uint64_t sum_vectors(const std::uint8_t* p, std::size_t vectors) {
    const Words flip = {-32768, -32768, -32768, -32768, -32768, -32768, -32768, -32768};
    const Words ones = {1, 1, 1, 1, 1, 1, 1, 1};
    Sums a{};
    Sums b{};
    std::size_t i = 0;
    for (; i + 4 <= vectors; i += 4, p += 4 * vector_bytes) {
        a += __builtin_ia32_pmaddwd128(load_vector(p) ^ flip, ones);
        b += __builtin_ia32_pmaddwd128(load_vector(p + vector_bytes) ^ flip, ones);
        a += __builtin_ia32_pmaddwd128(load_vector(p + 2 * vector_bytes) ^ flip, ones);
        b += __builtin_ia32_pmaddwd128(load_vector(p + 3 * vector_bytes) ^ flip, ones);
    }
    for (; i < vectors; ++i, p += vector_bytes) a += __builtin_ia32_pmaddwd128(load_vector(p) ^ flip, ones);
    a += b;
    const std::int64_t moved = std::int64_t{a[0]} + a[1] + a[2] + a[3];
    return static_cast<std::uint64_t>(moved + static_cast<std::int64_t>(vectors * 8) * 32768);
}

#else

constexpr std::size_t vector_bytes = 16;
constexpr std::size_t vectors_at_once = 4096;

std::uint64_t sum_vectors(const std::uint8_t* p, std::size_t vectors) {
    std::uint64_t s = 0;
    for (std::size_t i = 0; i < vectors; ++i, p += vector_bytes) {
        std::uint64_t w[2];
        __builtin_memcpy(w, p, sizeof w);
        s = add_carry(add_carry(s, w[0]), w[1]);
    }
    return s;
}

#endif

/// The sum of all words in memory order; a last odd byte is the first half of a word whose other half is
/// zero.
std::uint64_t sum_bytes(const std::uint8_t* p, std::size_t n) {
    std::uint64_t s = 0;
    while (n >= vector_bytes) {
        const std::size_t vectors = n / vector_bytes < vectors_at_once ? n / vector_bytes : vectors_at_once;
        s = add_carry(s, sum_vectors(p, vectors));
        p += vectors * vector_bytes;
        n -= vectors * vector_bytes;
    }
    if (n >= 8) {
        std::uint64_t w;
        __builtin_memcpy(&w, p, 8);
        s = add_carry(s, w);
        p += 8;
        n -= 8;
    }
    if (n >= 4) {
        std::uint32_t w;
        __builtin_memcpy(&w, p, 4);
        s = add_carry(s, w);
        p += 4;
        n -= 4;
    }
    if (n >= 2) {
        std::uint16_t w;
        __builtin_memcpy(&w, p, 2);
        s = add_carry(s, w);
        p += 2;
        n -= 2;
    }
    if (n != 0) s = add_carry(s, to_memory_order(static_cast<std::uint16_t>(*p << 8)));
    return s;
}

}  // namespace

void Checksum::add_native(std::uint64_t words) { sum_ = add_carry(sum_, words); }

void Checksum::add(ByteView bytes) {
    const std::uint64_t s = sum_bytes(bytes.data(), bytes.size());
    // RFC 1071 2 (B): what starts at an odd place is summed as if at an even one, and its two halves
    // exchanged.
    add_native(odd_ ? swap16(to_16(s)) : s);
    odd_ ^= (bytes.size() & 1) != 0;
}

void Checksum::add_u16(std::uint16_t value) {
    const std::uint16_t w = to_memory_order(value);
    add_native(odd_ ? swap16(w) : w);
}

void Checksum::add_u32(std::uint32_t value) {
    add_u16(static_cast<std::uint16_t>(value >> 16));
    add_u16(static_cast<std::uint16_t>(value));
}

void Checksum::add(const Checksum& other) {
    add_native(odd_ ? swap16(to_16(other.sum_)) : other.sum_);
    odd_ ^= other.odd_;
}

std::uint16_t Checksum::sum() const { return to_memory_order(to_16(sum_)); }

Checksum pseudo_header(const Ipv6Address& src, const Ipv6Address& dst, std::uint32_t length,
                       std::uint8_t next_header) {
    std::uint64_t words[4];
    __builtin_memcpy(words, src.octets.data(), 16);
    __builtin_memcpy(words + 2, dst.octets.data(), 16);
    const std::uint64_t addresses = add_carry(add_carry(words[0], words[1]), add_carry(words[2], words[3]));
    const std::uint64_t rest = std::uint64_t{to_memory_order_32(length)} + to_memory_order_32(next_header);
    Checksum c;
    c.add_native(add_carry(addresses, rest));
    return c;
}

bool transport_checksum_ok(const Ipv6Address& src, const Ipv6Address& dst, std::uint8_t next_header,
                           ByteView datagram) {
    Checksum c = pseudo_header(src, dst, static_cast<std::uint32_t>(datagram.size()), next_header);
    c.add(datagram);
    return c.sum() == 0xffff;
}

std::uint16_t update_checksum(std::uint16_t field, std::uint16_t old_word, std::uint16_t new_word) {
    // RFC 1624 3 (eqn. 3): HC' = ~(~HC + ~m + m')
    const std::uint64_t s =
        std::uint64_t{static_cast<std::uint16_t>(~field)} + static_cast<std::uint16_t>(~old_word) + new_word;
    return static_cast<std::uint16_t>(~to_16(s));
}

}  // namespace keepnet
