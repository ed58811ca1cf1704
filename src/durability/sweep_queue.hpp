// The way of a cut's content from the polling thread to whoever encodes it: a ring of bytes in the arena, one writer,
// one reader, no lock. And the records of cuts that wait for their commit.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <keepnet/config.hpp>
#include <keepnet/time.hpp>

#include "base/arena.hpp"
#include "base/cut_control.hpp"
#include "state/kinds.hpp"
#include "state/neighbor_state.hpp"

namespace keepnet::durability {

/// What a cut has to remember until it is committed or abandoned; beside CutControl::outstanding.
struct CutRecord {
    CutNumber cut = 0;                        ///< 0: free place
    CutNumber earlier = 0;                    ///< the other cut that was outstanding when this one was taken
    Instant taken{};
    std::int64_t wire_clock_reserved_ns = 0;  ///< no TSval and no ISN above it may leave before a later commit
    std::uint64_t generations = 0;            ///< ArenaHeader::generations at the cut
    std::uint64_t id = 0;                     ///< of the state at the cut; never 0 for one that was taken here
    CutNumber since = 0;                      ///< only what changed behind that cut is swept; 0: everything
    std::uint64_t since_id = 0;               ///< the id of that cut
};

/// A cut that increments may start from.
struct KnownCut {
    CutNumber cut = 0;
    std::uint64_t id = 0;
};

/// One object as it was at the cut.
struct ImageHeader {
    StateKind kind = StateKind::invalid;  ///< invalid: the end of the cut, or what filled up the ring
    std::uint16_t flags = 0;
    std::uint32_t size = 0;               ///< bytes of the object behind this header
    std::uint32_t index = 0;
    CutNumber stamp = 0;
    std::uint64_t generation = 0;
    /// Of each slice's buffer, how much was written (PacketPool::used), as the sweep saw it.
    std::array<std::uint16_t, pending_slices> used{};
};

struct Image {
    static constexpr std::uint16_t wrap = 1;     ///< the rest of the ring is empty
    static constexpr std::uint16_t end = 2;      ///< that was the last object
    static constexpr std::uint16_t overrun = 4;  ///< the cut cannot be completed
    static constexpr std::uint16_t freed = 8;    ///< of an increment: there was nothing in this slot
    ImageHeader header{};
    std::span<const std::byte> bytes{};          ///< aligned to 8; good until it is popped
};

class SweepQueue {
  public:
    void place(ArenaCarver& carver, const CapacityConfig& capacity) {
        size_ = std::bit_ceil(std::size_t{capacity.sweep_queue_bytes} < bytes_min ? bytes_min
                                                                                  : capacity.sweep_queue_bytes);
        control_ = carver.take<Control>(1);
        ring_ = carver.take<std::byte>(size_);
    }
    /// Empty, and no cut is on record. Only while nobody reads.
    void initialize() { *control_ = {}; }

    // --- the polling thread ---

    /// False: no room yet.
    bool push(const ImageHeader& header, std::span<const std::byte> bytes);
    /// What nobody has read is forgotten. Only while nobody reads.
    void clear() { control_->read = control_->written; }
    [[nodiscard]] std::array<CutRecord, 2>& records() const { return control_->records; }
    /// The last cuts that were not given up, since this arena holds this stack. What was freed before is not known.
    [[nodiscard]] std::array<KnownCut, 8>& known() const { return control_->known; }
    /// The last cut whose reader has said that it is through.
    [[nodiscard]] CutNumber last_read() const {
        return std::atomic_ref(control_->done).load(std::memory_order_acquire);
    }

    // --- the reader, on any one thread ---

    [[nodiscard]] std::optional<Image> front() const;
    void pop();
    void say_read(CutNumber cut) { std::atomic_ref(control_->done).store(cut, std::memory_order_release); }

  private:
    static constexpr std::size_t bytes_min = 65536;
    struct Control {
        alignas(cache_line) std::uint64_t written = 0;
        alignas(cache_line) std::uint64_t read = 0;
        CutNumber done = 0;
        alignas(cache_line) std::array<CutRecord, 2> records{};
        std::array<KnownCut, 8> known{};
    };
    static std::size_t padded(std::size_t n) { return (n + 7) & ~std::size_t{7}; }
    [[nodiscard]] std::byte* at(std::uint64_t position) const { return ring_ + (position & (size_ - 1)); }

    Control* control_ = nullptr;
    std::byte* ring_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace keepnet::durability
