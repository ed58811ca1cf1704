// The loop around a stack and an application: polls, sleeps, asks for snapshots, suspends on SIGTERM.
#include <keepnet/hosted/host.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <keepnet/hosted/snapshotter.hpp>

namespace keepnet::hosted {
namespace {

// A failed snapshot (a full disk) is tried again, not at once; output waits meanwhile.
constexpr Duration retry_after_failure = seconds(1);
constexpr int ready_sockets_per_turn = 256;

struct LoopConfig {
    std::string name{};
    int device_fd = -1;  ///< readable when the device has frames
    int signal_fd = -1;
    Duration snapshot_interval{};
    Duration suspend_max{};
};

class EventLoop {
  public:
    EventLoop(Stack& stack, Application& application, checkpoint::SnapshotStore& store, const LoopConfig& config)
        : stack_(stack), application_(application), config_(config), snapshotter_(stack, store) {}
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;
    ~EventLoop() = default;

    Result<> run() {
        while (phase_ != Phase::finished) {
            const auto now = monotonic_now();
            const auto wake = std::min(turn(now), now + seconds(60));
            sleep_until(wake);
            if (device_gone_) return failed("the network interface is gone");
            if (suspend_until_ <= monotonic_now()) return failed("could not suspend in order in time");
        }
        return {};
    }

  private:
    enum class Phase : std::uint8_t { invalid = 0, serving, suspending, last_snapshot, finished };

    /// One round; returns when the next is due at the latest.
    Instant turn(Instant now) {
        auto wake = stack_.poll(now).next_deadline;
        int ready = 0;
        for (; ready < ready_sockets_per_turn; ++ready) {
            const auto socket = stack_.next_ready();
            if (!socket) break;
            application_.on_ready(stack_, *socket, now);
        }
        if (application_.next_deadline() <= now) application_.on_time(stack_, now);
        if (ready == ready_sockets_per_turn) wake = now;
        wake = std::min(wake, progress_suspend(now));
        wake = std::min(wake, snapshot_if_wanted(now));
        return std::min({wake, stack_.next_deadline(), application_.next_deadline()});
    }

    Instant snapshot_if_wanted(Instant now) {
        if (snapshotter_.busy()) return snapshotter_.sweep() ? now : never;
        const auto wanted = stack_.commit_wanted();
        if (wanted == never) return never;
        const auto due = std::max(wanted, next_snapshot_);
        if (due > now) return due;
        take_snapshot(now);
        return now;
    }

    void take_snapshot(Instant now) {
        next_snapshot_ = now + config_.snapshot_interval;
        const auto started = snapshotter_.start({{config_.name, application_.save()}});
        if (!started) on_failure(now, started.error());
        (void)snapshotter_.sweep();
    }

    void on_failure(Instant now, const Failure& failure) {
        const std::string& why = failure.message;
        next_snapshot_ = now + retry_after_failure;
        if (why != last_failure_) std::fprintf(stderr, "%s: no snapshot: %s\n", config_.name.c_str(), why.c_str());
        last_failure_ = why;
    }

    // DURABILITY 9: what is in flight is taken in and acknowledged, then one more snapshot, then the last ACKs.
    Instant progress_suspend(Instant now) {
        switch (phase_) {
            case Phase::suspending:
                if (!stack_.is_suspended() || snapshotter_.busy() || next_snapshot_ > now) break;
                take_snapshot(now);
                if (snapshotter_.busy()) phase_ = Phase::last_snapshot;
                return now;
            case Phase::last_snapshot:
                if (snapshotter_.busy()) break;
                phase_ = last_failed_ ? Phase::suspending : Phase::finished;
                return now;
            case Phase::invalid:
            case Phase::serving:
            case Phase::finished:
                return never;
        }
        return std::max(now, std::max(next_snapshot_, now + milliseconds(10)));
    }

    void sleep_until(Instant wake) {
        const auto left = std::max(wake - monotonic_now(), Duration{0});
        const timespec timeout{.tv_sec = left.ns / 1'000'000'000, .tv_nsec = left.ns % 1'000'000'000};
        std::array<pollfd, 3> fds{pollfd{.fd = config_.device_fd, .events = POLLIN, .revents = 0},
                                  pollfd{.fd = snapshotter_.fd(), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = config_.signal_fd, .events = POLLIN, .revents = 0}};
        if (::ppoll(fds.data(), fds.size(), &timeout, nullptr) <= 0) return;
        // Without an interface there is nobody to serve, and the descriptor would be ready for ever.
        if ((fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) device_gone_ = true;
        if (fds[1].revents != 0) on_snapshot_done();
        if (fds[2].revents != 0) on_signal();
    }

    void on_snapshot_done() {
        const auto finished = snapshotter_.finish();
        last_failed_ = !finished;
        if (finished) {
            last_failure_.clear();
        } else {
            on_failure(monotonic_now(), finished.error());
        }
    }

    void on_signal() {
        signalfd_siginfo info{};
        if (::read(config_.signal_fd, &info, sizeof info) < 0) return;
        if (phase_ != Phase::serving) return;
        const auto now = monotonic_now();
        phase_ = Phase::suspending;
        suspend_until_ = now + config_.suspend_max;
        stack_.suspend(now);
    }

    Stack& stack_;
    Application& application_;
    LoopConfig config_;
    Snapshotter snapshotter_;
    Phase phase_ = Phase::serving;
    Instant next_snapshot_{};
    Instant suspend_until_ = never;
    std::string last_failure_;
    bool last_failed_ = false;
    bool device_gone_ = false;
};

}  // namespace

Result<> Application::resume(Stack& stack, ByteView, Instant now) {
    std::vector<SocketHandle> all;
    for (auto socket = stack.next_socket({}); socket; socket = stack.next_socket(socket)) all.push_back(socket);
    for (const auto socket : all) {
        if (const auto claimed = stack.claim(socket); !claimed)
            return failed("a restored socket cannot be claimed: " + std::string(keepnet::name(claimed.error())));
    }
    for (const auto socket : all) on_ready(stack, socket, now);
    return {};
}

Result<> listen(Stack& stack, const Endpoint& local, std::uint32_t backlog) {
    auto socket = stack.open_tcp();
    if (socket) socket = stack.bind(*socket, local);
    if (socket) socket = stack.listen(*socket, backlog);
    if (socket) return {};
    return failed("port " + std::to_string(local.port) + ": " + std::string(keepnet::name(socket.error())));
}

Host::~Host() = default;

Result<std::unique_ptr<Host>> Host::open(HostOptions options) {
    std::unique_ptr<Host> host(new Host(std::move(options)));
    const HostOptions& o = host->options_;
    if (o.catch_signals) {
        auto signals = catch_termination();
        if (!signals) return std::unexpected(signals.error());
        host->signals_ = std::move(*signals);
    }
    auto lock = lock_directory(o.state, "server");
    if (!lock) return std::unexpected(lock.error());
    host->lock_ = std::move(*lock);
    auto store = checkpoint::FileStore::open(o.state + "/snapshot");
    if (!store) return failed(store.error().message);
    host->store_ = std::move(*store);
    auto network = Network::open(o.network, o.wrap);
    if (!network) return std::unexpected(network.error());
    host->network_ = std::move(*network);
    auto arena = Arena::map(Stack::arena_bytes(o.config));
    if (!arena) return std::unexpected(arena.error());
    host->arena_ = std::move(*arena);
    if (const auto restored = host->restore(); !restored) return std::unexpected(restored.error());
    if (const auto attached = host->network_->attach(*host->stack_, host->origin()); !attached)
        return std::unexpected(attached.error());
    return host;
}

Result<> Host::restore() {
    const auto refuse = [&](const std::string& why) {
        return failed(store_->path() + ": " + why + "; to give it up and start afresh, add --fresh");
    };
    const auto now = monotonic_now();
    const auto snapshot = options_.fresh ? std::unexpected(checkpoint::Failure{checkpoint::Code::not_found})
                                         : store_->load();
    if (!snapshot && snapshot.error().code != checkpoint::Code::not_found) return refuse(snapshot.error().message);
    if (!snapshot) {
        auto made = Stack::create(arena_->bytes(), options_.config,
                                  {.now = now, .entropy = entropy(), .arena_is_zeroed = true});
        if (!made) return failed("no stack: " + std::string(keepnet::name(made.error())));
        stack_ = std::move(*made);
        return {};
    }
    auto restored = checkpoint::restore(arena_->bytes(), options_.config, *snapshot,
                                        {.now = now,
                                         .wall_clock_ns = wall_clock_ns(),
                                         .entropy = entropy(),
                                         .icmp_kick = options_.icmp_kick,
                                         .arena_is_zeroed = true});
    if (!restored) return refuse(restored.error().message);
    for (auto& blob : restored->blobs) {
        if (blob.name != options_.name) continue;
        restored_ = std::move(blob.bytes);
        stack_ = std::move(restored->stack);
        return {};
    }
    return refuse("it is a snapshot of another program");
}

Result<> Host::begin(Application& application) {
    if (std::exchange(begun_, true)) return {};
    if (!restored_) return application.start(*stack_);
    if (const auto resumed = application.resume(*stack_, *restored_, monotonic_now()); !resumed) {
        return failed(store_->path() + ": the program's own part: " + resumed.error().message +
                      "; to give it up and start afresh, add --fresh");
    }
    stack_->ready(true);
    return {};
}

Result<> Host::run(Application& application) {
    if (const auto begun = begin(application); !begun) return begun;
    EventLoop loop(*stack_, application, *store_,
                   {.name = options_.name,
                    .device_fd = network_->fd(),
                    .signal_fd = signals_.get(),
                    .snapshot_interval = options_.snapshot_interval,
                    .suspend_max = options_.suspend_max});
    return loop.run();
}

Result<> Host::save(std::vector<std::uint8_t> saved) {
    checkpoint::EncodeOptions options;
    options.blobs.push_back({options_.name, std::move(saved)});
    options.wall_clock_ns = wall_clock_ns();
    const auto done = checkpoint::save(*stack_, *store_, std::move(options));
    if (!done) return failed(done.error().message);
    return {};
}

}  // namespace keepnet::hosted
