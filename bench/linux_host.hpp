// Linux behind a TAP interface, in a network namespace of its own that goes away with the object. Sockets are
// of that namespace, non-blocking, and closed with it.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include <keepnet/address.hpp>
#include <keepnet/drivers/tap/tap.hpp>

namespace keepnet::bench {

class LinuxHost {
  public:
    /// `address`/64 is valid at once; the TAP's MTU is 1500, and neither side leaves work to the other. Needs
    /// root.
    static std::expected<std::unique_ptr<LinuxHost>, std::string> create(const Ipv6Address& address);
    LinuxHost(const LinuxHost&) = delete;
    LinuxHost& operator=(const LinuxHost&) = delete;
    ~LinuxHost();

    /// What is to the stack, or the bridge, its driver.
    [[nodiscard]] drivers::TapDevice& tap() { return *tap_; }
    std::expected<int, std::string> listen(std::uint16_t port);
    /// -1: nobody waits.
    int accept(int listener);
    /// The handshake goes on by itself.
    std::expected<int, std::string> connect(const Ipv6Address& to, std::uint16_t port);
    /// Segments that this socket has sent again.
    static std::uint64_t retransmitted(int socket);

  private:
    LinuxHost() = default;
    std::expected<int, std::string> socket();

    int namespace_ = -1;
    std::unique_ptr<drivers::TapDevice> tap_;
    std::vector<int> sockets_;
};

}  // namespace keepnet::bench
