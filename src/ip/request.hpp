// The seams of the IP layer (DESIGN 8): what it hands to a transport and what a transport hands to it. Small, of fixed
// size, trivially copyable; handles and slices, no pointers: in a split stack they are slots of a shared queue.
#pragma once

#include <array>
#include <cstdint>

#include <keepnet/address.hpp>
#include <keepnet/endpoint.hpp>

#include "base/packet_pool.hpp"

namespace keepnet::ip {

/// ip -> transport. The receiver retains the buffer if it keeps bytes of it.
struct TransportInput {
    Ipv6Address source{};
    Ipv6Address destination{};
    InterfaceIndex interface = 0;
    std::uint8_t next_header = 0;
    std::uint8_t hop_limit = 0;
    std::uint8_t traffic_class = 0;
    bool checksum_verified = false;
    bool is_multicast = false;        ///< by link-layer or IPv6 destination
    Slice packet{};                   ///< the IPv6 packet, for an ICMPv6 error that quotes it
    Slice payload{};                  ///< transport header and what follows
};

/// ip -> transport: an ICMPv6 error that quotes something the transport may have sent.
struct TransportError {
    Ipv6Address local{};              ///< source of the quoted packet
    Ipv6Address remote{};             ///< its destination
    InterfaceIndex interface = 0;
    std::uint8_t next_header = 0;
    std::uint8_t type = 0;            ///< ICMPv6 type and code
    std::uint8_t code = 0;
    std::uint32_t mtu = 0;            ///< Packet Too Big
    std::uint8_t quoted_length = 0;
    std::array<std::uint8_t, 20> quoted{};  ///< the first bytes of its transport header: at least 8
};

inline constexpr std::size_t transport_header_bytes = 80;
inline constexpr std::size_t output_slices = 4;

/// transport -> ip. Slices are borrowed until submit() returns; IP retains what it keeps.
struct OutputRequest {
    Ipv6Address source{};             ///< unspecified: chosen (RFC 6724 5)
    Ipv6Address destination{};
    InterfaceIndex interface = 0;     ///< 0: by route; needed for link-local and multicast destinations
    std::uint8_t next_header = 0;
    std::uint8_t hop_limit = 0;       ///< 0: the interface's
    std::uint8_t traffic_class = 0;
    std::uint8_t header_length = 0;   ///< of the transport header
    std::uint8_t slice_count = 0;
    std::uint32_t flow_label = 0;
    std::int8_t checksum_offset = -1; ///< of the checksum field in the transport header; -1: there is none
    std::uint16_t segment_bytes = 0;  ///< TCP payload to cut it into; 0: one packet
    std::array<std::uint8_t, transport_header_bytes> header{};  ///< checksum field 0
    std::array<Slice, output_slices> slices{};
};

enum class OutputResult : std::uint8_t {
    invalid = 0,
    sent,              ///< on its way, or waiting for a link address
    busy,              ///< the ring or queue is full: nothing happened, try again later
    no_route,
    address_gone,      ///< the source address is not ours (any more)
    too_big,           ///< larger than the path's MTU
};

}  // namespace keepnet::ip
