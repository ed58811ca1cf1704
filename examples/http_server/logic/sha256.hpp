// SHA-256 (FIPS 180-4) whose state in mid-stream is a plain value, so that it can lie in a snapshot.
#pragma once

#include <array>
#include <cstdint>

#include <keepnet/bytes.hpp>

namespace http_server {

struct Sha256State {
    std::array<std::uint32_t, 8> h{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::uint64_t bytes = 0;  ///< hashed so far; bytes % 64 of them wait in `block`
    std::array<std::uint8_t, 64> block{};
};

using Sha256Digest = std::array<std::uint8_t, 32>;
using Sha256Text = std::array<char, 64>;

void update(Sha256State& state, keepnet::ByteView data);
/// The digest of what was hashed so far; the state may go on.
[[nodiscard]] Sha256Digest finish(Sha256State state);
/// Lower-case hexadecimal digits.
[[nodiscard]] Sha256Text hex(const Sha256Digest& digest);

}  // namespace http_server
