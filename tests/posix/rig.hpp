// A process with two stacks on one wire in memory, under a clock that jumps: whoever sleeps moves time on.
// Nothing here waits.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <signal.h>

#include <catch2/catch_test_macros.hpp>

#include <keepnet/posix.h>
#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/posix_runtime.hpp>
#include <keepnet/stack.hpp>

namespace test {

using namespace keepnet;

/// One thread does everything: a call that blocks moves time to the next deadline, and runs what was planned
/// for then.
class VirtualClock final : public posix::Clock {
  public:
    Instant now() override { return now_; }
    void turned(Instant next) override { next_ = next; }
    void sleep(posix::Lock& lock, posix::Waiter& waiter) override {
        while (!waiter.is_woken() && now_ < waiter.deadline()) {
            const Instant planned = plans_.empty() ? never : plans_.begin()->first;
            const Instant to = earlier(earlier(next_, waiter.deadline()), planned);
            REQUIRE(to != never);            // it would sleep for ever
            waiter.wait(lock, Duration{0});  // the kernel's descriptors
            if (waiter.is_woken()) return;
            now_ = later(now_, to);
            run_plans(lock);
            runtime->turn();
        }
    }
    /// `what`, which calls kn_ functions, happens when time comes to `after` from now.
    void plan(Duration after, std::function<void()> what) {
        plans_.emplace(now_ + after, Plan{std::move(what)});
    }
    /// The signal comes to the thread that sleeps then.
    void plan_signal(Duration after, int signal) {
        plans_.emplace(now_ + after, Plan{[signal] { ::raise(signal); }, true});
    }
    /// Nothing is called for a while.
    void pass(Duration time) {
        posix::Lock lock = runtime->lock();
        const Instant end = now_ + time;
        runtime->turn();
        while (now_ < end) {
            const Instant planned = plans_.empty() ? never : plans_.begin()->first;
            now_ = later(now_, earlier(end, earlier(next_, planned)));
            run_plans(lock);
            runtime->turn();
        }
    }

    posix::Runtime* runtime = nullptr;

  private:
    struct Plan {
        std::function<void()> what;
        bool asleep = false;  ///< its signals wait for the sleeper
    };

    void run_plans(posix::Lock& lock) {
        while (!plans_.empty() && plans_.begin()->first <= now_) {
            const Plan plan = std::move(plans_.begin()->second);
            plans_.erase(plans_.begin());
            if (!plan.asleep) lock.unlock();
            plan.what();
            if (!plan.asleep) lock.lock();
        }
    }

    Instant now_{seconds(1000).ns};
    Instant next_ = never;
    std::multimap<Instant, Plan> plans_{};
};

struct FreeDeleter {
    void operator()(std::byte* memory) const { std::free(memory); }
};

inline StackConfig small_config() {
    StackConfig c;
    c.capacity.sockets = 64;
    c.capacity.tcp_connections = 64;
    c.capacity.tcp_tombstones = 16;
    c.capacity.tcp_listeners = 8;
    c.capacity.udp_sockets = 16;
    c.capacity.slice_nodes = 8192;
    c.capacity.packet_buffers = 4096;
    c.capacity.shadow_objects = 1024;
    c.nd.dad_transmits = 0;
    return c;
}

/// A stack with memory of its own.
struct Host {
    Host(std::uint8_t number, LinkDevice& device, Instant now, const StackConfig& with = small_config())
        : config(with),
          bytes(Stack::arena_bytes(config)),
          memory(static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096))),
          stack(create(number, now)) {
        const auto interface = stack.attach_device(device, {});
        REQUIRE(interface.has_value());
        REQUIRE(stack.add_address(*interface, Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, number}), 64)
                    .has_value());
    }

    StackConfig config;
    std::size_t bytes;
    std::unique_ptr<std::byte, FreeDeleter> memory;
    Stack stack;

  private:
    Stack create(std::uint8_t number, Instant now) {
        CreateOptions options{.now = now};
        options.entropy.fill(number);
        auto made = Stack::create(std::span(memory.get(), bytes), config, options);
        REQUIRE(made.has_value());
        return std::move(*made);
    }
};

/// fd00::1 and fd00::2; `a` is what kn_socket uses unless on(b) says otherwise.
struct Rig {
    explicit Rig(const StackConfig& config = small_config())
        : one(1, link.a(), clock.now(), config), two(2, link.b(), clock.now(), config), runtime(clock) {
        clock.runtime = &runtime;
        a = runtime.add(one.stack);
        b = runtime.add(two.stack);
        clock.pass(seconds(3));
    }
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;
    ~Rig() { kn_attach(nullptr); }

    int socket_on(kn_stack* host, int type) const {
        REQUIRE(kn_attach(host) == 0);
        const int fd = kn_socket(AF_INET6, type, 0);
        REQUIRE(fd >= 0);
        REQUIRE(kn_attach(nullptr) == 0);
        return fd;
    }
    void pass(Duration time) { clock.pass(time); }

    drivers::MemoryLink<256> link{};
    VirtualClock clock{};
    Host one;
    Host two;
    posix::Runtime runtime;
    kn_stack* a = nullptr;
    kn_stack* b = nullptr;
};

/// [fd00::number]:port; 0: any address.
inline sockaddr_in6 address(std::uint8_t number, std::uint16_t port) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(port);
    if (number != 0) {
        a.sin6_addr.s6_addr[0] = 0xfd;
        a.sin6_addr.s6_addr[15] = number;
    }
    return a;
}
inline const sockaddr* as(const sockaddr_in6& a) { return reinterpret_cast<const sockaddr*>(&a); }
inline sockaddr* as(sockaddr_in6& a) { return reinterpret_cast<sockaddr*>(&a); }

/// A listener on b, and a connection to it from a.
struct Pair {
    explicit Pair(Rig& rig, std::uint16_t port = 80) {
        listener = rig.socket_on(rig.b, SOCK_STREAM);
        const sockaddr_in6 local = address(0, port);
        REQUIRE(kn_bind(listener, as(local), sizeof local) == 0);
        REQUIRE(kn_listen(listener, 8) == 0);
        client = rig.socket_on(rig.a, SOCK_STREAM);
        const sockaddr_in6 remote = address(2, port);
        REQUIRE(kn_connect(client, as(remote), sizeof remote) == 0);
        server = kn_accept4(listener, nullptr, nullptr, 0);
        REQUIRE(server >= 0);
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        for (const int fd : {listener, client, server}) {
            if (fd >= 0) kn_close(fd);
        }
    }
    int listener = -1;
    int client = -1;
    int server = -1;
};

/// Did the call fail with `error`?
#define CHECK_ERRNO(call, error) \
    do {                         \
        errno = 0;               \
        const auto got = (call); \
        const int said = errno;  \
        CHECK(got == -1);        \
        CHECK(said == (error));  \
    } while (false)

}  // namespace test
