// Snapshots: what a cut held as bytes, and back (hosted; needs keepnet::checkpoint). The format is public and versioned:
// docs/snapshot-format.md.
//
//     auto cut = *stack.cut();                                   // in the instant of the application's own freeze
//     auto writer = *store.begin();
//     checkpoint::encode(stack, cut, {.blobs = {{"app", state}}}, *writer);
//     writer->commit();                                          // durable from here on
//     stack.committed(cut);                                      // what was held goes out
//
// After a restart:
//
//     auto snapshot = *store.load();
//     auto restored = *checkpoint::restore(arena, config, snapshot, {.now = t, .entropy = seed});
//     use(restored.blobs); claim(restored.stack); restored.stack.ready(true);
//
// No function here throws, but for std::bad_alloc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <keepnet/bytes.hpp>
#include <keepnet/config.hpp>
#include <keepnet/journal.hpp>
#include <keepnet/stack.hpp>
#include <keepnet/time.hpp>

namespace keepnet::checkpoint {

enum class Code : std::uint8_t {
    invalid = 0,
    not_found,        ///< the store holds no snapshot
    empty,            ///< no bytes at all
    not_a_snapshot,   ///< something else
    truncated,        ///< its end is missing
    damaged,          ///< the checksum is wrong, or an invariant does not hold
    newer_version,    ///< written by a newer major version of the format
    too_large,        ///< holds more than the configured capacities; the message says of what
    bad_arena,        ///< too small for the config, or misaligned
    fenced,           ///< RestoreOptions::fence said no
    cut_overrun,      ///< more changed behind the cut than the shadows hold: abandon it and cut again
    unknown_cut,      ///< not a cut that is outstanding and unread
    input_output,     ///< the store failed; the message says how
    wrong_chain,      ///< increments that do not follow their base: another's, out of order, or one is missing
    journal,          ///< the journal does not fit the snapshot, or is damaged; the message says how
};
std::string_view name(Code code);

struct Failure {
    Code code = Code::invalid;
    std::string message{};  ///< one line for people
};

/// State of the application that has no snapshot of its own. Names are unique.
struct Blob {
    std::string name{};
    std::vector<std::uint8_t> bytes{};
};

// --- writing ---

/// Takes the bytes of a snapshot, in order.
class Sink {
  public:
    virtual std::expected<void, Failure> write(ByteView bytes) = 0;
    virtual ~Sink() = default;

  protected:
    Sink() = default;
    Sink(const Sink&) = default;
    Sink& operator=(const Sink&) = default;
};

struct EncodeOptions {
    std::vector<Blob> blobs{};
    /// The wall clock at the cut, ns since 1970, so that a restore can tell how long we were away.
    std::optional<std::int64_t> wall_clock_ns{};
};

/// Turns one cut into bytes, in steps. Made on the thread that polls the stack, between cut() and the next cut(); the
/// steps may run on any one thread. While it lives the cut counts as unread: destroy it, or let it end, before
/// Stack::abandoned. The arena, the sink and the Stack's storage must outlive it.
class Encoder {
  public:
    enum class Progress : std::uint8_t {
        invalid = 0,
        more,     ///< call step() again
        waiting,  ///< nothing swept yet: poll() or sweep() the stack first
        done,     ///< every byte is written; the cut is read
    };

    Encoder(Stack& stack, CutId cut, EncodeOptions options, Sink& sink);
    Encoder(Encoder&&) noexcept;
    Encoder& operator=(Encoder&&) noexcept;
    Encoder(const Encoder&) = delete;
    Encoder& operator=(const Encoder&) = delete;
    ~Encoder();

    /// A bounded piece of work. After an error, or `done`, do not call it again.
    /// Fails: unknown_cut, cut_overrun, input_output.
    std::expected<Progress, Failure> step();

  private:
    struct Work;
    std::unique_ptr<Work> work_;
};

/// All of it, on the polling thread; sweeps the stack itself.
std::expected<void, Failure> encode(Stack& stack, CutId cut, EncodeOptions options, Sink& sink);

// --- stores ---

/// A snapshot being written. Destroyed without commit() it leaves no trace.
class Writer : public Sink {
  public:
    /// The snapshot is durable, and load() gives it, when this returns without an error. Once.
    virtual std::expected<void, Failure> commit() = 0;
};

/// What a store holds, as far as its headers tell.
struct StoreFacts {
    CutId cut = 0;                    ///< of the last snapshot ...
    std::uint64_t id = 0;             ///< ... and its id
    std::uint32_t increments = 0;     ///< on the base
    std::uint64_t base_bytes = 0;
    std::uint64_t increment_bytes = 0;
};

/// Where snapshots go. Holds the last base that was committed, and the increments that were committed on it since.
class SnapshotStore {
  public:
    /// A base: with its commit, what was there before is gone. One writer at a time.
    virtual std::expected<std::unique_ptr<Writer>, Failure> begin() = 0;
    /// An increment on what was committed last; its commit fails with wrong_chain when it is one on something else.
    /// Fails: not_found, input_output (also: this store keeps none).
    virtual std::expected<std::unique_ptr<Writer>, Failure> begin_increment();
    /// One snapshot; base and increments are put together. Fails: not_found, input_output, and as compact().
    virtual std::expected<std::vector<std::uint8_t>, Failure> load() = 0;
    /// The base and its increments, oldest first. Fails: not_found, input_output, wrong_chain (one is missing).
    virtual std::expected<std::vector<std::vector<std::uint8_t>>, Failure> load_chain();
    /// Empty: nothing that an increment could follow.
    virtual std::optional<StoreFacts> facts() { return std::nullopt; }
    /// Base and increments become one base, in one commit. Fails: as load(), and as a commit does.
    std::expected<void, Failure> compact();
    virtual ~SnapshotStore() = default;

  protected:
    SnapshotStore() = default;
    SnapshotStore(const SnapshotStore&) = default;
    SnapshotStore& operator=(const SnapshotStore&) = default;
};

/// A file, mode 0600, and its increments beside it, PATH.ID-1 and so on with the ID of their base. Each is written under another name,
/// synced, renamed, the directory synced; a crash at any instant leaves what was committed last, or the new one with it.
/// Increments of an earlier base, which a crash may leave, are not looked at; the next base's commit removes them.
class FileStore final : public SnapshotStore {
  public:
    /// `path`: of the snapshot. Removes what a crash left of an unfinished write. Fails when its directory does not
    /// exist or cannot be written to.
    static std::expected<FileStore, Failure> open(std::string path);

    std::expected<std::unique_ptr<Writer>, Failure> begin() override;
    std::expected<std::unique_ptr<Writer>, Failure> begin_increment() override;
    std::expected<std::vector<std::uint8_t>, Failure> load() override;
    std::expected<std::vector<std::vector<std::uint8_t>>, Failure> load_chain() override;
    std::optional<StoreFacts> facts() override;
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    explicit FileStore(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

/// Memory. For tests, simulators, and embedders that take the bytes elsewhere.
class MemoryStore final : public SnapshotStore {
  public:
    std::expected<std::unique_ptr<Writer>, Failure> begin() override;
    std::expected<std::unique_ptr<Writer>, Failure> begin_increment() override;
    std::expected<std::vector<std::uint8_t>, Failure> load() override;
    std::expected<std::vector<std::vector<std::uint8_t>>, Failure> load_chain() override;
    std::optional<StoreFacts> facts() override;

    std::optional<std::vector<std::uint8_t>> snapshot{};  ///< the base
    std::vector<std::vector<std::uint8_t>> increments{};  ///< on it
};

/// Appends to a vector.
class VectorSink final : public Sink {
  public:
    std::expected<void, Failure> write(ByteView bytes) override;
    std::vector<std::uint8_t> bytes{};
};

/// cut, encode into the store, committed: the whole of a synchronous checkpoint. On failure the cut is abandoned.
std::expected<CutId, Failure> save(Stack& stack, SnapshotStore& store, EncodeOptions options);

struct IncrementalOptions {
    /// Base and increments are compacted before the next one is written when there are this many, ...
    std::uint32_t increments_max = 32;
    /// ... or when they are larger than so much of the base.
    std::uint32_t grown_percent = 100;
};
/// The same, but only what changed since the store's last snapshot is encoded, where that one is of this run.
std::expected<CutId, Failure> save(Stack& stack, SnapshotStore& store, EncodeOptions options,
                                   const IncrementalOptions& incremental);

// --- reading ---

/// What a snapshot says about itself, without decoding the state. The checksum has been verified.
struct Summary {
    std::uint16_t format_major = 0;
    std::uint16_t format_minor = 0;
    CutId cut = 0;
    std::uint64_t id = 0;                      ///< of the state at the cut; 0: written by a build that had none
    CutId base_cut = 0;                        ///< 0: a whole snapshot; else an increment on that cut ...
    std::uint64_t base_id = 0;                 ///< ... of this id
    std::uint64_t epoch = 0;                   ///< restores before this snapshot
    std::optional<std::int64_t> wall_clock_ns{};
    CapacityConfig capacity{};                 ///< with which it was written: a config that fits
    std::size_t bytes = 0;
};
std::expected<Summary, Failure> summarize(ByteView snapshot);

/// One restored socket, or a connection that no socket names: half-open, waiting to be accepted, closed by the
/// application but not by the peer.
struct SocketReport {
    SocketHandle socket{};                     ///< empty: none
    SocketKind kind = SocketKind::invalid;
    TcpPhase phase = TcpPhase::closed;
    Verdict verdict = Verdict::invalid;        ///< `pending` until the peer was heard: ask Stack::info() again
    Endpoint local{};
    Endpoint remote{};
};

/// What becomes of a restored connection. The verdict of one that does not go on is Verdict::dropped_by_policy.
enum class ConnectionPolicy : std::uint8_t {
    invalid = 0,
    resume,
    reset,  ///< tell the peer and the application
    drop,   ///< tell the application alone
};

struct RestoreOptions {
    Instant now{};                             ///< of the new clock
    /// Since the cut. Unknown: from the wall clocks, where both are given; else 0.
    std::optional<Duration> elapsed{};
    /// ns since 1970.
    std::optional<std::int64_t> wall_clock_ns{};
    std::array<std::uint8_t, 32> entropy{};    ///< 32 bytes nobody can guess
    /// Asked with the number of this incarnation before anything else happens; false: another copy is, or will be,
    /// alive, and this one must not speak.
    std::function<bool(std::uint64_t epoch)> fence{};
    /// The same snapshot once more, beside a living original: secrets, initial sequence numbers, ports, clocks and
    /// generated addresses are fresh, and so must `entropy` be for each clone. Inherited connections (TCP and connected
    /// UDP) end at once with Verdict::dropped_by_policy, what was received stays readable, and nothing is ever sent on
    /// one, no reset either. Listeners and unconnected sockets live. Interfaces take the MAC of the device that is
    /// attached; an address that the original has still is found out (RFC 4429), unless `address_map` gives another.
    bool clone = false;
    /// What was bound to an address, unconnected, is bound to another one, which the interface gets; connections bound
    /// to an address that is gone end with Verdict::address_gone. Used during the call alone.
    std::span<const AddressMapping> address_map{};
    /// Asked for each TCP connection before anything is sent. Not given: all of them go on.
    std::function<ConnectionPolicy(const SocketReport&)> policy{};
    /// Ask the peer of a connection to retransmit, by ICMPv6 (RFC 6069), when no ACK of ours can, if it is on the link.
    /// Off: its own timer.
    bool icmp_kick = false;
    /// The journal that the stack wrote to, opened: the stack comes back at the journal's end, and calls are replayed from
    /// the snapshot on (keepnet/journal.hpp). Stacks that share one are restored in the order in which they were attached.
    /// Without it a snapshot with connections of DurabilityPolicy::journal is refused: their peers were promised more.
    Journal* journal = nullptr;
    /// The arena is known to hold zeros (a fresh mapping): it need not be cleared.
    bool arena_is_zeroed = false;
    std::span<std::byte> undo{};               ///< CreateOptions::undo
};

struct Restored {
    Stack stack;
    std::vector<Blob> blobs{};
    std::vector<SocketReport> sockets{};       ///< every socket there is, by slot
    CutId cut = 0;                             ///< the cut that came back
    Duration elapsed{};                        ///< as it was counted
};

/// A snapshot alone, or a base and the increments on it, oldest first: the state at the last one's cut. Refuses whole what
/// it cannot restore completely; the arena then holds no stack.
std::expected<Restored, Failure> restore(std::span<std::byte> arena, const StackConfig& config,
                                         std::span<const ByteView> chain, const RestoreOptions& options);
inline std::expected<Restored, Failure> restore(std::span<std::byte> arena, const StackConfig& config,
                                                ByteView snapshot, const RestoreOptions& options) {
    return restore(arena, config, std::span<const ByteView>(&snapshot, 1), options);
}

/// The same value in another arena, as if nothing had happened: no time passes, nothing is resumed. For tests and for
/// moving a live stack. Devices have to be attached again by the caller's own means.
std::expected<Stack, Failure> decode(std::span<std::byte> arena, const StackConfig& config,
                                     std::span<const ByteView> chain, bool arena_is_zeroed = false);
inline std::expected<Stack, Failure> decode(std::span<std::byte> arena, const StackConfig& config, ByteView snapshot,
                                            bool arena_is_zeroed = false) {
    return decode(arena, config, std::span<const ByteView>(&snapshot, 1), arena_is_zeroed);
}

/// A base and the increments on it as one base, with the last one's blobs: what a whole snapshot of the last cut would
/// have been. From bytes to bytes: what it holds is judged when it is restored.
std::expected<void, Failure> compact(std::span<const ByteView> chain, Sink& sink);

}  // namespace keepnet::checkpoint
