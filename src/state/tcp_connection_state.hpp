// A TCP connection: everything RFC 9293 3.3.1 calls the transmission control block, in the RFC's words, and the marks
// of DURABILITY 1.
#pragma once

#include <array>
#include <cstdint>

#include <keepnet/config.hpp>
#include <keepnet/endpoint.hpp>
#include <keepnet/error.hpp>
#include <keepnet/stack.hpp>
#include <keepnet/time.hpp>

#include "base/cut_control.hpp"
#include "base/handle.hpp"
#include "base/seq.hpp"
#include "base/slab.hpp"
#include "state/slice_node_state.hpp"
#include "state/socket_state.hpp"

namespace keepnet {

struct SendSequence {
    Seq iss{};
    Seq una{};                     ///< oldest unacknowledged
    Seq nxt{};                     ///< next to send
    Seq max{};                     ///< highest ever sent + 1; ACKs are accepted up to here
    Seq up{};                      ///< urgent pointer (accepted, not generated)
    Seq sml{};                     ///< end of the last partial segment (Nagle, Minshall's form)
    Seq wl1{}, wl2{};              ///< RFC 9293 3.10.7.4: segment of the last window update
    std::uint32_t wnd = 0;         ///< bytes, as advertised, scaled
    std::uint32_t wnd_max = 0;     ///< largest ever (sender's silly-window avoidance)
    std::uint8_t wscale = 0;       ///< shift of windows that we receive
    bool fin_queued = false;       ///< the application has closed: a FIN follows the send queue
    bool fin_acked = false;        ///< and una is behind it
};

struct ReceiveSequence {
    Seq irs{};
    Seq nxt{};
    Seq adv{};                     ///< right edge as advertised: it never moves back
    Seq acked{};                   ///< Last.ACK.sent (RFC 7323 4.3)
    Seq up{};
    std::uint8_t wscale = 0;       ///< shift of windows that we send
    bool fin_received = false;     ///< counted in nxt
    bool fin_early = false;        ///< a FIN came out of order, at fin_seq
    Seq fin_seq{};
    std::uint32_t buffer = 0;      ///< bytes
};

struct TimestampState {
    bool enabled = false;
    std::uint32_t offset = 0;      ///< TSval = wire clock in ms + offset (RFC 7323 7.1)
    std::uint32_t recent = 0;      ///< TS.Recent
    Instant recent_at = long_ago;  ///< 24 days later it is no good (RFC 7323 5.5)
};

/// RFC 6298, in nanoseconds.
struct RttState {
    Duration srtt{};               ///< 0: no sample yet
    Duration rttvar{};
    Duration rto{};
    std::uint8_t backoff = 0;      ///< doublings since the last good ACK
    bool timing = false;           ///< without timestamps: one segment is timed (Karn)
    Seq timed{};                   ///< the sequence number whose ACK ends the measurement
    Instant timed_at{};
};

/// RFC 9438 4.1.2, in bytes.
struct CubicState {
    Instant epoch_start = never;   ///< never: it begins with the next ACK in congestion avoidance
    Duration k{};                  ///< K: from epoch_start until the window is w_max again
    std::uint32_t w_max = 0;
    std::uint32_t w_est = 0;       ///< what Reno would have
    std::uint32_t w_est_rest = 0;  ///< of the last division (there is no floating point here)
    std::uint32_t cwnd_prior = 0;  ///< before the last reduction; 0: there was none
};

/// RFC 9406 4.2.
struct HystartState {
    Duration last_rtt{};           ///< lastRoundMinRTT; 0: none
    Duration round_rtt{};          ///< currentRoundMinRTT; 0: none
    Duration css_baseline{};       ///< cssBaselineMinRtt; 0: not in conservative slow start
    Seq round_end{};               ///< windowEnd
    std::uint8_t samples = 0;      ///< rttSampleCount
    std::uint8_t css_rounds = 0;
    bool in_round = false;         ///< round_end has a meaning
};

/// Congestion control: a value and pure functions beside it (tcp/congestion/).
struct CongestionState {
    std::uint32_t cwnd = 0;        ///< bytes
    std::uint32_t ssthresh = 0;    ///< bytes
    std::uint32_t bytes_acked = 0; ///< towards the next increase (RFC 3465; CUBIC: what a division left)
    Instant last_sent{};           ///< RFC 5681 4.1: restart window after an idle RTO
    CongestionAlgorithm algorithm = CongestionAlgorithm::newreno;
    bool is_cut = false;           ///< what was sent before cut_until has had its reduction (RFC 3168 6.1.2)
    Seq cut_until{};
    bool is_limited = false;       ///< the window, and nothing else, has kept data back in this round (RFC 7661)
    std::uint32_t flight_max = 0;  ///< bytes: most in flight in this round
    Seq flight_until{};            ///< the round ends when this is acknowledged
    std::uint32_t used = 0;        ///< bytes: most in flight since the window was last used in full (RFC 2861)
    Instant used_since{};
    std::uint32_t prior_cwnd = 0;  ///< for an undo: before the last reduction; 0: nothing to undo
    std::uint32_t prior_ssthresh = 0;
    std::uint32_t pace_left = 0;   ///< bytes of a burst that may leave before timers.pace
    CubicState cubic{};
    CubicState prior_cubic{};
    HystartState hystart{};
};

/// RFC 3168 6.1.
struct EcnState {
    bool requested = false;        ///< our SYN asks for it
    bool enabled = false;          ///< agreed, as soon as both SYNs are acknowledged
    bool echo = false;             ///< CE came: ECE on every ACK until the peer's CWR
};

/// RFC 4821: payload sizes that do and do not get through.
struct MtuSearchState {
    bool active = false;           ///< a black hole was met
    std::uint16_t low = 0;         ///< bytes of IPv6 packet known to pass
    std::uint16_t high = 0;        ///< ... that may pass
    std::uint16_t probe = 0;       ///< ... of the probe that is due, or out; 0: none
    bool is_sent = false;          ///< it is out
    Seq probe_end{};               ///< behind its text
    Deadline next = never;         ///< no probe before
};

/// Auto-tuning of the receive buffer (dynamic right-sizing), and the first ACKs of a connection.
struct ReceiveTuning {
    bool fixed = false;            ///< the application has set the buffer
    std::uint8_t quick_acks = 0;   ///< segments that are still acknowledged at once
    bool interactive = false;      ///< answers ride on data: ACKs wait for it
    Instant last_text = long_ago;  ///< when text came last
    Duration rtt{};                ///< as a receiver sees it, the time of a commit included; 0: none yet
    Seq rtt_end{};                 ///< a window from rtt_since on
    Instant rtt_since = long_ago;  ///< long_ago: no measurement under way
    Seq seq{};                     ///< what the application had taken at since
    Instant since = long_ago;
    std::uint32_t space = 0;       ///< bytes the application took in the best round trip so far
};

/// Loss recovery (tcp/recovery/), with SACK and without (NewReno, RFC 6582).
struct RecoveryState {
    Seq recover{};                 ///< SND.MAX when recovery began
    bool in_recovery = false;
    bool after_timeout = false;    ///< go-back from una until recover is acknowledged
    bool retransmit_owed = false;  ///< one segment at una goes out, whatever the windows say
    std::uint8_t duplicate_acks = 0;
    std::uint32_t retransmissions = 0;
};

/// Selective acknowledgement, both sides (RFC 2018, 2883), and the scoreboard's ends (RFC 6675).
struct SackState {
    bool permitted = false;        ///< both SYNs said so; else nothing below is used
    std::uint8_t recent_count = 0;
    std::array<Seq, 4> recent{};   ///< a number inside each of the blocks that grew last, the newest first
    Seq dsack_left{};              ///< what came twice and is still to be reported; nothing when they are equal
    Seq dsack_right{};
    Link head{};                   ///< SentRangeState, from una
    Link tail{};
    std::uint32_t ranges = 0;
    std::uint32_t sacked = 0;      ///< bytes below nxt
    std::uint32_t lost = 0;        ///< bytes below nxt that are marked lost
    Seq lost_left{};               ///< the first of them; nothing when both are equal
    Seq lost_right{};
    Seq stop{};                    ///< while nxt < max: the next number at or above nxt that need not be sent again
};

/// RACK-TLP (RFC 8985).
struct RackState {
    Deadline reorder = never;      ///< when the reordering window of something ends
    Deadline probe = never;        ///< PTO
    Instant sent_at = long_ago;    ///< RACK.xmit_ts: of what was sent last of all that has been delivered
    Seq end{};                     ///< RACK.end_seq
    Seq fack{};                    ///< behind the highest number that was delivered
    Duration rtt{};                ///< RACK.rtt
    Duration rtt_min{};            ///< 0: no sample yet
    Instant rtt_min_at = long_ago;
    bool reordering_seen = false;
    std::uint8_t window_steps = 1; ///< RACK.reo_wnd_mult: quarters of rtt_min
    std::uint8_t window_rounds = 0;  ///< RACK.reo_wnd_persist: recoveries left with it
    bool in_dsack_round = false;
    Seq dsack_round{};             ///< until this is acknowledged, D-SACKs are one event
    bool probe_owed = false;
    bool probe_out = false;        ///< a probe is unanswered; its end is
    bool probe_is_new = false;     ///< ... and it was no retransmission
    Seq probe_end{};
    std::uint16_t tail_bytes = 0;  ///< of the newest segment, FIN included
};

/// Where F-RTO stands (RFC 5682 3.1).
enum class FrtoStep : std::uint8_t {
    invalid = 0,
    idle,
    retransmitted,                 ///< step 1: the timeout's retransmission is unanswered
    sent_new,                      ///< step 2b: new data is on its way
};

/// Proportional rate reduction (RFC 9937), and what is taken back when a loss was none.
struct RepairState {
    std::uint32_t prr_delivered = 0;
    std::uint32_t prr_out = 0;
    std::uint32_t prr_flight = 0;  ///< RecoverFS
    bool can_undo = false;
    std::uint32_t undo_bytes = 0;  ///< sent again and not reported as a duplicate
    Seq undo_from{};               ///< una when it began
    FrtoStep frto = FrtoStep::idle;
};

/// A connection as it was at one cut that is still outstanding.
struct CutEdge {
    CutNumber cut = 0;             ///< 0: none
    Seq rcv_nxt{};
    Seq snd_end{};                 ///< behind the last byte, SYN or FIN that the application had given
    Seq consumed{};                ///< what the application had taken
    std::uint32_t buffer = 0;      ///< ReceiveSequence::buffer
};

/// DURABILITY 1. Only looked at when the policy is not `none`. At a restore they are derived from the ends.
struct DurableMarks {
    Seq rcv_durable{};             ///< no ACK above it
    Seq snd_durable{};             ///< nothing transmitted at or above it
    Seq consumed{};                ///< the window's edge is computed from here
    std::uint32_t buffer = 0;      ///< and from this size
    /// By place in CutControl::outstanding, and, last, the journal's flush that is being written.
    std::array<CutEdge, 3> edges{};
    Instant held_since = never;    ///< since when something waits for a commit
    CutNumber died_after = 0;      ///< tombstone: gone when this cut, or a later one, is committed
};

struct TcpTimers {
    Deadline retransmit = never;   ///< or the handshake's, or TIME-WAIT's LAST-ACK
    Deadline persist = never;
    Deadline delayed_ack = never;
    Deadline keep_alive = never;
    Deadline time_wait = never;    ///< 2 MSL, or FIN-WAIT-2 of an orphan
    Deadline user_timeout = never; ///< give up
    Deadline cork = never;
    Deadline pace = never;         ///< the rest of a burst waits
};

/// What the connection needs of SocketOptions, also before it has a socket and after that is gone.
struct TcpConnectionOptions {
    std::uint8_t hop_limit = 0;          ///< 0: the interface's
    std::uint8_t traffic_class = 0;
    std::uint8_t keep_alive_probes = 0;
    bool no_delay = false;
    bool cork = false;
    bool quick_ack = false;
    bool keep_alive = false;
    std::uint16_t max_segment = 0;       ///< bytes; 0: from the MTU
    Duration keep_alive_idle{};
    Duration keep_alive_interval{};
    Duration user_timeout{};             ///< 0: TcpConfig::data_give_up
};

/// What keeps the send queue from getting empty (TCP_INFO: busy_time, rwnd_limited, sndbuf_limited).
enum class SendLimit : std::uint8_t { idle = 0, network, window, buffer };

/// What TCP_INFO counts of one connection. Nothing is decided by it.
struct TcpCounters {
    std::uint32_t segments_in = 0;
    std::uint32_t segments_out = 0;
    std::uint32_t data_segments_in = 0;
    std::uint32_t data_segments_out = 0;
    std::uint32_t out_of_order_in = 0;      ///< segments
    std::uint16_t segment_in_max = 0;       ///< bytes of the largest segment that came
    std::uint16_t timeouts = 0;
    std::uint16_t timeout_series = 0;
    SendLimit limit = SendLimit::idle;
    bool send_was_short = false;            ///< the send buffer took less than the application had
    std::uint64_t bytes_out = 0;            ///< of data, those sent again included
    std::uint64_t bytes_retransmitted = 0;
    Instant data_in_at{};
    Instant ack_in_at{};
    Instant data_out_at{};
    Instant timeout_since = never;          ///< first time-out of a series that has not ended
    Duration timeout_time{};
    Instant limit_since{};
    std::array<Duration, 3> limited{};      ///< by SendLimit, less `idle`
};

/// Where PSH goes: as on Linux, at the end of each write, and of each stretch of what leaves together.
struct PushState {
    std::array<Seq, 4> marks{};          ///< ends of the last writes that are not acknowledged, ascending
    std::uint8_t count = 0;              ///< of marks
    std::uint32_t stretch_left = 0;      ///< bytes from snd.max on that end a stretch which has begun
};

struct TcpConnectionState {
    TcpPhase phase = TcpPhase::closed;
    DurabilityPolicy policy = DurabilityPolicy::none;       ///< none, snapshot or journal: who moves rcv_durable
    DurabilityPolicy send_policy = DurabilityPolicy::none;  ///< ... snd_durable; none when and only when policy is
    Endpoint local{};
    Endpoint remote{};
    Handle<SocketState> socket{};        ///< none: half-open, in an accept queue, or an orphan
    Handle<TcpListenerState> listener{}; ///< whose child it is, until it is accepted
    Link accept_next{};                  ///< accept queue of the listener
    TcpConnectionOptions options{};
    SendSequence snd{};
    ReceiveSequence rcv{};
    TimestampState ts{};
    RttState rtt{};
    CongestionState congestion{};
    RecoveryState recovery{};
    DurableMarks marks{};
    TcpTimers timers{};
    ByteQueueState send_queue{};         ///< from una (SYN and FIN are not in it)
    ByteQueueState receive_queue{};      ///< up to nxt
    ByteQueueState out_of_order{};       ///< sorted by seq, no overlap
    std::uint64_t rx_consumed = 0;
    std::uint64_t tx_accepted = 0;
    std::uint16_t mss_peer = 0;          ///< option in the peer's SYN, or the default
    std::uint16_t mss = 0;               ///< bytes of payload in a full segment that we send
    std::uint32_t flow_label = 0;
    bool is_passive = false;             ///< came from LISTEN (RFC 9293 3.10.7.4: RST in SYN-RECEIVED)
    bool ack_now = false;
    bool window_update_owed = false;
    bool probe_owed = false;             ///< zero-window or keep-alive probe
    bool rst_owed = false;               ///< the application aborted: a reset follows what is durable
    bool fin_ack_owed = false;           ///< the ACK of the peer's FIN has not been transmitted yet (DURABILITY 2)
    bool resume_owed = false;            ///< restored: has not spoken yet
    bool receive_abandoned = false;      ///< nobody will read: closed, or shut down for receiving
    bool tombstone = false;
    std::uint8_t segments_since_ack = 0; ///< full-sized, acknowledgeable (RFC 9293 3.8.6.3)
    std::uint8_t probes_sent = 0;        ///< unanswered keep-alives, or persist back-off
    std::uint8_t push_seq_valid = 0;     ///< push_seq has a meaning
    Seq push_seq{};                      ///< text up to here is not held back for more (MSG_MORE, TCP_CORK)
    /// Made from a SYN cookie, which is good until then and must not make another one. When it was made, from then on past: from
    /// a SYN that a cookie may have answered too. never: neither.
    Deadline cookie_until = never;
    Instant last_heard{};
    Instant last_invalid_ack = long_ago;          ///< rate limit of answers to unacceptable segments
    Error error = Error::invalid;        ///< why it ended; before that, what the network last said (soft)
    Verdict verdict = Verdict::not_restored;
    EcnState ecn{};
    MtuSearchState mtu_search{};
    ReceiveTuning tuning{};
    TcpCounters counters{};
    SackState sack{};
    RackState rack{};
    RepairState repair{};
    PushState push{};
    bool rst_is_answer = false;          ///< the reset that is owed answers text that came after close()
};

/// The SYN is the first thing in the send stream until it is acknowledged.
constexpr bool is_syn_unacked(const TcpConnectionState& c) {
    return c.phase == TcpPhase::syn_sent || c.phase == TcpPhase::syn_received;
}

/// Behind the last byte, SYN and FIN that this side has decided to send, durable or not.
constexpr Seq snd_end(const TcpConnectionState& c) {
    return c.snd.una + ((is_syn_unacked(c) ? 1U : 0U) + c.send_queue.bytes +
                        (c.snd.fin_queued && !c.snd.fin_acked ? 1U : 0U));
}

/// First sequence number that the application has not taken. Bytes nobody will read count as taken.
constexpr Seq rcv_consumed(const TcpConnectionState& c) {
    return c.rcv.nxt - (c.receive_queue.bytes + (c.rcv.fin_received ? 1U : 0U));
}

/// Records the ends for each outstanding cut that saw the connection as it still is (DURABILITY 1 and 5).
template <>
struct FirstEditAfterCut<TcpConnectionState> {
    static void run(TcpConnectionState& c, CutNumber stamp, const CutControl& control) {
        if (c.policy == DurabilityPolicy::none) return;
        for (std::size_t i = 0; i < control.outstanding.size(); ++i) {
            const CutNumber cut = control.outstanding[i];
            if (cut == 0 || stamp > cut) continue;
            c.marks.edges[i] = {cut, c.rcv.nxt, snd_end(c), rcv_consumed(c), c.rcv.buffer};
        }
        if (control.flush != 0 && stamp <= control.flush) {
            c.marks.edges.back() = {control.flush, c.rcv.nxt, snd_end(c), rcv_consumed(c), c.rcv.buffer};
        }
    }
};

struct TcpListenerState {
    Handle<SocketState> socket{};        ///< none: closed, a tombstone
    Endpoint local{};
    std::uint32_t backlog = 0;
    std::uint32_t half_open = 0;
    Link accept_head{};                  ///< TcpConnectionState, the oldest first
    Link accept_tail{};
    std::uint32_t accept_count = 0;
    CutNumber died_after = 0;            ///< tombstone: gone when this cut, or a later one, is committed
    Deadline cookies_until = never;      ///< after an overflow, or a restore: cookies are accepted until then
};

}  // namespace keepnet
