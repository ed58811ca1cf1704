// Loss recovery after RFC 5681 3.2 and RFC 6582 (NewReno), and go-back after a timeout: pure functions on
// values. For peers without SACK; with it: sack.hpp.
#pragma once

#include <cstdint>

#include "state/tcp_connection_state.hpp"
#include "tcp/congestion/congestion.hpp"

namespace keepnet::tcp::recovery {

inline constexpr std::uint8_t duplicate_threshold = 3;  // RFC 5681 3.2

/// What recovery looks at: the send window, segment size and what is in flight.
using View = congestion::View;

/// A duplicate ACK (RFC 5681 2). True: it began fast retransmit; the segment at una is owed.
bool on_duplicate_ack(RecoveryState& r, CongestionState& s, const View& v);
/// `ack` is new. True: congestion control may open the window; false: recovery has set it.
bool on_new_ack(RecoveryState& r, CongestionState& s, const View& v, Seq ack);
/// RFC 6582 4: no fast retransmit until everything sent so far is acknowledged.
void on_timeout(RecoveryState& r, const View& v);
/// After a restore: no recovery is under way.
void restart(RecoveryState& r, const View& v);

}  // namespace keepnet::tcp::recovery
