// ICMPv6 (RFC 4443): echo, errors about what came, errors about what was sent.
#include "wire/icmpv6.hpp"
#include "ip/own.hpp"
#include "nd/nd.hpp"
#include "wire/bytes.hpp"

namespace keepnet::ip {

namespace {

constexpr std::int8_t icmpv6_checksum_offset = 2;

/// An answer of ours that nobody will send again.
void count_lost(World& w, OutputResult result) {
    switch (result) {
        case OutputResult::sent:
            return;
        case OutputResult::busy:
            return w.drop(DropReason::transmit_ring_full);
        case OutputResult::too_big:  // it would have to be cut into fragments
            return w.drop(DropReason::ipv6_fragment);
        case OutputResult::no_route:
        case OutputResult::address_gone:
        case OutputResult::invalid:
            return w.drop(DropReason::no_route);
    }
}

/// To the sender of `input`, from the address it spoke to when that is one host's.
OutputRequest answer_to(const TransportInput& input) {
    OutputRequest r;
    if (!input.destination.is_multicast()) r.source = input.destination;
    r.destination = input.source;
    r.interface = input.source.is_link_local() ? input.interface : 0;
    r.next_header = wire::number(wire::NextHeader::icmpv6);
    r.header_length = wire::icmpv6_header_bytes;
    r.checksum_offset = icmpv6_checksum_offset;
    return r;
}

/// RFC 4443 4.2. The data is copied: a reply holds no buffer of the device's.
void on_echo_request(IpContext& cx, const TransportInput& input) {
    const ByteView message = cx.w.pool.view(input.payload);
    const auto echo = wire::parse_echo(message);
    if (!echo) return cx.w.drop(DropReason::icmpv6_truncated);

    OutputRequest reply = answer_to(input);
    wire::emit_echo({.reply = true, .identifier = echo->identifier, .sequence = echo->sequence},
                    reply.header);
    const ByteView data = message.subspan(wire::icmpv6_header_bytes);
    BufferRef buffer;
    if (!data.empty()) {
        buffer = {cx.w.pool, cx.w.pool.allocate(PoolUse::optional)};
        if (!buffer) return cx.w.drop(DropReason::out_of_buffers);
        reply.slices[0] = cx.w.pool.append(buffer.get(), data);
        reply.slice_count = 1;
    }
    const OutputResult result = output(cx, reply);
    if (result == OutputResult::sent) ++cx.w.count().icmp_echo_answered, ++cx.w.count().icmp_sent;
    count_lost(cx.w, result);
}

Delivery on_error_message(IpContext& cx, const TransportInput& input) {
    const auto drop = [&](DropReason reason) {
        cx.w.drop(reason);
        return Delivery{};
    };
    const ByteView message = cx.w.pool.view(input.payload);
    const auto error = wire::parse_icmpv6_error(message);
    if (!error) return drop(DropReason::icmpv6_truncated);
    const auto quoted = wire::parse_quotation(message.subspan(wire::icmpv6_header_bytes));
    if (!quoted) return drop(DropReason::icmpv6_error_malformed);
    const bool is_too_big = error->type == wire::Icmpv6Type::packet_too_big;
    // RFC 8201 4: no link of IPv6 is that narrow.
    if (is_too_big && error->parameter < wire::ipv6_mtu_min) return drop(DropReason::icmpv6_error_malformed);
    const bool has_transport =
        quoted->upper == wire::NextHeader::tcp || quoted->upper == wire::NextHeader::udp;
    const bool is_ours = input.interface == 0 || find_address(cx, quoted->ip.src, input.interface, true);
    if (!has_transport || !is_ours) return drop(DropReason::icmpv6_error_unmatched);

    TransportError e{.local = quoted->ip.src,
                     .remote = quoted->ip.dst,
                     .interface = input.interface,
                     .next_header = wire::number(quoted->upper),
                     .type = static_cast<std::uint8_t>(error->type),
                     .code = error->code,
                     .mtu = is_too_big ? error->parameter : 0};
    const std::size_t bytes = std::min(quoted->transport.size(), e.quoted.size());
    e.quoted_length = static_cast<std::uint8_t>(bytes);
    wire::store_bytes(e.quoted, 0, quoted->transport.first(bytes));
    return {.kind = Delivery::Kind::error, .error = e};
}

/// RFC 4443 2.4 (e): what must not be answered with an error.
bool may_answer(const IpContext& cx, const TransportInput& about, wire::Icmpv6Type type, std::uint8_t code) {
    if (about.source.is_unspecified() || about.source.is_multicast()) return false;
    const bool is_exempt = type == wire::Icmpv6Type::packet_too_big ||
                           (type == wire::Icmpv6Type::parameter_problem && code == wire::code_unknown_option);
    if (about.is_multicast && !is_exempt) return false;
    const auto quoted = wire::parse_quotation(cx.w.pool.view(about.packet));
    if (!quoted || quoted->upper != wire::NextHeader::icmpv6) return true;
    const auto inner = static_cast<wire::Icmpv6Type>(quoted->transport[0]);
    return !wire::is_error(inner) && inner != wire::Icmpv6Type::redirect;
}

bool is_discovery(wire::Icmpv6Type type) {
    return type >= wire::Icmpv6Type::router_solicitation && type <= wire::Icmpv6Type::redirect;
}

/// on_packet() let pass what looked like neighbour discovery; it was something else.
DropReason check_after_all(const IpContext& cx, const TransportInput& input, bool is_looped) {
    if (is_looped) return DropReason::invalid;
    if (input.source.is_unspecified() || find_address(cx, input.source, input.interface)) {
        return DropReason::ipv6_bad_source;
    }
    const bool is_usable =
        input.destination.is_multicast() || find_address(cx, input.destination, input.interface);
    return is_usable ? DropReason::invalid : DropReason::ipv6_tentative_destination;
}

/// The error that a host sends to itself about a packet whose next hop did not answer (RFC 4861 7.2.2).
TransportError address_unreachable(const nd::UnreachablePacket& unreachable, const wire::Ipv6Repr& ip) {
    TransportError e{.local = ip.src,
                     .remote = ip.dst,
                     .interface = unreachable.interface,
                     .next_header = wire::number(ip.next_header),
                     .type = static_cast<std::uint8_t>(wire::Icmpv6Type::destination_unreachable),
                     .code = wire::code_address_unreachable};
    const auto& p = unreachable.packet;
    const std::size_t bytes =
        std::min<std::size_t>(p.header_length - wire::ipv6_header_bytes, e.quoted.size());
    e.quoted_length = static_cast<std::uint8_t>(bytes);
    wire::store_bytes(e.quoted, 0, ByteView{p.header}.subspan(wire::ipv6_header_bytes, bytes));
    return e;
}

}  // namespace

Delivery on_icmpv6(IpContext& cx, const TransportInput& input, bool is_looped) {
    const auto drop = [&](DropReason reason) {
        cx.w.drop(reason);
        return Delivery{};
    };
    const ByteView message = cx.w.pool.view(input.payload);
    const auto header = wire::parse_icmpv6_header(message);
    if (!header) return drop(DropReason::icmpv6_truncated);
    if (!input.checksum_verified && !wire::icmpv6_checksum_ok(input.source, input.destination, message)) {
        return drop(DropReason::icmpv6_bad_checksum);
    }
    ++cx.w.count().icmp_received;
    if (is_discovery(header->type)) {
        if (is_looped) return drop(DropReason::icmpv6_type_unknown);
        nd::on_message(cx, {.interface = input.interface,
                            .source = input.source,
                            .destination = input.destination,
                            .hop_limit = input.hop_limit,
                            .icmp = message});
        return {};
    }
    if (const DropReason r = check_after_all(cx, input, is_looped); r != DropReason::invalid) return drop(r);
    if (wire::is_error(header->type)) return on_error_message(cx, input);
    // RFC 4443 2.4 (b): what informs of something unknown is silently discarded; an echo reply answers nobody
    // here.
    if (header->type != wire::Icmpv6Type::echo_request) return drop(DropReason::icmpv6_type_unknown);
    on_echo_request(cx, input);
    return {};
}

void send_error(IpContext& cx, const TransportInput& about, std::uint8_t type, std::uint8_t code,
                std::uint32_t pointer, unsigned copies) {
    const auto icmp_type = static_cast<wire::Icmpv6Type>(type);
    if (!may_answer(cx, about, icmp_type, code)) return;
    const IpConfig& config = cx.w.config().ip;
    if (!take_token(cx.w.edit_stack().icmp_errors, config.icmp_errors_per_second, config.icmp_errors_burst,
                    cx.now)) {
        return cx.w.drop(DropReason::error_rate_limited);
    }
    OutputRequest r = answer_to(about);
    wire::emit_icmpv6_error({.type = icmp_type, .code = code, .parameter = pointer}, r.header);
    r.slices[0] = about.packet;
    r.slices[0].length = static_cast<std::uint16_t>(wire::icmpv6_quote_bytes(about.packet.length));
    r.slice_count = 1;
    for (; copies != 0; --copies) {
        const OutputResult result = output(cx, r);
        if (result == OutputResult::sent) ++cx.w.count().icmp_errors_sent, ++cx.w.count().icmp_sent;
        count_lost(cx.w, result);
    }
}

std::optional<Delivery> take_unreachable(IpContext& cx) {
    while (const auto unreachable = nd::take_unreachable(cx)) {
        cx.w.drop(DropReason::neighbor_unreachable);
        const auto& packet = unreachable->packet;
        for (std::size_t i = 0; i < packet.slice_count; ++i) cx.w.pool.release(packet.slices[i].buffer);
        const auto ip = wire::parse_ipv6_header({packet.header.data(), packet.header_length});
        const bool has_transport =
            ip && (ip->next_header == wire::NextHeader::tcp || ip->next_header == wire::NextHeader::udp);
        const bool is_whole = packet.header_length >= wire::ipv6_header_bytes + 8;
        if (!has_transport || !is_whole) continue;
        return Delivery{.kind = Delivery::Kind::error, .error = address_unreachable(*unreachable, *ip)};
    }
    return std::nullopt;
}

}  // namespace keepnet::ip
