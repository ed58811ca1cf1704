// CUBIC and HyStart++ against the formulas of their RFCs, which the test computes in floating point.
#include <algorithm>
#include <cmath>

#include <catch2/catch_test_macros.hpp>

#include "tcp/congestion/congestion.hpp"
#include "tcp/congestion/cubic.hpp"

using namespace keepnet;
using namespace keepnet::tcp;
using namespace keepnet::literals;

namespace {

constexpr std::uint32_t mss = 1000;
constexpr double c = 0.4;      // RFC 9438 5
constexpr double beta = 0.7;   // RFC 9438 4.6

bool is_near(double value, double expected, double tolerance) {
    INFO(value << " instead of " << expected);
    CHECK(std::abs(value - expected) <= tolerance);
    return std::abs(value - expected) <= tolerance;
}

/// A sender whose window is always in use, and whose ACKs come segment by segment.
struct Sender {
    CongestionState s = congestion::begin(CongestionAlgorithm::cubic, mss, 10, {});
    Instant now{};
    Duration rtt = 100_ms;

    explicit Sender(std::uint32_t segments) {
        s.cwnd = segments * mss;
        s.ssthresh = s.cwnd;
    }
    [[nodiscard]] congestion::View view() const { return {Seq{0}, Seq{s.cwnd}, s.cwnd, mss, now, rtt}; }
    [[nodiscard]] double segments() const { return double{static_cast<double>(s.cwnd)} / mss; }
    void lose() {
        s.is_cut = false;
        congestion::on_loss(s, view());
        s.cwnd = s.ssthresh;
        s.is_cut = false;
    }
    /// A round trip: each segment of the window is acknowledged, evenly spread.
    void round() {
        const std::uint32_t n = s.cwnd / mss;
        const Instant begin = now;
        for (std::uint32_t i = 1; i <= n; ++i) {
            now = begin + rtt * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(n);
            congestion::after_send(s, view(), 10, 1_s);
            congestion::on_ack(s, view(), mss);
        }
    }
};

}  // namespace

TEST_CASE("RFC 9438 (1), (2): W_cubic(t) and K") {
    for (const std::uint32_t w_max : {10U, 50U, 1000U, 20'000U, 500'000U}) {
        const std::uint32_t missing = w_max * 3 / 10;
        const double k = std::cbrt(missing / c);
        CubicState q;
        q.w_max = w_max * mss;
        q.k = congestion::cubic::time_to_origin(missing * mss, mss);
        CHECK(is_near(static_cast<double>(q.k.ns) / 1e9, k, 0.001));
        for (const double t : {0.0, 0.1, 0.5, 1.0, 2.0, 3.9, 5.0, 20.0, 60.0}) {
            const double w = c * std::pow(t - static_cast<double>(q.k.ns) / 1e9, 3) + w_max;
            const double expected = std::clamp(w * mss, 0.0, static_cast<double>(congestion::window_max));
            const auto since = Duration{static_cast<std::int64_t>(t * 1e9)};
            // The clock counts milliseconds: the slope of the curve is the error.
            const double slope = 3 * c * std::pow(t - k, 2) * mss * 0.001;
            CHECK(is_near(congestion::cubic::window_at(q, mss, since), expected, slope + 2));
        }
    }
    // Nothing that a snapshot can say makes the sum overflow.
    CubicState wild;
    wild.w_max = UINT32_MAX;
    wild.k = Duration{INT64_MIN / 4};
    CHECK(congestion::cubic::window_at(wild, 65535, Duration{INT64_MAX / 4}) == congestion::window_max);
    wild.k = Duration{INT64_MAX / 4};
    CHECK(congestion::cubic::window_at(wild, 65535, {}) <= wild.w_max);
}

TEST_CASE("RFC 9438 4.6, 4.7: multiplicative decrease and fast convergence") {
    Sender t(1000);
    t.lose();
    CHECK(t.s.ssthresh == 700 * mss);
    CHECK(t.s.cubic.w_max == 1000 * mss);
    t.s.cwnd = 900 * mss;  // did not get back to where it was
    t.lose();
    CHECK(t.s.ssthresh == 630 * mss);
    CHECK(t.s.cubic.w_max == 765 * mss);  // 900 * (1 + 0.7) / 2
    t.s.cwnd = 2 * mss;
    t.lose();
    CHECK(t.s.ssthresh == 2 * mss);  // 4.6: not below two segments
}

TEST_CASE("RFC 9438 4.4, 4.5: concave up to W_max, convex beyond it") {
    Sender t(2000);
    t.lose();
    const double k = std::cbrt(2000 * (1 - beta) / c);  // 11.4 s: far from the region of Reno
    double last = t.segments();
    double gain = 1e9;
    while (static_cast<double>(t.now.ns) / 1e9 < 2 * k) {
        t.round();
        const double at = static_cast<double>(t.now.ns) / 1e9;
        const double expected = 2000 + c * std::pow(at - k, 3);
        CHECK(is_near(t.segments(), expected, 0.01 * expected));
        const double now_gain = t.segments() - last;
        if (at < k - 0.5) CHECK(now_gain <= gain + 0.5);         // concave: less each time
        if (at > k + 1.0) CHECK(now_gain >= gain - 0.5);         // convex: more each time
        gain = now_gain;
        last = t.segments();
    }
}

TEST_CASE("RFC 9438 4.3: where Reno would be faster, the window is Reno's") {
    // A short round trip and a small window: the cubic hardly moves.
    Sender t(50);
    t.rtt = 1_ms;
    t.lose();
    const double alpha = 3 * (1 - beta) / (1 + beta);
    double w_est = 35;
    for (int round = 0; round < 40; ++round) {
        const auto n = static_cast<int>(t.s.cwnd / mss);
        double cwnd = t.segments();
        for (int i = 0; i < n; ++i) w_est += (w_est < 50 ? alpha : 1.0) / cwnd;
        t.round();
        cwnd = t.segments();
        CHECK(is_near(cwnd, w_est, 0.3));
    }
    CHECK(t.segments() > 50);  // beyond cwnd_prior alpha is 1
}

TEST_CASE("RFC 9438 4.2: the window grows by half in a round trip at most") {
    Sender t(100);
    t.lose();
    t.s.cubic.epoch_start = t.now;
    t.s.cubic.k = 100_ms;
    t.s.cubic.w_max = 100 * mss;
    t.now = t.now + 60_s;  // far up the curve
    const std::uint32_t before_it = t.s.cwnd;
    t.s.cubic.w_est = t.s.cwnd;
    t.round();
    CHECK(t.s.cwnd <= before_it * 17 / 10);
    CHECK(t.s.cwnd >= before_it * 14 / 10);
}

TEST_CASE("RFC 9438 4.8: after a time-out K is 0 and W_max the window where avoidance begins") {
    Sender t(1000);
    t.lose();
    congestion::on_timeout(t.s, t.view(), true);
    CHECK(t.s.cwnd == mss);
    CHECK(t.s.ssthresh == 490 * mss);
    t.s.is_cut = false;
    t.s.cwnd = t.s.ssthresh;
    congestion::after_send(t.s, t.view(), 10, 1_s);
    congestion::on_ack(t.s, t.view(), mss);
    CHECK(t.s.cubic.k.ns == 0);
    CHECK(t.s.cubic.w_max == 490 * mss);
}

TEST_CASE("RFC 9438 5.8: time without data does not move the curve") {
    Sender t(1000);
    t.lose();
    for (int i = 0; i < 10; ++i) t.round();
    const Instant start = t.s.cubic.epoch_start;
    t.s.last_sent = t.now;
    t.now = t.now + 500_ms;
    congestion::before_send(t.s, {Seq{0}, Seq{0}, 0, mss, t.now, t.rtt}, 10, 1_s);
    CHECK(t.s.cubic.epoch_start == start + 500_ms);
}

namespace {

/// A first slow start: the ACKs of a round with this round trip, none for more than four segments.
void hystart_round(Sender& t, Seq& una, Duration rtt, std::uint32_t samples = 0) {
    const std::uint32_t window = t.s.cwnd;
    if (samples == 0) samples = std::max(10U, window / (4 * mss));
    const std::uint32_t each = window / samples;
    for (std::uint32_t i = 0; i < samples; ++i) {
        congestion::View v{una, una + window, window, mss, t.now, rtt};
        // What was sent before the ACK is one window behind una; so windowEnd is reached after a window.
        congestion::after_send(t.s, v, 10, 1_s);
        congestion::on_round_trip(t.s, v, rtt);
        congestion::on_ack(t.s, v, each);
        una += each;
    }
    una += window - each * samples;
}

}  // namespace

TEST_CASE("RFC 9406 4.2: round trips that grow lead to conservative slow start, and that to avoidance") {
    Sender t(10);
    t.s.ssthresh = congestion::window_max;
    Seq una{0};
    hystart_round(t, una, 40_ms);
    hystart_round(t, una, 40_ms);
    CHECK(t.s.cwnd == 40 * mss);  // as in plain slow start, twice as much for each
    CHECK(t.s.hystart.last_rtt == 40_ms);
    SECTION("less than an eighth is noise") {
        hystart_round(t, una, 44_ms);
        CHECK(t.s.hystart.css_baseline.ns == 0);
        CHECK(t.s.cwnd == 80 * mss);
    }
    SECTION("fewer than eight samples say nothing") {
        hystart_round(t, una, 60_ms, 7);
        CHECK(t.s.hystart.css_baseline.ns == 0);
    }
    SECTION("five rounds at a quarter of the speed, then avoidance") {
        hystart_round(t, una, 46_ms);
        CHECK(t.s.hystart.css_baseline == 46_ms);
        std::uint32_t before_it = t.s.cwnd;
        for (int round = 1; round < 5; ++round) {
            hystart_round(t, una, 50_ms);
            CHECK(t.s.ssthresh == congestion::window_max);
            CHECK(is_near(t.s.cwnd, before_it * 1.25, before_it * 0.05));
            before_it = t.s.cwnd;
        }
        hystart_round(t, una, 50_ms);
        hystart_round(t, una, 50_ms);
        CHECK(t.s.ssthresh <= t.s.cwnd);
        CHECK(t.s.ssthresh != congestion::window_max);
    }
    SECTION("a spike: back to slow start") {
        hystart_round(t, una, 60_ms);
        CHECK(t.s.hystart.css_baseline == 60_ms);
        hystart_round(t, una, 40_ms);
        CHECK(t.s.hystart.css_baseline.ns == 0);
        const std::uint32_t before_it = t.s.cwnd;
        hystart_round(t, una, 40_ms);
        CHECK(is_near(t.s.cwnd, 2.0 * before_it, mss));
    }
    SECTION("a loss ends it") {
        hystart_round(t, una, 60_ms);
        congestion::on_loss(t.s, {una, una + t.s.cwnd, t.s.cwnd, mss, t.now, 40_ms});
        CHECK(t.s.hystart.css_baseline.ns == 0);
        CHECK_FALSE(t.s.hystart.in_round);
    }
}

TEST_CASE("RFC 9406 4.3: the threshold is an eighth of the round trip, between 4 and 16 ms") {
    struct Row {
        Duration rtt, too_little, enough;
    };
    for (const Row& row : {Row{10_ms, 13_ms, 14_ms}, Row{80_ms, 89_ms, 90_ms}, Row{400_ms, 415_ms, 416_ms}}) {
        for (const bool enough : {false, true}) {
            Sender t(10);
            t.s.ssthresh = congestion::window_max;
            Seq una{0};
            hystart_round(t, una, row.rtt);
            hystart_round(t, una, enough ? row.enough : row.too_little);
            CHECK((t.s.hystart.css_baseline.ns != 0) == enough);
        }
    }
}
