// How a host dies and comes back.
#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "sim/host.hpp"
#include "stack/core.hpp"

namespace keepnet::sim {

std::array<std::uint8_t, 32> Host::entropy() {
    std::array<std::uint8_t, 32> bytes{};
    for (auto& b : bytes) b = static_cast<std::uint8_t>(dice_.next() >> 40);
    return bytes;
}

// --- deaths ---

void Host::maybe_die(Place place, Instant now, bool faults) {
    if (!up_ || !faults || deaths_left_ == 0 || suspending_) return;
    if (dice_.below(1000) < plan().crash_permille[static_cast<std::size_t>(place)]) begin_death(now);
}

void Host::begin_death(Instant now) {
    if (deaths_left_ == 0 || suspending_) return;
    if (plan().life == Life::orderly && is_replaying()) return;  // there is nothing to save before it has ended
    --deaths_left_;
    if (plan().life == Life::crashing) return crash(now, 0);
    if (dice_.one_in(2)) {
        suspending_ = true;
        ++tally_.suspends;
        monitor_.set_may_shrink(index_, true);
        trace_.add(now, index_, What::suspend);
        stack_->suspend(host_time(now));
    } else {
        freeze(now);
        crash(now, 1);
    }
}

/// The power goes. What the storage has is all there is, unless the arena itself is of the kind that
/// survives.
void Host::crash(Instant now, std::uint64_t where) {
    ++tally_.crashes;
    check_torn_writes();
    pending_.clear();  // its encoders before the arena
    stack_.reset();
    if (journaled_) lose_journal();
    const bool arena_survives = where == 0 && dice_.percent(plan().attach_percent);
    if (arena_survives) {
        image_ = Image{{}, std::move(arena_), app_.value, {}, now};
    } else if (fault != HostFault::keeps_application && !(journaled_ && image_)) {
        app_.roll_back(image_ ? image_->app : AppValue{});
    }
    arena_ = {};
    nic_.inbound.clear();
    up_ = false;
    const Duration downtime = dice_.one_in(4) ? Duration{} : within(plan().downtime_max);
    up_at_ = now + downtime;
    suspending_ = false;
    poll_at_ = cut_at_ = ready_at_ = never;
    trace_.add(now, index_, What::crash, static_cast<std::uint64_t>(downtime.us()),
               where + (arena_survives ? 10 : 0));
}

/// Saved at this very instant, whole.
void Host::freeze(Instant now) {
    if (!pending_.empty() && pending_.back()->encoder) abandon(now, pending_.size() - 1);
    if (pending_.size() == 2) abandon(now, 0);
    encode_at_once_ = storage_is_sure_ = true;
    take_cut(now);
    storage_is_sure_ = false;
    pending_.back()->is_durable = true;
    make_image(*pending_.back());
}

/// Cut, commit, final ACKs, exit (DURABILITY 9). Without held output the cut comes last.
void Host::exit_suspended(Instant now) {
    if (is_held() && judge_.percent(plan().suspended_crash_percent)) return crash(now, 3);
    freeze(now);
    if (is_held()) {
        while (pending_.size() > 1) pending_.pop_front();
        tell(now);
        for (std::uint64_t n = dice_.below(3); n != 0; --n) poll(now);
    }
    crash(now, 2);
}

// --- lives ---

void Host::come_up(Instant now, std::span<const std::unique_ptr<Host>> all) {
    up_ = true;
    skew_ = {static_cast<std::int64_t>(dice_.below(1'000'000'000'000'000))};
    poll_at_ = now;
    changed_ = true;
    last_cut_ = now;
    images_ = 0;
    monitor_.new_life(index_);
    if (!image_) {
        create(now);
    } else if (image_->arena) {
        attach(now);
    } else {
        restore(now);
    }
    monitor_.set_may_shrink(index_, false);
    cookies_before_ = stack_->statistics().tcp_cookies_sent;
    if (!stack_->attach_device(nic_, {.link_local = false})) {
        throw Failure("a device can be attached after a restart", "");
    }
    if (!image_) {
        (void)stack_->add_address(1, address_of(index_), 64).value();
        if (plan().link_local) (void)stack_->add_address(1, link_local_of(index_), 64).value();
        app_.boot(*stack_);
    } else {
        if (journaled_) {
            begin_replay(now);
        } else {
            app_.resume(*stack_, now);
        }
        ready_at_ = now + (dice_.one_in(2) ? Duration{} : within(plan().ready_max));
        for (const auto& peer : all) {
            if (peer->index_ != index_ && peer->is_up()) check_promises(*peer);
        }
    }
    maybe_die(Place::restore, now, deaths_left_ != 0);
    if (up_) reschedule(now);
}

void Host::create(Instant now) {
    ++tally_.fresh_starts;
    arena_ = test::Arena(Stack::arena_bytes(plan().config));
    auto made = Stack::create(arena_.span(), plan().config,
                              {.now = host_time(now), .entropy = entropy(), .arena_is_zeroed = true});
    if (!made) throw Failure("a stack can be made", std::string(name(made.error())));
    stack_.emplace(std::move(*made));
    if (journaled_) create_journal();
    if (is_held()) set_durable({{}, ++records_});
    trace_.add(now, index_, What::boot);
}

void Host::restore(Instant now) {
    ++tally_.restores;
    arena_ = test::Arena(Stack::arena_bytes(plan().config));
    checkpoint::RestoreOptions options{.now = host_time(now), .entropy = entropy(), .arena_is_zeroed = true};
    switch (plan().outage_is) {
        case Outage::unknown:
            if (dice_.one_in(2))
                options.elapsed = seconds(-5);  // a clock that was set back says nothing either
            break;
        case Outage::by_wall_clock:
            options.wall_clock_ns = now.ns;
            break;
        case Outage::exact:
            options.elapsed = now - image_->at;
            break;
    }
    if (journaled_) {
        open_journal();
        options.journal = &*journaled_->journal;
    }
    auto back = checkpoint::restore(arena_.span(), plan().config, image_->snapshot, options);
    if (!back) throw Failure("a committed snapshot restores", back.error().message);
    stack_.emplace(std::move(back->stack));
    trace_.add(now, index_, What::restored, back->cut, static_cast<std::uint64_t>(back->elapsed.us()),
               back->sockets.size());
    if (journaled_) check_kept();
    if (is_held()) set_durable(journaled_ ? ends_now() : Stamped{image_->record.ends, ++records_});
    Pending of_image;
    of_image.app = image_->app;
    if (back->blobs.size() != 1 || back->blobs[0].bytes != encode_options(of_image).blobs[0].bytes) {
        throw Failure("blobs come back with their snapshot", "");
    }
    check_verdicts(back->sockets);
    if (!journaled_) check_sockets();  // else when the program has caught up
}

void Host::attach(Instant now) {
    ++tally_.attaches;
    arena_ = test::Arena(Stack::arena_bytes(plan().config));
    std::memcpy(arena_.span().data(), image_->arena->span().data(), arena_.span().size());
    auto back = Stack::attach(arena_.span(), plan().config,
                              {.now = host_time(now), .elapsed = now - image_->at, .entropy = entropy()});
    if (!back) throw Failure("an arena that survived can be adopted", std::string(name(back.error())));
    stack_.emplace(std::move(*back));
    trace_.add(now, index_, What::attached, static_cast<std::uint64_t>((now - image_->at).us()));
    if (is_held()) set_durable(ends_now());
}

// --- what must hold of a life that goes on ---

void Host::check_verdicts(const std::vector<checkpoint::SocketReport>& reports) const {
    for (const auto& r : reports) {
        if (r.verdict == Verdict::invalid || r.verdict == Verdict::not_restored) {
            throw Failure("every restored socket has a verdict", std::string(name(r.verdict)));
        }
    }
}

/// The sockets that there are are those that the application knows.
void Host::check_sockets() const {
    if (fault == HostFault::keeps_application) return;
    std::set<std::uint64_t> there, known{app_.value.listener.raw, app_.value.udp.raw};
    for (SocketHandle s = stack_->next_socket({}); s; s = stack_->next_socket(s)) there.insert(s.raw);
    for (const Conn& c : app_.value.conns) {
        if (!c.closed) known.insert(c.socket.raw);
    }
    if (there != known) {
        throw Failure("the sockets of a snapshot are the application's",
                      std::to_string(there.size()) + " restored, " + std::to_string(known.size()) + " known");
    }
}

/// The journal took the stack to where it had been when the last of its records became durable, or behind it.
void Host::check_kept() const {
    const Monitor::Record now = ends_of(*stack_);
    for (const auto& [key, before] : durable_.ends) {
        const auto it = now.find(key);
        if (it == now.end() || !before.may_ack || !it->second.may_ack) continue;
        if (it->second.has_ended) continue;  // aborted behind it: nothing is left to send
        if (static_cast<std::int32_t>(it->second.snd_end - before.snd_end) < 0 ||
            static_cast<std::int32_t>(it->second.rcv_nxt - before.rcv_nxt) < 0) {
            throw Failure("what was durable is there after a restart",
                          "ports " + std::to_string(key >> 16 & 0xffff) + '>' + std::to_string(key & 0xffff) + ", snd_end " +
                              std::to_string(before.snd_end) + " then, " + std::to_string(it->second.snd_end) + " now, rcv_nxt " +
                              std::to_string(before.rcv_nxt) + " then, " + std::to_string(it->second.rcv_nxt) + " now");
        }
    }
}

/// What the peer was told we have, we have; what it has of us, we sent and know of.
void Host::check_promises(const Host& peer) const {
    const auto& theirs = peer.stack_->core().world.connections;
    stack_->core().world.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        theirs.for_each([&](std::uint32_t, const TcpConnectionState& p) {
            if (c.local.port != p.remote.port || c.remote.port != p.local.port) return;
            if (c.remote.address != p.local.address || p.remote.address != c.local.address) return;
            if (c.rcv.irs != p.snd.iss || p.rcv.irs != c.snd.iss) return;
            if (p.phase == TcpPhase::syn_sent || c.phase == TcpPhase::syn_sent) return;
            if (p.phase == TcpPhase::closed || c.phase == TcpPhase::closed)
                return;  // aborted: promises nothing
            if (before(c.rcv.nxt, p.snd.una))
                throw Failure("what was acknowledged is there after a restart", "");
            if (before(snd_end(c), p.rcv.nxt)) throw Failure("what was sent is known after a restart", "");
        });
    });
}

}  // namespace keepnet::sim
