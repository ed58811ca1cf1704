// A received IPv6 packet: the checks of RFC 8200 in the order of its bytes, up to the transport.
#include "ip/own.hpp"
#include "wire/icmpv6.hpp"
#include "wire/ipv6.hpp"
#include "wire/ipv6_extension.hpp"
#include "wire/ndp.hpp"

namespace keepnet::ip {

namespace {

/// Neighbour discovery decides by itself what concerns tentative addresses and conflicts (RFC 4862 5.4).
bool may_be_discovery(const wire::Ipv6Repr& ip) {
    return ip.next_header == wire::NextHeader::icmpv6 && ip.hop_limit == wire::ndp_hop_limit;
}

DropReason check_source(const World& w, const link::Received& packet, const wire::Ipv6Repr& ip,
                        std::uint32_t own) {
    if (ip.src.is_multicast()) return DropReason::ipv6_bad_source;
    if (packet.is_looped) return DropReason::invalid;
    if (ip.src.is_loopback()) return DropReason::ipv6_bad_source;
    if (!may_be_discovery(ip) && is_usable(w, own)) return DropReason::ipv6_bad_source;
    return DropReason::invalid;
}

DropReason check_destination(const World& w, const link::Received& packet, const wire::Ipv6Repr& ip,
                             std::uint32_t own) {
    if (ip.dst.is_unspecified()) return DropReason::ipv6_bad_destination;
    if (packet.is_looped) return DropReason::invalid;
    if (ip.dst.is_loopback()) return DropReason::ipv6_bad_destination;
    if (ip.dst.is_multicast()) {
        // RFC 4291 2.7: scope 0 is reserved, and scope 1 does not leave a node.
        if (ip.dst.multicast_scope() <= 1) return DropReason::ipv6_bad_destination;
        return has_joined(w, ip.dst, packet.interface) ? DropReason::invalid : DropReason::ipv6_not_for_us;
    }
    if (own == none) return DropReason::ipv6_not_for_us;
    const AddressStatus status = status_of(w.addresses.get(own));
    if (status == AddressStatus::duplicate) return DropReason::ipv6_not_for_us;
    const bool is_tentative = status == AddressStatus::tentative && !may_be_discovery(ip);
    return is_tentative ? DropReason::ipv6_tentative_destination : DropReason::invalid;
}

DropReason reason_of(wire::ExtensionErrorReason reason) {
    switch (reason) {
        case wire::ExtensionErrorReason::unknown_option:
            return DropReason::ipv6_option_refused;
        case wire::ExtensionErrorReason::misplaced_hop_by_hop:
            return DropReason::ipv6_next_header_unknown;
        case wire::ExtensionErrorReason::routing_segments_left:
            return DropReason::ipv6_routing_header;
        case wire::ExtensionErrorReason::fragment_length:
        case wire::ExtensionErrorReason::fragment_too_large:
        case wire::ExtensionErrorReason::incomplete_chain:
            return DropReason::ipv6_fragment;
        case wire::ExtensionErrorReason::invalid:
        case wire::ExtensionErrorReason::truncated:
        case wire::ExtensionErrorReason::option_past_end:
            break;
    }
    return DropReason::ipv6_extension_malformed;
}

void refuse(IpContext& cx, const TransportInput& input, const wire::ExtensionError& error) {
    cx.w.drop(reason_of(error.reason));
    if (error.action == wire::ExtensionAction::drop) return;
    if (error.action == wire::ExtensionAction::report_unless_multicast && input.is_multicast) return;
    send_error(cx, input, static_cast<std::uint8_t>(wire::Icmpv6Type::parameter_problem), error.icmp_code,
               error.pointer);
}

/// Is there a fragment header, an atomic one, among the headers before the upper layer?
bool has_fragment_header(ByteView payload, wire::NextHeader next, std::size_t upper_offset) {
    for (std::size_t at = 0; at < upper_offset;) {
        if (next == wire::NextHeader::fragment) return true;
        next = static_cast<wire::NextHeader>(payload[at]);
        at += 8 + std::size_t{payload[at + 1]} * 8;
    }
    return false;
}

/// RFC 6980 5: neighbour discovery with a fragment header is silently ignored.
bool is_fragmented_discovery(ByteView payload, const wire::Ipv6Repr& ip, const wire::ExtensionWalk& walk) {
    if (walk.upper_offset == 0 || walk.upper != wire::NextHeader::icmpv6) return false;
    if (payload.size() == walk.upper_offset) return false;
    const std::uint8_t type = payload[walk.upper_offset];
    if (type < 133 || type > 137) return false;
    return has_fragment_header(payload, ip.next_header, walk.upper_offset);
}

Delivery hand_up(IpContext& cx, TransportInput& input, const wire::ExtensionWalk& walk, bool is_looped) {
    input.next_header = wire::number(walk.upper);
    // :: is the source of a host without an address; all that it can say is ICMPv6 (RFC 4291 2.5.2).
    if (input.source.is_unspecified() && walk.upper != wire::NextHeader::icmpv6) {
        cx.w.drop(DropReason::ipv6_bad_source);
        return {};
    }
    switch (walk.upper) {
        case wire::NextHeader::tcp:
        case wire::NextHeader::udp:
            return {.kind = Delivery::Kind::transport, .input = input};
        case wire::NextHeader::icmpv6:
            return on_icmpv6(cx, input, is_looped);
        case wire::NextHeader::none:
            return {};
        default:
            break;
    }
    // RFC 8200 4
    cx.w.drop(DropReason::ipv6_next_header_unknown);
    send_error(cx, input, static_cast<std::uint8_t>(wire::Icmpv6Type::parameter_problem),
               wire::code_unknown_next_header, walk.next_header_pointer);
    return {};
}

}  // namespace

bool has_joined(const World& w, const Ipv6Address& group, InterfaceIndex interface) {
    if (group == ipv6_all_nodes) return true;
    if (!prefix_matches(group, solicited_node({}), 104)) return false;
    for (std::uint32_t i = w.addresses.next(0); i != none; i = w.addresses.next(i + 1)) {
        const AddressState& a = w.addresses.get(i);
        if (a.interface == interface && solicited_node(a.address) == group) return true;
    }
    return false;
}

Delivery on_packet(IpContext& cx, const link::Received& packet) {
    ++cx.w.count().ip_received;
    const ByteView bytes = cx.w.pool.view(packet.packet);
    const auto ip = wire::parse_ipv6(bytes);
    const auto drop = [&](DropReason reason) {
        cx.w.drop(reason);
        return Delivery{};
    };
    if (!ip) {
        return drop(ip.error() == wire::ParseError::bad_version ? DropReason::ipv6_bad_version
                                                                : DropReason::ipv6_truncated);
    }
    const OwnPair own = find_pair(cx.w, ip->src, ip->dst, packet.interface);
    if (const DropReason r = check_source(cx.w, packet, *ip, own.source); r != DropReason::invalid)
        return drop(r);
    if (const DropReason r = check_destination(cx.w, packet, *ip, own.destination);
        r != DropReason::invalid) {
        return drop(r);
    }

    TransportInput input{.source = ip->src,
                         .destination = ip->dst,
                         .interface = packet.interface,
                         .next_header = wire::number(ip->next_header),
                         .hop_limit = ip->hop_limit,
                         .traffic_class = ip->traffic_class,
                         .checksum_verified = packet.checksum_verified,
                         .is_multicast = packet.is_multicast || ip->dst.is_multicast(),
                         .packet = packet.packet};
    input.packet.length = static_cast<std::uint16_t>(wire::ipv6_header_bytes + ip->payload_length);
    const ByteView payload = wire::ipv6_payload(*ip, bytes);
    const auto walk = wire::walk_extension_headers(payload, ip->next_header);
    if (!walk) {
        refuse(cx, input, walk.error());
        return {};
    }
    if (walk->fragment || is_fragmented_discovery(payload, *ip, *walk))
        return drop(DropReason::ipv6_fragment);
    input.payload = {
        packet.packet.buffer,
        static_cast<std::uint16_t>(packet.packet.offset + wire::ipv6_header_bytes + walk->upper_offset),
        static_cast<std::uint16_t>(payload.size() - walk->upper_offset)};
    return hand_up(cx, input, *walk, packet.is_looped);
}

}  // namespace keepnet::ip
