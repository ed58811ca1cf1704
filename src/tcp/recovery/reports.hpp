// What we tell the peer in SACK options: blocks that lie out of order, the one that grew last first (RFC 2018 4), and
// before them what came twice (RFC 2883). DURABILITY 1: out-of-order data only beside an ACK of all that is in order,
// because a peer counts from there; a duplicate only below the ACK, or it would be taken for such a block.
#pragma once

#include "state/world.hpp"
#include "wire/tcp.hpp"

namespace keepnet::tcp {

/// left..right-1 has come again.
void note_duplicate(TcpConnectionState& c, Seq left, Seq right);
/// Something in the block around `seq` came just now.
void note_block(const World& w, TcpConnectionState& c, Seq seq);
/// The part of from..end-1 that lies out of order already is a duplicate.
void note_known(const World& w, TcpConnectionState& c, Seq from, Seq end);

/// The blocks for a segment with this ACK, as many as `room` bytes of option hold.
void fill_sack(const World& w, const TcpConnectionState& c, Seq ack, std::size_t room, wire::TcpOptions& options);
/// A segment with these options has left.
void on_sack_sent(TcpConnectionState& c, const wire::TcpOptions& options);
/// Bytes of a SACK option with this many blocks.
[[nodiscard]] constexpr std::size_t sack_option_bytes(std::size_t blocks) { return blocks == 0 ? 0 : 4 + 8 * blocks; }

}  // namespace keepnet::tcp
