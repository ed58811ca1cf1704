// ChaCha with 8 rounds (Bernstein 2008; block function as in RFC 8439 2.3). Each block makes the next key out
// of its first half and eight words of output out of its second, so the key that made a word no longer exists
// when the word is given out.
#include "base/random.hpp"

#include <algorithm>
#include <bit>

namespace keepnet {

namespace {

using Block = std::array<std::uint32_t, 16>;

void quarter_round(Block& x, std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
    x[a] += x[b];
    x[d] = std::rotl(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = std::rotl(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = std::rotl(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = std::rotl(x[b] ^ x[c], 7);
}

/// `purpose` keeps the blocks that give numbers apart from those that take entropy in.
Block chacha8(const std::array<std::uint32_t, 8>& key, std::uint64_t counter, std::uint32_t purpose) {
    Block in{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    std::copy(key.begin(), key.end(), in.begin() + 4);
    in[12] = static_cast<std::uint32_t>(counter);
    in[13] = static_cast<std::uint32_t>(counter >> 32);
    in[14] = purpose;
    Block x = in;
    for (int i = 0; i < 4; ++i) {
        quarter_round(x, 0, 4, 8, 12);
        quarter_round(x, 1, 5, 9, 13);
        quarter_round(x, 2, 6, 10, 14);
        quarter_round(x, 3, 7, 11, 15);
        quarter_round(x, 0, 5, 10, 15);
        quarter_round(x, 1, 6, 11, 12);
        quarter_round(x, 2, 7, 8, 13);
        quarter_round(x, 3, 4, 9, 14);
    }
    for (std::size_t i = 0; i < 16; ++i) x[i] += in[i];
    return x;
}

constexpr std::uint32_t purpose_numbers = 0;
constexpr std::uint32_t purpose_entropy = 1;
constexpr std::uint32_t purpose_length = 2;

void replace_key(RandomState& state, std::uint32_t purpose) {
    const Block block = chacha8(state.key, state.counter++, purpose);
    std::copy_n(block.begin(), 8, state.key.begin());
}

void refill(RandomState& state) {
    const Block block = chacha8(state.key, state.counter++, purpose_numbers);
    std::copy_n(block.begin(), 8, state.key.begin());
    std::copy_n(block.begin() + 8, 8, state.buffer.begin());
    state.available = 8;
}

}  // namespace

void seed(RandomState& state, std::span<const std::uint8_t, 32> entropy) {
    state = {};
    mix(state, entropy);
}

void mix(RandomState& state, ByteView entropy) {
    for (std::size_t at = 0; at < entropy.size(); at += 32) {
        const ByteView chunk = entropy.subspan(at, std::min<std::size_t>(32, entropy.size() - at));
        for (std::size_t i = 0; i < chunk.size(); ++i) {
            state.key[i / 4] ^= static_cast<std::uint32_t>(chunk[i]) << (8 * (i % 4));
        }
        replace_key(state, purpose_entropy);
    }
    // The length tells a chunk from the same one with zeros behind it.
    state.key[0] ^= static_cast<std::uint32_t>(entropy.size());
    replace_key(state, purpose_length);
    state.buffer = {};
    state.available = 0;
}

std::uint32_t next_u32(RandomState& state) {
    if (state.available == 0) refill(state);
    std::uint32_t& word = state.buffer[state.buffer.size() - state.available--];
    const std::uint32_t value = word;
    word = 0;
    return value;
}

std::uint64_t next_u64(RandomState& state) {
    const std::uint64_t high = next_u32(state);
    return high << 32 | next_u32(state);
}

std::uint32_t uniform(RandomState& state, std::uint32_t bound) {
    if (bound == 0) return 0;
    // Lemire 2019: the high half of a 64-bit product; the first few low halves would be one too many.
    const std::uint32_t excess = (0 - bound) % bound;
    for (;;) {
        const std::uint64_t product = std::uint64_t{next_u32(state)} * bound;
        if (static_cast<std::uint32_t>(product) >= excess) return static_cast<std::uint32_t>(product >> 32);
    }
}

}  // namespace keepnet
