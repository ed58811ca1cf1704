// Path MTU by what gets through (RFC 4821): where Packet Too Big does not come back, time-outs of full segments bring
// the segment size down to what every path takes, and probes find what this one takes. Sizes are those of IPv6 packets.
#pragma once

#include <cstdint>

#include "state/tcp_connection_state.hpp"
#include "tcp/tcp.hpp"

namespace keepnet::tcp::mtu_search {

/// The retransmission timer ran out, `backoff` is counted already.
void on_timeout(const TcpContext& cx, TcpConnectionState& c);
/// New data was acknowledged.
void on_ack(const TcpContext& cx, TcpConnectionState& c);
/// Recovery began, and `lost` is the first that is. True: it is the probe, which says nothing of congestion (RFC 4821 7.5).
[[nodiscard]] bool on_loss(const TcpContext& cx, TcpConnectionState& c, Seq lost);
/// Something of seq..end-1 goes again: an ACK of it shows no longer that the probe passed.
void on_sent_again(const TcpContext& cx, TcpConnectionState& c, Seq seq, Seq end);
/// A router has said what passes (RFC 8201).
void on_too_big(TcpConnectionState& c, std::uint32_t mtu);
/// After a restore no probe is out.
void restart(MtuSearchState& m);

/// Bytes of text in a probe that is due; 0: none is.
[[nodiscard]] std::uint32_t due_text(const TcpConnectionState& c);
/// It was sent; its text ends at `end`.
void on_sent(TcpConnectionState& c, Seq end);

}  // namespace keepnet::tcp::mtu_search
