// The interface that every driver implements; all that a driver's author reads.
//
// The stack owns the packet buffers. A device is given a FramePool and works in bursts: receive() fills buffers that
// it takes from the pool, transmit() reads slices that stay valid until it returns. Neither ever blocks. What
// transmit() does not take stays queued in the stack and is offered again. The stack calls a device only from inside
// poll(), attach_device() and restore; a device never calls the stack.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>

namespace keepnet {

struct LinkCapabilities {
    std::uint16_t mtu = 1500;            ///< bytes of IP in one frame, 1280 or more
    MacAddress mac{};
    bool tx_checksum = false;            ///< the device completes the transport checksum (TxFrame::needs_checksum)
    bool rx_checksum_verified = false;   ///< the device may set RxFrame::checksum_verified
    std::uint32_t tso_max_bytes = 0;     ///< TCP payload the device cuts by itself; 0: it does not
    bool rx_coalesces = false;           ///< received frames may be larger than the MTU
    bool multi_queue = false;
    /// One host at the other end and no link addresses (a tunnel, a serial line): whatever is routed here goes out at once, without
    /// neighbour discovery in either direction, and own addresses are valid at once. Frames still begin with an Ethernet header, of
    /// which only the type means something.
    bool point_to_point = false;
};

enum class LinkState : std::uint8_t { invalid = 0, down, up };

/// Number of a buffer in the stack's pool.
using BufferIndex = std::uint32_t;
inline constexpr BufferIndex no_buffer = 0xffff'ffff;

/// Where receive() takes its buffers from. Implemented by the stack.
class FramePool {
  public:
    /// no_buffer when the pool is at its reserve: leave the frame in the device, or count it as dropped.
    virtual BufferIndex allocate() = 0;
    /// All packet_buffer_bytes of a buffer that allocate() gave.
    virtual MutableBytes bytes(BufferIndex) = 0;
    /// Gives back a buffer that no frame was put into.
    virtual void release(BufferIndex) = 0;

  protected:
    ~FramePool() = default;
};

/// A received frame, from the destination MAC on, without FCS. Ownership of the buffer passes to the stack.
struct RxFrame {
    BufferIndex buffer = no_buffer;
    std::uint16_t offset = 0;
    std::uint16_t length = 0;
    bool checksum_verified = false;      ///< the transport checksum was checked and is right
};

/// A frame to send: headers, then payload slices. Everything is borrowed until transmit() returns.
struct TxFrame {
    ByteView header{};                   ///< Ethernet, IPv6 and transport headers
    std::span<const ByteView> payload{};
    /// Complete the checksum (only with LinkCapabilities::tx_checksum): the field holds the folded sum of the
    /// pseudo-header, not complemented, as virtio and Linux want it.
    bool needs_checksum = false;
    std::uint16_t checksum_start = 0;    ///< offset of the transport header in the frame
    std::uint16_t checksum_offset = 0;   ///< offset of the checksum field behind checksum_start
    std::uint16_t segment_bytes = 0;     ///< cut into TCP payloads of this size; 0: send as it is

    [[nodiscard]] std::size_t bytes() const {
        std::size_t n = header.size();
        for (const auto& slice : payload) n += slice.size();
        return n;
    }
};

/// What a device must remember across a restart (registers, ring positions, interrupt session), opaque to the stack.
inline constexpr std::size_t device_state_bytes_max = 240;
struct DeviceState {
    std::uint16_t length = 0;
    std::array<std::uint8_t, device_state_bytes_max> bytes{};
};

class LinkDevice {
  public:
    /// Constant while the device is attached.
    [[nodiscard]] virtual LinkCapabilities capabilities() const = 0;
    [[nodiscard]] virtual LinkState link_state() const = 0;
    /// Puts up to frames.size() received frames into `frames`; returns how many.
    virtual std::size_t receive(FramePool& pool, std::span<RxFrame> frames) = 0;
    /// Sends a prefix of `frames`; returns how many it took.
    virtual std::size_t transmit(std::span<const TxFrame> frames) = 0;
    [[nodiscard]] virtual DeviceState state() const { return {}; }
    /// After a restart. A device that does not know this state starts afresh.
    virtual void restore(const DeviceState&) {}

    LinkDevice(const LinkDevice&) = delete;
    LinkDevice& operator=(const LinkDevice&) = delete;

  protected:
    LinkDevice() = default;
    ~LinkDevice() = default;
};

}  // namespace keepnet
