// The journal (DURABILITY 6 and 7): a program whose own snapshots are rare is rolled back seconds, its connections to
// the last durable instant. What the program had been told by then is told to it again, in the same order, and what it
// says again is compared and swallowed; then everything is live.
//
// One journal serves one application: one total order over all of its stacks and sockets. It is freestanding: it lies
// in a block of memory that the embedder gives, and writes through a JournalStore.
//
//     auto journal = *Journal::create(memory, file, {.id = random_id});                  // a new life
//     stack.attach_journal(journal), run(stack, journal);
//
//     auto journal = *Journal::open(memory, file, *file.load(), {});                     // after a crash
//     auto back = *checkpoint::restore(arena, config, snapshot, {.journal = &journal});
//     run(back.stack, journal);                                                          // the calls are replayed
//
// Replayed is what a call of Stack on a tracked socket returned: open, bind, listen, accept, connect, send, peek, consume,
// receive, shutdown, close, abort, the datagram calls, options, info, readiness, take_error, and next_ready(). Everything
// else that the program can see and that may differ (clocks, random numbers, the schedule of its threads, files) goes
// through note() and now(). poll() is the embedder's: it is never replayed, and goes on serving the peers meanwhile.
// statistics() and next_socket() are live: no program may decide by them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include <keepnet/bytes.hpp>
#include <keepnet/error.hpp>
#include <keepnet/time.hpp>

namespace keepnet {

/// A place in the journal: bytes since its beginning. It never starts again at 0.
using Lsn = std::uint64_t;

/// Where the bytes of a journal go. All calls come from the thread that polls the stacks; none blocks.
class JournalStore {
  public:
    struct Status {
        Lsn durable = 0;                   ///< everything before it survives a crash
        Error error = Error::invalid;      ///< why the last write failed, until the next one; Error::invalid: it did not
    };

    /// Bytes between the oldest that is still needed and the newest that fit.
    [[nodiscard]] virtual std::uint64_t capacity() const = 0;
    /// Begins to write `bytes` at `at`, which is where the last successful write ended. They stay as they are until
    /// status() says durable or failed. False: not now (one write at a time, or the store does not work yet).
    virtual bool write(Lsn at, ByteView bytes) = 0;
    /// Has the write ended?
    virtual Status status() = 0;
    /// Bytes before `lsn` are not needed any more.
    virtual void truncate(Lsn lsn) = 0;

  protected:
    JournalStore() = default;
    JournalStore(const JournalStore&) = default;
    JournalStore& operator=(const JournalStore&) = default;
    ~JournalStore() = default;
};

/// What a store holds of an earlier life.
struct JournalImage {
    std::uint64_t id = 0;        ///< of the journal; 0: there is none
    Lsn start = 0;               ///< of the first byte
    MutableBytes bytes{};        ///< up to where the store's room ends; aligned to 8; written to, and needed until replay ends
};

enum class ReplayMode : std::uint8_t {
    invalid = 0,
    strict,  ///< the same calls in the same order with the same arguments (DURABILITY 7)
    bytes,   ///< the same bytes on each stream; counts of calls and their order over streams may differ
};

struct JournalOptions {
    std::uint64_t id = 0;        ///< create(): names this journal for ever, not 0; a random number
    std::uint64_t epoch = 0;     ///< of this life; higher than that of any earlier one (open(): 0 takes the next)
    ReplayMode mode = ReplayMode::strict;
};

/// What open() found.
struct JournalFacts {
    std::uint64_t id = 0;
    std::uint64_t epoch = 0;     ///< of this life
    Lsn start = 0;
    Lsn end = 0;                 ///< behind the last whole record
    std::uint64_t records = 0;
    std::uint64_t torn_bytes = 0;///< of an unfinished record behind it, as its header says; 0: none, or not even the header is whole
};

struct JournalCore;

/// A view of the memory that it was made in; may be moved, not copied.
class Journal {
  public:
    /// The smallest block that serves: two halves, one being written while the other is filled. More lets a slow disk
    /// take larger groups.
    static constexpr std::size_t memory_bytes_min = 1U << 20;
    static constexpr std::size_t memory_alignment = 64;
    static constexpr std::size_t stacks_max = 8;

    /// A new journal. Fails: invalid_argument (memory, id).
    static std::expected<Journal, Error> create(std::span<std::byte> memory, JournalStore& store,
                                                const JournalOptions& options);
    /// One that has been written to before; cuts a torn record off its end. Hand it to restore() for each stack.
    /// Fails: invalid_argument, journal_damaged (a record that was durable is not whole), journal_foreign.
    static std::expected<Journal, Error> open(std::span<std::byte> memory, JournalStore& store, const JournalImage& image,
                                              const JournalOptions& options);

    Journal(Journal&& other) noexcept : core_(other.core_) { other.core_ = nullptr; }
    Journal& operator=(Journal&& other) noexcept {
        core_ = other.core_;
        other.core_ = nullptr;
        return *this;
    }
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;
    ~Journal() = default;

    // --- the program's own choices ---

    /// Live: records `bytes`. Replaying: overwrites them with what was recorded.
    /// Fails: replay_diverged (something else was recorded: every connection that is still in the journal ends).
    std::expected<void, Error> note(MutableBytes bytes);
    /// The instant that the program sees: `live`, or what it was then.
    std::expected<Instant, Error> now(Instant live);

    /// Are calls still served from the journal? While they are, Stack::cut() is refused.
    [[nodiscard]] bool is_replaying() const;

    // --- durability ---

    /// Where the next entry goes: everything the program has seen and said lies before it.
    [[nodiscard]] Lsn end() const;
    /// Everything before it is durable. An effect outside of the stacks (a file, a device) may be let out when what led
    /// to it lies before: remember end() then, wait until durable() has passed it.
    [[nodiscard]] Lsn durable() const;
    /// Writes what is staged as soon as the store takes it, also if no socket waits for it. poll() does the work.
    void flush();
    /// journal_failed: the store does not take anything; it is tried again. journal_full: there is no room, in the store or
    /// in memory, and a snapshot has to be committed (Stack::commit_wanted() says so too). Error::invalid: all is well. Marks
    /// stop meanwhile, and what needs them waits: send() and receive() say would_block, windows close.
    [[nodiscard]] Error error() const;
    [[nodiscard]] const JournalFacts& facts() const;

    /// For this library's own modules and tests.
    [[nodiscard]] JournalCore& core() const { return *core_; }
    explicit Journal(JournalCore& core) : core_(&core) {}

  private:
    JournalCore* core_ = nullptr;
};

}  // namespace keepnet
