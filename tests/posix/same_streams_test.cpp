// TCP sockets: each line is what Linux answers too.
#include <linux/sockios.h>
#include <netinet/tcp.h>

#include "posix/same.hpp"

using namespace test;

TEST_CASE("posix: as Linux: socket() and its arguments") {
    same([](Play& p) {
        for (const int domain : {AF_INET6, 12345, -1}) {
            for (const int type : std::initializer_list<int>{SOCK_STREAM, SOCK_DGRAM, 0, 7, 11, -1, SOCK_STREAM | SOCK_NONBLOCK,
                                                            SOCK_STREAM | 0x100}) {
                for (const int protocol : std::initializer_list<int>{0, IPPROTO_TCP, IPPROTO_UDP, -1, 300}) {
                    if (domain == AF_INET6 && type == 0) continue;  // depends on what is loaded
                    const std::string what =
                        "socket " + std::to_string(domain) + " " + std::to_string(type) + " " + std::to_string(protocol);
                    p.open(what, [&] { return p.api.socket(domain, type, protocol); });
                }
            }
        }
    });
}

TEST_CASE("posix: as Linux: bad descriptors") {
    same([](Play& p) {
        char byte = 0;
        sockaddr_in6 a = Play::loopback(1);
        socklen_t length = sizeof a;
        epoll_event event{.events = EPOLLIN, .data = {}};
        std::array<int, 2> pipe{};
        REQUIRE(::pipe2(pipe.data(), O_NONBLOCK) == 0);
        for (const int fd : {-1, 9999, pipe[0]}) {
            const std::string what = fd == pipe[0] ? "pipe " : std::to_string(fd) + " ";
            p.note(what + "bind", [&] { return p.api.bind(fd, as(a), sizeof a); });
            p.note(what + "listen", [&] { return p.api.listen(fd, 1); });
            p.note(what + "accept", [&] { return p.api.accept4(fd, nullptr, nullptr, 0); });
            p.note(what + "connect", [&] { return p.api.connect(fd, as(a), sizeof a); });
            p.note(what + "shutdown", [&] { return p.api.shutdown(fd, SHUT_WR); });
            p.note(what + "read", [&] { return p.api.read(fd, &byte, 1); });
            p.note(what + "write", [&] { return fd == pipe[0] ? -1 : p.api.write(fd, &byte, 1); });
            p.note(what + "recv", [&] { return p.api.recvfrom(fd, &byte, 1, 0, nullptr, nullptr); });
            p.note(what + "send", [&] { return p.api.sendto(fd, &byte, 1, MSG_NOSIGNAL, nullptr, 0); });
            p.note(what + "getsockname", [&] { return p.api.getsockname(fd, as(a), &length); });
            p.note(what + "getpeername", [&] { return p.api.getpeername(fd, as(a), &length); });
            p.note(what + "getsockopt", [&] { return p.api.getsockopt(fd, SOL_SOCKET, SO_TYPE, &byte, &length); });
            p.note(what + "setsockopt", [&] { return p.api.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &length, sizeof length); });
            p.note(what + "fcntl", [&] { return p.api.fcntl(fd, F_GETFD) & 0; });
            p.note(what + "epoll_ctl on it", [&] { return p.api.epoll_ctl(fd, EPOLL_CTL_ADD, 0, &event); });
            p.note(what + "epoll_wait on it", [&] { return p.api.epoll_wait(fd, &event, 1, 0); });
            pollfd polled{.fd = fd, .events = POLLIN, .revents = 0};
            p.note(what + "poll", [&] { return p.api.poll(&polled, 1, 0); });
            p.say(what + "poll", std::to_string(polled.revents));
            if (fd != pipe[0]) {
                p.note(what + "close", [&] { return p.api.close(fd); });
                p.note(what + "dup", [&] { return p.api.dup(fd); });
            }
        }
        ::close(pipe[0]);
        ::close(pipe[1]);
    });
}

TEST_CASE("posix: as Linux: bind, listen and names") {
    same([](Play& p) {
        const int fd = p.socket();
        sockaddr_in6 a = Play::loopback();
        p.note("null", [&] { return p.api.bind(fd, nullptr, sizeof a); });
        p.note("short", [&] { return p.api.bind(fd, as(a), 10); });
        p.note("negative", [&] { return p.api.bind(fd, as(a), static_cast<socklen_t>(-1)); });
        p.note("long", [&] { return p.api.bind(fd, as(a), 4096); });
        sockaddr_in6 wrong = a;
        wrong.sin6_family = AF_INET;
        p.note("AF_INET", [&] { return p.api.bind(fd, as(wrong), sizeof wrong); });
        wrong.sin6_family = AF_UNSPEC;
        p.note("AF_UNSPEC", [&] { return p.api.bind(fd, as(wrong), sizeof wrong); });
        wrong = a;
        wrong.sin6_addr.s6_addr[0] = 0x20;
        p.note("not ours", [&] { return p.api.bind(fd, as(wrong), sizeof wrong); });
        wrong = a;
        wrong.sin6_addr.s6_addr[0] = 0xfe;
        wrong.sin6_addr.s6_addr[1] = 0x80;
        p.note("no scope", [&] { return p.api.bind(fd, as(wrong), sizeof wrong); });
        sockaddr_in6 name{};
        socklen_t length = sizeof name;
        p.note("name before", [&] { return p.api.getsockname(fd, as(name), &length); });
        p.say("port before", std::to_string(name.sin6_port));
        p.note("peer before", [&] { return p.api.getpeername(fd, as(name), &length); });
        p.note("bind", [&] { return p.api.bind(fd, as(a), sizeof a); });
        p.note("twice", [&] { return p.api.bind(fd, as(a), sizeof a); });
        const sockaddr_in6 mine = p.name_of(fd);
        p.say("has a port", mine.sin6_port != 0 ? "yes" : "no");
        length = 4;
        std::array<char, 32> room{};
        p.note("short name", [&] { return p.api.getsockname(fd, reinterpret_cast<sockaddr*>(room.data()), &length); });
        p.say("length", std::to_string(length));
        p.say("untouched", std::to_string(room[4] | room[5]));
        length = static_cast<socklen_t>(-1);
        p.note("negative name", [&] { return p.api.getsockname(fd, as(name), &length); });
        p.note("null name", [&] { return p.api.getsockname(fd, nullptr, &length); });
        p.note("null length", [&] { return p.api.getsockname(fd, as(name), nullptr); });
        const int second = p.socket();
        p.note("taken", [&] { return p.api.bind(second, as(mine), sizeof mine); });
        p.note("accept before listen", [&] { return p.api.accept4(fd, nullptr, nullptr, 0); });
        p.note("listen", [&] { return p.api.listen(fd, 1); });
        p.note("listen again", [&] { return p.api.listen(fd, -1); });
        p.note("connect to listen", [&] { return p.api.connect(fd, as(mine), sizeof mine); });
        p.note("read", [&] { return p.api.read(fd, room.data(), 1); });
        p.note("write", [&] { return p.api.sendto(fd, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        p.note("accept4 flags", [&] { return p.api.accept4(fd, nullptr, nullptr, 0x1234); });
        p.note("nonblocking", [&] { return p.api.fcntl(fd, F_SETFL, O_NONBLOCK); });
        p.note("accept", [&] { return p.api.accept4(fd, nullptr, nullptr, 0); });
        p.mask("mask of a listener", fd);
        p.note("shutdown how", [&] { return p.api.shutdown(fd, 7); });
        p.note("shutdown write", [&] { return p.api.shutdown(fd, SHUT_WR); });
        p.note("accept", [&] { return p.api.accept4(fd, nullptr, nullptr, 0); });
        p.note("shutdown read", [&] { return p.api.shutdown(fd, SHUT_RD); });
        p.note("accept", [&] { return p.api.accept4(fd, nullptr, nullptr, 0); });
        p.note("listen anew", [&] { return p.api.listen(fd, 1); });
        const int datagrams = p.socket(SOCK_DGRAM);
        p.note("UDP listen", [&] { return p.api.listen(datagrams, 1); });
        p.note("UDP accept", [&] { return p.api.accept4(datagrams, nullptr, nullptr, 0); });
    });
}

TEST_CASE("posix: as Linux: a fresh stream") {
    same([](Play& p) {
        const int fd = p.socket(SOCK_STREAM | SOCK_NONBLOCK);
        char byte = 0;
        p.mask("mask", fd);
        p.note("read", [&] { return p.api.read(fd, &byte, 1); });
        p.note("read nothing", [&] { return p.api.read(fd, &byte, 0); });
        p.note("recv nothing", [&] { return p.api.recvfrom(fd, &byte, 0, 0, nullptr, nullptr); });
        p.note("write", [&] { return p.api.sendto(fd, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        p.note("write nothing", [&] { return p.api.sendto(fd, "x", 0, MSG_NOSIGNAL, nullptr, 0); });
        p.note("shutdown", [&] { return p.api.shutdown(fd, SHUT_RDWR); });
        const sockaddr_in6 a = Play::loopback(1);
        p.note("short", [&] { return p.api.connect(fd, as(a), 1); });
        p.note("shorter than an address", [&] { return p.api.connect(fd, as(a), 20); });
        p.note("null", [&] { return p.api.connect(fd, nullptr, sizeof a); });
        sockaddr_in6 wrong = a;
        wrong.sin6_family = AF_INET;
        p.note("AF_INET", [&] { return p.api.connect(fd, as(wrong), sizeof wrong); });
        wrong.sin6_family = AF_UNSPEC;
        p.note("AF_UNSPEC", [&] { return p.api.connect(fd, as(wrong), sizeof wrong); });
    });
}

TEST_CASE("posix: as Linux: a connect that does not block") {
    same([](Play& p) {
        const int listener = p.listener();
        const sockaddr_in6 to = p.name_of(listener);
        const int fd = p.socket(SOCK_STREAM | SOCK_NONBLOCK);
        p.note("first", [&] { return p.api.connect(fd, as(to), sizeof to); });
        p.mask("client", fd);
        p.mask("listener", listener);
        p.note("second", [&] { return p.api.connect(fd, as(to), sizeof to); });
        p.note("third", [&] { return p.api.connect(fd, as(to), sizeof to); });
        sockaddr_in6 peer{};
        socklen_t length = sizeof peer;
        const int accepted = p.open("accept", [&] { return p.api.accept4(listener, as(peer), &length, SOCK_NONBLOCK); });
        p.say("peer is the client", peer.sin6_port == p.name_of(fd).sin6_port ? "yes" : "no");
        p.mask("listener after", listener);
        p.mask("accepted", accepted);
        p.note("bind after", [&] { return p.api.bind(fd, as(to), sizeof to); });
        p.note("listen after", [&] { return p.api.listen(fd, 1); });
        p.note("disconnect", [&] {
            sockaddr_in6 none{};
            return p.api.connect(fd, as(none), sizeof none);
        });
        p.mask("disconnected", fd);
        p.mask("the other end", accepted);
        p.note("once more", [&] { return p.api.connect(fd, as(to), sizeof to); });
        p.mask("client", fd);
    });
}

TEST_CASE("posix: as Linux: connection refused") {
    same([](Play& p) {
        const int nobody = p.bound();  // bound, and does not listen
        const sockaddr_in6 to = p.name_of(nobody);
        const int fd = p.socket(SOCK_STREAM | SOCK_NONBLOCK);
        p.note("connect", [&] { return p.api.connect(fd, as(to), sizeof to); });
        p.mask("refused", fd);
        p.note("second", [&] { return p.api.connect(fd, as(to), sizeof to); });
        p.mask("told", fd);
        const int other = p.socket(SOCK_STREAM | SOCK_NONBLOCK);
        p.note("connect", [&] { return p.api.connect(other, as(to), sizeof to); });
        p.settle();
        int error = 0;
        socklen_t length = sizeof error;
        p.note("SO_ERROR", [&] { return p.api.getsockopt(other, SOL_SOCKET, SO_ERROR, &error, &length); });
        p.say("error", std::to_string(error));
        p.note("SO_ERROR again", [&] { return p.api.getsockopt(other, SOL_SOCKET, SO_ERROR, &error, &length); });
        p.say("error", std::to_string(error));
        p.mask("asked", other);
        char byte = 0;
        p.note("read", [&] { return p.api.read(other, &byte, 1); });
        const int third = p.socket();
        p.note("blocking", [&] { return p.api.connect(third, as(to), sizeof to); });
    });
}

TEST_CASE("posix: as Linux: reading") {
    same([](Play& p) {
        const auto e = p.pair();
        std::array<char, 64> b{};
        p.note("nothing", [&] { return p.api.read(e.server, b.data(), 8); });
        p.note("write", [&] { return p.api.write(e.client, "0123456789", 10); });
        p.settle();
        p.note("peek", [&] { return p.api.recvfrom(e.server, b.data(), 4, MSG_PEEK, nullptr, nullptr); });
        p.say("peeked", std::string(b.data(), 4));
        p.note("null", [&] { return p.api.recvfrom(e.server, nullptr, 4, 0, nullptr, nullptr); });
        p.note("nothing of it", [&] { return p.api.recvfrom(e.server, b.data(), 0, 0, nullptr, nullptr); });
        p.note("OOB", [&] { return p.api.recvfrom(e.server, b.data(), 1, MSG_OOB, nullptr, nullptr); });
        p.note("two parts", [&] {
            const std::array<iovec, 3> parts{{{b.data(), 2}, {nullptr, 0}, {b.data() + 10, 1}}};
            return p.api.readv(e.server, parts.data(), 3);
        });
        p.say("read", std::string(b.data(), 2) + b[10]);
        p.note("thrown away", [&] { return p.api.recvfrom(e.server, nullptr, 3, MSG_TRUNC, nullptr, nullptr); });
        int waiting = 0;
        p.note("FIONREAD", [&] { return p.api.ioctl(e.server, FIONREAD, &waiting); });
        p.say("waiting", std::to_string(waiting));
        p.note("WAITALL, not blocking", [&] { return p.api.recvfrom(e.server, b.data(), 20, MSG_WAITALL, nullptr, nullptr); });
        p.say("read", std::string(b.data(), 4));
        p.note("readv negative", [&] { return p.api.readv(e.server, nullptr, -1); });
        p.note("readv too many", [&] { return p.api.readv(e.server, nullptr, 100'000); });
        p.note("readv null", [&] { return p.api.readv(e.server, nullptr, 1); });
        sockaddr_in6 from{};
        socklen_t length = sizeof from;
        p.note("write", [&] { return p.api.write(e.client, "x", 1); });
        p.settle();
        p.note("recvfrom", [&] { return p.api.recvfrom(e.server, b.data(), 4, 0, as(from), &length); });
        p.say("length", std::to_string(length));
        p.note("recvmsg null", [&] { return p.api.recvmsg(e.server, nullptr, 0); });
        p.note("read too much", [&] { return p.api.read(e.server, b.data(), SIZE_MAX); });
        p.note("recv too much", [&] { return p.api.recvfrom(e.server, b.data(), SIZE_MAX, 0, nullptr, nullptr); });
        p.note("nothing, null", [&] { return p.api.read(e.server, nullptr, 1); });
    });
}

TEST_CASE("posix: as Linux: TCP_INQ says with each message what is left") {
    same([](Play& p) {
        const auto e = p.pair();
        const int on = 1;
        p.note("TCP_INQ", [&] { return p.api.setsockopt(e.server, IPPROTO_TCP, TCP_INQ, &on, sizeof on); });
        const auto message = [&](const std::string& what, std::size_t bytes, std::size_t room) {
            std::array<char, 64> b{};
            std::array<char, 64> control{};
            iovec part{b.data(), bytes};
            msghdr m{};
            m.msg_iov = &part;
            m.msg_iovlen = 1;
            m.msg_control = control.data();
            m.msg_controllen = room;
            p.note(what, [&] { return p.api.recvmsg(e.server, &m, 0); });
            p.say("control", std::to_string(m.msg_controllen) + " flags " + std::to_string(m.msg_flags));
            const cmsghdr* c = CMSG_FIRSTHDR(&m);
            if (c == nullptr || c->cmsg_len != CMSG_LEN(sizeof(int))) return;
            int left = 0;
            std::memcpy(&left, CMSG_DATA(c), sizeof left);
            p.say("left", std::to_string(c->cmsg_level) + " " + std::to_string(c->cmsg_type) + " " + std::to_string(left));
        };
        p.note("write", [&] { return p.api.write(e.client, "0123456789", 10); });
        p.settle();
        message("some", 4, 64);
        message("without room for it", 1, 4);
        message("the rest", 64, 64);
        p.note("write", [&] { return p.api.write(e.client, "0123456789", 10); });
        p.note("shutdown", [&] { return p.api.shutdown(e.client, SHUT_WR); });
        p.settle();
        message("all before the end", 64, 64);
        message("the end", 64, 64);
    });
}

TEST_CASE("posix: as Linux: a recvmsg() that fails leaves the message as it was") {
    same([](Play& p) {
        const auto e = p.pair();
        const int udp = p.bound(SOCK_DGRAM | SOCK_NONBLOCK);
        char b[8];
        std::array<char, 64> control{};
        const auto receive = [&](const std::string& what, int fd) {
            iovec part{b, sizeof b};
            sockaddr_in6 name{};
            msghdr m{};
            m.msg_name = &name;
            m.msg_namelen = sizeof name;
            m.msg_iov = &part;
            m.msg_iovlen = 1;
            m.msg_control = control.data();
            m.msg_controllen = control.size();
            m.msg_flags = 0x1234;
            p.note(what, [&] { return p.api.recvmsg(fd, &m, 0); });
            p.say("lengths and flags", std::to_string(m.msg_namelen) + " " + std::to_string(m.msg_controllen) + " " +
                                           std::to_string(m.msg_flags));
        };
        receive("nothing yet", e.server);
        receive("no datagram", udp);
        receive("a listener", e.listener);
        p.note("write", [&] { return p.api.write(e.client, "x", 1); });
        p.settle();
        receive("a byte", e.server);
        receive("nothing more", e.server);
    });
}

TEST_CASE("posix: as Linux: SIOCOUTQNSD and SIOCOUTQ, when all is acknowledged") {
    same([](Play& p) {
        const auto e = p.pair();
        p.note("write", [&] { return p.api.write(e.client, "0123456789", 10); });
        p.settle();
        for (const unsigned long request : {static_cast<unsigned long>(SIOCOUTQNSD), static_cast<unsigned long>(SIOCOUTQ)}) {
            int bytes = -1;
            p.note("ioctl", [&] { return p.api.ioctl(e.client, request, &bytes); });
            p.say("bytes", std::to_string(bytes));
            p.note("of a listener", [&] { return p.api.ioctl(e.listener, request, &bytes); });
        }
    });
}

TEST_CASE("posix: as Linux: SO_REUSEPORT of listeners") {
    same([](Play& p) {
        const int on = 1;
        const int first = p.socket();
        p.note("share", [&] { return p.api.setsockopt(first, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on); });
        const sockaddr_in6 any = Play::loopback();
        p.note("bind", [&] { return p.api.bind(first, as(any), sizeof any); });
        const sockaddr_in6 there = p.name_of(first);
        p.note("listen", [&] { return p.api.listen(first, 4); });
        const int alone = p.socket();
        p.note("one that does not share", [&] { return p.api.bind(alone, as(there), sizeof there); });
        const int second = p.socket();
        p.note("share", [&] { return p.api.setsockopt(second, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on); });
        p.note("one that does", [&] { return p.api.bind(second, as(there), sizeof there); });
        p.note("and listens", [&] { return p.api.listen(second, 4); });
        const int client = p.socket(SOCK_STREAM | SOCK_NONBLOCK);
        p.note("connect", [&] { return p.api.connect(client, as(there), sizeof there); });
        p.settle();
        std::array<pollfd, 2> both{{{.fd = first, .events = POLLIN, .revents = 0}, {.fd = second, .events = POLLIN, .revents = 0}}};
        p.note("one of them has it", [&] { return p.api.poll(both.data(), 2, 0); });
    });
}

TEST_CASE("posix: as Linux: writing") {
    same([](Play& p) {
        const auto e = p.pair();
        p.note("null", [&] { return p.api.write(e.client, nullptr, 4); });
        p.note("null of nothing", [&] { return p.api.write(e.client, nullptr, 0); });
        p.note("nothing", [&] { return p.api.write(e.client, "", 0); });
        p.note("writev null", [&] { return p.api.writev(e.client, nullptr, 1); });
        p.note("writev negative", [&] { return p.api.writev(e.client, nullptr, -1); });
        p.note("writev none", [&] { return p.api.writev(e.client, nullptr, 0); });
        p.note("sendmsg null", [&] { return p.api.sendmsg(e.client, nullptr, 0); });
        p.note("write too much", [&] { return p.api.write(e.client, "x", SIZE_MAX); });
        const sockaddr_in6 elsewhere = Play::loopback(9);
        p.note("an address is not looked at", [&] { return p.api.sendto(e.client, "x", 1, 0, as(elsewhere), sizeof elsewhere); });
        p.note("MORE", [&] { return p.api.sendto(e.client, "y", 1, MSG_MORE, nullptr, 0); });
        char b[8];
        p.note("the rest", [&] { return p.api.write(e.client, "z", 1); });
        p.settle();
        p.note("read", [&] { return p.api.read(e.server, b, 8); });
        const std::vector<char> much(1 << 20);
        long n = 1;
        for (int i = 0; i < 1000 && n > 0; ++i) n = p.api.write(e.client, much.data(), much.size());
        p.say("full", n < 0 ? strerrorname_np(errno) : "no");
        p.mask("full", e.client);
    });
}

TEST_CASE("posix: as Linux: the peer closes") {
    same([](Play& p) {
        const auto e = p.pair();
        char b[8];
        p.note("write", [&] { return p.api.write(e.server, "ab", 2); });
        p.close("close", e.server);
        p.mask("closed", e.client);
        p.note("read", [&] { return p.api.read(e.client, b, 8); });
        p.note("end", [&] { return p.api.read(e.client, b, 8); });
        p.note("end", [&] { return p.api.read(e.client, b, 8); });
        p.mask("at the end", e.client);
        p.note("write", [&] { return p.api.sendto(e.client, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        p.mask("reset", e.client);
        p.note("write again", [&] { return p.api.sendto(e.client, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        p.note("write again", [&] { return p.api.sendto(e.client, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        p.note("read", [&] { return p.api.read(e.client, b, 8); });
        p.mask("over", e.client);
        p.note("shutdown", [&] { return p.api.shutdown(e.client, SHUT_RDWR); });
        sockaddr_in6 peer{};
        socklen_t length = sizeof peer;
        p.note("peer", [&] { return p.api.getpeername(e.client, as(peer), &length); });
    });
}

TEST_CASE("posix: as Linux: the peer resets") {
    same([](Play& p) {
        const auto e = p.pair();
        char b[8];
        p.note("write", [&] { return p.api.write(e.client, "ab", 2); });
        p.settle();
        p.close("close with unread data", e.server);
        p.mask("reset", e.client);
        p.note("read", [&] { return p.api.read(e.client, b, 8); });
        p.mask("told", e.client);
        p.note("read", [&] { return p.api.read(e.client, b, 8); });
        p.note("write", [&] { return p.api.sendto(e.client, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        const auto second = p.pair();
        p.api.write(second.client, "ab", 2);
        p.settle();
        p.close("close with unread data", second.server);
        p.settle();
        p.note("write", [&] { return p.api.sendto(second.client, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        p.note("write", [&] { return p.api.sendto(second.client, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        p.note("read", [&] { return p.api.read(second.client, b, 8); });
    });
}

TEST_CASE("posix: as Linux: half-close") {
    same([](Play& p) {
        const auto e = p.pair();
        char b[8];
        p.note("shutdown write", [&] { return p.api.shutdown(e.client, SHUT_WR); });
        p.mask("ours", e.client);
        p.mask("theirs", e.server);
        p.note("write", [&] { return p.api.sendto(e.client, "x", 1, MSG_NOSIGNAL, nullptr, 0); });
        p.note("end", [&] { return p.api.read(e.server, b, 8); });
        p.note("answer", [&] { return p.api.write(e.server, "yz", 2); });
        p.settle();
        p.note("read", [&] { return p.api.read(e.client, b, 8); });
        p.note("not yet", [&] { return p.api.read(e.client, b, 8); });
        p.note("shutdown again", [&] { return p.api.shutdown(e.client, SHUT_WR); });
        p.note("their shutdown", [&] { return p.api.shutdown(e.server, SHUT_WR); });
        p.mask("ours", e.client);
        p.mask("theirs", e.server);
        p.note("end", [&] { return p.api.read(e.client, b, 8); });
    });
}

TEST_CASE("posix: as Linux: no more reading") {
    same([](Play& p) {
        const auto e = p.pair();
        char b[8];
        p.note("write", [&] { return p.api.write(e.server, "ab", 2); });
        p.settle();
        p.note("shutdown read", [&] { return p.api.shutdown(e.client, SHUT_RD); });
        p.mask("ours", e.client);
        p.mask("theirs", e.server);
        p.note("what was there", [&] { return p.api.read(e.client, b, 8); });
        p.note("end", [&] { return p.api.read(e.client, b, 8); });
        p.note("write", [&] { return p.api.write(e.client, "x", 1); });
        p.settle();
        p.note("their read", [&] { return p.api.read(e.server, b, 8); });
    });
}
