// ICMPv6 echo and errors. RFC 4443. Neighbour discovery messages are in ndp.hpp.
// A message starts at its type octet; the caller has verified its checksum with icmpv6_checksum_ok.
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

inline constexpr std::size_t icmpv6_header_bytes = 8;  ///< of echo and of errors

/// Any value may arrive; these are the ones with a name here.
enum class Icmpv6Type : std::uint8_t {
    destination_unreachable = 1,
    packet_too_big = 2,
    time_exceeded = 3,
    parameter_problem = 4,
    echo_request = 128,
    echo_reply = 129,
    router_solicitation = 133,
    router_advertisement = 134,
    neighbor_solicitation = 135,
    neighbor_advertisement = 136,
    redirect = 137,
};

/// RFC 4443 2.1: the high bit tells errors from information.
[[nodiscard]] constexpr bool is_error(Icmpv6Type t) { return static_cast<std::uint8_t>(t) < 128; }

/// Codes of destination_unreachable (RFC 4443 3.1).
inline constexpr std::uint8_t code_no_route = 0;
inline constexpr std::uint8_t code_prohibited = 1;
inline constexpr std::uint8_t code_beyond_scope = 2;
inline constexpr std::uint8_t code_address_unreachable = 3;
inline constexpr std::uint8_t code_port_unreachable = 4;
inline constexpr std::uint8_t code_source_policy = 5;
inline constexpr std::uint8_t code_reject_route = 6;
/// Codes of time_exceeded (3.3).
inline constexpr std::uint8_t code_hop_limit = 0;
inline constexpr std::uint8_t code_reassembly = 1;
/// Codes of parameter_problem (3.4, RFC 7112 5).
inline constexpr std::uint8_t code_erroneous_field = 0;
inline constexpr std::uint8_t code_unknown_next_header = 1;
inline constexpr std::uint8_t code_unknown_option = 2;
inline constexpr std::uint8_t code_incomplete_chain = 3;

struct Icmpv6Header {
    Icmpv6Type type{};
    std::uint8_t code = 0;
    std::uint16_t checksum = 0;

    friend constexpr bool operator==(const Icmpv6Header&, const Icmpv6Header&) = default;
};

/// The first four bytes: which message is it?
[[nodiscard]] std::expected<Icmpv6Header, ParseError> parse_icmpv6_header(ByteView message);
[[nodiscard]] inline bool icmpv6_checksum_ok(const Ipv6Address& src, const Ipv6Address& dst,
                                             ByteView message) {
    return transport_checksum_ok(src, dst, number(NextHeader::icmpv6), message);
}
/// Computes the checksum of a message that was emitted whole into `message` and stores it. At least 4 bytes.
void fill_icmpv6_checksum(const Ipv6Address& src, const Ipv6Address& dst, MutableBytes message);

/// RFC 4443 4. The data is what follows the 8 header bytes.
struct EchoRepr {
    bool reply = false;
    std::uint16_t identifier = 0;
    std::uint16_t sequence = 0;

    friend constexpr bool operator==(const EchoRepr&, const EchoRepr&) = default;
};

/// The code is ignored, as a receiver should (RFC 4443 4.1 sets it to 0, says nothing about others).
[[nodiscard]] std::expected<EchoRepr, ParseError> parse_echo(ByteView message);
/// Writes the 8 header bytes with checksum 0; the caller appends the data and fills the checksum.
std::size_t emit_echo(const EchoRepr& repr, MutableBytes out);

/// RFC 4443 3: any error, known types or not. What it quotes follows the 8 header bytes.
struct Icmpv6ErrorRepr {
    Icmpv6Type type{};
    std::uint8_t code = 0;
    std::uint32_t parameter = 0;  ///< MTU of packet_too_big, pointer of parameter_problem; else unused

    friend constexpr bool operator==(const Icmpv6ErrorRepr&, const Icmpv6ErrorRepr&) = default;
};

/// bad_type for a message that is no error.
[[nodiscard]] std::expected<Icmpv6ErrorRepr, ParseError> parse_icmpv6_error(ByteView message);
/// Writes the 8 header bytes with checksum 0; the caller appends the quotation and fills the checksum.
std::size_t emit_icmpv6_error(const Icmpv6ErrorRepr& repr, MutableBytes out);
/// How much of a packet of `packet_bytes` an error quotes: the error fits the minimum MTU (RFC 4443 2.4 (c)).
[[nodiscard]] constexpr std::size_t icmpv6_quote_bytes(std::size_t packet_bytes) {
    constexpr std::size_t room = ipv6_mtu_min - ipv6_header_bytes - icmpv6_header_bytes;
    return packet_bytes < room ? packet_bytes : room;
}

/// The packet of ours that an error is about: as much as the error's sender quoted of it.
struct QuotedPacket {
    Ipv6Repr ip{};
    NextHeader upper = NextHeader::none;
    ByteView transport{};  ///< starts at the upper-layer header; 8 bytes or more
};

/// `quotation` is an error message behind its 8 header bytes. Its payload_length is usually more than what
/// follows. truncated: not even the ports are there; bad_type: a fragment that is not the first.
[[nodiscard]] std::expected<QuotedPacket, ParseError> parse_quotation(ByteView quotation);

}  // namespace keepnet::wire
