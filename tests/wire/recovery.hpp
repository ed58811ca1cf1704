// A sender with SACK whose peer says what it has: for the tests of loss recovery.
#pragma once

#include <utility>
#include <vector>

#include "support/fixture.hpp"

namespace keepnet::test {

inline constexpr std::uint32_t recovery_mss = 1000;
inline constexpr Duration recovery_rtt = 100_ms;

/// Established in one round trip of 100 ms: SRTT 100 ms, RTTVAR 50 ms, RTO 300 ms. Segments of 1000 bytes.
inline Fixture open_for_recovery(Way way, FixtureOptions options = {}, bool sack = true) {
    auto t = listening(way, options);
    t.flow().offers_mss = recovery_mss;
    t.flow().offers_sack = sack;
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.after(recovery_rtt).peer_sends(ack(1));
    t.app_accepts().expect_silence().mark();
    return t;
}

/// The first segments of the initial window of ten, and more waiting behind them.
inline Fixture bulk_for_recovery(Way way, FixtureOptions options = {}, bool sack = true) {
    auto t = open_for_recovery(way, options, sack);
    t.app_sends(60'000);
    for (std::uint32_t n = 0; n < 10; ++n) t.expect(data(recovery_mss).seq(1 + n * recovery_mss));
    t.expect_silence();
    return t;
}

/// Start of the n-th segment, from 0.
constexpr std::uint32_t start_of(std::uint32_t n) { return 1 + n * recovery_mss; }
/// An ACK of all before segment `n`.
inline Segment ack_before(std::uint32_t n) { return ack(start_of(n)); }
/// ... that reports segments from..to-1, pair by pair.
inline Segment sacks(std::uint32_t n, const std::vector<std::pair<std::uint32_t, std::uint32_t>>& segments) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> blocks;
    for (const auto& [from, to] : segments) blocks.emplace_back(start_of(from), start_of(to));
    return ack_before(n).sack(std::move(blocks));
}
inline Segment segment_number(std::uint32_t n) { return data(recovery_mss).seq(start_of(n)); }
/// Numbers of the segments that were sent since the last look.
inline std::vector<std::uint32_t> sent_numbers(Fixture& t) {
    std::vector<std::uint32_t> numbers;
    while (const auto p = t.take()) {
        REQUIRE(p->tcp);
        if (!p->tcp->payload.empty()) numbers.push_back((p->tcp->seq - *t.flow().stack_iss - 1) / recovery_mss);
    }
    return numbers;
}

/// RFC 6675 4: neither delivered nor lost.
constexpr std::uint32_t pipe_of(const TcpConnectionState& c) {
    return c.snd.nxt - c.snd.una - c.sack.sacked - c.sack.lost;
}

using Numbers = std::vector<std::uint32_t>;

}  // namespace keepnet::test
