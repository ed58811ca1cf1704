// What every kn_ function begins, waits and ends with.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>

#include "posix/sleep.hpp"

namespace keepnet::posix {

/// Linux's MAX_RW_COUNT: no call moves more.
inline constexpr std::size_t transfer_bytes_max = 0x7fff'f000;

[[nodiscard]] int errno_of(Error e);

/// -1, with errno set.
inline int fail(int error) {
    errno = error;
    return -1;
}
inline int fail(Error e) { return fail(errno_of(e)); }

/// Can it be memory of a program? Null can: who needs more than that asks is_given().
[[nodiscard]] bool is_user_memory(const void* at, std::size_t length);
inline bool is_given(const void* at, std::size_t length) {
    return at != nullptr && is_user_memory(at, length);
}

/// The lock, for the time of one call.
class Call {
  public:
    Call() : in_(current()), lock_(in_ == nullptr ? Lock() : Lock(in_->mutex)) {}
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() = default;

    [[nodiscard]] explicit operator bool() const { return in_ != nullptr; }
    [[nodiscard]] Internals& in() const { return *in_; }
    /// Before a call of the kernel's that may block.
    void release() {
        if (lock_.owns_lock()) lock_.unlock();
    }
    [[nodiscard]] std::shared_ptr<File> file(int fd) const { return in_ ? find_file(*in_, fd) : nullptr; }
    /// Null, with errno set: EBADF, ENOTSOCK.
    [[nodiscard]] std::shared_ptr<Socket> socket(int fd) const;
    [[nodiscard]] Instant now() const { return in_->clock.now(); }
    /// When a call that starts now and takes at most `timeout` gives up; 0: never does.
    [[nodiscard]] Instant until(Duration timeout) const { return timeout.ns == 0 ? never : now() + timeout; }

    /// The call changed something in a stack: it gets its turn. Before the result is given, with errno still
    /// to be set.
    void done() { turn(*in_); }
    /// Sleeps until `file` has news: 0. EAGAIN: the deadline is over. EINTR: a handler has run. `partly`: the
    /// call has moved a part, so that any handler ends it.
    int sleep(File& file, Instant deadline, bool partly = false);
    /// The same with a sleeper that the caller has prepared itself. True: EINTR.
    [[nodiscard]] bool sleep(Sleeper& sleeper);

  private:
    Internals* in_;
    Lock lock_;
};

// --- addresses ---

/// 0, or an errno value. AF_UNSPEC is told by `unspecified`, where the caller takes it.
[[nodiscard]] int take_address(const sockaddr* address, socklen_t length, Endpoint& out,
                               bool* unspecified = nullptr);
/// Can give_address() give? 0, or an errno value.
[[nodiscard]] int check_room(const sockaddr* address, const socklen_t* length);
/// As the kernel does: as much as there is room for, and the true length. 0, or an errno value.
[[nodiscard]] int give_address(const Endpoint& endpoint, sockaddr* address, socklen_t* length);

/// The pending error, once; 0: none.
[[nodiscard]] int take_pending(Socket& s);

// --- parts of calls ---

/// A longer time-out is as good as none.
inline constexpr std::int64_t timeout_max_s = 1'000'000'000;
/// Null: none. False: no time.
[[nodiscard]] bool take_timeout(const timespec* given, std::optional<Duration>& out);

ssize_t receive(Call& call, Socket& s, msghdr& message, int flags);
ssize_t send(Call& call, Socket& s, const msghdr& message, int flags);
/// close() with SO_LINGER waits here. Before the last descriptor goes.
void await_last_bytes(Call& call, Socket& s);
/// A descriptor of the kernel: EBADF when it is not open.
[[nodiscard]] int kernel_answer(int fd, int error_if_open);

}  // namespace keepnet::posix
