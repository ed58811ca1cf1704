// A restored receiver waits for its peer's retransmission timer, which may have been backed off for minutes,
// unless its ACK happens to be news. RFC 6069: a sender that learns, from an ICMPv6 "no route to destination"
// about its retransmission, that the path and not congestion was the matter, takes its back-off back, and if
// its time has come, sends at once.
#include "tcp/verbs.hpp"
#include "wire/icmpv6.hpp"
#include "wire/tcp.hpp"

namespace keepnet::tcp {

namespace {

/// One message takes one doubling of the back-off back, and helps only if the peer's time has then come: a half, a
/// quarter, ... of the outage must be over since its last try. Eight make a half-second of two minutes (TCP_RTO_MAX).
constexpr unsigned kicks = 8;

/// Whatever it has been told by us, it may hold data back.
bool can_receive(const TcpConnectionState& c) {
    return c.phase == TcpPhase::established || c.phase == TcpPhase::fin_wait_1 ||
           c.phase == TcpPhase::fin_wait_2;
}

/// The segment that the peer would send first: what the error quotes, 60 bytes.
std::uint16_t emit_quoted(const TcpConnectionState& c, MutableBytes out) {
    const std::size_t ip = wire::emit_ipv6({.payload_length = wire::tcp_header_bytes,
                                            .next_header = wire::NextHeader::tcp,
                                            .hop_limit = 64,
                                            .src = c.remote.address,
                                            .dst = c.local.address},
                                           out);
    const std::size_t tcp = wire::emit_tcp({.src_port = c.remote.port,
                                            .dst_port = c.local.port,
                                            .seq = c.rcv.nxt,
                                            .ack = c.snd.una,
                                            .flags = {.ack = true}},
                                           out.subspan(ip));
    return static_cast<std::uint16_t>(ip + tcp);
}

}  // namespace

void kick_peer(TcpContext& cx, const TcpConnectionState& c) {
    if (!cx.w.stack().kick_peers || !can_receive(c)) return;
    // Only where we may speak for the path: the peer is a neighbour, and no router between us disagrees.
    const auto route = ip::find_route(cx, c.remote.address, c.remote.interface);
    if (!route || route->next_hop != c.remote.address) return;
    BufferRef buffer(cx.w.pool, cx.w.pool.allocate(PoolUse::optional));
    if (!buffer) return;
    const std::uint16_t length = emit_quoted(c, cx.w.pool.buffer(buffer.get()));
    const Slice packet{buffer.get(), 0, length};
    ip::send_error(cx,
                   {.source = c.remote.address,
                    .destination = c.local.address,
                    .interface = route->interface,
                    .next_header = wire::number(wire::NextHeader::tcp),
                    .hop_limit = 64,
                    .packet = packet},
                   static_cast<std::uint8_t>(wire::Icmpv6Type::destination_unreachable), 0, 0, kicks);
}

}  // namespace keepnet::tcp
