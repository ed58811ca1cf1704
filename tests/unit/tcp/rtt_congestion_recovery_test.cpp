// The pure parts of sending: RTO, congestion window, NewReno.
#include <catch2/catch_test_macros.hpp>

#include "tcp/congestion/congestion.hpp"
#include "tcp/recovery/newreno.hpp"
#include "tcp/rtt.hpp"

using namespace keepnet;
using namespace keepnet::tcp;
using namespace keepnet::literals;

namespace {
constexpr std::uint32_t mss = 1000;

CongestionState begin() { return congestion::begin(CongestionAlgorithm::newreno, mss, 10, {}); }
congestion::View view(std::uint32_t flight) { return {Seq{0}, Seq{flight}, flight, mss}; }
/// A new round with so much in flight.
congestion::View sent(CongestionState& s, std::uint32_t flight) {
    s.flight_until = Seq{0};
    s.is_cut = false;
    congestion::after_send(s, view(flight), 10, seconds(1));
    return view(flight);
}
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

TEST_CASE("RFC 6298 2.4, 2.5, 5.5: bounds and back-off, and the minimum is one of the variance, as Linux has it") {
    const TcpConfig config;
    RttState rtt;
    for (int i = 0; i < 50; ++i) take_sample(rtt, 1_ms, config);
    CHECK(rtt.rto == config.rto_min + 1_ms);
    rtt.timing = true;
    back_off(rtt);
    CHECK_FALSE(rtt.timing);  // Karn
    CHECK(current_rto(rtt, config) == (config.rto_min + 1_ms) * 2);
    for (int i = 0; i < 300; ++i) back_off(rtt);
    CHECK(current_rto(rtt, config) == config.rto_max);
    take_sample(rtt, 1_ms, config);
    CHECK(current_rto(rtt, config) == config.rto_min + 1_ms);  // 5.7
    take_sample(rtt, Duration{0}, config);
    CHECK(rtt.srtt.ns > 0);
}

TEST_CASE("RFC 6928: initial window") {
    CHECK(congestion::initial_window(1460, 10) == 14600);
    CHECK(congestion::initial_window(500, 10) == 5000);
    CHECK(congestion::initial_window(9000, 10) == 18000);
}

TEST_CASE("RFC 5681 3.1: slow start, then one segment a round trip") {
    CongestionState s = begin();
    congestion::View v = sent(s, s.cwnd);
    congestion::on_ack(s, v, mss);
    CHECK(s.cwnd == 11'000);
    congestion::on_ack(s, v, 12 * mss);
    CHECK(s.cwnd == 23'000);  // RFC 9406 4.2: all of it, as bursts are paced
    v.after_timeout = true;
    congestion::on_ack(s, v, 3 * mss);
    CHECK(s.cwnd == 24'000);  // RFC 3465 2.3: after a time-out one
    v = sent(s, s.cwnd);
    s.ssthresh = 25'000;
    congestion::on_ack(s, v, 4 * mss);  // the threshold is not passed in slow start
    CHECK(s.cwnd == 25'000);
    CHECK(s.bytes_acked == 3 * mss);
    s.bytes_acked = 0;
    for (std::uint32_t acked = 0; acked < 25'000; acked += mss) {
        CHECK(s.cwnd == 25'000);
        congestion::on_ack(s, v, mss);
    }
    CHECK(s.cwnd == 26'000);
}

TEST_CASE("RFC 7661 4.3, RFC 2861 3.2: a window that was not in use does not grow, and decays") {
    CongestionState s = begin();
    s.cwnd = 40'000;
    s.ssthresh = 30'000;
    congestion::View v = sent(s, 100);
    congestion::on_ack(s, v, 100 * mss);  // hardly anything in flight
    CHECK(s.cwnd == 40'000);
    // In slow start half of the window is enough: it is to become twice as large.
    s.ssthresh = congestion::window_max;
    v = sent(s, 20'000);
    congestion::on_ack(s, v, mss);
    CHECK(s.cwnd == 40'000);
    v = sent(s, 21'000);
    congestion::on_ack(s, v, mss);
    CHECK(s.cwnd == 41'000);
    // A time-out in which it was not in use: half way down to what was; the threshold remembers three quarters.
    s.ssthresh = 20'000;
    v = sent(s, 15'000);
    v.now = Instant{} + 1_s;
    congestion::after_send(s, v, 10, 200_ms);
    CHECK(s.cwnd == (41'000 + 15'000) / 2);
    CHECK(s.ssthresh == 30'750);
    v.now = v.now + 100_ms;
    congestion::after_send(s, v, 10, 200_ms);
    CHECK(s.cwnd == 28'000);  // once for each time-out
}

TEST_CASE("RFC 5681 3.1, 4.1: time-out and idle restart") {
    CongestionState s = begin();
    s.cwnd = 40'000;
    congestion::on_timeout(s, view(30'000), true);
    CHECK(s.ssthresh == 15'000);
    CHECK(s.cwnd == mss);
    congestion::on_timeout(s, view(mss), false);
    CHECK(s.ssthresh == 15'000);
    s.cwnd = 40'000;
    const auto idle = [&](Duration d) {
        congestion::View v = view(0);
        v.now = Instant{} + d;
        congestion::before_send(s, v, 10, 200_ms);
        return s.cwnd;
    };
    CHECK(idle(200_ms) == 40'000);
    CHECK(idle(201_ms) == 20'000);  // half for each time-out (RFC 2861 3.1)
    CHECK(s.ssthresh == 30'000);
    CHECK(idle(500_ms) == 10'000);  // not below the restart window
    s.cwnd = 3000;
    CHECK(idle(1_s) == 3000);
}

TEST_CASE("RFC 3168 6.1.2, RFC 5681 3.1: one reduction for a window's data, whatever says so") {
    CongestionState s = begin();
    s.cwnd = 40'000;
    congestion::View v{Seq{0}, Seq{40'000}, 40'000, mss};
    CHECK(congestion::on_ecn_echo(s, v));
    CHECK(s.cwnd == 20'000);
    CHECK(s.ssthresh == 20'000);
    CHECK_FALSE(congestion::on_ecn_echo(s, v));
    v.una = Seq{39'999};
    congestion::on_loss(s, v);
    congestion::on_timeout(s, v, true);
    CHECK(s.ssthresh == 20'000);
    v = {Seq{40'000}, Seq{60'000}, 20'000, mss};
    s.cwnd = 20'000;
    CHECK_FALSE(congestion::on_ecn_echo(s, v));  // CWR, which goes with what follows, cannot have been seen
    v.una = Seq{40'001};
    CHECK(congestion::on_ecn_echo(s, v));
    CHECK(s.ssthresh == 10'000);
}

TEST_CASE("RFC 5682 3, RFC 9438 4.9: what was no loss is undone") {
    for (int i = 0; i < 4; ++i) {
        const auto algorithm = i % 2 == 0 ? CongestionAlgorithm::newreno : CongestionAlgorithm::cubic;
        CongestionState s = congestion::begin(algorithm, mss, 10, {});
        s.cwnd = 40'000;
        s.ssthresh = 30'000;
        s.cubic.w_max = 50'000;
        const CongestionState before_it = s;
        const congestion::View v{Seq{0}, Seq{40'000}, 40'000, mss};
        i < 2 ? congestion::on_loss(s, v) : congestion::on_timeout(s, v, true);
        CHECK(s.ssthresh == (algorithm == CongestionAlgorithm::cubic ? 28'000 : 20'000));
        congestion::undo(s, v);
        CHECK(s.cwnd == before_it.cwnd);
        CHECK(s.ssthresh == before_it.ssthresh);
        CHECK(s.cubic.w_max == before_it.cubic.w_max);
        CHECK_FALSE(s.is_cut);
        congestion::on_loss(s, v);  // and the next one is real
        CHECK(s.ssthresh == (algorithm == CongestionAlgorithm::cubic ? 28'000 : 20'000));
    }
    // A mark of the network is never wrong.
    CongestionState s = begin();
    const congestion::View v{Seq{0}, Seq{10'000}, 10'000, mss};
    CHECK(congestion::on_ecn_echo(s, v));
    congestion::undo(s, v);
    CHECK(s.cwnd == 5'000);
    // Nor does it become wrong by a loss in the same window that was none.
    congestion::on_loss(s, v);
    congestion::undo(s, v);
    CHECK(s.cwnd == 5'000);
    CHECK(s.is_cut);
    CHECK_FALSE(congestion::on_ecn_echo(s, v));
}

TEST_CASE("DURABILITY 8: a restored connection has the restart window, and forgets what was under way") {
    CongestionState s = congestion::begin(CongestionAlgorithm::cubic, mss, 10, {});
    const congestion::View v{Seq{0}, Seq{40'000}, 40'000, mss, Instant{} + 5_s};
    s.cwnd = 40'000;
    congestion::on_loss(s, v);
    congestion::restart(s, v, 10);
    CHECK(s.algorithm == CongestionAlgorithm::cubic);
    CHECK(s.cwnd == 10'000);
    CHECK(s.ssthresh == 28'000);
    CHECK_FALSE(s.is_cut);
    CHECK(s.prior_cwnd == 0);
    CHECK(s.last_sent == v.now);
}

TEST_CASE("RFC 5681 3.2, RFC 6582 3.2: fast retransmit, partial and full acknowledgements") {
    RecoveryState r;
    CongestionState s = begin();
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
    CongestionState s = begin();
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
