// RFC 7323: window scale, timestamps, PAWS.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

Fixture with_timestamps(Way way) {
    auto t = listening(way);
    t.flow().offers_ts = true;
    open_passive(t);
    return t;
}

}  // namespace

WIRE_CASE("RFC 7323 2.2, 3.2: a SYN offers both options, a SYN-ACK only what the SYN had", "[rfc7323]") {
    SECTION("active") {
        Fixture t(way);
        t.app_connects();
        const Packet p = t.expect_packet();
        CHECK(p.tcp->ts.has_value());
        CHECK(p.tcp->wscale.has_value());
        CHECK(p.tcp->ts->second == 0);
    }
    SECTION("passive, nothing offered") {
        auto t = listening(way);
        t.peer_sends(syn());
        const Packet p = t.expect_packet();
        CHECK_FALSE(p.tcp->ts.has_value());
        CHECK_FALSE(p.tcp->wscale.has_value());
    }
    SECTION("passive, timestamps alone") {
        auto t = listening(way);
        t.flow().offers_ts = true;
        t.peer_sends(syn());
        const Packet p = t.expect_packet();
        REQUIRE(p.tcp->ts.has_value());
        CHECK(p.tcp->ts->second == static_cast<std::uint32_t>(t.now().ns / 1'000'000));
        CHECK_FALSE(p.tcp->wscale.has_value());
    }
    SECTION("passive, scale alone") {
        auto t = listening(way);
        t.flow().offers_wscale = 7;
        t.peer_sends(syn());
        const Packet p = t.expect_packet();
        CHECK_FALSE(p.tcp->ts.has_value());
        CHECK(p.tcp->wscale.has_value());
    }
}

WIRE_CASE("RFC 7323 1.3: what the configuration turns off is neither offered nor taken up", "[rfc7323]") {
    FixtureOptions options;
    const bool has_timestamps = GENERATE(false, true);
    options.config.tcp.timestamps = has_timestamps;
    options.config.tcp.window_scaling = !has_timestamps;
    SECTION("active") {
        Fixture t(way, options);
        t.flow().offers_ts = true;
        t.flow().offers_wscale = 7;
        t.app_connects();
        const Packet p = t.expect_packet();
        CHECK(p.tcp->ts.has_value() == has_timestamps);
        CHECK(p.tcp->wscale.has_value() != has_timestamps);
        // The peer takes up what was not offered: that agrees on nothing.
        auto answer = syn_ack().ack(1).wscale(7);
        if (!has_timestamps) answer = std::move(answer).ts(100, 0);
        t.peer_sends(std::move(answer));
        t.expect(TcpPhase::established);
        CHECK(t.expect_packet().tcp->ts.has_value() == has_timestamps);
        t.peer_sends(ack(1).window(1000));
        CHECK(t.stack().info(t.socket)->send_window == (has_timestamps ? 1000U : 128'000U));
    }
    SECTION("passive") {
        auto t = listening(way, options);
        t.flow().offers_ts = true;
        t.flow().offers_wscale = 7;
        t.peer_sends(syn());
        const Packet p = t.expect_packet();
        CHECK(p.tcp->ts.has_value() == has_timestamps);
        CHECK(p.tcp->wscale.has_value() != has_timestamps);
    }
}

WIRE_CASE("RFC 7323 2.2: the scale applies to both directions, not to SYN segments", "[rfc7323]") {
    FixtureOptions options;
    options.config.tcp.receive_buffer = 256U * 1024;
    options.config.capacity.packet_buffers = 2048;
    auto t = listening(way, options);
    t.flow().offers_wscale = 3;
    t.flow().window = 1000;
    t.peer_sends(syn());
    const Packet p = t.expect_packet();
    REQUIRE(p.tcp->wscale.has_value());
    // RFC 7323 2.3: the shift must let the whole buffer be said.
    CHECK((65535U << *p.tcp->wscale) >= 256U * 1024);
    t.peer_sends(ack(1).window(1000));
    t.app_accepts();
    CHECK(t.info().send_window == 8000);
    t.flow().window = 8000;
    t.peer_sends(data(1440)).peer_sends(data(1440)).ignore_output();
    t.app_reads(2880);
    CHECK(t.info().receive_window > 65535);
    t.ignore_output();
    t.app_sends(9000);
    std::size_t bytes = 0;
    while (const auto s = t.take()) bytes += s->tcp->payload.size();
    CHECK(bytes > 8000 - 1440);
    CHECK(bytes <= 8000);
}

WIRE_CASE("RFC 7323 2.2: the SYN-ACK of a simultaneous open has a SYN, so its window is not scaled",
          "[rfc7323]") {
    auto t = syn_sent(way);
    t.flow().offers_wscale = 3;
    t.flow().window = 1000;
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
    t.peer_sends(syn_ack().seq(0).ack(1));
    t.expect(TcpPhase::established);
    CHECK(t.info().send_window == 1000);
    t.ignore_output();
    t.peer_sends(ack(1).window(1000));
    CHECK(t.info().send_window == 8000);
}

WIRE_CASE("RFC 7323 2.4: rounding by the scale never moves the right edge back", "[rfc7323]") {
    FixtureOptions options;
    options.config.tcp.receive_buffer = 1U << 20;
    options.config.capacity.packet_buffers = 4096;
    options.config.capacity.slice_nodes = 4096;
    auto t = listening(way, options);
    t.keep_still(true);
    t.flow().offers_wscale = 7;
    open_passive(t);
    REQUIRE(t.flow().stack_shift >= 4);
    Dice dice(42);
    for (int i = 0; i < 1500; ++i) {
        const std::size_t room = t.info().receive_window;
        const std::size_t n = std::min<std::size_t>(dice.between(1, 1440), room);
        if (n != 0) t.peer_sends(data(n));
        if (dice.one_in(3)) t.app_reads(dice.between(0, t.readable()));
        if (dice.one_in(5)) t.after(Duration{static_cast<std::int64_t>(dice.below(60'000'000))});
        t.ignore_output();  // the monitor compares the edges
    }
    t.after(1_s).ignore_output();
    t.app_reads(t.readable());
    t.ignore_output();
}

WIRE_CASE("RFC 7323 2.3: a shift above 14 is taken as 14", "[rfc7323]") {
    auto t = listening(way);
    t.flow().offers_wscale = 200;
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1).window(2));
    t.app_accepts();
    CHECK(t.info().send_window == 2U << 14);
}

WIRE_CASE("RFC 7323 2.2: without the peer's option no scale is used", "[rfc7323]") {
    auto t = syn_sent(way);
    t.peer_sends(syn_ack().seq(0).ack(1).window(5000));
    t.expect(ack(1));
    t.peer_sends(ack(1).window(5001));
    CHECK(t.info().send_window == 5001);
}

WIRE_CASE("RFC 7323 3.2: once negotiated, every segment but a reset has timestamps", "[rfc7323]") {
    auto t = with_timestamps(way);
    t.app_sends(10);
    t.expect(data(10));  // the monitor compares
    t.peer_sends(data(10).seq(100));
    t.expect(ack(1));
    t.app_shuts_down();
    t.expect(fin().seq(11));
}

WIRE_CASE("RFC 7323 3.2: a segment without timestamps is dropped, a reset is not", "[rfc7323]") {
    auto t = with_timestamps(way);
    t.peer_sends(data(10).no_ts());
    t.expect_silence().expect_readable(0).expect_dropped(DropReason::tcp_no_timestamp);
    t.peer_sends(rst().seq(1));
    t.expect(TcpPhase::closed);
}

WIRE_CASE("RFC 7323 5.3: PAWS: an older TSval is acknowledged and dropped", "[rfc7323]") {
    auto t = with_timestamps(way);
    t.after(1_s).peer_sends(data(10));
    t.after(100_ms).ignore_output();
    const std::uint32_t recent = t.connection()->ts.recent;
    t.peer_sends(data(10).ts(recent - 1, t.flow().ts_recent));
    t.expect(ack(11)).expect_silence().expect_readable(10).expect_dropped(DropReason::tcp_paws);
    t.peer_sends(data(10).seq(11).ts(recent, t.flow().ts_recent));
    t.expect_readable(20);
    t.after(100_ms).ignore_output();
}

WIRE_CASE("RFC 7323 5.2: PAWS does not apply to a reset", "[rfc7323]") {
    auto t = with_timestamps(way);
    t.after(1_s).peer_sends(data(10));
    t.after(100_ms).ignore_output();
    t.peer_sends(rst().seq(11).ts(1, 0));
    t.expect(TcpPhase::closed).expect_silence();
}

WIRE_CASE("RFC 7323 5.5: a TS.Recent of more than 24 days is no good", "[rfc7323]") {
    auto t = with_timestamps(way);
    const std::uint32_t recent = t.connection()->ts.recent;
    t.after(Duration{25LL * 24 * 3600 * 1'000'000'000});
    t.ignore_output();
    t.peer_sends(data(10).ts(recent - 5, t.flow().ts_recent));
    t.expect_readable(10);
    t.after(100_ms).ignore_output();
}

WIRE_CASE("RFC 7323 4.3: TSecr of a delayed ACK is that of the first segment it covers", "[rfc7323]") {
    auto t = with_timestamps(way);
    const auto clock = static_cast<std::uint32_t>(t.now().ns / 1'000'000);
    t.peer_sends(data(10).ts(clock + 5, t.flow().ts_recent));
    t.peer_sends(data(10).ts(clock + 9, t.flow().ts_recent));
    t.expect_by(1_s, ack(21).where("TSecr of the first", [clock](const TcpFields& s, const Flow&) {
        return s.ts && s.ts->second == clock + 5;
    }));
}

WIRE_CASE("RFC 7323 4.3: out of order, TSecr stays that of the segment at the left edge", "[rfc7323]") {
    auto t = with_timestamps(way);
    const auto clock = static_cast<std::uint32_t>(t.now().ns / 1'000'000);
    const std::uint32_t before_it = t.connection()->ts.recent;
    t.peer_sends(data(10).seq(11).ts(clock + 5, t.flow().ts_recent));
    t.expect(ack(1).where("TSecr unchanged", [before_it](const TcpFields& s, const Flow&) {
        return s.ts && s.ts->second == before_it;
    }));
    t.peer_sends(data(10).seq(1).ts(clock + 7, t.flow().ts_recent));
    t.expect(ack(21).where("TSecr of the filling", [clock](const TcpFields& s, const Flow&) {
        return s.ts && s.ts->second == clock + 7;
    }));
}

WIRE_CASE("RFC 7323 5.4: TSval ticks between 1 ms and 1 s", "[rfc7323]") {
    auto t = with_timestamps(way);
    t.app_sends(10).expect(data(10));
    const std::uint32_t first = t.flow().last_tsval;
    t.peer_sends(ack());
    t.after(10_s);
    t.app_sends(10).expect(data(10));
    const std::uint32_t ticks = t.flow().last_tsval - first;
    CHECK(ticks >= 10);
    CHECK(ticks <= 10'000);
}

WIRE_CASE("RFC 7323 7.1: the timestamp clocks of two connections start at unrelated values", "[rfc7323]") {
    auto t = with_timestamps(way);
    t.app_sends(1).expect(data(1));
    const std::uint32_t one = t.flow().last_tsval;
    t.use_flow(1).flow().offers_ts = true;
    open_passive(t);
    t.app_sends(1).expect(data(1));
    CHECK(t.flow().last_tsval - one > 0x1'0000);
    CHECK(one - t.flow().last_tsval > 0x1'0000);
}
