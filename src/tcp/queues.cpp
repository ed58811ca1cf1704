#include "tcp/queues.hpp"

namespace keepnet::tcp {

namespace {

Seq end_of(const SliceNodeState& n) { return n.seq + n.slice.length; }

/// Takes the head out of the chain; its slice and slot stay the caller's business.
void unlink_head(ByteQueueState& q, const SliceNodeState& head) {
    q.head = head.next;
    if (!q.head) q.tail = {};
    --q.nodes;
    q.bytes -= head.slice.length;
}

void link_tail(World& w, ByteQueueState& q, std::uint32_t node, std::uint32_t bytes) {
    if (q.tail) {
        w.slice_nodes.edit(q.tail.index()).next = Link::to(node);
    } else {
        q.head = Link::to(node);
    }
    q.tail = Link::to(node);
    ++q.nodes;
    q.bytes += bytes;
}

void free_node(World& w, std::uint32_t node) {
    w.pool.release(w.slice_nodes.get(node).slice.buffer);
    w.slice_nodes.destroy(node);
}

/// Bytes that still fit behind the tail in its own buffer; 0 unless the tail ends where that buffer is filled
/// to.
std::uint32_t room_behind_tail(const World& w, const ByteQueueState& q) {
    if (!q.tail) return 0;
    const Slice& s = w.slice_nodes.get(q.tail.index()).slice;
    const std::uint32_t end = std::uint32_t{s.offset} + s.length;
    return end == w.pool.used(s.buffer) ? packet_buffer_bytes - end : 0;
}

/// Behind `after` (empty: as the head). The reference of the slice passes.
bool insert_node(World& w, ByteQueueState& q, Link after, Seq seq, const Slice& slice) {
    const auto handle = w.slice_nodes.create();
    if (!handle) return false;
    const std::uint32_t node = handle.index();
    const Link next = after ? w.slice_nodes.get(after.index()).next : q.head;
    w.slice_nodes.edit(node) = {slice, seq, next};
    if (after) {
        w.slice_nodes.edit(after.index()).next = Link::to(node);
    } else {
        q.head = Link::to(node);
    }
    if (!next) q.tail = Link::to(node);
    ++q.nodes;
    q.bytes += slice.length;
    return true;
}

}  // namespace

bool append_slice(World& w, ByteQueueState& q, Seq seq, const Slice& slice) {
    const auto handle = w.slice_nodes.create();
    if (!handle) return false;
    SliceNodeState& node = w.slice_nodes.edit(handle.index());
    node.slice = slice;
    node.seq = seq;
    link_tail(w, q, handle.index(), slice.length);
    return true;
}

std::uint32_t append_bytes(World& w, ByteQueueState& q, Seq seq, ByteView data, PoolUse use) {
    std::uint32_t taken = 0;
    if (!data.empty() && room_behind_tail(w, q) != 0) {
        SliceNodeState& tail = w.slice_nodes.edit(q.tail.index());
        const Slice more = w.pool.append(tail.slice.buffer, data);
        tail.slice.length = static_cast<std::uint16_t>(tail.slice.length + more.length);
        q.bytes += more.length;
        taken = more.length;
    }
    while (taken < data.size()) {
        BufferRef buffer(w.pool, w.pool.allocate(use));
        if (!buffer) break;
        const Slice slice = w.pool.append(buffer.get(), data.subspan(taken));
        if (!append_slice(w, q, seq + taken, slice)) break;
        (void)buffer.take();
        taken += slice.length;
    }
    return taken;
}

bool append_payload(World& w, ByteQueueState& q, Seq seq, const Slice& payload) {
    if (payload.length < pack_below_bytes) {
        // Whole or not at all: the rest of the tail's buffer, or one new one, holds it.
        const bool fits = room_behind_tail(w, q) >= payload.length ||
                          (w.pool.may_take(PoolUse::send) && w.slice_nodes.available() != 0);
        if (fits) {
            const std::uint32_t taken = append_bytes(w, q, seq, w.pool.view(payload), PoolUse::send);
            KEEPNET_ASSERT(taken == payload.length);
            return true;
        }
    }
    if (!append_slice(w, q, seq, payload)) return false;
    w.pool.retain(payload.buffer);
    return true;
}

void trim_front(World& w, ByteQueueState& q, std::uint32_t bytes, Link* cursor) {
    KEEPNET_ASSERT(bytes <= q.bytes);
    while (bytes != 0) {
        const Link head = q.head;
        const SliceNodeState& node = w.slice_nodes.get(head.index());
        if (node.slice.length <= bytes) {
            bytes -= node.slice.length;
            unlink_head(q, node);
            free_node(w, head.index());
            if (cursor != nullptr && *cursor == head) *cursor = q.head;
        } else {
            SliceNodeState& edited = w.slice_nodes.edit(head.index());
            edited.slice.offset = static_cast<std::uint16_t>(edited.slice.offset + bytes);
            edited.slice.length = static_cast<std::uint16_t>(edited.slice.length - bytes);
            edited.seq += bytes;
            q.bytes -= bytes;
            bytes = 0;
        }
    }
}

void clear_queue(World& w, ByteQueueState& q) {
    while (q.head) {
        const std::uint32_t head = q.head.index();
        unlink_head(q, w.slice_nodes.get(head));
        free_node(w, head);
    }
    q = {};
}

Gathered gather(const World& w, const ByteQueueState& q, Link cursor, Seq from, std::uint32_t bytes) {
    Gathered g;
    Link at = cursor && before_eq(w.slice_nodes.get(cursor.index()).seq, from) ? cursor : q.head;
    while (at && g.bytes < bytes && g.count < g.slices.size()) {
        const SliceNodeState& node = w.slice_nodes.get(at.index());
        const std::uint32_t skip = from + g.bytes - node.seq;
        if (skip < node.slice.length) {
            const std::uint32_t left = node.slice.length - skip;
            const std::uint32_t want = bytes - g.bytes;
            const std::uint32_t take = left < want ? left : want;
            g.slices[g.count++] = {node.slice.buffer, static_cast<std::uint16_t>(node.slice.offset + skip),
                                   static_cast<std::uint16_t>(take)};
            g.bytes += take;
            g.cursor = at;
        }
        at = node.next;
    }
    return g;
}

Insertion insert_out_of_order(World& w, ByteQueueState& q, Seq seq, const Slice& payload,
                              std::uint32_t nodes_max) {
    bool kept = false;
    bool full = false;
    const Seq end = seq + payload.length;
    // Mostly it goes behind everything; else walk, over nodes_max nodes at most.
    Link before_gap{};
    Seq gap_start = seq;
    if (q.tail && before_eq(end_of(w.slice_nodes.get(q.tail.index())), seq)) before_gap = q.tail;
    Link next = before_gap ? Link{} : q.head;
    while (before(gap_start, end)) {
        const Seq gap_end = next ? min_seq(w.slice_nodes.get(next.index()).seq, end) : end;
        if (before(gap_start, gap_end)) {
            const std::uint32_t skip = gap_start - seq;
            const Slice part{payload.buffer, static_cast<std::uint16_t>(payload.offset + skip),
                             static_cast<std::uint16_t>(gap_end - gap_start)};
            if (q.nodes >= nodes_max || !insert_node(w, q, before_gap, gap_start, part)) {
                full = true;
                break;
            }
            w.pool.retain(payload.buffer);
            kept = true;
        }
        if (!next) break;
        const SliceNodeState& node = w.slice_nodes.get(next.index());
        gap_start = max_seq(gap_start, end_of(node));
        before_gap = next;
        next = node.next;
    }
    return kept ? Insertion::kept : full ? Insertion::full : Insertion::nothing_new;
}

std::uint32_t pull_in_order(World& w, ByteQueueState& out_of_order, ByteQueueState& receive, Seq nxt) {
    std::uint32_t pulled = 0;
    while (out_of_order.head) {
        const std::uint32_t head = out_of_order.head.index();
        const SliceNodeState& node = w.slice_nodes.get(head);
        if (after(node.seq, nxt + pulled)) break;
        const std::uint32_t overlap = nxt + pulled - node.seq;
        unlink_head(out_of_order, node);
        if (overlap >= node.slice.length) {
            free_node(w, head);
            continue;
        }
        SliceNodeState& moved = w.slice_nodes.edit(head);
        moved.slice.offset = static_cast<std::uint16_t>(moved.slice.offset + overlap);
        moved.slice.length = static_cast<std::uint16_t>(moved.slice.length - overlap);
        moved.seq += overlap;
        moved.next = {};
        link_tail(w, receive, head, moved.slice.length);
        pulled += moved.slice.length;
    }
    return pulled;
}

bool is_queue_sane(const World& w, const ByteQueueState& q, bool contiguous) {
    std::uint32_t nodes = 0;
    std::uint64_t bytes = 0;
    Link last{};
    Seq expected{};
    for (Link at = q.head; at; ++nodes) {
        if (nodes == q.nodes || !w.slice_nodes.is_live(at.index())) return false;
        const SliceNodeState& node = w.slice_nodes.get(at.index());
        const Slice& s = node.slice;
        if (s.buffer >= w.pool.capacity() || s.length == 0 || s.offset + s.length > packet_buffer_bytes) {
            return false;
        }
        if (last && (contiguous ? node.seq != expected : before(node.seq, expected))) return false;
        expected = end_of(node);
        bytes += s.length;
        last = at;
        at = node.next;
    }
    return nodes == q.nodes && bytes == q.bytes && last == q.tail;
}

}  // namespace keepnet::tcp
