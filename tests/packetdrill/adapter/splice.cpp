#include "packetdrill/adapter/splice.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include <keepnet/posix.h>

namespace keepnet::packetdrill {

namespace {

constexpr std::size_t bytes_max = 1U << 20;

bool is_socket(int fd) { return kn_handle(fd) != 0; }

/// Bytes that a write into the pipe takes without blocking.
std::size_t room_in(int pipe) {
    int queued = 0;
    const int size = fcntl(pipe, F_GETPIPE_SZ);
    if (size < 0 || ioctl(pipe, FIONREAD, &queued) != 0 || queued > size) return 0;
    return static_cast<std::size_t>(size - queued);
}

ssize_t from_socket(int in, int out, std::size_t bytes) {
    std::vector<char> data(std::min({bytes, bytes_max, room_in(out)}));
    if (data.empty()) return errno = EAGAIN, -1;
    const ssize_t n = kn_recv(in, data.data(), data.size(), MSG_DONTWAIT);
    return n <= 0 ? n : write(out, data.data(), static_cast<std::size_t>(n));
}

/// What the socket does not take must stay in the pipe: it is looked at through a second one (tee) before it is read.
ssize_t to_socket(int in, int out, std::size_t bytes, unsigned flags) {
    int ends[2];
    if (pipe(ends) != 0) return -1;
    std::vector<char> data(std::min(bytes, bytes_max));
    ssize_t n = tee(in, ends[1], data.size(), SPLICE_F_NONBLOCK);
    if (n > 0) n = read(ends[0], data.data(), static_cast<std::size_t>(n));
    const bool more = (flags & SPLICE_F_MORE) != 0;
    if (n > 0) n = kn_send(out, data.data(), static_cast<std::size_t>(n), MSG_DONTWAIT | (more ? MSG_MORE : 0));
    if (n > 0) n = read(in, data.data(), static_cast<std::size_t>(n));
    const int error = errno;
    close(ends[0]);
    close(ends[1]);
    errno = error;
    return n;
}

}  // namespace

ssize_t splice(int in, int out, std::size_t bytes, unsigned flags) {
    if (is_socket(in) && is_socket(out)) return errno = EINVAL, -1;
    if (is_socket(in)) return from_socket(in, out, bytes);
    if (is_socket(out)) return to_socket(in, out, bytes, flags);
    return ::splice(in, nullptr, out, nullptr, bytes, flags);
}

}  // namespace keepnet::packetdrill
