// DURABILITY 1: what may reveal but promises nothing: keep-alives, probes, challenge ACKs; and datagrams.
#include "support/held.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// Data that is not durable waits on both sides.
Fixture both_waiting(Way way, const FixtureOptions& held) {
    auto t = held_established(way, held);
    t.peer_sends(data(100)).app_sends(30);
    t.expect_silence();
    return t;
}

struct HeldUdp : Fixture {
    SocketHandle udp{};
    HeldUdp(Way way, const FixtureOptions& options) : Fixture(way, options) {
        udp = *stack().open_udp();
        const auto bound = stack().bind(udp, {.port = 53});
        REQUIRE(bound.has_value());
        udp = *bound;
        settle();
    }
    std::expected<void, Error> send(std::uint8_t number) {
        return app_sends_datagram(udp, {.address = peer_address, .port = 9}, Bytes{number});
    }
    void expect_datagram(std::uint8_t number) {
        const Packet p = expect_packet();
        REQUIRE(p.udp);
        CHECK(p.udp->payload == Bytes{number});
    }
    std::vector<int> take_all() {
        std::vector<int> numbers;
        while (const auto p = take()) {
            if (p->udp) numbers.push_back(p->udp->payload.at(0));
        }
        return numbers;
    }
};

}  // namespace

HELD_CASE("DURABILITY 1: our keep-alive goes out while data waits, clamped, and its answer counts",
          "[marks]") {
    auto t = both_waiting(way, held);
    t.set(SocketOption::keep_alive, 1);
    t.set(SocketOption::keep_alive_idle, (10_s).ns);
    t.set(SocketOption::keep_alive_interval, (5_s).ns);
    t.set(SocketOption::keep_alive_probes, 2).ignore_output();
    for (int i = 0; i < 6; ++i) {
        const auto p = t.wait(t.elapsed() + 11_s);
        REQUIRE(p.has_value());
        CHECK(p->tcp->ack - t.flow().iss == 1);
        CHECK(p->tcp->seq - *t.flow().stack_iss == 0);
        CHECK(p->tcp->payload.empty());
        t.peer_sends(ack(1));
        t.expect_silence();
    }
    t.expect(TcpPhase::established);
    t.snapshot();
    t.expect(data(30).seq(1).ack(101)).expect_silence();
    t.app_reads(100);
}

HELD_CASE("DURABILITY 1: the peer's keep-alives are answered with clamped fields, not each of a flood",
          "[marks]") {
    auto t = both_waiting(way, held);
    t.after(1_s).peer_sends(ack().seq(100));
    t.expect(ack(1).seq(1)).expect_silence();
    int answers = 0;
    for (int i = 0; i < 100; ++i) {
        t.after(10_ms).peer_sends(ack().seq(100));
        while (t.take()) ++answers;
    }
    CHECK(answers >= 1);
    CHECK(answers <= 2);
    t.snapshot();
    t.expect(data(30).seq(1).ack(101)).expect_silence();
    t.app_reads(100);
}

HELD_CASE(
    "DURABILITY 1: a probe of a closed window is answered while ACKs are withheld, clamped and rate-limited",
    "[marks]") {
    FixtureOptions options = held;
    options.config.tcp.receive_buffer = 8000;
    auto t = established(way, options);
    t.auto_commit(false).snapshot().ignore_output();
    for (int i = 0; i < 8; ++i) t.peer_sends(data(1000));
    t.expect_silence().after(1_s);
    t.peer_sends(data(1).seq(8001));
    t.expect(ack(1).window(8000)).expect_silence();
    int answers = 0;
    for (int i = 0; i < 100; ++i) {
        t.after(10_ms).peer_sends(data(1).seq(8001));
        while (const auto p = t.take()) {
            CHECK(p->tcp->ack - t.flow().iss == 1);
            ++answers;
        }
    }
    CHECK(answers >= 1);
    CHECK(answers <= 2);
    t.flow().snd_nxt = 8001;
    t.snapshot();
    t.expect(ack(8001).window(0)).expect_silence();
    t.app_reads(8000).snapshot();
    t.expect(ack(8001).window(8000));
}

HELD_CASE("DURABILITY 1: our probe of a closed window does not show what is not durable", "[marks]") {
    auto t = held_established(way, held);
    t.peer_sends(ack(1).window(0));
    t.app_sends(100).snapshot().expect_silence();
    t.peer_sends(data(50).ack(1).window(0)).app_sends(100);
    t.expect_silence();
    int probes = 0;
    for (int i = 0; i < 4; ++i) {
        const auto p = t.wait(t.elapsed() + 30_s);
        REQUIRE(p.has_value());
        CHECK(p->tcp->ack - t.flow().iss == 1);
        CHECK(p->tcp->seq - *t.flow().stack_iss + p->tcp->payload.size() <= 2);
        t.peer_sends(ack(1).window(0));
        ++probes;
    }
    CHECK(probes == 4);
    t.peer_sends(ack(1).window(5000));
    t.expect(data(100).seq(1).ack(1)).expect_silence();
    t.snapshot();
    // Behind the partial segment the next one waits for its ACK (Nagle), the ACK for nobody.
    t.expect(ack(51).seq(101)).expect_silence();
    t.peer_sends(ack(101));
    t.expect(data(100).seq(101).ack(51)).expect_silence();
    t.app_reads(50);
}

HELD_CASE("DURABILITY 1: challenge ACKs are clamped, and as many a second as the limit says", "[marks]") {
    FixtureOptions options = held;
    options.config.tcp.challenge_acks_per_second = 5;
    auto t = both_waiting(way, options);
    int answers = 0;
    for (int i = 0; i < 50; ++i) {
        t.peer_sends(i % 2 == 0 ? syn().seq(900) : rst().seq(500));
        while (const auto p = t.take()) {
            CHECK(p->tcp->ack - t.flow().iss == 1);
            CHECK(p->tcp->seq - *t.flow().stack_iss == 1);
            ++answers;
        }
    }
    CHECK(answers >= 1);
    CHECK(answers <= 5);
    t.expect(TcpPhase::established).snapshot();
    t.expect(data(30).seq(1).ack(101)).expect_silence();
    t.app_reads(100);
}

HELD_CASE("DURABILITY 1: withheld ACKs do not come out as duplicates, whatever arrives behind a hole",
          "[marks]") {
    auto t = held_established(way, held);
    t.app_sends(10).peer_sends(data(100));
    for (std::uint32_t i = 0; i < 30; ++i) t.peer_sends(data(100).seq(201 + i * 100));
    t.after(400_ms).expect_silence();
    t.snapshot();
    // One, with the data: it would take three to make the peer retransmit.
    t.expect(data(10).seq(1).ack(101)).expect_silence();
    t.peer_sends(data(100).seq(101).ack(11));
    t.expect_silence().snapshot();
    t.expect(ack(3201)).expect_silence();
    t.app_reads(3200);
}

HELD_CASE("DURABILITY 1: ICMPv6 and neighbour discovery wait for nothing, whatever else does", "[marks]") {
    auto t = both_waiting(way, held);
    t.peer_sends_icmp(128, 0, echo_body(1, 1, {}));
    t.expect_icmp(129, 0);
    t.take_nd();
    const Bytes body = solicitation_body(stack_address, peer_mac);
    t.peer_sends_icmp(135, 0, body, 255);
    CHECK(t.take_nd().size() == 1);
    t.expect_silence().snapshot().ignore_output();
    t.app_reads(100);
}

HELD_CASE("DURABILITY 1, UDP: held datagrams leave with the commit that covers them, in order",
          "[marks][udp]") {
    HeldUdp t(way, held);
    REQUIRE(t.send(1).has_value());
    t.expect_datagram(1);
    CHECK_FALSE(t.commit_is_wanted());
    REQUIRE(t.stack().set_option(t.udp, SocketOption::hold_output, 1).has_value());
    REQUIRE(t.send(2).has_value());
    REQUIRE(t.send(3).has_value());
    CHECK(t.commit_is_wanted());
    t.after(100_s).expect_silence();
    t.cut();
    REQUIRE(t.send(4).has_value());
    t.commit();
    CHECK(t.take_all() == std::vector<int>{2, 3});
    CHECK(t.commit_is_wanted());
    t.snapshot();
    CHECK(t.take_all() == std::vector<int>{4});
    CHECK_FALSE(t.commit_is_wanted());
}

HELD_CASE("DURABILITY 1, UDP: the held queue is bounded, and takes again after a commit", "[marks][udp]") {
    FixtureOptions options = held;
    options.config.udp.held_queue = 4;
    HeldUdp t(way, options);
    REQUIRE(t.stack().set_option(t.udp, SocketOption::hold_output, 1).has_value());
    t.settle();
    for (std::uint8_t i = 1; i <= 4; ++i) REQUIRE(t.send(i).has_value());
    const auto refused = t.send(5);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == Error::would_block);
    t.expect_silence().snapshot();
    CHECK(t.take_all() == std::vector<int>{1, 2, 3, 4});
    REQUIRE(t.send(6).has_value());
    t.expect_silence().snapshot();
    t.expect_datagram(6);
}

HELD_CASE("DURABILITY 1, UDP: a crash lets out what its snapshot held, and forgets what came behind",
          "[marks][udp]") {
    HeldUdp t(way, held);
    REQUIRE(t.stack().set_option(t.udp, SocketOption::hold_output, 1).has_value());
    REQUIRE(t.send(1).has_value());
    t.cut();
    REQUIRE(t.send(2).has_value());
    t.commit();
    CHECK(t.take_all() == std::vector<int>{1});
    t.crash(1_s);
    // May repeat; what was never let out does not come.
    CHECK(t.take_all() == std::vector<int>{1});
    REQUIRE(t.send(3).has_value());
    t.expect_silence().snapshot();
    CHECK(t.take_all() == std::vector<int>{3});
}

HELD_CASE("DURABILITY 1, RST: a peer that knows nothing of us answers the ACK that it got, which is behind what has come",
          "[marks]") {
    auto t = held_established(way, held);
    t.app_sends(10).cut();
    t.peer_sends(data(100)).commit();
    // RFC 9293 3.5.2: the reset's SEQ is the ACK of this.
    t.expect(data(10).seq(1).ack(1)).expect_silence();
    SECTION("that number is right") {
        t.peer_sends(rst().seq(1));
        t.expect(TcpPhase::closed).expect_error(Error::connection_reset).expect_silence();
    }
    SECTION("so is the one that is due") {
        t.peer_sends(rst().seq(101));
        t.expect(TcpPhase::closed).expect_error(Error::connection_reset).expect_silence();
    }
    SECTION("RFC 5961 3.2: one between them, and one behind them, are not") {
        t.peer_sends(rst().seq(50));
        t.expect_silence();
        t.peer_sends(rst().seq(102));
        t.expect(ack(1)).expect(TcpPhase::established);
        t.app_reads(100);
    }
}
