#include "wire/udp.hpp"

#include "wire/bytes.hpp"

namespace keepnet::wire {

std::expected<UdpRepr, ParseError> parse_udp(ByteView datagram) {
    if (datagram.size() < udp_header_bytes) return std::unexpected(ParseError::truncated);
    const UdpRepr r{load_u16(datagram, 0), load_u16(datagram, 2), load_u16(datagram, 4)};
    // Length 0 is for jumbograms alone (RFC 2675 4), which nothing here sends or takes.
    if (r.length < udp_header_bytes) return std::unexpected(ParseError::bad_length);
    if (r.length > datagram.size()) return std::unexpected(ParseError::truncated);
    if (load_u16(datagram, udp_checksum_offset) == 0) return std::unexpected(ParseError::bad_checksum);
    return r;
}

std::size_t emit_udp(const UdpRepr& repr, MutableBytes out) {
    if (out.size() < udp_header_bytes) return 0;
    store_u16(out, 0, repr.src_port);
    store_u16(out, 2, repr.dst_port);
    store_u16(out, 4, repr.length);
    store_u16(out, udp_checksum_offset, 0);
    return udp_header_bytes;
}

}  // namespace keepnet::wire
