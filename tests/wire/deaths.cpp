// DURABILITY 2: a death that falls between a cut and its commit is not durable with that commit. Whatever died, and
// whatever then comes for it, is answered by the next commit at the earliest: until then a crash would bring it back.
#include "support/held.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// Behind the death: silence over the commit of the cut before it, and an answer after the next.
void expect_death(Fixture& t, const Segment& comes, const Segment& answer) {
    t.commit().ignore_output();
    t.peer_sends(comes);
    t.expect_silence().expect_dropped(DropReason::tcp_tombstone);
    t.snapshot().ignore_output();
    t.peer_sends(comes);
    t.expect(answer).expect_silence();
}

FixtureOptions with_slots(const FixtureOptions& held, std::uint32_t n) {
    FixtureOptions options = held;
    options.config.capacity.tcp_connections = n;
    options.config.capacity.tcp_tombstones = n;
    return options;
}

}  // namespace

HELD_CASE("DURABILITY 2: a connection that dies between a cut and its commit", "[durability][deaths]") {
    SECTION("by the peer's reset") {
        auto t = held_established(way, held);
        t.cut().peer_sends(rst());
        expect_death(t, data(10).seq(1), rst().seq(1));
    }
    SECTION("by the application's, which leaves with the later commit") {
        auto t = held_established(way, held);
        t.cut().app_aborts();
        t.commit().expect_silence();
        t.peer_sends(data(10).seq(1));
        t.expect_silence().expect_dropped(DropReason::tcp_tombstone);
        t.snapshot();
        t.expect(rst_ack().seq(1)).ignore_output();
        t.peer_sends(data(10).seq(1));
        t.expect(rst().seq(1));
    }
    SECTION("in LAST-ACK, by the ACK of our FIN") {
        auto t = held_at(TcpPhase::last_ack, way, held);
        t.cut().peer_sends(ack(2));
        t.expect(TcpPhase::closed);
        expect_death(t, fin().seq(1).ack(2), rst().seq(2));
    }
    SECTION("by 2 MSL in TIME-WAIT") {
        auto t = held_at(TcpPhase::time_wait, way, held);
        t.after(59_s).expect(TcpPhase::time_wait).cut();
        t.after(2_s).expect(TcpPhase::closed);
        expect_death(t, fin().seq(1).ack(2), rst().seq(2));
    }
    SECTION("by its user time-out") {
        auto t = held_established(way, held);
        t.set(SocketOption::user_timeout, (2_s).ns).app_sends(10);
        t.snapshot().ignore_output().cut();
        t.after(5_s).expect(TcpPhase::closed).ignore_output();
        t.commit().ignore_output();
        t.peer_sends(data(10).seq(1).ack(1));
        t.expect_silence();
        t.snapshot().ignore_output();
        t.peer_sends(data(10).seq(1).ack(1));
        t.expect(rst().seq(1));
    }
    SECTION("one of more than there are tombstones for") {
        FixtureOptions options = held;
        options.config.capacity.tcp_tombstones = 1;
        auto t = listening(way, options);
        for (const std::size_t n : {0U, 1U}) {
            t.use_flow(n);
            open_passive(t);
        }
        t.auto_commit(false).snapshot().ignore_output();
        t.cut();
        for (const std::size_t n : {0U, 1U}) t.use_flow(n).peer_sends(rst());
        expect_death(t, data(10).seq(1), rst().seq(1));
    }
}

HELD_CASE("DURABILITY 2: TIME-WAIT that gave way to a handshake between a cut and its commit", "[durability][deaths]") {
    auto t = listening(way, with_slots(held, 2));
    for (const std::size_t n : {0U, 1U}) {
        t.use_flow(n);
        open_passive(t);
        t.app_shuts_down().expect(fin().seq(1));
        t.peer_sends(fin().ack(2));
        t.expect(ack(2)).app_closes();
        t.after(1_s);
    }
    t.auto_commit(false).snapshot().ignore_output();
    t.cut();
    t.socket = *t.stack().open_tcp();
    t.use_flow(2).app_connects();
    CHECK(t.stack().statistics().tcp_time_waits_evicted == 1);
    t.use_flow(0);
    expect_death(t, fin().seq(1).ack(2), rst().seq(2));
}

HELD_CASE("DURABILITY 2: a listener that is closed between a cut and its commit", "[durability][deaths]") {
    auto t = listening(way, held);
    t.auto_commit(false).snapshot().ignore_output();
    t.cut();
    REQUIRE(t.stack().close(t.listener).has_value());
    t.settle();
    expect_death(t, syn().seq(0), rst_ack().ack(1));
}

HELD_CASE("DURABILITY 2: who waits in the accept queue of a listener that is closed between a cut and its commit",
          "[durability][deaths]") {
    auto t = listening(way, held);
    t.peer_sends(syn());
    t.settle().expect(syn_ack());
    t.peer_sends(ack(1));
    t.auto_commit(false).snapshot().ignore_output();
    t.cut();
    REQUIRE(t.stack().close(t.listener).has_value());
    t.settle().commit();
    t.expect_silence();
    t.peer_sends(data(10).seq(1));
    t.expect_silence().expect_dropped(DropReason::tcp_tombstone);
    t.snapshot();
    t.expect(rst_ack().seq(1)).ignore_output();
    t.peer_sends(data(10).seq(1));
    t.expect(rst().seq(1));
}
