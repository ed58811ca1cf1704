// Children of fork() and vfork(), and threads that are cancelled: what is theirs, and what stays the
// parent's.
#include "posix/rig.hpp"

#include <array>
#include <atomic>
#include <thread>

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "posix/internals.hpp"

using namespace test;

namespace {

struct RealRig {
    RealRig() : one(1, link.a(), clock.now()), two(2, link.b(), clock.now()), runtime(clock) {
        a = runtime.add(one.stack);
        b = runtime.add(two.stack);
        clock.start(runtime, {});
    }
    RealRig(const RealRig&) = delete;
    RealRig& operator=(const RealRig&) = delete;
    ~RealRig() { clock.stop(); }
    int socket_on(kn_stack* host, int type) const {
        REQUIRE(kn_attach(host) == 0);
        const int fd = kn_socket(AF_INET6, type, 0);
        REQUIRE(fd >= 0);
        REQUIRE(kn_attach(nullptr) == 0);
        return fd;
    }

    drivers::MemoryLink<256> link{};
    posix::RealTime clock{};
    Host one;
    Host two;
    posix::Runtime runtime;
    kn_stack* a = nullptr;
    kn_stack* b = nullptr;
};

/// A listener on b, and a connection to it from a.
struct RealPair {
    explicit RealPair(const RealRig& rig) {
        listener = rig.socket_on(rig.b, SOCK_STREAM);
        const sockaddr_in6 local = address(0, 80);
        REQUIRE(kn_bind(listener, as(local), sizeof local) == 0);
        REQUIRE(kn_listen(listener, 8) == 0);
        client = rig.socket_on(rig.a, SOCK_STREAM);
        const sockaddr_in6 remote = address(2, 80);
        REQUIRE(kn_connect(client, as(remote), sizeof remote) == 0);
        server = kn_accept(listener, nullptr, nullptr);
        REQUIRE(server >= 0);
    }
    RealPair(const RealPair&) = delete;
    RealPair& operator=(const RealPair&) = delete;
    ~RealPair() {
        for (const int fd : {listener, client, server}) kn_close(fd);
    }
    /// All still goes on, both ways.
    void check() const {
        char byte = 0;
        CHECK(kn_write(client, "a", 1) == 1);
        CHECK(kn_read(server, &byte, 1) == 1);
        CHECK(kn_write(server, "b", 1) == 1);
        CHECK(kn_read(client, &byte, 1) == 1);
        CHECK_ERRNO(kn_recv(server, &byte, 1, MSG_DONTWAIT), EAGAIN);
    }
    int listener = -1, client = -1, server = -1;
};

/// What a child answers: 0, or the number of the line that went wrong.
template <class Body>
int in_child(Body&& body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body());
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/// A thread that is cancelled once it sleeps in `call`. What pthread_join() gives must be PTHREAD_CANCELED.
void cancel_in(const char* what, const std::function<void()>& call) {
    INFO(what);
    static std::atomic<bool> begun;
    begun = false;
    struct Start {
        const std::function<void()>& call;
    } start{call};
    pthread_t thread{};
    const auto run = [](void* argument) -> void* {
        begun = true;
        static_cast<Start*>(argument)->call();
        return nullptr;
    };
    REQUIRE(::pthread_create(&thread, nullptr, run, &start) == 0);
    while (!begun) std::this_thread::yield();
    REQUIRE(::pthread_cancel(thread) == 0);
    void* result = nullptr;
    REQUIRE(::pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
}

}  // namespace

TEST_CASE(
    "posix: what a forked child closes, duplicates or writes to is a number, and the parent's connection goes "
    "on") {
    RealRig rig;
    const RealPair pair(rig);
    const int epoll = kn_epoll_create1(0);
    epoll_event event{.events = EPOLLIN, .data = {.u32 = 1}};
    REQUIRE(kn_epoll_ctl(epoll, EPOLL_CTL_ADD, pair.server, &event) == 0);
    CHECK(in_child([&] {
              char byte = 0;
              if (kn_write(pair.client, "12345678", 8) >= 0) return 1;
              if (::write(pair.client, "12345678", 8) >= 0) return 2;
              if (kn_read(pair.server, &byte, 1) >= 0) return 3;
              if (kn_send(pair.server, "x", 1, 0) >= 0 || errno != ENOTSOCK) return 4;
              if (kn_shutdown(pair.server, SHUT_RDWR) >= 0) return 5;
              if (kn_socket(AF_INET6, SOCK_STREAM, 0) >= 0 || errno != ENETDOWN) return 6;
              const int more = kn_dup(pair.server);
              if (more < 0 || kn_close(more) != 0) return 7;
              if (kn_dup2(pair.client, pair.server) != pair.server) return 8;
              for (const int fd : {pair.client, pair.server, pair.listener, epoll}) {
                  if (kn_close(fd) != 0) return 9;
              }
              return kn_close(pair.client) == -1 && errno == EBADF ? 0 : 10;
          }) == 0);
    CHECK(kn_epoll_wait(epoll, &event, 1, 0) == 0);
    pollfd p{.fd = pair.client, .events = POLLIN, .revents = 0};
    CHECK(::poll(&p, 1, 0) == 0);
    CHECK(kn_poll(&p, 1, 0) == 0);
    pair.check();
    kn_close(epoll);
}

TEST_CASE(
    "posix: a forked child ends without the parent's lock, thread or stack, and may have a runtime of its "
    "own") {
    RealRig rig;
    const RealPair pair(rig);
    // Another thread has the lock when it forks.
    std::atomic<bool> locked{false};
    std::atomic<bool> done{false};
    std::thread other([&] {
        const posix::Lock lock = rig.runtime.lock();
        locked = true;
        while (!done) std::this_thread::yield();
    });
    while (!locked) std::this_thread::yield();
    CHECK(in_child([&] {
              kn_close(pair.client);
              rig.clock.stop();
              {
                  Rig own;
                  const Pair talk(own);
                  if (kn_write(talk.client, "x", 1) != 1) return 1;
              }
              return 0;
          }) == 0);
    done = true;
    other.join();
    pair.check();
}

TEST_CASE("posix: a vforked child closes numbers and nothing else") {
    RealRig rig;
    const RealPair pair(rig);
    const pid_t child = ::vfork();
    if (child == 0) {
        kn_close(pair.client);
        kn_close(pair.server);
        ::_exit(kn_close(pair.listener) == 0 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    pair.check();
}

TEST_CASE("posix: a thread is cancelled in each call that sleeps, and nothing is left of it") {
    RealRig rig;
    const RealPair pair(rig);
    const int udp = rig.socket_on(rig.a, SOCK_DGRAM);
    const int epoll = kn_epoll_create1(0);
    const int pipe_less = kn_epoll_create1(0);
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    epoll_event event{.events = EPOLLIN, .data = {.u32 = 1}};
    REQUIRE(kn_epoll_ctl(epoll, EPOLL_CTL_ADD, pair.server, &event) == 0);
    REQUIRE(kn_epoll_ctl(epoll, EPOLL_CTL_ADD, pipe[0], &event) == 0);
    REQUIRE(kn_epoll_ctl(pipe_less, EPOLL_CTL_ADD, pair.server, &event) == 0);
    char byte = 0;
    const std::vector<char> much(64 << 20);
    pollfd set[2] = {{.fd = pair.server, .events = POLLIN, .revents = 0},
                     {.fd = pipe[0], .events = POLLIN, .revents = 0}};
    fd_set bits;
    FD_ZERO(&bits);
    FD_SET(pair.server, &bits);
    for (int round = 0; round < 3; ++round) {
        cancel_in("read", [&] { kn_read(pair.server, &byte, 1); });
        cancel_in("recv", [&] { kn_recv(pair.server, &byte, 1, MSG_PEEK); });
        cancel_in("recv of a datagram", [&] { kn_recv(udp, &byte, 1, 0); });
        cancel_in("accept", [&] { kn_accept(pair.listener, nullptr, nullptr); });
        cancel_in("poll", [&] { kn_poll(set, 1, -1); });
        cancel_in("poll with a pipe", [&] { kn_poll(set, 2, -1); });
        cancel_in("select", [&] { kn_select(pair.server + 1, &bits, nullptr, nullptr, nullptr); });
        cancel_in("epoll_wait", [&] { kn_epoll_wait(epoll, &event, 1, -1); });
        cancel_in("epoll_wait of ours alone", [&] { kn_epoll_wait(pipe_less, &event, 1, -1); });
    }
    cancel_in("write", [&] {
        for (;;) kn_write(pair.client, much.data(), much.size());
    });
    // Who reads gets what was taken, and no more; then all goes on.
    std::vector<char> got(1 << 20);
    while (kn_recv(pair.server, got.data(), got.size(), 0) > 0) {
        pollfd more{.fd = pair.server, .events = POLLIN, .revents = 0};
        if (kn_poll(&more, 1, 100) == 0) break;
    }
    pair.check();
    {
        const posix::Lock lock = rig.runtime.lock();
        for (const int fd : {pair.server, pair.listener, pair.client, udp}) {
            CHECK(posix::find_file(rig.runtime.internals(), fd)->sleepers.empty());
        }
    }
    for (const int fd : {udp, epoll, pipe_less}) kn_close(fd);
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_CASE("posix: a thread that is cancelled before it sleeps is not stopped in the middle of a call") {
    RealRig rig;
    const RealPair pair(rig);
    // Calls that do not sleep, with a cancellation pending: the lock and the stacks stay whole.
    for (int round = 0; round < 50; ++round) {
        cancel_in("a busy thread", [&] {
            for (;;) {
                kn_write(pair.client, "x", 1);
                char byte = 0;
                kn_recv(pair.server, &byte, 1, MSG_DONTWAIT);
                ::pthread_testcancel();
            }
        });
    }
    char byte = 0;
    while (kn_recv(pair.server, &byte, 1, MSG_DONTWAIT) == 1) {
    }
    CHECK(kn_close(kn_dup(pair.client)) == 0);
}

TEST_CASE("posix: signal handlers run in the program's threads alone, and find no lock taken") {
    RealRig rig;
    const RealPair pair(rig);
    static int numbers[2];
    static pthread_t mine;
    static std::atomic<int> handled;
    static std::atomic<bool> elsewhere;
    static int client;
    REQUIRE(::pipe2(numbers, O_NONBLOCK) == 0);
    mine = ::pthread_self();
    handled = 0;
    elsewhere = false;
    client = pair.client;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {
        if (::pthread_equal(::pthread_self(), mine) == 0) elsewhere = true;
        const int error = errno;
        kn_write(numbers[1], "s", 1);
        kn_send(client, "h", 1, MSG_DONTWAIT);
        ++handled;
        errno = error;
    };
    action.sa_flags = SA_RESTART;
    REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
    std::atomic<bool> stop{false};
    std::thread sender([&] {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        while (!stop) {
            ::kill(::getpid(), SIGUSR1);  // to whichever thread takes it
            ::usleep(200);                // and leaves it time for something else
        }
    });
    char bytes[64];
    for (int round = 0; round < 200 || handled < 100; ++round) {
        if (kn_write(pair.client, "x", 1) != 1) break;
        if (kn_read(pair.server, bytes, sizeof bytes) < 1) break;
    }
    stop = true;
    sender.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    CHECK(handled >= 100);
    CHECK_FALSE(elsewhere);
    while (kn_recv(pair.server, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    ::close(numbers[0]);
    ::close(numbers[1]);
}
