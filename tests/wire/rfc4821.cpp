// Path MTU without Packet Too Big: RFC 4821.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr std::uint32_t full = 1440, base = 1220;  // of 1500 and 1280, less 60

/// A path that takes segments with so much text and drops larger ones without a word. The peer behind it acknowledges what
/// comes at once, in order or not.
struct BlackHole {
    Fixture& t;
    std::uint32_t passes;
    std::uint32_t next = 1;
    std::uint32_t largest = 0;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> early{};
    std::uint32_t lost = 0;
    bool loses_more = false;  ///< with each probe, what leaves just before it
    std::uint32_t lost_too = 0;
    std::uint32_t low_max = 0;

    void take(const Packet& p) {
        if (p.tcp->payload.empty()) return;
        const std::uint32_t seq = p.tcp->seq - *t.flow().stack_iss;
        const auto length = static_cast<std::uint32_t>(p.tcp->payload.size());
        const MtuSearchState& m = t.connection()->mtu_search;
        low_max = std::max<std::uint32_t>(low_max, m.low);
        const std::uint32_t probe_text = m.probe - 60U;
        const bool is_lost_too = loses_more && m.is_sent && seq != lost_too &&
                                 seq + length == m.probe_end.raw - *t.flow().stack_iss - probe_text && probe_text > passes;
        if (is_lost_too) lost_too = seq;
        if (length > passes || is_lost_too) {
            ++lost;
            return;
        }
        largest = std::max(largest, length);
        early.emplace_back(seq, seq + length);
        std::sort(early.begin(), early.end());
        for (const auto& [from, to] : early) {
            if (from <= next && next < to) next = to;
        }
        std::erase_if(early, [&](const auto& e) { return e.second <= next; });
        t.after(1_ms).peer_sends(ack(next));
    }
    /// Runs until everything up to `end` has arrived, or the time is over.
    bool run(std::uint32_t end, Duration most) {
        const Instant stop = t.now() + most;
        while (next < end && t.now() < stop) {
            if (const auto p = t.take()) {
                take(*p);
            } else if (const auto later = t.wait(t.elapsed() + 1_s)) {
                take(*later);
            }
        }
        return next >= end;
    }
};

Fixture sender(Way way, bool probing = true) {
    FixtureOptions options;
    options.config.tcp.mtu_probing = probing;
    options.config.tcp.send_buffer = 1U << 20;
    options.config.tcp.congestion = CongestionAlgorithm::newreno;
    auto t = listening(way, options);
    open_passive(t);
    t.keep_still(true);
    return t;
}

}  // namespace

WIRE_CASE("RFC 4821 7.7: time-outs of full segments bring the size down to what every path takes", "[mtu]") {
    auto t = sender(way);
    BlackHole path{t, 1300};
    t.app_sends(60'000);
    CHECK(path.run(60'001, 30_s));
    CHECK(t.connection()->mtu_search.active);
    CHECK(path.largest >= base);
}

WIRE_CASE("RFC 4821 7.3: and a search finds what the path takes", "[mtu]") {
    auto t = sender(way);
    BlackHole path{t, 1400};
    t.app_sends(60'000);
    REQUIRE(path.run(60'001, 30_s));
    std::uint32_t sent = 60'000;
    for (int i = 0; i < 20; ++i) {
        t.app_sends(60'000);
        sent += 60'000;
        REQUIRE(path.run(sent + 1, 60_s));
    }
    const MtuSearchState& m = t.connection()->mtu_search;
    INFO(m.low << ".." << m.high << " probe " << m.probe << " sent " << m.is_sent << " window " << t.info().congestion_window << " lost " << path.lost << " largest " << path.largest);
    CHECK(t.info().mss <= 1400);
    CHECK(t.info().mss > 1400 - 10);
    // 7.5: probes that were lost say nothing of congestion.
    CHECK(t.info().congestion_window > 10 * base);
}

WIRE_CASE("RFC 4821 7.6.2: a probe whose text had to go again has not passed, whatever else was lost with it", "[mtu]") {
    auto t = sender(way);
    BlackHole path{t, 1300};
    path.loses_more = true;
    t.app_sends(60'000);
    REQUIRE(path.run(60'001, 30_s));
    std::uint32_t sent = 60'000;
    for (int i = 0; i < 10; ++i) {
        t.app_sends(60'000);
        sent += 60'000;
        REQUIRE(path.run(sent + 1, 60_s));
    }
    CHECK(path.low_max <= 1300 + 60);
    CHECK(path.low_max > 1300 + 60 - 10);
}

WIRE_CASE("RFC 4821 7.7: segments that every path takes are not made smaller, whatever is lost", "[mtu]") {
    auto t = sender(way);
    t.app_sends(1000);
    t.ignore_output();
    for (int i = 0; i < 5; ++i) {
        const auto again = t.wait(t.elapsed() + 20_s);
        REQUIRE(again);
        CHECK(again->tcp->payload.size() == 1000);
    }
    CHECK_FALSE(t.connection()->mtu_search.active);
    CHECK(t.info().mss == full);
    t.peer_sends(ack(1001));
}

WIRE_CASE("RFC 4821 7.7: with probing off a black hole stays one", "[mtu]") {
    auto t = sender(way, false);
    BlackHole path{t, 1300};
    t.app_sends(20'000);
    CHECK_FALSE(path.run(20'001, 20_s));
    CHECK(path.next == 1);
    t.app_aborts();
    t.ignore_output();
}

WIRE_CASE("RFC 4821 7.7, DURABILITY 8: what was found out survives a restart", "[mtu][durability]") {
    FixtureOptions options(DurabilityPolicy::snapshot);
    auto t = listening(way, options);
    open_passive(t);
    t.keep_still(true);
    BlackHole path{t, 1300};
    t.app_sends(20'000);
    REQUIRE(path.run(20'001, 30_s));
    REQUIRE(t.info().mss == base);
    t.snapshot().crash(10_ms);
    t.keep_still(true).auto_commit(true);
    t.ignore_output();
    CHECK(t.connection()->mtu_search.active);
    CHECK(t.info().mss == base);
}
