#include "base/siphash.hpp"

#include <bit>

// Freestanding compilation makes a call out of a plain memcpy, hence __builtin_memcpy.
namespace keepnet {

namespace {

struct Lanes {
    std::uint64_t v0, v1, v2, v3;

    void round() {
        v0 += v1;
        v2 += v3;
        v1 = std::rotl(v1, 13) ^ v0;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 = std::rotl(v0, 32);
        v2 += v1;
        v0 += v3;
        v1 = std::rotl(v1, 17) ^ v2;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 = std::rotl(v2, 32);
    }
};

template <int compression_rounds>
void absorb(Lanes& l, std::uint64_t word) {
    l.v3 ^= word;
    for (int i = 0; i < compression_rounds; ++i) l.round();
    l.v0 ^= word;
}

template <int finalization_rounds>
std::uint64_t finish(Lanes& l) {
    l.v2 ^= 0xff;
    for (int i = 0; i < finalization_rounds; ++i) l.round();
    return l.v0 ^ l.v1 ^ l.v2 ^ l.v3;
}

Lanes start(const HashKey& key) {
    return {key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d, key.k0 ^ 0x6c7967656e657261,
            key.k1 ^ 0x7465646279746573};
}

std::uint64_t load_le(const std::uint8_t* p) {
    std::uint64_t w;
    __builtin_memcpy(&w, p, sizeof w);
    if constexpr (std::endian::native == std::endian::big) w = __builtin_bswap64(w);
    return w;
}

template <int c, int d>
std::uint64_t sip_bytes(const HashKey& key, ByteView bytes) {
    Lanes l = start(key);
    const std::size_t whole = bytes.size() & ~std::size_t{7};
    for (std::size_t i = 0; i < whole; i += 8) absorb<c>(l, load_le(bytes.data() + i));
    std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
    for (std::size_t i = whole; i < bytes.size(); ++i) {
        last |= static_cast<std::uint64_t>(bytes[i]) << (8 * (i - whole));
    }
    absorb<c>(l, last);
    return finish<d>(l);
}

template <int c, int d>
std::uint64_t sip_words(const HashKey& key, std::span<const std::uint64_t> words) {
    Lanes l = start(key);
    for (const std::uint64_t w : words) absorb<c>(l, w);
    absorb<c>(l, static_cast<std::uint64_t>(words.size() * 8) << 56);
    return finish<d>(l);
}

}  // namespace

std::uint64_t hash24(const HashKey& key, ByteView bytes) { return sip_bytes<2, 4>(key, bytes); }
std::uint64_t hash13(const HashKey& key, ByteView bytes) { return sip_bytes<1, 3>(key, bytes); }
std::uint64_t hash24_words(const HashKey& key, std::span<const std::uint64_t> words) {
    return sip_words<2, 4>(key, words);
}
std::uint64_t hash13_words(const HashKey& key, std::span<const std::uint64_t> words) {
    return sip_words<1, 3>(key, words);
}

}  // namespace keepnet
