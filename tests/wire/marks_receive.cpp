// DURABILITY 1, what we say of what we received: ACK, window, SACK, timestamps. Beside durability.cpp: the
// corners of each row.
#include "support/held.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

FixtureOptions with_receive_buffer(FixtureOptions options, std::uint32_t bytes) {
    options.config.tcp.receive_buffer = bytes;
    return options;
}

/// The peer's patience: what it has not heard of comes again.
void repeat_from(Fixture& t, std::uint32_t seq, std::uint32_t end) { t.peer_sends(data(end - seq).seq(seq)); }

std::uint32_t edge_of(const Packet& p, const Flow& f) {
    return p.tcp->ack - f.iss + (std::uint32_t{p.tcp->window} << f.stack_shift);
}

}  // namespace

HELD_CASE("DURABILITY 1, ACK: the peer sends again and again what waits for a commit", "[marks]") {
    auto t = held_established(way, held);
    t.peer_sends(data(100)).peer_sends(data(100));
    for (int i = 0; i < 10; ++i) {
        t.after(300_ms);
        repeat_from(t, 1, 201);
    }
    // Rate-limited, clamped: at most one in half a second.
    int answers = 0;
    while (const auto p = t.take()) {
        CHECK(p->tcp->ack - t.flow().iss == 1);
        ++answers;
    }
    CHECK(answers <= 7);
    t.snapshot();
    t.expect(ack(201)).expect_silence();
    t.app_reads(200);
}

HELD_CASE("DURABILITY 1, ACK: a crash forgets what was not acknowledged, and the peer still has it",
          "[marks]") {
    auto t = held_established(way, held);
    t.peer_sends(data(100)).snapshot();
    t.expect(ack(101));
    t.peer_sends(data(100)).app_reads(200).expect_silence();
    t.crash(1_s);
    t.expect(ack(101)).expect_silence();
    CHECK(t.info().rx_consumed == 0);
    t.app_reads(100);
    repeat_from(t, 101, 201);
    t.app_reads(100).snapshot();
    t.expect(ack(201)).expect_silence();
}

HELD_CASE("DURABILITY 1, ACK: of a gap that was filled, what of it is durable", "[marks]") {
    auto t = held_established(way, held);
    t.peer_sends(data(100).seq(101));
    t.expect(ack(1));  // all that is in order is durable: reported at once
    t.cut();
    t.peer_sends(data(100).seq(1));
    t.commit();
    // The snapshot has the second hundred, and not the first.
    t.after(1_s).expect_silence();
    t.snapshot();
    t.expect(ack(201)).expect_silence();
    t.app_reads(200);
}

HELD_CASE("DURABILITY 1, ACK: steps of eight segments with an answer to a probe between them", "[marks]") {
    auto t = held_established(way, held);
    for (int i = 0; i < 20; ++i) t.peer_sends(data(1440));
    t.expect_silence().snapshot();
    std::uint32_t last = 1;
    while (const auto p = t.take()) {
        const std::uint32_t now = p->tcp->ack - t.flow().iss;
        CHECK(now - last <= 8 * 1440);
        last = now;
    }
    CHECK(last == 1 + 20 * 1440);
    t.app_reads(20 * 1440);
    t.snapshot().ignore_output();
}

HELD_CASE("DURABILITY 1, window: nothing read undurably opens it, a crash and its repetition open it once",
          "[marks]") {
    auto t = established(way, with_receive_buffer(held, 8000));
    t.auto_commit(false).snapshot().ignore_output();
    for (int i = 0; i < 8; ++i) t.peer_sends(data(1000));
    t.snapshot();
    t.expect(ack(8001).window(0));
    t.app_reads(8000).expect_silence();
    // The probes of the peer show the same closed window.
    t.after(1_s).peer_sends(data(1).seq(8001));
    t.expect(ack(8001).window(0)).expect_silence();
    t.crash(1_s);
    const Packet p = t.expect_packet();
    CHECK(edge_of(p, t.flow()) < 8001 + 64);
    t.expect_silence().expect_readable(8000);
    t.flow().snd_nxt = 8001;
    t.app_reads(8000).expect_silence();
    CHECK(t.commit_is_wanted());
    t.snapshot();
    t.expect(ack(8001).window_at_least(7900)).expect_silence();
    t.peer_sends(data(1000));
    t.app_reads(1000).snapshot().ignore_output();
}

HELD_CASE("DURABILITY 1, window: a larger buffer grants when it is durable", "[marks]") {
    auto t = established(way, with_receive_buffer(held, 8000));
    t.auto_commit(false).snapshot().ignore_output();
    for (int i = 0; i < 8; ++i) t.peer_sends(data(1000));
    t.snapshot();
    t.expect(ack(8001).window(0));
    t.set(SocketOption::receive_buffer, 20'000).expect_silence();
    t.after(1_s).peer_sends(data(1).seq(8001));
    t.expect(ack(8001).window(0)).expect_silence();
    t.flow().snd_nxt = 8001;
    CHECK(t.commit_is_wanted());
    t.cut();
    t.set(SocketOption::receive_buffer, 30'000).commit();
    t.expect(ack(8001).window(12'000)).expect_silence();
    t.app_reads(8000).snapshot();
    t.ignore_output();
}

HELD_CASE("DURABILITY 1, window: a smaller buffer moves no edge back", "[marks]") {
    auto t = established(way, with_receive_buffer(held, 20'000));
    t.auto_commit(false).snapshot().ignore_output();
    const std::uint32_t edge = t.flow().right_edge;
    CHECK(edge == 20'001);
    t.set(SocketOption::receive_buffer, 8000).snapshot();
    t.peer_sends(data(1000)).app_reads(1000).snapshot();
    const Packet p = t.expect_packet();
    CHECK(edge_of(p, t.flow()) == edge);
    // What was granted is taken.
    for (int i = 0; i < 19; ++i) t.peer_sends(data(1000));
    t.expect_readable(19'000);
    t.app_reads(19'000).snapshot();
    t.ignore_output();
    CHECK(t.flow().right_edge == 28'001);
}

HELD_CASE("DURABILITY 1, window: rounding by the scale never moves the edge back", "[marks]") {
    FixtureOptions options = with_receive_buffer(held, 1'000'000);
    auto t = listening(way, options);
    t.flow().offers_wscale = 7;
    open_held(t);
    REQUIRE(t.flow().stack_shift == 4);
    std::uint32_t seen = t.flow().right_edge;
    // Odd sizes, read or not: the monitor refuses an edge that goes back, by one byte.
    for (int i = 0; i < 60; ++i) {
        t.peer_sends(data(1 + static_cast<std::size_t>(i) * 7 % 31));
        if (i % 3 == 0) t.app_reads(t.readable());
        if (i % 2 == 0) t.snapshot();
        t.ignore_output();
        CHECK(t.flow().right_edge >= seen);
        seen = t.flow().right_edge;
    }
    // A unit for each ACK that did not fit, no more.
    const auto consumed = static_cast<std::uint32_t>(t.info().rx_consumed);
    CHECK(seen <= 1 + consumed + 1'000'000 + 60 * 16);
    t.app_reads(t.readable()).snapshot().ignore_output();
}

HELD_CASE("DURABILITY 1, window: a byte granted has room, also for many at once", "[marks]") {
    FixtureOptions options = with_receive_buffer(held, 60'000);
    options.config.tcp.receive_grant_bytes = 100'000;
    auto t = listening(way, options);
    for (std::size_t i = 0; i < 8; ++i) {
        t.use_flow(i);
        open_held(t);
    }
    t.auto_commit(true);
    std::uint64_t granted = 0;
    for (std::size_t i = 0; i < 8; ++i) {
        t.use_flow(i);
        const std::uint32_t edge = t.flow().right_edge;
        while (t.flow().snd_nxt + 1000 <= edge) t.peer_sends(data(1000));
        t.after(100_ms).ignore_output();
        CHECK(t.flow().last_ack == t.flow().snd_nxt);
        granted += t.flow().right_edge - 1;  // nobody reads
    }
    // Two segments are everybody's due, beyond that nobody gets what others were promised.
    CHECK(granted <= 100'000 + 8 * 2 * 1440);
    t.auto_commit(false);
}

HELD_CASE("DURABILITY 1, timestamps: TS.Recent stays with the ACK while data waits for its commit",
          "[marks]") {
    auto t = listening(way, held);
    t.flow().offers_ts = true;
    open_held(t);
    t.after(50_ms);
    const auto first = static_cast<std::uint32_t>(t.now().ns / 1'000'000);
    t.peer_sends(data(10));
    t.after(50_ms).peer_sends(data(10));
    // The peer measures the round trip of what is acknowledged, and that is older than both.
    t.app_sends(5).cut();
    t.after(600_ms).peer_sends(ack().seq(0));
    // RFC 7323 4.3: the segment at Last.ACK.sent, not the newest; what is behind it waits for an ACK that
    // covers it.
    t.expect(ack(1).where("TSecr of the first", [first](const TcpFields& f, const Flow&) {
        return f.ts && f.ts->second == first;
    }));
    t.commit();
    t.expect(data(5).ack(21).where(
        "TSecr of the first of what it covers",
        [first](const TcpFields& f, const Flow&) { return f.ts && f.ts->second == first; }));
    t.app_reads(20).peer_sends(ack());
}

HELD_CASE(
    "DURABILITY 1, timestamps: crash upon crash without a commit, TSval goes on, within the reservation",
    "[marks]") {
    auto t = listening(way, held);
    t.flow().offers_ts = true;
    open_held(t);
    t.after(1_s).peer_sends(ack().seq(0));
    t.expect(ack(1));
    const std::uint32_t at_cut = t.flow().last_tsval;
    std::uint32_t last = at_cut;
    for (int i = 0; i < 4; ++i) {
        t.crash(10_s);
        t.after(700_ms).peer_sends(ack().seq(0));
        t.ignore_output();
        CHECK(t.flow().last_tsval >= last);
        last = t.flow().last_tsval;
        // Equal is legal: it stands where the reservation, or the time away, put it until a commit.
        CHECK(last - at_cut <= 3'600'000 + 60'000);
    }
    t.snapshot().ignore_output();
    t.after(2_s).peer_sends(ack().seq(0));
    t.expect(ack(1));
    CHECK(t.flow().last_tsval - last > 0);
    t.peer_sends(data(10));
    t.app_reads(10).snapshot();
    t.expect(ack(11));
}

HELD_CASE(
    "DURABILITY 1, timestamps: a restore that does not know how long it was away starts at the reservation",
    "[marks]") {
    auto t = listening(way, held);
    t.flow().offers_ts = true;
    open_held(t);
    // Longer after the program began than a cut reserves, so it is the last commit's reservation that counts.
    t.after(7200_s).snapshot().ignore_output();
    // The lost run went on for a while behind its last commit, and showed its clock.
    t.after(1000_s).peer_sends(ack().seq(0));
    t.expect(ack(1));
    const std::uint32_t shown = t.flow().last_tsval;
    t.crash();
    t.after(700_ms).peer_sends(ack().seq(0));
    t.ignore_output();
    CHECK(static_cast<std::int32_t>(t.flow().last_tsval - shown) >= 0);
    t.peer_sends(data(10));
    t.app_reads(10).snapshot();
    t.expect(ack(11));
}

HELD_CASE("DURABILITY 1, window: what rounding added behind the cut is not taken back by a restore",
          "[marks]") {
    auto t = listening(way, with_receive_buffer(held, 1'000'000));
    t.flow().offers_wscale = 7;
    open_held(t);
    REQUIRE(t.flow().stack_shift == 4);
    // Nobody reads. Each commit is acknowledged in several steps, and each of them may round up; the snapshot
    // has none.
    for (int round = 0; round < 12; ++round) {
        for (int i = 0; i < 20; ++i) t.peer_sends(data(1433 - static_cast<std::size_t>(round)));
        t.snapshot().ignore_output();
        const std::uint32_t shown = t.flow().right_edge;
        t.crash(1_s).ignore_output();
        CHECK(t.flow().right_edge >= shown);
        CHECK(t.flow().last_ack == t.flow().snd_nxt);
    }
    t.app_reads(t.readable()).snapshot().ignore_output();
}

HELD_CASE("DURABILITY 8: an ACK that may be news waits for a time stamp from after the outage",
          "[marks][restore]") {
    auto t = listening(way, held);
    t.flow().offers_ts = true;
    open_held(t);
    const auto clock = [&t] { return static_cast<std::uint32_t>(t.now().ns / 1'000'000); };
    t.after(100_ms);
    const std::uint32_t before = clock();
    t.peer_sends(data(100)).peer_sends(data(100)).cut();
    t.commit().ignore_output();
    t.crash(5_s);
    const auto echoes = [](std::uint32_t from, std::uint32_t to) {
        return [from, to](const TcpFields& f, const Flow&) {
            return f.ts && f.ts->second >= from && f.ts->second <= to;
        };
    };
    // A probe, which the peer answers without looking at its ACK: to that it would owe a round trip of five
    // seconds.
    t.expect(ack().seq(0).where("TSecr of before", echoes(0, before))).expect_silence();
    SECTION("the peer answers, from ahead of what we know") {
        t.peer_sends(ack().seq(2001));
        t.expect(ack(201).seq(1).where("TSecr of the answer", echoes(clock(), clock()))).expect_silence();
        CHECK(t.verdict() == Verdict::resumed);
        // The rule of RFC 7323 4.3 holds again.
        const std::uint32_t answered = clock();
        t.after(50_ms).peer_sends(data(10).seq(1001));
        t.expect(ack(201).where("TSecr of the answer", echoes(answered, answered)));
    }
    SECTION("the peer does not answer: the ACK leaves all the same") {
        t.mark();
        t.expect_by(50_ms, ack(201).seq(1));
        t.expect_silence_until(10_s);
    }
    SECTION("the peer's own timer is first") {
        t.peer_sends(data(100).seq(1));
        t.expect(ack(201).where("TSecr of the repetition", echoes(clock(), clock()))).expect_silence();
    }
    t.app_reads(200);
}

HELD_CASE("DURABILITY 1, window: a buffer made smaller between two cuts, and the later one restored, takes no edge back",
          "[marks][restore]") {
    if (held.journal) return;  // one record is written at a time
    auto t = established(way, with_receive_buffer(held, 8000));
    t.auto_commit(false).snapshot().ignore_output();
    for (int i = 0; i < 4; ++i) t.peer_sends(data(1000));
    t.app_reads(4000).cut();
    t.set(SocketOption::receive_buffer, 4096).cut();
    t.commit();
    // The first commit lets this out, whatever the second cut holds.
    t.expect(ack(4001).window(8000)).commit();
    t.ignore_output().crash(1_s);
    t.ignore_output();
    CHECK(t.flow().right_edge >= 12'001);
    for (int i = 0; i < 8; ++i) t.peer_sends(data(1000));
    t.expect_readable(8000).app_reads(8000);
    t.snapshot().ignore_output();
}
