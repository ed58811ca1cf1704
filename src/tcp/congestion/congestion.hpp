// Congestion control: a value, CongestionState, and pure functions on it. RFC 5681 is common to all; CongestionState::algorithm
// chooses how the window grows and shrinks: newreno.hpp (RFC 6582), cubic.hpp (RFC 9438) with hystart.hpp (RFC 9406).
// Loss recovery decides what is lost and when recovery begins and ends, and tells it here; while recovery is under way
// cwnd is recovery's (PRR), and ssthresh is where it leads to.
#pragma once

#include <cstdint>

#include "state/tcp_connection_state.hpp"

namespace keepnet::tcp::congestion {

inline constexpr std::uint32_t window_max = 1U << 30;  // RFC 7323 2.3: no window can be larger

/// What congestion control and recovery look at of a connection.
struct View {
    Seq una{};  ///< before the ACK that is looked at
    Seq max{};
    std::uint32_t flight = 0;  ///< bytes, before that ACK
    std::uint32_t mss = 0;
    Instant now{};
    Duration srtt{};            ///< 0: none yet
    bool after_timeout = false; ///< what was sent before a time-out is not all acknowledged yet
};
[[nodiscard]] constexpr View view_of(const TcpConnectionState& c, Instant now) {
    return {c.snd.una, c.snd.max, c.snd.nxt - c.snd.una, c.mss, now, c.rtt.srtt, c.recovery.after_timeout};
}

/// RFC 6928 2, for any number of segments: IW = min(n * MSS, max(2 * MSS, n * 1460)).
[[nodiscard]] std::uint32_t initial_window(std::uint32_t mss, std::uint32_t segments);
/// A connection is established.
[[nodiscard]] CongestionState begin(CongestionAlgorithm algorithm, std::uint32_t mss, std::uint32_t segments, Instant now);
/// The application wants another algorithm; the window stays.
void change_algorithm(CongestionState& s, CongestionAlgorithm algorithm);

// --- acknowledgements, outside of recovery ---

/// The round trip was measured, before on_ack() of the same segment (HyStart++).
void on_round_trip(CongestionState& s, const View& v, Duration sample);
/// `acked` bytes of new data: the window opens, if it was in use (RFC 7661 4.3, as Linux).
void on_ack(CongestionState& s, const View& v, std::uint32_t acked);

// --- signs of congestion ---

/// A loss without a time-out: recovery begins. Sets ssthresh, once for a window's data; cwnd is left to recovery.
void on_loss(CongestionState& s, const View& v);
/// RFC 5681 3.1: `first` time-out of this segment; a repeated one leaves the threshold alone.
void on_timeout(CongestionState& s, const View& v, bool first);
/// The last on_loss() or on_timeout() was wrong: nothing had been lost (RFC 5682 3, RFC 9438 4.9).
void undo(CongestionState& s, const View& v);
/// ECE came with the ACK v.una (RFC 3168 6.1.2). True: the window was cut, which happens once for a window's data. CWR goes
/// with the first new data after any reduction: what begins at cut_until.
bool on_ecn_echo(CongestionState& s, const View& v);

// --- sending ---

/// New data is about to be sent while nothing is in flight: RFC 5681 4.1, RFC 2861 3.1 as Linux does it.
void before_send(CongestionState& s, const View& v, std::uint32_t segments, Duration rto);
/// New data was sent; v.flight and v.max include it. Was the window what held back more? (RFC 7661, RFC 2861 3.2)
void after_send(CongestionState& s, const View& v, std::uint32_t segments, Duration rto);
/// After a restore: the restart window (DURABILITY 8); nothing of what was under way counts.
void restart(CongestionState& s, const View& v, std::uint32_t segments);

}  // namespace keepnet::tcp::congestion
