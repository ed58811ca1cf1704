#include "wire/ipv6.hpp"

#include "wire/bytes.hpp"

namespace keepnet::wire {

std::expected<Ipv6Repr, ParseError> parse_ipv6_header(ByteView packet) {
    if (packet.size() < ipv6_header_bytes) return std::unexpected(ParseError::truncated);
    const std::uint32_t first = load_u32(packet, 0);
    if (first >> 28 != 6) return std::unexpected(ParseError::bad_version);
    Ipv6Repr r;
    r.traffic_class = static_cast<std::uint8_t>(first >> 20);
    r.flow_label = first & 0xf'ffff;
    r.payload_length = load_u16(packet, 4);
    r.next_header = static_cast<NextHeader>(packet[6]);
    r.hop_limit = packet[7];
    r.src = load_ipv6(packet, 8);
    r.dst = load_ipv6(packet, 24);
    return r;
}

std::expected<Ipv6Repr, ParseError> parse_ipv6(ByteView packet) {
    const auto r = parse_ipv6_header(packet);
    if (r && packet.size() - ipv6_header_bytes < r->payload_length)
        return std::unexpected(ParseError::truncated);
    return r;
}

std::size_t emit_ipv6(const Ipv6Repr& repr, MutableBytes out) {
    if (out.size() < ipv6_header_bytes) return 0;
    store_u32(
        out, 0,
        0x6000'0000U | static_cast<std::uint32_t>(repr.traffic_class) << 20 | (repr.flow_label & 0xf'ffff));
    store_u16(out, 4, repr.payload_length);
    out[6] = number(repr.next_header);
    out[7] = repr.hop_limit;
    store_ipv6(out, 8, repr.src);
    store_ipv6(out, 24, repr.dst);
    return ipv6_header_bytes;
}

}  // namespace keepnet::wire
