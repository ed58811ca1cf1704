// State object <-> message, one function for both directions, so that what is written is what is read. By destructuring:
// a new field of the state that is not taken up here does not compile. (Beside it a test fills every field with a
// value of its own, which catches two that were swapped.)
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include <keepnet/time.hpp>

#include "checkpoint/schema_enums.hpp"
#include "checkpoint/snapshot.capnp.h"
#include "durability/fields.hpp"
#include "state/world.hpp"

namespace keepnet::checkpoint {

using durability::Is;

inline constexpr std::int64_t never_on_wire = INT64_MAX;
inline constexpr std::int64_t long_ago_on_wire = INT64_MIN;

constexpr std::uint32_t low_half(CutNumber n) { return static_cast<std::uint32_t>(n & 0xffff'ffffU); }
constexpr std::uint32_t high_half(CutNumber n) { return static_cast<std::uint32_t>(n >> 32); }
constexpr CutNumber wide(std::uint32_t low, std::uint32_t high) { return CutNumber{high} << 32 | low; }

/// Towards the message.
struct Out {
    static constexpr bool encodes = true;
    Instant base{};  ///< the cut: instants are relative to it

    template <class T>
        requires std::is_integral_v<T>
    static T out(T value) {
        return value;
    }
    template <class T>
        requires std::is_enum_v<T>
    static auto out(T value) {
        return static_cast<typename SchemaOf<T>::Type>(value);
    }
    static std::uint32_t out(Seq seq) { return seq.raw; }
    static std::uint32_t out(Link link) { return link.plus_one; }
    template <class T>
    static std::uint64_t out(Handle<T> handle) {
        return handle.raw;
    }
    static std::int64_t out(Duration duration) { return duration.ns; }
    [[nodiscard]] std::int64_t out(Instant t) const {
        if (t == never) return never_on_wire;
        if (t == long_ago) return long_ago_on_wire;
        std::int64_t relative = 0;
        return __builtin_sub_overflow(t.ns, base.ns, &relative) ? never_on_wire : relative;
    }
    static std::uint64_t out(const std::array<std::uint8_t, 6>& octets) {
        std::uint64_t value = 0;
        for (const std::uint8_t octet : octets) value = value << 8 | octet;
        return value;
    }
    static std::uint64_t out(const MacAddress& mac) { return out(mac.octets); }
};

/// From the message. What cannot be sets `bad`; the rest is find_fault's.
struct In {
    static constexpr bool encodes = false;
    Instant base{};
    bool bad = false;

    template <class T>
        requires std::is_integral_v<T>
    static void in(T& field, T value) {
        field = value;
    }
    template <class T>
        requires std::is_enum_v<T>
    void in(T& field, typename SchemaOf<T>::Type value) {
        const auto raw = static_cast<std::uint16_t>(value);
        bad = bad || raw > 0xff;
        field = static_cast<T>(raw);
    }
    static void in(Seq& field, std::uint32_t value) { field.raw = value; }
    static void in(Link& field, std::uint32_t value) { field.plus_one = value; }
    template <class T>
    static void in(Handle<T>& field, std::uint64_t value) {
        field.raw = value;
    }
    static void in(Duration& field, std::int64_t value) { field.ns = value; }
    void in(Instant& field, std::int64_t value) {
        if (value == never_on_wire || value == long_ago_on_wire) {
            field = value == never_on_wire ? never : long_ago;
        } else if (__builtin_add_overflow(value, base.ns, &field.ns)) {
            bad = true;
        }
    }
    void in(std::array<std::uint8_t, 6>& field, std::uint64_t value) {
        bad = bad || value >> 48 != 0;
        for (std::size_t i = 6; i-- != 0; value >>= 8) field[i] = static_cast<std::uint8_t>(value);
    }
    void in(MacAddress& field, std::uint64_t value) { in(field.octets, value); }
};

// One field of the state and the accessor of the message that stands for it.
#define KEEPNET_FIELD(field, Name)         \
    do {                                   \
        if constexpr (Io::encodes) {       \
            m.set##Name(io.out(field));    \
        } else {                           \
            io.in(field, m.get##Name());   \
        }                                  \
    } while (false)
// One that came later: a snapshot without it means `before`.
#define KEEPNET_LATER_FIELD(field, Name, before)                              \
    do {                                                                      \
        KEEPNET_FIELD(field, Name);                                           \
        if (!Io::encodes && static_cast<unsigned>(m.get##Name()) == 0) assign_later(field, before); \
    } while (false)
template <class T>
void assign_later(T& field, const T& before) {
    field = before;
}
template <class T>
void assign_later(const T&, const T&) {}

// The number of a cut: 64 bits that were 32 in format 1.0, so the upper half has a field of its own.
#define KEEPNET_CUT_FIELD(field, Name)                            \
    do {                                                          \
        if constexpr (Io::encodes) {                              \
            m.set##Name(low_half(field));                         \
            m.set##Name##High(high_half(field));                  \
        } else {                                                  \
            (field) = wide(m.get##Name(), m.get##Name##High());   \
        }                                                         \
    } while (false)

// --- parts ---

template <class Io, Is<Ipv6Address> S, class M>
void transfer(Io&, S& s, M m) {
    auto& [octets] = s;
    if constexpr (Io::encodes) {
        std::array<std::uint64_t, 2> words{};
        for (std::size_t i = 0; i < 16; ++i) words[i / 8] = words[i / 8] << 8 | octets[i];
        m.setHigh(words[0]), m.setLow(words[1]);
    } else {
        const std::array<std::uint64_t, 2> words{m.getHigh(), m.getLow()};
        for (std::size_t i = 0; i < 16; ++i) octets[i] = static_cast<std::uint8_t>(words[i / 8] >> (56 - 8 * (i % 8)));
    }
}
template <class Io, Is<Endpoint> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [address, port, interface] = s;
    transfer(io, address, m.getAddress());
    KEEPNET_FIELD(port, Port);
    KEEPNET_FIELD(interface, Interface);
}
template <class Io, Is<HashKey> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [k0, k1] = s;
    KEEPNET_FIELD(k0, K0);
    KEEPNET_FIELD(k1, K1);
}
template <class Io, Is<RateLimitState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [tokens, refilled] = s;
    KEEPNET_FIELD(tokens, Tokens);
    KEEPNET_FIELD(refilled, Refilled);
}
template <class Io, Is<Slice> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [buffer, offset, length] = s;
    KEEPNET_FIELD(buffer, Buffer);
    KEEPNET_FIELD(offset, Offset);
    KEEPNET_FIELD(length, Length);
}
template <class Io, Is<ByteQueueState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [head, tail, nodes, bytes] = s;
    KEEPNET_FIELD(head, Head);
    KEEPNET_FIELD(tail, Tail);
    KEEPNET_FIELD(nodes, Nodes);
    KEEPNET_FIELD(bytes, Bytes);
}
/// `list` of as many words as the array has.
template <class Array, class List>
void put_words(const Array& words, List list) {
    for (unsigned i = 0; i < words.size(); ++i) list.set(i, words[i]);
}
template <class Array, class List>
void take_words(In& io, Array& words, List list) {
    if (list.size() != words.size()) {
        io.bad = true;
        return;
    }
    for (unsigned i = 0; i < words.size(); ++i) words[i] = list[i];
}
/// Bytes of which the first `length` count.
template <class Length, class Array, class Data>
void take_bytes(In& io, Length& length, Array& bytes, Data data) {
    if (data.size() > bytes.size()) {
        io.bad = true;
        return;
    }
    length = static_cast<Length>(data.size());
    if (data.size() != 0) std::memcpy(bytes.data(), data.begin(), data.size());
}
template <class Array>
auto data_of(const Array& bytes, std::size_t length) {
    return capnp::Data::Reader(bytes.data(), std::min(length, bytes.size()));
}

// --- once in a stack ---

template <class Io, Is<RandomState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [key, counter, buffer, available] = s;
    KEEPNET_FIELD(counter, Counter);
    KEEPNET_FIELD(available, Available);
    if constexpr (Io::encodes) {
        put_words(key, m.initKey(static_cast<unsigned>(key.size())));
        put_words(buffer, m.initBuffer(static_cast<unsigned>(buffer.size())));
    } else {
        take_words(io, key, m.getKey());
        take_words(io, buffer, m.getBuffer());
    }
}
/// No list at all where nothing was inherited.
template <class Io, class Array, class M>
void transfer_inherited(Io& io, Array& inherited, M m) {
    if constexpr (Io::encodes) {
        const bool is_clone = std::ranges::any_of(inherited, [](std::uint64_t word) { return word != 0; });
        if (is_clone) put_words(inherited, m.initInherited(static_cast<unsigned>(inherited.size())));
    } else if (m.getInherited().size() != 0) {
        take_words(io, inherited, m.getInherited());
    }
}
template <class Io, Is<StackState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [random, isn_key, port_key, flow_key, interface_key, timestamp_key, cookie_keys, cookie_rotated,
           cookie_epoch, wire_clock_offset, wire_clock_ceiling_ns, wire_clock_resumed_ns, now, restarts, kick_peers, ready, suspend,
           suspend_until, default_policy, port_cursor, output_cursor, ready_cursor, resume_cursor, silent_until,
           inherited, icmp_errors, challenge_acks, half_open, journal_id, journal_lsn, journal_stack] = s;
    KEEPNET_FIELD(journal_id, JournalId);
    KEEPNET_FIELD(journal_lsn, JournalLsn);
    KEEPNET_FIELD(journal_stack, JournalStack);
    transfer(io, random, m.getRandom());
    transfer(io, isn_key, m.getIsnKey());
    transfer(io, port_key, m.getPortKey());
    transfer(io, flow_key, m.getFlowKey());
    transfer(io, interface_key, m.getInterfaceKey());
    transfer(io, timestamp_key, m.getTimestampKey());
    transfer(io, cookie_keys[0], m.getCookieKeyNewer());
    transfer(io, cookie_keys[1], m.getCookieKeyOlder());
    KEEPNET_FIELD(cookie_rotated, CookieRotated);
    KEEPNET_FIELD(cookie_epoch, CookieEpoch);
    KEEPNET_FIELD(wire_clock_offset, WireClockOffset);
    KEEPNET_FIELD(wire_clock_ceiling_ns, WireClockCeiling);
    KEEPNET_FIELD(wire_clock_resumed_ns, WireClockResumed);
    KEEPNET_FIELD(now, Now);
    KEEPNET_FIELD(restarts, Restarts);
    KEEPNET_FIELD(kick_peers, KickPeers);
    KEEPNET_FIELD(ready, Ready);
    KEEPNET_FIELD(suspend, Suspend);
    KEEPNET_FIELD(suspend_until, SuspendUntil);
    KEEPNET_FIELD(default_policy, DefaultPolicy);
    KEEPNET_FIELD(port_cursor, PortCursor);
    KEEPNET_FIELD(output_cursor, OutputCursor);
    KEEPNET_FIELD(ready_cursor, ReadyCursor);
    KEEPNET_FIELD(resume_cursor, ResumeCursor);
    KEEPNET_CUT_FIELD(silent_until, SilentUntil);
    transfer_inherited(io, inherited, m);
    transfer(io, icmp_errors, m.getIcmpErrors());
    transfer(io, challenge_acks, m.getChallengeAcks());
    transfer(io, half_open, m.getHalfOpen());
}

/// Reasons go by name: new ones come in between, and an old build skips what it does not know.
template <class Io, class Drops, class M>
void transfer_drops(Io&, Drops& drops, M m) {
    if constexpr (Io::encodes) {
        auto list = m.initDrops(static_cast<unsigned>(std::ranges::count_if(drops, [](auto n) { return n != 0; })));
        unsigned at = 0;
        for (std::size_t i = 0; i < drops.size(); ++i) {
            if (drops[i] == 0) continue;
            const std::string_view reason = name(static_cast<DropReason>(i));
            list[at].setReason(capnp::Text::Reader(std::string(reason).c_str(), reason.size()));
            list[at++].setCount(drops[i]);
        }
    } else {
        for (const auto drop : m.getDrops()) {
            const std::string_view reason(drop.getReason().begin(), drop.getReason().size());
            for (std::size_t i = 0; i < drops.size(); ++i) {
                if (name(static_cast<DropReason>(i)) == reason) drops[i] = drop.getCount();
            }
        }
    }
}
template <class Io, Is<Statistics> S, class M>
void transfer(Io& io, S& s, M m) {
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
    KEEPNET_FIELD(frames_received, FramesReceived);
    KEEPNET_FIELD(frames_sent, FramesSent);
    KEEPNET_FIELD(bytes_received, BytesReceived);
    KEEPNET_FIELD(bytes_sent, BytesSent);
    KEEPNET_FIELD(ip_received, IpReceived);
    KEEPNET_FIELD(ip_sent, IpSent);
    KEEPNET_FIELD(icmp_errors_sent, IcmpErrorsSent);
    KEEPNET_FIELD(icmp_echo_answered, IcmpEchoAnswered);
    KEEPNET_FIELD(udp_received, UdpReceived);
    KEEPNET_FIELD(udp_sent, UdpSent);
    KEEPNET_FIELD(tcp_segments_received, TcpSegmentsReceived);
    KEEPNET_FIELD(tcp_segments_sent, TcpSegmentsSent);
    KEEPNET_FIELD(tcp_segments_retransmitted, TcpSegmentsRetransmitted);
    KEEPNET_FIELD(tcp_resets_sent, TcpResetsSent);
    KEEPNET_FIELD(tcp_resets_received, TcpResetsReceived);
    KEEPNET_FIELD(tcp_active_opens, TcpActiveOpens);
    KEEPNET_FIELD(tcp_passive_opens, TcpPassiveOpens);
    KEEPNET_FIELD(tcp_attempt_fails, TcpAttemptFails);
    KEEPNET_FIELD(tcp_established_resets, TcpEstablishedResets);
    KEEPNET_FIELD(tcp_timeouts, TcpTimeouts);
    KEEPNET_FIELD(tcp_fast_retransmits, TcpFastRetransmits);
    KEEPNET_FIELD(tcp_challenge_acks, TcpChallengeAcks);
    KEEPNET_FIELD(tcp_cookies_sent, TcpCookiesSent);
    KEEPNET_FIELD(tcp_cookies_accepted, TcpCookiesAccepted);
    KEEPNET_FIELD(cuts, Cuts);
    KEEPNET_FIELD(cuts_committed, CutsCommitted);
    KEEPNET_FIELD(cuts_abandoned, CutsAbandoned);
    KEEPNET_FIELD(restores, Restores);
    transfer_drops(io, drops, m);
    KEEPNET_FIELD(icmp_received, IcmpReceived);
    KEEPNET_FIELD(icmp_sent, IcmpSent);
    KEEPNET_FIELD(tcp_pure_acks, TcpPureAcks);
    KEEPNET_FIELD(tcp_original_data_sent, TcpOriginalDataSent);
    KEEPNET_FIELD(tcp_delayed_acks, TcpDelayedAcks);
    KEEPNET_FIELD(tcp_syn_retransmits, TcpSynRetransmits);
    KEEPNET_FIELD(tcp_syn_challenges, TcpSynChallenges);
    KEEPNET_FIELD(tcp_out_of_order_queued, TcpOutOfOrderQueued);
    KEEPNET_FIELD(tcp_keep_alives, TcpKeepAlives);
    KEEPNET_FIELD(tcp_window_probes, TcpWindowProbes);
    KEEPNET_FIELD(tcp_aborts_on_data, TcpAbortsOnData);
    KEEPNET_FIELD(tcp_aborts_on_close, TcpAbortsOnClose);
    KEEPNET_FIELD(tcp_aborts_on_linger, TcpAbortsOnLinger);
    KEEPNET_FIELD(tcp_aborts_on_timeout, TcpAbortsOnTimeout);
    KEEPNET_FIELD(tcp_acks_skipped, TcpAcksSkipped);
    KEEPNET_FIELD(tcp_challenges_skipped, TcpChallengesSkipped);
    KEEPNET_FIELD(tcp_time_waits, TcpTimeWaits);
    KEEPNET_FIELD(tcp_time_waits_reopened, TcpTimeWaitsReopened);
    KEEPNET_FIELD(tcp_time_waits_evicted, TcpTimeWaitsEvicted);
    KEEPNET_FIELD(tcp_zero_windows_sent, TcpZeroWindowsSent);
    KEEPNET_FIELD(tcp_zero_windows_reopened, TcpZeroWindowsReopened);
}

// --- interfaces and neighbours ---

template <class Io, Is<InterfaceState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [index, mac, mtu, link_local_wanted, hop_limit, retransmit, reachable, reachable_redraw, device, private_link] = s;
    auto& [length, bytes] = device;
    KEEPNET_FIELD(index, Number);
    KEEPNET_FIELD(mac, Mac);
    KEEPNET_FIELD(mtu, Mtu);
    KEEPNET_FIELD(link_local_wanted, LinkLocalWanted);
    KEEPNET_FIELD(hop_limit, HopLimit);
    KEEPNET_FIELD(retransmit, Retransmit);
    KEEPNET_FIELD(reachable, Reachable);
    KEEPNET_FIELD(reachable_redraw, ReachableRedraw);
    if constexpr (Io::encodes) {
        m.setDevice(data_of(bytes, length));
    } else {
        take_bytes(io, length, bytes, m.getDevice());
    }
    KEEPNET_FIELD(private_link, PrivateLink);
}
template <class Io, Is<AddressState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [address, prefix_length, status, dad_probes_left, dad_counter, is_generated, announce, interface, dad_nonce,
           dad, preferred_until, valid_until] = s;
    transfer(io, address, m.getAddress());
    KEEPNET_FIELD(prefix_length, PrefixLength);
    auto typed = static_cast<AddressStatus>(status);
    KEEPNET_FIELD(typed, Status);
    if constexpr (!Io::encodes) status = static_cast<std::uint8_t>(typed);
    KEEPNET_FIELD(dad_probes_left, DadProbesLeft);
    KEEPNET_FIELD(dad_counter, DadCounter);
    KEEPNET_FIELD(is_generated, IsGenerated);
    KEEPNET_FIELD(announce, Announce);
    KEEPNET_FIELD(interface, Interface);
    KEEPNET_FIELD(dad_nonce, DadNonce);
    KEEPNET_FIELD(dad, Dad);
    KEEPNET_FIELD(preferred_until, PreferredUntil);
    KEEPNET_FIELD(valid_until, ValidUntil);
}
template <class Io, Is<RouteState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [prefix, next_hop, interface, prefix_length, from_address, valid_until] = s;
    transfer(io, prefix, m.getPrefix());
    transfer(io, next_hop, m.getNextHop());
    KEEPNET_FIELD(interface, Interface);
    KEEPNET_FIELD(prefix_length, PrefixLength);
    KEEPNET_FIELD(from_address, FromAddress);
    KEEPNET_FIELD(valid_until, ValidUntil);
}
template <class Io, Is<DestinationState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [address, path_mtu, expires] = s;
    transfer(io, address, m.getAddress());
    KEEPNET_FIELD(path_mtu, PathMtu);
    KEEPNET_FIELD(expires, Expires);
}
template <class Io, Is<NeighborState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [address, mac, phase, is_router, probes_sent, pending_count, interface, timer, last_used, pending_head,
           pending_tail] = s;
    transfer(io, address, m.getAddress());
    KEEPNET_FIELD(mac, Mac);
    KEEPNET_FIELD(phase, Phase);
    KEEPNET_FIELD(is_router, IsRouter);
    KEEPNET_FIELD(probes_sent, ProbesSent);
    KEEPNET_FIELD(pending_count, PendingCount);
    KEEPNET_FIELD(interface, Interface);
    KEEPNET_FIELD(timer, Timer);
    KEEPNET_FIELD(last_used, LastUsed);
    KEEPNET_FIELD(pending_head, PendingHead);
    KEEPNET_FIELD(pending_tail, PendingTail);
}
template <class Io, Is<PendingPacketState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [next, header_length, slice_count, header, slices] = s;
    KEEPNET_FIELD(next, Next);
    if constexpr (Io::encodes) {
        m.setHeader(data_of(header, header_length));
        auto list = m.initSlices(slice_count);
        for (unsigned i = 0; i < slice_count; ++i) transfer(io, slices[i], list[i]);
    } else {
        take_bytes(io, header_length, header, m.getHeader());
        const auto list = m.getSlices();
        io.bad = io.bad || list.size() > slices.size();
        slice_count = static_cast<std::uint8_t>(std::min<std::size_t>(list.size(), slices.size()));
        for (unsigned i = 0; i < slice_count; ++i) transfer(io, slices[i], list[i]);
    }
}

// --- sockets ---

template <class Io, Is<SocketOptions> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [receive_buffer, send_buffer, max_segment, hop_limit, traffic_class, keep_alive_probes, no_delay, cork,
           quick_ack, keep_alive, reuse_address, hold_output, policy, send_policy, keep_alive_idle,
           keep_alive_interval, user_timeout, linger, congestion, ecn, receive_buffer_fixed, not_sent_low_water,
           multicast_interface, multicast_hop_limit, multicast_loop, reuse_port] = s;
    KEEPNET_FIELD(receive_buffer, ReceiveBuffer);
    KEEPNET_FIELD(send_buffer, SendBuffer);
    KEEPNET_FIELD(max_segment, MaxSegment);
    KEEPNET_FIELD(hop_limit, HopLimit);
    KEEPNET_FIELD(traffic_class, TrafficClass);
    KEEPNET_FIELD(keep_alive_probes, KeepAliveProbes);
    KEEPNET_FIELD(no_delay, NoDelay);
    KEEPNET_FIELD(cork, Cork);
    KEEPNET_FIELD(quick_ack, QuickAck);
    KEEPNET_FIELD(keep_alive, KeepAlive);
    KEEPNET_FIELD(reuse_address, ReuseAddress);
    KEEPNET_FIELD(hold_output, HoldOutput);
    KEEPNET_FIELD(policy, Policy);
    KEEPNET_LATER_FIELD(send_policy, SendPolicy, policy);
    KEEPNET_FIELD(keep_alive_idle, KeepAliveIdle);
    KEEPNET_FIELD(keep_alive_interval, KeepAliveInterval);
    KEEPNET_FIELD(user_timeout, UserTimeout);
    KEEPNET_FIELD(linger, Linger);
    KEEPNET_LATER_FIELD(congestion, Congestion, CongestionAlgorithm::newreno);
    KEEPNET_LATER_FIELD(ecn, Ecn, EcnMode::off);
    KEEPNET_FIELD(receive_buffer_fixed, ReceiveBufferFixed);
    KEEPNET_FIELD(not_sent_low_water, NotSentLowWater);
    KEEPNET_FIELD(multicast_interface, MulticastInterface);
    KEEPNET_FIELD(multicast_hop_limit, MulticastHopLimit);
    KEEPNET_FIELD(multicast_loop, MulticastLoop);
    KEEPNET_FIELD(reuse_port, ReusePort);
}
template <class Io, Is<SocketState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [kind, is_bound, claimed, receive_shut, error, verdict, local, remote, options, connection, listener,
           udp] = s;
    KEEPNET_FIELD(kind, Kind);
    KEEPNET_FIELD(is_bound, IsBound);
    KEEPNET_FIELD(claimed, Claimed);
    KEEPNET_FIELD(receive_shut, ReceiveShut);
    KEEPNET_FIELD(error, Error);
    KEEPNET_FIELD(verdict, Verdict);
    transfer(io, local, m.getLocal());
    transfer(io, remote, m.getRemote());
    transfer(io, options, m.getOptions());
    KEEPNET_FIELD(connection, Connection);
    KEEPNET_FIELD(listener, Listener);
    KEEPNET_FIELD(udp, Udp);
}
template <class Io, Is<UdpSocketState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [socket, receive_head, receive_tail, receive_count, held_head, held_tail, held_count, dropped] = s;
    KEEPNET_FIELD(socket, Socket);
    KEEPNET_FIELD(receive_head, ReceiveHead);
    KEEPNET_FIELD(receive_tail, ReceiveTail);
    KEEPNET_FIELD(receive_count, ReceiveCount);
    KEEPNET_FIELD(held_head, HeldHead);
    KEEPNET_FIELD(held_tail, HeldTail);
    KEEPNET_FIELD(held_count, HeldCount);
    KEEPNET_FIELD(dropped, Dropped);
}
template <class Io, Is<DatagramState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [next, source, destination, source_port, destination_port, interface, hop_limit, traffic_class, after_cut,
           held_since, payload] = s;
    KEEPNET_FIELD(next, Next);
    transfer(io, source, m.getSource());
    transfer(io, destination, m.getDestination());
    KEEPNET_FIELD(source_port, SourcePort);
    KEEPNET_FIELD(destination_port, DestinationPort);
    KEEPNET_FIELD(interface, Interface);
    KEEPNET_FIELD(hop_limit, HopLimit);
    KEEPNET_FIELD(traffic_class, TrafficClass);
    KEEPNET_CUT_FIELD(after_cut, AfterCut);
    KEEPNET_FIELD(held_since, HeldSince);
    transfer(io, payload, m.getPayload());
}
template <class Io, Is<SliceNodeState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [slice, seq, next] = s;
    transfer(io, slice, m.getSlice());
    KEEPNET_FIELD(seq, Seq);
    KEEPNET_FIELD(next, Next);
}
template <class Io, Is<SentRangeState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [seq, length, sent_at, sacked, lost, retransmitted, next] = s;
    KEEPNET_FIELD(seq, Seq);
    KEEPNET_FIELD(length, Length);
    KEEPNET_FIELD(sent_at, SentAt);
    KEEPNET_FIELD(sacked, Sacked);
    KEEPNET_FIELD(lost, Lost);
    KEEPNET_FIELD(retransmitted, Retransmitted);
    KEEPNET_FIELD(next, Next);
}
template <class Io, Is<TcpListenerState> S, class M>
void transfer(Io& io, S& s, M m) {
    auto& [socket, local, backlog, half_open, accept_head, accept_tail, accept_count, died_after, cookies_until] = s;
    KEEPNET_FIELD(socket, Socket);
    transfer(io, local, m.getLocal());
    KEEPNET_FIELD(backlog, Backlog);
    KEEPNET_FIELD(half_open, HalfOpen);
    KEEPNET_FIELD(accept_head, AcceptHead);
    KEEPNET_FIELD(accept_tail, AcceptTail);
    KEEPNET_FIELD(accept_count, AcceptCount);
    KEEPNET_CUT_FIELD(died_after, DiedAfter);
    KEEPNET_FIELD(cookies_until, CookiesUntil);
}

}  // namespace keepnet::checkpoint
