// Numbers of the kernel, and what they name.
#include <algorithm>
#include <array>
#include <utility>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "posix/call.hpp"

namespace keepnet::posix {

namespace {

/// In the order in which a fresh socket takes them: send_policy comes after policy.
constexpr std::array copied_options{
    SocketOption::receive_buffer,
    SocketOption::send_buffer,
    SocketOption::no_delay,
    SocketOption::cork,
    SocketOption::quick_ack,
    SocketOption::keep_alive,
    SocketOption::keep_alive_idle,
    SocketOption::keep_alive_interval,
    SocketOption::keep_alive_probes,
    SocketOption::user_timeout,
    SocketOption::linger,
    SocketOption::max_segment,
    SocketOption::hop_limit,
    SocketOption::traffic_class,
    SocketOption::reuse_address,
    SocketOption::policy,
    SocketOption::hold_output,
    SocketOption::send_policy,
    SocketOption::congestion,
    SocketOption::ecn,
    SocketOption::reuse_port,
    SocketOption::not_sent_low_water,
    SocketOption::multicast_hop_limit,
    SocketOption::multicast_loop,
    SocketOption::multicast_interface,
};

std::expected<SocketHandle, Error> open(Stack& stack, SocketKind kind) {
    return kind == SocketKind::tcp ? stack.open_tcp() : stack.open_udp();
}

/// The last descriptor is gone.
void end(Internals& in, File& file) {
    if (auto* s = dynamic_cast<Socket*>(&file)) {
        drop_items_of(*s);
        in.sockets.erase({s->host, s->handle.raw});
        static_cast<void>(s->stack().close(s->handle));
    } else if (auto* e = dynamic_cast<Epoll*>(&file)) {
        for (const auto& [key, item] : e->items) {
            if (item->socket != nullptr) std::erase(item->socket->watchers, item.get());
        }
        e->items.clear();
        e->ready.clear();
        in.epolls.erase(e->handle);
        ::close(e->signal);
        e->signal = -1;
    }
    file.wake_all();
}

}  // namespace

std::shared_ptr<File> find_file(const Internals& in, int fd) {
    if (fd < 0 || static_cast<std::size_t>(fd) >= in.files.size()) return nullptr;
    return in.files[static_cast<std::size_t>(fd)];
}

std::shared_ptr<Socket> find_socket(const Internals& in, int fd) {
    return std::dynamic_pointer_cast<Socket>(find_file(in, fd));
}

void enter(Internals& in, int fd, const std::shared_ptr<File>& file) {
    const bool ended = forget(in, fd);
    const auto at = static_cast<std::size_t>(fd);
    if (at >= in.files.size()) in.files.resize(at + 1);
    in.files[at] = file;
    our_numbers[at / 64] |= std::uint64_t{1} << at % 64;
    file->descriptors.push_back(fd);
    if (ended) turn(in);
}

bool forget(Internals& in, int fd) {
    const std::shared_ptr<File> file = find_file(in, fd);
    if (file == nullptr) return false;
    const auto at = static_cast<std::size_t>(fd);
    in.files[at] = nullptr;
    our_numbers[at / 64] &= ~(std::uint64_t{1} << at % 64);
    std::erase(file->descriptors, fd);
    if (!file->descriptors.empty()) return false;
    end(in, *file);
    return true;
}

int usable_number(int made) {
    if (made < descriptors_max) return made;
    ::close(made);
    return fail(EMFILE);
}

int reserve_descriptor(bool close_on_exec) {
    return usable_number(::epoll_create1(close_on_exec ? EPOLL_CLOEXEC : 0));
}

std::shared_ptr<Socket> enter_socket(Internals& in, int fd, kn_stack* host, SocketHandle handle,
                                     SocketKind kind, bool nonblocking) {
    auto s = std::make_shared<Socket>();
    s->host = host;
    s->handle = handle;
    s->kind = kind;
    s->nonblocking = nonblocking;
    in.sockets[{host, handle.raw}] = s.get();
    enter(in, fd, s);
    look(*s, false);
    return s;
}

void take_handle(Internals& in, Socket& s, SocketHandle handle) {
    if (handle == s.handle) return;
    in.sockets.erase({s.host, s.handle.raw});
    s.handle = handle;
    in.sockets[{s.host, handle.raw}] = &s;
    for (EpollItem* item : s.watchers) {
        auto& items = item->set->items;
        auto node = items.extract({item->fd, item->handle});
        node.key().second = item->handle = handle.raw;
        items.erase(node.key());  // a restored member of that number, which nobody has adopted
        items.insert(std::move(node));
    }
}

Error renew(Internals& in, Socket& s, bool reset) {
    Stack& stack = s.stack();
    const auto info = stack.info(s.handle);
    if (!info) return info.error();
    const auto fresh = open(stack, s.kind);
    if (!fresh) return fresh.error();
    for (const SocketOption option : copied_options) {
        const auto value = stack.option(s.handle, option);
        if (value) static_cast<void>(stack.set_option(*fresh, option, *value));
    }
    static_cast<void>(reset ? stack.abort(s.handle) : stack.close(s.handle));
    SocketHandle handle = *fresh;
    if (s.bound_by_user) {
        // Its own remains must not be in its way.
        const auto reuse = stack.option(handle, SocketOption::reuse_address);
        static_cast<void>(stack.set_option(handle, SocketOption::reuse_address, 1));
        if (const auto bound = stack.bind(handle, info->local)) handle = *bound;
        static_cast<void>(stack.set_option(handle, SocketOption::reuse_address, reuse.value_or(0)));
    }
    take_handle(in, s, handle);
    s.dialogue = Dialogue::unconnected;
    s.peer = {};
    s.pending = Error::invalid;
    s.receive_shut = s.send_shut = false;
    s.arrived = 0;
    s.waiting = 0;
    return Error::invalid;
}

// --- what calls share ---

std::shared_ptr<Socket> Call::socket(int fd) const {
    if (const auto f = file(fd)) {
        auto s = std::dynamic_pointer_cast<Socket>(f);
        if (s == nullptr) errno = ENOTSOCK;
        return s;
    }
    static_cast<void>(kernel_answer(fd, ENOTSOCK));
    return nullptr;
}

int kernel_answer(int fd, int error_if_open) {
    if (::fcntl(fd, F_GETFD) < 0) return -1;  // EBADF
    return fail(error_if_open);
}

bool is_user_memory(const void* at, std::size_t length) {
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    constexpr std::uintptr_t end = sizeof(void*) == 8 ? std::uintptr_t{0x7fff'ffff'f000} : UINTPTR_MAX;
    return address <= end && length <= end - address;
}

int errno_of(Error e) {
    switch (e) {
        case Error::invalid:
            return 0;
        case Error::would_block:
            return EAGAIN;
        case Error::stale_handle:
            return EBADF;
        case Error::wrong_kind:
            return EOPNOTSUPP;
        case Error::invalid_argument:
            return EINVAL;
        case Error::invalid_state:
            return EINVAL;
        case Error::not_connected:
            return ENOTCONN;
        case Error::already_connected:
            return EISCONN;
        case Error::in_progress:
            return EALREADY;
        case Error::address_in_use:
            return EADDRINUSE;
        case Error::address_not_available:
            return EADDRNOTAVAIL;
        case Error::no_route:
            return ENETUNREACH;
        case Error::no_ports:
            return EADDRNOTAVAIL;
        case Error::no_memory:
            return ENOBUFS;
        case Error::message_too_long:
            return EMSGSIZE;
        case Error::connection_refused:
            return ECONNREFUSED;
        case Error::connection_reset:
            return ECONNRESET;
        case Error::connection_aborted:
            return ECONNABORTED;
        case Error::timed_out:
            return ETIMEDOUT;
        case Error::host_unreachable:
            return EHOSTUNREACH;
        case Error::end_of_stream:
            return 0;
        case Error::closed:
            return EPIPE;
        case Error::address_gone:
            return ENETRESET;
        case Error::dropped_by_policy:
            return ECONNRESET;
        case Error::replay_diverged:
            return ECONNRESET;
        case Error::no_device:
            return ENODEV;
        default:
            return EIO;  // of snapshots and journals: no socket call gives them
    }
}

int take_pending(Socket& s) {
    if (const auto taken = s.stack().take_error(s.handle); taken && *taken != Error::invalid)
        s.pending = *taken;
    const Error e = std::exchange(s.pending, Error::invalid);
    if (e == Error::connection_reset && s.is_tcp() && !s.send_shut) {
        // Linux's tcp_reset(): in CLOSE-WAIT it is a pipe without a reader.
        const auto r = s.stack().readiness(s.handle);
        if (r && r->has(Readiness::peer_closed)) return EPIPE;
    }
    return errno_of(e);
}

}  // namespace keepnet::posix
