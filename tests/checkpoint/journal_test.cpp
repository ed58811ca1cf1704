// A host whose application is rolled back to an old snapshot and whose connections are not: DURABILITY 6 and 7.
#include <algorithm>
#include <deque>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <keepnet/checkpoint.hpp>
#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/journal.hpp>
#include <keepnet/journal_region.hpp>
#include <keepnet/stack.hpp>

#include "durability/journal_format.hpp"
#include "stack/core.hpp"
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

constexpr auto server_address = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 1});
constexpr auto client_address = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 2});
std::uint8_t pattern(std::uint64_t at) { return static_cast<std::uint8_t>(at * 131 + (at >> 8) * 17 + 7); }

/// A server that answers each byte with that byte plus a number of its own choice, drawn for each read, and says so in the
/// answer: what it sends depends on what it has read, how it was cut, and on chance. A plain value.
struct Server {
    struct Conversation {
        std::uint64_t socket = 0;
        std::vector<std::uint8_t> unsent{};
        bool finished = false;
    };
    std::uint64_t listener = 0;
    std::vector<Conversation> conversations{};
    std::uint64_t reads = 0;
    bool by_bytes = false;  ///< answers with each byte changed, in pieces as chance will have them, and notes nothing

    void start(Stack& stack, DurabilityPolicy send_policy) {
        const auto socket = *stack.open_tcp();
        REQUIRE(stack.set_option(socket, SocketOption::send_policy, static_cast<std::int64_t>(send_policy)).has_value());
        REQUIRE(stack.bind(socket, {.port = 7}).has_value());
        listener = stack.listen(socket, 8)->raw;
    }
    void serve(Stack& stack, Journal& journal, SocketHandle ready, std::mt19937& chance) {
        if (ready.raw == listener) {
            while (const auto accepted = stack.accept(ready)) conversations.push_back({.socket = accepted->raw});
            return;
        }
        for (std::size_t i = 0; i < conversations.size(); ++i) {
            if (conversations[i].socket != ready.raw) continue;
            if (!converse(stack, journal, conversations[i], chance)) {
                conversations.erase(conversations.begin() + static_cast<std::ptrdiff_t>(i));
            }
            return;
        }
    }
    bool converse(Stack& stack, Journal& journal, Conversation& c, std::mt19937& chance) {
        const SocketHandle s{c.socket};
        for (;;) {
            while (!c.unsent.empty()) {
                const std::size_t some = by_bytes ? 1 + chance() % c.unsent.size() : c.unsent.size();
                const auto sent = stack.send(s, ByteView(c.unsent).first(some));
                if (!sent && sent.error() == Error::would_block) return true;
                if (!sent) return stack.close(s), false;
                c.unsent.erase(c.unsent.begin(), c.unsent.begin() + static_cast<std::ptrdiff_t>(*sent));
            }
            if (c.finished) return stack.close(s), false;
            std::array<std::uint8_t, 700> room{};
            const std::size_t most = by_bytes ? 1 + chance() % room.size() : room.size();
            const auto n = stack.receive(s, MutableBytes(room).first(most));
            if (!n && n.error() == Error::would_block) return true;
            if (!n && n.error() != Error::end_of_stream) return stack.close(s), false;
            c.finished = !n;
            if (by_bytes) {
                for (std::size_t k = 0; n && k < *n; ++k) c.unsent.push_back(static_cast<std::uint8_t>(room[k] ^ 0x55));
                continue;
            }
            std::array<std::uint8_t, 1> choice{static_cast<std::uint8_t>(chance())};
            if (!journal.note(choice)) return true;
            ++reads;
            // Frames of: length, choice, the bytes plus the choice.
            const std::size_t got = n ? *n : 0;
            for (std::size_t at = 0; at < got; at += 250) {
                const std::size_t part = std::min<std::size_t>(250, got - at);
                c.unsent.push_back(static_cast<std::uint8_t>(part));
                c.unsent.push_back(choice[0]);
                for (std::size_t k = 0; k < part; ++k) {
                    c.unsent.push_back(static_cast<std::uint8_t>(room[at + k] + choice[0]));
                }
            }
        }
    }
};

/// The peer, which never dies: sends so many bytes, checks every answer, closes.
struct Client {
    std::uint64_t total = 0;
    std::optional<SocketHandle> socket{};
    std::uint64_t sent = 0, checked = 0;
    bool ended = false;
    std::deque<std::uint8_t> answer{};
    std::size_t frame_left = 0;
    std::uint8_t choice = 0;
    std::optional<Error> error{};
    bool by_bytes = false;

    void run(Stack& stack) {
        if (!socket) {
            socket = *stack.open_tcp();
            REQUIRE(stack.connect(*socket, {.address = server_address, .port = 7}).has_value());
        }
        if (ended || error) return;
        while (sent < total) {
            std::array<std::uint8_t, 900> bytes{};
            const std::size_t n = std::min<std::uint64_t>(bytes.size(), total - sent);
            for (std::size_t i = 0; i < n; ++i) bytes[i] = pattern(sent + i);
            const auto taken = stack.send(*socket, ByteView(bytes).first(n));
            if (!taken) {
                if (taken.error() != Error::would_block && taken.error() != Error::not_connected) error = taken.error();
                break;
            }
            sent += *taken;
            if (sent == total) REQUIRE(stack.shutdown(*socket, CloseDirection::send).has_value());
        }
        for (;;) {
            std::array<std::uint8_t, 2000> room{};
            const auto n = stack.receive(*socket, room);
            if (!n) {
                if (n.error() == Error::end_of_stream) ended = true;
                else if (n.error() != Error::would_block && n.error() != Error::not_connected) error = n.error();
                break;
            }
            answer.insert(answer.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*n));
            check();
        }
    }
    void check() {
        for (; by_bytes && !answer.empty(); answer.pop_front(), ++checked) {
            REQUIRE(answer.front() == static_cast<std::uint8_t>(pattern(checked) ^ 0x55));
        }
        while (!answer.empty()) {
            if (frame_left == 0) {
                if (answer.size() < 2) return;
                frame_left = answer[0];
                choice = answer[1];
                REQUIRE(frame_left != 0);
                answer.erase(answer.begin(), answer.begin() + 2);
                continue;
            }
            REQUIRE(answer.front() == static_cast<std::uint8_t>(pattern(checked) + choice));
            answer.pop_front();
            ++checked;
            --frame_left;
        }
    }
};

struct World2 {
    explicit World2(std::uint64_t seed, std::size_t journal_bytes = 4U << 20, ReplayMode replay = ReplayMode::strict)
        : mode(replay), chance(static_cast<std::uint32_t>(seed)), store(journal_bytes), journal_memory(Journal::memory_bytes_min) {
        peer_arena = std::make_unique<Arena>(Stack::arena_bytes(peer_config));
        peer.emplace(*Stack::create(peer_arena->span(), peer_config, {.now = now, .entropy = {1}}));
        const auto nic = *peer->attach_device(link.b(), {});
        REQUIRE(peer->add_address(nic, client_address, 64).has_value());
        create();
    }

    void create() {
        arena = std::make_unique<Arena>(Stack::arena_bytes(config));
        stack.emplace(*Stack::create(arena->span(), config, {.now = now, .entropy = {2}}));
        journal.emplace(*Journal::create(journal_memory.span(), store, {.id = journal_id, .mode = mode}));
        REQUIRE(stack->attach_journal(*journal).has_value());
        const auto nic = *stack->attach_device(link.a(), {});
        REQUIRE(stack->add_address(nic, server_address, 64).has_value());
        server = {};
        server.by_bytes = client.by_bytes = second.by_bytes = mode == ReplayMode::bytes;
        server.start(*stack, send_policy);
        snapshot();
    }
    /// The program's snapshot and the stack's, committed together.
    void snapshot() {
        if (journal->is_replaying()) {
            REQUIRE(stack->cut() == std::unexpected(Error::replaying));
            return;
        }
        const auto cut = stack->cut();
        REQUIRE(cut.has_value());
        const Server frozen = server;
        checkpoint::VectorSink sink;
        REQUIRE(checkpoint::encode(*stack, *cut, {}, sink).has_value());
        REQUIRE(stack->committed(*cut).has_value());
        saved_server = frozen;
        saved_snapshot = sink.bytes;
    }
    void crash(std::size_t torn = 0) {
        stack.reset();
        journal.reset();
        store.crash(torn);
        for (auto& byte : journal_memory.span()) byte = std::byte{0xee};
        link.set_up(false);  // what was under way is lost
        link.set_up(true);
    }
    void restore(Duration away) {
        now = now + away;
        journal.emplace(*Journal::open(journal_memory.span(), store, store.image(journal_id), {.mode = mode}));
        arena = std::make_unique<Arena>(Stack::arena_bytes(config));
        auto back = checkpoint::restore(arena->span(), config, saved_snapshot,
                                        {.now = now, .elapsed = away, .entropy = {static_cast<std::uint8_t>(chance())},
                                         .journal = &*journal});
        if (!back) FAIL(back.error().message);
        stack.emplace(std::move(back->stack));
        REQUIRE(stack->attach_device(link.a(), {}).has_value());
        server = saved_server;
        restores++;
    }
    /// One turn of everything.
    void turn() {
        peer->poll(now);
        client.run(*peer);
        if (second.total != 0) second.run(*peer);
        peer->poll(now);
        if (stack) {
            stack->poll(now);
            while (const auto ready = stack->next_ready()) server.serve(*stack, *journal, *ready, chance);
            if (!journal->is_replaying() && stack->commit_wanted() <= now) snapshot();
        }
        now = now + 200_us;
    }

    ReplayMode mode;
    std::mt19937 chance;
    Instant now{1'000'000'000};
    StackConfig config = journal_config(DurabilityPolicy::journal);
    StackConfig peer_config = journal_config(DurabilityPolicy::none);
    drivers::MemoryLink<256> link{};
    TestJournalStore store;
    Arena journal_memory;
    std::unique_ptr<Arena> arena{}, peer_arena{};
    std::optional<Stack> stack{}, peer{};
    std::optional<Journal> journal{};
    DurabilityPolicy send_policy = DurabilityPolicy::journal;
    Server server{}, saved_server{};
    std::vector<std::uint8_t> saved_snapshot{};
    Client client{}, second{};
    unsigned restores = 0;
};

}  // namespace

TEST_CASE("DURABILITY 6: under policy journal a transfer needs no snapshot, and the journal's record before each answer") {
    World2 t(1);
    t.client.total = 200'000;
    for (int i = 0; i < 4000 && !t.client.ended; ++i) t.turn();
    REQUIRE(t.client.ended);
    REQUIRE(t.client.checked == t.client.total);
    REQUIRE(t.stack->statistics().cuts_committed <= 2);
    REQUIRE(t.store.writes > 10);
}

TEST_CASE("DURABILITY 7: the application is rolled back to its start, its connection is not") {
    World2 t(2);
    t.client.total = 600'000;
    for (int i = 0; i < 40; ++i) t.turn();
    REQUIRE(t.client.checked > 1000);
    const auto before = t.client.checked;
    t.crash();
    for (int i = 0; i < 50; ++i) t.turn();
    t.restore(50_ms);
    REQUIRE(t.journal->is_replaying());
    for (int i = 0; i < 20'000 && !t.client.ended; ++i) t.turn();
    REQUIRE(!t.journal->is_replaying());
    REQUIRE(!t.client.error);
    REQUIRE(t.client.ended);
    REQUIRE(t.client.checked == t.client.total);
    REQUIRE(before < t.client.checked);
}

TEST_CASE("DURABILITY 6 and 7: crashes anywhere, with slow, torn and failing writes: every byte exactly once") {
    unsigned restores = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        INFO("seed " << seed);
        World2 t(seed, seed % 3 == 0 ? Journal::memory_bytes_min : 4U << 20);
        auto& dice = t.chance;
        t.client.total = 20'000 + dice() % 200'000;
        t.store.is_instant = seed % 4 == 0;
        unsigned crashes = 0;
        for (int i = 0; i < 40'000 && !t.client.ended; ++i) {
            t.turn();
            if (t.store.is_busy() && dice() % 3 == 0) dice() % 40 == 0 ? t.store.fail(Error::journal_failed) : t.store.sync();
            if (t.store.error != Error::invalid && dice() % 20 == 0) t.store.error = Error::invalid;
            if (t.stack && dice() % 300 == 0 && !t.journal->is_replaying()) t.snapshot();
            if (crashes < 12 && dice() % 60 == 0) {
                ++crashes;
                t.crash(dice() % 3 == 0 ? dice() % 4000 : dice() % 2 == 0 ? 1U << 20 : 0);
                for (auto n = dice() % 20; n != 0; --n) t.turn();
                t.restore(milliseconds(dice() % 3000));
            }
        }
        if (t.client.error) FAIL("the client was told " << name(*t.client.error));
        REQUIRE(t.client.checked == t.client.total);
        REQUIRE(t.client.ended);
        restores += t.restores;
    }
    REQUIRE(restores > 60);
}

TEST_CASE("DURABILITY 6: windows that claim more than the journal's store has leave the program room for what it reads and says") {
    // A restore takes each window for as wide as it may have been shown: here, together, twice the store.
    World2 t(3);
    t.stack.reset(), t.journal.reset();
    t.store = TestJournalStore(Journal::memory_bytes_min);
    t.config.tcp.receive_buffer = 512U * 1024;
    t.create();
    t.client.total = t.second.total = 300'000;
    for (int i = 0; i < 40; ++i) t.turn();
    REQUIRE(t.client.checked > 1000);
    t.crash();
    t.restore(50_ms);
    for (int i = 0; i < 20'000 && !(t.client.ended && t.second.ended); ++i) t.turn();
    REQUIRE(!t.client.error);
    REQUIRE(t.client.checked == t.client.total);
    REQUIRE(t.second.checked == t.second.total);
}

TEST_CASE("DURABILITY 7, byte mode: the program cuts its streams otherwise and takes its connections in another order") {
    unsigned restores = 0;
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
        INFO("seed " << seed);
        World2 t(seed, 4U << 20, ReplayMode::bytes);
        auto& dice = t.chance;
        t.client.total = 200'000 + dice() % 100'000;
        t.second.total = 200'000 + dice() % 100'000;
        t.store.is_instant = seed % 2 == 0;
        unsigned crashes = 0;
        for (int i = 0; i < 40'000 && !(t.client.ended && t.second.ended); ++i) {
            t.turn();
            if (t.store.is_busy() && dice() % 2 == 0) t.store.sync();
            if (dice() % 300 == 0 && !t.journal->is_replaying()) t.snapshot();
            if (crashes < 8 && dice() % 10 == 0) {
                ++crashes;
                t.crash(dice() % 4000);
                for (auto n = dice() % 20; n != 0; --n) t.turn();
                t.restore(milliseconds(dice() % 3000));
            }
        }
        for (const Client* c : {&t.client, &t.second}) {
            if (c->error) FAIL("a client was told " << name(*c->error));
            REQUIRE(c->checked == c->total);
            REQUIRE(c->ended);
        }
        restores += t.restores;
    }
    REQUIRE(restores > 60);
}

TEST_CASE("DURABILITY 7: a program that does something else is found out, and its peer is told at once") {
    World2 t(5);
    t.client.total = 600'000;
    for (int i = 0; i < 40; ++i) t.turn();
    t.crash();
    t.restore(1_s);
    // It listens as before and accepts as before, and then writes what it had not written.
    while (t.journal->is_replaying()) {
        const auto ready = t.stack->next_ready();
        if (!ready) continue;
        if (ready->raw == t.server.listener) {
            const auto accepted = t.stack->accept(*ready);
            if (accepted) t.server.conversations.push_back({.socket = accepted->raw});
            continue;
        }
        const std::array<std::uint8_t, 3> other{1, 2, 3};
        REQUIRE(t.stack->send(*ready, other) == std::unexpected(Error::replay_diverged));
        break;
    }
    REQUIRE(t.server.conversations.size() == 1);
    const SocketHandle lost{t.server.conversations.front().socket};
    t.stack->ready(false);
    for (int i = 0; i < 200 && !t.client.error; ++i) {
        t.peer->poll(t.now);
        t.client.run(*t.peer);
        t.stack->poll(t.now);
        while (t.stack->next_ready()) {}
        t.now = t.now + 200_us;
    }
    REQUIRE(t.client.error == Error::connection_reset);
    REQUIRE(!t.journal->is_replaying());
    REQUIRE(t.stack->info(lost)->verdict == Verdict::replay_diverged);
}

TEST_CASE("a snapshot and a journal that do not belong together") {
    World2 t(6);
    t.client.total = 600'000;
    for (int i = 0; i < 20; ++i) t.turn();
    const auto old_snapshot = t.saved_snapshot;
    t.snapshot();
    for (int i = 0; i < 20; ++i) t.turn();
    t.crash();
    Arena arena(Stack::arena_bytes(t.config));
    const auto restore = [&](ByteView snapshot, std::uint64_t id) {
        auto journal = Journal::open(t.journal_memory.span(), t.store, t.store.image(id), {});
        REQUIRE(journal.has_value());
        auto back = checkpoint::restore(arena.span(), t.config, snapshot, {.now = t.now, .journal = &*journal});
        return back ? checkpoint::Code::invalid : back.error().code;
    };
    REQUIRE(restore(t.saved_snapshot, journal_id + 1) == checkpoint::Code::journal);  // another's
    REQUIRE(restore(old_snapshot, journal_id) == checkpoint::Code::journal);          // it has been truncated since
    REQUIRE(checkpoint::restore(arena.span(), t.config, t.saved_snapshot, {.now = t.now}).error().code ==
            checkpoint::Code::journal);                                               // none at all
    REQUIRE(restore(t.saved_snapshot, journal_id) == checkpoint::Code::invalid);
}

TEST_CASE("DURABILITY 6: what is received with the journal, what is sent with the snapshot") {
    World2 t(9);
    t.send_policy = DurabilityPolicy::snapshot;
    t.crash();
    t.create();
    t.client.total = 5'000;
    const auto turn = [&] {
        t.peer->poll(t.now);
        t.client.run(*t.peer);
        t.stack->poll(t.now);
        while (const auto ready = t.stack->next_ready()) t.server.serve(*t.stack, *t.journal, *ready, t.chance);
        t.now = t.now + 10_ms;
    };
    const auto acknowledged = [&] { return t.peer->info(*t.client.socket)->tx_acknowledged; };
    // The SYN-ACK is sent, so it waits too.
    for (int i = 0; i < 50; ++i) turn();
    REQUIRE(t.peer->info(*t.client.socket)->phase == TcpPhase::syn_sent);
    REQUIRE(t.stack->commit_wanted() <= t.now);
    t.snapshot();
    for (int i = 0; i < 200; ++i) turn();
    // No snapshot since: everything is acknowledged, nothing is answered.
    REQUIRE(acknowledged() == t.client.total);
    REQUIRE(t.client.checked == 0);
    REQUIRE(t.stack->commit_wanted() <= t.now);
    t.crash();
    t.restore(1_s);
    for (int i = 0; i < 200; ++i) turn();
    t.snapshot();
    for (int i = 0; i < 200; ++i) turn();
    t.snapshot();
    for (int i = 0; i < 200; ++i) turn();
    REQUIRE(t.client.checked == t.client.total);
    REQUIRE(t.client.ended);
}

TEST_CASE("policies of the two directions: what cannot be rolled back together is refused") {
    World2 t(10);
    const auto set = [&](SocketHandle s, SocketOption o, DurabilityPolicy p) {
        return t.stack->set_option(s, o, static_cast<std::int64_t>(p)).has_value();
    };
    for (const auto receive : {DurabilityPolicy::none, DurabilityPolicy::snapshot, DurabilityPolicy::journal,
                               DurabilityPolicy::untracked}) {
        for (const auto send : {DurabilityPolicy::none, DurabilityPolicy::snapshot, DurabilityPolicy::journal,
                                DurabilityPolicy::untracked}) {
            const auto s = *t.stack->open_tcp();
            REQUIRE(set(s, SocketOption::policy, receive));
            const bool is_sound = send == receive ||
                                  (receive == DurabilityPolicy::journal && send == DurabilityPolicy::snapshot);
            CHECK(set(s, SocketOption::send_policy, send) == is_sound);
            REQUIRE(t.stack->close(s).has_value());
        }
    }
}

TEST_CASE("an untracked socket beside a journal: its calls are live, and a restore ends its connection") {
    World2 t(11);
    t.client.total = 400'000;
    const auto s = *t.stack->open_tcp();
    REQUIRE(t.stack->set_option(s, SocketOption::policy, static_cast<std::int64_t>(DurabilityPolicy::untracked)).has_value());
    const auto listener = *t.peer->open_tcp();
    REQUIRE(t.peer->bind(listener, {.port = 99}).has_value());
    REQUIRE(t.peer->listen(listener, 4).has_value());
    REQUIRE(t.stack->connect(s, {.address = client_address, .port = 99}).has_value());
    for (int i = 0; i < 20; ++i) t.turn();
    REQUIRE(t.stack->send(s, std::array<std::uint8_t, 3>{1, 2, 3}) == 3);
    t.snapshot();
    for (int i = 0; i < 10; ++i) t.turn();
    t.crash();
    t.restore(1_s);
    REQUIRE(t.journal->is_replaying());
    // Not part of what is replayed: asked in the middle of it, answered as it is now.
    REQUIRE(t.stack->send(s, std::array<std::uint8_t, 3>{1, 2, 3}) == std::unexpected(Error::dropped_by_policy));
    REQUIRE(t.journal->is_replaying());
    for (int i = 0; i < 6000 && !t.client.ended; ++i) t.turn();
    REQUIRE(t.client.checked == t.client.total);
    REQUIRE(!t.client.error);
}

// Writes what tests/golden/ keeps for ever and what the fuzzer starts from; by hand, once for each format.
TEST_CASE("write a journal of the current format", "[.][write]") {
    World2 t(8);
    t.client.total = 6'000;
    for (int i = 0; i < 3; ++i) t.turn();
    t.crash();
    const auto put = [](const std::string& name, ByteView bytes) {
        std::ofstream out(KEEPNET_TESTS_DIR "/" + name, std::ios::binary);
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        REQUIRE(out.good());
    };
    put("golden/v1.journal", t.store.bytes());
    put("golden/v1.journal.snapshot", t.saved_snapshot);
    // The fuzzer makes the record around the entries itself.
    const JournalImage image = t.store.image(journal_id);
    const auto facts = durability::scan(image);
    unsigned n = 0;
    for (durability::EntryCursor at(image, facts->end, facts->start); !at.at_end() && n < 6;) {
        const Lsn record = at.record();
        const Lsn begin = at.position();
        Lsn end = begin;
        for (; !at.at_end() && at.record() == record; at.next()) {
            end = at.position() + durability::entry_bytes(at.get().header.bytes);
        }
        put("fuzz/corpus/journal/record-" + std::to_string(n++),
            ByteView(image.bytes).subspan(begin - image.start, end - begin));
    }
}
