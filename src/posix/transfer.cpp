// Streams: read and write, and what they have in common with datagrams.
#include "posix/transfer.hpp"

#include <algorithm>
#include <climits>

#include <netinet/tcp.h>
#include <unistd.h>

namespace keepnet::posix {

int Parts::take(const iovec* parts, std::size_t count) {
    if (count > IOV_MAX) return EMSGSIZE;
    if (count != 0 && !is_given(parts, count * sizeof *parts)) return EFAULT;
    for (std::size_t i = 0; i < count; ++i) {
        std::size_t length = parts[i].iov_len;
        if (static_cast<ssize_t>(length) < 0) return EINVAL;
        if (!is_user_memory(parts[i].iov_base, length)) return EFAULT;
        length = std::min(length, transfer_bytes_max - size_);
        if (length == 0) continue;
        bad_ = bad_ || parts[i].iov_base == nullptr;
        const MutableBytes part(static_cast<std::uint8_t*>(parts[i].iov_base), length);
        if (count_ == few_.size() && many_.empty()) many_.assign(few_.begin(), few_.end());
        if (many_.empty()) {
            few_[count_++] = part;
        } else {
            many_.push_back(part);
        }
        size_ += length;
    }
    return 0;
}

std::size_t Parts::put(std::size_t offset, ByteView from) const {
    std::size_t copied = 0;
    for (const MutableBytes part : parts()) {
        if (offset >= part.size()) {
            offset -= part.size();
            continue;
        }
        const std::size_t n = std::min(part.size() - offset, from.size() - copied);
        if (n == 0) break;
        std::memcpy(part.data() + offset, from.data() + copied, n);
        copied += n;
        offset = 0;
    }
    return copied;
}

std::vector<ByteView> Parts::views(std::size_t offset) const {
    std::vector<ByteView> out;
    for (const MutableBytes part : parts()) {
        if (offset < part.size()) out.emplace_back(part.subspan(offset));
        offset -= std::min(offset, part.size());
    }
    return out;
}

MutableBytes Parts::stretch(std::size_t offset) const {
    for (const MutableBytes part : parts()) {
        if (offset < part.size()) return part.subspan(offset);
        offset -= part.size();
    }
    return {};
}

namespace {

/// Why nothing more can be read, when nothing can: an errno value, 0 for the end, EAGAIN for not yet.
int why_not_readable(Socket& s, Error e) {
    if (e == Error::would_block) return s.receive_shut ? 0 : EAGAIN;
    if (e == Error::end_of_stream) return 0;
    const auto info = s.stack().info(s.handle);
    if (!info) return errno_of(info.error());
    if (info->phase == TcpPhase::listen) return ENOTCONN;
    if (info->phase == TcpPhase::syn_sent || info->phase == TcpPhase::syn_received) return EAGAIN;
    if (const int pending = take_pending(s); pending != 0) return pending;
    if (s.receive_shut || s.dialogue != Dialogue::unconnected)
        return 0;  // the error was told: now it is the end
    return ENOTCONN;
}

/// Reads what is there, without waiting. Bytes, or an errno value as Error.
std::size_t take_some(Socket& s, const Parts& into, std::size_t offset, std::size_t most, bool discard,
                      Error& why) {
    Stack& stack = s.stack();
    std::size_t taken = 0;
    while (taken < most) {
        if (discard) {
            std::array<ByteView, 64> views;
            const auto n = stack.peek(s.handle, views);
            if (!n) {
                why = n.error();
                break;
            }
            std::size_t bytes = 0;
            for (std::size_t i = 0; i < *n; ++i) bytes += views[i].size();
            bytes = std::min(bytes, most - taken);
            if (!stack.consume(s.handle, bytes)) break;
            taken += bytes;
            continue;
        }
        const MutableBytes room = into.stretch(offset + taken);
        const auto n = stack.receive(s.handle, room.first(std::min(room.size(), most - taken)));
        if (!n) {
            why = n.error();
            break;
        }
        taken += *n;
        if (*n == 0) break;
    }
    return taken;
}

/// MSG_PEEK: from `offset` of the queue on.
std::size_t look_at_some(Socket& s, const Parts& into, std::size_t offset, std::size_t most, bool discard,
                         Error& why) {
    std::size_t seen = 0;
    while (seen < most) {
        std::array<ByteView, 64> views;
        const auto n = s.stack().peek(s.handle, views, offset + seen);
        if (!n) {
            why = n.error();
            break;
        }
        const std::size_t before = seen;
        for (std::size_t i = 0; i < *n && seen < most; ++i) {
            const ByteView part = views[i].first(std::min(views[i].size(), most - seen));
            if (!discard) into.put(offset + seen, part);
            seen += part.size();
        }
        if (seen == before) break;
    }
    return seen;
}

bool has_input(const Socket& s) {
    const auto info = s.stack().info(s.handle);
    return info && info->receive_queue_bytes != 0;
}

}  // namespace

ssize_t receive_stream(Call& call, Socket& s, const Parts& into, int flags) {
    if ((flags & MSG_OOB) != 0) return fail(EINVAL);       // no urgent data is kept apart
    if ((flags & MSG_ERRQUEUE) != 0) return fail(EAGAIN);  // there is no queue of errors
    const std::size_t wanted = into.size();
    const bool discard = (flags & MSG_TRUNC) != 0;
    const std::size_t enough = (flags & MSG_WAITALL) != 0
                                   ? wanted
                                   : std::max<std::size_t>(1, std::min<std::size_t>(wanted, s.low_water));
    const bool wait = !s.nonblocking && (flags & MSG_DONTWAIT) == 0;
    const Instant deadline = call.until(s.receive_timeout);
    std::size_t got = 0;
    for (;;) {
        if (has_input(s) && into.is_bad() && !discard)
            return got != 0 ? static_cast<ssize_t>(got) : fail(EFAULT);
        if (wanted == 0 && has_input(s)) return 0;
        Error why = Error::would_block;
        if (wanted == 0) {
            std::array<ByteView, 1> view;
            const auto n = s.stack().peek(s.handle, view);
            if (!n) why = n.error();
        } else if ((flags & MSG_PEEK) != 0) {
            got += look_at_some(s, into, got, wanted - got, discard, why);
        } else {
            const std::size_t n = take_some(s, into, got, wanted - got, discard, why);
            got += n;
            if (n != 0) {
                look(s, false);
                call.done();  // the window may open, and more have come: nobody sleeps without another look
                if (got < enough) continue;
            }
        }
        if (got >= enough) return static_cast<ssize_t>(got);
        if (got != 0 && (why != Error::would_block || s.receive_shut || !wait))
            return static_cast<ssize_t>(got);
        const int reason = why_not_readable(s, why);
        if (reason == 0) return static_cast<ssize_t>(got);
        if (reason != EAGAIN) {
            look(s, false);
            return fail(reason);
        }
        const int slept = wait ? call.sleep(s, deadline, got != 0) : EAGAIN;
        if (slept != 0) return got != 0 ? static_cast<ssize_t>(got) : fail(slept);
    }
}

namespace {

/// EAGAIN: the connection is being made, or there is no room; EPIPE and others as Linux's sk_stream_error().
int why_not_sendable(Socket& s) {
    const auto info = s.stack().info(s.handle);
    if (!info) return errno_of(info.error());
    if (info->phase == TcpPhase::syn_sent || info->phase == TcpPhase::syn_received) return EAGAIN;
    const bool open = info->phase == TcpPhase::established || info->phase == TcpPhase::close_wait;
    if (open) return 0;
    const int pending = take_pending(s);
    return pending != 0 ? pending : EPIPE;
}

}  // namespace

ssize_t send_stream(Call& call, Socket& s, const Parts& from, int flags) {
    if ((flags & MSG_OOB) != 0) return fail(EOPNOTSUPP);
    const bool wait = !s.nonblocking && (flags & MSG_DONTWAIT) == 0;
    const Instant deadline = call.until(s.send_timeout);
    std::size_t sent = 0;
    for (;;) {
        int reason = why_not_sendable(s);
        if (reason == 0) {
            if (from.size() == 0) return 0;
            if (from.is_bad()) return fail(EFAULT);
            const auto views = from.views(sent);
            const auto n = s.stack().send(s.handle, views, (flags & MSG_MORE) != 0);
            look(s, false);
            if (n) {
                sent += *n;
                call.done();
                if (sent == from.size()) return static_cast<ssize_t>(sent);
                continue;  // room may have come meanwhile
            }
            reason = errno_of(n.error());
        }
        if (reason != EAGAIN) {
            if (sent != 0) return static_cast<ssize_t>(sent);
            look(s, false);
            return fail(reason);
        }
        const int slept = wait ? call.sleep(s, deadline, sent != 0) : EAGAIN;
        if (slept != 0) return sent != 0 ? static_cast<ssize_t>(sent) : fail(slept);
    }
}

namespace {

/// TCP_CM_INQ: bytes that a read would give; 1 where it would give the end.
int input_left(const Socket& s) {
    const auto info = s.stack().info(s.handle);
    if (!info) return 0;
    if (info->receive_queue_bytes != 0) return static_cast<int>(info->receive_queue_bytes);
    const auto r = s.stack().readiness(s.handle);
    return r && r->has(Readiness::peer_closed) ? 1 : 0;
}

}  // namespace

ssize_t receive(Call& call, Socket& s, msghdr& message, int flags) {
    Parts into;
    if (const int error = into.take(message.msg_iov, message.msg_iovlen); error != 0) return fail(error);
    // What is written is no longer than this, however much room there is.
    constexpr std::size_t control_max = 256;
    const std::size_t control = std::min<std::size_t>(message.msg_controllen, control_max);
    if (control != 0 && !is_user_memory(message.msg_control, control)) return fail(EFAULT);
    if (!s.is_tcp() && message.msg_name != nullptr) {  // a stream gives no name
        const int error = check_room(static_cast<sockaddr*>(message.msg_name), &message.msg_namelen);
        if (error != 0) return fail(error);
    }
    if (!s.is_tcp()) return receive_datagram(call, s, into, message, flags);
    const std::size_t room = message.msg_control != nullptr ? message.msg_controllen : 0;
    const ssize_t n = receive_stream(call, s, into, flags);
    if (n < 0) return n;  // the message is as it was
    message.msg_flags = 0;
    message.msg_controllen = 0;
    message.msg_namelen = 0;
    std::size_t used = 0;
    if (room != 0) add_timestamp(s, message, used, room);
    if (s.want_queued_bytes && room != 0) {
        const int left = input_left(s);
        add_control(message, used, room, IPPROTO_TCP, TCP_CM_INQ, &left, sizeof left);
    }
    message.msg_controllen = used;
    return n;
}

ssize_t send(Call& call, Socket& s, const msghdr& message, int flags) {
    Parts from;
    if (const int error = from.take(message.msg_iov, message.msg_iovlen); error != 0) return fail(error);
    if (!s.is_tcp()) return send_datagram(call, s, from, message, flags);
    if ((flags & MSG_FASTOPEN) != 0) return fail(EOPNOTSUPP);
    if (message.msg_controllen != 0 && !is_given(message.msg_control, message.msg_controllen)) return fail(EFAULT);
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr*>(&message), c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type != SCM_RIGHTS && c->cmsg_type != SCM_CREDENTIALS) return fail(EINVAL);
    }
    return send_stream(call, s, from, flags);
}

}  // namespace keepnet::posix

// --- the calls ---

using namespace keepnet;
using namespace keepnet::posix;

namespace {

msghdr message_of(const iovec* parts, std::size_t count) {
    msghdr m{};
    m.msg_iov = const_cast<iovec*>(parts);
    m.msg_iovlen = count;
    return m;
}

/// recv() cuts a length that is too long; read() refuses one that is negative.
iovec part_of(const void* buffer, std::size_t length) {
    return {const_cast<void*>(buffer), std::min(length, transfer_bytes_max)};
}

}  // namespace

extern "C" {

ssize_t kn_readv(int fd, const iovec* parts, int count) {
    if (!is_ours(fd)) return ::readv(fd, parts, count);
    Call call;
    const auto f = call.file(fd);
    if (f == nullptr) {
        call.release();
        return ::readv(fd, parts, count);
    }
    auto* s = dynamic_cast<Socket*>(f.get());
    if (s == nullptr) return fail(EINVAL);  // an epoll set
    if (count < 0 || count > IOV_MAX) return fail(EINVAL);
    msghdr m = message_of(parts, static_cast<std::size_t>(count));
    Parts sizes;
    if (const int error = sizes.take(parts, m.msg_iovlen); error != 0) return fail(error);
    if (sizes.size() == 0) return 0;
    return receive(call, *s, m, 0);
}

ssize_t kn_read(int fd, void* buffer, size_t length) {
    if (!is_ours(fd)) return ::read(fd, buffer, length);
    {
        const Call call;
        if (call.file(fd) != nullptr && !is_user_memory(buffer, length)) return fail(EFAULT);
    }
    const iovec part{buffer, length};
    return kn_readv(fd, &part, 1);
}

ssize_t kn_recvmsg(int fd, msghdr* message, int flags) {
    if (!is_ours(fd)) return ::recvmsg(fd, message, flags);
    Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    if (!is_given(message, sizeof *message)) return fail(EFAULT);
    if (static_cast<int>(message->msg_namelen) < 0) return fail(EINVAL);
    return receive(call, *s, *message, flags);
}

ssize_t kn_recvfrom(int fd, void* buffer, size_t length, int flags, sockaddr* address,
                    socklen_t* address_length) {
    if (!is_ours(fd)) return ::recvfrom(fd, buffer, length, flags, address, address_length);
    Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    if (address != nullptr && !is_given(address_length, sizeof *address_length)) return fail(EFAULT);
    if (address != nullptr && static_cast<int>(*address_length) < 0) return fail(EINVAL);
    const iovec part = part_of(buffer, length);
    msghdr m = message_of(&part, 1);
    m.msg_name = address;
    m.msg_namelen = address != nullptr ? *address_length : 0;
    const ssize_t n = receive(call, *s, m, flags);
    if (n >= 0 && address != nullptr) *address_length = m.msg_namelen;
    return n;
}

ssize_t kn_recv(int fd, void* buffer, size_t length, int flags) {
    return kn_recvfrom(fd, buffer, length, flags, nullptr, nullptr);
}

ssize_t kn_writev(int fd, const iovec* parts, int count) {
    if (!is_ours(fd)) return ::writev(fd, parts, count);
    Call call;
    const auto f = call.file(fd);
    if (f == nullptr) {
        call.release();
        return ::writev(fd, parts, count);
    }
    auto* s = dynamic_cast<Socket*>(f.get());
    if (s == nullptr) return fail(EINVAL);
    if (count < 0 || count > IOV_MAX) return fail(EINVAL);
    const msghdr m = message_of(parts, static_cast<std::size_t>(count));
    Parts sizes;
    if (const int error = sizes.take(parts, m.msg_iovlen); error != 0) return fail(error);
    if (sizes.size() == 0) return 0;
    return send(call, *s, m, 0);
}

/// Not kn_writev(): no bytes are an empty datagram.
ssize_t kn_write(int fd, const void* buffer, size_t length) {
    if (!is_ours(fd)) return ::write(fd, buffer, length);
    Call call;
    const auto f = call.file(fd);
    if (f == nullptr) {
        call.release();
        return ::write(fd, buffer, length);
    }
    if (!is_user_memory(buffer, length)) return fail(EFAULT);
    auto* s = dynamic_cast<Socket*>(f.get());
    if (s == nullptr) return fail(EINVAL);
    const iovec part{const_cast<void*>(buffer), length};
    return send(call, *s, message_of(&part, 1), 0);
}

ssize_t kn_sendmsg(int fd, const msghdr* message, int flags) {
    if (!is_ours(fd)) return ::sendmsg(fd, message, flags);
    Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    if (!is_given(message, sizeof *message)) return fail(EFAULT);
    if (static_cast<int>(message->msg_namelen) < 0) return fail(EINVAL);
    return send(call, *s, *message, flags);
}

ssize_t kn_sendto(int fd, const void* buffer, size_t length, int flags, const sockaddr* address,
                  socklen_t address_length) {
    if (!is_ours(fd)) return ::sendto(fd, buffer, length, flags, address, address_length);
    Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    if (address != nullptr &&
        (static_cast<int>(address_length) < 0 || address_length > sizeof(sockaddr_storage)))
        return fail(EINVAL);
    const iovec part = part_of(buffer, length);
    msghdr m = message_of(&part, 1);
    m.msg_name = const_cast<sockaddr*>(address);
    m.msg_namelen = address != nullptr ? address_length : 0;
    return send(call, *s, m, flags);
}

ssize_t kn_send(int fd, const void* buffer, size_t length, int flags) {
    return kn_sendto(fd, buffer, length, flags, nullptr, 0);
}

}  // extern "C"
