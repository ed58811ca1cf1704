// What users of other checkpoint and restore projects ran into, where no other file shows that it does not happen here.
// docs/conformance.md has the list. criu#N, gvisor#N and so on are public issues of those projects.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

FixtureOptions few_half_open() {
    FixtureOptions options;
    options.config.tcp.listen_half_open = 4;
    return options;
}

/// The handshake of flow n, up to our answer.
void knocks(Fixture& t, std::size_t n) {
    t.use_flow(n);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
}

}  // namespace

WIRE_CASE("gvisor#13554, gvisor#1688: a listener restored under load has every handshake and every waiting connection",
          "[restore][lessons]") {
    auto t = listening(way, few_half_open());
    for (std::size_t n = 0; n < 7; ++n) {
        knocks(t, n);
        if (n >= 3) continue;
        t.peer_sends(ack(1));
        t.peer_sends(data(10 + n).ack(1)).ignore_output();
    }
    // 0..2 wait to be accepted, 3..6 are half-open records, 7 and 8 are cookies on their way.
    knocks(t, 7);
    knocks(t, 8);
    REQUIRE(t.stack().info(t.listener)->accept_queue == 3);
    REQUIRE(t.stack().info(t.listener)->half_open == 4);
    t.snapshot().crash(1_s).ignore_output();
    CHECK(t.stack().info(t.listener)->accept_queue == 3);
    CHECK(t.stack().info(t.listener)->half_open == 4);
    for (std::size_t n = 3; n < 9; ++n) {
        t.use_flow(n);
        t.peer_sends(ack(1).seq(1));
    }
    t.ignore_output();
    CHECK(t.stack().info(t.listener)->half_open == 0);
    for (std::size_t n = 0; n < 8; ++n) {  // the backlog is 8
        t.app_accepts();
        t.use_flow(t.stack().info(t.socket)->remote.port - 40'000U);
        if (n < 3) t.app_reads(10 + n);
        t.app_sends(5).expect(data(5).seq(1)).ignore_output();
        t.peer_sends(ack(6));
    }
    // And who comes only now is served as well.
    knocks(t, 20);
    t.peer_sends(ack(1)).app_accepts();
}

WIRE_CASE("criu#451, criu#359: a hundred restores in a row with nothing said in between leave timestamps in order",
          "[restore][lessons]") {
    auto t = listening(way);
    t.flow().offers_ts = true;
    open_passive(t);
    t.app_sends(100).expect(data(100));
    for (int i = 0; i < 100; ++i) {
        t.snapshot().crash(i % 2 == 0 ? 0_s : 1_s);
        // One segment each time, the monitor compares TSval; the peer's stale echo measures nothing.
        t.expect(data(100).seq(1)).expect_silence();
    }
    t.peer_sends(ack(101));
    CHECK(t.info().tx_acknowledged == 100);
    CHECK(t.info().srtt < 1_s);
    CHECK(t.verdict() == Verdict::resumed);
}

WIRE_CASE("criu \"TCP repair TODO\": a window that was shut when we went is asked about at once, not after a timer",
          "[restore][lessons]") {
    auto t = established(way);
    t.app_sends(1000).ignore_output();
    t.flow().window = 0;
    t.flow().rcv_nxt = 1001;
    t.peer_sends(ack(1001));
    t.app_sends(500).ignore_output();
    t.after(50_s).ignore_output();  // probes have backed off
    t.snapshot().crash(30_s);
    // Our first segment shows the peer that we are there; its window, if it has opened, comes with the answer.
    t.expect_packet();
    t.flow().window = 65'535;
    t.peer_sends(ack(1001));
    t.expect(data(500).seq(1001));
    t.peer_sends(ack(1501));
    CHECK(t.info().tx_acknowledged == 1500);
}

WIRE_CASE("criu#29, podman#3722: a restored address can be bound at once, link-local addresses are the same",
          "[restore][lessons]") {
    FixtureOptions options;
    options.link_local = true;
    options.config.nd.dad_transmits = 1;
    Fixture t(way, options);
    t.after(3_s);
    std::array<AddressInfo, 8> before{};
    const std::size_t n = t.stack().addresses(before);
    REQUIRE(n == 2);
    t.snapshot().crash_unready(5_s);
    std::array<AddressInfo, 8> after{};
    REQUIRE(t.stack().addresses(after) == n);
    for (std::size_t i = 0; i < n; ++i) {
        CHECK(after[i].address == before[i].address);
        CHECK(after[i].status == AddressStatus::preferred);
        Endpoint local{after[i].address, 8080, 0};
        if (local.address.is_link_local()) local.interface = t.interface();
        const auto s = t.stack().open_tcp();
        CHECK(t.stack().bind(*s, local).has_value());
    }
    t.stack().ready(false);
    t.app_connects().expect(syn());
}

WIRE_CASE("criu#286: what a connection needs is in the snapshot, other defaults at the restore change nothing of it",
          "[restore][lessons]") {
    auto t = listening(way);
    t.flow().offers_wscale = 7;
    t.flow().offers_ts = true;
    open_passive(t);
    t.set(SocketOption::no_delay, 1).set(SocketOption::user_timeout, (40_s).ns).set(SocketOption::hop_limit, 33);
    t.set(SocketOption::receive_buffer, 32'000);
    t.snapshot();
    StackConfig other = t.config();
    other.policy = DurabilityPolicy::snapshot;
    other.tcp.receive_buffer = other.tcp.send_buffer = 4096;
    other.tcp.delayed_ack = 10_ms;
    other.ip.hop_limit = 9;
    Arena arena(Stack::arena_bytes(other));
    auto back = checkpoint::restore(arena.span(), other, t.durable_snapshot(), {.now = t.now()});
    REQUIRE(back.has_value());
    const auto info = back->stack.info(t.socket);
    REQUIRE(info.has_value());
    CHECK(info->policy == DurabilityPolicy::none);
    CHECK(info->phase == TcpPhase::established);
    const auto value = [&](SocketOption o) { return *back->stack.option(t.socket, o); };
    CHECK(value(SocketOption::no_delay) == 1);
    CHECK(value(SocketOption::user_timeout) == (40_s).ns);
    CHECK(value(SocketOption::hop_limit) == 33);
    CHECK(value(SocketOption::receive_buffer) == 32'000);
    CHECK(value(SocketOption::send_buffer) == 64 * 1024);
    const TcpConnectionState& c = back->stack.core().world.connections.get(0U);
    CHECK(c.snd.wscale == 7);
    CHECK(c.ts.enabled);
    CHECK(c.options.no_delay);
}

WIRE_CASE("docker/for-linux#1057, fcvm#838: with a snapshot before each step the wire is, frame by frame, as without one",
          "[restore][lessons]") {
    const auto play = [&](bool with_snapshots) {
        std::vector<Bytes> frames;
        auto t = listening(way);
        t.flow().offers_ts = true;
        const auto step = [&] {
            while (const auto p = t.take()) frames.push_back(p->frame);
            if (with_snapshots) t.snapshot();
        };
        t.peer_sends(syn()), step();
        t.expect_silence();
        t.peer_sends(ack(1)), step();
        t.app_accepts(), step();
        t.app_sends(4000), step();
        t.peer_sends(ack(1441)), step();
        t.peer_sends(data(300).seq(301)), step();
        t.peer_sends(data(300).seq(1)), step();
        t.after(2_s), step();
        t.app_reads(600), step();
        t.flow().rcv_nxt = 4001;
        t.peer_sends(ack(4001)), step();
        t.app_shuts_down(), step();
        t.peer_sends(fin().seq(601).ack(4002)), step();
        t.after(61_s), step();
        CHECK(t.info().phase == TcpPhase::closed);
        return frames;
    };
    const auto without = play(false);
    const auto with = play(true);
    REQUIRE(without.size() > 6);
    CHECK(with == without);
}
