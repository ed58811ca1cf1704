#include "bench/linux_host.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace keepnet::bench {
namespace {

constexpr const char* interface_name = "kn0";

std::unexpected<std::string> failure(const char* what) {
    return std::unexpected(std::string(what) + ": " + std::strerror(errno));
}

/// This thread is in that namespace for as long as the object lives.
class Visit {
  public:
    explicit Visit(int where) : home_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
        arrived_ = home_ >= 0 && ::setns(where, CLONE_NEWNET) == 0;
    }
    ~Visit() {
        // Whoever cannot go home would do everything else in the wrong place.
        if (arrived_ && ::setns(home_, CLONE_NEWNET) != 0) std::abort();
        if (home_ >= 0) ::close(home_);
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    [[nodiscard]] bool arrived() const { return arrived_; }

  private:
    int home_;
    bool arrived_ = false;
};

/// A namespace that lives as long as its descriptor.
int new_namespace() {
    const int home = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0) return -1;
    int made = -1;
    if (::unshare(CLONE_NEWNET) == 0) {
        made = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (::setns(home, CLONE_NEWNET) != 0) std::abort();
    }
    ::close(home);
    return made;
}

/// linux/ipv6.h, which does not go together with netinet/in.h.
struct AddressRequest {
    in6_addr address;
    std::uint32_t prefix_length;
    int interface;
};

sockaddr_in6 socket_address(const Ipv6Address& address, std::uint16_t port) {
    sockaddr_in6 out{};
    out.sin6_family = AF_INET6;
    out.sin6_port = htons(port);
    std::memcpy(&out.sin6_addr, address.octets.data(), sizeof out.sin6_addr);
    return out;
}

/// The kernel lets an address be used a moment after it was given.
bool add_address(const Ipv6Address& address) {
    const int control = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0) return false;
    AddressRequest request{{}, 64, static_cast<int>(::if_nametoindex(interface_name))};
    std::memcpy(&request.address, address.octets.data(), sizeof request.address);
    bool usable = false;
    if (::ioctl(control, SIOCSIFADDR, &request) == 0) {
        const sockaddr_in6 at = socket_address(address, 0);
        for (int tries = 0; tries < 500 && !usable; ++tries) {
            usable = ::bind(control, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
            if (!usable) ::usleep(10'000);
        }
    }
    ::close(control);
    return usable;
}

}  // namespace

std::expected<std::unique_ptr<LinuxHost>, std::string> LinuxHost::create(const Ipv6Address& address) {
    std::unique_ptr<LinuxHost> host(new LinuxHost);
    host->namespace_ = new_namespace();
    if (host->namespace_ < 0) return failure("make a network namespace");
    const Visit visit(host->namespace_);
    if (!visit.arrived()) return failure("enter the network namespace");
    // Addresses are usable at once: nobody else is on this link.
    std::ofstream("/proc/sys/net/ipv6/conf/default/accept_dad") << "0";
    auto tap = drivers::TapDevice::open(
        {.name = interface_name, .mac = {{0x02, 0x6b, 0x6e, 0, 0, 3}}, .bring_up = true, .offload = false});
    if (!tap) return std::unexpected(tap.error().message);
    host->tap_ = std::move(*tap);
    if (!add_address(address)) return failure("give the interface its address");
    return host;
}

LinuxHost::~LinuxHost() {
    for (const int fd : sockets_) ::close(fd);
    tap_.reset();
    if (namespace_ >= 0) ::close(namespace_);
}

std::expected<int, std::string> LinuxHost::socket() {
    const Visit visit(namespace_);
    if (!visit.arrived()) return failure("enter the network namespace");
    const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return failure("socket");
    sockets_.push_back(fd);
    // Whatever this machine's default is.
    if (::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0) return failure("choose CUBIC");
    return fd;
}

std::expected<int, std::string> LinuxHost::listen(std::uint16_t port) {
    const auto fd = socket();
    if (!fd) return fd;
    const sockaddr_in6 any = socket_address({}, port);
    if (::bind(*fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 || ::listen(*fd, 1) != 0)
        return failure("listen");
    return fd;
}

int LinuxHost::accept(int listener) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) sockets_.push_back(fd);
    return fd;
}

std::expected<int, std::string> LinuxHost::connect(const Ipv6Address& to, std::uint16_t port) {
    const auto fd = socket();
    if (!fd) return fd;
    const sockaddr_in6 address = socket_address(to, port);
    if (::connect(*fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS)
        return failure("connect");
    return fd;
}

std::uint64_t LinuxHost::retransmitted(int socket) {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
    return info.tcpi_total_retrans;
}

}  // namespace keepnet::bench
