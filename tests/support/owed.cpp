#include "support/owed.hpp"

#include "tcp/verbs.hpp"

namespace keepnet::test {

namespace {

bool has_turn(const Core& core, std::uint32_t i, const TcpConnectionState& c) {
    return core.tcp_tables.run.test(i) || (c.resume_owed && i >= core.world.stack().resume_cursor);
}

bool has_deadline(const TcpConnectionState& c) {
    const TcpTimers& t = c.timers;
    for (const Deadline d : {t.retransmit, t.persist, t.cork, t.pace, c.rack.reorder, c.rack.probe}) {
        if (d != never) return true;
    }
    return false;
}

std::string unpaid_by(const Core& core, std::uint32_t i, const TcpConnectionState& c) {
    if (tcp::has_something_to_send(c) && !has_turn(core, i, c)) return "something to send, and no turn";
    if (!tcp::is_synchronized(c) || c.phase == TcpPhase::time_wait) return {};
    const bool will_ack = c.ack_now || c.probe_owed || c.fin_ack_owed || c.timers.delayed_ack != never;
    if (after(tcp::ack_field(c), c.rcv.acked) && !will_ack) return "an ACK that may move, and nothing that brings it";
    if (after(tcp::sendable_end(c), c.snd.una) && !has_turn(core, i, c) && !has_deadline(c))
        return "text that may leave, or is on its way, and no timer";
    return {};
}

}  // namespace

std::string unpaid(const Core& core) {
    std::string what;
    core.world.connections.for_each([&](std::uint32_t i, const TcpConnectionState& c) {
        if (!what.empty()) return;
        what = unpaid_by(core, i, c);
        if (what.empty()) return;
        what += ", ports " + std::to_string(c.local.port) + " to " + std::to_string(c.remote.port);
    });
    return what;
}

}  // namespace keepnet::test
