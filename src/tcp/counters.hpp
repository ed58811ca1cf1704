// What is counted of one connection for TCP_INFO. Nothing is decided by it.
#pragma once

#include <algorithm>

#include "tcp/verbs.hpp"

namespace keepnet::tcp {

/// A segment matched the connection.
void count_received(TcpContext& cx, TcpConnectionState& c, const Segment& s);
/// A segment left: `bytes` of data, sent before or not.
void count_sent(TcpContext& cx, TcpConnectionState& c, std::uint32_t bytes, bool again);
/// The retransmission timer fired; an ACK ended a series of that.
void count_timeout(TcpContext& cx, TcpConnectionState& c);
void end_timeouts(TcpContext& cx, TcpConnectionState& c);
/// What limits the sender has perhaps changed.
void note_limit(TcpContext& cx, TcpConnectionState& c);

/// Bytes accepted that have never been sent.
[[nodiscard]] inline std::uint32_t unsent_bytes(const TcpConnectionState& c) {
    const Seq end = c.snd.una + ((is_syn_unacked(c) ? 1U : 0U) + c.send_queue.bytes);
    return before(c.snd.max, end) ? std::min<std::uint32_t>(end - c.snd.max, c.send_queue.bytes) : 0;
}

/// Bytes that send() may take: what the buffer has room for, and with a low-water mark (Linux's TCP_NOTSENT_LOWAT) as much
/// as fills it up, but a whole segment.
[[nodiscard]] inline std::uint32_t send_room_of(const SocketOptions& o, const TcpConnectionState& c) {
    const std::uint32_t room = o.send_buffer > c.send_queue.bytes ? o.send_buffer - c.send_queue.bytes : 0;
    if (o.not_sent_low_water == 0) return room;
    const std::uint32_t unsent = unsent_bytes(c);
    if (unsent >= o.not_sent_low_water) return 0;
    return std::min(room, std::max<std::uint32_t>(o.not_sent_low_water - unsent, c.mss));
}

}  // namespace keepnet::tcp
