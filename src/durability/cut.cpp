#include "durability/cut.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "base/siphash.hpp"

namespace keepnet::durability {
namespace {

constexpr std::uint32_t unpark_most = 4096;  ///< buffers that one poll frees: a bound on its length

/// Nobody needs the unread cut any more.
void end_reading(World& w, SweepQueue& queue) {
    CutControl& cuts = w.cuts();
    if (cuts.sweeping) w.for_each_slab([](auto& slab) { slab.forget_shadows(); });
    cuts.sweeping = false;
    cuts.overrun = false;
    cuts.unread = 0;
    queue.clear();
}

void notice_reader(World& w, SweepQueue& queue) {
    if (w.cuts().unread != 0 && queue.last_read() == w.cuts().unread) end_reading(w, queue);
}

bool end_sweep(World& w, SweepQueue& queue, std::uint16_t flags) {
    if (!queue.push({.flags = flags}, {})) return true;
    w.for_each_slab([](auto& slab) { slab.forget_shadows(); });
    w.cuts().sweeping = false;
    return false;
}

void note_used(const PacketPool& pool, const SliceNodeState& node, ImageHeader& header) {
    header.used[0] = pool.used(node.slice.buffer);
}
void note_used(const PacketPool& pool, const DatagramState& datagram, ImageHeader& header) {
    if (datagram.payload.length != 0) header.used[0] = pool.used(datagram.payload.buffer);
}
void note_used(const PacketPool& pool, const PendingPacketState& packet, ImageHeader& header) {
    for (std::size_t i = 0; i < packet.slice_count; ++i) header.used[i] = pool.used(packet.slices[i].buffer);
}
template <class T>
void note_used(const PacketPool&, const T&, ImageHeader&) {}

/// What slot `sweep_index` held. False: the queue has no room.
template <class T>
bool push_image(World& w, SweepQueue& queue, const Slab<T>& slab, CutNumber since) {
    const std::uint32_t index = w.cuts().sweep_index;
    ImageHeader header{.kind = static_cast<StateKind>(slab.kind()), .index = index};
    const auto image = slab.at_cut(index);
    if (image.value == nullptr) {
        header.flags = Image::freed;  // or was not taken yet: then there is nothing to free
        return since == 0 || queue.push(header, {});
    }
    if (since != 0 && image.stamp <= since) return true;
    header.stamp = image.stamp;
    header.generation = image.generation;
    note_used(w.pool, *image.value, header);
    return queue.push(header, std::as_bytes(std::span(image.value, 1)));
}

/// False: the budget or the queue's room is used up; the place is in CutControl.
template <class T>
bool sweep_slab(World& w, SweepQueue& queue, const Slab<T>& slab, std::uint32_t& budget) {
    CutControl& cuts = w.cuts();
    if (slab.kind() < cuts.sweep_kind) return true;
    if (slab.kind() > cuts.sweep_kind) {
        cuts.sweep_kind = slab.kind();
        cuts.sweep_index = 0;
    }
    const CutNumber since = record_of(queue, cuts.unread).since;
    for (;; ++cuts.sweep_index) {
        // What is skipped needs no copy either. A slot that changed behind the cut alone is found, too.
        if (since != 0) cuts.sweep_index = std::min(slab.next_changed(cuts.sweep_index, since), slab.high_water());
        if (cuts.sweep_index >= slab.high_water()) break;
        if (budget == 0) return false;
        --budget;
        if (!push_image(w, queue, slab, since)) return false;
    }
    ++cuts.sweep_kind;
    cuts.sweep_index = 0;
    return true;
}

/// Differs between cuts of different runs, also of two that went on from one snapshot: cuts of the same number are told
/// apart by what was counted, by the time, and by the entropy that each restore mixes in.
std::uint64_t state_id(const World& w, Instant now) {
    static_assert(sizeof(Statistics) % 8 == 0 && std::has_unique_object_representations_v<Statistics>);
    const RandomState& r = w.stack().random;
    const auto word = [&](std::size_t i) { return std::uint64_t{r.key[i]} << 32 | r.key[i + 1]; };
    std::array<std::uint64_t, sizeof(Statistics) / 8 + 6> words{w.cuts().current,   static_cast<std::uint64_t>(now.ns),
                                                                w.stack().restarts, w.header->generations,
                                                                word(4),            word(6)};
    std::memcpy(&words[6], &w.statistics.get(0U), sizeof(Statistics));
    const std::uint64_t id = hash24_words({word(0), word(2)}, words);
    return id == 0 ? 1 : id;
}

}  // namespace

std::expected<CutNumber, Error> cut(World& w, SweepQueue& queue, Instant now, CutNumber since) {
    notice_reader(w, queue);
    CutControl& cuts = w.cuts();
    if (cuts.unread != 0) return std::unexpected(Error::cut_unread);
    const auto place = std::ranges::find(cuts.outstanding, CutNumber{0});
    if (place == cuts.outstanding.end() || cuts.current >= cut_number_max) return std::unexpected(Error::too_many_cuts);

    const std::uint64_t since_id = since == 0 ? 0 : id_of(queue, since);
    if (since != 0 && since_id == 0) return std::unexpected(Error::unknown_cut);

    const std::uint64_t id = state_id(w, now);
    const CutNumber n = cuts.current++;
    *place = n;
    const auto i = static_cast<std::size_t>(place - cuts.outstanding.begin());
    const std::int64_t reserved = wire_clock_ns(w.stack(), now) + w.config().tcp.timestamp_reservation.ns;
    queue.records()[i] = {n, cuts.outstanding[1 - i], now, reserved, w.header->generations, id, since, since_id};
    *std::ranges::min_element(queue.known(), {}, &KnownCut::cut) = {n, id};
    cuts.unread = n;
    cuts.sweeping = true;
    cuts.sweep_kind = 0;
    cuts.sweep_index = 0;
    cuts.overrun = false;
    ++w.count().cuts;  // behind the cut: not in it
    return n;
}

bool sweep(World& w, SweepQueue& queue, std::uint32_t budget) {
    notice_reader(w, queue);
    w.pool.unpark(unpark_most);
    CutControl& cuts = w.cuts();
    if (!cuts.sweeping) return false;
    if (cuts.overrun) return end_sweep(w, queue, Image::overrun);
    bool finished = true;
    w.for_each_slab([&](auto& slab) { finished = finished && sweep_slab(w, queue, slab, budget); });
    return !finished || end_sweep(w, queue, Image::end);
}

bool is_outstanding(const World& w, CutNumber cut) {
    return cut != 0 && std::ranges::find(w.cuts().outstanding, cut) != w.cuts().outstanding.end();
}

void reserve_wire_clock(World& w, std::int64_t reserved_ns) {
    const std::int64_t ceiling = w.stack().wire_clock_ceiling_ns;
    w.edit_stack().wire_clock_ceiling_ns = ceiling == INT64_MAX ? reserved_ns : std::max(ceiling, reserved_ns);
}

void committed(World& w, SweepQueue& queue, CutNumber cut) {
    CutControl& cuts = w.cuts();
    // An embedder that preserves the arena itself commits without anybody having read the cut.
    if (cuts.unread != 0 && cuts.unread <= cut) end_reading(w, queue);
    for (std::size_t i = 0; i < cuts.outstanding.size(); ++i) {
        if (cuts.outstanding[i] == 0 || cuts.outstanding[i] > cut) continue;
        if (cuts.outstanding[i] == cut) {
            // Without held output there may never be another commit, and a stopped clock would spoil round-trip times.
            const StackState& stack = w.stack();
            if (holds_output(stack.default_policy) || stack.wire_clock_ceiling_ns != INT64_MAX) {
                reserve_wire_clock(w, queue.records()[i].wire_clock_reserved_ns);
            }
        }
        cuts.outstanding[i] = 0;
        queue.records()[i] = {};
        ++w.count().cuts_committed;
    }
}

void abandoned(World& w, SweepQueue& queue, CutNumber cut) {
    CutControl& cuts = w.cuts();
    if (cuts.unread == cut) end_reading(w, queue);
    for (std::size_t i = 0; i < cuts.outstanding.size(); ++i) {
        if (cuts.outstanding[i] != cut || cut == 0) continue;
        cuts.outstanding[i] = 0;
        queue.records()[i] = {};
        ++w.count().cuts_abandoned;
        for (KnownCut& known : queue.known()) {
            if (known.cut == cut) known = {};
        }
    }
}

std::uint64_t id_of(const SweepQueue& queue, CutNumber cut) {
    for (const KnownCut& known : queue.known()) {
        if (cut != 0 && known.cut == cut) return known.id;
    }
    return 0;
}

CutRecord record_of(const SweepQueue& queue, CutNumber cut) {
    for (const CutRecord& record : queue.records()) {
        if (record.cut == cut) return record;
    }
    return {};
}

CutReader::Got CutReader::next(Image& image) {
    const std::optional<Image> front = queue_->front();
    if (!front) return Got::nothing_yet;
    if ((front->header.flags & Image::end) != 0) return Got::end;
    if ((front->header.flags & Image::overrun) != 0) return Got::overrun;
    image = *front;
    return Got::image;
}

void CutReader::finish() {
    if (cut_ == 0) return;
    queue_->say_read(cut_);
    cut_ = 0;
}

}  // namespace keepnet::durability
