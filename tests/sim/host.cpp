#include "sim/host.hpp"

#include <algorithm>
#include <cstring>

#include "stack/core.hpp"

namespace keepnet::sim {

namespace {

constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t nic_queue_max = 256;  ///< frames; what comes on top is lost, as in any card

}  // namespace

// --- the card ---

LinkCapabilities Nic::capabilities() const {
    return {.mtu = mtu,
            .mac = {{0x02, 0, 0, 0, 0, static_cast<std::uint8_t>(host_.index_ + 1)}}};
}

std::size_t Nic::receive(FramePool& pool, std::span<RxFrame> frames) {
    std::size_t n = 0;
    while (n < frames.size() && !inbound.empty()) {
        const BufferIndex buffer = pool.allocate();
        if (buffer == no_buffer) break;
        const Frame& frame = inbound.front();
        const MutableBytes room = pool.bytes(buffer);
        if (!frame.empty()) std::memcpy(room.data(), frame.data(), std::min(frame.size(), room.size()));
        frames[n++] = {.buffer = buffer, .length = static_cast<std::uint16_t>(frame.size())};
        inbound.pop_front();
    }
    return n;
}

std::size_t Nic::transmit(std::span<const TxFrame> frames) {
    std::size_t room = frames.size();
    if (host_.dice_.percent(host_.plan().transmit_refusal_percent)) {
        room = host_.dice_.below(frames.size() + 1);
        refused = true;
    }
    for (std::size_t n = 0; n < room; ++n) {
        Frame frame(frames[n].header.begin(), frames[n].header.end());
        for (const ByteView slice : frames[n].payload) frame.insert(frame.end(), slice.begin(), slice.end());
        if (frame.size() > ethernet_bytes + mtu) {
            // It was made for the card that was there before; this one throws it away.
            if (host_.now_ - replaced_at > seconds(1))
                throw Failure("no frame is larger than the card takes", std::to_string(frame.size()) + " bytes");
            host_.trace_.frame(host_.now_, host_.index_, What::frame_lost, frame);
            continue;
        }
        host_.transmitted(std::move(frame));
    }
    return room;
}

// --- the host ---

Host::Host(const Plan& plan, unsigned index, Trace& trace, Network& network, Monitor& monitor)
    : plan_(plan),
      index_(index),
      trace_(trace),
      network_(network),
      monitor_(monitor),
      dice_(plan.seed ^ 0x686f'7374 ^ static_cast<std::uint64_t>(index) << 48),
      judge_(plan.seed ^ 0x6a75'6467 ^ static_cast<std::uint64_t>(index) << 48),
      nic_(*this),
      app_(plan, index, trace),
      deaths_left_(plan.host[index].crashes) {
    nic_.mtu = plan.host[index].mtu;
    if (plan.host[index].config.policy == DurabilityPolicy::journal)
        journaled_ = std::make_unique<Journaled>(*this, plan.host[index].journal.capacity);
    compares_increments_ = judge_.one_in(10);
}

void Host::transmitted(Frame frame) {
    trace_.frame(now_, index_, What::frame_sent, frame);
    monitor_.set_cookies_sent(index_, stack_->statistics().tcp_cookies_sent - cookies_before_);
    monitor_.on_frame(index_, frame, facts_of(frame));
    network_.send(now_, index_, std::move(frame));
}

Monitor::Facts Host::facts_of(ByteView frame) const {
    const World& w = stack_->core().world;
    Monitor::Facts facts{.now = now_,
                         .is_ready = w.stack().ready,
                         .challenges = stack_->statistics().tcp_challenge_acks,
                         .answer_interval = plan().config.tcp.invalid_ack_interval};
    const auto t = read_tcp(frame);
    if (!t || t->occupies() != 0 || t->to >= plan_.host.size()) return facts;
    facts.has_connection = false;
    w.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        if (c.local.port != t->source || c.remote.port != t->destination ||
            host_of(c.remote.address) != t->to) {
            return;
        }
        facts.has_connection = true;
        // Fewer bytes than the window's scale can say, all of them durable, are kept back for its sake alone: what comes
        // out of order has its duplicate ACK all the same.
        const bool is_durable = after_eq(c.marks.rcv_durable, c.rcv.nxt);
        const bool is_misfit = is_durable && c.rcv.nxt.raw - t->ack < 1U << c.rcv.wscale;
        facts.withholds = c.policy != DurabilityPolicy::none && t->ack != c.rcv.nxt.raw && !is_misfit;
        // But for what waits for a neighbour, a segment leaves some polls after it was made at the latest.
        facts.is_quiet = sim_time(c.last_heard) + milliseconds(20) < now_ && neighbor_waited_ + seconds(5) < now_;
    });
    if (t->has(rst)) {
        facts.may_be_aborted = may_abort(plan_, app_.value, t->to, t->source, t->destination) ||
                               may_abort(plan_, *(*everyone_)[t->to], index_, t->destination, t->source);
    }
    return facts;
}

void Host::deliver(Instant now, Frame frame) {
    if (!up_ || nic_.inbound.size() >= nic_queue_max) {
        trace_.frame(now, index_, What::frame_lost, frame);
        return;
    }
    trace_.frame(now, index_, What::frame_arrived, frame);
    nic_.inbound.push_back(std::move(frame));
    poll_at_ = earlier(poll_at_, now + within(plan().poll_latency));
}

void Host::set_durable(const Stamped& record) {
    durable_ = record;
    monitor_.set_durable(index_, record.ends);
}

void Host::advance_durable(const Stamped& record) {
    if (record.number < durable_.number) return;
    durable_ = record;
    monitor_.advance_durable(index_, record.ends);
}

void Host::stop_faults(Instant now) {
    deaths_left_ = 0;
    if (!up_) up_at_ = now;
}

void Host::begin_drain(Instant now) {
    draining_ = true;
    app_.close_all(*stack_);
    reschedule(now);
}

/// The stack says itself when it wants to be polled, and whether it wants a commit; the host believes it.
void Host::reschedule(Instant now) {
    const Instant deadline = later(now, sim_time(stack_->next_deadline()));
    if (deadline < poll_at_) poll_at_ = deadline == never ? never : deadline + within(plan().poll_latency);
    if (!plan().takes_cuts) return;
    if (draining_) {
        cut_at_ = later(now, last_cut_ + std::max(plan().cut_interval, milliseconds(500)));
    } else if (!plan().on_demand) {
        cut_at_ = changed_ ? later(now, last_cut_ + plan().cut_interval) : never;
        // The journal is full, or has nothing yet to go on from.
        if (journaled_ && stack_->commit_wanted() != never) cut_at_ = now;
    } else if (stack_->commit_wanted() == never) {
        cut_at_ = never;
    } else if (cut_at_ == never) {
        cut_at_ = now + plan().cut_interval;
    }
}

Instant Host::due(Due what, Instant now, bool faults) const {
    switch (what) {
        case Due::poll:
            return poll_at_;
        case Due::app:
            return is_replaying() ? journaled_->replay_at : app_.next_work(now, faults);
        case Due::cut:
            if (is_replaying()) return never;
            return pending_.size() < 2 && (pending_.empty() || !pending_.back()->encoder) ? cut_at_ : never;
        case Due::encode:
            return !pending_.empty() && pending_.back()->encoder ? now : never;
        case Due::storage: {
            Instant t = never;
            for (const auto& p : pending_) t = p->is_durable ? t : earlier(t, p->durable_at);
            return t;
        }
        case Due::tell:
            return !pending_.empty() && pending_.front()->is_durable ? pending_.front()->told_at : never;
        case Due::die: {
            const auto& at = plan().crash_at;
            return deaths_left_ != 0 && next_death_ < at.size() ? at[next_death_] : never;
        }
        case Due::ready:
            return ready_at_;
        case Due::journal:
            return journaled_ ? earlier(journaled_->written_at, journaled_->works_at) : never;
        case Due::card:
            return next_card_ < plan().cards.size() ? plan().cards[next_card_].at : never;
        case Due::count_:
            break;
    }
    return never;
}

Instant Host::next_turn(Instant now, bool faults) const {
    if (!up_) return up_at_;
    Instant t = never;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Due::count_); ++i) {
        t = earlier(t, due(static_cast<Due>(i), now, faults));
    }
    return t;
}

void Host::turn(Instant now, bool faults, std::span<const std::unique_ptr<Host>> all) {
    now_ = now;
    if (!up_) return come_up(now, all);
    std::array<Due, static_cast<std::size_t>(Due::count_)> choices{};
    std::size_t n = 0;
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (due(static_cast<Due>(i), now, faults) <= now) choices[n++] = static_cast<Due>(i);
    }
    if (n == 0) return;
    perform(choices[dice_.below(n)], now, faults);
    if (up_ && suspending_ && stack_->is_suspended()) exit_suspended(now);
    if (up_) reschedule(now);
}

void Host::perform(Due what, Instant now, bool faults) {
    switch (what) {
        case Due::poll:
            poll(now);
            return maybe_die(Place::poll, now, faults);
        case Due::app: {
            if (is_replaying()) return replay(now, faults);
            const App::Did did = journaled_ ? program_turn(app_, Turn::step, now, faults)
                                            : app_.step(*stack_, now, faults, *everyone_);
            changed_ = changed_ || did != App::Did::nothing;
            if (did == App::Did::transfer) maybe_die(Place::transfer, now, faults);
            if (did == App::Did::handler) maybe_die(Place::handler, now, faults);
            return;
        }
        case Due::cut:
            take_cut(now);
            return maybe_die(Place::cut, now, faults);
        case Due::encode:
            encode_some(now);
            return maybe_die(Place::encode, now, faults);
        case Due::storage:
            make_durable(now);
            return maybe_die(Place::durable, now, faults);
        case Due::tell:
            tell(now);
            return maybe_die(Place::committed, now, faults);
        case Due::die:
            ++next_death_;
            return begin_death(now);
        case Due::ready:
            ready_at_ = never;
            stack_->ready(dice_.one_in(2));
            return trace_.add(now, index_, What::ready);
        case Due::journal:
            return end_write(now, faults);
        case Due::card:
            return replace_card(now);
        case Due::count_:
            return;
    }
}

/// What the old card had in its queue is lost with it.
void Host::replace_card(Instant now) {
    nic_.inbound.clear();
    nic_.mtu = plan().cards[next_card_++].mtu;
    nic_.replaced_at = now;
    trace_.add(now, index_, What::card, nic_.mtu);
    (void)stack_->detach_device(1).value();
    if (!stack_->attach_device(nic_, {.link_local = plan().link_local})) throw Failure("a device can be replaced", "");
    poll_at_ = earlier(poll_at_, now + within(plan().poll_latency));
}

std::string Host::leftovers() const {
    const World& w = stack_->core().world;
    std::string out;
    const auto note = [&](const char* what, std::uint64_t n) {
        if (n != 0) out += std::string(what) + " " + std::to_string(n) + " ";
    };
    note("connections", w.connections.in_use());
    note("listeners", w.listeners.in_use());
    note("sockets", w.sockets.in_use());
    note("queue entries", w.slice_nodes.in_use());
    note("datagrams", w.datagrams.in_use());
    note("packets that wait for a neighbour", w.pending_packets.in_use());
    note("buffers", w.pool.in_use());
    return out;
}

}  // namespace keepnet::sim
