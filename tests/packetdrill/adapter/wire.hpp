// The link between the tool and the stack: raw IPv6 packets, no link addresses (LinkCapabilities::point_to_point). What
// the stack sends waits here with the instant at which it left.
#pragma once

#include <deque>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include <keepnet/config.hpp>
#include <keepnet/link_device.hpp>
#include <keepnet/time.hpp>

namespace keepnet::packetdrill {

using Packet = std::vector<std::uint8_t>;

/// Nothing, or what is wrong with a packet that the stack sent: version, length, or the transport's checksum.
std::expected<void, std::string> check_packet(ByteView packet);

class Wire final : public LinkDevice {
  public:
    Wire(std::uint16_t mtu, std::function<Instant()> now) : mtu_(mtu), now_(std::move(now)) {}
    ~Wire() = default;

    struct Sent {
        Instant at{};
        Packet packet{};
    };

    /// A packet for the stack, of whatever size: what does not fit a frame is cut as a sender's device cuts a super-frame.
    /// False: it is not IPv6, or cannot be cut.
    bool inject(ByteView packet);
    /// The oldest packet that left the stack and was not taken yet; null: there is none.
    [[nodiscard]] const Sent* front() const { return sent_.empty() ? nullptr : &sent_.front(); }
    void pop() { sent_.pop_front(); }
    [[nodiscard]] bool has_input() const { return !to_stack_.empty(); }

    [[nodiscard]] LinkCapabilities capabilities() const override;
    [[nodiscard]] LinkState link_state() const override { return LinkState::up; }
    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override;
    std::size_t transmit(std::span<const TxFrame> frames) override;

  private:
    bool cut(ByteView packet);

    std::uint16_t mtu_;
    std::function<Instant()> now_;
    std::deque<Packet> to_stack_;
    std::deque<Sent> sent_;
};

}  // namespace keepnet::packetdrill
