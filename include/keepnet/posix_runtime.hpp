// What stands behind <keepnet/posix.h>: the process's stacks, who polls them, and on which clock a blocked call sleeps
// (hosted; needs keepnet::posix).
//
//     keepnet::posix::RealTime clock;                       // CLOCK_MONOTONIC, and a thread that polls
//     keepnet::posix::Runtime runtime(clock);
//     auto stack = *Stack::create(arena, config, {.now = clock.now(), .entropy = seed});
//     runtime.add(stack);
//     clock.start(runtime, {{tap.fd()}});                   // kn_ functions work from here on, on any thread
//     ...
//     clock.stop();
//
// An embedder with a loop of its own implements Clock and calls turn() instead; so does one whose time is virtual.
// One lock covers the stacks, the descriptors and every kn_ function; a thread that blocks gives it up and sleeps by
// itself. Whoever calls a Stack of the runtime directly holds the lock, and calls turn() after.
#pragma once

#include <csignal>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <keepnet/bytes.hpp>
#include <keepnet/error.hpp>
#include <keepnet/stack.hpp>
#include <keepnet/time.hpp>

struct kn_stack;

namespace keepnet::posix {

class Runtime;
struct Internals;

/// The lock of a runtime. While a thread has it, the thread's signals wait and nobody cancels it: a signal handler never finds
/// it taken by the thread that it interrupted, and no thread leaves what it guards half done. Signals that a thread sends to
/// itself by a fault (SIGSEGV and its like) do not wait.
class Mutex {
  public:
    Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;
    ~Mutex() = default;

    void lock();
    void unlock();

    /// What the thread that has the lock had before.
    struct Before {
        sigset_t signals{};
        int cancel = 0;
    };

  private:
    friend class Rest;

    std::mutex mutex_{};
    Before before_{};
};
using Lock = std::unique_lock<Mutex>;

/// A thread that sleeps in a call. All of it with the lock held.
class Waiter {
  public:
    /// Something that the call waits for has changed: it looks again.
    [[nodiscard]] virtual bool is_woken() const = 0;
    /// When the call gives up; `never`: not.
    [[nodiscard]] virtual Instant deadline() const = 0;
    /// Sleeps until woken, or for `real_time` (`never.ns`: no limit), with the lock given up: on a semaphore, or, where the
    /// call waits for descriptors of the kernel too, in poll(2), whose news wakes it. Here alone signal handlers run, and wake
    /// it as they would on Linux (signal(7)); here alone the thread can be cancelled; and a handler may leave with siglongjmp().
    virtual void wait(Lock& lock, Duration real_time) = 0;

  protected:
    Waiter() = default;
    Waiter(const Waiter&) = default;
    Waiter& operator=(const Waiter&) = default;
    ~Waiter() = default;
};

/// Who moves time. Every function is called with the lock held.
class Clock {
  public:
    /// The embedder's monotonic clock; the one with which the stacks were created.
    virtual Instant now() = 0;
    /// A call blocks: returns when waiter.is_woken(), or at its deadline, which is the call's to notice; too early is no
    /// harm. Gives the lock up meanwhile (Waiter::wait), or, where one thread does everything, moves time on and turns.
    virtual void sleep(Lock& lock, Waiter& waiter) = 0;
    /// `waiter`, which sleeps, was woken: for a clock that must know who is about to run.
    virtual void woken(Waiter& waiter) { static_cast<void>(waiter); }
    /// Runtime::turn() is over; it wants to be called again no later than `next`.
    virtual void turned(Instant next) = 0;

  protected:
    Clock() = default;
    Clock(const Clock&) = default;
    Clock& operator=(const Clock&) = default;
    ~Clock() = default;
};

/// One for a process at a time. Clock and stacks outlive it; connections outlive it in the stacks. It is of the process that
/// made it: in a child of fork() or vfork() every kn_ function is the kernel's, and the child may make a runtime of its own.
class Runtime {
  public:
    explicit Runtime(Clock& clock);
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;
    /// Closes every descriptor, and no connection. No call may be under way.
    ~Runtime();

    /// kn_ functions may use `stack` from now on. The first one added is the default of every thread (kn_attach).
    kn_stack* add(Stack& stack);

    [[nodiscard]] Lock lock();

    // --- with the lock held ---

    /// Polls every stack at Clock::now() until nothing moves, wakes the calls that can go on, and returns (and tells the
    /// clock) when it must be called again. Each kn_ function that made output does so itself.
    Instant turn();
    /// When turn() must come next.
    [[nodiscard]] Instant next_deadline() const;
    // Handlers run in turn(), with the lock held: they call Stack, and no kn_ function.

    /// Called for a socket that became ready and that has no descriptor.
    void on_ready(std::function<void(Stack&, SocketHandle)> handler);
    /// Called at the end of turn() while output waits for a commit, with the instant since which it does.
    void on_commit_wanted(std::function<void(Stack&, Instant)> handler);

    // --- persistence ---

    /// Descriptor flags, time-outs and epoll sets, to be stored beside the cut that is made in the same section of the lock:
    /// as a blob of the snapshot (EncodeOptions::blobs, by custom under `blob_name`).
    [[nodiscard]] std::vector<std::uint8_t> save() const;
    /// What save() gave, after a restore and before the first kn_adopt; the stacks were added in the same order. Fails whole: invalid_argument (damaged, or of a newer
    /// format).
    std::expected<void, Error> restore(ByteView saved);
    static constexpr const char* blob_name = "keepnet.posix";

    /// For this library's own modules.
    [[nodiscard]] Internals& internals() { return *internals_; }

  private:
    std::unique_ptr<Internals> internals_;
};

/// CLOCK_MONOTONIC, and a thread that turns the runtime: when a device's descriptor is readable, when the next deadline
/// passes, and when a call asks for an earlier one. No signal is ever delivered to that thread.
class RealTime final : public Clock {
  public:
    RealTime();
    RealTime(const RealTime&) = delete;
    RealTime& operator=(const RealTime&) = delete;
    ~RealTime();

    /// `devices`: descriptors that are readable when a device has frames. They stay the embedder's, open until stop().
    void start(Runtime& runtime, std::span<const int> devices);
    /// Ends the thread. Blocked calls stay blocked until start().
    void stop();

    Instant now() override;
    void sleep(Lock& lock, Waiter& waiter) override;
    void turned(Instant next) override;

  private:
    struct Thread;
    std::unique_ptr<Thread> thread_;
};

}  // namespace keepnet::posix
