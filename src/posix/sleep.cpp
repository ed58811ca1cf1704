#include "posix/sleep.hpp"

#include <algorithm>
#include <cerrno>

#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "posix/call.hpp"

namespace keepnet::posix {

namespace {

/// All but those that a thread causes itself: held back, they would end the process without its handler.
const sigset_t& held_back() {
    static const sigset_t signals = [] {
        sigset_t s;
        ::sigfillset(&s);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) ::sigdelset(&s, fault);
        return s;
    }();
    return signals;
}

/// A thread's sleeps, the innermost last: a handler that runs in one may sleep in another.
struct Sleeps {
    Sleeps() = default;
    Sleeps(const Sleeps&) = delete;
    Sleeps& operator=(const Sleeps&) = delete;
    ~Sleeps() {
        if (all.empty()) return;
        Internals* in = current();
        const Lock lock = in != nullptr ? Lock(in->mutex) : Lock();
        all.clear();
    }
    std::vector<std::unique_ptr<Sleeper>> all{};
};
thread_local Sleeps sleeps;

/// Those that are over without having returned: they lie below the frame that is about to sleep. A handler on
/// a stack of its own cannot tell, and leaves them.
void end_abandoned(const void* frame) {
    if (sleeps.all.empty() || sleeps.all.back()->frame() > frame) return;
    stack_t alternative{};
    if (::sigaltstack(nullptr, &alternative) != 0 || (alternative.ss_flags & SS_ONSTACK) != 0) return;
    while (!sleeps.all.empty() && sleeps.all.back()->frame() <= frame) sleeps.all.pop_back();
}

timespec timespec_of(std::int64_t ns) {
    return {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
}

/// The longest that a thread sleeps without a look at its clock.
constexpr Duration sleep_max = seconds(86'400);

}  // namespace

// --- the lock ---

void Mutex::lock() {
    Before before;
    ::pthread_sigmask(SIG_SETMASK, &held_back(), &before.signals);
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before.cancel);
    mutex_.lock();
    before_ = before;
}

void Mutex::unlock() {
    const Before before = before_;
    mutex_.unlock();
    ::pthread_setcancelstate(before.cancel, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &before.signals, nullptr);  // the last: a handler may not come back
}

Rest::Rest(Mutex& mutex) : mutex_(mutex), before_(mutex.before_) { mutex_.mutex_.unlock(); }

Rest::~Rest() {
    if (signals_allowed_) ::pthread_sigmask(SIG_SETMASK, &held_back(), nullptr);
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
    mutex_.mutex_.lock();
    mutex_.before_ = before_;
}

void Rest::allow_cancel() { ::pthread_setcancelstate(before_.cancel, nullptr); }

void Rest::allow_signals() {
    signals_allowed_ = true;
    ::pthread_sigmask(SIG_SETMASK, &before_.signals, nullptr);
}

// --- one sleep ---

Sleeper::Sleeper(Instant until, Interruption how, const void* frame)
    : deadline_(until), how_(how), frame_(frame) {
    ::sem_init(&semaphore_, 0, 0);
}

Sleeper::~Sleeper() {
    for (const auto& file : watched_) std::erase(file->sleepers, this);
    if (event_ >= 0) ::close(event_);
    ::sem_destroy(&semaphore_);
}

void Sleeper::wake() {
    if (woken_) return;
    woken_ = true;
    if (event_ >= 0) {
        ::eventfd_write(event_, 1);
    } else {
        ::sem_post(&semaphore_);
    }
    if (Internals* in = current()) in->clock.woken(*this);
}

void Sleeper::watch(File& file) {
    file.sleepers.push_back(this);
    watched_.push_back(file.shared_from_this());
}

bool Sleeper::make_event() {
    if (event_ >= 0) return true;
    event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_ >= 0) kernel_.push_back({.fd = event_, .events = POLLIN, .revents = 0});
    return event_ >= 0;
}

bool Sleeper::watch(std::span<const pollfd> kernel) {
    if (!make_event()) return false;
    kernel_.insert(kernel_.begin(), kernel.begin(), kernel.end());
    return true;
}

bool Sleeper::set_signals(const sigset_t& blocked) {
    has_signals_ = true;
    signals_ = blocked;
    return make_event();
}

void Sleeper::wait(Lock& lock, Duration real_time) {
    if (woken_) return;
    if (kernel_.empty()) {
        wait_for_semaphore(lock, real_time);
    } else {
        wait_in_poll(lock, real_time);
    }
    if (interrupted_) woken_ = true;
}

/// ppoll() changes the mask and sleeps in one step, so that no signal is lost between; and every handler ends
/// it.
void Sleeper::wait_in_poll(Lock& lock, Duration real_time) {
    const bool limited = real_time.ns < never.ns;
    const timespec timeout = timespec_of(std::clamp<std::int64_t>(real_time.ns, 0, sleep_max.ns));
    int news = 0;
    int error = 0;
    {
        Rest rest(*lock.mutex());
        rest.allow_cancel();
        news = ::ppoll(kernel_.data(), kernel_.size(), limited ? &timeout : nullptr,
                       has_signals_ ? &signals_ : &rest.signals());
        error = errno;
    }
    if (news < 0 && error == EINTR) interrupted_ = true;
    if (news != 0) woken_ = true;
}

/// Would one of the signals that wait end this sleep, if they were let in now?
bool Sleeper::would_interrupt(const sigset_t& blocked) const {
    sigset_t pending;
    if (::sigpending(&pending) != 0 || ::sigisemptyset(&pending) != 0) return false;
    for (int number = 1; number < NSIG; ++number) {
        struct sigaction action {};
        if (::sigismember(&pending, number) != 1 || ::sigismember(&blocked, number) == 1) continue;
        if (::sigaction(number, nullptr, &action) != 0) continue;
        if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) continue;
        if (how_ == Interruption::always || (action.sa_flags & SA_RESTART) == 0) return true;
    }
    return false;
}

/// sem_wait() is a cancellation point, and restarts behind a handler with SA_RESTART; with a deadline it
/// never does: just what Linux's sockets do (signal(7)). What came before it sleeps is looked at while it
/// still waits.
void Sleeper::wait_for_semaphore(Lock& lock, Duration real_time) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t most = std::clamp<std::int64_t>(real_time.ns, 0, sleep_max.ns);
    const timespec until = timespec_of(std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec + most);
    const bool restarts = how_ == Interruption::restart && real_time.ns == never.ns;
    int result = 0;
    int error = 0;
    {
        Rest rest(*lock.mutex());
        interrupted_ = would_interrupt(rest.signals());
        rest.allow_cancel();
        rest.allow_signals();
        if (!interrupted_) {
            result =
                restarts ? ::sem_wait(&semaphore_) : ::sem_clockwait(&semaphore_, CLOCK_MONOTONIC, &until);
            error = errno;
        }
    }
    if (result < 0 && error == EINTR) interrupted_ = true;
}

void File::wake_all() {
    for (Sleeper* s : sleepers) s->wake();
}

namespace {

Sleeper& add_sleeper(Instant until, Interruption how, const void* frame) {
    end_abandoned(frame);
    return *sleeps.all.emplace_back(std::make_unique<Sleeper>(until, how, frame));
}

}  // namespace

Sleep::Sleep(Instant until, Interruption how)
    : sleeper_(add_sleeper(until, how, __builtin_frame_address(0))) {}

Sleep::~Sleep() {
    // What lies behind it was left by siglongjmp().
    auto& all = sleeps.all;
    const auto at =
        std::find_if(all.begin(), all.end(), [this](const auto& s) { return s.get() == &sleeper_; });
    all.erase(at, all.end());
}

// --- a call's part ---

int Call::sleep(File& file, Instant deadline, bool partly) {
    if (deadline != never && now() >= deadline) return EAGAIN;
    const Sleep sleep(deadline, deadline == never && !partly ? Interruption::restart : Interruption::always);
    sleep->watch(file);
    if (this->sleep(*sleep)) return EINTR;
    return sleep->is_woken() || deadline == never || now() < deadline ? 0 : EAGAIN;
}

bool Call::sleep(Sleeper& sleeper) {
    if (sleeper.deadline() != never && now() >= sleeper.deadline()) {
        sleeper.wait(lock_, Duration{0});  // no time, but signals may be let in
    } else {
        in_->clock.sleep(lock_, sleeper);
    }
    return sleeper.is_interrupted();  // without another look: what the handler has done comes after the call
}

}  // namespace keepnet::posix
