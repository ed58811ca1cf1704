// Loss recovery's pure functions, and the scoreboard beside a model that keeps each byte by itself.
#include <array>
#include <random>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "support/arena.hpp"
#include "tcp/recovery/prr.hpp"
#include "tcp/recovery/rack.hpp"
#include "tcp/recovery/scoreboard.hpp"

using namespace keepnet;
using namespace keepnet::tcp;
using namespace keepnet::literals;

namespace {

constexpr Instant t0{5'000'000'000};
constexpr Seq near_wrap{0xffff'ff80};

}  // namespace

// --- RACK ---

TEST_CASE("RFC 8985 6.2: sent after is by time, then by sequence number, across the wrap") {
    CHECK(rack::is_sent_after({t0 + 1_ms, near_wrap}, {t0, near_wrap + 500}));
    CHECK(rack::is_sent_after({t0, Seq{5}}, {t0, near_wrap}));
    CHECK_FALSE(rack::is_sent_after({t0, near_wrap}, {t0, near_wrap}));
    CHECK_FALSE(rack::is_sent_after({t0, Seq{5}}, {t0 + 1_ms, near_wrap}));
}

TEST_CASE("RFC 8985 6.2: a delivery is the newest when it was sent last, and Karn's doubt keeps retransmissions out") {
    RackState r;
    rack::on_delivered(r, {t0, Seq{1000}}, false, false, t0 + 80_ms);
    CHECK(r.rtt == 80_ms);
    CHECK(r.rtt_min == 80_ms);
    CHECK(r.end == Seq{1000});
    // Sent earlier: nothing new, but a round trip.
    rack::on_delivered(r, {t0 - 10_ms, Seq{500}}, false, false, t0 + 60_ms);
    CHECK(r.end == Seq{1000});
    CHECK(r.rtt_min == 70_ms);
    // Sent again, and acknowledged faster than ever: it was the first sending.
    rack::on_delivered(r, {t0 + 100_ms, Seq{2000}}, true, false, t0 + 110_ms);
    CHECK(r.end == Seq{1000});
    // The time stamp says so.
    rack::on_delivered(r, {t0 + 100_ms, Seq{2000}}, true, true, t0 + 200_ms);
    CHECK(r.end == Seq{1000});
    rack::on_delivered(r, {t0 + 100_ms, Seq{2000}}, true, false, t0 + 200_ms);
    CHECK(r.end == Seq{2000});
    CHECK(r.rtt == 100_ms);
}

TEST_CASE("RFC 8985 6.2: the smallest round trip is forgotten after five minutes") {
    RackState r;
    rack::on_delivered(r, {t0, Seq{1}}, false, false, t0 + 10_ms);
    rack::on_delivered(r, {t0 + 100_s, Seq{2}}, false, false, t0 + 100_s + 50_ms);
    CHECK(r.rtt_min == 10_ms);
    rack::on_delivered(r, {t0 + 301_s, Seq{3}}, false, false, t0 + 301_s + 50_ms);
    CHECK(r.rtt_min == 50_ms);
}

TEST_CASE("RFC 8985 6.2: reordering is a late delivery of what was sent once") {
    RackState r;
    r.fack = Seq{1000};
    rack::detect_reordering(r, Seq{2000}, false);
    CHECK(r.fack == Seq{2000});
    rack::detect_reordering(r, Seq{1500}, true);
    CHECK_FALSE(r.reordering_seen);
    rack::detect_reordering(r, Seq{1500}, false);
    CHECK(r.reordering_seen);
}

TEST_CASE("RFC 8985 6.2: the reordering window") {
    RackState r;
    r.rtt_min = 40_ms;
    CHECK(rack::reordering_window(r, true, 100_ms) == Duration{});
    CHECK(rack::reordering_window(r, false, 100_ms) == 10_ms);
    r.reordering_seen = true;
    CHECK(rack::reordering_window(r, true, 100_ms) == 10_ms);
    // One step a round with a D-SACK, however many come in it.
    rack::note_duplicates(r, true, Seq{100}, Seq{900});
    rack::note_duplicates(r, true, Seq{800}, Seq{1900});
    CHECK(rack::reordering_window(r, true, 100_ms) == 20_ms);
    rack::note_duplicates(r, true, Seq{900}, Seq{1900});
    CHECK(rack::reordering_window(r, true, 100_ms) == 30_ms);
    CHECK(rack::reordering_window(r, true, 25_ms) == 25_ms);  // never more than SRTT
    for (int i = 0; i < 15; ++i) rack::on_recovered(r);
    CHECK(rack::reordering_window(r, true, 100_ms) == 30_ms);
    rack::on_recovered(r);
    CHECK(rack::reordering_window(r, true, 100_ms) == 10_ms);
    for (std::uint32_t i = 0; i < 1000; ++i) {
        rack::note_duplicates(r, true, Seq{2000 + 1000 * i}, Seq{3000 + 1000 * i});
    }
    CHECK(r.window_steps == 255);
}

TEST_CASE("RFC 8985 6.2 step 5: time left") {
    RackState r;
    CHECK_FALSE(rack::time_left(r, {t0, Seq{1}}, 10_ms, t0));
    r.sent_at = t0;
    r.end = Seq{1000};
    r.rtt = 80_ms;
    CHECK_FALSE(rack::time_left(r, {t0, Seq{2000}}, 10_ms, t0 + 80_ms));
    CHECK_FALSE(rack::time_left(r, {t0 + 1_ms, Seq{500}}, 10_ms, t0 + 80_ms));
    CHECK(rack::time_left(r, {t0, Seq{500}}, 10_ms, t0 + 80_ms) == 10_ms);
    CHECK(rack::time_left(r, {t0, Seq{500}}, 10_ms, t0 + 90_ms) == Duration{});
}

TEST_CASE("RFC 8985 7.2: the probe's time-out") {
    CHECK(rack::probe_timeout(100_ms, true, 200_ms, 1_s) == 400_ms);
    CHECK(rack::probe_timeout(100_ms, false, 200_ms, 1_s) == 202_ms);
    CHECK(rack::probe_timeout({}, false, 200_ms, 1_s) == 1_s);
}

// --- PRR ---

TEST_CASE("RFC 9937 6.2: the window follows what is delivered, in proportion") {
    RepairState r;
    prr::begin(r, 20'000);
    std::uint32_t pipe = 19'000;
    std::uint32_t sent = 0;
    for (int i = 0; i < 19; ++i) {
        const std::uint32_t window = prr::window(r, {1000, pipe, 10'000, 1000, false});
        while (pipe + 1000 <= window) {
            pipe += 1000;
            r.prr_out += 1000;
            sent += 1000;
        }
        REQUIRE(pipe >= 1000);
        pipe -= 1000;
    }
    // Half of what was delivered went out; the flight is what the threshold asks for.
    CHECK(sent >= 9'000);
    CHECK(sent <= 11'000);
}

TEST_CASE("RFC 9937 6.2: below the threshold, bounded by what is delivered, and one segment more when all is well") {
    RepairState r;
    prr::begin(r, 20'000);
    r.prr_out = 5000;
    r.prr_delivered = 5000;
    CHECK(prr::window(r, {1000, 4000, 10'000, 1000, false}) == 5000);
    r.prr_delivered = 5000;
    CHECK(prr::window(r, {1000, 4000, 10'000, 1000, true}) == 6000);
    // Never beyond the threshold.
    r.prr_delivered = 5000;
    CHECK(prr::window(r, {3000, 9500, 10'000, 1000, true}) == 10'000);
}

TEST_CASE("RFC 9937 6.2: what begins a recovery sends one segment at least, and a window holds one") {
    RepairState r;
    prr::begin(r, 2000);
    CHECK(prr::window(r, {0, 1000, 2000, 1000, false}) == 2000);
    r.prr_out = 1000;
    CHECK(prr::window(r, {0, 0, 2000, 1000, false}) == 1000);
    prr::begin(r, 0);  // nothing was under way: no division by it
    CHECK(prr::window(r, {1000, 5000, 2000, 1000, false}) >= 1000);
}

// --- the scoreboard ---

namespace {

/// Each byte by itself.
struct Model {
    struct Byte {
        Instant sent_at{};
        bool sacked = false;
        bool lost = false;
        bool again = false;
    };
    std::vector<Byte> bytes{};  // from una
};

struct Bench {
    explicit Bench(std::uint32_t most) {
        config.capacity.sent_ranges = 1024;
        config.capacity.slice_nodes = 8;
        config.capacity.packet_buffers = 8;
        config.capacity.tcp_connections = 4;
        config.capacity.sockets = 4;
        config.capacity.neighbors = 4;
        config.tcp.sent_ranges = most;
        ArenaCarver size(nullptr);
        w.place(size, config);
        arena = test::Arena(size.bytes());
        ArenaCarver carver(arena.span().data());
        w.place(carver, config);
        w.initialize(config);
    }
    StackConfig config{};
    test::Arena arena{};
    World w{};
};

struct Board {
    explicit Board(std::uint32_t most, bool bounded) : f(most), limit(most), is_exact(!bounded) {
        const auto handle = f.w.connections.create();
        REQUIRE(handle);
        index = handle.index();
        c().snd.una = c().snd.nxt = c().snd.max = near_wrap;
        c().sack.permitted = true;
    }
    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;
    ~Board() {
        clear_scoreboard(f.w, c());
        CHECK(f.w.sent_ranges.in_use() == 0);
    }
    TcpConnectionState& c() { return f.w.connections.edit(index); }

    void send(std::uint32_t bytes, Instant now) {
        note_sent(f.w, c(), c().snd.max, c().snd.max + bytes, now);
        c().snd.max += bytes;
        c().snd.nxt = c().snd.max;
        for (std::uint32_t i = 0; i < bytes; ++i) m.bytes.push_back({now, false, false, false});
    }
    void resend(std::uint32_t from, std::uint32_t to, Instant now) {
        note_sent(f.w, c(), c().snd.una + from, c().snd.una + to, now);
        for (std::uint32_t i = from; i < to; ++i) {
            if (!m.bytes[i].sacked) m.bytes[i] = {now, false, false, true};
        }
    }
    std::uint32_t sack(std::uint32_t from, std::uint32_t to) {
        std::uint32_t fresh = 0;
        take_block(f.w, c(), {c().snd.una + from, c().snd.una + to},
                   [&](const SentRangeState& r, Seq end) { fresh += end - r.seq; });
        merge_ranges(f.w, c());
        if (from == 0 || to > m.bytes.size() || from >= to) return fresh;
        for (std::uint32_t i = from; i < to; ++i) m.bytes[i].sacked = true, m.bytes[i].lost = false;
        return fresh;
    }
    void ack(std::uint32_t bytes) {
        take_acked(f.w, c(), c().snd.una + bytes, [](const SentRangeState&, Seq) {});
        c().snd.una += bytes;
        c().snd.nxt = max_seq(c().snd.nxt, c().snd.una);
        m.bytes.erase(m.bytes.begin(), m.bytes.begin() + bytes);
    }
    void lose_before(Instant t) {
        mark_lost(f.w, c(), [&](const SentRangeState& r) { return r.sent_at < t; });
        for (Model::Byte& b : m.bytes) b.lost = b.lost || (!b.sacked && b.sent_at < t);
    }
    void clear(bool sacked_too) {
        clear_marks(f.w, c(), sacked_too);
        for (Model::Byte& b : m.bytes) b.lost = false;
        if (!sacked_too || !is_exact) return;
        // What was delivered together has one time, the latest, and measures nothing.
        std::uint32_t i = 0;
        for (Link at = c().sack.head; at; at = f.w.sent_ranges.get(at.index()).next) {
            const SentRangeState& r = f.w.sent_ranges.get(at.index());
            for (std::uint32_t n = 0; n < r.length; ++n, ++i) {
                if (!m.bytes[i].sacked) continue;
                REQUIRE(r.sent_at >= m.bytes[i].sent_at);
                m.bytes[i] = {r.sent_at, false, false, true};
            }
        }
    }
    void check() {
        recount(f.w, c());
        REQUIRE(is_scoreboard_sane(f.w, c()));
        REQUIRE(c().sack.ranges <= limit);
        REQUIRE(f.w.sent_ranges.in_use() == c().sack.ranges);
        if (!is_exact) return;
        std::uint32_t sacked = 0;
        std::uint32_t lost = 0;
        for (const Model::Byte& b : m.bytes) sacked += b.sacked ? 1U : 0U, lost += b.lost ? 1U : 0U;
        REQUIRE(c().sack.sacked == sacked);
        REQUIRE(c().sack.lost == lost);
        Link at = c().sack.head;
        std::uint32_t i = 0;
        for (; at; at = f.w.sent_ranges.get(at.index()).next) {
            const SentRangeState& r = f.w.sent_ranges.get(at.index());
            for (std::uint32_t n = 0; n < r.length; ++n, ++i) {
                REQUIRE(m.bytes[i].sacked == r.sacked);
                if (r.sacked) continue;
                REQUIRE(m.bytes[i].lost == r.lost);
                REQUIRE(m.bytes[i].again == r.retransmitted);
                REQUIRE(m.bytes[i].sent_at == r.sent_at);
            }
        }
        REQUIRE(i == m.bytes.size());
    }

    Bench f;
    std::uint32_t limit;
    bool is_exact;
    std::uint32_t index = 0;
    Model m{};
};

void play(Board& b, unsigned seed, int steps) {
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t n) { return n == 0 ? 0 : static_cast<std::uint32_t>(random() % n); };
    Instant now = t0;
    for (int i = 0; i < steps; ++i) {
        now = now + milliseconds(static_cast<std::int64_t>(below(3)));
        const auto size = static_cast<std::uint32_t>(b.m.bytes.size());
        switch (below(6)) {
            case 0:
                if (size < 400) b.send(1 + below(40), now);
                break;
            case 1: {
                const std::uint32_t from = below(size + 20);
                b.sack(from, from + below(60));
                break;
            }
            case 2:
                if (size != 0) b.ack(below(size / 4 + 2) % (size + 1));
                break;
            case 3: {
                if (size == 0) break;
                const std::uint32_t from = below(size);
                b.resend(from, from + 1 + below(size - from), now);
                break;
            }
            case 4:
                b.lose_before(now - 4_ms);
                break;
            default:
                b.clear(below(4) == 0);
                break;
        }
        b.check();
    }
}

}  // namespace

TEST_CASE("RFC 6675 3: the scoreboard says of each byte what a model of bytes says") {
    for (unsigned seed = 1; seed <= 60; ++seed) {
        INFO("seed " << seed);
        Board b(10'000, false);
        play(b, seed, 300);
    }
}

TEST_CASE("RFC 6675 3: with too few ranges the scoreboard forgets, and stays in one piece") {
    for (const std::uint32_t most : {1U, 2U, 5U}) {
        for (unsigned seed = 1; seed <= 40; ++seed) {
            INFO("at most " << most << ", seed " << seed);
            Board b(most, true);
            play(b, seed, 300);
        }
    }
}
