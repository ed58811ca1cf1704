// TIME-WAIT when slots run out: RFC 9293 3.6.1, RFC 6191 1, Linux's tcp_max_tw_buckets; DURABILITY 2.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

FixtureOptions four_slots(DurabilityPolicy policy = DurabilityPolicy::none) {
    FixtureOptions options(policy);
    options.config.capacity.tcp_connections = 4;
    options.config.capacity.tcp_tombstones = 2;
    return options;
}

/// A connection of flow `n` that we close first, and whose handle goes.
void to_time_wait(Fixture& t, std::size_t n) {
    t.use_flow(n);
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1));
    t.app_accepts();
    t.app_closes();
    t.expect(fin().seq(1));
    t.peer_sends(fin().ack(2));
    t.expect(ack(2));
}

}  // namespace

WIRE_CASE("RFC 6191 1: a full table forgets who has been in TIME-WAIT longest, for a handshake that is complete", "[time_wait]") {
    auto t = listening(way, four_slots());
    for (std::size_t n = 0; n < 4; ++n) {
        to_time_wait(t, n);
        t.after(1_s);
    }
    CHECK(t.world().connections.in_use() == 4);
    // A SYN alone takes nobody's place: it is answered with a cookie.
    t.use_flow(4);
    t.peer_sends(syn());
    t.expect(syn_ack());
    CHECK(t.stack().statistics().tcp_time_waits_evicted == 0);
    t.peer_sends(ack(1));
    t.expect(TcpPhase::established);
    CHECK(t.stack().statistics().tcp_time_waits_evicted == 1);
    t.app_accepts();
    t.app_sends(10).expect(data(10));
    t.peer_sends(ack());
    // The oldest has gone, the others wait still.
    t.use_flow(0);
    t.peer_sends(fin().seq(1).ack(2));
    CHECK(t.take()->tcp->flags == flag::rst);
    t.use_flow(1);
    t.peer_sends(fin().seq(1).ack(2));
    t.expect(ack(2));
}

WIRE_CASE("RFC 6191 1: our own connect() finds a slot too, and who has a handle is not forgotten", "[time_wait]") {
    auto t = listening(way, four_slots());
    to_time_wait(t, 0);
    // Three that are in use.
    for (std::size_t n = 1; n < 4; ++n) {
        t.use_flow(n);
        t.peer_sends(syn());
        t.expect(syn_ack());
        t.peer_sends(ack(1));
        t.app_accepts();
    }
    t.use_flow(5);
    t.socket = {};
    t.app_connects();
    t.expect(syn());
    CHECK(t.stack().statistics().tcp_time_waits_evicted == 1);
    const auto one_more = t.stack().open_tcp();
    REQUIRE(one_more.has_value());
    CHECK(t.stack().connect(*one_more, {.address = t.peer, .port = 9}).error() == Error::no_memory);
    CHECK(t.stack().statistics().tcp_time_waits_evicted == 1);
}

WIRE_CASE("DURABILITY 2: what was forgotten is not denied before that is durable", "[time_wait][durability]") {
    auto t = listening(way, four_slots(DurabilityPolicy::snapshot));
    for (std::size_t n = 0; n < 4; ++n) {
        t.use_flow(n);
        t.flow().held = true;
        to_time_wait(t, n);
        t.after(1_s);
    }
    t.snapshot();
    t.auto_commit(false);
    t.socket = *t.stack().open_tcp();
    t.use_flow(5);
    t.flow().held = true;
    t.app_connects();
    CHECK(t.stack().statistics().tcp_time_waits_evicted == 1);
    t.use_flow(0);
    t.peer_sends(fin().seq(1).ack(2));
    t.expect_silence();
    t.expect_dropped(DropReason::tcp_tombstone);
    t.snapshot();
    t.ignore_output();
    t.peer_sends(fin().seq(1).ack(2));
    CHECK(t.take()->tcp->flags == flag::rst);
    t.ignore_output();
}
