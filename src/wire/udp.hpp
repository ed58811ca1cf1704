// UDP over IPv6. RFC 768, RFC 8200 8.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>

#include "base/checksum.hpp"
#include "wire/ipv6.hpp"
#include "wire/parse_error.hpp"

namespace keepnet::wire {

inline constexpr std::size_t udp_header_bytes = 8;
inline constexpr std::size_t udp_checksum_offset = 6;

struct UdpRepr {
    std::uint16_t src_port = 0;
    std::uint16_t dst_port = 0;
    std::uint16_t length = 0;  ///< header and payload; 8 or more

    friend constexpr bool operator==(const UdpRepr&, const UdpRepr&) = default;
};

/// A zero checksum is bad_checksum: over IPv6 there must be one. Whether it is right: udp_checksum_ok.
[[nodiscard]] std::expected<UdpRepr, ParseError> parse_udp(ByteView datagram);
/// The payload of a datagram that parse_udp accepted; bytes behind the UDP length are none of it.
[[nodiscard]] inline ByteView udp_payload(const UdpRepr& repr, ByteView datagram) {
    return datagram.subspan(udp_header_bytes, repr.length - udp_header_bytes);
}
/// The checksum covers the UDP length, not what IPv6 carries behind it.
[[nodiscard]] inline bool udp_checksum_ok(const Ipv6Address& src, const Ipv6Address& dst, const UdpRepr& repr,
                                          ByteView datagram) {
    return transport_checksum_ok(src, dst, number(NextHeader::udp), datagram.first(repr.length));
}
/// Writes the header with checksum 0. Bytes written; 0 if `out` is too small.
std::size_t emit_udp(const UdpRepr& repr, MutableBytes out);
/// The value for the checksum field from the finished sum: a computed 0 is sent as 0xffff (RFC 768).
[[nodiscard]] inline std::uint16_t udp_checksum_field(const Checksum& sum) {
    const std::uint16_t field = sum.fold();
    return field == 0 ? std::uint16_t{0xffff} : field;
}

}  // namespace keepnet::wire
