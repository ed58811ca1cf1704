// The one list of all fields of all state objects: f(field) for each leaf, f(field, Ages{}) for an instant against
// which an outage counts (DURABILITY 8). By destructuring: a field that is missing here does not compile. Leaves are
// integers, enumerations, Seq, Link, Handle, Instant, Duration, addresses, keys and arrays of integers.
#pragma once

#include <type_traits>

#include <keepnet/statistics.hpp>

#include "state/world.hpp"

namespace keepnet::durability {

/// Lifetimes, caches and TIME-WAIT go on ageing while we are away; what we owe to a peer, or it to us, does not.
struct Ages {};

template <class S, class T>
concept Is = std::is_same_v<std::remove_const_t<S>, T>;

template <Is<Endpoint> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [address, port, interface] = s;
    f(address), f(port), f(interface);
}
template <Is<Slice> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [buffer, offset, length] = s;
    f(buffer), f(offset), f(length);
}
template <Is<RandomState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [key, counter, buffer, available] = s;
    f(key), f(counter), f(buffer), f(available);
}
template <Is<RateLimitState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [tokens, refilled] = s;
    f(tokens), f(refilled);
}
template <Is<StackState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [random, isn_key, port_key, flow_key, interface_key, timestamp_key, cookie_keys, cookie_rotated,
           cookie_epoch, wire_clock_offset, wire_clock_ceiling_ns, wire_clock_resumed_ns, now, restarts, kick_peers, ready, suspend,
           suspend_until, default_policy, port_cursor, output_cursor, ready_cursor, resume_cursor, silent_until,
           inherited, icmp_errors, challenge_acks, half_open, journal_id, journal_lsn, journal_stack] = s;
    for_each_field(random, f);
    f(isn_key), f(port_key), f(flow_key), f(interface_key), f(timestamp_key), f(cookie_keys[0]), f(cookie_keys[1]);
    f(cookie_rotated), f(cookie_epoch), f(wire_clock_offset), f(wire_clock_ceiling_ns), f(wire_clock_resumed_ns);
    f(now), f(restarts), f(kick_peers), f(ready), f(suspend), f(suspend_until), f(default_policy), f(port_cursor);
    f(output_cursor), f(ready_cursor), f(resume_cursor), f(silent_until), f(inherited);
    for_each_field(icmp_errors, f), for_each_field(challenge_acks, f), for_each_field(half_open, f);
    f(journal_id), f(journal_lsn), f(journal_stack);
}
template <Is<Statistics> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [frames_received, frames_sent, bytes_received, bytes_sent, ip_received, ip_sent, icmp_errors_sent,
           icmp_echo_answered, udp_received, udp_sent, tcp_segments_received, tcp_segments_sent,
           tcp_segments_retransmitted, tcp_resets_sent, tcp_resets_received, tcp_active_opens, tcp_passive_opens,
           tcp_attempt_fails, tcp_established_resets, tcp_timeouts, tcp_fast_retransmits, tcp_challenge_acks,
           tcp_cookies_sent, tcp_cookies_accepted, cuts, cuts_committed, cuts_abandoned, restores, drops,
           icmp_received, icmp_sent, tcp_pure_acks, tcp_original_data_sent, tcp_delayed_acks, tcp_syn_retransmits,
           tcp_syn_challenges, tcp_out_of_order_queued, tcp_keep_alives, tcp_window_probes, tcp_aborts_on_data,
           tcp_aborts_on_close, tcp_aborts_on_linger, tcp_aborts_on_timeout, tcp_acks_skipped, tcp_challenges_skipped,
           tcp_time_waits, tcp_time_waits_reopened, tcp_time_waits_evicted, tcp_zero_windows_sent,
           tcp_zero_windows_reopened] = s;
    f(frames_received), f(frames_sent), f(bytes_received), f(bytes_sent), f(ip_received), f(ip_sent);
    f(icmp_errors_sent), f(icmp_echo_answered), f(udp_received), f(udp_sent), f(tcp_segments_received);
    f(tcp_segments_sent), f(tcp_segments_retransmitted), f(tcp_resets_sent), f(tcp_resets_received);
    f(tcp_active_opens), f(tcp_passive_opens), f(tcp_attempt_fails), f(tcp_established_resets), f(tcp_timeouts);
    f(tcp_fast_retransmits), f(tcp_challenge_acks), f(tcp_cookies_sent), f(tcp_cookies_accepted), f(cuts);
    f(cuts_committed), f(cuts_abandoned), f(restores), f(drops);
    f(icmp_received), f(icmp_sent), f(tcp_pure_acks), f(tcp_original_data_sent), f(tcp_delayed_acks),
    f(tcp_syn_retransmits), f(tcp_syn_challenges), f(tcp_out_of_order_queued), f(tcp_keep_alives),
    f(tcp_window_probes), f(tcp_aborts_on_data), f(tcp_aborts_on_close), f(tcp_aborts_on_linger),
    f(tcp_aborts_on_timeout), f(tcp_acks_skipped), f(tcp_challenges_skipped), f(tcp_time_waits),
    f(tcp_time_waits_reopened), f(tcp_time_waits_evicted), f(tcp_zero_windows_sent), f(tcp_zero_windows_reopened);
}
template <Is<InterfaceState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [index, mac, mtu, link_local_wanted, hop_limit, retransmit, reachable, reachable_redraw, device, private_link] = s;
    auto& [length, bytes] = device;
    f(index), f(mac), f(mtu), f(link_local_wanted), f(hop_limit), f(retransmit), f(reachable);
    f(reachable_redraw, Ages{}), f(length), f(bytes), f(private_link);
}
template <Is<AddressState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [address, prefix_length, status, dad_probes_left, dad_counter, is_generated, announce, interface, dad_nonce,
           dad, preferred_until, valid_until] = s;
    f(address), f(prefix_length), f(status), f(dad_probes_left), f(dad_counter), f(is_generated), f(announce);
    f(interface), f(dad_nonce), f(dad), f(preferred_until, Ages{}), f(valid_until, Ages{});
}
template <Is<RouteState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [prefix, next_hop, interface, prefix_length, from_address, valid_until] = s;
    f(prefix), f(next_hop), f(interface), f(prefix_length), f(from_address), f(valid_until, Ages{});
}
template <Is<DestinationState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [address, path_mtu, expires] = s;
    f(address), f(path_mtu), f(expires, Ages{});
}
template <Is<NeighborState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [address, mac, phase, is_router, probes_sent, pending_count, interface, timer, last_used, pending_head,
           pending_tail] = s;
    f(address), f(mac), f(phase), f(is_router), f(probes_sent), f(pending_count), f(interface), f(timer, Ages{});
    f(last_used, Ages{}), f(pending_head), f(pending_tail);
}
template <Is<PendingPacketState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [next, header_length, slice_count, header, slices] = s;
    f(next), f(header_length), f(slice_count), f(header);
    for (auto& slice : slices) for_each_field(slice, f);
}
template <Is<SliceNodeState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [slice, seq, next] = s;
    for_each_field(slice, f);
    f(seq), f(next);
}
template <Is<SentRangeState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [seq, length, sent_at, sacked, lost, retransmitted, next] = s;
    f(seq), f(length), f(sent_at), f(sacked), f(lost), f(retransmitted), f(next);
}
template <Is<ByteQueueState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [head, tail, nodes, bytes] = s;
    f(head), f(tail), f(nodes), f(bytes);
}
template <Is<SocketOptions> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [receive_buffer, send_buffer, max_segment, hop_limit, traffic_class, keep_alive_probes, no_delay, cork,
           quick_ack, keep_alive, reuse_address, hold_output, policy, send_policy, keep_alive_idle,
           keep_alive_interval, user_timeout, linger, congestion, ecn, receive_buffer_fixed, not_sent_low_water,
           multicast_interface, multicast_hop_limit, multicast_loop, reuse_port] = s;
    f(receive_buffer), f(send_buffer), f(max_segment), f(hop_limit), f(traffic_class), f(keep_alive_probes);
    f(no_delay), f(cork), f(quick_ack), f(keep_alive), f(reuse_address), f(hold_output), f(policy);
    f(send_policy);
    f(keep_alive_idle), f(keep_alive_interval), f(user_timeout), f(linger);
}
/// What came after the first release lies behind all that was there before: a journal's objects end where an older
/// build's did.
template <Is<SocketOptions> S, class F>
void for_each_later_field(S& s, F&& f) {
    f(s.congestion), f(s.ecn), f(s.receive_buffer_fixed);
    f(s.not_sent_low_water), f(s.multicast_interface), f(s.multicast_hop_limit), f(s.multicast_loop), f(s.reuse_port);
}
template <Is<SocketState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [kind, is_bound, claimed, receive_shut, error, verdict, local, remote, options, connection, listener,
           udp] = s;
    f(kind), f(is_bound), f(claimed), f(receive_shut), f(error), f(verdict);
    for_each_field(local, f), for_each_field(remote, f), for_each_field(options, f);
    f(connection), f(listener), f(udp);
    for_each_later_field(options, f);
}
template <Is<UdpSocketState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [socket, receive_head, receive_tail, receive_count, held_head, held_tail, held_count, dropped] = s;
    f(socket), f(receive_head), f(receive_tail), f(receive_count), f(held_head), f(held_tail), f(held_count);
    f(dropped);
}
template <Is<DatagramState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [next, source, destination, source_port, destination_port, interface, hop_limit, traffic_class, after_cut,
           held_since, payload] = s;
    f(next), f(source), f(destination), f(source_port), f(destination_port), f(interface), f(hop_limit);
    f(traffic_class), f(after_cut), f(held_since);
    for_each_field(payload, f);
}
template <Is<TcpListenerState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [socket, local, backlog, half_open, accept_head, accept_tail, accept_count, died_after, cookies_until] = s;
    f(socket);
    for_each_field(local, f);
    f(backlog), f(half_open), f(accept_head), f(accept_tail), f(accept_count), f(died_after), f(cookies_until);
}

// --- the parts of a connection ---

template <Is<TcpConnectionOptions> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [hop_limit, traffic_class, keep_alive_probes, no_delay, cork, quick_ack, keep_alive, max_segment,
           keep_alive_idle, keep_alive_interval, user_timeout] = s;
    f(hop_limit), f(traffic_class), f(keep_alive_probes), f(no_delay), f(cork), f(quick_ack), f(keep_alive);
    f(max_segment), f(keep_alive_idle), f(keep_alive_interval), f(user_timeout);
}
template <Is<SendSequence> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [iss, una, nxt, max, up, sml, wl1, wl2, wnd, wnd_max, wscale, fin_queued, fin_acked] = s;
    f(iss), f(una), f(nxt), f(max), f(up), f(sml), f(wl1), f(wl2), f(wnd), f(wnd_max), f(wscale), f(fin_queued), f(fin_acked);
}
template <Is<ReceiveSequence> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [irs, nxt, adv, acked, up, wscale, fin_received, fin_early, fin_seq, buffer] = s;
    f(irs), f(nxt), f(adv), f(acked), f(up), f(wscale), f(fin_received), f(fin_early), f(fin_seq), f(buffer);
}
template <Is<TimestampState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [enabled, offset, recent, recent_at] = s;
    f(enabled), f(offset), f(recent), f(recent_at, Ages{});
}
template <Is<RttState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [srtt, rttvar, rto, backoff, timing, timed, timed_at] = s;
    f(srtt), f(rttvar), f(rto), f(backoff), f(timing), f(timed), f(timed_at);
}
template <Is<CongestionState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [cwnd, ssthresh, bytes_acked, last_sent, algorithm, is_cut, cut_until, is_limited, flight_max, flight_until,
           used, used_since, prior_cwnd, prior_ssthresh, pace_left, cubic, prior_cubic, hystart] = s;
    f(cwnd), f(ssthresh), f(bytes_acked), f(last_sent);
}
template <Is<CubicState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [epoch_start, k, w_max, w_est, w_est_rest, cwnd_prior] = s;
    f(epoch_start), f(k), f(w_max), f(w_est), f(w_est_rest), f(cwnd_prior);
}
template <Is<HystartState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [last_rtt, round_rtt, css_baseline, round_end, samples, css_rounds, in_round] = s;
    f(last_rtt), f(round_rtt), f(css_baseline), f(round_end), f(samples), f(css_rounds), f(in_round);
}
template <Is<CongestionState> S, class F>
void for_each_later_field(S& s, F&& f) {
    f(s.algorithm), f(s.is_cut), f(s.cut_until), f(s.is_limited), f(s.flight_max), f(s.flight_until), f(s.used);
    f(s.used_since), f(s.prior_cwnd), f(s.prior_ssthresh), f(s.pace_left);
    for_each_field(s.cubic, f), for_each_field(s.prior_cubic, f), for_each_field(s.hystart, f);
}
template <Is<EcnState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [requested, enabled, echo] = s;
    f(requested), f(enabled), f(echo);
}
template <Is<MtuSearchState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [active, low, high, probe, is_sent, probe_end, next] = s;
    f(active), f(low), f(high), f(probe), f(is_sent), f(probe_end), f(next);
}
template <Is<ReceiveTuning> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [fixed, quick_acks, interactive, last_text, rtt, rtt_end, rtt_since, seq, since, space] = s;
    f(fixed), f(quick_acks), f(interactive), f(last_text), f(rtt), f(rtt_end), f(rtt_since), f(seq), f(since);
    f(space);
}
template <Is<RecoveryState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [recover, in_recovery, after_timeout, retransmit_owed, duplicate_acks, retransmissions] = s;
    f(recover), f(in_recovery), f(after_timeout), f(retransmit_owed), f(duplicate_acks), f(retransmissions);
}
template <Is<SackState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [permitted, recent_count, recent, dsack_left, dsack_right, head, tail, ranges, sacked, lost, lost_left,
           lost_right, stop] = s;
    f(permitted), f(recent_count);
    for (auto& seq : recent) f(seq);
    f(dsack_left), f(dsack_right), f(head), f(tail), f(ranges), f(sacked), f(lost);
    f(lost_left), f(lost_right), f(stop);
}
template <Is<RackState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [reorder, probe, sent_at, end, fack, rtt, rtt_min, rtt_min_at, reordering_seen, window_steps, window_rounds,
           in_dsack_round, dsack_round, probe_owed, probe_out, probe_is_new, probe_end, tail_bytes] = s;
    f(reorder), f(probe), f(sent_at), f(end), f(fack), f(rtt), f(rtt_min), f(rtt_min_at), f(reordering_seen);
    f(window_steps), f(window_rounds), f(in_dsack_round), f(dsack_round), f(probe_owed), f(probe_out);
    f(probe_is_new), f(probe_end), f(tail_bytes);
}
template <Is<RepairState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [prr_delivered, prr_out, prr_flight, can_undo, undo_bytes, undo_from, frto] = s;
    f(prr_delivered), f(prr_out), f(prr_flight), f(can_undo), f(undo_bytes), f(undo_from);
    f(frto);
}
template <Is<PushState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [marks, count, stretch_left] = s;
    for (auto& seq : marks) f(seq);
    f(count), f(stretch_left);
}
template <Is<CutEdge> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [cut, rcv_nxt, end_of_send, consumed, buffer] = s;
    f(cut), f(rcv_nxt), f(end_of_send), f(consumed), f(buffer);
}
template <Is<DurableMarks> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [rcv_durable, snd_durable, consumed, buffer, edges, held_since, died_after] = s;
    f(rcv_durable), f(snd_durable), f(consumed), f(buffer);
    for (auto& edge : edges) for_each_field(edge, f);
    f(held_since), f(died_after);
}
template <Is<TcpTimers> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [retransmit, persist, delayed_ack, keep_alive, time_wait, user_timeout, cork, pace] = s;
    f(retransmit), f(persist), f(delayed_ack), f(keep_alive), f(time_wait, Ages{}), f(user_timeout), f(cork);
}
template <Is<TcpCounters> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [segments_in, segments_out, data_segments_in, data_segments_out, out_of_order_in, segment_in_max, timeouts,
           timeout_series, limit, send_was_short, bytes_out, bytes_retransmitted, data_in_at, ack_in_at, data_out_at,
           timeout_since, timeout_time, limit_since, limited] = s;
    f(segments_in), f(segments_out), f(data_segments_in), f(data_segments_out), f(out_of_order_in), f(segment_in_max);
    f(timeouts), f(timeout_series), f(limit), f(send_was_short), f(bytes_out), f(bytes_retransmitted), f(data_in_at);
    f(ack_in_at), f(data_out_at), f(timeout_since), f(timeout_time), f(limit_since);
    for (auto& time : limited) f(time);
}
template <Is<TcpConnectionState> S, class F>
void for_each_field(S& s, F&& f) {
    auto& [phase, policy, send_policy, local, remote, socket, listener, accept_next, options, snd, rcv, ts, rtt, congestion, recovery,
           marks, timers, send_queue, receive_queue, out_of_order, rx_consumed, tx_accepted, mss_peer, mss, flow_label,
           is_passive, ack_now, window_update_owed, probe_owed, rst_owed, fin_ack_owed, resume_owed, receive_abandoned,
           tombstone, segments_since_ack, probes_sent, push_seq_valid, push_seq, cookie_until, last_heard, last_invalid_ack, error,
           verdict, ecn, mtu_search, tuning, counters, sack, rack, repair, push, rst_is_answer] = s;
    f(phase), f(policy), f(send_policy);
    for_each_field(local, f), for_each_field(remote, f);
    f(socket), f(listener), f(accept_next);
    for_each_field(options, f), for_each_field(snd, f), for_each_field(rcv, f), for_each_field(ts, f);
    for_each_field(rtt, f), for_each_field(congestion, f), for_each_field(recovery, f), for_each_field(marks, f);
    for_each_field(timers, f), for_each_field(send_queue, f), for_each_field(receive_queue, f);
    for_each_field(out_of_order, f);
    f(rx_consumed), f(tx_accepted), f(mss_peer), f(mss), f(flow_label), f(is_passive), f(ack_now);
    f(window_update_owed), f(probe_owed), f(rst_owed), f(fin_ack_owed), f(resume_owed), f(receive_abandoned);
    f(tombstone), f(segments_since_ack), f(probes_sent), f(push_seq_valid), f(push_seq), f(last_heard);
    f(last_invalid_ack), f(error), f(verdict);
    // Later fields come last: a journal's objects end where an older build's did.
    f(cookie_until);
    for_each_later_field(congestion, f);
    f(timers.pace);
    for_each_field(ecn, f), for_each_field(mtu_search, f), for_each_field(tuning, f);
    for_each_field(counters, f);
    for_each_field(sack, f), for_each_field(rack, f), for_each_field(repair, f);
    for_each_field(push, f), f(rst_is_answer);
}

}  // namespace keepnet::durability
