// The engine: one burst from each device, the expired timers, the output that became possible, one burst to each
// device. Every loop has a limit of PollConfig; what is left over makes next_deadline() say "now".
#include <array>


#include "durability/cut.hpp"
#include "nd/nd.hpp"
#include "stack/core.hpp"
#include "stack/journal_core.hpp"

namespace keepnet {

namespace {

constexpr std::uint32_t unpark_per_poll = 4096;
constexpr std::size_t burst_max = 64;
/// While an encoder has not made room yet, look again after this.
constexpr Duration sweep_retry = milliseconds(1);
/// What a full device did not take is offered again after this, if nothing makes us poll sooner.
constexpr Duration transmit_retry = milliseconds(1);

class ReceivePool final : public FramePool {
  public:
    explicit ReceivePool(World& w) : w_(w) {}
    BufferIndex allocate() override { return w_.pool.allocate(PoolUse::receive); }
    MutableBytes bytes(BufferIndex buffer) override { return w_.pool.buffer(buffer); }
    void release(BufferIndex buffer) override { w_.pool.release(buffer); }

  private:
    World& w_;
};

void deliver(Core& core, const ip::Delivery& delivery) {
    if (delivery.kind == ip::Delivery::Kind::none) return;
    if (core.input_seam == nullptr) {
        dispatch(core, delivery);
    } else {
        core.input_seam->push(delivery);
    }
}

void receive_frame(Core& core, InterfaceIndex interface, const RxFrame& frame) {
    World& w = core.world;
    const BufferRef buffer(w.pool, frame.buffer);
    w.pool.set_used(frame.buffer, packet_buffer_bytes);
    auto cx = core.ip_context();
    if (const auto received = link::on_frame(cx, interface, frame)) deliver(core, ip::on_packet(cx, *received));
}

/// True: the device had a full burst, so it may have more.
bool receive_burst(Core& core, Step& step, InterfaceIndex interface, PollResult& result) {
    link::Port& port = core.ports.of(interface);
    if (port.device == nullptr) return false;
    ReceivePool pool(core.world);
    std::array<RxFrame, burst_max> frames;
    std::uint32_t left = core.world.config().poll.receive_burst;
    while (left != 0) {
        const std::size_t most = left < burst_max ? left : burst_max;
        const std::size_t n = port.device->receive(pool, std::span(frames).first(most));
        for (std::size_t i = 0; i < n; ++i) {
            receive_frame(core, interface, frames[i]);
            step.relieve();
        }
        result.frames_received += static_cast<std::uint32_t>(n);
        if (n < most) return false;
        left -= static_cast<std::uint32_t>(n);
    }
    return true;
}

void receive_loopback(Core& core, Step& step) {
    auto cx = core.ip_context();
    for (std::uint32_t left = core.world.config().poll.receive_burst; left != 0; --left) {
        const auto received = ip::take_loopback(cx);
        if (!received) return;
        const BufferRef buffer(core.world.pool, received->packet.buffer);
        deliver(core, ip::on_packet(cx, *received));
        step.relieve();
    }
}

void run_timers(Core& core, Step& step) {
    World& w = core.world;
    for (std::uint32_t left = w.config().poll.timers; left != 0; --left) {
        const World::Timer timer = w.take_expired(core.now());
        auto cx = core.tcp_context();
        switch (timer.kind) {
            case StateKind::tcp_connection: tcp::on_timer(cx, timer.index); break;
            case StateKind::neighbor: nd::on_neighbor_timer(cx, timer.index); break;
            case StateKind::address: nd::on_address_timer(cx, timer.index); break;
            case StateKind::interface: nd::on_interface_timer(cx, timer.index); break;
            case StateKind::route: ip::on_route_timer(cx, timer.index); break;
            case StateKind::destination: ip::on_destination_timer(cx, timer.index); break;
            case StateKind::stack: break;  // the end of a suspend's drain: is_suspended() looks at the clock
            default: return;
        }
        step.relieve();
    }
}

/// An address was found to be somebody else's, or its lifetime is over.
void tell_homeless(Core& core) {
    if (!core.world.address_lost) return;
    core.world.address_lost = false;
    auto cx = core.tcp_context();
    tcp::on_address_lost(cx);
}

/// Packets whose next hop does not answer come back to their transport as an error.
void return_unreachable(Core& core) {
    auto cx = core.ip_context();
    while (const auto delivery = ip::take_unreachable(cx)) deliver(core, *delivery);
}

std::uint32_t flush_devices(Core& core) {
    std::size_t sent = 0;
    auto cx = core.ip_context();
    core.world.interfaces.for_each([&](std::uint32_t i, const InterfaceState&) { sent += link::flush(cx, i + 1); });
    return static_cast<std::uint32_t>(sent);
}

bool has_frames_waiting(const Core& core) {
    bool waiting = false;
    core.world.interfaces.for_each([&](std::uint32_t i, const InterfaceState&) {
        const link::Port& port = core.ports.of(i + 1);
        waiting = waiting || (port.device != nullptr && port.queued() != 0);
    });
    return waiting;
}

/// Output and devices take turns until nothing moves: a full ring is no reason to wait for the next poll.
void send_all(Core& core, Step& step, PollResult& result) {
    auto cx = core.tcp_context();
    auto udp_cx = core.udp_context();
    udp::run_output(udp_cx);
    std::uint32_t turns = core.world.config().poll.outputs;
    for (;;) {
        const bool work_left = tcp::run_output(cx, turns);
        step.renew();
        const std::uint32_t sent = flush_devices(core);
        result.frames_sent += sent;
        if (!work_left || sent == 0 || turns <= sent) return;
        turns -= sent;
    }
}

}  // namespace

void dispatch(Core& core, const ip::Delivery& delivery) {
    constexpr std::uint8_t tcp_header = 6;
    const bool is_error = delivery.kind == ip::Delivery::Kind::error;
    const std::uint8_t next_header = is_error ? delivery.error.next_header : delivery.input.next_header;
    if (next_header == tcp_header) {
        auto cx = core.tcp_context();
        is_error ? tcp::on_error(cx, delivery.error) : tcp::on_segment(cx, delivery.input);
    } else {
        auto cx = core.udp_context();
        is_error ? udp::on_error(cx, delivery.error) : udp::on_datagram(cx, delivery.input);
    }
}

PollResult Stack::poll(Instant now) {
    PollResult result;
    World& w = core_->world;
    {
        Step step(*core_);
        w.edit_stack().now = later(now, core_->now());
        w.pool.unpark(unpark_per_poll);
        w.addresses_changed = false;  // what the embedder's own calls did is no news to it
        JournalCore* j = core_->journal;
        if (j == nullptr || journal::may_receive(*j)) {
            w.interfaces.for_each(
                [&](std::uint32_t i, const InterfaceState&) { receive_burst(*core_, step, i + 1, result); });
        }
        receive_loopback(*core_, step);
        run_timers(*core_, step);
        tell_homeless(*core_);
        return_unreachable(*core_);
        step.renew();  // what the journal takes is out of our hands, as what a device takes
        if (j != nullptr) journal::turn(*j, *core_);
        send_all(*core_, step, result);
        durability::sweep(w, core_->sweep_queue, w.config().poll.sweep_objects);
    }
    result.next_deadline = next_deadline();
    result.commit_wanted = commit_wanted();
    result.sockets_ready = !w.changed_sockets.empty();
    result.addresses_changed = w.addresses_changed;
    return result;
}

Instant Stack::next_deadline() const {
    World& w = core_->world;
    Deadline next = w.timers.next();
    if (ip::has_loopback(core_->ip_context()) || tcp::has_output(core_->tcp_context()) ||
        udp::has_output(core_->udp_context())) {
        return core_->now();
    }
    if (core_->journal != nullptr) next = earlier(next, journal::next_deadline(*core_->journal, *core_));
    if (w.cuts().sweeping) next = earlier(next, core_->now() + sweep_retry);
    if (has_frames_waiting(*core_)) next = earlier(next, core_->now() + transmit_retry);
    return next;
}

Instant Stack::commit_wanted() const {
    const Instant since = earlier(tcp::commit_wanted(core_->tcp_context()), udp::commit_wanted(core_->udp_context()));
    const JournalCore* j = core_->journal;
    return j != nullptr && journal::wants_snapshot(*j, *core_) ? earlier(since, core_->now()) : since;
}

}  // namespace keepnet
