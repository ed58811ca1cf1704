// Resets and challenges: RFC 9293 3.5.2, 3.10.7; RFC 5961; DURABILITY 1 (a reset is output, and held like
// data).
#include "ip/inherited.hpp"
#include "tcp/acceptance.hpp"
#include "tcp/recovery/reports.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

void count_challenge(TcpContext& cx) { ++cx.w.count().tcp_challenge_acks; }

/// Once in invalid_ack_interval for a connection: two stacks must not answer each other for ever.
bool may_answer_again(TcpContext& cx, TcpConnectionState& c) {
    if (cx.now - c.last_invalid_ack < cx.w.config().tcp.invalid_ack_interval) {
        ++cx.w.count().tcp_acks_skipped;
        return false;
    }
    c.last_invalid_ack = cx.now;
    return true;
}

}  // namespace

void answer_with_reset(TcpContext& cx, const Segment& s) {
    if (ip::is_inherited(cx.w, s.local, s.remote)) return;  // counted by the caller; a clone's original answers, or nobody
    ip::OutputRequest r;
    r.source = s.local.address;
    r.destination = s.remote.address;
    r.interface = s.remote.interface;
    r.next_header = wire::number(wire::NextHeader::tcp);
    r.flow_label =
        ip::flow_label(cx, s.local.address, s.remote.address, s.local.port, s.remote.port, r.next_header);
    r.checksum_offset = wire::tcp_checksum_offset;
    wire::TcpRepr h;
    h.src_port = s.local.port;
    h.dst_port = s.remote.port;
    h.flags.rst = true;
    if (s.repr.flags.ack) {
        h.seq = s.repr.ack;
    } else {
        h.flags.ack = true;
        h.ack = s.repr.seq + s.length();
    }
    r.header_length = static_cast<std::uint8_t>(wire::emit_tcp(h, r.header));
    // A full ring loses it: whoever asked will ask again.
    if (ip::submit(cx, r) != ip::OutputResult::sent) return;
    ++cx.w.count().tcp_segments_sent;
    ++cx.w.count().tcp_resets_sent;
}

void refuse(TcpContext& cx, const Segment& s) {
    World& w = cx.w;
    if (s.repr.flags.rst) return w.drop(DropReason::tcp_reset_unmatched);
    if (!w.stack().ready && !is_planted(Fault::reset_before_ready)) return w.drop(DropReason::tcp_not_ready);
    if (w.stack().silent_until != 0) return w.drop(DropReason::tcp_tombstone);
    w.drop(DropReason::tcp_no_connection);
    answer_with_reset(cx, s);
}

void abort_connection(TcpContext& cx, TcpConnectionState& c, Error why) {
    if (is_dead(c)) return;
    // A peer that never got anything of us need not hear of the end; in TIME-WAIT it has already gone (RFC
    // 9293 3.10.5).
    c.rst_owed = c.snd.max != c.snd.iss && c.phase != TcpPhase::syn_sent && c.phase != TcpPhase::time_wait &&
                 may_acknowledge(c);
    end_connection(cx, c, why, Verdict::closed);
}

void send_challenge(TcpContext& cx, TcpConnectionState& c) {
    const TcpConfig& config = cx.w.config().tcp;
    if (!take_token(cx.w.edit_stack().challenge_acks, config.challenge_acks_per_second,
                    config.challenge_acks_per_second, cx.now)) {
        ++cx.w.count().tcp_challenges_skipped;
        return;
    }
    count_challenge(cx);
    send_ack(cx, c);
}

void answer_unacceptable(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    // Restored too, it may begin with what we have already; that says less than an acceptable segment, but enough.
    if (c.verdict == Verdict::pending) on_sign_of_life(c);
    if (before(s.repr.seq, c.rcv.nxt)) {
        note_duplicate(c, s.repr.seq, min_seq(s.repr.seq + s.payload.length, c.rcv.nxt));
    }
    // Text that comes again shows that an ACK was lost: answered each time, unless ACKs are being withheld. What acknowledges
    // what was never sent shows nothing (RFC 5961 5.2).
    const bool withheld = acknowledgeable(c) != c.rcv.nxt;
    const AckKind kind = classify_ack(c.snd, s.repr.ack);
    const bool repeats = s.payload.length != 0 && kind != AckKind::unsent && kind != AckKind::ancient;
    if ((withheld || !repeats) && !may_answer_again(cx, c)) return;
    send_ack(cx, c);
}

}  // namespace keepnet::tcp
