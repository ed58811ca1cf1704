#include "wire/udp.hpp"

#include <catch2/catch_test_macros.hpp>

#include "unit/hex.hpp"
#include "wire/bytes.hpp"

using namespace keepnet;
using namespace keepnet::wire;
using namespace keepnet::test;

TEST_CASE("udp: there and back") {
    const UdpRepr repr{0x1234, 53, 11};
    Bytes out(8);
    CHECK(emit_udp(repr, out) == udp_header_bytes);
    CHECK(out == hex("1234 0035 000b 0000"));
    const Bytes datagram = hex("1234 0035 000b abcd 616263 99");
    CHECK(parse_udp(datagram) == repr);
    const auto payload = udp_payload(repr, datagram);
    CHECK(Bytes(payload.begin(), payload.end()) == hex("616263"));
}

TEST_CASE("udp: what is refused") {
    struct Case {
        const char* bytes;
        ParseError error;
    };
    const Case cases[] = {
        {"", ParseError::truncated},
        {"1234 0035 0008 ab", ParseError::truncated},
        {"1234 0035 0009 abcd", ParseError::truncated},
        {"1234 0035 ffff abcd 00", ParseError::truncated},
        {"1234 0035 0007 abcd", ParseError::bad_length},
        {"1234 0035 0000 abcd", ParseError::bad_length},
        {"1234 0035 0008 0000", ParseError::bad_checksum},  // RFC 8200 8.1
    };
    for (const auto& c : cases) {
        CAPTURE(c.bytes);
        CHECK(parse_udp(hex(c.bytes)) == std::unexpected(c.error));
    }
    for (std::size_t n = 0; n < udp_header_bytes; ++n) {
        Bytes small(n);
        CHECK(emit_udp({}, small) == 0);
    }
}

TEST_CASE("udp: the checksum covers the UDP length, and zero is sent as 0xffff") {
    const Ipv6Address src = ip("fe80::1");
    const Ipv6Address dst = ip("fe80::2");
    Bytes datagram = hex("1234 0035 000a 0000 0000");
    // Choose the last word so that the sum is 0xffff, its complement 0.
    Checksum sum = pseudo_header(src, dst, 10, 17);
    sum.add(datagram);
    store_u16(datagram, 8, sum.fold());
    Checksum again = pseudo_header(src, dst, 10, 17);
    again.add(datagram);
    REQUIRE(again.fold() == 0);
    REQUIRE(udp_checksum_field(again) == 0xffff);
    store_u16(datagram, udp_checksum_offset, udp_checksum_field(again));
    const Bytes padded = datagram + hex("deadbeef");
    const auto repr = parse_udp(padded);
    REQUIRE(repr.has_value());
    CHECK(udp_checksum_ok(src, dst, *repr, padded));
    Bytes wrong = padded;
    wrong[9] ^= 0x10;
    CHECK_FALSE(udp_checksum_ok(src, dst, *repr, wrong));
}
