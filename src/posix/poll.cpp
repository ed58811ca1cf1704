// poll and select.
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>

#include "posix/call.hpp"

using namespace keepnet;
using namespace keepnet::posix;

namespace {

/// What is in a poll set of ours: a file, which sleepers are told of.
std::uint32_t mask_of(File& file) {
    if (auto* s = dynamic_cast<Socket*>(&file)) return poll_mask(*s);
    return 0;
}

/// One look at everything. Sets are asked as the kernel's, for that is what they are to it.
int look_at(Call& call, std::span<pollfd> set, std::vector<pollfd>& kernel) {
    kernel.clear();
    int count = 0;
    for (pollfd& p : set) {
        p.revents = 0;
        if (p.fd < 0) continue;
        const auto s = find_socket(call.in(), p.fd);
        if (s == nullptr) {
            kernel.push_back({.fd = p.fd, .events = p.events, .revents = 0});
            continue;
        }
        const auto wanted =
            static_cast<std::uint32_t>(static_cast<unsigned short>(p.events)) | POLLERR | POLLHUP;
        p.revents = static_cast<short>(mask_of(*s) & wanted);
        if (p.revents != 0) ++count;
    }
    if (kernel.empty() || ::poll(kernel.data(), kernel.size(), 0) <= 0) return count;
    auto from = kernel.begin();
    for (pollfd& p : set) {
        if (p.fd < 0 || find_socket(call.in(), p.fd) != nullptr) continue;
        p.revents = (from++)->revents;
        if (p.revents != 0) ++count;
    }
    return count;
}

bool is_too_many(nfds_t count) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return count > limit.rlim_cur;
}

/// Is there anything but the kernel's in it, or anything that the kernel would refuse?
bool is_our_affair(const pollfd* set, nfds_t count) {
    if (is_too_many(count) || !is_given(set, count * sizeof *set)) return true;
    return std::any_of(set, set + count, [](const pollfd& p) { return is_ours(p.fd); });
}

/// `signals`, if given, wait instead of the thread's own until it is over.
int poll_until(Call& call, std::span<pollfd> set, Instant deadline, const sigset_t* signals) {
    const auto is_over = [&] { return deadline != never && call.now() >= deadline; };
    // Signals that wait and are let in interrupt a call that has no time, too.
    for (bool last = signals == nullptr && is_over();; last = is_over()) {
        const Sleep sleep(deadline, Interruption::always);
        {
            std::vector<pollfd> kernel;
            const int count = look_at(call, set, kernel);
            if (count != 0) return count;
            if (last) return 0;
            if (!kernel.empty() && !sleep->watch(kernel)) return fail(ENOMEM);
        }
        if (signals != nullptr && !sleep->set_signals(*signals)) return fail(ENOMEM);
        for (const pollfd& p : set) {
            if (const auto s = find_socket(call.in(), p.fd)) sleep->watch(*s);
        }
        if (call.sleep(*sleep)) return fail(EINTR);
    }
}

bool has_bit(int fd, const fd_set* set) { return set != nullptr && FD_ISSET(fd, set); }

constexpr short select_in = POLLIN | POLLRDNORM | POLLHUP | POLLERR;
constexpr short select_out = POLLOUT | POLLWRNORM | POLLERR;

/// What select() asks, as poll() would: on the stack, so that nothing is lost when siglongjmp() leaves.
struct Asked {
    std::array<pollfd, FD_SETSIZE> set;
    std::size_t size = 0;
    [[nodiscard]] std::span<pollfd> all() { return std::span(set).first(size); }
};

bool is_our_affair(int count, const std::array<fd_set*, 3>& sets) {
    const auto most = static_cast<std::size_t>(std::clamp(count, 0, FD_SETSIZE));
    if (std::any_of(sets.begin(), sets.end(),
                    [most](const fd_set* s) { return !is_user_memory(s, (most + 63) / 64 * 8); }))
        return true;
    for (int fd = 0; fd < static_cast<int>(most); ++fd) {
        if (is_ours(fd) &&
            std::any_of(sets.begin(), sets.end(), [fd](const fd_set* s) { return has_bit(fd, s); }))
            return true;
    }
    return false;
}

/// Bits that are asked about. Fails on a descriptor that is not open.
bool take_sets(Call& call, int count, const std::array<fd_set*, 3>& sets, Asked& out) {
    for (int fd = 0; fd < count; ++fd) {
        short events = 0;
        if (has_bit(fd, sets[0])) events |= POLLIN | POLLRDNORM;
        if (has_bit(fd, sets[1])) events |= POLLOUT | POLLWRNORM;
        if (has_bit(fd, sets[2])) events |= POLLPRI;
        if (events == 0) continue;
        if (call.file(fd) == nullptr && kernel_answer(fd, 0) < 0 && errno == EBADF) return false;
        out.set[out.size++] = {.fd = fd, .events = events, .revents = 0};
    }
    return true;
}

int give_sets(std::span<const pollfd> polled, const std::array<fd_set*, 3>& sets, int count) {
    std::array<fd_set, 3> out{};
    int bits = 0;
    const auto set = [&](std::size_t which, int fd) {
        FD_SET(fd, &out[which]);
        ++bits;
    };
    for (const pollfd& p : polled) {
        if ((p.events & POLLIN) != 0 && (p.revents & select_in) != 0) set(0, p.fd);
        if ((p.events & POLLOUT) != 0 && (p.revents & select_out) != 0) set(1, p.fd);
        if ((p.events & POLLPRI) != 0 && (p.revents & POLLPRI) != 0) set(2, p.fd);
    }
    for (std::size_t i = 0; i < 3; ++i) {
        if (sets[i] == nullptr) continue;
        for (int fd = 0; fd < count; ++fd) {
            if (!FD_ISSET(fd, &out[i])) FD_CLR(fd, sets[i]);
        }
    }
    return bits;
}

/// poll() reports hang-ups and errors unasked; select() only to sets that count them.
int select_until(Call& call, Asked& asked, const std::array<fd_set*, 3>& sets, int count, Instant deadline,
                 const sigset_t* signals) {
    for (;;) {
        const int ready = poll_until(call, asked.all(), deadline, signals);
        if (ready < 0) return ready;
        const bool counts =
            std::any_of(asked.set.begin(), asked.set.begin() + static_cast<std::ptrdiff_t>(asked.size),
                        [](const pollfd& p) {
                            return ((p.events & POLLIN) != 0 && (p.revents & select_in) != 0) ||
                                   ((p.events & POLLOUT) != 0 && (p.revents & select_out) != 0) ||
                                   (p.revents & POLLPRI) != 0;
                        });
        if (ready == 0 || counts) return give_sets(asked.all(), sets, count);
        // A descriptor that hung up, of which only room or urgent data was asked: nothing for select() to
        // say. Look no more.
        const auto left = std::remove_if(asked.all().begin(), asked.all().end(),
                                         [](const pollfd& p) { return p.revents != 0; });
        asked.size = static_cast<std::size_t>(left - asked.all().begin());
    }
}

/// poll() and ppoll(), with a time-out that is good.
int poll_set(Call& call, pollfd* descriptors, nfds_t count, std::optional<Duration> timeout,
             const sigset_t* signals) {
    if (is_too_many(count)) return fail(EINVAL);
    if (count != 0 && !is_given(descriptors, count * sizeof *descriptors)) return fail(EFAULT);
    call.done();
    return poll_until(call, {descriptors, count}, timeout ? call.now() + *timeout : never, signals);
}

/// select() and pselect().
int select_sets(Call& call, int count, const std::array<fd_set*, 3>& sets, std::optional<Duration> timeout,
                const sigset_t* signals, Duration& left) {
    if (count < 0) return fail(EINVAL);
    count = std::min(count, FD_SETSIZE);
    for (const fd_set* set : sets) {
        if (!is_user_memory(set, (static_cast<std::size_t>(count) + 63) / 64 * 8)) return fail(EFAULT);
    }
    Asked asked;
    if (!take_sets(call, count, sets, asked)) return fail(EBADF);
    call.done();
    const Instant deadline = timeout ? call.now() + *timeout : never;
    const int bits = select_until(call, asked, sets, count, deadline, signals);
    if (timeout) left = {std::max<std::int64_t>(0, (deadline - call.now()).ns)};
    return bits;
}

}  // namespace

bool keepnet::posix::take_timeout(const timespec* given, std::optional<Duration>& out) {
    if (given == nullptr) return true;
    if (given->tv_sec < 0 || given->tv_nsec < 0 || given->tv_nsec >= 1'000'000'000) return false;
    out = seconds(std::min<std::int64_t>(given->tv_sec, timeout_max_s)) + nanoseconds(given->tv_nsec);
    return true;
}

extern "C" {

int kn_poll(pollfd* descriptors, nfds_t count, int timeout_ms) {
    if (!is_our_affair(descriptors, count)) return ::poll(descriptors, count, timeout_ms);
    Call call;
    if (!call) return ::poll(descriptors, count, timeout_ms);
    return poll_set(call, descriptors, count,
                    timeout_ms < 0 ? std::nullopt : std::optional(milliseconds(timeout_ms)), nullptr);
}

int kn_ppoll(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* signals) {
    if (!is_our_affair(descriptors, count) && is_user_memory(timeout, sizeof *timeout))
        return ::ppoll(descriptors, count, timeout, signals);
    Call call;
    if (!call) return ::ppoll(descriptors, count, timeout, signals);
    if (!is_user_memory(timeout, sizeof *timeout) || !is_user_memory(signals, sizeof *signals))
        return fail(EFAULT);
    std::optional<Duration> most;
    if (!take_timeout(timeout, most)) return fail(EINVAL);
    return poll_set(call, descriptors, count, most, signals);
}

int kn_select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* timeout) {
    const std::array<fd_set*, 3> sets{readable, writable, exceptional};
    if (!is_our_affair(count, sets) && is_user_memory(timeout, sizeof *timeout))
        return ::select(count, readable, writable, exceptional, timeout);
    Call call;
    if (!call) return ::select(count, readable, writable, exceptional, timeout);
    if (!is_user_memory(timeout, sizeof *timeout)) return fail(EFAULT);
    std::optional<Duration> most;
    if (timeout != nullptr) {
        if (count < 0 || timeout->tv_sec < 0 || timeout->tv_usec < 0) return fail(EINVAL);
        most = seconds(std::min<std::int64_t>(timeout->tv_sec, timeout_max_s)) +
               microseconds(std::min<std::int64_t>(timeout->tv_usec, timeout_max_s));
    }
    Duration left{};
    const int bits = select_sets(call, count, sets, most, nullptr, left);
    if (timeout != nullptr && (bits >= 0 || errno == EINTR)) {  // Linux says what is left
        timeout->tv_sec = left.us() / 1'000'000;
        timeout->tv_usec = left.us() % 1'000'000;
    }
    return bits;
}

int kn_pselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, const timespec* timeout,
               const sigset_t* signals) {
    const std::array<fd_set*, 3> sets{readable, writable, exceptional};
    if (!is_our_affair(count, sets) && is_user_memory(timeout, sizeof *timeout))
        return ::pselect(count, readable, writable, exceptional, timeout, signals);
    Call call;
    if (!call) return ::pselect(count, readable, writable, exceptional, timeout, signals);
    if (!is_user_memory(timeout, sizeof *timeout) || !is_user_memory(signals, sizeof *signals))
        return fail(EFAULT);
    std::optional<Duration> most;
    if (!take_timeout(timeout, most)) return fail(EINVAL);
    Duration left{};
    return select_sets(call, count, sets, most, signals, left);
}

}  // extern "C"
