// A host whose application is rolled back to an old snapshot and whose connections are not: DURABILITY 6 and 7.
#include <array>
#include <fstream>
#include <string>

#include "checkpoint/journaled_pair.hpp"
#include "durability/journal_format.hpp"

using namespace keepnet;
using namespace keepnet::literals;
using namespace keepnet::test;
using namespace keepnet::test::journaled;

TEST_CASE("DURABILITY 6: under policy journal a transfer needs no snapshot, and the journal's record before each answer") {
    JournaledPair t(1);
    t.client.total = 200'000;
    for (int i = 0; i < 4000 && !t.client.ended; ++i) t.turn();
    REQUIRE(t.client.ended);
    REQUIRE(t.client.checked == t.client.total);
    REQUIRE(t.stack->statistics().cuts_committed <= 2);
    REQUIRE(t.store.writes > 10);
}

TEST_CASE("DURABILITY 7: the application is rolled back to its start, its connection is not") {
    JournaledPair t(2);
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
        JournaledPair t(seed, seed % 3 == 0 ? Journal::memory_bytes_min : 4U << 20);
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

TEST_CASE("DURABILITY 7, byte mode: the program cuts its streams otherwise and takes its connections in another order") {
    unsigned restores = 0;
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
        INFO("seed " << seed);
        JournaledPair t(seed, 4U << 20, ReplayMode::bytes);
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
    JournaledPair t(5);
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

TEST_CASE("a claim while calls are replayed: what the program has closed since its snapshot is still its own") {
    JournaledPair t(14);
    const auto s = *t.stack->open_tcp();
    t.snapshot();
    REQUIRE(t.stack->close(s).has_value());
    const auto other = *t.stack->open_udp();
    t.journal->flush();
    t.stack->poll(t.now);
    t.crash();
    t.restore(1_s);
    REQUIRE(t.journal->is_replaying());
    CHECK(t.stack->claim(s).has_value());
    CHECK(t.stack->claim({t.server.listener}).has_value());
    t.stack->ready(true);
    REQUIRE(t.stack->close(s).has_value());
    REQUIRE(t.stack->open_udp() == other);
    REQUIRE(!t.journal->is_replaying());
    CHECK(t.stack->claim(s) == std::unexpected(Error::stale_handle));
    CHECK(t.stack->claim(other).has_value());
    CHECK(t.stack->info({t.server.listener}).has_value());
}

TEST_CASE("DURABILITY 6: what is received with the journal, what is sent with the snapshot") {
    JournaledPair t(9);
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
    JournaledPair t(10);
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
    JournaledPair t(11);
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
    JournaledPair t(8);
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
