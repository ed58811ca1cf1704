#include "posix/same.hpp"

#include <cstdarg>

#include <signal.h>
#include <sys/epoll.h>
#include <sys/time.h>

namespace test {

namespace {

// glibc's __fortify variants and overloads aside, these are the calls themselves.
int kernel_ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void* argument = va_arg(list, void*);
    va_end(list);
    return ::ioctl(fd, request, argument);
}

}  // namespace

const Api& kernel_api() {
    static const Api api{
        ::socket,  ::bind,        ::listen,      ::accept4,      ::connect,       ::shutdown,  ::close,
        ::read,    ::readv,       ::recvfrom,    ::recvmsg,      ::write,         ::writev,    ::sendto,
        ::sendmsg, ::getsockname, ::getpeername, ::getsockopt,   ::setsockopt,    ::fcntl,     kernel_ioctl,
        ::dup,     ::dup2,        ::poll,        ::select,       ::epoll_create1, ::epoll_ctl, ::epoll_wait,
        ::ppoll,   ::pselect,     ::epoll_pwait, ::epoll_pwait2, ::dup3};
    return api;
}

const Api& keepnet_api() {
    static const Api api{kn_socket,        kn_bind,         kn_listen,     kn_accept4,    kn_connect,
                         kn_shutdown,      kn_close,        kn_read,       kn_readv,      kn_recvfrom,
                         kn_recvmsg,       kn_write,        kn_writev,     kn_sendto,     kn_sendmsg,
                         kn_getsockname,   kn_getpeername,  kn_getsockopt, kn_setsockopt, kn_fcntl,
                         kn_ioctl,         kn_dup,          kn_dup2,       kn_poll,       kn_select,
                         kn_epoll_create1, kn_epoll_ctl,    kn_epoll_wait, kn_ppoll,      kn_pselect,
                         kn_epoll_pwait,   kn_epoll_pwait2, kn_dup3};
    return api;
}

bool kernel_has_loopback() {
    const int fd = ::socket(AF_INET6, SOCK_STREAM, 0);
    const sockaddr_in6 a = Play::loopback();
    const bool has = fd >= 0 && ::bind(fd, as(a), sizeof a) == 0;
    if (fd >= 0) ::close(fd);
    return has;
}

void same(const std::function<void(Play&)>& play) {
    std::vector<std::string> ours;
    {
        Rig rig;
        Play p(keepnet_api(), [&rig] { rig.pass(milliseconds(100)); });
        p.interrupt = [&rig] { rig.clock.plan_signal(milliseconds(10), SIGALRM); };
        play(p);
        ours = p.lines;
    }
    REQUIRE_FALSE(ours.empty());
    if (!kernel_has_loopback()) {
        WARN("no ::1 here: played on keepnet alone");
        return;
    }
    // Over the kernel's loopback a segment is where it goes before the call that sent it returns; a delayed
    // ACK is not.
    Play p(kernel_api(), [] { ::usleep(2000); });
    p.interrupt = [] {
        const itimerval soon{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = 10'000}};
        ::setitimer(ITIMER_REAL, &soon, nullptr);
    };
    play(p);
    CHECK(ours.size() == p.lines.size());
    for (std::size_t i = 0; i < std::min(ours.size(), p.lines.size()); ++i) {
        INFO("line " << i);
        CHECK("keepnet: " + ours[i] == "keepnet: " + p.lines[i]);
    }
}

}  // namespace test
