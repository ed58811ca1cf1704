// Big-endian numbers and addresses at a place in bytes. The caller has checked the length.
// __builtin_memcpy: freestanding compilation makes a call out of the plain name.
#pragma once

#include <cstddef>
#include <cstdint>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>

namespace keepnet::wire {

[[nodiscard]] constexpr std::uint16_t load_u16(ByteView b, std::size_t at) {
    return static_cast<std::uint16_t>(b[at] << 8 | b[at + 1]);
}

[[nodiscard]] constexpr std::uint32_t load_u32(ByteView b, std::size_t at) {
    return static_cast<std::uint32_t>(b[at]) << 24 | static_cast<std::uint32_t>(b[at + 1]) << 16 |
           static_cast<std::uint32_t>(b[at + 2]) << 8 | static_cast<std::uint32_t>(b[at + 3]);
}

constexpr void store_u16(MutableBytes b, std::size_t at, std::uint16_t v) {
    b[at] = static_cast<std::uint8_t>(v >> 8);
    b[at + 1] = static_cast<std::uint8_t>(v);
}

constexpr void store_u32(MutableBytes b, std::size_t at, std::uint32_t v) {
    b[at] = static_cast<std::uint8_t>(v >> 24);
    b[at + 1] = static_cast<std::uint8_t>(v >> 16);
    b[at + 2] = static_cast<std::uint8_t>(v >> 8);
    b[at + 3] = static_cast<std::uint8_t>(v);
}

[[nodiscard]] inline Ipv6Address load_ipv6(ByteView b, std::size_t at) {
    Ipv6Address a;
    __builtin_memcpy(a.octets.data(), b.data() + at, a.octets.size());
    return a;
}

inline void store_ipv6(MutableBytes b, std::size_t at, const Ipv6Address& a) {
    __builtin_memcpy(b.data() + at, a.octets.data(), a.octets.size());
}

[[nodiscard]] inline MacAddress load_mac(ByteView b, std::size_t at) {
    MacAddress a;
    __builtin_memcpy(a.octets.data(), b.data() + at, a.octets.size());
    return a;
}

inline void store_mac(MutableBytes b, std::size_t at, const MacAddress& a) {
    __builtin_memcpy(b.data() + at, a.octets.data(), a.octets.size());
}

inline void store_bytes(MutableBytes b, std::size_t at, ByteView source) {
    if (!source.empty()) __builtin_memcpy(b.data() + at, source.data(), source.size());
}

}  // namespace keepnet::wire
