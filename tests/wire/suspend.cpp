// DURABILITY 9: an orderly suspend; 10: an arena that survived.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE("DURABILITY 9: suspend advertises a zero window, drains what is in flight, resumes at once",
          "[suspend]") {
    auto t = established(way);
    t.flow().edge_may_shrink = true;
    t.stack().suspend(t.now());
    t.settle().mark();
    t.expect(ack(1).window(0));
    // In flight when we said so: still taken and acknowledged.
    t.at(20_ms).peer_sends(data(1000)).peer_sends(data(1000));
    t.expect_by(100_ms, ack(2001).window(0));
    t.ignore_output();
    CHECK_FALSE(t.stack().is_suspended());
    t.at(3_s).ignore_output();
    CHECK(t.stack().is_suspended());
    t.snapshot().crash(60_s);
    const auto p = t.take();
    REQUIRE(p.has_value());
    CHECK(p->tcp->ack - t.flow().iss == 2001);
    CHECK(p->tcp->window > 30'000);
    t.app_reads(2000);
    t.peer_sends(data(10));
    t.app_reads(10);
    CHECK(t.verdict() == Verdict::resumed);
}

WIRE_CASE("DURABILITY 9: under policy snapshot the drained data is acknowledged once durable", "[suspend]") {
    auto t = established(way, FixtureOptions(DurabilityPolicy::snapshot));
    t.snapshot().ignore_output();
    t.auto_commit(false);
    t.flow().edge_may_shrink = true;
    t.stack().suspend(t.now());
    t.settle().mark();
    t.snapshot().ignore_output();
    t.at(10_ms).peer_sends(data(500));
    t.expect_silence();
    t.at(50_ms).snapshot();
    t.expect(ack(501).window(0));
    t.at(3_s).ignore_output();
    CHECK(t.stack().is_suspended());
    t.app_reads(500);
}

WIRE_CASE("DURABILITY 10: an arena that its embedder preserved is adopted, wherever it lies now",
          "[attach]") {
    auto t = established(way);
    t.app_sends(100).expect(data(100));
    t.peer_sends(data(50).ack(1));
    t.adopt(10_s);
    t.expect(data(100).seq(1).ack(51));
    t.app_reads(50);
    t.peer_sends(ack(101));
    CHECK(t.verdict() == Verdict::resumed);
}
