// Socket options that are more than a number.
#include "posix/rig.hpp"

#include <array>

#include <asm/socket.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>

using namespace test;

TEST_CASE("posix: TCP_CC_INFO is empty, as Linux's is of cubic") {
    Rig rig;
    const Pair pair(rig);
    std::array<char, 64> info{};
    socklen_t length = info.size();
    CHECK(kn_getsockopt(pair.client, IPPROTO_TCP, TCP_CC_INFO, info.data(), &length) == 0);
    CHECK(length == 0);
}

TEST_CASE("posix: SO_MEMINFO tells what is queued") {
    Rig rig;
    const Pair pair(rig);
    CHECK(kn_write(pair.client, "twelve bytes", 12) == 12);
    rig.pass(milliseconds(10));
    std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
    socklen_t length = sizeof memory;
    REQUIRE(kn_getsockopt(pair.server, SOL_SOCKET, SO_MEMINFO, memory.data(), &length) == 0);
    CHECK(length == sizeof memory);
    CHECK(memory[SK_MEMINFO_RMEM_ALLOC] == 12);
    int buffer = 0;
    length = sizeof buffer;
    REQUIRE(kn_getsockopt(pair.server, SOL_SOCKET, SO_RCVBUF, &buffer, &length) == 0);
    CHECK(memory[SK_MEMINFO_RCVBUF] == static_cast<std::uint32_t>(buffer));
}

TEST_CASE("posix: TCP_MAXSEG of a listener is that of the connections to come") {
    Rig rig;
    const Pair pair(rig);
    const int wanted = 900;
    REQUIRE(kn_setsockopt(pair.listener, IPPROTO_TCP, TCP_MAXSEG, &wanted, sizeof wanted) == 0);
    int now = 0;
    socklen_t length = sizeof now;
    REQUIRE(kn_getsockopt(pair.listener, IPPROTO_TCP, TCP_MAXSEG, &now, &length) == 0);
    CHECK(now == wanted);
    const int client = rig.socket_on(rig.a, SOCK_STREAM);
    const sockaddr_in6 remote = address(2, 80);
    REQUIRE(kn_connect(client, as(remote), sizeof remote) == 0);
    const int server = kn_accept(pair.listener, nullptr, nullptr);
    REQUIRE(server >= 0);
    for (const int fd : {client, server}) {
        REQUIRE(kn_getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &now, &length) == 0);
        CHECK(now <= wanted);
        kn_close(fd);
    }
}

TEST_CASE("posix: TCP_INFO is Linux's structure, as much of it as there is room for") {
    Rig rig;
    const Pair pair(rig);
    CHECK(kn_write(pair.client, "five!", 5) == 5);
    rig.pass(milliseconds(100));
    std::array<std::uint8_t, 512> bytes{};
    socklen_t length = bytes.size();
    REQUIRE(kn_getsockopt(pair.client, IPPROTO_TCP, TCP_INFO, bytes.data(), &length) == 0);
    CHECK(length == 8 + sizeof(TcpInfo) - offsetof(TcpInfo, rto));
    tcp_info info{};
    length = sizeof info;
    REQUIRE(kn_getsockopt(pair.client, IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
    CHECK(length == sizeof info);
    CHECK(info.tcpi_state == TCP_ESTABLISHED);
    CHECK(info.tcpi_snd_cwnd == 10);
    CHECK((info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0);
    CHECK(info.tcpi_unacked == 0);
    CHECK(info.tcpi_rto >= 200'000);
    std::uint64_t acknowledged = 0;  // behind what the C library knows: tcpi_bytes_acked, at 120
    std::memcpy(&acknowledged, bytes.data() + 120, sizeof acknowledged);
    CHECK(acknowledged >= 5);
    length = sizeof info;
    REQUIRE(kn_getsockopt(pair.listener, IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
    CHECK(info.tcpi_state == TCP_LISTEN);
}

TEST_CASE("posix: TCP_NOTSENT_LOWAT is what was set, and 0 before") {
    Rig rig;
    const Pair pair(rig);
    for (const int value : {0, 8000, -1}) {
        REQUIRE(kn_setsockopt(pair.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value) == 0);
        int now = 1;
        socklen_t length = sizeof now;
        REQUIRE(kn_getsockopt(pair.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &now, &length) == 0);
        CHECK(now == value);
    }
}
