// A transport's request becomes a frame (RFC 8200 3, 8.1), or a packet to ourselves.
#include <cstring>

#include "base/checksum.hpp"
#include "ip/own.hpp"
#include "nd/nd.hpp"
#include "wire/bytes.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv6.hpp"
#include "wire/udp.hpp"

namespace keepnet::ip {

namespace {

constexpr std::size_t ip_start = wire::ethernet_header_bytes;
constexpr std::size_t transport_start = ip_start + wire::ipv6_header_bytes;
static_assert(transport_start + transport_header_bytes <= link::frame_header_bytes);
static_assert(wire::ipv6_header_bytes + transport_header_bytes <= pending_header_bytes);
static_assert(output_slices <= link::frame_slices && output_slices <= pending_slices);

std::size_t transport_bytes(const OutputRequest& r) {
    std::size_t bytes = r.header_length;
    for (std::size_t i = 0; i < r.slice_count; ++i) bytes += r.slices[i].length;
    return bytes;
}

/// RFC 6724 says which address speaks; a request that names one must name one of ours.
std::expected<Ipv6Address, OutputResult> source_of(IpContext& cx, const OutputRequest& r,
                                                   const RouteChoice& route, std::uint32_t own) {
    if (r.source.is_unspecified()) {
        const auto selected = select_source(cx, r.destination, route);
        if (!selected) return std::unexpected(OutputResult::no_route);
        return *selected;
    }
    // The walk did not know the way yet: for a link-local source it may have found another link's.
    const bool is_right = is_usable(cx.w, own) && is_on(cx.w.addresses.get(own), route.interface);
    if (!is_right && !find_address(cx, r.source, route.interface)) {
        return std::unexpected(OutputResult::address_gone);
    }
    return r.source;
}

/// What one packet may carry: with a device that cuts super-frames, each piece must fit and all of it the
/// device.
bool fits(const OutputRequest& r, std::size_t bytes, std::uint16_t mtu, const LinkCapabilities& device) {
    if (r.segment_bytes == 0) return wire::ipv6_header_bytes + bytes <= mtu;
    const std::size_t payload = bytes - r.header_length;
    return payload <= device.tso_max_bytes && bytes <= 0xffff &&
           wire::ipv6_header_bytes + r.header_length + r.segment_bytes <= mtu;
}

void emit_header(const OutputRequest& r, const Ipv6Address& source, std::size_t bytes, std::uint8_t hop_limit,
                 MutableBytes out) {
    wire::emit_ipv6({.traffic_class = r.traffic_class,
                     .flow_label = r.flow_label,
                     .payload_length = static_cast<std::uint16_t>(bytes),
                     .next_header = static_cast<wire::NextHeader>(r.next_header),
                     .hop_limit = r.hop_limit != 0 ? r.hop_limit : hop_limit,
                     .src = source,
                     .dst = r.destination},
                    out);
}

std::uint16_t checksum_field(const OutputRequest& r, const Checksum& sum) {
    const bool is_udp = r.next_header == wire::number(wire::NextHeader::udp);
    return is_udp ? wire::udp_checksum_field(sum) : sum.fold();
}

Checksum full_checksum(const PacketPool& pool, const OutputRequest& r, const Ipv6Address& source,
                       std::size_t bytes) {
    Checksum sum = pseudo_header(source, r.destination, static_cast<std::uint32_t>(bytes), r.next_header);
    sum.add({r.header.data(), r.header_length});
    for (std::size_t i = 0; i < r.slice_count; ++i) sum.add(pool.view(r.slices[i]));
    return sum;
}

/// The sum of everything, or of the pseudo-header alone when the device does the rest.
void put_checksum(IpContext& cx, const OutputRequest& r, const Ipv6Address& source, std::size_t bytes,
                  bool device_completes, link::QueuedFrame& frame) {
    const auto offset = static_cast<std::uint16_t>(r.checksum_offset);
    KEEPNET_ASSERT(offset + 2U <= r.header_length);
    std::uint16_t field = 0;
    if (device_completes) {
        field = pseudo_header(source, r.destination, static_cast<std::uint32_t>(bytes), r.next_header).sum();
        frame.needs_checksum = true;
        frame.checksum_start = transport_start;
        frame.checksum_offset = offset;
    } else {
        field = checksum_field(r, full_checksum(cx.w.pool, r, source, bytes));
    }
    wire::store_u16(frame.header, transport_start + offset, field);
}

}  // namespace

OutputResult submit(IpContext& cx, const OutputRequest& request) {
    if (cx.seam == nullptr) return output(cx, request);
    return cx.seam->push(request) ? OutputResult::sent : OutputResult::busy;
}

OutputResult output(IpContext& cx, const OutputRequest& r) {
    KEEPNET_ASSERT(r.header_length <= transport_header_bytes && r.slice_count <= output_slices);
    if (r.destination.is_loopback()) {
        const bool is_right =
            r.source.is_unspecified() || r.source.is_loopback() || find_address(cx, r.source, 0);
        if (!is_right) return OutputResult::address_gone;
        return send_to_self(cx, r, r.source.is_unspecified() ? r.destination : r.source, 0);
    }
    const OwnPair own = find_pair(cx.w, r.source, r.destination, r.interface);
    if (is_usable(cx.w, own.destination)) {
        if (!r.source.is_unspecified() && !find_address(cx, r.source, 0)) return OutputResult::address_gone;
        const Ipv6Address& source = r.source.is_unspecified() ? r.destination : r.source;
        return send_to_self(cx, r, source, cx.w.addresses.get(own.destination).interface);
    }
    const auto route = find_route(cx, r.destination, r.interface);
    if (!route) return OutputResult::no_route;
    const auto source = source_of(cx, r, *route, own.source);
    if (!source) return source.error();

    const std::size_t bytes = transport_bytes(r);
    const link::Port& port = cx.ports.of(route->interface);
    if (!fits(r, bytes, mtu_through(cx, r.destination, route->interface), port.capabilities)) {
        return OutputResult::too_big;
    }
    link::QueuedFrame* frame = link::plan_frame(cx, route->interface);
    if (frame == nullptr) return OutputResult::busy;

    const MutableBytes header{frame->header};
    emit_header(r, *source, bytes, cx.w.interfaces.get(route->interface - 1).hop_limit,
                header.subspan(ip_start));
    std::memcpy(frame->header.data() + transport_start, r.header.data(), r.header_length);
    frame->header_length = static_cast<std::uint16_t>(transport_start + r.header_length);
    frame->segment_bytes = r.segment_bytes;
    frame->slice_count = r.slice_count;
    for (std::size_t i = 0; i < r.slice_count; ++i) frame->slices[i] = r.slices[i];
    if (r.checksum_offset >= 0) put_checksum(cx, r, *source, bytes, port.capabilities.tx_checksum, *frame);

    nd::send_to(cx, route->interface, route->next_hop, *frame);
    ++cx.w.count().ip_sent;
    return OutputResult::sent;
}

OutputResult send_to_self(IpContext& cx, const OutputRequest& r, const Ipv6Address& source,
                          InterfaceIndex interface) {
    const std::size_t bytes = transport_bytes(r);
    const std::size_t packet_bytes = wire::ipv6_header_bytes + bytes;
    if (packet_bytes > cx.w.config().ip.mtu_max || packet_bytes > packet_buffer_bytes)
        return OutputResult::too_big;
    if (cx.loopback.queued() == loopback_packets) return OutputResult::busy;
    // Like a frame from a device: an ACK to ourselves must not wait for the data that it frees.
    BufferRef buffer{cx.w.pool, cx.w.pool.allocate(PoolUse::receive)};
    if (!buffer) return OutputResult::busy;

    const MutableBytes out = cx.w.pool.buffer(buffer.get());
    emit_header(r, source, bytes, cx.w.config().ip.hop_limit, out);
    std::size_t at = wire::ipv6_header_bytes;
    wire::store_bytes(out, at, {r.header.data(), r.header_length});
    if (r.checksum_offset >= 0) {
        const Checksum sum = full_checksum(cx.w.pool, r, source, bytes);
        wire::store_u16(out, at + static_cast<std::size_t>(r.checksum_offset), checksum_field(r, sum));
    }
    at += r.header_length;
    for (std::size_t i = 0; i < r.slice_count; ++i) {
        wire::store_bytes(out, at, cx.w.pool.view(r.slices[i]));
        at += r.slices[i].length;
    }
    cx.w.pool.set_used(buffer.get(), packet_buffer_bytes);
    cx.loopback.ring[cx.loopback.tail++ % loopback_packets] = {
        {buffer.take(), 0, static_cast<std::uint16_t>(packet_bytes)}, interface};
    ++cx.w.count().ip_sent;
    return OutputResult::sent;
}

bool has_loopback(const IpContext& cx) { return cx.loopback.queued() != 0; }

std::optional<link::Received> take_loopback(IpContext& cx) {
    if (cx.loopback.queued() == 0) return std::nullopt;
    const Loopback::Entry& entry = cx.loopback.ring[cx.loopback.head++ % loopback_packets];
    return link::Received{
        .interface = entry.interface, .checksum_verified = true, .is_looped = true, .packet = entry.packet};
}

}  // namespace keepnet::ip
