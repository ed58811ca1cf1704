// The library as the tool loads it: through its one symbol, with a scripted peer behind netdev_send and netdev_receive,
// and a second thread for calls that block.
#pragma once

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include <catch2/catch_test_macros.hpp>
#include <keepnet/address.hpp>

#include "packetdrill/adapter/interface.hpp"
#include "support/packet.hpp"

namespace keepnet::test {

inline constexpr auto local_address = Ipv6Address::from_words({0xfd3d, 0xa0b, 0x17d6, 0, 0, 0, 0, 1});
inline constexpr auto remote_address = Ipv6Address::from_words({0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1});

inline sockaddr_in6 endpoint(const Ipv6Address& address, std::uint16_t port) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(port);
    std::memcpy(&a.sin6_addr, address.octets.data(), 16);
    return a;
}

/// A call that the script marks as blocking.
struct Blocking {
    std::thread thread{};
    std::atomic<int> tid = 0;
    std::atomic<bool> done = false;
    long long result = 0;
    int error = 0;
    long long ended_us = 0;  ///< that thread's first look at the clock behind the call
};

class Rig {
  public:
    struct Sent {
        long long at_us = 0;
        Packet packet{};
    };

    explicit Rig(const std::string& more_flags = "") {
        library_ = dlopen(KEEPNET_PACKETDRILL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (library_ == nullptr) FAIL(dlerror());
        using Init = void (*)(const char*, packetdrill_interface*);
        const auto init = reinterpret_cast<Init>(dlsym(library_, "packetdrill_interface_init"));
        REQUIRE(init != nullptr);
        init(("local=fd3d:0a0b:17d6::1,mtu=1520" + more_flags).c_str(), &calls);
        start_us_ = now_us();
    }
    ~Rig() {
        if (blocking_.thread.joinable()) blocking_.thread.join();
        calls.free(calls.userdata);
        dlclose(library_);
    }
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;

    packetdrill_interface calls{};
    [[nodiscard]] void* u() const { return calls.userdata; }

    // --- time, microseconds since the rig was made ---

    long long now_us() {
        timeval now{};
        REQUIRE(calls.gettimeofday(u(), &now, nullptr) == 0);
        return now.tv_sec * 1'000'000LL + now.tv_usec - start_us_;
    }
    /// What is due until then happens.
    void run_until(long long us) {
        const long long now = now_us();
        if (us > now) REQUIRE(calls.usleep(u(), static_cast<useconds_t>(us - now)) == 0);
    }

    // --- the peer, at port 8080 unless it is told otherwise ---

    TcpFields segment(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack) const {
        TcpFields tcp;
        tcp.src_port = peer_port;
        tcp.dst_port = local_port;
        tcp.seq = seq;
        tcp.ack = ack;
        tcp.flags = flags;
        tcp.window = 32000;
        return tcp;
    }
    void inject(const TcpFields& tcp) {
        IpFields ip{.src = remote_address, .dst = local_address, .next_header = proto_tcp};
        const Bytes packet = ip_packet(ip, tcp_segment(ip.src, ip.dst, tcp));
        REQUIRE(calls.netdev_send(u(), packet.data(), packet.size()) == 0);
    }
    /// The next packet, whenever it leaves; nothing: none ever will.
    std::optional<Sent> next() {
        Bytes room(65536);
        std::size_t bytes = room.size();
        long long at = -1;
        REQUIRE(calls.netdev_receive(u(), room.data(), &bytes, &at) == 0);
        if (bytes == 0) return std::nullopt;
        room.resize(bytes);
        auto packet = read_frame(ethernet({}, {}, 0x86dd, room));
        if (!packet) FAIL(packet.error());
        return Sent{at - start_us_, std::move(*packet)};
    }
    /// It is a TCP segment, and leaves then (within 20 us, the tool's own grain) with these flags and this much text.
    TcpFields expect(long long at_us, std::uint8_t flags, std::size_t bytes = 0) {
        const auto sent = next();
        REQUIRE(sent.has_value());
        INFO(sent->packet.text() << " at " << sent->at_us);
        REQUIRE(sent->packet.tcp.has_value());
        CHECK(sent->at_us >= at_us - 20);
        CHECK(sent->at_us <= at_us + 20);
        CHECK(flags_text(sent->packet.tcp->flags) == flags_text(flags));
        CHECK(sent->packet.tcp->payload.size() == bytes);
        return *sent->packet.tcp;
    }

    // --- common beginnings ---

    std::uint16_t peer_port = 8080;
    std::uint16_t local_port = 0;
    std::uint32_t iss = 0;  ///< of the stack, once it is known

    int tcp_socket(bool nonblocking = false) {
        const int fd = calls.socket(u(), AF_INET6, SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0), IPPROTO_TCP);
        REQUIRE(fd >= 0);
        return fd;
    }
    int listener(std::uint16_t port = 80) {
        const int fd = tcp_socket();
        const auto address = endpoint(local_address, port);
        REQUIRE(calls.bind(u(), fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(calls.listen(u(), fd, 4) == 0);
        local_port = port;
        return fd;
    }
    int connect_call(int fd) {
        const auto address = endpoint(remote_address, peer_port);
        return calls.connect(u(), fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
    /// The peer's side of a handshake with a listener; its first byte has number 1.
    void peer_connects() {
        auto syn = segment(flag::syn, 0, 0);
        syn.mss = 1000;
        inject(syn);
        const auto answer = expect(now_us(), flag::syn | flag::ack);
        iss = answer.seq;
        inject(segment(flag::ack, 1, iss + 1));
    }
    int accepted(std::uint16_t port = 80) {
        const int listening = listener(port);
        peer_connects();
        const int fd = calls.accept(u(), listening, nullptr, nullptr);
        REQUIRE(fd >= 0);
        return fd;
    }
    void peer_sends(std::uint32_t seq, std::size_t bytes, std::uint8_t more = 0) {
        auto text = segment(static_cast<std::uint8_t>(flag::ack | flag::psh | more), seq, iss + 1);
        text.payload.assign(bytes, 'p');
        inject(text);
    }

    // --- the second thread ---

    /// Returns when the call sleeps, as the tool waits for that, or is over.
    Blocking& block(std::function<long long()> call) {
        if (blocking_.thread.joinable()) blocking_.thread.join();
        blocking_.done = false;
        blocking_.tid = 0;
        blocking_.thread = std::thread([this, call] {
            blocking_.tid = gettid();
            blocking_.result = call();
            blocking_.error = errno;
            blocking_.ended_us = now_us();
            blocking_.done = true;
        });
        while (!blocking_.done && !sleeps()) std::this_thread::yield();
        return blocking_;
    }
    /// The call is over: at most the few instructions behind it are still to come.
    Blocking& ended() {
        REQUIRE(blocking_.thread.joinable());
        blocking_.thread.join();
        return blocking_;
    }
    [[nodiscard]] bool is_blocked() { return !blocking_.done && sleeps(); }

  private:
    bool sleeps() const {
        if (blocking_.tid == 0) return false;
        std::ifstream file("/proc/self/task/" + std::to_string(blocking_.tid) + "/stat");
        std::string line;
        std::getline(file, line);
        const std::size_t name_end = line.rfind(')');
        return name_end != std::string::npos && line.size() > name_end + 2 && line[name_end + 2] == 'S';
    }

    void* library_ = nullptr;
    long long start_us_ = 0;
    Blocking blocking_{};
};

}  // namespace keepnet::test
