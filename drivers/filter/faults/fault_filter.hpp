// Wraps a device and makes a bad path of it, in both directions: frames are lost, come twice, late or out of
// order, and queue up behind a slow link. What happens to which frame is drawn from a seed. Each segment has
// a fate of its own: no offload passes. What is under way lies in the filter, not in the stack's pool, and
// dies with it, like frames on a wire.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include <keepnet/config.hpp>
#include <keepnet/link_device.hpp>
#include <keepnet/time.hpp>

namespace keepnet::drivers {

/// The same for both directions.
struct FaultConfig {
    std::function<Instant()> clock{};  ///< needed
    std::uint64_t seed = 1;
    std::uint32_t lost_ppm = 0;  ///< of a million frames
    std::uint32_t doubled_ppm = 0;
    std::uint32_t reordered_ppm = 0;  ///< these come `reordered_by` later than their turn
    Duration reordered_by{};
    Duration delay{};                   ///< of every frame
    std::uint64_t bits_per_second = 0;  ///< 0: as fast as it comes
    std::size_t queue_bytes =
        256U * 1024;  ///< that wait for the slow link; what comes on top of them is lost
    std::size_t frames_max =
        65536;  ///< under way, so that a long delay has an end; what comes on top is lost
};

struct FaultCounters {
    std::uint64_t frames = 0;      ///< that came into the filter
    std::uint64_t lost = 0;        ///< drawn
    std::uint64_t overflowed = 0;  ///< lost because a queue was full
    std::uint64_t doubled = 0;
    std::uint64_t reordered = 0;
};

class FaultFilter final : public LinkDevice {
  public:
    /// `inner` outlives the filter.
    FaultFilter(LinkDevice& inner, FaultConfig config);

    [[nodiscard]] LinkCapabilities capabilities() const override;
    [[nodiscard]] LinkState link_state() const override { return inner_.link_state(); }
    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override;
    std::size_t transmit(std::span<const TxFrame> frames) override;
    [[nodiscard]] DeviceState state() const override { return inner_.state(); }
    void restore(const DeviceState& state) override { inner_.restore(state); }

    /// When a frame that is under way arrives: poll the stack no later. `never`: there is none.
    [[nodiscard]] Instant next_arrival() const;
    [[nodiscard]] const FaultCounters& sent() const { return out_.counters; }
    [[nodiscard]] const FaultCounters& received() const { return in_.counters; }

  private:
    struct Frame {
        std::vector<std::uint8_t> bytes;
        bool checksum_verified = false;
    };
    struct Path {
        std::mt19937_64 random;
        /// By arrival; frames of one instant in their order.
        std::map<std::pair<Instant, std::uint64_t>, Frame> under_way{};
        std::uint64_t next_number = 0;
        Instant link_free{};  ///< when the slow link has sent what it was given
        FaultCounters counters{};
    };
    /// Buffers for what the inner device receives, until it is under way.
    class Buffers final : public FramePool {
      public:
        Buffers();
        BufferIndex allocate() override;
        MutableBytes bytes(BufferIndex i) override { return bytes_.at(i); }
        void release(BufferIndex i) override { free_.push_back(i); }

      private:
        std::vector<std::vector<std::uint8_t>> bytes_;
        std::vector<BufferIndex> free_;
    };

    void enter(Path& path, Frame frame, Instant now);
    void collect(Instant now);
    void hand_over(Instant now);

    LinkDevice& inner_;
    FaultConfig config_;
    Path out_;
    Path in_;
    Buffers buffers_{};
};

}  // namespace keepnet::drivers
