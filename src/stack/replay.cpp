// What a program did before the crash, given back to it (DURABILITY 7).
#include <algorithm>
#include <cstring>

#include "stack/journal_core.hpp"

namespace keepnet::journal {
namespace {

using durability::EntryView;
using durability::Op;

/// A program that asks so often in vain does not do what it did.
constexpr std::uint32_t idle_calls_max = 1'000'000;

bool is_call(Op op) { return op <= Op::last_call; }

bool has_diverged(const ReplayState& r, const EntryView& e) {
    const ReplayState::Key key{e.header.handle, e.header.stack};
    return e.header.handle != 0 && std::find(r.diverged.begin(), r.diverged.begin() + r.diverged_count, key) !=
                                       r.diverged.begin() + r.diverged_count;
}

void end_connection_of(Core& core, std::uint64_t handle) {
    const Step step(core);
    const SocketState* s = core.world.sockets.find(Handle<SocketState>{handle});
    if (s == nullptr) return;
    auto cx = core.tcp_context();
    if (core.world.connections.find(s->connection) != nullptr) {
        tcp::drop_restored(cx, s->connection.index(), true, Error::replay_diverged, Verdict::replay_diverged);
    }
    core.world.notify(Handle<SocketState>{handle});
}

/// Every connection of which something is left to replay ends.
void diverge_all(JournalCore& j) {
    for (; !j.replay.cursor.at_end(); j.replay.cursor.next()) {
        const EntryView e = j.replay.cursor.get();
        if (!is_call(e.header.op) || e.header.handle == 0 || e.header.stack >= j.stack_count) continue;
        end_connection_of(*j.stacks[e.header.stack].core, e.header.handle);
    }
    settle_replay(j);
}

Served next_call(JournalCore& j) {
    settle_replay(j);
    if (!j.replay.active) return {.kind = Served::Kind::live};
    return {.kind = Served::Kind::entry, .entry = j.replay.cursor.get()};
}

void pass(JournalCore& j) {
    j.replay.last_was_idle = false;
    j.replay.idle_calls = 0;
    j.replay.cursor.next();
}

}  // namespace

void settle_replay(JournalCore& j) {
    ReplayState& r = j.replay;
    for (; r.active && !r.cursor.at_end(); r.cursor.next()) {
        const EntryView e = r.cursor.get();
        const bool is_early = e.header.stack < j.stack_count && e.lsn < j.stacks[e.header.stack].from;
        if (is_call(e.header.op) && !is_early && !has_diverged(r, e)) return;
    }
    r.active = false;
}

Served serve(JournalCore& j, Core* core, Op op, std::uint64_t handle, ByteView arguments) {
    const std::uint8_t stack = core == nullptr ? 0 : core->journal_stack;
    const Served next = next_call(j);
    if (next.kind != Served::Kind::entry) return next;
    const auto& h = next.entry.header;
    if (h.op == op && h.handle == handle && h.stack == stack && std::ranges::equal(next.entry.arguments, arguments)) {
        pass(j);
        return next;
    }
    if (core != nullptr && handle != 0 && !is_tracked(*core, handle)) return {.kind = Served::Kind::live};
    diverge(j, core, handle);
    return {.kind = Served::Kind::diverged};
}

Served serve_ready(JournalCore& j, Core& core) {
    const Served next = next_call(j);
    if (next.kind != Served::Kind::entry) return next;
    const auto& h = next.entry.header;
    if (h.op == Op::next_ready && h.stack == core.journal_stack) {
        const bool is_idle = h.handle == 0;
        pass(j);
        j.replay.last_was_idle = is_idle;
        return next;
    }
    // How often it asked in vain was not recorded.
    if (j.replay.last_was_idle && ++j.replay.idle_calls < idle_calls_max) return {.kind = Served::Kind::entry};
    diverge(j, &core, 0);
    return {.kind = Served::Kind::diverged};
}

void diverge(JournalCore& j, Core* core, std::uint64_t handle) {
    ReplayState& r = j.replay;
    if (core == nullptr || handle == 0 || r.diverged_count == r.diverged.size()) return diverge_all(j);
    r.diverged[r.diverged_count++] = {handle, core->journal_stack};
    end_connection_of(*core, handle);
    settle_replay(j);
}

bool is_tracked(const Core& core, std::uint64_t handle) {
    const SocketState* s = core.world.sockets.find(Handle<SocketState>{handle});
    return s == nullptr || s->options.policy != DurabilityPolicy::untracked;
}

}  // namespace keepnet::journal
