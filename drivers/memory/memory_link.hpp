// Two devices back to back in memory: what one stack transmits the other receives, in order, nothing lost.
// Freestanding, no allocation, no thread; both stacks run on the caller's thread.
//
//     keepnet::drivers::MemoryLink<64> link;   // 64 frames in each direction
//     stack_a.attach_device(link.a(), {});
//     stack_b.attach_device(link.b(), {});
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <keepnet/bytes.hpp>
#include <keepnet/config.hpp>
#include <keepnet/drivers/frame_checksum.hpp>
#include <keepnet/link_device.hpp>

namespace keepnet::drivers {

/// A frame under way.
struct MemoryFrame {
    std::uint16_t length = 0;
    bool checksum_verified = false;
    std::array<std::uint8_t, packet_buffer_bytes> bytes{};
};

/// One direction: a ring of frames in storage that the owner gives.
class MemoryQueue {
  public:
    explicit MemoryQueue(std::span<MemoryFrame> storage) : frames_(storage) {}

    [[nodiscard]] std::size_t size() const { return count_; }
    [[nodiscard]] bool full() const { return count_ == frames_.size(); }
    /// The frame to fill, then to push(); only if not full.
    [[nodiscard]] MemoryFrame& back() { return frames_[(first_ + count_) % frames_.size()]; }
    void push() { ++count_; }
    /// The oldest frame, until pop(); only if size() is not 0.
    [[nodiscard]] const MemoryFrame& front() const { return frames_[first_]; }
    void pop() {
        first_ = (first_ + 1) % frames_.size();
        // An empty queue starts over in the storage that the cache still has.
        if (--count_ == 0) first_ = 0;
    }
    void clear() { first_ = count_ = 0; }

  private:
    std::span<MemoryFrame> frames_;
    std::size_t first_ = 0;
    std::size_t count_ = 0;
};

struct MemoryCounters {
    std::uint64_t received = 0;     ///< frames
    std::uint64_t transmitted = 0;  ///< frames that reached the other end's queue
    std::uint64_t too_long = 0;     ///< longer than the MTU allows: taken and dropped
    std::uint64_t link_down = 0;    ///< taken while the link was down, and lost
};

/// One end. Its capabilities are what the owner says, but that it neither cuts (tso_max_bytes) nor coalesces.
class MemoryDevice final : public LinkDevice {
  public:
    /// `out` and `in` outlive the device. `peer` says whether a checksum that was left to the device must be
    /// completed, or only called verified: the bytes never leave memory.
    MemoryDevice(const LinkCapabilities& capabilities, const LinkCapabilities& peer, MemoryQueue& out,
                 MemoryQueue& in)
        : capabilities_(honest(capabilities)),
          peer_takes_verified_(peer.rx_checksum_verified),
          out_(&out),
          in_(&in) {}
    MemoryDevice(const MemoryDevice&) = delete;
    MemoryDevice& operator=(const MemoryDevice&) = delete;
    ~MemoryDevice() = default;

    [[nodiscard]] LinkCapabilities capabilities() const override { return capabilities_; }
    [[nodiscard]] LinkState link_state() const override { return up_ ? LinkState::up : LinkState::down; }

    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override {
        std::size_t n = 0;
        for (; n < frames.size() && in_->size() != 0; ++n) {
            const BufferIndex buffer = pool.allocate();
            if (buffer == no_buffer) break;
            const MemoryFrame& frame = in_->front();
            __builtin_memcpy(pool.bytes(buffer).data() + rx_offset, frame.bytes.data(), frame.length);
            frames[n] = {buffer, rx_offset, frame.length, frame.checksum_verified};
            in_->pop();
        }
        counters_.received += n;
        return n;
    }

    std::size_t transmit(std::span<const TxFrame> frames) override {
        std::size_t n = 0;
        for (; n < frames.size(); ++n) {
            const std::size_t length = frames[n].bytes();
            if (!up_) {
                ++counters_.link_down;
            } else if (length > std::size_t{capabilities_.mtu} + ethernet_bytes ||
                       frames[n].segment_bytes != 0) {
                ++counters_.too_long;
            } else if (out_->full()) {
                break;
            } else {
                put(frames[n], length, out_->back());
                out_->push();
                ++counters_.transmitted;
            }
        }
        return n;
    }

    [[nodiscard]] const MemoryCounters& counters() const { return counters_; }
    /// Frames that this end has not received yet.
    [[nodiscard]] std::size_t pending() const { return in_->size(); }
    void set_up(bool up) { up_ = up; }

  private:
    static constexpr std::uint16_t ethernet_bytes = 14;
    /// The IPv6 header behind those starts at a multiple of 16.
    static constexpr std::uint16_t rx_offset = 2;

    [[nodiscard]] static LinkCapabilities honest(LinkCapabilities c) {
        constexpr std::uint16_t mtu_max = packet_buffer_bytes - rx_offset - ethernet_bytes;
        if (c.mtu > mtu_max) c.mtu = mtu_max;
        c.tso_max_bytes = 0;
        c.rx_coalesces = false;
        c.multi_queue = false;
        return c;
    }

    void put(const TxFrame& from, std::size_t length, MemoryFrame& to) const {
        std::uint8_t* at = to.bytes.data();
        const auto append = [&at](ByteView bytes) {
            if (!bytes.empty()) __builtin_memcpy(at, bytes.data(), bytes.size());
            at += bytes.size();
        };
        append(from.header);
        for (const ByteView slice : from.payload) append(slice);
        to.length = static_cast<std::uint16_t>(length);
        to.checksum_verified = from.needs_checksum && peer_takes_verified_;
        if (from.needs_checksum && !peer_takes_verified_) {
            complete_checksum(MutableBytes(to.bytes).first(length), from.checksum_start,
                              from.checksum_offset);
        }
    }

    LinkCapabilities capabilities_;
    bool peer_takes_verified_;
    MemoryQueue* out_;
    MemoryQueue* in_;
    MemoryCounters counters_{};
    bool up_ = true;
};

/// What end a or b says when the owner does not: 1500 bytes, no offload, an address of its own.
[[nodiscard]] constexpr LinkCapabilities memory_capabilities(std::uint8_t last_mac_octet) {
    LinkCapabilities c;
    c.mac = {{0x02, 0x6b, 0x6e, 0x00, 0x00, last_mac_octet}};
    return c;
}

/// Both ends and the frames between them: `frames` of 2 KiB in each direction.
template <std::size_t frames = 64>
class MemoryLink {
    static_assert(frames > 0);

  public:
    explicit MemoryLink(const LinkCapabilities& a = memory_capabilities(0x0a),
                        const LinkCapabilities& b = memory_capabilities(0x0b))
        : a_(a, b, a_to_b_, b_to_a_), b_(b, a, b_to_a_, a_to_b_) {}
    MemoryLink(const MemoryLink&) = delete;
    MemoryLink& operator=(const MemoryLink&) = delete;
    ~MemoryLink() = default;

    [[nodiscard]] MemoryDevice& a() { return a_; }
    [[nodiscard]] MemoryDevice& b() { return b_; }
    /// A link that goes down loses what is under way, and everything sent until it is up again.
    void set_up(bool up) {
        a_.set_up(up);
        b_.set_up(up);
        if (up) return;
        a_to_b_.clear();
        b_to_a_.clear();
    }

  private:
    std::array<MemoryFrame, frames> storage_a_to_b_{};
    std::array<MemoryFrame, frames> storage_b_to_a_{};
    MemoryQueue a_to_b_{storage_a_to_b_};
    MemoryQueue b_to_a_{storage_b_to_a_};
    MemoryDevice a_;
    MemoryDevice b_;
};

}  // namespace keepnet::drivers
