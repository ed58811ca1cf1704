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

/// Rounds of polls in one turn. Two stacks back to back answer each other within one instant; what is left
/// after these is due at once, and the clock is told so.
constexpr int rounds_max = 256;

/// Until the end of the scope, whatever ends it.
class Turning {
  public:
    explicit Turning(bool& flag) : flag_(flag) { flag_ = true; }
    Turning(const Turning&) = delete;
    Turning& operator=(const Turning&) = delete;
    ~Turning() { flag_ = false; }

  private:
    bool& flag_;
};

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

std::array<std::atomic<std::uint64_t>, descriptors_max / 64> our_numbers{};

Internals::Internals(Clock& c)
    : clock(c), process(::getpid()), readable(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {}
Internals::~Internals() { ::close(readable); }

Internals* current() {
    Internals* in = the_runtime.load(std::memory_order_acquire);
    return in != nullptr && in->process == ::getpid() ? in : nullptr;
}

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
    const Turning turning(in.turning);
    const Instant now = in.clock.now();
    bool moved = true;
    for (int round = 0; round < rounds_max && moved; ++round) {
        moved = false;
        for (const auto& host : in.stacks) {
            const PollResult result = host->stack->poll(now);
            moved = moved || result.frames_received != 0 || result.frames_sent != 0 ||
                    result.next_deadline <= now;
            hand_out(in, *host);
        }
    }
    for (const auto& host : in.stacks) {
        const Instant wanted = host->stack->commit_wanted();
        if (in.on_commit_wanted && wanted != never) in.on_commit_wanted(*host->stack, wanted);
    }
    const Instant next = moved ? now : next_deadline(in);
    in.clock.turned(next);
    return next;
}

Runtime::Runtime(Clock& clock) : internals_(std::make_unique<Internals>(clock)) {
    Internals* other = nullptr;
    if (the_runtime.compare_exchange_strong(other, internals_.get())) return;
    if (other->process == internals_->process) std::abort();  // one for a process
    // Inherited by fork(): nothing of it is here but numbers.
    for (auto& word : our_numbers) word = 0;
    the_runtime = internals_.get();
}

Runtime::~Runtime() {
    if (internals_->process != ::getpid()) {
        // In a child: its lock may be held by a thread that is not here.
        Internals* inherited = internals_.get();
        the_runtime.compare_exchange_strong(inherited, nullptr);
        return;
    }
    const Lock held = lock();
    the_runtime.store(nullptr, std::memory_order_release);
    Internals& in = *internals_;
    in.sockets.clear();
    for (auto& word : our_numbers) word = 0;
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
void Runtime::on_ready(std::function<void(Stack&, SocketHandle)> handler) {
    internals_->on_ready = std::move(handler);
}
void Runtime::on_commit_wanted(std::function<void(Stack&, Instant)> handler) {
    internals_->on_commit_wanted = std::move(handler);
}
std::vector<std::uint8_t> Runtime::save() const { return save_descriptors(*internals_); }
std::expected<void, Error> Runtime::restore(ByteView saved) {
    return restore_descriptors(*internals_, saved);
}

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
