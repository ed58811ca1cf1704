// Bytes -> state, in three stages: frames whose checksum is right (format.hpp); what header and trailer promise, against
// the config, before an arena is touched; the objects, then every invariant.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/format.hpp"
#include "durability/sweep_queue.hpp"
#include "state/world.hpp"

namespace keepnet::checkpoint {

struct HeaderFacts {
    durability::CutRecord record{};
    durability::CutRecord earlier{};
    std::uint8_t earlier_place = 0;
    std::uint64_t epoch = 0;
    CutNumber stamp_base = 0;
    std::optional<std::int64_t> wall_clock_ns{};
    CapacityConfig capacity{};
};

class Decoder {
  public:
    /// First and second stage.
    static std::expected<Decoder, Failure> open(ByteView snapshot);
    [[nodiscard]] const Envelope& envelope() const { return envelope_; }
    [[nodiscard]] const HeaderFacts& header() const { return header_; }
    /// Does everything have a slot?
    [[nodiscard]] std::expected<void, Failure> check_capacity(const CapacityConfig& capacity) const;
    /// The smallest capacities that hold it; for a look at it.
    [[nodiscard]] CapacityConfig needed() const;
    /// Into an initialised, empty world. After a failure it holds nothing of use.
    std::expected<void, Failure> fill(World& w, durability::SweepQueue& queue, std::vector<Blob>& blobs) const;

  private:
    struct Filler;
    std::expected<void, Failure> read_header();
    std::expected<void, Failure> read_trailer();

    struct Count {
        std::uint32_t objects = 0;
        std::uint32_t slots = 0;
    };
    Envelope envelope_{};
    HeaderFacts header_{};
    std::array<Count, state_kinds> counts_{};
    std::uint32_t blobs_ = 0;
    std::uint32_t packet_buffers_ = 0;
};

}  // namespace keepnet::checkpoint
