// IPv6 extension headers: hop-by-hop and destination options, routing, fragment. RFC 8200 4, 7112, 6946,
// 5095. One walk from the IPv6 header to the upper layer finds everything a host must know or must complain
// about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>

#include <keepnet/bytes.hpp>

#include "wire/ipv6.hpp"

namespace keepnet::wire {

inline constexpr std::size_t fragment_header_bytes = 8;

struct FragmentRepr {
    NextHeader next_header = NextHeader::none;
    std::uint16_t offset = 0;  ///< bytes, a multiple of 8
    bool more = false;
    std::uint32_t identification = 0;

    friend constexpr bool operator==(const FragmentRepr&, const FragmentRepr&) = default;
    /// RFC 6946: a fragment that is the whole packet.
    [[nodiscard]] constexpr bool is_atomic() const { return offset == 0 && !more; }
};

[[nodiscard]] std::expected<FragmentRepr, ParseError> parse_fragment(ByteView header);
std::size_t emit_fragment(const FragmentRepr& repr, MutableBytes out);

/// Where a walk ended. Offsets count from the byte behind the IPv6 header.
struct ExtensionWalk {
    /// What follows at upper_offset. The caller decides what it does not know: Parameter Problem, code 1,
    /// pointer next_header_pointer (RFC 8200 4).
    NextHeader upper = NextHeader::none;
    std::size_t upper_offset = 0;
    /// Of the field that named `upper`, counted from the IPv6 header's first byte.
    std::uint32_t next_header_pointer = 6;
    /// Set for a fragment; the walk ends there, upper_offset is where its data starts, `upper` what the first
    /// fragment's data starts with. An atomic fragment is walked through and leaves this unset.
    std::optional<FragmentRepr> fragment{};
    bool router_alert = false;  ///< RFC 2711, in the hop-by-hop header

    friend constexpr bool operator==(const ExtensionWalk&, const ExtensionWalk&) = default;
};

enum class ExtensionErrorReason : std::uint8_t {
    invalid = 0,
    truncated,              ///< a header runs past the packet's end
    option_past_end,        ///< an option runs past its header's end
    unknown_option,         ///< and its two highest bits forbid to skip it (RFC 8200 4.2)
    misplaced_hop_by_hop,   ///< RFC 8200 4.1: only directly behind the IPv6 header
    routing_segments_left,  ///< RFC 8200 4.4, 5095: no routing type is known, and there is a way left to go
    fragment_length,        ///< not the last fragment, and no multiple of 8 bytes (RFC 8200 4.5)
    fragment_too_large,     ///< the packet would be longer than 65,535 bytes
    incomplete_chain,       ///< RFC 7112: a first fragment without all headers
};

enum class ExtensionAction : std::uint8_t {
    invalid = 0,
    drop,                     ///< silently
    report,                   ///< Parameter Problem, to a packet sent to a multicast address as well
    report_unless_multicast,  ///< Parameter Problem
};

struct ExtensionError {
    ExtensionErrorReason reason = ExtensionErrorReason::invalid;
    ExtensionAction action = ExtensionAction::drop;
    std::uint8_t icmp_code = 0;  ///< of the Parameter Problem
    std::uint32_t pointer = 0;   ///< counted from the IPv6 header's first byte

    friend constexpr bool operator==(const ExtensionError&, const ExtensionError&) = default;
};

/// `payload` is all that follows the IPv6 header, `first` its next_header field. The work is bounded by the
/// payload's length: each header is 8 bytes or more and is looked at once.
[[nodiscard]] std::expected<ExtensionWalk, ExtensionError> walk_extension_headers(ByteView payload,
                                                                                  NextHeader first);

}  // namespace keepnet::wire
