#include "posix/stored_options.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <sys/socket.h>

namespace keepnet::posix {

namespace {

constexpr int level_ip = 0;
constexpr int level_tcp = 6;
constexpr int level_udp = 17;
constexpr int level_ipv6 = 41;

constexpr StoredOption boolean(int level, int name, int initial = 0) {
    return {level, name, StoredAs::boolean, initial, 0, 1, level != level_udp, level != level_tcp};
}
constexpr StoredOption number(int level, int name, int initial, int low, int high) {
    return {level, name, StoredAs::number, initial, low, high, level != level_udp, level != level_tcp};
}
constexpr StoredOption udp_alone(StoredOption option) {
    option.tcp = false;
    return option;
}

// Numbers of linux/in.h, which cannot be included beside netinet/in.h.
constexpr int ip_tos = 1, ip_ttl = 2, ip_pktinfo = 8, ip_mtu_discover = 10, ip_recverr = 11, ip_recvttl = 12, ip_recvtos = 13,
              ip_freebind = 15, ip_recvorigdstaddr = 20, ip_bind_address_no_port = 24, ip_multicast_ttl = 33, ip_multicast_loop = 34;

constexpr std::array stored_options{
    boolean(SOL_SOCKET, SO_DEBUG),
    boolean(SOL_SOCKET, SO_BROADCAST),
    boolean(SOL_SOCKET, SO_DONTROUTE),
    boolean(SOL_SOCKET, SO_OOBINLINE),
    boolean(SOL_SOCKET, SO_NO_CHECK),
    number(SOL_SOCKET, SO_PRIORITY, 0, 0, 6),
    udp_alone(boolean(SOL_SOCKET, SO_KEEPALIVE)),
    number(SOL_SOCKET, SO_MARK, 0, INT_MIN, INT_MAX),
    number(SOL_SOCKET, SO_BUSY_POLL, 0, 0, INT_MAX),
    number(SOL_SOCKET, SO_MAX_PACING_RATE, -1, INT_MIN, INT_MAX),
    number(SOL_SOCKET, SO_INCOMING_CPU, -1, INT_MIN, INT_MAX),
    boolean(SOL_SOCKET, SO_RXQ_OVFL),
    boolean(SOL_SOCKET, SO_WIFI_STATUS),
    boolean(SOL_SOCKET, SO_NOFCS),
    boolean(SOL_SOCKET, SO_SELECT_ERR_QUEUE),
    boolean(SOL_SOCKET, SO_LOCK_FILTER),
    boolean(SOL_SOCKET, SO_PREFER_BUSY_POLL),
    number(SOL_SOCKET, SO_ZEROCOPY, 0, 0, 0),
    number(level_tcp, TCP_DEFER_ACCEPT, 0, INT_MIN, INT_MAX),
    number(level_tcp, TCP_SYNCNT, 6, 1, 127),
    number(level_tcp, TCP_LINGER2, 60, INT_MIN, INT_MAX),
    number(level_tcp, TCP_WINDOW_CLAMP, 0, INT_MIN, INT_MAX),
    number(level_tcp, TCP_THIN_LINEAR_TIMEOUTS, 0, 0, 1),
    number(level_tcp, TCP_FASTOPEN, 0, 0, INT_MAX),
    number(level_tcp, TCP_FASTOPEN_CONNECT, 0, 0, 1),
    number(level_tcp, TCP_FASTOPEN_NO_COOKIE, 0, 0, 1),
    number(level_tcp, TCP_SAVE_SYN, 0, 0, 2),
    number(level_tcp, TCP_TX_DELAY, 0, 0, 0),
    number(level_udp, UDP_CORK, 0, 0, 0),
    boolean(level_udp, UDP_NO_CHECK6_TX),
    boolean(level_udp, UDP_NO_CHECK6_RX),
    boolean(level_udp, UDP_GRO),
    boolean(level_ipv6, IPV6_V6ONLY),
    number(level_ipv6, IPV6_MTU_DISCOVER, 1, 0, 5),
    boolean(level_ipv6, IPV6_DONTFRAG),
    boolean(level_ipv6, IPV6_RECVERR),
    boolean(level_ipv6, IPV6_FLOWINFO_SEND),
    boolean(level_ipv6, IPV6_AUTOFLOWLABEL, 1),
    boolean(level_ipv6, IPV6_RECVPATHMTU),
    number(level_ipv6, IPV6_MINHOPCOUNT, 0, 0, 0),
    boolean(level_ipv6, IPV6_FREEBIND),
    boolean(level_ipv6, IPV6_RECVORIGDSTADDR),
    boolean(level_ipv6, IPV6_RECVFRAGSIZE),
    boolean(level_ipv6, IPV6_RECVRTHDR),
    boolean(level_ipv6, IPV6_RECVHOPOPTS),
    boolean(level_ipv6, IPV6_RECVDSTOPTS),
    boolean(level_ipv6, IPV6_MULTICAST_ALL, 1),
    number(level_ipv6, IPV6_UNICAST_IF, 0, 0, 0),
    number(level_ip, ip_tos, 0, 0, 255),
    number(level_ip, ip_ttl, 64, 1, 255),
    number(level_ip, ip_mtu_discover, 1, 0, 5),
    boolean(level_ip, ip_recverr),
    boolean(level_ip, ip_pktinfo),
    boolean(level_ip, ip_recvtos),
    boolean(level_ip, ip_recvttl),
    boolean(level_ip, ip_freebind),
    boolean(level_ip, ip_recvorigdstaddr),
    boolean(level_ip, ip_bind_address_no_port),
    udp_alone(number(level_ip, ip_multicast_ttl, 1, -1, 255)),
    boolean(level_ip, ip_multicast_loop, 1),
};

/// Linux keeps TCP_DEFER_ACCEPT as a number of retransmissions, after 1, 2, 4 ... and at most 120 seconds.
int defer_accept_of(int seconds) {
    if (seconds <= 0) return 0;
    std::int64_t period = 1;
    std::int64_t timeout = 1;
    for (int sent = 1; seconds > period && sent < 255; ++sent) {
        timeout = std::min<std::int64_t>(timeout * 2, 120);
        period += timeout;
    }
    return static_cast<int>(period);
}

/// As Linux keeps what it takes.
int kept(int level, int name, int value) {
    if (level == level_tcp) {
        switch (name) {
            case TCP_DEFER_ACCEPT: return defer_accept_of(value);
            case TCP_LINGER2: return value < 0 ? -1 : value == 0 ? 60 : std::min(value, 120);
            case TCP_WINDOW_CLAMP: return value == 0 ? 0 : std::max(value, 1152);
            case TCP_FASTOPEN: return std::min(value, 4096);
            default: break;
        }
    }
    if (level == level_ip && name == ip_multicast_ttl && value < 0) return 1;
    return value;
}

}  // namespace

const StoredOption* find_stored_option(const Socket& s, int level, int name) {
    const auto found = std::find_if(stored_options.begin(), stored_options.end(), [&](const StoredOption& o) {
        return o.level == level && o.name == name && (s.is_tcp() ? o.tcp : o.udp);
    });
    return found == stored_options.end() ? nullptr : &*found;
}

int stored_value(const Socket& s, int level, int name) {
    for (const StoredValue& v : s.stored) {
        if (v.level == level && v.name == name) return v.value;
    }
    const StoredOption* option = find_stored_option(s, level, name);
    return option != nullptr ? option->initial : 0;
}

void store_value(Socket& s, int level, int name, int value) {
    for (StoredValue& v : s.stored) {
        if (v.level == level && v.name == name) {
            v.value = value;
            return;
        }
    }
    s.stored.push_back({level, name, value});
}

int store_checked(Socket& s, const StoredOption& option, int value) {
    if (option.as == StoredAs::boolean) {
        store_value(s, option.level, option.name, value != 0 ? 1 : 0);
        return 0;
    }
    // What would have to be done, and cannot be: said, not swallowed.
    if (option.low == option.high && value > option.high) return EOPNOTSUPP;
    if (value < option.low || value > option.high) return EINVAL;
    store_value(s, option.level, option.name, kept(option.level, option.name, value));
    return 0;
}

}  // namespace keepnet::posix
