// The peer that keepnet is measured beside: TCP of the running Linux kernel, over the loopback device, both
// ends in this process and on this thread, as in the keepnet measurement.
#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <string>

namespace keepnet::bench {

class LinuxPeer {
  public:
    /// `segments`: a network namespace of our own, whose loopback device has an MTU for 1,440 bytes of
    /// payload and neither TSO nor GSO, so that the kernel handles each segment by itself as keepnet does.
    /// Otherwise the machine's loopback device, with its frames of up to 64 KiB. Loopback never computes a
    /// checksum.
    static std::expected<std::unique_ptr<LinuxPeer>, std::string> create(bool segments);
    ~LinuxPeer();
    LinuxPeer(const LinuxPeer&) = delete;
    LinuxPeer& operator=(const LinuxPeer&) = delete;

    /// Sends and receives at least `bytes`; returns how many.
    std::size_t transfer(std::size_t bytes);
    /// One request of `bytes` and one response of as many.
    void exchange(std::size_t bytes);

  private:
    LinuxPeer(int client, int server);
    int client_;
    int server_;
};

}  // namespace keepnet::bench
