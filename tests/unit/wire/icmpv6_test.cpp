#include "wire/icmpv6.hpp"

#include <catch2/catch_test_macros.hpp>

#include "unit/hex.hpp"

using namespace keepnet;
using namespace keepnet::wire;
using namespace keepnet::test;

namespace {
const Bytes quoted_ip =
    hex("60000000 0020 06 40 20010db8000000000000000000000001 20010db8000000000000000000000002");
const Bytes ports_and_seq = hex("1f90 c001 01020304");
}  // namespace

TEST_CASE("icmpv6: echo, RFC 4443 4, there and back") {
    const EchoRepr request{false, 0x1234, 7};
    Bytes out(8);
    CHECK(emit_echo(request, out) == 8);
    CHECK(out == hex("80 00 0000 1234 0007"));
    CHECK(parse_echo(out) == request);
    CHECK(emit_echo({true, 0x1234, 7}, out) == 8);
    CHECK(out == hex("81 00 0000 1234 0007"));
    CHECK(parse_echo(out) == EchoRepr{true, 0x1234, 7});
    CHECK(parse_echo(hex("87 00 0000 1234 0007")) == std::unexpected(ParseError::bad_type));
    for (std::size_t n = 0; n < 8; ++n) {
        CHECK(parse_echo(first(out, n)) == std::unexpected(ParseError::truncated));
        Bytes small(n);
        CHECK(emit_echo(request, small) == 0);
    }
}

TEST_CASE("icmpv6: the checksum of a known ping") {
    Bytes message = hex("80 00 0000 0001 0001 6162636465666768");
    fill_icmpv6_checksum(ip("fe80::1"), ip("fe80::2"), message);
    CHECK(icmpv6_checksum_ok(ip("fe80::1"), ip("fe80::2"), message));
    CHECK(parse_icmpv6_header(message)->checksum == 0xf118);
    message[9] ^= 1;
    CHECK_FALSE(icmpv6_checksum_ok(ip("fe80::1"), ip("fe80::2"), message));
    Bytes tiny(3);
    fill_icmpv6_checksum(ip("fe80::1"), ip("fe80::2"), tiny);  // nothing to fill
    CHECK(tiny == Bytes(3));
}

TEST_CASE("icmpv6: the header") {
    CHECK(parse_icmpv6_header(hex("01 04 abcd")) ==
          Icmpv6Header{Icmpv6Type::destination_unreachable, code_port_unreachable, 0xabcd});
    for (std::size_t n = 0; n < 4; ++n) {
        CHECK(parse_icmpv6_header(Bytes(n)) == std::unexpected(ParseError::truncated));
    }
    CHECK(is_error(static_cast<Icmpv6Type>(127)));
    CHECK_FALSE(is_error(static_cast<Icmpv6Type>(128)));
}

TEST_CASE("icmpv6: errors, RFC 4443 3, there and back") {
    struct Case {
        Icmpv6ErrorRepr repr;
        const char* bytes;
    };
    const Case cases[] = {
        {{Icmpv6Type::destination_unreachable, code_port_unreachable, 0}, "01 04 0000 00000000"},
        {{Icmpv6Type::packet_too_big, 0, 1280}, "02 00 0000 00000500"},
        {{Icmpv6Type::time_exceeded, code_reassembly, 0}, "03 01 0000 00000000"},
        {{Icmpv6Type::parameter_problem, code_unknown_option, 42}, "04 02 0000 0000002a"},
        {{static_cast<Icmpv6Type>(100), 9, 1}, "64 09 0000 00000001"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.bytes);
        Bytes out(8);
        CHECK(emit_icmpv6_error(c.repr, out) == 8);
        CHECK(out == hex(c.bytes));
        CHECK(parse_icmpv6_error(out) == c.repr);
        for (std::size_t n = 0; n < 8; ++n) {
            CHECK(parse_icmpv6_error(first(out, n)) == std::unexpected(ParseError::truncated));
            Bytes small(n);
            CHECK(emit_icmpv6_error(c.repr, small) == 0);
        }
    }
    CHECK(parse_icmpv6_error(hex("80 00 0000 00000000")) == std::unexpected(ParseError::bad_type));
}

TEST_CASE("icmpv6: an error with its quotation fits 1280 bytes, RFC 4443 2.4 (c)") {
    CHECK(icmpv6_quote_bytes(100) == 100);
    CHECK(icmpv6_quote_bytes(1232) == 1232);
    CHECK(icmpv6_quote_bytes(1500) == 1232);
}

TEST_CASE("icmpv6: what an error quotes") {
    const Bytes bytes = quoted_ip + ports_and_seq;  // payload_length says 32, 8 are there
    const auto q = parse_quotation(bytes);
    REQUIRE(q.has_value());
    CHECK(q->ip.dst == ip("2001:db8::2"));
    CHECK(q->upper == NextHeader::tcp);
    CHECK(Bytes(q->transport.begin(), q->transport.end()) == ports_and_seq);
}

TEST_CASE("icmpv6: a quotation with extension headers in front") {
    Bytes head = quoted_ip;
    head[6] = 0;  // hop-by-hop
    const Bytes bytes = head + hex("2c 00 01 04 00000000 06 00 0001 00000001") + ports_and_seq;
    const auto q = parse_quotation(bytes);
    REQUIRE(q.has_value());
    CHECK(q->upper == NextHeader::tcp);
    CHECK(Bytes(q->transport.begin(), q->transport.end()) == ports_and_seq);
}

TEST_CASE("icmpv6: quotations that name no connection") {
    const Bytes whole = quoted_ip + ports_and_seq;
    for (std::size_t n = 0; n < whole.size(); ++n) {
        CAPTURE(n);
        const auto q = parse_quotation(first(whole, n));
        REQUIRE_FALSE(q.has_value());
        CHECK(q.error() == ParseError::truncated);
    }
    Bytes version = whole;
    version[0] = 0x45;
    CHECK(parse_quotation(version).error() == ParseError::bad_version);
    Bytes fragment = whole;
    fragment[6] = 44;
    CHECK(parse_quotation(first(fragment, 40) + hex("06 00 0008 00000001") + ports_and_seq).error() ==
          ParseError::bad_type);
    CHECK(
        parse_quotation(first(fragment, 40) + hex("06 00 0001 00000001") + first(ports_and_seq, 7)).error() ==
        ParseError::truncated);
    Bytes options = whole;
    options[6] = 60;
    CHECK(parse_quotation(first(options, 40) + hex("06 09 01 04 00000000") + ports_and_seq).error() ==
          ParseError::truncated);
    // What follows the quoted packet is not part of it.
    Bytes shorter = whole;
    shorter[5] = 4;
    CHECK(parse_quotation(shorter).error() == ParseError::truncated);
}
