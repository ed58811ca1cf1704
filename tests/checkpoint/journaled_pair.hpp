// A server with a journal and peers that never die, on a link: the server is rolled back to old snapshots, and what it does
// depends on all that it has been told.
#pragma once

#include <algorithm>
#include <deque>
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

namespace keepnet::test::journaled {

using namespace keepnet::literals;

inline constexpr auto server_address = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 1});
inline constexpr auto client_address = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 2});
inline std::uint8_t pattern(std::uint64_t at) { return static_cast<std::uint8_t>(at * 131 + (at >> 8) * 17 + 7); }

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
    Ipv6Address to = server_address;

    void run(Stack& stack) {
        if (!socket) {
            socket = *stack.open_tcp();
            REQUIRE(stack.connect(*socket, {.address = to, .port = 7}).has_value());
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

struct JournaledPair {
    explicit JournaledPair(std::uint64_t seed, std::size_t journal_bytes = 4U << 20, ReplayMode replay = ReplayMode::strict)
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
        journal.emplace(*Journal::create(journal_memory.span(), store, {.id = journal_id, .epoch = 3, .mode = mode}));
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

}  // namespace keepnet::test::journaled
