#include "wire/ipv6.hpp"

#include <catch2/catch_test_macros.hpp>

#include "unit/hex.hpp"

using namespace keepnet;
using namespace keepnet::wire;
using namespace keepnet::test;

namespace {
const Bytes header =
    hex("6ab12345 0004 11 40 20010db8000000000000000000000001 fe800000000000000000000000000002");
const Ipv6Repr repr{.traffic_class = 0xab,
                    .flow_label = 0x1'2345,
                    .payload_length = 4,
                    .next_header = NextHeader::udp,
                    .hop_limit = 64,
                    .src = ip("2001:db8::1"),
                    .dst = ip("fe80::2")};
}  // namespace

TEST_CASE("ipv6: the header of RFC 8200 3, there and back") {
    const auto r = parse_ipv6(header + hex("01020304"));
    REQUIRE(r.has_value());
    CHECK(*r == repr);
    Bytes out(ipv6_header_bytes);
    CHECK(emit_ipv6(repr, out) == ipv6_header_bytes);
    CHECK(out == header);
}

TEST_CASE("ipv6: a flow label of more than 20 bits does not reach the traffic class") {
    Bytes out(ipv6_header_bytes);
    Ipv6Repr r = repr;
    r.flow_label = 0xfff1'2345;
    emit_ipv6(r, out);
    CHECK(out == header);
}

TEST_CASE("ipv6: bytes behind the payload are not payload") {
    const Bytes packet = header + hex("01020304 000000");
    const auto r = parse_ipv6(packet);
    REQUIRE(r.has_value());
    const auto payload = ipv6_payload(*r, packet);
    CHECK(Bytes(payload.begin(), payload.end()) == hex("01020304"));
}

TEST_CASE("ipv6: what is refused") {
    const Bytes packet = header + hex("01020304");
    for (std::size_t n = 0; n < packet.size(); ++n) {
        CAPTURE(n);
        CHECK(parse_ipv6(first(packet, n)) == std::unexpected(ParseError::truncated));
        CHECK(parse_ipv6_header(first(packet, n)).has_value() == (n >= ipv6_header_bytes));
    }
    for (unsigned version = 0; version < 16; ++version) {
        Bytes wrong = packet;
        wrong[0] = static_cast<std::uint8_t>(version << 4);
        if (version != 6) CHECK(parse_ipv6(wrong) == std::unexpected(ParseError::bad_version));
    }
    for (std::size_t n = 0; n < ipv6_header_bytes; ++n) {
        Bytes small(n);
        CHECK(emit_ipv6(repr, small) == 0);
    }
}
