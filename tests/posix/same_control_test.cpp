// What programs set and ask as a matter of course: options that change nothing here, fcntl(), fstat() and files that are sent.
#include "posix/same.hpp"

#include <cstdio>

#include <linux/udp.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

using namespace test;

TEST_CASE("posix, same: options that change nothing are taken, kept and refused as Linux does") {
    same([](Play& p) {
        struct Option {
            const char* name;
            int level, number;
        };
        constexpr std::array options{
            Option{"SO_BROADCAST", SOL_SOCKET, SO_BROADCAST},
            Option{"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE},
            Option{"SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP},
            Option{"SO_RXQ_OVFL", SOL_SOCKET, SO_RXQ_OVFL},
            Option{"SO_INCOMING_CPU", SOL_SOCKET, SO_INCOMING_CPU},
            Option{"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT},
            Option{"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT},
            Option{"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2},
            Option{"UDP_GRO", IPPROTO_UDP, UDP_GRO},
            Option{"IPV6_RECVERR", IPPROTO_IPV6, IPV6_RECVERR},
            Option{"IPV6_MTU_DISCOVER", IPPROTO_IPV6, IPV6_MTU_DISCOVER},
            Option{"IP_TOS", IPPROTO_IP, IP_TOS},
            Option{"IP_TTL", IPPROTO_IP, IP_TTL},
        };
        for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
            for (const Option& o : options) {
                const int fd = p.socket(type);
                for (const int value : {0, 1, 2, 70'000}) {
                    if (o.level == IPPROTO_IP && value > 255) continue;
                    p.note(o.name, [&] { return p.api.setsockopt(fd, o.level, o.number, &value, sizeof value); });
                    int got = -7;
                    socklen_t length = sizeof got;
                    p.note("get", [&] { return p.api.getsockopt(fd, o.level, o.number, &got, &length); });
                    p.say("is", std::to_string(got));
                }
            }
        }
    });
}

TEST_CASE("posix, same: fcntl() keeps flags and owners, and knows no lock on a socket") {
    same([](Play& p) {
        const int fd = p.socket();
        p.note("flags", [&] { return p.api.fcntl(fd, F_SETFL, O_APPEND | O_ASYNC | O_NONBLOCK); });
        p.note("kept", [&] { return p.api.fcntl(fd, F_GETFL); });
        p.note("nobody", [&] { return p.api.fcntl(fd, F_GETOWN); });
        p.note("own", [&] { return p.api.fcntl(fd, F_SETOWN, ::getpid()); });
        p.say("mine", p.api.fcntl(fd, F_GETOWN) == ::getpid() ? "yes" : "no");
        p.note("a process that is not", [&] { return p.api.fcntl(fd, F_SETOWN, 9'999'999); });
        struct flock lock {};
        lock.l_type = F_WRLCK;
        p.note("lock", [&] { return p.api.fcntl(fd, F_GETLK, &lock); });
        p.say("free", std::to_string(lock.l_type));
        p.note("unknown", [&] { return p.api.fcntl(fd, 12'345); });
    });
}

TEST_CASE("posix: a socket is one for fstat() and lseek(), and sends a file and many messages") {
    Rig rig;
    const Pair pair(rig);
    struct stat about {};
    REQUIRE(kn_fstat(pair.client, &about) == 0);
    CHECK(S_ISSOCK(about.st_mode));
    CHECK_ERRNO(kn_lseek(pair.client, 0, SEEK_SET), ESPIPE);
    std::FILE* file = std::tmpfile();
    REQUIRE(file != nullptr);
    REQUIRE(std::fputs("a file of some bytes", file) >= 0);
    REQUIRE(std::fflush(file) == 0);
    off_t at = 2;
    CHECK(kn_sendfile(pair.client, ::fileno(file), &at, 4) == 4);
    CHECK(at == 6);
    CHECK_ERRNO(kn_sendfile(pair.client, pair.server, nullptr, 4), EINVAL);
    std::fclose(file);
    std::array<char, 8> got{};
    CHECK(kn_recv(pair.server, got.data(), 4, MSG_WAITALL) == 4);
    CHECK(std::string(got.data()) == "file");
    std::array<iovec, 2> parts{{{got.data(), 4}, {got.data(), 2}}};
    std::array<mmsghdr, 2> messages{};
    for (std::size_t i = 0; i < 2; ++i) {
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    CHECK(kn_sendmmsg(pair.client, messages.data(), 2, 0) == 2);
    CHECK(messages[1].msg_len == 2);
    CHECK(kn_recv(pair.server, got.data(), 6, MSG_WAITALL) == 6);
}
