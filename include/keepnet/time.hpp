// Virtual time: every instant enters the stack as an argument, so a test, a simulator or a kernel decides what
// time is. An Instant is a number of nanoseconds on the embedder's monotonic clock (its origin is the embedder's
// choice; it must not run backwards between two calls). A Deadline is an Instant; `never` is none at all.
#pragma once

#include <compare>
#include <cstdint>

#include <keepnet/cxx23.hpp>

namespace keepnet {

struct Duration {
    std::int64_t ns = 0;

    friend constexpr auto operator<=>(Duration, Duration) = default;
    friend constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
    friend constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }
    friend constexpr Duration operator*(Duration a, std::int64_t n) { return {a.ns * n}; }
    friend constexpr Duration operator*(std::int64_t n, Duration a) { return {a.ns * n}; }
    friend constexpr Duration operator/(Duration a, std::int64_t n) { return {a.ns / n}; }
    [[nodiscard]] constexpr std::int64_t ms() const { return ns / 1'000'000; }
    [[nodiscard]] constexpr std::int64_t us() const { return ns / 1'000; }
};

struct Instant {
    std::int64_t ns = 0;

    friend constexpr auto operator<=>(Instant, Instant) = default;
    friend constexpr Instant operator+(Instant t, Duration d) { return {t.ns + d.ns}; }
    friend constexpr Instant operator-(Instant t, Duration d) { return {t.ns - d.ns}; }
    friend constexpr Duration operator-(Instant a, Instant b) { return {a.ns - b.ns}; }
};

using Deadline = Instant;

/// The deadline that does not pass.
inline constexpr Instant never{INT64_MAX};
/// Before anything that a clock has shown; far enough from the ends that a difference does not overflow.
inline constexpr Instant long_ago{INT64_MIN / 4};

[[nodiscard]] constexpr Instant earlier(Instant a, Instant b) { return a < b ? a : b; }
[[nodiscard]] constexpr Instant later(Instant a, Instant b) { return a < b ? b : a; }

constexpr Duration nanoseconds(std::int64_t n) { return {n}; }
constexpr Duration microseconds(std::int64_t n) { return {n * 1'000}; }
constexpr Duration milliseconds(std::int64_t n) { return {n * 1'000'000}; }
constexpr Duration seconds(std::int64_t n) { return {n * 1'000'000'000}; }

inline namespace literals {
consteval Duration operator""_ns(unsigned long long n) { return nanoseconds(static_cast<std::int64_t>(n)); }
consteval Duration operator""_us(unsigned long long n) { return microseconds(static_cast<std::int64_t>(n)); }
consteval Duration operator""_ms(unsigned long long n) { return milliseconds(static_cast<std::int64_t>(n)); }
consteval Duration operator""_s(unsigned long long n) { return seconds(static_cast<std::int64_t>(n)); }
}  // namespace literals

}  // namespace keepnet
