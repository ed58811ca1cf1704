// epoll, level- and edge-triggered, poll and select: each line is what Linux answers too.
#include "posix/same.hpp"

#include <sys/eventfd.h>

using namespace test;

namespace {

void add(Play& p, int set, int fd, char name, std::uint32_t events, int operation = EPOLL_CTL_ADD) {
    epoll_event e{.events = events, .data = {.u32 = static_cast<std::uint32_t>(name)}};
    p.note(std::string(operation == EPOLL_CTL_ADD ? "add " : "modify ") + name, [&] { return p.api.epoll_ctl(set, operation, fd, &e); });
}

void life(Play& p, std::uint32_t trigger) {
    const auto e = p.pair();
    char b[64];
    const int set = p.open("set", [&] { return p.api.epoll_create1(EPOLL_CLOEXEC); });
    add(p, set, e.client, 'c', EPOLLIN | EPOLLOUT | EPOLLRDHUP | trigger);
    add(p, set, e.server, 's', EPOLLIN | EPOLLRDHUP | trigger);
    p.events("at first", set);
    p.events("at second", set);
    p.note("write", [&] { return p.api.write(e.client, "0123456789", 10); });
    p.events("bytes", set);
    p.events("still", set);
    p.note("read some", [&] { return p.api.read(e.server, b, 4); });
    p.events("some left", set);
    p.note("write more", [&] { return p.api.write(e.client, "abc", 3); });
    p.events("more bytes", set);
    p.note("read all", [&] { return p.api.read(e.server, b, 64); });
    p.events("empty", set);
    p.note("nothing", [&] { return p.api.read(e.server, b, 64); });
    p.note("write", [&] { return p.api.write(e.client, "d", 1); });
    p.events("again", set);
    p.note("read", [&] { return p.api.read(e.server, b, 64); });
    add(p, set, e.client, 'm', EPOLLIN | EPOLLOUT | trigger, EPOLL_CTL_MOD);
    p.events("modified", set);
    p.events("after", set);
    p.note("shutdown", [&] { return p.api.shutdown(e.client, SHUT_WR); });
    p.events("half closed", set);
    p.events("still", set);
    p.note("end", [&] { return p.api.read(e.server, b, 64); });
    p.events("read the end", set);
    p.note("their shutdown", [&] { return p.api.shutdown(e.server, SHUT_WR); });
    p.events("closed", set);
    p.events("still", set);
}

void full(Play& p, std::uint32_t trigger) {
    const auto e = p.pair();
    const int set = p.open("set", [&] { return p.api.epoll_create1(0); });
    add(p, set, e.client, 'c', EPOLLOUT | trigger);
    p.events("room", set);
    const std::vector<char> much(1 << 18);
    while (p.api.write(e.client, much.data(), much.size()) > 0) {}
    p.settle();
    while (p.api.write(e.client, much.data(), much.size()) > 0) {}
    p.events("full", set);
    std::vector<char> room(1 << 18);
    for (int i = 0; i < 100; ++i) {
        while (p.api.read(e.server, room.data(), room.size()) > 0) {}
        p.settle();
    }
    p.events("drained", set);
    p.events("after", set);
}

}  // namespace

TEST_CASE("posix: as Linux: a connection's life in epoll, level-triggered") {
    same([](Play& p) { life(p, 0); });
}
TEST_CASE("posix: as Linux: a connection's life in epoll, edge-triggered") {
    same([](Play& p) { life(p, EPOLLET); });
}
TEST_CASE("posix: as Linux: a connection's life in epoll, one shot") {
    same([](Play& p) { life(p, EPOLLONESHOT); });
}
TEST_CASE("posix: as Linux: a connection's life in epoll, one shot of an edge") {
    same([](Play& p) { life(p, EPOLLONESHOT | EPOLLET); });
}
TEST_CASE("posix: as Linux: a full buffer in epoll") {
    same([](Play& p) { full(p, 0); });
    same([](Play& p) { full(p, EPOLLET); });
}

TEST_CASE("posix: as Linux: epoll and its arguments") {
    same([](Play& p) {
        p.open("flags", [&] { return p.api.epoll_create1(1); });
        const int set = p.open("set", [&] { return p.api.epoll_create1(0); });
        const int fd = p.socket(SOCK_STREAM | SOCK_NONBLOCK);
        epoll_event e{.events = EPOLLIN, .data = {.u32 = 'x'}};
        p.note("null event", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_ADD, fd, nullptr); });
        p.note("operation", [&] { return p.api.epoll_ctl(set, 17, fd, &e); });
        p.note("itself", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_ADD, set, &e); });
        p.note("no set", [&] { return p.api.epoll_ctl(fd, EPOLL_CTL_ADD, set, &e); });
        p.note("no descriptor", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_ADD, -1, &e); });
        p.note("modify none", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_MOD, fd, &e); });
        p.note("delete none", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr); });
        p.note("add", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_ADD, fd, &e); });
        p.note("add twice", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_ADD, fd, &e); });
        p.events("a fresh stream", set);
        const int other = p.open("dup", [&] { return p.api.dup(fd); });
        p.note("add its other number", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_ADD, other, &e); });
        p.events("twice", set);
        p.note("delete", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_DEL, fd, &e); });
        p.events("once", set);
        p.note("exclusive modify", [&] {
            epoll_event x{.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {}};
            return p.api.epoll_ctl(set, EPOLL_CTL_MOD, other, &x);
        });
        p.note("exclusive one shot", [&] {
            epoll_event x{.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, .data = {}};
            return p.api.epoll_ctl(set, EPOLL_CTL_ADD, fd, &x);
        });
        p.note("wait for none", [&] { return p.api.epoll_wait(set, &e, 0, 0); });
        p.note("wait negative", [&] { return p.api.epoll_wait(set, &e, -1, 0); });
        p.note("wait much", [&] { return p.api.epoll_wait(set, &e, INT32_MAX, 0); });
        p.note("wait null", [&] { return p.api.epoll_wait(set, nullptr, 1, 0); });
        p.note("wait on a socket", [&] { return p.api.epoll_wait(fd, &e, 1, 0); });
        p.note("no interest", [&] {
            epoll_event x{.events = 0, .data = {.u32 = 'x'}};
            return p.api.epoll_ctl(set, EPOLL_CTL_MOD, other, &x);
        });
        p.events("hang-ups come unasked", set);
    });
}

TEST_CASE("posix: as Linux: a listener in epoll") {
    for (const std::uint32_t trigger : {0U, std::uint32_t{EPOLLET}}) {
        same([trigger](Play& p) {
            const int listener = p.listener();
            const sockaddr_in6 to = p.name_of(listener);
            p.api.fcntl(listener, F_SETFL, O_NONBLOCK);
            const int set = p.open("set", [&] { return p.api.epoll_create1(0); });
            add(p, set, listener, 'l', EPOLLIN | trigger);
            p.events("nobody", set);
            for (int i = 0; i < 3; ++i) {
                const int client = p.socket(SOCK_STREAM | SOCK_NONBLOCK);
                p.note("connect", [&] { return p.api.connect(client, as(to), sizeof to); });
                p.events("somebody", set);
            }
            p.events("still", set);
            for (int i = 0; i < 4; ++i) {
                p.open("accept", [&] { return p.api.accept4(listener, nullptr, nullptr, 0); });
                p.events("accepted", set);
            }
        });
    }
}

TEST_CASE("posix: as Linux: the kernel's descriptors and sockets in one set, and a set in a set") {
    same([](Play& p) {
        const auto e = p.pair();
        std::array<int, 2> pipe{};
        REQUIRE(::pipe2(pipe.data(), O_NONBLOCK) == 0);
        const int set = p.open("set", [&] { return p.api.epoll_create1(0); });
        const int outer = p.open("outer", [&] { return p.api.epoll_create1(0); });
        add(p, set, pipe[0], 'p', EPOLLIN);
        add(p, set, e.server, 's', EPOLLIN);
        add(p, outer, set, 'o', EPOLLIN);
        add(p, set, pipe[0], 'p', EPOLLIN);
        p.events("nothing", set);
        p.events("nothing in the outer", outer);
        p.note("bytes in the pipe", [&] { return ::write(pipe[1], "x", 1); });
        p.events("the pipe", set);
        p.events("the outer", outer);
        char b[8];
        p.note("read the pipe", [&] { return p.api.read(pipe[0], b, 8); });
        p.note("bytes in the socket", [&] { return p.api.write(e.client, "y", 1); });
        p.events("the socket", set);
        p.events("the outer", outer);
        std::array<pollfd, 3> polled{{{.fd = pipe[0], .events = POLLIN, .revents = 0},
                                      {.fd = e.server, .events = POLLIN, .revents = 0},
                                      {.fd = set, .events = POLLIN, .revents = 0}}};
        p.note("poll", [&] { return p.api.poll(polled.data(), 3, 1000); });
        p.say("poll", std::to_string(polled[0].revents) + std::to_string(polled[1].revents) + std::to_string(polled[2].revents));
        p.note("modify the pipe", [&] {
            epoll_event x{.events = EPOLLIN | EPOLLOUT, .data = {.u32 = 'q'}};
            return p.api.epoll_ctl(set, EPOLL_CTL_MOD, pipe[0], &x);
        });
        p.note("delete the pipe", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_DEL, pipe[0], nullptr); });
        p.close("close the socket", e.server);
        p.events("empty", set);
        p.events("the outer", outer);
        ::close(pipe[0]);
        ::close(pipe[1]);
    });
}

TEST_CASE("posix: as Linux: a number of the kernel's that is another's in a set, while its file is open under a second one") {
    same([](Play& p) {
        std::array<int, 2> first{};
        std::array<int, 2> second{};
        REQUIRE(::pipe2(first.data(), O_NONBLOCK) == 0);
        REQUIRE(::pipe2(second.data(), O_NONBLOCK) == 0);
        const int set = p.open("set", [&] { return p.api.epoll_create1(0); });
        add(p, set, first[0], 'f', EPOLLIN);
        const int kept = ::dup(first[0]);
        REQUIRE(kept >= 0);
        REQUIRE(::dup2(second[0], first[0]) == first[0]);
        add(p, set, first[0], 's', EPOLLIN);
        p.note("bytes in the first", [&] { return ::write(first[1], "x", 1); });
        p.events("the first", set);
        p.note("bytes in the second", [&] { return ::write(second[1], "x", 1); });
        p.events("both", set);
        p.note("delete", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_DEL, first[0], nullptr); });
        p.events("the first, without a number", set);
        p.note("delete again", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_DEL, first[0], nullptr); });
        ::close(kept);
        p.events("none", set);
        for (const int fd : {first[0], first[1], second[0], second[1]}) ::close(fd);
    });
}

TEST_CASE("posix: as Linux: hang-ups and errors in epoll come unasked, and not after one shot") {
    for (const std::uint32_t events : {0U, std::uint32_t{EPOLLET}, std::uint32_t{EPOLLONESHOT}, std::uint32_t{EPOLLIN | EPOLLONESHOT}}) {
        same([events](Play& p) {
            const int set = p.open("set", [&] { return p.api.epoll_create1(0); });
            const int fresh = p.socket(SOCK_STREAM | SOCK_NONBLOCK);
            add(p, set, fresh, 'f', events);
            p.events("hung up from the beginning", set);
            p.events("still", set);
            const auto e = p.pair();
            add(p, set, e.client, 'c', events);
            p.events("quiet", set);
            p.note("write", [&] { return p.api.write(e.server, "x", 1); });
            p.events("bytes", set);
            p.note("linger", [&] {
                const linger none{.l_onoff = 1, .l_linger = 0};
                return p.api.setsockopt(e.server, SOL_SOCKET, SO_LINGER, &none, sizeof none);
            });
            p.close("reset", e.server);
            p.events("an error", set);
            p.events("still", set);
            add(p, set, e.client, 'm', events, EPOLL_CTL_MOD);
            p.events("armed again", set);
        });
    }
}

TEST_CASE("posix: as Linux: a member of a set whose number is closed stays while the socket has another") {
    same([](Play& p) {
        const int set = p.open("set", [&] { return p.api.epoll_create1(0); });
        const int first = p.socket(SOCK_STREAM | SOCK_NONBLOCK);
        add(p, set, first, 'a', EPOLLOUT);
        const int second = p.open("dup", [&] { return p.api.dup(first); });
        p.close("close", first);
        p.events("one", set);
        add(p, set, second, 'b', EPOLLOUT);
        p.events("two", set);
        p.note("by the closed number", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_DEL, first, nullptr); });
        p.note("delete the second", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_DEL, second, nullptr); });
        p.events("one", set);
        p.open("the first number again", [&] { return p.api.dup2(second, first); });
        p.note("delete the first", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_DEL, first, nullptr); });
        p.events("none", set);
        p.close("close it", first);
    });
}

TEST_CASE("posix: as Linux: poll and select") {
    same([](Play& p) {
        const auto e = p.pair();
        p.note("poll null", [&] { return p.api.poll(nullptr, 1, 0); });
        p.note("poll nothing", [&] { return p.api.poll(nullptr, 0, 0); });
        p.note("poll too many", [&] { return p.api.poll(nullptr, static_cast<nfds_t>(-1), 0); });
        std::array<pollfd, 3> polled{{{.fd = -1, .events = POLLIN, .revents = 7},
                                      {.fd = 9999, .events = POLLIN, .revents = 0},
                                      {.fd = e.client, .events = POLLIN | POLLOUT, .revents = 0}}};
        p.note("poll", [&] { return p.api.poll(polled.data(), 3, 0); });
        for (const pollfd& f : polled) p.say("poll", std::to_string(f.revents));
        fd_set in, out, except;
        const auto clear = [&] {
            FD_ZERO(&in);
            FD_ZERO(&out);
            FD_ZERO(&except);
        };
        const int most = std::max(e.client, e.server) + 1;
        const auto select = [&](const std::string& what) {
            timeval now{};
            p.note(what, [&] { return p.api.select(most, &in, &out, &except, &now); });
            for (const int fd : {e.client, e.server}) {
                p.say("bits", std::to_string(FD_ISSET(fd, &in) ? 1 : 0) + std::to_string(FD_ISSET(fd, &out) ? 1 : 0) +
                                  std::to_string(FD_ISSET(fd, &except) ? 1 : 0));
            }
        };
        clear();
        FD_SET(e.client, &in);
        FD_SET(e.client, &out);
        FD_SET(e.server, &in);
        FD_SET(e.server, &except);
        select("room");
        p.note("write", [&] { return p.api.write(e.client, "x", 1); });
        p.settle();
        clear();
        FD_SET(e.server, &in);
        FD_SET(e.server, &out);
        select("bytes");
        p.close("close", e.client);
        p.settle();
        clear();
        FD_SET(e.server, &except);
        select("nothing exceptional");
        timeval negative{.tv_sec = -1, .tv_usec = 0};
        p.note("select negative time", [&] { return p.api.select(0, nullptr, nullptr, nullptr, &negative); });
        p.note("select negative", [&] { return p.api.select(-1, nullptr, nullptr, nullptr, nullptr); });
        clear();
        FD_SET(e.client, &in);  // closed
        timeval now{};
        p.note("select closed", [&] { return p.api.select(most, &in, nullptr, nullptr, &now); });
        timeval soon{.tv_sec = 0, .tv_usec = 1000};
        p.note("select as a sleep", [&] { return p.api.select(0, nullptr, nullptr, nullptr, &soon); });
        p.say("left", std::to_string(soon.tv_usec));
    });
}
