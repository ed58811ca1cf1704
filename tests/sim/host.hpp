// One host: a stack in an arena, its application, its storage, and its lives. A turn is one step of any of
// them; which one, where several are due, is drawn, so that cuts, commits and crashes fall between any two.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <keepnet/checkpoint.hpp>
#include <keepnet/stack.hpp>

#include "sim/app.hpp"
#include "sim/increments.hpp"
#include "sim/monitor.hpp"
#include "sim/network.hpp"
#include "support/arena.hpp"
#include "support/journal_store.hpp"

namespace keepnet::sim {

class Host;

/// The network card of a host. It outlives the host's stacks.
class Nic final : public LinkDevice {
  public:
    explicit Nic(Host& host) : host_(host) {}
    [[nodiscard]] LinkCapabilities capabilities() const override;
    [[nodiscard]] LinkState link_state() const override { return LinkState::up; }
    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override;
    std::size_t transmit(std::span<const TxFrame> frames) override;

    std::deque<Frame> inbound{};
    std::uint16_t mtu = 1500;
    Instant replaced_at{-1'000'000'000'000};
    bool refused = false;  ///< since the last poll

  private:
    Host& host_;
};

/// Where a host's journal goes. It outlives the host's stacks, too.
class JournalDisk final : public JournalStore {
  public:
    JournalDisk(Host& host, std::size_t capacity) : store(capacity), host_(host) { store.is_instant = false; }
    [[nodiscard]] std::uint64_t capacity() const override { return store.capacity(); }
    bool write(Lsn at, ByteView bytes) override;
    Status status() override { return store.status(); }
    void truncate(Lsn lsn) override { store.truncate(lsn); }

    test::TestJournalStore store;

  private:
    Host& host_;
};

/// For the self-test: an embedder that breaks the rules.
enum class HostFault : std::uint8_t {
    none,
    commits_early,      ///< says that a cut is durable before it is
    keeps_application,  ///< the application does not come back with the snapshot
};

/// What a run counted, to tell how much was tried.
struct Tally {
    std::uint64_t crashes = 0, fresh_starts = 0, restores = 0, attaches = 0, suspends = 0;
    std::uint64_t cuts = 0, overruns = 0, abandoned = 0, commits = 0, decoded = 0, failed_writes = 0;
    std::uint64_t increments = 0;
    std::uint64_t journal_writes = 0, journal_failures = 0, torn_records = 0, replays = 0, replayed_turns = 0;

    void add(const Tally& t);
    [[nodiscard]] std::string text() const;
};

class Host {
  public:
    Host(const Plan& plan, unsigned index, Trace& trace, Network& network, Monitor& monitor);

    /// When turn() has something to do.
    [[nodiscard]] Instant next_turn(Instant now, bool faults) const;
    void turn(Instant now, bool faults, std::span<const std::unique_ptr<Host>> all);
    void deliver(Instant now, Frame frame);
    /// Nothing dies any more; what is down comes back now.
    void stop_faults(Instant now);
    /// From now on cuts go on though nothing changes: deaths, for which no stack asks a commit, become
    /// durable too.
    void begin_drain(Instant now);

    [[nodiscard]] bool is_up() const { return up_; }
    /// Also false while a restore has not come that far.
    [[nodiscard]] bool has_stack() const { return stack_.has_value(); }
    /// Up, and not about to exit.
    [[nodiscard]] bool is_settled() const { return up_ && !suspending_ && !is_replaying(); }
    [[nodiscard]] App& app() { return app_; }
    [[nodiscard]] const App& app() const { return app_; }
    [[nodiscard]] Stack& stack() { return *stack_; }
    [[nodiscard]] const Stack& stack() const { return *stack_; }
    [[nodiscard]] const Tally& tally() const { return tally_; }
    /// No connection, queue entry or buffer is left; the reason why not, otherwise.
    [[nodiscard]] std::string leftovers() const;
    /// What the applications of all hosts have written, for those that read it. Once, before the first turn.
    void set_everyone(const Everyone& all) { everyone_ = &all; }
    HostFault fault = HostFault::none;

  private:
    friend class Nic;
    friend class JournalDisk;

    /// Takes so many bytes, and then fails, as a full or a bad disk does.
    struct Disk final : checkpoint::Sink {
        std::expected<void, checkpoint::Failure> write(ByteView more) override;
        std::vector<std::uint8_t> bytes{};
        std::size_t room = SIZE_MAX;
    };
    /// The ends of the streams, and how many such records the host had made before.
    struct Stamped {
        Monitor::Record ends{};
        std::uint64_t number = 0;
    };
    /// A snapshot on its way to the storage.
    struct Pending {
        CutId cut = 0;
        Instant cut_at{};
        AppValue app{};
        Stamped record{};
        std::optional<std::uint64_t> digest{};  ///< of the stack, for some cuts
        Lsn journal_lsn = 0;                    ///< the cut's place in the journal
        Disk sink{};
        std::vector<std::uint8_t> increment{};  ///< the same cut on the last one, to compare
        std::optional<checkpoint::Encoder> encoder{};
        Instant durable_at = never;
        Instant told_at = never;
        bool is_durable = false;
    };
    /// What the host comes back with.
    struct Image {
        std::vector<std::uint8_t> snapshot{};
        std::optional<test::Arena> arena{};  ///< the arena itself survived, instead
        AppValue app{};
        Stamped record{};
        Instant at{};
    };
    /// Under policy journal. The application's last state stays what it is through death and replay, for the others to
    /// compare with; the one that was rolled back does again what the journal holds, and then takes its place.
    struct Journaled {
        Journaled(Host& host, std::size_t capacity) : disk(host, capacity) {}
        JournalDisk disk;
        test::Arena memory{Journal::memory_bytes_min};
        std::uint64_t id = 0;
        std::optional<Journal> journal{};
        std::unique_ptr<App> replaying{};
        Stamped ends{};              ///< of the record on its way to the disk
        Lsn ends_at = UINT64_MAX;    ///< where it goes
        Instant written_at = never;  ///< when the disk has it
        Instant works_at = never;    ///< when a disk that fails works again
        Instant replay_at{};
    };
    /// A turn of a program under a journal.
    enum class Turn : std::uint8_t { step, ready };
    enum class Due : std::uint8_t { poll, app, cut, encode, storage, tell, die, ready, journal, card, count_ };

    [[nodiscard]] const HostPlan& plan() const { return plan_.host[index_]; }
    [[nodiscard]] bool is_held() const { return plan().config.policy != DurabilityPolicy::none; }
    [[nodiscard]] bool is_replaying() const { return journaled_ && journaled_->replaying; }
    [[nodiscard]] Instant host_time(Instant sim) const { return sim + skew_; }
    [[nodiscard]] Instant sim_time(Instant host) const { return host == never ? never : host - skew_; }
    [[nodiscard]] Instant due(Due what, Instant now, bool faults) const;
    void perform(Due what, Instant now, bool faults);
    void reschedule(Instant now);
    void replace_card(Instant now);
    Duration within(Duration most) {
        return {static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(most.ns) + 1))};
    }
    void transmitted(Frame frame);
    Stamped ends_now() { return {ends_of(*stack_), ++records_}; }
    /// What a life begins with.
    void set_durable(const Stamped& record);
    /// What a commit adds, unless something later is durable already.
    void advance_durable(const Stamped& record);
    [[nodiscard]] Monitor::Facts facts_of(ByteView frame) const;

    // host_storage.cpp
    void poll(Instant now);
    void take_cut(Instant now);
    void encode_some(Instant now);
    void encode_whole(Pending& p, Instant now);
    void on_encoded(Pending& p, Instant now);
    void abandon(Instant now, std::size_t i);
    void make_durable(Instant now);
    void draw_write_error(Pending& p);
    void fail_write(Instant now, const checkpoint::Failure& failure);
    void check_torn_writes();
    void tell(Instant now);
    void check_decodes(const Pending& p);
    void check_restores(const Pending& p);
    void check_owed();
    void make_image(Pending& p);
    checkpoint::EncodeOptions encode_options(const Pending& p) const;

    // host_journal.cpp
    void create_journal();
    void open_journal();
    void lose_journal();
    void note_ends(Lsn at);
    void begin_write();
    void end_write(Instant now, bool faults);
    App::Did program_turn(App& app, Turn what, Instant now, bool faults);
    void begin_replay(Instant now);
    void replay(Instant now, bool faults);
    void end_replay(Instant now);

    // host_life.cpp
    void maybe_die(Place place, Instant now, bool faults);
    void begin_death(Instant now);
    void crash(Instant now, std::uint64_t where);
    void freeze(Instant now);
    void exit_suspended(Instant now);
    void come_up(Instant now, std::span<const std::unique_ptr<Host>> all);
    void create(Instant now);
    void restore(Instant now);
    void attach(Instant now);
    void check_verdicts(const std::vector<checkpoint::SocketReport>& reports) const;
    void check_sockets() const;
    void check_kept() const;
    void check_promises(const Host& peer) const;
    std::array<std::uint8_t, 32> entropy();

    const Plan& plan_;
    unsigned index_;
    const Everyone* everyone_ = nullptr;
    Trace& trace_;
    Network& network_;
    Monitor& monitor_;
    Dice dice_;
    bool compares_increments_ = false;  ///< on some hosts: it takes a copy of the arena at each cut
    Dice judge_;  ///< what is looked at more closely: another stream, so that looking changes nothing
    Nic nic_;
    App app_;
    test::Arena arena_;
    std::optional<Stack> stack_;
    std::deque<std::unique_ptr<Pending>> pending_;
    std::optional<Image> image_;
    std::unique_ptr<Journaled> journaled_;
    std::uint64_t records_ = 0;  ///< of stream ends
    Stamped durable_{};          ///< the last one that is
    IncrementCheck increments_;
    Tally tally_;

    bool up_ = false;
    Instant up_at_{};
    Instant now_{};    ///< of this turn
    Duration skew_{};  ///< each life has a clock of its own
    Instant poll_at_ = never;
    Instant cut_at_ = never;
    Instant ready_at_ = never;
    Instant last_cut_{};
    bool changed_ = false;          ///< since the last cut
    bool encode_at_once_ = false;   ///< the last cut was overrun
    bool storage_is_sure_ = false;  ///< does not fail now
    bool suspending_ = false;
    bool draining_ = false;
    unsigned deaths_left_ = 0;
    std::size_t next_death_ = 0, next_card_ = 0;
    std::uint64_t cookies_before_ = 0;
    std::uint64_t images_ = 0;          ///< of this life
    std::uint64_t polls_ = 0;
    Instant neighbor_waited_{};         ///< when a packet last waited for one
};

}  // namespace keepnet::sim
