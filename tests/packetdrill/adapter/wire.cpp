#include "packetdrill/adapter/wire.hpp"

#include <algorithm>
#include <cstring>

#include "base/checksum.hpp"
#include "wire/bytes.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv6.hpp"

namespace keepnet::packetdrill {

namespace {

constexpr std::size_t ethernet = wire::ethernet_header_bytes;
constexpr std::size_t ipv6 = wire::ipv6_header_bytes;
constexpr std::size_t tcp_bytes_min = 20;
constexpr std::uint8_t next_tcp = 6;
constexpr std::uint8_t next_udp = 17;
constexpr std::uint8_t next_icmpv6 = 58;
constexpr std::uint8_t fin_and_push = 0x09;

Ipv6Address source_of(ByteView packet) { return wire::load_ipv6(packet, 8); }
Ipv6Address destination_of(ByteView packet) { return wire::load_ipv6(packet, 24); }

Checksum transport_sum(ByteView packet) {
    const ByteView body = packet.subspan(ipv6);
    Checksum sum = pseudo_header(source_of(packet), destination_of(packet), static_cast<std::uint32_t>(body.size()), packet[6]);
    sum.add(body);
    return sum;
}

bool is_ipv6(ByteView packet) {
    return packet.size() >= ipv6 && packet[0] >> 4 == 6 && wire::load_u16(packet, 4) == packet.size() - ipv6;
}

/// The header of a TCP segment that follows the IPv6 header at once; 0: there is none.
std::size_t tcp_header_bytes(ByteView packet) {
    if (packet[6] != next_tcp || packet.size() < ipv6 + tcp_bytes_min) return 0;
    const std::size_t bytes = std::size_t{packet[ipv6 + 12]} / 16 * 4;
    return bytes >= tcp_bytes_min && ipv6 + bytes <= packet.size() ? bytes : 0;
}

}  // namespace

std::expected<void, std::string> check_packet(ByteView packet) {
    if (!is_ipv6(packet)) return std::unexpected("not an IPv6 packet of the length that it says");
    const std::uint8_t next = packet[6];
    const std::size_t least = next == next_tcp ? tcp_bytes_min : next == next_udp ? 8 : 4;
    if (next != next_tcp && next != next_udp && next != next_icmpv6) return {};
    if (packet.size() < ipv6 + least) return std::unexpected("shorter than its transport's header");
    if (transport_sum(packet).fold() != 0) return std::unexpected("the transport checksum is wrong");
    return {};
}

LinkCapabilities Wire::capabilities() const {
    LinkCapabilities c;
    c.mtu = mtu_;
    c.mac = {{0x02, 0x6b, 0x6e, 0x00, 0x00, 0x01}};
    c.point_to_point = true;
    return c;
}

bool Wire::inject(ByteView packet) {
    if (!is_ipv6(packet)) return false;
    if (packet.size() + ethernet > packet_buffer_bytes) return cut(packet);
    to_stack_.emplace_back(packet.begin(), packet.end());
    return true;
}

bool Wire::cut(ByteView packet) {
    const std::size_t header = tcp_header_bytes(packet);
    if (header == 0) return false;
    const ByteView payload = packet.subspan(ipv6 + header);
    const std::size_t most = mtu_ - ipv6 - header;
    const std::uint32_t seq = wire::load_u32(packet, ipv6 + 4);
    for (std::size_t at = 0; at < payload.size(); at += most) {
        const ByteView part = payload.subspan(at, std::min(most, payload.size() - at));
        Packet piece(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(ipv6 + header));
        piece.insert(piece.end(), part.begin(), part.end());
        wire::store_u16(piece, 4, static_cast<std::uint16_t>(header + part.size()));
        wire::store_u32(piece, ipv6 + 4, seq + static_cast<std::uint32_t>(at));
        const bool is_last = at + part.size() == payload.size();
        if (!is_last) piece[ipv6 + 13] &= static_cast<std::uint8_t>(~fin_and_push);
        wire::store_u16(piece, ipv6 + 16, 0);
        wire::store_u16(piece, ipv6 + 16, transport_sum(piece).fold());
        to_stack_.push_back(std::move(piece));
    }
    return true;
}

std::size_t Wire::receive(FramePool& pool, std::span<RxFrame> frames) {
    std::size_t n = 0;
    for (; n < frames.size() && !to_stack_.empty(); ++n) {
        const BufferIndex buffer = pool.allocate();
        if (buffer == no_buffer) break;
        const Packet& packet = to_stack_.front();
        const MutableBytes room = pool.bytes(buffer);
        wire::emit_ethernet({}, room);
        std::memcpy(room.data() + ethernet, packet.data(), packet.size());
        frames[n] = {.buffer = buffer, .offset = 0, .length = static_cast<std::uint16_t>(ethernet + packet.size())};
        to_stack_.pop_front();
    }
    return n;
}

std::size_t Wire::transmit(std::span<const TxFrame> frames) {
    for (const TxFrame& frame : frames) {
        Packet packet(frame.header.begin() + ethernet, frame.header.end());
        for (const ByteView part : frame.payload) packet.insert(packet.end(), part.begin(), part.end());
        sent_.push_back({now_(), std::move(packet)});
    }
    return frames.size();
}

}  // namespace keepnet::packetdrill
