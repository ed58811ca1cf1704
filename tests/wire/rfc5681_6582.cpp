// RFC 5681: slow start, congestion avoidance, fast retransmit; RFC 6582: NewReno; RFC 6928: initial window.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr std::uint32_t mss = 1000;

/// Established; full segments are 1000 bytes, the peer takes 65,535, the application has written all it can.
Fixture bulk(Way way, std::uint8_t initial = 10) {
    FixtureOptions options;
    options.config.tcp.initial_window_segments = initial;
    options.config.tcp.congestion = CongestionAlgorithm::newreno;
    auto t = listening(way, options);
    t.flow().offers_mss = mss;
    open_passive(t);
    t.app_sends(60'000);
    return t;
}

/// How many full segments came, in order from `seq`.
std::uint32_t burst(Fixture& t, std::uint32_t seq) {
    std::uint32_t n = 0;
    while (const auto p = t.take()) {
        REQUIRE(p->tcp);
        CHECK(p->tcp->seq - *t.flow().stack_iss == seq + n * mss);
        CHECK(p->tcp->payload.size() == mss);
        ++n;
    }
    return n;
}

}  // namespace

WIRE_CASE("RFC 6928 2: the initial window is ten segments", "[congestion]") {
    auto t = bulk(way);
    CHECK(burst(t, 1) == 10);
}

WIRE_CASE("RFC 5681 3.1: slow start, a segment more for each that is acknowledged", "[congestion]") {
    auto t = bulk(way, 2);
    CHECK(burst(t, 1) == 2);
    t.after(100_ms).peer_sends(ack(1 + mss));
    CHECK(burst(t, 1 + 2 * mss) == 2);
    t.peer_sends(ack(1 + 2 * mss));
    CHECK(burst(t, 1 + 4 * mss) == 2);
    CHECK(t.info().congestion_window == 4 * mss);
    // An ACK of several segments counts for as much as it acknowledges (RFC 9406 4.2).
    t.after(100_ms).peer_sends(ack(1 + 6 * mss));
    const std::uint32_t sent = burst(t, 1 + 6 * mss);
    CHECK(sent >= 5);
    CHECK(sent <= 8);
}

WIRE_CASE("RFC 5681 3.1: ACKs of little pieces do not inflate the window", "[congestion]") {
    auto t = bulk(way, 2);
    CHECK(burst(t, 1) == 2);
    t.after(100_ms);
    for (std::uint32_t i = 1; i <= 10; ++i) t.peer_sends(ack(1 + i * 100));
    CHECK(t.info().congestion_window <= 3 * mss);
    t.ignore_output();
}

WIRE_CASE("RFC 5681 3.2: the third duplicate ACK retransmits at once, the first two do not", "[congestion]") {
    auto t = bulk(way);
    CHECK(burst(t, 1) == 10);
    t.after(100_ms).peer_sends(ack(1));
    t.peer_sends(ack(1));
    // RFC 3042 would permit one new segment for each of the two; nothing old may be sent.
    while (const auto p = t.take()) CHECK(p->tcp->seq - *t.flow().stack_iss >= 1 + 10 * mss);
    t.peer_sends(ack(1));
    t.expect(data(mss).seq(1));
    CHECK(t.stack().statistics().tcp_fast_retransmits == 1);
    t.ignore_output();
}

WIRE_CASE("RFC 5681 2: what is no duplicate ACK does not count", "[congestion]") {
    auto t = bulk(way);
    CHECK(burst(t, 1) == 10);
    t.after(100_ms);
    SECTION("with data") {
        for (int i = 0; i < 6; ++i) t.peer_sends(data(10).ack(1));
    }
    SECTION("with another window") {
        for (std::uint32_t i = 0; i < 6; ++i) t.peer_sends(ack(1).window(60'000 + i));
    }
    while (const auto p = t.take()) CHECK(p->tcp->payload.empty());
    CHECK(t.stack().statistics().tcp_fast_retransmits == 0);
}

WIRE_CASE("RFC 5681 3.2, RFC 6582 3.2: halves the window, recovers in one round trip", "[congestion]") {
    auto t = bulk(way);
    CHECK(burst(t, 1) == 10);
    t.after(100_ms);
    t.peer_sends(ack(1)).peer_sends(ack(1)).ignore_output();  // RFC 3042
    t.peer_sends(ack(1));
    t.expect(data(mss).seq(1));
    t.ignore_output();
    CHECK(t.info().slow_start_threshold == 5 * mss);
    t.after(100_ms).peer_sends(ack(1 + t.flow().rcv_nxt - 1));
    CHECK(t.info().congestion_window <= 5 * mss + 1000);
    t.ignore_output();
}

WIRE_CASE("RFC 6582 3.2 step 3: a partial ACK retransmits the next hole, and the window is cut once",
          "[congestion]") {
    auto t = bulk(way);
    CHECK(burst(t, 1) == 10);
    t.after(20_ms);
    t.peer_sends(ack(1)).peer_sends(ack(1)).ignore_output();  // RFC 3042
    t.peer_sends(ack(1));
    t.expect(data(mss).seq(1));
    t.ignore_output();
    const std::uint32_t threshold = t.info().slow_start_threshold;
    t.after(20_ms).peer_sends(ack(1 + 3 * mss));
    t.expect(data(mss).seq(1 + 3 * mss));
    // Everything else that leaves is new.
    while (const auto p = t.take()) CHECK(p->tcp->seq - *t.flow().stack_iss >= 1 + 10 * mss);
    t.after(20_ms).peer_sends(ack(1 + 6 * mss));
    t.expect(data(mss).seq(1 + 6 * mss));
    t.ignore_output();
    CHECK(t.info().slow_start_threshold == threshold);
    CHECK(t.stack().statistics().tcp_fast_retransmits >= 1);
    CHECK(t.info().rto < 1_s);
}

WIRE_CASE("RFC 5681 3.1: after a time-out one segment, and half the flight as threshold", "[congestion]") {
    auto t = bulk(way);
    CHECK(burst(t, 1) == 10);
    const auto again = t.wait(2_s);
    REQUIRE(again.has_value());
    CHECK(again->tcp->seq - *t.flow().stack_iss == 1);
    t.expect_silence();
    CHECK(t.info().slow_start_threshold == 5 * mss);
    CHECK(t.info().congestion_window == mss);
    t.after(10_ms).peer_sends(ack(1 + mss));
    std::uint32_t sent = 0;
    while (const auto p = t.take()) {
        CHECK(p->tcp->seq - *t.flow().stack_iss == 1 + mss + sent * mss);
        ++sent;
    }
    CHECK(sent == 2);
}

WIRE_CASE("RFC 5681 4.1: after an idle time-out the window is the restart window", "[congestion]") {
    auto t = bulk(way, 4);
    for (int i = 0; i < 40 && t.info().send_queue_bytes != 0; ++i) {
        t.ignore_output();
        t.after(10_ms).peer_sends(ack());
    }
    t.ignore_output();
    REQUIRE(t.info().send_queue_bytes == 0);
    REQUIRE(t.info().congestion_window > 4 * mss);
    t.after(10_s);
    const std::uint32_t next = t.flow().rcv_nxt;
    t.app_sends(20'000);
    CHECK(burst(t, next) == 4);
}

WIRE_CASE("RFC 5681 4.2: data out of order is acknowledged at once, the gap's filling too",
          "[congestion][ack]") {
    auto t = established(way);
    t.peer_sends(data(100).seq(101));
    t.expect(ack(1)).expect_silence();
    t.peer_sends(data(100).seq(201));
    t.expect(ack(1)).expect_silence();
    t.peer_sends(data(100).seq(1));
    t.expect(ack(301)).expect_silence();
    t.app_reads(300);
}

WIRE_CASE("RFC 5681 4.2: filling part of a gap is acknowledged at once", "[congestion][ack]") {
    auto t = established(way);
    t.peer_sends(data(100).seq(101));
    t.expect(ack(1));
    t.peer_sends(data(100).seq(301));
    t.expect(ack(1));
    t.peer_sends(data(100).seq(1));
    t.expect(ack(201)).expect_silence();
    t.peer_sends(data(100).seq(201));
    t.expect(ack(401)).expect_silence();
    t.app_reads(400);
}

WIRE_CASE("RFC 9293 3.10.7.4: out-of-order data in every arrangement is put together", "[reassembly]") {
    // Five pieces with overlaps, in all orders.
    struct Piece {
        std::uint32_t seq;
        std::size_t length;
    };
    const Piece pieces[] = {{1, 50}, {31, 40}, {71, 30}, {81, 70}, {151, 50}};
    int order[] = {0, 1, 2, 3, 4};
    int cases = 0;
    do {
        if (way != Way::plain && ++cases % 10 != 0) continue;
        auto t = established(way);
        for (const int i : order) t.peer_sends(data(pieces[i].length).seq(pieces[i].seq));
        t.after(100_ms).ignore_output();
        t.app_reads(200);
        REQUIRE(t.connection()->rcv.nxt.raw - t.flow().iss == 201);
        REQUIRE(t.info().out_of_order_bytes == 0);
    } while (std::next_permutation(std::begin(order), std::end(order)));
}
