#include "wire/icmpv6.hpp"

#include "wire/bytes.hpp"
#include "wire/ipv6_extension.hpp"

namespace keepnet::wire {

namespace {

void store_header(MutableBytes out, Icmpv6Type type, std::uint8_t code) {
    out[0] = static_cast<std::uint8_t>(type);
    out[1] = code;
    store_u16(out, 2, 0);
}

}  // namespace

std::expected<Icmpv6Header, ParseError> parse_icmpv6_header(ByteView message) {
    if (message.size() < 4) return std::unexpected(ParseError::truncated);
    return Icmpv6Header{static_cast<Icmpv6Type>(message[0]), message[1], load_u16(message, 2)};
}

void fill_icmpv6_checksum(const Ipv6Address& src, const Ipv6Address& dst, MutableBytes message) {
    if (message.size() < 4) return;
    store_u16(message, 2, 0);
    auto sum =
        pseudo_header(src, dst, static_cast<std::uint32_t>(message.size()), number(NextHeader::icmpv6));
    sum.add(message);
    store_u16(message, 2, sum.fold());
}

std::expected<EchoRepr, ParseError> parse_echo(ByteView message) {
    if (message.size() < icmpv6_header_bytes) return std::unexpected(ParseError::truncated);
    const auto type = static_cast<Icmpv6Type>(message[0]);
    if (type != Icmpv6Type::echo_request && type != Icmpv6Type::echo_reply) {
        return std::unexpected(ParseError::bad_type);
    }
    return EchoRepr{type == Icmpv6Type::echo_reply, load_u16(message, 4), load_u16(message, 6)};
}

std::size_t emit_echo(const EchoRepr& repr, MutableBytes out) {
    if (out.size() < icmpv6_header_bytes) return 0;
    store_header(out, repr.reply ? Icmpv6Type::echo_reply : Icmpv6Type::echo_request, 0);
    store_u16(out, 4, repr.identifier);
    store_u16(out, 6, repr.sequence);
    return icmpv6_header_bytes;
}

std::expected<Icmpv6ErrorRepr, ParseError> parse_icmpv6_error(ByteView message) {
    if (message.size() < icmpv6_header_bytes) return std::unexpected(ParseError::truncated);
    const auto type = static_cast<Icmpv6Type>(message[0]);
    if (!is_error(type)) return std::unexpected(ParseError::bad_type);
    return Icmpv6ErrorRepr{type, message[1], load_u32(message, 4)};
}

std::size_t emit_icmpv6_error(const Icmpv6ErrorRepr& repr, MutableBytes out) {
    if (out.size() < icmpv6_header_bytes) return 0;
    store_header(out, repr.type, repr.code);
    store_u32(out, 4, repr.parameter);
    return icmpv6_header_bytes;
}

std::expected<QuotedPacket, ParseError> parse_quotation(ByteView quotation) {
    const auto ip = parse_ipv6_header(quotation);
    if (!ip) return std::unexpected(ip.error());
    ByteView payload = quotation.subspan(ipv6_header_bytes);
    if (payload.size() > ip->payload_length) payload = payload.first(ip->payload_length);

    QuotedPacket q{*ip, ip->next_header, payload};
    // Only skipped, not judged: it was sent once, and may be cut off anywhere.
    for (;;) {
        const bool fragment = q.upper == NextHeader::fragment;
        const bool options = q.upper == NextHeader::hop_by_hop || q.upper == NextHeader::routing ||
                             q.upper == NextHeader::destination_options;
        if (q.transport.size() < 8) return std::unexpected(ParseError::truncated);
        if (!fragment && !options) return q;
        if (fragment && parse_fragment(q.transport)->offset != 0)
            return std::unexpected(ParseError::bad_type);
        const std::size_t bytes = fragment ? fragment_header_bytes : 8 + std::size_t{q.transport[1]} * 8;
        if (q.transport.size() < bytes) return std::unexpected(ParseError::truncated);
        q.upper = static_cast<NextHeader>(q.transport[0]);
        q.transport = q.transport.subspan(bytes);
    }
}

}  // namespace keepnet::wire
