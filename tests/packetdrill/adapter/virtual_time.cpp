#include "packetdrill/adapter/virtual_time.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace keepnet::packetdrill {

namespace {

thread_local Instant end_of_call = never;

/// Rounds at one instant after which the stack is taken to be going in circles.
constexpr unsigned rounds_max = 100'000;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "keepnet-packetdrill: %s\n", what);
    std::abort();
}

}  // namespace

void VirtualTime::advance(posix::Lock& lock, Instant to) {
    settle(lock);
    unsigned rounds = 0;
    for (Instant next = next_event(); next <= to; next = next_event()) {
        rounds = next > now_ ? 0 : rounds + 1;
        if (rounds > rounds_max) fail("the stack has always something to do at once");
        now_ = later(now_, next);
        settle(lock);
    }
    now_ = later(now_, to);
}

void VirtualTime::settle(posix::Lock& lock) {
    wake_expired();
    idle_.wait(lock, [this] { return running_ == 0; });
    runtime_->turn();
    // Turning may have woken calls, which turn by themselves where they made output.
    idle_.wait(lock, [this] { return running_ == 0; });
}

Instant VirtualTime::next_event() const {
    Instant next = runtime_->next_deadline();
    for (const Sleeper& s : sleepers_) next = earlier(next, s.waiter.deadline());
    return next;
}

VirtualTime::Call::Call(VirtualTime& time, posix::Runtime& runtime) : time_(time), runtime_(runtime) {
    const posix::Lock lock = runtime_.lock();
    ++time_.running_;
}

VirtualTime::Call::~Call() {
    const posix::Lock lock = runtime_.lock();
    end_of_call = time_.now_;
    --time_.running_;
    time_.idle_.notify_all();
}

Instant VirtualTime::take_end_of_call() { return std::exchange(end_of_call, never); }

void VirtualTime::sleep(posix::Lock& lock, posix::Waiter& waiter) {
    if (is_driver()) {
        const Instant next = earlier(next_event(), waiter.deadline());
        if (next == never) fail("a call that is not marked blocking waits for what cannot come");
        return advance(lock, next);
    }
    const auto self = sleepers_.emplace(sleepers_.end(), waiter);
    --running_;
    idle_.notify_all();
    self->wake.wait(lock, [&] { return self->awake; });
    sleepers_.erase(self);
}

void VirtualTime::woken(posix::Waiter& waiter) {
    for (Sleeper& s : sleepers_) {
        if (&s.waiter == &waiter) wake(s);
    }
}

void VirtualTime::wake(Sleeper& sleeper) {
    if (sleeper.awake) return;
    sleeper.awake = true;
    ++running_;
    sleeper.wake.notify_one();
}

void VirtualTime::wake_expired() {
    for (Sleeper& s : sleepers_) {
        if (s.waiter.deadline() <= now_) wake(s);
    }
}

}  // namespace keepnet::packetdrill
