// The receiver's side of the rate: how large the buffer has to be (dynamic right-sizing, as Linux does it), and which ACKs are
// not delayed (RFC 5681 4.2; at the start of a connection none is).
#pragma once

#include <cstdint>

#include "state/tcp_connection_state.hpp"
#include "tcp/tcp.hpp"

namespace keepnet::tcp::tuning {

/// Bytes that the receive buffer may come to: what the window scale of our SYN is for.
[[nodiscard]] std::uint32_t buffer_limit(const TcpConfig& config, const SocketOptions& options);
/// Text came in order. True: its ACK is one of those that are not delayed.
bool on_text(const TcpContext& cx, TcpConnectionState& c);
/// New text of ours leaves: an ACK that rides on it makes a conversation of the connection.
void on_answer(const TcpContext& cx, ReceiveTuning& t);
/// The application has taken bytes: once in a round trip, the buffer becomes twice what it took in it, and more while that
/// grows. Held output: the time of a commit is part of the round trip (DURABILITY 4).
void on_consumed(const TcpContext& cx, TcpConnectionState& c);
/// After a restore every measurement starts anew.
void restart(ReceiveTuning& t);

}  // namespace keepnet::tcp::tuning
