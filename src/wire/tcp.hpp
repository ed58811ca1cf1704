// The TCP header and its options. RFC 9293 3.1 and 3.2; RFC 7323 2.2, 3.2; RFC 2018 2, 3; RFC 5482 3.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>

#include "base/checksum.hpp"
#include "base/seq.hpp"
#include "wire/ipv6.hpp"
#include "wire/parse_error.hpp"

namespace keepnet::wire {

inline constexpr std::size_t tcp_header_bytes = 20;
inline constexpr std::size_t tcp_header_bytes_max = 60;
inline constexpr std::size_t tcp_checksum_offset = 16;
inline constexpr std::size_t tcp_sack_blocks_max = 4;

/// Reserved bits are ignored on receipt and sent as zero.
struct TcpFlags {
    bool fin : 1 = false;
    bool syn : 1 = false;
    bool rst : 1 = false;
    bool psh : 1 = false;
    bool ack : 1 = false;
    bool urg : 1 = false;
    bool ece : 1 = false;
    bool cwr : 1 = false;

    friend constexpr bool operator==(const TcpFlags&, const TcpFlags&) = default;
    [[nodiscard]] static constexpr TcpFlags from_byte(std::uint8_t b) {
        return {.fin = (b & 0x01) != 0,
                .syn = (b & 0x02) != 0,
                .rst = (b & 0x04) != 0,
                .psh = (b & 0x08) != 0,
                .ack = (b & 0x10) != 0,
                .urg = (b & 0x20) != 0,
                .ece = (b & 0x40) != 0,
                .cwr = (b & 0x80) != 0};
    }
    [[nodiscard]] constexpr std::uint8_t to_byte() const {
        return static_cast<std::uint8_t>((fin ? 0x01U : 0U) | (syn ? 0x02U : 0U) | (rst ? 0x04U : 0U) |
                                         (psh ? 0x08U : 0U) | (ack ? 0x10U : 0U) | (urg ? 0x20U : 0U) |
                                         (ece ? 0x40U : 0U) | (cwr ? 0x80U : 0U));
    }
};

/// The bytes left..right-1 have arrived (RFC 2018 3).
struct SackBlock {
    Seq left{};
    Seq right{};

    friend constexpr bool operator==(const SackBlock&, const SackBlock&) = default;
};

struct TcpTimestamps {
    std::uint32_t tsval = 0;
    std::uint32_t tsecr = 0;

    friend constexpr bool operator==(const TcpTimestamps&, const TcpTimestamps&) = default;
};

struct TcpOptions {
    std::optional<std::uint16_t> mss{};
    std::optional<std::uint8_t> window_scale{};  ///< as it came; RFC 7323 2.3: above 14 means 14
    bool sack_permitted = false;
    std::uint8_t sack_count = 0;
    std::array<SackBlock, tcp_sack_blocks_max> sack{};
    std::optional<TcpTimestamps> timestamps{};
    std::optional<std::uint16_t> user_timeout{};  ///< RFC 5482, raw: granularity bit and 15 bits of time

    friend constexpr bool operator==(const TcpOptions&, const TcpOptions&) = default;
};

struct TcpRepr {
    std::uint16_t src_port = 0;
    std::uint16_t dst_port = 0;
    Seq seq{};
    Seq ack{};
    TcpFlags flags{};
    std::uint16_t window = 0;  ///< as in the header, not scaled
    std::uint16_t urgent = 0;
    TcpOptions options{};
    /// Set by parse_tcp: the payload starts here. Ignored by emit_tcp.
    std::uint8_t header_length = tcp_header_bytes;
    /// Set by parse_tcp: an option had an impossible length, so the rest were not read. The segment stands.
    bool options_malformed = false;

    friend constexpr bool operator==(const TcpRepr&, const TcpRepr&) = default;
    /// What emit_tcp writes: 20..60, a multiple of 4.
    [[nodiscard]] std::size_t emitted_header_length() const;
};

/// Options of a length that is wrong for their kind are ignored like unknown ones.
[[nodiscard]] std::expected<TcpRepr, ParseError> parse_tcp(ByteView segment);
/// The payload of a segment that parse_tcp accepted.
[[nodiscard]] inline ByteView tcp_payload(const TcpRepr& repr, ByteView segment) {
    return segment.subspan(repr.header_length);
}
[[nodiscard]] inline bool tcp_checksum_ok(const Ipv6Address& src, const Ipv6Address& dst, ByteView segment) {
    return transport_checksum_ok(src, dst, number(NextHeader::tcp), segment);
}
/// Sequence numbers that a segment with this many payload bytes occupies (RFC 9293 3.3.1, SEG.LEN).
[[nodiscard]] constexpr std::uint32_t segment_length(const TcpRepr& repr, std::size_t payload_bytes) {
    return static_cast<std::uint32_t>(payload_bytes) + (repr.flags.syn ? 1U : 0U) +
           (repr.flags.fin ? 1U : 0U);
}

/// Writes the header with checksum 0; the caller sums pseudo-header, header and payload slices and stores the
/// result at tcp_checksum_offset. Options come in Linux's order, so that a capture looks familiar and
/// middleboxes see what they know: mss, sackOK and timestamps in one word, wscale, SACK blocks (as many as
/// fit), user timeout if it fits. Bytes written; 0 if `out` is too small.
std::size_t emit_tcp(const TcpRepr& repr, MutableBytes out);

}  // namespace keepnet::wire
