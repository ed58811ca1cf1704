// The adapter's parts: what it takes for a good packet, its flags, the kernel's settings.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "packetdrill/adapter/flags.hpp"
#include "packetdrill/adapter/host.hpp"
#include "packetdrill/adapter/wire.hpp"
#include "packetdrill/rig.hpp"
#include "support/folder.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::packetdrill;

namespace {

Bytes good_packet(std::uint8_t protocol) {
    const IpFields ip{.src = local_address, .dst = remote_address, .next_header = protocol};
    if (protocol == proto_tcp) return ip_packet(ip, tcp_segment(ip.src, ip.dst, {.seq = 1, .payload = {1, 2, 3}}));
    if (protocol == proto_udp) return ip_packet(ip, udp_datagram(ip.src, ip.dst, {.src_port = 1, .dst_port = 2, .payload = {9}}));
    return ip_packet(ip, icmp_message(ip.src, ip.dst, 128, 0, echo_body(1, 2, Bytes{3})));
}

}  // namespace

TEST_CASE("packetdrill: a packet whose checksum is wrong is noticed, whichever bit it is") {
    for (const std::uint8_t protocol : {proto_tcp, proto_udp, proto_icmp}) {
        const Bytes good = good_packet(protocol);
        CHECK(check_packet(good).has_value());
        for (std::size_t at = 40; at < good.size(); ++at) {
            Bytes bad = good;
            bad[at] ^= 0x10;
            CHECK_FALSE(check_packet(bad).has_value());
        }
        CHECK_FALSE(check_packet(ByteView(good).first(good.size() - 1)).has_value());
        CHECK_FALSE(check_packet(ByteView(good).first(39)).has_value());
    }
}

TEST_CASE("packetdrill: flags are taken, and refused when unknown or out of range") {
    const auto flags = parse_flags("local=fd00::1,mtu=1280,quickack=0,window=65536,iw=4");
    REQUIRE(flags.has_value());
    CHECK(flags->local == *parse_ipv6("fd00::1"));
    CHECK(flags->mtu == 1280);
    CHECK(flags->quickack == 0U);
    CHECK(flags->window == 65536U);
    CHECK(flags->iw == 4U);
    for (const char* bad : {"", "mtu=1500", "local=", "local=1.2.3.4", "local=::1,mtu=", "local=::1,mtu=1279", "local=::1,iw=0",
                            "local=::1,iw=10x", "local=::1,colour=red", "local=::1,iw", "local=::1,quickack=-1"}) {
        INFO(bad);
        CHECK_FALSE(parse_flags(bad).has_value());
    }
}

TEST_CASE("packetdrill: the kernel's settings become the stack's") {
    const Folder folder;
    const auto write = [&](const char* name, const char* value) { std::ofstream(folder.path / name) << value << "\n"; };
    const Sysctls sysctls(folder.path.string());
    const Flags flags = *parse_flags("local=fd00::1");
    CHECK(make_config(flags, sysctls).tcp.receive_buffer == TcpConfig{}.receive_buffer);
    write("tcp_rmem", "4096\t540000\t15728640");
    write("tcp_wmem", "4096\t262144\t4194304");
    const StackConfig config = make_config(flags, sysctls);
    CHECK(config.tcp.receive_buffer == 15728640);
    CHECK(config.tcp.send_buffer == 262144);
    CHECK(make_config(*parse_flags("local=fd00::1,window=70000"), sysctls).tcp.receive_buffer == 70000);
    write("tcp_timestamps", "0");
    write("tcp_window_scaling", "0");
    write("tcp_ecn", "1");
    write("tcp_congestion_control", "reno");
    const TcpConfig tcp = make_config(flags, sysctls).tcp;
    CHECK_FALSE(tcp.timestamps);
    CHECK_FALSE(tcp.window_scaling);
    CHECK(tcp.ecn == EcnMode::request);
    CHECK(tcp.congestion == CongestionAlgorithm::newreno);
    write("tcp_rmem", "nonsense");
    CHECK(make_config(flags, sysctls).tcp.receive_buffer == TcpConfig{}.receive_buffer);
}

TEST_CASE("packetdrill: a socket is made with the settings of its moment") {
    const Folder folder;
    const auto write = [&](const char* name, const char* value) { std::ofstream(folder.path / name) << value << "\n"; };
    Host host(*parse_flags("local=fd3d:0a0b:17d6::1"), Sysctls(folder.path.string()));
    const auto syn = [&] {
        const int fd = host.socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP);
        REQUIRE(fd >= 0);
        const auto to = endpoint(remote_address, 8080);
        host.call([&] { return kn_connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to); });
        Bytes room(2048);
        std::size_t bytes = 0;
        Instant at{};
        REQUIRE(host.receive(room, bytes, at));
        host.call([&] { return kn_close(fd); });
        room.resize(bytes);
        return *read_frame(ethernet({}, {}, 0x86dd, room))->tcp;
    };
    TcpFields first = syn();
    CHECK(first.ts.has_value());
    CHECK(first.wscale.has_value());
    CHECK(first.sack_permitted);
    write("tcp_timestamps", "0");
    write("tcp_window_scaling", "0");
    write("tcp_sack", "0");
    TcpFields second = syn();
    CHECK_FALSE(second.ts.has_value());
    CHECK_FALSE(second.wscale.has_value());
    CHECK_FALSE(second.sack_permitted);
    write("tcp_timestamps", "1");
    CHECK(syn().ts.has_value());
}
