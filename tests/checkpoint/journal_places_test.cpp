// ReplayMode::bytes, two stacks of one journal that are not cut at one instant: each goes on from its own place in the
// journal, and what lies before that its program, whose state was kept with the cut, has done already.
#include <array>
#include <optional>

#include "journaled_pair.hpp"

using namespace keepnet;
using namespace keepnet::literals;
using namespace keepnet::test;
using namespace keepnet::test::journaled;

namespace {

constexpr std::array server_addresses = {server_address, Ipv6Address::from_words({0xfd01, 0, 0, 0, 0, 0, 0, 1})};
constexpr std::array peer_addresses = {client_address, Ipv6Address::from_words({0xfd01, 0, 0, 0, 0, 0, 0, 2})};

/// A program with a server on each of its two stacks, which have nothing to do with each other but the journal.
struct TwoServers {
    explicit TwoServers(std::uint32_t seed) : chance(seed) {
        journal.emplace(*Journal::create(memory.span(), store, {.id = journal_id, .mode = ReplayMode::bytes}));
        for (std::size_t i = 0; i < 2; ++i) {
            Half& h = halves[i];
            const auto entropy = static_cast<std::uint8_t>(i);
            h.peer_arena = Arena(Stack::arena_bytes(peer_config));
            h.peer.emplace(*Stack::create(h.peer_arena.span(), peer_config, {.now = now, .entropy = {entropy}}));
            REQUIRE(h.peer->add_address(*h.peer->attach_device(h.link.b(), {}), peer_addresses[i], 64).has_value());
            h.arena = Arena(Stack::arena_bytes(config));
            h.stack.emplace(*Stack::create(h.arena.span(), config, {.now = now, .entropy = {entropy, 1}}));
            REQUIRE(h.stack->attach_journal(*journal).has_value());
            REQUIRE(h.stack->add_address(*h.stack->attach_device(h.link.a(), {}), server_addresses[i], 64).has_value());
            h.server.by_bytes = h.client.by_bytes = true;
            h.client.to = server_addresses[i];
            h.server.start(*h.stack, DurabilityPolicy::journal);
        }
        for (std::size_t i = 0; i < 2; ++i) snapshot(i);
    }
    /// Of one stack, with the state of its server.
    void snapshot(std::size_t i) {
        Half& h = halves[i];
        if (journal->is_replaying()) return;
        const auto cut = h.stack->cut();
        REQUIRE(cut.has_value());
        checkpoint::VectorSink sink;
        REQUIRE(checkpoint::encode(*h.stack, *cut, {}, sink).has_value());
        REQUIRE(h.stack->committed(*cut).has_value());
        h.saved = sink.bytes;
        h.saved_server = h.server;
    }
    void crash_and_restore(Duration away) {
        // A cut's place that is lost with its record is another matter: stacks of two instants are then refused.
        journal->flush();
        for (Half& h : halves) h.stack->poll(now);
        for (Half& h : halves) h.stack.reset();
        journal.reset();
        store.crash();
        now = now + away;
        journal.emplace(*Journal::open(memory.span(), store, store.image(journal_id), {.mode = ReplayMode::bytes}));
        for (Half& h : halves) {
            h.link.set_up(false);
            h.link.set_up(true);
            h.arena = Arena(Stack::arena_bytes(config));
            auto back = checkpoint::restore(h.arena.span(), config, h.saved,
                                            {.now = now, .elapsed = away, .entropy = {static_cast<std::uint8_t>(chance())},
                                             .journal = &*journal});
            if (!back) FAIL(back.error().message);
            h.stack.emplace(std::move(back->stack));
            REQUIRE(h.stack->attach_device(h.link.a(), {}).has_value());
            h.server = h.saved_server;
        }
    }
    void turn() {
        for (Half& h : halves) {
            h.peer->poll(now);
            h.client.run(*h.peer);
            h.peer->poll(now);
            h.stack->poll(now);
        }
        for (Half& h : halves) {
            while (const auto ready = h.stack->next_ready()) h.server.serve(*h.stack, *journal, *ready, chance);
        }
        now = now + 200_us;
    }
    [[nodiscard]] bool is_over() const { return halves[0].client.ended && halves[1].client.ended; }

    struct Half {
        drivers::MemoryLink<256> link{};
        Arena arena{}, peer_arena{};
        std::optional<Stack> stack{}, peer{};
        Server server{}, saved_server{};
        Client client{};
        std::vector<std::uint8_t> saved{};
    };
    std::mt19937 chance;
    Instant now{1'000'000'000};
    StackConfig config = journal_config(DurabilityPolicy::journal);
    StackConfig peer_config = journal_config(DurabilityPolicy::none);
    TestJournalStore store{8U << 20};
    Arena memory{2 * Journal::memory_bytes_min};
    std::optional<Journal> journal{};
    std::array<Half, 2> halves{};
};

}  // namespace

TEST_CASE("DURABILITY 7, byte mode: two stacks cut at different places each go on from their own") {
    unsigned restores = 0;
    for (std::uint32_t seed = 1; seed <= 18; ++seed) {
        CAPTURE(seed);
        TwoServers t(seed);
        auto& dice = t.chance;
        t.halves[0].client.total = 30'000 + dice() % 30'000;
        t.halves[1].client.total = 30'000 + dice() % 30'000;
        unsigned crashes = 0;
        for (int i = 0; i < 40'000 && !t.is_over(); ++i) {
            t.turn();
            // Never both at once: from one cut to the other the streams of both go on.
            if (dice() % 8 == 0) t.snapshot(seed % 3 == 0 ? 0 : seed % 3 == 1 ? 1 : dice() % 2);
            if (crashes < 8 && dice() % 6 == 0) {
                ++crashes;
                t.crash_and_restore(milliseconds(dice() % 2000));
            }
        }
        for (const TwoServers::Half& h : t.halves) {
            CHECK(h.client.checked == h.client.total);
            CHECK(!h.client.error.has_value());
        }
        CHECK(t.is_over());
        restores += crashes;
    }
    CHECK(restores > 15);
}
