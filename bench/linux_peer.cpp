#include "bench/linux_peer.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace keepnet::bench {
namespace {

constexpr std::size_t chunk_bytes = 64 * 1024;

std::string failure(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return fd_; }
    int release() {
        const int fd = fd_;
        fd_ = -1;
        return fd;
    }

  private:
    int fd_;
};

bool turn_off(int fd, ifreq request, std::uint32_t feature) {
    ethtool_value value{feature, 0};
    request.ifr_data = reinterpret_cast<char*>(&value);
    return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

/// MTU for 1,440 bytes of payload behind IPv6, TCP and the timestamp option; each segment on its own.
std::expected<void, std::string> prepare_loopback() {
    const Descriptor control(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (control.get() < 0) return std::unexpected(failure("socket"));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_mtu = 1440 + 40 + 20 + 12;
    if (ioctl(control.get(), SIOCSIFMTU, &request) != 0) return std::unexpected(failure("set the MTU of lo"));
    if (!turn_off(control.get(), request, ETHTOOL_STSO) || !turn_off(control.get(), request, ETHTOOL_SGSO))
        return std::unexpected(failure("turn off TSO and GSO of lo"));
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return std::unexpected(failure("bring lo up"));
    return {};
}

std::expected<std::array<int, 2>, std::string> connected_pair() {
    Descriptor listener(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    Descriptor client(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (listener.get() < 0 || client.get() < 0) return std::unexpected(failure("socket"));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener.get(), generic, length) != 0 || listen(listener.get(), 1) != 0 ||
        getsockname(listener.get(), generic, &length) != 0)
        return std::unexpected(failure("listen"));
    if (connect(client.get(), generic, length) != 0) return std::unexpected(failure("connect"));
    Descriptor server(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (server.get() < 0) return std::unexpected(failure("accept"));
    const int one = 1;
    for (const int fd : {client.get(), server.get()}) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }
    return std::array{client.release(), server.release()};
}

/// A socket stays in the namespace it was made in; the thread comes back to its own.
std::expected<std::array<int, 2>, std::string> pair_in_own_namespace() {
    const Descriptor home(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (home.get() < 0) return std::unexpected(failure("open the network namespace"));
    if (unshare(CLONE_NEWNET) != 0) return std::unexpected(failure("make a network namespace"));
    const auto prepared = prepare_loopback();
    auto pair = prepared ? connected_pair() : std::unexpected(prepared.error());
    if (setns(home.get(), CLONE_NEWNET) != 0) return std::unexpected(failure("leave the network namespace"));
    return pair;
}

}  // namespace

std::expected<std::unique_ptr<LinuxPeer>, std::string> LinuxPeer::create(bool segments) {
    auto pair = segments ? pair_in_own_namespace() : connected_pair();
    if (!pair) return std::unexpected(pair.error());
    return std::unique_ptr<LinuxPeer>(new LinuxPeer((*pair)[0], (*pair)[1]));
}

LinuxPeer::LinuxPeer(int client, int server) : client_(client), server_(server) {}

LinuxPeer::~LinuxPeer() {
    close(client_);
    close(server_);
}

std::size_t LinuxPeer::transfer(std::size_t bytes) {
    static std::vector<char> out(chunk_bytes, 'x');
    static std::vector<char> in(chunk_bytes);
    std::size_t sent = 0;
    std::size_t received = 0;
    while (received < bytes) {
        if (sent < bytes) {
            const ssize_t n = write(client_, out.data(), out.size());
            if (n > 0) sent += static_cast<std::size_t>(n);
        }
        const ssize_t n = read(server_, in.data(), in.size());
        if (n > 0) received += static_cast<std::size_t>(n);
    }
    while (received < sent) {
        const ssize_t n = read(server_, in.data(), in.size());
        if (n > 0) received += static_cast<std::size_t>(n);
    }
    return received;
}

void LinuxPeer::exchange(std::size_t bytes) {
    std::array<char, 4096> buffer{};
    const auto all = [&](int from, int to) {
        while (write(from, buffer.data(), bytes) < 0) {
        }
        for (std::size_t got = 0; got < bytes;) {
            const ssize_t n = read(to, buffer.data(), bytes - got);
            if (n > 0) got += static_cast<std::size_t>(n);
        }
    };
    all(client_, server_);
    all(server_, client_);
}

}  // namespace keepnet::bench
