#include "durability/undo.hpp"

#include <cstring>

#include <keepnet/stack.hpp>

namespace keepnet::durability {
namespace {

struct Record {
    const UndoBlock& log;
    std::uint64_t used;

    /// The entry that ends at `end`; false: there cannot be one.
    bool entry_before(std::uint64_t end, UndoEntry& entry, const std::byte*& object, std::uint64_t& start) const {
        const std::byte* entries = reinterpret_cast<const std::byte*>(&log) + undo_entries_at;
        std::uint64_t length = 0;
        if (end % 8 != 0 || end < undo_entry_bytes(0)) return false;
        std::memcpy(&length, entries + end - sizeof length, sizeof length);
        if (length < undo_entry_bytes(0) || length > end) return false;
        start = end - length;
        std::memcpy(&entry, entries + start, sizeof entry);
        object = entries + start + sizeof entry;
        return entry.bytes <= length && undo_entry_bytes(static_cast<std::size_t>(entry.bytes)) == length;
    }
};

bool fits(World& w, const UndoEntry& entry) {
    bool fits = false;
    w.for_each_slab([&](auto& slab) {
        if (slab.kind() != entry.kind) return;
        fits = entry.index < slab.capacity() && (entry.bytes == 0 || entry.bytes == slab.object_bytes());
    });
    return fits;
}

void put_back(World& w, const UndoEntry& entry, const std::byte* object) {
    w.for_each_slab([&](auto& slab) {
        if (slab.kind() == entry.kind) slab.put_back(entry.index, entry.meta, object, static_cast<std::size_t>(entry.bytes));
    });
}

/// f(entry, object) from the last to the first; false: the record is no record, or f said so.
template <class F>
bool for_each_entry(const Record& record, F&& f) {
    for (std::uint64_t end = record.used; end != 0;) {
        UndoEntry entry;
        const std::byte* object = nullptr;
        if (!record.entry_before(end, entry, object, end) || !f(entry, object)) return false;
    }
    return true;
}

}  // namespace

std::size_t undo_bytes(World& w) {
    std::size_t bytes = undo_entries_at;
    w.for_each_slab([&](auto& slab) { bytes += slab.capacity() * undo_entry_bytes(slab.object_bytes()); });
    return bytes;
}

UndoBlock* make_undo_block(std::span<std::byte> memory, std::uint64_t layout_hash) {
    constexpr std::size_t entries_min = 16U * 1024;  // one event touches a handful of objects
    if (reinterpret_cast<std::uintptr_t>(memory.data()) % arena_alignment != 0) return nullptr;
    if (memory.size() < undo_entries_at + entries_min) return nullptr;
    auto* log = reinterpret_cast<UndoBlock*>(memory.data());
    *log = {};
    log->step = UINT64_MAX;  // of no step yet
    log->layout_hash = layout_hash;
    log->bytes = memory.size();
    undo_fence();
    log->magic = undo_magic;
    return log;
}

std::expected<void, Error> take_back_step(World& w, std::span<std::byte> undo) {
    ArenaHeader& header = *w.header;
    if (reinterpret_cast<std::uintptr_t>(undo.data()) % arena_alignment != 0 || undo.size() < undo_entries_at) {
        return std::unexpected(Error::arena_in_step);
    }
    auto& log = *reinterpret_cast<UndoBlock*>(undo.data());
    if (log.magic != undo_magic || log.layout_hash != header.layout_hash || log.bytes > undo.size() ||
        log.bytes < undo_entries_at) {
        return std::unexpected(Error::arena_in_step);
    }
    if (log.step + 1 == header.steps) {  // died behind its last word: it is done
        header.in_step = 0;
        return {};
    }
    if (log.step != header.steps || log.overflow != 0) return std::unexpected(Error::arena_in_step);
    const Record record{log, log.used};
    if (record.used > log.bytes - undo_entries_at || log.generations > handle_generation_max ||
        log.cut > header.cuts.current || log.cut == 0 ||
        !for_each_entry(record, [&](const UndoEntry& entry, const std::byte*) { return fits(w, entry); })) {
        return std::unexpected(Error::arena_damaged);
    }
    // The oldest copy of what was saved twice comes last.
    (void)for_each_entry(record, [&](const UndoEntry& entry, const std::byte* object) {
        put_back(w, entry, object);
        return true;
    });
    header.generations = log.generations;
    header.cuts = {.current = log.cut, .outstanding = {}};  // no cut outlives the process that took it
    // Counts may be those of the middle of a change, and whoever judges the state looks at them.
    w.for_each_slab([](auto& slab) { slab.rebuild(); });
    undo_fence();
    header.in_step = 0;
    return {};
}

}  // namespace keepnet::durability
