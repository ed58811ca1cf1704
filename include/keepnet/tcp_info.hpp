// TCP_INFO: what Linux's struct tcp_info says of a socket, field by field, with its units and meanings, less the prefix
// `tcpi_`. In RFC 4898's words these are the extended statistics of a connection. Figures that Linux counts in segments
// are bytes over the MSS here, rounded up: keepnet's queues hold bytes.
#pragma once

#include <cstdint>
#include <type_traits>

#include <keepnet/cxx23.hpp>

namespace keepnet {

struct TcpInfo {
    static constexpr std::uint8_t option_timestamps = 1;
    static constexpr std::uint8_t option_sack = 2;
    static constexpr std::uint8_t option_window_scale = 4;
    static constexpr std::uint8_t option_ecn = 8;
    static constexpr std::uint8_t option_ecn_seen = 16;
    enum CaState : std::uint8_t { ca_open = 0, ca_disorder, ca_cwr, ca_recovery, ca_loss };
    static constexpr std::uint32_t infinite_ssthresh = 0x7fff'ffff;

    std::uint8_t state = 7;             ///< Linux's number: 1 ESTABLISHED ... 7 CLOSE ... 11 CLOSING
    std::uint8_t ca_state = ca_open;
    std::uint8_t retransmits = 0;       ///< time-outs in a row
    std::uint8_t probes = 0;            ///< window probes or keep-alives that nobody answered
    std::uint8_t backoff = 0;
    std::uint8_t options = 0;           ///< bits option_...
    std::uint8_t snd_wscale = 0;
    std::uint8_t rcv_wscale = 0;
    std::uint8_t delivery_rate_app_limited = 0;
    std::uint8_t reserved[7] = {};
    std::uint32_t rto = 0;              ///< us
    std::uint32_t ato = 0;              ///< us
    std::uint32_t snd_mss = 0;          ///< bytes
    std::uint32_t rcv_mss = 0;          ///< bytes; the largest segment that came, 536 until one has
    std::uint32_t unacked = 0;          ///< segments in flight; listener: connections that wait for accept()
    std::uint32_t sacked = 0;           ///< segments; listener: the backlog
    std::uint32_t lost = 0;             ///< segments
    std::uint32_t retrans = 0;          ///< segments sent again and not acknowledged
    std::uint32_t fackets = 0;          ///< always 0, as in Linux
    std::uint32_t last_data_sent = 0;   ///< ms since then, as the three that follow
    std::uint32_t last_ack_sent = 0;    ///< always 0, as in Linux
    std::uint32_t last_data_recv = 0;
    std::uint32_t last_ack_recv = 0;
    std::uint32_t pmtu = 0;             ///< bytes
    std::uint32_t rcv_ssthresh = 0;     ///< bytes; the receive buffer
    std::uint32_t rtt = 0;              ///< us, smoothed
    std::uint32_t rttvar = 0;           ///< us
    std::uint32_t snd_ssthresh = 0;     ///< segments; infinite_ssthresh: none yet
    std::uint32_t snd_cwnd = 0;         ///< segments
    std::uint32_t advmss = 0;           ///< bytes
    std::uint32_t reordering = 3;       ///< segments
    std::uint32_t rcv_rtt = 0;          ///< us
    std::uint32_t rcv_space = 0;        ///< bytes
    std::uint32_t total_retrans = 0;    ///< segments sent again, ever
    std::uint64_t pacing_rate = UINT64_MAX;      ///< bytes a second; the highest number: not paced
    std::uint64_t max_pacing_rate = UINT64_MAX;
    std::uint64_t bytes_acked = 0;      ///< SYN and FIN count
    std::uint64_t bytes_received = 0;   ///< in order; the FIN counts
    std::uint32_t segs_out = 0;
    std::uint32_t segs_in = 0;
    std::uint32_t notsent_bytes = 0;
    std::uint32_t min_rtt = UINT32_MAX; ///< us; the highest number: none yet
    std::uint32_t data_segs_in = 0;
    std::uint32_t data_segs_out = 0;
    std::uint64_t delivery_rate = 0;    ///< bytes a second
    std::uint64_t busy_time = 0;        ///< us with data in the send queue
    std::uint64_t rwnd_limited = 0;     ///< us of it limited by the peer's window
    std::uint64_t sndbuf_limited = 0;   ///< us of it limited by the send buffer
    std::uint32_t delivered = 0;        ///< segments
    std::uint32_t delivered_ce = 0;     ///< segments
    std::uint64_t bytes_sent = 0;       ///< of data, what was sent again included
    std::uint64_t bytes_retrans = 0;
    std::uint32_t dsack_dups = 0;
    std::uint32_t reord_seen = 0;
    std::uint32_t rcv_ooopack = 0;      ///< segments that came out of order
    std::uint32_t snd_wnd = 0;          ///< bytes
    std::uint32_t rcv_wnd = 0;          ///< bytes
    std::uint32_t rehash = 0;           ///< always 0
    std::uint16_t total_rto = 0;        ///< time-outs, those of a SYN and repeated ones included
    std::uint16_t total_rto_recoveries = 0;  ///< series of time-outs
    std::uint32_t total_rto_time = 0;   ///< ms from the first time-out of a series to the ACK that ended it
};
static_assert(std::is_trivially_copyable_v<TcpInfo> && std::has_unique_object_representations_v<TcpInfo>,
              "written to the journal as it lies");

}  // namespace keepnet
