#include "stack/journal_core.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "base/planted.hpp"
#include "durability/attach.hpp"
#include "durability/cut.hpp"
#include "durability/fields.hpp"

namespace keepnet {
namespace {

using durability::EntryHeader;
using durability::EntryWriter;
using durability::Op;
using durability::RecordHeader;

constexpr Duration store_retry = milliseconds(1);  ///< how often a store that is busy or broken is asked again

void begin_record(JournalCore& j, Lsn at) {
    j.record = at;
    j.writer = EntryWriter(j.halves[j.filling], sizeof(RecordHeader));
}



/// Hands the sealed record to the store, or tries to.
void submit(JournalCore& j, Lsn at) {
    if (j.in_flight.empty() || j.is_submitted) return;
    j.is_submitted = j.store->write(at, j.in_flight);
}

Lsn in_flight_lsn(const JournalCore& j) { return j.record - j.in_flight.size(); }

/// Seals what the half holds and swaps the halves.
void close_record(JournalCore& j) {
    const MutableBytes bytes = j.writer.written();
    durability::seal_record(bytes, {.lsn = j.record, .id = j.facts.id, .epoch = j.facts.epoch, .durable = j.durable});
    j.in_flight = bytes;
    j.is_submitted = false;
    j.filling ^= 1;
    begin_record(j, j.record + bytes.size());
    j.last_was_idle = false;
    submit(j, in_flight_lsn(j));
}

/// The snapshot was taken behind the last record that is there: what lay between went with the last life and is in the
/// snapshot. The journal goes on behind it, and what is in it is not needed.
void start_behind(JournalCore& j, Lsn at) {
    j.facts.start = j.facts.end = at;
    j.replay.image = {j.facts.id, at, {}};
    j.truncated = at;
    j.store->truncate(at);
    begin_record(j, at);
}

void begin_replay(JournalCore& j, Lsn from) {
    const bool is_first = !j.replay.active || from < j.replay.cursor.position();
    if (is_first) j.replay.cursor = durability::EntryCursor::from(j.replay.image, j.facts.end, from);
    j.replay.active = true;
    journal::settle_replay(j);
}

void commit_stack(JournaledStack& s, const Core& polled) {
    Core& core = *s.core;
    std::optional<Step> step;  // the polled stack is in one
    if (&core != &polled) step.emplace(core);
    World& w = core.world;
    const CutNumber n = s.in_flight.number;
    auto tcp_cx = core.tcp_context();
    tcp::on_committed(tcp_cx, n, CommitBy::journal);
    auto udp_cx = core.udp_context();
    udp::on_committed(udp_cx, n, CommitBy::journal);
    w.cuts().flush = 0;
    w.cuts().flushed = n;
    durability::reserve_wire_clock(w, s.in_flight.wire_clock_reserved_ns);
    s.in_flight = {};
    if (!std::exchange(s.is_starved, false)) return;
    for (std::uint32_t i = w.sockets.next(0); i != BitTree::none; i = w.sockets.next(i + 1)) w.changed_sockets.set(i);
}

void take_status(JournalCore& j, const Core& polled) {
    if (!j.in_flight.empty() && !j.is_submitted) submit(j, in_flight_lsn(j));
    const JournalStore::Status status = j.store->status();
    j.durable = std::max(j.durable, std::min(status.durable, j.record));
    const bool is_believed = is_planted(Fault::journal_not_synced) && j.is_submitted;
    if (status.error != Error::invalid) {
        j.error = Error::journal_failed;
        j.is_submitted = false;  // the same bytes again, until it works
        return;
    }
    if (j.error == Error::journal_failed) j.error = Error::invalid;
    if (j.in_flight.empty() || (j.durable < j.record && !is_believed)) return;
    if (j.durable >= j.record) j.in_flight = {};
    for (std::size_t i = 0; i < j.stack_count; ++i) {
        if (j.stacks[i].in_flight.number != 0) commit_stack(j.stacks[i], polled);
    }
}

bool is_flush_wanted(const JournalCore& j) {
    if (j.error == Error::journal_full || j.is_broken) return false;  // a committed snapshot will change that, and nothing else
    if (j.flush_asked) return true;
    if (j.closes_when_told) return false;
    if (j.writer.used() + j.pending_bytes() > j.halves[0].size() / 4) return true;
    for (std::size_t i = 0; i < j.stack_count; ++i) {
        const JournaledStack& s = j.stacks[i];
        if (!s.has_base) continue;
        if (s.is_starved) return true;
        const Instant tcp_since = tcp::commit_wanted(s.core->tcp_context(), CommitBy::journal);
        if (tcp_since != never || udp::commit_wanted(s.core->udp_context(), CommitBy::journal) != never) return true;
    }
    return false;
}

void append_stack(JournalCore& j, std::size_t i) {
    JournaledStack& s = j.stacks[i];
    World& w = s.core->world;
    const CutNumber number = w.cuts().current++;
    const std::int64_t reserved = wire_clock_ns(w.stack(), s.core->now()) + w.config().tcp.timestamp_reservation.ns;
    s.in_flight = {number, w.header->generations, reserved};
    durability::append_delta(w, s.written, static_cast<std::uint8_t>(i), s.in_flight, j.writer);
}

/// The stacks' changes, and the record is on its way. False: it does not fit, and nothing has happened.
bool flush(JournalCore& j) {
    const std::size_t before = j.writer.used();
    std::array<CutNumber, Journal::stacks_max> currents{};
    for (std::size_t i = 0; i < j.stack_count; ++i) {
        currents[i] = j.stacks[i].core->world.cuts().current;
        if (j.stacks[i].has_base) append_stack(j, i);
    }
    if (j.writer.full() || j.store->capacity() < j.end() - j.truncated) {
        for (std::size_t i = 0; i < j.stack_count; ++i) {
            j.stacks[i].core->world.cuts().current = currents[i];
            j.stacks[i].in_flight = {};
        }
        j.writer.rewind(before);
        j.error = Error::journal_full;
        return false;
    }
    for (std::size_t i = 0; i < j.stack_count; ++i) {
        JournaledStack& s = j.stacks[i];
        if (s.in_flight.number == 0) continue;
        durability::commit_delta(s.core->world, s.written);
        s.written = s.in_flight.number;
        s.core->world.cuts().flush = s.in_flight.number;
        s.core->world.cuts().pending_bytes = 0;
    }
    j.flush_asked = false;
    close_record(j);
    return true;
}

void truncate(JournalCore& j) {
    if (j.error == Error::journal_full) j.error = Error::invalid;
    const Lsn oldest = j.oldest_needed();
    if (oldest <= j.truncated) return;
    j.truncated = oldest;
    j.store->truncate(oldest);
}

/// Behind an overflow, when every stack has a snapshot that was taken later: nothing of what could not be recorded is
/// needed, and the journal goes on behind it.
void mend(JournalCore& j) {
    for (std::size_t i = 0; i < j.stack_count; ++i) {
        if (!j.stacks[i].has_base) return;
    }
    if (!j.in_flight.empty()) return;  // its commit still moves marks; asked again at the next snapshot
    j.is_broken = false;
    j.error = Error::invalid;
    const Lsn at = j.end();  // nothing was recorded since, so the snapshots name this place
    for (std::size_t i = 0; i < j.stack_count; ++i) j.stacks[i].base = at;
    start_behind(j, at);
}

/// Bytes of the store that windows may claim: a window is not taken back, and the program that is to read what came through
/// others must find room for what it reads and says, until a snapshot is asked for (at half of the store) and while it is
/// written. Where more is granted (a restore has to take every window for as wide as it may have been shown), and a peer
/// fills it, the store is full sooner, and a snapshot makes room.
std::uint64_t claims_max(const JournalCore& j) { return j.store->capacity() / 4; }

/// What a peer may still send has its place twice: as it comes, and as it is read.
std::uint64_t claimed_bytes(const JournalCore& j) {
    std::uint64_t granted = 0;
    for (std::size_t i = 0; i < j.stack_count; ++i) granted += j.stacks[i].core->tcp_tables.granted_total;
    return std::min(2 * granted, claims_max(j));
}

/// By how much all granted windows together may grow.
std::uint64_t grant_room(const JournalCore& j) {
    return std::min(j.store_room(), claims_max(j) - claimed_bytes(j)) / 2;
}

Error check_memory(std::span<std::byte> memory) {
    const bool ok = memory.size() >= Journal::memory_bytes_min &&
                    reinterpret_cast<std::uintptr_t>(memory.data()) % Journal::memory_alignment == 0;
    return ok ? Error::invalid : Error::invalid_argument;
}

JournalCore& place(std::span<std::byte> memory, JournalStore& store, const JournalOptions& options) {
    auto* j = new (memory.data()) JournalCore{};
    const std::size_t at = (sizeof(JournalCore) + 63) & ~std::size_t{63};
    const std::size_t half = (memory.size() - at) / 2 & ~std::size_t{63};
    auto* bytes = reinterpret_cast<std::uint8_t*>(memory.data()) + at;
    j->halves = {MutableBytes(bytes, half), MutableBytes(bytes + half, half)};
    j->store = &store;
    j->mode = options.mode;
    return *j;
}

}  // namespace

// --- the journal's own account ---

std::uint64_t JournalCore::pending_bytes() const {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < stack_count; ++i) bytes += stacks[i].core->world.cuts().pending_bytes;
    return bytes;
}

std::size_t JournalCore::data_room() const {
    // A buffer of the pool holds it in the delta, a copy in the entry; half of the half is for what comes in meanwhile.
    const std::uint64_t used = writer.used() + pending_bytes() + journal_reserve_bytes;
    const std::uint64_t most = std::min<std::uint64_t>(halves[0].size(), store_room());
    return used < most ? static_cast<std::size_t>(most - used) / 4 : 0;
}

std::uint64_t JournalCore::store_room() const {
    const std::uint64_t claimed = end() - truncated + claimed_bytes(*this);
    const std::uint64_t capacity = store->capacity();
    return capacity > claimed ? capacity - claimed : 0;
}

Lsn JournalCore::oldest_needed() const {
    Lsn oldest = record - in_flight.size();
    for (std::size_t i = 0; i < stack_count; ++i) {
        if (stacks[i].has_base) oldest = std::min(oldest, stacks[i].base);
    }
    return std::max(oldest, facts.start);
}

// --- Journal ---

std::expected<Journal, Error> Journal::create(std::span<std::byte> memory, JournalStore& store,
                                              const JournalOptions& options) {
    if (check_memory(memory) != Error::invalid || options.id == 0 || options.mode == ReplayMode::invalid) {
        return std::unexpected(Error::invalid_argument);
    }
    JournalCore& j = place(memory, store, options);
    j.facts = {.id = options.id, .epoch = options.epoch};
    begin_record(j, 0);
    return Journal(j);
}

std::expected<Journal, Error> Journal::open(std::span<std::byte> memory, JournalStore& store, const JournalImage& image,
                                            const JournalOptions& options) {
    if (check_memory(memory) != Error::invalid || options.mode == ReplayMode::invalid) {
        return std::unexpected(Error::invalid_argument);
    }
    if (options.id != 0 && options.id != image.id) return std::unexpected(Error::journal_foreign);
    const auto facts = durability::scan(image);
    if (!facts) return std::unexpected(facts.error());
    if (options.epoch != 0 && options.epoch <= facts->epoch) return std::unexpected(Error::fenced);
    JournalCore& j = place(memory, store, options);
    j.facts = *facts;
    j.facts.epoch = options.epoch != 0 ? options.epoch : facts->epoch + 1;
    j.durable = facts->end;
    j.truncated = facts->start;
    j.replay.image = image;
    begin_record(j, facts->end);
    return Journal(j);
}

std::expected<void, Error> Journal::note(MutableBytes bytes) {
    JournalCore& j = *core_;
    if (j.replay.active) {
        const journal::Served s = journal::serve(j, nullptr, Op::note, 0, {});
        if (s.kind == journal::Served::Kind::diverged) return std::unexpected(Error::replay_diverged);
        if (s.kind == journal::Served::Kind::entry) {
            if (s.entry.result.size() != bytes.size()) {
                journal::diverge(j, nullptr, 0);
                return std::unexpected(Error::replay_diverged);
            }
            if (!bytes.empty()) std::memcpy(bytes.data(), s.entry.result.data(), bytes.size());
            return {};
        }
    }
    journal::append(j, {.op = Op::note}, {bytes});
    return {};
}

std::expected<Instant, Error> Journal::now(Instant live) {
    JournalCore& j = *core_;
    if (j.replay.active) {
        const journal::Served s = journal::serve(j, nullptr, Op::now, 0, {});
        if (s.kind == journal::Served::Kind::diverged) return std::unexpected(Error::replay_diverged);
        if (s.kind == journal::Served::Kind::entry) {
            const Instant then{static_cast<std::int64_t>(s.entry.header.value)};
            return then;
        }
    }
    journal::append(j, {.op = Op::now, .value = static_cast<std::uint64_t>(live.ns)}, {});
    return live;
}

bool Journal::is_replaying() const { return core_->replay.active; }
Lsn Journal::end() const { return core_->end(); }
Lsn Journal::durable() const { return core_->durable; }
void Journal::flush() { core_->flush_asked = true; }
Error Journal::error() const { return core_->error; }
const JournalFacts& Journal::facts() const { return core_->facts; }

// --- for the stacks ---

namespace journal {

std::expected<void, Error> attach(JournalCore& j, Core& core) {
    if (core.journal != nullptr) return std::unexpected(Error::invalid_state);
    if (j.stack_count == Journal::stacks_max) return std::unexpected(Error::no_memory);
    core.journal_stack = static_cast<std::uint8_t>(j.stack_count);
    core.journal = &j;
    j.stacks[j.stack_count++] = {.core = &core};
    StackState& stack = core.world.edit_stack();
    stack.journal_id = j.facts.id;
    stack.journal_stack = core.journal_stack;
    return {};
}

void turn(JournalCore& j, Core& polled) {
    take_status(j, polled);
    if (j.in_flight.empty() && is_flush_wanted(j) && flush(j)) take_status(j, polled);
    polled.world.grant_room = grant_room(j);
}

bool may_receive(const JournalCore& j) {
    return j.writer.used() + j.pending_bytes() + journal_reserve_bytes < j.halves[0].size() / 2 || j.in_flight.empty();
}

Deadline next_deadline(const JournalCore& j, const Core& core) {
    if (!j.in_flight.empty() || j.error != Error::invalid) return core.now() + store_retry;
    return is_flush_wanted(j) ? core.now() : never;
}

bool wants_snapshot(const JournalCore& j, Core& core) {
    if (j.replay.active) return false;
    const JournaledStack& s = j.stacks[core.journal_stack];
    if (j.error == Error::journal_full) return true;
    if (!s.has_base) {
        return tcp::commit_wanted(core.tcp_context(), CommitBy::journal) != never ||
               udp::commit_wanted(core.udp_context(), CommitBy::journal) != never;
    }
    return j.end() - j.truncated > j.store->capacity() / 2;
}

std::expected<void, Error> on_cut(JournalCore& j, Core& core) {
    if (j.replay.active) return std::unexpected(Error::replaying);
    const CutNumber number = core.world.cuts().current;
    // Stacks that are cut one right behind the other are cut at one instant of the program: at one place.
    if (j.cut_end != j.end()) j.cut_at = j.end();
    append(j, {.op = Op::cut, .stack = core.journal_stack, .value = number}, {});
    j.cut_end = j.end();
    StackState& stack = core.world.edit_stack();
    stack.journal_id = j.facts.id;
    stack.journal_lsn = j.cut_at;
    stack.journal_stack = core.journal_stack;
    for (JournaledStack::CutPlace& place : j.stacks[core.journal_stack].cuts) {
        if (place.cut != 0) continue;
        place = {number, j.record, j.overflows};
        return {};
    }
    return {};
}

void on_committed(JournalCore& j, Core& core, CutNumber cut) {
    JournaledStack& s = j.stacks[core.journal_stack];
    for (JournaledStack::CutPlace& place : s.cuts) {
        if (place.cut == 0 || place.cut > cut) continue;
        if (place.cut == cut) {
            s.base = place.record;
            s.has_base = place.overflows == j.overflows;
            // Deltas need to begin no earlier than the snapshot that they are applied to.
            s.written = std::max(s.written, cut);
        }
        place = {};
    }
    if (j.is_broken) mend(j);
    if (!j.is_broken) truncate(j);
}

void on_abandoned(JournalCore& j, Core& core, CutNumber cut) {
    for (JournaledStack::CutPlace& place : j.stacks[core.journal_stack].cuts) {
        if (place.cut == cut) place = {};
    }
}

namespace {

/// A call has returned that is not in the journal. What was promised stands; nothing more is, until each stack has a
/// snapshot that was taken behind it.
void overflow(JournalCore& j) {
    j.is_broken = true;
    ++j.overflows;
    j.cut_end = 0;
    j.error = Error::journal_full;
    for (std::size_t i = 0; i < j.stack_count; ++i) j.stacks[i].has_base = false;
}

}  // namespace

void append(JournalCore& j, EntryHeader header, std::initializer_list<ByteView> parts) {
    j.last_was_idle = header.op == Op::next_ready && header.handle == 0;
    if (j.is_broken) return;
    j.writer.append(header, parts);
    if (j.writer.full()) overflow(j);
}

std::expected<std::int64_t, Error> redo(JournalCore& j, Core& core, const HashKey& key) {
    World& w = core.world;
    const StackState& stack = w.stack();
    const Lsn from = stack.journal_lsn;
    if (stack.journal_id != j.facts.id) return std::unexpected(Error::journal_foreign);
    if (from < j.facts.start) return std::unexpected(Error::journal_mismatch);  // it has forgotten what came then
    if (stack.journal_stack != j.stack_count) return std::unexpected(Error::journal_mismatch);  // another stack's turn
    if (from > j.record) {
        if (j.stack_count != 0) return std::unexpected(Error::journal_mismatch);  // not the instant of the one before
        start_behind(j, from);
    }
    if (const auto ok = attach(j, core); !ok) return std::unexpected(ok.error());
    JournaledStack& s = j.stacks[core.journal_stack];
    s.from = from;
    auto cursor = durability::EntryCursor::from(j.replay.image, j.facts.end, from);
    s.base = cursor.at_end() ? j.record : cursor.record();
    s.has_base = true;
    durability::DeltaFacts facts{.wire_clock_reserved_ns = INT64_MIN};
    for (; !cursor.at_end(); cursor.next()) {
        const durability::EntryView e = cursor.get();
        if (e.header.op < Op::first_of_state || e.header.stack != core.journal_stack) continue;
        if (const auto ok = durability::apply(w, e, facts); !ok) return std::unexpected(ok.error());
    }
    w.cuts().outstanding = {};
    w.pool.reset();
    if (!durability::recount_buffers(w) || durability::find_fault(w, key)) return std::unexpected(Error::journal_damaged);
    s.written = w.cuts().current++;
    begin_replay(j, from);
    return facts.wire_clock_reserved_ns;
}

void on_resumed(Core& core) {
    World& w = core.world;
    auto cx = core.tcp_context();
    for (std::uint32_t i = w.sockets.next(0); i != BitTree::none; i = w.sockets.next(i + 1)) {
        w.sockets.edit(i).claimed = true;
        const SocketState& s = w.sockets.get(i);
        if (s.options.policy != DurabilityPolicy::untracked || w.connections.find(s.connection) == nullptr) continue;
        tcp::drop_restored(cx, s.connection.index(), true);
    }
}

}  // namespace journal
}  // namespace keepnet
