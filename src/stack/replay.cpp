// What a program did before the crash, given back to it (DURABILITY 7).
#include <algorithm>
#include <cstring>
#include <utility>

#include "stack/journal_core.hpp"

namespace keepnet::journal {
namespace {

using durability::EntryCursor;
using durability::EntryView;
using durability::Op;

/// A program that asks so often in vain does not do what it did.
constexpr std::uint32_t idle_calls_max = 1'000'000;

bool is_in_vain(const EntryView& e) { return e.header.status == static_cast<std::uint8_t>(Error::would_block); }

bool is_call(Op op) { return op <= Op::last_call; }

constexpr std::uint64_t done = UINT64_MAX;  ///< EntryHeader::link of what was replayed

/// In byte mode what was asked and what was in vain is not replayed, only what happened to the streams.
bool is_by_itself(const EntryView& e) {
    switch (e.header.op) {
        case Op::send_room:
        case Op::option:
        case Op::info:
        case Op::tcp_info:
        case Op::take_error:
        case Op::readiness:
        case Op::next_ready: return true;
        case Op::send:
        case Op::receive: return e.header.status == 0 ? e.header.value == 0 : is_in_vain(e);
        default: return is_in_vain(e);
    }
}

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
    settle_replay(j);
}

}  // namespace

void settle_replay(JournalCore& j) {
    ReplayState& r = j.replay;
    for (; r.active && !r.cursor.at_end(); r.cursor.next()) {
        const EntryView e = r.cursor.get();
        const bool is_early = e.header.stack < j.stack_count && e.lsn < j.stacks[e.header.stack].from;
        const bool is_over = j.mode == ReplayMode::bytes && (is_by_itself(e) || e.header.link == done);
        if (is_call(e.header.op) && !is_early && !is_over && !has_diverged(r, e)) return;
    }
    if (!std::exchange(r.active, false)) return;
    // What came meanwhile nobody was told.
    for (std::size_t i = 0; i < j.stack_count; ++i) {
        World& w = j.stacks[i].core->world;
        for (std::uint32_t s = w.sockets.next(0); s != BitTree::none; s = w.sockets.next(s + 1)) w.changed_sockets.set(s);
    }
}

namespace {

/// The first entry from `at` on that is left of (op, handle); at the end: none is.
EntryCursor find_left(const JournalCore& j, EntryCursor at, Op op, std::uint8_t stack, std::uint64_t handle) {
    for (; !at.at_end(); at.next()) {
        const EntryView e = at.get();
        const auto& h = e.header;
        if (h.op != op || h.handle != handle || h.stack != stack || h.link == done || is_by_itself(e)) continue;
        if (stack >= j.stack_count || e.lsn >= j.stacks[stack].from) break;
    }
    return at;
}

/// Nothing of the socket is left.
void finish_socket(JournalCore& j, std::uint8_t stack, std::uint64_t handle) {
    for (EntryCursor at = j.replay.cursor; !at.at_end(); at.next()) {
        const auto h = at.get().header;
        if (is_call(h.op) && h.handle == handle && h.stack == stack) at.set_link(done);
    }
}

/// serve() for ReplayMode::bytes.
Served serve_anywhere(JournalCore& j, Core* core, Op op, std::uint64_t handle, ByteView arguments) {
    const std::uint8_t stack = core == nullptr ? 0 : core->journal_stack;
    const EntryCursor at = find_left(j, j.replay.cursor, op, stack, handle);
    if (at.at_end()) return {.kind = Served::Kind::live};
    const EntryView e = at.get();
    // How bytes were peeked at is not reproduced, so nothing may depend on it: receive() is what streams are replayed to.
    if (op == Op::peek || op == Op::consume || !std::ranges::equal(e.arguments, arguments)) {
        diverge(j, core, handle);
        return {.kind = Served::Kind::diverged};
    }
    at.set_link(done);
    if (op == Op::close || op == Op::abort) finish_socket(j, stack, handle);
    settle_replay(j);
    return {.kind = Served::Kind::entry, .entry = e};
}

}  // namespace

std::optional<std::expected<std::size_t, Error>> serve_bytes_in(JournalCore& j, Core& core, std::uint64_t handle,
                                                                MutableBytes out) {
    const EntryCursor at = find_left(j, j.replay.cursor, Op::receive, core.journal_stack, handle);
    if (at.at_end()) return {};
    const EntryView e = at.get();
    if (e.header.status != 0) {
        at.set_link(done);
        settle_replay(j);
        return std::unexpected(static_cast<Error>(e.header.status));
    }
    const std::size_t served = std::min<std::uint64_t>(e.header.link, e.result.size());
    const ByteView left = e.result.subspan(served);
    const std::size_t n = std::min(left.size(), out.size());
    if (n != 0) std::memcpy(out.data(), left.data(), n);
    at.set_link(n == left.size() ? done : served + n);
    settle_replay(j);
    return n;
}

std::optional<std::expected<std::size_t, Error>> serve_bytes_out(JournalCore& j, Core& core, std::uint64_t handle,
                                                                 std::span<const ByteView> data) {
    const EntryCursor at = find_left(j, j.replay.cursor, Op::send, core.journal_stack, handle);
    if (at.at_end()) return {};
    const EntryView e = at.get();
    if (e.header.status != 0) {
        at.set_link(done);
        settle_replay(j);
        return std::unexpected(static_cast<Error>(e.header.status));
    }
    const std::size_t digest_bytes = std::min(sizeof(std::uint64_t), e.result.size());
    const ByteView written = e.result.subspan(digest_bytes);
    const std::size_t served = std::min<std::uint64_t>(e.header.link, written.size());
    ByteView left = written.subspan(served);
    std::size_t n = 0;
    for (const ByteView& part : data) {
        const std::size_t most = std::min(part.size(), left.size());
        if (!std::ranges::equal(part.first(most), left.first(most))) {
            diverge(j, &core, handle);
            return std::unexpected(Error::replay_diverged);
        }
        n += most;
        left = left.subspan(most);
    }
    at.set_link(left.empty() ? done : served + n);
    settle_replay(j);
    return n;
}

Readiness replayed_readiness(const JournalCore& j, const Core& core, std::uint64_t handle) {
    const auto has = [&](Op op) { return !find_left(j, j.replay.cursor, op, core.journal_stack, handle).at_end(); };
    Readiness r;
    if (has(Op::receive) || has(Op::accept)) r.bits |= Readiness::readable | Readiness::connected;
    if (has(Op::send)) r.bits |= Readiness::writable | Readiness::connected;
    return r;
}

std::uint64_t next_replayed(JournalCore& j, const Core& core) {
    ReplayState& r = j.replay;
    for (EntryCursor at = r.cursor; !at.at_end(); at.next()) {
        const EntryView e = at.get();
        if (at.position() < r.ready_at || !is_call(e.header.op) || e.header.handle == 0 || e.header.link == done ||
            e.header.stack != core.journal_stack || is_by_itself(e) || has_diverged(r, e)) {
            continue;
        }
        r.ready_at = at.position() + 1;
        return e.header.handle;
    }
    r.ready_at = 0;
    return 0;
}

Served serve(JournalCore& j, Core* core, Op op, std::uint64_t handle, ByteView arguments) {
    if (j.mode == ReplayMode::bytes) return serve_anywhere(j, core, op, handle, arguments);
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
