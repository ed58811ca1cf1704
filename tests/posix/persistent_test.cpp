// What a restart leaves of descriptors: handles, flags, time-outs, epoll sets.
#include "posix/rig.hpp"

#include <array>
#include <random>

#include <fcntl.h>
#include <sys/time.h>

#include <keepnet/checkpoint.hpp>

using namespace test;

namespace {

/// The second life starts from this.
struct Life {
    std::vector<std::uint8_t> snapshot{};
};

}  // namespace

TEST_CASE("posix: a restart gives handles, flags, time-outs and epoll sets back") {
    auto link = std::make_unique<drivers::MemoryLink<256>>();
    VirtualClock clock;
    Host one(1, link->a(), clock.now());
    std::uint64_t connection = 0, listening = 0, set = 0, datagrams = 0;
    int number = -1;
    Life life;
    auto first_two = std::make_unique<Host>(2, link->b(), clock.now());
    std::uint64_t peer_handle = 0;
    std::vector<std::uint8_t> peer_saved;
    {
        posix::Runtime runtime(clock);
        clock.runtime = &runtime;
        kn_stack* a = runtime.add(one.stack);
        kn_stack* b = runtime.add(first_two->stack);
        clock.pass(seconds(3));
        const auto socket_on = [](kn_stack* host, int type) {
            kn_attach(host);
            const int fd = kn_socket(AF_INET6, type, 0);
            kn_attach(nullptr);
            REQUIRE(fd >= 0);
            return fd;
        };
        const int listener = socket_on(b, SOCK_STREAM | SOCK_NONBLOCK);
        const sockaddr_in6 local = address(0, 80);
        REQUIRE(kn_bind(listener, as(local), sizeof local) == 0);
        REQUIRE(kn_listen(listener, 4) == 0);
        const int client = socket_on(a, SOCK_STREAM);
        const sockaddr_in6 remote = address(2, 80);
        REQUIRE(kn_connect(client, as(remote), sizeof remote) == 0);
        const int server = kn_accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        REQUIRE(server >= 0);
        const timeval t{.tv_sec = 7, .tv_usec = 0};
        REQUIRE(kn_setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0);
        const int udp = socket_on(b, SOCK_DGRAM);
        const int on = 1;
        REQUIRE(kn_setsockopt(udp, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on) == 0);
        const sockaddr_in6 udp_local = address(0, 53);
        REQUIRE(kn_bind(udp, as(udp_local), sizeof udp_local) == 0);
        const int epoll = kn_epoll_create1(EPOLL_CLOEXEC);
        epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = 0x1234'5678'9abc}};
        REQUIRE(kn_epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event) == 0);
        REQUIRE(kn_write(client, "before", 6) == 6);
        clock.pass(milliseconds(100));
        connection = kn_handle(server);
        listening = kn_handle(listener);
        set = kn_handle(epoll);
        datagrams = kn_handle(udp);
        peer_handle = kn_handle(client);
        number = server;
        CHECK(set != 0);
        CHECK(set != connection);
        checkpoint::MemoryStore store;
        const posix::Lock held = runtime.lock();
        peer_saved = runtime.save();
        REQUIRE(checkpoint::save(first_two->stack, store, {.blobs = {{posix::Runtime::blob_name, peer_saved}}}).has_value());
        life.snapshot = *store.load();
    }
    first_two.reset();

    const StackConfig config = small_config();
    const std::size_t bytes = Stack::arena_bytes(config);
    const std::unique_ptr<std::byte, FreeDeleter> memory(
        static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)));
    checkpoint::RestoreOptions options{.now = clock.now(), .elapsed = seconds(1)};
    options.entropy.fill(9);
    auto back = checkpoint::restore(std::span(memory.get(), bytes), config, ByteView(life.snapshot), options);
    REQUIRE(back.has_value());
    REQUIRE(back->stack.attach_device(link->b(), {}).has_value());
    REQUIRE(back->blobs.size() == 1);
    CHECK(back->blobs[0].name == posix::Runtime::blob_name);

    posix::Runtime runtime(clock);
    clock.runtime = &runtime;
    kn_stack* a = runtime.add(one.stack);
    kn_stack* b = runtime.add(back->stack);
    REQUIRE(kn_attach(b) == 0);
    REQUIRE(runtime.restore(back->blobs[0].bytes).has_value());
    const int epoll = kn_adopt(set);
    REQUIRE(epoll >= 0);
    CHECK(kn_fcntl(epoll, F_GETFD) == FD_CLOEXEC);
    CHECK(kn_handle(epoll) == set);
    std::array<epoll_event, 4> events{};
    CHECK(kn_epoll_wait(epoll, events.data(), 4, 0) == 0);  // its member is not there yet
    CHECK(kn_adopt_at(connection, number + 40) == number + 40);
    CHECK(kn_handle(number + 40) == connection);
    CHECK(kn_fcntl(number + 40, F_GETFD) == FD_CLOEXEC);
    CHECK((kn_fcntl(number + 40, F_GETFL) & O_NONBLOCK) != 0);
    timeval t{};
    socklen_t length = sizeof t;
    REQUIRE(kn_getsockopt(number + 40, SOL_SOCKET, SO_RCVTIMEO, &t, &length) == 0);
    CHECK(t.tv_sec == 7);
    const int udp = kn_adopt(datagrams);
    REQUIRE(udp >= 0);
    int on = 0;
    length = sizeof on;
    REQUIRE(kn_getsockopt(udp, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, &length) == 0);
    CHECK(on == 1);
    const int listener = kn_adopt(listening);
    REQUIRE(listener >= 0);
    CHECK(kn_fcntl(listener, F_GETFD) == 0);
    REQUIRE(kn_attach(a) == 0);
    const int peer = kn_adopt(peer_handle);
    REQUIRE(peer >= 0);
    REQUIRE(kn_attach(b) == 0);
    back->stack.ready(true);

    CHECK(kn_epoll_wait(epoll, events.data(), 4, 0) == 1);
    CHECK(events[0].data.u64 == 0x1234'5678'9abc);
    CHECK(events[0].events == EPOLLIN);
    CHECK(kn_epoll_wait(epoll, events.data(), 4, 0) == 0);  // an edge
    std::array<char, 16> buffer{};
    CHECK(kn_read(number + 40, buffer.data(), buffer.size()) == 6);
    CHECK_ERRNO(kn_read(number + 40, buffer.data(), buffer.size()), EAGAIN);
    CHECK(kn_write(peer, "after", 5) == 5);
    clock.pass(seconds(5));
    CHECK(kn_epoll_wait(epoll, events.data(), 4, 0) == 1);
    CHECK(kn_read(number + 40, buffer.data(), buffer.size()) == 5);
    CHECK(kn_write(number + 40, "answer", 6) == 6);
    CHECK(kn_recv(peer, buffer.data(), 6, MSG_WAITALL) == 6);
    // In the set by the number that it had: the one that it has now serves.
    epoll_event other{.events = EPOLLOUT, .data = {.u64 = 5}};
    CHECK(kn_epoll_ctl(epoll, EPOLL_CTL_MOD, number + 40, &other) == 0);
    CHECK(kn_epoll_wait(epoll, events.data(), 4, 0) == 1);
    CHECK(events[0].data.u64 == 5);
    CHECK(kn_epoll_ctl(epoll, EPOLL_CTL_DEL, number + 40, nullptr) == 0);
    CHECK(kn_epoll_wait(epoll, events.data(), 4, 0) == 0);
    // Once more: another number of the same.
    const int again = kn_adopt(connection);
    CHECK(again >= 0);
    CHECK(kn_handle(again) == connection);
    CHECK_ERRNO(kn_adopt(0x1234567), EBADF);
    CHECK_ERRNO(kn_adopt(0), EBADF);
    CHECK_ERRNO(kn_adopt(UINT64_MAX), EBADF);
    CHECK_ERRNO(kn_adopt_at(connection, -5), EBADF);
    CHECK(kn_close(again) == 0);
    REQUIRE(kn_attach(nullptr) == 0);
}

TEST_CASE("posix: a socket that bind() takes over from the life before stays in its epoll sets") {
    auto link = std::make_unique<drivers::MemoryLink<256>>();
    VirtualClock clock;
    Host one(1, link->a(), clock.now());
    auto two = std::make_unique<Host>(2, link->b(), clock.now());
    const sockaddr_in6 local = address(0, 53);
    std::vector<std::uint8_t> snapshot;
    std::uint64_t handle = 0, set_handle = 0;
    std::vector<std::uint8_t> saved;
    int number = -1;
    {
        posix::Runtime runtime(clock);
        clock.runtime = &runtime;
        REQUIRE(kn_attach(runtime.add(two->stack)) == 0);
        clock.pass(seconds(3));
        number = kn_fcntl(kn_socket(AF_INET6, SOCK_DGRAM, 0), F_DUPFD, 200);
        REQUIRE(kn_bind(number, as(local), sizeof local) == 0);
        const int set = kn_epoll_create1(0);
        epoll_event event{.events = EPOLLIN, .data = {.u64 = 1}};
        REQUIRE(kn_epoll_ctl(set, EPOLL_CTL_ADD, number, &event) == 0);
        handle = kn_handle(number);
        set_handle = kn_handle(set);
        checkpoint::MemoryStore store;
        const posix::Lock held = runtime.lock();
        saved = runtime.save();
        REQUIRE(checkpoint::save(two->stack, store, {}).has_value());
        snapshot = *store.load();
    }
    two.reset();
    const StackConfig config = small_config();
    const std::size_t bytes = Stack::arena_bytes(config);
    const std::unique_ptr<std::byte, FreeDeleter> memory(
        static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)));
    checkpoint::RestoreOptions options{.now = clock.now(), .elapsed = seconds(1)};
    options.entropy.fill(9);
    auto back = checkpoint::restore(std::span(memory.get(), bytes), config, ByteView(snapshot), options);
    REQUIRE(back.has_value());
    REQUIRE(back->stack.attach_device(link->b(), {}).has_value());
    posix::Runtime runtime(clock);
    clock.runtime = &runtime;
    kn_stack* a = runtime.add(one.stack);
    REQUIRE(kn_attach(runtime.add(back->stack)) == 0);
    // In the new life the stack has another number, so its member waits for ever; it is in the way of ours all the same.
    REQUIRE(runtime.restore(saved).has_value());
    const int restored_set = kn_adopt(set_handle);
    REQUIRE(restored_set >= 0);
    const int fresh_set = kn_epoll_create1(0);
    const int fd = kn_socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    REQUIRE(kn_fcntl(fd, F_DUPFD, number) == number);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 2}};
    REQUIRE(kn_epoll_ctl(fresh_set, EPOLL_CTL_ADD, number, &event) == 0);
    REQUIRE(kn_epoll_ctl(restored_set, EPOLL_CTL_ADD, number, &event) == 0);
    REQUIRE(kn_handle(number) != handle);
    REQUIRE(kn_bind(number, as(local), sizeof local) == 0);
    REQUIRE(kn_handle(number) == handle);
    back->stack.ready(true);

    for (const int set : {fresh_set, restored_set}) {
        event.data.u64 = 3;
        CHECK(kn_epoll_ctl(set, EPOLL_CTL_MOD, number, &event) == 0);
    }
    REQUIRE(kn_attach(a) == 0);
    const int peer = kn_socket(AF_INET6, SOCK_DGRAM, 0);
    const sockaddr_in6 to = address(2, 53);
    REQUIRE(kn_sendto(peer, "x", 1, 0, as(to), sizeof to) == 1);
    clock.pass(seconds(3));
    for (const int set : {fresh_set, restored_set}) {
        std::array<epoll_event, 4> events{};
        CHECK(kn_epoll_wait(set, events.data(), 4, 0) == 1);
        CHECK(events[0].data.u64 == 3);
        CHECK(kn_epoll_ctl(set, EPOLL_CTL_DEL, number, nullptr) == 0);
    }
    REQUIRE(kn_attach(nullptr) == 0);
}

TEST_CASE("posix: what save() gave is refused whole when it is damaged") {
    std::vector<std::uint8_t> saved;
    {
        Rig rig;
        const Pair pair(rig);
        const int epoll = kn_epoll_create1(0);
        epoll_event event{.events = EPOLLIN, .data = {}};
        REQUIRE(kn_epoll_ctl(epoll, EPOLL_CTL_ADD, pair.server, &event) == 0);
        const posix::Lock held = rig.runtime.lock();
        saved = rig.runtime.save();
        CHECK(rig.runtime.restore(saved).has_value());
        for (std::size_t n = 0; n < saved.size(); ++n) {
            CHECK_FALSE(rig.runtime.restore(ByteView(saved).first(n)).has_value());
        }
        auto longer = saved;
        longer.push_back(0);
        CHECK_FALSE(rig.runtime.restore(longer).has_value());
        auto newer = saved;
        ++newer[4];
        CHECK_FALSE(rig.runtime.restore(newer).has_value());
    }
    std::mt19937 random(7);
    for (int i = 0; i < 2000; ++i) {
        auto damaged = saved;
        for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<std::uint8_t>(random());
        VirtualClock clock;
        posix::Runtime runtime(clock);
        clock.runtime = &runtime;
        if (!runtime.restore(damaged)) continue;
        for (int k = 0; k < 4; ++k) kn_adopt((random() % 4) << 24 | 0xff'ffff);
    }
}
