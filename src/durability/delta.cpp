#include "durability/delta.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "base/planted.hpp"
#include "durability/fields.hpp"
#include "durability/resume.hpp"
#include "state/limits.hpp"

namespace keepnet::durability {
namespace {

template <class T>
inline constexpr bool is_in_deltas = !std::is_same_v<T, Statistics>;

// --- slices ---

template <class F>
void for_each_slice(const SliceNodeState& node, F&& f) {
    f(node.slice);
}
template <class F>
void for_each_slice(const DatagramState& datagram, F&& f) {
    if (datagram.payload.length != 0) f(datagram.payload);
}
template <class F>
void for_each_slice(const PendingPacketState& packet, F&& f) {
    for (std::size_t i = 0; i < packet.slice_count; ++i) f(packet.slices[i]);
}
template <class T, class F>
void for_each_slice(const T&, F&&) {}

// --- out ---

struct FieldWriter {
    EntryWriter& out;
    template <class T>
    void operator()(const T& field) const {
        static_assert(std::is_trivially_copyable_v<T>);
        out.put(&field, sizeof field);
    }
    void operator()(const Instant& t, Ages) const { (*this)(t); }
    /// A large table that mostly is empty.
    void operator()(const std::array<std::uint64_t, 64>& words) const {
        const std::uint8_t any = std::ranges::any_of(words, [](std::uint64_t word) { return word != 0; }) ? 1 : 0;
        out.put(&any, sizeof any);
        if (any != 0) out.put(words.data(), sizeof words);
    }
};

std::uint64_t slot_of(std::uint16_t kind, std::uint32_t index) { return std::uint64_t{kind} << 32 | index; }

/// The part of a slice that no earlier delta has written.
void append_bytes(const PacketPool& pool, std::uint8_t stack, const Slice& s, EntryWriter& out) {
    const std::uint32_t end = std::uint32_t{s.offset} + s.length;
    const std::uint32_t begin = std::max<std::uint32_t>(s.offset, pool.journaled(s.buffer));
    if (begin >= end || is_planted(Fault::lost_delta)) return;
    const Slice fresh{s.buffer, static_cast<std::uint16_t>(begin), static_cast<std::uint16_t>(end - begin)};
    out.append({.op = Op::bytes,
                .stack = stack,
                .handle = s.buffer,
                .value = begin | std::uint64_t{pool.used(s.buffer)} << 32},
               {pool.view(fresh)});
}

template <class T>
void append_slab(const World& w, const Slab<T>& slab, CutNumber since, std::uint8_t stack, EntryWriter& out) {
    slab.for_each_changed(since, [&](std::uint32_t i, bool is_live) {
        if (out.full()) return;
        const std::uint64_t slot = slot_of(slab.kind(), i);
        if (!is_live) return out.append({.op = Op::gone, .stack = stack, .handle = slot});
        const T& object = slab.get(i);
        out.begin({.op = Op::object, .stack = stack, .handle = slot, .value = slab.handle_of(i).generation()});
        for_each_field(object, FieldWriter{out});
        out.end();
        for_each_slice(object, [&](const Slice& s) { append_bytes(w.pool, stack, s, out); });
    });
}

// --- in ---

struct FieldReader {
    ByteView& rest;
    bool& cut_short;
    template <class T>
    void operator()(T& field) const {
        if (rest.empty()) return;  // an older build's object ends here
        if (rest.size() < sizeof field) {
            cut_short = true;
            rest = {};
            return;
        }
        std::memcpy(static_cast<void*>(&field), rest.data(), sizeof field);
        rest = rest.subspan(sizeof field);
    }
    void operator()(Instant& t, Ages) const { (*this)(t); }
    void operator()(std::array<std::uint64_t, 64>& words) const {
        std::uint8_t any = 0;
        (*this)(any);
        if (any != 0) (*this).operator()<std::array<std::uint64_t, 64>>(words);
    }
};

template <class T>
bool apply_object(Slab<T>& slab, std::uint32_t index, std::uint64_t generation, ByteView fields) {
    if (generation == 0 || generation > handle_generation_max) return false;
    if (slab.is_live(index)) slab.destroy(index);
    slab.create_at(index, generation);
    bool cut_short = false;
    for_each_field(slab.edit(index), FieldReader{fields, cut_short});
    return !cut_short && fields.empty();
}

bool apply_bytes(World& w, const EntryView& e) {
    const std::uint64_t offset = e.header.value & 0xffff'ffff;
    const std::uint64_t used = e.header.value >> 32;
    if (e.header.handle >= w.pool.capacity() || offset + e.result.size() > used || used > packet_buffer_bytes) return false;
    const auto buffer = static_cast<BufferIndex>(e.header.handle);
    if (!e.result.empty()) std::memcpy(w.pool.buffer(buffer).data() + offset, e.result.data(), e.result.size());
    w.pool.set_used(buffer, static_cast<std::uint16_t>(used));
    return true;
}

}  // namespace

void append_delta(World& w, CutNumber since, std::uint8_t stack, const DeltaFacts& facts, EntryWriter& out) {
    out.append({.op = Op::delta, .stack = stack}, {bytes_of(facts)});
    w.for_each_slab([&]<class T>(Slab<T>& slab) {
        if constexpr (is_in_deltas<T>) append_slab(w, slab, since, stack, out);
    });
}

void commit_delta(World& w, CutNumber since) {
    const auto note = [&]<class T>(const Slab<T>& slab) {
        slab.for_each_changed(since, [&](std::uint32_t i, bool is_live) {
            if (is_live) for_each_slice(slab.get(i), [&](const Slice& s) { w.pool.note_journaled(s); });
        });
    };
    note(w.slice_nodes), note(w.datagrams), note(w.pending_packets);
}

std::expected<void, Error> apply(World& w, const EntryView& e, DeltaFacts& facts) {
    const auto kind = static_cast<std::uint16_t>(e.header.handle >> 32);
    const auto index = static_cast<std::uint32_t>(e.header.handle);
    bool ok = true;
    switch (e.header.op) {
        case Op::delta:
            ok = e.result.size() >= sizeof facts;
            if (ok) std::memcpy(&facts, e.result.data(), sizeof facts);
            ok = ok && facts.number <= cut_number_max && facts.generations <= handle_generation_max &&
                 facts.wire_clock_reserved_ns >= 0 && facts.wire_clock_reserved_ns <= wire_clock_last_ns / 2;
            if (ok) {
                w.header->generations = std::max(w.header->generations, facts.generations);
                w.cuts().current = std::max(w.cuts().current, facts.number + 1);
            }
            break;
        case Op::object:
        case Op::gone: {
            bool found = false;
            w.for_each_slab([&]<class T>(Slab<T>& slab) {
                if (slab.kind() != kind || e.header.handle >> 48 != 0 || index >= slab.capacity()) return;
                if constexpr (!is_in_deltas<T>) return;
                found = true;
                if (e.header.op == Op::object) {
                    ok = apply_object(slab, index, e.header.value, e.result);
                } else if (slab.is_live(index)) {
                    slab.destroy(index);
                }
            });
            ok = ok && found;
            break;
        }
        case Op::bytes: ok = apply_bytes(w, e); break;
        case Op::cut:
        default: break;
    }
    return ok ? std::expected<void, Error>{} : std::unexpected(Error::journal_damaged);
}

}  // namespace keepnet::durability
