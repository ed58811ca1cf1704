// Whole conversations between two stacks: every byte arrives once and in order, whatever the wire does.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <random>

#include "unit/tcp/pair.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// Sends n bytes each way and closes, a first; true when both sides got all, then the end.
bool exchange(Pair& p, std::uint64_t n, Duration limit) {
    std::uint64_t sent_a = 0, sent_b = 0, got_a = 0, got_b = 0;
    bool right = true, shut_a = false, shut_b = false;
    const auto work = [&] {
        pump_send(p.a, p.client, sent_a, n);
        pump_send(p.b, p.server, sent_b, n);
        right = right && pump_receive(p.a, p.client, got_a) && pump_receive(p.b, p.server, got_b);
        if (sent_a == n && !shut_a) shut_a = p.a.stack.shutdown(p.client, CloseDirection::send).has_value();
        if (sent_b == n && !shut_b) shut_b = p.b.stack.shutdown(p.server, CloseDirection::send).has_value();
        return !right || (got_a == n && got_b == n && shut_a && shut_b &&
                          p.a.stack.readiness(p.client)->has(Readiness::hung_up) &&
                          p.b.stack.readiness(p.server)->has(Readiness::hung_up));
    };
    const bool done = p.run_until(work, limit);
    INFO("a got " << got_a << ", b got " << got_b << " of " << n);
    CHECK(right);
    CHECK(done);
    return right && done;
}

}  // namespace

TEST_CASE("RFC 9293 3.5: three-way handshake, and data with window scale and timestamps") {
    Pair p;
    p.connect();
    CHECK(p.a.connection(p.client).phase == TcpPhase::established);
    CHECK(p.b.connection(p.server).phase == TcpPhase::established);
    CHECK(p.a.connection(p.client).ts.enabled);
    CHECK(p.a.connection(p.client).mss == 1440 - 12);
    CHECK(exchange(p, 1'000'000, seconds(60)));
}

TEST_CASE("A bulk transfer over a wire without faults retransmits nothing") {
    Pair p;
    p.connect();
    std::uint64_t sent = 0, got = 0;
    REQUIRE(p.run_until(
        [&] {
            pump_send(p.a, p.client, sent, 4'000'000);
            REQUIRE(pump_receive(p.b, p.server, got));
            return got == 4'000'000;
        },
        seconds(60)));
    CHECK(p.a.stack.statistics().tcp_segments_retransmitted == 0);
    CHECK(p.a.stack.statistics().tcp_timeouts == 0);
}

TEST_CASE("RFC 9293 3.6: after both sides have closed, one waits and then both are free") {
    Pair p;
    p.connect();
    REQUIRE(exchange(p, 10, seconds(10)));
    REQUIRE(p.a.stack.close(p.client));
    REQUIRE(p.b.stack.close(p.server));
    p.run(seconds(61));
    CHECK(p.a.core().world.connections.in_use() == 0);
    CHECK(p.b.core().world.connections.in_use() == 0);
}

TEST_CASE("A wire that loses, duplicates and reorders: every byte once and in order") {
    const unsigned seed = GENERATE(1U, 2U, 3U, 4U, 5U, 6U);
    Pair p;
    std::mt19937 random(seed);
    p.wire = [&](bool, const Bytes&) -> std::vector<Duration> {
        const auto dice = static_cast<unsigned>(random() % 100);
        if (dice < 8) return {};
        const Duration d = milliseconds(1 + random() % 20);
        if (dice < 12) return {d, d + milliseconds(random() % 40)};
        return {d};
    };
    p.connect();
    INFO("seed " << seed);
    CHECK(exchange(p, 200'000, seconds(600)));
    CHECK(p.a.stack.statistics().tcp_segments_retransmitted > 0);
}

TEST_CASE("RFC 9293 3.5: simultaneous open") {
    Pair p;
    p.client = p.a.stack.open_tcp().value();
    p.server = p.b.stack.open_tcp().value();
    REQUIRE(p.a.stack.bind(p.client, {.address = p.a.address, .port = 1000}));
    REQUIRE(p.b.stack.bind(p.server, {.address = p.b.address, .port = 2000}));
    REQUIRE(p.a.stack.connect(p.client, {.address = p.b.address, .port = 2000}));
    REQUIRE(p.b.stack.connect(p.server, {.address = p.a.address, .port = 1000}));
    p.run(milliseconds(100));
    CHECK(p.a.connection(p.client).phase == TcpPhase::established);
    CHECK(p.b.connection(p.server).phase == TcpPhase::established);
    CHECK(exchange(p, 100'000, seconds(60)));
}

TEST_CASE("DURABILITY 1: under policy snapshot nothing leaves before a commit, and everything afterwards") {
    StackConfig held = Pair::small();
    held.policy = DurabilityPolicy::snapshot;
    Pair p(held, held);
    // Both commit every 5 ms.
    Instant next_commit = p.now + 5_ms;
    std::uint64_t commits = 0;
    p.each_poll = [&] {
        if (p.now < next_commit) return;
        next_commit = p.now + 5_ms;
        for (Host* h : {&p.a, &p.b}) {
            const auto cut = h->stack.cut();
            REQUIRE(cut);
            REQUIRE(h->stack.committed(*cut));
            ++commits;
        }
    };
    p.client = p.a.stack.open_tcp().value();
    p.listener = p.b.stack.open_tcp().value();
    REQUIRE(p.b.stack.bind(p.listener, {.port = 80}));
    REQUIRE(p.b.stack.listen(p.listener, 8));
    REQUIRE(p.a.stack.connect(p.client, {.address = p.b.address, .port = 80}));
    p.settle();
    CHECK(p.a.stack.commit_wanted() == p.now);
    CHECK(p.a.stack.statistics().tcp_segments_sent == 0);
    // A wake-up for each commit, as an embedder would have it.
    const auto tick_until = [&](const std::function<bool()>& holds, Duration limit) {
        const Instant end = p.now + limit;
        while (p.now < end) {
            if (p.run_until(holds, milliseconds(1))) return true;
        }
        return false;
    };
    REQUIRE(
        tick_until([&] { return p.b.stack.readiness(p.listener)->has(Readiness::readable); }, seconds(5)));
    p.server = p.b.stack.accept(p.listener).value();
    std::uint64_t sent_a = 0, sent_b = 0, got_a = 0, got_b = 0;
    constexpr std::uint64_t n = 300'000;
    bool right = true;
    REQUIRE(tick_until(
        [&] {
            pump_send(p.a, p.client, sent_a, n);
            pump_send(p.b, p.server, sent_b, n);
            right = right && pump_receive(p.a, p.client, got_a) && pump_receive(p.b, p.server, got_b);
            return !right || (got_a == n && got_b == n);
        },
        seconds(60)));
    CHECK(right);
    CHECK(p.a.stack.statistics().tcp_segments_retransmitted == 0);
    REQUIRE(p.a.stack.close(p.client));
    REQUIRE(p.b.stack.close(p.server));
    (void)tick_until([&] { return p.b.core().world.connections.in_use() == 0; }, seconds(65));
    CHECK(p.b.core().world.connections.in_use() == 0);
    CHECK(p.a.stack.commit_wanted() == never);
    CHECK(p.b.stack.commit_wanted() == never);
}

TEST_CASE(
    "DURABILITY 1: a granted byte has room: a peer of many small segments does not outgrow the buffer") {
    StackConfig config = Pair::small();
    config.tcp.receive_buffer = 200'000;  // scaled by 4
    std::uint32_t unit = 4;
    SECTION("as large as it will be") { config.tcp.receive_buffer_tuned = 0; }
    SECTION("with a scale for what it may grow to") {
        config.tcp.receive_buffer_tuned = 6U << 20;
        unit = 128;
    }
    Pair p(config);
    p.connect();
    REQUIRE(p.a.stack.set_option(p.client, SocketOption::no_delay, 1));
    REQUIRE(p.b.stack.set_option(p.server, SocketOption::quick_ack, 1));
    // Odd sizes: each ACK would push the edge on by up to 3 bytes.
    std::uint64_t sent = 0, got = 0;
    for (int i = 0; i < 60'000 && p.b.connection(p.server).receive_queue.bytes < 260'000; ++i) {
        pump_send(p.a, p.client, sent, sent + 5);
        if (i % 63 == 0) p.run(microseconds(100));
    }
    p.run(seconds(1));
    CHECK(p.b.connection(p.server).receive_queue.bytes <= 200'000 + 200'000 / 8 + 64 * unit + 1000);
    // And all of it arrives once the application reads; nothing is left unacknowledged.
    REQUIRE(p.run_until(
        [&] {
            REQUIRE(pump_receive(p.b, p.server, got));
            return got == sent && p.a.connection(p.client).send_queue.bytes == 0;
        },
        seconds(30)));
}

TEST_CASE("A receive buffer that is made smaller takes nothing back, and what was granted is acknowledged") {
    Pair p;
    p.connect();
    REQUIRE(p.b.stack.set_option(p.server, SocketOption::receive_buffer, 4096));
    std::uint64_t sent = 0, got = 0;
    pump_send(p.a, p.client, sent, 50'003);
    REQUIRE(p.run_until(
        [&] {
            REQUIRE(pump_receive(p.b, p.server, got));
            return got == sent && p.a.connection(p.client).send_queue.bytes == 0;
        },
        seconds(5)));
    CHECK(p.a.stack.statistics().tcp_segments_retransmitted == 0);
}

TEST_CASE("A sender that finds no packet buffer is told when there are some again") {
    StackConfig config = Pair::small();
    config.capacity.packet_buffers = 96;
    config.tcp.send_buffer = 1'000'000;
    Pair p(config, Pair::small());
    p.connect();
    const SocketHandle second = p.a.stack.open_tcp().value();
    REQUIRE(p.a.stack.connect(second, {.address = p.b.address, .port = 80}));
    p.run(milliseconds(10));
    while (p.a.stack.next_ready()) {
    }
    // The first one takes all that senders may have; nothing of it is acknowledged.
    p.wire = [](bool, const Bytes&) { return std::vector<Duration>{}; };
    std::uint64_t sent = 0, got = 0;
    pump_send(p.a, p.client, sent, 1'000'000);
    CHECK(sent < 1'000'000);
    CHECK_FALSE(p.a.stack.readiness(second)->has(Readiness::writable));
    const std::uint8_t byte = 1;
    CHECK(p.a.stack.send(second, ByteView(&byte, 1)).error() == Error::would_block);
    p.run(milliseconds(50));
    while (p.a.stack.next_ready()) {
    }
    p.wire = nullptr;
    bool told = false;
    REQUIRE(p.run_until(
        [&] {
            REQUIRE(pump_receive(p.b, p.server, got));
            while (const auto ready = p.a.stack.next_ready()) told = told || *ready == second;
            return told;
        },
        seconds(30)));
    CHECK(p.a.stack.readiness(second)->has(Readiness::writable));
}
