// The checksum of snapshots and journals: 64 bits over 8-byte words in four lanes. Each lane's step is a bijection of the word and of
// the lane, so a change confined to one word never goes unnoticed. Against accidents, not against forgers.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace keepnet {

class Digest {
  public:
    /// A multiple of 8 bytes.
    void add(const void* data, std::size_t bytes) {
        const auto* at = static_cast<const unsigned char*>(data);
        const auto* end = at + bytes;
        for (; words_ % 4 != 0 && at != end; at += 8) step(lanes_[words_++ % 4], load(at));
        for (; end - at >= 32; at += 32, words_ += 4) {
            for (std::size_t i = 0; i < 4; ++i) step(lanes_[i], load(at + 8 * i));
        }
        for (; at != end; at += 8) step(lanes_[words_++ % 4], load(at));
    }
    [[nodiscard]] std::uint64_t value() const {
        std::uint64_t sum = words_;
        for (std::uint64_t lane : lanes_) {
            lane ^= lane >> 32;
            lane *= 0xd6e8'feb8'6659'fd93U;
            sum = std::rotl(sum, 17) + (lane ^ lane >> 32);
        }
        return sum;
    }

  private:
    static std::uint64_t load(const unsigned char* at) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, sizeof word);
        if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
        return word;
    }
    static void step(std::uint64_t& lane, std::uint64_t word) {
        lane = (std::rotl(lane, 29) ^ word) * 0x9e37'79b9'7f4a'7c15U;
    }

    std::array<std::uint64_t, 4> lanes_{0x6b65'6570'6e65'7431U, 0x6b65'6570'6e65'7432U, 0x6b65'6570'6e65'7433U,
                                        0x6b65'6570'6e65'7434U};
    std::uint64_t words_ = 0;
};

}  // namespace keepnet
