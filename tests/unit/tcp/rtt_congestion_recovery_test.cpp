// The pure parts of sending: RTO, congestion window, NewReno.
#include <catch2/catch_test_macros.hpp>

#include "tcp/congestion/newreno.hpp"
#include "tcp/recovery/newreno.hpp"
#include "tcp/rtt.hpp"

using namespace keepnet;
using namespace keepnet::tcp;
using namespace keepnet::literals;

namespace {
constexpr std::uint32_t mss = 1000;
}

TEST_CASE("RFC 6298 2: estimator") {
    const TcpConfig config;
    RttState rtt;
    CHECK(current_rto(rtt, config) == 1_s);  // 2.1: no sample yet
    take_sample(rtt, 400_ms, config);
    CHECK(rtt.srtt == 400_ms);
    CHECK(rtt.rttvar == 200_ms);
    CHECK(rtt.rto == 1200_ms);
    take_sample(rtt, 400_ms, config);  // rttvar 3/4
    CHECK(rtt.rttvar == 150_ms);
    CHECK(rtt.rto == 1_s);
    take_sample(rtt, 1200_ms, config);
    CHECK(rtt.srtt == 500_ms);
    CHECK(rtt.rttvar == 150_ms * 3 / 4 + 200_ms);
}

TEST_CASE("RFC 6298 2.4, 2.5, 5.5: bounds and back-off") {
    const TcpConfig config;
    RttState rtt;
    for (int i = 0; i < 50; ++i) take_sample(rtt, 1_ms, config);
    CHECK(rtt.rto == config.rto_min);
    rtt.timing = true;
    back_off(rtt);
    CHECK_FALSE(rtt.timing);  // Karn
    CHECK(current_rto(rtt, config) == config.rto_min * 2);
    for (int i = 0; i < 300; ++i) back_off(rtt);
    CHECK(current_rto(rtt, config) == config.rto_max);
    take_sample(rtt, 1_ms, config);
    CHECK(current_rto(rtt, config) == config.rto_min);  // 5.7
    take_sample(rtt, Duration{0}, config);
    CHECK(rtt.srtt.ns > 0);
}

TEST_CASE("RFC 6928: initial window") {
    CHECK(congestion::initial_window(1460, 10) == 14600);
    CHECK(congestion::initial_window(500, 10) == 5000);
    CHECK(congestion::initial_window(9000, 10) == 18000);
}

TEST_CASE("RFC 5681 3.1: slow start, then one segment a round trip") {
    CongestionState s = congestion::begin(mss, 10, {});
    congestion::on_ack(s, mss, mss, s.cwnd);
    CHECK(s.cwnd == 11'000);
    congestion::on_ack(s, 5 * mss, mss, s.cwnd);
    CHECK(s.cwnd == 13'000);  // RFC 3465: two segments at most
    s.ssthresh = s.cwnd;
    for (std::uint32_t acked = 0; acked < 13'000; acked += mss) {
        CHECK(s.cwnd == 13'000);
        congestion::on_ack(s, mss, mss, s.cwnd);
    }
    CHECK(s.cwnd == 14'000);
    congestion::on_ack(s, 100 * mss, mss, 100);  // hardly anything in flight: no growth
    CHECK(s.cwnd == 14'000);
}

TEST_CASE("RFC 5681 3.1, 4.1: time-out and idle restart") {
    CongestionState s = congestion::begin(mss, 10, Instant{0});
    s.cwnd = 40'000;
    congestion::on_timeout(s, 30'000, mss, true);
    CHECK(s.ssthresh == 15'000);
    CHECK(s.cwnd == mss);
    congestion::on_timeout(s, mss, mss, false);
    CHECK(s.ssthresh == 15'000);
    s.cwnd = 40'000;
    CHECK(congestion::window_after_idle(s, mss, 10, Instant{} + 200_ms, 200_ms) == 40'000);
    CHECK(congestion::window_after_idle(s, mss, 10, Instant{} + 201_ms, 200_ms) == 14'600 - 4'600);
    s.cwnd = 3000;
    CHECK(congestion::window_after_idle(s, mss, 10, Instant{} + 1_s, 200_ms) == 3000);
}

TEST_CASE("RFC 5681 3.2, RFC 6582 3.2: fast retransmit, partial and full acknowledgements") {
    RecoveryState r;
    CongestionState s = congestion::begin(mss, 10, {});
    s.cwnd = 10 * mss;
    recovery::View v{Seq{0}, Seq{10'000}, 10'000, mss};
    CHECK_FALSE(recovery::on_duplicate_ack(r, s, v));
    CHECK_FALSE(recovery::on_duplicate_ack(r, s, v));
    CHECK_FALSE(r.retransmit_owed);
    CHECK(recovery::on_duplicate_ack(r, s, v));
    CHECK(r.retransmit_owed);
    CHECK(r.recover == Seq{10'000});
    CHECK(s.ssthresh == 5000);
    CHECK(s.cwnd == 8000);
    CHECK_FALSE(recovery::on_duplicate_ack(r, s, v));
    CHECK(s.cwnd == 9000);  // each further one inflates
    r.retransmit_owed = false;
    CHECK_FALSE(recovery::on_new_ack(r, s, v, Seq{3000}));  // partial
    CHECK(r.retransmit_owed);
    CHECK(r.in_recovery);
    CHECK(s.cwnd == 9000 - 3000 + 1000);
    CHECK(s.ssthresh == 5000);  // no second cut
    v = {Seq{3000}, Seq{12'000}, 9000, mss};
    CHECK_FALSE(recovery::on_new_ack(r, s, v, Seq{10'000}));  // full
    CHECK_FALSE(r.in_recovery);
    CHECK(s.cwnd == 3000);  // min(ssthresh, max(2000, 1000) + 1000)
}

TEST_CASE("RFC 6582 4.1: duplicates after a time-out start no fast retransmit before recover") {
    RecoveryState r;
    CongestionState s = congestion::begin(mss, 10, {});
    const recovery::View v{Seq{0}, Seq{10'000}, 10'000, mss};
    recovery::on_timeout(r, v);
    for (int i = 0; i < 5; ++i) CHECK_FALSE(recovery::on_duplicate_ack(r, s, v));
    CHECK(recovery::on_new_ack(r, s, v, Seq{9000}));
    CHECK(r.after_timeout);
    CHECK(recovery::on_new_ack(r, s, {Seq{9000}, Seq{12'000}, 3000, mss}, Seq{10'000}));
    CHECK_FALSE(r.after_timeout);
    const recovery::View w{Seq{10'000}, Seq{12'000}, 2000, mss};
    CHECK_FALSE(recovery::on_duplicate_ack(r, s, w));
    CHECK_FALSE(recovery::on_duplicate_ack(r, s, w));
    CHECK(recovery::on_duplicate_ack(r, s, w));
}
