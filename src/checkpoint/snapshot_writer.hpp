// Objects -> frames. What an encoder takes out of a running stack, or a compaction out of other snapshots, becomes the
// same bytes here: objects by kind and ascending slot, in batches; then what they named.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <expected>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/codec.hpp"
#include "checkpoint/frame_writer.hpp"
#include "checkpoint/header_facts.hpp"
#include "checkpoint/kinds.hpp"

namespace keepnet::checkpoint {

class SnapshotWriter {
  public:
    using Done = std::expected<void, Failure>;

    struct Object {
        StateKind kind = StateKind::invalid;
        std::uint32_t index = 0;
        std::uint64_t generation = 0;
        CutNumber stamp = 0;
    };

    SnapshotWriter(const HeaderFacts& facts, Sink& sink) : facts_(facts), out_{facts.record.taken}, writer_(sink) {}

    Done begin();
    /// Does the batch have to be put before an object of `kind` is added?
    [[nodiscard]] bool must_put(StateKind kind) const {
        return !items_.empty() && (kind != kind_ || items_.size() == frame_objects_max ||
                                   payload_bytes_ >= frame_payload_bytes_max);
    }
    /// `value`: a T of that kind. `view(slice)`: its bytes, there until the batch is put. `used(i)`: PacketPool::used of
    /// the buffer under slice i.
    template <class T, class View, class Used>
    void add(const Object& object, const T& value, View&& view, Used&& used) {
        kind_ = object.kind;
        items_.push_back({object, raw_.size(), views_.size()});
        raw_.resize((raw_.size() + sizeof(T) + 7) & ~std::size_t{7});
        std::memcpy(raw_.data() + items_.back().at, &value, sizeof(T));
        auto& [objects, slots] = counts_[static_cast<std::size_t>(kind_) - 1];
        ++objects;
        slots = std::max(slots, object.index + 1);
        for_each_slice(value, [&](const Slice& slice, std::size_t i) {
            payload_bytes_ += slice.length;
            views_.push_back(view(slice));
            note_used(slice.buffer, used(i));
        });
    }
    Done put_batch();
    /// Of an increment: nothing is in this slot.
    void add_freed(StateKind kind, std::uint32_t index) {
        freed_[static_cast<std::size_t>(kind) - 1].push_back(index);
    }
    /// Behind the objects.
    Done put_freed();
    Done put_buffers();
    Done put_blob_part(const Blob& blob, std::size_t from, std::size_t bytes);
    /// The end of it.
    Done end(std::size_t blobs);

  private:
    struct Item {
        Object object;
        std::size_t at;    ///< offset in raw_
        std::size_t view;  ///< the first of its views_
    };
    struct Count {
        std::uint32_t objects = 0;
        std::uint32_t slots = 0;
    };

    void note_used(BufferIndex buffer, std::uint16_t used) {
        if (used_.size() <= buffer) used_.resize(buffer + 1);
        used_[buffer] = std::max(used_[buffer], static_cast<std::uint32_t>(used) + 1);
    }
    void fill(schema::Frame::Builder frame);
    template <class T, class M>
    void put_object(const Item& item, M m);
    template <class T, class List>
    void put_objects(List list);
    void put_payload(capnp::Data::Builder bytes) const;
    [[nodiscard]] std::uint32_t stamp_of(CutNumber stamp) const;
    Done put_freed_part(std::size_t kind, std::size_t from);

    HeaderFacts facts_;
    Out out_;
    FrameWriter writer_;
    StateKind kind_ = StateKind::invalid;  ///< of the batch
    std::vector<Item> items_{};
    std::vector<std::byte> raw_{};
    std::vector<ByteView> views_{};
    std::size_t payload_bytes_ = 0;
    std::vector<std::uint32_t> used_{};    ///< by buffer: 1 + PacketPool::used; 0: not named
    std::array<Count, state_kinds> counts_{};
    std::array<std::vector<std::uint32_t>, state_kinds> freed_{};
};

}  // namespace keepnet::checkpoint
