// A host under a journal (DURABILITY 6 and 7): its program is rolled back to the last snapshot and does again what the
// journal holds, while its connections are where the last durable record left them.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "sim/host.hpp"
#include "stack/core.hpp"

namespace keepnet::sim {

namespace {

/// What a program's turn begins with: whatever is no function of its state.
struct Chance {
    std::uint64_t seed = 0;
    std::uint8_t turn = 0;
    std::uint8_t faults = 0;
    std::array<std::uint8_t, 6> reserved{};
};

template <class T>
void must_repeat(const std::expected<T, Error>& result) {
    if (!result) throw Failure("a program that does the same is replayed", std::string(name(result.error())));
}

}  // namespace

// --- the disk ---

bool JournalDisk::write(Lsn at, ByteView bytes) {
    host_.note_ends(at);
    if (!store.write(at, bytes)) return false;
    host_.begin_write();
    return true;
}

/// A record is sealed in the instant in which it is offered first; what is offered again is the same.
void Host::note_ends(Lsn at) {
    Journaled& j = *journaled_;
    if (j.ends_at == at) return;
    j.ends_at = at;
    j.ends = ends_now();
}

void Host::begin_write() {
    Journaled& j = *journaled_;
    ++tally_.journal_writes;
    const JournalPlan& p = plan().journal;
    j.written_at = now_ + p.write_min + within(p.write_max - p.write_min);
    trace_.add(now_, index_, What::journal_write, j.ends_at, j.disk.store.pending().size());
    if (p.write_max.ns != 0) return;
    j.written_at = never;
    j.disk.store.sync();
    advance_durable(j.ends);
}

void Host::end_write(Instant now, bool faults) {
    Journaled& j = *journaled_;
    if (j.works_at <= now) {
        j.works_at = never;
        j.disk.store.error = Error::invalid;
        return;
    }
    maybe_die(Place::journal, now, faults);
    if (!up_) return;
    j.written_at = never;
    if (faults && dice_.percent(plan().journal.write_error_percent)) {
        ++tally_.journal_failures;
        j.disk.store.fail(Error::journal_failed);
        j.works_at = now + within(plan().journal.broken_max);
        return trace_.add(now, index_, What::journal_failed, j.ends_at);
    }
    j.disk.store.sync();
    advance_durable(j.ends);
    trace_.add(now, index_, What::journal_durable, j.ends_at);
    // It is told, or finds out when it asks.
    if (dice_.one_in(2)) poll_at_ = earlier(poll_at_, now + within(plan().poll_latency));
}

// --- lives ---

void Host::create_journal() {
    Journaled& j = *journaled_;
    j.disk.store = test::TestJournalStore(plan().journal.capacity);
    j.disk.store.is_instant = false;
    j.id = dice_.next() | 1;
    j.journal.emplace(*Journal::create(j.memory.span(), j.disk, {.id = j.id}));
    (void)stack_->attach_journal(*j.journal).value();
}

void Host::open_journal() {
    Journaled& j = *journaled_;
    auto opened = Journal::open(j.memory.span(), j.disk, j.disk.store.image(j.id), {});
    if (!opened) throw Failure("a journal can be read after a crash", std::string(name(opened.error())));
    j.journal.emplace(std::move(*opened));
}

/// Of what was being written any sectors may have come through, in any order.
void Host::lose_journal() {
    Journaled& j = *journaled_;
    j.journal.reset();
    j.replaying.reset();
    if (j.disk.store.is_busy()) ++tally_.torn_records;
    const std::uint64_t all_or_some = dice_.below(8);
    j.disk.store.crash_in_sectors([&] { return all_or_some == 0 || (all_or_some != 1 && dice_.one_in(2)); });
    j.written_at = j.works_at = never;
    j.ends_at = UINT64_MAX;
}

// --- the program ---

App::Did Host::program_turn(App& app, Turn what, Instant now, bool faults) {
    Journal& journal = *journaled_->journal;
    const auto then = journal.now(now);
    must_repeat(then);
    Chance chance{.seed = dice_.next(), .turn = static_cast<std::uint8_t>(what), .faults = faults};
    std::array<std::uint8_t, sizeof chance> bytes{};
    std::memcpy(bytes.data(), &chance, sizeof chance);
    must_repeat(journal.note(bytes));
    std::memcpy(&chance, bytes.data(), sizeof chance);
    app.set_chance(chance.seed);
    if (chance.turn == static_cast<std::uint8_t>(Turn::step))
        return app.step(*stack_, *then, chance.faults != 0, *everyone_);
    while (const auto socket = stack_->next_ready()) app.on_ready(*stack_, *socket);
    return App::Did::nothing;
}

void Host::begin_replay(Instant now) {
    Journaled& j = *journaled_;
    ++tally_.replays;
    j.replaying = std::make_unique<App>(plan_, index_, trace_);
    j.replaying->fault = app_.fault;
    j.replaying->value = fault == HostFault::keeps_application ? app_.value : image_->app;
    // What it hears again is of other lives, and so are their verdicts.
    for (Live& live : j.replaying->value.live) live.was_restored = false;
    j.replay_at = now;
    trace_.add(now, index_, What::replay);
    if (!j.journal->is_replaying()) end_replay(now);
}

void Host::replay(Instant now, bool faults) {
    Journaled& j = *journaled_;
    ++tally_.replayed_turns;
    (void)program_turn(*j.replaying, Turn::ready, now, faults);
    changed_ = true;
    if (!j.journal->is_replaying()) return end_replay(now);
    j.replay_at = now + within(plan().journal.replay_pause_max);
    if (dice_.one_in(50)) maybe_die(Place::restore, now, faults);
}

void Host::end_replay(Instant now) {
    App& back = *journaled_->replaying;
    app_.value = std::move(back.value);
    journaled_->replaying.reset();
    app_.on_replayed(*stack_);
    check_sockets();
    trace_.add(now, index_, What::replayed);
}

}  // namespace keepnet::sim
