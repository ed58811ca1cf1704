#include "wire/ethernet.hpp"

#include <catch2/catch_test_macros.hpp>

#include "unit/hex.hpp"

using namespace keepnet;
using namespace keepnet::wire;
using namespace keepnet::test;

TEST_CASE("ethernet: a header as RFC 2464 3 draws it, there and back") {
    const Bytes frame = hex("33 33 00 00 00 01  02 00 00 00 00 07  86 dd");
    const auto r = parse_ethernet(frame);
    REQUIRE(r.has_value());
    CHECK(*r == EthernetRepr{mac("33:33:00:00:00:01"), mac("02:00:00:00:00:07"), EtherType::ipv6});
    Bytes out(ethernet_header_bytes);
    CHECK(emit_ethernet(*r, out) == ethernet_header_bytes);
    CHECK(out == frame);
}

TEST_CASE("ethernet: what is refused") {
    const Bytes frame = hex("333300000001 020000000007 86dd");
    for (std::size_t n = 0; n < frame.size(); ++n) {
        CHECK(parse_ethernet(first(frame, n)) == std::unexpected(ParseError::truncated));
        Bytes small(n);
        CHECK(emit_ethernet({}, small) == 0);
    }
    CHECK(parse_ethernet(hex("333300000001 020000000007 05ff")) == std::unexpected(ParseError::bad_length));
    CHECK(parse_ethernet(hex("333300000001 020000000007 0800"))->ethertype == EtherType::ipv4);
    CHECK(parse_ethernet(hex("333300000001 020000000007 1234"))->ethertype == static_cast<EtherType>(0x1234));
}
