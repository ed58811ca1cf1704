// A stack's changes between two flushes of the journal, as entries: objects by kind and slot, field by field in the order
// of fields.hpp, and the bytes that came into packet buffers. Applied one behind the other to the snapshot that they
// began at, they give the state as it was at the last of them.
//
// New fields come last in their kind, so that an object of an older build is a prefix: what it lacks keeps its default.
#pragma once

#include <cstdint>
#include <expected>

#include <keepnet/error.hpp>

#include "durability/entry_writer.hpp"
#include "state/world.hpp"

namespace keepnet::durability {

struct DeltaFacts {
    CutNumber number = 0;                ///< the flush, as a cut number
    std::uint64_t generations = 0;       ///< ArenaHeader::generations
    std::int64_t wire_clock_reserved_ns = 0;
};

/// Everything that changed after `since`. Counters (Statistics) are left out: a restore has those of the snapshot. When the
/// writer is full afterwards nothing counts as written, and the caller rewinds it.
void append_delta(World& w, CutNumber since, std::uint8_t stack, const DeltaFacts& facts, EntryWriter& out);
/// What append_delta() wrote of buffers is taken as written from now on.
void commit_delta(World& w, CutNumber since);

/// One entry at or above Op::first_of_state, over the state that its predecessors left. Fails: journal_damaged.
std::expected<void, Error> apply(World& w, const EntryView& entry, DeltaFacts& facts);

}  // namespace keepnet::durability
