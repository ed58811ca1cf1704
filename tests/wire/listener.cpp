// Listeners: backlog, half-open and accept queues, what happens when they end.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

void handshake(Fixture& t, std::size_t flow) {
    t.use_flow(flow);
    t.peer_sends(syn());
    t.expect(syn_ack().ack(1));
    t.peer_sends(ack(1));
}

}  // namespace

WIRE_CASE("a listener accepts many connections, in the order in which they were completed", "[listener]") {
    auto t = listening(way);
    for (const std::size_t i : {2U, 0U, 1U}) handshake(t, i);
    for (const std::size_t i : {2U, 0U, 1U}) {
        t.app_accepts();
        CHECK(t.info().remote.port == 40000 + i);
    }
    CHECK(t.stack().accept(t.listener).error() == Error::would_block);
}

WIRE_CASE("readiness of a listener: readable while a connection waits", "[listener]") {
    auto t = listening(way);
    CHECK_FALSE(t.stack().readiness(t.listener)->has(Readiness::readable));
    handshake(t, 0);
    CHECK(t.stack().readiness(t.listener)->has(Readiness::readable));
    t.app_accepts();
    CHECK_FALSE(t.stack().readiness(t.listener)->has(Readiness::readable));
}

WIRE_CASE("a full accept queue completes no further handshake, and loses nobody who waits", "[listener]") {
    Fixture t(way);
    t.app_listens(80, 2);
    handshake(t, 0);
    handshake(t, 1);
    // The third waits in SYN-RECEIVED or is not answered; either way it is not lost, its peer repeats.
    t.use_flow(2);
    t.peer_sends(syn());
    t.ignore_output();
    if (t.flow().stack_iss) t.peer_sends(ack(1));
    t.ignore_output();
    CHECK(t.drops(DropReason::tcp_listen_overflow) >= 1);
    t.app_accepts();
    CHECK(t.info().remote.port == 40000);
    t.app_accepts();
    CHECK(t.info().remote.port == 40001);
    t.after(1500_ms);
    t.ignore_output();
    if (t.flow().stack_iss) {
        t.peer_sends(data(5).seq(1).ack(1));
    } else {
        t.peer_sends(syn().seq(0));
        t.expect(syn_ack());
        t.peer_sends(data(5).seq(1).ack(1));
    }
    t.app_accepts();
    CHECK(t.info().remote.port == 40002);
    t.app_reads(5);
    t.after(100_ms).ignore_output();
}

WIRE_CASE("RFC 9293 3.10.4: closing a listener resets who waits in it, and refuses who comes", "[listener]") {
    auto t = listening(way);
    handshake(t, 0);
    t.use_flow(1);
    t.peer_sends(syn());
    t.expect(syn_ack());
    REQUIRE(t.stack().close(t.listener).has_value());
    t.settle();
    int resets = 0;
    while (const auto p = t.take()) resets += (p->tcp->flags & flag::rst) != 0 ? 1 : 0;
    CHECK(resets >= 1);
    t.use_flow(2);
    t.peer_sends(syn());
    t.expect(rst_ack().ack(1)).expect_silence();
}

WIRE_CASE("data and FIN that come before accept are there after it", "[listener]") {
    auto t = listening(way);
    handshake(t, 0);
    t.peer_sends(data(100).also(flag::fin));
    t.expect(ack(102));
    t.app_accepts();
    t.app_reads(100).expect_end_of_stream();
}

WIRE_CASE("a connection that was reset before accept is not handed out, or says so", "[listener]") {
    auto t = listening(way);
    handshake(t, 0);
    t.peer_sends(rst());
    const auto s = t.stack().accept(t.listener);
    if (s) {
        t.socket = *s;
        std::uint8_t byte = 0;
        CHECK_FALSE(t.stack().receive(t.socket, {&byte, 1}).has_value());
    } else {
        CHECK(s.error() == Error::would_block);
    }
}

WIRE_CASE("two listeners on different addresses and ports do not mix", "[listener]") {
    Fixture t(way);
    t.app_listens(80);
    const SocketHandle first = t.listener;
    auto s = t.stack().open_tcp();
    s = t.stack().bind(*s, {.address = stack_address, .port = 81});
    s = t.stack().listen(*s, 4);
    REQUIRE(s.has_value());
    t.flow().stack_port = 81;
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1));
    CHECK(t.stack().accept(first).error() == Error::would_block);
    CHECK(t.stack().accept(*s).has_value());
}

WIRE_CASE("bind refuses an endpoint that is taken", "[listener]") {
    auto t = listening(way);
    const auto s = t.stack().open_tcp();
    CHECK(t.stack().bind(*s, {.port = 80}).error() == Error::address_in_use);
    CHECK(t.stack().bind(*s, {.address = stack_address, .port = 80}).error() == Error::address_in_use);
    CHECK(t.stack().bind(*s, {.address = far_address, .port = 81}).error() == Error::address_not_available);
    CHECK(t.stack().bind(*s, {.port = 81}).has_value());
}

WIRE_CASE("CapacityConfig: when no connection is free the SYN is dropped, and counted", "[listener]") {
    FixtureOptions options;
    options.config.capacity.tcp_connections = 2;
    options.config.capacity.tcp_tombstones = 1;
    options.config.tcp.syn_cookie_lifetime = 128_s;
    auto t = listening(way, options);
    for (std::size_t i = 0; i < 5; ++i) {
        t.use_flow(i);
        t.peer_sends(syn());
        t.ignore_output();
    }
    CHECK(t.world().connections.in_use() <= 2);
    // The first two are served.
    t.use_flow(0);
    t.peer_sends(ack(1).seq(1));
    t.app_accepts();
    CHECK(t.info().remote.port == 40000);
}

WIRE_CASE("RFC 6056 3.3: ephemeral ports are in their range, and differ", "[ports]") {
    Fixture t(way);
    std::vector<std::uint16_t> ports;
    for (int i = 0; i < 20; ++i) {
        t.socket = {};
        t.use_flow(static_cast<std::size_t>(i)).app_connects();
        const std::uint16_t port = t.info().local.port;
        CHECK(port >= 49152);
        for (const std::uint16_t other : ports) CHECK(port != other);
        ports.push_back(port);
        t.ignore_output();
    }
}

WIRE_CASE("RFC 9293 3.10.7.4: whoever leaves the accept queue, those who wait and who comes then are accepted in their order",
          "[listener]") {
    for (std::size_t waiting = 1; waiting <= 4; ++waiting) {
        for (std::size_t leaves = 0; leaves < waiting; ++leaves) {
            CAPTURE(waiting, leaves);
            auto t = listening(way);
            std::vector<std::size_t> expected;
            for (std::size_t i = 0; i < waiting; ++i) {
                handshake(t, i);
                if (i != leaves) expected.push_back(i);
            }
            t.use_flow(leaves);
            t.peer_sends(rst());
            t.expect_silence();
            for (const std::size_t comes : {waiting, waiting + 1}) {
                handshake(t, comes);
                expected.push_back(comes);
            }
            for (const std::size_t i : expected) {
                t.app_accepts();
                CHECK(t.info().remote.port == 40000 + i);
            }
            CHECK(t.stack().accept(t.listener).error() == Error::would_block);
            // And the count is right: the backlog holds as many as ever.
            for (std::size_t i = 0; i < 8; ++i) handshake(t, 10 + i);
            for (std::size_t i = 0; i < 8; ++i) {
                t.app_accepts();
                CHECK(t.info().remote.port == 40010 + i);
            }
        }
    }
}
