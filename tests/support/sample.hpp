// A small state in which every kind of object occurs, put together by hand.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "support/fields.hpp"
#include "stack/core.hpp"
#include "support/arena.hpp"
#include "support/sample_config.hpp"

namespace keepnet::test {

class Sample {
  public:
    Sample();
    explicit Sample(const StackConfig& config);

    Arena arena;
    StackConfig config;
    std::optional<Stack> stack{};

    [[nodiscard]] Core& core() { return stack->core(); }
    [[nodiscard]] World& w() { return stack->core().world; }

    /// A buffer with `bytes` of a pattern at `offset`; the slice holds its one reference.
    Slice slice(std::uint16_t offset, std::uint16_t bytes, std::uint8_t pattern);
    Link node(const Slice& slice, Seq seq, Link next);

  private:
    void add_network();
    void add_tcp();
    void add_udp();
};

using ObjectKey = std::pair<StateKind, std::uint32_t>;
struct ObjectValue {
    std::uint64_t generation = 0;
    std::vector<std::uint64_t> fields{};
    std::vector<std::uint8_t> payload{};
    friend bool operator==(const ObjectValue&, const ObjectValue&) = default;
};
using Content = std::map<ObjectKey, ObjectValue>;

/// `view(slice)` gives the bytes.
template <class S, class View>
ObjectValue value_of(std::uint64_t generation, const S& object, View&& view) {
    ObjectValue value{generation, flatten(object), {}};
    const auto add = [&](const Slice& slice) {
        const ByteView bytes = view(slice);
        value.payload.insert(value.payload.end(), bytes.begin(), bytes.end());
    };
    if constexpr (std::is_same_v<S, SliceNodeState>) add(object.slice);
    if constexpr (std::is_same_v<S, DatagramState>) {
        if (object.payload.length != 0) add(object.payload);
    }
    if constexpr (std::is_same_v<S, PendingPacketState>) {
        for (std::size_t i = 0; i < object.slice_count; ++i) add(object.slices[i]);
    }
    return value;
}

/// Everything in the slabs, with the bytes that it refers to.
Content content_of(World& w);

/// What is wrong with a state; empty: nothing.
std::string fault_of(const World& w);

/// A snapshot of the stack as it is; the cut is abandoned.
std::vector<std::uint8_t> snapshot_of(Stack& stack, const checkpoint::EncodeOptions& options = {});

/// The checksum of a snapshot whose bytes were tampered with, made right again.
void sign(std::vector<std::uint8_t>& snapshot);

}  // namespace keepnet::test
