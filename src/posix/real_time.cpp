// RealTime: CLOCK_MONOTONIC and one thread.
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <keepnet/posix_runtime.hpp>

namespace keepnet::posix {

struct RealTime::Thread {
    std::thread thread{};
    std::vector<pollfd> watched{};  ///< the first is `wake`
    int wake = -1;
    Instant armed = never;  ///< until then it sleeps; with the lock
    std::atomic<bool> running{false};
    std::atomic<bool> stopping{false};
    int process = 0;  ///< whose it is

    void run(RealTime& clock, Runtime& runtime) {
        Lock lock = runtime.lock();
        while (!stopping) {
            armed = {INT64_MIN};  // awake: nobody need wake it
            const Instant next = runtime.turn();
            const Instant now = clock.now();
            armed = next;
            const std::int64_t wait_ns =
                next == never ? seconds(3600).ns : std::max<std::int64_t>(0, (next - now).ns);
            const timespec timeout{.tv_sec = wait_ns / 1'000'000'000, .tv_nsec = wait_ns % 1'000'000'000};
            lock.unlock();
            ::ppoll(watched.data(), watched.size(), &timeout, nullptr);
            if ((watched.front().revents & POLLIN) != 0) {
                eventfd_t count = 0;
                ::eventfd_read(wake, &count);
            }
            lock.lock();
        }
    }
};

RealTime::RealTime() : thread_(std::make_unique<Thread>()) {
    thread_->wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}
RealTime::~RealTime() {
    stop();
    ::close(thread_->wake);
}

void RealTime::start(Runtime& runtime, std::span<const int> devices) {
    stop();
    Thread& t = *thread_;
    t.stopping = false;
    t.watched.assign(1, {.fd = t.wake, .events = POLLIN, .revents = 0});
    for (const int fd : devices) t.watched.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    t.running = true;
    t.process = ::getpid();
    // A program's handlers do not expect a thread that they do not know.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    t.thread = std::thread([this, &runtime] { thread_->run(*this, runtime); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void RealTime::stop() {
    Thread& t = *thread_;
    if (!t.thread.joinable()) return;
    if (t.process != ::getpid()) return t.thread.detach();  // a child: the thread is its parent's
    t.stopping = true;
    ::eventfd_write(t.wake, 1);
    t.thread.join();
    t.running = false;
}

Instant RealTime::now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return {std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

void RealTime::sleep(Lock& lock, Waiter& waiter) {
    const Instant until = waiter.deadline();
    while (!waiter.is_woken()) {
        const Instant t = now();
        if (t >= until) return;
        waiter.wait(lock, until == never ? Duration{never.ns} : until - t);
    }
}

void RealTime::turned(Instant next) {
    if (thread_->running && next < thread_->armed) {
        thread_->armed = next;
        ::eventfd_write(thread_->wake, 1);
    }
}

}  // namespace keepnet::posix
