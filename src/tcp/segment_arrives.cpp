// A segment's way in: checked at the door, matched, and handed to the phase it finds. RFC 9293 3.10.7.
#include "tcp/acceptance.hpp"
#include "tcp/cookies.hpp"
#include "tcp/counters.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp {

namespace {

/// Counts and returns false when the segment goes no further.
bool open_segment(TcpContext& cx, const ip::TransportInput& in, Segment& s) {
    World& w = cx.w;
    const auto refuse_it = [&](DropReason reason) {
        w.drop(reason);
        return false;
    };
    if (in.is_multicast || in.source.is_multicast() || in.source.is_unspecified()) {
        return refuse_it(DropReason::tcp_bad_address);
    }
    const ByteView bytes = w.pool.view(in.payload);
    const auto parsed = wire::parse_tcp(bytes);
    if (!parsed) {
        return refuse_it(parsed.error() == wire::ParseError::truncated ? DropReason::tcp_truncated
                                                                       : DropReason::tcp_bad_header_length);
    }
    if (!in.checksum_verified && !wire::tcp_checksum_ok(in.source, in.destination, bytes)) {
        return refuse_it(DropReason::tcp_bad_checksum);
    }
    if (parsed->src_port == 0 || parsed->dst_port == 0) return refuse_it(DropReason::tcp_bad_address);
    s.repr = *parsed;
    s.local = {in.destination, parsed->dst_port, in.interface};
    s.remote = {in.source, parsed->src_port, in.interface};
    s.payload = {in.payload.buffer, static_cast<std::uint16_t>(in.payload.offset + parsed->header_length),
                 static_cast<std::uint16_t>(in.payload.length - parsed->header_length)};
    s.fin = parsed->flags.fin;
    s.traffic_class = in.traffic_class;
    return true;
}

/// RFC 6191 2, and RFC 9293 3.10.7.4 for SYN in TIME-WAIT: is this the start of something newer?
bool may_reopen(const TcpConnectionState& c, const Segment& s) {
    const wire::TcpFlags& f = s.repr.flags;
    if (c.phase != TcpPhase::time_wait || !f.syn || f.ack || f.rst) return false;
    if (c.ts.enabled && s.repr.options.timestamps) {
        const std::uint32_t tsval = s.repr.options.timestamps->tsval;
        if (tsval != c.ts.recent) return is_older_timestamp(c.ts.recent, tsval);
    }
    return after(s.repr.seq, c.rcv.nxt);
}

/// The peer's SYN was answered with a cookie, and when it came again with this record, which nobody will ever complete: the
/// peer, which has the cookie, takes our SYN-ACK for a stray one. So the cookie takes the place of the record.
bool is_superseded(TcpContext& cx, const TcpConnectionState& c, const Segment& s) {
    const wire::TcpFlags& f = s.repr.flags;
    if (c.phase != TcpPhase::syn_received || c.cookie_until == never || !f.ack || f.syn || f.rst) return false;
    const bool is_first = s.repr.seq == c.rcv.irs + 1 || (s.repr.seq == c.rcv.irs && s.length() == 0);
    return is_first && s.repr.ack != c.snd.iss + 1 && brings_cookie(cx, s, c.rcv.irs);
}

void supersede(TcpContext& cx, TcpConnectionState& c, Segment& s) {
    const std::uint32_t listener = c.listener.index();
    const TcpListenerState& l = cx.w.listeners.get(listener);
    if (l.accept_count >= l.backlog) return cx.w.drop(DropReason::tcp_listen_overflow);
    end_connection(cx, c, Error::invalid, Verdict::closed);
    settle(cx, c);
    on_cookie_ack(cx, listener, s);
}

void on_matched(TcpContext& cx, TcpConnectionState& c, Segment& s) {
    switch (c.phase) {
        case TcpPhase::invalid:
        case TcpPhase::listen:
        case TcpPhase::closed:
            return;  // not in the table, or a tombstone
        case TcpPhase::syn_sent:
            return on_syn_sent(cx, c, s);
        case TcpPhase::syn_received:
        case TcpPhase::established:
        case TcpPhase::fin_wait_1:
        case TcpPhase::fin_wait_2:
        case TcpPhase::close_wait:
        case TcpPhase::closing:
        case TcpPhase::last_ack:
        case TcpPhase::time_wait:
            return on_synchronized(cx, c, s);
    }
}

/// Over, but not durably so: the peer gets the answer for what does not exist when it asks again after the commit, so there
/// must be one.
void on_tombstone(TcpContext& cx, TcpConnectionState& c, const Segment& s) {
    cx.w.drop(DropReason::tcp_tombstone);
    if (s.repr.flags.rst || c.ack_now) return;
    c.ack_now = true;
    settle(cx, c);
}

void on_unmatched(TcpContext& cx, Segment& s, std::optional<Seq> old_max) {
    const std::uint32_t listener =
        cx.tables.port_uses[s.local.port] != 0 ? find_listener(cx, s.local, s.remote) : PairTable::none;
    if (listener == PairTable::none) return refuse(cx, s);
    if (old_max) return on_listen_syn(cx, listener, s, old_max);
    on_listen(cx, listener, s);
}

}  // namespace

void on_segment(TcpContext& cx, const ip::TransportInput& input) {
    Segment s;
    ++cx.w.count().tcp_segments_received;
    if (!open_segment(cx, input, s)) return;
    const std::uint32_t i = cx.tables.pairs.find(cx.w.connections, s.local, s.remote);
    if (i == PairTable::none) return on_unmatched(cx, s, {});
    if (const TcpConnectionState& spent = cx.w.connections.get(i); is_spent(spent)) {
        // The SYN that the cookie answered, late: it opens nothing again.
        const bool is_known_syn = s.repr.flags.syn && !s.repr.flags.ack && s.repr.seq == spent.rcv.irs;
        return is_known_syn ? cx.w.drop(DropReason::tcp_unacceptable_sequence) : on_unmatched(cx, s, {});
    }
    TcpConnectionState& c = cx.w.connections.edit(i);
    if (is_dead(c)) return on_tombstone(cx, c, s);
    if (may_reopen(c, s)) {
        const std::uint32_t listener = find_listener(cx, s.local, s.remote);
        if (listener != PairTable::none && cx.w.listeners.get(listener).died_after == 0) {
            const Seq old_max = c.snd.max;
            ++cx.w.count().tcp_time_waits_reopened;
            replace_time_wait(cx, c);
            return on_unmatched(cx, s, old_max);
        }
    }
    if (is_superseded(cx, c, s)) return supersede(cx, c, s);
    count_received(cx, c, s);
    on_matched(cx, c, s);
    settle(cx, c);
}

}  // namespace keepnet::tcp
