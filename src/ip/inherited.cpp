#include "ip/inherited.hpp"

#include <array>

#include "base/siphash.hpp"

namespace keepnet::ip {

namespace {

constexpr std::uint64_t bits = sizeof(StackState::inherited) * 8;
static_assert((bits & (bits - 1)) == 0);

/// Two places for each pair. The key is no secret, for a clone's own clone has other secrets and must know the pairs
/// still; whoever makes two of them collide has gained silence.
std::array<std::uint64_t, 2> places(const Endpoint& local, const Endpoint& remote) {
    std::array<std::uint64_t, 5> words{};
    __builtin_memcpy(words.data(), local.address.octets.data(), 16);
    __builtin_memcpy(words.data() + 2, remote.address.octets.data(), 16);
    words[4] = std::uint64_t{local.port} << 16 | remote.port;
    const std::uint64_t h = hash13_words({0x6b65'6570'6e65'7431, 0x696e'6865'7269'7431}, words);
    return {h % bits, (h >> 32) % bits};
}

}  // namespace

void remember_inherited(World& w, const Endpoint& local, const Endpoint& remote) {
    StackState& s = w.edit_stack();
    for (const std::uint64_t place : places(local, remote)) {
        s.inherited[place / 64] |= std::uint64_t{1} << (place % 64);
    }
}

bool is_inherited(const World& w, const Endpoint& local, const Endpoint& remote) {
    const StackState& s = w.stack();
    for (const std::uint64_t place : places(local, remote)) {
        if ((s.inherited[place / 64] >> (place % 64) & 1) == 0) return false;
    }
    return true;
}

}  // namespace keepnet::ip
