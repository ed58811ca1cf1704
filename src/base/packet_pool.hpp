// Fixed-size, reference-counted packet buffers in the arena, named by index. A stretch of bytes in one is a Slice.
// A buffer that a cut still needs is parked when it is freed, and becomes free when the cut has been read
// (DURABILITY 5). Reserves keep one kind of use from starving another: frames and in-order data may take the last
// buffer, what the application sends and what can be had again (out of order, datagrams) stop earlier.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include <keepnet/assert.hpp>
#include <keepnet/bytes.hpp>
#include <keepnet/config.hpp>
#include <keepnet/link_device.hpp>

#include "base/arena.hpp"
#include "base/bit_tree.hpp"
#include "base/cut_control.hpp"

namespace keepnet {

/// A stretch of one buffer. The byte above the 24 index bits names the pool: 0, the arena's own, is the only one yet.
struct Slice {
    BufferIndex buffer = no_buffer;
    std::uint16_t offset = 0;
    std::uint16_t length = 0;
};

enum class PoolUse : std::uint8_t {
    receive,   ///< frames from a device, in-order data: down to the last buffer
    send,      ///< what the application sends: leaves a quarter
    optional,  ///< out-of-order data, datagrams, packets that wait for a neighbour, echo: leaves an eighth
};

class PacketPool {
  public:
    void place(ArenaCarver& carver, std::uint32_t buffers, CutControl* control) {
        capacity_ = buffers;
        control_ = control;
        counts_ = carver.take<Counts>(1);
        meta_ = carver.take<Meta>(buffers);
        bytes_ = carver.take<Buffer>(buffers);
        free_.place(carver, buffers);
    }
    void initialize() {
        free_.fill(true);
        *counts_ = {};
    }

    /// Freed buffers are parked until unpark() in all cases.
    void keep_freed(bool on) { keeps_freed_ = on; }

    [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
    /// Referenced buffers: 0 when no packet is anywhere.
    [[nodiscard]] std::uint32_t in_use() const { return counts_->in_use; }
    [[nodiscard]] std::uint32_t parked() const { return counts_->parked; }
    [[nodiscard]] std::uint32_t available() const { return capacity_ - counts_->in_use - counts_->parked; }
    [[nodiscard]] bool may_take(PoolUse use) const {
        const std::uint32_t floor = use == PoolUse::receive ? 0 : use == PoolUse::send ? capacity_ / 4 : capacity_ / 8;
        return available() > floor;
    }

    /// A buffer with one reference, or no_buffer.
    BufferIndex allocate(PoolUse use) {
        if (!may_take(use)) return no_buffer;
        const std::uint32_t i = free_.find(0);
        KEEPNET_ASSERT(i != BitTree::none);
        free_.clear(i);
        meta_[i] = {1, 0, 0, no_buffer, control_->current};
        ++counts_->in_use;
        return i;
    }
    void retain(BufferIndex i) {
        KEEPNET_ASSERT(i < capacity_ && meta_[i].references != 0 && meta_[i].references != 0xffff);
        ++meta_[i].references;
    }
    void release(BufferIndex i) {
        KEEPNET_ASSERT(i < capacity_ && meta_[i].references != 0);
        if (--meta_[i].references != 0) return;
        --counts_->in_use;
        // In a step that may be taken back, what it freed was not free at its start.
        if (keeps_freed_ || (control_->unread != 0 && meta_[i].born <= control_->unread)) {
            meta_[i].next_parked = counts_->first_parked;
            counts_->first_parked = i;
            ++counts_->parked;
        } else {
            free_.set(i);
        }
    }
    /// Frees up to `most` parked buffers once no cut is unread. Call it in every poll.
    void unpark(std::uint32_t most) {
        while (control_->unread == 0 && counts_->parked != 0 && most-- != 0) {
            const BufferIndex i = counts_->first_parked;
            counts_->first_parked = meta_[i].next_parked;
            --counts_->parked;
            free_.set(i);
        }
    }

    /// All of a buffer. Write only where nothing is queued yet: bytes under a slice never change.
    [[nodiscard]] MutableBytes buffer(BufferIndex i) { return {bytes_[i].bytes, packet_buffer_bytes}; }
    [[nodiscard]] ByteView view(const Slice& s) const { return {bytes_[s.buffer].bytes + s.offset, s.length}; }
    [[nodiscard]] std::uint16_t references(BufferIndex i) const { return meta_[i].references; }

    /// How much of the buffer is written; append() continues there. A buffer that a device filled is full.
    [[nodiscard]] std::uint16_t used(BufferIndex i) const { return meta_[i].used; }
    void set_used(BufferIndex i, std::uint16_t used) { meta_[i].used = used; }
    [[nodiscard]] std::uint32_t journaled(BufferIndex i) const { return meta_[i].journaled; }
    void note_journaled(const Slice& s) {
        std::uint32_t& journaled = meta_[s.buffer].journaled;
        if (journaled < std::uint32_t{s.offset} + s.length) journaled = std::uint32_t{s.offset} + s.length;
    }
    /// Copies as much of `data` as fits behind what is used; the slice may be shorter, and empty when full. The
    /// caller's reference covers it: retain once more for each further slice.
    Slice append(BufferIndex i, ByteView data) {
        const std::size_t room = packet_buffer_bytes - meta_[i].used;
        const auto n = static_cast<std::uint16_t>(data.size() < room ? data.size() : room);
        const Slice slice{i, meta_[i].used, n};
        if (n != 0) std::memcpy(bytes_[i].bytes + slice.offset, data.data(), n);
        meta_[i].used = static_cast<std::uint16_t>(meta_[i].used + n);
        return slice;
    }

    /// For decode and attach: nothing is referenced, nothing parked.
    void reset() {
        for (std::uint32_t i = 0; i < capacity_; ++i) meta_[i].references = 0;  // the free set may be damaged
        initialize();
    }
    /// For attach, behind reset(): one more reference to a buffer that a state object names. False: it cannot be.
    bool recount(const Slice& s) {
        if (s.buffer >= capacity_ || s.offset + s.length > packet_buffer_bytes) return false;
        if (meta_[s.buffer].references == 0) {
            free_.clear(s.buffer);
            ++counts_->in_use;
        }
        if (meta_[s.buffer].references == 0xffff) return false;
        ++meta_[s.buffer].references;
        return true;
    }

  private:
    struct Meta {
        std::uint16_t references;
        std::uint16_t used;
        std::uint32_t journaled;  ///< bytes below it are in the journal, or in the snapshot that it begins at
        BufferIndex next_parked;
        CutNumber born;  ///< CutControl::current when it was allocated
    };
    struct Counts {
        std::uint32_t in_use = 0;
        std::uint32_t parked = 0;
        BufferIndex first_parked = no_buffer;
    };
    struct Buffer {
        std::uint8_t bytes[packet_buffer_bytes];
    };

    Counts* counts_ = nullptr;
    Meta* meta_ = nullptr;
    Buffer* bytes_ = nullptr;
    CutControl* control_ = nullptr;
    BitTree free_;
    bool keeps_freed_ = false;
    std::uint32_t capacity_ = 0;
};

/// Owns one reference to a buffer while code works on it. State keeps bare slices and releases by hand.
class BufferRef {
  public:
    BufferRef() = default;
    /// Adopts the reference that allocate() gave.
    BufferRef(PacketPool& pool, BufferIndex buffer) : pool_(&pool), buffer_(buffer) {}
    BufferRef(BufferRef&& other) noexcept : pool_(other.pool_), buffer_(std::exchange(other.buffer_, no_buffer)) {}
    BufferRef& operator=(BufferRef&& other) noexcept {
        if (this != &other) {
            reset();
            pool_ = other.pool_;
            buffer_ = std::exchange(other.buffer_, no_buffer);
        }
        return *this;
    }
    BufferRef(const BufferRef&) = delete;
    BufferRef& operator=(const BufferRef&) = delete;
    ~BufferRef() { reset(); }

    [[nodiscard]] BufferIndex get() const { return buffer_; }
    explicit operator bool() const { return buffer_ != no_buffer; }
    /// The reference passes to the caller.
    [[nodiscard]] BufferIndex take() { return std::exchange(buffer_, no_buffer); }
    void reset() {
        if (buffer_ != no_buffer) pool_->release(std::exchange(buffer_, no_buffer));
    }

  private:
    PacketPool* pool_ = nullptr;
    BufferIndex buffer_ = no_buffer;
};

}  // namespace keepnet
