#include "sim/journaled.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <keepnet/checkpoint.hpp>
#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/journal.hpp>
#include <keepnet/stack.hpp>

#include "base/digest.hpp"
#include "base/planted.hpp"
#include "sim/trace.hpp"
#include "stack/core.hpp"
#include "support/arena.hpp"
#include "support/journal_config.hpp"
#include "support/journal_store.hpp"
#include "support/packet.hpp"

namespace keepnet::sim {

namespace {

using namespace keepnet::literals;
using namespace keepnet::test;

void must(bool holds, const char* property, const char* detail = "") {
    if (!holds) throw Failure(property, detail);
}

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
        must(stack.bind(socket, {.port = echo_port}).has_value(), "no call fails that cannot");
        listener_ = stack.listen(socket, 16)->raw;
    }
    /// Begins a conversation of `total` bytes. False: no room for one more now.
    bool begin(Stack& stack, const Ipv6Address& to, std::uint64_t total) {
        if (talks_.size() >= 8) return false;
        const auto socket = stack.open_tcp();
        if (!socket) return false;
        if (!stack.connect(*socket, {.address = to, .port = echo_port})) {
            must(stack.close(*socket).has_value(), "no call fails that cannot");
            return false;
        }
        talks_.push_back({.socket = socket->raw, .number = ++begun, .total = total});
        return true;
    }
    void abort_one(Stack& stack, std::size_t which) {
        if (talks_.empty()) return;
        const auto talk = talks_.begin() + static_cast<std::ptrdiff_t>(which % talks_.size());
        if (talk->echoes) return;
        must(stack.abort(SocketHandle{talk->socket}).has_value(), "no call fails that cannot");
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
            must(stack.close(s).has_value(), "no call fails that cannot");
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
                for (std::size_t i = 0; !t.echoes && i < *n; ++i) must(bytes[i] == byte_at(t.number, t.checked++), "every byte exactly once and in order");
            } else if (n.error() == Error::end_of_stream) {
                t.input_over = moved = true;
            } else if (n.error() != Error::would_block && n.error() != Error::not_connected) {
                return end(n.error());
            }
        }
        if (!t.input_over || !t.output_over) return true;
        if (!t.echoes) {
            must(t.checked == t.total, "every byte exactly once and in order");
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
        Bytes whole(bytes.begin(), bytes.end());
        whole.resize((whole.size() + 7) / 8 * 8);
        digest_.add(whole.data(), whole.size());
        const auto packet = read_frame(bytes);
        must(packet.has_value(), "a stack sends sound frames");
        if (!packet->tcp || (packet->tcp->flags & 0x04) != 0) return;
        const TcpFields& t = *packet->tcp;
        Flow& f = flows_[{t.src_port, t.dst_port}];
        const bool is_syn = (t.flags & 0x02) != 0;
        if (is_syn && (!f.iss || *f.iss != t.seq)) f = {.iss = t.seq};  // another connection
        if (t.ts) {
            must((!f.tsval || static_cast<std::int32_t>(t.ts->first - *f.tsval) >= 0), "TSval never goes back");
            f.tsval = t.ts->first;
        }
        if (is_syn) f.scale = t.wscale ? *t.wscale : 0;
        if ((t.flags & 0x10) == 0 || is_syn) return;
        const std::uint32_t edge = t.ack + (std::uint32_t{t.window} << f.scale);
        must((!f.ack || static_cast<std::int32_t>(t.ack - *f.ack) >= 0), "the ACK never goes back");
        must((!f.edge || static_cast<std::int32_t>(edge - *f.edge) >= 0), "the window's right edge never goes back");
        f.ack = t.ack;
        f.edge = edge;
        ++segments;
    }
    std::uint64_t segments = 0;
    [[nodiscard]] std::uint64_t hash() const { return digest_.value(); }

  private:
    struct Flow {
        std::optional<std::uint32_t> iss{};
        std::uint8_t scale = 0;
        std::optional<std::uint32_t> tsval{}, ack{}, edge{};
    };
    std::map<std::pair<std::uint16_t, std::uint16_t>, Flow> flows_{};
    Digest digest_{};
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
        must(peer->add_address(*peer->attach_device(link.b(), {}), peer_host, 64).has_value(), "no call fails that cannot");
        other.listen(*peer);
        arena = Arena(Stack::arena_bytes(config));
        stack.emplace(*Stack::create(arena.span(), config, {.now = now, .entropy = {2}}));
        journal.emplace(*Journal::create(memory.span(), store, {.id = journal_id}));
        must(stack->attach_journal(*journal).has_value(), "no call fails that cannot");
        must(stack->add_address(*stack->attach_device(device, {}), program_address, 64).has_value(), "no call fails that cannot");
        program.listen(*stack);
        snapshot();
    }

    void snapshot() {
        if (journal->is_replaying()) return;
        const auto cut = stack->cut();
        must(cut.has_value(), "no call fails that cannot");
        saved_program = program;
        checkpoint::VectorSink sink;
        must(checkpoint::encode(*stack, *cut, {}, sink).has_value(), "no call fails that cannot");
        // Now and then it is never said that the snapshot is durable, though it is.
        must((dice() % 8 != 0 ? stack->committed(*cut) : stack->abandoned(*cut)).has_value(), "no call fails that cannot");
        saved = sink.bytes;
    }
    void crash() {
        stack.reset();
        journal.reset();
        // Of an unsynced write any sectors may have come through, in any order.
        store.crash_in_sectors([&] { return dice() % 2 == 0; });
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
        if (!back) throw Failure("what was written can be restored", back.error().message);
        stack.emplace(std::move(back->stack));
        must(stack->attach_device(device, {}).has_value(), "no call fails that cannot");
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
        must(t.has_value(), "a program that does the same is replayed");
        std::array<std::uint8_t, 4> choice{static_cast<std::uint8_t>(dice()), static_cast<std::uint8_t>(dice()),
                                           static_cast<std::uint8_t>(dice()), beginning};
        must(journal->note(choice).has_value(), "a program that does the same is replayed");
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

    void stop_faults() {
        beginning = false;
        store.is_instant = true;
        store.error = Error::invalid;
        if (store.is_busy()) store.sync();
    }
    [[nodiscard]] bool is_over() const { return program.is_idle() && other.is_idle() && !journal->is_replaying(); }
    void must_be_empty() {
        for (int i = 0; i < 400; ++i) {
            turn();
            now = now + 500_ms;
        }
        journal->flush();  // deaths, for which nobody asks
        turn();
        const World& w = stack->core().world;
        must(w.connections.in_use() == 0 && w.slice_nodes.in_use() == 0 && w.pool.in_use() == 0 && w.sockets.in_use() == 1,
             "nothing is left when everything is closed");
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

JournaledOutcome run_journaled(std::uint64_t seed) {
    JournaledOutcome outcome;
    Stage t(seed);
    try {
        t.store.is_instant = seed % 4 == 0;
        for (int i = 0; i < 1200; ++i) {
            t.turn();
            if (t.dice() % 400 == 0) t.snapshot();
            if (t.dice() % 150 == 0) t.crash();
        }
        t.stop_faults();
        for (int i = 0; i < 60'000 && !t.is_over(); ++i) {
            t.turn();
            if (i % 100 == 0) t.now = t.now + 100_ms;  // time-outs that ran up during the faults
        }
        for (const Talker* side : {&t.program, &t.other}) {
            if (side->unexpected) throw Failure("no reset that nobody caused", std::string(name(*side->unexpected)));
        }
        must(!t.journal->is_replaying(), "a replay ends");
        must(t.is_over(), "when faults stop, every transfer completes");
        must(t.program.reset <= t.other.aborted && t.other.reset <= t.program.aborted + t.restores,
             "no reset that nobody caused");
        t.must_be_empty();
        outcome.ok = true;
    } catch (const Failure& f) {
        outcome.property = f.property;
        outcome.detail = f.what();
    }
    outcome.hash = t.watch.hash();
    outcome.restores = t.restores;
    outcome.conversations = t.program.finished + t.other.finished;
    outcome.segments = t.watch.segments;
    return outcome;
}

}  // namespace keepnet::sim
