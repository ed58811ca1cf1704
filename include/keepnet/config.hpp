// Every limit and every default, with its unit, its reason and its source. Capacities fix the arena's size; a slot
// that is never used is never touched, so a large capacity costs address space, not memory.
#pragma once

#include <cstdint>
#include <string_view>

#include <keepnet/address.hpp>
#include <keepnet/time.hpp>

namespace keepnet {

/// Who moves the durability marks of a connection.
enum class DurabilityPolicy : std::uint8_t {
    invalid = 0,
    none,      ///< nothing is held back
    snapshot,  ///< output waits until a snapshot that covers it is committed
    journal,   ///< output waits until the journal's record that covers it is durable; without a journal it waits for ever
    untracked, ///< `none` beside a journal: its calls are not replayed, and a restored connection is reset
};

/// Does anything wait for a commit under it?
[[nodiscard]] constexpr bool holds_output(DurabilityPolicy policy) {
    return policy == DurabilityPolicy::snapshot || policy == DurabilityPolicy::journal;
}
std::string_view name(DurabilityPolicy policy);

/// How the congestion window grows and shrinks.
enum class CongestionAlgorithm : std::uint8_t {
    invalid = 0,
    newreno,  ///< RFC 5681, 6582
    cubic,    ///< RFC 9438, with HyStart++ (RFC 9406)
};
std::string_view name(CongestionAlgorithm algorithm);

/// Explicit congestion notification (RFC 3168).
enum class EcnMode : std::uint8_t {
    invalid = 0,
    off,      ///< neither
    respond,  ///< when the peer's SYN asks for it
    request,  ///< and our SYNs ask
};
std::string_view name(EcnMode mode);

struct CapacityConfig {
    std::uint32_t interfaces = 4;
    std::uint32_t addresses = 16;           ///< over all interfaces
    std::uint32_t routes = 32;
    std::uint32_t neighbors = 256;          ///< neighbour cache entries; the oldest unused one makes room
    std::uint32_t pending_packets = 64;     ///< packets that wait for a link address (RFC 4861 7.2.2), all neighbours
    std::uint32_t destinations = 256;       ///< path MTU entries
    std::uint32_t sockets = 4096;           ///< handles: TCP, listeners and UDP together
    std::uint32_t tcp_connections = 4096;   ///< half-open, TIME-WAIT and tombstones included
    std::uint32_t tcp_listeners = 64;
    std::uint32_t tcp_tombstones = 1024;    ///< of tcp_connections: ended ones whose end is not yet durable
    std::uint32_t udp_sockets = 256;
    std::uint32_t udp_datagrams = 1024;     ///< queued, over all sockets, both directions
    std::uint32_t slice_nodes = 65536;      ///< queue entries: one for each stretch of bytes in one packet buffer
    std::uint32_t packet_buffers = 16384;   ///< of packet_buffer_bytes each
    std::uint32_t transmit_ring = 512;      ///< frames waiting for a device, for each interface; a power of two
    /// What was sent and is not acknowledged, stretches of one time and fate, over all connections (RFC 6675, 8985). For
    /// want of one a time is told too late, or a SACK is forgotten.
    std::uint32_t sent_ranges = 32768;
    /// Objects of one kind that may change while a cut is unread. Beyond it the cut (not the stack) fails.
    std::uint32_t shadow_objects = 8192;
    /// Bytes between the polling thread's sweep and the encoder; a power of two, at least 64 KiB.
    std::uint32_t sweep_queue_bytes = 1U << 20;
};

/// Bytes in a packet buffer: an Ethernet frame of 1514 bytes with headroom, two to a page.
inline constexpr std::uint32_t packet_buffer_bytes = 2048;

struct IpConfig {
    std::uint8_t hop_limit = 64;                       ///< until a router says otherwise
    std::uint16_t mtu_max = 1500;                      ///< bytes, 1280..1980: a frame lies in one packet buffer
    std::uint32_t icmp_errors_per_second = 100;        ///< RFC 4443 2.4 (f)
    std::uint32_t icmp_errors_burst = 20;
    Duration path_mtu_lifetime = seconds(600);         ///< RFC 8201 5.3: no sooner than 5 minutes
};

struct NdConfig {
    std::uint8_t dad_transmits = 1;                    ///< RFC 4862 5.1; 0 turns it off
    Duration retransmit = seconds(1);                  ///< RetransTimer, RFC 4861 10
    Duration reachable_base = seconds(30);             ///< REACHABLE_TIME
    Duration delay_first_probe = seconds(5);           ///< DELAY_FIRST_PROBE_TIME
    std::uint8_t unicast_probes = 3;                   ///< MAX_UNICAST_SOLICIT
    std::uint8_t multicast_probes = 3;                 ///< MAX_MULTICAST_SOLICIT
    std::uint8_t pending_per_neighbor = 4;             ///< RFC 4861 7.2.2: at least one
    Duration stale_lifetime = seconds(600);            ///< an unused STALE entry is forgotten
};

struct TcpConfig {
    std::uint32_t receive_buffer = 256U * 1024;        ///< bytes; the default of a new socket
    std::uint32_t send_buffer = 256U * 1024;           ///< bytes; the default of a new socket
    std::uint32_t buffer_max = 16U * 1024 * 1024;      ///< bytes; what an option can set
    bool timestamps = true;                            ///< RFC 7323: offered, and taken up when offered
    bool window_scaling = true;                        ///< the same
    std::uint16_t mss_default = 1220;                  ///< RFC 9293 3.7.1: IPv6, no option from the peer
    std::uint8_t initial_window_segments = 10;         ///< RFC 6928
    Duration rto_initial = seconds(1);                 ///< RFC 6298 2.1
    Duration rto_min = milliseconds(200);              ///< Linux's value; RFC 6298 2.4 says 1 s, "SHOULD"
    Duration rto_max = seconds(60);                    ///< RFC 6298 2.5
    Duration rto_after_syn_loss = seconds(3);          ///< RFC 6298 5.7
    Duration syn_give_up = seconds(180);               ///< R2 for SYN: at least 3 min, RFC 9293 3.8.3
    Duration synack_give_up = seconds(63);             ///< half-open record: Linux's five retransmissions
    Duration data_give_up = seconds(924);              ///< R2 for data: at least 100 s, RFC 9293 3.8.3
    Duration delayed_ack = milliseconds(40);           ///< RFC 9293 3.8.6.3: below 500 ms
    Duration msl = seconds(30);                        ///< TIME-WAIT is two of them (Linux: 60 s in all)
    Duration fin_wait_2 = seconds(60);                 ///< orphaned half-closed connection, RFC 9293 3.6.1, Linux
    Duration keepalive_idle = seconds(7200);           ///< RFC 9293 3.8.4: at least 2 h by default
    Duration keepalive_interval = seconds(75);
    std::uint8_t keepalive_probes = 9;
    std::uint32_t challenge_acks_per_second = 1000;    ///< RFC 5961 7, whole stack
    Duration invalid_ack_interval = milliseconds(500); ///< for each connection, Linux's tcp_invalid_ratelimit
    std::uint32_t listen_half_open = 256;              ///< for each listener; above it SYN cookies
    std::uint32_t half_open_per_second = 4096;         ///< records that a commit must cover; above it SYN cookies
    Duration syn_cookie_lifetime = seconds(128);       ///< two secrets of half of that
    /// Ended connections that a cookie made, remembered while it is good, lest a late duplicate make them again; of
    /// CapacityConfig::tcp_connections, and a quarter of these at most. Beyond it, or for want of a slot, they are forgotten.
    std::uint32_t spent_cookies = 1024;
    std::uint32_t out_of_order_segments = 512;         ///< for each connection
    bool sack = true;                                  ///< RFC 2018: offered, and taken up when offered
    std::uint32_t sent_ranges = 512;                   ///< for each connection, of CapacityConfig::sent_ranges
    /// Bytes that all granted receive windows together may reach; 0: half of the packet pool.
    std::uint64_t receive_grant_bytes = 0;
    CongestionAlgorithm congestion = CongestionAlgorithm::cubic;  ///< of a new socket
    EcnMode ecn = EcnMode::respond;                    ///< of a new socket; Linux's default
    /// Segments that are acknowledged at once at the start of a connection, and after a pause of the peer's, so that its
    /// slow start is not slower for our delays; Linux's number. 0: the delayed ACK starts with the first.
    std::uint8_t quick_acks = 16;
    /// Bytes up to which a receive buffer grows with what a connection needs, unless the application sets it; Linux's
    /// tcp_rmem. At most buffer_max; not above receive_buffer: no auto-tuning.
    std::uint32_t receive_buffer_tuned = 6U * 1024 * 1024;
    /// Where a burst arrives in one poll, an ACK leaves at least after so many full segments.
    std::uint8_t ack_burst_segments = 8;
    /// Text that leaves together is pushed at the end of each such stretch, or a longer one where the path is fast: what merges
    /// segments at the other end need not wait for more. Linux's tcp_min_tso_segs.
    std::uint8_t push_segments_min = 2;
    bool restart_after_idle = true;                    ///< RFC 5681 4.1; Linux's tcp_slow_start_after_idle
    bool mtu_probing = true;                           ///< RFC 4821, after a black hole was met
    Duration mtu_probe_interval = seconds(600);        ///< between searches for a larger MTU; RFC 4821 7.2: not often
    /// New segments that leave at once; the rest of a burst goes at twice the window a round trip. 0: no pacing.
    std::uint32_t burst_segments = 32;
    std::uint16_t ephemeral_first = 49152;             ///< RFC 6335 6
    std::uint16_t ephemeral_last = 65535;
    Duration timestamp_reservation = seconds(3600);    ///< how far ahead a cut reserves TSval and the ISN clock
    std::uint32_t resume_paced_per_poll = 64;          ///< connections that speak first after a restore, per poll
    Duration suspend_drain_min = milliseconds(200);    ///< how long a suspend acknowledges what is in flight: at least
    Duration suspend_drain_max = seconds(2);           ///< and at most
};

struct UdpConfig {
    std::uint32_t receive_queue = 64;                  ///< datagrams for each socket
    std::uint32_t held_queue = 64;                     ///< datagrams held for a commit, each socket
};

struct PollConfig {
    std::uint32_t receive_burst = 64;                  ///< frames for each device and poll
    std::uint32_t timers = 4096;                       ///< expired timers for each poll
    std::uint32_t outputs = 1024;                      ///< connections that get an output turn for each poll
    std::uint32_t segments_per_turn = 8;               ///< segments one connection sends before the next one's turn
    std::uint32_t sweep_objects = 2048;                ///< objects of a cut that one poll copies for the encoder
};

struct StackConfig {
    CapacityConfig capacity{};
    IpConfig ip{};
    NdConfig nd{};
    TcpConfig tcp{};
    UdpConfig udp{};
    PollConfig poll{};
    DurabilityPolicy policy = DurabilityPolicy::none;  ///< of a new socket
};

}  // namespace keepnet
