// Neighbour discovery messages and their options. RFC 4861 4; nonce: RFC 3971 5.3.2; RDNSS, DNSSL: RFC 8106.
// A parser makes every check of RFC 4861's validation lists (6.1.1, 6.1.2, 7.1.1, 7.1.2, 8.1) except the hop
// limit, the checksum and, for a redirect, the first hop: those are the caller's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>

#include "wire/parse_error.hpp"

namespace keepnet::wire {

inline constexpr std::uint8_t ndp_hop_limit = 255;

/// RFC 4861 4.6.2.
struct PrefixInformation {
    std::uint8_t prefix_length = 0;  ///< 0..128
    bool on_link = false;
    bool autonomous = false;
    std::uint32_t valid_lifetime_s = 0;  ///< 0xffff'ffff: for ever
    std::uint32_t preferred_lifetime_s = 0;
    Ipv6Address prefix{};

    friend constexpr bool operator==(const PrefixInformation&, const PrefixInformation&) = default;
};

/// More prefixes, or more raw options of one kind, than this in one message are ignored.
inline constexpr std::size_t ndp_prefixes_max = 8;
inline constexpr std::size_t ndp_raw_options_max = 4;

/// Everything found, the first of each kind where there can be but one. Unknown options are skipped (RFC
/// 4861 4.6). Emission writes them in the order of the fields.
struct NdpOptions {
    std::optional<MacAddress> source_link{};
    std::optional<MacAddress> target_link{};
    std::optional<std::uint32_t> mtu{};
    std::array<PrefixInformation, ndp_prefixes_max> prefixes{};
    std::size_t prefix_count = 0;
    ByteView nonce{};       ///< empty: none; else 6 bytes, or 6 + 8 n
    ByteView redirected{};  ///< start of the redirected packet (4.6.3), with the padding to 8 bytes
    /// RFC 8106 options as they are, from the type octet on.
    std::array<ByteView, ndp_raw_options_max> rdnss{};
    std::size_t rdnss_count = 0;
    std::array<ByteView, ndp_raw_options_max> dnssl{};
    std::size_t dnssl_count = 0;
};

/// RFC 4861 4.3. From the unspecified address it is a duplicate address probe (RFC 4862 5.4).
struct NeighborSolicitationRepr {
    Ipv6Address target{};
    NdpOptions options{};
};

/// RFC 4861 4.4.
struct NeighborAdvertisementRepr {
    bool router = false;
    bool solicited = false;
    bool override_cache = false;  ///< the Override flag
    Ipv6Address target{};
    NdpOptions options{};
};

/// RFC 4861 4.1.
struct RouterSolicitationRepr {
    NdpOptions options{};
};

/// RFC 4861 4.2.
struct RouterAdvertisementRepr {
    std::uint8_t cur_hop_limit = 0;  ///< 0: unspecified
    bool managed = false;
    bool other_config = false;
    std::uint8_t preference = 0;  ///< RFC 4191 2.2, two bits as they came
    std::uint16_t router_lifetime_s = 0;
    std::uint32_t reachable_time_ms = 0;  ///< 0: unspecified
    std::uint32_t retrans_timer_ms = 0;   ///< 0: unspecified
    NdpOptions options{};
};

/// RFC 4861 4.5.
struct RedirectRepr {
    Ipv6Address target{};
    Ipv6Address destination{};
    NdpOptions options{};
};

/// The whole ICMPv6 message, and the addresses of the packet that carried it.
struct NdpMessage {
    ByteView bytes{};
    Ipv6Address src{};
    Ipv6Address dst{};
};

[[nodiscard]] std::expected<NeighborSolicitationRepr, ParseError> parse_neighbor_solicitation(
    const NdpMessage&);
[[nodiscard]] std::expected<NeighborAdvertisementRepr, ParseError> parse_neighbor_advertisement(
    const NdpMessage&);
[[nodiscard]] std::expected<RouterSolicitationRepr, ParseError> parse_router_solicitation(const NdpMessage&);
[[nodiscard]] std::expected<RouterAdvertisementRepr, ParseError> parse_router_advertisement(
    const NdpMessage&);
[[nodiscard]] std::expected<RedirectRepr, ParseError> parse_redirect(const NdpMessage&);

/// Each writes the whole message with checksum 0 (fill_icmpv6_checksum follows) and returns its bytes; 0 if
/// `out` is too small, or an option's length is not one it can have.
std::size_t emit_neighbor_solicitation(const NeighborSolicitationRepr& repr, MutableBytes out);
std::size_t emit_neighbor_advertisement(const NeighborAdvertisementRepr& repr, MutableBytes out);
std::size_t emit_router_solicitation(const RouterSolicitationRepr& repr, MutableBytes out);
std::size_t emit_router_advertisement(const RouterAdvertisementRepr& repr, MutableBytes out);
std::size_t emit_redirect(const RedirectRepr& repr, MutableBytes out);

}  // namespace keepnet::wire
