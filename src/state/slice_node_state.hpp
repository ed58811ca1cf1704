// Entry of every byte queue: one stretch of one packet buffer. Queues are singly linked; head, tail and counts are in
// the object that owns the queue. The bytes under a slice never change while it is queued.
#pragma once

#include <cstdint>

#include "base/handle.hpp"
#include "base/packet_pool.hpp"
#include "base/seq.hpp"
#include "base/slab.hpp"

namespace keepnet {

struct SliceNodeState {
    Slice slice{};     ///< holds one reference
    Seq seq{};         ///< sequence number of its first byte
    Link next{};
};

/// With the bytes under it.
template <>
inline constexpr std::size_t delta_bytes_max<SliceNodeState> = sizeof(SliceNodeState) + packet_buffer_bytes + 96;

/// `bytes` is the sum over the nodes; a consumed prefix of the head is cut off its slice.
struct ByteQueueState {
    Link head{};
    Link tail{};
    std::uint32_t nodes = 0;
    std::uint32_t bytes = 0;
};

}  // namespace keepnet
