// The two ends of a scripted wire: frames for the stack go in at one side, what it sent is taken at the
// other.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>

#include <keepnet/link_device.hpp>

#include "support/packet.hpp"

namespace keepnet::test {

class ScriptedDevice final : public LinkDevice {
  public:
    explicit ScriptedDevice(const MacAddress& mac, std::uint16_t mtu = 1500, bool point_to_point = false) {
        capabilities_ = {.mtu = mtu, .mac = mac, .point_to_point = point_to_point};
    }

    std::deque<Bytes> to_stack;
    std::deque<Bytes> from_stack;
    /// Frames that transmit() takes before the ring is full.
    std::size_t transmit_room = SIZE_MAX;
    LinkState link = LinkState::up;

    [[nodiscard]] LinkCapabilities capabilities() const override { return capabilities_; }
    [[nodiscard]] LinkState link_state() const override { return link; }

    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override {
        std::size_t n = 0;
        while (n < frames.size() && !to_stack.empty()) {
            const Bytes& frame = to_stack.front();
            const BufferIndex buffer = pool.allocate();
            if (buffer == no_buffer) break;
            const MutableBytes room = pool.bytes(buffer);
            const std::size_t length = std::min(frame.size(), room.size());
            if (length != 0) std::memcpy(room.data(), frame.data(), length);
            frames[n++] = {.buffer = buffer, .offset = 0, .length = static_cast<std::uint16_t>(length)};
            to_stack.pop_front();
        }
        return n;
    }
    std::size_t transmit(std::span<const TxFrame> frames) override {
        std::size_t n = 0;
        for (; n < frames.size() && transmit_room != 0; ++n) {
            Bytes bytes(frames[n].header.begin(), frames[n].header.end());
            for (const ByteView slice : frames[n].payload)
                bytes.insert(bytes.end(), slice.begin(), slice.end());
            from_stack.push_back(std::move(bytes));
            if (transmit_room != SIZE_MAX) --transmit_room;
        }
        return n;
    }

  private:
    LinkCapabilities capabilities_;
};

}  // namespace keepnet::test
