// What a peer may send that makes no sense: the connection lives or is reset as the RFC says, with bounded work and memory.
// The million segments are in floods.cpp.
#include <set>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

std::size_t text_bytes(Fixture& t) {
    std::size_t bytes = 0;
    while (const auto p = t.take()) bytes += p->tcp->payload.size();
    return bytes;
}

/// Takes what comes until all that was accepted is acknowledged; the peer acknowledges in order.
void drain(Fixture& t) {
    for (int i = 0; i < 200 && t.info().send_queue_bytes != 0; ++i) {
        t.after(500_ms);
        while (t.take()) {
        }
        t.peer_sends(ack());
    }
    CHECK(t.info().send_queue_bytes == 0);
}

}  // namespace

WIRE_CASE("RFC 9293 3.1, bad input: an option of any length in a SYN does no harm", "[bad]") {
    for (const int kind : {2, 3, 4, 5, 8, 28, 30, 34, 254}) {
        for (const int length : {0, 1, 2, 3, 4, 5, 9, 10, 11, 20, 40, 41, 255}) {
            CAPTURE(kind, length);
            auto t = listening(Way::plain);
            t.flow().offers_mss.reset();
            Bytes option{static_cast<std::uint8_t>(kind), static_cast<std::uint8_t>(length)};
            option.resize(20, 0x11);
            t.peer_sends(syn().options(option));
            // Whatever was read of it, a connection comes of it, and it works.
            const Packet p = t.expect_packet();
            REQUIRE(p.tcp);
            REQUIRE(p.tcp->flags == (flag::syn | flag::ack));
            const bool is_real_mss = kind == 2 && length == 4;
            const bool is_timestamps = kind == 8 && length == 10;
            if (is_timestamps) continue;  // negotiated: rfc7323
            t.peer_sends(ack(1));
            t.app_accepts();
            t.app_sends(100).expect(data(100));
            t.peer_sends(ack());
            if (!is_real_mss) {
                t.app_sends(1300);
                CHECK(t.expect_packet().tcp->payload.size() == (is_real_mss ? 1300 : 1220));
                t.ignore_output();
                drain(t);
            }
        }
    }
}

WIRE_CASE("RFC 9293 3.1, bad input: an option of any length in a data segment does no harm", "[bad]") {
    auto t = established(way);
    std::size_t sent = 0;
    for (const int kind : {0, 1, 2, 3, 4, 5, 8, 30, 254}) {
        for (const int length : {0, 1, 2, 3, 7, 8, 9, 10, 11, 18, 19, 40, 255}) {
            CAPTURE(kind, length);
            Bytes option{static_cast<std::uint8_t>(kind), static_cast<std::uint8_t>(length)};
            option.resize(12, 0xff);
            t.peer_sends(data(3).options(option));
            sent += 3;
            t.ignore_output();
        }
    }
    t.expect(TcpPhase::established).expect_readable(sent);
    t.app_reads(sent);
}

WIRE_CASE("RFC 9293 3.10.7.4, bad input: text that contradicts what came before it changes nothing that was acknowledged", "[bad]") {
    auto t = established(way);
    const Bytes lies(60, 0xee);
    // Out of order, then over it, then over all, and last the truth from the left edge.
    t.peer_sends(data(10).seq(11));
    t.peer_sends(segment(flag::ack).seq(6).length(20).payload(Bytes(20, 0xee)));
    t.peer_sends(data(10).seq(1));
    t.ignore_output();
    Bytes got(25);
    REQUIRE(t.stack().receive(t.socket, got) == std::size_t{25});
    const Bytes truth = pattern_bytes(Side::peer, 1, 20);
    for (std::size_t i = 0; i < 5; ++i) CHECK(got[i] == truth[i]);
    // Which of two contradicting bytes out of order counts is nobody's right; each comes from one of the two.
    for (std::size_t i = 5; i < 20; ++i) CHECK((got[i] == truth[i] || got[i] == 0xee));
    // What has been acknowledged is not touched any more.
    t.peer_sends(data(30).seq(26));
    t.peer_sends(segment(flag::ack).seq(1).length(60).payload(lies));
    t.ignore_output();
    Bytes rest(35);
    REQUIRE(t.stack().receive(t.socket, rest) == std::size_t{35});
    const Bytes more = pattern_bytes(Side::peer, 26, 30);
    for (std::size_t i = 0; i < 30; ++i) CHECK(rest[i] == more[i]);
    for (std::size_t i = 30; i < 35; ++i) CHECK(rest[i] == 0xee);
    t.expect(TcpPhase::established);
    t.ignore_output();
}

WIRE_CASE("RFC 5961 5.2, bad input: ACKs of the future are answered at a bounded rate, and take nothing with them", "[bad]") {
    auto t = established(way);
    t.app_sends(100).expect(data(100));
    for (std::uint32_t i = 0; i < 300; ++i) {
        t.peer_sends(data(10).seq(1).ack(102 + i * 7'000'000));
        t.after(1_ms);
    }
    std::size_t answers = 0;
    while (const auto p = t.take()) {
        CHECK(p->tcp->ack - t.flow().iss == 1);
        if (p->tcp->payload.empty()) ++answers;
    }
    CHECK(answers >= 1);
    CHECK(answers <= 3);  // one in TcpConfig::invalid_ack_interval
    CHECK(t.info().tx_acknowledged == 0);
    t.expect_readable(0).expect(TcpPhase::established);
    t.peer_sends(data(10).seq(1).ack(101));
    t.app_reads(10);
    CHECK(t.info().tx_acknowledged == 100);
    t.after(100_ms).ignore_output();
}

WIRE_CASE("RFC 9293 3.8.6, bad input: a window that opens and shrinks at each ACK is borne, and nothing is lost", "[bad]") {
    auto t = established(way);
    t.flow().window = 20'000;
    t.peer_sends(ack(1));
    t.app_sends(60'000);
    std::uint64_t sent = 0;
    const std::uint32_t windows[] = {20'000, 10, 0, 1, 3000, 0, 20'000, 1, 1441, 0, 65'535, 0};
    for (const std::uint32_t window : windows) {
        t.flow().window = window;
        t.peer_sends(ack());
        t.after(10_ms);
        sent += text_bytes(t);
    }
    t.flow().window = 60'000;
    t.peer_sends(ack());
    drain(t);
    CHECK(t.info().tx_acknowledged == 60'000);
    CHECK(sent <= 120'000);
    t.expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.7.1, bad input: an MSS of 0 or 1 still makes segments of a sane size, one of 65535 none larger than the path",
          "[bad]") {
    for (const std::uint16_t mss : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{47}, std::uint16_t{65535}}) {
        CAPTURE(mss);
        auto t = listening(way);
        t.flow().offers_mss = mss;
        t.peer_sends(syn());
        t.expect(syn_ack());
        t.peer_sends(ack(1));
        t.app_accepts();
        t.app_sends(4000);
        t.after(1_ms);
        std::size_t largest = 0;
        while (const auto p = t.take()) largest = std::max(largest, p->tcp->payload.size());
        CHECK(largest == (mss == 65535 ? 1440 : 48));
        t.peer_sends(ack());
        drain(t);
        CHECK(t.info().tx_acknowledged == 4000);
    }
}

WIRE_CASE("RFC 7323 2.3, bad input: a window scale of 15 or 255 is 14", "[bad]") {
    for (const std::uint8_t scale : {std::uint8_t{15}, std::uint8_t{255}}) {
        CAPTURE(int{scale});
        auto t = listening(way);
        t.flow().offers_wscale = scale;
        t.peer_sends(syn());
        t.expect(syn_ack());
        t.flow().peer_shift = 0;
        t.peer_sends(ack(1).window(2));
        t.app_accepts();
        CHECK(t.info().send_window == 2U << 14);
        t.app_sends(10).expect(data(10));
    }
}

WIRE_CASE("RFC 9293 3.8.6.1, bad input: a peer that never reads costs a full send buffer and a probe a minute", "[bad]") {
    auto t = established(way);
    t.flow().window = 0;
    t.peer_sends(ack(1));
    std::size_t accepted = 0;
    while (const std::size_t n = t.app_offers(10'000)) accepted += n;
    CHECK(accepted == t.config().tcp.send_buffer);
    CHECK_FALSE(t.stack().readiness(t.socket)->has(Readiness::writable));
    const std::uint32_t buffers = t.world().pool.in_use();
    CHECK(buffers <= t.config().tcp.send_buffer / 1024);
    std::size_t probes = 0;
    t.mark();
    while (t.elapsed() < 3600_s) {
        const auto p = t.wait(t.elapsed() + 120_s);
        REQUIRE(p.has_value());
        CHECK(p->tcp->payload.size() <= 1);
        ++probes;
        t.peer_sends(ack(1).seq(1));
    }
    CHECK(probes >= 55);
    CHECK(probes <= 80);
    CHECK(t.world().pool.in_use() == buffers);
    t.expect(TcpPhase::established);
}

WIRE_CASE("RFC 3465 2.3, bad input: a peer that acknowledges byte by byte gains nothing by it", "[bad]") {
    auto t = established(way);
    t.flow().window = 65'000;
    t.peer_sends(ack(1));
    t.app_sends(30'000);
    t.keep_still(true);
    const std::uint32_t before = t.info().congestion_window;
    std::size_t segments = 0, bytes = 0;
    const auto look = [&] {
        while (const auto p = t.take()) {
            ++segments;
            bytes += p->tcp->payload.size();
        }
    };
    look();
    for (std::uint32_t n = 2; n <= 2881; ++n) {
        t.peer_sends(ack(n));
        look();
    }
    // Two segments' worth of ACKs: the window has grown by no more than that (ACK division would make it 2,880 segments).
    CHECK(t.info().congestion_window <= before + 2 * 2880);
    // And no segment is smaller for it.
    CHECK(segments <= bytes / 1440 + 2);
    drain(t);
    CHECK(t.info().tx_acknowledged == 30'000);
}

WIRE_CASE("RFC 9293 3.10.7.4, bad input: FINs at several places, and the first place that comes in order counts", "[bad]") {
    auto t = established(way);
    t.peer_sends(segment(flag::fin | flag::ack).seq(51).length(10));
    t.peer_sends(fin().seq(31));
    t.peer_sends(fin().seq(101));
    t.peer_sends(data(30).seq(1));
    t.ignore_output();
    const TcpConnectionState* c = t.connection();
    REQUIRE(c != nullptr);
    CHECK((c->phase == TcpPhase::established || c->phase == TcpPhase::close_wait));
    t.peer_sends(data(40).seq(31));
    t.ignore_output();
    // Nothing behind the FIN that counted is delivered, and the end comes once.
    CHECK(t.readable() <= 70);
    CHECK(t.connection()->phase != TcpPhase::closed);
    t.app_closes();
    t.ignore_output();
}

WIRE_CASE("RFC 2018 8, bad input: text in order finds a place, though what waits behind gaps took all there were", "[bad]") {
    FixtureOptions options;
    options.config.capacity.slice_nodes = 32;
    auto t = established(way, options);
    for (std::uint32_t i = 0; i < 40; ++i) t.peer_sends(data(10).seq(1001 + 20 * i));
    t.ignore_output();
    CHECK(t.drops(DropReason::no_slot) != 0);
    for (std::uint32_t i = 0; i < 20; ++i) t.peer_sends(data(10).seq(1 + 10 * i));
    t.ignore_output();
    CHECK(t.readable() == 200);
    t.app_reads(200);
    // What was dropped, though it may have been reported, comes again.
    for (std::uint32_t at = 201; at < 1601; at += 100) t.peer_sends(data(100).seq(at));
    t.ignore_output();
    t.app_reads(1400);
}
