// Invariants of a connection or listener that comes from a snapshot or from an arena that somebody preserved:
// an error for the caller, so that no assertion of ours can be reached from outside.
#include "tcp/congestion/congestion.hpp"
#include "tcp/queues.hpp"
#include "tcp/recovery/scoreboard.hpp"
#include "tcp/verbs.hpp"
#include "wire/ipv6.hpp"

namespace keepnet::tcp {

namespace {

using congestion::window_max;
constexpr std::uint16_t mss_min = 36;  // 48 less the timestamps
constexpr Duration round_trip_max = seconds(100 * 24 * 3600);  // an echoed time stamp can say 50 days

bool is_phase(TcpPhase p) {
    return p == TcpPhase::closed || (p >= TcpPhase::syn_sent && p <= TcpPhase::time_wait);
}

bool are_endpoints_sane(const TcpConnectionState& c) {
    const auto is_host = [](const Ipv6Address& a) { return !a.is_unspecified() && !a.is_multicast(); };
    return c.local.port != 0 && c.remote.port != 0 && is_host(c.local.address) && is_host(c.remote.address);
}

bool is_send_side_sane(const TcpConnectionState& c) {
    const SendSequence& s = c.snd;
    if (s.wscale > 14 || s.wnd > window_max || s.wnd_max > window_max || s.wnd_max < s.wnd) return false;
    if (c.send_queue.bytes > window_max || c.mss < mss_min) return false;
    const std::uint32_t end = snd_end(c) - s.una;
    if (s.nxt - s.una > end || s.max - s.una > end || s.nxt - s.una > s.max - s.una) return false;
    if (c.congestion.algorithm != CongestionAlgorithm::newreno && c.congestion.algorithm != CongestionAlgorithm::cubic) {
        return false;
    }
    if (c.push.count > c.push.marks.size()) return false;
    const MtuSearchState& m = c.mtu_search;
    if (m.active && (m.low < wire::ipv6_mtu_min || m.high < m.low)) return false;
    if (m.probe != 0 && (!m.active || m.probe <= m.low)) return false;
    if (is_syn_unacked(c) && (s.una != s.iss || s.max - s.iss > 1)) return false;
    if (!is_syn_unacked(c) &&
        (c.congestion.cwnd < c.mss || c.congestion.cwnd > window_max || c.congestion.ssthresh < c.mss)) {
        return false;
    }
    return !s.fin_acked || (s.fin_queued && c.send_queue.bytes == 0);
}

bool is_receive_side_sane(const TcpConnectionState& c) {
    const ReceiveSequence& r = c.rcv;
    if (r.wscale > 14 || r.buffer == 0 || r.buffer > window_max) return false;
    if (c.phase == TcpPhase::syn_sent) return c.receive_queue.bytes == 0 && c.out_of_order.bytes == 0;
    if (r.adv - r.nxt > 2 * window_max - 1 || r.nxt - r.acked > window_max ||
        c.receive_queue.bytes > window_max) {
        return false;
    }
    return !(r.fin_received && c.out_of_order.nodes != 0);
}

bool does_fin_fit_phase(const TcpConnectionState& c) {
    switch (c.phase) {
        case TcpPhase::closed:
            return true;
        case TcpPhase::syn_sent:
        case TcpPhase::syn_received:
            return !c.snd.fin_acked && !c.rcv.fin_received;
        case TcpPhase::established:
            return !c.snd.fin_queued && !c.rcv.fin_received;
        case TcpPhase::fin_wait_1:
            return c.snd.fin_queued && !c.snd.fin_acked && !c.rcv.fin_received;
        case TcpPhase::fin_wait_2:
            return c.snd.fin_acked && !c.rcv.fin_received;
        case TcpPhase::close_wait:
            return !c.snd.fin_queued && c.rcv.fin_received;
        case TcpPhase::closing:
        case TcpPhase::last_ack:
            return c.snd.fin_queued && c.rcv.fin_received;
        case TcpPhase::time_wait:
            return c.snd.fin_acked && c.rcv.fin_received;
        case TcpPhase::invalid:
        case TcpPhase::listen:
            return false;
    }
    return false;
}

bool are_queues_sane(const World& w, const TcpConnectionState& c) {
    if (!is_queue_sane(w, c.send_queue, true) || !is_queue_sane(w, c.receive_queue, true) ||
        !is_queue_sane(w, c.out_of_order, false)) {
        return false;
    }
    if (c.send_queue.head) {
        const Seq first = c.snd.una + (is_syn_unacked(c) ? 1U : 0U);
        if (w.slice_nodes.get(c.send_queue.head.index()).seq != first) return false;
    }
    if (c.receive_queue.head && w.slice_nodes.get(c.receive_queue.head.index()).seq != rcv_consumed(c))
        return false;
    if (!c.out_of_order.head) return true;
    // Behind nxt, unless the handshake is still going on; never beyond what was granted.
    const SliceNodeState& first = w.slice_nodes.get(c.out_of_order.head.index());
    const SliceNodeState& last = w.slice_nodes.get(c.out_of_order.tail.index());
    const std::uint32_t span = last.seq + last.slice.length - c.rcv.nxt;
    return first.seq - c.rcv.nxt <= span && span <= 2 * window_max;
}

/// What is multiplied or added up does not overflow.
bool are_times_sane(const TcpConnectionState& c) {
    const auto is_round_trip = [](Duration d) { return d.ns >= 0 && d <= round_trip_max; };
    return is_round_trip(c.rtt.srtt) && is_round_trip(c.rtt.rttvar) && is_round_trip(c.rtt.rto) && is_round_trip(c.rack.rtt) &&
           is_round_trip(c.rack.rtt_min) && is_round_trip(c.tuning.rtt);
}

bool are_owners_sane(const World& w, std::uint32_t i, const TcpConnectionState& c) {
    const auto self = w.connections.handle_of(i);
    if (c.socket) {
        const SocketState* s = w.sockets.find(c.socket);
        if (s == nullptr || s->connection != self || s->kind != SocketKind::tcp || c.listener) return false;
    }
    if (!c.listener) return c.phase != TcpPhase::syn_received || !c.is_passive;
    const TcpListenerState* l = w.listeners.find(c.listener);
    return l != nullptr && w.sockets.find(l->socket) != nullptr && c.is_passive && !is_dead(c) &&
           c.phase != TcpPhase::syn_sent;
}

}  // namespace

bool is_sane(const World& w, std::uint32_t i) {
    const TcpConnectionState& c = w.connections.get(i);
    if (!is_phase(c.phase) || !are_endpoints_sane(c) || !are_owners_sane(w, i, c) || !are_queues_sane(w, c)) {
        return false;
    }
    if (c.policy < DurabilityPolicy::none || c.policy > DurabilityPolicy::journal) return false;
    const bool is_mixed = c.policy == DurabilityPolicy::journal && c.send_policy == DurabilityPolicy::snapshot;
    if (c.send_policy != c.policy && !is_mixed) return false;
    if (c.error > last_error || c.verdict > last_verdict) return false;
    if (!are_times_sane(c)) return false;
    const TcpConnectionOptions& o = c.options;
    if (o.keep_alive && (o.keep_alive_idle.ns <= 0 || o.keep_alive_interval.ns <= 0)) return false;
    if (is_dead(c)) {
        return c.sack.ranges == 0 && c.send_queue.nodes == 0 && c.out_of_order.nodes == 0 &&
               (c.socket || c.tombstone || c.rst_owed || is_spent(c));
    }
    return !c.tombstone && !c.rst_owed && is_send_side_sane(c) && is_scoreboard_sane(w, c) && is_receive_side_sane(c) &&
           does_fin_fit_phase(c);
}

bool is_listener_sane(const World& w, std::uint32_t listener) {
    const TcpListenerState& l = w.listeners.get(listener);
    const auto self = w.listeners.handle_of(listener);
    if (l.local.port == 0) return false;
    const SocketState* s = w.sockets.find(l.socket);
    if (l.died_after == 0 ? s == nullptr || s->listener != self || s->kind != SocketKind::tcp
                          : bool{l.socket}) {
        return false;
    }
    std::uint32_t queued = 0;
    Link last{};
    for (Link at = l.accept_head; at; ++queued) {
        if (queued == l.accept_count || !w.connections.is_live(at.index())) return false;
        const TcpConnectionState& c = w.connections.get(at.index());
        if (c.listener != self || !is_synchronized(c)) return false;
        last = at;
        at = c.accept_next;
    }
    if (queued != l.accept_count || last != l.accept_tail) return false;
    std::uint32_t half_open = 0;
    std::uint32_t children = 0;
    w.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        if (c.listener != self) return;
        ++children;
        if (c.phase == TcpPhase::syn_received) ++half_open;
    });
    return half_open == l.half_open && children == half_open + queued;
}

}  // namespace keepnet::tcp
