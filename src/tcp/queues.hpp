// Byte queues: chains of slices of packet buffers (SliceNodeState), in the order of the stream. Every
// function that is given a slice to keep takes over the caller's reference when it succeeds, and only then.
#pragma once

#include <array>
#include <cstdint>

#include <keepnet/bytes.hpp>

#include "base/packet_pool.hpp"
#include "ip/request.hpp"
#include "state/slice_node_state.hpp"
#include "state/world.hpp"

namespace keepnet::tcp {

/// A payload smaller than this is copied and packed: the buffer it came in would hold more memory than bytes.
inline constexpr std::uint16_t pack_below_bytes = packet_buffer_bytes / 2;

/// Behind the tail. False: no node is free.
bool append_slice(World& w, ByteQueueState& q, Seq seq, const Slice& slice);
/// Copies into the tail's buffer, then into new ones. Returns how many bytes it took: fewer when buffers or
/// nodes of this use run out.
std::uint32_t append_bytes(World& w, ByteQueueState& q, Seq seq, ByteView data, PoolUse use);
/// Appends a received payload: copied when small, else its buffer is retained. False: no node or buffer.
bool append_payload(World& w, ByteQueueState& q, Seq seq, const Slice& payload);
/// Drops the first `bytes`, of which there must be so many. `cursor` (may be null) is kept off nodes that go.
void trim_front(World& w, ByteQueueState& q, std::uint32_t bytes, Link* cursor);
void clear_queue(World& w, ByteQueueState& q);

/// A stretch of a queue as slices to send.
struct Gathered {
    std::array<Slice, ip::output_slices> slices{};
    std::uint8_t count = 0;
    std::uint32_t bytes = 0;
    Link cursor{};  ///< the node of the last byte
};
/// As much of from..from+bytes as output_slices slices hold. `from` lies in the queue; `cursor` is a node at
/// or before it, or empty.
[[nodiscard]] Gathered gather(const World& w, const ByteQueueState& q, Link cursor, Seq from,
                              std::uint32_t bytes);

enum class Insertion : std::uint8_t { kept, nothing_new, full };
/// Keeps those parts of the payload that are not there yet; retains the buffer for each. `nodes_max`: of this
/// queue.
Insertion insert_out_of_order(World& w, ByteQueueState& q, Seq seq, const Slice& payload,
                              std::uint32_t nodes_max);
/// Moves what continues at `nxt` from the out-of-order queue to the receive queue; returns how many bytes.
std::uint32_t pull_in_order(World& w, ByteQueueState& out_of_order, ByteQueueState& receive, Seq nxt);

/// A chain that holds together: counts right, nodes and slices live, sequence numbers ascending without
/// overlap, and without a gap when `contiguous`. For what was decoded.
[[nodiscard]] bool is_queue_sane(const World& w, const ByteQueueState& q, bool contiguous);

}  // namespace keepnet::tcp
