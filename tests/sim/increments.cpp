#include "sim/increments.hpp"

#include <cstring>
#include <string>

#include "checkpoint/layer.hpp"
#include "durability/cut.hpp"
#include "sim/monitor.hpp"
#include "stack/core.hpp"

namespace keepnet::sim {
namespace {

using checkpoint::FrameReader;
using checkpoint::schema::Frame;

/// A whole snapshot that was swept while the stack ran on may call a buffer fuller than it was at the cut.
bool says_how_full(kj::ArrayPtr<const capnp::word> frame) {
    return FrameReader(frame)->which() == Frame::BUFFERS;
}

}  // namespace

void IncrementCheck::copy(std::span<const std::byte> arena) {
    if (cut_ == 0) return;
    if (copy_.span().size() != arena.size()) copy_ = test::Arena(arena.size());
    std::memcpy(copy_.span().data(), arena.data(), arena.size());
}

std::vector<std::uint8_t> IncrementCheck::take(const Stack& stack, const StackConfig& config,
                                               const checkpoint::EncodeOptions& options) {
    if (cut_ == 0) return {};
    Core core{};
    ArenaCarver carver(copy_.span().data());
    core.world.place(carver, config);
    core.sweep_queue.place(carver, config.capacity);
    if (durability::id_of(core.sweep_queue, cut_) != id_) return {};
    if (const StackState& now = stack.core().world.stack(); now.journal_id != 0) {
        core.world.edit_stack().journal_lsn = now.journal_lsn;  // the cut's place in the journal
    }
    Stack copied(core);  // without devices: Stack::cut() would ask them for their state
    const auto cut = durability::cut(core.world, core.sweep_queue, core.now(), cut_);
    if (!cut) return {};
    checkpoint::VectorSink sink;
    const auto done = checkpoint::encode(copied, *cut, options, sink);
    if (!done) throw Failure("an increment can be encoded", done.error().message);
    return std::move(sink.bytes);
}

bool IncrementCheck::compare(const std::vector<std::uint8_t>& increment, const std::vector<std::uint8_t>& whole) {
    const bool follows = !increment.empty();
    if (follows) {
        const std::vector<ByteView> chain{base_, increment};
        checkpoint::VectorSink compacted;
        const auto done = checkpoint::compact(chain, compacted);
        if (!done) throw Failure("a base and its increment can be put together", done.error().message);
        const auto a = checkpoint::Layer::open(compacted.bytes);
        const auto b = checkpoint::Layer::open(whole);
        if (!a || !b) throw Failure("a snapshot can be read", "");
        const auto& one = a->envelope.frames;
        const auto& other = b->envelope.frames;
        std::size_t differ = one.size() == other.size() ? 0 : SIZE_MAX;
        for (std::size_t i = 0; differ == 0 && i < one.size(); ++i) {
            if (one[i].asBytes() == other[i].asBytes() || (says_how_full(one[i]) && says_how_full(other[i]))) continue;
            differ = i;
        }
        if (differ != 0) throw Failure("an increment equals the whole snapshot", "frame " + std::to_string(differ));
    }
    base_ = whole;
    const auto summary = checkpoint::summarize(whole);
    cut_ = summary ? summary->cut : 0;
    id_ = summary ? summary->id : 0;
    return follows;
}

}  // namespace keepnet::sim
