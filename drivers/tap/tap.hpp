// A TAP interface of Linux: what the kernel routes there, the stack receives, and the other way round.
// The checksum offloads of virtio_net_hdr are used in both directions; super-frames only towards the kernel,
// since a received one would not fit a packet buffer (the seam for those is the call of TUNSETOFFLOAD in
// tap.cpp).
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include <keepnet/address.hpp>
#include <keepnet/link_device.hpp>

namespace keepnet::drivers {

struct TapConfig {
    std::string name{};       ///< of the interface, at most 15 characters
    MacAddress mac{};         ///< of the stack; the kernel's side has its own, another
    bool create = true;       ///< false: the interface must be there already
    bool persistent = false;  ///< true: it stays when this process ends, whether it was created or not
    bool bring_up = false;    ///< sets the kernel's side up
    bool offload = true;      ///< false: no checksum or segmentation is left to either side
    std::string device_node = "/dev/net/tun";
};

enum class TapError : std::uint8_t {
    invalid = 0,
    bad_config,         ///< a name or an address that cannot be
    no_device_node,     ///< no /dev/net/tun
    no_permission,      ///< CAP_NET_ADMIN is missing, or the interface belongs to another user
    busy,               ///< another program is attached to the interface
    name_taken,         ///< an interface of that name exists and is no TAP
    no_such_interface,  ///< with TapConfig::create false
    system,             ///< something else; the message has the system's word for it
};

struct TapFailure {
    TapError error = TapError::invalid;
    std::string message{};  ///< one line, for people
};

struct TapCounters {
    std::uint64_t received = 0;      ///< frames
    std::uint64_t transmitted = 0;   ///< frames that the kernel took
    std::uint64_t rx_too_long = 0;   ///< longer than a packet buffer: dropped
    std::uint64_t tx_link_down = 0;  ///< lost because the interface is down
    std::uint64_t tx_refused = 0;    ///< the kernel took them for impossible: dropped
};

class TapDevice final : public LinkDevice {
  public:
    static std::expected<std::unique_ptr<TapDevice>, TapFailure> open(const TapConfig& config);
    TapDevice(const TapDevice&) = delete;
    TapDevice& operator=(const TapDevice&) = delete;
    ~TapDevice();

    [[nodiscard]] LinkCapabilities capabilities() const override { return capabilities_; }
    [[nodiscard]] LinkState link_state() const override;
    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override;
    std::size_t transmit(std::span<const TxFrame> frames) override;

    /// Readable when frames wait. For the event loop alone: read nothing from it.
    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const TapCounters& counters() const { return counters_; }
    /// Errno of an error that does not go away (the interface was deleted), else 0. Such a device is down for
    /// good.
    [[nodiscard]] int failed() const { return failed_; }

  private:
    TapDevice(int fd, int control, std::string name, const LinkCapabilities& capabilities);

    enum class Sent : std::uint8_t { yes, no_room };
    Sent send(const TxFrame& frame);

    int fd_;
    int control_;  // a socket, to ask for the interface's flags
    std::string name_;
    LinkCapabilities capabilities_;
    TapCounters counters_{};
    mutable bool up_ = false;
    int failed_ = 0;
};

}  // namespace keepnet::drivers
