#include "wire/ethernet.hpp"

#include "wire/bytes.hpp"

namespace keepnet::wire {

std::expected<EthernetRepr, ParseError> parse_ethernet(ByteView frame) {
    if (frame.size() < ethernet_header_bytes) return std::unexpected(ParseError::truncated);
    const std::uint16_t type = load_u16(frame, 12);
    if (type < 0x600) return std::unexpected(ParseError::bad_length);
    return EthernetRepr{load_mac(frame, 0), load_mac(frame, 6), static_cast<EtherType>(type)};
}

std::size_t emit_ethernet(const EthernetRepr& repr, MutableBytes out) {
    if (out.size() < ethernet_header_bytes) return 0;
    store_mac(out, 0, repr.dst);
    store_mac(out, 6, repr.src);
    store_u16(out, 12, static_cast<std::uint16_t>(repr.ethertype));
    return ethernet_header_bytes;
}

}  // namespace keepnet::wire
