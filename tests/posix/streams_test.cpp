// Streams between two stacks: what blocks, what does not, and for how long.
#include "posix/rig.hpp"

#include <algorithm>
#include <array>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

using namespace test;

extern "C" int echo_in_c(const sockaddr_in6* to, int listener);

TEST_CASE("posix: a C program talks to itself over loopback") {
    Rig rig;
    const int listener = rig.socket_on(rig.a, SOCK_STREAM);
    sockaddr_in6 local{};
    local.sin6_family = AF_INET6;
    local.sin6_port = htons(7);
    local.sin6_addr = in6addr_loopback;
    REQUIRE(kn_bind(listener, as(local), sizeof local) == 0);
    REQUIRE(kn_listen(listener, 1) == 0);
    CHECK(echo_in_c(&local, listener) == 0);
}

TEST_CASE("posix: a C program talks over the wire") {
    Rig rig;
    const Pair pair(rig, 7);
    const sockaddr_in6 remote = address(2, 7);
    CHECK(echo_in_c(&remote, pair.listener) == 0);
}

TEST_CASE("posix: a blocking read sleeps until bytes come, and not longer") {
    Rig rig;
    const Pair pair(rig);
    const Instant start = rig.clock.now();
    rig.clock.plan(milliseconds(30), [&] { CHECK(kn_write(pair.server, "x", 1) == 1); });
    std::array<char, 4> buffer{};
    CHECK(kn_read(pair.client, buffer.data(), buffer.size()) == 1);
    CHECK((rig.clock.now() - start).ms() == 30);
}

TEST_CASE("posix: a blocking write sleeps until all of it has room") {
    Rig rig;
    const Pair pair(rig);
    const std::vector<char> much(2'000'000, 'y');
    std::size_t read = 0;
    std::function<void()> reader = [&] {
        std::vector<char> buffer(65536);
        for (ssize_t n = 0; (n = kn_recv(pair.server, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;)
            read += static_cast<std::size_t>(n);
        rig.clock.plan(milliseconds(5), reader);
    };
    rig.clock.plan(milliseconds(5), reader);
    CHECK(kn_write(pair.client, much.data(), much.size()) == static_cast<ssize_t>(much.size()));
    rig.pass(seconds(1));
    CHECK(read == much.size());
}

TEST_CASE("posix: time-outs of SO_RCVTIMEO and SO_SNDTIMEO") {
    Rig rig;
    const Pair pair(rig);
    const timeval t{.tv_sec = 1, .tv_usec = 500'000};
    REQUIRE(kn_setsockopt(pair.client, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0);
    REQUIRE(kn_setsockopt(pair.client, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0);
    timeval back{};
    socklen_t length = sizeof back;
    REQUIRE(kn_getsockopt(pair.client, SOL_SOCKET, SO_RCVTIMEO, &back, &length) == 0);
    CHECK(back.tv_sec == 1);
    CHECK(back.tv_usec == 500'000);
    Instant start = rig.clock.now();
    char byte = 0;
    CHECK_ERRNO(kn_read(pair.client, &byte, 1), EAGAIN);
    CHECK((rig.clock.now() - start).ms() == 1500);
    const std::vector<char> much(4'000'000);
    start = rig.clock.now();
    const ssize_t sent = kn_write(pair.client, much.data(), much.size());
    CHECK(sent > 0);
    CHECK(sent < static_cast<ssize_t>(much.size()));
    CHECK((rig.clock.now() - start).ms() >= 1500);
    // The rest of the window is less than a segment: it goes with the persist timer, and makes room once more.
    ssize_t last = 0;
    for (int i = 0; i < 3 && last >= 0; ++i) {
        start = rig.clock.now();
        last = kn_write(pair.client, much.data(), much.size());
        CHECK(last < 1500);
        CHECK((rig.clock.now() - start).ms() == 1500);
    }
    CHECK(last == -1);
    CHECK(errno == EAGAIN);
}

TEST_CASE("posix: connect refused, twice on one socket, and then not") {
    Rig rig;
    const int client = rig.socket_on(rig.a, SOCK_STREAM);
    const sockaddr_in6 remote = address(2, 80);
    CHECK_ERRNO(kn_connect(client, as(remote), sizeof remote), ECONNREFUSED);
    CHECK_ERRNO(kn_connect(client, as(remote), sizeof remote), ECONNREFUSED);
    const Pair pair(rig, 80);
    CHECK(kn_connect(client, as(remote), sizeof remote) == 0);
    CHECK_ERRNO(kn_connect(client, as(remote), sizeof remote), EISCONN);
    CHECK(kn_close(client) == 0);
}

TEST_CASE("posix: connect to nobody gives up after its time") {
    Rig rig;
    const int client = rig.socket_on(rig.a, SOCK_STREAM);
    const sockaddr_in6 remote = address(9, 80);  // on the link, and not there
    CHECK_ERRNO(kn_connect(client, as(remote), sizeof remote), EHOSTUNREACH);
    const int second = rig.socket_on(rig.a, SOCK_STREAM);
    const timeval t{.tv_sec = 0, .tv_usec = 100'000};
    REQUIRE(kn_setsockopt(second, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0);
    CHECK_ERRNO(kn_connect(second, as(remote), sizeof remote), EINPROGRESS);
    sockaddr_in6 elsewhere = remote;
    elsewhere.sin6_addr.s6_addr[0] = 0x20;
    const int third = rig.socket_on(rig.a, SOCK_STREAM);
    CHECK_ERRNO(kn_connect(third, as(elsewhere), sizeof elsewhere), ENETUNREACH);
}

TEST_CASE("posix: a blocking accept and its time-out") {
    Rig rig;
    const Pair pair(rig);
    const timeval t{.tv_sec = 2, .tv_usec = 0};
    REQUIRE(kn_setsockopt(pair.listener, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0);
    CHECK_ERRNO(kn_accept(pair.listener, nullptr, nullptr), EAGAIN);
    int second = -1;
    rig.clock.plan(milliseconds(10), [&] {
        second = rig.socket_on(rig.a, SOCK_STREAM | SOCK_NONBLOCK);
        const sockaddr_in6 remote = address(2, 80);
        CHECK_ERRNO(kn_connect(second, as(remote), sizeof remote), EINPROGRESS);
    });
    sockaddr_in6 peer{};
    socklen_t length = sizeof peer;
    const int accepted = kn_accept4(pair.listener, as(peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    REQUIRE(accepted >= 0);
    CHECK(length == sizeof peer);
    CHECK(peer.sin6_addr.s6_addr[15] == 1);
    CHECK((kn_fcntl(accepted, F_GETFL) & O_NONBLOCK) != 0);
    CHECK(kn_fcntl(accepted, F_GETFD) == FD_CLOEXEC);
    CHECK(kn_close(accepted) == 0);
    CHECK(kn_close(second) == 0);
}

TEST_CASE("posix: SO_LINGER waits for the last byte, and no longer than it says") {
    Rig rig;
    Pair pair(rig);
    const linger l{.l_onoff = 1, .l_linger = 10};
    REQUIRE(kn_setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
    REQUIRE(kn_write(pair.client, "bye", 3) == 3);
    const Instant start = rig.clock.now();
    CHECK(kn_close(pair.client) == 0);
    CHECK((rig.clock.now() - start).ms() < 1000);
    pair.client = -1;
    std::array<char, 8> buffer{};
    CHECK(kn_read(pair.server, buffer.data(), buffer.size()) == 3);
    CHECK(kn_read(pair.server, buffer.data(), buffer.size()) == 0);

    Pair silent(rig, 81);
    REQUIRE(kn_setsockopt(silent.client, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
    rig.link.set_up(false);
    REQUIRE(kn_write(silent.client, "bye", 3) == 3);
    const Instant second = rig.clock.now();
    CHECK(kn_close(silent.client) == 0);
    silent.client = -1;
    CHECK((rig.clock.now() - second).ms() == 10'000);
    rig.link.set_up(true);
}

TEST_CASE("posix: SO_LINGER of 0 resets") {
    Rig rig;
    Pair pair(rig);
    const linger l{.l_onoff = 1, .l_linger = 0};
    REQUIRE(kn_setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
    CHECK(kn_close(pair.client) == 0);
    pair.client = -1;
    char byte = 0;
    CHECK_ERRNO(kn_read(pair.server, &byte, 1), ECONNRESET);
    CHECK(kn_read(pair.server, &byte, 1) == 0);
    CHECK_ERRNO(kn_write(pair.server, &byte, 1), EPIPE);
}

TEST_CASE("posix: the number of a socket is readable when the socket is, and what is written to it is no news") {
    Rig rig;
    const Pair pair(rig);
    const auto readable = [](int fd) {
        pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
        return ::poll(&p, 1, 0) == 1;
    };
    CHECK_FALSE(readable(pair.server));
    REQUIRE(kn_write(pair.client, "ab", 2) == 2);
    rig.pass(milliseconds(1));
    CHECK(readable(pair.server));
    char byte = 0;
    REQUIRE(kn_read(pair.server, &byte, 1) == 1);
    CHECK(readable(pair.server));
    REQUIRE(kn_read(pair.server, &byte, 1) == 1);
    CHECK_FALSE(readable(pair.server));
    CHECK_ERRNO(::write(pair.server, "12345678", 8), EINVAL);
    CHECK_FALSE(readable(pair.server));
    const int more = kn_dup(pair.server);
    REQUIRE(kn_write(pair.client, "c", 1) == 1);
    rig.pass(milliseconds(1));
    CHECK(readable(more));
    CHECK(kn_close(more) == 0);
}

TEST_CASE("posix: dup and dup2 name one socket, which ends with the last number") {
    Rig rig;
    Pair pair(rig);
    const int other = kn_dup(pair.client);
    REQUIRE(other >= 0);
    CHECK(kn_handle(other) == kn_handle(pair.client));
    REQUIRE(kn_fcntl(other, F_SETFL, O_NONBLOCK) == 0);  // a flag of the description, not of the number
    CHECK((kn_fcntl(pair.client, F_GETFL) & O_NONBLOCK) != 0);
    const int third = kn_fcntl(pair.client, F_DUPFD_CLOEXEC, 100);
    CHECK(third >= 100);
    CHECK(kn_close(pair.client) == 0);
    pair.client = -1;
    CHECK(kn_write(other, "x", 1) == 1);
    CHECK(kn_dup2(other, third) == third);
    CHECK(kn_close(other) == 0);
    CHECK(kn_write(third, "y", 1) == 1);
    rig.pass(milliseconds(100));
    std::array<char, 8> buffer{};
    CHECK(kn_recv(pair.server, buffer.data(), buffer.size(), MSG_DONTWAIT) == 2);
    CHECK_ERRNO(kn_recv(pair.server, buffer.data(), buffer.size(), MSG_DONTWAIT), EAGAIN);
    CHECK(kn_close(third) == 0);
    rig.pass(milliseconds(10));
    CHECK(kn_recv(pair.server, buffer.data(), buffer.size(), MSG_DONTWAIT) == 0);
}

TEST_CASE("posix: dup2 over a socket closes it, and a number closed behind our back is no socket of ours when it comes again") {
    Rig rig;
    Pair pair(rig);
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    CHECK(kn_dup2(pipe[0], pair.client) == pair.client);
    rig.pass(milliseconds(10));
    char byte = 0;
    CHECK(kn_recv(pair.server, &byte, 1, MSG_DONTWAIT) == 0);
    CHECK(::write(pipe[1], "p", 1) == 1);
    CHECK(kn_read(pair.client, &byte, 1) == 1);  // the pipe: the kernel's call
    CHECK(byte == 'p');
    CHECK(kn_dup2(pair.server, pipe[1]) == pipe[1]);
    CHECK(kn_handle(pipe[1]) == kn_handle(pair.server));
    CHECK(kn_close(pipe[1]) == 0);
    ::close(pipe[0]);
    ::close(pair.listener);
    const int again = rig.socket_on(rig.a, SOCK_STREAM);
    pair.listener = -1;
    CHECK(kn_handle(again) != 0);
    CHECK(kn_close(again) == 0);
}

TEST_CASE("posix: the FIN of a socket that dup2 replaces, or whose number comes again, leaves at once") {
    Rig rig;
    Pair other(rig, 81);
    char byte = 0;
    SECTION("another socket replaces it") {
        Pair pair(rig);
        REQUIRE(kn_dup2(other.client, pair.client) == pair.client);
        CHECK(kn_recv(pair.server, &byte, 1, MSG_DONTWAIT) == 0);
    }
    SECTION("a descriptor of the kernel's replaces it") {
        Pair pair(rig);
        const int event = ::eventfd(0, 0);
        REQUIRE(kn_dup2(event, pair.client) == pair.client);
        CHECK(kn_recv(pair.server, &byte, 1, MSG_DONTWAIT) == 0);
        ::close(event);
    }
    SECTION("its number comes again") {
        Pair pair(rig);
        ::close(pair.client);
        const int fresh = rig.socket_on(rig.a, SOCK_STREAM);
        REQUIRE(fresh == pair.client);
        CHECK(kn_recv(pair.server, &byte, 1, MSG_DONTWAIT) == 0);
    }
}

TEST_CASE("posix: without a descriptor left, what waits to be accepted goes on waiting") {
    Rig rig;
    const Pair pair(rig);
    const int second = rig.socket_on(rig.a, SOCK_STREAM);
    const sockaddr_in6 remote = address(2, 80);
    REQUIRE(kn_connect(second, as(remote), sizeof remote) == 0);
    rig.pass(milliseconds(10));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 3;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_ERRNO(kn_accept(pair.listener, nullptr, nullptr), EMFILE);
    CHECK_ERRNO(kn_socket(AF_INET6, SOCK_STREAM, 0), EMFILE);
    CHECK_ERRNO(kn_dup(pair.client), EMFILE);
    CHECK_ERRNO(kn_epoll_create1(0), EMFILE);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    const int accepted = kn_accept(pair.listener, nullptr, nullptr);
    CHECK(accepted >= 0);
    CHECK(kn_close(accepted) == 0);
    CHECK(kn_close(second) == 0);
}

TEST_CASE("posix: without a descriptor left to be woken by, no call sleeps") {
    Rig rig;
    const Pair pair(rig);
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    const int set = kn_epoll_create1(0);
    epoll_event event{.events = EPOLLIN, .data = {}};
    REQUIRE(kn_epoll_ctl(set, EPOLL_CTL_ADD, pipe[0], &event) == 0);
    std::array<pollfd, 2> polled{{{.fd = pipe[0], .events = POLLIN, .revents = 0},
                                  {.fd = pair.server, .events = POLLIN, .revents = 0}}};
    fd_set in;
    FD_ZERO(&in);
    FD_SET(pipe[0], &in);
    FD_SET(pair.server, &in);  // of the kernel's alone it would be the kernel's call
    timeval soon{.tv_sec = 1, .tv_usec = 0};
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 3;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_ERRNO(kn_epoll_wait(set, &event, 1, 1000), ENOMEM);
    CHECK_ERRNO(kn_select(std::max(pipe[0], pair.server) + 1, &in, nullptr, nullptr, &soon), ENOMEM);
    CHECK(kn_epoll_wait(set, &event, 1, 0) == 0);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    none.rlim_cur = static_cast<rlim_t>(std::max({pipe[1], set, pair.server})) + 1;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    std::vector<int> taken;
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken.push_back(fd);
    CHECK_ERRNO(kn_poll(polled.data(), 2, 1000), ENOMEM);
    for (const int fd : taken) ::close(fd);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(kn_poll(polled.data(), 2, 1000) == 0);
    CHECK(kn_close(set) == 0);
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_CASE("posix: a capacity that is exhausted is ENOBUFS, and gives its number back") {
    StackConfig config = small_config();
    config.capacity.sockets = 2;
    Rig rig(config);
    const int first = kn_socket(AF_INET6, SOCK_STREAM, 0);
    const int second = kn_socket(AF_INET6, SOCK_STREAM, 0);
    REQUIRE(second >= 0);
    CHECK_ERRNO(kn_socket(AF_INET6, SOCK_STREAM, 0), ENOBUFS);
    CHECK(kn_close(first) == 0);
    const int third = kn_socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(third == first);
    CHECK(kn_close(third) == 0);
    CHECK(kn_close(second) == 0);
}

TEST_CASE("posix: without a runtime there is no socket, and what is the kernel's still is") {
    CHECK_ERRNO(kn_socket(AF_INET6, SOCK_STREAM, 0), ENETDOWN);
    CHECK_ERRNO(kn_listen(-1, 1), EBADF);
    CHECK_ERRNO(kn_adopt(1), EBADF);
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    CHECK(kn_write(pipe[1], "x", 1) == 1);
    pollfd p{.fd = pipe[0], .events = POLLIN, .revents = 0};
    CHECK(kn_poll(&p, 1, 0) == 1);
    char byte = 0;
    CHECK(kn_read(pipe[0], &byte, 1) == 1);
    CHECK_ERRNO(kn_listen(pipe[0], 1), ENOTSOCK);
    CHECK(kn_handle(pipe[0]) == 0);
    CHECK(kn_close(pipe[0]) == 0);
    CHECK(kn_close(pipe[1]) == 0);
}
