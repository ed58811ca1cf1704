#include "wire/tcp.hpp"

#include <catch2/catch_test_macros.hpp>
#include <random>

#include "unit/hex.hpp"
#include "wire/bytes.hpp"

using namespace keepnet;
using namespace keepnet::wire;
using namespace keepnet::test;

namespace {

TcpRepr plain() {
    TcpRepr r;
    r.src_port = 0x1f90;
    r.dst_port = 0xc001;
    r.seq = Seq{0x0102'0304};
    r.ack = Seq{0xa0b0'c0d0};
    r.flags = {.psh = true, .ack = true};
    r.window = 0x7210;
    r.urgent = 0x0042;
    return r;
}

/// A 20-byte header with these options behind it, padded with `padding` to a whole word.
Bytes with_options(Bytes options, std::uint8_t padding = 0) {
    while (options.size() % 4 != 0) options.push_back(padding);
    Bytes b = hex("1f90 c001 01020304 a0b0c0d0 50 18 7210 0000 0042");
    b[12] = static_cast<std::uint8_t>((20 + options.size()) / 4 << 4);
    return b + options;
}

Bytes emitted(const TcpRepr& r) {
    Bytes out(tcp_header_bytes_max);
    const std::size_t n = emit_tcp(r, out);
    CHECK(n == r.emitted_header_length());
    CHECK(n % 4 == 0);
    CHECK(n <= tcp_header_bytes_max);
    out.resize(n);
    return out;
}

}  // namespace

TEST_CASE("tcp: the header of RFC 9293 3.1, there and back") {
    const Bytes bytes = with_options({});
    CHECK(emitted(plain()) == bytes);
    const auto r = parse_tcp(bytes);
    REQUIRE(r.has_value());
    CHECK(*r == plain());
}

TEST_CASE("tcp: every combination of flags, reserved bits are ignored") {
    for (unsigned f = 0; f < 256; ++f) {
        TcpRepr r = plain();
        r.flags = TcpFlags::from_byte(static_cast<std::uint8_t>(f));
        CHECK(r.flags.to_byte() == f);
        Bytes b = emitted(r);
        CHECK(b[13] == f);
        b[12] |= 0x0f;
        CHECK(parse_tcp(b) == r);
    }
    CHECK(TcpFlags{.syn = true, .ack = true}.to_byte() == 0x12);
    CHECK(TcpFlags{.fin = true, .rst = true, .urg = true}.to_byte() == 0x25);
    CHECK(TcpFlags{.ece = true, .cwr = true}.to_byte() == 0xc0);
}

TEST_CASE("tcp: options in Linux's order, there and back") {
    struct Case {
        const char* what;
        TcpOptions options;
        const char* bytes;
    };
    const SackBlock s1{Seq{0x11}, Seq{0x22}}, s2{Seq{0x33}, Seq{0x44}}, s3{Seq{0x55}, Seq{0x66}},
        s4{Seq{0xffff'fff0}, Seq{0x10}};
    const Case cases[] = {
        {"SYN with everything",
         {.mss = 1440, .window_scale = 7, .sack_permitted = true, .timestamps = TcpTimestamps{0x01020304, 0}},
         "020405a0 0402080a 01020304 00000000 01030307"},
        {"SYN without timestamps",
         {.mss = 1220, .window_scale = 0, .sack_permitted = true},
         "020404c4 01010402 01030300"},
        {"SYN, timestamps but no SACK",
         {.mss = 1440, .timestamps = TcpTimestamps{1, 2}},
         "020405a0 0101080a 00000001 00000002"},
        {"data", {.timestamps = TcpTimestamps{0xdeadbeef, 0xcafebabe}}, "0101080a deadbeef cafebabe"},
        {"three blocks beside timestamps",
         {.sack_count = 3, .sack = {s1, s2, s3}, .timestamps = TcpTimestamps{1, 2}},
         "0101080a 00000001 00000002 0101051a 00000011 00000022 00000033 00000044 00000055 00000066"},
        {"four blocks alone",
         {.sack_count = 4, .sack = {s1, s2, s3, s4}},
         "01010522 00000011 00000022 00000033 00000044 00000055 00000066 fffffff0 00000010"},
        {"user timeout, RFC 5482", {.mss = 1440, .user_timeout = 0x8005}, "020405a0 1c048005"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        TcpRepr r = plain();
        r.options = c.options;
        const Bytes bytes = with_options(hex(c.bytes));
        CHECK(emitted(r) == bytes);
        r.header_length = static_cast<std::uint8_t>(bytes.size());
        const auto back = parse_tcp(bytes + hex("6869"));
        REQUIRE(back.has_value());
        CHECK(*back == r);
        const Bytes segment = bytes + hex("6869");
        const auto payload = tcp_payload(*back, segment);
        CHECK(Bytes(payload.begin(), payload.end()) == hex("6869"));
        for (std::size_t n = 0; n < bytes.size(); ++n) {
            Bytes small(n);
            CHECK(emit_tcp(r, small) == 0);
        }
    }
}

TEST_CASE("tcp: more options than 40 bytes hold: SACK blocks are left out, then the user timeout") {
    TcpRepr r = plain();
    r.options.timestamps = TcpTimestamps{1, 2};
    r.options.sack_count = 4;
    for (std::uint32_t i = 0; i < 4; ++i) r.options.sack[i] = {Seq{i * 100}, Seq{i * 100 + 50}};
    r.options.user_timeout = 60;
    Bytes b = emitted(r);
    CHECK(b.size() == 60);
    auto back = parse_tcp(b);
    REQUIRE(back.has_value());
    CHECK(back->options.sack_count == 3);
    CHECK_FALSE(back->options.user_timeout.has_value());

    r.options.mss = 1440;
    r.options.window_scale = 7;
    b = emitted(r);
    back = parse_tcp(b);
    REQUIRE(back.has_value());
    CHECK(back->options.sack_count == 2);

    r.options.sack_count = 200;  // never read past the array
    r.options.timestamps.reset();
    r.options.mss.reset();
    r.options.window_scale.reset();
    back = parse_tcp(emitted(r));
    REQUIRE(back.has_value());
    CHECK(back->options.sack_count == 4);
}

TEST_CASE(
    "tcp: every set of options fits its header, and as many SACK blocks come along as there is room for") {
    for (unsigned set = 0; set < 32; ++set) {
        for (std::uint8_t blocks = 0; blocks <= 4; ++blocks) {
            TcpRepr r = plain();
            auto& o = r.options;
            if ((set & 1) != 0) o.mss = 1440;
            if ((set & 2) != 0) o.window_scale = 7;
            o.sack_permitted = (set & 4) != 0;
            if ((set & 8) != 0) o.timestamps = TcpTimestamps{1, 2};
            if ((set & 16) != 0) o.user_timeout = 60;
            o.sack_count = blocks;
            for (std::uint32_t i = 0; i < blocks; ++i) o.sack[i] = {Seq{i * 100}, Seq{i * 100 + 50}};
            const auto back = parse_tcp(emitted(r));
            CAPTURE(set, blocks);
            REQUIRE(back.has_value());
            CHECK_FALSE(back->options_malformed);
            CHECK(back->options.mss == o.mss);
            CHECK(back->options.window_scale == o.window_scale);
            CHECK(back->options.sack_permitted == o.sack_permitted);
            CHECK(back->options.timestamps == o.timestamps);
            const unsigned others = (o.mss ? 4U : 0U) + (o.window_scale ? 4U : 0U) +
                                    (o.timestamps       ? 12U
                                     : o.sack_permitted ? 4U
                                                        : 0U);
            unsigned fit = 0;
            while (fit < blocks && others + 4 + 8 * (fit + 1) <= 40) ++fit;
            CHECK(back->options.sack_count == fit);
        }
    }
}

TEST_CASE("tcp: headers that are refused") {
    const Bytes bytes = with_options(hex("0101080a 00000001 00000002"));
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        CAPTURE(n);
        CHECK(parse_tcp(first(bytes, n)) == std::unexpected(ParseError::truncated));
    }
    for (unsigned words = 0; words < 5; ++words) {
        Bytes b = with_options({});
        b[12] = static_cast<std::uint8_t>(words << 4);
        CHECK(parse_tcp(b) == std::unexpected(ParseError::bad_length));
    }
}

TEST_CASE("tcp: options a peer may send, RFC 9293 3.2") {
    struct Case {
        const char* what;
        const char* bytes;
        TcpOptions options;
        bool malformed;
    };
    const Case cases[] = {
        {"end of options hides the rest", "00 02 04 05a0", {}, false},
        {"nop everywhere", "01 020405a0 01 01 030307", {.mss = 1440, .window_scale = 7}, false},
        {"unknown ones are skipped", "fd 04 aabb 020405a0", {.mss = 1440}, false},
        {"unknown, empty", "4f 02 020405a0", {.mss = 1440}, false},
        {"window scale as it came", "0303ff", {.window_scale = 255}, false},
        {"length 0", "020405a0 03 00 0402", {.mss = 1440}, true},
        {"length 1", "020405a0 03 01 0402", {.mss = 1440}, true},
        {"longer than what is left", "020405a0 08 0b 00000000", {.mss = 1440}, true},
        {"no room for a length", "01 01 01 02", {}, true},
        {"MSS of another length is none", "0206 05a0 0000 0402", {.sack_permitted = true}, false},
        {"window scale of another length", "0304 0700 0402", {.sack_permitted = true}, false},
        {"SACK permitted of another length", "0403 00", {}, false},
        {"timestamps of another length", "0808 00000001 0000", {}, false},
        {"user timeout of another length", "1c03 05", {}, false},
        {"SACK without a block", "0502", {}, false},
        {"SACK of a block and a half", "050e 00000001 00000002 00000003", {}, false},
        {"SACK of one block",
         "050a 00000001 00000002",
         {.sack_count = 1, .sack = {SackBlock{Seq{1}, Seq{2}}}},
         false},
        {"timestamps not at their usual place",
         "080a 00000001 00000002 0000",
         {.timestamps = TcpTimestamps{1, 2}},
         false},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        Bytes options = hex(c.bytes);
        const bool aligned = options.size() % 4 == 0;
        const auto r = parse_tcp(with_options(options, 1));
        REQUIRE(r.has_value());
        CHECK(r->options == c.options);
        CHECK(r->options_malformed == c.malformed);
        CHECK((aligned || options.size() < 40));
    }
}

TEST_CASE("tcp: any 40 bytes of options are read without stepping outside") {
    std::mt19937 g(5);
    unsigned malformed = 0;
    for (int i = 0; i < 20'000; ++i) {
        Bytes options(4 * (g() % 11));
        for (auto& x : options) x = static_cast<std::uint8_t>(g() % 3 == 0 ? g() : g() % 12);
        const auto r = parse_tcp(with_options(options));
        REQUIRE(r.has_value());
        REQUIRE(r->options.sack_count <= tcp_sack_blocks_max);
        malformed += r->options_malformed ? 1 : 0;
    }
    CHECK(malformed > 100);
}

TEST_CASE("tcp: checksum over header and payload") {
    const Ipv6Address src = ip("2001:db8::1");
    const Ipv6Address dst = ip("2001:db8::2");
    const Bytes payload = hex("68656c6c6f");
    Bytes header = emitted(plain());
    Checksum sum = pseudo_header(src, dst, 25, 6);
    sum.add(header);
    sum.add(payload);
    store_u16(header, tcp_checksum_offset, sum.fold());
    CHECK(tcp_checksum_ok(src, dst, header + payload));
    CHECK_FALSE(tcp_checksum_ok(src, dst, header + hex("68656c6c6e")));
}

TEST_CASE("tcp: SYN and FIN occupy a number each, RFC 9293 3.4") {
    TcpRepr r = plain();
    CHECK(segment_length(r, 10) == 10);
    r.flags.syn = true;
    CHECK(segment_length(r, 10) == 11);
    r.flags.fin = true;
    CHECK(segment_length(r, 0) == 2);
}
