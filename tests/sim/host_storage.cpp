// A host polls its stack, takes cuts, writes them down, and tells the stack when they are durable.
#include <algorithm>
#include <string>

#include "sim/host.hpp"
#include "sim/value.hpp"
#include "stack/core.hpp"
#include "support/owed.hpp"

namespace keepnet::sim {

void Tally::add(const Tally& t) {
    crashes += t.crashes, fresh_starts += t.fresh_starts, restores += t.restores, attaches += t.attaches;
    suspends += t.suspends, cuts += t.cuts, overruns += t.overruns, abandoned += t.abandoned;
    increments += t.increments;
    journal_writes += t.journal_writes, journal_failures += t.journal_failures, torn_records += t.torn_records;
    replays += t.replays, replayed_turns += t.replayed_turns;
    commits += t.commits, decoded += t.decoded, failed_writes += t.failed_writes;
}

std::string Tally::text() const {
    std::string out;
    const auto put = [&](const char* what, std::uint64_t n) {
        if (!out.empty()) out.append(" ");
        out.append(what).append("=").append(std::to_string(n));
    };
    put("crashes", crashes), put("restores", restores), put("attaches", attaches), put("suspends", suspends);
    put("fresh", fresh_starts), put("cuts", cuts), put("commits", commits), put("overruns", overruns);
    put("abandoned", abandoned), put("decoded", decoded), put("increments", increments), put("failed_writes", failed_writes);
    put("journal_writes", journal_writes), put("journal_failures", journal_failures), put("torn_records", torn_records);
    put("replays", replays), put("replayed_turns", replayed_turns);
    return out;
}

void Host::poll(Instant now) {
    nic_.refused = false;
    const PollResult result = stack_->poll(host_time(now));
    if (plan_.seed != 0) {
        trace_.add(now, index_, What::polled, result.frames_received, result.frames_sent,
                   static_cast<std::uint64_t>(sim_time(result.next_deadline).ns / 1000));
    }
    if (result.next_deadline != stack_->next_deadline())
        throw Failure("poll says what next_deadline() says", "");
    bool any_ready = false;
    if (journaled_ && result.sockets_ready && !is_replaying()) (void)program_turn(app_, Turn::ready, now, false);
    while (const auto socket = journaled_ ? std::nullopt : stack_->next_ready()) {
        any_ready = true;
        app_.on_ready(*stack_, *socket);
    }
    if (any_ready && !result.sockets_ready) throw Failure("poll announces ready sockets", "");
    check_owed();
    changed_ = changed_ || result.frames_received != 0 || result.frames_sent != 0;
    poll_at_ = never;
    if (!nic_.inbound.empty()) poll_at_ = result.frames_received == 0 ? now + milliseconds(1) : now;
    if (nic_.refused)
        poll_at_ = earlier(poll_at_, now + microseconds(static_cast<std::int64_t>(dice_.between(1, 500))));
}

/// DURABILITY, rule (3). In a large world it is looked at now and then.
void Host::check_owed() {
    constexpr std::uint32_t few = 256;
    const World& w = stack_->core().world;
    if (w.pending_packets.in_use() != 0) neighbor_waited_ = now_;
    if (w.connections.in_use() > few && ++polls_ % w.connections.in_use() != 0) return;
    if (const std::string what = test::unpaid(stack_->core()); !what.empty())
        throw Failure("what is owed has its turn or its timer", what);
}

checkpoint::EncodeOptions Host::encode_options(const Pending& p) const {
    const std::uint64_t digest = p.app.digest();
    std::vector<std::uint8_t> bytes(8);
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(digest >> (8 * i));
    return {.blobs = {{"application", std::move(bytes)}}, .wall_clock_ns = p.cut_at.ns};
}

void Host::take_cut(Instant now) {
    auto p = std::make_unique<Pending>();
    p->cut_at = now;
    p->app = app_.value;
    if (compares_increments_) increments_.copy(arena_.span());
    if (judge_.one_in(12)) p->digest = digest_of(stack_->core().world);
    const auto cut = stack_->cut();
    if (!cut) throw Failure("a cut is possible when the last one was read", std::string(name(cut.error())));
    p->cut = *cut;
    if (compares_increments_) p->increment = increments_.take(*stack_, plan().config, encode_options(*p));
    p->journal_lsn = stack_->core().world.stack().journal_lsn;
    if (is_held()) p->record = ends_now();
    last_cut_ = now;
    cut_at_ = never;
    changed_ = false;
    ++tally_.cuts;
    trace_.add(now, index_, What::cut, *cut);
    pending_.push_back(std::move(p));
    Pending& made = *pending_.back();
    if (encode_at_once_ || dice_.percent(plan().sync_encode_percent)) {
        encode_whole(made, now);
    } else {
        draw_write_error(made);
        made.encoder.emplace(*stack_, made.cut, encode_options(made), made.sink);
    }
    encode_at_once_ = false;
}

std::expected<void, checkpoint::Failure> Host::Disk::write(ByteView more) {
    if (bytes.size() + more.size() > room)
        return std::unexpected(checkpoint::Failure{checkpoint::Code::input_output, "no space left on device"});
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
}

void Host::draw_write_error(Pending& p) {
    if (storage_is_sure_ || draining_ || !judge_.percent(plan().write_error_percent)) return;
    p.sink.room = judge_.below(8192);
}

/// The stack goes on; what is held stays held until the storage works again.
void Host::fail_write(Instant now, const checkpoint::Failure& failure) {
    if (failure.code != checkpoint::Code::input_output || pending_.back()->sink.room == SIZE_MAX)
        throw Failure("a cut can be encoded", failure.message);
    ++tally_.failed_writes;
    abandon(now, pending_.size() - 1);
}

/// The power went while a snapshot was being written: sectors that were not synced are old, zero or torn. Whoever finds
/// such a file must see that it is none.
void Host::check_torn_writes() {
    constexpr std::size_t sector = 512;
    for (const auto& p : pending_) {
        std::vector<std::uint8_t> torn = p->sink.bytes;
        if (p->is_durable || p->encoder || torn.empty() || !judge_.one_in(4)) continue;
        for (std::size_t at = 0; at < torn.size(); at += sector) {
            if (!judge_.one_in(3)) continue;
            const std::size_t end = std::min(torn.size(), at + sector), from = at + judge_.below(end - at);
            std::fill(torn.begin() + static_cast<std::ptrdiff_t>(from),
                      torn.begin() + static_cast<std::ptrdiff_t>(end), std::uint8_t{0});
        }
        if (judge_.one_in(4)) torn.resize(judge_.below(torn.size()));
        if (torn == p->sink.bytes) continue;
        test::Arena arena(Stack::arena_bytes(plan().config));
        if (checkpoint::decode(arena.span(), plan().config, torn, true))
            throw Failure("what a torn write left is refused", "cut " + std::to_string(p->cut));
    }
}

void Host::encode_whole(Pending& p, Instant now) {
    draw_write_error(p);
    const auto done = checkpoint::encode(*stack_, p.cut, encode_options(p), p.sink);
    if (!done && p.sink.room != SIZE_MAX) return fail_write(now, done.error());
    if (!done) throw Failure("a cut that nothing changes behind can be encoded", done.error().message);
    (void)dice_.one_in(20);
    on_encoded(p, now);
}

void Host::encode_some(Instant now) {
    Pending& p = *pending_.back();
    for (std::uint64_t n = dice_.between(1, 4); n != 0; --n) {
        const auto progress = p.encoder->step();
        if (!progress) {
            if (progress.error().code != checkpoint::Code::cut_overrun) return fail_write(now, progress.error());
            trace_.add(now, index_, What::overrun, p.cut);
            ++tally_.overruns;
            encode_at_once_ = true;
            return abandon(now, pending_.size() - 1);
        }
        if (*progress == checkpoint::Encoder::Progress::done) {
            p.encoder.reset();
            return on_encoded(p, now);
        }
        if (*progress == checkpoint::Encoder::Progress::waiting) {
            if (dice_.one_in(2)) {
                (void)stack_->sweep();
            } else {
                poll_at_ = earlier(poll_at_, now);
            }
        }
    }
}

void Host::on_encoded(Pending& p, Instant now) {
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < p.sink.bytes.size(); i += 8) hash = hash * 31 + p.sink.bytes[i];
    trace_.add(now, index_, What::encoded, p.cut, p.sink.bytes.size(), hash);
    if (compares_increments_ && increments_.compare(p.increment, p.sink.bytes)) ++tally_.increments;
    if (p.digest) check_decodes(p);
    if (!storage_is_sure_ && dice_.percent(plan().abandon_percent)) return abandon(now, pending_.size() - 1);
    const auto& h = plan();
    p.durable_at = now + h.storage_min + within(h.storage_max - h.storage_min);
    if (pending_.size() > 1) p.durable_at = later(p.durable_at, pending_.front()->durable_at);
    p.told_at = p.durable_at + within(h.told_max);
    if (fault == HostFault::commits_early && is_held()) {
        advance_durable(p.record);
        (void)stack_->committed(p.cut);
    }
}

void Host::abandon(Instant now, std::size_t i) {
    Pending& p = *pending_[i];
    p.encoder.reset();
    if (!stack_->abandoned(p.cut) && fault == HostFault::none)
        throw Failure("an outstanding cut can be abandoned", "");
    trace_.add(now, index_, What::abandoned, p.cut);
    ++tally_.abandoned;
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
    changed_ = true;
}

/// The storage has the oldest one that it had not.
void Host::make_durable(Instant now) {
    for (const auto& p : pending_) {
        if (p->is_durable) continue;
        p->is_durable = true;
        trace_.add(now, index_, What::durable, p->cut);
        return make_image(*p);
    }
}

void Host::make_image(Pending& p) {
    if (image_ && !journaled_ && images_++ % 8 == 0) check_restores(p);
    image_ = Image{p.sink.bytes, {}, p.app, p.record, p.cut_at};
}

/// A life that began with a snapshot can be gone on from, too, whether or not the machine dies now.
void Host::check_restores(const Pending& p) {
    test::Arena arena(Stack::arena_bytes(plan().config));
    auto back = checkpoint::restore(arena.span(), plan().config, p.sink.bytes,
                                    {.now = host_time(now_), .elapsed = now_ - p.cut_at, .arena_is_zeroed = true});
    if (!back) throw Failure("a committed snapshot restores", back.error().message);
    check_verdicts(back->sockets);
}

void Host::tell(Instant now) {
    // A commit implies the earlier ones: they need not be told one by one.
    if (pending_.size() > 1 && pending_[1]->is_durable && dice_.one_in(2)) pending_.pop_front();
    const std::unique_ptr<Pending> p = std::move(pending_.front());
    pending_.pop_front();
    if (fault == HostFault::commits_early) return;
    if (is_held()) advance_durable(p->record);
    if (!stack_->committed(p->cut)) throw Failure("an outstanding cut can be committed", "");
    ++tally_.commits;
    trace_.add(now, index_, What::committed, p->cut);
}

/// What was decoded is what there was at the cut, however the stack changed while it was encoded; and it encodes to the
/// same again: all but the cut's number and, with it, the checksum.
void Host::check_decodes(const Pending& p) {
    ++tally_.decoded;
    test::Arena arena(Stack::arena_bytes(plan().config));
    auto copy = checkpoint::decode(arena.span(), plan().config, p.sink.bytes, true);
    if (!copy) throw Failure("a snapshot decodes", copy.error().message);
    if (digest_of(copy->core().world) != *p.digest || copy->core().world.stack().journal_lsn != p.journal_lsn)
        throw Failure("decode(encode(s)) is s", "cut " + std::to_string(p.cut));
    checkpoint::VectorSink again;
    const auto done = checkpoint::encode(*copy, copy->cut().value(), encode_options(p), again);
    if (!done) throw Failure("a snapshot decodes and encodes", done.error().message);
    std::size_t words = again.bytes.size() == p.sink.bytes.size() ? 0 : SIZE_MAX;
    for (std::size_t i = 0; words != SIZE_MAX && i < again.bytes.size(); i += 8) {
        words += std::equal(again.bytes.begin() + static_cast<std::ptrdiff_t>(i),
                            again.bytes.begin() + static_cast<std::ptrdiff_t>(i + 8),
                            p.sink.bytes.begin() + static_cast<std::ptrdiff_t>(i))
                     ? 0
                     : 1;
    }
    if (words > 2)
        throw Failure("decode(encode(s)) encodes to the same", std::to_string(words) + " words differ");
}

}  // namespace keepnet::sim
