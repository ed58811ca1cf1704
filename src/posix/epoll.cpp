// epoll. The descriptor is an epoll set of the kernel: its descriptors are in it, and beside them an eventfd
// that is readable while sockets of ours are in the ready list; so the set may be polled, or be in another
// set, as any.
#include <algorithm>
#include <climits>
#include <optional>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "posix/call.hpp"

using namespace keepnet;
using namespace keepnet::posix;

namespace {

constexpr std::uint32_t exclusive_bits =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
constexpr int events_max = INT_MAX / static_cast<int>(sizeof(epoll_event));

std::shared_ptr<Epoll> find_set(const Call& call, int fd) {
    return std::dynamic_pointer_cast<Epoll>(call.file(fd));
}

/// What the kernel's set tells of our eventfd: an address of ours, which no data of the program's is.
std::uint64_t key_of_signal(const Epoll& e) { return reinterpret_cast<std::uintptr_t>(&e.signal); }

/// A member that is the kernel's is in the kernel's set alone, with the program's own data: the kernel keeps
/// it for as long as the file is open under any number, and which number that is now nobody here would know.
int control_kernel(Epoll& e, int epoll, int operation, int fd, epoll_event* event) {
    if (::epoll_ctl(epoll, operation, fd, event) < 0) return -1;
    if (operation == EPOLL_CTL_ADD) ++e.kernel_items;
    if (operation == EPOLL_CTL_DEL) --e.kernel_items;
    return 0;
}

/// A restored member has the number that its socket had; the one that it has now serves where that one is
/// another's.
void renumber(Epoll& e, const Socket& s, int fd) {
    const auto is = [&](int number) {
        return std::find(s.descriptors.begin(), s.descriptors.end(), number) != s.descriptors.end();
    };
    for (const EpollItem* item : s.watchers) {
        if (item->set != &e || !item->restored || is(item->fd)) continue;
        auto node = e.items.extract({item->fd, item->handle});
        node.mapped()->restored = false;
        node.key().first = node.mapped()->fd = fd;
        e.items.insert(std::move(node));
        return;
    }
}

int control_ours(Epoll& e, Socket& s, int operation, int fd, const epoll_event* event) {
    const auto key = std::pair(fd, s.handle.raw);
    if (!e.items.contains(key)) renumber(e, s, fd);
    const auto found = e.items.find(key);
    if (operation == EPOLL_CTL_ADD && found != e.items.end()) return EEXIST;
    if (operation != EPOLL_CTL_ADD && found == e.items.end()) return ENOENT;
    if (operation == EPOLL_CTL_DEL) {
        EpollItem* item = found->second.get();
        if (item->queued) e.ready.remove(item);
        std::erase(s.watchers, item);
        e.items.erase(found);
        update_signal(e);
        return 0;
    }
    if ((event->events & EPOLLEXCLUSIVE) != 0 &&
        (operation == EPOLL_CTL_MOD || (event->events & ~exclusive_bits) != 0)) {
        return EINVAL;
    }
    if (operation == EPOLL_CTL_MOD && (found->second->events & EPOLLEXCLUSIVE) != 0) return EINVAL;
    if (operation == EPOLL_CTL_ADD) {
        auto item = std::make_unique<EpollItem>();
        item->set = &e;
        item->socket = &s;
        item->handle = s.handle.raw;
        item->fd = fd;
        s.watchers.push_back(item.get());
        e.items[key] = std::move(item);
    }
    EpollItem& item = *e.items[key];
    item.events = event->events | EPOLLERR | EPOLLHUP;  // Linux asks for these unasked
    item.data = event->data.u64;
    look(s, false);
    if ((s.mask & item.events) != 0) queue_item(item);
    return 0;
}

/// Sockets of ours that are ready, in the order in which they became so; a level-triggered one goes behind
/// the others again.
int collect_ours(Epoll& e, epoll_event* events, int count) {
    int n = 0;
    std::list<EpollItem*> again;
    while (n < count && !e.ready.empty()) {
        EpollItem& item = *e.ready.front();
        e.ready.pop_front();
        item.queued = false;
        if (item.socket == nullptr) continue;
        const std::uint32_t mask = poll_mask(*item.socket) & item.events;
        if (mask == 0) continue;
        events[n].events = mask;
        events[n].data.u64 = item.data;
        ++n;
        if ((item.events & EPOLLONESHOT) != 0) {
            item.events &= EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;
        } else if ((item.events & EPOLLET) == 0) {
            again.push_back(&item);
        }
    }
    for (EpollItem* item : again) {
        item->queued = true;
        e.ready.push_back(item);
    }
    update_signal(e);
    return n;
}

int collect_kernel(const Epoll& e, int epoll, epoll_event* events, int count) {
    if (e.kernel_items == 0 || count <= 0) return 0;
    // No more than can be given: what the kernel told of an edge, or once, it does not tell again.
    std::vector<epoll_event> got(static_cast<std::size_t>(std::min(count, 1024)));
    const int n = ::epoll_wait(epoll, got.data(), static_cast<int>(got.size()), 0);
    int given = 0;
    for (int i = 0; i < n && given < count; ++i) {
        const epoll_event& from = got[static_cast<std::size_t>(i)];
        if (from.data.u64 != key_of_signal(e)) events[given++] = from;
    }
    return given;
}

int wait_for(int epoll, epoll_event* events, int count, std::optional<Duration> timeout,
             const sigset_t* signals) {
    Call call;
    if (count <= 0 || count > events_max) return fail(EINVAL);
    if (!is_given(events, static_cast<std::size_t>(count) * sizeof *events)) return fail(EFAULT);
    const auto e = find_set(call, epoll);
    if (e == nullptr) return fail(EINVAL);
    call.done();
    const Instant deadline = timeout ? call.now() + *timeout : never;
    const auto is_over = [&] { return deadline != never && call.now() >= deadline; };
    for (bool last = is_over();; last = is_over()) {  // no time: no signal is let in either, as on Linux
        // The kernel's first, in half of the room at most, lest one side's flood hide the other.
        int n = collect_kernel(*e, epoll, events, e->ready.empty() ? count : (count + 1) / 2);
        n += collect_ours(*e, events + n, count - n);
        if (n != 0) return n;
        if (last) return 0;
        const Sleep sleep(deadline, Interruption::always);
        const std::array<pollfd, 1> kernel{{{.fd = epoll, .events = POLLIN, .revents = 0}}};
        if (e->kernel_items != 0 && !sleep->watch(kernel)) return fail(ENOMEM);
        if (signals != nullptr && !sleep->set_signals(*signals)) return fail(ENOMEM);
        sleep->watch(*e);
        if (call.sleep(*sleep)) return fail(EINTR);
        if (call.file(epoll) != e) return fail(EBADF);
    }
}

}  // namespace

int keepnet::posix::make_set(Internals& in, int flags) {
    const int made = ::epoll_create1(flags);
    const int fd = made < 0 ? made : usable_number(made);
    if (fd < 0) return -1;
    auto e = std::make_shared<Epoll>();
    e->handle = ++in.epoll_count << 24 | epoll_handle_slot;
    e->signal = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = key_of_signal(*e)}};
    if (e->signal < 0 || ::epoll_ctl(fd, EPOLL_CTL_ADD, e->signal, &event) < 0) {
        const int error = errno;
        if (e->signal >= 0) ::close(e->signal);
        ::close(fd);
        return fail(error);
    }
    enter(in, fd, e);
    in.epolls[e->handle] = e.get();
    return fd;
}

extern "C" {

int kn_epoll_create(int size) { return size <= 0 ? fail(EINVAL) : kn_epoll_create1(0); }

int kn_epoll_create1(int flags) {
    const Call call;
    return call ? make_set(call.in(), flags) : ::epoll_create1(flags);
}

int kn_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
    if (!is_ours(epoll) && !is_ours(fd)) return ::epoll_ctl(epoll, operation, fd, event);
    const Call call;
    if (!call) return ::epoll_ctl(epoll, operation, fd, event);
    if (operation != EPOLL_CTL_DEL && !is_given(event, sizeof *event)) return fail(EFAULT);
    const auto file = call.file(epoll);
    if (file == nullptr && kernel_answer(epoll, 0) < 0 && errno == EBADF) return -1;
    const auto s = find_socket(call.in(), fd);
    if (s == nullptr && kernel_answer(fd, 0) < 0 && errno == EBADF) return -1;
    const auto e = std::dynamic_pointer_cast<Epoll>(file);
    if (e == nullptr) {
        if (file != nullptr || s != nullptr) return fail(EINVAL);
        return ::epoll_ctl(epoll, operation, fd, event);
    }
    if (epoll == fd) return fail(EINVAL);
    if (operation != EPOLL_CTL_ADD && operation != EPOLL_CTL_MOD && operation != EPOLL_CTL_DEL)
        return fail(EINVAL);
    if (s != nullptr) {
        const int error = control_ours(*e, *s, operation, fd, event);
        return error == 0 ? 0 : fail(error);
    }
    return control_kernel(*e, epoll, operation, fd, event);
}

int kn_epoll_wait(int epoll, epoll_event* events, int count, int timeout_ms) {
    return kn_epoll_pwait(epoll, events, count, timeout_ms, nullptr);
}

int kn_epoll_pwait(int epoll, epoll_event* events, int count, int timeout_ms, const sigset_t* signals) {
    if (!is_ours(epoll)) return ::epoll_pwait(epoll, events, count, timeout_ms, signals);
    if (!is_user_memory(signals, sizeof *signals)) return fail(EFAULT);
    return wait_for(epoll, events, count,
                    timeout_ms < 0 ? std::nullopt : std::optional(milliseconds(timeout_ms)), signals);
}

int kn_epoll_pwait2(int epoll, epoll_event* events, int count, const timespec* timeout,
                    const sigset_t* signals) {
    if (!is_ours(epoll)) return ::epoll_pwait2(epoll, events, count, timeout, signals);
    if (!is_user_memory(timeout, sizeof *timeout) || !is_user_memory(signals, sizeof *signals))
        return fail(EFAULT);
    std::optional<Duration> most;
    if (!take_timeout(timeout, most)) return fail(EINVAL);
    return wait_for(epoll, events, count, most, signals);
}

}  // extern "C"
