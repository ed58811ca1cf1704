#include "wire/ipv6_extension.hpp"

#include "wire/bytes.hpp"
#include "wire/icmpv6.hpp"
#include "wire/tcp.hpp"
#include "wire/udp.hpp"

namespace keepnet::wire {

namespace {

using Result = std::expected<void, ExtensionError>;

std::unexpected<ExtensionError> drop(ExtensionErrorReason reason) {
    return std::unexpected(ExtensionError{reason, ExtensionAction::drop, 0, 0});
}

/// `at` counts from the byte behind the IPv6 header, the pointer from the header's first.
std::unexpected<ExtensionError> report(ExtensionErrorReason reason, std::uint8_t code, std::size_t at,
                                       ExtensionAction action = ExtensionAction::report_unless_multicast) {
    return std::unexpected(
        ExtensionError{reason, action, code, static_cast<std::uint32_t>(ipv6_header_bytes + at)});
}

/// RFC 8200 4.2: the two highest bits of an option's type say what to do if it is not known.
Result unknown_option(std::uint8_t type, std::size_t at) {
    constexpr auto reason = ExtensionErrorReason::unknown_option;
    switch (type >> 6) {
        case 0:
            return {};
        case 1:
            return drop(reason);
        case 2:
            return report(reason, code_unknown_option, at, ExtensionAction::report);
        default:
            return report(reason, code_unknown_option, at);
    }
}

/// The options of a hop-by-hop or destination options header that occupies payload[begin, end).
Result walk_options(ByteView payload, std::size_t begin, std::size_t end, bool hop_by_hop,
                    ExtensionWalk& walk) {
    constexpr std::uint8_t pad1 = 0;
    constexpr std::uint8_t padn = 1;
    constexpr std::uint8_t router_alert = 5;
    for (std::size_t at = begin + 2; at < end;) {
        const std::uint8_t type = payload[at];
        if (type == pad1) {
            ++at;
            continue;
        }
        if (end - at < 2 || end - at - 2 < payload[at + 1]) {
            // The length that lies is the header's field in error (RFC 4443 3.4).
            return report(ExtensionErrorReason::option_past_end, code_erroneous_field,
                          end - at < 2 ? at : at + 1);
        }
        const std::size_t length = payload[at + 1];
        if (hop_by_hop && type == router_alert && length == 2) {
            walk.router_alert = true;
        } else if (type != padn) {
            if (const auto ok = unknown_option(type, at); !ok) return ok;
        }
        at += 2 + length;
    }
    return {};
}

/// RFC 8200 4.4: a type that is not known is ignored when there is no way left to go.
Result check_routing(ByteView payload, std::size_t at) {
    if (payload[at + 3] == 0) return {};
    return report(ExtensionErrorReason::routing_segments_left, code_erroneous_field, at + 2);
}

/// All but the last fragment must be a multiple of 8 bytes long (pointer: the IPv6 payload length), and the
/// whole packet must fit a payload length (pointer: the fragment offset). RFC 8200 4.5.
Result check_fragment(const FragmentRepr& f, std::size_t header_at, std::size_t data_bytes) {
    if (f.more && data_bytes % 8 != 0) {
        return std::unexpected(ExtensionError{ExtensionErrorReason::fragment_length,
                                              ExtensionAction::report_unless_multicast, code_erroneous_field,
                                              4});
    }
    // What comes before the fragment header counts towards the payload length of the whole packet.
    if (header_at + f.offset + data_bytes > 0xffff) {
        return report(ExtensionErrorReason::fragment_too_large, code_erroneous_field, header_at + 2);
    }
    return {};
}

bool is_extension(NextHeader h) {
    return h == NextHeader::hop_by_hop || h == NextHeader::destination_options || h == NextHeader::routing ||
           h == NextHeader::fragment;
}

std::size_t upper_header_bytes(NextHeader h) {
    switch (h) {
        case NextHeader::tcp:
            return tcp_header_bytes;
        case NextHeader::udp:
            return udp_header_bytes;
        case NextHeader::icmpv6:
            return icmpv6_header_bytes;
        default:
            return 0;
    }
}

/// RFC 7112 5: the first fragment of a packet holds all its headers, the upper layer's included.
Result check_chain(ByteView payload, std::size_t at, NextHeader next) {
    while (is_extension(next)) {
        if (payload.size() - at < 8) break;
        const std::size_t bytes =
            next == NextHeader::fragment ? fragment_header_bytes : 8 + std::size_t{payload[at + 1]} * 8;
        if (payload.size() - at < bytes) break;
        next = static_cast<NextHeader>(payload[at]);
        at += bytes;
    }
    if (!is_extension(next) && payload.size() - at >= upper_header_bytes(next)) return {};
    return std::unexpected(ExtensionError{ExtensionErrorReason::incomplete_chain,
                                          ExtensionAction::report_unless_multicast, code_incomplete_chain,
                                          0});
}

}  // namespace

std::expected<FragmentRepr, ParseError> parse_fragment(ByteView header) {
    if (header.size() < fragment_header_bytes) return std::unexpected(ParseError::truncated);
    const std::uint16_t field = load_u16(header, 2);
    // The reserved bits are ignored (RFC 8200 4.5).
    return FragmentRepr{static_cast<NextHeader>(header[0]), static_cast<std::uint16_t>(field & 0xfff8),
                        (field & 1) != 0, load_u32(header, 4)};
}

std::size_t emit_fragment(const FragmentRepr& repr, MutableBytes out) {
    if (out.size() < fragment_header_bytes) return 0;
    out[0] = number(repr.next_header);
    out[1] = 0;
    store_u16(out, 2, static_cast<std::uint16_t>((repr.offset & 0xfff8U) | (repr.more ? 1U : 0U)));
    store_u32(out, 4, repr.identification);
    return fragment_header_bytes;
}

std::expected<ExtensionWalk, ExtensionError> walk_extension_headers(ByteView payload, NextHeader first) {
    ExtensionWalk walk;
    walk.upper = first;
    while (is_extension(walk.upper)) {
        const std::size_t at = walk.upper_offset;
        if (walk.upper == NextHeader::hop_by_hop && at != 0) {
            return std::unexpected(ExtensionError{ExtensionErrorReason::misplaced_hop_by_hop,
                                                  ExtensionAction::report_unless_multicast,
                                                  code_unknown_next_header, walk.next_header_pointer});
        }
        if (payload.size() - at < 8) return drop(ExtensionErrorReason::truncated);
        const bool is_fragment = walk.upper == NextHeader::fragment;
        const std::size_t bytes = is_fragment ? fragment_header_bytes : 8 + std::size_t{payload[at + 1]} * 8;
        if (payload.size() - at < bytes) return drop(ExtensionErrorReason::truncated);
        const std::size_t end = at + bytes;

        Result ok;
        if (is_fragment) {
            const FragmentRepr fragment = *parse_fragment(payload.subspan(at));
            if (!fragment.is_atomic()) {
                walk.fragment = fragment;
                ok = check_fragment(fragment, at, payload.size() - end);
                if (ok && fragment.offset == 0) ok = check_chain(payload, end, fragment.next_header);
            }
        } else if (walk.upper == NextHeader::routing) {
            ok = check_routing(payload, at);
        } else {
            ok = walk_options(payload, at, end, walk.upper == NextHeader::hop_by_hop, walk);
        }
        if (!ok) return std::unexpected(ok.error());

        walk.upper = static_cast<NextHeader>(payload[at]);
        walk.next_header_pointer = static_cast<std::uint32_t>(ipv6_header_bytes + at);
        walk.upper_offset = end;
        if (walk.fragment) break;
    }
    return walk;
}

}  // namespace keepnet::wire
