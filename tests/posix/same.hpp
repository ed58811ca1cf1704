// The same calls on the kernel's sockets and on keepnet's, over ::1, and what each of them answered, line by line.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "posix/rig.hpp"

namespace test {

/// One of the two, as a table of functions.
struct Api {
    int (*socket)(int, int, int);
    int (*bind)(int, const sockaddr*, socklen_t);
    int (*listen)(int, int);
    int (*accept4)(int, sockaddr*, socklen_t*, int);
    int (*connect)(int, const sockaddr*, socklen_t);
    int (*shutdown)(int, int);
    int (*close)(int);
    ssize_t (*read)(int, void*, size_t);
    ssize_t (*readv)(int, const iovec*, int);
    ssize_t (*recvfrom)(int, void*, size_t, int, sockaddr*, socklen_t*);
    ssize_t (*recvmsg)(int, msghdr*, int);
    ssize_t (*write)(int, const void*, size_t);
    ssize_t (*writev)(int, const iovec*, int);
    ssize_t (*sendto)(int, const void*, size_t, int, const sockaddr*, socklen_t);
    ssize_t (*sendmsg)(int, const msghdr*, int);
    int (*getsockname)(int, sockaddr*, socklen_t*);
    int (*getpeername)(int, sockaddr*, socklen_t*);
    int (*getsockopt)(int, int, int, void*, socklen_t*);
    int (*setsockopt)(int, int, int, const void*, socklen_t);
    int (*fcntl)(int, int, ...);
    int (*ioctl)(int, unsigned long, ...);
    int (*dup)(int);
    int (*dup2)(int, int);
    int (*poll)(pollfd*, nfds_t, int);
    int (*select)(int, fd_set*, fd_set*, fd_set*, timeval*);
    int (*epoll_create1)(int);
    int (*epoll_ctl)(int, int, int, epoll_event*);
    int (*epoll_wait)(int, epoll_event*, int, int);
    int (*ppoll)(pollfd*, nfds_t, const timespec*, const sigset_t*);
    int (*pselect)(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*);
    int (*epoll_pwait)(int, epoll_event*, int, int, const sigset_t*);
    int (*epoll_pwait2)(int, epoll_event*, int, const timespec*, const sigset_t*);
    int (*dup3)(int, int, int);
};
const Api& kernel_api();
const Api& keepnet_api();

/// A play's notes. `settle()` lets everything under way arrive.
class Play {
  public:
    Play(const Api& which, std::function<void()> wait) : api(which), settle(std::move(wait)) {}
    Play(const Play&) = delete;
    Play& operator=(const Play&) = delete;
    ~Play() {
        for (const int fd : opened_) api.close(fd);
    }

    /// "what = 3" or "what = EAGAIN".
    template <class Call>
    long note(const std::string& what, Call&& call) {
        errno = 0;
        const long got = static_cast<long>(call());
        say(what, got < 0 ? strerrorname_np(errno) : std::to_string(got));
        return got;
    }
    /// A call that makes a descriptor, whose number is nobody's business.
    template <class Call>
    int open(const std::string& what, Call&& call) {
        errno = 0;
        const int fd = static_cast<int>(call());
        if (fd >= 0) opened_.push_back(fd);
        say(what, fd < 0 ? strerrorname_np(errno) : "open");
        return fd;
    }
    void close(const std::string& what, int fd) {
        std::erase(opened_, fd);
        note(what, [&] { return api.close(fd); });
    }
    void say(const std::string& what, const std::string& answer) { lines.push_back(what + " = " + answer); }
    /// What poll() says of a descriptor.
    void mask(const std::string& what, int fd) {
        settle();
        pollfd p{.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM, .revents = 0};
        const int n = api.poll(&p, 1, 0);
        say(what, std::to_string(n) + " " + bits(static_cast<std::uint32_t>(static_cast<unsigned short>(p.revents))));
    }
    /// What an epoll set gives now, members by the letter in their data, in the order of these: what becomes ready in one
    /// instant has no order of its own.
    void events(const std::string& what, int epoll, int most = 8) {
        settle();
        std::array<epoll_event, 8> got{};
        const int n = api.epoll_wait(epoll, got.data(), most, 0);
        std::string answer = std::to_string(n);
        std::sort(got.begin(), got.begin() + std::max(n, 0),
                  [](const epoll_event& x, const epoll_event& y) { return x.data.u32 < y.data.u32; });
        for (int i = 0; i < n; ++i) {
            answer += std::string(" ") + static_cast<char>(got[static_cast<std::size_t>(i)].data.u32) + ":" +
                      bits(got[static_cast<std::size_t>(i)].events);
        }
        say(what, answer);
    }
    static std::string bits(std::uint32_t mask) {
        std::string s;
        const auto bit = [&](std::uint32_t b, const char* name) {
            if ((mask & b) == 0) return;
            s += s.empty() ? "" : "|";
            s += name;
            mask &= ~b;
        };
        bit(EPOLLIN, "IN");
        bit(EPOLLPRI, "PRI");
        bit(EPOLLOUT, "OUT");
        bit(EPOLLERR, "ERR");
        bit(EPOLLHUP, "HUP");
        bit(EPOLLRDHUP, "RDHUP");
        bit(EPOLLRDNORM, "RDNORM");
        bit(EPOLLWRNORM, "WRNORM");
        if (mask != 0) s += "+" + std::to_string(mask);
        return s.empty() ? "none" : s;
    }

    // --- scenes that many plays begin with ---

    int socket(int type = SOCK_STREAM) {
        const int fd = api.socket(AF_INET6, type, 0);
        REQUIRE(fd >= 0);
        opened_.push_back(fd);
        return fd;
    }
    /// ::1, port 0.
    static sockaddr_in6 loopback(std::uint16_t port = 0) {
        sockaddr_in6 a = address(0, port);
        a.sin6_addr = in6addr_loopback;
        return a;
    }
    sockaddr_in6 name_of(int fd) const {
        sockaddr_in6 a{};
        socklen_t length = sizeof a;
        REQUIRE(api.getsockname(fd, as(a), &length) == 0);
        return a;
    }
    int bound(int type = SOCK_STREAM) {
        const int fd = socket(type);
        const sockaddr_in6 a = loopback();
        REQUIRE(api.bind(fd, as(a), sizeof a) == 0);
        return fd;
    }
    int listener(int backlog = 8) {
        const int fd = bound();
        REQUIRE(api.listen(fd, backlog) == 0);
        return fd;
    }
    struct Ends {
        int client, server, listener;
    };
    /// Both non-blocking.
    Ends pair() {
        Ends e{};
        e.listener = listener();
        e.client = socket(SOCK_STREAM | SOCK_NONBLOCK);
        const sockaddr_in6 to = name_of(e.listener);
        api.connect(e.client, as(to), sizeof to);
        settle();
        e.server = api.accept4(e.listener, nullptr, nullptr, SOCK_NONBLOCK);
        REQUIRE(e.server >= 0);
        opened_.push_back(e.server);
        settle();
        api.connect(e.client, as(to), sizeof to);  // Linux: it has been told now
        return e;
    }

    const Api& api;
    std::function<void()> settle;
    /// SIGALRM comes to this thread while it sleeps in the call that follows.
    std::function<void()> interrupt{};
    std::vector<std::string> lines{};

  private:
    std::vector<int> opened_{};
};

/// Has the kernel ::1? Without it there is nothing to compare with.
bool kernel_has_loopback();
/// Plays it twice, and compares.
void same(const std::function<void(Play&)>& play);

}  // namespace test
