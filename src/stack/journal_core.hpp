// A journal at work (keepnet/journal.hpp). It lies at the front of the embedder's block; behind it two halves: one is being
// written by the store while the other fills with the next record.
//
// Live, a call appends its entry when it returns. In poll(), once no write is under way and somebody waits for one, the
// stacks' deltas follow, the record is sealed and handed to the store; when the store says durable, the marks move.
// Replaying, calls take their results from the entries of the image instead; see replay.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <keepnet/journal.hpp>

#include "durability/delta.hpp"
#include "durability/journal_format.hpp"
#include "stack/core.hpp"

namespace keepnet {

/// Room that calls which carry no data may still use when data waits: a close or an accept does not fail for want of it.
inline constexpr std::size_t journal_reserve_bytes = 64U * 1024;

/// One stack that writes to the journal.
struct JournaledStack {
    Core* core = nullptr;
    bool has_base = false;               ///< a committed snapshot exists from which the journal goes on
    bool is_starved = false;             ///< a call found no room: its socket is to hear when there is
    Lsn from = 0;                        ///< replay begins here: where its snapshot was taken
    Lsn base = 0;                        ///< the record that the last committed snapshot needs first
    CutNumber written = 0;               ///< everything up to this cut or flush is in records or in the snapshot
    durability::DeltaFacts in_flight{};
    struct CutPlace {
        CutNumber cut = 0;
        Lsn record = 0;
        std::uint32_t overflows = 0;     ///< JournalCore::overflows when it was taken
    };
    std::array<CutPlace, 2> cuts{};      ///< outstanding ones
};

struct ReplayState {
    bool active = false;
    bool last_was_idle = true;           ///< the last next_ready() said: nothing
    std::uint32_t idle_calls = 0;        ///< of next_ready() without progress
    Lsn ready_at = 0;                    ///< ReplayMode::bytes: where next_replayed() looks next
    JournalImage image{};
    durability::EntryCursor cursor{};
    struct Key {
        std::uint64_t handle = 0;
        std::uint8_t stack = 0;
        friend bool operator==(const Key&, const Key&) = default;
    };
    std::array<Key, 64> diverged{};      ///< their entries are passed over
    std::size_t diverged_count = 0;
};

struct JournalCore {
    JournalStore* store = nullptr;
    ReplayMode mode = ReplayMode::strict;
    JournalFacts facts{};
    std::array<MutableBytes, 2> halves{};
    unsigned filling = 0;
    durability::EntryWriter writer{};    ///< into the half that fills, behind the room for its header
    Lsn record = 0;                      ///< where the record that fills will begin
    MutableBytes in_flight{};            ///< the record that is being written, or waits for the store; empty: none
    bool is_submitted = false;           ///< the store has it
    Lsn durable = 0;
    Lsn truncated = 0;                   ///< the store holds what comes from here on
    Error error = Error::invalid;
    bool flush_asked = false;
    bool closes_when_told = false;       ///< for tests: flush() alone closes a record, whoever waits for it
    bool is_broken = false;              ///< calls went unrecorded: nothing is written until every stack has a new snapshot
    std::uint32_t overflows = 0;         ///< how often that happened
    bool last_was_idle = false;          ///< the last entry is a next_ready() that said: nothing
    std::array<JournaledStack, Journal::stacks_max> stacks{};
    std::size_t stack_count = 0;
    Lsn cut_at = 0;                      ///< where the last cuts stand, of one stack beside the other
    Lsn cut_end = 0;                     ///< and end; 0: they count no more
    ReplayState replay{};

    [[nodiscard]] Lsn end() const { return record + writer.used(); }
    /// Bytes that the stacks' deltas may take, at most.
    [[nodiscard]] std::uint64_t pending_bytes() const;
    /// Bytes of data that a call may take in or give out now.
    [[nodiscard]] std::size_t data_room() const;
    /// Bytes of the store that nothing has a claim on.
    [[nodiscard]] std::uint64_t store_room() const;
    [[nodiscard]] Lsn oldest_needed() const;
};

namespace journal {

/// Makes `core` one of the journal's stacks. Fails: invalid_state (it has one), no_memory (too many).
std::expected<void, Error> attach(JournalCore& j, Core& core);
/// In every poll, between input and output: what has become durable, and the next record.
void turn(JournalCore& j, Core& polled);
/// How much may be received in this poll: false, nothing, until what has been received is written.
bool may_receive(const JournalCore& j);
/// When poll() has to come again for the journal's sake.
Deadline next_deadline(const JournalCore& j, const Core& core);
/// Is a snapshot asked for because the journal needs one?
bool wants_snapshot(const JournalCore& j, Core& core);
/// The program's snapshot: the cut's place in the journal, noted before the cut is taken.
std::expected<void, Error> on_cut(JournalCore& j, Core& core);
void on_committed(JournalCore& j, Core& core, CutNumber cut);
void on_abandoned(JournalCore& j, Core& core, CutNumber cut);
/// An entry of a call that has returned. Where it does not fit, a new snapshot has to be taken (JournalCore::is_broken).
void append(JournalCore& j, durability::EntryHeader header, std::initializer_list<ByteView> parts);

/// Behind the decode of a snapshot that names this journal: the state as it was at the last durable instant. Fails:
/// journal_foreign, journal_mismatch, journal_damaged, no_memory. Gives the wire clock that was reserved, or INT64_MIN.
std::expected<std::int64_t, Error> redo(JournalCore& j, Core& core, const HashKey& key);

/// Behind the resumption: sockets are their program's, which is told nothing; what was not tracked ends.
void on_resumed(Core& core);

// --- replay.cpp ---

/// The next call's entry, when it is this one; what to do instead, otherwise. What is served has been passed.
struct Served {
    enum class Kind : std::uint8_t { invalid = 0, entry, live, diverged };
    Kind kind = Kind::invalid;
    durability::EntryView entry{};
};
Served serve(JournalCore& j, Core* core, durability::Op op, std::uint64_t handle, ByteView arguments);
// ReplayMode::bytes: each stream by itself, in pieces of any size. No value: the call is live.
std::optional<std::expected<std::size_t, Error>> serve_bytes_in(JournalCore& j, Core& core, std::uint64_t handle,
                                                                MutableBytes out);
std::optional<std::expected<std::size_t, Error>> serve_bytes_out(JournalCore& j, Core& core, std::uint64_t handle,
                                                                 std::span<const ByteView> data);
/// What the journal adds to a socket's readiness.
Readiness replayed_readiness(const JournalCore& j, const Core& core, std::uint64_t handle);
/// A socket of which something is left to replay, another one each time; 0 after the last, and then the first again.
std::uint64_t next_replayed(JournalCore& j, const Core& core);

/// next_ready(): an entry without a handle means nothing is ready.
Served serve_ready(JournalCore& j, Core& core);
/// The program did something else on `handle` (0: on none): its connection ends.
void diverge(JournalCore& j, Core* core, std::uint64_t handle);
/// Are the socket's calls recorded? One that does not exist any more may have been.
bool is_tracked(const Core& core, std::uint64_t handle);
/// Passes over what is no call; ends the replay at the journal's end.
void settle_replay(JournalCore& j);

}  // namespace journal
}  // namespace keepnet
