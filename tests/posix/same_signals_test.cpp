// Signals that come while a call sleeps: what it answers, and what a handler may do (signal(7); POSIX 2.4.3).
#include "posix/same.hpp"

#include <csetjmp>

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "posix/internals.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

using namespace test;

namespace {

// What a handler knows.
Play* the_play = nullptr;
int the_socket = -1;
int the_pipe = -1;
int handled = 0;
sigjmp_buf way_out;

void count(int) { ++handled; }
void say_something(int) {
    ++handled;
    the_play->api.sendto(the_socket, "x", 1, 0, nullptr, 0);
}
void write_to_pipe(int) {
    ++handled;
    const char byte = 's';
    the_play->api.write(the_pipe, &byte, 1);
}
void leave(int) {
    ++handled;
    siglongjmp(way_out, 1);
}

/// The handler of SIGALRM, until the end of the scope.
class Handler {
  public:
    Handler(Play& p, void (*function)(int), int flags) {
        the_play = &p;
        handled = 0;
        struct sigaction action {};
        action.sa_handler = function;
        action.sa_flags = flags;
        REQUIRE(::sigaction(SIGALRM, &action, &before_) == 0);
    }
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    ~Handler() { ::sigaction(SIGALRM, &before_, nullptr); }

  private:
    struct sigaction before_ {};
};

void set_blocking(Play& p, int fd) { REQUIRE(p.api.fcntl(fd, F_SETFL, 0) == 0); }
void block_alarm(bool on) {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGALRM);
    ::pthread_sigmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, nullptr);
}
bool is_alarm_blocked() {
    sigset_t set;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &set);
    return ::sigismember(&set, SIGALRM) == 1;
}

/// Every call that can sleep for input.
void wait_for_input(Play& p, const std::function<void()>& before_each) {
    const Play::Ends e = p.pair();
    set_blocking(p, e.server);
    set_blocking(p, e.listener);
    const int udp = p.bound(SOCK_DGRAM);
    const int epoll = p.open("epoll", [&] { return p.api.epoll_create1(0); });
    epoll_event event{.events = EPOLLIN, .data = {.u32 = 's'}};
    p.note("add", [&] { return p.api.epoll_ctl(epoll, EPOLL_CTL_ADD, e.server, &event); });
    char byte = 0;
    iovec part{&byte, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const auto note = [&](const char* what, const std::function<long()>& call) {
        before_each();
        p.interrupt();
        p.note(what, call);
        p.say("handled", std::to_string(std::exchange(handled, 0)));
    };
    note("read", [&] { return p.api.read(e.server, &byte, 1); });
    note("readv", [&] { return p.api.readv(e.server, &part, 1); });
    note("recvfrom", [&] { return p.api.recvfrom(e.server, &byte, 1, 0, nullptr, nullptr); });
    note("recvmsg", [&] { return p.api.recvmsg(e.server, &message, 0); });
    note("peek", [&] { return p.api.recvfrom(e.server, &byte, 1, MSG_PEEK, nullptr, nullptr); });
    note("accept", [&] { return p.api.accept4(e.listener, nullptr, nullptr, 0); });
    note("recv of a datagram", [&] { return p.api.recvfrom(udp, &byte, 1, 0, nullptr, nullptr); });
    pollfd set{.fd = e.server, .events = POLLIN, .revents = 0};
    note("poll", [&] { return p.api.poll(&set, 1, -1); });
    note("poll, timed", [&] { return p.api.poll(&set, 1, 10'000); });
    const timespec long_time{.tv_sec = 10, .tv_nsec = 0};
    note("ppoll", [&] { return p.api.ppoll(&set, 1, &long_time, nullptr); });
    fd_set bits;
    FD_ZERO(&bits);
    FD_SET(e.server, &bits);
    note("select", [&] { return p.api.select(e.server + 1, &bits, nullptr, nullptr, nullptr); });
    note("pselect",
         [&] { return p.api.pselect(e.server + 1, &bits, nullptr, nullptr, &long_time, nullptr); });
    note("epoll_wait", [&] { return p.api.epoll_wait(epoll, &event, 1, -1); });
    note("epoll_pwait", [&] { return p.api.epoll_pwait(epoll, &event, 1, 10'000, nullptr); });
    note("epoll_pwait2", [&] { return p.api.epoll_pwait2(epoll, &event, 1, &long_time, nullptr); });
}

}  // namespace

TEST_CASE("posix, same: every call that waits for input is interrupted by a handler without SA_RESTART") {
    same([](Play& p) {
        const Handler handler(p, count, 0);
        wait_for_input(p, [] {});
    });
}

TEST_CASE(
    "posix, same: a call on a socket goes on behind a handler with SA_RESTART, but poll and its like never do") {
    same([](Play& p) {
        const Play::Ends e = p.pair();
        set_blocking(p, e.server);
        const Handler handler(p, say_something, SA_RESTART);
        the_socket = e.client;
        char byte = 0;
        p.interrupt();
        p.note("read", [&] { return p.api.read(e.server, &byte, 1); });
        p.say("handled", std::to_string(handled));
        const Handler other(p, count, SA_RESTART);
        pollfd set{.fd = e.server, .events = POLLIN, .revents = 0};
        p.interrupt();
        p.note("poll", [&] { return p.api.poll(&set, 1, -1); });
        fd_set bits;
        FD_ZERO(&bits);
        FD_SET(e.server, &bits);
        p.interrupt();
        p.note("select", [&] { return p.api.select(e.server + 1, &bits, nullptr, nullptr, nullptr); });
        const int epoll = p.open("epoll", [&] { return p.api.epoll_create1(0); });
        epoll_event event{.events = EPOLLIN, .data = {.u32 = 's'}};
        p.note("add", [&] { return p.api.epoll_ctl(epoll, EPOLL_CTL_ADD, e.server, &event); });
        p.interrupt();
        p.note("epoll_wait", [&] { return p.api.epoll_wait(epoll, &event, 1, -1); });
        // A call with a time-out is never restarted.
        const timeval limit{.tv_sec = 10, .tv_usec = 0};
        p.note("SO_RCVTIMEO",
               [&] { return p.api.setsockopt(e.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit); });
        p.interrupt();
        p.note("read, timed", [&] { return p.api.read(e.server, &byte, 1); });
        p.say("handled", std::to_string(handled));
    });
}

TEST_CASE("posix, same: a call that has moved a part gives its count when a signal comes") {
    for (const int flags : {0, SA_RESTART}) {
        same([flags](Play& p) {
            const Play::Ends e = p.pair();
            set_blocking(p, e.server);
            set_blocking(p, e.client);
            const Handler handler(p, count, flags);
            p.note("say", [&] { return p.api.write(e.client, "abc", 3); });
            p.settle();
            std::array<char, 10> buffer{};
            p.interrupt();
            p.note("recv of all", [&] {
                return p.api.recvfrom(e.server, buffer.data(), 10, MSG_WAITALL, nullptr, nullptr);
            });
            const std::vector<char> much(64 << 20);
            p.interrupt();
            const ssize_t n = p.api.write(e.client, much.data(), much.size());
            p.say("a part of much", n > 0 && n < static_cast<ssize_t>(much.size()) ? "yes" : "no");
            p.interrupt();
            if (flags == 0)
                p.note("no part", [&] { return p.api.write(e.client, much.data(), much.size()); });
        });
    }
}

TEST_CASE(
    "posix, same: a mask for the time of a sleep lets in what waits, at once and with no time to wait") {
    same([](Play& p) {
        const Play::Ends e = p.pair();
        const Handler handler(p, count, 0);
        block_alarm(true);
        sigset_t none;
        ::sigemptyset(&none);
        pollfd set{.fd = e.server, .events = POLLIN, .revents = 0};
        fd_set bits;
        FD_ZERO(&bits);
        FD_SET(e.server, &bits);
        const int epoll = p.open("epoll", [&] { return p.api.epoll_create1(0); });
        epoll_event event{.events = EPOLLIN, .data = {.u32 = 's'}};
        p.note("add", [&] { return p.api.epoll_ctl(epoll, EPOLL_CTL_ADD, e.server, &event); });
        const timespec zero{};
        const auto note = [&](const char* what, const std::function<long()>& call) {
            ::raise(SIGALRM);
            p.note(what, call);
            p.say("handled", std::to_string(std::exchange(handled, 0)));
            p.say("blocked again", is_alarm_blocked() ? "yes" : "no");
        };
        note("ppoll", [&] { return p.api.ppoll(&set, 1, nullptr, &none); });
        note("ppoll of no time", [&] { return p.api.ppoll(&set, 1, &zero, &none); });
        note("pselect", [&] { return p.api.pselect(e.server + 1, &bits, nullptr, nullptr, nullptr, &none); });
        note("pselect of no time",
             [&] { return p.api.pselect(e.server + 1, &bits, nullptr, nullptr, &zero, &none); });
        note("epoll_pwait", [&] { return p.api.epoll_pwait(epoll, &event, 1, -1, &none); });
        note("epoll_pwait of no time", [&] { return p.api.epoll_pwait(epoll, &event, 1, 0, &none); });
        note("epoll_pwait2", [&] { return p.api.epoll_pwait2(epoll, &event, 1, nullptr, &none); });
        // It comes while it sleeps
        p.interrupt();
        p.note("ppoll, later", [&] { return p.api.ppoll(&set, 1, nullptr, &none); });
        p.say("handled", std::to_string(std::exchange(handled, 0)));
        // and not where the mask holds it back.
        const timespec short_time{.tv_sec = 0, .tv_nsec = 30'000'000};
        p.interrupt();
        p.note("poll, held back", [&] { return p.api.ppoll(&set, 1, &short_time, nullptr); });
        p.say("handled", std::to_string(handled));
        block_alarm(false);
        p.say("handled then", std::to_string(std::exchange(handled, 0)));
        // What is ready comes first.
        block_alarm(true);
        p.api.write(e.client, "x", 1);
        p.settle();
        ::raise(SIGALRM);
        p.note("ppoll of what is ready", [&] { return p.api.ppoll(&set, 1, nullptr, &none); });
        p.say("handled", std::to_string(handled));
        const timespec bad{.tv_sec = 0, .tv_nsec = 1'000'000'000};
        p.note("bad time", [&] { return p.api.ppoll(&set, 1, &bad, &none); });
        p.note("bad time", [&] { return p.api.pselect(0, nullptr, nullptr, nullptr, &bad, &none); });
        p.note("bad time", [&] { return p.api.epoll_pwait2(epoll, &event, 1, &bad, &none); });
        block_alarm(false);
    });
}

TEST_CASE("posix, same: a handler writes to a pipe while a call sleeps, and poll hears of it") {
    same([](Play& p) {
        const Play::Ends e = p.pair();
        const Handler handler(p, write_to_pipe, SA_RESTART);
        std::array<int, 2> pipe{};
        REQUIRE(::pipe(pipe.data()) == 0);
        the_pipe = pipe[1];
        std::array<pollfd, 2> set{{{.fd = e.server, .events = POLLIN, .revents = 0},
                                   {.fd = pipe[0], .events = POLLIN, .revents = 0}}};
        p.interrupt();
        p.note("poll", [&] { return p.api.poll(set.data(), 2, -1); });
        p.note("poll again", [&] { return p.api.poll(set.data(), 2, -1); });
        p.say("pipe", Play::bits(static_cast<std::uint32_t>(set[1].revents)));
        ::close(pipe[0]);
        ::close(pipe[1]);
    });
}

namespace {

/// What siglongjmp() skips, nobody destroys: a socket that was left in a call keeps its structure (docs/posix.md). That is no
/// news to a leak checker that looks at such a case.
struct LeavesStructuresBehind {
#if defined(__SANITIZE_ADDRESS__)
    LeavesStructuresBehind() { __lsan_disable(); }
    ~LeavesStructuresBehind() { __lsan_enable(); }
    LeavesStructuresBehind(const LeavesStructuresBehind&) = delete;
    LeavesStructuresBehind& operator=(const LeavesStructuresBehind&) = delete;
#endif
};

}  // namespace

TEST_CASE("posix, same: siglongjmp out of every call that sleeps leaves a process in which all goes on") {
    [[maybe_unused]] const LeavesStructuresBehind known;
    same([](Play& p) {
        const Handler handler(p, leave, 0);
        const Play::Ends e = p.pair();
        set_blocking(p, e.server);
        set_blocking(p, e.listener);
        const int epoll = p.open("epoll", [&] { return p.api.epoll_create1(0); });
        epoll_event event{.events = EPOLLIN, .data = {.u32 = 's'}};
        p.note("add", [&] { return p.api.epoll_ctl(epoll, EPOLL_CTL_ADD, e.server, &event); });
        char byte = 0;
        pollfd set{.fd = e.server, .events = POLLIN, .revents = 0};
        fd_set bits;
        FD_ZERO(&bits);
        FD_SET(e.server, &bits);
        sigset_t none;
        ::sigemptyset(&none);
        const std::array<std::function<long()>, 6> calls{
            [&] { return p.api.read(e.server, &byte, 1); },
            [&] { return long{p.api.accept4(e.listener, nullptr, nullptr, 0)}; },
            [&] { return long{p.api.poll(&set, 1, -1)}; },
            [&] { return long{p.api.select(e.server + 1, &bits, nullptr, nullptr, nullptr)}; },
            [&] { return long{p.api.epoll_wait(epoll, &event, 1, -1)}; },
            [&] { return long{p.api.ppoll(&set, 1, nullptr, &none)}; },
        };
        static std::size_t next;  // siglongjmp() leaves it as it is
        for (next = 0; next < 3 * calls.size(); ++next) {
            if (sigsetjmp(way_out, 1) == 0) {
                p.interrupt();
                p.say("returned", std::to_string(calls[next % calls.size()]()));
            } else {
                p.say("left", std::to_string(next));
            }
        }
        p.say("handled", std::to_string(handled));
        // And the sockets serve as before.
        p.note("say", [&] { return p.api.write(e.client, "x", 1); });
        p.note("hear", [&] { return p.api.read(e.server, &byte, 1); });
        p.say("blocked", is_alarm_blocked() ? "yes" : "no");
    });
}

TEST_CASE("posix: what siglongjmp leaves asleep is forgotten when the thread sleeps again") {
    [[maybe_unused]] const LeavesStructuresBehind known;
    Rig rig;
    Pair pair(rig);
    Play p(keepnet_api(), [] {});
    const Handler handler(p, leave, 0);
    char byte = 0;
    static int round;
    for (round = 0; round < 100; ++round) {
        if (sigsetjmp(way_out, 1) == 0) {
            rig.clock.plan_signal(milliseconds(10), SIGALRM);
            kn_read(pair.server, &byte, 1);
            FAIL("the handler came back");
        }
    }
    const posix::Lock lock = rig.runtime.lock();
    CHECK(posix::find_file(rig.runtime.internals(), pair.server)->sleepers.size() <= 1);
}
