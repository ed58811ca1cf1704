// What it costs that nothing is promised before it is durable: throughput and latency under each policy, in
// one run.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <time.h>
#include <unistd.h>

#include <keepnet/checkpoint.hpp>
#include <keepnet/journal.hpp>
#include <keepnet/journal_file.hpp>
#include <keepnet/journal_region.hpp>

#include "bench/benchmarks.hpp"
#include "bench/measure.hpp"
#include "bench/pair.hpp"

namespace keepnet::bench {
namespace {

constexpr std::uint16_t mtu = 1440 + 40 + 20 + 12;
constexpr std::size_t request_bytes = 64;
constexpr Duration measured_time = milliseconds(1500);  // of each figure

Instant wall_now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return {std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// Makes cuts durable on a thread of its own, so that a slow disk delays nobody but who waits for it.
class Disk {
  public:
    explicit Disk(checkpoint::SnapshotStore& store) : store_(store), thread_([this] { run(); }) {}
    ~Disk() {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    void write(std::vector<std::uint8_t> bytes) {
        {
            const std::lock_guard lock(mutex_);
            bytes_ = std::move(bytes);
        }
        done_.store(false);
        changed_.notify_one();
    }
    [[nodiscard]] bool is_done() const { return done_.load(); }
    [[nodiscard]] bool has_failed() const { return failed_.load(); }

  private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return stop_ || bytes_; });
            if (stop_) return;
            const auto bytes = *std::exchange(bytes_, std::nullopt);
            lock.unlock();
            auto writer = store_.begin();
            if (!writer || !(*writer)->write(bytes) || !(*writer)->commit()) failed_.store(true);
            done_.store(true);
            lock.lock();
        }
    }

    checkpoint::SnapshotStore& store_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<std::vector<std::uint8_t>> bytes_;
    std::atomic<bool> done_{false}, failed_{false};
    bool stop_ = false;
    std::thread thread_;
};

/// Whoever moves the marks of the server: called after every poll.
class Committer {
  public:
    virtual ~Committer() = default;
    virtual void attach(Stack&) {}
    virtual void step(Stack& stack, Instant now) = 0;
    std::size_t commits = 0;
    std::vector<double> commit_us{};
};

class Nobody final : public Committer {
  public:
    void step(Stack&, Instant) override {}
};

class Snapshots final : public Committer {
  public:
    /// `store`: null for memory.
    Snapshots(Duration interval, checkpoint::SnapshotStore* store) : interval_(interval) {
        if (store != nullptr) disk_.emplace(*store);
    }

    void step(Stack& stack, Instant now) override {
        if (cut_) return finish(stack, now);
        const Instant wanted = stack.commit_wanted();
        if (wanted == never || later(wanted, next_) > now) return;
        const auto cut = stack.cut();
        if (!cut) throw std::runtime_error("cut: " + std::string(name(cut.error())));
        cut_ = *cut;
        cut_at_ = now;
        next_ = now + interval_;
        checkpoint::VectorSink sink;
        if (const auto encoded = checkpoint::encode(stack, *cut, {}, sink); !encoded)
            throw std::runtime_error("encode: " + encoded.error().message);
        if (disk_) disk_->write(std::move(sink.bytes));
        finish(stack, wall_now());
    }

  private:
    void finish(Stack& stack, Instant now) {
        if (disk_ && !disk_->is_done()) return;
        if (disk_ && disk_->has_failed()) throw std::runtime_error("the snapshot cannot be written");
        if (!stack.committed(*cut_)) throw std::runtime_error("committed");
        ++commits;
        commit_us.push_back(static_cast<double>((now - cut_at_).ns) * 1e-3);
        cut_.reset();
    }

    Duration interval_;
    std::optional<Disk> disk_;
    std::optional<CutId> cut_;
    Instant cut_at_{}, next_{};
};

/// A journal of 256 MiB, in a file or in memory; a snapshot in memory whenever it asks for one, which
/// truncates it.
class Journaled final : public Committer {
  public:
    explicit Journaled(bool on_disk) {
        constexpr std::size_t bytes = 256U << 20;
        constexpr std::uint64_t id = 1;
        if (on_disk) {
            path_ = std::filesystem::current_path() / ("keepnet-bench.journal." + std::to_string(getpid()));
            auto file = FileJournal::open(path_, bytes);
            if (!file) throw std::runtime_error(file.error().message);
            file_ = std::move(*file);
            if (!file_->format(id)) throw std::runtime_error("the journal cannot be formatted");
        } else {
            region_memory_.emplace(bytes);
            auto* const at = reinterpret_cast<std::uint8_t*>(region_memory_->bytes().data());
            region_.emplace(MutableBytes{at, bytes});
            if (!region_->format(id)) throw std::runtime_error("the journal cannot be formatted");
        }
        JournalStore& store = on_disk ? static_cast<JournalStore&>(*file_) : *region_;
        auto journal = Journal::create(memory_.bytes(), store, {.id = id, .epoch = 1});
        if (!journal) throw std::runtime_error("journal: " + std::string(name(journal.error())));
        journal_.emplace(std::move(*journal));
    }
    ~Journaled() override {
        if (!path_.empty()) std::filesystem::remove(path_);
    }

    void attach(Stack& stack) override {
        if (!stack.attach_journal(*journal_)) throw std::runtime_error("attach_journal");
    }
    void step(Stack& stack, Instant now) override {
        if (journal_->durable() != durable_) ++commits;
        durable_ = journal_->durable();
        if (stack.commit_wanted() > now) return;
        const auto cut = stack.cut();
        if (!cut) throw std::runtime_error("cut: " + std::string(name(cut.error())));
        checkpoint::VectorSink sink;
        if (!checkpoint::encode(stack, *cut, {}, sink) || !stack.committed(*cut))
            throw std::runtime_error("snapshot");
    }

  private:
    std::filesystem::path path_;
    ArenaMemory memory_{16U << 20};
    std::optional<ArenaMemory> region_memory_;
    std::unique_ptr<FileJournal> file_;
    std::optional<RegionJournal> region_;
    std::optional<Journal> journal_;
    Lsn durable_ = 0;
};

/// Gbit/s, once the windows are open.
double rate_of(Pair& pair, Pair::Direction direction, Duration opening) {
    const Instant begin = wall_now() + opening;
    const std::size_t bytes = pair.stream(direction, begin, begin + measured_time);
    pair.settle();
    return static_cast<double>(bytes) * 8 / static_cast<double>(measured_time.ns);
}

void measure_policy(benchmark::State& state, DurabilityPolicy policy, Duration interval,
                    Committer& committer) {
    // Slow start has a commit for each round trip, and an ACK for eight segments.
    const Duration opening = milliseconds(200) + interval * 30;
    StackConfig client = config_for(1);
    client.tcp.send_buffer = client.tcp.receive_buffer = 1U << 20;
    StackConfig server = client;
    server.policy = policy;
    Pair pair(client, server, mtu, [&](Stack& stack) { committer.attach(stack); });
    pair.clock = wall_now;
    pair.after_poll = [&] { committer.step(pair.server(), pair.now()); };
    pair.connect(1);
    for (auto _ : state) {
        const Instant begin = wall_now();
        const std::size_t commits = committer.commits;
        state.counters["up_gbit_s"] = rate_of(pair, Pair::Direction::to_server, opening);
        state.counters["down_gbit_s"] = rate_of(pair, Pair::Direction::to_client, opening);
        const double seconds = static_cast<double>((wall_now() - begin).ns) * 1e-9;
        if (committer.commits != commits)
            state.counters["commits_s"] = static_cast<double>(committer.commits - commits) / seconds;
        if (!committer.commit_us.empty()) state.counters["commit_us"] = median(committer.commit_us);
        std::vector<double> latency_us;
        for (const Instant end = wall_now() + measured_time; pair.now() < end;) {
            const Instant asked = wall_now();
            pair.exchange(request_bytes);
            latency_us.push_back(static_cast<double>((wall_now() - asked).ns) * 1e-3);
        }
        std::ranges::sort(latency_us);
        state.counters["p50_us"] = latency_us[latency_us.size() / 2];
        state.counters["p99_us"] = latency_us[latency_us.size() * 99 / 100];
    }
}

void add_policy(const std::string& name, DurabilityPolicy policy, Duration interval,
                std::unique_ptr<Committer> (*make)(checkpoint::SnapshotStore&)) {
    add(("policy/" + name).c_str(), [policy, interval, make](benchmark::State& state) {
        const auto path = std::filesystem::current_path() / ("keepnet-bench." + std::to_string(getpid()));
        auto store = checkpoint::FileStore::open(path);
        if (!store) throw std::runtime_error(store.error().message);
        const auto committer = make(*store);
        measure_policy(state, policy, interval, *committer);
        std::filesystem::remove(path);
    })->Iterations(1);
}

template <int Milliseconds, bool OnDisk>
std::unique_ptr<Committer> snapshots(checkpoint::SnapshotStore& store) {
    return std::make_unique<Snapshots>(milliseconds(Milliseconds), OnDisk ? &store : nullptr);
}

template <bool OnDisk>
std::unique_ptr<Committer> journaled(checkpoint::SnapshotStore&) {
    return std::make_unique<Journaled>(OnDisk);
}

template <int Milliseconds, bool OnDisk>
void add_snapshots() {
    add_policy("snapshot, " + std::to_string(Milliseconds) + " ms, " + (OnDisk ? "disk" : "memory"),
               DurabilityPolicy::snapshot, milliseconds(Milliseconds), snapshots<Milliseconds, OnDisk>);
}

}  // namespace

void register_policies() {
    add_policy(
        "none", DurabilityPolicy::none, {},
        [](checkpoint::SnapshotStore&) -> std::unique_ptr<Committer> { return std::make_unique<Nobody>(); });
    add_snapshots<1, false>();
    add_snapshots<10, false>();
    add_snapshots<100, false>();
    add_snapshots<1, true>();
    add_snapshots<10, true>();
    add_snapshots<100, true>();
    for (const bool on_disk : {true, false})
        add_policy(on_disk ? "journal, disk" : "journal, memory", DurabilityPolicy::journal, milliseconds(10),
                   on_disk ? journaled<true> : journaled<false>);
}

}  // namespace keepnet::bench
