#include "tcp/recovery/sack.hpp"

#include <algorithm>

#include "tcp/mtu_search.hpp"
#include "tcp/recovery/newreno.hpp"
#include "tcp/recovery/prr.hpp"
#include "tcp/recovery/rack.hpp"
#include "tcp/recovery/scoreboard.hpp"
#include "tcp/rtt.hpp"

namespace keepnet::tcp::sack {

namespace {

constexpr Duration ack_delay_max = milliseconds(200);  // RFC 8985 7.2, TLP.max_ack_delay; Linux's value

/// What one ACK says, as far as recovery is concerned.
struct News {
    Delivered delivered{};
    congestion::View view{};       ///< before it
    std::uint32_t acked = 0;       ///< una moves by so much
    bool has_duplicate = false;    ///< a D-SACK
    bool has_block = false;
    bool lost_more = false;
};

bool is_interesting(const TcpConnectionState& c) {
    return c.sack.sacked != 0 || c.sack.lost != 0 || c.snd.nxt != c.snd.max;
}

/// Was the segment that this ACK answers sent before `at`?
bool is_echo_older(const TcpContext& cx, const TcpConnectionState& c, const Segment& s, Instant at) {
    if (!c.ts.enabled || !s.repr.options.timestamps) return false;
    const auto ms = static_cast<std::uint32_t>(wire_clock_ns(cx.w.stack(), at) / 1'000'000);
    return before(Seq{s.repr.options.timestamps->tsecr}, Seq{ms + c.ts.offset});
}

void on_delivered(const TcpContext& cx, TcpConnectionState& c, const Segment& s, const SentRangeState& r, Seq end,
                  News& news) {
    news.delivered.bytes += end - r.seq;
    if (!r.retransmitted && before_eq(end, c.recovery.recover)) news.delivered.original = true;
    rack::on_delivered(c.rack, {r.sent_at, end}, r.retransmitted, is_echo_older(cx, c, s, r.sent_at), cx.now);
    rack::detect_reordering(c.rack, end, r.retransmitted);
}

/// RFC 2883 4: the first block, when it lies below the ACK, or inside the second.
bool is_duplicate_report(const wire::TcpOptions& o, Seq ack) {
    if (o.sack_count == 0 || !before(o.sack[0].left, o.sack[0].right)) return false;
    if (before(o.sack[0].left, ack)) return before_eq(o.sack[0].right, ack);
    return o.sack_count > 1 && after_eq(o.sack[0].left, o.sack[1].left) && before_eq(o.sack[0].right, o.sack[1].right);
}

/// The loss was none: as if it had not been taken for one.
void undo(TcpContext& cx, TcpConnectionState& c) {
    c.repair.can_undo = false;
    c.repair.frto = FrtoStep::idle;
    congestion::undo(c.congestion, congestion::view_of(c, cx.now));
    c.recovery.in_recovery = false;
    c.recovery.after_timeout = false;
    c.snd.nxt = c.snd.max;
    clear_marks(cx.w, c, false);
    recount(cx.w, c);
}

void begin_undo(TcpConnectionState& c) {
    c.repair.can_undo = true;
    c.repair.undo_bytes = 0;
    c.repair.undo_from = c.snd.una;
}

/// A report that all of what was sent again arrived twice shows that none of it was lost (RFC 3708, as Linux).
void take_duplicate(TcpContext& cx, TcpConnectionState& c, const wire::SackBlock& b, News& news) {
    const std::uint32_t bytes = b.right - b.left;
    if (after(b.right, c.snd.max) || bytes > c.snd.wnd_max || c.snd.max - b.left > 2 * congestion::window_max) return;
    // What a probe sent twice says nothing of reordering (RFC 8985 7.4.2).
    if (c.rack.probe_out && !c.rack.probe_is_new && b.right == c.rack.probe_end) {
        c.rack.probe_out = false;
        return;
    }
    news.has_duplicate = true;
    RepairState& r = c.repair;
    if (!r.can_undo || before(b.left, r.undo_from) || r.undo_bytes == 0) return;
    r.undo_bytes -= std::min(r.undo_bytes, bytes);
    if (r.undo_bytes == 0) undo(cx, c);
}

void take_blocks(TcpContext& cx, TcpConnectionState& c, const Segment& s, News& news) {
    const wire::TcpOptions& o = s.repr.options;
    const bool has_duplicate = is_duplicate_report(o, s.repr.ack);
    for (std::size_t i = has_duplicate ? 1 : 0; i < o.sack_count; ++i) {
        const std::uint32_t before_it = news.delivered.bytes;
        take_block(cx.w, c, o.sack[i],
                   [&](const SentRangeState& r, Seq end) { on_delivered(cx, c, s, r, end, news); });
        news.delivered.sacked += news.delivered.bytes - before_it;
        news.has_block = true;
    }
    if (news.delivered.sacked != 0) merge_ranges(cx.w, c);
    if (has_duplicate) take_duplicate(cx, c, o.sack[0], news);
}

/// RFC 8985 6.2 step 5. True: something more is lost.
bool detect_loss(TcpContext& cx, TcpConnectionState& c) {
    c.rack.reorder = never;
    // F-RTO has sent something newer than what it doubts: the answer to that decides (RFC 5682 3.1, step 3).
    if (c.repair.frto == FrtoStep::sent_new) return false;
    if (c.sack.sacked == 0 && !c.recovery.in_recovery && !c.recovery.after_timeout) return false;
    const bool is_sure = c.recovery.in_recovery || c.recovery.after_timeout ||
                         c.recovery.duplicate_acks >= recovery::duplicate_threshold ||
                         c.sack.sacked > (recovery::duplicate_threshold - 1U) * c.mss;  // RFC 6675 4, IsLost
    const Duration window = rack::reordering_window(c.rack, is_sure, c.rtt.srtt);
    bool lost = false;
    mark_lost(cx.w, c, [&](const SentRangeState& r) {
        const auto left = rack::time_left(c.rack, {r.sent_at, end_of(r)}, window, cx.now);
        if (!left) return false;
        if (left->ns <= 0) return lost = true;
        c.rack.reorder = c.rack.reorder == never ? cx.now + *left : later(c.rack.reorder, cx.now + *left);
        return false;
    });
    if (lost) merge_ranges(cx.w, c);
    return lost;
}

void set_window(TcpConnectionState& c, const News& news) {
    c.congestion.cwnd = prr::window(c.repair, {.delivered = news.delivered.bytes,
                                               .pipe = pipe(c),
                                               .ssthresh = c.congestion.ssthresh,
                                               .mss = c.mss,
                                               .is_safe = news.acked != 0 && !news.lost_more});
}

void enter_recovery(TcpContext& cx, TcpConnectionState& c, const News& news) {
    ++cx.w.count().tcp_fast_retransmits;
    begin_undo(c);
    c.recovery.in_recovery = true;
    c.recovery.recover = c.snd.max;
    congestion::on_loss(c.congestion, news.view);
    const bool is_one_hole = c.sack.lost == c.sack.lost_right - c.sack.lost_left;
    if (mtu_search::on_loss(cx, c, c.sack.lost_left) && is_one_hole) {
        // Only a probe of the path was lost: the window is what it was (RFC 4821 7.5).
        congestion::undo(c.congestion, news.view);
        c.congestion.ssthresh = std::min(c.congestion.ssthresh, c.congestion.cwnd);
    }
    c.rack.probe = never;
    c.rack.probe_out = c.rack.probe_owed = false;
    // RFC 9937 6.1: what was reported before is not delivered in this recovery.
    const std::uint32_t earlier = c.sack.sacked - std::min(c.sack.sacked, news.delivered.sacked);
    prr::begin(c.repair, c.snd.nxt - c.snd.una - earlier + news.acked);
    set_window(c, news);
}

void leave_recovery(TcpConnectionState& c) {
    c.recovery.in_recovery = false;
    c.congestion.cwnd = std::max<std::uint32_t>(c.congestion.ssthresh, c.mss);
    rack::on_recovered(c.rack);
}

// --- tail loss probes (RFC 8985 7) ---

/// 7.4.2: did the probe repair a loss that nobody noticed?
void take_probe_answer(TcpConnectionState& c, const Segment& s, const News& news) {
    if (!c.rack.probe_out || before(s.repr.ack, c.rack.probe_end)) return;
    if (!c.rack.probe_is_new && after(s.repr.ack, c.rack.probe_end)) {
        congestion::on_loss(c.congestion, news.view);
        c.congestion.cwnd = std::min(c.congestion.cwnd, c.congestion.ssthresh);
        c.rack.probe_out = false;
        return;
    }
    const bool is_bare = news.acked == 0 && !news.has_block && s.length() == 0;
    if (c.rack.probe_is_new || is_bare) c.rack.probe_out = false;
}

// --- F-RTO (RFC 5682 3) ---

bool has_new_data(const TcpConnectionState& c) {
    return after(min_seq(sendable_end(c), c.snd.una + c.send_queue.bytes), c.snd.max) &&
           before(c.snd.max, c.snd.una + c.snd.wnd);
}

/// Step 2: the answer to the retransmission.
void take_first_answer(TcpContext& cx, TcpConnectionState& c, const News& news) {
    c.repair.frto = FrtoStep::idle;
    if (news.acked == 0 || after_eq(c.snd.una, c.recovery.recover) || !has_new_data(c)) return;
    c.repair.frto = FrtoStep::sent_new;
    c.snd.nxt = c.snd.max;
    recount(cx.w, c);
    c.congestion.cwnd = pipe(c) + 2U * c.mss;
}

/// Step 3: the answer to what was sent then.
void take_second_answer(TcpContext& cx, TcpConnectionState& c, const News& news) {
    if (news.delivered.original) return undo(cx, c);
    if (news.acked != 0 && !after_eq(c.snd.una, c.recovery.recover)) return;
    c.repair.frto = FrtoStep::idle;
    if (after_eq(c.snd.una, c.recovery.recover)) return;
    c.snd.nxt = c.snd.una;
    recount(cx.w, c);
    c.congestion.cwnd = std::min<std::uint32_t>(c.congestion.cwnd, 3U * c.mss);
}

void take_frto_answer(TcpContext& cx, TcpConnectionState& c, const News& news) {
    switch (c.repair.frto) {
        case FrtoStep::retransmitted:
            return take_first_answer(cx, c, news);
        case FrtoStep::sent_new:
            return take_second_answer(cx, c, news);
        case FrtoStep::invalid:
        case FrtoStep::idle:
            return;
    }
}

/// The window, from what the ACK said.
void follow(TcpContext& cx, TcpConnectionState& c, const News& news) {
    const bool is_through = after_eq(c.snd.una, c.recovery.recover);
    if (c.recovery.after_timeout && is_through) {
        c.recovery.after_timeout = false;
        c.repair.frto = FrtoStep::idle;
        rack::on_recovered(c.rack);
    }
    if (c.recovery.in_recovery) {
        if (is_through) return leave_recovery(c);
        if (news.delivered.bytes != 0 || news.lost_more) set_window(c, news);
        return;
    }
    if (c.sack.lost != 0 && !c.recovery.after_timeout) return enter_recovery(cx, c, news);
    if (news.acked != 0 && c.repair.frto != FrtoStep::sent_new) {
        // As Linux: what was reported before has left the pipe then.
        congestion::on_ack(c.congestion, news.view, news.delivered.bytes);
    }
}

}  // namespace

void on_ack(TcpContext& cx, TcpConnectionState& c, const Segment& s, const congestion::View& before_it) {
    World& w = cx.w;
    News news;
    news.view = before_it;
    news.acked = c.snd.una - before_it.una;
    const bool was_interesting = is_interesting(c);
    if (news.acked != 0) {
        take_acked(w, c, c.snd.una, [&](const SentRangeState& r, Seq end) { on_delivered(cx, c, s, r, end, news); });
        c.recovery.duplicate_acks = 0;
        c.recovery.retransmit_owed = false;
    }
    take_blocks(cx, c, s, news);
    // RFC 6675 2: a duplicate ACK is one that reports something new.
    const bool is_duplicate = news.acked == 0 && news.delivered.sacked != 0;
    if (is_duplicate && c.recovery.duplicate_acks < recovery::duplicate_threshold) ++c.recovery.duplicate_acks;
    rack::note_duplicates(c.rack, news.has_duplicate, c.snd.una, c.snd.nxt);
    if (was_interesting || is_interesting(c) || news.delivered.sacked != 0) recount(w, c);
    take_probe_answer(c, s, news);
    take_frto_answer(cx, c, news);
    news.lost_more = detect_loss(cx, c);
    if (news.lost_more) recount(w, c);
    follow(cx, c, news);
    // What seemed lost may be on its way again (undo, F-RTO).
    if (c.snd.nxt != c.snd.una && c.timers.retransmit == never) {
        c.timers.retransmit = cx.now + current_rto(c.rtt, cx.w.config().tcp);
    }
    if (news.acked != 0 || c.sack.sacked != 0) arm_probe(cx, c);
}

void on_go_back(World& w, TcpConnectionState& c) {
    clear_marks(w, c, is_reneged(w, c));
    c.rack.reorder = c.rack.probe = never;
    c.rack.probe_out = c.rack.probe_owed = false;
    recount(w, c);
}

void on_timeout(TcpContext& cx, TcpConnectionState& c, bool was_open) {
    on_go_back(cx.w, c);
    // Not for a time-out inside of a recovery (RFC 5682 3.1, 1).
    c.repair.frto = was_open ? FrtoStep::retransmitted : FrtoStep::idle;
    if (was_open) begin_undo(c);
}

void on_reorder_timer(TcpContext& cx, TcpConnectionState& c) {
    News news;
    news.view = congestion::view_of(c, cx.now);
    news.lost_more = detect_loss(cx, c);
    if (!news.lost_more) return;
    recount(cx.w, c);
    follow(cx, c, news);
}

void on_probe_timer(TcpContext& cx, TcpConnectionState& c) {
    if (c.snd.max == c.snd.una || c.recovery.in_recovery || c.recovery.after_timeout) return;
    c.rack.probe_owed = true;
    // RFC 8985 7.3: the retransmission timer waits for the probe's answer.
    c.timers.retransmit = cx.now + current_rto(c.rtt, cx.w.config().tcp);
}

void on_sent(TcpContext& cx, TcpConnectionState& c, Seq seq, Seq end, bool is_first) {
    note_sent(cx.w, c, seq, end, cx.now);
    if (c.recovery.in_recovery) c.repair.prr_out += end - seq;
    if (is_first) {
        c.rack.tail_bytes = static_cast<std::uint16_t>(end - seq);
    } else if (c.repair.can_undo) {
        c.repair.undo_bytes += end - seq;
    }
    // RFC 6298 5.1: it has a whole time-out to be acknowledged.
    if (!is_first && seq == c.snd.una && c.recovery.in_recovery) c.timers.retransmit = never;
    // What goes again may take nxt over what has been delivered.
    if (!is_first || is_interesting(c)) recount(cx.w, c);
    if (c.rack.probe_owed) {
        c.rack.probe_owed = false;
        c.rack.probe_out = true;
        c.rack.probe_is_new = is_first;
        c.rack.probe_end = c.snd.max;
    }
}

void arm_probe(const TcpContext& cx, TcpConnectionState& c) {
    c.rack.probe = never;
    const bool is_plain = !c.recovery.in_recovery && !c.recovery.after_timeout && c.sack.sacked == 0 &&
                          c.sack.lost == 0 && c.snd.nxt == c.snd.max;
    if (!is_plain || c.snd.max == c.snd.una || c.rack.probe_out || c.verdict == Verdict::pending) return;
    const bool is_one = c.snd.max - c.snd.una <= c.rack.tail_bytes;
    const Instant due = cx.now + rack::probe_timeout(c.rtt.srtt, is_one, ack_delay_max, cx.w.config().tcp.rto_initial);
    c.rack.probe = earlier(due, c.timers.retransmit);
}

void restart(TcpContext& cx, TcpConnectionState& c) {
    restart_scoreboard(cx.w, c, cx.now);
    rack::forget_sendings(c.rack, c.snd.una);
    c.repair = {};
    recount(cx.w, c);
}

void forget(World& w, TcpConnectionState& c) {
    clear_scoreboard(w, c);
    rack::forget_sendings(c.rack, c.snd.una);
}

}  // namespace keepnet::tcp::sack
