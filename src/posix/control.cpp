// fcntl, ioctl, dup, and the persistent handles.
#include <cstdarg>

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "posix/call.hpp"

using namespace keepnet;
using namespace keepnet::posix;

namespace {

/// Bytes that a read would give now.
int input_bytes(Socket& s, int& bytes) {
    const auto info = s.stack().info(s.handle);
    if (!info) return errno_of(info.error());
    if (s.is_tcp()) {
        if (info->phase == TcpPhase::listen) return EINVAL;
        bytes = static_cast<int>(info->receive_queue_bytes);
    } else {
        const auto d = s.stack().peek_datagram(s.handle);
        bytes = d ? static_cast<int>(d->payload.size()) : 0;
    }
    return 0;
}

int output_bytes(Socket& s, bool unsent, int& bytes) {
    const auto info = s.stack().info(s.handle);
    if (!info) return errno_of(info.error());
    if (s.is_tcp() && info->phase == TcpPhase::listen) return EINVAL;
    if (unsent) {
        const auto details = s.stack().tcp_info(s.handle);
        if (!details) return s.is_tcp() ? errno_of(details.error()) : ENOTTY;
        bytes = static_cast<int>(details->notsent_bytes);
        return 0;
    }
    bytes = s.is_tcp() ? static_cast<int>(info->send_queue_bytes) : 0;
    return 0;
}

int control_socket(Socket& s, unsigned long request, void* argument) {
    if (!is_given(argument, sizeof(int))) return EFAULT;
    int& number = *static_cast<int*>(argument);
    switch (request) {
        case FIONBIO:
            s.nonblocking = number != 0;
            return 0;
        case FIOASYNC:
            return number == 0 ? 0 : ENOTTY;
        case FIONREAD:
            return input_bytes(s, number);
        case TIOCOUTQ:
            return output_bytes(s, false, number);
        case SIOCOUTQNSD:
            return output_bytes(s, true, number);
        case SIOCATMARK:
            if (!s.is_tcp()) return EINVAL;
            number = 0;
            return 0;
        default:
            return ENOTTY;
    }
}

/// A new number for `file`, made by the kernel.
int add_number(Internals& in, int made, const std::shared_ptr<File>& file) {
    if (made < 0 || usable_number(made) < 0) return -1;
    enter(in, made, file);
    return made;
}

int status_flags(const File& file) { return O_RDWR | (file.nonblocking ? O_NONBLOCK : 0); }

void put_back(const SavedSocket& saved, Socket& s) {
    s.nonblocking = (saved.flags & 1) != 0;
    s.receive_shut = (saved.flags & 2) != 0;
    s.send_shut = (saved.flags & 4) != 0;
    s.bound_by_user = (saved.flags & 8) != 0;
    s.want_packet_info = (saved.flags & 16) != 0;
    s.want_hop_limit = (saved.flags & 32) != 0;
    s.want_traffic_class = (saved.flags & 64) != 0;
    s.want_queued_bytes = (saved.flags & 128) != 0;
    s.receive_timeout = saved.receive_timeout;
    s.send_timeout = saved.send_timeout;
    s.low_water = saved.low_water;
}

/// The members of restored sets that this socket is.
void join_sets(Internals& in, Socket& s) {
    for (const auto& [handle, set] : in.epolls) {
        for (const auto& [key, item] : set->items) {
            if (item->socket != nullptr || item->handle != s.handle.raw || item->stack != s.host->number)
                continue;
            item->socket = &s;
            s.watchers.push_back(item.get());
            if ((s.mask & item->events) != 0) queue_item(*item);
        }
    }
}

Dialogue dialogue_of(const SocketInfo& info) {
    if (info.kind == SocketKind::udp)
        return info.remote.port != 0 ? Dialogue::connected : Dialogue::unconnected;
    switch (info.phase) {
        case TcpPhase::syn_sent:
        case TcpPhase::syn_received:
            return Dialogue::connecting;
        case TcpPhase::listen:
            return Dialogue::unconnected;
        default:
            return info.remote.port != 0 ? Dialogue::connected : Dialogue::unconnected;
    }
}

int adopt_socket(Internals& in, SocketHandle handle) {
    kn_stack* host = chosen_stack(in);
    const auto info = host != nullptr ? host->stack->info(handle) : std::unexpected(Error::stale_handle);
    if (!info) return fail(EBADF);
    if (const auto there = in.sockets.find({host, handle.raw}); there != in.sockets.end()) {
        return make_duplicate(in, there->second->descriptors.front());
    }
    const auto saved = in.saved_sockets.find({host->number, handle.raw});
    const bool is_saved = saved != in.saved_sockets.end();
    const int fd = reserve_descriptor(is_saved && (saved->second.fd_flags & FD_CLOEXEC) != 0);
    if (fd < 0) return -1;
    static_cast<void>(host->stack->claim(handle));
    const auto s = enter_socket(in, fd, host, handle, info->kind, false);
    s->dialogue = dialogue_of(*info);
    if (info->kind == SocketKind::udp) s->peer = info->remote;
    if (is_saved) {
        put_back(saved->second, *s);
        in.saved_sockets.erase(saved);
    }
    look(*s, true);
    join_sets(in, *s);
    return fd;
}

int adopt_set(Internals& in, std::uint64_t handle) {
    if (const auto there = in.epolls.find(handle); there != in.epolls.end()) {
        return make_duplicate(in, there->second->descriptors.front());
    }
    const auto saved = in.saved_epolls.find(handle);
    if (saved == in.saved_epolls.end()) return fail(EBADF);
    const int fd = make_set(in, (saved->second.fd_flags & FD_CLOEXEC) != 0 ? EPOLL_CLOEXEC : 0);
    if (fd < 0) return -1;
    auto* e = dynamic_cast<Epoll*>(find_file(in, fd).get());
    in.epolls.erase(e->handle);
    e->handle = handle;
    in.epolls[handle] = e;
    for (const SavedMember& m : saved->second.members) {
        auto item = std::make_unique<EpollItem>();
        item->set = e;
        item->handle = m.handle;
        item->stack = m.stack;
        item->fd = m.fd;
        item->events = m.events;
        item->data = m.data;
        item->restored = true;
        e->items[{m.fd, m.handle}] = std::move(item);
    }
    in.saved_epolls.erase(saved);
    for (const auto& [key, s] : in.sockets) join_sets(in, *s);
    return fd;
}

int duplicate_to(int from, int to, int flags) {
    Call call;
    const auto file = call.file(from);
    const int made = ::dup3(from, to, flags);
    if (made < 0 || !call) return made;
    if (file == nullptr) {
        if (forget(call.in(), to)) call.done();  // the kernel has closed what was there
        return made;
    }
    return add_number(call.in(), made, file);
}

}  // namespace

int keepnet::posix::make_duplicate(Internals& in, int fd) {
    const auto file = find_file(in, fd);
    const int made = ::dup(fd);
    return file == nullptr ? made : add_number(in, made, file);
}

extern "C" {

int kn_fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void* argument = va_arg(list, void*);
    va_end(list);
    if (!is_ours(fd)) return ::fcntl(fd, command, argument);
    const auto number = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
    Call call;
    const auto file = call.file(fd);
    if (file == nullptr) {
        call.release();
        return ::fcntl(fd, command, argument);
    }
    switch (command) {
        case F_GETFL:
            return status_flags(*file);
        case F_SETFL:
            file->nonblocking = (number & O_NONBLOCK) != 0;
            return 0;
        case F_GETFD:
        case F_SETFD:
            return ::fcntl(fd, command, number);
        case F_DUPFD:
        case F_DUPFD_CLOEXEC:
            return add_number(call.in(), ::fcntl(fd, command, number), file);
        default:
            return fail(EINVAL);
    }
}

int kn_ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void* argument = va_arg(list, void*);
    va_end(list);
    if (!is_ours(fd)) return ::ioctl(fd, request, argument);
    Call call;
    const auto file = call.file(fd);
    auto* s = dynamic_cast<Socket*>(file.get());
    if (s == nullptr || request == FIOCLEX || request == FIONCLEX) {
        call.release();
        return ::ioctl(fd, request, argument);
    }
    const int error = control_socket(*s, request, argument);
    return error == 0 ? 0 : fail(error);
}

int kn_dup(int fd) {
    if (!is_ours(fd)) return ::dup(fd);
    const Call call;
    return call ? make_duplicate(call.in(), fd) : ::dup(fd);
}

int kn_dup2(int from, int to) {
    if (from == to || (!is_ours(from) && !is_ours(to))) return ::dup2(from, to);
    return duplicate_to(from, to, 0);
}

int kn_dup3(int from, int to, int flags) {
    if (from == to || (!is_ours(from) && !is_ours(to))) return ::dup3(from, to, flags);
    return duplicate_to(from, to, flags);
}

uint64_t kn_handle(int fd) {
    const Call call;
    const auto file = call.file(fd);
    if (const auto* s = dynamic_cast<const Socket*>(file.get())) return s->handle.raw;
    if (const auto* e = dynamic_cast<const Epoll*>(file.get())) return e->handle;
    static_cast<void>(kernel_answer(fd, ENOTSOCK));
    return 0;
}

int kn_adopt(uint64_t handle) {
    const Call call;
    if (!call) return fail(EBADF);
    return (handle & epoll_handle_slot) == epoll_handle_slot ? adopt_set(call.in(), handle)
                                                             : adopt_socket(call.in(), {handle});
}

int kn_adopt_at(uint64_t handle, int fd) {
    const int made = kn_adopt(handle);
    if (made < 0 || made == fd) return made;
    const int flags = kn_fcntl(made, F_GETFD);
    const int moved = kn_dup2(made, fd);
    const int error = errno;
    kn_close(made);
    if (moved < 0) return fail(error);
    kn_fcntl(fd, F_SETFD, flags);
    return fd;
}

}  // extern "C"
