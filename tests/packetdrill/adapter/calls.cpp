// The table of calls (interface.hpp) over a Host: each is the kn_ function of its name.
#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "packetdrill/adapter/host.hpp"
#include "packetdrill/adapter/interface.hpp"
#include "packetdrill/adapter/splice.hpp"

using namespace keepnet;
using keepnet::packetdrill::Host;

namespace {

Host& host_of(void* userdata) { return *static_cast<Host*>(userdata); }

int call_socket(void* u, int domain, int type, int protocol) { return host_of(u).socket(domain, type, protocol); }
int call_bind(void* u, int fd, const sockaddr* address, socklen_t length) {
    return host_of(u).call([=] { return kn_bind(fd, address, length); });
}
int call_listen(void* u, int fd, int backlog) {
    return host_of(u).call([=] { return kn_listen(fd, backlog); });
}
int call_accept(void* u, int fd, sockaddr* address, socklen_t* length) {
    return host_of(u).call_on(fd, [=] { return kn_accept(fd, address, length); });
}
int call_connect(void* u, int fd, const sockaddr* address, socklen_t length) {
    return host_of(u).call_on(fd, [=] { return kn_connect(fd, address, length); });
}

ssize_t call_read(void* u, int fd, void* data, std::size_t bytes) {
    return host_of(u).call_on(fd, [=] { return kn_read(fd, data, bytes); });
}
ssize_t call_readv(void* u, int fd, const iovec* parts, int count) {
    return host_of(u).call_on(fd, [=] { return kn_readv(fd, parts, count); });
}
ssize_t call_recv(void* u, int fd, void* data, std::size_t bytes, int flags) {
    return host_of(u).call_on(fd, [=] { return kn_recv(fd, data, bytes, flags); });
}
ssize_t call_recvfrom(void* u, int fd, void* data, std::size_t bytes, int flags, sockaddr* address, socklen_t* length) {
    return host_of(u).call_on(fd, [=] { return kn_recvfrom(fd, data, bytes, flags, address, length); });
}
ssize_t call_recvmsg(void* u, int fd, msghdr* message, int flags) {
    return host_of(u).call_on(fd, [=] { return kn_recvmsg(fd, message, flags); });
}
ssize_t call_write(void* u, int fd, const void* data, std::size_t bytes) {
    return host_of(u).call_on(fd, [=] { return kn_write(fd, data, bytes); });
}
ssize_t call_writev(void* u, int fd, const iovec* parts, int count) {
    return host_of(u).call_on(fd, [=] { return kn_writev(fd, parts, count); });
}
ssize_t call_send(void* u, int fd, const void* data, std::size_t bytes, int flags) {
    return host_of(u).call_on(fd, [=] { return kn_send(fd, data, bytes, flags); });
}
ssize_t call_sendto(void* u, int fd, const void* data, std::size_t bytes, int flags, const sockaddr* address,
                    socklen_t length) {
    return host_of(u).call_on(fd, [=] { return kn_sendto(fd, data, bytes, flags, address, length); });
}
ssize_t call_sendmsg(void* u, int fd, const msghdr* message, int flags) {
    return host_of(u).call_on(fd, [=] { return kn_sendmsg(fd, message, flags); });
}

/// The tool gives an int, or nothing where the command takes nothing.
int call_fcntl(void* u, int fd, int command, ...) {
    std::va_list arguments;
    va_start(arguments, command);
    const int argument = va_arg(arguments, int);
    va_end(arguments);
    return host_of(u).call([=] { return kn_fcntl(fd, command, argument); });
}
int call_ioctl(void* u, int fd, unsigned long request, ...) {
    std::va_list arguments;
    va_start(arguments, request);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    return host_of(u).call([=] { return kn_ioctl(fd, request, argument); });
}

int call_close(void* u, int fd) {
    return host_of(u).call([=] { return kn_close(fd); });
}
int call_shutdown(void* u, int fd, int how) {
    return host_of(u).call([=] { return kn_shutdown(fd, how); });
}
int call_getsockopt(void* u, int fd, int level, int name, void* value, socklen_t* length) {
    return host_of(u).call([=] { return kn_getsockopt(fd, level, name, value, length); });
}
int call_setsockopt(void* u, int fd, int level, int name, const void* value, socklen_t length) {
    return host_of(u).call([=] { return kn_setsockopt(fd, level, name, value, length); });
}
int call_poll(void* u, pollfd* fds, nfds_t count, int timeout_ms) {
    const int timeout = host_of(u).may_block() ? timeout_ms : 0;
    return host_of(u).call([=] { return kn_poll(fds, count, timeout); });
}
int call_epoll_create(void* u, int size) {
    if (size <= 0) return errno = EINVAL, -1;
    return host_of(u).call([] { return kn_epoll_create1(0); });
}
int call_epoll_ctl(void* u, int epoll, int operation, int fd, epoll_event* event) {
    return host_of(u).call([=] { return kn_epoll_ctl(epoll, operation, fd, event); });
}
int call_epoll_wait(void* u, int epoll, epoll_event* events, int count, int timeout_ms) {
    const int timeout = host_of(u).may_block() ? timeout_ms : 0;
    return host_of(u).call([=] { return kn_epoll_wait(epoll, events, count, timeout); });
}

int call_pipe(void*, int ends[2]) { return pipe(ends); }
/// The tool gives offsets even where a descriptor can have none, so they are not looked at.
int call_splice(void* u, int in, loff_t*, int out, loff_t*, std::size_t bytes, unsigned flags) {
    return host_of(u).call([=] { return static_cast<int>(packetdrill::splice(in, out, bytes, flags)); });
}

int call_netdev_send(void* u, const void* packet, std::size_t bytes) {
    return host_of(u).send({static_cast<const std::uint8_t*>(packet), bytes}) ? 0 : -1;
}
int call_netdev_receive(void* u, void* packet, std::size_t* bytes, long long* time_us) {
    Instant at{};
    if (!host_of(u).receive({static_cast<std::uint8_t*>(packet), *bytes}, *bytes, at)) *bytes = 0;
    *time_us = Duration{at.ns}.us();
    return 0;
}
int call_usleep(void* u, useconds_t us) { return host_of(u).sleep(microseconds(us)), 0; }
int call_gettimeofday(void* u, timeval* now, struct timezone*) {
    constexpr std::int64_t second = 1'000'000;
    const std::int64_t us = Duration{host_of(u).look_at_clock().ns}.us();
    *now = {.tv_sec = us / second, .tv_usec = us % second};
    return 0;
}
/// preload/getsockopt.cpp, where it is loaded.
struct Hook {
    int (*getsockopt)(void* userdata, int fd, int level, int name, void* value, socklen_t* length);
    void* userdata;
};
void set_hook(const Hook& to) {
    if (void* const hook = dlsym(RTLD_DEFAULT, "keepnet_packetdrill_getsockopt")) *static_cast<Hook*>(hook) = to;
}

void call_free(void* u) {
    set_hook({});
    delete static_cast<Host*>(u);
}

}  // namespace

void packetdrill_interface_init(const char* flags, packetdrill_interface* calls) {
    const auto parsed = packetdrill::parse_flags(flags == nullptr ? "" : flags);
    if (!parsed) {
        std::fprintf(stderr, "keepnet-packetdrill: --so_flags: %s\n", parsed.error().c_str());
        std::exit(EXIT_FAILURE);
    }
    *calls = {.userdata = new Host(*parsed),
              .free = call_free,
              .socket = call_socket,
              .bind = call_bind,
              .listen = call_listen,
              .accept = call_accept,
              .connect = call_connect,
              .read = call_read,
              .readv = call_readv,
              .recv = call_recv,
              .recvfrom = call_recvfrom,
              .recvmsg = call_recvmsg,
              .write = call_write,
              .writev = call_writev,
              .send = call_send,
              .sendto = call_sendto,
              .sendmsg = call_sendmsg,
              .fcntl = call_fcntl,
              .ioctl = call_ioctl,
              .close = call_close,
              .shutdown = call_shutdown,
              .getsockopt = call_getsockopt,
              .setsockopt = call_setsockopt,
              .poll = call_poll,
              .netdev_send = call_netdev_send,
              .netdev_receive = call_netdev_receive,
              .usleep = call_usleep,
              .gettimeofday = call_gettimeofday,
              .epoll_create = call_epoll_create,
              .epoll_ctl = call_epoll_ctl,
              .epoll_wait = call_epoll_wait,
              .pipe = call_pipe,
              .splice = call_splice};
    set_hook({call_getsockopt, calls->userdata});
}
