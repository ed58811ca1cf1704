// What a step needs to be taken back (DURABILITY 10): of each object that it touches, the content before the first touch.
// One block of memory that the embedder gives and that outlives the process as the arena does. Free sets, tables, timers,
// reference counts are derived and rebuilt; bytes under a slice never change, and a buffer freed in a step is not reused in
// it (PacketPool): so the objects, and a few numbers of the arena's header, are all there is to save.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/arena.hpp"

namespace keepnet {

inline constexpr std::uint64_t undo_magic = 0x6f64'6e75'7465'6e6bU;  // "knetundo"

/// The start of the block; the entries follow. Plain numbers: another process, perhaps a hostile one, wrote them.
struct UndoBlock {
    std::uint64_t magic = 0;
    std::uint64_t layout_hash = 0;    ///< of the arena it belongs to
    std::uint64_t bytes = 0;          ///< of the whole block
    std::uint64_t step = 0;           ///< ArenaHeader::steps when the step began; one less than there: it has ended
    std::uint64_t used = 0;           ///< bytes of entries; an entry counts when it is complete
    std::uint64_t overflow = 0;       ///< not 0: something found no room, the step cannot be taken back
    std::uint64_t generations = 0;    ///< ArenaHeader::generations at that instant
    std::uint64_t cut = 0;            ///< CutControl::current
    /// Objects saved lately, by a number that names step, kind and slot. Two that share a place are saved again, no more.
    std::array<std::uint64_t, 512> seen{};
};

/// Ahead of each object's bytes; behind them its length in all, so that the last one is found first.
struct UndoEntry {
    std::uint32_t kind = 0;
    std::uint32_t index = 0;
    std::uint64_t bytes = 0;          ///< of the object; 0: the slot was free
    std::array<std::uint64_t, 2> meta{};
};

inline constexpr std::size_t undo_entries_at = (sizeof(UndoBlock) + cache_line - 1) & ~(cache_line - 1);

constexpr std::size_t undo_entry_bytes(std::size_t object) {
    return sizeof(UndoEntry) + ((object + 7) & ~std::size_t{7}) + sizeof(std::uint64_t);
}

/// Nothing before it may be moved behind it by the compiler, nor the other way: a process that dies leaves memory as the
/// program wrote it, in its order.
inline void undo_fence() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

inline void undo_begin(UndoBlock& log, std::uint64_t step, std::uint64_t generations, std::uint64_t cut) {
    log.used = 0;
    log.overflow = 0;
    if ((step & 0xffff'ffff) == 0) log.seen.fill(0);  // the numbers in it begin anew
    log.generations = generations;
    log.cut = cut;
    undo_fence();
    log.step = step;
    undo_fence();
}

/// Before a slot is changed. `meta`: 16 bytes.
inline void undo_save(UndoBlock& log, std::uint32_t kind, std::uint32_t index, const void* meta, const void* object,
                      std::size_t bytes) {
    const std::uint64_t name = log.step << 32 | std::uint64_t{kind} << 24 | index;
    std::uint64_t& seen = log.seen[(index * 31U + kind * 97U) % log.seen.size()];
    if (seen == name + 1) return;
    const std::size_t length = undo_entry_bytes(bytes);
    if (log.bytes - undo_entries_at - log.used < length) {
        log.overflow = 1;
        undo_fence();
        return;
    }
    std::byte* at = reinterpret_cast<std::byte*>(&log) + undo_entries_at + log.used;
    UndoEntry entry{kind, index, bytes, {}};
    std::memcpy(entry.meta.data(), meta, sizeof entry.meta);
    std::memcpy(at, &entry, sizeof entry);
    if (bytes != 0) std::memcpy(at + sizeof entry, object, bytes);
    const std::uint64_t footer = length;
    std::memcpy(at + length - sizeof footer, &footer, sizeof footer);
    undo_fence();
    log.used += length;
    undo_fence();
    seen = name + 1;
}

/// Would a step do well to end here?
[[nodiscard]] inline bool is_undo_half_full(const UndoBlock& log) {
    return log.overflow != 0 || log.used > (log.bytes - undo_entries_at) / 2;
}

}  // namespace keepnet
