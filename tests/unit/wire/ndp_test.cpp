#include "wire/ndp.hpp"

#include <catch2/catch_test_macros.hpp>
#include <random>

#include "unit/hex.hpp"
#include "wire/icmpv6.hpp"

using namespace keepnet;
using namespace keepnet::wire;
using namespace keepnet::test;

namespace {

const char* const target_text = "fe80000000000000 0000000000000002";
const MacAddress our_mac = mac("02:00:00:00:00:07");
const Bytes source_link = hex("01 01 020000000007");
const Bytes target_link = hex("02 01 020000000007");

NdpMessage message(const Bytes& b, const char* src = "fe80::1", const char* dst = "fe80::2") {
    return {b, ip(src), ip(dst)};
}

Bytes bytes(ByteView v) { return {v.begin(), v.end()}; }

bool same(const NdpOptions& a, const NdpOptions& b) {
    bool raw = true;
    for (std::size_t i = 0; i < ndp_raw_options_max; ++i) {
        raw = raw && bytes(a.rdnss[i]) == bytes(b.rdnss[i]) && bytes(a.dnssl[i]) == bytes(b.dnssl[i]);
    }
    return raw && a.source_link == b.source_link && a.target_link == b.target_link && a.mtu == b.mtu &&
           a.prefixes == b.prefixes && a.prefix_count == b.prefix_count && bytes(a.nonce) == bytes(b.nonce) &&
           bytes(a.redirected) == bytes(b.redirected) && a.rdnss_count == b.rdnss_count &&
           a.dnssl_count == b.dnssl_count;
}

template <typename Repr, typename Emit>
Bytes emitted(const Repr& repr, Emit emit) {
    Bytes out(512, 0xee);
    const std::size_t n = emit(repr, out);
    REQUIRE(n != 0);
    out.resize(n);
    for (std::size_t small = 0; small < n; ++small) {
        Bytes few(small);
        CHECK(emit(repr, few) == 0);
    }
    return out;
}

/// Each message in its shortest valid form, with a source link-layer address where it may have one.
const Bytes solicitation = hex("87 00 0000 00000000") + hex(target_text) + source_link;
const Bytes advertisement = hex("88 00 0000 60000000") + hex(target_text) + target_link;
const Bytes router_solicitation = hex("85 00 0000 00000000") + source_link;
const Bytes router_advertisement = hex("86 00 0000 40 c8 0708 00007530 000003e8");
const Bytes redirect =
    hex("89 00 0000 00000000") + hex(target_text) + hex("20010db8000000000000000000000009");

struct Kind {
    const char* name;
    const Bytes& valid;
    std::size_t fixed_bytes;
    ParseError (*error)(const Bytes&);  // ParseError::invalid: accepted
};

template <auto parse>
ParseError error_of(const Bytes& b) {
    const auto r = parse(message(b));
    return r ? ParseError::invalid : r.error();
}

const Kind kinds[] = {
    {"neighbor solicitation", solicitation, 24, error_of<parse_neighbor_solicitation>},
    {"neighbor advertisement", advertisement, 24, error_of<parse_neighbor_advertisement>},
    {"router solicitation", router_solicitation, 8, error_of<parse_router_solicitation>},
    {"router advertisement", router_advertisement, 16, error_of<parse_router_advertisement>},
    {"redirect", redirect, 40, error_of<parse_redirect>},
};

}  // namespace

TEST_CASE("ndp: neighbor solicitation, RFC 4861 4.3, there and back") {
    NeighborSolicitationRepr repr{.target = ip("fe80::2"), .options = {}};
    repr.options.source_link = our_mac;
    const Bytes b = emitted(repr, emit_neighbor_solicitation);
    CHECK(b == solicitation);
    const auto r = parse_neighbor_solicitation(message(b));
    REQUIRE(r.has_value());
    CHECK(r->target == repr.target);
    CHECK(same(r->options, repr.options));
}

TEST_CASE("ndp: neighbor advertisement, RFC 4861 4.4, each flag") {
    for (unsigned flags = 0; flags < 8; ++flags) {
        NeighborAdvertisementRepr repr;
        repr.router = (flags & 4) != 0;
        repr.solicited = (flags & 2) != 0;
        repr.override_cache = (flags & 1) != 0;
        repr.target = ip("fe80::2");
        repr.options.target_link = our_mac;
        const Bytes b = emitted(repr, emit_neighbor_advertisement);
        CHECK(b[4] == flags << 5);
        const auto r = parse_neighbor_advertisement(message(b));
        REQUIRE(r.has_value());
        CHECK(r->router == repr.router);
        CHECK(r->solicited == repr.solicited);
        CHECK(r->override_cache == repr.override_cache);
        CHECK(r->target == repr.target);
        CHECK(same(r->options, repr.options));
        if (flags == 3) CHECK(b == advertisement);
    }
}

TEST_CASE("ndp: router solicitation, RFC 4861 4.1") {
    RouterSolicitationRepr repr;
    repr.options.source_link = our_mac;
    const Bytes b = emitted(repr, emit_router_solicitation);
    CHECK(b == router_solicitation);
    const auto r = parse_router_solicitation(message(b));
    REQUIRE(r.has_value());
    CHECK(same(r->options, repr.options));
}

TEST_CASE("ndp: router advertisement, RFC 4861 4.2, with every option") {
    const Bytes rdnss = hex("19 03 0000 00000258 20010db8000000000000000000000053");
    const Bytes dnssl = hex("1f 02 0000 00000258 036c616e00 000000");
    const Bytes nonce = hex("010203040506");
    RouterAdvertisementRepr repr;
    repr.cur_hop_limit = 64;
    repr.managed = repr.other_config = true;
    repr.preference = 1;
    repr.router_lifetime_s = 1800;
    repr.reachable_time_ms = 30'000;
    repr.retrans_timer_ms = 1000;
    repr.options.source_link = our_mac;
    repr.options.mtu = 1400;
    repr.options.prefixes[0] = {64, true, false, 86400, 14400, ip("2001:db8::")};
    repr.options.prefixes[1] = {48, false, true, 0xffff'ffff, 0, ip("2001:db8:1::")};
    repr.options.prefix_count = 2;
    repr.options.nonce = nonce;
    repr.options.rdnss[0] = rdnss;
    repr.options.rdnss_count = 1;
    repr.options.dnssl[0] = dnssl;
    repr.options.dnssl_count = 1;
    const Bytes b = emitted(repr, emit_router_advertisement);
    CHECK(b == router_advertisement + source_link + hex("05 01 0000 00000578") +
                   hex("03 04 40 80 00015180 00003840 00000000 20010db8000000000000000000000000") +
                   hex("03 04 30 40 ffffffff 00000000 00000000 20010db8000100000000000000000000") +
                   hex("0e 01 010203040506") + rdnss + dnssl);
    const auto r = parse_router_advertisement(message(b));
    REQUIRE(r.has_value());
    CHECK(r->cur_hop_limit == 64);
    CHECK(r->managed);
    CHECK(r->other_config);
    CHECK(r->preference == 1);
    CHECK(r->router_lifetime_s == 1800);
    CHECK(r->reachable_time_ms == 30'000);
    CHECK(r->retrans_timer_ms == 1000);
    CHECK(same(r->options, repr.options));
}

TEST_CASE("ndp: redirect, RFC 4861 4.5") {
    const Bytes packet = hex("6000000000000040 0102030405060708");
    RedirectRepr repr;
    repr.target = ip("fe80::2");
    repr.destination = ip("2001:db8::9");
    repr.options.target_link = our_mac;
    repr.options.redirected = packet;
    const Bytes b = emitted(repr, emit_redirect);
    CHECK(b == redirect + target_link + hex("04 03 0000 00000000") + packet);
    const auto r = parse_redirect(message(b));
    REQUIRE(r.has_value());
    CHECK(r->target == repr.target);
    CHECK(r->destination == repr.destination);
    CHECK(same(r->options, repr.options));
}

TEST_CASE("ndp: what every message is checked for, RFC 4861 6.1, 7.1, 8.1") {
    for (const auto& kind : kinds) {
        CAPTURE(kind.name);
        CHECK(kind.error(kind.valid) == ParseError::invalid);
        for (std::size_t n = 0; n < kind.fixed_bytes; ++n) {
            CHECK(kind.error(first(kind.valid, n)) == ParseError::truncated);
        }
        for (std::size_t n = kind.fixed_bytes + 1; n < kind.valid.size(); ++n) {
            CHECK(kind.error(first(kind.valid, n)) == ParseError::bad_option);
        }
        Bytes type = kind.valid;
        type[0] = 128;
        CHECK(kind.error(type) == ParseError::bad_type);
        Bytes code = kind.valid;
        code[1] = 1;
        CHECK(kind.error(code) == ParseError::bad_code);
        CHECK(kind.error(kind.valid + hex("ff 00 000000000000")) == ParseError::bad_option);  // length 0
        CHECK(kind.error(kind.valid + hex("ff 02 000000000000")) == ParseError::bad_option);  // past the end
        CHECK(kind.error(kind.valid + hex("ff 01 0000")) == ParseError::bad_option);
        CHECK(kind.error(kind.valid + hex("ff 01 000000000000")) == ParseError::invalid);  // unknown: skipped
    }
}

TEST_CASE("ndp: addresses that a message must not carry") {
    const Bytes multicast_target = hex("87 00 0000 00000000 ff020000000000000000000000000001");
    CHECK(parse_neighbor_solicitation(message(multicast_target)).error() == ParseError::bad_address);
    Bytes multicast_na = multicast_target;
    multicast_na[0] = 0x88;
    CHECK(parse_neighbor_advertisement(message(multicast_na)).error() == ParseError::bad_address);

    // 7.1.1: a probe goes to the solicited-node address and names no link-layer address.
    const Bytes probe = first(solicitation, 24);
    CHECK(parse_neighbor_solicitation(message(probe, "::", "ff02::1:ff00:2")).has_value());
    CHECK(parse_neighbor_solicitation(message(probe, "::", "fe80::2")).error() == ParseError::bad_address);
    CHECK(parse_neighbor_solicitation(message(probe, "::", "ff02::1")).error() == ParseError::bad_address);
    CHECK(parse_neighbor_solicitation(message(solicitation, "::", "ff02::1:ff00:2")).error() ==
          ParseError::bad_option);
    // 7.1.2: Solicited is for the one who asked.
    CHECK(parse_neighbor_advertisement(message(advertisement, "fe80::1", "ff02::1")).error() ==
          ParseError::bad_address);
    // 6.1.1
    CHECK(parse_router_solicitation(message(router_solicitation, "::", "ff02::2")).error() ==
          ParseError::bad_option);
    CHECK(parse_router_solicitation(message(first(router_solicitation, 8), "::", "ff02::2")).has_value());
    // 6.1.2
    CHECK(parse_router_advertisement(message(router_advertisement, "2001:db8::1")).error() ==
          ParseError::bad_address);
    // 8.1
    CHECK(parse_redirect(message(redirect, "2001:db8::1")).error() == ParseError::bad_address);
    Bytes to_group = redirect;
    to_group[24] = 0xff;
    CHECK(parse_redirect(message(to_group)).error() == ParseError::bad_address);
    Bytes via_global = redirect;
    via_global[8] = 0x20;
    CHECK(parse_redirect(message(via_global)).error() == ParseError::bad_address);
    Bytes on_link =
        first(redirect, 8) + hex("20010db8000000000000000000000009 20010db8000000000000000000000009");
    CHECK(parse_redirect(message(on_link)).has_value());
}

TEST_CASE("ndp: options of a wrong length, too many, or twice") {
    const Bytes head = router_advertisement;
    const Bytes prefix = hex("03 04 40 c0 00000001 00000001 00000000 20010db8000000000000000000000000");
    const auto options_of = [&](const Bytes& more) {
        const auto r =
            parse_router_advertisement({.bytes = more, .src = ip("fe80::1"), .dst = ip("ff02::1")});
        REQUIRE(r.has_value());
        return r->options;
    };
    // Of the right length in bytes but not the one its type has: as good as unknown.
    const Bytes long_link = head + hex("01 02 0200000000070000000000000000");
    CHECK_FALSE(options_of(long_link).source_link.has_value());
    CHECK_FALSE(options_of(head + hex("05 02 0000 00000578 0000000000000000")).mtu.has_value());
    CHECK(options_of(head + hex("03 01 40 c0 00000001")).prefix_count == 0);
    Bytes long_prefix = prefix;
    long_prefix[2] = 129;
    CHECK(options_of(head + long_prefix).prefix_count == 0);
    CHECK(options_of(head + hex("04 01 0000 00000000")).redirected.empty());
    // The first of two stands.
    CHECK(options_of(head + source_link + hex("01 01 0200000000ff")).source_link == our_mac);
    // More than there is room for.
    Bytes many = head;
    for (std::size_t i = 0; i < ndp_prefixes_max + 3; ++i) many = many + prefix;
    CHECK(options_of(many).prefix_count == ndp_prefixes_max);
    Bytes servers = head;
    for (std::size_t i = 0; i < ndp_raw_options_max + 3; ++i) servers = servers + hex("19 01 0000 00000000");
    CHECK(options_of(servers).rdnss_count == ndp_raw_options_max);
}

TEST_CASE("ndp: options that cannot be written are not") {
    Bytes out(512);
    NeighborSolicitationRepr repr{.target = ip("fe80::2"), .options = {}};
    const Bytes five(5);
    repr.options.nonce = five;
    CHECK(emit_neighbor_solicitation(repr, out) == 0);
    const Bytes huge(6 + 8 * 255);
    Bytes room(4096);
    repr.options.nonce = huge;
    CHECK(emit_neighbor_solicitation(repr, room) == 0);
    RouterAdvertisementRepr ra;
    for (const char* wrong : {"19 02 000000000000", "18 01 000000000000", "19 01 0000", ""}) {
        const Bytes raw = hex(wrong);
        ra.options.rdnss[0] = raw;
        ra.options.rdnss_count = 1;
        CHECK(emit_router_advertisement(ra, out) == 0);
    }
}

TEST_CASE("ndp: any bytes behind a valid header are read without stepping outside") {
    std::mt19937 g(9);
    unsigned accepted = 0;
    for (int i = 0; i < 20'000; ++i) {
        const auto& kind = kinds[g() % std::size(kinds)];
        Bytes tail(8 * (g() % 12));
        for (auto& x : tail) x = static_cast<std::uint8_t>(g() % 2 == 0 ? g() : g() % 6);
        for (std::size_t at = 0; at < tail.size(); at += 8) tail[at + 1] = static_cast<std::uint8_t>(g() % 5);
        if (kind.error(first(kind.valid, kind.fixed_bytes) + tail) == ParseError::invalid) ++accepted;
    }
    CHECK(accepted > 100);
}
