#include "base/seq.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace keepnet;

TEST_CASE("seq: order on the circle, RFC 9293 3.4") {
    struct Case {
        std::uint32_t a, b;
        bool a_before_b;
    };
    const Case cases[] = {
        {0, 1, true},           {1, 0, false},
        {0xffff'ffff, 0, true}, {0, 0xffff'ffff, false},
        {0, 0x7fff'ffff, true}, {0x8000'0001, 0, true},
        {5, 5, false},          {0x7fff'ffff, 0x8000'0000, true},
    };
    for (const auto& c : cases) {
        CAPTURE(c.a, c.b);
        CHECK(before(Seq{c.a}, Seq{c.b}) == c.a_before_b);
        CHECK(after(Seq{c.b}, Seq{c.a}) == c.a_before_b);
        CHECK(before_eq(Seq{c.a}, Seq{c.b}) == (c.a_before_b || c.a == c.b));
        CHECK(after_eq(Seq{c.b}, Seq{c.a}) == (c.a_before_b || c.a == c.b));
        if (c.a_before_b) {
            CHECK(max_seq(Seq{c.a}, Seq{c.b}) == Seq{c.b});
            CHECK(min_seq(Seq{c.b}, Seq{c.a}) == Seq{c.a});
        }
    }
}

TEST_CASE("seq: arithmetic wraps") {
    Seq s{0xffff'fffe};
    s += 5;
    CHECK(s == Seq{3});
    s -= 4;
    CHECK(s == Seq{0xffff'ffff});
    CHECK(Seq{3} - Seq{0xffff'ffff} == 4);
    CHECK(distance(Seq{3}, Seq{0xffff'ffff}) == -4);
}

TEST_CASE("seq: windows have a left edge in and a right edge out") {
    CHECK(in_window(Seq{0xffff'fff0}, Seq{0xffff'fff0}, 0x20));
    CHECK(in_window(Seq{0xf}, Seq{0xffff'fff0}, 0x20));
    CHECK_FALSE(in_window(Seq{0x10}, Seq{0xffff'fff0}, 0x20));
    CHECK_FALSE(in_window(Seq{0xffff'ffef}, Seq{0xffff'fff0}, 0x20));
    CHECK_FALSE(in_window(Seq{1}, Seq{1}, 0));
}
