// Time that moves when somebody asks for it. One thread drives: it moves the clock from one deadline to the next. Calls that
// block come on other threads; while one of those runs, the clock stands still, so what a call does when it wakes happens at
// the instant that woke it.
#pragma once

#include <condition_variable>
#include <list>
#include <thread>

#include <keepnet/posix_runtime.hpp>

namespace keepnet::packetdrill {

class VirtualTime final : public posix::Clock {
  public:
    /// The thread that makes it drives.
    explicit VirtualTime(Instant start) : now_(start), driver_(std::this_thread::get_id()) {}
    void use(posix::Runtime& runtime) { runtime_ = &runtime; }

    // --- with the runtime's lock held ---

    /// Runs everything that is due, at its own instant, up to and at `to`; then it is `to`.
    void advance(posix::Lock& lock, Instant to);
    /// What happened at this instant takes its effect: the stacks are polled, and calls that were woken have returned or
    /// sleep again.
    void settle(posix::Lock& lock);
    /// When something happens by itself next; `never`: not before somebody does something.
    [[nodiscard]] Instant next_event() const;
    [[nodiscard]] bool is_driver() const { return std::this_thread::get_id() == driver_; }

    /// A call on another thread than the driver's, from its first to its last step.
    class Call {
      public:
        Call(VirtualTime& time, posix::Runtime& runtime);
        Call(const Call&) = delete;
        Call& operator=(const Call&) = delete;
        ~Call();

      private:
        VirtualTime& time_;
        posix::Runtime& runtime_;
    };
    /// When this thread's last call ended, once; `never`: it has been told, or there was none.
    static Instant take_end_of_call();

    // --- Clock ---

    Instant now() override { return now_; }
    /// On the driver's thread nobody else would move time, so it moves.
    void sleep(posix::Lock& lock, posix::Waiter& waiter) override;
    void woken(posix::Waiter& waiter) override;
    void turned(Instant) override {}  // next_event() asks

  private:
    struct Sleeper {
        posix::Waiter& waiter;
        bool awake = false;
        std::condition_variable_any wake{};
    };
    void wake(Sleeper& sleeper);
    void wake_expired();

    Instant now_;
    std::thread::id driver_;
    posix::Runtime* runtime_ = nullptr;
    unsigned running_ = 0;  ///< calls on other threads that do not sleep
    std::condition_variable_any idle_{};
    std::list<Sleeper> sleepers_{};
};

}  // namespace keepnet::packetdrill
