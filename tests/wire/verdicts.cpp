// DURABILITY 8: every verdict from every source, seen from the wire and by a reader who waits; policies; claims.
#include <algorithm>
#include <map>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

using checkpoint::ConnectionPolicy;

/// Somebody waits in a read: it wakes, once, and learns what `why` and the verdict say.
void expect_reader_wakes(Fixture& t, Error why, Verdict verdict) {
    t.keep_still(true);
    bool woken = false;
    while (const auto s = t.stack().next_ready()) woken = woken || *s == t.socket;
    t.keep_still(false);
    CHECK(woken);
    CHECK(keepnet::name(t.verdict()) == keepnet::name(verdict));
    std::uint8_t byte = 0;
    CHECK(keepnet::name(t.stack().receive(t.socket, {&byte, 1}).error()) == keepnet::name(why));
    CHECK(keepnet::name(*t.stack().take_error(t.socket)) == keepnet::name(why));
}
/// Whatever the restore itself had to say has been heard: the reader waits.
void wait_for_news(Fixture& t) {
    t.keep_still(true);
    while (t.stack().next_ready()) {
    }
    t.keep_still(false);
}

checkpoint::RestoreOptions with(ConnectionPolicy policy) {
    checkpoint::RestoreOptions options;
    options.policy = [policy](const checkpoint::SocketReport&) { return policy; };
    return options;
}

}  // namespace

WIRE_CASE("DURABILITY 8: `expired`: keep-alive probes of a restored connection that nobody answers", "[verdict]") {
    auto t = established(way);
    t.set(SocketOption::keep_alive, 1).set(SocketOption::keep_alive_idle, (10_s).ns);
    t.set(SocketOption::keep_alive_interval, (5_s).ns).set(SocketOption::keep_alive_probes, 3);
    t.snapshot().crash(3600_s).ignore_output();
    t.expect(TcpPhase::established);
    t.keep_still(true);
    t.after(100_s).ignore_output();
    expect_reader_wakes(t, Error::timed_out, Verdict::expired);
}

WIRE_CASE("DURABILITY 8: `expired`: the user time-out begins anew and runs out, a SYN is not answered", "[verdict]") {
    SECTION("user time-out") {
        auto t = established(way);
        t.set(SocketOption::user_timeout, (20_s).ns);
        t.app_sends(10).ignore_output();
        t.snapshot().crash(3600_s).ignore_output();
        t.after(15_s).ignore_output();
        t.expect(TcpPhase::established);
        t.after(10_s).ignore_output();
        expect_reader_wakes(t, Error::timed_out, Verdict::expired);
    }
    SECTION("SYN") {
        auto t = syn_sent(way);
        t.snapshot().crash(3600_s).ignore_output();
        t.after(200_s).ignore_output();
        CHECK(t.verdict() == Verdict::expired);
        t.expect_error(Error::timed_out);
    }
}

WIRE_CASE("DURABILITY 8: `reset_by_peer` in every phase that is not over, and for a SYN that is refused", "[verdict]") {
    for (const TcpPhase phase : {TcpPhase::established, TcpPhase::fin_wait_1, TcpPhase::fin_wait_2, TcpPhase::close_wait}) {
        CAPTURE(keepnet::name(phase));
        auto t = reach(phase, way);
        t.snapshot().crash(1_s).ignore_output();
        wait_for_news(t);
        t.peer_sends(rst().seq(t.connection()->rcv.nxt.raw - t.flow().iss));
        t.expect_silence();
        const bool had_fin = phase == TcpPhase::close_wait;
        if (!had_fin) expect_reader_wakes(t, Error::connection_reset, Verdict::reset_by_peer);
        CHECK(t.verdict() == Verdict::reset_by_peer);
    }
    auto t = syn_sent(way);
    t.snapshot().crash(1_s).ignore_output();
    t.peer_sends(rst_ack().seq(0).ack(1));
    CHECK(t.verdict() == Verdict::reset_by_peer);
    t.expect_error(Error::connection_refused);
}

WIRE_CASE("DURABILITY 8: `address_gone` later on: an address is taken away under a connection that had resumed", "[verdict]") {
    auto t = established(way);
    t.snapshot().crash(1_s).ignore_output();
    wait_for_news(t);
    REQUIRE(t.stack().remove_address(t.interface(), stack_address).has_value());
    t.settle();
    expect_reader_wakes(t, Error::address_gone, Verdict::address_gone);
    t.after(100_s).expect_silence();
}

WIRE_CASE("DURABILITY 8: what had ended before the snapshot says how it had", "[verdict]") {
    SECTION("reset") {
        auto t = established(way);
        t.peer_sends(rst().seq(1));
        t.snapshot().crash(1_s).expect_silence();
        CHECK(t.verdict() == Verdict::reset_by_peer);
    }
    SECTION("in order") {
        auto t = last_ack(way);
        t.peer_sends(ack(2));
        t.snapshot().crash(1_s).expect_silence();
        CHECK(t.verdict() == Verdict::closed);
        t.expect_end_of_stream();
    }
}

WIRE_CASE("DURABILITY 8: policy `reset`: peer and application are told, at once or with the first commit", "[verdict][policy]") {
    for (const DurabilityPolicy policy : {DurabilityPolicy::none, DurabilityPolicy::snapshot}) {
        CAPTURE(static_cast<int>(policy));
        auto t = established(way, FixtureOptions(policy));
        t.peer_sends(data(10)).ignore_output();
        t.app_sends(100).ignore_output();
        t.auto_commit(false).snapshot().ignore_output();
        t.crash_unready(1_s, with(ConnectionPolicy::reset));
        t.app_reads(10);  // what had come may be read
        CHECK(t.verdict() == Verdict::dropped_by_policy);
        t.expect_error(Error::dropped_by_policy);
        // A reset is output (DURABILITY 1): a second crash would take it back.
        if (policy == DurabilityPolicy::snapshot) {
            t.expect_silence();
            CHECK(t.commit_is_wanted());
            t.snapshot();
        }
        const Packet p = t.expect_packet();
        CHECK((p.tcp->flags & flag::rst) != 0);
        CHECK(p.tcp->seq - *t.flow().stack_iss <= 101);
        t.after(1000_s).expect_silence();
        t.stack().ready(false);
    }
}

WIRE_CASE("DURABILITY 8: policy `drop`: the application is told, the peer is not, each connection is asked about alone",
          "[verdict][policy]") {
    auto t = established(way);
    const SocketHandle first = t.socket;
    t.use_flow(1);
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1)).app_accepts();
    const SocketHandle second = t.socket;
    t.snapshot();
    checkpoint::RestoreOptions options;
    options.policy = [](const checkpoint::SocketReport& r) {
        return r.remote.port == 40'000 ? ConnectionPolicy::drop : ConnectionPolicy::resume;
    };
    t.crash(1_s, options);
    const Packet p = t.expect_packet();  // only the other one speaks
    CHECK(p.tcp->dst_port == 40'001);
    t.expect_silence();
    t.peer_sends(data(5));
    CHECK(t.verdict() == Verdict::resumed);
    t.app_reads(5);
    t.socket = first;
    expect_reader_wakes(t, Error::dropped_by_policy, Verdict::dropped_by_policy);
    t.after(1000_s).ignore_output();
    t.socket = second;
    t.expect(TcpPhase::established);
}

WIRE_CASE("DURABILITY 8: claims: bound TCP and UDP sockets are given to who binds the same, and to nobody else",
          "[claims]") {
    Fixture t(way);
    const auto bind = [&](SocketKind kind, const Endpoint& local) {
        const auto s = kind == SocketKind::tcp ? t.stack().open_tcp() : t.stack().open_udp();
        return *t.stack().bind(*s, local);
    };
    const SocketHandle tcp = bind(SocketKind::tcp, {{}, 1000, 0});
    const SocketHandle udp = bind(SocketKind::udp, {stack_address, 1000, 0});
    const SocketHandle other = bind(SocketKind::udp, {{}, 1001, 0});
    t.peer_sends_udp({.src_port = 9, .dst_port = 1000, .payload = {1, 2, 3}, .length = {}, .checksum = {}});
    const SocketHandle unbound = *t.stack().open_tcp();
    const SocketHandle connected = *t.stack().open_udp();
    REQUIRE(t.stack().connect(connected, {.address = peer_address, .port = 9}).has_value());
    const std::uint16_t connected_port = t.stack().info(connected)->local.port;
    t.snapshot().crash_unready(1_s);
    for (const SocketHandle s : {tcp, udp, other, unbound, connected}) CHECK_FALSE(t.stack().info(s)->claimed);
    // Not the same: another kind, another address, a connected one.
    CHECK(t.stack().bind(*t.stack().open_tcp(), {stack_address, 1000, 0}).error() == Error::address_in_use);
    CHECK(t.stack().bind(*t.stack().open_udp(), {stack_address, connected_port, 0}).error() == Error::address_in_use);
    CHECK_FALSE(t.stack().info(connected)->claimed);
    // The same: the restored socket with what it has, and the new handle is gone.
    const SocketHandle fresh = *t.stack().open_udp();
    CHECK(t.stack().bind(fresh, {stack_address, 1000, 0}) == udp);
    CHECK(t.stack().info(fresh).error() == Error::stale_handle);
    CHECK(t.stack().info(udp)->claimed);
    CHECK(t.stack().peek_datagram(udp)->payload.size() == 3);
    CHECK(bind(SocketKind::tcp, {{}, 1000, 0}) == tcp);
    // A claimed one is nobody's twice.
    CHECK(t.stack().bind(*t.stack().open_tcp(), {{}, 1000, 0}).error() == Error::address_in_use);
    REQUIRE(t.stack().claim(unbound).has_value());
    CHECK(t.stack().claim(SocketHandle{unbound.raw + 1}).error() == Error::stale_handle);
    // The rest goes when the embedder says so, of whatever kind; ports are free again.
    t.stack().ready(true);
    t.settle();
    for (const SocketHandle s : {tcp, udp, unbound}) CHECK(t.stack().info(s).has_value());
    for (const SocketHandle s : {other, connected}) CHECK(t.stack().info(s).error() == Error::stale_handle);
    CHECK(bind(SocketKind::udp, {{}, 1001, 0}).raw != other.raw);
    t.expect_silence();
}

WIRE_CASE("DURABILITY 8: ready(close_unclaimed): an unclaimed listener goes with those who wait in it, a half-open peer hears nothing",
          "[claims]") {
    auto t = listening(way);
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1)).ignore_output();
    t.use_flow(1);
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.snapshot().crash_unready(1_s).ignore_output();
    CHECK(t.stack().info(t.listener)->accept_queue == 1);
    t.stack().ready(true);
    t.settle();
    CHECK(t.stack().info(t.listener).error() == Error::stale_handle);
    // The one that was waiting to be accepted had a connection: it is told that there is none any more.
    const Packet p = t.expect_packet();
    CHECK(p.tcp->dst_port == 40'000);
    CHECK((p.tcp->flags & flag::rst) != 0);
    t.expect_silence();
    t.peer_sends(ack(1).seq(1));
    t.expect(rst().seq(1));
}
