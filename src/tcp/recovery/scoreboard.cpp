#include "tcp/recovery/scoreboard.hpp"

namespace keepnet::tcp {

namespace {

/// False: there is none left, for this connection or at all.
bool append_range(World& w, TcpConnectionState& c, Seq from, Seq end, Instant now, bool again) {
    if (c.sack.ranges >= w.config().tcp.sent_ranges) return false;
    const auto handle = w.sent_ranges.create();
    if (!handle) return false;
    w.sent_ranges.edit(handle.index()) = {from, end - from, now, false, false, again, {}};
    const Link link = Link::to(handle.index());
    if (c.sack.tail) {
        w.sent_ranges.edit(c.sack.tail.index()).next = link;
    } else {
        c.sack.head = link;
    }
    c.sack.tail = link;
    ++c.sack.ranges;
    return true;
}

/// What was never sent before, and, where none was left for it, what came before it and is not in the list.
void note_first_sent(World& w, TcpConnectionState& c, Seq end, Instant now) {
    Seq from = c.snd.una;
    if (c.sack.tail) {
        const SentRangeState& last = w.sent_ranges.get(c.sack.tail.index());
        from = end_of(last);
        if (!after(end, from)) return;
        const bool is_alike = last.sent_at == now && !last.sacked && !last.lost && !last.retransmitted;
        if (is_alike) {
            w.sent_ranges.edit(c.sack.tail.index()).length += end - from;
            return;
        }
    }
    if (!after(end, from) || append_range(w, c, from, end, now, false) || !c.sack.tail) return;
    // Later than it was is only slower.
    SentRangeState& last = w.sent_ranges.edit(c.sack.tail.index());
    if (last.sacked) w.drop(DropReason::no_slot);
    last.length += end - from;
    last.sent_at = now;
    last.sacked = false;
    if (!last.lost) return;
    last.lost = false;
    recount(w, c);
}

void note_sent_again(World& w, TcpConnectionState& c, Seq from, Seq end, Instant now) {
    for (Link at = c.sack.head; at;) {
        const SentRangeState& r = w.sent_ranges.get(at.index());
        if (!before(r.seq, end)) break;
        if (r.sacked || !after(end_of(r), from)) {
            at = r.next;
            continue;
        }
        if (before(r.seq, from) && split_range(w, c, at, from)) {
            at = w.sent_ranges.get(at.index()).next;
            continue;
        }
        if (after(end_of(r), end)) (void)split_range(w, c, at, end);
        SentRangeState& sent = w.sent_ranges.edit(at.index());
        sent.sent_at = now;
        sent.lost = false;
        sent.retransmitted = true;
        at = sent.next;
    }
    merge_ranges(w, c);
}

bool is_alike(const SentRangeState& a, const SentRangeState& b) {
    if (a.sacked || b.sacked) return a.sacked && b.sacked;
    return a.sent_at == b.sent_at && a.lost == b.lost && a.retransmitted == b.retransmitted;
}

}  // namespace

bool split_range(World& w, TcpConnectionState& c, Link at, Seq where) {
    const auto handle = c.sack.ranges < w.config().tcp.sent_ranges ? w.sent_ranges.create() : Handle<SentRangeState>{};
    if (!handle) {
        w.drop(DropReason::no_slot);
        return false;
    }
    SentRangeState& front = w.sent_ranges.edit(at.index());
    SentRangeState& back = w.sent_ranges.edit(handle.index());
    back = front;
    back.seq = where;
    back.length = end_of(front) - where;
    front.length = where - front.seq;
    front.next = Link::to(handle.index());
    if (c.sack.tail == at) c.sack.tail = front.next;
    ++c.sack.ranges;
    return true;
}

void merge_ranges(World& w, TcpConnectionState& c) {
    for (Link at = c.sack.head; at;) {
        const Link next = w.sent_ranges.get(at.index()).next;
        if (!next) break;
        const SentRangeState& behind = w.sent_ranges.get(next.index());
        if (!is_alike(w.sent_ranges.get(at.index()), behind)) {
            at = next;
            continue;
        }
        SentRangeState& r = w.sent_ranges.edit(at.index());
        r.sent_at = later(r.sent_at, behind.sent_at);  // delivered, they may differ
        r.length += behind.length;
        r.next = behind.next;
        if (c.sack.tail == next) c.sack.tail = at;
        --c.sack.ranges;
        w.sent_ranges.destroy(next.index());
    }
}

void drop_first_range(World& w, TcpConnectionState& c) {
    const std::uint32_t first = c.sack.head.index();
    c.sack.head = w.sent_ranges.get(first).next;
    if (!c.sack.head) c.sack.tail = {};
    --c.sack.ranges;
    w.sent_ranges.destroy(first);
}

void note_sent(World& w, TcpConnectionState& c, Seq from, Seq end, Instant now) {
    const Seq known = c.sack.tail ? end_of(w.sent_ranges.get(c.sack.tail.index())) : from;
    if (before(from, known)) note_sent_again(w, c, from, min_seq(end, known), now);
    note_first_sent(w, c, end, now);
}

void clear_marks(World& w, TcpConnectionState& c, bool sacked_too) {
    for (Link at = c.sack.head; at;) {
        const SentRangeState& r = w.sent_ranges.get(at.index());
        const bool was_delivered = r.sacked && sacked_too;
        if (r.lost || was_delivered) {
            SentRangeState& cleared = w.sent_ranges.edit(at.index());
            cleared.lost = false;
            if (was_delivered) {
                cleared.sacked = false;
                cleared.retransmitted = true;  // some of it may have been: it measures nothing
            }
        }
        at = r.next;
    }
}

bool is_reneged(const World& w, const TcpConnectionState& c) {
    return c.sack.head && w.sent_ranges.get(c.sack.head.index()).sacked;
}

void restart_scoreboard(World& w, TcpConnectionState& c, Instant now) {
    if (c.sack.tail || c.snd.max != c.snd.una) note_first_sent(w, c, c.snd.max, now);
    for (Link at = c.sack.head; at;) {
        SentRangeState& r = w.sent_ranges.edit(at.index());
        r.sent_at = now;
        r.lost = false;
        r.retransmitted = true;  // it measures nothing
        at = r.next;
    }
    merge_ranges(w, c);
}

void clear_scoreboard(World& w, TcpConnectionState& c) {
    while (c.sack.head) drop_first_range(w, c);
    c.sack.sacked = c.sack.lost = 0;
    c.sack.lost_left = c.sack.lost_right = c.sack.stop = {};
}

Counts count_ranges(const World& w, const TcpConnectionState& c) {
    Counts n{c.snd.nxt, 0, 0, {}, {}, c.snd.max};
    for (Link at = c.sack.head; at;) {
        const SentRangeState& r = w.sent_ranges.get(at.index());
        const Seq end = end_of(r);
        at = r.next;
        if (r.sacked && before_eq(r.seq, n.nxt) && after(end, n.nxt)) n.nxt = end;
        if (!before(r.seq, n.nxt)) {
            if (!r.sacked) continue;
            n.stop = r.seq;
            break;
        }
        const std::uint32_t below = min_seq(end, n.nxt) - r.seq;
        if (r.sacked) n.sacked += below;
        if (!r.lost) continue;
        if (n.lost == 0) {
            n.lost_left = r.seq;
            n.lost_right = r.seq + below;
        }
        n.lost += below;
    }
    return n;
}

void recount(const World& w, TcpConnectionState& c) {
    const Counts n = count_ranges(w, c);
    c.snd.nxt = n.nxt;
    c.sack.sacked = n.sacked;
    c.sack.lost = n.lost;
    c.sack.lost_left = n.lost_left;
    c.sack.lost_right = n.lost_right;
    c.sack.stop = n.stop;
}

bool is_scoreboard_sane(const World& w, const TcpConnectionState& c) {
    const SackState& s = c.sack;
    if (s.recent_count > s.recent.size()) return false;
    Seq expected = c.snd.una;
    std::uint32_t ranges = 0;
    Link last{};
    for (Link at = s.head; at; ++ranges) {
        if (ranges == s.ranges || !w.sent_ranges.is_live(at.index())) return false;
        const SentRangeState& r = w.sent_ranges.get(at.index());
        if (r.seq != expected || r.length == 0 || r.length > c.snd.max - r.seq || (r.sacked && r.lost)) return false;
        expected = end_of(r);
        last = at;
        at = r.next;
    }
    if (ranges != s.ranges || last != s.tail || (!s.permitted && ranges != 0)) return false;
    const Counts n = count_ranges(w, c);
    const bool may_stop = c.snd.nxt == c.snd.max || s.ranges == 0 || n.stop == s.stop;
    return n.nxt == c.snd.nxt && n.sacked == s.sacked && n.lost == s.lost && n.lost_left == s.lost_left &&
           n.lost_right == s.lost_right && may_stop;
}

}  // namespace keepnet::tcp
