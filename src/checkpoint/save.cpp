// A checkpoint from the cut to the commit, whole or as an increment on what the store holds.
#include <utility>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/format.hpp"
#include "durability/cut.hpp"
#include "stack/core.hpp"

namespace keepnet::checkpoint {
namespace {

std::expected<CutId, Failure> save_since(Stack& stack, SnapshotStore& store, EncodeOptions&& options, CutId since) {
    const auto cut = stack.cut(since);
    if (!cut) return refuse(Code::unknown_cut, "no cut possible: " + std::string(name(cut.error())));
    const auto written = [&]() -> std::expected<void, Failure> {
        auto writer = since == 0 ? store.begin() : store.begin_increment();
        if (!writer) return std::unexpected(writer.error());
        if (auto ok = encode(stack, *cut, std::move(options), **writer); !ok) return ok;
        return (*writer)->commit();
    }();
    if (!written) {
        (void)stack.abandoned(*cut);
        return std::unexpected(written.error());
    }
    (void)stack.committed(*cut);
    return *cut;
}

bool has_outgrown(const StoreFacts& facts, const IncrementalOptions& limits) {
    return facts.increments >= limits.increments_max ||
           facts.increment_bytes * 100 > facts.base_bytes * limits.grown_percent;
}

}  // namespace

std::expected<CutId, Failure> save(Stack& stack, SnapshotStore& store, EncodeOptions options) {
    return save_since(stack, store, std::move(options), 0);
}

std::expected<CutId, Failure> save(Stack& stack, SnapshotStore& store, EncodeOptions options,
                                   const IncrementalOptions& incremental) {
    auto facts = store.facts();
    if (facts && facts->increments != 0 && has_outgrown(*facts, incremental)) {
        // What cannot be put together is replaced by a base, which needs nothing of it.
        facts = store.compact() ? store.facts() : std::nullopt;
    }
    const bool follows = facts && facts->id != 0 &&
                         durability::id_of(stack.core().sweep_queue, facts->cut) == facts->id;
    return save_since(stack, store, std::move(options), follows ? facts->cut : 0);
}

// --- what every store has ---

std::expected<std::unique_ptr<Writer>, Failure> SnapshotStore::begin_increment() {
    return refuse(Code::input_output, "this store keeps no increments");
}

std::expected<std::vector<std::vector<std::uint8_t>>, Failure> SnapshotStore::load_chain() {
    auto snapshot = load();
    if (!snapshot) return std::unexpected(snapshot.error());
    std::vector<std::vector<std::uint8_t>> chain;
    chain.push_back(std::move(*snapshot));
    return chain;
}

std::expected<void, Failure> SnapshotStore::compact() {
    const auto chain = load_chain();
    if (!chain) return std::unexpected(chain.error());
    auto writer = begin();
    if (!writer) return std::unexpected(writer.error());
    const std::vector<ByteView> views(chain->begin(), chain->end());
    if (auto ok = checkpoint::compact(views, **writer); !ok) return ok;
    return (*writer)->commit();
}

}  // namespace keepnet::checkpoint
