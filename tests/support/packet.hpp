// Frames for scripted peers, built and read without a line of src/wire, so that an error there does not hide.
// Ethernet II, IPv6 (RFC 8200), TCP (RFC 9293), UDP (RFC 768), ICMPv6 (RFC 4443), neighbour discovery (RFC
// 4861).
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>

namespace keepnet::test {

using Bytes = std::vector<std::uint8_t>;

namespace flag {
inline constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20,
                              ece = 0x40, cwr = 0x80;
}
std::string flags_text(std::uint8_t flags);

inline constexpr std::uint8_t proto_tcp = 6, proto_udp = 17, proto_icmp = 58;

Bytes operator+(Bytes a, ByteView b);
void put16(Bytes& out, std::uint32_t v);
void put32(Bytes& out, std::uint32_t v);
std::uint16_t get16(ByteView b, std::size_t at);
std::uint32_t get32(ByteView b, std::size_t at);

/// RFC 8200 8.1, the straightforward way; 0 over data with a right checksum.
std::uint16_t checksum(const Ipv6Address& src, const Ipv6Address& dst, std::uint8_t next_header,
                       ByteView data);

struct IpFields {
    Ipv6Address src{};
    Ipv6Address dst{};
    std::uint8_t next_header = 59;
    std::uint8_t hop_limit = 64;
    std::uint8_t traffic_class = 0;
    std::uint32_t flow_label = 0;
    std::uint8_t version = 6;
    std::optional<std::uint16_t> payload_length{};  ///< unset: what is true
};
Bytes ip_packet(const IpFields& ip, ByteView payload);
Bytes ethernet(const MacAddress& dst, const MacAddress& src, std::uint16_t type, ByteView payload);

struct TcpFields {
    std::uint16_t src_port = 0;
    std::uint16_t dst_port = 0;
    std::uint32_t seq = 0;
    std::uint32_t ack = 0;
    std::uint8_t flags = 0;
    std::uint16_t window = 0;
    std::uint16_t urgent = 0;
    std::uint8_t reserved = 0;                  ///< 4 bits behind the data offset
    std::optional<std::uint8_t> data_offset{};  ///< words; unset: what is true
    std::optional<std::uint16_t> mss{};
    std::optional<std::uint8_t> wscale{};
    bool sack_permitted = false;
    std::optional<std::pair<std::uint32_t, std::uint32_t>> ts{};  ///< TSval, TSecr
    std::vector<std::pair<std::uint32_t, std::uint32_t>> sack{};  ///< left, right
    Bytes raw_options{};                                          ///< before the others, as they are
    Bytes payload{};
    bool bad_checksum = false;
};
Bytes tcp_segment(const Ipv6Address& src, const Ipv6Address& dst, const TcpFields& tcp);

struct UdpFields {
    std::uint16_t src_port = 0;
    std::uint16_t dst_port = 0;
    Bytes payload{};
    std::optional<std::uint16_t> length{};
    std::optional<std::uint16_t> checksum{};
};
Bytes udp_datagram(const Ipv6Address& src, const Ipv6Address& dst, const UdpFields& udp);

/// `body` follows type, code and checksum.
Bytes icmp_message(const Ipv6Address& src, const Ipv6Address& dst, std::uint8_t type, std::uint8_t code,
                   ByteView body, bool bad_checksum = false);
/// Body of an error: the 32-bit parameter, then the quoted packet.
Bytes icmp_error_body(std::uint32_t parameter, ByteView quoted);
Bytes echo_body(std::uint16_t identifier, std::uint16_t sequence, ByteView data);
Bytes solicitation_body(const Ipv6Address& target, std::optional<MacAddress> source_link = {});
Bytes advertisement_body(const Ipv6Address& target, bool router, bool solicited, bool override_cache,
                         std::optional<MacAddress> target_link = {});

/// A frame that the stack sent, taken apart. Everything that can be wrong with it has been checked.
struct Packet {
    Bytes frame{};
    MacAddress eth_dst{}, eth_src{};
    Ipv6Address src{}, dst{};
    std::uint8_t next_header = 0;
    std::uint8_t hop_limit = 0;
    std::uint8_t traffic_class = 0;
    std::uint32_t flow_label = 0;
    Bytes ip{};  ///< the IPv6 packet
    std::optional<TcpFields> tcp{};
    std::optional<UdpFields> udp{};
    struct Icmp {
        std::uint8_t type = 0;
        std::uint8_t code = 0;
        Bytes body{};
    };
    std::optional<Icmp> icmp{};

    [[nodiscard]] bool is_nd() const { return icmp && icmp->type >= 133 && icmp->type <= 137; }
    /// Sequence numbers that it occupies.
    [[nodiscard]] std::uint32_t tcp_length() const;
    [[nodiscard]] std::string text() const;
};
/// The unexpected side says what is wrong.
std::expected<Packet, std::string> read_frame(ByteView frame);

std::string text(const Ipv6Address& a);

}  // namespace keepnet::test
