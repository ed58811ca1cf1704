// Writes frames into a sink and keeps the checksum.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <expected>

#include <keepnet/checkpoint.hpp>

#include <capnp/message.h>
#include <kj/array.h>

#include "base/digest.hpp"
#include "checkpoint/format.hpp"

namespace keepnet::checkpoint {

class FrameWriter {
  public:
    explicit FrameWriter(Sink& sink) : sink_(&sink), scratch_(kj::heapArray<capnp::word>(first_segment_words)) {
        std::memset(scratch_.begin(), 0, scratch_.size() * sizeof(capnp::word));
    }

    std::expected<void, Failure> begin() {
        std::array<std::uint8_t, prelude_bytes> prelude{};
        std::copy(prelude_magic.begin(), prelude_magic.end(), prelude.begin());
        prelude[8] = format_major & 0xff;
        prelude[9] = format_major >> 8;
        prelude[10] = format_minor & 0xff;
        prelude[11] = format_minor >> 8;
        return put(prelude);
    }
    /// `fill(builder)` makes the message's root.
    template <class Fill>
    std::expected<void, Failure> frame(Fill&& fill) {
        capnp::MallocMessageBuilder builder(scratch_);  // clears what it used of the scratch at its end
        fill(builder);
        ++frames_;
        const auto segments = builder.getSegmentsForOutput();
        std::vector<std::uint32_t> table((segments.size() + 2) & ~std::size_t{1});
        table[0] = static_cast<std::uint32_t>(segments.size() - 1);
        for (std::size_t i = 0; i < segments.size(); ++i) {
            table[i + 1] = static_cast<std::uint32_t>(segments[i].size());
        }
        std::vector<std::uint8_t> bytes(4 * table.size());
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            bytes[i] = static_cast<std::uint8_t>(table[i / 4] >> (8 * (i % 4)));
        }
        if (auto ok = put(bytes); !ok) return ok;
        for (const auto& segment : segments) {
            const auto raw = segment.asBytes();
            if (auto ok = put({raw.begin(), raw.size()}); !ok) return ok;
        }
        return {};
    }
    std::expected<void, Failure> end() {
        if (auto ok = put(ending_magic); !ok) return ok;
        const std::uint64_t value = digest_.value();
        std::array<std::uint8_t, 8> checksum{};
        for (std::size_t i = 0; i < 8; ++i) checksum[i] = static_cast<std::uint8_t>(value >> (8 * i));
        return sink_->write(checksum);
    }
    [[nodiscard]] std::uint64_t frames() const { return frames_; }

  private:
    std::expected<void, Failure> put(ByteView bytes) {
        digest_.add(bytes.data(), bytes.size());
        return sink_->write(bytes);
    }

    Sink* sink_;
    kj::Array<capnp::word> scratch_;
    Digest digest_{};
    std::uint64_t frames_ = 0;
};

}  // namespace keepnet::checkpoint
