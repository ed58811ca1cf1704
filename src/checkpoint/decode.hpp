// Bytes -> state, in three stages: frames whose checksum is right (format.hpp); what headers and trailers promise, against
// each other and the config, before an arena is touched; the objects, then every invariant. What is decoded is a chain: a
// base and the increments on it, or a base alone.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/layer.hpp"
#include "durability/sweep_queue.hpp"
#include "state/world.hpp"

namespace keepnet::checkpoint {

/// Which layer has the last word on each slot. Empty for a chain of one.
class Merge {
  public:
    static constexpr std::size_t layers_max = 4096;

    [[nodiscard]] bool wins(std::size_t layer, StateKind kind, std::uint32_t slot) const {
        return is_single_ || layer_of(kind)[slot] == layer + 1;
    }
    /// Reads the layers' slots. Fails where they cannot be read.
    std::expected<void, Failure> read(std::span<const Layer> layers);
    [[nodiscard]] const std::array<Layer::Count, state_kinds>& counts() const { return counts_; }
    [[nodiscard]] std::uint32_t packet_buffers() const { return packet_buffers_; }

  private:
    struct Collector;
    struct BufferCounter;
    [[nodiscard]] const std::vector<std::uint16_t>& layer_of(StateKind kind) const {
        return layer_of_[static_cast<std::size_t>(kind) - 1];
    }

    bool is_single_ = true;
    std::array<std::vector<std::uint16_t>, state_kinds> layer_of_{};  ///< by slot: 1 + layer; 0: nothing is there
    std::array<Layer::Count, state_kinds> counts_{};
    std::uint32_t packet_buffers_ = 0;
};

class Decoder {
  public:
    /// First and second stage. Refuses layers that do not follow one another.
    static std::expected<Decoder, Failure> open(std::span<const ByteView> chain);
    static std::expected<Decoder, Failure> open(ByteView snapshot) { return open({&snapshot, 1}); }
    [[nodiscard]] std::span<const Layer> layers() const { return layers_; }
    /// The last layer's: what comes back is the state at its cut.
    [[nodiscard]] const HeaderFacts& header() const { return layers_.back().header; }
    [[nodiscard]] const Merge& merge() const { return merge_; }
    /// Does everything have a slot?
    [[nodiscard]] std::expected<void, Failure> check_capacity(const CapacityConfig& capacity) const;
    /// The smallest capacities that hold it; for a look at it.
    [[nodiscard]] CapacityConfig needed() const;
    /// Into an initialised, empty world. After a failure it holds nothing of use.
    std::expected<void, Failure> fill(World& w, durability::SweepQueue& queue, std::vector<Blob>& blobs) const;
    /// All layers as one base. `relative_to`: instants count from there instead of from the cut, to compare two states.
    std::expected<void, Failure> write(Sink& sink, std::optional<Instant> relative_to = {}) const;

  private:
    std::vector<Layer> layers_{};
    Merge merge_{};
};

/// Names the layer, where there are several.
Failure in_layer(Failure failure, std::size_t layer, std::size_t layers);

/// The blobs of a layer, as their frames come. `fail` says what does not fit.
class BlobReader {
  public:
    template <class Reader>
    void take(Reader& reader, schema::Blob::Reader m);
    [[nodiscard]] bool is_whole(std::uint32_t count) const { return rest_ == 0 && blobs.size() == count; }
    std::vector<Blob> blobs{};

  private:
    std::uint64_t rest_ = 0;
};

template <class Reader>
void BlobReader::take(Reader& reader, schema::Blob::Reader m) {
    const std::string_view name(m.getName().begin(), m.getName().size());
    const auto bytes = m.getBytes();
    if (rest_ == 0) {
        for (const Blob& blob : blobs) {
            if (blob.name == name) return reader.fail("two blobs of one name");
        }
        blobs.push_back({std::string(name), {}});
        rest_ = m.getSize();
    } else if (blobs.back().name != name || blobs.back().bytes.size() + rest_ != m.getSize()) {
        return reader.fail("parts of different blobs");
    }
    if (bytes.size() > rest_ || (bytes.size() == 0 && rest_ != 0)) return reader.fail("a blob of another size");
    blobs.back().bytes.insert(blobs.back().bytes.end(), bytes.begin(), bytes.end());
    rest_ -= bytes.size();
}

}  // namespace keepnet::checkpoint
