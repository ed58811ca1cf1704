// Source address selection (RFC 6724 5) and flow labels (RFC 6437).
#include <cstring>

#include "ip/own.hpp"

namespace keepnet::ip {

namespace {

/// RFC 6724 2.1, the labels of the default policy table; the longest matching prefix counts.
struct Policy {
    Ipv6Address prefix{};
    std::uint8_t prefix_length = 0;
    std::uint8_t label = 0;
};
constexpr std::array<Policy, 9> policies{{
    {ipv6_loopback, 128, 0},
    {Ipv6Address::from_words({0, 0, 0, 0, 0, 0, 0, 0}), 96, 3},
    {Ipv6Address::from_words({0, 0, 0, 0, 0, 0xffff, 0, 0}), 96, 4},
    {Ipv6Address::from_words({0x2001, 0, 0, 0, 0, 0, 0, 0}), 32, 5},
    {Ipv6Address::from_words({0x2002, 0, 0, 0, 0, 0, 0, 0}), 16, 2},
    {Ipv6Address::from_words({0x3ffe, 0, 0, 0, 0, 0, 0, 0}), 16, 12},
    {Ipv6Address::from_words({0xfec0, 0, 0, 0, 0, 0, 0, 0}), 10, 11},
    {Ipv6Address::from_words({0xfc00, 0, 0, 0, 0, 0, 0, 0}), 7, 13},
    {Ipv6Address{}, 0, 1},
}};

unsigned label_of(const Ipv6Address& a) {
    for (const Policy& p : policies) {
        if (prefix_matches(p.prefix, a, p.prefix_length)) return p.label;
    }
    return 1;
}

/// RFC 6724 3.1, in the numbers of multicast scopes.
unsigned scope_of(const Ipv6Address& a) {
    if (a.is_multicast()) return a.multicast_scope();
    if (a.is_link_local() || a.is_loopback()) return 0x2;
    const bool is_site_local = a.octets[0] == 0xfe && (a.octets[1] & 0xc0) == 0xc0;
    return is_site_local ? 0x5 : 0xe;
}

/// CommonPrefixLen(S, D) of RFC 6724 2.2: not beyond the source's own prefix.
unsigned common_prefix(const AddressState& source, const Ipv6Address& destination) {
    unsigned bits = 0;
    while (bits < source.prefix_length && prefix_matches(source.address, destination, bits + 1)) ++bits;
    return bits;
}

/// Is `a` a better source than `b`? Rules 4, 5, 5.5 and 7 have nothing to decide between addresses of one
/// interface.
bool is_better_source(const AddressState& a, const AddressState& b, const Ipv6Address& destination) {
    if (a.address == destination || b.address == destination) return a.address == destination;  // rule 1
    const unsigned scope_a = scope_of(a.address);
    const unsigned scope_b = scope_of(b.address);
    if (scope_a != scope_b) {  // rule 2
        const unsigned scope = scope_of(destination);
        return scope_a < scope_b ? scope_a >= scope : scope_b < scope;
    }
    // Rule 3; an optimistic address stands back like a deprecated one (RFC 4429 3.1).
    const bool preferred_a = status_of(a) == AddressStatus::preferred;
    const bool preferred_b = status_of(b) == AddressStatus::preferred;
    if (preferred_a != preferred_b) return preferred_a;
    const unsigned label = label_of(destination);  // rule 6
    const bool same_a = label_of(a.address) == label;
    const bool same_b = label_of(b.address) == label;
    if (same_a != same_b) return same_a;
    return common_prefix(a, destination) > common_prefix(b, destination);  // rule 8
}

std::uint64_t word(const Ipv6Address& a, std::size_t half) {
    std::uint64_t w;
    std::memcpy(&w, a.octets.data() + 8 * half, sizeof w);
    return w;
}

}  // namespace

std::optional<Ipv6Address> select_source(const Context& cx, const Ipv6Address& destination,
                                         const RouteChoice& route) {
    const AddressState* best = nullptr;
    for (std::uint32_t i = cx.w.addresses.next(0); i != none; i = cx.w.addresses.next(i + 1)) {
        const AddressState& a = cx.w.addresses.get(i);
        if (a.interface != route.interface || !is_usable(status_of(a))) continue;
        if (best == nullptr || is_better_source(a, *best, destination)) best = &a;
    }
    if (best == nullptr) return std::nullopt;
    return best->address;
}

std::uint32_t flow_label(const Context& cx, const Ipv6Address& source, const Ipv6Address& destination,
                         std::uint16_t source_port, std::uint16_t destination_port,
                         std::uint8_t next_header) {
    const std::array<std::uint64_t, 5> tuple{
        word(source, 0), word(source, 1), word(destination, 0), word(destination, 1),
        std::uint64_t{source_port} << 32 | std::uint64_t{destination_port} << 16 | next_header};
    const auto label = static_cast<std::uint32_t>(hash24_words(cx.w.stack().flow_key, tuple) & 0xf'ffff);
    return label == 0 ? 1 : label;
}

}  // namespace keepnet::ip
