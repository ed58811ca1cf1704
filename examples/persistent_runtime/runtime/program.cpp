#include "program.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <keepnet/hosted/system.hpp>

namespace persistent_runtime {
namespace {

using keepnet::Duration;
using keepnet::Instant;

// A failed image (a full disk) is tried again, not at once; output waits meanwhile.
constexpr Duration retry_after_failure = keepnet::seconds(1);
constexpr int events_per_turn = 256;
// Between two images that cannot wait.
constexpr Duration urgent_interval = keepnet::milliseconds(20);
// Duplicate address detection takes a second; a script that begins with connect() should not see it fail.
constexpr Duration address_patience = keepnet::seconds(5);
constexpr Duration address_poll = keepnet::milliseconds(10);

}  // namespace

Program::Program(keepnet::Stack* stack, Arena& arena, Vm& vm, World& world, const ProgramConfig& config)
    : stack_(stack),
      vm_(vm),
      world_(world),
      config_(config),
      checkpointer_(stack, arena, config.state, config.done_fd),
      started_(world.clock().now()),
      next_image_(config.last_image + config.interval) {}

std::expected<void, std::string> Program::save() {
    take_image(world_.clock().now());
    while (checkpointer_.busy()) {
        (void)checkpointer_.sweep();
        pollfd done{.fd = config_.done_fd, .events = POLLIN, .revents = 0};
        if (::poll(&done, 1, 1) > 0) on_image_done();
    }
    if (last_failed_) return std::unexpected(last_failure_);
    return {};
}

std::expected<Ending, std::string> Program::run() {
    while (phase_ != Phase::finished) {
        const auto wake = turn();
        if (!wake) return std::unexpected(wake.error());
        if (phase_ == Phase::finished) break;
        sleep_until(std::min(*wake, world_.clock().now() + keepnet::seconds(60)));
        if (suspend_until_ <= world_.clock().now())
            return std::unexpected("could not suspend in order in time");
    }
    return ending_;
}

// Lets the script run on with an event, or with the one that came at this place before. False: nothing
// happened.
std::expected<bool, std::string> Program::dispatch(Event event) {
    const auto chosen = world_.choose(event);
    if (!chosen) return false;
    keepnet::SocketHandle socket{};
    if (*chosen == Event::socket) {
        const auto ready = stack_->next_ready();
        if (!ready) return false;
        socket = *ready;
    }
    const auto result = vm_.turn(*chosen, socket);
    if (!result) return std::unexpected("the interpreter: " + result.error());
    script_ = *result;
    changed_ = true;
    return true;
}

bool Program::has_addresses(Instant now) const {
    if (stack_ == nullptr || now - started_ > address_patience) return true;
    std::array<keepnet::AddressInfo, 16> addresses;
    const auto count = std::min(stack_->addresses(addresses), addresses.size());
    return std::ranges::none_of(std::span{addresses}.first(count), [](const auto& info) {
        return info.status == keepnet::AddressStatus::tentative;
    });
}

std::expected<void, std::string> Program::dispatch_live(Instant now) {
    if (!looked_) {
        const auto done = dispatch(Event::all);
        if (!done) return std::unexpected(done.error());
        looked_ = *done;
    }
    for (int ready = 0; sockets_ready_ && ready < events_per_turn; ++ready) {
        const auto done = dispatch(Event::socket);
        if (!done) return std::unexpected(done.error());
        sockets_ready_ = *done;
    }
    if (script_.next_deadline > now) return {};
    if (const auto done = dispatch(Event::time); !done) return std::unexpected(done.error());
    return {};
}

// One round; gives when the next is due at the latest.
std::expected<Instant, std::string> Program::turn() {
    const auto now = world_.clock().now();
    if (stack_ != nullptr && stack_->poll(now).sockets_ready) sockets_ready_ = true;
    if (world_.is_replaying()) {
        for (int i = 0; i < events_per_turn && world_.is_replaying(); ++i) {
            const auto done = dispatch(Event::all);
            if (!done) return std::unexpected(done.error());
        }
        return now;
    }
    if (!std::exchange(is_live_, true) && config_.log != nullptr) config_.log->forget();
    if (!looked_ && !has_addresses(now)) return std::min(stack_->next_deadline(), now + address_poll);
    if (auto done = dispatch_live(now); !done) return std::unexpected(done.error());
    auto wake = sockets_ready_ || !looked_ ? now : keepnet::never;
    wake = std::min(wake, progress_ending(now));
    wake = std::min(wake, progress_suspend(now));
    wake = std::min(wake, image_if_wanted(now));
    if (stack_ != nullptr) wake = std::min(wake, stack_->next_deadline());
    return std::min(wake, script_.next_deadline);
}

Instant Program::progress_ending(Instant now) {
    if (phase_ != Phase::running || !has_ended()) return keepnet::never;
    // The end is durable, and what was said before it had its time to go out.
    const bool held =
        changed_ || checkpointer_.busy() || (stack_ != nullptr && stack_->commit_wanted() != keepnet::never);
    if (held || ended_since_ == keepnet::never) ended_since_ = now;
    const auto end = ended_since_ + (stack_ != nullptr ? config_.linger : Duration{});
    if (held || end > now) return end;
    ending_ = script_.failed ? Ending::script_failed : Ending::script_ended;
    phase_ = Phase::finished;
    return now;
}

// DURABILITY 9: what is in flight is taken in and acknowledged, then one more image, then the last ACKs.
Instant Program::progress_suspend(Instant now) {
    switch (phase_) {
        case Phase::suspending:
            if ((stack_ != nullptr && !stack_->is_suspended()) || checkpointer_.busy() || retry_image_ > now)
                break;
            take_image(now);
            if (checkpointer_.busy()) phase_ = Phase::last_image;
            return now;
        case Phase::last_image:
            if (checkpointer_.busy()) break;
            if (stack_ != nullptr) (void)stack_->poll(now);
            phase_ = last_failed_ ? Phase::suspending : Phase::finished;
            ending_ = Ending::suspended;
            return now;
        case Phase::invalid:
        case Phase::running:
        case Phase::finished:
            return keepnet::never;
    }
    return std::max(now, std::max(retry_image_, now + keepnet::milliseconds(10)));
}

Instant Program::image_if_wanted(Instant now) {
    if (phase_ == Phase::last_image || phase_ == Phase::finished) return keepnet::never;
    if (checkpointer_.busy()) return checkpointer_.sweep() ? now : keepnet::never;
    const auto wanted = stack_ != nullptr ? stack_->commit_wanted() : keepnet::never;
    if (wanted == keepnet::never && !changed_) return keepnet::never;
    const bool at_once = has_ended() || (config_.log != nullptr && wanted != keepnet::never);
    const auto due = std::max(changed_ ? now : wanted, at_once ? retry_image_ : next_image_);
    if (due > now) return due;
    take_image(now);
    return now;
}

void Program::take_image(Instant now) {
    next_image_ = now + config_.interval;
    retry_image_ = now + urgent_interval;
    changed_ = false;
    const auto started = checkpointer_.start({.number = ++config_.images,
                                              .wall_clock_ns = keepnet::hosted::wall_clock_ns(),
                                              .runtime_now_ns = now.ns,
                                              .title = config_.title,
                                              .policy = config_.policy,
                                              .pmem = config_.pmem});
    last_failed_ = !started;
    if (!started) on_failure(started.error());
    (void)checkpointer_.sweep();
}

void Program::on_failure(const std::string& why) {
    changed_ = true;
    next_image_ = retry_image_ = world_.clock().now() + retry_after_failure;
    if (why != last_failure_) world_.complain("no image: " + why);
    last_failure_ = why;
}

void Program::on_image_done() {
    std::uint64_t count = 0;
    if (::read(config_.done_fd, &count, sizeof count) < 0) return;
    const auto finished = checkpointer_.finish();
    last_failed_ = !finished;
    if (finished) {
        last_failure_.clear();
    } else {
        on_failure(finished.error());
    }
}

void Program::sleep_until(Instant wake) {
    const auto left = std::max(wake - world_.clock().now(), Duration{0});
    const timespec timeout{.tv_sec = left.ns / 1'000'000'000, .tv_nsec = left.ns % 1'000'000'000};
    std::array<pollfd, 4> fds{pollfd{.fd = config_.device_fd, .events = POLLIN, .revents = 0},
                              pollfd{.fd = config_.done_fd, .events = POLLIN, .revents = 0},
                              pollfd{.fd = config_.signal_fd, .events = POLLIN, .revents = 0},
                              pollfd{.fd = config_.log != nullptr ? config_.log->completion_fd() : -1,
                                     .events = POLLIN,
                                     .revents = 0}};
    if (::ppoll(fds.data(), fds.size(), &timeout, nullptr) <= 0) return;
    if (fds[1].revents != 0) on_image_done();
    if (fds[2].revents != 0) on_signal();
}

void Program::on_signal() {
    signalfd_siginfo info{};
    if (::read(config_.signal_fd, &info, sizeof info) < 0 || phase_ != Phase::running) return;
    const auto now = world_.clock().now();
    phase_ = Phase::suspending;
    suspend_until_ = now + config_.suspend_max;
    if (stack_ != nullptr) stack_->suspend(now);
}

}  // namespace persistent_runtime
