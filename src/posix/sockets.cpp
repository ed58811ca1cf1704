// socket, bind, listen, accept, connect, shutdown, close, and the two names.
#include <algorithm>

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include "posix/call.hpp"

using namespace keepnet;
using namespace keepnet::posix;

namespace {

/// Linux's net.core.somaxconn.
constexpr std::uint32_t backlog_max = 4096;

int kind_of(int type, int protocol, SocketKind& kind) {
    if (type < 0 || type >= 11) return EINVAL;           // SOCK_MAX
    if (protocol < 0 || protocol >= 263) return EINVAL;  // IPPROTO_MAX
    switch (type) {
        case SOCK_STREAM:
            kind = SocketKind::tcp;
            return protocol == 0 || protocol == IPPROTO_TCP ? 0 : EPROTONOSUPPORT;
        case SOCK_DGRAM:
            kind = SocketKind::udp;
            return protocol == 0 || protocol == IPPROTO_UDP ? 0 : EPROTONOSUPPORT;
        default:
            return ESOCKTNOSUPPORT;
    }
}

TcpPhase phase_of(const Socket& s) {
    const auto info = s.stack().info(s.handle);
    return info ? info->phase : TcpPhase::closed;
}

/// A TCP connect that is under way ends: 0, or an errno value; EINPROGRESS: not yet.
int finish_connect(Internals& in, Socket& s) {
    const auto r = s.stack().readiness(s.handle);
    const TcpPhase phase = phase_of(s);
    if (phase == TcpPhase::syn_sent || phase == TcpPhase::syn_received) return EINPROGRESS;
    if (phase != TcpPhase::closed && r) {
        s.dialogue = Dialogue::connected;
        return 0;
    }
    int error = take_pending(s);
    if (error == 0) error = ECONNABORTED;
    const Error again = renew(in, s);  // it may be connected once more
    look(s, false);
    return again == Error::invalid ? error : errno_of(again);
}

int wait_connected(Call& call, Socket& s) {
    const Instant deadline = call.until(s.send_timeout);
    for (;;) {
        const int done = finish_connect(call.in(), s);
        if (done != EINPROGRESS) return done;
        const int slept = call.sleep(s, deadline);
        if (slept != 0) return slept == EAGAIN ? EINPROGRESS : slept;
    }
}

int connect_stream(Call& call, Socket& s, const Endpoint& to) {
    if (phase_of(s) == TcpPhase::listen) return EISCONN;
    if (s.dialogue == Dialogue::connected) return EISCONN;
    if (s.dialogue == Dialogue::connecting) {
        const int done = finish_connect(call.in(), s);
        if (done != EINPROGRESS) return done;
        return s.nonblocking ? EALREADY : wait_connected(call, s);
    }
    if (to.address.is_multicast()) return ENETUNREACH;
    if (to.port == 0) return ECONNREFUSED;  // nobody listens there
    const auto done = s.stack().connect(s.handle, to);
    if (!done) return errno_of(done.error());
    s.dialogue = Dialogue::connecting;
    s.pending = Error::invalid;
    call.done();
    look(s, false);
    if (s.nonblocking) return EINPROGRESS;
    return wait_connected(call, s);
}

int connect_datagrams(Call& call, Socket& s, const Endpoint& to) {
    if (to.port == 0) return EINVAL;
    const auto done = s.stack().connect(s.handle, to);
    if (!done) return errno_of(done.error());
    s.peer = to;
    s.dialogue = Dialogue::connected;
    look(s, false);
    call.done();
    return 0;
}

/// connect(AF_UNSPEC): the conversation is over, the socket is new.
int disconnect(Call& call, Socket& s) {
    const TcpPhase phase = s.is_tcp() ? phase_of(s) : TcpPhase::closed;
    const bool talks = phase != TcpPhase::closed && phase != TcpPhase::listen;
    const Error e = renew(call.in(), s, talks);
    if (talks) s.pending = Error::connection_reset;  // as Linux's tcp_disconnect()
    call.done();
    look(s, true);
    return errno_of(e);
}

int result(int error) { return error == 0 ? 0 : fail(error); }

/// One that waits, under a number that it can have: without one it goes on waiting, as on Linux. -1 and
/// errno.
int take_waiting(Call& call, Socket& s, int flags, Endpoint& peer) {
    const auto r = s.stack().readiness(s.handle);
    if (!r || !r->has(Readiness::readable)) return fail(r ? EAGAIN : errno_of(r.error()));
    const int fd = reserve_descriptor((flags & SOCK_CLOEXEC) != 0);
    if (fd < 0) return -1;
    const auto accepted = s.stack().accept(s.handle);
    look(s, false);
    if (!accepted) {
        ::close(fd);
        return fail(accepted.error());
    }
    const auto info = s.stack().info(*accepted);
    peer = info ? info->remote : Endpoint{};
    const auto made =
        enter_socket(call.in(), fd, s.host, *accepted, SocketKind::tcp, (flags & SOCK_NONBLOCK) != 0);
    made->dialogue = Dialogue::connected;
    made->low_water = s.low_water;
    made->receive_timeout = s.receive_timeout;
    made->send_timeout = s.send_timeout;
    made->stored = s.stored;
    made->timestamps = s.timestamps;
    call.done();
    return fd;
}

int accept_one(Call& call, Socket& s, int flags, Endpoint& peer) {
    const Instant deadline = call.until(s.receive_timeout);
    for (;;) {
        if (phase_of(s) != TcpPhase::listen) return fail(EINVAL);
        const int fd = take_waiting(call, s, flags, peer);
        if (fd >= 0 || errno != EAGAIN) return fd;
        if (s.nonblocking) return fail(EAGAIN);
        if (const int slept = call.sleep(s, deadline); slept != 0) return fail(slept);
    }
}

int shut_stream(Call& call, Socket& s, int how) {
    const TcpPhase phase = phase_of(s);
    if (phase == TcpPhase::listen) {
        if (how != SHUT_WR) {  // Linux: it listens no more
            const Error e = renew(call.in(), s);
            look(s, true);
            return errno_of(e);
        }
        return 0;
    }
    if (phase == TcpPhase::closed || phase == TcpPhase::time_wait) return ENOTCONN;
    if (phase == TcpPhase::syn_sent) {
        // Linux ends the attempt, and says so to who waits for it.
        static_cast<void>(disconnect(call, s));
        return 0;
    }
    if (how != SHUT_RD) {
        const auto done = s.stack().shutdown(s.handle, CloseDirection::send);
        if (!done) return errno_of(done.error());
        s.send_shut = true;
    }
    // What has come, and what comes, can still be read, as on Linux; then there is an end instead of a wait.
    if (how != SHUT_WR) s.receive_shut = true;
    call.done();
    announce(s);
    return 0;
}

int shut_datagrams(Call& call, Socket& s, int how) {
    const bool connected = s.peer.port != 0;
    if (how != SHUT_WR) s.receive_shut = true;
    if (how != SHUT_RD) s.send_shut = true;
    announce(s);
    call.done();
    return connected ? 0 : ENOTCONN;
}

}  // namespace

void keepnet::posix::await_last_bytes(Call& call, Socket& s) {
    if (!s.is_tcp()) return;
    const auto wanted = s.stack().option(s.handle, SocketOption::linger);
    const auto before = s.stack().info(s.handle);
    if (!wanted || *wanted <= 0 || !before || before->receive_queue_bytes != 0) return;
    if (!s.stack().shutdown(s.handle, CloseDirection::send)) return;
    call.done();
    for (const Instant deadline = call.until({*wanted});;) {
        const TcpPhase phase = phase_of(s);
        if (phase != TcpPhase::fin_wait_1 && phase != TcpPhase::closing && phase != TcpPhase::last_ack)
            return;
        if (call.sleep(s, deadline, true) != 0)
            return;  // a signal ends the wait, and the call does not say so
    }
}

extern "C" {

int kn_socket(int domain, int type, int protocol) {
    if (domain == AF_UNIX || domain == AF_NETLINK) return ::socket(domain, type, protocol);  // within the machine
    const Call call;
    const int flags = type & ~0xf;
    if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return fail(EINVAL);
    if (domain != AF_INET6) return fail(EAFNOSUPPORT);
    SocketKind kind = SocketKind::invalid;
    if (const int error = kind_of(type & 0xf, protocol, kind); error != 0) return fail(error);
    kn_stack* host = call ? chosen_stack(call.in()) : nullptr;
    if (host == nullptr) return fail(ENETDOWN);
    const int fd = reserve_descriptor((flags & SOCK_CLOEXEC) != 0);
    if (fd < 0) return -1;
    const auto handle = kind == SocketKind::tcp ? host->stack->open_tcp() : host->stack->open_udp();
    if (!handle) {
        ::close(fd);
        return fail(handle.error());
    }
    enter_socket(call.in(), fd, host, *handle, kind, (flags & SOCK_NONBLOCK) != 0);
    return fd;
}

int kn_bind(int fd, const sockaddr* address, socklen_t length) {
    if (!is_ours(fd)) return ::bind(fd, address, length);
    Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    Endpoint local;
    if (const int error = take_address(address, length, local); error != 0) return fail(error);
    if (local.address.is_link_local() && local.interface == 0) return fail(EINVAL);
    const auto bound = s->stack().bind(s->handle, local);
    if (!bound) return fail(bound.error());
    take_handle(call.in(), *s, *bound);
    s->bound_by_user = true;
    look(*s, false);
    return 0;
}

int kn_listen(int fd, int backlog) {
    if (!is_ours(fd)) return ::listen(fd, backlog);
    Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    if (!s->is_tcp()) return fail(EOPNOTSUPP);
    const TcpPhase phase = phase_of(*s);
    if (s->dialogue != Dialogue::unconnected || (phase != TcpPhase::closed && phase != TcpPhase::listen))
        return fail(EINVAL);
    // Linux's queue is full when it holds more than the backlog.
    const std::uint32_t most = std::min(static_cast<std::uint32_t>(backlog), backlog_max) + 1;
    const auto listening = s->stack().listen(s->handle, most);
    if (!listening) return fail(listening.error());
    take_handle(call.in(), *s, *listening);
    s->bound_by_user = true;
    look(*s, false);
    call.done();
    return 0;
}

int kn_accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
    if (!is_ours(fd)) return ::accept4(fd, address, length, flags);
    Call call;
    if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return fail(EINVAL);
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    if (!s->is_tcp()) return fail(EOPNOTSUPP);
    if (const int error = address != nullptr ? check_room(address, length) : 0; error != 0)
        return fail(error);
    Endpoint peer;
    const int made = accept_one(call, *s, flags, peer);
    if (made >= 0 && address != nullptr) static_cast<void>(give_address(peer, address, length));
    return made;
}

int kn_accept(int fd, sockaddr* address, socklen_t* length) { return kn_accept4(fd, address, length, 0); }

int kn_connect(int fd, const sockaddr* address, socklen_t length) {
    if (!is_ours(fd)) return ::connect(fd, address, length);
    Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    Endpoint to;
    bool unspecified = false;
    if (const int error = take_address(address, length, to, &unspecified); error != 0) return fail(error);
    if (unspecified) return result(disconnect(call, *s));
    if (to.address.is_link_local() && to.interface == 0) return fail(EINVAL);
    if (to.address.is_unspecified()) to.address = ipv6_loopback;  // as Linux
    return result(s->is_tcp() ? connect_stream(call, *s, to) : connect_datagrams(call, *s, to));
}

int kn_shutdown(int fd, int how) {
    if (!is_ours(fd)) return ::shutdown(fd, how);
    Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return fail(EINVAL);
    return result(s->is_tcp() ? shut_stream(call, *s, how) : shut_datagrams(call, *s, how));
}

int kn_close(int fd) {
    if (!is_ours(fd)) return ::close(fd);
    Call call;
    const auto file = call.file(fd);
    if (file == nullptr) {
        call.release();
        return ::close(fd);
    }
    if (auto* s = dynamic_cast<Socket*>(file.get()); s != nullptr && s->descriptors.size() == 1)
        await_last_bytes(call, *s);
    if (call.file(fd) != file) return fail(EBADF);  // another thread was faster
    forget(call.in(), fd);
    ::close(fd);
    call.done();
    return 0;
}

int kn_getsockname(int fd, sockaddr* address, socklen_t* length) {
    if (!is_ours(fd)) return ::getsockname(fd, address, length);
    const Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    const auto info = s->stack().info(s->handle);
    if (!info) return fail(info.error());
    return result(give_address(info->local, address, length));
}

int kn_getpeername(int fd, sockaddr* address, socklen_t* length) {
    if (!is_ours(fd)) return ::getpeername(fd, address, length);
    const Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    const auto info = s->stack().info(s->handle);
    if (!info) return fail(info.error());
    const bool none = s->is_tcp()
                          ? info->phase == TcpPhase::closed || info->phase == TcpPhase::listen ||
                                info->phase == TcpPhase::syn_sent || info->phase == TcpPhase::time_wait
                          : s->peer.port == 0;
    if (none) return fail(ENOTCONN);
    return result(give_address(info->remote, address, length));
}

}  // extern "C"
