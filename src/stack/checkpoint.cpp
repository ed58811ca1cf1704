// The core's side of checkpoints: cut, commit, suspend, claims.
#include "durability/cut.hpp"
#include "stack/calls.hpp"
#include "stack/core.hpp"
#include "stack/journal_core.hpp"

namespace keepnet {

namespace {

/// What devices must remember goes into the state at the cut.
void save_devices(Core& core) {
    World& w = core.world;
    w.interfaces.for_each([&](std::uint32_t i, const InterfaceState&) {
        const link::Port& port = core.ports.of(i + 1);
        if (port.device == nullptr) return;
        const DeviceState state = port.device->state();
        if (state.length != 0) w.interfaces.edit(i).device = state;
    });
}

Duration longest_round_trip(const World& w) {
    Duration longest{};
    w.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        if (c.rtt.srtt > longest) longest = c.rtt.srtt;
    });
    return longest;
}

}  // namespace

std::expected<CutId, Error> Stack::cut(CutId since) {
    const Step step(*core_);
    save_devices(*core_);
    JournalCore* j = core_->journal;
    const CutNumber number = core_->world.cuts().current;
    if (j != nullptr) {
        if (const auto noted = journal::on_cut(*j, *core_); !noted) return std::unexpected(noted.error());
    }
    const auto cut = durability::cut(core_->world, core_->sweep_queue, core_->now(), since);
    if (!cut && j != nullptr) journal::on_abandoned(*j, *core_, number);
    return cut;
}

bool Stack::sweep() {
    const Step step(*core_);
    return durability::sweep(core_->world, core_->sweep_queue, core_->world.config().poll.sweep_objects);
}

std::expected<void, Error> Stack::committed(CutId cut) {
    const Step step(*core_);
    if (!durability::is_outstanding(core_->world, cut)) return std::unexpected(Error::unknown_cut);
    // The marks need the edges that belong to the outstanding cut, so they move first.
    auto tcp_cx = core_->tcp_context();
    tcp::on_committed(tcp_cx, cut, CommitBy::snapshot);
    auto udp_cx = core_->udp_context();
    udp::on_committed(udp_cx, cut, CommitBy::snapshot);
    durability::committed(core_->world, core_->sweep_queue, cut);
    if (core_->journal != nullptr) journal::on_committed(*core_->journal, *core_, cut);
    return {};
}

std::expected<void, Error> Stack::abandoned(CutId cut) {
    const Step step(*core_);
    if (!durability::is_outstanding(core_->world, cut)) return std::unexpected(Error::unknown_cut);
    auto cx = core_->tcp_context();
    tcp::on_abandoned(cx, cut);
    durability::abandoned(core_->world, core_->sweep_queue, cut);
    if (core_->journal != nullptr) journal::on_abandoned(*core_->journal, *core_, cut);
    return {};
}

std::expected<void, Error> Stack::attach_journal(Journal& journal) {
    // An arena that was adopted is ahead of what its journal holds: that one is restore()'s to go on with.
    const bool has_written_there = core_->world.stack().journal_id == journal.facts().id;
    if (core_->journal == nullptr && has_written_there) return std::unexpected(Error::journal_mismatch);
    return journal::attach(journal.core(), *core_);
}

void Stack::suspend(Instant now) {
    const Step step(*core_);
    World& w = core_->world;
    if (w.stack().suspend != SuspendPhase::running) return;
    const TcpConfig& config = w.config().tcp;
    Duration drain = longest_round_trip(w) * 2;
    if (drain < config.suspend_drain_min) drain = config.suspend_drain_min;
    if (drain > config.suspend_drain_max) drain = config.suspend_drain_max;
    StackState& s = w.edit_stack();
    s.now = later(now, s.now);
    s.suspend = SuspendPhase::draining;
    s.suspend_until = s.now + drain;
    w.arm(StateKind::stack, 0, s.suspend_until);
    auto cx = core_->tcp_context();
    tcp::on_suspend(cx);
}

bool Stack::is_suspended() const {
    const StackState& s = core_->world.stack();
    if (s.suspend == SuspendPhase::running) return false;
    if (s.now < s.suspend_until) return false;
    const Duration grace = core_->world.config().tcp.suspend_drain_max;
    return tcp::is_quiet(core_->tcp_context()) || s.now >= s.suspend_until + grace;
}

std::expected<void, Error> Stack::claim(SocketHandle socket) {
    const Step step(*core_);
    World& w = core_->world;
    if (w.sockets.find({socket.raw}) == nullptr) {
        // The program is back at its snapshot, and may hold what it had closed since: it will close it again.
        const bool may_be_held = core_->journal != nullptr && core_->journal->replay.active;
        return may_be_held ? std::expected<void, Error>{} : std::unexpected(Error::stale_handle);
    }
    w.sockets.edit(Handle<SocketState>{socket.raw}).claimed = true;
    w.notify({socket.raw});
    return {};
}

void Stack::ready(bool close_unclaimed) {
    World& w = core_->world;
    if (close_unclaimed) {
        for (std::uint32_t i = w.sockets.next(0); i != BitTree::none; i = w.sockets.next(i + 1)) {
            if (!w.sockets.get(i).claimed) (void)calls::close(*core_, {w.sockets.handle_of(i).raw});
        }
    }
    const Step step(*core_);
    w.edit_stack().ready = true;
}

std::uint64_t Stack::restarts() const { return core_->world.stack().restarts; }

}  // namespace keepnet
