// Names of the enumerations of stack.hpp and statistics.hpp: stable, for logs and for `keepnet inspect`.
#include <keepnet/stack.hpp>

namespace keepnet {

std::string_view name(TcpPhase phase) {
    switch (phase) {
        case TcpPhase::invalid: return "invalid";
        case TcpPhase::closed: return "closed";
        case TcpPhase::listen: return "listen";
        case TcpPhase::syn_sent: return "syn_sent";
        case TcpPhase::syn_received: return "syn_received";
        case TcpPhase::established: return "established";
        case TcpPhase::fin_wait_1: return "fin_wait_1";
        case TcpPhase::fin_wait_2: return "fin_wait_2";
        case TcpPhase::close_wait: return "close_wait";
        case TcpPhase::closing: return "closing";
        case TcpPhase::last_ack: return "last_ack";
        case TcpPhase::time_wait: return "time_wait";
    }
    return "unknown";
}

std::string_view name(DurabilityPolicy policy) {
    switch (policy) {
        case DurabilityPolicy::invalid: break;
        case DurabilityPolicy::none: return "none";
        case DurabilityPolicy::snapshot: return "snapshot";
        case DurabilityPolicy::journal: return "journal";
        case DurabilityPolicy::untracked: return "untracked";
    }
    return "invalid";
}

std::string_view name(CongestionAlgorithm algorithm) {
    switch (algorithm) {
        case CongestionAlgorithm::invalid: break;
        case CongestionAlgorithm::newreno: return "newreno";
        case CongestionAlgorithm::cubic: return "cubic";
    }
    return "invalid";
}

std::string_view name(EcnMode mode) {
    switch (mode) {
        case EcnMode::invalid: break;
        case EcnMode::off: return "off";
        case EcnMode::respond: return "respond";
        case EcnMode::request: return "request";
    }
    return "invalid";
}

std::string_view name(Verdict verdict) {
    switch (verdict) {
        case Verdict::invalid: return "invalid";
        case Verdict::not_restored: return "not_restored";
        case Verdict::pending: return "pending";
        case Verdict::resumed: return "resumed";
        case Verdict::closed: return "closed";
        case Verdict::reset_by_peer: return "reset_by_peer";
        case Verdict::address_gone: return "address_gone";
        case Verdict::expired: return "expired";
        case Verdict::dropped_by_policy: return "dropped_by_policy";
        case Verdict::replay_diverged: return "replay_diverged";
    }
    return "unknown";
}

std::string_view name(DropReason reason) {
    switch (reason) {
        case DropReason::invalid: return "invalid";
        case DropReason::frame_truncated: return "frame_truncated";
        case DropReason::frame_not_for_us: return "frame_not_for_us";
        case DropReason::ethertype_unknown: return "ethertype_unknown";
        case DropReason::ipv6_truncated: return "ipv6_truncated";
        case DropReason::ipv6_bad_version: return "ipv6_bad_version";
        case DropReason::ipv6_bad_source: return "ipv6_bad_source";
        case DropReason::ipv6_bad_destination: return "ipv6_bad_destination";
        case DropReason::ipv6_not_for_us: return "ipv6_not_for_us";
        case DropReason::ipv6_extension_malformed: return "ipv6_extension_malformed";
        case DropReason::ipv6_option_refused: return "ipv6_option_refused";
        case DropReason::ipv6_routing_header: return "ipv6_routing_header";
        case DropReason::ipv6_fragment: return "ipv6_fragment";
        case DropReason::ipv6_next_header_unknown: return "ipv6_next_header_unknown";
        case DropReason::ipv6_tentative_destination: return "ipv6_tentative_destination";
        case DropReason::icmpv6_truncated: return "icmpv6_truncated";
        case DropReason::icmpv6_bad_checksum: return "icmpv6_bad_checksum";
        case DropReason::icmpv6_type_unknown: return "icmpv6_type_unknown";
        case DropReason::icmpv6_error_malformed: return "icmpv6_error_malformed";
        case DropReason::icmpv6_error_unmatched: return "icmpv6_error_unmatched";
        case DropReason::nd_bad_hop_limit: return "nd_bad_hop_limit";
        case DropReason::nd_malformed: return "nd_malformed";
        case DropReason::nd_not_for_us: return "nd_not_for_us";
        case DropReason::nd_unmatched: return "nd_unmatched";
        case DropReason::neighbor_unreachable: return "neighbor_unreachable";
        case DropReason::pending_queue_full: return "pending_queue_full";
        case DropReason::no_route: return "no_route";
        case DropReason::transmit_ring_full: return "transmit_ring_full";
        case DropReason::error_rate_limited: return "error_rate_limited";
        case DropReason::udp_truncated: return "udp_truncated";
        case DropReason::udp_bad_length: return "udp_bad_length";
        case DropReason::udp_bad_checksum: return "udp_bad_checksum";
        case DropReason::udp_no_socket: return "udp_no_socket";
        case DropReason::udp_queue_full: return "udp_queue_full";
        case DropReason::tcp_truncated: return "tcp_truncated";
        case DropReason::tcp_bad_header_length: return "tcp_bad_header_length";
        case DropReason::tcp_bad_checksum: return "tcp_bad_checksum";
        case DropReason::tcp_bad_address: return "tcp_bad_address";
        case DropReason::tcp_no_connection: return "tcp_no_connection";
        case DropReason::tcp_reset_unmatched: return "tcp_reset_unmatched";
        case DropReason::tcp_not_ready: return "tcp_not_ready";
        case DropReason::tcp_tombstone: return "tcp_tombstone";
        case DropReason::tcp_unacceptable_sequence: return "tcp_unacceptable_sequence";
        case DropReason::tcp_paws: return "tcp_paws";
        case DropReason::tcp_no_timestamp: return "tcp_no_timestamp";
        case DropReason::tcp_bad_ack: return "tcp_bad_ack";
        case DropReason::tcp_no_ack_flag: return "tcp_no_ack_flag";
        case DropReason::tcp_challenged_syn: return "tcp_challenged_syn";
        case DropReason::tcp_challenged_reset: return "tcp_challenged_reset";
        case DropReason::tcp_reset_in_time_wait: return "tcp_reset_in_time_wait";
        case DropReason::tcp_listen_overflow: return "tcp_listen_overflow";
        case DropReason::tcp_half_open_overflow: return "tcp_half_open_overflow";
        case DropReason::tcp_bad_cookie: return "tcp_bad_cookie";
        case DropReason::tcp_out_of_order_full: return "tcp_out_of_order_full";
        case DropReason::tcp_data_after_close: return "tcp_data_after_close";
        case DropReason::tcp_beyond_window: return "tcp_beyond_window";
        case DropReason::out_of_buffers: return "out_of_buffers";
        case DropReason::no_slot: return "no_slot";
        case DropReason::count_: break;
    }
    return "unknown";
}

}  // namespace keepnet
