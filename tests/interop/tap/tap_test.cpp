// The TAP driver against the kernel. The whole program runs in a network namespace of its own, which goes
// away with it, however it ends. Exit status 77: not possible here, and the reason on stderr.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include <keepnet/drivers/tap/tap.hpp>

#include "base/checksum.hpp"
#include "unit/drivers/frame_pool.hpp"
#include "wire/bytes.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv6.hpp"
#include "wire/tcp.hpp"
#include "wire/udp.hpp"

using namespace keepnet;
using namespace keepnet::test;
using drivers::TapConfig;
using drivers::TapDevice;
using drivers::TapError;

namespace {

constexpr std::uint16_t port = 7777;
const MacAddress our_mac = mac("02:00:00:00:00:99");
const Ipv6Address ours = ip("fe80::99");

[[noreturn]] void not_here(const char* why) {
    std::fprintf(stderr, "skipped: %s: %s\n", why, std::strerror(errno));
    std::_Exit(77);
}

void write_file(const std::string& path, const char* text) {
    std::ofstream out(path);
    out << text;
    if (!out.flush()) not_here(path.c_str());
}

void set_flags(const std::string& name, short on, short off);

void enter_namespace() {
    static const bool once = [] {
        if (::unshare(CLONE_NEWNET) != 0) not_here("a network namespace needs root");
        // Addresses are usable at once: what is tested here is the driver.
        write_file("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
        const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        if (fd < 0) not_here("/dev/net/tun");
        ::close(fd);
        set_flags("lo", IFF_UP, 0);
        return true;
    }();
    (void)once;
}

struct Socket {
    int fd;

    explicit Socket(int kind = SOCK_DGRAM) : fd(::socket(AF_INET6, kind | SOCK_CLOEXEC, 0)) {
        REQUIRE(fd >= 0);
    }
    ~Socket() { ::close(fd); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
};

ifreq request_for(const std::string& name) {
    ifreq r{};
    name.copy(r.ifr_name, sizeof r.ifr_name - 1);
    return r;
}

void set_flags(const std::string& name, short on, short off) {
    const Socket s;
    ifreq r = request_for(name);
    REQUIRE(::ioctl(s.fd, SIOCGIFFLAGS, &r) == 0);
    r.ifr_flags = static_cast<short>((r.ifr_flags | on) & ~off);
    REQUIRE(::ioctl(s.fd, SIOCSIFFLAGS, &r) == 0);
}

void set_mtu(const std::string& name, int mtu) {
    const Socket s;
    ifreq r = request_for(name);
    r.ifr_mtu = mtu;
    REQUIRE(::ioctl(s.fd, SIOCSIFMTU, &r) == 0);
}

bool exists(const std::string& name) { return ::if_nametoindex(name.c_str()) != 0; }

MacAddress kernel_mac(const std::string& name) {
    const Socket s;
    ifreq r = request_for(name);
    REQUIRE(::ioctl(s.fd, SIOCGIFHWADDR, &r) == 0);
    MacAddress a;
    std::memcpy(a.octets.data(), r.ifr_hwaddr.sa_data, 6);
    return a;
}

/// The link-local address that the kernel made of its MAC (RFC 4291, appendix A).
Ipv6Address kernel_address(const std::string& name) {
    const MacAddress m = kernel_mac(name);
    Ipv6Address a = ip("fe80::ff:fe00:0");
    a.octets[8] = m.octets[0] ^ 2;
    a.octets[9] = m.octets[1];
    a.octets[10] = m.octets[2];
    a.octets[13] = m.octets[3];
    a.octets[14] = m.octets[4];
    a.octets[15] = m.octets[5];
    return a;
}

sockaddr_in6 to_sockaddr(const Ipv6Address& a, const std::string& interface, std::uint16_t to_port) {
    sockaddr_in6 s{};
    s.sin6_family = AF_INET6;
    s.sin6_port = htons(to_port);
    s.sin6_scope_id = ::if_nametoindex(interface.c_str());
    std::memcpy(&s.sin6_addr, a.octets.data(), 16);
    return s;
}

/// The kernel makes its link-local address a moment after the interface came up.
void await_kernel_address(const std::string& name) {
    const auto at = to_sockaddr(kernel_address(name), name, 0);
    for (int i = 0; i < 500; ++i) {
        const Socket s;
        if (::bind(s.fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return;
        ::poll(nullptr, 0, 10);
    }
    FAIL("the kernel has no link-local address on " << name);
}

std::unique_ptr<TapDevice> open_tap(const TapConfig& config) {
    enter_namespace();
    auto tap = TapDevice::open(config);
    INFO((tap ? std::string() : tap.error().message));
    REQUIRE(tap.has_value());
    if (config.bring_up) await_kernel_address(config.name);
    return std::move(*tap);
}

TapConfig up(const std::string& name) { return {.name = name, .mac = our_mac, .bring_up = true}; }

TapError error_of(const TapConfig& config) {
    enter_namespace();
    const auto tap = TapDevice::open(config);
    if (tap) return TapError::invalid;
    UNSCOPED_INFO(tap.error().message);
    CHECK_FALSE(tap.error().message.empty());
    CHECK(tap.error().message.find('\n') == std::string::npos);
    return tap.error().error;
}

struct Received {
    RxFrame rx;
    Bytes bytes;
};

/// Waits for frames whose IPv6 payload is UDP to `port`; the kernel's own chatter is passed over.
std::vector<Received> receive_udp(TapDevice& tap, HeapPool& pool, std::size_t count, int timeout_ms = 2000) {
    std::vector<Received> out;
    RxFrame frames[16];
    while (out.size() < count) {
        pollfd p{tap.fd(), POLLIN, 0};
        if (::poll(&p, 1, timeout_ms) <= 0) break;
        const std::size_t n = tap.receive(pool, frames);
        for (std::size_t i = 0; i < n; ++i) {
            const Bytes b = pool.take(frames[i]);
            if (b.size() < 62 || b[20] != 17 || wire::load_u16(b, 56) != port) continue;
            out.push_back({frames[i], b});
        }
    }
    return out;
}

Bytes to_bytes(const std::string& s) { return {s.begin(), s.end()}; }

/// A kernel socket that sends to every node on the interface: no neighbour has to answer first.
void kernel_multicasts(const std::string& interface, const Bytes& payload) {
    const Socket s;
    const auto to = to_sockaddr(ipv6_all_nodes, interface, port);
    REQUIRE(::sendto(s.fd, payload.data(), payload.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                     sizeof to) == static_cast<ssize_t>(payload.size()));
}

struct Datagram {
    Bytes header;  // Ethernet, IPv6, UDP
    Bytes payload;
};

Datagram datagram_to_kernel(const std::string& interface, const Bytes& payload, bool complete) {
    const auto length = static_cast<std::uint16_t>(8 + payload.size());
    const Ipv6Address dst = kernel_address(interface);
    Bytes h(62);
    const MutableBytes out(h);
    wire::emit_ethernet({kernel_mac(interface), our_mac, wire::EtherType::ipv6}, out);
    wire::Ipv6Repr ip_header;
    ip_header.payload_length = length;
    ip_header.next_header = wire::NextHeader::udp;
    ip_header.hop_limit = 64;
    ip_header.src = ours;
    ip_header.dst = dst;
    wire::emit_ipv6(ip_header, out.subspan(14));
    wire::emit_udp({1234, port, length}, out.subspan(54));
    Checksum sum = pseudo_header(ours, dst, length, 17);
    if (complete) {
        sum.add(out.subspan(54));
        sum.add(payload);
        wire::store_u16(out, 60, wire::udp_checksum_field(sum));
    } else {
        wire::store_u16(out, 60, sum.sum());
    }
    return {h, payload};
}

struct KernelReceiver {
    Socket socket;

    explicit KernelReceiver(const std::string& interface) {
        const auto at = to_sockaddr(kernel_address(interface), interface, port);
        REQUIRE(::bind(socket.fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    }
    /// Empty when nothing comes.
    Bytes next(int timeout_ms = 2000) const {
        pollfd p{socket.fd, POLLIN, 0};
        if (::poll(&p, 1, timeout_ms) <= 0) return {};
        Bytes b(2048);
        const ssize_t n = ::recv(socket.fd, b.data(), b.size(), 0);
        b.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
        return b;
    }
};

}  // namespace

TEST_CASE("tap: opens, says what it can, and is gone with its owner") {
    {
        const auto tap = open_tap({.name = "kn0", .mac = our_mac});
        CHECK(exists("kn0"));
        const LinkCapabilities c = tap->capabilities();
        CHECK(c.mtu == 1500);
        CHECK(c.mac == our_mac);
        CHECK(c.tx_checksum);
        CHECK(c.rx_checksum_verified);
        CHECK(c.tso_max_bytes == 65475);
        CHECK_FALSE(c.rx_coalesces);
        CHECK(tap->link_state() == LinkState::down);
        HeapPool pool(4);
        CHECK(drain(*tap, pool).empty());
        CHECK(pool.free() == 4);
    }
    CHECK_FALSE(exists("kn0"));
    const auto plain = open_tap({.name = "kn0", .mac = our_mac, .offload = false});
    CHECK_FALSE(plain->capabilities().tx_checksum);
    CHECK_FALSE(plain->capabilities().rx_checksum_verified);
    CHECK(plain->capabilities().tso_max_bytes == 0);
}

TEST_CASE("tap: a persistent interface stays, and is attached to again with a smaller MTU") {
    open_tap({.name = "kn1", .mac = our_mac, .persistent = true});
    REQUIRE(exists("kn1"));
    set_mtu("kn1", 1400);
    {
        const auto tap = open_tap({.name = "kn1", .mac = our_mac, .create = false});
        CHECK(tap->capabilities().mtu == 1400);
    }
    CHECK(exists("kn1"));
    set_mtu("kn1", 9000);
    CHECK(open_tap({.name = "kn1", .mac = our_mac})->capabilities().mtu == packet_buffer_bytes - 17);
    set_mtu("kn1", 1279);
    CHECK(error_of({.name = "kn1", .mac = our_mac}) == TapError::bad_config);
}

TEST_CASE("tap: every error has its type and one line") {
    CHECK(error_of({.name = "", .mac = our_mac}) == TapError::bad_config);
    CHECK(error_of({.name = "sixteen-letters-", .mac = our_mac}) == TapError::bad_config);
    CHECK(error_of({.name = "a/b", .mac = our_mac}) == TapError::bad_config);
    CHECK(error_of({.name = "kn%d", .mac = our_mac}) == TapError::bad_config);
    CHECK(error_of({.name = "kn2"}) == TapError::bad_config);
    CHECK(error_of({.name = "kn2", .mac = mac_broadcast}) == TapError::bad_config);
    CHECK(error_of({.name = "kn2", .mac = our_mac, .create = false}) == TapError::no_such_interface);
    CHECK(error_of({.name = "kn2", .mac = our_mac, .device_node = "/nonexistent/tun"}) ==
          TapError::no_device_node);
    CHECK(error_of({.name = "kn2", .mac = our_mac, .device_node = "/dev/null"}) == TapError::system);
    CHECK(error_of({.name = "lo", .mac = our_mac}) == TapError::name_taken);
    CHECK_FALSE(exists("kn2"));
    const auto owner = open_tap({.name = "kn2", .mac = our_mac});
    CHECK(error_of({.name = "kn2", .mac = our_mac}) == TapError::busy);
}

TEST_CASE("tap: without the right to, the error says so") {
    enter_namespace();
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        // Only numbers leave the child: the test's own reporting belongs to the parent.
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(99);
        const auto tap = TapDevice::open({.name = "kn3", .mac = our_mac});
        ::_exit(tap ? 98 : static_cast<int>(tap.error().error));
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == static_cast<int>(TapError::no_permission));
    CHECK_FALSE(exists("kn3"));
}

TEST_CASE("tap: what the kernel sends arrives, with its unfinished checksum vouched for") {
    for (const bool offload : {true, false}) {
        TapConfig config = up("kn4");
        config.offload = offload;
        const auto tap = open_tap(config);
        CHECK(tap->link_state() == LinkState::up);
        HeapPool pool(16);
        const Bytes payload = to_bytes("from the kernel");
        kernel_multicasts("kn4", payload);
        const auto got = receive_udp(*tap, pool, 1);
        REQUIRE(got.size() == 1);
        const Bytes& b = got[0].bytes;
        CHECK(got[0].rx.checksum_verified == offload);
        CHECK((got[0].rx.offset + 14) % 16 == 0);
        const auto ethernet = wire::parse_ethernet(b);
        REQUIRE(ethernet.has_value());
        CHECK(ethernet->dst == multicast_mac(ipv6_all_nodes));
        CHECK(ethernet->src == kernel_mac("kn4"));
        const auto ip_header = wire::parse_ipv6(ByteView(b).subspan(14));
        REQUIRE(ip_header.has_value());
        CHECK(ip_header->src == kernel_address("kn4"));
        CHECK(Bytes(b.begin() + 62, b.end()) == payload);
        // The stack may believe it; nobody else would: what is in the field is the pseudo-header alone.
        const bool right = transport_checksum_ok(ip_header->src, ip_header->dst, 17, ByteView(b).subspan(54));
        CHECK(right == !offload);
        CHECK(tap->counters().received >= 1);
        CHECK(pool.free() == 16);
    }
}

TEST_CASE("tap: a burst of datagrams reaches the kernel, checksums complete or left to it") {
    const auto tap = open_tap(up("kn5"));
    const KernelReceiver receiver("kn5");
    for (const bool complete : {true, false}) {
        std::vector<Datagram> datagrams;
        for (std::uint8_t i = 0; i < 64; ++i) {
            datagrams.push_back(datagram_to_kernel("kn5", Bytes(std::size_t{i} + 100, i), complete));
        }
        std::vector<std::array<ByteView, 2>> slices;
        for (const auto& d : datagrams) {
            slices.push_back({ByteView(d.payload).first(33), ByteView(d.payload).subspan(33)});
        }
        std::vector<TxFrame> frames;
        for (std::size_t i = 0; i < datagrams.size(); ++i) {
            frames.push_back({.header = datagrams[i].header,
                              .payload = slices[i],
                              .needs_checksum = !complete,
                              .checksum_start = static_cast<std::uint16_t>(complete ? 0 : 54),
                              .checksum_offset = static_cast<std::uint16_t>(complete ? 0 : 6)});
        }
        REQUIRE(tap->transmit(frames) == frames.size());
        for (const auto& d : datagrams) REQUIRE(receiver.next() == d.payload);
    }
    CHECK(tap->counters().transmitted == 128);

    // The kernel does look: an unfinished checksum that nobody announces is not delivered.
    const Datagram wrong = datagram_to_kernel("kn5", to_bytes("wrong"), false);
    const ByteView payload = wrong.payload;
    const TxFrame frame{.header = wrong.header, .payload = {&payload, 1}};
    CHECK(tap->transmit({&frame, 1}) == 1);
    CHECK(receiver.next(100).empty());
}

TEST_CASE("tap: more slices than one call takes") {
    const auto tap = open_tap(up("kn6"));
    const KernelReceiver receiver("kn6");
    Bytes payload(200);
    for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(i);
    const Datagram d = datagram_to_kernel("kn6", payload, true);
    std::vector<ByteView> slices;
    for (std::size_t i = 0; i < payload.size(); ++i) slices.push_back(ByteView(d.payload).subspan(i, 1));
    const TxFrame frame{.header = d.header, .payload = slices};
    REQUIRE(tap->transmit({&frame, 1}) == 1);
    CHECK(receiver.next() == payload);
}

TEST_CASE("tap: a super-frame is one segment to the kernel's TCP, which answers all of it") {
    const auto tap = open_tap(up("kn7"));
    HeapPool pool(32);
    const Ipv6Address dst = kernel_address("kn7");
    const Bytes payload(5000, 'x');
    // Nobody listens: RFC 9293 3.10.7.1 answers with a reset that acknowledges SEG.SEQ + SEG.LEN, if the
    // checksum is right. Its way back is a static neighbour.
    wire::TcpRepr tcp;
    tcp.src_port = 5555;
    tcp.dst_port = port;
    tcp.seq = Seq{1000};
    tcp.flags = {.psh = true};
    tcp.window = 65535;
    Bytes h(14 + 40 + 20);
    const MutableBytes out(h);
    wire::emit_ethernet({kernel_mac("kn7"), our_mac, wire::EtherType::ipv6}, out);
    wire::Ipv6Repr ip_header;
    ip_header.payload_length = static_cast<std::uint16_t>(20 + payload.size());
    ip_header.next_header = wire::NextHeader::tcp;
    ip_header.hop_limit = 64;
    ip_header.src = ours;
    ip_header.dst = dst;
    wire::emit_ipv6(ip_header, out.subspan(14));
    wire::emit_tcp(tcp, out.subspan(54));
    wire::store_u16(out, 54 + 16, pseudo_header(ours, dst, ip_header.payload_length, 6).sum());
    const ByteView slices[] = {ByteView(payload).first(2048), ByteView(payload).subspan(2048)};
    const TxFrame frame{.header = h,
                        .payload = slices,
                        .needs_checksum = true,
                        .checksum_start = 54,
                        .checksum_offset = 16,
                        .segment_bytes = 1440};
    REQUIRE(::system("ip -6 neigh replace fe80::99 lladdr 02:00:00:00:00:99 dev kn7 nud permanent") == 0);
    REQUIRE(tap->transmit({&frame, 1}) == 1);
    CHECK(tap->counters().transmitted == 1);
    RxFrame rx[16];
    std::uint32_t acknowledged = 0;
    for (int i = 0; i < 50 && acknowledged == 0; ++i) {
        pollfd p{tap->fd(), POLLIN, 0};
        if (::poll(&p, 1, 100) <= 0) continue;
        const std::size_t n = tap->receive(pool, rx);
        for (std::size_t k = 0; k < n; ++k) {
            const Bytes b = pool.take(rx[k]);
            if (b.size() < 74 || b[20] != 6) continue;
            const auto answer = wire::parse_tcp(ByteView(b).subspan(54));
            REQUIRE(answer.has_value());
            CHECK(answer->flags.rst);
            acknowledged = answer->ack.raw;
        }
    }
    CHECK(acknowledged == 6000);
}

TEST_CASE("tap: a frame longer than a buffer is dropped and counted, the next one arrives") {
    const auto tap = open_tap(up("kn8"));
    HeapPool pool(4);
    set_mtu("kn8", 9000);
    kernel_multicasts("kn8", Bytes(5000, 'l'));
    // The longest that fits, to the byte: what the device said it takes.
    const Bytes longest(std::size_t{packet_buffer_bytes} - 17 - 48, 'f');
    kernel_multicasts("kn8", longest);
    const auto got = receive_udp(*tap, pool, 1);
    REQUIRE(got.size() == 1);
    CHECK(Bytes(got[0].bytes.begin() + 62, got[0].bytes.end()) == longest);
    CHECK(tap->counters().rx_too_long == 1);
    CHECK(pool.free() == 4);
}

TEST_CASE("tap: without buffers frames wait in the kernel") {
    const auto tap = open_tap(up("kn9"));
    HeapPool none(0);
    HeapPool pool(4);
    kernel_multicasts("kn9", to_bytes("patience"));
    RxFrame rx[4];
    CHECK(tap->receive(none, rx) == 0);
    CHECK(receive_udp(*tap, pool, 1).size() == 1);
}

TEST_CASE("tap: no more frames than were asked for") {
    const auto tap = open_tap(up("kn10"));
    HeapPool pool(8);
    for (int i = 0; i < 5; ++i) kernel_multicasts("kn10", to_bytes("again"));
    RxFrame rx[2];
    CHECK(tap->receive(pool, rx) == 2);
    CHECK(pool.free() == 6);
}

TEST_CASE("tap: down takes frames and loses them, up works again") {
    const auto tap = open_tap(up("kn11"));
    REQUIRE(tap->link_state() == LinkState::up);
    set_flags("kn11", 0, IFF_UP);
    const Bytes frame(60, 1);
    const TxFrame tx{.header = frame};
    CHECK(tap->transmit({&tx, 1}) == 1);
    CHECK(tap->counters().tx_link_down == 1);
    CHECK(tap->counters().transmitted == 0);
    CHECK(tap->link_state() == LinkState::down);
    HeapPool pool(4);
    drain(*tap, pool);  // what the kernel had sent before
    CHECK(tap->failed() == 0);
    set_flags("kn11", IFF_UP, 0);
    CHECK(tap->link_state() == LinkState::up);
    CHECK(tap->transmit({&tx, 1}) == 1);
    CHECK(tap->counters().transmitted == 1);
    CHECK(tap->failed() == 0);
}

TEST_CASE("tap: what the kernel takes for no frame at all is dropped, not offered for ever") {
    const auto tap = open_tap(up("kn12"));
    const Bytes runt(5, 1);
    const TxFrame tx{.header = runt};
    CHECK(tap->transmit({&tx, 1}) == 1);
    CHECK(tap->counters().tx_refused == 1);
}

TEST_CASE("tap: an interface that is deleted leaves a device that is down for good") {
    const auto tap = open_tap(up("kn13"));
    REQUIRE(::system("ip link delete kn13") == 0);
    HeapPool pool(4);
    RxFrame rx[4];
    CHECK(tap->receive(pool, rx) == 0);
    CHECK(tap->failed() != 0);
    CHECK(tap->link_state() == LinkState::down);
    const Bytes frame(60, 1);
    const TxFrame tx{.header = frame};
    CHECK(tap->transmit({&tx, 1}) == 1);
    CHECK(tap->counters().tx_link_down == 1);
    CHECK(pool.free() == 4);
}
