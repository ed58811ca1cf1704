// Deadlines that have passed: RFC 6298 5, RFC 9293 3.8 (give up, probes, keep-alive), 3.10.8 (TIME-WAIT).
#include "tcp/congestion/congestion.hpp"
#include "tcp/counters.hpp"
#include "tcp/ecn.hpp"
#include "tcp/mtu_search.hpp"
#include "tcp/recovery/newreno.hpp"
#include "tcp/recovery/sack.hpp"
#include "tcp/rtt.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

bool take(Deadline& d, Instant now) {
    if (d > now) return false;
    d = never;
    return true;
}

void give_up(TcpContext& cx, TcpConnectionState& c) {
    ++cx.w.count().tcp_aborts_on_timeout;
    end_connection(cx, c, c.error != Error::invalid ? c.error : Error::timed_out, Verdict::expired);
}

void on_retransmit(TcpContext& cx, TcpConnectionState& c) {
    ++cx.w.count().tcp_timeouts;
    count_timeout(cx, c);
    const bool first = c.rtt.backoff == 0;
    back_off(c.rtt);
    if (is_syn_unacked(c)) {
        ecn::on_syn_lost(c.ecn);
        c.snd.nxt = c.snd.iss;
        return;
    }
    mtu_search::on_timeout(cx, c);
    const congestion::View view = congestion::view_of(c, cx.now);
    const bool was_open = !c.recovery.in_recovery && !c.recovery.after_timeout;
    congestion::on_timeout(c.congestion, view, first);
    recovery::on_timeout(c.recovery, view);
    // Go back; what has arrived in spite of it will be acknowledged and skipped.
    c.snd.nxt = c.snd.una;
    if (c.sack.permitted) sack::on_timeout(cx, c, was_open);
    // A window that shut meanwhile: probes, which a living peer may answer for ever, instead of
    // retransmissions.
    if (c.snd.wnd == 0) c.probe_owed = true;
}

void on_persist(TcpContext& cx, TcpConnectionState& c) {
    // RFC 9293 3.8.6.1: with the retransmission timeout's back-off.
    if (c.probes_sent < 255) ++c.probes_sent;
    RttState paced = c.rtt;
    paced.backoff = c.probes_sent < 16 ? c.probes_sent : 16;
    c.timers.persist = cx.now + current_rto(paced, cx.w.config().tcp);
    ++cx.w.count().tcp_window_probes;
    c.probe_owed = true;
}

void on_keep_alive(TcpContext& cx, TcpConnectionState& c) {
    const Instant due = c.last_heard + c.options.keep_alive_idle;
    // Whatever is under way has timers of its own.
    const bool is_busy = c.timers.retransmit != never || c.timers.persist != never;
    if (is_busy || (due > cx.now && c.probes_sent == 0)) {
        c.timers.keep_alive = later(due, cx.now + c.options.keep_alive_interval);
        if (!is_busy) c.timers.keep_alive = due;
        return;
    }
    if (c.probes_sent >= c.options.keep_alive_probes) return give_up(cx, c);
    ++c.probes_sent;
    ++cx.w.count().tcp_keep_alives;
    c.probe_owed = true;
    c.timers.keep_alive = cx.now + c.options.keep_alive_interval;
}

void on_time_wait(TcpContext& cx, TcpConnectionState& c) {
    // 2 MSL are over; or the peer of a closed FIN-WAIT-2 never closed its side.
    end_connection(cx, c, Error::invalid, Verdict::closed);
}

}  // namespace

void on_timer(TcpContext& cx, std::uint32_t i) {
    if (!cx.w.connections.is_live(i)) return;
    TcpConnectionState& c = cx.w.connections.edit(i);
    TcpTimers& t = c.timers;
    if (is_dead(c)) {
        t = {};
        c.rack.reorder = c.rack.probe = never;
    } else if (take(t.user_timeout, cx.now)) {
        give_up(cx, c);
    } else if (take(t.time_wait, cx.now)) {
        on_time_wait(cx, c);
    } else {
        if (take(c.rack.reorder, cx.now)) sack::on_reorder_timer(cx, c);
        if (take(c.rack.probe, cx.now)) sack::on_probe_timer(cx, c);
        if (take(t.retransmit, cx.now)) on_retransmit(cx, c);
        if (take(t.persist, cx.now)) on_persist(cx, c);
        (void)take(t.pace, cx.now);  // the burst goes on
        if (take(t.keep_alive, cx.now)) on_keep_alive(cx, c);
        if (!is_dead(c) && take(t.delayed_ack, cx.now)) {
            ++cx.w.count().tcp_delayed_acks;
            c.ack_now = true;
            c.tuning.interactive = false;  // there was no answer for it to ride on
        }
        if (!is_dead(c) && take(t.cork, cx.now)) {
            c.push_seq = c.snd.una + c.send_queue.bytes;
            c.push_seq_valid = 1;
            c.probe_owed = true;  // whatever else would hold it back
        }
    }
    settle(cx, c);
}

}  // namespace keepnet::tcp
