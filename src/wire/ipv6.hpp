// The IPv6 header. RFC 8200 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>

#include "wire/parse_error.hpp"

namespace keepnet::wire {

inline constexpr std::size_t ipv6_header_bytes = 40;
inline constexpr std::size_t ipv6_mtu_min = 1280;  ///< RFC 8200 5

/// Protocol numbers (IANA). Any value may arrive; these are the ones with a name here.
enum class NextHeader : std::uint8_t {
    hop_by_hop = 0,
    tcp = 6,
    udp = 17,
    routing = 43,
    fragment = 44,
    icmpv6 = 58,
    none = 59,
    destination_options = 60,
};

/// For the pseudo-header.
[[nodiscard]] constexpr std::uint8_t number(NextHeader h) { return static_cast<std::uint8_t>(h); }

struct Ipv6Repr {
    std::uint8_t traffic_class = 0;
    std::uint32_t flow_label = 0;      ///< 20 bits
    std::uint16_t payload_length = 0;  ///< bytes behind this header, extension headers included
    NextHeader next_header = NextHeader::none;
    std::uint8_t hop_limit = 0;
    Ipv6Address src{};
    Ipv6Address dst{};

    friend constexpr bool operator==(const Ipv6Repr&, const Ipv6Repr&) = default;
};

/// A whole packet: all payload_length bytes must be there. More may follow (Ethernet padding); they are not
/// payload.
[[nodiscard]] std::expected<Ipv6Repr, ParseError> parse_ipv6(ByteView packet);
/// Only the header: the packet quoted in an ICMPv6 error may be cut anywhere behind it.
[[nodiscard]] std::expected<Ipv6Repr, ParseError> parse_ipv6_header(ByteView packet);
/// The payload of a packet that parse_ipv6 accepted.
[[nodiscard]] inline ByteView ipv6_payload(const Ipv6Repr& repr, ByteView packet) {
    return packet.subspan(ipv6_header_bytes, repr.payload_length);
}
/// Bytes written; 0 if `out` is too small.
std::size_t emit_ipv6(const Ipv6Repr& repr, MutableBytes out);

}  // namespace keepnet::wire
