#include "wire/ipv6_extension.hpp"

#include <catch2/catch_test_macros.hpp>
#include <random>

#include "unit/hex.hpp"

using namespace keepnet;
using namespace keepnet::wire;
using namespace keepnet::test;

using Action = ExtensionAction;
using Reason = ExtensionErrorReason;

namespace {

const Bytes udp_header = hex("1234 5678 0008 ffff");

ExtensionWalk reaches(NextHeader upper, std::size_t offset, std::uint32_t pointer) {
    return {.upper = upper, .upper_offset = offset, .next_header_pointer = pointer};
}

}  // namespace

TEST_CASE("fragment header: RFC 8200 4.5, there and back, reserved bits are ignored") {
    const FragmentRepr f{NextHeader::tcp, 0x1238, true, 0xdead'beef};
    Bytes out(fragment_header_bytes);
    CHECK(emit_fragment(f, out) == fragment_header_bytes);
    CHECK(out == hex("06 00 1239 deadbeef"));
    CHECK(parse_fragment(out) == f);
    CHECK(parse_fragment(hex("06 ff 123f deadbeef")) == f);
    for (std::size_t n = 0; n < 8; ++n) {
        CHECK(parse_fragment(first(out, n)) == std::unexpected(ParseError::truncated));
        Bytes small(n);
        CHECK(emit_fragment(f, small) == 0);
    }
}

TEST_CASE("extension headers: walks that succeed") {
    struct Case {
        const char* what;
        NextHeader first;
        Bytes payload;
        ExtensionWalk walk;
    };
    auto alert = reaches(NextHeader::udp, 8, 40);
    alert.router_alert = true;
    auto last_fragment = reaches(NextHeader::udp, 8, 40);
    last_fragment.fragment = {NextHeader::udp, 16, false, 1};
    auto first_fragment = reaches(NextHeader::udp, 8, 40);
    first_fragment.fragment = {NextHeader::udp, 0, true, 1};
    auto fragment_of_options = reaches(NextHeader::destination_options, 8, 40);
    fragment_of_options.fragment = {NextHeader::destination_options, 0, true, 1};
    const Case cases[] = {
        {"none at all", NextHeader::udp, udp_header, reaches(NextHeader::udp, 0, 6)},
        {"no next header, nothing there", NextHeader::none, {}, reaches(NextHeader::none, 0, 6)},
        {"unknown upper layer: the caller decides", static_cast<NextHeader>(99), hex("01"),
         reaches(static_cast<NextHeader>(99), 0, 6)},
        {"hop-by-hop with PadN", NextHeader::hop_by_hop, hex("11 00 01 04 00000000") + udp_header,
         reaches(NextHeader::udp, 8, 40)},
        {"hop-by-hop with six Pad1", NextHeader::hop_by_hop, hex("11 00 000000000000") + udp_header,
         reaches(NextHeader::udp, 8, 40)},
        {"router alert, RFC 2711", NextHeader::hop_by_hop, hex("11 00 05 02 0000 01 00") + udp_header, alert},
        {"router alert of another length is an option to skip", NextHeader::hop_by_hop,
         hex("11 00 05 04 00000000") + udp_header, reaches(NextHeader::udp, 8, 40)},
        {"router alert means nothing in destination options", NextHeader::destination_options,
         hex("11 00 05 02 0000 01 00") + udp_header, reaches(NextHeader::udp, 8, 40)},
        {"option 00xxxxxx is skipped", NextHeader::destination_options,
         hex("11 00 1e 04 01020304") + udp_header, reaches(NextHeader::udp, 8, 40)},
        {"a long options header", NextHeader::destination_options,
         hex("11 01 01 0c 000000000000000000000000") + udp_header, reaches(NextHeader::udp, 16, 40)},
        {"routing, no segments left: ignored, RFC 8200 4.4", NextHeader::routing,
         hex("11 00 fd 00 00000000") + udp_header, reaches(NextHeader::udp, 8, 40)},
        {"all of them in the recommended order", NextHeader::hop_by_hop,
         hex("3c 00 01 04 00000000") + hex("2b 00 01 04 00000000") + hex("2c 00 00 00 00000000") +
             hex("3c 00 0000 00000007") + hex("11 00 01 04 00000000") + udp_header,
         reaches(NextHeader::udp, 40, 72)},
        {"destination options twice", NextHeader::destination_options,
         hex("3c 00 01 04 00000000") + hex("3a 00 01 04 00000000"), reaches(NextHeader::icmpv6, 16, 48)},
        {"atomic fragment, RFC 6946", NextHeader::fragment, hex("11 00 0000 00000001") + udp_header,
         reaches(NextHeader::udp, 8, 40)},
        {"last fragment, of any length", NextHeader::fragment, hex("11 00 0010 00000001 aabbcc"),
         last_fragment},
        {"first fragment with its whole chain", NextHeader::fragment, hex("11 00 0001 00000001") + udp_header,
         first_fragment},
        {"first fragment, an options header inside", NextHeader::fragment,
         hex("3c 00 0001 00000001") + hex("11 00 01 04 00000000") + udp_header, fragment_of_options},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        const auto walk = walk_extension_headers(c.payload, c.first);
        REQUIRE(walk.has_value());
        CHECK(*walk == c.walk);
    }
}

TEST_CASE("extension headers: every reason to refuse, with its answer") {
    struct Case {
        const char* what;
        NextHeader first;
        Bytes payload;
        ExtensionError error;
    };
    const auto unless = Action::report_unless_multicast;
    const Case cases[] = {
        {"RFC 8200 4.2: 01 drops",
         NextHeader::destination_options,
         hex("11 00 41 04 00000000"),
         {Reason::unknown_option, Action::drop, 0, 0}},
        {"RFC 8200 4.2: 10 always reports, pointer at the option",
         NextHeader::destination_options,
         hex("11 00 00 81 03 000000"),
         {Reason::unknown_option, Action::report, 2, 40 + 3}},
        {"RFC 8200 4.2: 11 reports, not for a multicast destination",
         NextHeader::hop_by_hop,
         hex("11 00 c2 04 00010000"),
         {Reason::unknown_option, unless, 2, 40 + 2}},
        {"in the second header",
         NextHeader::hop_by_hop,
         hex("3c 00 01 04 00000000 11 00 c1 04 00000000"),
         {Reason::unknown_option, unless, 2, 40 + 10}},
        {"option longer than the header",
         NextHeader::destination_options,
         hex("11 00 01 05 00000000"),
         {Reason::option_past_end, unless, 0, 40 + 3}},
        {"option without its length",
         NextHeader::destination_options,
         hex("11 00 01 03 000000 01"),
         {Reason::option_past_end, unless, 0, 40 + 7}},
        {"RFC 8200 4.1: hop-by-hop only first",
         NextHeader::destination_options,
         hex("00 00 01 04 00000000 11 00 01 04 00000000"),
         {Reason::misplaced_hop_by_hop, unless, 1, 40}},
        {"RFC 5095: routing type 0 with a segment left",
         NextHeader::routing,
         hex("11 00 00 01 00000000"),
         {Reason::routing_segments_left, unless, 0, 40 + 2}},
        {"RFC 8200 4.4: any routing type with a segment left",
         NextHeader::routing,
         hex("11 00 fd 07 00000000"),
         {Reason::routing_segments_left, unless, 0, 40 + 2}},
        {"shorter than the shortest header",
         NextHeader::hop_by_hop,
         hex("11 00 01 04 000000"),
         {Reason::truncated, Action::drop, 0, 0}},
        {"nothing there", NextHeader::hop_by_hop, {}, {Reason::truncated, Action::drop, 0, 0}},
        {"shorter than it says",
         NextHeader::destination_options,
         hex("11 01 01 04 00000000 00000000 000000"),
         {Reason::truncated, Action::drop, 0, 0}},
        {"fragment header cut",
         NextHeader::fragment,
         hex("11 00 0010 000000"),
         {Reason::truncated, Action::drop, 0, 0}},
        {"RFC 8200 4.5: a middle fragment of 9 bytes",
         NextHeader::fragment,
         hex("11 00 0011 00000001 010203040506070809"),
         {Reason::fragment_length, unless, 0, 4}},
        {"RFC 8200 4.5: past 65,535",
         NextHeader::fragment,
         hex("11 00 fff8 00000001 0102030405060708"),
         {Reason::fragment_too_large, unless, 0, 40 + 2}},
        {"RFC 7112: no UDP header in the first fragment",
         NextHeader::fragment,
         hex("11 00 0001 00000001"),
         {Reason::incomplete_chain, unless, 3, 0}},
        {"RFC 7112: half a TCP header",
         NextHeader::fragment,
         hex("06 00 0001 00000001 0000000000000000"),
         {Reason::incomplete_chain, unless, 3, 0}},
        {"RFC 7112: options that go on in the next fragment",
         NextHeader::fragment,
         hex("3c 00 0001 00000001 11 01 01 04 00000000"),
         {Reason::incomplete_chain, unless, 3, 0}},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        const auto walk = walk_extension_headers(c.payload, c.first);
        REQUIRE_FALSE(walk.has_value());
        CHECK(walk.error() == c.error);
    }
}

TEST_CASE("extension headers: the largest packet that fragments may make") {
    // offset 0xfff8 and seven bytes are 65,535.
    CHECK(
        walk_extension_headers(hex("11 00 fff8 00000001 01020304050607"), NextHeader::fragment).has_value());
    // A header in front of the fragment header counts (RFC 8200 4.5: payload length of the whole packet).
    const auto walk = walk_extension_headers(hex("2c 00 01 04 00000000 11 00 fff8 00000001 01020304050607"),
                                             NextHeader::destination_options);
    REQUIRE_FALSE(walk.has_value());
    CHECK(walk.error() ==
          ExtensionError{Reason::fragment_too_large, Action::report_unless_multicast, 0, 40 + 10});
}

TEST_CASE("extension headers: no bytes lead outside the payload") {
    std::mt19937 g(11);
    const std::uint8_t kinds[] = {0, 43, 44, 60, 6, 17, 58, 59};
    unsigned walked = 0;
    for (int i = 0; i < 20'000; ++i) {
        Bytes b(g() % 64);
        for (auto& x : b) x = static_cast<std::uint8_t>(g() % 4 == 0 ? g() : g() % 3);
        for (std::size_t at = 0; at < b.size(); at += 8) b[at] = kinds[g() % 8];
        const auto walk = walk_extension_headers(b, static_cast<NextHeader>(kinds[g() % 4]));
        if (!walk) continue;
        ++walked;
        REQUIRE(walk->upper_offset <= b.size());
        REQUIRE(walk->next_header_pointer < 40 + b.size());
    }
    CHECK(walked > 100);
}
