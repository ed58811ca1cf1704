// Runtime: the turn of the stacks, and the calls that it wakes.
#include "posix/internals.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include <sys/eventfd.h>
#include <unistd.h>

#include "posix/call.hpp"
#include "posix/saved.hpp"

namespace keepnet::posix {

namespace {

std::atomic<Internals*> the_runtime{nullptr};
thread_local kn_stack* chosen = nullptr;

/// Rounds of polls in one turn. Two stacks back to back answer each other within one instant; what is left after these is
/// due at once, and the clock is told so.
constexpr int rounds_max = 256;

void hand_out(Internals& in, kn_stack& host) {
    while (const auto ready = host.stack->next_ready()) {
        const auto found = in.sockets.find({&host, ready->raw});
        if (found != in.sockets.end()) {
            look(*found->second, true);
        } else if (in.on_ready) {
            in.on_ready(*host.stack, *ready);
        }
    }
}

}  // namespace

Internals* current() { return the_runtime.load(std::memory_order_acquire); }

kn_stack* chosen_stack(Internals& in) {
    for (const auto& host : in.stacks) {
        if (host.get() == chosen) return chosen;
    }
    return in.stacks.empty() ? nullptr : in.stacks.front().get();
}

Instant next_deadline(const Internals& in) {
    Instant next = never;
    for (const auto& host : in.stacks) next = earlier(next, host->stack->next_deadline());
    return next;
}

Instant turn(Internals& in) {
    if (in.turning) return next_deadline(in);  // from a handler of ours
    in.turning = true;
    const Instant now = in.clock.now();
    bool moved = true;
    for (int round = 0; round < rounds_max && moved; ++round) {
        moved = false;
        for (const auto& host : in.stacks) {
            const PollResult result = host->stack->poll(now);
            moved = moved || result.frames_received != 0 || result.frames_sent != 0 || result.next_deadline <= now;
            hand_out(in, *host);
        }
    }
    for (const auto& host : in.stacks) {
        const Instant wanted = host->stack->commit_wanted();
        if (in.on_commit_wanted && wanted != never) in.on_commit_wanted(*host->stack, wanted);
    }
    in.turning = false;
    const Instant next = moved ? now : next_deadline(in);
    in.clock.turned(next);
    return next;
}

Runtime::Runtime(Clock& clock) : internals_(std::make_unique<Internals>(clock)) {
    Internals* none = nullptr;
    if (!the_runtime.compare_exchange_strong(none, internals_.get())) std::abort();  // one for a process
}

Runtime::~Runtime() {
    const Lock held = lock();
    the_runtime.store(nullptr, std::memory_order_release);
    Internals& in = *internals_;
    in.sockets.clear();
    for (std::size_t fd = 0; fd < in.files.size(); ++fd) {
        if (in.files[fd] != nullptr) ::close(static_cast<int>(fd));
    }
    for (const auto& [handle, set] : in.epolls) ::close(set->signal);
    in.epolls.clear();
    in.files.clear();
}

kn_stack* Runtime::add(Stack& stack) {
    const Lock held = lock();
    auto host = std::make_unique<kn_stack>();
    host->stack = &stack;
    host->number = static_cast<std::uint32_t>(internals_->stacks.size());
    internals_->stacks.push_back(std::move(host));
    return internals_->stacks.back().get();
}

Lock Runtime::lock() { return Lock(internals_->mutex); }
Instant Runtime::turn() { return posix::turn(*internals_); }
Instant Runtime::next_deadline() const { return posix::next_deadline(*internals_); }
void Runtime::on_ready(std::function<void(Stack&, SocketHandle)> handler) { internals_->on_ready = std::move(handler); }
void Runtime::on_commit_wanted(std::function<void(Stack&, Instant)> handler) {
    internals_->on_commit_wanted = std::move(handler);
}
std::vector<std::uint8_t> Runtime::save() const { return save_descriptors(*internals_); }
std::expected<void, Error> Runtime::restore(ByteView saved) { return restore_descriptors(*internals_, saved); }

// --- sleeping ---

Sleeper::~Sleeper() {
    if (event_ >= 0) ::close(event_);
}

void Sleeper::wake() {
    if (woken_) return;
    woken_ = true;
    changed_.notify_one();
    if (event_ >= 0) ::eventfd_write(event_, 1);
    if (Internals* in = current()) in->clock.woken(*this);
}

bool Sleeper::watch(std::span<pollfd> kernel) {
    event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_ < 0) return false;
    kernel_.assign(kernel.begin(), kernel.end());
    kernel_.push_back({.fd = event_, .events = POLLIN, .revents = 0});
    return true;
}

void Sleeper::wait(Lock& lock, Duration real_time) {
    const bool limited = real_time.ns < never.ns;
    const Duration most{std::clamp<std::int64_t>(real_time.ns, 0, seconds(86'400).ns)};
    if (kernel_.empty()) {
        if (woken_) return;
        if (limited) {
            changed_.wait_for(lock, std::chrono::nanoseconds(most.ns));
        } else {
            changed_.wait(lock, [this] { return woken_; });
        }
        return;
    }
    const timespec timeout{.tv_sec = most.ns / 1'000'000'000, .tv_nsec = most.ns % 1'000'000'000};
    // `events` alone is read by others.
    lock.unlock();
    const int news = ::ppoll(kernel_.data(), kernel_.size(), limited ? &timeout : nullptr, nullptr);
    lock.lock();
    if (news != 0) woken_ = true;  // EINTR too: the call looks, and finds out
}

bool Call::sleep(File& file, Instant deadline) {
    if (deadline != never && now() >= deadline) return false;
    Sleeper sleeper(deadline);
    file.sleepers.push_back(&sleeper);
    sleep(sleeper);
    std::erase(file.sleepers, &sleeper);
    return sleeper.is_woken() || deadline == never || now() < deadline;
}

void Call::sleep(Sleeper& sleeper) { in_->clock.sleep(lock_, sleeper); }

}  // namespace keepnet::posix

extern "C" int kn_attach(kn_stack* stack) {
    using namespace keepnet::posix;
    const Call call;
    if (!call) return fail(EINVAL);
    if (stack != nullptr && std::none_of(call.in().stacks.begin(), call.in().stacks.end(),
                                         [stack](const auto& host) { return host.get() == stack; })) {
        return fail(EINVAL);
    }
    chosen = stack;
    return 0;
}
