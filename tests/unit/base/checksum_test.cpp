#include "base/checksum.hpp"

#include <catch2/catch_test_macros.hpp>
#include <random>

#include "unit/hex.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// RFC 1071 4.1, as written there.
std::uint16_t naive(ByteView b) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < b.size(); i += 2) sum += static_cast<std::uint32_t>(b[i] << 8 | b[i + 1]);
    if (b.size() % 2 != 0) sum += static_cast<std::uint32_t>(b.back() << 8);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

std::uint16_t checksum(ByteView b) {
    Checksum c;
    c.add(b);
    return c.fold();
}

Bytes random_bytes(std::size_t n, unsigned seed) {
    std::mt19937 g(seed);
    Bytes b(n);
    for (auto& x : b) x = static_cast<std::uint8_t>(g());
    return b;
}

}  // namespace

TEST_CASE("checksum: the example of RFC 1071 3") {
    const Bytes b = hex("00 01 f2 03 f4 f5 f6 f7");
    CHECK(naive(b) == 0x220d);
    CHECK(checksum(b) == 0x220d);
}

TEST_CASE("checksum: every length and alignment agrees with the naive sum") {
    const Bytes b = random_bytes(400, 1);
    for (std::size_t at = 0; at < 17; ++at) {
        for (std::size_t n = 0; n + at <= b.size(); ++n) {
            const ByteView v = ByteView(b).subspan(at, n);
            if (checksum(v) != naive(v)) {
                CAPTURE(at, n);
                REQUIRE(checksum(v) == naive(v));
            }
        }
    }
}

TEST_CASE("checksum: all bytes 0xff and all zero") {
    for (std::size_t n = 1; n < 300; ++n) {
        CAPTURE(n);
        REQUIRE(checksum(Bytes(n, 0xff)) == naive(Bytes(n, 0xff)));
        REQUIRE(checksum(Bytes(n, 0)) == 0xffff);
        REQUIRE(checksum(Bytes(n, 0x80)) == naive(Bytes(n, 0x80)));
    }
}

TEST_CASE("checksum: a megabyte at the extremes of each word overflows nothing") {
    for (const int fill : {0x00, 0x7f, 0x80, 0xff}) {
        const Bytes b(1U << 20, static_cast<std::uint8_t>(fill));
        std::uint64_t sum = (b.size() / 2) * static_cast<std::uint64_t>(fill << 8 | fill);
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        CHECK(checksum(b) == static_cast<std::uint16_t>(~sum));
    }
}

TEST_CASE("checksum: three pieces at every pair of cuts, odd ones too") {
    const Bytes b = random_bytes(67, 2);
    const std::uint16_t whole = naive(b);
    for (std::size_t i = 0; i <= b.size(); ++i) {
        for (std::size_t j = i; j <= b.size(); ++j) {
            const ByteView v(b);
            Checksum c;
            c.add(v.first(i));
            c.add(v.subspan(i, j - i));
            c.add(v.subspan(j));
            Checksum tail;  // the same, the last two summed apart and combined
            tail.add(v.subspan(i, j - i));
            tail.add(v.subspan(j));
            Checksum combined;
            combined.add(v.first(i));
            combined.add(tail);
            if (c.fold() != whole || combined.fold() != whole) {
                CAPTURE(i, j);
                REQUIRE(c.fold() == whole);
                REQUIRE(combined.fold() == whole);
            }
        }
    }
}

TEST_CASE("checksum: a combined odd piece leaves the next byte in the right half") {
    const Bytes b = random_bytes(9, 3);
    Checksum first;
    first.add(ByteView(b).first(3));
    Checksum c;
    c.add(first);
    c.add(ByteView(b).subspan(3));
    CHECK(c.fold() == naive(b));
}

TEST_CASE("checksum: numbers count as their bytes, at odd places too") {
    Checksum c;
    c.add(hex("aa"));
    c.add_u16(0x1234);
    c.add_u32(0xdead'beef);
    c.add(hex("bb"));
    CHECK(c.fold() == naive(hex("aa 1234 deadbeef bb")));
}

TEST_CASE("checksum: pseudo-header of RFC 8200 8.1") {
    const Ipv6Address src = ip("2001:db8::1");
    const Ipv6Address dst = ip("2001:db8:1::ff");
    const Bytes datagram = random_bytes(77, 4);
    const Bytes head =
        hex("20010db8000000000000000000000001 20010db80001000000000000000000ff 0000004d 00000011");
    Checksum c = pseudo_header(src, dst, 77, 17);
    c.add(datagram);
    CHECK(c.fold() == naive(head + datagram));
}

TEST_CASE("checksum: a datagram with the right field sums to 0xffff, any flipped bit shows") {
    const Ipv6Address src = ip("fe80::1");
    const Ipv6Address dst = ip("fe80::2");
    Bytes datagram = random_bytes(60, 5);
    datagram[6] = datagram[7] = 0;
    Checksum c = pseudo_header(src, dst, 60, 17);
    c.add(datagram);
    datagram[6] = static_cast<std::uint8_t>(c.fold() >> 8);
    datagram[7] = static_cast<std::uint8_t>(c.fold());
    REQUIRE(transport_checksum_ok(src, dst, 17, datagram));
    CHECK_FALSE(transport_checksum_ok(src, dst, 6, datagram));
    CHECK_FALSE(transport_checksum_ok(src, ip("fe80::3"), 17, datagram));
    for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
        Bytes wrong = datagram;
        wrong[bit / 8] = static_cast<std::uint8_t>(wrong[bit / 8] ^ 1U << bit % 8);
        REQUIRE_FALSE(transport_checksum_ok(src, dst, 17, wrong));
    }
}

TEST_CASE("checksum: incremental update, RFC 1624") {
    // Section 4's example: the word 0x5555 becomes 0x3285 under the field 0xdd2f.
    CHECK(update_checksum(0xdd2f, 0x5555, 0x3285) == 0x0000);
    Bytes b = random_bytes(40, 6);
    const std::uint16_t before_change = checksum(b);
    const auto old_word = static_cast<std::uint16_t>(b[10] << 8 | b[11]);
    b[10] = 0x12;
    b[11] = 0x34;
    CHECK(update_checksum(before_change, old_word, 0x1234) == checksum(b));
}
