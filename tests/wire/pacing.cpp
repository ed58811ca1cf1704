// What leaves at once, and what waits (TcpConfig::burst_segments). RFC 5681 3.1 limits what is under way, and
// not how fast it goes there; a burst of a whole window fills the queue of the first slow link.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr std::uint32_t mss = 1000;

/// Established 100 ms after its SYN; segments of 1000 bytes, ten of them in the first window.
Fixture far_away(Way way, std::uint32_t burst_segments) {
    FixtureOptions options;
    options.config.tcp.burst_segments = burst_segments;
    auto t = syn_sent(way, options);
    t.flow().offers_mss = mss;
    t.at(100_ms).peer_sends(syn_ack().seq(0).ack(1));
    t.expect(ack(1)).expect_silence();
    REQUIRE(t.info().srtt == 100_ms);
    t.mark();
    return t;
}

}  // namespace

WIRE_CASE(
    "RFC 5681 3.1, pacing: a burst has its size, the rest of the window goes at twice the window a round "
    "trip",
    "[pacing]") {
    auto t = far_away(way, 4);
    t.app_sends(20'000);
    for (std::uint32_t i = 0; i < 4; ++i) t.expect(data(mss).seq(1 + i * mss));
    t.expect_silence();
    // Ten segments in 100 ms, twice as fast, four at a time: every 20 ms.
    t.expect_between(20_ms, 20_ms, data(mss).seq(1 + 4 * mss));
    for (std::uint32_t i = 5; i < 8; ++i) t.expect(data(mss).seq(1 + i * mss));
    t.expect_silence();
    t.expect_between(40_ms, 40_ms, data(mss).seq(1 + 8 * mss));
    t.expect(data(mss).seq(1 + 9 * mss)).expect_silence_until(90_ms);
}

WIRE_CASE("RFC 5681 3.1, pacing: what ACKs let out waits for nothing else", "[pacing]") {
    auto t = far_away(way, 4);
    t.app_sends(20'000);
    t.at(100_ms).ignore_output();
    for (std::uint32_t i = 0; i < 5; ++i) {
        t.at(100_ms + 20_ms * i).peer_sends(ack(1 + (2 * i + 2) * mss));
        // Slow start: two for each that is acknowledged.
        for (std::uint32_t k = 0; k < 4 && 10 + 4 * i + k < 20; ++k)
            t.expect(data(mss).seq(1 + (10 + 4 * i + k) * mss));
        t.expect_silence();
    }
}

WIRE_CASE("RFC 5681 3.2, pacing: what is sent again does not wait behind a burst", "[pacing]") {
    auto t = far_away(way, 4);
    t.app_sends(20'000);
    for (std::uint32_t i = 0; i < 4; ++i) t.expect(data(mss));
    t.at(5_ms);
    for (int i = 0; i < 3; ++i) t.peer_sends(ack(1));
    t.expect(data(mss).seq(1));
    t.ignore_output();
}

WIRE_CASE("RFC 5681 3.1, pacing: with a burst of 0 the whole window goes at once", "[pacing]") {
    auto t = far_away(way, 0);
    t.app_sends(20'000);
    for (std::uint32_t i = 0; i < 10; ++i) t.expect(data(mss).seq(1 + i * mss));
    t.expect_silence_until(90_ms);
}

WIRE_CASE("RFC 5681 3.1, DURABILITY 8, pacing: the rest of a burst is not forgotten over a crash",
          "[pacing][restore]") {
    auto t = far_away(way, 4);
    t.app_sends(20'000);
    for (std::uint32_t i = 0; i < 4; ++i) t.expect(data(mss));
    t.snapshot();
    t.crash(1_s);
    // Unacknowledged data: one segment at once; the peer has them all, and says so.
    const auto first = t.wait(t.elapsed() + 1_s);
    REQUIRE(first);
    CHECK(first->tcp->seq - *t.flow().stack_iss == 1);
    t.flow().rcv_nxt = 1 + 4 * mss;
    t.peer_sends(ack(1 + 4 * mss));
    std::uint32_t next = 1 + 4 * mss;
    for (int rounds = 0; rounds < 40 && next < 20'001; ++rounds) {
        while (const auto p = t.take()) {
            if (p->tcp->payload.empty()) continue;
            CHECK(p->tcp->seq - *t.flow().stack_iss == next);
            next += static_cast<std::uint32_t>(p->tcp->payload.size());
        }
        t.after(50_ms).peer_sends(ack(next));
    }
    CHECK(next == 20'001);
}
