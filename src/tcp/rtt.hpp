// Round-trip time and retransmission timeout: RFC 6298, RFC 7323 4.
#pragma once

#include <keepnet/config.hpp>

#include "state/tcp_connection_state.hpp"

namespace keepnet::tcp {

/// RFC 6298 2.2, 2.3. A measurement also ends the back-off (5.7).
void take_sample(RttState& rtt, Duration sample, const TcpConfig& config);
/// The timeout with its back-off, at most rto_max.
[[nodiscard]] Duration current_rto(const RttState& rtt, const TcpConfig& config);
/// RFC 6298 5.5.
void back_off(RttState& rtt);
/// After a restore: counts anew, the timeout from what was measured (DURABILITY 8).
void restart_rtt(RttState& rtt, const TcpConfig& config);

}  // namespace keepnet::tcp
