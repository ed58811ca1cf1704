// IPv6 and Ethernet addresses as plain values, with their text forms.
// IPv6 architecture: RFC 4291; text: RFC 5952 (out), RFC 4291 2.2 (in); Ethernet mapping: RFC 2464 7.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <expected>
#include <string_view>

#include <keepnet/bytes.hpp>
#include <keepnet/error.hpp>

namespace keepnet {

/// A 48-bit IEEE 802 address, in transmission order.
struct MacAddress {
    std::array<std::uint8_t, 6> octets{};

    friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
    [[nodiscard]] constexpr bool is_multicast() const { return (octets[0] & 1) != 0; }
    [[nodiscard]] constexpr bool is_unspecified() const { return *this == MacAddress{}; }
};

inline constexpr MacAddress mac_broadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/// A 128-bit IPv6 address, in network order.
struct Ipv6Address {
    std::array<std::uint8_t, 16> octets{};

    friend constexpr auto operator<=>(const Ipv6Address&, const Ipv6Address&) = default;
    /// Two words, not sixteen octets: addresses are compared for every packet.
    friend constexpr bool operator==(const Ipv6Address& a, const Ipv6Address& b) {
        struct Words {
            std::uint64_t high, low;
            bool operator==(const Words&) const = default;
        };
        return std::bit_cast<Words>(a.octets) == std::bit_cast<Words>(b.octets);
    }

    [[nodiscard]] static constexpr Ipv6Address from_words(const std::array<std::uint16_t, 8>& words) {
        Ipv6Address a;
        for (std::size_t i = 0; i < 8; ++i) {
            a.octets[2 * i] = static_cast<std::uint8_t>(words[i] >> 8);
            a.octets[2 * i + 1] = static_cast<std::uint8_t>(words[i] & 0xff);
        }
        return a;
    }
    [[nodiscard]] constexpr bool is_unspecified() const { return *this == Ipv6Address{}; }
    [[nodiscard]] constexpr bool is_multicast() const { return octets[0] == 0xff; }
    [[nodiscard]] constexpr bool is_link_local() const {
        return octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80;
    }
    [[nodiscard]] constexpr bool is_loopback() const {
        return *this == from_words({0, 0, 0, 0, 0, 0, 0, 1});
    }
    /// Multicast scope field (RFC 4291 2.7); only meaningful for a multicast address.
    [[nodiscard]] constexpr unsigned multicast_scope() const { return octets[1] & 0x0fU; }
};

inline constexpr Ipv6Address ipv6_unspecified{};
inline constexpr Ipv6Address ipv6_loopback = Ipv6Address::from_words({0, 0, 0, 0, 0, 0, 0, 1});
inline constexpr Ipv6Address ipv6_all_nodes = Ipv6Address::from_words({0xff02, 0, 0, 0, 0, 0, 0, 1});
inline constexpr Ipv6Address ipv6_all_routers = Ipv6Address::from_words({0xff02, 0, 0, 0, 0, 0, 0, 2});

/// ff02::1:ffXX:XXXX of an address (RFC 4291 2.7.1).
[[nodiscard]] constexpr Ipv6Address solicited_node(const Ipv6Address& a) {
    auto s = Ipv6Address::from_words({0xff02, 0, 0, 0, 0, 1, 0xff00, 0});
    s.octets[13] = a.octets[13];
    s.octets[14] = a.octets[14];
    s.octets[15] = a.octets[15];
    return s;
}

/// 33:33 and the last four octets of a multicast address (RFC 2464 7).
[[nodiscard]] constexpr MacAddress multicast_mac(const Ipv6Address& a) {
    return {{0x33, 0x33, a.octets[12], a.octets[13], a.octets[14], a.octets[15]}};
}

/// Do the first `prefix_length` bits (0..128) of the two addresses agree?
[[nodiscard]] constexpr bool prefix_matches(const Ipv6Address& a, const Ipv6Address& b, unsigned prefix_length) {
    struct Words {
        std::uint64_t high, low;
    };
    const auto x = std::bit_cast<Words>(a.octets);
    const auto y = std::bit_cast<Words>(b.octets);
    // Two words, not octets: routes are compared for every packet.
    const auto first_bits_differ = [](std::uint64_t p, std::uint64_t q, unsigned bits) {
        std::uint64_t different = p ^ q;
        if constexpr (std::endian::native == std::endian::little) different = __builtin_bswap64(different);
        return bits != 0 && different >> (64 - bits) != 0;
    };
    if (prefix_length <= 64) return !first_bits_differ(x.high, y.high, prefix_length);
    return x.high == y.high && !first_bits_differ(x.low, y.low, prefix_length - 64);
}

/// Room for any text that format() writes, without a terminating zero.
inline constexpr std::size_t ipv6_text_max = 39;
inline constexpr std::size_t mac_text_max = 17;

/// RFC 5952 text, for example "2001:db8::1". The result views `buffer`.
std::string_view format(const Ipv6Address& address, std::span<char, ipv6_text_max> buffer);
/// "02:00:00:00:00:01". The result views `buffer`.
std::string_view format(const MacAddress& address, std::span<char, mac_text_max> buffer);

/// Any RFC 4291 2.2 form, an embedded dotted IPv4 tail included; no zone, no prefix length.
/// Fails with Error::invalid_argument.
std::expected<Ipv6Address, Error> parse_ipv6(std::string_view text);
/// Six two-digit groups separated by ':' or '-'. Fails with Error::invalid_argument.
std::expected<MacAddress, Error> parse_mac(std::string_view text);

}  // namespace keepnet
