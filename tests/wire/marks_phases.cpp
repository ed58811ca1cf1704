// DURABILITY 1, 2 and 4, each phase with its SYN or FIN not yet durable, as a table: whatever comes while
// nothing is committed promises nothing (the monitor looks at every segment), asks for a commit, and does not
// become a flood; with commits, or after a crash, both sides come to the end of both streams, each byte once.
#include "support/held.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// The scripted peer as a machine: it repeats what was not acknowledged, acknowledges what it got, closes at
/// the end.
class Conversation {
  public:
    explicit Conversation(Fixture fixture) : t(std::move(fixture)) {}

    Fixture t;
    std::uint32_t peer_bytes = 0;  ///< that it has to send
    bool peer_closes = false;      ///< and a FIN behind them
    bool active = false;           ///< we opened
    bool app_closed = false;
    std::uint32_t read = 0;  ///< by the application, of the peer's stream
    std::uint32_t written =
        0;  ///< durable writes are counted by tx_accepted; this is for a socket that is gone

    /// Everything that is due from the peer at this moment.
    void peer_speaks() {
        Flow& f = t.flow();
        if (!active && !f.stack_iss) {
            t.peer_sends(syn());
            return;
        }
        if (active && f.last_ack == 0) {
            if (f.stack_iss) t.peer_sends(syn_ack().seq(0).ack(1));
            return;
        }
        const std::uint32_t from = f.last_ack;
        const std::uint32_t end = 1 + peer_bytes;
        if (from <= end && (from < end || peer_closes)) {
            t.peer_sends(data(end - from).seq(from).also(peer_closes ? flag::fin : std::uint8_t{0}));
        } else {
            t.peer_sends(ack());
        }
    }

    /// What any application would do: take what is there, close when the peer has.
    void app_acts() {
        if (!t.socket && t.listener) {
            if (const auto s = t.stack().accept(t.listener)) t.socket = *s;
            t.settle();
        }
        if (!t.socket || !t.stack().info(t.socket)) return;
        t.app_reads(t.readable());
        read = static_cast<std::uint32_t>(t.info().rx_consumed);
        written = static_cast<std::uint32_t>(t.info().tx_accepted);
        if (!app_closed && read == peer_bytes && t.connection() != nullptr &&
            t.connection()->phase >= TcpPhase::established) {
            t.app_shuts_down();
            app_closed = true;
        }
    }

    [[nodiscard]] bool is_over() {
        const TcpConnectionState* c = t.connection();
        const bool ended = c == nullptr || c->phase == TcpPhase::closed || c->phase == TcpPhase::time_wait;
        return ended && t.flow().stack_iss && t.flow().last_ack == peer_bytes + 2;
    }

    /// Commits go on: both streams must come to their end. True: in so many rounds.
    [[nodiscard]] bool finishes(int rounds) {
        for (int i = 0; i < rounds; ++i) {
            app_acts();
            t.snapshot();
            t.after(100_ms).ignore_output();
            peer_closes = true;
            peer_speaks();
            t.after(1_s).ignore_output();
            if (is_over()) return true;
        }
        return false;
    }
};

using Fill = void (*)(Conversation&);

struct Row {
    const char* name;
    TcpPhase from;   ///< reached, and durable
    TcpPhase phase;  ///< after `step`, which is not durable
    Fill step;
    bool is_asking;  ///< does what is held ask for a commit?
};

const Row rows[] = {
    {"SYN-SENT, our SYN", TcpPhase::closed, TcpPhase::syn_sent,
     [](Conversation& c) {
         c.active = true;
         c.t.app_connects();
     },
     true},
    {"SYN-SENT to ESTABLISHED, the peer's SYN", TcpPhase::syn_sent, TcpPhase::established,
     [](Conversation& c) {
         c.active = true;
         c.t.peer_sends(syn_ack().ack(1));
     },
     true},
    {"SYN-RECEIVED, simultaneous, the peer's SYN", TcpPhase::syn_sent, TcpPhase::syn_received,
     [](Conversation& c) {
         c.active = true;
         c.t.peer_sends(syn());
     },
     true},
    {"SYN-RECEIVED, both SYNs", TcpPhase::listen, TcpPhase::syn_received,
     [](Conversation& c) { c.t.peer_sends(syn()); }, true},
    {"SYN-RECEIVED to ESTABLISHED, data with the ACK", TcpPhase::syn_received, TcpPhase::established,
     [](Conversation& c) {
         c.peer_bytes = 10;
         c.t.peer_sends(data(10).ack(1));
     },
     true},
    {"ESTABLISHED, our data", TcpPhase::established, TcpPhase::established,
     [](Conversation& c) { c.t.app_sends(3000); }, true},
    {"ESTABLISHED, the peer's data", TcpPhase::established, TcpPhase::established,
     [](Conversation& c) {
         c.peer_bytes = 100;
         c.t.peer_sends(data(100));
     },
     true},
    {"ESTABLISHED, both", TcpPhase::established, TcpPhase::established,
     [](Conversation& c) {
         c.peer_bytes = 100;
         c.t.app_sends(3000).peer_sends(data(100));
     },
     true},
    {"FIN-WAIT-1, our FIN", TcpPhase::established, TcpPhase::fin_wait_1,
     [](Conversation& c) {
         c.app_closed = true;
         c.t.app_shuts_down();
     },
     true},
    {"FIN-WAIT-1, our data and FIN", TcpPhase::established, TcpPhase::fin_wait_1,
     [](Conversation& c) {
         c.app_closed = true;
         c.t.app_sends(2000).app_shuts_down();
     },
     true},
    {"FIN-WAIT-1 to FIN-WAIT-2, nothing but the ACK of our FIN", TcpPhase::fin_wait_1, TcpPhase::fin_wait_2,
     [](Conversation& c) {
         c.app_closed = true;
         c.t.peer_sends(ack(2));
     },
     false},
    {"FIN-WAIT-2, the peer's data", TcpPhase::fin_wait_2, TcpPhase::fin_wait_2,
     [](Conversation& c) {
         c.app_closed = true;
         c.peer_bytes = 50;
         c.t.peer_sends(data(50));
     },
     true},
    {"CLOSE-WAIT, the peer's FIN", TcpPhase::established, TcpPhase::close_wait,
     [](Conversation& c) {
         c.peer_closes = true;
         c.t.peer_sends(fin());
     },
     true},
    {"CLOSE-WAIT, the peer's data and FIN", TcpPhase::established, TcpPhase::close_wait,
     [](Conversation& c) {
         c.peer_closes = true;
         c.peer_bytes = 70;
         c.t.peer_sends(data(70).also(flag::fin));
     },
     true},
    {"CLOSING, the peer's FIN", TcpPhase::fin_wait_1, TcpPhase::closing,
     [](Conversation& c) {
         c.app_closed = c.peer_closes = true;
         c.t.peer_sends(fin().ack(1));
     },
     true},
    {"CLOSING, both FINs", TcpPhase::established, TcpPhase::closing,
     [](Conversation& c) {
         c.app_closed = c.peer_closes = true;
         c.t.app_shuts_down().peer_sends(fin().ack(1));
     },
     true},
    {"LAST-ACK, our FIN", TcpPhase::close_wait, TcpPhase::last_ack,
     [](Conversation& c) {
         c.app_closed = c.peer_closes = true;
         c.t.app_shuts_down();
     },
     true},
    {"LAST-ACK, both FINs", TcpPhase::established, TcpPhase::last_ack,
     [](Conversation& c) {
         c.app_closed = c.peer_closes = true;
         c.t.peer_sends(fin()).app_shuts_down();
     },
     true},
    {"TIME-WAIT, the peer's FIN", TcpPhase::fin_wait_2, TcpPhase::time_wait,
     [](Conversation& c) {
         c.app_closed = c.peer_closes = true;
         c.t.peer_sends(fin());
     },
     true},
};

struct Stimulus {
    const char* name;
    bool needs_handshake;  ///< makes no sense to a connection whose SYN the peer has not seen
    Fill act;
};

const Stimulus stimuli[] = {
    {"nothing", false, [](Conversation&) {}},
    {"time", false, [](Conversation& c) { c.t.after(50_s); }},
    {"the peer repeats itself", false, [](Conversation& c) { c.peer_speaks(); }},
    {"the peer repeats itself, and again", false,
     [](Conversation& c) {
         for (int i = 0; i < 10; ++i) {
             c.t.after(20_ms);
             c.peer_speaks();
         }
     }},
    {"a keep-alive probe", true, [](Conversation& c) { c.t.peer_sends(ack().seq(c.t.flow().snd_nxt - 1)); }},
    {"an ACK of what was never sent", true,
     [](Conversation& c) { c.t.peer_sends(ack(c.t.flow().rcv_nxt + 20'000)); }},
    {"data out of order", true,
     [](Conversation& c) { c.t.peer_sends(data(10).seq(c.t.flow().snd_nxt + 300)); }},
    {"data beyond the window", true,
     [](Conversation& c) { c.t.peer_sends(data(10).seq(c.t.flow().snd_nxt + 70'000)); }},
    {"a SYN in the window", true,
     [](Conversation& c) {
         // In TIME-WAIT a newer one would be a new connection (RFC 6191).
         const bool is_old = c.t.connection()->phase == TcpPhase::time_wait;
         c.t.peer_sends(syn().seq(c.t.flow().snd_nxt + (is_old ? -10U : 10U)));
     }},
    {"a reset that is not exact", true,
     [](Conversation& c) { c.t.peer_sends(rst().seq(c.t.flow().snd_nxt + 10)); }},
    {"the path refuses", true,
     [](Conversation& c) {
         const Bytes ours = ip_packet({.src = stack_address, .dst = peer_address, .next_header = proto_tcp},
                                      tcp_segment(stack_address, peer_address,
                                                  {.src_port = c.t.flow().stack_port,
                                                   .dst_port = c.t.flow().peer_port,
                                                   .seq = c.t.flow().stack_iss.value_or(0) + 1}));
         c.t.peer_sends_icmp(1, 0, icmp_error_body(0, ours));
     }},
    {"the application asks for keep-alives", false,
     [](Conversation& c) {
         if (!c.t.socket) return;
         c.t.set(SocketOption::keep_alive, 1);
         c.t.set(SocketOption::keep_alive_idle, (5_s).ns);
         c.t.after(12_s);
     }},
    {"a cut that is given up", false, [](Conversation& c) { c.t.cut().abandon(); }},
};

Conversation prepare(const Row& row, Way way, const FixtureOptions& held) {
    Fixture t = reach(row.from, way, held);
    t.auto_commit(false);
    // Nothing is there yet that could not be made durable: a snapshot to come back to.
    t.snapshot().ignore_output();
    t.mark();
    Conversation c(std::move(t));
    row.step(c);
    return c;
}

bool knows_us(const Row& row) {
    return row.from >= TcpPhase::established || row.phase >= TcpPhase::established;
}

}  // namespace

TEST_CASE("DURABILITY 1 and 2: every phase with its SYN or FIN not durable, whatever comes",
          "[marks][phases]") {
    for (const HeldPolicy& policy : held_policies) {
        for (const Row& row : rows) {
            for (const Stimulus& stimulus : stimuli) {
                if (stimulus.needs_handshake && !knows_us(row)) continue;
                for (const Way way : {Way::plain, Way::swapped, Way::seam}) {
                    DYNAMIC_SECTION(policy.name << ": " << row.name << ": " << stimulus.name << ", "
                                                << name(way)) {
                        Conversation c = prepare(row, way, FixtureOptions(policy.policy));
                        c.t.expect(row.phase);
                        CHECK(c.t.commit_is_wanted() == row.is_asking);
                        c.t.ignore_output();
                        stimulus.act(c);
                        int segments = 0;
                        while (c.t.take()) ++segments;
                        CHECK(segments <= 12);
                        // Nothing ended by itself, and what asked still asks.
                        CHECK(c.t.connection() != nullptr);
                        if (row.is_asking) CHECK(c.t.commit_is_wanted());
                        CHECK(c.finishes(12));
                        CHECK(c.read == c.peer_bytes);
                        CHECK(c.t.flow().rcv_nxt == c.written + 2);
                    }
                }
            }
        }
    }
}

TEST_CASE("DURABILITY 1 and 2: every phase with its SYN or FIN not durable, and a crash", "[marks][phases]") {
    for (const HeldPolicy& policy : held_policies) {
        for (const Row& row : rows) {
            for (const Way way : {Way::plain, Way::swapped, Way::seam}) {
                DYNAMIC_SECTION(policy.name << ": " << row.name << ", " << name(way)) {
                    Conversation c = prepare(row, way, FixtureOptions(policy.policy));
                    c.t.ignore_output();
                    c.t.crash(1_s);
                    if (row.from == TcpPhase::closed) {
                        // Nobody was told of the connection: the application makes it anew.
                        c.t.socket = {};
                        c.t.app_connects();
                    }
                    // The application was rolled back with the stack, and does it again.
                    const TcpConnectionState* back = c.t.connection();
                    c.app_closed = back != nullptr && back->snd.fin_queued;
                    CHECK(c.finishes(12));
                    CHECK(c.read == c.peer_bytes);
                    CHECK(c.t.flow().rcv_nxt == c.written + 2);
                }
            }
        }
    }
}

TEST_CASE("DURABILITY 4: what a phase holds asks for a commit since it is held, and stops with it",
          "[marks][phases]") {
    for (const HeldPolicy& policy : held_policies) {
        for (const Row& row : rows) {
            DYNAMIC_SECTION(policy.name << ": " << row.name) {
                Conversation c = prepare(row, Way::plain, FixtureOptions(policy.policy));
                const Instant since = row.is_asking ? c.t.now() : never;
                CHECK(c.t.commit_wanted() == since);
                // The application does nothing, nobody speaks: it goes on asking, since the same instant.
                c.t.after(2_s);
                CHECK(c.t.commit_wanted() == since);
                c.t.snapshot();
                CHECK(c.t.commit_wanted() == never);
                CHECK((c.t.take().has_value() || !row.is_asking));
                CHECK(c.finishes(12));
            }
        }
    }
}

HELD_CASE("DURABILITY 2: a listener born between two snapshots dies with a crash, and is born again",
          "[marks]") {
    Fixture t(way, held);
    t.snapshot();
    t.app_listens();
    t.peer_sends(syn()).expect_silence();
    CHECK(t.commit_is_wanted());
    t.crash(1_s);
    t.listener = {};
    t.app_listens();
    t.peer_sends(syn()).expect_silence().snapshot();
    t.expect(syn_ack().ack(1));
    t.peer_sends(ack(1));
    t.expect(TcpPhase::established).app_accepts();
}

HELD_CASE("DURABILITY 2: a listener whose death is not durable answers nothing", "[marks]") {
    auto t = listening(way, held);
    t.snapshot().auto_commit(false);
    REQUIRE(t.stack().close(std::exchange(t.listener, {})).has_value());
    t.settle().peer_sends(syn());
    t.expect_silence().expect_dropped(DropReason::tcp_tombstone);
    SECTION("a crash brings it back") {
        t.crash(1_s);
        t.peer_sends(syn()).snapshot();
        t.expect(syn_ack());
    }
    SECTION("once it is durable, nobody listens") {
        t.snapshot().expect_silence();
        t.peer_sends(syn());
        t.expect(rst_ack().seq(0)).expect_silence();
    }
}

HELD_CASE("DURABILITY 2: what is durably gone does not come back: data that was read or acknowledged, a connection, a "
          "listener",
          "[marks]") {
    auto t = held_established(way, held);
    t.app_sends(50).peer_sends(data(100).ack(1)).snapshot();
    t.expect(data(50).seq(1).ack(101));
    t.peer_sends(ack(51));
    t.app_reads(100).snapshot().ignore_output();
    SECTION("data") {
        t.crash(1_s).ignore_output();
        CHECK(t.info().rx_consumed == 100);
        CHECK(t.info().tx_acknowledged == 50);
        CHECK(t.info().send_queue_bytes == 0);
        t.expect_readable(0).peer_sends(data(10));
        t.app_reads(10).snapshot();
        t.expect(ack(111)).expect_silence();
    }
    SECTION("a connection") {
        t.peer_sends(rst()).app_closes().snapshot();
        t.crash(1_s);
        CHECK(t.world().connections.in_use() == 0);
        t.peer_sends(data(10).seq(101).ack(51));
        t.expect(rst().seq(51)).expect_silence();
    }
    SECTION("a listener") {
        REQUIRE(t.stack().close(std::exchange(t.listener, {})).has_value());
        t.settle().snapshot();
        t.crash(1_s).ignore_output();
        CHECK(t.world().listeners.in_use() == 0);
        t.use_flow(1).peer_sends(syn());
        t.expect(rst_ack().seq(0)).expect_silence();
        t.use_flow(0);
    }
}

HELD_CASE("DURABILITY 2: connected, used and closed by us between two commits", "[marks]") {
    Fixture t(way, held);
    t.app_connects().snapshot();
    t.expect(syn());
    t.peer_sends(syn_ack().ack(1));
    t.app_sends(20).peer_sends(data(30).ack(1));
    t.app_reads(30).app_closes().expect_silence();
    t.peer_sends(fin().ack(1)).expect_silence();
    SECTION("a commit lets all of it out at once") {
        t.snapshot();
        t.expect(fin().seq(1).ack(32).length(20)).expect_silence();
        t.peer_sends(ack(22));
        t.after(100_s).snapshot().expect_silence();
        CHECK(t.connection() == nullptr);
    }
    SECTION("a crash: back in SYN-SENT, and once more") {
        t.crash(1_s);
        t.expect(syn().seq(0)).expect(TcpPhase::syn_sent);
        const auto s = t.stack().next_socket({});
        t.socket = s;
        t.peer_sends(syn_ack().seq(0).ack(1));
        t.peer_sends(data(30).seq(1).ack(1).also(flag::fin));
        t.app_sends(20).app_reads(30).app_closes().expect_silence().snapshot();
        t.expect(fin().seq(1).ack(32).length(20)).expect_silence();
    }
}

HELD_CASE("DURABILITY 2: a peer that speaks to a tombstone makes a commit wanted, after which it is answered", "[marks]") {
    auto t = held_established(way, held);
    t.snapshot().auto_commit(false).ignore_output();
    t.peer_sends(rst());
    CHECK_FALSE(t.commit_is_wanted());
    t.peer_sends(rst().seq(1)).expect_silence();
    CHECK_FALSE(t.commit_is_wanted());
    t.peer_sends(data(10).seq(1)).expect_silence();
    CHECK(t.commit_is_wanted());
    t.snapshot().expect_silence();
    t.peer_sends(data(10).seq(1));
    t.expect(rst().seq(1));
}

HELD_CASE("DURABILITY 2: tombstones beyond half of their capacity ask for a commit", "[marks]") {
    FixtureOptions options = held;
    options.config.capacity.tcp_tombstones = 4;
    auto t = listening(way, options);
    for (std::size_t i = 0; i < 4; ++i) {
        t.use_flow(i);
        open_passive(t);
    }
    t.auto_commit(false).snapshot().ignore_output();
    for (std::size_t i = 0; i < 4; ++i) {
        t.use_flow(i);
        t.peer_sends(rst());
        CHECK(t.commit_is_wanted() == (i >= 2));
    }
    t.snapshot().expect_silence();
    CHECK_FALSE(t.commit_is_wanted());
    t.peer_sends(data(10).seq(1));
    t.expect(rst().seq(1));
}

HELD_CASE("DURABILITY 2: a connection from a SYN cookie acknowledges nothing before a commit",
          "[marks][cookies]") {
    FixtureOptions options = held;
    options.config.tcp.listen_half_open = 0;
    auto t = listening(way, options);
    t.snapshot().auto_commit(false);
    // Needs no record, and so no commit.
    t.flow().held = false;
    t.peer_sends(syn());
    t.expect(syn_ack().ack(1)).expect_silence();
    t.flow().held = true;
    t.peer_sends(ack(1)).app_accepts();
    t.peer_sends(data(40).ack(1)).app_reads(40).app_sends(50);
    t.after(1_s).expect_silence();
    CHECK(t.commit_is_wanted());
    SECTION("then all of it") {
        t.snapshot();
        t.expect(data(50).seq(1).ack(41)).expect_silence();
    }
    SECTION("a crash: the cookie is good once more") {
        t.crash(1_s);
        t.socket = {};
        t.peer_sends(data(40).seq(1).ack(1)).app_accepts();
        t.app_reads(40).app_sends(50).expect_silence().snapshot();
        t.expect(data(50).seq(1).ack(41)).expect_silence();
    }
}

HELD_CASE("DURABILITY 2: CLOSING is not left while the peer's FIN waits, though ours is acknowledged",
          "[marks]") {
    auto t = held_at(TcpPhase::fin_wait_1, way, held);
    t.peer_sends(fin().ack(1)).expect(TcpPhase::closing);
    t.peer_sends(ack(2).seq(2));
    t.expect(TcpPhase::closing).after(100_s).expect_silence().expect(TcpPhase::closing);
    t.snapshot();
    t.expect(ack(2).seq(2)).expect(TcpPhase::time_wait);
}

HELD_CASE("DURABILITY 2: LAST-ACK is not left before the ACK of the peer's FIN has been transmitted",
          "[marks]") {
    if (way == Way::seam) return;  // there the fixture waits for what is queued between the layers
    FixtureOptions options = held;
    options.config.capacity.transmit_ring = 2;
    auto t = held_established(way, options);
    for (int i = 0; i < 40; ++i) t.peer_sends(data(1440));
    t.peer_sends(fin());
    t.app_reads(40 * 1440).app_shuts_down().expect(TcpPhase::last_ack).expect_silence();
    // The commit lets out our FIN, with the first step of the ACKs; then device and ring are full for a
    // while.
    t.keep_still(true);
    t.device().transmit_room = 1;
    t.snapshot();
    t.expect(fin().seq(1).ack(1 + 8 * 1440)).expect_silence();
    t.peer_sends(ack(2));
    t.expect(TcpPhase::last_ack);
    t.device().transmit_room = SIZE_MAX;
    t.settle();
    std::uint32_t acknowledged = 0;
    while (const auto p = t.take()) acknowledged = p->tcp->ack - t.flow().iss;
    CHECK(acknowledged == 40 * 1440 + 2);
    t.expect(TcpPhase::closed).snapshot().expect_silence();
}
