// Ethernet II framing, without FCS. IEEE 802.3 3.2.6, RFC 2464.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>

#include "wire/parse_error.hpp"

namespace keepnet::wire {

inline constexpr std::size_t ethernet_header_bytes = 14;

/// Any value may arrive; these are the ones with a name here.
enum class EtherType : std::uint16_t { ipv4 = 0x0800, arp = 0x0806, vlan = 0x8100, ipv6 = 0x86dd };

struct EthernetRepr {
    MacAddress dst{};
    MacAddress src{};
    EtherType ethertype = EtherType::ipv6;

    friend constexpr bool operator==(const EthernetRepr&, const EthernetRepr&) = default;
};

/// The payload follows the header. An 802.3 length (below 0x600) is bad_length: no IPv6 comes that way (RFC
/// 2464 3).
[[nodiscard]] std::expected<EthernetRepr, ParseError> parse_ethernet(ByteView frame);
/// Bytes written; 0 if `out` is too small.
std::size_t emit_ethernet(const EthernetRepr& repr, MutableBytes out);

}  // namespace keepnet::wire
