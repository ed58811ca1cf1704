// Takes the step in which an arena's owner died back to its start (DURABILITY 10). The record was written by that owner
// (base/undo_log.hpp): hostile, like the arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include <keepnet/error.hpp>

#include "base/undo_log.hpp"
#include "state/world.hpp"

namespace keepnet::durability {

/// Bytes with which no step of this config is too large, but for objects that are saved twice.
std::size_t undo_bytes(World& w);

/// An empty record in the embedder's memory; null when it is too small or misaligned.
UndoBlock* make_undo_block(std::span<std::byte> memory, std::uint64_t layout_hash);

/// `w`: views of an arena whose header is right but for the step that is under way. Afterwards none is; done again after a
/// death in between, it does the same. Fails, and changes nothing: arena_in_step (no record of this step, or one that had
/// no room), arena_damaged (a record that cannot be).
std::expected<void, Error> take_back_step(World& w, std::span<std::byte> undo);

}  // namespace keepnet::durability
