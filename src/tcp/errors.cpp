// ICMPv6 errors about segments of ours: believed only when they quote something in flight. RFC 5927, RFC
// 5461, RFC 8201.
#include "tcp/recovery/sack.hpp"
#include "tcp/acceptance.hpp"
#include "tcp/mtu_search.hpp"
#include "tcp/verbs.hpp"
#include "wire/bytes.hpp"

namespace keepnet::tcp {

namespace {

constexpr std::uint8_t type_unreachable = 1;
constexpr std::uint8_t type_too_big = 2;
constexpr std::uint8_t code_port_unreachable = 4;
constexpr std::size_t quoted_bytes_min = 8;  // ports and sequence number

/// RFC 5927 4.1: SND.UNA =< SEG.SEQ < SND.NXT; or a probe just before them.
bool is_in_flight(const TcpConnectionState& c, Seq seq) {
    if (is_dead(c)) return false;
    return in_window(seq, c.snd.una - 1, c.snd.max - c.snd.una + 2);
}

void on_too_big(TcpContext& cx, TcpConnectionState& c, const ip::TransportError& e) {
    const std::uint16_t old_mss = c.mss;
    ip::accept_path_mtu(cx, e.remote, e.interface, e.mtu);
    mtu_search::on_too_big(c, e.mtu);
    update_mss(cx, c);
    if (c.mss >= old_mss) c.mss = old_mss;  // a window of one segment must stay one
    if (c.mss == old_mss || !is_synchronized(c)) return;
    // All that was too big is lost; that says nothing of congestion.
    if (after(c.snd.nxt, c.snd.una)) {
        c.snd.nxt = c.snd.una;
        if (c.sack.permitted) sack::on_go_back(cx.w, c);
        c.recovery.retransmit_owed = true;
        c.rtt.timing = false;
    }
}

void on_unreachable(TcpContext& cx, TcpConnectionState& c, const ip::TransportError& e) {
    const bool refused = e.type == type_unreachable && e.code == code_port_unreachable;
    const Error why = refused ? Error::connection_refused : Error::host_unreachable;
    // RFC 5461 4: a connection that exists outlives the news; one that is being made need not wait three
    // minutes.
    if (c.phase == TcpPhase::syn_sent && e.type == type_unreachable) {
        return end_connection(cx, c, why, Verdict::expired);
    }
    c.error = why;
}

}  // namespace

void on_error(TcpContext& cx, const ip::TransportError& e) {
    World& w = cx.w;
    if (e.quoted_length < quoted_bytes_min) return w.drop(DropReason::icmpv6_error_malformed);
    const ByteView quoted(e.quoted.data(), e.quoted_length);
    const Endpoint local{e.local, wire::load_u16(quoted, 0), e.interface};
    const Endpoint remote{e.remote, wire::load_u16(quoted, 2), e.interface};
    const std::uint32_t i = cx.tables.pairs.find(w.connections, local, remote);
    if (i == PairTable::none || !is_in_flight(w.connections.get(i), Seq{wire::load_u32(quoted, 4)})) {
        return w.drop(DropReason::icmpv6_error_unmatched);
    }
    TcpConnectionState& c = w.connections.edit(i);
    if (e.type == type_too_big) {
        on_too_big(cx, c, e);
    } else {
        on_unreachable(cx, c, e);
    }
    settle(cx, c);
}

void on_address_lost(TcpContext& cx) {
    World& w = cx.w;
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        const Endpoint& local = w.connections.get(i).local;
        const auto own = ip::find_address(cx, local.address, local.interface, true);
        const auto duplicate = static_cast<std::uint8_t>(AddressStatus::duplicate);
        if (is_dead(w.connections.get(i)) || local.address.is_loopback()) continue;
        if (own && w.addresses.get(*own).status != duplicate) continue;
        TcpConnectionState& c = w.connections.edit(i);
        end_connection(cx, c, Error::address_gone, Verdict::address_gone);
        settle(cx, c);
    }
}

}  // namespace keepnet::tcp
