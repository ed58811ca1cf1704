// How a call sleeps. Handlers of signals run while it does, may call kn_ functions themselves, and may leave
// the call with siglongjmp(): so what a sleep needs belongs to the thread and not to the call's frame, and
// nothing waits for the call to return.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <poll.h>
#include <semaphore.h>
#include <signal.h>

#include "posix/internals.hpp"

namespace keepnet::posix {

/// The lock is given up: from the constructor to the destructor, which also runs when the thread is
/// cancelled.
class Rest {
  public:
    explicit Rest(Mutex& mutex);
    Rest(const Rest&) = delete;
    Rest& operator=(const Rest&) = delete;
    ~Rest();

    /// The thread can be cancelled.
    void allow_cancel();
    /// Its signals come.
    void allow_signals();
    [[nodiscard]] const sigset_t& signals() const { return before_.signals; }

  private:
    Mutex& mutex_;
    Mutex::Before before_;
    bool signals_allowed_ = false;
};

/// What a handler does to the call (signal(7)).
enum class Interruption : std::uint8_t {
    restart,  ///< EINTR, unless the handler has SA_RESTART
    always,   ///< EINTR: poll and its like; a call with a time-out; one that has moved a part
};

class Sleeper final : public Waiter {
  public:
    Sleeper(Instant until, Interruption how, const void* frame);
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    /// With the lock, as everything here.
    ~Sleeper();

    [[nodiscard]] bool is_woken() const override { return woken_; }
    [[nodiscard]] bool is_interrupted() const { return interrupted_; }
    [[nodiscard]] Instant deadline() const override { return deadline_; }
    void wait(Lock& lock, Duration real_time) override;

    void wake();
    /// News of the file end the sleep.
    void watch(File& file);
    /// Descriptors of the kernel end it too. False: there is no descriptor left to be woken by.
    [[nodiscard]] bool watch(std::span<const pollfd> kernel);
    /// The signals that wait meanwhile, instead of the thread's own: those that come at once, or while it
    /// sleeps, interrupt. False: as above.
    [[nodiscard]] bool set_signals(const sigset_t& blocked);

    /// In which it was made.
    [[nodiscard]] const void* frame() const { return frame_; }

  private:
    [[nodiscard]] bool make_event();
    void wait_in_poll(Lock& lock, Duration real_time);
    void wait_for_semaphore(Lock& lock, Duration real_time);
    [[nodiscard]] bool would_interrupt(const sigset_t& blocked) const;

    Instant deadline_;
    Interruption how_;
    const void* frame_;
    bool woken_ = false;
    bool interrupted_ = false;
    sem_t semaphore_{};
    std::vector<std::shared_ptr<File>> watched_{};
    std::vector<pollfd> kernel_{};  ///< with event_ as the last one; empty: the semaphore is enough
    int event_ = -1;
    bool has_signals_ = false;
    sigset_t signals_{};
};

class Call;

/// A sleep to come, of this thread. One that siglongjmp() left ends when the thread sleeps the next time, or
/// with the thread.
class Sleep {
  public:
    Sleep(Instant until, Interruption how);
    Sleep(const Sleep&) = delete;
    Sleep& operator=(const Sleep&) = delete;
    ~Sleep();
    Sleeper* operator->() const { return &sleeper_; }
    Sleeper& operator*() const { return sleeper_; }

  private:
    Sleeper& sleeper_;
};

}  // namespace keepnet::posix
