// The scoreboard of RFC 6675 3: what was sent and not acknowledged, in ranges of one sending time and one fate. Bounded
// for each connection and in all; for want of a range a time is told too late or a SACK is forgotten (counted), which
// costs time and nothing else: the retransmission timer trusts none of it.
#pragma once

#include "state/world.hpp"
#include "wire/tcp.hpp"

namespace keepnet::tcp {

/// What one ACK delivered: f(range, end), with `end` where its delivered part ends, before it is marked.
struct Delivered {
    std::uint32_t bytes = 0;       ///< that had not been reported before
    std::uint32_t sacked = 0;      ///< of these by a SACK block
    bool original = false;         ///< something of it was sent only once, before `recover`
};

/// from..end-1 has been sent, for the first time or again.
void note_sent(World& w, TcpConnectionState& c, Seq from, Seq end, Instant now);
/// Everything before `ack` is acknowledged; una is not there yet.
template <class F>
void take_acked(World& w, TcpConnectionState& c, Seq ack, F&& on_delivered);
/// A SACK block: ignored when it lies outside of what was sent.
template <class F>
void take_block(World& w, TcpConnectionState& c, const wire::SackBlock& block, F&& on_delivered);
/// f(range): true marks it as lost. Only what is below nxt and neither delivered nor lost is asked for.
template <class F>
void mark_lost(World& w, TcpConnectionState& c, F&& f);
/// Nothing is taken for lost any more; nor for delivered, when `sacked_too` (RFC 2018 8: the peer has dropped it).
void clear_marks(World& w, TcpConnectionState& c, bool sacked_too);
/// Did the peer drop what it had reported? Its ACK ends where a delivered range begins.
[[nodiscard]] bool is_reneged(const World& w, const TcpConnectionState& c);
/// After a restore: as far as max anything may have been sent, none of it in this life.
void restart_scoreboard(World& w, TcpConnectionState& c, Instant now);
void clear_scoreboard(World& w, TcpConnectionState& c);

/// Sums and the next thing to do, from the ranges; nxt goes past what has been delivered.
struct Counts {
    Seq nxt{};
    std::uint32_t sacked = 0;
    std::uint32_t lost = 0;
    Seq lost_left{};
    Seq lost_right{};
    Seq stop{};
};
[[nodiscard]] Counts count_ranges(const World& w, const TcpConnectionState& c);
void recount(const World& w, TcpConnectionState& c);
/// Ranges without gaps from una, not beyond max, with the right sums. For what was decoded.
[[nodiscard]] bool is_scoreboard_sane(const World& w, const TcpConnectionState& c);

/// What may still be in the network (RFC 6675 4, pipe): everything, for a peer without SACK.
[[nodiscard]] constexpr std::uint32_t pipe(const TcpConnectionState& c) {
    return c.snd.nxt - c.snd.una - c.sack.sacked - c.sack.lost;
}

// --- mechanism ---

[[nodiscard]] inline Seq end_of(const SentRangeState& r) { return r.seq + r.length; }
/// Cuts the range in two; false: no range is left for that.
bool split_range(World& w, TcpConnectionState& c, Link at, Seq where);
/// Merges neighbours that differ in nothing that matters.
void merge_ranges(World& w, TcpConnectionState& c);
void drop_first_range(World& w, TcpConnectionState& c);

template <class F>
void take_acked(World& w, TcpConnectionState& c, Seq ack, F&& on_delivered) {
    while (c.sack.head) {
        const SentRangeState& r = w.sent_ranges.get(c.sack.head.index());
        if (!before(r.seq, ack)) break;
        const Seq end = min_seq(end_of(r), ack);
        if (!r.sacked) on_delivered(r, end);
        if (end == end_of(r)) {
            drop_first_range(w, c);
        } else {
            SentRangeState& rest = w.sent_ranges.edit(c.sack.head.index());
            rest.length -= end - rest.seq;
            rest.seq = end;
        }
    }
}

template <class F>
void take_block(World& w, TcpConnectionState& c, const wire::SackBlock& b, F&& on_delivered) {
    // At una nothing can have been delivered out of order.
    if (!before(b.left, b.right) || !after(b.left, c.snd.una) || after(b.right, c.snd.max)) return;
    for (Link at = c.sack.head; at;) {
        const SentRangeState& r = w.sent_ranges.get(at.index());
        if (!before(r.seq, b.right)) break;
        const Link next = r.next;
        if (r.sacked || !after(end_of(r), b.left)) {
            at = next;
            continue;
        }
        // The part in front of the block, then the part behind it, become ranges of their own.
        if (before(r.seq, b.left)) {
            at = split_range(w, c, at, b.left) ? w.sent_ranges.get(at.index()).next : next;
            continue;
        }
        if (after(end_of(r), b.right) && !split_range(w, c, at, b.right)) break;
        on_delivered(w.sent_ranges.get(at.index()), end_of(w.sent_ranges.get(at.index())));
        SentRangeState& delivered = w.sent_ranges.edit(at.index());
        delivered.sacked = true;
        delivered.lost = false;
        at = delivered.next;
    }
}

template <class F>
void mark_lost(World& w, TcpConnectionState& c, F&& f) {
    for (Link at = c.sack.head; at;) {
        const SentRangeState& r = w.sent_ranges.get(at.index());
        if (!before(r.seq, c.snd.nxt)) break;
        if (!r.sacked && !r.lost && f(r)) w.sent_ranges.edit(at.index()).lost = true;
        at = r.next;
    }
}

}  // namespace keepnet::tcp
