// DURABILITY 8 on the state itself: what resume() makes of a connection.
#include <catch2/catch_test_macros.hpp>

#include "unit/tcp/pair.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

StackConfig held() {
    StackConfig c = Pair::small();
    c.policy = DurabilityPolicy::snapshot;
    return c;
}

void commit(Host& h) {
    const auto cut = h.stack.cut();
    REQUIRE(cut);
    REQUIRE(h.stack.committed(*cut));
}

/// As after a decode of the state as it is.
void restore_in_place(Host& h) {
    auto cx = h.core().tcp_context();
    tcp::rebuild(cx);
    tcp::resume(cx);
}

/// A connection whose every step is committed at once, on both sides.
void connect_held(Pair& p) {
    p.each_poll = [&p] {
        for (Host* h : {&p.a, &p.b}) {
            if (h->stack.commit_wanted() != never) commit(*h);
        }
    };
    p.connect();
    p.run(milliseconds(100));
}

}  // namespace

TEST_CASE(
    "DURABILITY 8: all that may have been sent or granted before the outage is taken for sent and granted") {
    Pair p(held());
    connect_held(p);
    p.each_poll = nullptr;
    std::uint64_t sent = 0;
    pump_send(p.a, p.client, sent, 50'000);
    p.settle();
    {
        World& w = p.a.core().world;
        const SocketState& s = w.sockets.get(Handle<SocketState>{p.client.raw});
        TcpConnectionState& c = w.connections.edit(s.connection);
        CHECK(c.snd.max == c.snd.una);   // held
        c.rcv.adv = c.rcv.nxt + 10'000;  // as if the cut came before the window was opened
    }
    restore_in_place(p.a);
    const TcpConnectionState c = p.a.connection(p.client);
    CHECK(c.verdict == Verdict::pending);
    CHECK(c.snd.nxt == c.snd.una);
    CHECK(c.snd.max == snd_end(c));
    CHECK(c.marks.snd_durable == snd_end(c));
    CHECK(c.marks.rcv_durable == c.rcv.nxt);
    CHECK(after_eq(c.rcv.adv, rcv_consumed(c) + c.rcv.buffer));
    CHECK(c.resume_owed);
    // An edge that rounding may have pushed on is not pushed on for ever.
    for (int i = 0; i < 1000; ++i) restore_in_place(p.a);
    const TcpConnectionState d = p.a.connection(p.client);
    CHECK(d.rcv.adv - (rcv_consumed(d) + d.rcv.buffer) <= 70U << d.rcv.wscale);
}

TEST_CASE("DURABILITY 8: one segment first, the rest when the peer has been heard, and nothing is missing") {
    Pair p(held());
    connect_held(p);
    std::uint64_t sent = 0, got = 0;
    pump_send(p.a, p.client, sent, 50'000);
    commit(p.a);
    restore_in_place(p.a);
    std::size_t segments = 0;
    p.wire = [&](bool from_a, const Bytes& frame) -> std::vector<Duration> {
        if (from_a && peek_frame(frame).payload != 0) ++segments;
        return {milliseconds(1)};
    };
    p.settle();
    CHECK(segments == 1);
    REQUIRE(p.run_until(
        [&] {
            REQUIRE(pump_receive(p.b, p.server, got));
            return got == 50'000;
        },
        seconds(10)));
    CHECK(p.a.connection(p.client).verdict == Verdict::resumed);
}

TEST_CASE("DURABILITY 8: many restored connections speak a few at a time") {
    StackConfig config = Pair::small();
    config.tcp.resume_paced_per_poll = 3;
    Pair p(config);
    p.connect();
    std::vector<SocketHandle> clients{p.client}, servers{p.server};
    for (int i = 0; i < 9; ++i) {
        const auto s = p.a.stack.open_tcp().value();
        REQUIRE(p.a.stack.connect(s, {.address = p.b.address, .port = 80}));
        p.run(milliseconds(10));
        clients.push_back(s);
        servers.push_back(p.b.stack.accept(p.listener).value());
    }
    restore_in_place(p.a);
    auto cx = p.a.core().tcp_context();
    std::uint64_t before_it = p.a.stack.statistics().tcp_segments_sent;
    for (const std::uint64_t expected : {3U, 6U, 9U, 10U, 10U}) {
        (void)tcp::run_output(cx, 1000);
        CHECK(p.a.stack.statistics().tcp_segments_sent - before_it == expected);
    }
    p.run(milliseconds(10));
    for (const SocketHandle s : clients)
        CHECK(p.a.connection(s).verdict == Verdict::pending);  // an ACK gets no answer
}
