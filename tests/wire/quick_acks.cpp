// Which ACKs are delayed at the start of a connection (RFC 9293 3.8.6.3, RFC 5681 4.2), and how the receive window grows.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

FixtureOptions with_quick_acks(std::uint8_t n) {
    FixtureOptions options;
    options.config.tcp.quick_acks = n;
    return options;
}

}  // namespace

WIRE_CASE("RFC 5681 4.2: the first segments of a connection are acknowledged at once", "[ack]") {
    auto t = established(way, with_quick_acks(3));
    for (std::uint32_t i = 0; i < 3; ++i) {
        t.peer_sends(data(100));
        t.expect(ack(101 + 100 * i)).expect_silence();
    }
    t.mark();
    t.peer_sends(data(100));
    t.expect_silence().expect_between(39_ms, 41_ms, ack(401));
    t.app_reads(400);
}

WIRE_CASE("RFC 5681 4.2: after a pause of the peer's they are again", "[ack]") {
    auto t = established(way, with_quick_acks(1));
    t.peer_sends(data(100));
    t.expect(ack(101));
    t.peer_sends(data(100));
    t.expect_silence();
    t.mark().expect_by(50_ms, ack(201));
    t.after(5_s).peer_sends(data(100));
    t.expect(ack(301)).expect_silence();
    t.app_reads(300);
}

WIRE_CASE("RFC 9293 3.8.6.3: with no quick ACKs the first one is delayed", "[ack]") {
    auto t = established(way, with_quick_acks(0));
    t.peer_sends(data(100));
    t.expect_silence().expect_between(39_ms, 41_ms, ack(101));
    t.app_reads(100);
}

WIRE_CASE("RFC 9293 3.8.6.3: in a conversation ACKs wait for the answer they ride on", "[ack]") {
    auto t = established(way, with_quick_acks(16));
    t.peer_sends(data(100));
    t.expect(ack(101));
    t.app_reads(100).app_sends(50);
    t.expect(data(50).ack(101));
    t.after(10_ms).peer_sends(data(100).ack(51));
    t.expect_silence();
    t.app_reads(100).app_sends(50);
    t.expect(data(50).ack(201)).expect_silence();
    // One that rode on nothing ends the conversation.
    t.after(10_ms).peer_sends(data(100));
    t.mark().expect_by(50_ms, ack(301));
    t.peer_sends(data(100));
    t.expect(ack(401));
    t.app_reads(200);
}

namespace {

constexpr std::uint32_t mib = 1U << 20;

FixtureOptions tuned(std::uint32_t limit, DurabilityPolicy policy = DurabilityPolicy::none) {
    FixtureOptions options(policy);
    options.config.capacity.packet_buffers = 8192;
    options.config.capacity.slice_nodes = 16384;
    options.config.tcp.receive_buffer = 32 * 1024;
    options.config.tcp.receive_buffer_tuned = limit;
    return options;
}

Fixture scaled(Way way, const FixtureOptions& options) {
    auto t = listening(way, options);
    t.flow().offers_wscale = 7;
    open_passive(t);
    return t;
}

/// Round trips of 20 ms in each of which the peer sends all that the window allows, and the application reads it.
void download(Fixture& t, int rounds) {
    t.check_content = false;
    for (int i = 0; i < rounds; ++i) {
        t.ignore_output();
        for (std::uint32_t left = t.info().receive_window; left > 0;) {
            const std::uint32_t n = std::min(left, 1400U);
            t.peer_sends(data(n));
            t.app_reads(n);
            left -= n;
        }
        t.after(20_ms);
    }
    t.ignore_output();
}

}  // namespace

WIRE_CASE("RFC 9293 3.8.6.2: the receive window grows with what is read, up to the limit and no further", "[window]") {
    auto t = scaled(way, tuned(mib));
    t.keep_still(true);
    CHECK(t.connection()->rcv.buffer == 32 * 1024);
    CHECK((65535U << t.connection()->rcv.wscale) >= mib);
    download(t, 4);
    CHECK(t.connection()->rcv.buffer > 64 * 1024);
    download(t, 12);
    CHECK(t.connection()->rcv.buffer == mib);
    CHECK(t.info().receive_window > mib / 2);
}

WIRE_CASE("RFC 9293 3.8.6.2: a buffer that the application has set stays, and so does one that nobody empties", "[window]") {
    SECTION("set") {
        auto t = scaled(way, tuned(mib));
        t.keep_still(true).set(SocketOption::receive_buffer, 40'000);
        download(t, 6);
        CHECK(t.connection()->rcv.buffer == 40'000);
    }
    SECTION("not emptied") {
        auto t = scaled(way, tuned(mib));
        t.keep_still(true).peer_sends(data(1400)).ignore_output();
        for (int i = 0; i < 10; ++i) {
            t.after(20_ms).peer_sends(data(1400)).ignore_output();
        }
        CHECK(t.connection()->rcv.buffer == 32 * 1024);
        t.app_reads(11 * 1400).ignore_output();
    }
    SECTION("off") {
        auto t = scaled(way, tuned(0));
        t.keep_still(true);
        download(t, 6);
        CHECK(t.connection()->rcv.buffer == 32 * 1024);
    }
}

WIRE_CASE("DURABILITY 1, 4: a buffer that grew is promised when that is durable", "[window][durability]") {
    auto t = scaled(way, tuned(mib, DurabilityPolicy::snapshot));
    t.keep_still(true);
    t.auto_commit(true);
    download(t, 8);
    REQUIRE(t.connection()->rcv.buffer > 64 * 1024);
    t.snapshot();
    t.auto_commit(false);
    CHECK(t.connection()->marks.buffer == t.connection()->rcv.buffer);
    const std::uint32_t durable = t.connection()->rcv.buffer;
    t.crash(10_ms);
    t.keep_still(true);
    CHECK(t.connection()->rcv.buffer == durable);
    t.ignore_output();
}
