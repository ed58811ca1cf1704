// One journal for several stacks (DURABILITY 6): a relay reads on one stack and writes on the other, so what it does on
// either follows from what it did on both, in one order. And a stack whose arena survived, with a journal of its own.
#include <array>
#include <cstring>
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

#include "support/arena.hpp"
#include "support/journal_config.hpp"
#include "support/journal_store.hpp"

using namespace keepnet;
using namespace keepnet::literals;
using keepnet::test::Arena;
using keepnet::test::journal_config;
using keepnet::test::journal_id;
using keepnet::test::TestJournalStore;

namespace {

constexpr std::array addresses = {Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 1}),
                                  Ipv6Address::from_words({0xfd01, 0, 0, 0, 0, 0, 0, 1})};
constexpr std::array peer_addresses = {Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 2}),
                                       Ipv6Address::from_words({0xfd01, 0, 0, 0, 0, 0, 0, 2})};
constexpr std::uint16_t relay_port = 7, echo_port = 9;
std::uint8_t pattern(std::uint64_t at) { return static_cast<std::uint8_t>(at * 131 + (at >> 8) * 17 + 7); }

using Stacks = std::array<Stack*, 2>;

/// Takes connections on stack 0, opens one on stack 1 for each, and passes bytes both ways; before each it says on the
/// way out which key it has drawn for it. A plain value.
struct Relay {
    struct Side {
        std::uint64_t socket = 0;
        std::vector<std::uint8_t> unsent{};
        bool is_over = false;  ///< nothing more comes for it
        bool is_shut = false;
    };
    using Pair = std::array<Side, 2>;
    std::uint64_t listener = 0;
    std::vector<Pair> pairs{};

    void start(const Stacks& stacks) {
        const auto socket = *stacks[0]->open_tcp();
        REQUIRE(stacks[0]->bind(socket, {.port = relay_port}).has_value());
        listener = stacks[0]->listen(socket, 8)->raw;
    }
    void serve(const Stacks& stacks, Journal& journal, std::size_t side, SocketHandle ready, std::mt19937& chance) {
        if (side == 0 && ready.raw == listener) {
            while (const auto accepted = stacks[0]->accept(ready)) {
                const auto other = *stacks[1]->open_tcp();
                REQUIRE(stacks[1]->connect(other, {.address = peer_addresses[1], .port = echo_port}).has_value());
                pairs.push_back({Side{.socket = accepted->raw}, Side{.socket = other.raw}});
            }
            return;
        }
        for (Pair& pair : pairs) {
            if (pair[side].socket != ready.raw) continue;
            pass(stacks, journal, pair, side, chance);
            pass(stacks, journal, pair, 1 - side, chance);
        }
    }
    /// From `side` to the other.
    void pass(const Stacks& stacks, Journal& journal, Pair& pair, std::size_t side, std::mt19937& chance) {
        const SocketHandle from{pair[side].socket}, to{pair[1 - side].socket};
        Side& out = pair[1 - side];
        for (;;) {
            while (!out.unsent.empty()) {
                const auto sent = stacks[1 - side]->send(to, out.unsent);
                if (!sent) return;
                out.unsent.erase(out.unsent.begin(), out.unsent.begin() + static_cast<std::ptrdiff_t>(*sent));
            }
            if (out.is_over && !out.is_shut) {
                REQUIRE(stacks[1 - side]->shutdown(to, CloseDirection::send).has_value());
                out.is_shut = true;
            }
            if (out.is_over) return;
            std::array<std::uint8_t, 250> room{};
            const auto n = stacks[side]->receive(from, room);
            if (!n && n.error() != Error::end_of_stream) return;
            out.is_over = !n;
            std::array<std::uint8_t, 1> key{static_cast<std::uint8_t>(chance())};
            if (!n || !journal.note(key)) continue;
            out.unsent.push_back(static_cast<std::uint8_t>(*n));
            out.unsent.push_back(key[0]);
            for (std::size_t i = 0; i < *n; ++i) out.unsent.push_back(static_cast<std::uint8_t>(room[i] + key[0]));
        }
    }
};

/// Takes a relay's frames apart.
struct Unpacker {
    std::size_t left = 0;
    std::vector<std::uint8_t> head{};
    template <class F>
    void take(ByteView bytes, F&& f) {
        for (const std::uint8_t byte : bytes) {
            if (left == 0) {
                head.push_back(byte);
                if (head.size() < 2) continue;
                left = head[0];
                REQUIRE(left != 0);
                continue;
            }
            f(static_cast<std::uint8_t>(byte - head[1]));
            if (--left == 0) head.clear();
        }
    }
};

/// The peer on stack 0's link: sends its pattern, and gets it back.
struct Sender {
    std::uint64_t total = 0, sent = 0, checked = 0;
    std::optional<SocketHandle> socket{};
    Unpacker frames{};
    bool ended = false;
    void run(Stack& stack) {
        if (!socket) {
            socket = *stack.open_tcp();
            REQUIRE(stack.connect(*socket, {.address = addresses[0], .port = relay_port}).has_value());
        }
        while (sent < total) {
            std::array<std::uint8_t, 900> bytes{};
            const std::size_t n = std::min<std::uint64_t>(bytes.size(), total - sent);
            for (std::size_t i = 0; i < n; ++i) bytes[i] = pattern(sent + i);
            const auto taken = stack.send(*socket, ByteView(bytes).first(n));
            if (!taken) break;
            sent += *taken;
            if (sent == total) REQUIRE(stack.shutdown(*socket, CloseDirection::send).has_value());
        }
        std::array<std::uint8_t, 2000> room{};
        while (!ended) {
            const auto n = stack.receive(*socket, room);
            if (!n) {
                ended = n.error() == Error::end_of_stream;
                const bool goes_on = ended || n.error() == Error::would_block || n.error() == Error::not_connected;
                if (!goes_on) FAIL("the sender was told " << name(n.error()));
                return;
            }
            frames.take(ByteView(room).first(*n), [&](std::uint8_t byte) { REQUIRE(byte == pattern(checked++)); });
        }
    }
};

/// The peer on stack 1's link: sends back what it gets, without the frames.
struct Echo {
    std::optional<SocketHandle> listener{};
    struct Conversation {
        Unpacker frames{};
        std::vector<std::uint8_t> unsent{};
        bool is_over = false, is_shut = false;
        std::uint64_t got = 0;
    };
    std::map<std::uint64_t, Conversation> conversations{};
    void run(Stack& stack) {
        if (!listener) {
            const auto s = *stack.open_tcp();
            REQUIRE(stack.bind(s, {.port = echo_port}).has_value());
            listener = *stack.listen(s, 8);
        }
        while (const auto s = stack.accept(*listener)) conversations[s->raw];
        for (auto& [raw, c] : conversations) {
            const SocketHandle s{raw};
            std::array<std::uint8_t, 2000> room{};
            while (!c.is_over) {
                const auto n = stack.receive(s, room);
                if (!n) {
                    c.is_over = n.error() == Error::end_of_stream;
                    if (!c.is_over && n.error() != Error::would_block) FAIL("the echo was told " << name(n.error()));
                    break;
                }
                c.frames.take(ByteView(room).first(*n), [&](std::uint8_t byte) {
                    REQUIRE(byte == pattern(c.got++));
                    c.unsent.push_back(byte);
                });
            }
            while (!c.unsent.empty()) {
                const auto sent = stack.send(s, c.unsent);
                if (!sent) break;
                c.unsent.erase(c.unsent.begin(), c.unsent.begin() + static_cast<std::ptrdiff_t>(*sent));
            }
            if (!c.is_over || !c.unsent.empty() || c.is_shut) continue;
            REQUIRE(stack.shutdown(s, CloseDirection::send).has_value());
            c.is_shut = true;
        }
    }
};

struct TwoStacks {
    explicit TwoStacks(std::uint64_t seed) : chance(static_cast<std::uint32_t>(seed)) {
        for (std::size_t i = 0; i < 2; ++i) {
            peer_arenas[i] = Arena(Stack::arena_bytes(peer_config));
            peers[i].emplace(*Stack::create(peer_arenas[i].span(), peer_config,
                                            {.now = now, .entropy = {static_cast<std::uint8_t>(i)}}));
            const auto nic = *peers[i]->attach_device(links[i].b(), {});
            REQUIRE(peers[i]->add_address(nic, peer_addresses[i], 64).has_value());
        }
        journal.emplace(*Journal::create(memory.span(), store, {.id = journal_id}));
        for (std::size_t i = 0; i < 2; ++i) {
            arenas[i] = Arena(Stack::arena_bytes(config));
            stacks[i].emplace(*Stack::create(arenas[i].span(), config,
                                             {.now = now, .entropy = {static_cast<std::uint8_t>(i + 2)}}));
            REQUIRE(stacks[i]->attach_journal(*journal).has_value());
            const auto nic = *stacks[i]->attach_device(links[i].a(), {});
            REQUIRE(stacks[i]->add_address(nic, addresses[i], 64).has_value());
        }
        relay.start(views());
        snapshot();
    }
    Stacks views() { return {&*stacks[0], &*stacks[1]}; }
    /// The program's and both stacks', at one instant, committed together.
    void snapshot() {
        if (journal->is_replaying()) return;
        std::array<std::vector<std::uint8_t>, 2> images;
        std::array<CutId, 2> cuts{};
        for (const std::size_t i : order) {
            const auto cut = stacks[i]->cut();
            REQUIRE(cut.has_value());
            cuts[i] = *cut;
        }
        for (std::size_t i = 0; i < 2; ++i) {
            checkpoint::VectorSink sink;
            REQUIRE(checkpoint::encode(*stacks[i], cuts[i], {}, sink).has_value());
            images[i] = std::move(sink.bytes);
        }
        for (std::size_t i = 0; i < 2; ++i) REQUIRE(stacks[i]->committed(cuts[i]).has_value());
        saved = images;
        saved_relay = relay;
    }
    void crash(std::size_t torn) {
        for (auto& stack : stacks) stack.reset();
        journal.reset();
        store.crash(torn);
        for (auto& byte : memory.span()) byte = std::byte{0xee};
        for (auto& link : links) link.set_up(false), link.set_up(true);
    }
    checkpoint::Code restore_one(std::size_t i, Duration away) {
        arenas[i] = Arena(Stack::arena_bytes(config));
        auto back = checkpoint::restore(arenas[i].span(), config, saved[i],
                                        {.now = now, .elapsed = away, .entropy = {static_cast<std::uint8_t>(chance())},
                                         .journal = &*journal});
        if (!back) return back.error().code;
        stacks[i].emplace(std::move(back->stack));
        REQUIRE(stacks[i]->attach_device(links[i].a(), {}).has_value());
        return checkpoint::Code::invalid;
    }
    void open_journal() { journal.emplace(*Journal::open(memory.span(), store, store.image(journal_id), {})); }
    void restore(Duration away) {
        now = now + away;
        open_journal();
        for (std::size_t i = 0; i < 2; ++i) REQUIRE(restore_one(i, away) == checkpoint::Code::invalid);
        relay = saved_relay;
        ++restores;
    }
    void turn() {
        const bool is_up = stacks[0].has_value();
        for (std::size_t i = 0; i < 2; ++i) {
            peers[i]->poll(now);
            i == 0 ? sender.run(*peers[0]) : echo.run(*peers[1]);
            peers[i]->poll(now);
            if (is_up) stacks[i]->poll(now);
        }
        if (is_up) {
            for (std::size_t i = 0; i < 2; ++i) {
                while (const auto ready = stacks[i]->next_ready()) relay.serve(views(), *journal, i, *ready, chance);
            }
            const bool is_wanted = stacks[0]->commit_wanted() <= now || stacks[1]->commit_wanted() <= now;
            if (!journal->is_replaying() && is_wanted) snapshot();
        }
        now = now + 200_us;
    }
    [[nodiscard]] bool is_over() const { return sender.ended; }

    std::mt19937 chance;
    Instant now{1'000'000'000};
    StackConfig config = journal_config(DurabilityPolicy::journal);
    StackConfig peer_config = journal_config(DurabilityPolicy::none);
    std::array<drivers::MemoryLink<256>, 2> links;
    TestJournalStore store{4U << 20};
    Arena memory{2 * Journal::memory_bytes_min};
    std::array<Arena, 2> arenas{}, peer_arenas{};
    std::array<std::optional<Stack>, 2> stacks{}, peers{};
    std::optional<Journal> journal{};
    Relay relay{}, saved_relay{};
    Sender sender{};
    Echo echo{};
    std::array<std::vector<std::uint8_t>, 2> saved{};
    std::array<std::size_t, 2> order{0, 1};  ///< in which the stacks are cut
    unsigned restores = 0;
};

}  // namespace

TEST_CASE("DURABILITY 6, one journal for two stacks: both die at one instant, and every byte comes through both once") {
    unsigned restores = 0;
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        INFO("seed " << seed);
        TwoStacks t(seed);
        auto& dice = t.chance;
        if (seed % 2 == 0) t.order = {1, 0};
        t.sender.total = 20'000 + dice() % 100'000;
        t.store.is_instant = seed % 3 == 0;
        unsigned crashes = 0;
        for (int i = 0; i < 40'000 && !t.is_over(); ++i) {
            t.turn();
            if (t.store.is_busy() && dice() % 3 == 0) dice() % 40 == 0 ? t.store.fail(Error::journal_failed) : t.store.sync();
            if (t.store.error != Error::invalid && dice() % 20 == 0) t.store.error = Error::invalid;
            if (dice() % 200 == 0) t.snapshot();
            if (crashes < 12 && dice() % 40 == 0) {
                ++crashes;
                t.crash(dice() % 3 == 0 ? dice() % 4000 : dice() % 2 == 0 ? 1U << 20 : 0);
                for (auto n = dice() % 20; n != 0; --n) t.turn();
                t.restore(milliseconds(dice() % 3000));
            }
        }
        REQUIRE(t.sender.checked == t.sender.total);
        REQUIRE(t.is_over());
        restores += t.restores;
    }
    REQUIRE(restores > 60);
}

TEST_CASE("DURABILITY 6, one journal for two stacks: crash upon crash behind a snapshot that is newer than any record") {
    for (const std::array<std::size_t, 2> order : {std::array<std::size_t, 2>{0, 1}, {1, 0}}) {
        TwoStacks t(1);
        t.order = order;
        t.sender.total = 100'000;
        for (int i = 0; i < 60; ++i) t.turn();
        t.store.is_instant = false;
        for (int i = 0; i < 3; ++i) t.turn();
        t.snapshot();  // its place lies in a record that is lost
        for (int again = 0; again < 3; ++again) {
            t.crash(0);
            t.restore(1_s);
            for (int i = 0; i < 10; ++i) t.turn();
        }
        t.store.is_instant = true;
        if (t.store.is_busy()) t.store.sync();
        for (int i = 0; i < 40'000 && !t.is_over(); ++i) t.turn();
        REQUIRE(t.is_over());
        REQUIRE(t.sender.checked == t.sender.total);
    }
}

TEST_CASE("DURABILITY 6, one journal for two stacks: restored in another order, or from cuts of two instants, is refused") {
    TwoStacks t(2);
    t.sender.total = 100'000;
    for (int i = 0; i < 40; ++i) t.turn();
    SECTION("another order") {
        t.snapshot();
        for (int i = 0; i < 20; ++i) t.turn();
        t.crash(0);
        t.open_journal();
        CHECK(t.restore_one(1, {}) == checkpoint::Code::journal);
        t.restore({});
        for (int i = 0; i < 40'000 && !t.is_over(); ++i) t.turn();
        CHECK(t.is_over());
    }
    SECTION("two instants, and what lay between them is lost") {
        if (t.store.is_busy()) t.store.sync();
        t.store.is_instant = false;
        t.snapshot();
        const auto early = t.saved[0];
        std::array<std::uint8_t, 8> note{};
        REQUIRE(t.journal->note(note).has_value());
        t.snapshot();
        t.saved[0] = early;
        t.crash(0);
        t.open_journal();
        CHECK(t.restore_one(0, {}) == checkpoint::Code::invalid);
        CHECK(t.restore_one(1, {}) == checkpoint::Code::journal);
    }
}

TEST_CASE("DURABILITY 10: an arena that survived goes on with a journal of its own, not with the one it had") {
    TwoStacks t(3);
    t.sender.total = 1'500'000;
    for (int i = 0; i < 60; ++i) t.turn();
    REQUIRE(t.sender.checked > 0);
    REQUIRE(!t.is_over());
    // The processes die; both arenas and the program's own memory are still there.
    t.now = t.now + 1_s;
    for (std::size_t i = 0; i < 2; ++i) {
        t.stacks[i].reset();
        auto back = Stack::attach(t.arenas[i].span(), t.config,
                                  {.now = t.now, .elapsed = 1_s, .entropy = {static_cast<std::uint8_t>(77 + i)}});
        REQUIRE(back.has_value());
        t.stacks[i].emplace(std::move(*back));
    }
    t.store.crash();
    t.open_journal();
    CHECK(t.stacks[0]->attach_journal(*t.journal) == std::unexpected(Error::journal_mismatch));
    t.store = TestJournalStore(4U << 20);
    t.journal.emplace(*Journal::create(t.memory.span(), t.store, {.id = journal_id + 1}));
    for (std::size_t i = 0; i < 2; ++i) {
        REQUIRE(t.stacks[i]->attach_journal(*t.journal).has_value());
        REQUIRE(t.stacks[i]->attach_device(t.links[i].a(), {}).has_value());
        for (SocketHandle s = t.stacks[i]->next_socket({}); s; s = t.stacks[i]->next_socket(s)) {
            REQUIRE(t.stacks[i]->claim(s).has_value());
        }
        t.stacks[i]->ready(true);
    }
    // Nothing is in this journal yet that a snapshot could go on from.
    const unsigned writes = t.store.writes;
    for (int i = 0; i < 3; ++i) {
        for (auto& stack : t.stacks) stack->poll(t.now);
        for (auto& peer : t.peers) peer->poll(t.now);
        t.now = t.now + 500_ms;
    }
    CHECK(t.store.writes == writes);
    for (int i = 0; i < 60 && !t.is_over(); ++i) t.turn();
    REQUIRE(!t.is_over());
    CHECK(t.store.writes > writes);
    // And now all of it dies.
    t.crash(0);
    t.now = t.now + 1_s;
    t.journal.emplace(*Journal::open(t.memory.span(), t.store, t.store.image(journal_id + 1), {}));
    for (std::size_t i = 0; i < 2; ++i) REQUIRE(t.restore_one(i, 1_s) == checkpoint::Code::invalid);
    t.relay = t.saved_relay;
    for (int i = 0; i < 40'000 && !t.is_over(); ++i) t.turn();
    REQUIRE(t.is_over());
    REQUIRE(t.sender.checked == t.sender.total);
}
