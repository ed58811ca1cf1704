#include "wire/ndp.hpp"

#include "wire/bytes.hpp"
#include "wire/icmpv6.hpp"

namespace keepnet::wire {

namespace {

constexpr std::uint8_t option_source_link = 1;
constexpr std::uint8_t option_target_link = 2;
constexpr std::uint8_t option_prefix = 3;
constexpr std::uint8_t option_redirected = 4;
constexpr std::uint8_t option_mtu = 5;
constexpr std::uint8_t option_nonce = 14;
constexpr std::uint8_t option_rdnss = 25;
constexpr std::uint8_t option_dnssl = 31;

// Lengths of the fixed parts: the options start behind them.
constexpr std::size_t router_solicitation_bytes = 8;
constexpr std::size_t router_advertisement_bytes = 16;
constexpr std::size_t neighbor_bytes = 24;
constexpr std::size_t redirect_bytes = 40;

PrefixInformation load_prefix(ByteView o) {
    return {.prefix_length = o[2],
            .on_link = (o[3] & 0x80) != 0,
            .autonomous = (o[3] & 0x40) != 0,
            .valid_lifetime_s = load_u32(o, 4),
            .preferred_lifetime_s = load_u32(o, 8),
            .prefix = load_ipv6(o, 16)};
}

void keep_first(std::optional<MacAddress>& slot, ByteView o) {
    if (!slot && o.size() == 8) slot = load_mac(o, 2);
}

void keep_raw(std::array<ByteView, ndp_raw_options_max>& slots, std::size_t& count, ByteView o) {
    if (count < slots.size()) slots[count++] = o;
}

/// One whole option. One of a known type and another length than it has is as good as unknown.
void take_option(ByteView o, NdpOptions& out) {
    switch (o[0]) {
        case option_source_link:
            keep_first(out.source_link, o);
            break;
        case option_target_link:
            keep_first(out.target_link, o);
            break;
        case option_prefix:
            if (o.size() == 32 && o[2] <= 128 && out.prefix_count < out.prefixes.size()) {
                out.prefixes[out.prefix_count++] = load_prefix(o);
            }
            break;
        case option_redirected:
            if (out.redirected.empty() && o.size() > 8) out.redirected = o.subspan(8);
            break;
        case option_mtu:
            if (!out.mtu && o.size() == 8) out.mtu = load_u32(o, 4);
            break;
        case option_nonce:
            if (out.nonce.empty()) out.nonce = o.subspan(2);
            break;
        case option_rdnss:
            keep_raw(out.rdnss, out.rdnss_count, o);
            break;
        case option_dnssl:
            keep_raw(out.dnssl, out.dnssl_count, o);
            break;
        default:
            break;
    }
}

std::expected<NdpOptions, ParseError> parse_options(ByteView bytes) {
    NdpOptions out;
    while (!bytes.empty()) {
        // RFC 4861 4.6: length in units of 8 bytes; zero makes the whole message invalid.
        if (bytes.size() < 8 || bytes[1] == 0 || bytes.size() < std::size_t{bytes[1]} * 8) {
            return std::unexpected(ParseError::bad_option);
        }
        take_option(bytes.first(std::size_t{bytes[1]} * 8), out);
        bytes = bytes.subspan(std::size_t{bytes[1]} * 8);
    }
    return out;
}

/// What every message's list of checks starts with: type, code, length, options.
std::expected<NdpOptions, ParseError> check_message(ByteView bytes, Icmpv6Type type,
                                                    std::size_t fixed_bytes) {
    const auto header = parse_icmpv6_header(bytes);
    if (!header) return std::unexpected(header.error());
    if (header->type != type) return std::unexpected(ParseError::bad_type);
    if (header->code != 0) return std::unexpected(ParseError::bad_code);
    if (bytes.size() < fixed_bytes) return std::unexpected(ParseError::truncated);
    return parse_options(bytes.subspan(fixed_bytes));
}

constexpr auto bad_address = std::unexpected(ParseError::bad_address);

/// Writes a message piece by piece; once something does not fit, nothing more is written and the length is 0.
class Writer {
  public:
    Writer(MutableBytes out, Icmpv6Type type, std::size_t fixed_bytes) : out_(out) {
        const MutableBytes fixed = take(fixed_bytes);
        for (auto& b : fixed) b = 0;
        if (!fixed.empty()) fixed[0] = static_cast<std::uint8_t>(type);
    }

    /// The fixed part; empty if it did not fit.
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::size_t length() const { return ok_ ? used_ : 0; }

    void options(const NdpOptions& o) {
        if (o.source_link) link_address(option_source_link, *o.source_link);
        if (o.target_link) link_address(option_target_link, *o.target_link);
        if (o.mtu) mtu(*o.mtu);
        for (std::size_t i = 0; i < o.prefix_count && i < o.prefixes.size(); ++i) prefix(o.prefixes[i]);
        if (!o.nonce.empty()) with_bytes(option_nonce, 2, o.nonce);
        if (!o.redirected.empty()) with_bytes(option_redirected, 8, o.redirected);
        for (std::size_t i = 0; i < o.rdnss_count && i < o.rdnss.size(); ++i) raw(option_rdnss, o.rdnss[i]);
        for (std::size_t i = 0; i < o.dnssl_count && i < o.dnssl.size(); ++i) raw(option_dnssl, o.dnssl[i]);
    }

  private:
    MutableBytes take(std::size_t bytes) {
        if (!ok_ || out_.size() - used_ < bytes) {
            ok_ = false;
            return {};
        }
        used_ += bytes;
        return out_.subspan(used_ - bytes, bytes);
    }

    /// An option of this many bytes, zeroed, with type and length set.
    MutableBytes option(std::uint8_t type, std::size_t bytes) {
        if (bytes % 8 != 0 || bytes / 8 > 255) ok_ = false;
        const MutableBytes o = take(bytes);
        for (auto& b : o) b = 0;
        if (!o.empty()) {
            o[0] = type;
            o[1] = static_cast<std::uint8_t>(bytes / 8);
        }
        return o;
    }

    void link_address(std::uint8_t type, const MacAddress& mac) {
        if (const MutableBytes o = option(type, 8); !o.empty()) store_mac(o, 2, mac);
    }

    void mtu(std::uint32_t value) {
        if (const MutableBytes o = option(option_mtu, 8); !o.empty()) store_u32(o, 4, value);
    }

    void prefix(const PrefixInformation& p) {
        const MutableBytes o = option(option_prefix, 32);
        if (o.empty()) return;
        o[2] = p.prefix_length;
        o[3] = static_cast<std::uint8_t>((p.on_link ? 0x80U : 0U) | (p.autonomous ? 0x40U : 0U));
        store_u32(o, 4, p.valid_lifetime_s);
        store_u32(o, 8, p.preferred_lifetime_s);
        store_ipv6(o, 16, p.prefix);
    }

    void with_bytes(std::uint8_t type, std::size_t header_bytes, ByteView content) {
        const MutableBytes o = option(type, header_bytes + content.size());
        if (!o.empty()) store_bytes(o, header_bytes, content);
    }

    /// An option as it is: what it says of itself must be true.
    void raw(std::uint8_t type, ByteView whole) {
        if (whole.size() < 8 || whole[0] != type || std::size_t{whole[1]} * 8 != whole.size()) {
            ok_ = false;
            return;
        }
        if (const MutableBytes o = take(whole.size()); !o.empty()) store_bytes(o, 0, whole);
    }

    MutableBytes out_;
    std::size_t used_ = 0;
    bool ok_ = true;
};

}  // namespace

std::expected<NeighborSolicitationRepr, ParseError> parse_neighbor_solicitation(const NdpMessage& m) {
    auto options = check_message(m.bytes, Icmpv6Type::neighbor_solicitation, neighbor_bytes);
    if (!options) return std::unexpected(options.error());
    const NeighborSolicitationRepr r{load_ipv6(m.bytes, 8), *options};
    // RFC 4861 7.1.1
    if (r.target.is_multicast()) return bad_address;
    if (m.src.is_unspecified()) {
        constexpr Ipv6Address solicited = solicited_node({});
        if (!prefix_matches(m.dst, solicited, 104)) return bad_address;
        if (r.options.source_link) return std::unexpected(ParseError::bad_option);
    }
    return r;
}

std::expected<NeighborAdvertisementRepr, ParseError> parse_neighbor_advertisement(const NdpMessage& m) {
    auto options = check_message(m.bytes, Icmpv6Type::neighbor_advertisement, neighbor_bytes);
    if (!options) return std::unexpected(options.error());
    const NeighborAdvertisementRepr r{(m.bytes[4] & 0x80) != 0, (m.bytes[4] & 0x40) != 0,
                                      (m.bytes[4] & 0x20) != 0, load_ipv6(m.bytes, 8), *options};
    // RFC 4861 7.1.2
    if (r.target.is_multicast() || (m.dst.is_multicast() && r.solicited)) return bad_address;
    return r;
}

std::expected<RouterSolicitationRepr, ParseError> parse_router_solicitation(const NdpMessage& m) {
    auto options = check_message(m.bytes, Icmpv6Type::router_solicitation, router_solicitation_bytes);
    if (!options) return std::unexpected(options.error());
    // RFC 4861 6.1.1
    if (m.src.is_unspecified() && options->source_link) return std::unexpected(ParseError::bad_option);
    return RouterSolicitationRepr{*options};
}

std::expected<RouterAdvertisementRepr, ParseError> parse_router_advertisement(const NdpMessage& m) {
    auto options = check_message(m.bytes, Icmpv6Type::router_advertisement, router_advertisement_bytes);
    if (!options) return std::unexpected(options.error());
    // RFC 4861 6.1.2
    if (!m.src.is_link_local()) return bad_address;
    return RouterAdvertisementRepr{.cur_hop_limit = m.bytes[4],
                                   .managed = (m.bytes[5] & 0x80) != 0,
                                   .other_config = (m.bytes[5] & 0x40) != 0,
                                   .preference = static_cast<std::uint8_t>(m.bytes[5] >> 3 & 3),
                                   .router_lifetime_s = load_u16(m.bytes, 6),
                                   .reachable_time_ms = load_u32(m.bytes, 8),
                                   .retrans_timer_ms = load_u32(m.bytes, 12),
                                   .options = *options};
}

std::expected<RedirectRepr, ParseError> parse_redirect(const NdpMessage& m) {
    auto options = check_message(m.bytes, Icmpv6Type::redirect, redirect_bytes);
    if (!options) return std::unexpected(options.error());
    const RedirectRepr r{load_ipv6(m.bytes, 8), load_ipv6(m.bytes, 24), *options};
    // RFC 4861 8.1
    if (!m.src.is_link_local() || r.destination.is_multicast()) return bad_address;
    if (!r.target.is_link_local() && r.target != r.destination) return bad_address;
    return r;
}

std::size_t emit_neighbor_solicitation(const NeighborSolicitationRepr& repr, MutableBytes out) {
    Writer w(out, Icmpv6Type::neighbor_solicitation, neighbor_bytes);
    if (!w.ok()) return 0;
    store_ipv6(out, 8, repr.target);
    w.options(repr.options);
    return w.length();
}

std::size_t emit_neighbor_advertisement(const NeighborAdvertisementRepr& repr, MutableBytes out) {
    Writer w(out, Icmpv6Type::neighbor_advertisement, neighbor_bytes);
    if (!w.ok()) return 0;
    out[4] = static_cast<std::uint8_t>((repr.router ? 0x80U : 0U) | (repr.solicited ? 0x40U : 0U) |
                                       (repr.override_cache ? 0x20U : 0U));
    store_ipv6(out, 8, repr.target);
    w.options(repr.options);
    return w.length();
}

std::size_t emit_router_solicitation(const RouterSolicitationRepr& repr, MutableBytes out) {
    Writer w(out, Icmpv6Type::router_solicitation, router_solicitation_bytes);
    w.options(repr.options);
    return w.length();
}

std::size_t emit_router_advertisement(const RouterAdvertisementRepr& repr, MutableBytes out) {
    Writer w(out, Icmpv6Type::router_advertisement, router_advertisement_bytes);
    if (!w.ok()) return 0;
    out[4] = repr.cur_hop_limit;
    out[5] = static_cast<std::uint8_t>((repr.managed ? 0x80U : 0U) | (repr.other_config ? 0x40U : 0U) |
                                       (repr.preference & 3U) << 3);
    store_u16(out, 6, repr.router_lifetime_s);
    store_u32(out, 8, repr.reachable_time_ms);
    store_u32(out, 12, repr.retrans_timer_ms);
    w.options(repr.options);
    return w.length();
}

std::size_t emit_redirect(const RedirectRepr& repr, MutableBytes out) {
    Writer w(out, Icmpv6Type::redirect, redirect_bytes);
    if (!w.ok()) return 0;
    store_ipv6(out, 8, repr.target);
    store_ipv6(out, 24, repr.destination);
    w.options(repr.options);
    return w.length();
}

}  // namespace keepnet::wire
