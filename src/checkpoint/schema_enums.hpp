// Which enumeration of the schema stands for which of the state. Their numbers are the same, and this is where it is
// checked: the schema's never change, so a state's enumeration may only grow at its end.
#pragma once

#include <keepnet/config.hpp>
#include <keepnet/error.hpp>
#include <keepnet/stack.hpp>

#include "checkpoint/snapshot.capnp.h"
#include "state/neighbor_state.hpp"
#include "state/stack_state.hpp"
#include "state/tcp_connection_state.hpp"

namespace keepnet::checkpoint {

template <class E>
struct SchemaOf;
template <>
struct SchemaOf<TcpPhase> {
    using Type = schema::TcpPhase;
};
template <>
struct SchemaOf<DurabilityPolicy> {
    using Type = schema::DurabilityPolicy;
};
template <>
struct SchemaOf<CongestionAlgorithm> {
    using Type = schema::CongestionAlgorithm;
};
template <>
struct SchemaOf<EcnMode> {
    using Type = schema::EcnMode;
};
template <>
struct SchemaOf<Verdict> {
    using Type = schema::Verdict;
};
template <>
struct SchemaOf<Error> {
    using Type = schema::ErrorCode;
};
template <>
struct SchemaOf<SocketKind> {
    using Type = schema::SocketKind;
};
template <>
struct SchemaOf<SuspendPhase> {
    using Type = schema::SuspendPhase;
};
template <>
struct SchemaOf<NeighborPhase> {
    using Type = schema::NeighborPhase;
};
template <>
struct SchemaOf<FrtoStep> {
    using Type = schema::FrtoStep;
};
template <>
struct SchemaOf<AddressStatus> {
    using Type = schema::AddressStatus;
};

template <class E>
constexpr bool same(E state, typename SchemaOf<E>::Type schema) {
    return static_cast<unsigned>(state) == static_cast<unsigned>(schema);
}

#define KEEPNET_SAME(Enumeration, name, NAME) \
    static_assert(same(Enumeration::name, SchemaOf<Enumeration>::Type::NAME))
KEEPNET_SAME(SocketKind, tcp, TCP);
KEEPNET_SAME(SocketKind, udp, UDP);
KEEPNET_SAME(DurabilityPolicy, none, NONE);
KEEPNET_SAME(DurabilityPolicy, snapshot, SNAPSHOT);
KEEPNET_SAME(DurabilityPolicy, journal, JOURNAL);
KEEPNET_SAME(DurabilityPolicy, untracked, UNTRACKED);
KEEPNET_SAME(CongestionAlgorithm, newreno, NEWRENO);
KEEPNET_SAME(CongestionAlgorithm, cubic, CUBIC);
KEEPNET_SAME(EcnMode, off, OFF);
KEEPNET_SAME(EcnMode, respond, RESPOND);
KEEPNET_SAME(EcnMode, request, REQUEST);
KEEPNET_SAME(FrtoStep, idle, IDLE);
KEEPNET_SAME(FrtoStep, retransmitted, RETRANSMITTED);
KEEPNET_SAME(FrtoStep, sent_new, SENT_NEW);
KEEPNET_SAME(SuspendPhase, running, RUNNING);
KEEPNET_SAME(SuspendPhase, draining, DRAINING);
KEEPNET_SAME(SuspendPhase, suspended, SUSPENDED);
KEEPNET_SAME(AddressStatus, tentative, TENTATIVE);
KEEPNET_SAME(AddressStatus, optimistic, OPTIMISTIC);
KEEPNET_SAME(AddressStatus, preferred, PREFERRED);
KEEPNET_SAME(AddressStatus, deprecated, DEPRECATED);
KEEPNET_SAME(AddressStatus, duplicate, DUPLICATE);
KEEPNET_SAME(NeighborPhase, incomplete, INCOMPLETE);
KEEPNET_SAME(NeighborPhase, reachable, REACHABLE);
KEEPNET_SAME(NeighborPhase, stale, STALE);
KEEPNET_SAME(NeighborPhase, delay, DELAY);
KEEPNET_SAME(NeighborPhase, probe, PROBE);
KEEPNET_SAME(TcpPhase, closed, CLOSED);
KEEPNET_SAME(TcpPhase, listen, LISTEN);
KEEPNET_SAME(TcpPhase, syn_sent, SYN_SENT);
KEEPNET_SAME(TcpPhase, syn_received, SYN_RECEIVED);
KEEPNET_SAME(TcpPhase, established, ESTABLISHED);
KEEPNET_SAME(TcpPhase, fin_wait_1, FIN_WAIT1);
KEEPNET_SAME(TcpPhase, fin_wait_2, FIN_WAIT2);
KEEPNET_SAME(TcpPhase, close_wait, CLOSE_WAIT);
KEEPNET_SAME(TcpPhase, closing, CLOSING);
KEEPNET_SAME(TcpPhase, last_ack, LAST_ACK);
KEEPNET_SAME(TcpPhase, time_wait, TIME_WAIT);
KEEPNET_SAME(Verdict, not_restored, NOT_RESTORED);
KEEPNET_SAME(Verdict, pending, PENDING);
KEEPNET_SAME(Verdict, resumed, RESUMED);
KEEPNET_SAME(Verdict, closed, CLOSED);
KEEPNET_SAME(Verdict, reset_by_peer, RESET_BY_PEER);
KEEPNET_SAME(Verdict, address_gone, ADDRESS_GONE);
KEEPNET_SAME(Verdict, expired, EXPIRED);
KEEPNET_SAME(Verdict, dropped_by_policy, DROPPED_BY_POLICY);
KEEPNET_SAME(Verdict, replay_diverged, REPLAY_DIVERGED);
KEEPNET_SAME(Error, would_block, WOULD_BLOCK);
KEEPNET_SAME(Error, stale_handle, STALE_HANDLE);
KEEPNET_SAME(Error, wrong_kind, WRONG_KIND);
KEEPNET_SAME(Error, invalid_argument, INVALID_ARGUMENT);
KEEPNET_SAME(Error, invalid_state, INVALID_STATE);
KEEPNET_SAME(Error, not_connected, NOT_CONNECTED);
KEEPNET_SAME(Error, already_connected, ALREADY_CONNECTED);
KEEPNET_SAME(Error, in_progress, IN_PROGRESS);
KEEPNET_SAME(Error, address_in_use, ADDRESS_IN_USE);
KEEPNET_SAME(Error, address_not_available, ADDRESS_NOT_AVAILABLE);
KEEPNET_SAME(Error, no_route, NO_ROUTE);
KEEPNET_SAME(Error, no_ports, NO_PORTS);
KEEPNET_SAME(Error, no_memory, NO_MEMORY);
KEEPNET_SAME(Error, message_too_long, MESSAGE_TOO_LONG);
KEEPNET_SAME(Error, connection_refused, CONNECTION_REFUSED);
KEEPNET_SAME(Error, connection_reset, CONNECTION_RESET);
KEEPNET_SAME(Error, connection_aborted, CONNECTION_ABORTED);
KEEPNET_SAME(Error, timed_out, TIMED_OUT);
KEEPNET_SAME(Error, host_unreachable, HOST_UNREACHABLE);
KEEPNET_SAME(Error, end_of_stream, END_OF_STREAM);
KEEPNET_SAME(Error, closed, CLOSED);
KEEPNET_SAME(Error, address_gone, ADDRESS_GONE);
KEEPNET_SAME(Error, dropped_by_policy, DROPPED_BY_POLICY);
KEEPNET_SAME(Error, no_device, NO_DEVICE);
KEEPNET_SAME(Error, cut_unread, CUT_UNREAD);
KEEPNET_SAME(Error, too_many_cuts, TOO_MANY_CUTS);
KEEPNET_SAME(Error, cut_overrun, CUT_OVERRUN);
KEEPNET_SAME(Error, unknown_cut, UNKNOWN_CUT);
KEEPNET_SAME(Error, fenced, FENCED);
KEEPNET_SAME(Error, arena_too_small, ARENA_TOO_SMALL);
KEEPNET_SAME(Error, arena_misaligned, ARENA_MISALIGNED);
KEEPNET_SAME(Error, arena_foreign, ARENA_FOREIGN);
KEEPNET_SAME(Error, arena_in_step, ARENA_IN_STEP);
KEEPNET_SAME(Error, arena_damaged, ARENA_DAMAGED);
KEEPNET_SAME(Error, device_failed, DEVICE_FAILED);
KEEPNET_SAME(Error, journal_foreign, JOURNAL_FOREIGN);
KEEPNET_SAME(Error, journal_damaged, JOURNAL_DAMAGED);
KEEPNET_SAME(Error, journal_mismatch, JOURNAL_MISMATCH);
KEEPNET_SAME(Error, journal_full, JOURNAL_FULL);
KEEPNET_SAME(Error, journal_failed, JOURNAL_FAILED);
KEEPNET_SAME(Error, replay_diverged, REPLAY_DIVERGED);
KEEPNET_SAME(Error, replaying, REPLAYING);
#undef KEEPNET_SAME

}  // namespace keepnet::checkpoint
