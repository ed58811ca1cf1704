#include <array>
#include <catch2/catch_test_macros.hpp>
#include <string>

#include <keepnet/address.hpp>

#include "unit/hex.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

std::string text(const Ipv6Address& a) {
    std::array<char, ipv6_text_max> buffer;
    return std::string(format(a, buffer));
}

}  // namespace

TEST_CASE("address text: RFC 5952 4, 5 out, the same forms and the others in") {
    struct Case {
        const char* in;
        const char* out;
    };
    const Case cases[] = {
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    // 1: the six ways to write one address
        {"2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},   //
        {"2001:db8::1:0:0:1", "2001:db8::1:0:0:1"},       //
        {"2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"},     //
        {"2001:0db8::1:0:0:1", "2001:db8::1:0:0:1"},      //
        {"2001:db8:0:0:1::1", "2001:db8::1:0:0:1"},       //
        {"2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"},       // 4.3: lower case
        {"2001:db8::0001", "2001:db8::1"},                // 4.1: no leading zeros
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},        // 4.2.1: as short as possible
        {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // 4.2.2: not for a single group
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          // 4.2.3: the longest run
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    // 4.2.3: of equals the first
        {"0:0:0:0:0:0:0:0", "::"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"1:0:0:4:5:6:0:0", "1::4:5:6:0:0"},
        {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"fe80::a:b:c:d", "fe80::a:b:c:d"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},  // 5: IPv4 inside
        {"::ffff:c000:201", "::ffff:192.0.2.1"},
        {"::ffff:0.0.0.0", "::ffff:0.0.0.0"},
        {"::ffff:255.255.255.255", "::ffff:255.255.255.255"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"::1.2.3.4", "::102:304"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.in);
        const auto a = parse_ipv6(c.in);
        REQUIRE(a.has_value());
        CHECK(text(*a) == c.out);
        CHECK(parse_ipv6(c.out) == *a);
    }
}

TEST_CASE("address text: what is no address") {
    const char* cases[] = {
        "",
        ":",
        ":::",
        "1",
        "1:2",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:",
        ":1:2:3:4:5:6:7:8",
        "1::2::3",
        "12345::",
        "::12345",
        "g::",
        "::1%eth0",
        "::1/64",
        " ::1",
        "::1 ",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "1:2:3:4::5:6:7:8",
        ":::1",
        "1:::2",
        "::1.2.3",
        "::1.2.3.4.5",
        "::256.1.1.1",
        "::01.2.3.4",
        "::1.2.3.4:5",
        "1.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::1.2.3.",
        "::.1.2.3",
        "::1..2.3",
        "::1.2.3.4a",
        "::1234.1.1.1",
        "-1::",
    };
    for (const char* c : cases) {
        CAPTURE(c);
        CHECK(parse_ipv6(c) == std::unexpected(Error::invalid_argument));
    }
}

TEST_CASE("address text: every pattern of zero groups survives") {
    for (unsigned pattern = 0; pattern < 256; ++pattern) {
        std::array<std::uint16_t, 8> words{};
        for (unsigned i = 0; i < 8; ++i) words[i] = (pattern >> i & 1) != 0 ? 0xffff : 0;
        const auto a = Ipv6Address::from_words(words);
        CAPTURE(text(a));
        CHECK(parse_ipv6(text(a)) == a);
    }
}

TEST_CASE("address text: Ethernet addresses") {
    std::array<char, mac_text_max> buffer;
    const MacAddress a{{0x02, 0, 0xab, 0xcd, 0xef, 0x01}};
    CHECK(format(a, buffer) == "02:00:ab:cd:ef:01");
    CHECK(parse_mac("02:00:ab:cd:ef:01") == a);
    CHECK(parse_mac("02-00-AB-CD-EF-01") == a);
    for (const char* c : {"", "02:00:ab:cd:ef", "02:00:ab:cd:ef:0", "02:00:ab:cd:ef:011", "02:00-ab:cd:ef:01",
                          "02.00.ab.cd.ef.01", "0g:00:ab:cd:ef:01", "020:0:ab:cd:ef:01"}) {
        CAPTURE(c);
        CHECK(parse_mac(c) == std::unexpected(Error::invalid_argument));
    }
}
