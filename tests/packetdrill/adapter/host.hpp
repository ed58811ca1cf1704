// What the tool's calls act on: one stack at the end of a Wire, a runtime of the sockets interface, and virtual time.
#pragma once

#include <memory>
#include <optional>

#include <keepnet/posix.h>
#include <keepnet/posix_runtime.hpp>

#include "packetdrill/adapter/flags.hpp"
#include "packetdrill/adapter/virtual_time.hpp"
#include "packetdrill/adapter/wire.hpp"

namespace keepnet::packetdrill {

class Host {
  public:
    explicit Host(const Flags& flags, const Sysctls& sysctls = Sysctls());
    ~Host();
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    /// A call of the tool. What it did has its effect before it returns; errno is the call's.
    template <class F>
    auto call(F&& f) {
        if (!time_.is_driver()) {
            const VirtualTime::Call blocking(time_, runtime_);
            return std::forward<F>(f)();
        }
        const auto result = std::forward<F>(f)();
        const int error = errno;
        settle();
        errno = error;
        return result;
    }
    /// A call on `fd` that may block. On the thread that drives it is one that the script does not mark: it does not.
    template <class F>
    auto call_on(int fd, F&& f) {
        const Unblocked unblocked(time_.is_driver() ? fd : -1);
        return call(std::forward<F>(f));
    }
    [[nodiscard]] bool may_block() const { return !time_.is_driver(); }

    /// With the kernel's settings of this moment; the first one makes the stack.
    int socket(int domain, int type, int protocol);
    bool send(ByteView packet);
    /// False: nothing will be sent any more by itself. `bytes`: room, then the packet's length.
    bool receive(MutableBytes room, std::size_t& bytes, Instant& at);
    void sleep(Duration duration);
    /// Goes on by a microsecond with each look.
    Instant look_at_clock();

  private:
    /// The descriptor is non-blocking for a while.
    class Unblocked {
      public:
        explicit Unblocked(int fd);
        ~Unblocked();
        Unblocked(const Unblocked&) = delete;
        Unblocked& operator=(const Unblocked&) = delete;

      private:
        int fd_;
        int flags_ = 0;
    };
    void make_stack();
    void follow_settings();
    void settle();

    Flags flags_;
    Sysctls sysctls_;
    VirtualTime time_;
    posix::Runtime runtime_;
    Wire wire_;
    std::span<std::byte> arena_{};
    std::optional<Stack> stack_{};
};

}  // namespace keepnet::packetdrill
