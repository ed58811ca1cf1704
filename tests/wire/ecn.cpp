// Explicit congestion notification, RFC 3168 6.1.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr std::uint32_t mss = 1000;
constexpr std::uint8_t ect = 2, ce = 3;
constexpr std::uint8_t ece = flag::ece, cwr = flag::cwr;

FixtureOptions with(EcnMode mode) {
    FixtureOptions options;
    options.config.tcp.ecn = mode;
    return options;
}

std::uint8_t codepoint(const Packet& p) { return p.traffic_class & 3; }

/// Passive; the peer's SYN asked for ECN and got it.
Fixture agreed(Way way, FixtureOptions options = with(EcnMode::respond)) {
    auto t = listening(way, options);
    t.flow().offers_mss = mss;
    t.peer_sends(syn().also(ece | cwr));
    t.expect(syn_ack().also(ece));
    t.peer_sends(ack(1));
    t.app_accepts();
    t.expect_silence().expect(TcpPhase::established);
    t.mark();
    return t;
}

/// So many full segments of new text came; their codepoints are ECT(0).
std::uint32_t burst(Fixture& t, std::uint32_t seq, bool first_has_cwr = false) {
    std::uint32_t n = 0;
    while (const auto p = t.take()) {
        REQUIRE(p->tcp);
        CHECK(p->tcp->seq - *t.flow().stack_iss == seq + n * mss);
        CHECK(codepoint(*p) == ect);
        CHECK(((p->tcp->flags & flag::cwr) != 0) == (n == 0 && first_has_cwr));
        ++n;
    }
    return n;
}

}  // namespace

WIRE_CASE("RFC 3168 6.1.1: as responder, when the SYN asks with both flags", "[ecn]") {
    struct Row {
        EcnMode mode;
        std::uint8_t asks;
        bool agrees;
    };
    for (const Row& row : {Row{EcnMode::respond, ece | cwr, true}, Row{EcnMode::request, ece | cwr, true},
                           Row{EcnMode::off, ece | cwr, false}, Row{EcnMode::respond, ece, false},
                           Row{EcnMode::respond, cwr, false}, Row{EcnMode::respond, 0, false}}) {
        auto t = listening(way, with(row.mode));
        t.peer_sends(syn().also(row.asks));
        const Packet answer = t.expect_packet();
        CHECK(answer.tcp->flags == (flag::syn | flag::ack | (row.agrees ? ece : 0)));
        CHECK(codepoint(answer) == 0);  // 6.1.1: not ECT on a SYN-ACK
        t.peer_sends(ack(1));
        t.app_accepts();
        t.app_sends(100);
        const Packet text = t.expect_packet();
        CHECK(codepoint(text) == (row.agrees ? ect : 0));
    }
}

WIRE_CASE("RFC 3168 6.1.1: a repeated SYN that asks no more gets a SYN-ACK without ECE", "[ecn]") {
    auto t = listening(way, with(EcnMode::respond));
    t.peer_sends(syn().also(ece | cwr));
    t.expect(syn_ack().also(ece));
    t.after(600_ms).peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1));
    t.app_accepts();
    t.app_sends(100);
    CHECK(codepoint(t.expect_packet()) == 0);
}

WIRE_CASE("RFC 3168 6.1.1: as requester, when the SYN-ACK agrees", "[ecn]") {
    for (const std::uint8_t answer : {ece, std::uint8_t{0}, static_cast<std::uint8_t>(ece | cwr)}) {
        Fixture t(way, with(EcnMode::request));
        t.app_connects();
        const Packet asks = t.expect_packet();
        CHECK(asks.tcp->flags == (flag::syn | ece | cwr));
        CHECK(codepoint(asks) == 0);
        t.peer_sends(syn_ack().ack(1).also(answer));
        const Packet third = t.expect_packet();
        CHECK(third.tcp->flags == flag::ack);
        CHECK(codepoint(third) == 0);
        t.app_sends(100);
        CHECK(codepoint(t.expect_packet()) == (answer == ece ? ect : 0));
    }
}

WIRE_CASE("RFC 3168 6.1.1.1: when a SYN that asks is lost, the next one does not", "[ecn]") {
    Fixture t(way, with(EcnMode::request));
    t.app_connects();
    CHECK(t.expect_packet().tcp->flags == (flag::syn | ece | cwr));
    t.mark();
    const auto again = t.wait(2_s);
    REQUIRE(again);
    CHECK(again->tcp->flags == flag::syn);
    t.peer_sends(syn_ack().ack(1).also(ece));  // the first one had arrived
    t.expect(ack(1));
    t.app_sends(100);
    CHECK(codepoint(t.expect_packet()) == 0);
}

WIRE_CASE("RFC 3168 6.1.3: CE is echoed in every ACK until CWR comes", "[ecn]") {
    auto t = agreed(way);
    t.traffic_class = ect;
    t.peer_sends(data(100)).peer_sends(data(100));
    t.mark().expect_by(50_ms, ack(201).flags(flag::ack));
    t.traffic_class = ce;
    t.peer_sends(data(100));
    t.expect(ack(301).also(ece)).expect_silence();  // no delay: it is news
    t.traffic_class = ect;
    t.peer_sends(data(100));
    t.mark().expect_by(50_ms, ack(401).also(ece));
    t.app_sends(10);
    t.expect(data(10).also(ece));  // text is an ACK too
    t.peer_sends(data(100).also(cwr));
    t.expect(ack(501).flags(flag::ack));
    // A mark on the segment that brings CWR is a new one.
    t.traffic_class = ce;
    t.peer_sends(data(100).also(cwr));
    t.expect(ack(601).also(ece));
    t.traffic_class = 0;
    t.app_reads(600);
}

WIRE_CASE("RFC 3168 6.1: without agreement CE and ECE mean nothing", "[ecn]") {
    auto t = established(way);
    t.traffic_class = ce;
    t.peer_sends(data(100)).peer_sends(data(100).also(ece));
    t.mark().expect_by(50_ms, ack(201).flags(flag::ack));
    t.app_reads(200);
    const std::uint32_t window = t.info().congestion_window;
    t.app_sends(100);
    CHECK(codepoint(t.expect_packet()) == 0);
    t.peer_sends(ack(101).also(ece));
    CHECK(t.info().congestion_window >= window);
}

WIRE_CASE("RFC 3168 6.1.2: ECE halves the window once, and CWR goes with the next new segment", "[ecn]") {
    FixtureOptions options = with(EcnMode::respond);
    options.config.tcp.congestion = CongestionAlgorithm::newreno;
    auto t = agreed(way, options);
    t.app_sends(60'000);
    CHECK(burst(t, 1) == 10);
    t.after(20_ms).peer_sends(ack(1 + mss).also(ece));
    CHECK(t.info().congestion_window == 5 * mss);
    CHECK(t.info().slow_start_threshold == 5 * mss);
    t.expect_silence();
    for (std::uint32_t i = 2; i <= 5; ++i) {
        t.peer_sends(ack(1 + i * mss).also(ece));
        CHECK(t.info().congestion_window == 5 * mss);  // once for the window
        t.expect_silence();
    }
    t.peer_sends(ack(1 + 6 * mss).also(ece));
    CHECK(burst(t, 1 + 10 * mss, true) == 1);
    t.peer_sends(ack(1 + 10 * mss).also(ece));  // CWR is still on its way
    CHECK(t.info().congestion_window == 5 * mss);
    CHECK(burst(t, 1 + 11 * mss) == 4);
    t.after(20_ms).peer_sends(ack(1 + 11 * mss));
    t.peer_sends(ack(1 + 12 * mss).also(ece));  // a mark of the next window
    CHECK(t.info().slow_start_threshold < 5 * mss);
    t.ignore_output();
}

WIRE_CASE("RFC 3168 6.1.5: what is sent again is not ECT, and CWR follows a loss as well", "[ecn]") {
    auto t = agreed(way);
    t.app_sends(60'000);
    CHECK(burst(t, 1) == 10);
    t.after(20_ms);
    for (int i = 0; i < 3; ++i) t.peer_sends(ack(1));
    bool again = false, reduced = false;
    for (int round = 0; round < 5; ++round) {
        while (const auto p = t.take()) {
            const std::uint32_t seq = p->tcp->seq - *t.flow().stack_iss;
            if (seq == 1) {
                CHECK(codepoint(*p) == 0);
                CHECK((p->tcp->flags & cwr) == 0);
                again = true;
                continue;
            }
            CHECK(codepoint(*p) == ect);
            if ((p->tcp->flags & cwr) != 0) {
                CHECK_FALSE(reduced);
                reduced = true;
            }
        }
        t.after(20_ms).peer_sends(ack());
    }
    CHECK(again);
    CHECK(reduced);
    t.ignore_output();
}

WIRE_CASE("RFC 3168 6.1.4, 6.1.6: pure ACKs, window probes, keep-alives and resets are not ECT", "[ecn]") {
    auto t = agreed(way);
    t.peer_sends(data(100)).peer_sends(data(100));
    t.mark();
    const auto pure = t.wait(50_ms);
    REQUIRE(pure);
    CHECK(codepoint(*pure) == 0);
    t.app_reads(200);
    t.peer_sends(ack().window(0));
    t.app_sends(500);
    t.mark();
    const auto probe = t.wait(5_s);
    REQUIRE(probe);
    CHECK(codepoint(*probe) == 0);
    t.app_aborts();
    while (const auto p = t.take()) CHECK(codepoint(*p) == 0);
}

WIRE_CASE("RFC 3168, DURABILITY 1: a mark on text that is not durable is told with its ACK", "[ecn][durability]") {
    FixtureOptions options(DurabilityPolicy::snapshot);
    auto t = agreed(way, options);
    t.auto_commit(false).snapshot();
    t.ignore_output();
    t.traffic_class = ce;
    t.peer_sends(data(100));
    t.traffic_class = 0;
    t.expect_silence();
    t.snapshot();
    t.expect(ack(101).also(ece));
    // The agreement, and what is being said, survive.
    t.crash(100_ms);
    t.peer_sends(data(100).seq(1));
    t.after(50_ms);
    const auto p = t.take();
    REQUIRE(p);
    CHECK((p->tcp->flags & ece) != 0);
    t.ignore_output();
    t.app_reads(100);
}
