// Ports that several sockets share (SO_REUSEPORT).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include <keepnet/endpoint.hpp>

#include "base/siphash.hpp"
#include "state/world.hpp"

namespace keepnet::ip {

/// Rendezvous hashing: of those that share an endpoint the one with the largest share has this peer; one that goes takes
/// away nobody else's peers. Never 0.
inline std::uint64_t share_of(const World& w, std::uint32_t index, const Endpoint& remote) {
    std::array<std::uint64_t, 3> words{};
    std::memcpy(words.data(), remote.address.octets.data(), 16);
    words[2] = std::uint64_t{remote.port} << 32 | index;
    return hash24_words(w.stack().port_key, words) | 1;
}

}  // namespace keepnet::ip
