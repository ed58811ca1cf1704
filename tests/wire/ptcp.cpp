// The two scenarios with which PTCP showed that its connections are persistent.
#include <array>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE(
    "six sockets (two unbound, two bound, two listening) survive a restart and are then connected to from "
    "another "
    "host",
    "[restore][ptcp]") {
    Fixture t(way);
    std::array<SocketHandle, 6> s{};
    for (auto& socket : s) socket = *t.stack().open_tcp();
    for (std::size_t i = 2; i < 6; ++i) {
        REQUIRE(t.stack().bind(s[i], {.port = static_cast<std::uint16_t>(8000 + i)}).has_value());
    }
    for (std::size_t i = 4; i < 6; ++i) REQUIRE(t.stack().listen(s[i], 4).has_value());
    t.settle();
    t.snapshot().crash(30_s).ignore_output();
    // The unbound ones are there, the bound ones have their ports, and all can be taken into use now.
    for (std::size_t i = 0; i < 6; ++i) {
        const auto info = t.stack().info(s[i]);
        REQUIRE(info.has_value());
        CHECK(info->local.port == (i < 2 ? 0 : 8000 + i));
        CHECK(info->phase == (i < 4 ? TcpPhase::closed : TcpPhase::listen));
    }
    for (std::size_t i = 0; i < 2; ++i) {
        REQUIRE(t.stack().bind(s[i], {.port = static_cast<std::uint16_t>(8000 + i)}).has_value());
    }
    for (std::size_t i = 0; i < 4; ++i) REQUIRE(t.stack().listen(s[i], 4).has_value());
    for (std::size_t i = 0; i < 6; ++i) {
        t.use_flow(i).flow().stack_port = static_cast<std::uint16_t>(8000 + i);
        t.listener = s[i];
        open_passive(t);
        t.peer_sends(data(20));
        t.app_reads(20).app_sends(20);
        t.expect(data(20).seq(1).ack(21));
        t.peer_sends(ack());
    }
}

WIRE_CASE(
    "a server that sends 100 packets with a snapshot after each, is killed after the 50th, and goes on with "
    "the "
    "51st",
    "[restore][ptcp]") {
    auto t = established(way, FixtureOptions(DurabilityPolicy::snapshot));
    t.auto_commit(false).snapshot().ignore_output();
    constexpr std::size_t packet = 100;
    const auto send_one = [&](std::uint32_t i) {
        // The application's position is the stream's own (DURABILITY 3).
        REQUIRE(t.info().tx_accepted == i * packet);
        t.app_sends(packet).snapshot();
        t.expect(data(packet).seq(1 + i * static_cast<std::uint32_t>(packet))).expect_silence();
        t.after(1_ms).peer_sends(ack());
    };
    for (std::uint32_t i = 0; i < 50; ++i) send_one(i);
    t.crash(2_s).ignore_output();
    t.peer_sends(ack());
    t.snapshot().ignore_output();
    for (std::uint32_t i = 50; i < 100; ++i) send_one(i);
    CHECK(t.info().tx_acknowledged == 100 * packet);
    CHECK(t.flow().rcv_nxt == 1 + 100 * packet);
    CHECK(t.stack().restarts() == 1);
}
