// What a socket is ready for, and who is told.
#include <algorithm>
#include <csignal>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "posix/internals.hpp"

namespace keepnet::posix {

namespace {

constexpr std::uint32_t input = EPOLLIN | EPOLLRDNORM;
constexpr std::uint32_t output = EPOLLOUT | EPOLLWRNORM;

/// Linux's tcp_poll().
std::uint32_t tcp_mask(const Socket& s, const Readiness& r, const SocketInfo& info) {
    if (info.phase == TcpPhase::listen) return r.has(Readiness::readable) ? input : 0;
    std::uint32_t mask = 0;
    const bool none = info.phase == TcpPhase::closed || info.phase == TcpPhase::time_wait;
    const bool connecting = info.phase == TcpPhase::syn_sent;
    if (none || r.has(Readiness::hung_up)) mask |= EPOLLHUP;
    const bool never_connected = none && info.remote.port == 0;
    const bool input_over = s.receive_shut || r.has(Readiness::peer_closed) || (none && !never_connected);
    if (input_over) mask |= input | EPOLLRDHUP;
    if (!connecting) {
        const std::uint32_t low_water = std::max<std::uint32_t>(s.low_water, 1);
        if (info.receive_queue_bytes >= low_water ||
            (info.receive_queue_bytes != 0 && info.receive_window == 0))
            mask |= input;
        const auto buffer = s.stack().option(s.handle, SocketOption::send_buffer);
        const bool send_over = !r.has(Readiness::writable) &&
                               (none || info.phase > TcpPhase::close_wait ||
                                info.phase == TcpPhase::fin_wait_1 || info.phase == TcpPhase::fin_wait_2);
        // As Linux's sk_stream_is_writeable(): a third of the buffer is free.
        const auto most = static_cast<std::uint64_t>(buffer.value_or(0));
        if (send_over || (r.has(Readiness::writable) && info.send_queue_bytes <= most - most / 3))
            mask |= output;
    }
    if (s.pending != Error::invalid || r.has(Readiness::error)) mask |= EPOLLERR;
    return mask;
}

/// Linux's datagram_poll().
std::uint32_t udp_mask(const Socket& s, const Readiness& r) {
    std::uint32_t mask = 0;
    if (s.pending != Error::invalid || r.has(Readiness::error)) mask |= EPOLLERR;
    if (s.receive_shut) mask |= input | EPOLLRDHUP;
    if (s.receive_shut && s.send_shut) mask |= EPOLLHUP;
    if (r.has(Readiness::readable)) mask |= input;
    if (r.has(Readiness::writable)) mask |= output;
    return mask;
}

/// The number is an epoll set, which cannot be written or read: what a child, or anybody, does with it is no
/// news of ours.
void signal(Socket& s, bool on) {
    if (s.signalled == on || s.descriptors.empty()) return;
    const Internals* in = current();
    if (in == nullptr) return;
    s.signalled = on;
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
    ::epoll_ctl(s.descriptors.front(), on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, in->readable, &event);
}

}  // namespace

std::uint32_t poll_mask(const Socket& s) {
    const auto r = s.stack().readiness(s.handle);
    const auto info = s.stack().info(s.handle);
    if (!r || !info) return EPOLLERR | EPOLLHUP;
    return s.is_tcp() ? tcp_mask(s, *r, *info) : udp_mask(s, *r);
}

void look(Socket& s, bool told) {
    const std::uint32_t before = s.mask;
    s.mask = poll_mask(s);
    std::uint32_t news = s.mask & ~before;
    if (s.is_tcp()) {
        const SocketInfo info = s.stack().info(s.handle).value_or(SocketInfo{});
        const std::uint64_t arrived = info.rx_consumed + info.receive_queue_bytes;
        if (arrived > s.arrived || info.accept_queue > s.waiting) news |= s.mask & input;
        s.arrived = arrived;
        s.waiting = info.accept_queue;
    } else if (told) {
        news |= s.mask & input;
    }
    // Linux wakes with every event in the key when the state of a socket changes.
    if ((news & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0) news |= s.mask;
    signal(s, (s.mask & (input | EPOLLHUP | EPOLLERR)) != 0);
    if (news == 0 && !told) return;
    if (news != 0 && (s.status_flags & O_ASYNC) != 0 && s.owner != 0) ::kill(s.owner, s.owner_signal != 0 ? s.owner_signal : SIGIO);
    s.wake_all();
    for (EpollItem* item : s.watchers) {
        if ((news & item->events) != 0) queue_item(*item);
    }
}

void announce(Socket& s) {
    look(s, true);
    for (EpollItem* item : s.watchers) {
        if ((s.mask & item->events) != 0) queue_item(*item);
    }
}

void queue_item(EpollItem& item) {
    Epoll& e = *item.set;
    if (!item.queued) {
        item.queued = true;
        e.ready.push_back(&item);
    }
    update_signal(e);
    e.wake_all();
}

void update_signal(Epoll& e) {
    const bool on = !e.ready.empty();
    if (e.signalled == on) return;
    e.signalled = on;
    eventfd_t count = 0;
    if (on) {
        ::eventfd_write(e.signal, 1);
    } else {
        ::eventfd_read(e.signal, &count);
    }
}

void drop_items_of(Socket& s) {
    for (EpollItem* item : std::vector<EpollItem*>(s.watchers)) {
        Epoll& e = *item->set;
        if (item->queued) e.ready.remove(item);
        e.items.erase({item->fd, item->handle});
        update_signal(e);
    }
    s.watchers.clear();
}

}  // namespace keepnet::posix
