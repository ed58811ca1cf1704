// Fixture: cuts, commits, crashes, and the swap of the value for its copy.
#include <algorithm>
#include <cstring>
#include <utility>

#include "support/fixture.hpp"

namespace keepnet::test {

namespace {

Bytes encode_cut(Stack& stack, CutId id, const std::vector<checkpoint::Blob>& blobs) {
    checkpoint::VectorSink sink;
    const auto encoded = checkpoint::encode(stack, id, {.blobs = blobs}, sink);
    if (!encoded) FAIL("encode: " << encoded.error().message);
    return std::move(sink.bytes);
}

/// What a restored stack saves can be restored, whether or not the test does it.
void restore_aside(const StackConfig& config, const Bytes& snapshot, Instant now, const std::string& diary) {
    const checkpoint::RestoreOptions options{.now = now, .elapsed = Duration{}, .arena_is_zeroed = true};
    Arena arena(Stack::arena_bytes(config));
    const auto back = checkpoint::restore(arena.span(), config, snapshot, options);
    if (!back) FAIL("a snapshot of a restored stack is not restored again: " << back.error().message << "\n" << diary);
}

}  // namespace

/// The value is encoded, decoded into a new arena and takes the old one's place. A cut that is out belongs to
/// the old value, so there is no swap before its commit; what waits between the layers, or for the device, is
/// no state.
void Fixture::between() {
    if (way_ != Way::swapped || still_ || !cuts_.empty() || (journal_ && journal_->is_writing())) return;
    {
        // A ring is no state: what a call has just put there goes out first.
        Core& core = stack_->core();
        const Step step(core);
        auto cx = core.ip_context();
        if (interface_ != 0) link::flush(cx, interface_);
        if (interface_ != 0 && core.ports.of(interface_).queued() != 0) return;
    }
    const auto id = stack_->cut();
    REQUIRE(id.has_value());
    const Bytes bytes = encode_cut(*stack_, *id, {});
    Arena arena(Stack::arena_bytes(config_));
    auto copy = checkpoint::decode(arena.span(), config_, bytes, true);
    if (!copy) FAIL("decode: " << copy.error().message);
    if (journal_) journal_->move(*stack_, *copy);
    arena_ = std::move(arena);
    stack_.emplace(std::move(*copy));
    if (interface_ != 0) attach_silently(stack_->core(), interface_, *device_);
    ++swaps_;
}

Fixture& Fixture::cut() {
    between();
    INFO(diary());
    if (journal_) {
        if (failed_) {
            note_durable(*failed_);
            failed_.reset();
            journal_->mend(*stack_, now_);
            collect();
        }
        journal_->seal(*stack_, now_);
        cuts_.push_back(pending({}));
        collect();
        return *this;
    }
    const auto id = stack_->cut();
    REQUIRE(id.has_value());
    cuts_.push_back(pending(*id));
    cuts_.back().bytes = encode_cut(*stack_, *id, blobs);
    return *this;
}

Fixture::PendingCut Fixture::pending(CutId id) {
    PendingCut pending{id, {}, {}};
    for (const Flow& f : flows_) {
        Ends ends;
        world().connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
            if (c.local.port != f.stack_port || c.remote.port != f.peer_port) return;
            ends = {c.rcv.nxt.raw - f.iss, snd_end(c).raw - c.snd.iss.raw,
                    1 + static_cast<std::uint32_t>(c.rx_consumed) + c.rcv.buffer};
        });
        pending.ends.push_back(ends);
    }
    return pending;
}

void Fixture::note_durable(const PendingCut& done) {
    for (std::size_t i = 0; i < done.ends.size(); ++i) {
        Flow& f = flows_[i];
        f.rcv_durable = done.ends[i].rcv;
        f.snd_durable = done.ends[i].snd;
        f.edge_durable = std::max(f.edge_durable, done.ends[i].edge);
    }
}

Fixture& Fixture::commit() {
    REQUIRE(!cuts_.empty());
    PendingCut done = std::move(cuts_.front());
    cuts_.pop_front();
    note_durable(done);
    if (journal_) {
        journal_->sync();
        return auto_commit_ ? *this : settle();
    }
    durable_ = std::move(done.bytes);
    REQUIRE(stack_->committed(done.id).has_value());
    if (restores_ != 0) restore_aside(config_, durable_, now_, diary());
    return auto_commit_ ? *this : settle();
}

Fixture& Fixture::commit_last() {
    REQUIRE(!cuts_.empty());
    cuts_.erase(cuts_.begin(), cuts_.end() - 1);
    return commit();
}

Fixture& Fixture::abandon() {
    REQUIRE(!cuts_.empty());
    if (journal_) {
        journal_->fail(*stack_, now_);
        failed_ = std::move(cuts_.front());
    } else {
        REQUIRE(stack_->abandoned(cuts_.front().id).has_value());
    }
    cuts_.pop_front();
    return settle();
}

Fixture& Fixture::auto_commit(bool on) {
    auto_commit_ = on;
    return *this;
}

Fixture& Fixture::crash_unready(Duration elapsed, const checkpoint::RestoreOptions& options) {
    INFO(diary());
    REQUIRE((journal_ || !durable_.empty()));
    diary_.push_back("* " + std::to_string((now_ - mark_).us()) + " us crash, back " +
                     std::to_string(elapsed.ms()) + " ms later");
    cuts_.clear();
    failed_.reset();
    device_->from_stack.clear();
    device_->to_stack.clear();
    if (seams_) seams_->abandon();
    now_ = now_ + elapsed;
    // A restored edge is the furthest that the lost run may have shown, some units of the scale on.
    for (Flow& f : flows_) f.edge_durable += 64;
    checkpoint::RestoreOptions how = options;
    how.now = now_;
    if (!how.elapsed) how.elapsed = elapsed;
    how.arena_is_zeroed = true;
    how.entropy[0] = static_cast<std::uint8_t>(++restores_);
    Arena arena(Stack::arena_bytes(config_));
    if (journal_) how.journal = &journal_->crash();
    auto back = checkpoint::restore(arena.span(), config_, journal_ ? journal_->base() : durable_, how);
    if (!back) FAIL("restore: " << back.error().message);
    arena_ = std::move(arena);
    stack_.emplace(std::move(back->stack));
    restored_ = std::move(back->sockets);
    blobs = std::move(back->blobs);
    const auto index = stack_->attach_device(*device_, {.mac = mac});
    REQUIRE(index.has_value());
    REQUIRE(*index == interface_);
    install_seams();
    if (journal_) journal_->replay(*stack_);
    for (std::size_t i = 0; i < drops_seen_.size(); ++i) drops_seen_[i] = stack_->statistics().drops[i];
    return settle();
}

Fixture& Fixture::crash(Duration elapsed, const checkpoint::RestoreOptions& options) {
    crash_unready(elapsed, options);
    for (const checkpoint::SocketReport& report : restored_) {
        if (stack_->info(report.socket)) REQUIRE(stack_->claim(report.socket).has_value());
    }
    stack_->ready(true);
    return settle();
}

Fixture& Fixture::adopt(Duration elapsed) {
    INFO(diary());
    diary_.push_back("* " + std::to_string((now_ - mark_).us()) + " us the process dies, the arena stays");
    device_->from_stack.clear();
    device_->to_stack.clear();
    if (seams_) seams_->abandon();
    cuts_.clear();
    now_ = now_ + elapsed;
    Arena moved(Stack::arena_bytes(config_));
    std::memcpy(moved.span().data(), arena_.span().data(), arena_.span().size());
    AttachOptions options{.now = now_, .elapsed = elapsed};
    options.entropy[0] = static_cast<std::uint8_t>(++restores_);
    auto back = Stack::attach(moved.span(), config_, options);
    if (!back) FAIL("attach: " << keepnet::name(back.error()));
    arena_ = std::move(moved);
    stack_.emplace(std::move(*back));
    REQUIRE(stack_->attach_device(*device_, {.mac = mac}) == interface_);
    install_seams();
    for (SocketHandle s = stack_->next_socket({}); s; s = stack_->next_socket(s)) {
        REQUIRE(stack_->claim(s).has_value());
    }
    stack_->ready(true);
    return settle();
}

}  // namespace keepnet::test
