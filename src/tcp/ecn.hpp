// Explicit congestion notification, RFC 3168 6.1: who has agreed to it, what a segment says of it, and what is heard. What it does to
// the window is congestion control's.
#pragma once

#include "state/tcp_connection_state.hpp"
#include "wire/tcp.hpp"

namespace keepnet::tcp::ecn {

inline constexpr std::uint8_t codepoint_mask = 3;
inline constexpr std::uint8_t ect_0 = 2;
inline constexpr std::uint8_t ce = 3;

/// 6.1.1: does the peer's SYN, or SYN-ACK, offer it?
constexpr bool is_setup_syn(const wire::TcpFlags& f) { return f.ece && f.cwr; }
constexpr bool is_setup_syn_ack(const wire::TcpFlags& f) { return f.ece && !f.cwr; }

/// A SYN of the peer's, the first or a repeated one, that we answer with a SYN-ACK.
constexpr void take_syn(EcnState& e, const wire::TcpFlags& f, EcnMode mode) {
    e.enabled = mode >= EcnMode::respond && is_setup_syn(f);
}
/// The SYN-ACK.
constexpr void take_syn_ack(EcnState& e, const wire::TcpFlags& f) { e.enabled = e.requested && is_setup_syn_ack(f); }
/// 6.1.1.1: our SYN was lost, perhaps because of what it asked for. Who sends one without may not use it.
constexpr void on_syn_lost(EcnState& e) { e.requested = false; }

/// Text came that is acceptable. True: at once an ACK, with news for the sender.
constexpr bool take_text(EcnState& e, const wire::TcpFlags& f, std::uint8_t traffic_class) {
    if (!e.enabled) return false;
    const bool echoed = e.echo;
    if (f.cwr) e.echo = false;
    if ((traffic_class & codepoint_mask) == ce) e.echo = true;
    return e.echo != echoed || (e.echo && f.cwr);
}

/// Flags of a segment of ours. `starts_at_max`: it is new text, nothing of it was ever sent.
constexpr void mark(const TcpConnectionState& c, wire::TcpFlags& f, bool starts_at_max) {
    if (f.rst) return;
    if (f.syn) {
        f.ece = f.ack ? c.ecn.enabled : c.ecn.requested;
        f.cwr = !f.ack && c.ecn.requested;
        return;
    }
    f.ece = c.ecn.enabled && c.ecn.echo;
    // 6.1.2: the first new text after a reduction, whatever that was for.
    f.cwr = c.ecn.enabled && starts_at_max && c.congestion.is_cut && c.snd.max == c.congestion.cut_until;
}
/// 6.1.4, 6.1.5, 6.1.6: only new text may be marked on its way: no pure ACK, no retransmission, no window probe.
constexpr std::uint8_t traffic_class(const TcpConnectionState& c, bool is_new_text) {
    const auto dscp = static_cast<std::uint8_t>(c.options.traffic_class & ~codepoint_mask);
    return c.ecn.enabled && is_new_text ? static_cast<std::uint8_t>(dscp | ect_0) : dscp;
}

}  // namespace keepnet::tcp::ecn
