// A frame as the judge reads it, without a line of src/wire: offsets into Ethernet II, IPv6 and TCP.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <keepnet/bytes.hpp>

namespace keepnet::sim {

inline constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, ack = 0x10;

struct TcpFrame {
    unsigned from = 0, to = 0;  ///< hosts, by their addresses
    std::uint16_t source = 0;
    std::uint16_t destination = 0;
    std::uint32_t seq = 0;
    std::uint32_t ack = 0;
    std::uint8_t flags = 0;
    std::uint16_t window = 0;
    std::uint32_t length = 0;  ///< payload, bytes
    std::optional<std::uint8_t> wscale{};
    std::optional<std::uint32_t> tsval{};
    std::uint32_t tsecr = 0;  ///< means something beside a tsval, in a segment with ACK
    struct Block {
        std::uint32_t left = 0, right = 0;
    };
    std::array<Block, 4> sack{};
    std::size_t sack_count = 0;

    [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
    /// Sequence numbers that it occupies.
    [[nodiscard]] std::uint32_t occupies() const {
        return length + (has(syn) ? 1U : 0U) + (has(fin) ? 1U : 0U);
    }
};

/// None when it is not TCP. With `whole` false the payload may be cut off (for the trace).
std::optional<TcpFrame> read_tcp(ByteView frame);
/// What is wrong with a frame that a stack sent: lengths, addresses, checksum; "" when nothing is.
std::string fault_of(ByteView frame);
/// A segment without options or text, from one host to another, with its checksum.
std::vector<std::uint8_t> make_segment(const TcpFrame& t);
/// What a router says of a frame that is too large for it (RFC 4443 3.2), to its sender, as if from its destination.
std::vector<std::uint8_t> make_packet_too_big(ByteView frame, std::uint16_t mtu);
/// One line for people; `frame` may be only its beginning.
std::string describe(ByteView frame, std::size_t bytes);

}  // namespace keepnet::sim
