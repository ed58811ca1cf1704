// Is this a state that may run? For decoded snapshots and for arenas that the embedder preserved itself (DURABILITY 10):
// whatever they hold, the answer is an error, never an assertion. Reads only, and only what it has checked before.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string_view>

#include <keepnet/error.hpp>

#include "base/siphash.hpp"
#include "durability/sweep_queue.hpp"
#include "state/world.hpp"

namespace keepnet::durability {

/// The header alone. `layout_hash` and `bytes`: of a carver over this build's arrays and this config.
/// Fails: arena_misaligned, arena_too_small, arena_foreign, arena_in_step.
std::expected<void, Error> check_header(std::span<const std::byte> arena, std::uint64_t layout_hash,
                                        std::size_t bytes);

/// What does not hold, and where.
struct Fault {
    StateKind kind = StateKind::invalid;
    std::uint32_t index = 0;
    std::string_view what{};
};

/// Every invariant: slabs, enumerations, links, handles and their answers, chains and sums, slices, and those of the
/// protocols. The pool's references must have been counted. `key`: unknown to whoever made the state.
std::optional<Fault> find_fault(const World& w, const HashKey& key);

/// References of the pool, from the slices of the state. For decode: over a pool that is empty. False: a buffer is named
/// more often than can be counted.
bool recount_buffers(World& w);

/// Free lists, references, shadows, cuts: everything below the protocols that is not state, from the state. For attach,
/// behind find_fault(). False: as recount_buffers().
bool rebuild_storage(World& w, SweepQueue& queue);

}  // namespace keepnet::durability
