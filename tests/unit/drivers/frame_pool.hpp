// A pool for driver tests: buffers on the heap, so that the address sanitizer watches their ends.
#pragma once

#include <keepnet/config.hpp>
#include <keepnet/link_device.hpp>

#include "unit/hex.hpp"

namespace keepnet::test {

class HeapPool final : public FramePool {
  public:
    explicit HeapPool(std::size_t buffers)
        : buffers_(buffers, Bytes(packet_buffer_bytes)), taken_(buffers, false) {}

    BufferIndex allocate() override {
        for (std::size_t i = 0; i < taken_.size(); ++i) {
            if (taken_[i]) continue;
            taken_[i] = true;
            return static_cast<BufferIndex>(i);
        }
        return no_buffer;
    }
    MutableBytes bytes(BufferIndex i) override { return buffers_.at(i); }
    void release(BufferIndex i) override { taken_.at(i) = false; }

    [[nodiscard]] std::size_t free() const {
        std::size_t n = 0;
        for (const bool t : taken_) n += t ? 0 : 1;
        return n;
    }
    /// The frame's bytes; its buffer goes back.
    Bytes take(const RxFrame& frame) {
        const auto b = bytes(frame.buffer).subspan(frame.offset, frame.length);
        Bytes out(b.begin(), b.end());
        release(frame.buffer);
        return out;
    }

  private:
    std::vector<Bytes> buffers_;
    std::vector<bool> taken_;
};

/// Everything that is there, as bytes.
inline std::vector<Bytes> drain(LinkDevice& device, HeapPool& pool) {
    std::vector<Bytes> out;
    RxFrame frames[8];
    for (;;) {
        const std::size_t n = device.receive(pool, frames);
        if (n == 0) return out;
        for (std::size_t i = 0; i < n; ++i) out.push_back(pool.take(frames[i]));
    }
}

}  // namespace keepnet::test
