// Numbers on a 32-bit circle: TCP sequence numbers and timestamps. RFC 9293 3.4, RFC 7323 5.2.
// There is no operator<: on a circle "before" holds only for numbers less than 2^31 apart.
#pragma once

#include <cstdint>

namespace keepnet {

struct Seq {
    std::uint32_t raw = 0;

    friend constexpr bool operator==(Seq, Seq) = default;
    friend constexpr Seq operator+(Seq s, std::uint32_t n) { return {s.raw + n}; }
    friend constexpr Seq operator-(Seq s, std::uint32_t n) { return {s.raw - n}; }
    /// How many steps lead from `b` forwards to `a`.
    friend constexpr std::uint32_t operator-(Seq a, Seq b) { return a.raw - b.raw; }
    constexpr Seq& operator+=(std::uint32_t n) {
        raw += n;
        return *this;
    }
    constexpr Seq& operator-=(std::uint32_t n) {
        raw -= n;
        return *this;
    }
};

/// Signed way from `from` to `to`: positive when `to` is ahead.
[[nodiscard]] constexpr std::int32_t distance(Seq from, Seq to) {
    return static_cast<std::int32_t>(to.raw - from.raw);
}
[[nodiscard]] constexpr bool before(Seq a, Seq b) { return distance(a, b) > 0; }
[[nodiscard]] constexpr bool before_eq(Seq a, Seq b) { return distance(a, b) >= 0; }
[[nodiscard]] constexpr bool after(Seq a, Seq b) { return distance(b, a) > 0; }
[[nodiscard]] constexpr bool after_eq(Seq a, Seq b) { return distance(b, a) >= 0; }
/// Is x one of the `size` numbers that start at `left`?
[[nodiscard]] constexpr bool in_window(Seq x, Seq left, std::uint32_t size) { return x - left < size; }
[[nodiscard]] constexpr Seq max_seq(Seq a, Seq b) { return after(a, b) ? a : b; }
[[nodiscard]] constexpr Seq min_seq(Seq a, Seq b) { return before(a, b) ? a : b; }

static_assert(before(Seq{0xffff'fff0}, Seq{0x10}));
static_assert(after(Seq{0x10}, Seq{0xffff'fff0}));
static_assert(!before(Seq{7}, Seq{7}) && before_eq(Seq{7}, Seq{7}) && after_eq(Seq{7}, Seq{7}));
static_assert(distance(Seq{0xffff'ffff}, Seq{1}) == 2 && distance(Seq{1}, Seq{0xffff'ffff}) == -2);
static_assert(Seq{0xffff'ffff} + 1 == Seq{0} && Seq{0} - 1 == Seq{0xffff'ffff});
static_assert(Seq{5} - Seq{0xffff'fffb} == 10);
static_assert(in_window(Seq{3}, Seq{0xffff'ffff}, 5) && !in_window(Seq{4}, Seq{0xffff'ffff}, 5));
static_assert(!in_window(Seq{9}, Seq{9}, 0));
static_assert(max_seq(Seq{0xffff'fff0}, Seq{0x10}) == Seq{0x10});
static_assert(min_seq(Seq{0xffff'fff0}, Seq{0x10}) == Seq{0xffff'fff0});

}  // namespace keepnet
