// A TCP connection <-> its message: the larger half of codec.hpp.
#pragma once

#include "base/planted.hpp"
#include "checkpoint/codec.hpp"

namespace keepnet::checkpoint {

template <class Io, Is<TcpConnectionOptions> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [hop_limit, traffic_class, keep_alive_probes, no_delay, cork, quick_ack, keep_alive, max_segment,
           keep_alive_idle, keep_alive_interval, user_timeout] = s;
    KEEPNET_FIELD(hop_limit, HopLimit);
    KEEPNET_FIELD(traffic_class, TrafficClass);
    KEEPNET_FIELD(keep_alive_probes, KeepAliveProbes);
    KEEPNET_FIELD(no_delay, NoDelay);
    KEEPNET_FIELD(cork, Cork);
    KEEPNET_FIELD(quick_ack, QuickAck);
    KEEPNET_FIELD(keep_alive, KeepAlive);
    KEEPNET_FIELD(max_segment, MaxSegment);
    KEEPNET_FIELD(keep_alive_idle, KeepAliveIdle);
    KEEPNET_FIELD(keep_alive_interval, KeepAliveInterval);
    KEEPNET_FIELD(user_timeout, UserTimeout);
}
template <class Io, Is<SendSequence> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [iss, una, nxt, max, up, sml, wl1, wl2, wnd, wnd_max, wscale, fin_queued, fin_acked] = s;
    KEEPNET_FIELD(iss, Iss);
    KEEPNET_FIELD(una, Una);
    KEEPNET_FIELD(nxt, Nxt);
    KEEPNET_FIELD(max, Max);
    KEEPNET_FIELD(up, Up);
    if (!Io::encodes || !is_planted(Fault::lost_field)) KEEPNET_FIELD(sml, Sml);
    KEEPNET_FIELD(wl1, Wl1);
    KEEPNET_FIELD(wl2, Wl2);
    KEEPNET_FIELD(wnd, Wnd);
    KEEPNET_FIELD(wnd_max, WndMax);
    KEEPNET_FIELD(wscale, Wscale);
    KEEPNET_FIELD(fin_queued, FinQueued);
    KEEPNET_FIELD(fin_acked, FinAcked);
}
template <class Io, Is<ReceiveSequence> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [irs, nxt, adv, acked, up, wscale, fin_received, fin_early, fin_seq, buffer] = s;
    KEEPNET_FIELD(irs, Irs);
    KEEPNET_FIELD(nxt, Nxt);
    KEEPNET_FIELD(adv, Adv);
    KEEPNET_FIELD(acked, Acked);
    KEEPNET_FIELD(up, Up);
    KEEPNET_FIELD(wscale, Wscale);
    KEEPNET_FIELD(fin_received, FinReceived);
    KEEPNET_FIELD(fin_early, FinEarly);
    KEEPNET_FIELD(fin_seq, FinSeq);
    KEEPNET_FIELD(buffer, Buffer);
}
template <class Io, Is<TimestampState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [enabled, offset, recent, recent_at] = s;
    KEEPNET_FIELD(enabled, Enabled);
    KEEPNET_FIELD(offset, Offset);
    KEEPNET_FIELD(recent, Recent);
    KEEPNET_FIELD(recent_at, RecentAt);
}
template <class Io, Is<RttState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [srtt, rttvar, rto, backoff, timing, timed, timed_at] = s;
    KEEPNET_FIELD(srtt, Srtt);
    KEEPNET_FIELD(rttvar, Rttvar);
    KEEPNET_FIELD(rto, Rto);
    KEEPNET_FIELD(backoff, Backoff);
    KEEPNET_FIELD(timing, Timing);
    KEEPNET_FIELD(timed, Timed);
    KEEPNET_FIELD(timed_at, TimedAt);
}
template <class Io, Is<CongestionState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [cwnd, ssthresh, bytes_acked, last_sent, algorithm, is_cut, cut_until, is_limited, flight_max, flight_until,
           used, used_since, prior_cwnd, prior_ssthresh, pace_left, cubic, prior_cubic, hystart] = s;
    KEEPNET_FIELD(cwnd, Cwnd);
    KEEPNET_FIELD(ssthresh, Ssthresh);
    KEEPNET_FIELD(bytes_acked, BytesAcked);
    KEEPNET_FIELD(last_sent, LastSent);
}
template <class Io, Is<CubicState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [epoch_start, k, w_max, w_est, w_est_rest, cwnd_prior] = s;
    KEEPNET_FIELD(epoch_start, EpochStart);
    KEEPNET_FIELD(k, K);
    KEEPNET_FIELD(w_max, WMax);
    KEEPNET_FIELD(w_est, WEst);
    KEEPNET_FIELD(w_est_rest, WEstRest);
    KEEPNET_FIELD(cwnd_prior, CwndPrior);
}
template <class Io, Is<HystartState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [last_rtt, round_rtt, css_baseline, round_end, samples, css_rounds, in_round] = s;
    KEEPNET_FIELD(last_rtt, LastRtt);
    KEEPNET_FIELD(round_rtt, RoundRtt);
    KEEPNET_FIELD(css_baseline, CssBaseline);
    KEEPNET_FIELD(round_end, RoundEnd);
    KEEPNET_FIELD(samples, Samples);
    KEEPNET_FIELD(css_rounds, CssRounds);
    KEEPNET_FIELD(in_round, InRound);
}
template <class Io, Is<EcnState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [requested, enabled, echo] = s;
    KEEPNET_FIELD(requested, Requested);
    KEEPNET_FIELD(enabled, Enabled);
    KEEPNET_FIELD(echo, Echo);
}
template <class Io, Is<MtuSearchState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [active, low, high, probe, is_sent, probe_end, next] = s;
    KEEPNET_FIELD(active, Active);
    KEEPNET_FIELD(low, Low);
    KEEPNET_FIELD(high, High);
    KEEPNET_FIELD(probe, Probe);
    KEEPNET_FIELD(is_sent, IsSent);
    KEEPNET_FIELD(probe_end, ProbeEnd);
    KEEPNET_FIELD(next, Next);
}
template <class Io, Is<ReceiveTuning> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [fixed, quick_acks, interactive, last_text, rtt, rtt_end, rtt_since, seq, since, space] = s;
    KEEPNET_FIELD(fixed, Fixed);
    KEEPNET_FIELD(quick_acks, QuickAcks);
    KEEPNET_FIELD(interactive, Interactive);
    KEEPNET_FIELD(last_text, LastText);
    KEEPNET_FIELD(rtt, Rtt);
    KEEPNET_FIELD(rtt_end, RttEnd);
    KEEPNET_FIELD(rtt_since, RttSince);
    KEEPNET_FIELD(seq, Seq);
    KEEPNET_FIELD(since, Since);
    KEEPNET_FIELD(space, Space);
}
/// What the congestion group got later, in a message of its own.
template <class Io, Is<CongestionState> S, class M>
void transfer_later(Io& io, S& s, M m) {
    auto& [cwnd, ssthresh, bytes_acked, last_sent, algorithm, is_cut, cut_until, is_limited, flight_max, flight_until,
           used, used_since, prior_cwnd, prior_ssthresh, pace_left, cubic, prior_cubic, hystart] = s;
    KEEPNET_LATER_FIELD(algorithm, Algorithm, CongestionAlgorithm::newreno);
    KEEPNET_FIELD(is_cut, IsCut);
    KEEPNET_FIELD(cut_until, CutUntil);
    KEEPNET_FIELD(is_limited, IsLimited);
    KEEPNET_FIELD(flight_max, FlightMax);
    KEEPNET_FIELD(flight_until, FlightUntil);
    KEEPNET_FIELD(used, Used);
    KEEPNET_FIELD(used_since, UsedSince);
    KEEPNET_FIELD(prior_cwnd, PriorCwnd);
    KEEPNET_FIELD(prior_ssthresh, PriorSsthresh);
    KEEPNET_FIELD(pace_left, PaceLeft);
    transfer(io, cubic, m.getCubic());
    transfer(io, prior_cubic, m.getPriorCubic());
    transfer(io, hystart, m.getHystart());
}
template <class Io, Is<RecoveryState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [recover, in_recovery, after_timeout, retransmit_owed, duplicate_acks, retransmissions] = s;
    KEEPNET_FIELD(recover, Recover);
    KEEPNET_FIELD(in_recovery, InRecovery);
    KEEPNET_FIELD(after_timeout, AfterTimeout);
    KEEPNET_FIELD(retransmit_owed, RetransmitOwed);
    KEEPNET_FIELD(duplicate_acks, DuplicateAcks);
    KEEPNET_FIELD(retransmissions, Retransmissions);
}
template <class Io, Is<SackState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [permitted, recent_count, recent, dsack_left, dsack_right, head, tail, ranges, sacked, lost, lost_left,
           lost_right, stop] = s;
    KEEPNET_FIELD(permitted, Permitted);
    KEEPNET_FIELD(recent_count, RecentCount);
    KEEPNET_FIELD(recent[0], Recent0);
    KEEPNET_FIELD(recent[1], Recent1);
    KEEPNET_FIELD(recent[2], Recent2);
    KEEPNET_FIELD(recent[3], Recent3);
    KEEPNET_FIELD(dsack_left, DsackLeft);
    KEEPNET_FIELD(dsack_right, DsackRight);
    KEEPNET_FIELD(head, Head);
    KEEPNET_FIELD(tail, Tail);
    KEEPNET_FIELD(ranges, Ranges);
    KEEPNET_FIELD(sacked, Sacked);
    KEEPNET_FIELD(lost, Lost);
    KEEPNET_FIELD(lost_left, LostLeft);
    KEEPNET_FIELD(lost_right, LostRight);
    KEEPNET_FIELD(stop, Stop);
}
template <class Io, Is<RackState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [reorder, probe, sent_at, end, fack, rtt, rtt_min, rtt_min_at, reordering_seen, window_steps, window_rounds,
           in_dsack_round, dsack_round, probe_owed, probe_out, probe_is_new, probe_end, tail_bytes] = s;
    KEEPNET_FIELD(reorder, Reorder);
    KEEPNET_FIELD(probe, Probe);
    KEEPNET_FIELD(sent_at, SentAt);
    KEEPNET_FIELD(end, End);
    KEEPNET_FIELD(fack, Fack);
    KEEPNET_FIELD(rtt, Rtt);
    KEEPNET_FIELD(rtt_min, RttMin);
    KEEPNET_FIELD(rtt_min_at, RttMinAt);
    KEEPNET_FIELD(reordering_seen, ReorderingSeen);
    KEEPNET_FIELD(window_steps, WindowSteps);
    KEEPNET_FIELD(window_rounds, WindowRounds);
    KEEPNET_FIELD(in_dsack_round, InDsackRound);
    KEEPNET_FIELD(dsack_round, DsackRound);
    KEEPNET_FIELD(probe_owed, ProbeOwed);
    KEEPNET_FIELD(probe_out, ProbeOut);
    KEEPNET_FIELD(probe_is_new, ProbeIsNew);
    KEEPNET_FIELD(probe_end, ProbeEnd);
    KEEPNET_FIELD(tail_bytes, TailBytes);
}
template <class Io, Is<RepairState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [prr_delivered, prr_out, prr_flight, can_undo, undo_bytes, undo_from, frto] = s;
    KEEPNET_FIELD(prr_delivered, PrrDelivered);
    KEEPNET_FIELD(prr_out, PrrOut);
    KEEPNET_FIELD(prr_flight, PrrFlight);
    KEEPNET_FIELD(can_undo, CanUndo);
    KEEPNET_FIELD(undo_bytes, UndoBytes);
    KEEPNET_FIELD(undo_from, UndoFrom);
    KEEPNET_FIELD(frto, Frto);
}
template <class Io, Is<CutEdge> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [cut, rcv_nxt, end_of_send, consumed, buffer] = s;
    KEEPNET_CUT_FIELD(cut, Cut);
    KEEPNET_FIELD(rcv_nxt, RcvNxt);
    KEEPNET_FIELD(end_of_send, SndEnd);
    KEEPNET_FIELD(consumed, Consumed);
    KEEPNET_FIELD(buffer, Buffer);
}
template <class Io, Is<DurableMarks> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [rcv_durable, snd_durable, consumed, buffer, edges, held_since, died_after] = s;
    KEEPNET_FIELD(rcv_durable, RcvDurable);
    KEEPNET_FIELD(snd_durable, SndDurable);
    KEEPNET_FIELD(consumed, Consumed);
    KEEPNET_FIELD(buffer, Buffer);
    KEEPNET_FIELD(held_since, HeldSince);
    KEEPNET_CUT_FIELD(died_after, DiedAfter);
    if constexpr (Io::encodes) {
        if (std::ranges::all_of(edges, [](const CutEdge& edge) { return edge.cut == 0; })) return;
        auto list = m.initEdges(static_cast<unsigned>(edges.size()));
        for (unsigned i = 0; i < edges.size(); ++i) transfer(io, edges[i], list[i]);
    } else {
        if (!m.hasEdges()) return;
        const auto list = m.getEdges();
        io.bad = io.bad || list.size() > edges.size();
        for (unsigned i = 0; i < edges.size() && i < list.size(); ++i) transfer(io, edges[i], list[i]);
    }
}
template <class Io, Is<TcpTimers> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [retransmit, persist, delayed_ack, keep_alive, time_wait, user_timeout, cork, pace] = s;
    KEEPNET_FIELD(retransmit, Retransmit);
    KEEPNET_FIELD(persist, Persist);
    KEEPNET_FIELD(delayed_ack, DelayedAck);
    KEEPNET_FIELD(keep_alive, KeepAlive);
    KEEPNET_FIELD(time_wait, TimeWait);
    KEEPNET_FIELD(user_timeout, UserTimeout);
    KEEPNET_FIELD(cork, Cork);
    KEEPNET_FIELD(pace, Pace);
}
template <class Io, Is<TcpCounters> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [segments_in, segments_out, data_segments_in, data_segments_out, out_of_order_in, segment_in_max, timeouts,
           timeout_series, limit, send_was_short, bytes_out, bytes_retransmitted, data_in_at, ack_in_at, data_out_at,
           timeout_since, timeout_time, limit_since, limited] = s;
    KEEPNET_FIELD(segments_in, SegmentsIn);
    KEEPNET_FIELD(segments_out, SegmentsOut);
    KEEPNET_FIELD(data_segments_in, DataSegmentsIn);
    KEEPNET_FIELD(data_segments_out, DataSegmentsOut);
    KEEPNET_FIELD(out_of_order_in, OutOfOrderIn);
    KEEPNET_FIELD(segment_in_max, SegmentInMax);
    KEEPNET_FIELD(timeouts, Timeouts);
    KEEPNET_FIELD(timeout_series, TimeoutSeries);
    KEEPNET_FIELD(send_was_short, SendWasShort);
    KEEPNET_FIELD(bytes_out, BytesOut);
    KEEPNET_FIELD(bytes_retransmitted, BytesRetransmitted);
    KEEPNET_FIELD(data_in_at, DataInAt);
    KEEPNET_FIELD(ack_in_at, AckInAt);
    KEEPNET_FIELD(data_out_at, DataOutAt);
    KEEPNET_FIELD(timeout_since, TimeoutSince);
    KEEPNET_FIELD(timeout_time, TimeoutTime);
    KEEPNET_FIELD(limit_since, LimitSince);
    auto number = static_cast<std::uint8_t>(limit);
    KEEPNET_FIELD(number, Limit);
    if constexpr (!Io::encodes) limit = static_cast<SendLimit>(number);
    auto& [network, window, buffer] = limited;
    KEEPNET_FIELD(network, NetworkTime);
    KEEPNET_FIELD(window, WindowTime);
    KEEPNET_FIELD(buffer, BufferTime);
}
template <class Io, Is<PushState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [marks, count, stretch_left] = s;
    auto& [first, second, third, fourth] = marks;
    KEEPNET_FIELD(first, First);
    KEEPNET_FIELD(second, Second);
    KEEPNET_FIELD(third, Third);
    KEEPNET_FIELD(fourth, Fourth);
    KEEPNET_FIELD(count, Count);
    KEEPNET_FIELD(stretch_left, StretchLeft);
}
/// What has a message of its own, as it came later.
template <class Io, Is<TcpConnectionState> S, class M>
void transfer_recovery(Io& io, S& s, M m) {
    transfer(io, s.sack, m.getSack());
    transfer(io, s.rack, m.getRack());
    transfer(io, s.repair, m.getRepair());
}
template <class Io, Is<TcpConnectionState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [phase, policy, send_policy, local, remote, socket, listener, accept_next, options, snd, rcv, ts, rtt, congestion, recovery,
           marks, timers, send_queue, receive_queue, out_of_order, rx_consumed, tx_accepted, mss_peer, mss, flow_label,
           is_passive, ack_now, window_update_owed, probe_owed, rst_owed, fin_ack_owed, resume_owed, receive_abandoned,
           tombstone, segments_since_ack, probes_sent, push_seq_valid, push_seq, cookie_until, last_heard, last_invalid_ack, error,
           verdict, ecn, mtu_search, tuning, counters, sack, rack, repair, push, rst_is_answer] = s;
    KEEPNET_FIELD(phase, Phase);
    KEEPNET_FIELD(policy, Policy);
    KEEPNET_LATER_FIELD(send_policy, SendPolicy, policy);
    transfer(io, local, m.getLocal());
    transfer(io, remote, m.getRemote());
    KEEPNET_FIELD(socket, Socket);
    KEEPNET_FIELD(listener, Listener);
    KEEPNET_FIELD(accept_next, AcceptNext);
    transfer(io, options, m.getOptions());
    transfer(io, snd, m.getSnd());
    transfer(io, rcv, m.getRcv());
    transfer(io, ts, m.getTs());
    transfer(io, rtt, m.getRtt());
    transfer(io, congestion, m.getCongestion());
    transfer(io, recovery, m.getRecovery());
    transfer(io, marks, m.getMarks());
    transfer(io, timers, m.getTimers());
    transfer(io, send_queue, m.getSendQueue());
    transfer(io, receive_queue, m.getReceiveQueue());
    transfer(io, out_of_order, m.getOutOfOrder());
    KEEPNET_FIELD(rx_consumed, RxConsumed);
    KEEPNET_FIELD(tx_accepted, TxAccepted);
    KEEPNET_FIELD(mss_peer, MssPeer);
    KEEPNET_FIELD(mss, Mss);
    KEEPNET_FIELD(flow_label, FlowLabel);
    KEEPNET_FIELD(is_passive, IsPassive);
    KEEPNET_FIELD(ack_now, AckNow);
    KEEPNET_FIELD(window_update_owed, WindowUpdateOwed);
    KEEPNET_FIELD(probe_owed, ProbeOwed);
    KEEPNET_FIELD(rst_owed, RstOwed);
    KEEPNET_FIELD(fin_ack_owed, FinAckOwed);
    KEEPNET_FIELD(resume_owed, ResumeOwed);
    KEEPNET_FIELD(receive_abandoned, ReceiveAbandoned);
    KEEPNET_FIELD(tombstone, Tombstone);
    KEEPNET_FIELD(segments_since_ack, SegmentsSinceAck);
    KEEPNET_FIELD(probes_sent, ProbesSent);
    KEEPNET_FIELD(push_seq_valid, PushSeqValid);
    KEEPNET_FIELD(push_seq, PushSeq);
    KEEPNET_FIELD(cookie_until, CookieUntil);
    KEEPNET_FIELD(last_heard, LastHeard);
    KEEPNET_FIELD(last_invalid_ack, LastInvalidAck);
    KEEPNET_FIELD(error, Error);
    KEEPNET_FIELD(verdict, Verdict);
    if constexpr (Io::encodes) {
        transfer_later(io, congestion, m.initControl());
        transfer(io, counters, m.initCounters());
    } else {
        transfer_later(io, congestion, m.getControl());
        transfer(io, counters, m.getCounters());
    }
    transfer(io, ecn, m.getControl().getEcn());
    transfer(io, mtu_search, m.getControl().getMtuSearch());
    transfer(io, tuning, m.getControl().getTuning());
    if constexpr (Io::encodes) {
        transfer_recovery(io, s, m.initLossRecovery());
    } else {
        transfer_recovery(io, s, m.getLossRecovery());
    }
    transfer(io, push, m.getControl().getPush());
    auto answers = m.getControl();
    if constexpr (Io::encodes) {
        answers.setRstIsAnswer(rst_is_answer);
    } else {
        rst_is_answer = answers.getRstIsAnswer();
    }
}
#undef KEEPNET_LATER_FIELD
#undef KEEPNET_FIELD
#undef KEEPNET_CUT_FIELD

}  // namespace keepnet::checkpoint
