// What the stack counts. Every frame or packet that is not delivered is counted under exactly one DropReason.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <keepnet/cxx23.hpp>

namespace keepnet {

/// Why something that arrived went no further. Names are stable: `keepnet inspect --json` prints them.
enum class DropReason : std::uint8_t {
    invalid = 0,
    // link
    frame_truncated,            ///< shorter than an Ethernet header
    frame_not_for_us,           ///< unicast to another MAC address
    ethertype_unknown,
    // IPv6
    ipv6_truncated,             ///< shorter than its header or its payload length says
    ipv6_bad_version,
    ipv6_bad_source,            ///< multicast source, or our own address from outside
    ipv6_bad_destination,       ///< unspecified, or loopback from outside
    ipv6_not_for_us,            ///< we do not forward
    ipv6_extension_malformed,   ///< an extension header runs past the packet, or there are too many
    ipv6_option_refused,        ///< an option whose action bits say discard (RFC 8200 4.2)
    ipv6_routing_header,        ///< segments left is not 0 (RFC 5095)
    ipv6_fragment,              ///< fragments are not reassembled yet
    ipv6_next_header_unknown,
    ipv6_tentative_destination, ///< for an address still under duplicate detection
    // ICMPv6 and neighbour discovery
    icmpv6_truncated,
    icmpv6_bad_checksum,
    icmpv6_type_unknown,
    icmpv6_error_malformed,     ///< the quoted packet is too short
    icmpv6_error_unmatched,     ///< quotes nothing that we sent (RFC 5927)
    nd_bad_hop_limit,           ///< not 255 (RFC 4861 7.1)
    nd_malformed,               ///< bad code, length, option or target
    nd_not_for_us,              ///< a solicitation for somebody else's address
    nd_unmatched,               ///< an advertisement without an entry
    neighbor_unreachable,       ///< gave up on the link address of the next hop
    pending_queue_full,         ///< too many packets wait for a link address
    no_route,
    transmit_ring_full,         ///< something nobody will send again (an ICMPv6 answer)
    error_rate_limited,         ///< an ICMPv6 error not sent (RFC 4443 2.4 f)
    // UDP
    udp_truncated,
    udp_bad_length,
    udp_bad_checksum,           ///< zero included (RFC 8200 8.1)
    udp_no_socket,
    udp_queue_full,
    // TCP
    tcp_truncated,
    tcp_bad_header_length,
    tcp_bad_checksum,
    tcp_bad_address,            ///< multicast source or destination
    tcp_no_connection,          ///< answered with a reset
    tcp_reset_unmatched,        ///< a reset for nothing
    tcp_not_ready,              ///< matches nothing, and the embedder has not called ready() after a restore
    tcp_tombstone,              ///< for a connection whose end is not durable yet
    tcp_unacceptable_sequence,  ///< outside the window; answered with an ACK
    tcp_paws,                   ///< old timestamp (RFC 7323 5)
    tcp_no_timestamp,           ///< negotiated but missing (RFC 7323 3.2)
    tcp_bad_ack,                ///< acknowledges what was never sent (RFC 5961 5)
    tcp_no_ack_flag,            ///< neither SYN, RST nor ACK
    tcp_challenged_syn,         ///< SYN on a synchronized connection (RFC 5961 4)
    tcp_challenged_reset,       ///< reset in the window but not at its left edge (RFC 5961 3)
    tcp_reset_in_time_wait,     ///< RFC 1337
    tcp_listen_overflow,        ///< accept queue full
    tcp_half_open_overflow,     ///< half-open queue full and no cookie possible
    tcp_bad_cookie,
    tcp_out_of_order_full,      ///< out-of-order queue full
    tcp_data_after_close,       ///< nobody will read it; answered with a reset
    tcp_beyond_window,          ///< the part of a segment that the window cut off
    // any
    out_of_buffers,             ///< the packet pool is at its reserve
    no_slot,                    ///< a table of the config is full
    count_
};

inline constexpr std::size_t drop_reasons = static_cast<std::size_t>(DropReason::count_);

std::string_view name(DropReason reason);

/// Counters since the stack was created; they survive a restore.
struct Statistics {
    std::uint64_t frames_received = 0;
    std::uint64_t frames_sent = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t ip_received = 0;
    std::uint64_t ip_sent = 0;
    std::uint64_t icmp_errors_sent = 0;
    std::uint64_t icmp_echo_answered = 0;
    std::uint64_t udp_received = 0;
    std::uint64_t udp_sent = 0;
    std::uint64_t tcp_segments_received = 0;
    std::uint64_t tcp_segments_sent = 0;
    std::uint64_t tcp_segments_retransmitted = 0;
    std::uint64_t tcp_resets_sent = 0;
    std::uint64_t tcp_resets_received = 0;
    std::uint64_t tcp_active_opens = 0;
    std::uint64_t tcp_passive_opens = 0;
    std::uint64_t tcp_attempt_fails = 0;
    std::uint64_t tcp_established_resets = 0;
    std::uint64_t tcp_timeouts = 0;
    std::uint64_t tcp_fast_retransmits = 0;
    std::uint64_t tcp_challenge_acks = 0;
    std::uint64_t tcp_cookies_sent = 0;
    std::uint64_t tcp_cookies_accepted = 0;
    std::uint64_t cuts = 0;
    std::uint64_t cuts_committed = 0;
    std::uint64_t cuts_abandoned = 0;
    std::uint64_t restores = 0;
    std::array<std::uint64_t, drop_reasons> drops{};
    std::uint64_t icmp_received = 0;                 ///< whole, and with a right checksum
    std::uint64_t icmp_sent = 0;                     ///< of any kind, neighbour discovery included
    std::uint64_t tcp_pure_acks = 0;                 ///< received: an ACK and nothing else
    std::uint64_t tcp_original_data_sent = 0;        ///< segments with data, without those sent again
    std::uint64_t tcp_delayed_acks = 0;              ///< sent because their time had come
    std::uint64_t tcp_syn_retransmits = 0;           ///< SYN and SYN-ACK sent again
    std::uint64_t tcp_syn_challenges = 0;            ///< SYN on a synchronized connection (RFC 5961 4)
    std::uint64_t tcp_out_of_order_queued = 0;       ///< segments
    std::uint64_t tcp_keep_alives = 0;               ///< probes sent
    std::uint64_t tcp_window_probes = 0;             ///< sent to a closed window
    std::uint64_t tcp_aborts_on_data = 0;            ///< reset: data came that nobody will read
    std::uint64_t tcp_aborts_on_close = 0;           ///< reset: closed with unread data
    std::uint64_t tcp_aborts_on_linger = 0;          ///< reset: closed with linger 0, or aborted
    std::uint64_t tcp_aborts_on_timeout = 0;         ///< given up
    std::uint64_t tcp_acks_skipped = 0;              ///< answers to unacceptable segments not sent (rate limit)
    std::uint64_t tcp_challenges_skipped = 0;        ///< challenge ACKs not sent (RFC 5961 7)
    std::uint64_t tcp_time_waits = 0;                ///< connections that came to TIME-WAIT
    std::uint64_t tcp_time_waits_reopened = 0;       ///< by a newer SYN (RFC 6191)
    std::uint64_t tcp_time_waits_evicted = 0;        ///< forgotten early, for want of a slot
    std::uint64_t tcp_zero_windows_sent = 0;         ///< times the window went from open to shut
    std::uint64_t tcp_zero_windows_reopened = 0;     ///< and back
};

/// A counter under its MIB's name.
struct MibCounter {
    std::string_view name{};
    std::uint64_t value = 0;
};

}  // namespace keepnet
