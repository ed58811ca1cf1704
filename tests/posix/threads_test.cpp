// Real threads on the real clock: nothing here asks how long anything took.
#include "posix/rig.hpp"

#include <array>
#include <atomic>
#include <thread>

#include <unistd.h>

using namespace test;

namespace {

/// Two stacks on one wire, polled by the clock's thread.
struct RealRig {
    RealRig() : one(1, link.a(), clock.now()), two(2, link.b(), clock.now()), runtime(clock) {
        a = runtime.add(one.stack);
        b = runtime.add(two.stack);
        clock.start(runtime, {});
    }
    RealRig(const RealRig&) = delete;
    RealRig& operator=(const RealRig&) = delete;
    ~RealRig() { clock.stop(); }

    drivers::MemoryLink<256> link{};
    posix::RealTime clock{};
    Host one;
    Host two;
    posix::Runtime runtime;
    kn_stack* a = nullptr;
    kn_stack* b = nullptr;
};

int listen_on(kn_stack* host, std::uint16_t port) {
    REQUIRE(kn_attach(host) == 0);
    const int fd = kn_socket(AF_INET6, SOCK_STREAM, 0);
    const sockaddr_in6 local = address(0, port);
    REQUIRE(kn_bind(fd, as(local), sizeof local) == 0);
    REQUIRE(kn_listen(fd, 16) == 0);
    return fd;
}

/// Sends `total` bytes and reads them back; true when they are what they were.
bool talk(kn_stack* host, std::uint16_t port, unsigned seed, std::size_t total) {
    if (kn_attach(host) != 0) return false;
    const int fd = kn_socket(AF_INET6, SOCK_STREAM, 0);
    const sockaddr_in6 remote = address(2, port);
    if (kn_connect(fd, as(remote), sizeof remote) != 0) return false;
    std::vector<char> sent(total);
    for (std::size_t i = 0; i < total; ++i) sent[i] = static_cast<char>(i * seed + i / 251);
    std::atomic<bool> wrote{false};
    std::thread writer([&] {  // two threads on one socket
        wrote = kn_write(fd, sent.data(), total) == static_cast<ssize_t>(total) && kn_shutdown(fd, SHUT_WR) == 0;
    });
    std::vector<char> got(total);
    const ssize_t n = kn_recv(fd, got.data(), total, MSG_WAITALL);
    writer.join();
    char more = 0;
    const bool ended = kn_read(fd, &more, 1) == 0;
    return kn_close(fd) == 0 && wrote && ended && n == static_cast<ssize_t>(total) && got == sent;
}

void echo(int fd) {
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = kn_read(fd, buffer.data(), buffer.size())) > 0;) {
        for (ssize_t at = 0; at < n;) {
            const ssize_t m = kn_write(fd, buffer.data() + at, static_cast<std::size_t>(n - at));
            if (m <= 0) break;
            at += m;
        }
    }
    kn_close(fd);
}

}  // namespace

TEST_CASE("posix: threads that block, several on one socket and on one listener") {
    RealRig rig;
    const int listener = listen_on(rig.b, 7);
    constexpr int clients = 6;
    std::vector<std::thread> servers;
    for (int i = 0; i < clients; ++i) {
        servers.emplace_back([listener] {
            const int fd = kn_accept(listener, nullptr, nullptr);
            if (fd >= 0) echo(fd);
        });
    }
    std::array<std::atomic<bool>, clients> fine{};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < clients; ++i) {
        threads.emplace_back([&rig, &fine, i] { fine[i] = talk(rig.a, 7, i + 3, 300'000); });
    }
    for (auto& t : threads) t.join();
    for (auto& t : servers) t.join();
    for (const auto& f : fine) CHECK(f);
    CHECK(kn_close(listener) == 0);
}

TEST_CASE("posix: a thread in epoll_wait, with a pipe of the kernel's in its set, hears of both") {
    RealRig rig;
    const int listener = listen_on(rig.b, 7);
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    const int set = kn_epoll_create1(0);
    epoll_event event{.events = EPOLLIN, .data = {.fd = listener}};
    REQUIRE(kn_epoll_ctl(set, EPOLL_CTL_ADD, listener, &event) == 0);
    event.data.fd = pipe[0];
    REQUIRE(kn_epoll_ctl(set, EPOLL_CTL_ADD, pipe[0], &event) == 0);
    std::atomic<int> heard{0};
    std::thread loop([&] {
        for (bool done = false; !done;) {
            std::array<epoll_event, 4> got{};
            const int n = kn_epoll_wait(set, got.data(), 4, -1);
            for (int i = 0; i < n; ++i) {
                char byte = 0;
                if (got[static_cast<std::size_t>(i)].data.fd == pipe[0]) {
                    done = kn_read(pipe[0], &byte, 1) == 1;
                    ++heard;
                } else {
                    const int fd = kn_accept(listener, nullptr, nullptr);
                    if (fd >= 0) echo(fd);
                    ++heard;
                }
            }
        }
    });
    CHECK(talk(rig.a, 7, 5, 10'000));
    CHECK(::write(pipe[1], "x", 1) == 1);
    loop.join();
    CHECK(heard == 2);
    // poll, asleep on a pipe alone and on a socket
    pollfd both[2] = {{.fd = listener, .events = POLLIN, .revents = 0}, {.fd = pipe[0], .events = POLLIN, .revents = 0}};
    std::thread late([&] { CHECK(::write(pipe[1], "y", 1) == 1); });
    CHECK(kn_poll(both, 2, -1) == 1);
    CHECK(both[1].revents == POLLIN);
    late.join();
    CHECK(kn_poll(both, 1, 1) == 0);
    for (const int fd : {set, listener}) CHECK(kn_close(fd) == 0);
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_CASE("posix: a socket closed by one thread ends what another one waits for in it") {
    RealRig rig;
    const int listener = listen_on(rig.b, 7);
    std::atomic<bool> started{false};
    std::thread waiter([&] {
        started = true;
        const int fd = kn_accept(listener, nullptr, nullptr);
        CHECK(fd == -1);
        CHECK((errno == EINVAL || errno == EBADF));
    });
    while (!started) std::this_thread::yield();
    CHECK(kn_shutdown(listener, SHUT_RDWR) == 0);
    waiter.join();
    CHECK(kn_close(listener) == 0);
}
