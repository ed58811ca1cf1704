// What a snapshot may not hold: each rule of is_sane(), broken by itself.
#include <catch2/catch_test_macros.hpp>

#include "unit/tcp/pair.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

struct Nonsense {
    const char* what;
    std::function<void(TcpConnectionState&)> inflict;
};

const Nonsense faults[] = {
    {"no phase", [](auto& c) { c.phase = TcpPhase::invalid; }},
    {"a listener's phase", [](auto& c) { c.phase = TcpPhase::listen; }},
    {"a phase that the FINs deny", [](auto& c) { c.phase = TcpPhase::close_wait; }},
    {"FIN-WAIT-1 without FIN", [](auto& c) { c.phase = TcpPhase::fin_wait_1; }},
    {"TIME-WAIT with data", [](auto& c) { c.phase = TcpPhase::time_wait; }},
    {"SYN-SENT behind its SYN", [](auto& c) { c.phase = TcpPhase::syn_sent; }},
    {"dead with a queue", [](auto& c) { c.phase = TcpPhase::closed; }},
    {"a FIN nobody queued", [](auto& c) { c.snd.fin_acked = true; }},
    {"no policy", [](auto& c) { c.policy = DurabilityPolicy::invalid; }},
    {"no port", [](auto& c) { c.remote.port = 0; }},
    {"no address", [](auto& c) { c.local.address = {}; }},
    {"a group for a peer", [](auto& c) { c.remote.address = ipv6_all_nodes; }},
    {"somebody else's socket", [](auto& c) { c.socket.raw += 1; }},
    {"a listener and a socket", [](auto& c) { c.listener.raw = 1 << 24; }},
    {"una ahead of what was sent", [](auto& c) { c.snd.una += 1'000'000; }},
    {"nxt behind una", [](auto& c) { c.snd.nxt = c.snd.una - 1; }},
    {"nxt ahead of max", [](auto& c) { c.snd.nxt = c.snd.max + 1; }},
    {"max ahead of the queue", [](auto& c) { c.snd.max = snd_end(c) + 1; }},
    {"a scale above 14", [](auto& c) { c.snd.wscale = 15; }},
    {"our scale above 14", [](auto& c) { c.rcv.wscale = 15; }},
    {"a window above 2^30", [](auto& c) { c.snd.wnd = c.snd.wnd_max = (1U << 30) + 1; }},
    {"a window above the largest ever", [](auto& c) { c.snd.wnd = c.snd.wnd_max + 1; }},
    {"no segment size", [](auto& c) { c.mss = 0; }},
    {"no congestion window", [](auto& c) { c.congestion.cwnd = 0; }},
    {"a congestion window without limit", [](auto& c) { c.congestion.cwnd = UINT32_MAX; }},
    {"no threshold", [](auto& c) { c.congestion.ssthresh = 0; }},
    {"edge behind nxt", [](auto& c) { c.rcv.adv = c.rcv.nxt - 1; }},
    {"acknowledged what never came", [](auto& c) { c.rcv.acked = c.rcv.nxt + 1; }},
    {"a buffer above 2^30", [](auto& c) { c.rcv.buffer = UINT32_MAX; }},
    {"a receive queue with another end", [](auto& c) { c.rcv.nxt += 1; }},
    {"more bytes than the queue has", [](auto& c) { ++c.send_queue.bytes; }},
    {"more nodes than the queue has", [](auto& c) { ++c.send_queue.nodes; }},
    {"fewer nodes", [](auto& c) { --c.send_queue.nodes; }},
    {"a tail elsewhere", [](auto& c) { c.send_queue.tail = Link::to(4000); }},
    {"a head elsewhere", [](auto& c) { c.receive_queue.head = Link::to(4000); }},
    {"an out-of-order queue that is in order", [](auto& c) { std::swap(c.receive_queue, c.out_of_order); }},
    {"an unknown error", [](auto& c) { c.error = static_cast<Error>(250); }},
    {"an unknown verdict", [](auto& c) { c.verdict = static_cast<Verdict>(250); }},
    {"a round trip of a year", [](auto& c) { c.rtt.srtt = seconds(365 * 24 * 3600); }},
    {"a shortest round trip whose multiples overflow", [](auto& c) { c.rack.rtt_min = {INT64_MAX / 4}; }},
    {"no receive buffer", [](auto& c) { c.rcv.buffer = 0; }},
    {"a negative round trip", [](auto& c) { c.rtt.srtt = {-1}; }},
    {"keep-alive without an interval",
     [](auto& c) {
         c.options.keep_alive = true;
         c.options.keep_alive_interval = {};
     }},
    {"a living tombstone", [](auto& c) { c.tombstone = true; }},
    {"a living one that owes a reset", [](auto& c) { c.rst_owed = true; }},
};

}  // namespace

TEST_CASE("A connection that breaks a rule is refused, one that keeps them is not") {
    Pair p;
    p.connect();
    // Data in both directions that stays: the peer cannot be reached any more.
    std::uint64_t a = 0, b = 0;
    pump_send(p.b, p.server, b, 3000);
    p.run(milliseconds(50));
    p.wire = [](bool, const Bytes&) { return std::vector<Duration>{}; };
    pump_send(p.a, p.client, a, 5000);
    p.settle();
    World& w = p.a.core().world;
    const std::uint32_t i = w.sockets.get(Handle<SocketState>{p.client.raw}).connection.index();
    REQUIRE(w.connections.get(i).send_queue.nodes > 1);
    REQUIRE(w.connections.get(i).receive_queue.nodes > 0);
    REQUIRE(tcp::is_sane(w, i));
    TcpConnectionState& c = w.connections.edit(i);
    const TcpConnectionState good = c;
    for (const Nonsense& fault : faults) {
        INFO(fault.what);
        fault.inflict(c);
        CHECK_FALSE(tcp::is_sane(w, i));
        c = good;
        REQUIRE(tcp::is_sane(w, i));
    }
}

TEST_CASE("A listener whose children do not add up is refused") {
    StackConfig config = Pair::small();
    Pair p(config);
    p.connect();
    const auto second = p.a.stack.open_tcp().value();
    REQUIRE(p.a.stack.connect(second, {.address = p.b.address, .port = 80}));
    p.run(milliseconds(10));
    World& w = p.b.core().world;
    const std::uint32_t i = w.sockets.get(Handle<SocketState>{p.listener.raw}).listener.index();
    REQUIRE(w.listeners.get(i).accept_count == 1);
    REQUIRE(tcp::is_listener_sane(w, i));
    TcpListenerState& l = w.listeners.edit(i);
    const TcpListenerState good = l;
    const std::function<void()> mutations[] = {
        [&] { l.half_open = 1; },    [&] { l.accept_count = 2; }, [&] { l.accept_count = 0; },
        [&] { l.accept_tail = {}; }, [&] { l.accept_head = {}; }, [&] { l.accept_head = Link::to(60); },
        [&] { l.socket = {}; },      [&] { l.died_after = 1; },   [&] { l.local.port = 0; },
    };
    for (const auto& mutate : mutations) {
        mutate();
        CHECK_FALSE(tcp::is_listener_sane(w, i));
        l = good;
        REQUIRE(tcp::is_listener_sane(w, i));
    }
}
