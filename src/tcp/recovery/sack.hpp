// Loss recovery with a peer that reports what it has (RFC 6675, 8985, 9937, 5682): the events of a connection, in their
// order. Congestion control is asked for the threshold and told the rest; during a recovery the window is set here.
#pragma once

#include "tcp/congestion/congestion.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::tcp::sack {

/// An ACK that is acceptable; una, and nxt if it was behind it, have been moved. `before_it`: what there was before that.
void on_ack(TcpContext& cx, TcpConnectionState& c, const Segment& s, const congestion::View& before_it);
/// The retransmission timer: everything that was not delivered goes again (RFC 6675 5.1), from una, where nxt is.
/// `was_open`: no recovery was under way.
void on_timeout(TcpContext& cx, TcpConnectionState& c, bool was_open);
/// nxt has gone back to una: what was not delivered goes again.
void on_go_back(World& w, TcpConnectionState& c);
/// RackState::reorder and ::probe.
void on_reorder_timer(TcpContext& cx, TcpConnectionState& c);
void on_probe_timer(TcpContext& cx, TcpConnectionState& c);
/// seq..end-1 has left; nxt and max are behind it.
void on_sent(TcpContext& cx, TcpConnectionState& c, Seq seq, Seq end, bool is_first);
/// RFC 8985 7.2: after new data was sent, and after an ACK.
void arm_probe(const TcpContext& cx, TcpConnectionState& c);
/// After a restore; nxt and max are what they will be.
void restart(TcpContext& cx, TcpConnectionState& c);
/// The connection needs none of it any more.
void forget(World& w, TcpConnectionState& c);

}  // namespace keepnet::tcp::sack
