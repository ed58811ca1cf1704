// poll and select.
#include <algorithm>
#include <array>
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
        const auto wanted = static_cast<std::uint32_t>(static_cast<unsigned short>(p.events)) | POLLERR | POLLHUP;
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

int poll_until(Call& call, std::span<pollfd> set, Instant deadline) {
    std::vector<pollfd> kernel;
    for (;;) {
        const int count = look_at(call, set, kernel);
        if (count != 0) return count;
        if (deadline != never && call.now() >= deadline) return 0;
        Sleeper sleeper(deadline);
        if (!kernel.empty() && !sleeper.watch(kernel)) return fail(ENOMEM);
        std::vector<std::shared_ptr<Socket>> watched;
        for (const pollfd& p : set) {
            if (auto s = find_socket(call.in(), p.fd)) watched.push_back(std::move(s));
        }
        for (const auto& s : watched) s->sleepers.push_back(&sleeper);
        call.sleep(sleeper);
        for (const auto& s : watched) std::erase(s->sleepers, &sleeper);
    }
}

bool has_bit(int fd, const fd_set* set) { return set != nullptr && FD_ISSET(fd, set); }

constexpr short select_in = POLLIN | POLLRDNORM | POLLHUP | POLLERR;
constexpr short select_out = POLLOUT | POLLWRNORM | POLLERR;

/// Bits that are asked about, as poll() would be. Fails on a descriptor that is not open.
bool take_sets(Call& call, int count, const std::array<fd_set*, 3>& sets, std::vector<pollfd>& out) {
    for (int fd = 0; fd < count; ++fd) {
        short events = 0;
        if (has_bit(fd, sets[0])) events |= POLLIN | POLLRDNORM;
        if (has_bit(fd, sets[1])) events |= POLLOUT | POLLWRNORM;
        if (has_bit(fd, sets[2])) events |= POLLPRI;
        if (events == 0) continue;
        if (call.file(fd) == nullptr && kernel_answer(fd, 0) < 0 && errno == EBADF) return false;
        out.push_back({.fd = fd, .events = events, .revents = 0});
    }
    return true;
}

int give_sets(const std::vector<pollfd>& polled, const std::array<fd_set*, 3>& sets, int count) {
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
int select_until(Call& call, std::vector<pollfd>& set, const std::array<fd_set*, 3>& sets, int count, Instant deadline) {
    std::vector<pollfd> kernel;
    for (;;) {
        const int ready = poll_until(call, set, deadline);
        if (ready < 0) return ready;
        const bool counts = std::any_of(set.begin(), set.end(), [](const pollfd& p) {
            return ((p.events & POLLIN) != 0 && (p.revents & select_in) != 0) ||
                   ((p.events & POLLOUT) != 0 && (p.revents & select_out) != 0) || (p.revents & POLLPRI) != 0;
        });
        if (ready == 0 || counts) return give_sets(set, sets, count);
        // A descriptor that hung up, of which only room or urgent data was asked: nothing for select() to say. Look no more.
        std::erase_if(set, [](const pollfd& p) { return p.revents != 0; });
    }
}

}  // namespace

extern "C" {

int kn_poll(pollfd* descriptors, nfds_t count, int timeout_ms) {
    Call call;
    if (!call) return ::poll(descriptors, count, timeout_ms);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    if (count > limit.rlim_cur) return fail(EINVAL);
    if (count != 0 && !is_given(descriptors, count * sizeof *descriptors)) return fail(EFAULT);
    call.done();
    const Instant deadline = timeout_ms < 0 ? never : call.now() + milliseconds(timeout_ms);
    return poll_until(call, {descriptors, count}, deadline);
}

int kn_select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* timeout) {
    Call call;
    if (!call) return ::select(count, readable, writable, exceptional, timeout);
    if (!is_user_memory(timeout, sizeof *timeout)) return fail(EFAULT);
    if (count < 0) return fail(EINVAL);
    if (timeout != nullptr && (timeout->tv_sec < 0 || timeout->tv_usec < 0)) return fail(EINVAL);
    count = std::min(count, FD_SETSIZE);
    const std::array<fd_set*, 3> sets{readable, writable, exceptional};
    for (const fd_set* set : sets) {
        if (!is_user_memory(set, (static_cast<std::size_t>(count) + 63) / 64 * 8)) return fail(EFAULT);
    }
    std::vector<pollfd> polled;
    if (!take_sets(call, count, sets, polled)) return fail(EBADF);
    call.done();
    Instant deadline = never;
    if (timeout != nullptr) {
        constexpr std::int64_t most_s = 1'000'000'000;
        deadline = call.now() + seconds(std::min<std::int64_t>(timeout->tv_sec, most_s)) +
                   microseconds(std::min<std::int64_t>(timeout->tv_usec, most_s));
    }
    const int bits = select_until(call, polled, sets, count, deadline);
    if (bits < 0) return bits;
    if (timeout != nullptr && deadline != never) {  // Linux says what is left
        const std::int64_t left = std::max<std::int64_t>(0, (deadline - call.now()).us());
        timeout->tv_sec = left / 1'000'000;
        timeout->tv_usec = left % 1'000'000;
    }
    return bits;
}

}  // extern "C"
