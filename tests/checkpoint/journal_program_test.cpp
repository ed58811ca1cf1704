// A program that does everything at once under a journal: it listens and connects, echoes and checks echoes, closes halves,
// aborts, and draws its choices. It dies at random instants and comes back from old snapshots; its peer never dies.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <keepnet/checkpoint.hpp>
#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/journal.hpp>
#include <keepnet/stack.hpp>

#include "stack/core.hpp"
#include "support/arena.hpp"
#include "support/journal_config.hpp"
#include "support/journal_store.hpp"
#include "support/packet.hpp"

using namespace keepnet;
using namespace keepnet::literals;
using namespace keepnet::test;

namespace {

constexpr auto program_address = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 1});
constexpr auto peer_host = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 2});
constexpr std::uint16_t echo_port = 7;

/// Room for every connection that is in TIME-WAIT meanwhile.
StackConfig roomy(DurabilityPolicy policy) {
    StackConfig c = journal_config(policy);
    c.capacity.sockets = 128;
    c.capacity.tcp_connections = 1024;
    c.capacity.tcp_tombstones = 256;
    c.capacity.packet_buffers = 2048;
    return c;
}

std::uint8_t byte_at(std::uint32_t conversation, std::uint64_t at) {
    return static_cast<std::uint8_t>(conversation * 77 + at * 131 + (at >> 8) * 17);
}

/// One end of one stream. A plain value.
struct Talk {
    std::uint64_t socket = 0;
    bool echoes = false;                   ///< gives back what comes; the other kind sends a pattern and checks the echo
    std::uint32_t number = 0;              ///< of the pattern
    std::uint64_t total = 0, sent = 0, checked = 0;
    std::vector<std::uint8_t> unsent{};    ///< of an echo
    bool input_over = false, output_over = false;
};

/// Listens, echoes, and talks to the other side's echo. What it does depends on its calls and its notes alone.
class Talker {
  public:
    void listen(Stack& stack) {
        const auto socket = *stack.open_tcp();
        REQUIRE(stack.bind(socket, {.port = echo_port}).has_value());
        listener_ = stack.listen(socket, 16)->raw;
    }
    /// Begins a conversation of `total` bytes. False: no room for one more now.
    bool begin(Stack& stack, const Ipv6Address& to, std::uint64_t total) {
        if (talks_.size() >= 8) return false;
        const auto socket = stack.open_tcp();
        if (!socket) return false;
        if (!stack.connect(*socket, {.address = to, .port = echo_port})) {
            REQUIRE(stack.close(*socket).has_value());
            return false;
        }
        talks_.push_back({.socket = socket->raw, .number = ++begun, .total = total});
        return true;
    }
    void abort_one(Stack& stack, std::size_t which) {
        if (talks_.empty()) return;
        const auto talk = talks_.begin() + static_cast<std::ptrdiff_t>(which % talks_.size());
        if (talk->echoes) return;
        REQUIRE(stack.abort(SocketHandle{talk->socket}).has_value());
        talks_.erase(talk);
        ++aborted;
    }
    void on_ready(Stack& stack, SocketHandle ready) {
        if (ready.raw == listener_) {
            while (const auto socket = stack.accept(ready)) talks_.push_back({.socket = socket->raw, .echoes = true});
            return;
        }
        for (std::size_t i = 0; i < talks_.size(); ++i) {
            if (talks_[i].socket != ready.raw) continue;
            if (!go_on(stack, talks_[i])) talks_.erase(talks_.begin() + static_cast<std::ptrdiff_t>(i));
            return;
        }
    }
    [[nodiscard]] bool is_idle() const { return talks_.empty(); }

    std::uint32_t begun = 0, finished = 0, aborted = 0, reset = 0;
    std::optional<Error> unexpected{};

  private:
    /// False: it is over, and its socket closed.
    bool go_on(Stack& stack, Talk& t) {
        const SocketHandle s{t.socket};
        const auto end = [&](Error e) {
            if (t.echoes && e == Error::connection_reset) ++reset;  // the other side has aborted
            else if (e != Error::invalid) unexpected = e;
            REQUIRE(stack.close(s).has_value());
            return false;
        };
        for (bool moved = true; moved;) {
            moved = false;
            std::array<std::uint8_t, 900> bytes{};
            if (!t.output_over) {
                ByteView out = t.unsent;
                if (!t.echoes) {
                    const std::size_t n = std::min<std::uint64_t>(bytes.size(), t.total - t.sent);
                    for (std::size_t i = 0; i < n; ++i) bytes[i] = byte_at(t.number, t.sent + i);
                    out = ByteView(bytes).first(n);
                }
                if (!out.empty()) {
                    const auto n = stack.send(s, out);
                    if (!n && n.error() == Error::not_connected) return true;
                    if (!n && n.error() != Error::would_block) return end(n.error());
                    if (n) {
                        t.sent += *n;
                        if (t.echoes) t.unsent.erase(t.unsent.begin(), t.unsent.begin() + static_cast<std::ptrdiff_t>(*n));
                        moved = true;
                    }
                }
                if (t.echoes ? t.input_over && t.unsent.empty() : t.sent == t.total) {
                    const auto done = stack.shutdown(s, CloseDirection::send);
                    if (!done) return end(done.error());
                    t.output_over = true;
                }
            }
            if (t.input_over || t.unsent.size() > 4000) continue;
            const auto n = stack.receive(s, bytes);
            if (n) {
                moved = true;
                if (t.echoes) t.unsent.insert(t.unsent.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*n));
                for (std::size_t i = 0; !t.echoes && i < *n; ++i) REQUIRE(bytes[i] == byte_at(t.number, t.checked++));
            } else if (n.error() == Error::end_of_stream) {
                t.input_over = moved = true;
            } else if (n.error() != Error::would_block && n.error() != Error::not_connected) {
                return end(n.error());
            }
        }
        if (!t.input_over || !t.output_over) return true;
        if (!t.echoes) {
            REQUIRE(t.checked == t.total);
            ++finished;
        }
        return end(Error::invalid);
    }

    std::uint64_t listener_ = 0;
    std::vector<Talk> talks_{};
};

/// What must hold of all that the program's host sends, over all of its lives.
class Watch {
  public:
    void on_frame(ByteView bytes) {
        const auto packet = read_frame(bytes);
        REQUIRE(packet.has_value());
        if (!packet->tcp || (packet->tcp->flags & 0x04) != 0) return;
        const TcpFields& t = *packet->tcp;
        Flow& f = flows_[{t.src_port, t.dst_port}];
        const bool is_syn = (t.flags & 0x02) != 0;
        if (is_syn && (!f.iss || *f.iss != t.seq)) f = {.iss = t.seq};  // another connection
        if (t.ts) {
            REQUIRE((!f.tsval || static_cast<std::int32_t>(t.ts->first - *f.tsval) >= 0));
            f.tsval = t.ts->first;
        }
        if (is_syn) f.scale = t.wscale ? *t.wscale : 0;
        if ((t.flags & 0x10) == 0 || is_syn) return;
        const std::uint32_t edge = t.ack + (std::uint32_t{t.window} << f.scale);
        REQUIRE((!f.ack || static_cast<std::int32_t>(t.ack - *f.ack) >= 0));
        REQUIRE((!f.edge || static_cast<std::int32_t>(edge - *f.edge) >= 0));
        f.ack = t.ack;
        f.edge = edge;
        ++segments;
    }
    std::uint64_t segments = 0;

  private:
    struct Flow {
        std::optional<std::uint32_t> iss{};
        std::uint8_t scale = 0;
        std::optional<std::uint32_t> tsval{}, ack{}, edge{};
    };
    std::map<std::pair<std::uint16_t, std::uint16_t>, Flow> flows_{};
};

class WatchedDevice final : public LinkDevice {
  public:
    WatchedDevice(LinkDevice& below, Watch& watch) : below_(&below), watch_(&watch) {}
    [[nodiscard]] LinkCapabilities capabilities() const override { return below_->capabilities(); }
    [[nodiscard]] LinkState link_state() const override { return below_->link_state(); }
    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override { return below_->receive(pool, frames); }
    std::size_t transmit(std::span<const TxFrame> frames) override {
        const std::size_t n = below_->transmit(frames);
        for (std::size_t i = 0; i < n; ++i) {
            Bytes bytes(frames[i].header.begin(), frames[i].header.end());
            for (const ByteView slice : frames[i].payload) bytes.insert(bytes.end(), slice.begin(), slice.end());
            watch_->on_frame(bytes);
        }
        return n;
    }

  private:
    LinkDevice* below_;
    Watch* watch_;
};

struct Stage {
    explicit Stage(std::uint64_t seed) : dice(static_cast<std::uint32_t>(seed)) {
        const StackConfig peer_config = roomy(DurabilityPolicy::none);
        peer_arena = Arena(Stack::arena_bytes(peer_config));
        peer.emplace(*Stack::create(peer_arena.span(), peer_config, {.now = now, .entropy = {1}}));
        REQUIRE(peer->add_address(*peer->attach_device(link.b(), {}), peer_host, 64).has_value());
        other.listen(*peer);
        arena = Arena(Stack::arena_bytes(config));
        stack.emplace(*Stack::create(arena.span(), config, {.now = now, .entropy = {2}}));
        journal.emplace(*Journal::create(memory.span(), store, {.id = journal_id}));
        REQUIRE(stack->attach_journal(*journal).has_value());
        REQUIRE(stack->add_address(*stack->attach_device(device, {}), program_address, 64).has_value());
        program.listen(*stack);
        snapshot();
    }

    void snapshot() {
        if (journal->is_replaying()) return;
        const auto cut = stack->cut();
        REQUIRE(cut.has_value());
        saved_program = program;
        checkpoint::VectorSink sink;
        REQUIRE(checkpoint::encode(*stack, *cut, {}, sink).has_value());
        // Now and then it is never said that the snapshot is durable, though it is.
        REQUIRE((dice() % 8 != 0 ? stack->committed(*cut) : stack->abandoned(*cut)).has_value());
        saved = sink.bytes;
    }
    void crash() {
        stack.reset();
        journal.reset();
        store.crash(dice() % 3 == 0 ? dice() % 6000 : dice() % 2 == 0 ? 1U << 20 : 0);
        link.set_up(false);
        link.set_up(true);
        for (auto n = dice() % 30; n != 0; --n) peer_turn(), now = now + 5_ms;
        const Duration away = milliseconds(dice() % 4000);
        now = now + away;
        journal.emplace(*Journal::open(memory.span(), store, store.image(journal_id), {}));
        arena = Arena(Stack::arena_bytes(config));
        auto back = checkpoint::restore(arena.span(), config, saved,
                                        {.now = now, .elapsed = away, .entropy = {static_cast<std::uint8_t>(dice())},
                                         .journal = &*journal});
        if (!back) FAIL(back.error().message);
        stack.emplace(std::move(back->stack));
        REQUIRE(stack->attach_device(device, {}).has_value());
        program = saved_program;
        stack->ready(false);
        ++restores;
    }
    void peer_turn() {
        peer->poll(now);
        if (beginning && dice() % 20 == 0) other.begin(*peer, program_address, dice() % 20'000);
        if (beginning && dice() % 200 == 0) other.abort_one(*peer, dice());
        while (const auto ready = peer->next_ready()) other.on_ready(*peer, *ready);
        peer->poll(now);
    }
    /// The program's turn begins with what it sees of time and chance.
    void program_turn() {
        stack->poll(now);
        const auto t = journal->now(now);
        REQUIRE(t.has_value());
        std::array<std::uint8_t, 4> choice{static_cast<std::uint8_t>(dice()), static_cast<std::uint8_t>(dice()),
                                           static_cast<std::uint8_t>(dice()), beginning};
        REQUIRE(journal->note(choice).has_value());
        if (choice[3] != 0 && choice[0] < 12) program.begin(*stack, peer_host, choice[1] * 80U);
        if (choice[3] != 0 && choice[0] == 255) program.abort_one(*stack, choice[2]);
        while (const auto ready = stack->next_ready()) program.on_ready(*stack, *ready);
        if (!journal->is_replaying() && stack->commit_wanted() <= now) snapshot();
    }
    void turn() {
        peer_turn();
        program_turn();
        if (store.is_busy() && dice() % 3 == 0) dice() % 40 == 0 ? store.fail(Error::journal_failed) : store.sync();
        if (store.error != Error::invalid && dice() % 20 == 0) store.error = Error::invalid;
        now = now + 300_us;
    }

    std::mt19937 dice;
    Instant now{1'000'000'000};
    StackConfig config = roomy(DurabilityPolicy::journal);
    drivers::MemoryLink<256> link{};
    Watch watch{};
    WatchedDevice device{link.a(), watch};
    TestJournalStore store{2U << 20};
    Arena memory{Journal::memory_bytes_min};
    Arena arena{}, peer_arena{};
    std::optional<Stack> stack{}, peer{};
    std::optional<Journal> journal{};
    Talker program{}, saved_program{}, other{};
    Bytes saved{};
    bool beginning = true;
    unsigned restores = 0;
};

}  // namespace

TEST_CASE("DURABILITY 7: both roles, many connections, half-closes and aborts, under crashes anywhere") {
    std::uint64_t restores = 0, finished = 0, segments = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        INFO("seed " << seed);
        Stage t(seed);
        t.store.is_instant = seed % 4 == 0;
        for (int i = 0; i < 1200; ++i) {
            t.turn();
            if (t.dice() % 400 == 0) t.snapshot();
            if (t.dice() % 150 == 0) t.crash();
        }
        t.beginning = false;
        t.store.is_instant = true;
        t.store.error = Error::invalid;
        if (t.store.is_busy()) t.store.sync();
        for (int i = 0; i < 60'000 && !(t.program.is_idle() && t.other.is_idle() && !t.journal->is_replaying()); ++i) {
            t.turn();
            if (i % 100 == 0) t.now = t.now + 100_ms;  // time-outs that ran up during the faults
        }
        CHECK(!t.program.unexpected);
        CHECK(!t.other.unexpected);
        if (t.program.unexpected) FAIL("the program was told " << name(*t.program.unexpected));
        if (t.other.unexpected) FAIL("the peer was told " << name(*t.other.unexpected));
        REQUIRE(t.program.is_idle());
        REQUIRE(t.other.is_idle());
        REQUIRE(t.program.reset <= t.other.aborted);
        REQUIRE(t.other.reset <= t.program.aborted + t.restores);
        restores += t.restores;
        finished += t.program.finished + t.other.finished;
        segments += t.watch.segments;
        // Nothing is left of all this.
        for (int i = 0; i < 400; ++i) {
            t.turn();
            t.now = t.now + 500_ms;
        }
        t.journal->flush();  // deaths, for which nobody asks
        t.turn();
        const World& w = t.stack->core().world;
        CHECK(w.connections.in_use() == 0);
        CHECK(w.slice_nodes.in_use() == 0);
        CHECK(w.pool.in_use() == 0);
        CHECK(w.sockets.in_use() == 1);
    }
    CHECK(restores > 100);
    CHECK(finished > 1000);
    CHECK(segments > 10'000);
}
