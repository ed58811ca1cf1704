// UDP, options, and arguments drawn at random: each line is what Linux answers too.
#include "posix/same.hpp"

#include <random>

#include <netinet/tcp.h>
#include <sys/time.h>

using namespace test;

TEST_CASE("posix: as Linux: datagrams") {
    same([](Play& p) {
        const int a = p.bound(SOCK_DGRAM);
        const int b = p.socket(SOCK_DGRAM | SOCK_NONBLOCK);
        p.api.fcntl(a, F_SETFL, O_NONBLOCK);
        const sockaddr_in6 to = p.name_of(a);
        std::array<char, 64> buffer{};
        p.mask("fresh", b);
        p.note("no address", [&] { return p.api.sendto(b, "x", 1, 0, nullptr, 0); });
        p.note("nothing there", [&] { return p.api.recvfrom(a, buffer.data(), 8, 0, nullptr, nullptr); });
        p.note("null", [&] { return p.api.sendto(b, nullptr, 4, 0, as(to), sizeof to); });
        p.note("short address", [&] { return p.api.sendto(b, "x", 1, 0, as(to), 8); });
        sockaddr_in6 wrong = to;
        wrong.sin6_port = 0;
        p.note("port 0", [&] { return p.api.sendto(b, "x", 1, 0, as(wrong), sizeof wrong); });
        p.note("OOB", [&] { return p.api.sendto(b, "x", 1, MSG_OOB, as(to), sizeof to); });
        p.note("send", [&] { return p.api.sendto(b, "hello", 5, 0, as(to), sizeof to); });
        p.note("send nothing", [&] { return p.api.sendto(b, "", 0, 0, as(to), sizeof to); });
        p.note("too long", [&] {
            const std::vector<char> much(70'000);
            return p.api.sendto(b, much.data(), much.size(), 0, as(to), sizeof to);
        });
        p.mask("two wait", a);
        int waiting = 0;
        p.note("FIONREAD", [&] { return p.api.ioctl(a, FIONREAD, &waiting); });
        p.say("waiting", std::to_string(waiting));
        sockaddr_in6 from{};
        socklen_t length = sizeof from;
        p.note("peek", [&] { return p.api.recvfrom(a, buffer.data(), 2, MSG_PEEK, as(from), &length); });
        p.say("from b", from.sin6_port == p.name_of(b).sin6_port ? "yes" : "no");
        p.note("peek the length", [&] { return p.api.recvfrom(a, buffer.data(), 2, MSG_PEEK | MSG_TRUNC, nullptr, nullptr); });
        iovec part{buffer.data(), 2};
        msghdr m{};
        m.msg_iov = &part;
        m.msg_iovlen = 1;
        p.note("cut", [&] { return p.api.recvmsg(a, &m, 0); });
        p.say("flags", std::to_string(m.msg_flags));
        p.note("empty", [&] { return p.api.recvfrom(a, buffer.data(), 8, 0, nullptr, nullptr); });
        p.note("nothing left", [&] { return p.api.recvfrom(a, buffer.data(), 8, 0, nullptr, nullptr); });
        sockaddr_in6 peer{};
        length = sizeof peer;
        p.note("peer", [&] { return p.api.getpeername(b, as(peer), &length); });
        p.note("shutdown", [&] { return p.api.shutdown(b, SHUT_WR); });
    });
}

TEST_CASE("posix: as Linux: write() of nothing is an empty datagram, writev() is nothing") {
    same([](Play& p) {
        const int a = p.bound(SOCK_DGRAM | SOCK_NONBLOCK);
        const int b = p.bound(SOCK_DGRAM | SOCK_NONBLOCK);
        const sockaddr_in6 to = p.name_of(b);
        char byte = 'x';
        std::array<iovec, 2> parts{{{&byte, 0}, {&byte, 0}}};
        p.note("writev unconnected", [&] { return p.api.writev(a, parts.data(), 2); });
        p.note("write unconnected", [&] { return p.api.write(a, &byte, 0); });
        p.note("connect", [&] { return p.api.connect(a, as(to), sizeof to); });
        p.note("writev of empty parts", [&] { return p.api.writev(a, parts.data(), 2); });
        p.note("writev of no parts", [&] { return p.api.writev(a, parts.data(), 0); });
        p.settle();
        p.note("nothing came", [&] { return p.api.recvfrom(b, &byte, 1, 0, nullptr, nullptr); });
        p.note("write of nothing", [&] { return p.api.write(a, &byte, 0); });
        p.settle();
        p.note("an empty one", [&] { return p.api.recvfrom(b, &byte, 1, 0, nullptr, nullptr); });
        p.note("that was all", [&] { return p.api.recvfrom(b, &byte, 1, 0, nullptr, nullptr); });
        p.note("write too much", [&] { return p.api.write(a, &byte, static_cast<std::size_t>(-1)); });
        const int stream = p.socket(SOCK_STREAM);
        p.note("writev of nothing to a fresh stream", [&] { return p.api.writev(stream, parts.data(), 2); });
    });
}

TEST_CASE("posix: as Linux: connected datagrams") {
    same([](Play& p) {
        const int a = p.bound(SOCK_DGRAM);
        const int b = p.socket(SOCK_DGRAM | SOCK_NONBLOCK);
        p.api.fcntl(a, F_SETFL, O_NONBLOCK);
        const sockaddr_in6 to = p.name_of(a);
        char buffer[8];
        p.note("connect", [&] { return p.api.connect(b, as(to), sizeof to); });
        p.note("connect again", [&] { return p.api.connect(b, as(to), sizeof to); });
        sockaddr_in6 peer{};
        socklen_t length = sizeof peer;
        p.note("peer", [&] { return p.api.getpeername(b, as(peer), &length); });
        p.say("peer is a", peer.sin6_port == to.sin6_port ? "yes" : "no");
        p.note("write", [&] { return p.api.write(b, "abc", 3); });
        p.settle();
        p.note("read", [&] { return p.api.read(a, buffer, 8); });
        p.close("close", a);
        p.note("write to nobody", [&] { return p.api.write(b, "abc", 3); });
        p.mask("refused", b);
        p.note("read", [&] { return p.api.read(b, buffer, 8); });
        p.note("read again", [&] { return p.api.read(b, buffer, 8); });
        p.note("write to nobody", [&] { return p.api.write(b, "abc", 3); });
        p.settle();
        p.note("write is told", [&] { return p.api.write(b, "abc", 3); });
        p.settle();
        int error = 0;
        length = sizeof error;
        p.note("write", [&] { return p.api.write(b, "abc", 3); });
        p.settle();
        p.note("SO_ERROR", [&] { return p.api.getsockopt(b, SOL_SOCKET, SO_ERROR, &error, &length); });
        p.say("error", std::to_string(error));
        p.note("shutdown write", [&] { return p.api.shutdown(b, SHUT_WR); });
        p.note("write", [&] { return p.api.sendto(b, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        p.note("shutdown read", [&] { return p.api.shutdown(b, SHUT_RD); });
        p.mask("shut", b);
        p.note("read", [&] { return p.api.read(b, buffer, 8); });
        p.note("disconnect", [&] {
            sockaddr_in6 none{};
            return p.api.connect(b, as(none), sizeof none);
        });
        p.note("no peer", [&] { return p.api.getpeername(b, as(peer), &length); });
        p.note("write", [&] { return p.api.sendto(b, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
    });
}

TEST_CASE("posix: as Linux: control messages of datagrams (RFC 3542 6)") {
    same([](Play& p) {
        const int a = p.bound(SOCK_DGRAM);
        const int b = p.bound(SOCK_DGRAM);
        const sockaddr_in6 to = p.name_of(a);
        const int on = 1;
        for (const int name : {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS}) {
            p.note("ask", [&] { return p.api.setsockopt(a, IPPROTO_IPV6, name, &on, sizeof on); });
        }
        const auto send = [&](const std::string& what, int type, const void* value, std::size_t length) {
            alignas(cmsghdr) std::array<char, 64> control{};
            char byte = 'x';
            iovec part{&byte, 1};
            msghdr m{};
            sockaddr_in6 name = to;
            m.msg_name = &name;
            m.msg_namelen = sizeof name;
            m.msg_iov = &part;
            m.msg_iovlen = 1;
            m.msg_control = control.data();
            m.msg_controllen = CMSG_SPACE(length);
            cmsghdr* header = CMSG_FIRSTHDR(&m);
            header->cmsg_level = IPPROTO_IPV6;
            header->cmsg_type = type;
            header->cmsg_len = CMSG_LEN(length);
            std::memcpy(CMSG_DATA(header), value, length);
            p.note("send " + what, [&] { return p.api.sendmsg(b, &m, 0); });
        };
        const auto receive = [&](std::size_t room) {
            p.settle();
            alignas(cmsghdr) std::array<char, 256> control{};
            std::array<char, 8> bytes{};
            iovec part{bytes.data(), bytes.size()};
            msghdr m{};
            m.msg_iov = &part;
            m.msg_iovlen = 1;
            m.msg_control = control.data();
            m.msg_controllen = room;
            p.note("receive", [&] { return p.api.recvmsg(a, &m, MSG_DONTWAIT); });
            p.say("flags", std::to_string(m.msg_flags));
            for (cmsghdr* h = CMSG_FIRSTHDR(&m); h != nullptr; h = CMSG_NXTHDR(&m, h)) {
                int number = 0;
                std::memcpy(&number, CMSG_DATA(h), sizeof number);
                if (h->cmsg_type == IPV6_PKTINFO) number = 0;  // an address; the interface is another one
                p.say("control", std::to_string(h->cmsg_type) + " " + std::to_string(h->cmsg_len) + " " + std::to_string(number));
            }
        };
        int value = 7;
        send("hop limit", IPV6_HOPLIMIT, &value, sizeof value);
        receive(256);
        value = 0x28;
        send("class", IPV6_TCLASS, &value, sizeof value);
        receive(256);
        receive(256);
        send("class", IPV6_TCLASS, &value, sizeof value);
        receive(40);
        for (const int bad : {256, -2, 1000}) {
            send("hop limit", IPV6_HOPLIMIT, &bad, sizeof bad);
            send("class", IPV6_TCLASS, &bad, sizeof bad);
        }
        value = -1;
        send("hop limit", IPV6_HOPLIMIT, &value, sizeof value);
        send("short", IPV6_HOPLIMIT, &value, 2);
        send("unknown", 99, &value, sizeof value);
        in6_pktinfo info{};
        info.ipi6_addr = in6addr_loopback;
        send("source", IPV6_PKTINFO, &info, sizeof info);
        send("short source", IPV6_PKTINFO, &info, 8);
    });
}

namespace {

void options(Play& p, int fd) {
    struct Option {
        const char* name;
        int level, number;
        std::vector<int> values;
    };
    const std::vector<Option> all{
        {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, {1, 0, 7}},
        {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, {1, 0}},
        {"SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, {1}},
        {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, {1}},
        {"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, {1}},
        {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, {1, 100, 0}},
        {"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, {20000}},
        {"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, {30000}},
        {"SO_TYPE", SOL_SOCKET, SO_TYPE, {1}},
        {"SO_DOMAIN", SOL_SOCKET, SO_DOMAIN, {1}},
        {"SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL, {1}},
        {"SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN, {1}},
        {"SO_ERROR", SOL_SOCKET, SO_ERROR, {1}},
        {"SO_SNDLOWAT", SOL_SOCKET, SO_SNDLOWAT, {1}},
        {"unknown", SOL_SOCKET, 9999, {1}},
        {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, {1, 0, 5}},
        {"TCP_CORK", IPPROTO_TCP, TCP_CORK, {1, 0}},
        {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, {5, 0, 40000, -1}},
        {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, {5, 0, 40000}},
        {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, {5, 0, 128}},
        {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, {1500, 0, -1}},
        {"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, {1000, 40, 40000}},
        {"unknown", IPPROTO_TCP, 9999, {1}},
        {"IPV6_UNICAST_HOPS", IPPROTO_IPV6, IPV6_UNICAST_HOPS, {9, -1, 256, -2}},
        {"IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS, {0x20, -1, 256}},
        {"IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO, {1, 0}},
        {"IPV6_RECVHOPLIMIT", IPPROTO_IPV6, IPV6_RECVHOPLIMIT, {1}},
        {"IPV6_RECVTCLASS", IPPROTO_IPV6, IPV6_RECVTCLASS, {1}},
        {"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, {1000, 0}},
        {"IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, {1, 0}},
        {"unknown", IPPROTO_IPV6, 9999, {1}},
        {"TCP_INQ", IPPROTO_TCP, TCP_INQ, {1, 0, 2, -1}},
        {"IP_TOS", IPPROTO_IP, IP_TOS, {0x10, 0x13, 0}},
        {"IP_TTL", IPPROTO_IP, IP_TTL, {9, 0, 256, -1}},
        {"IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, {0, 5, 6, -1}},
        {"unknown", IPPROTO_IP, 9999, {1}},
    };
    for (const Option& o : all) {
        const std::string name = o.name;
        for (const int value : o.values) {
            const std::string what = name + " " + std::to_string(value);
            p.note("set " + what, [&] { return p.api.setsockopt(fd, o.level, o.number, &value, sizeof value); });
            int back = 0;
            socklen_t length = sizeof back;
            p.note("get " + what, [&] { return p.api.getsockopt(fd, o.level, o.number, &back, &length); });
            p.say("value of " + what, std::to_string(back) + " of " + std::to_string(length));
        }
        const int one = 1;
        if (name != "unknown" && o.level == SOL_SOCKET) {
            p.note("set short " + name, [&] { return p.api.setsockopt(fd, o.level, o.number, &one, 2); });
        }
        p.note("set negative " + name, [&] { return p.api.setsockopt(fd, o.level, o.number, &one, static_cast<socklen_t>(-1)); });
        socklen_t length = 4;
        p.note("get null length " + name, [&] { return p.api.getsockopt(fd, o.level, o.number, &length, nullptr); });
        length = static_cast<socklen_t>(-1);
        int room = 0;
        p.note("get negative " + name, [&] { return p.api.getsockopt(fd, o.level, o.number, &room, &length); });
    }
    const std::uint8_t byte = 4;
    p.note("IP_TOS as a byte", [&] { return p.api.setsockopt(fd, IPPROTO_IP, IP_TOS, &byte, 1); });
    const linger l{.l_onoff = 1, .l_linger = 3};
    p.note("SO_LINGER", [&] { return p.api.setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l); });
    linger back{};
    socklen_t length = sizeof back;
    p.note("SO_LINGER", [&] { return p.api.getsockopt(fd, SOL_SOCKET, SO_LINGER, &back, &length); });
    p.say("linger", std::to_string(back.l_onoff) + " " + std::to_string(back.l_linger));
    p.note("SO_LINGER short", [&] { return p.api.setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4); });
    const timeval t{.tv_sec = 1, .tv_usec = 2'000'000};
    p.note("SO_RCVTIMEO out of range", [&] { return p.api.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t); });
    p.note("SO_RCVTIMEO short", [&] { return p.api.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, 8); });
    p.note("get of an unknown level", [&] { return p.api.getsockopt(fd, 77, 1, &back, &length); });
    p.note("set of an unknown level", [&] { return p.api.setsockopt(fd, 77, 1, &back, sizeof(int)); });
}

}  // namespace

TEST_CASE("posix: as Linux: options of a stream") {
    same([](Play& p) { options(p, p.socket()); });
}
TEST_CASE("posix: as Linux: options of a datagram socket") {
    same([](Play& p) { options(p, p.socket(SOCK_DGRAM)); });
}

TEST_CASE("posix: as Linux: options of what is sent to groups, and of shared ports (RFC 3493 5.2)") {
    same([](Play& p) {
        const int fd = p.socket(SOCK_DGRAM);
        const auto option = [&](const std::string& name, int level, int number, std::initializer_list<int> values) {
            for (const int value : values) {
                p.note("set " + name + " " + std::to_string(value),
                       [&] { return p.api.setsockopt(fd, level, number, &value, sizeof value); });
                int back = 0;
                socklen_t length = sizeof back;
                p.note("get", [&] { return p.api.getsockopt(fd, level, number, &back, &length); });
                p.say("value", std::to_string(back));
            }
        };
        option("loop", IPPROTO_IPV6, IPV6_MULTICAST_LOOP, {0, 1, 7});
        option("hops", IPPROTO_IPV6, IPV6_MULTICAST_HOPS, {9, 0, 255, -1, 256, -2});
        option("interface", IPPROTO_IPV6, IPV6_MULTICAST_IF, {0, 9999, -1});
        option("shared", SOL_SOCKET, SO_REUSEPORT, {1, 0, 5});
        const sockaddr_in6 any = Play::loopback();
        p.note("bind", [&] { return p.api.bind(fd, as(any), sizeof any); });
        const sockaddr_in6 there = p.name_of(fd);
        const int other = p.socket(SOCK_DGRAM);
        p.note("one that does not share", [&] { return p.api.bind(other, as(there), sizeof there); });
        const int on = 1;
        p.note("share", [&] { return p.api.setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on); });
        p.note("one that does", [&] { return p.api.bind(other, as(there), sizeof there); });
    });
}

TEST_CASE("posix: as Linux: TCP_CONGESTION") {
    same([](Play& p) {
        const int fd = p.socket();
        const auto set = [&](const std::string& name, socklen_t length) {
            p.note("set " + name, [&] { return p.api.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.c_str(), length); });
            std::array<char, 32> back{};
            socklen_t room = sizeof back;
            p.note("get", [&] { return p.api.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, back.data(), &room); });
            p.say("name", std::string(back.data()) + " of " + std::to_string(room));
        };
        set("reno", 4);
        set("cubic", 5);
        set("reno", 5);
        set("nothing like it", 15);
        set("cubic", 0);
        set("a name that is longer than any", 30);
    });
}

extern "C" int info_in_c(int fd, unsigned bytes_sent);

TEST_CASE("posix: TCP_INFO is laid out as the kernel's header says") {
    Rig rig;
    const Pair pair(rig);
    REQUIRE(kn_write(pair.client, "0123456789", 10) == 10);
    rig.pass(milliseconds(200));
    CHECK(info_in_c(pair.client, 10) == 0);
}

TEST_CASE("posix: TCP_NOTSENT_LOWAT holds poll() back") {
    Rig rig;
    const Pair pair(rig);
    const int low = 1000;
    REQUIRE(kn_setsockopt(pair.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low) == 0);
    int back = 0;
    socklen_t length = sizeof back;
    REQUIRE(kn_getsockopt(pair.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &back, &length) == 0);
    CHECK(back == low);
    pollfd p{.fd = pair.client, .events = POLLOUT, .revents = 0};
    CHECK(kn_poll(&p, 1, 0) == 1);
    const std::vector<char> much(100'000);
    CHECK(kn_send(pair.client, much.data(), much.size(), MSG_DONTWAIT) > 0);
    rig.link.set_up(false);  // nothing is acknowledged
    while (kn_send(pair.client, much.data(), much.size(), MSG_DONTWAIT) > 0) {}
    CHECK(kn_poll(&p, 1, 0) == 0);
}

TEST_CASE("posix: as Linux: fcntl and ioctl") {
    same([](Play& p) {
        const int fd = p.socket();
        p.note("F_GETFL", [&] { return p.api.fcntl(fd, F_GETFL); });
        p.note("F_SETFL", [&] { return p.api.fcntl(fd, F_SETFL, O_NONBLOCK); });
        p.note("F_GETFL", [&] { return p.api.fcntl(fd, F_GETFL); });
        int off = 0;
        p.note("FIONBIO", [&] { return p.api.ioctl(fd, FIONBIO, &off); });
        p.note("F_GETFL", [&] { return p.api.fcntl(fd, F_GETFL); });
        p.note("F_GETFD", [&] { return p.api.fcntl(fd, F_GETFD); });
        p.note("F_SETFD", [&] { return p.api.fcntl(fd, F_SETFD, FD_CLOEXEC); });
        p.note("F_GETFD", [&] { return p.api.fcntl(fd, F_GETFD); });
        p.note("FIONCLEX", [&] { return p.api.ioctl(fd, FIONCLEX, nullptr); });
        p.note("F_GETFD", [&] { return p.api.fcntl(fd, F_GETFD); });
        p.note("unknown", [&] { return p.api.fcntl(fd, 7777); });
        p.note("unknown", [&] { return p.api.ioctl(fd, 0x7777, &off); });
        p.note("FIONREAD null", [&] { return p.api.ioctl(fd, FIONREAD, nullptr); });
        p.note("FIONREAD", [&] { return p.api.ioctl(fd, FIONREAD, &off); });
        p.note("F_DUPFD negative", [&] { return p.api.fcntl(fd, F_DUPFD, -1); });
    });
}

// AddressSanitizer reads what the kernel is to be given, before the kernel refuses it: there keepnet plays alone.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kernel_may_be_given_anything = false;
#elif defined(__has_feature)
constexpr bool kernel_may_be_given_anything = !__has_feature(address_sanitizer);
#else
constexpr bool kernel_may_be_given_anything = true;
#endif

TEST_CASE("posix: as Linux: pointers that are nobody's memory") {
    const auto play = [](Play& p) {
        void* const nowhere = reinterpret_cast<void*>(-4096L);
        auto* const name = static_cast<sockaddr*>(nowhere);
        const auto e = p.pair();
        const int udp = p.bound(SOCK_DGRAM | SOCK_NONBLOCK);
        char b[8]{};
        int value = 0;
        socklen_t length = sizeof value;
        socklen_t room = sizeof(sockaddr_in6);
        p.note("bind", [&] { return p.api.bind(p.socket(), name, sizeof(sockaddr_in6)); });
        p.note("connect", [&] { return p.api.connect(p.socket(), name, sizeof(sockaddr_in6)); });
        p.note("getsockname", [&] { return p.api.getsockname(e.client, name, &room); });
        p.note("getsockname length", [&] { return p.api.getsockname(e.client, name, static_cast<socklen_t*>(nowhere)); });
        p.note("getpeername", [&] { return p.api.getpeername(e.client, name, &room); });
        p.note("sendto", [&] { return p.api.sendto(udp, b, 1, 0, name, sizeof(sockaddr_in6)); });
        p.note("sendmsg", [&] { return p.api.sendmsg(udp, static_cast<msghdr*>(nowhere), 0); });
        p.note("recvmsg", [&] { return p.api.recvmsg(udp, static_cast<msghdr*>(nowhere), 0); });
        p.note("readv", [&] { return p.api.readv(e.server, static_cast<iovec*>(nowhere), 1); });
        p.note("writev", [&] { return p.api.writev(e.server, static_cast<iovec*>(nowhere), 1); });
        for (const int level : {SOL_SOCKET, static_cast<int>(IPPROTO_TCP), static_cast<int>(IPPROTO_IPV6)}) {
            const int option = level == SOL_SOCKET ? SO_KEEPALIVE : level == IPPROTO_TCP ? TCP_NODELAY : IPV6_TCLASS;
            p.note("setsockopt", [&] { return p.api.setsockopt(e.client, level, option, nowhere, sizeof value); });
            p.note("getsockopt", [&] { return p.api.getsockopt(e.client, level, option, nowhere, &length); });
            auto* const no_length = static_cast<socklen_t*>(nowhere);
            p.note("getsockopt length", [&] { return p.api.getsockopt(e.client, level, option, &value, no_length); });
        }
        p.note("congestion", [&] { return p.api.setsockopt(e.client, IPPROTO_TCP, TCP_CONGESTION, nowhere, 4); });
        p.note("ioctl", [&] { return p.api.ioctl(e.client, FIONREAD, nowhere); });
        const int set = p.open("set", [&] { return p.api.epoll_create1(0); });
        p.note("epoll_ctl", [&] { return p.api.epoll_ctl(set, EPOLL_CTL_ADD, e.client, static_cast<epoll_event*>(nowhere)); });
        p.note("epoll_wait", [&] { return p.api.epoll_wait(set, static_cast<epoll_event*>(nowhere), 1, 0); });
        p.note("poll", [&] { return p.api.poll(static_cast<pollfd*>(nowhere), 1, 0); });
        timeval now{};
        p.note("select", [&] { return p.api.select(e.client + 1, static_cast<fd_set*>(nowhere), nullptr, nullptr, &now); });
        iovec part{b, 1};
        msghdr m{};
        m.msg_iov = &part;
        m.msg_iovlen = 1;
        m.msg_control = nowhere;
        m.msg_controllen = 64;
        const sockaddr_in6 to = p.name_of(udp);
        m.msg_name = const_cast<sockaddr_in6*>(&to);
        m.msg_namelen = sizeof to;
        p.note("control", [&] { return p.api.sendmsg(udp, &m, 0); });
        p.note("a datagram", [&] { return p.api.sendto(udp, b, 1, 0, as(to), sizeof to); });
        p.settle();
        p.note("recvfrom", [&] { return p.api.recvfrom(udp, b, 1, 0, name, &room); });
        p.note("a byte", [&] { return p.api.write(e.client, b, 1); });
        p.settle();
        p.note("a stream gives no name", [&] { return p.api.recvfrom(e.server, b, 1, 0, name, &room); });
        p.say("length", std::to_string(room));
    };
    if (kernel_may_be_given_anything) {
        same(play);
        return;
    }
    Rig rig;
    Play p(keepnet_api(), [&rig] { rig.pass(milliseconds(100)); });
    play(p);
    CHECK(std::count_if(p.lines.begin(), p.lines.end(), [](const std::string& line) { return line.ends_with("EFAULT"); }) == 27);
}

TEST_CASE("posix: arguments drawn at random neither crash nor hang, and change nothing that is not theirs") {
    Rig rig;
    const Pair pair(rig);
    std::mt19937 random(20261121);
    const int set = kn_epoll_create1(0);
    const int udp = rig.socket_on(rig.a, SOCK_DGRAM | SOCK_NONBLOCK);
    const int stream = rig.socket_on(rig.a, SOCK_STREAM | SOCK_NONBLOCK);
    std::array<char, 64> memory{};
    const auto pick = [&](auto... values) {
        const std::array all{static_cast<long>(values)...};
        return all[random() % all.size()];
    };
    const auto fd = [&] { return static_cast<int>(pick(-1, 9999, INT32_MAX, INT32_MIN, set, udp, stream)); };
    const auto pointer = [&]() -> void* {
        return reinterpret_cast<void*>(pick(0, 0, -1L, -4096L, reinterpret_cast<long>(memory.data())));
    };
    // Lengths that memory.data() can bear, and lengths that nothing can.
    const auto length_for = [&](const void* at) {
        return static_cast<std::size_t>(at == memory.data() ? pick(0, 1, 8, 64) : pick(0, 1, 64, INT64_MAX, -1L, 1L << 40));
    };
    for (int i = 0; i < 20'000; ++i) {
        void* at = pointer();
        const std::size_t length = length_for(at);
        const bool bad = at != nullptr && at != memory.data();
        const auto small = static_cast<socklen_t>(pick(0, 1, 16, 28, -1, 4096));
        for (char& c : memory) c = static_cast<char>(random());
        switch (random() % 12) {
            case 0: kn_socket(static_cast<int>(random() % 12), static_cast<int>(pick(0, 1, 2, 3, 5, -1, 0x800000)), -1); break;
            case 1: kn_bind(fd(), static_cast<sockaddr*>(at), std::min<socklen_t>(small, 64)); break;
            case 2: kn_listen(static_cast<int>(pick(-1, 9999, set, udp)), static_cast<int>(random())); break;
            case 3: kn_recv(fd(), at, length, static_cast<int>(random()) | MSG_DONTWAIT); break;
            case 4: kn_send(fd(), at, bad ? length : std::min<std::size_t>(length, 64), static_cast<int>(random()) | MSG_DONTWAIT); break;
            case 5: kn_readv(static_cast<int>(pick(-1, 9999, set, udp, stream)), nullptr, static_cast<int>(random())); break;
            case 6: kn_setsockopt(fd(), static_cast<int>(pick(1, 6, 41, 17, -1)), static_cast<int>(random() % 80), at, std::min<socklen_t>(small, 64)); break;
            case 7: {
                socklen_t room = std::min<socklen_t>(small, 64);
                kn_getsockopt(fd(), static_cast<int>(pick(1, 6, 41, 17, -1)), static_cast<int>(random() % 80), at, &room);
                break;
            }
            case 8: kn_poll(nullptr, static_cast<nfds_t>(random()), 0); break;
            case 9: kn_epoll_ctl(fd(), static_cast<int>(random() % 5), fd(), reinterpret_cast<epoll_event*>(at)); break;
            case 10: kn_epoll_wait(static_cast<int>(pick(-1, 9999, set, udp)), nullptr, static_cast<int>(random()), 0); break;
            default: kn_shutdown(fd(), static_cast<int>(random() % 5)); break;
        }
    }
    // Not among what is as on Linux: there the C library itself reads it.
    CHECK_ERRNO(kn_select(0, nullptr, nullptr, nullptr, reinterpret_cast<timeval*>(-4096L)), EFAULT);
    std::array<char, 4> answer{};
    REQUIRE(kn_write(pair.client, "safe", 4) == 4);
    CHECK(kn_recv(pair.server, answer.data(), 4, MSG_WAITALL) == 4);
    CHECK(std::string(answer.data(), 4) == "safe");
}
