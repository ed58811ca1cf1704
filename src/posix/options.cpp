// getsockopt and setsockopt. What the stack has is the stack's; time-outs, control messages and what has no effect here are
// the socket's own.
#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <string_view>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include "posix/call.hpp"
#include "posix/stored_options.hpp"
#include "posix/tcp_info.hpp"

using namespace keepnet;
using namespace keepnet::posix;

namespace {

constexpr std::int64_t second = 1'000'000'000;

/// The caller's value, as the kernel takes it.
struct Given {
    const void* at = nullptr;
    socklen_t length = 0;

    template <class T>
    [[nodiscard]] int take(T& out) const {
        if (length < sizeof out) return EINVAL;
        if (!is_given(at, sizeof out)) return EFAULT;
        std::memcpy(&out, at, sizeof out);
        return 0;
    }
};

/// The caller's room: a value that is longer is cut.
struct Room {
    void* at = nullptr;
    socklen_t* length = nullptr;

    template <class T>
    int give(const T& value) const {
        const auto n = static_cast<socklen_t>(std::min<std::size_t>(*length, sizeof value));
        if (!is_given(at, n)) return EFAULT;
        std::memcpy(at, &value, n);
        *length = n;
        return 0;
    }
};

int set(Socket& s, SocketOption option, std::int64_t value) {
    const auto done = s.stack().set_option(s.handle, option, value);
    return done ? 0 : errno_of(done.error());
}
std::int64_t get(const Socket& s, SocketOption option) { return s.stack().option(s.handle, option).value_or(0); }

// --- SOL_SOCKET ---

/// As Linux, what is asked for is doubled in what is reported. Half of a receive buffer is bookkeeping, so its window is what
/// the user asked for; a send buffer that large holds nearly all of it in data that were written in large pieces, here all.
/// A datagram is charged with the packet buffer in which it lies.
int set_receive_buffer(Socket& s, int bytes) {
    const StackConfig& config = s.stack().config();
    if (s.is_tcp()) {
        return set(s, SocketOption::receive_buffer, std::clamp<std::int64_t>(bytes, 4096, config.tcp.buffer_max));
    }
    s.receive_bytes = static_cast<std::uint32_t>(std::max(bytes, 2048));
    const std::int64_t most = config.capacity.udp_datagrams;
    return set(s, SocketOption::receive_buffer, std::clamp<std::int64_t>(s.receive_bytes / packet_buffer_bytes, 1, most));
}
int set_send_buffer(Socket& s, int bytes) {
    if (s.is_tcp()) {
        const std::uint32_t most = s.stack().config().tcp.buffer_max;
        return set(s, SocketOption::send_buffer, std::clamp<std::int64_t>(2 * std::int64_t{bytes}, 4096, most));
    }
    s.send_bytes = static_cast<std::uint32_t>(std::max(bytes, 2048));
    return 0;
}

int doubled(std::int64_t bytes) { return static_cast<int>(std::min<std::int64_t>(2 * bytes, INT_MAX)); }
int get_receive_buffer(const Socket& s) {
    if (s.is_tcp()) return doubled(get(s, SocketOption::receive_buffer));
    return doubled(s.receive_bytes != 0 ? s.receive_bytes : get(s, SocketOption::receive_buffer) * packet_buffer_bytes);
}
int get_send_buffer(const Socket& s) {
    if (s.is_tcp()) return static_cast<int>(get(s, SocketOption::send_buffer));
    return doubled(s.send_bytes != 0 ? s.send_bytes : 65536);
}

int set_timeout(Duration& field, const Given& given) {
    timeval t{};
    if (const int error = given.take(t); error != 0) return error;
    if (t.tv_usec < 0 || t.tv_usec >= 1'000'000) return EDOM;
    constexpr std::int64_t most_s = 1'000'000'000;
    if (t.tv_sec < 0) {
        field = nanoseconds(1);  // Linux: gives up at once
    } else {
        field = seconds(std::min<std::int64_t>(t.tv_sec, most_s)) + microseconds(t.tv_usec);
    }
    return 0;
}
timeval timeout_of(Duration d) {
    return {.tv_sec = d.ns / second, .tv_usec = d.ns % second / 1000};
}

int set_linger(Socket& s, const Given& given) {
    ::linger l{};
    if (const int error = given.take(l); error != 0) return error;
    const int seconds_wanted = l.l_onoff == 0 ? -1 : std::max(l.l_linger, 0);
    if (!s.is_tcp()) {
        s.linger_s = seconds_wanted;
        return 0;
    }
    constexpr std::int64_t most_s = 365LL * 86'400;
    return set(s, SocketOption::linger, seconds_wanted < 0 ? -1 : std::min<std::int64_t>(seconds_wanted, most_s) * second);
}
::linger linger_of(const Socket& s) {
    const std::int64_t ns = s.is_tcp() ? get(s, SocketOption::linger) : s.linger_s < 0 ? -1 : s.linger_s * second;
    return {.l_onoff = ns >= 0 ? 1 : 0, .l_linger = ns >= 0 ? static_cast<int>(ns / second) : 0};
}

/// What changes nothing here.
int set_stored(Socket& s, int level, int name, int value) {
    const StoredOption* option = find_stored_option(s, level, name);
    return option != nullptr ? store_checked(s, *option, value) : ENOPROTOOPT;
}
int get_stored(const Socket& s, int level, int name, const Room& room) {
    if (find_stored_option(s, level, name) == nullptr) return ENOPROTOOPT;
    return room.give(stored_value(s, level, name));
}

/// By name: "" is any interface.
int set_device(const Given& given) {
    char first = 0;
    if (given.length != 0) {
        if (const int error = given.take(first); error != 0) return error;
    }
    return first == 0 ? 0 : ENODEV;
}

int set_socket_level(Socket& s, int name, const Given& given) {
    if (name == SO_BINDTODEVICE) return set_device(given);
    if (name == SO_LINGER) return set_linger(s, given);
    if (name == SO_RCVTIMEO) return set_timeout(s.receive_timeout, given);
    if (name == SO_SNDTIMEO) return set_timeout(s.send_timeout, given);
    int value = 0;
    if (const int error = given.take(value); error != 0) return error;
    switch (name) {
        case SO_REUSEADDR: return set(s, SocketOption::reuse_address, value != 0 ? 1 : 0);
        case SO_REUSEPORT: return set(s, SocketOption::reuse_port, value != 0 ? 1 : 0);
        case SO_KEEPALIVE:
            return s.is_tcp() ? set(s, SocketOption::keep_alive, value != 0 ? 1 : 0) : set_stored(s, SOL_SOCKET, name, value);
        case SO_RCVBUF:
        case SO_RCVBUFFORCE: return set_receive_buffer(s, value);
        case SO_SNDBUF:
        case SO_SNDBUFFORCE: return set_send_buffer(s, value);
        case SO_RCVLOWAT:
            s.low_water = static_cast<std::uint32_t>(value < 0 ? INT_MAX : std::max(value, 1));
            look(s, true);
            return 0;
        case SO_PRIORITY: return value < 0 || value > 6 ? EPERM : set_stored(s, SOL_SOCKET, name, value);
        case SO_TIMESTAMP:
        case SO_TIMESTAMPNS:
            if (value != 0 || s.timestamps == name) s.timestamps = value != 0 ? name : 0;
            return 0;
        case SO_PASSCRED:
        case SO_PASSSEC: return EOPNOTSUPP;
        case SO_DETACH_FILTER: return ENOENT;
        case SO_BINDTOIFINDEX: return value == 0 ? 0 : value < 0 ? EINVAL : ENODEV;
        default: return set_stored(s, SOL_SOCKET, name, value);  // those that can only be read: ENOPROTOOPT
    }
}

/// Linux's SK_MEMINFO_*: what is queued, and what may be.
std::array<std::uint32_t, 9> memory_of(const Socket& s) {
    const auto info = s.stack().info(s.handle).value_or(SocketInfo{});
    std::array<std::uint32_t, 9> m{};
    m[0] = info.receive_queue_bytes + info.out_of_order_bytes;           // RMEM_ALLOC
    m[1] = static_cast<std::uint32_t>(get_receive_buffer(s));            // RCVBUF
    m[3] = static_cast<std::uint32_t>(get_send_buffer(s));               // SNDBUF
    m[5] = info.send_queue_bytes;                                        // WMEM_QUEUED
    return m;
}

int get_socket_level(Socket& s, int name, const Room& room) {
    switch (name) {
        case SO_LINGER: return room.give(linger_of(s));
        case SO_RCVTIMEO: return room.give(timeout_of(s.receive_timeout));
        case SO_SNDTIMEO: return room.give(timeout_of(s.send_timeout));
        case SO_REUSEADDR: return room.give(static_cast<int>(get(s, SocketOption::reuse_address)));
        case SO_REUSEPORT: return room.give(static_cast<int>(get(s, SocketOption::reuse_port)));
        case SO_KEEPALIVE:
            return s.is_tcp() ? room.give(static_cast<int>(get(s, SocketOption::keep_alive)))
                              : get_stored(s, SOL_SOCKET, name, room);
        case SO_RCVBUF: return room.give(get_receive_buffer(s));
        case SO_SNDBUF: return room.give(get_send_buffer(s));
        case SO_RCVLOWAT: return room.give(static_cast<int>(s.low_water));
        case SO_SNDLOWAT: return room.give(1);
        case SO_TIMESTAMP:
        case SO_TIMESTAMPNS: return room.give(s.timestamps == name ? 1 : 0);
        case SO_INCOMING_NAPI_ID: return room.give(0);
        case SO_BINDTOIFINDEX: return room.give(0);
        case SO_BINDTODEVICE: *room.length = 0; return 0;
        case SO_PASSCRED:
        case SO_PASSSEC: return EOPNOTSUPP;
        case SO_PEERCRED: return room.give(std::array<std::int32_t, 3>{0, -1, -1});
        case SO_COOKIE: return *room.length < sizeof(std::uint64_t) ? EINVAL : room.give(s.handle.raw);
        case SO_TYPE: return room.give(s.is_tcp() ? int{SOCK_STREAM} : int{SOCK_DGRAM});
        case SO_PROTOCOL: return room.give(s.is_tcp() ? int{IPPROTO_TCP} : int{IPPROTO_UDP});
        case SO_DOMAIN: return room.give(AF_INET6);
        case SO_ERROR: {
            const int pending = take_pending(s);
            look(s, false);
            return room.give(pending);
        }
        case SO_MEMINFO: return room.give(memory_of(s));
        case SO_ACCEPTCONN: {
            const auto info = s.stack().info(s.handle);
            return room.give(info && info->phase == TcpPhase::listen ? 1 : 0);
        }
        default: return get_stored(s, SOL_SOCKET, name, room);
    }
}

// --- IPPROTO_TCP ---

struct TcpOption {
    int name;
    SocketOption option;
    std::int64_t low, high;  ///< of the caller's number
    std::int64_t unit;       ///< of the stack's value in the caller's number
    bool is_bool;
};
constexpr std::array tcp_options{
    TcpOption{TCP_NODELAY, SocketOption::no_delay, INT_MIN, INT_MAX, 1, true},
    TcpOption{TCP_CORK, SocketOption::cork, INT_MIN, INT_MAX, 1, true},
    TcpOption{TCP_QUICKACK, SocketOption::quick_ack, INT_MIN, INT_MAX, 1, true},
    TcpOption{TCP_KEEPIDLE, SocketOption::keep_alive_idle, 1, 32767, second, false},
    TcpOption{TCP_KEEPINTVL, SocketOption::keep_alive_interval, 1, 32767, second, false},
    TcpOption{TCP_KEEPCNT, SocketOption::keep_alive_probes, 1, 127, 1, false},
    TcpOption{TCP_USER_TIMEOUT, SocketOption::user_timeout, 0, INT_MAX, 1'000'000, false},
};
const TcpOption* find_tcp_option(int name) {
    const auto found = std::find_if(tcp_options.begin(), tcp_options.end(), [name](const TcpOption& o) { return o.name == name; });
    return found == tcp_options.end() ? nullptr : &*found;
}

/// TCP_CONGESTION: by the names that Linux has for them.
constexpr std::size_t algorithm_name_max = 16;  // TCP_CA_NAME_MAX
constexpr std::array algorithms{
    std::pair{std::string_view("reno"), CongestionAlgorithm::newreno},
    std::pair{std::string_view("cubic"), CongestionAlgorithm::cubic},
};

int set_congestion(Socket& s, const Given& given) {
    if (given.length < 1) return EINVAL;
    const auto most = std::min<std::size_t>(given.length, algorithm_name_max - 1);
    if (!is_given(given.at, most)) return EFAULT;
    const auto* text = static_cast<const char*>(given.at);
    const std::string_view name(text, ::strnlen(text, most));
    for (const auto& [known, algorithm] : algorithms) {
        if (name == known) return set(s, SocketOption::congestion, static_cast<std::int64_t>(algorithm));
    }
    return ENOENT;
}

int get_congestion(const Socket& s, const Room& room) {
    std::array<char, algorithm_name_max> text{};
    for (const auto& [known, algorithm] : algorithms) {
        if (get(s, SocketOption::congestion) == static_cast<std::int64_t>(algorithm)) known.copy(text.data(), known.size());
    }
    return room.give(text);
}

int set_max_segment(Socket& s, int value) {
    if (value != 0 && (value < 88 || value > 32767)) return EINVAL;
    return set(s, SocketOption::max_segment, value);
}

/// Linux's number is unsigned; beyond the largest buffer they all mean the same.
int set_not_sent_low_water(Socket& s, int value) {
    return set(s, SocketOption::not_sent_low_water, value < 0 ? INT_MAX : value);
}
int not_sent_low_water_of(const Socket& s) {
    const std::int64_t bytes = get(s, SocketOption::not_sent_low_water);
    return bytes == INT_MAX ? -1 : static_cast<int>(bytes);
}

int set_queued_bytes(Socket& s, const Given& given) {
    int value = 0;
    if (const int error = given.take(value); error != 0) return error;
    if (value != 0 && value != 1) return EINVAL;
    s.want_queued_bytes = value != 0;
    return 0;
}

int set_tcp_level(Socket& s, int name, const Given& given) {
    if (!s.is_tcp()) return ENOPROTOOPT;
    if (name == TCP_CONGESTION) return set_congestion(s, given);
    if (name == TCP_INQ) return set_queued_bytes(s, given);
    const TcpOption* o = find_tcp_option(name);
    if (name == TCP_ULP) return ENOENT;
    if (name == TCP_REPAIR || name == TCP_TIMESTAMP) return EPERM;
    const bool stored = find_stored_option(s, IPPROTO_TCP, name) != nullptr;
    if (o == nullptr && !stored && name != TCP_MAXSEG && name != TCP_NOTSENT_LOWAT) return ENOPROTOOPT;
    int value = 0;
    if (const int error = given.take(value); error != 0) return error;
    if (stored) return set_stored(s, IPPROTO_TCP, name, value);
    if (o == nullptr) return name == TCP_MAXSEG ? set_max_segment(s, value) : set_not_sent_low_water(s, value);
    if (o->is_bool) return set(s, o->option, value != 0 ? 1 : 0);
    if (value < o->low || value > o->high) return EINVAL;
    return set(s, o->option, value * o->unit);
}

int get_tcp_info(const Socket& s, const Room& room) {
    const auto info = s.stack().tcp_info(s.handle);
    return info ? room.give(linux_tcp_info(*info)) : errno_of(info.error());
}

int get_tcp_level(Socket& s, int name, const Room& room) {
    if (const TcpOption* o = find_tcp_option(name)) return room.give(static_cast<int>(get(s, o->option) / o->unit));
    const auto info = s.stack().info(s.handle);
    if (!info) return errno_of(info.error());
    switch (name) {
        case TCP_MAXSEG: {
            const auto wanted = static_cast<int>(get(s, SocketOption::max_segment));
            return room.give(info->mss != 0 ? static_cast<int>(info->mss) : wanted != 0 ? wanted : 536);
        }
        case TCP_CONGESTION: return get_congestion(s, room);
        case TCP_CC_INFO: *room.length = 0; return 0;  // as Linux of an algorithm that has nothing to tell
        case TCP_INFO: return get_tcp_info(s, room);
        case TCP_INQ: return room.give(static_cast<int>(s.want_queued_bytes));
        case TCP_NOTSENT_LOWAT: return room.give(not_sent_low_water_of(s));
        case TCP_ULP:
        case TCP_SAVED_SYN: *room.length = 0; return 0;
        default: return get_stored(s, IPPROTO_TCP, name, room);
    }
}

// --- IPPROTO_IP: Linux has its options on IPv6 sockets too, for mapped addresses ---

/// They come as an int or as one byte.
int take_small(const Given& given, int& value) {
    if (given.length >= sizeof value) return given.take(value);
    std::uint8_t byte = 0;
    const int error = given.length == 0 ? 0 : given.take(byte);
    value = byte;
    return error;
}

int set_ip_level(Socket& s, int name, const Given& given) {
    if (find_stored_option(s, IPPROTO_IP, name) == nullptr) return ENOPROTOOPT;
    int value = 0;
    if (const int error = take_small(given, value); error != 0) return error;
    switch (name) {
        case IP_TOS: {
            // ECN's bits of a stream are not the user's.
            const int before = stored_value(s, IPPROTO_IP, IP_TOS);
            return set_stored(s, IPPROTO_IP, name, s.is_tcp() ? (value & 0xfc) | (before & 3) : value & 0xff);
        }
        case IP_TTL:
            if (given.length < 1) return EINVAL;
            return set_stored(s, IPPROTO_IP, name, value == -1 ? 64 : value);
        default: return set_stored(s, IPPROTO_IP, name, value);
    }
}

int get_ip_level(const Socket& s, int name, const Room& room) { return get_stored(s, IPPROTO_IP, name, room); }

int set_udp_level(Socket& s, int name, const Given& given) {
    if (s.is_tcp() || find_stored_option(s, IPPROTO_UDP, name) == nullptr) return ENOPROTOOPT;
    int value = 0;
    if (const int error = given.take(value); error != 0) return error;
    return set_stored(s, IPPROTO_UDP, name, value);
}

// --- IPPROTO_IPV6 ---

int set_hop_limit(Socket& s, int value) {
    if (value < -1 || value > 255) return EINVAL;
    if (value == 0) return EINVAL;
    return set(s, SocketOption::hop_limit, value < 0 ? 0 : value);
}

/// What is sent to groups.
int set_multicast(Socket& s, int name, int value) {
    if (s.is_tcp()) return ENOPROTOOPT;
    switch (name) {
        case IPV6_MULTICAST_HOPS:
            if (value < -1 || value > 255) return EINVAL;
            return set(s, SocketOption::multicast_hop_limit, value < 0 ? 1 : value);
        case IPV6_MULTICAST_LOOP:
            if (value != 0 && value != 1) return EINVAL;
            return set(s, SocketOption::multicast_loop, value);
        default:  // IPV6_MULTICAST_IF
            if (value < 0 || (value != 0 && !s.stack().interface_info(static_cast<InterfaceIndex>(value)))) return ENODEV;
            return set(s, SocketOption::multicast_interface, value);
    }
}

int get_multicast(const Socket& s, int name, const Room& room) {
    if (s.is_tcp()) return ENOPROTOOPT;
    const SocketOption option = name == IPV6_MULTICAST_HOPS   ? SocketOption::multicast_hop_limit
                                : name == IPV6_MULTICAST_LOOP ? SocketOption::multicast_loop
                                                              : SocketOption::multicast_interface;
    return room.give(static_cast<int>(get(s, option)));
}

int set_ipv6_level(Socket& s, int name, const Given& given) {
    bool* flag = nullptr;
    switch (name) {
        case IPV6_RECVPKTINFO: flag = &s.want_packet_info; break;
        case IPV6_RECVHOPLIMIT: flag = &s.want_hop_limit; break;
        case IPV6_RECVTCLASS: flag = &s.want_traffic_class; break;
        case IPV6_V6ONLY:
        case IPV6_UNICAST_HOPS:
        case IPV6_MULTICAST_HOPS:
        case IPV6_MULTICAST_LOOP:
        case IPV6_MULTICAST_IF:
        case IPV6_TCLASS: break;
        default:
            if (find_stored_option(s, IPPROTO_IPV6, name) == nullptr) return ENOPROTOOPT;
            int value = 0;
            if (const int error = given.take(value); error != 0) return error;
            return set_stored(s, IPPROTO_IPV6, name, value);
    }
    int value = 0;
    if (const int error = given.take(value); error != 0) return error;
    if (flag != nullptr) {
        *flag = value != 0;
        return 0;
    }
    if (name == IPV6_UNICAST_HOPS) return set_hop_limit(s, value);
    if (name != IPV6_V6ONLY && name != IPV6_TCLASS) return set_multicast(s, name, value);
    if (name == IPV6_V6ONLY) {
        if (const auto info = s.stack().info(s.handle); info && info->local.port != 0) return EINVAL;
        return set_stored(s, IPPROTO_IPV6, name, value);
    }
    if (value < -1 || value > 255) return EINVAL;
    return set(s, SocketOption::traffic_class, value < 0 ? 0 : value);
}

int get_ipv6_level(Socket& s, int name, const Room& room) {
    switch (name) {
        case IPV6_RECVPKTINFO: return room.give(static_cast<int>(s.want_packet_info));
        case IPV6_RECVHOPLIMIT: return room.give(static_cast<int>(s.want_hop_limit));
        case IPV6_RECVTCLASS: return room.give(static_cast<int>(s.want_traffic_class));
        case IPV6_TCLASS: return room.give(static_cast<int>(get(s, SocketOption::traffic_class)));
        case IPV6_MULTICAST_HOPS:
        case IPV6_MULTICAST_LOOP:
        case IPV6_MULTICAST_IF: return get_multicast(s, name, room);
        case IPV6_UNICAST_HOPS: {
            const auto set_to = static_cast<int>(get(s, SocketOption::hop_limit));
            return room.give(set_to != 0 ? set_to : static_cast<int>(s.stack().config().ip.hop_limit));
        }
        default: return get_stored(s, IPPROTO_IPV6, name, room);
    }
}

int result(int error) { return error == 0 ? 0 : fail(error); }

}  // namespace

extern "C" {

int kn_setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
    if (!is_ours(fd)) return ::setsockopt(fd, level, name, value, length);
    Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    if (static_cast<int>(length) < 0) return fail(EINVAL);
    const Given given{value, length};
    int error = ENOPROTOOPT;
    if (level == SOL_SOCKET) error = set_socket_level(*s, name, given);
    if (level == IPPROTO_TCP) error = set_tcp_level(*s, name, given);
    if (level == IPPROTO_IPV6) error = set_ipv6_level(*s, name, given);
    if (level == IPPROTO_IP) error = set_ip_level(*s, name, given);
    if (level == IPPROTO_UDP) error = set_udp_level(*s, name, given);
    if (error == 0) call.done();
    return result(error);
}

int kn_getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
    if (!is_ours(fd)) return ::getsockopt(fd, level, name, value, length);
    const Call call;
    const auto s = call.socket(fd);
    if (s == nullptr) return -1;
    const bool known = level == SOL_SOCKET || level == IPPROTO_IPV6 || level == IPPROTO_IP ||
                       (level == IPPROTO_TCP && s->is_tcp()) || (level == IPPROTO_UDP && !s->is_tcp());
    if (!known) return fail(ENOPROTOOPT);
    if (!is_given(length, sizeof *length)) return fail(EFAULT);
    if (static_cast<int>(*length) < 0 && level != IPPROTO_IPV6) return fail(EINVAL);  // there Linux takes it for a large one
    const Room room{value, length};
    int error = 0;
    if (level == SOL_SOCKET) error = get_socket_level(*s, name, room);
    if (level == IPPROTO_TCP) error = get_tcp_level(*s, name, room);
    if (level == IPPROTO_IPV6) error = get_ipv6_level(*s, name, room);
    if (level == IPPROTO_IP) error = get_ip_level(*s, name, room);
    if (level == IPPROTO_UDP) error = get_stored(*s, level, name, room);
    return result(error);
}

}  // extern "C"
