// Received text and FIN: cut to the window, queued in order or out of it, acknowledged soon or at once.
// RFC 9293 3.10.7.4 (seventh, eighth), 3.8.6.3 (delayed ACK); RFC 5681 4.2.
#include "tcp/ecn.hpp"
#include "tcp/queues.hpp"
#include "tcp/recovery/reports.hpp"
#include "tcp/tuning.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

/// A segment of this size counts towards "every second full-sized segment", whatever the peer's MSS may be.
constexpr std::uint32_t full_sized_bytes = 512;

/// The part of a segment that is new and inside the window.
struct Text {
    Seq seq{};
    Slice slice{};
    bool fin = false;
    [[nodiscard]] Seq end() const { return seq + slice.length; }
};

Text cut_to_window(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    Text t{s.repr.seq + (s.repr.flags.syn ? 1U : 0U), s.payload, s.fin};
    if (before(t.seq, c.rcv.nxt)) {
        const std::uint32_t known = c.rcv.nxt - t.seq;
        const std::uint32_t cut = known < t.slice.length ? known : t.slice.length;
        note_duplicate(c, t.seq, t.seq + cut);
        t.slice.offset = static_cast<std::uint16_t>(t.slice.offset + cut);
        t.slice.length = static_cast<std::uint16_t>(t.slice.length - cut);
        t.seq += cut;
        if (t.seq != c.rcv.nxt) t.fin = false;  // a FIN before the window: known, or nonsense
    }
    if (t.fin && !before(t.end(), c.rcv.adv)) {
        t.fin = false;
        if (!after(t.end(), c.rcv.adv)) cx.w.drop(DropReason::tcp_beyond_window);
        c.ack_now = true;
    }
    if (after(t.end(), c.rcv.adv)) {
        const std::uint32_t inside = before(t.seq, c.rcv.adv) ? c.rcv.adv - t.seq : 0;
        t.slice.length = static_cast<std::uint16_t>(inside);
        cx.w.drop(DropReason::tcp_beyond_window);
        c.ack_now = true;
    }
    return t;
}

/// The eighth step: everything before the FIN has come.
void on_fin(TcpContext& cx, TcpConnectionState& c) {
    c.rcv.nxt += 1;
    c.rcv.fin_received = true;
    c.rcv.fin_early = false;
    c.fin_ack_owed = true;
    clear_queue(cx.w, c.out_of_order);  // beyond the end there is nothing
    cx.w.notify(c.socket);
    switch (c.phase) {
        case TcpPhase::established:
            c.phase = TcpPhase::close_wait;
            return;
        case TcpPhase::fin_wait_1:
            c.phase = TcpPhase::closing;
            return;
        case TcpPhase::fin_wait_2:
            enter_time_wait(cx, c);
            return;
        case TcpPhase::invalid:
        case TcpPhase::closed:
        case TcpPhase::listen:
        case TcpPhase::syn_sent:
        case TcpPhase::syn_received:
        case TcpPhase::close_wait:
        case TcpPhase::closing:
        case TcpPhase::last_ack:
        case TcpPhase::time_wait:
            return;
    }
}

void discard_received(TcpContext& cx, TcpConnectionState& c) {
    c.rx_consumed += c.receive_queue.bytes;
    clear_queue(cx.w, c.receive_queue);
}

/// What comes in order is worth more than what waits behind a gap, which the peer keeps until it is acknowledged, whatever
/// was reported of it (RFC 2018 8).
bool append_text(World& w, TcpConnectionState& c, const Text& t) {
    if (append_payload(w, c.receive_queue, t.seq, t.slice)) return true;
    if (c.out_of_order.nodes == 0) return false;
    clear_queue(w, c.out_of_order);
    return append_payload(w, c.receive_queue, t.seq, t.slice);
}

/// False: no room in the tables; the peer will send it again.
bool append_in_order(TcpContext& cx, TcpConnectionState& c, const Text& t) {
    if (c.receive_abandoned) {
        c.rx_consumed += t.slice.length;
    } else if (!append_text(cx.w, c, t)) {
        cx.w.drop(DropReason::no_slot);
        return false;
    }
    c.rcv.nxt += t.slice.length;
    return true;
}

/// When does what has been received in order get its ACK?
void schedule_ack(TcpContext& cx, TcpConnectionState& c, std::uint32_t bytes, bool at_once) {
    // Not before a commit, which owes it then.
    if (acknowledgeable(c) != c.rcv.nxt && !is_planted(Fault::withheld_acks_sent)) return;
    if (bytes >= full_sized_bytes && c.segments_since_ack < 255) ++c.segments_since_ack;
    const std::uint32_t unacknowledged = c.rcv.nxt - c.rcv.acked;
    if (at_once || c.options.quick_ack || c.segments_since_ack >= 2 || unacknowledged >= 2U * c.mss) {
        c.ack_now = true;
        if (unacknowledged >= std::uint32_t{cx.w.config().tcp.ack_burst_segments} * c.mss) send_ack(cx, c);
    } else if (c.timers.delayed_ack == never) {
        c.timers.delayed_ack = cx.now + cx.w.config().tcp.delayed_ack;
    }
}

/// As of the packet buffers, an eighth is kept for what comes in order.
bool may_queue_out_of_order(const World& w) {
    return w.slice_nodes.capacity() - w.slice_nodes.in_use() > w.slice_nodes.capacity() / 8;
}

void keep_out_of_order(TcpContext& cx, TcpConnectionState& c, const Text& t) {
    if (t.slice.length != 0) {
        ++c.counters.out_of_order_in;
        ++cx.w.count().tcp_out_of_order_queued;
        if (!cx.w.pool.may_take(PoolUse::optional)) {
            cx.w.drop(DropReason::out_of_buffers);
        } else if (!may_queue_out_of_order(cx.w)) {
            cx.w.drop(DropReason::no_slot);
        } else {
            note_known(cx.w, c, t.seq, t.end());
            if (insert_out_of_order(cx.w, c.out_of_order, t.seq, t.slice,
                                    cx.w.config().tcp.out_of_order_segments) == Insertion::full) {
                cx.w.drop(DropReason::tcp_out_of_order_full);
            }
        }
    }
    if (t.fin && !c.rcv.fin_early) {
        c.rcv.fin_early = true;
        c.rcv.fin_seq = t.end();
    }
    note_block(cx.w, c, t.seq);
    // RFC 5681 4.2: at once, each of them: three make the peer send the hole again. But a withheld ACK is no
    // duplicate.
    if (acknowledgeable(c) == c.rcv.nxt) send_ack(cx, c);
}

}  // namespace

void take_queued_text(TcpContext& cx, TcpConnectionState& c) {
    c.rcv.nxt += pull_in_order(cx.w, c.out_of_order, c.receive_queue, c.rcv.nxt);
    if (c.receive_abandoned) discard_received(cx, c);
    if (c.rcv.fin_early && before(c.rcv.fin_seq, c.rcv.nxt)) c.rcv.fin_early = false;  // it was none
    if (c.rcv.fin_early && c.rcv.fin_seq == c.rcv.nxt) on_fin(cx, c);
}

void queue_syn_text(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    const Text t{s.repr.seq + 1, s.payload, s.fin};
    if (t.slice.length != 0 && cx.w.pool.may_take(PoolUse::optional)) {
        (void)insert_out_of_order(cx.w, c.out_of_order, t.seq, t.slice,
                                  cx.w.config().tcp.out_of_order_segments);
    }
    if (!t.fin || c.out_of_order.bytes != t.slice.length) return;
    c.rcv.fin_early = true;
    c.rcv.fin_seq = t.end();
}

void take_text(TcpContext& cx, TcpConnectionState& c, Segment& s) {
    // Behind the peer's FIN there is nothing to take.
    if (c.rcv.fin_received || is_dead(c) || s.length() == 0) return;
    const Text t = cut_to_window(cx, c, s);
    if (t.slice.length == 0 && !t.fin) {
        // A probe of a closed window is answered even while ACKs are withheld.
        if (c.ack_now && acknowledgeable(c) != c.rcv.nxt) answer_unacceptable(cx, c, s);
        return;
    }
    if (t.slice.length != 0 && is_orphan(c)) {
        cx.w.drop(DropReason::tcp_data_after_close);
        ++cx.w.count().tcp_aborts_on_data;
        abort_connection(cx, c, Error::connection_aborted);
        c.rst_is_answer = c.rst_owed;  // it may have come before our FIN, whose number would not fit then
        return;
    }
    // RFC 3168 6.1.3: while there is news of it no ACK is delayed; and a withheld one says it when it comes.
    const bool has_news = ecn::take_text(c.ecn, s.repr.flags, s.traffic_class);
    if (t.seq != c.rcv.nxt) return keep_out_of_order(cx, c, t);
    const bool fills_gap = c.out_of_order.nodes != 0 || c.rcv.fin_early;
    if (t.slice.length != 0) note_known(cx.w, c, t.seq, t.end());
    if (t.slice.length != 0 && !append_in_order(cx, c, t)) return;
    if (t.fin) {
        on_fin(cx, c);
    } else if (fills_gap) {
        take_queued_text(cx, c);
    }
    if (is_dead(c)) return;
    const bool is_quick = t.slice.length != 0 && tuning::on_text(cx, c);
    schedule_ack(cx, c, t.slice.length, fills_gap || is_quick || has_news || c.rcv.fin_received);
    if (!c.receive_abandoned) cx.w.notify(c.socket);
}

}  // namespace keepnet::tcp
