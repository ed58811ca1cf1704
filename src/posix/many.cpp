// Many messages in one call, and a file's bytes: loops over what one message is.
#include <algorithm>
#include <array>
#include <optional>

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "posix/call.hpp"

using namespace keepnet;
using namespace keepnet::posix;

namespace {

/// Linux's UIO_MAXIOV.
constexpr unsigned messages_max = 1024;

/// No runtime: it has no time.
std::optional<Instant> now_if_ours() {
    const Call call;
    return call ? std::optional(call.now()) : std::nullopt;
}

/// What sendfile() moves at once: on the stack, so that nothing is lost when siglongjmp() leaves.
constexpr std::size_t piece_bytes = 16'384;

ssize_t send_pieces(int to, int from, off_t at, std::size_t count) {
    std::array<char, piece_bytes> piece;
    std::size_t sent = 0;
    while (sent < count) {
        const std::size_t wanted = std::min(piece.size(), count - sent);
        const ssize_t n = ::pread(from, piece.data(), wanted, at + static_cast<off_t>(sent));
        if (n < 0) return sent != 0 ? static_cast<ssize_t>(sent) : -1;
        if (n == 0) break;
        const bool more = static_cast<std::size_t>(n) == wanted && sent + wanted < count;
        const ssize_t m = kn_send(to, piece.data(), static_cast<std::size_t>(n), more ? MSG_MORE : 0);
        if (m < 0) return sent != 0 ? static_cast<ssize_t>(sent) : -1;
        sent += static_cast<std::size_t>(m);
        if (m < n) break;
    }
    return static_cast<ssize_t>(sent);
}

}  // namespace

extern "C" {

int kn_recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
    if (!is_ours(fd)) return ::recvmmsg(fd, messages, count, flags, timeout);
    if (!is_user_memory(timeout, sizeof *timeout)) return fail(EFAULT);
    std::optional<Duration> most;
    if (!take_timeout(timeout, most)) return fail(EINVAL);
    count = std::min(count, messages_max);
    if (count != 0 && !is_given(messages, count * sizeof *messages)) return fail(EFAULT);
    const auto begun = now_if_ours();
    unsigned got = 0;
    for (bool over = false; got < count && !over; ++got) {
        const bool wait = got == 0 || (flags & MSG_WAITFORONE) == 0;
        const ssize_t n = kn_recvmsg(fd, &messages[got].msg_hdr, (flags & ~MSG_WAITFORONE) | (wait ? 0 : MSG_DONTWAIT));
        if (n < 0) break;
        messages[got].msg_len = static_cast<unsigned>(n);
        const auto now = now_if_ours();
        // As on Linux, the time is looked at when a message has come, and not while none does.
        over = most && now && begun && *now - *begun >= *most;
    }
    return got != 0 || count == 0 ? static_cast<int>(got) : -1;
}

int kn_sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    if (!is_ours(fd)) return ::sendmmsg(fd, messages, count, flags);
    count = std::min(count, messages_max);
    if (count != 0 && !is_given(messages, count * sizeof *messages)) return fail(EFAULT);
    unsigned sent = 0;
    for (; sent < count; ++sent) {
        const ssize_t n = kn_sendmsg(fd, &messages[sent].msg_hdr, flags);
        if (n < 0) break;
        messages[sent].msg_len = static_cast<unsigned>(n);
    }
    return sent != 0 || count == 0 ? static_cast<int>(sent) : -1;
}

ssize_t kn_sendfile(int to, int from, off_t* offset, size_t count) {
    if (!is_ours(to) && !is_ours(from)) return ::sendfile(to, from, offset, count);
    struct stat about {};
    if (kn_fstat(from, &about) < 0) return -1;
    if (!is_user_memory(offset, sizeof *offset)) return fail(EFAULT);
    if (!S_ISREG(about.st_mode) && !S_ISBLK(about.st_mode)) return fail(EINVAL);
    if (static_cast<ssize_t>(count) < 0 || (offset != nullptr && *offset < 0)) return fail(EINVAL);
    const off_t at = offset != nullptr ? *offset : ::lseek(from, 0, SEEK_CUR);
    const ssize_t sent = send_pieces(to, from, at, std::min<std::size_t>(count, transfer_bytes_max));
    if (sent <= 0) return sent;
    if (offset != nullptr) {
        *offset = at + sent;
    } else {
        ::lseek(from, at + sent, SEEK_SET);
    }
    return sent;
}

}  // extern "C"
