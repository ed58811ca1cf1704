// The statistics under the MIBs' names, as Linux's nstat prints them: RFC 4293 (Ip6, Icmp6), 4113 (Udp6), 4022 (Tcp), and
// Linux's own (TcpExt). A counter that Linux has and keepnet has no use for is left out.
#include <algorithm>
#include <array>
#include <initializer_list>

#include "stack/core.hpp"

namespace keepnet {

namespace {

using Drop = DropReason;

class MibWriter {
  public:
    MibWriter(const Statistics& s, std::span<MibCounter> out) : s_(s), out_(out) {}
    void put(std::string_view name, std::uint64_t value) {
        if (count_ < out_.size()) out_[count_] = {name, value};
        ++count_;
    }
    [[nodiscard]] std::uint64_t drops(std::initializer_list<Drop> reasons) const {
        std::uint64_t sum = 0;
        for (const Drop r : reasons) sum += s_.drops[static_cast<std::size_t>(r)];
        return sum;
    }
    [[nodiscard]] std::size_t count() const { return count_; }

  private:
    const Statistics& s_;
    std::span<MibCounter> out_;
    std::size_t count_ = 0;
};

void put_ip(MibWriter& m, const Statistics& s) {
    m.put("Ip6InReceives", s.ip_received);
    m.put("Ip6InHdrErrors", m.drops({Drop::ipv6_bad_version, Drop::ipv6_extension_malformed, Drop::ipv6_option_refused,
                                     Drop::ipv6_routing_header}));
    m.put("Ip6InTruncatedPkts", m.drops({Drop::ipv6_truncated}));
    m.put("Ip6InAddrErrors", m.drops({Drop::ipv6_bad_source, Drop::ipv6_bad_destination, Drop::ipv6_not_for_us}));
    m.put("Ip6InUnknownProtos", m.drops({Drop::ipv6_next_header_unknown}));
    m.put("Ip6InDiscards", m.drops({Drop::ipv6_tentative_destination, Drop::out_of_buffers}));
    m.put("Ip6OutRequests", s.ip_sent);
    m.put("Ip6OutDiscards", m.drops({Drop::transmit_ring_full, Drop::pending_queue_full}));
    m.put("Ip6OutNoRoutes", m.drops({Drop::no_route}));
    m.put("Ip6InOctets", s.bytes_received);
    m.put("Ip6OutOctets", s.bytes_sent);
    m.put("Icmp6InMsgs", s.icmp_received);
    m.put("Icmp6InErrors", m.drops({Drop::icmpv6_truncated, Drop::icmpv6_bad_checksum, Drop::icmpv6_error_malformed}));
    m.put("Icmp6InCsumErrors", m.drops({Drop::icmpv6_bad_checksum}));
    m.put("Icmp6OutMsgs", s.icmp_sent);
    m.put("Icmp6OutEchoReplies", s.icmp_echo_answered);
    m.put("Icmp6OutRateLimitHost", m.drops({Drop::error_rate_limited}));
}

void put_udp(MibWriter& m, const Statistics& s) {
    m.put("Udp6InDatagrams", s.udp_received);
    m.put("Udp6NoPorts", m.drops({Drop::udp_no_socket}));
    m.put("Udp6InErrors", m.drops({Drop::udp_truncated, Drop::udp_bad_length, Drop::udp_bad_checksum, Drop::udp_queue_full}));
    m.put("Udp6OutDatagrams", s.udp_sent);
    m.put("Udp6RcvbufErrors", m.drops({Drop::udp_queue_full}));
    m.put("Udp6InCsumErrors", m.drops({Drop::udp_bad_checksum}));
}

void put_tcp(MibWriter& m, const Statistics& s, std::uint64_t established) {
    m.put("TcpActiveOpens", s.tcp_active_opens);
    m.put("TcpPassiveOpens", s.tcp_passive_opens);
    m.put("TcpAttemptFails", s.tcp_attempt_fails);
    m.put("TcpEstabResets", s.tcp_established_resets);
    m.put("TcpCurrEstab", established);
    m.put("TcpInSegs", s.tcp_segments_received);
    m.put("TcpOutSegs", s.tcp_segments_sent - s.tcp_segments_retransmitted);
    m.put("TcpRetransSegs", s.tcp_segments_retransmitted);
    m.put("TcpInErrs", m.drops({Drop::tcp_truncated, Drop::tcp_bad_header_length, Drop::tcp_bad_checksum}));
    m.put("TcpOutRsts", s.tcp_resets_sent);
    m.put("TcpInCsumErrors", m.drops({Drop::tcp_bad_checksum}));
}

void put_tcp_handshakes(MibWriter& m, const Statistics& s) {
    m.put("TcpExtSyncookiesSent", s.tcp_cookies_sent);
    m.put("TcpExtSyncookiesRecv", s.tcp_cookies_accepted);
    m.put("TcpExtSyncookiesFailed", m.drops({Drop::tcp_bad_cookie}));
    m.put("TcpExtListenOverflows", m.drops({Drop::tcp_listen_overflow}));
    m.put("TcpExtListenDrops", m.drops({Drop::tcp_listen_overflow, Drop::tcp_half_open_overflow}));
    m.put("TcpExtTCPReqQFullDoCookies", s.tcp_cookies_sent);
    m.put("TcpExtTCPReqQFullDrop", m.drops({Drop::tcp_half_open_overflow}));
    m.put("TcpExtTCPSynRetrans", s.tcp_syn_retransmits);
    m.put("TcpExtTW", s.tcp_time_waits);
    m.put("TcpExtTWRecycled", s.tcp_time_waits_reopened);
    m.put("TcpExtTWKilled", s.tcp_time_waits_evicted);
}

void put_tcp_data(MibWriter& m, const Statistics& s) {
    m.put("TcpExtPAWSEstab", m.drops({Drop::tcp_paws}));
    m.put("TcpExtDelayedACKs", s.tcp_delayed_acks);
    m.put("TcpExtTCPPureAcks", s.tcp_pure_acks);
    m.put("TcpExtTCPTimeouts", s.tcp_timeouts);
    m.put("TcpExtTCPFastRetrans", s.tcp_fast_retransmits);
    m.put("TcpExtTCPOrigDataSent", s.tcp_original_data_sent);
    m.put("TcpExtTCPOFOQueue", s.tcp_out_of_order_queued);
    m.put("TcpExtTCPOFODrop", m.drops({Drop::tcp_out_of_order_full}));
    m.put("TcpExtTCPKeepAlive", s.tcp_keep_alives);
    m.put("TcpExtTCPWinProbe", s.tcp_window_probes);
    m.put("TcpExtTCPToZeroWindowAdv", s.tcp_zero_windows_sent);
    m.put("TcpExtTCPFromZeroWindowAdv", s.tcp_zero_windows_reopened);
    m.put("TcpExtTCPAbortOnData", s.tcp_aborts_on_data + s.tcp_aborts_on_linger);
    m.put("TcpExtTCPAbortOnClose", s.tcp_aborts_on_close);
    m.put("TcpExtTCPAbortOnTimeout", s.tcp_aborts_on_timeout);
    m.put("TcpExtTCPChallengeACK", s.tcp_challenge_acks + s.tcp_challenges_skipped);
    m.put("TcpExtTCPSYNChallenge", s.tcp_syn_challenges);
    m.put("TcpExtTCPACKSkippedChallenge", s.tcp_challenges_skipped);
    m.put("TcpExtTCPACKSkippedSeq", s.tcp_acks_skipped);
}

}  // namespace

std::size_t Stack::mib_counters(std::span<MibCounter> out) const {
    const World& w = core_->world;
    std::uint64_t established = 0;
    w.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        if (c.phase == TcpPhase::established || c.phase == TcpPhase::close_wait) ++established;  // RFC 4022
    });
    const Statistics& s = statistics();
    MibWriter m(s, out);
    put_ip(m, s);
    put_udp(m, s);
    put_tcp(m, s, established);
    put_tcp_handshakes(m, s);
    put_tcp_data(m, s);
    return m.count();
}

}  // namespace keepnet
