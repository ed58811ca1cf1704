// UDP: one datagram a call, with what comes beside it.
#include <algorithm>
#include <cstring>

#include <sys/time.h>
#include <time.h>

#include "posix/transfer.hpp"

namespace keepnet::posix {

namespace {

template <class T>
void add_control(msghdr& message, std::size_t& used, std::size_t room, int type, const T& value) {
    posix::add_control(message, used, room, IPPROTO_IPV6, type, &value, sizeof value);
}

/// SOL_SOCKET's: descriptors and credentials go through AF_UNIX alone, and are no error elsewhere, as on Linux.
int take_socket_control(int type) { return type == SCM_RIGHTS || type == SCM_CREDENTIALS ? 0 : EINVAL; }

/// One control message of sendmsg(). 0, or an errno value.
int take_one(const cmsghdr& header, const std::uint8_t* data, std::size_t length, SendDatagram& how,
             InterfaceIndex& interface) {
    if (header.cmsg_level == SOL_SOCKET) return take_socket_control(header.cmsg_type);
    if (header.cmsg_level != IPPROTO_IPV6) return 0;
    int number = 0;
    if (length == sizeof number) std::memcpy(&number, data, sizeof number);
    switch (header.cmsg_type) {
        case IPV6_PKTINFO: {
            in6_pktinfo info{};
            if (length < sizeof info) return EINVAL;
            std::memcpy(&info, data, sizeof info);
            std::memcpy(how.source.octets.data(), &info.ipi6_addr, 16);
            interface = info.ipi6_ifindex;
            return 0;
        }
        case IPV6_HOPLIMIT:
            if (length != sizeof number || number < -1 || number > 255) return EINVAL;
            how.hop_limit = number < 0 ? std::uint8_t{0} : static_cast<std::uint8_t>(number);
            return number == 0 ? EINVAL : 0;  // a datagram that goes nowhere
        case IPV6_TCLASS:
            if (length != sizeof number || number < -1 || number > 255) return EINVAL;
            how.traffic_class = static_cast<std::int16_t>(number);
            return 0;
        default:
            return EINVAL;
    }
}

}  // namespace

void add_control(msghdr& message, std::size_t& used, std::size_t room, int level, int type, const void* value,
                 std::size_t length) {
    if (used + CMSG_LEN(length) > room) {
        message.msg_flags |= MSG_CTRUNC;
        return;
    }
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(length);
    header.cmsg_level = level;
    header.cmsg_type = type;
    auto* at = static_cast<std::uint8_t*>(message.msg_control) + used;
    std::memcpy(at, &header, sizeof header);
    std::memcpy(at + CMSG_LEN(0), value, length);
    used += std::min(CMSG_SPACE(length), room - used);
}

void add_timestamp(const Socket& s, msghdr& message, std::size_t& used, std::size_t room) {
    if (s.timestamps == 0) return;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const timeval rounded{.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    if (s.timestamps == SO_TIMESTAMP) {
        add_control(message, used, room, SOL_SOCKET, SCM_TIMESTAMP, &rounded, sizeof rounded);
    } else {
        add_control(message, used, room, SOL_SOCKET, SCM_TIMESTAMPNS, &now, sizeof now);
    }
}

void give_control(const Socket& s, const ReceivedDatagram& d, msghdr& message) {
    const std::size_t room = message.msg_control != nullptr ? message.msg_controllen : 0;
    std::size_t used = 0;
    add_timestamp(s, message, used, room);
    if (s.want_packet_info) {
        in6_pktinfo info{};
        std::memcpy(&info.ipi6_addr, d.destination.octets.data(), 16);
        info.ipi6_ifindex = d.interface;
        add_control(message, used, room, IPV6_PKTINFO, info);
    }
    if (s.want_hop_limit) add_control(message, used, room, IPV6_HOPLIMIT, static_cast<int>(d.hop_limit));
    if (s.want_traffic_class)
        add_control(message, used, room, IPV6_TCLASS, static_cast<int>(d.traffic_class));
    message.msg_controllen = used;
}

int take_control(const msghdr& message, SendDatagram& how, InterfaceIndex& interface) {
    if (message.msg_controllen == 0) return 0;
    if (!is_given(message.msg_control, message.msg_controllen)) return EFAULT;
    const auto* bytes = static_cast<const std::uint8_t*>(message.msg_control);
    for (std::size_t at = 0; message.msg_controllen - at >= sizeof(cmsghdr);) {
        cmsghdr header{};
        std::memcpy(&header, bytes + at, sizeof header);
        if (header.cmsg_len < sizeof header || header.cmsg_len > message.msg_controllen - at) return EINVAL;
        const int error =
            take_one(header, bytes + at + CMSG_LEN(0), header.cmsg_len - CMSG_LEN(0), how, interface);
        if (error != 0) return error;
        const std::size_t step = CMSG_ALIGN(header.cmsg_len);
        if (step > message.msg_controllen - at) break;
        at += step;
    }
    return 0;
}

ssize_t receive_datagram(Call& call, Socket& s, const Parts& into, msghdr& message, int flags) {
    if ((flags & MSG_ERRQUEUE) != 0) return fail(EAGAIN);
    const bool wait = !s.nonblocking && (flags & MSG_DONTWAIT) == 0;
    const Instant deadline = call.until(s.receive_timeout);
    for (;;) {
        // Linux gives the error before the datagrams.
        if (const int pending = take_pending(s); pending != 0) {
            look(s, false);
            return fail(pending);
        }
        const auto d = s.stack().peek_datagram(s.handle);
        if (d) {
            if (into.is_bad() && !d->payload.empty()) return fail(EFAULT);
            const std::size_t copied = into.put(0, d->payload);
            const std::size_t whole = d->payload.size();
            message.msg_flags = copied < whole ? MSG_TRUNC : 0;
            if (message.msg_name != nullptr) {
                Endpoint source = d->source;
                source.interface = d->interface;
                static_cast<void>(
                    give_address(source, static_cast<sockaddr*>(message.msg_name), &message.msg_namelen));
            } else {
                message.msg_namelen = 0;
            }
            give_control(s, *d, message);
            if ((flags & MSG_PEEK) == 0) {
                static_cast<void>(s.stack().consume_datagram(s.handle));
                look(s, false);
            }
            return static_cast<ssize_t>((flags & MSG_TRUNC) != 0 ? whole : copied);
        }
        if (s.receive_shut && wait) {  // without waiting Linux says EAGAIN
            message.msg_flags = 0;
            message.msg_namelen = 0;
            message.msg_controllen = 0;
            return 0;
        }
        if (d.error() != Error::would_block) return fail(d.error());
        if (const int slept = wait ? call.sleep(s, deadline) : EAGAIN; slept != 0) return fail(slept);
    }
}

namespace {

/// One try, with memory for its time only. 0, or an errno value; EAGAIN: the ring was full.
int try_send(Socket& s, const Parts& from, const SendDatagram& how) {
    std::vector<std::uint8_t> payload;
    for (const ByteView part : from.views(0)) payload.insert(payload.end(), part.begin(), part.end());
    const auto sent = s.stack().send_datagram(s.handle, how, payload);
    return sent ? 0 : errno_of(sent.error());
}

}  // namespace

ssize_t send_datagram(Call& call, Socket& s, const Parts& from, const msghdr& message, int flags) {
    if (from.size() > 0xffff) return fail(EMSGSIZE);
    SendDatagram how;
    if (message.msg_name != nullptr) {
        bool unspecified = false;
        const int error = take_address(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen,
                                       how.destination, &unspecified);
        if (error != 0) return fail(error);
        if (!unspecified && how.destination.port == 0) return fail(EINVAL);
        if (!unspecified && how.destination.address.is_unspecified()) how.destination.address = ipv6_loopback;
        if (!unspecified && how.destination.address.is_link_local() && how.destination.interface == 0)
            return fail(EINVAL);
        if (unspecified) how.destination = {};
    }
    if (how.destination.port == 0 && s.peer.port == 0) return fail(EDESTADDRREQ);
    InterfaceIndex interface = 0;
    if (const int error = take_control(message, how, interface); error != 0) return fail(error);
    if (interface != 0) {
        if (how.destination.port == 0) how.destination = s.peer;
        how.destination.interface = interface;
    }
    if (const int pending = take_pending(s); pending != 0) {
        look(s, false);
        return fail(pending);
    }
    if (s.send_shut) return fail(EPIPE);
    if (from.is_bad()) return fail(EFAULT);
    const bool wait = !s.nonblocking && (flags & MSG_DONTWAIT) == 0;
    const Instant deadline = call.until(s.send_timeout);
    for (;;) {
        const int error = try_send(s, from, how);
        if (error == 0) break;
        if (error != EAGAIN) return fail(error);
        call.done();  // the ring was full: its frames leave
        if (!wait) return fail(EAGAIN);
        const int slept = call.sleep(s, earlier(deadline, call.now() + milliseconds(1)));
        if (slept == EINTR || (slept == EAGAIN && call.now() >= deadline)) return fail(slept);
    }
    call.done();
    look(s, false);
    return static_cast<ssize_t>(from.size());
}

}  // namespace keepnet::posix
