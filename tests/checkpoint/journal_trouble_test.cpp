// What may go wrong with a journal: it is not that of the snapshot, its store fails, or is full.
#include "checkpoint/journaled_pair.hpp"
#include "stack/core.hpp"

using namespace keepnet;
using namespace keepnet::literals;
using namespace keepnet::test;
using namespace keepnet::test::journaled;

TEST_CASE("a snapshot and a journal that do not belong together") {
    JournaledPair t(6);
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
    // The epoch of a life that has been, or an earlier one's.
    const auto facts = Journal::open(t.journal_memory.span(), t.store, t.store.image(journal_id), {.epoch = 7})->facts();
    REQUIRE(facts.epoch == 7);
    const auto epoch = Journal::open(t.journal_memory.span(), t.store, t.store.image(journal_id), {})->facts().epoch;
    REQUIRE(epoch == 4);
    for (std::uint64_t old = 1; old < epoch; ++old) {
        auto fenced = Journal::open(t.journal_memory.span(), t.store, t.store.image(journal_id), {.epoch = old});
        REQUIRE(!fenced.has_value());
        REQUIRE(fenced.error() == Error::fenced);
    }
    // The journal ends before its snapshot: what lay between is in the snapshot, and it goes on behind that.
    t.store.bytes().clear();
    REQUIRE(restore(t.saved_snapshot, journal_id) == checkpoint::Code::invalid);
}

TEST_CASE("a store that fails stops the marks and not the stack, the program is told, and all goes on when it works again") {
    JournaledPair t(12);
    t.client.total = 600'000;
    t.store.is_instant = false;
    const auto turn = [&] {
        t.turn();
        if (t.store.is_busy()) t.store.sync();
    };
    for (int i = 0; i < 40; ++i) turn();
    while (!t.store.is_busy()) t.turn();
    t.store.fail(Error::journal_failed);
    for (int i = 0; i < 10; ++i) t.turn();
    const auto peer = [&] { return *t.peer->info(*t.client.socket); };
    const auto durable = t.journal->durable();
    const auto acknowledged = peer().tx_acknowledged;
    const auto answered = peer().rx_consumed;
    REQUIRE(acknowledged > 0);
    REQUIRE(acknowledged < t.client.total);
    for (int i = 0; i < 2000; ++i) {
        t.turn();
        if (i % 100 == 0) t.now = t.now + 1_s;
    }
    CHECK(t.journal->error() == Error::journal_failed);
    CHECK(t.journal->durable() == durable);
    CHECK(peer().tx_acknowledged == acknowledged);
    CHECK(peer().rx_consumed == answered);
    // The peer has sent what it had been granted, and that is all that it may.
    CHECK(peer().tx_accepted - acknowledged <= peer().send_window + t.peer_config.tcp.send_buffer);
    CHECK(t.stack->info({t.server.conversations.front().socket})->undurable_receive_bytes <= t.config.tcp.receive_buffer);
    CHECK(!t.client.error);
    t.store.error = Error::invalid;
    for (int i = 0; i < 40'000 && !t.client.ended; ++i) turn();
    CHECK(t.journal->error() == Error::invalid);
    REQUIRE(!t.client.error);
    REQUIRE(t.client.ended);
    REQUIRE(t.client.checked == t.client.total);
}

TEST_CASE("a journal that is full asks for a snapshot, closes the windows, and takes no more memory") {
    JournaledPair t(13, Journal::memory_bytes_min);
    t.client.total = 3'000'000;
    const auto turn = [&] {
        t.peer->poll(t.now);
        t.client.run(*t.peer);
        t.peer->poll(t.now);
        t.stack->poll(t.now);
        while (const auto ready = t.stack->next_ready()) t.server.serve(*t.stack, *t.journal, *ready, t.chance);
        t.now = t.now + 200_us;
    };
    t.turn();
    for (int i = 0; i < 4000; ++i) turn();
    const auto stands_at = t.client.checked;
    REQUIRE(t.stack->commit_wanted() <= t.now);
    for (int i = 0; i < 2000; ++i) {
        turn();
        if (i % 100 == 0) t.now = t.now + 1_s;
    }
    CHECK(t.client.checked == stands_at);
    CHECK(t.client.checked < t.client.total);
    CHECK(t.store.bytes().size() <= t.store.capacity());
    CHECK(t.journal->end() - t.store.start() <= t.store.capacity() + t.journal_memory.span().size());
    REQUIRE(!t.client.error);
    for (int i = 0; i < 60'000 && !t.client.ended; ++i) t.turn();
    REQUIRE(t.client.ended);
    REQUIRE(t.client.checked == t.client.total);
}

TEST_CASE("DURABILITY 6: windows that claim more than the journal's store has leave the program room for what it reads and says") {
    // A restore takes each window for as wide as it may have been shown: here, together, twice the store.
    JournaledPair t(3);
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

TEST_CASE("DURABILITY 1: a snapshot that is committed behind later records of the journal does not take TSval back") {
    JournaledPair t(4);
    t.client.total = 400'000;
    for (int i = 0; i < 20; ++i) t.turn();
    const auto cut = t.stack->cut();
    REQUIRE(cut.has_value());
    for (int i = 0; i < 20; ++i) t.turn();
    const std::int64_t reserved = t.stack->core().world.stack().wire_clock_ceiling_ns;
    checkpoint::VectorSink sink;
    REQUIRE(checkpoint::encode(*t.stack, *cut, {}, sink).has_value());
    REQUIRE(t.stack->committed(*cut).has_value());
    REQUIRE(t.stack->core().world.stack().wire_clock_ceiling_ns >= reserved);
}
