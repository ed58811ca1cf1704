// RFC 2018: what we report of data that came out of order; RFC 2883: what we report of data that came twice. And what
// DURABILITY 1 says of both.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr std::uint32_t mss = 1000;

void offer_sack(Fixture& t) { t.flow().offers_sack = true; }

Fixture open_with_sack(Way way, const FixtureOptions& options = {}) {
    auto t = listening(way, options);
    offer_sack(t);
    open_passive(t);
    return t;
}

/// The n-th thousand of the peer's stream.
Segment piece(std::uint32_t n) { return data(mss).seq(1 + n * mss); }
std::pair<std::uint32_t, std::uint32_t> block(std::uint32_t from, std::uint32_t to) {
    return {1 + from * mss, 1 + to * mss};
}

}  // namespace

WIRE_CASE("RFC 2018 2: our SYN permits SACK", "[sack]") {
    Fixture t(way);
    t.app_connects();
    t.expect(syn().sack_ok());
}

WIRE_CASE("RFC 2018 2: our SYN-ACK permits SACK when the peer's SYN does, and only then", "[sack]") {
    auto t = listening(way);
    offer_sack(t);
    t.peer_sends(syn());
    t.expect(syn_ack().sack_ok());
    t.use_flow(1).peer_sends(syn());
    const auto answer = t.take();
    REQUIRE(answer);
    CHECK_FALSE(answer->tcp->sack_permitted);
}

WIRE_CASE("RFC 2018 2: a stack that is told not to offer SACK does not", "[sack]") {
    FixtureOptions options;
    options.config.tcp.sack = false;
    auto t = listening(way, options);
    offer_sack(t);
    t.peer_sends(syn());
    const auto answer = t.take();
    REQUIRE(answer);
    CHECK_FALSE(answer->tcp->sack_permitted);
}

WIRE_CASE("RFC 2018 4: a peer that did not permit SACK gets none", "[sack]") {
    auto t = established(way);
    t.peer_sends(piece(1));
    t.expect(ack(1).sack({}));
}

WIRE_CASE("RFC 2018 4: the block that grew last comes first, the others behind it", "[sack]") {
    auto t = open_with_sack(way);
    t.peer_sends(piece(1));
    t.expect(ack(1).sack({block(1, 2)}));
    t.peer_sends(piece(3));
    t.expect(ack(1).sack({block(3, 4), block(1, 2)}));
    t.peer_sends(piece(5));
    t.expect(ack(1).sack({block(5, 6), block(3, 4), block(1, 2)}));
    t.peer_sends(piece(4));
    t.expect(ack(1).sack({block(3, 6), block(1, 2)}));
    t.peer_sends(piece(2));
    t.expect(ack(1).sack({block(1, 6)}));
    t.peer_sends(piece(0));
    t.expect(ack(1 + 6 * mss).sack({}));
    t.app_reads(6 * mss);
}

WIRE_CASE("RFC 2018 4: four blocks without timestamps, three with them", "[sack]") {
    for (const bool timestamps : {false, true}) {
        auto t = listening(way);
        offer_sack(t);
        t.flow().offers_ts = timestamps;
        open_passive(t);
        for (std::uint32_t n = 1; n <= 9; n += 2) t.peer_sends(piece(n));
        for (int i = 0; i < 4; ++i) t.take();
        if (timestamps) {
            t.expect(ack(1).sack({block(9, 10), block(7, 8), block(5, 6)}));
        } else {
            t.expect(ack(1).sack({block(9, 10), block(7, 8), block(5, 6), block(3, 4)}));
        }
    }
}

WIRE_CASE("RFC 2018 4: when the first hole is filled what is left is still reported", "[sack]") {
    auto t = open_with_sack(way);
    t.peer_sends(piece(1)).peer_sends(piece(3));
    t.take(), t.take();
    t.peer_sends(piece(0));
    t.expect(ack(1 + 2 * mss).sack({block(3, 4)}));
    t.app_reads(2 * mss);
    t.ignore_output();
}

WIRE_CASE("RFC 2018 4: an early FIN belongs to its block", "[sack]") {
    auto t = open_with_sack(way);
    t.peer_sends(data(mss).seq(1 + mss).also(flag::fin));
    t.expect(ack(1).sack({{1 + mss, 2 + 2 * mss}}));
}

WIRE_CASE("RFC 2018 3: blocks ride on data that leaves room for them", "[sack]") {
    auto t = open_with_sack(way);
    t.peer_sends(piece(1));
    t.expect(ack(1).sack({block(1, 2)}));
    t.app_sends(100);
    t.expect(data(100).ack(1).sack({block(1, 2)}));
    t.peer_sends(ack());
}

WIRE_CASE("RFC 2883 4.1: a segment that comes again is reported once, in the first block", "[dsack]") {
    auto t = open_with_sack(way);
    t.peer_sends(piece(0));
    t.expect_by(50_ms, ack(1 + mss).sack({}));
    t.peer_sends(piece(0));
    t.expect(ack(1 + mss).sack({block(0, 1)}));
    t.peer_sends(piece(2));
    t.expect(ack(1 + mss).sack({block(2, 3)}));
    t.app_reads(mss);
    t.ignore_output();
}

WIRE_CASE("RFC 2883 4.1.1: of a segment that is partly new the part that is not is reported", "[dsack]") {
    auto t = open_with_sack(way);
    t.peer_sends(piece(0));
    t.expect_by(50_ms, ack(1 + mss));
    t.peer_sends(data(mss).seq(1 + mss / 2));
    t.expect_by(100_ms, ack(1 + mss + mss / 2).sack({{1 + mss / 2, 1 + mss}}));
    t.app_reads(mss + mss / 2);
    t.ignore_output();
}

WIRE_CASE("RFC 2883 4.2: what came twice out of order stands before the block that it lies in", "[dsack]") {
    auto t = open_with_sack(way);
    t.peer_sends(piece(1)).peer_sends(piece(2)).peer_sends(piece(4));
    t.take(), t.take(), t.take();
    t.peer_sends(piece(2));
    t.expect(ack(1).sack({block(2, 3), block(1, 3), block(4, 5)}));
}

WIRE_CASE("RFC 2883 4: what closes a hole and covers what lay behind it reports that part", "[dsack]") {
    auto t = open_with_sack(way);
    t.peer_sends(piece(1));
    t.take();
    t.peer_sends(data(mss + 400).seq(1));
    t.expect(ack(1 + 2 * mss).sack({{1 + mss, 1 + mss + 400}}));
    t.app_reads(2 * mss);
    t.ignore_output();
}

WIRE_CASE("DURABILITY 1: out-of-order data is reported only beside an ACK of all that is in order", "[sack][marks]") {
    auto t = open_with_sack(way, FixtureOptions(DurabilityPolicy::snapshot));
    t.auto_commit(false);
    t.peer_sends(piece(0)).peer_sends(piece(2));
    t.after(100_ms).expect_silence();
    // A probe is answered, with an ACK that is behind what was received: no block, which would be counted from there.
    t.peer_sends(segment(flag::ack).seq(0).length(0));
    t.expect(ack(1).sack({}));
    t.snapshot();
    t.expect_by(200_ms, ack(1 + mss).sack({block(2, 3)}));
    t.app_reads(mss);
    t.auto_commit(true).ignore_output();
}

WIRE_CASE("DURABILITY 1: a D-SACK waits for the ACK that covers it", "[dsack][marks]") {
    auto t = open_with_sack(way, FixtureOptions(DurabilityPolicy::snapshot));
    t.auto_commit(false);
    t.peer_sends(piece(0));
    t.peer_sends(piece(0));
    while (const auto p = t.take()) CHECK(p->tcp->sack.empty());
    t.snapshot();
    t.expect_by(100_ms, ack(1 + mss).sack({block(0, 1)}));
    t.app_reads(mss);
    t.auto_commit(true).ignore_output();
}

WIRE_CASE("RFC 2018 8: after a rollback nothing is reported that is gone", "[sack][marks]") {
    auto t = open_with_sack(way, FixtureOptions(DurabilityPolicy::snapshot));
    t.peer_sends(piece(1));
    t.expect_by(10_ms, ack(1).sack({block(1, 2)}));
    t.snapshot();
    t.auto_commit(false);
    t.peer_sends(piece(3));
    t.take();
    t.crash(1_s).ignore_output();
    t.auto_commit(true);
    t.peer_sends(piece(5));
    const auto p = t.wait(3_s);
    REQUIRE(p);
    CHECK(p->tcp->sack.size() == 2);
    t.ignore_output();
}
