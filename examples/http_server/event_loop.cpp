#include "event_loop.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "snapshotter.hpp"

namespace http_server {
namespace {

using keepnet::Duration;
using keepnet::Instant;

// A failed snapshot (a full disk) is tried again, not at once; output waits meanwhile.
constexpr Duration retry_after_failure = keepnet::seconds(1);
constexpr int ready_sockets_per_turn = 256;

class EventLoop {
  public:
    EventLoop(keepnet::Stack& stack, Server& server, keepnet::checkpoint::SnapshotStore& store,
              const Fd& signals, Fd done, const EventLoopConfig& config)
        : stack_(stack),
          server_(server),
          signals_(signals),
          done_(std::move(done)),
          config_(config),
          snapshotter_(stack, store, done_.get()) {}

    std::expected<void, std::string> run() {
        while (phase_ != Phase::finished) {
            const auto now = clock_now();
            const auto wake = std::min(turn(now), now + keepnet::seconds(60));
            sleep_until(wake);
            if (device_gone_) return std::unexpected("the network interface is gone");
            if (suspend_until_ <= clock_now()) return std::unexpected("could not suspend in order in time");
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
            server_.on_ready(*socket, now);
        }
        if (server_.next_deadline() <= now) server_.on_time(now);
        if (ready == ready_sockets_per_turn) wake = now;
        wake = std::min(wake, progress_suspend(now));
        wake = std::min(wake, snapshot_if_wanted(now));
        return std::min({wake, stack_.next_deadline(), server_.next_deadline()});
    }

    Instant snapshot_if_wanted(Instant now) {
        if (snapshotter_.busy()) return snapshotter_.sweep() ? now : keepnet::never;
        const auto wanted = stack_.commit_wanted();
        if (wanted == keepnet::never) return keepnet::never;
        const auto due = std::max(wanted, next_snapshot_);
        if (due > now) return due;
        take_snapshot(now);
        return now;
    }

    void take_snapshot(Instant now) {
        next_snapshot_ = now + config_.snapshot_interval;
        std::vector<std::uint8_t> blob;
        server_.save(blob);
        if (const auto started = snapshotter_.start(std::move(blob)); !started)
            on_failure(now, started.error());
        (void)snapshotter_.sweep();
    }

    void on_failure(Instant now, const std::string& why) {
        next_snapshot_ = now + retry_after_failure;
        if (why != last_failure_) std::fprintf(stderr, "http_server: no snapshot: %s\n", why.c_str());
        last_failure_ = why;
    }

    // DURABILITY 9: what is in flight is taken in and acknowledged, then one more snapshot, then the last
    // ACKs.
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
                return keepnet::never;
        }
        return std::max(now, std::max(next_snapshot_, now + keepnet::milliseconds(10)));
    }

    void sleep_until(Instant wake) {
        const auto left = std::max(wake - clock_now(), Duration{0});
        const timespec timeout{.tv_sec = left.ns / 1'000'000'000, .tv_nsec = left.ns % 1'000'000'000};
        std::array<pollfd, 3> fds{pollfd{.fd = config_.device_fd, .events = POLLIN, .revents = 0},
                                  pollfd{.fd = done_.get(), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0}};
        if (::ppoll(fds.data(), fds.size(), &timeout, nullptr) <= 0) return;
        // Without an interface there is nobody to serve, and the descriptor would be ready for ever.
        if ((fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) device_gone_ = true;
        if (fds[1].revents != 0) on_snapshot_done();
        if (fds[2].revents != 0) on_signal();
    }

    void on_snapshot_done() {
        std::uint64_t count = 0;
        if (::read(done_.get(), &count, sizeof count) < 0) return;
        const auto finished = snapshotter_.finish();
        last_failed_ = !finished;
        if (finished) {
            last_failure_.clear();
        } else {
            on_failure(clock_now(), finished.error());
        }
    }

    void on_signal() {
        signalfd_siginfo info{};
        if (::read(signals_.get(), &info, sizeof info) < 0) return;
        if (phase_ != Phase::serving) return;
        const auto now = clock_now();
        phase_ = Phase::suspending;
        suspend_until_ = now + config_.suspend_max;
        stack_.suspend(now);
    }

    keepnet::Stack& stack_;
    Server& server_;
    const Fd& signals_;
    Fd done_;
    EventLoopConfig config_;
    Snapshotter snapshotter_;
    Phase phase_ = Phase::serving;
    Instant next_snapshot_{};
    Instant suspend_until_ = keepnet::never;
    std::string last_failure_;
    bool last_failed_ = false;
    bool device_gone_ = false;
};

}  // namespace

Fd::~Fd() {
    if (fd_ >= 0) ::close(fd_);
}

Instant clock_now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return {std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

std::expected<Fd, std::string> catch_termination() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0) {
        if (Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)); fd) return fd;
    }
    return std::unexpected(std::string("signalfd: ") + std::strerror(errno));
}

std::expected<void, std::string> run_event_loop(keepnet::Stack& stack, Server& server,
                                                keepnet::checkpoint::SnapshotStore& store, const Fd& signals,
                                                const EventLoopConfig& config) {
    Fd done(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!done) return std::unexpected(std::string("eventfd: ") + std::strerror(errno));
    EventLoop loop(stack, server, store, signals, std::move(done), config);
    return loop.run();
}

}  // namespace http_server
