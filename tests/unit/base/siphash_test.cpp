#include "base/siphash.hpp"

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <numeric>
#include <set>

#include "unit/hex.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {
const HashKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};

Bytes count_up(std::size_t n) {
    Bytes b(n);
    std::iota(b.begin(), b.end(), std::uint8_t{0});
    return b;
}
}  // namespace

TEST_CASE("siphash: 2-4, the reference vectors") {
    // vectors_sip64 of the reference implementation: message 00 01 02 ... of each length.
    CHECK(hash24(key, count_up(0)) == 0x726fdb47dd0e0e31);
    CHECK(hash24(key, count_up(1)) == 0x74f839c593dc67fd);
    CHECK(hash24(key, count_up(2)) == 0x0d6c8009d9a94f5a);
    CHECK(hash24(key, count_up(3)) == 0x85676696d7fb7e2d);
    CHECK(hash24(key, count_up(7)) == 0xab0200f58b01d137);
    CHECK(hash24(key, count_up(8)) == 0x93f5f5799a932462);
    // Appendix A of the paper.
    CHECK(hash24(key, count_up(15)) == 0xa129ca6149be45e5);
}

TEST_CASE("siphash: 1-3") {
    // The vectors that Rust's SipHash-1-3 is tested with.
    CHECK(hash13(key, count_up(0)) == 0xabac0158050fc4dc);
    CHECK(hash13(key, count_up(1)) == 0xc9f49bf37d57ca93);
    CHECK(hash13(key, count_up(2)) == 0x82cb9b024dc7d44d);
    // PYTHONHASHSEED=0 python3.11: hash(bytes(range(n))), whose key is zero.
    CHECK(hash13({}, count_up(1)) == 0x68a914128e01e473);
    CHECK(hash13({}, count_up(7)) == 0x2f098ab0c751325a);
    CHECK(hash13({}, count_up(8)) == 0xead411e67ebe2eea);
    CHECK(hash13({}, count_up(15)) == 0xf30eb725bb91c9ea);
    CHECK(hash13({}, count_up(63)) == 0x385d3e39e5f37359);
}

TEST_CASE("siphash: words hash as their little-endian bytes") {
    const std::uint64_t words[] = {0x0123456789abcdef, 0, 0xffff'ffff'ffff'ffff, 42};
    Bytes b;
    for (const std::uint64_t w : words) {
        for (unsigned i = 0; i < 8; ++i) b.push_back(static_cast<std::uint8_t>(w >> 8 * i));
    }
    for (std::size_t n = 0; n <= 4; ++n) {
        CHECK(hash24_words(key, std::span(words).first(n)) == hash24(key, ByteView(b).first(8 * n)));
        CHECK(hash13_words(key, std::span(words).first(n)) == hash13(key, ByteView(b).first(8 * n)));
    }
}

TEST_CASE("siphash: key, length and every byte matter") {
    std::set<std::uint64_t> seen;
    for (std::size_t n = 0; n < 64; ++n) seen.insert(hash13(key, Bytes(n, 0)));
    for (std::size_t i = 0; i < 64; ++i) {
        Bytes b(64, 0);
        b[i] = 1;
        seen.insert(hash13(key, b));
    }
    seen.insert(hash13({key.k0 ^ 1, key.k1}, {}));
    seen.insert(hash13({key.k0, key.k1 ^ 1}, {}));
    CHECK(seen.size() == 64 + 64 + 2);
}
