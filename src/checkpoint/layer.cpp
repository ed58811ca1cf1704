#include "checkpoint/layer.hpp"

#include "checkpoint/codec.hpp"

namespace keepnet::checkpoint {
namespace {

using Done = std::expected<void, Failure>;

CapacityConfig capacity_of(schema::Header::Capacity::Reader m) {
    CapacityConfig capacity;
    auto& [interfaces, addresses, routes, neighbors, pending_packets, destinations, sockets, tcp_connections,
           tcp_listeners, tcp_tombstones, udp_sockets, udp_datagrams, slice_nodes, packet_buffers, transmit_ring,
           sent_ranges, shadow_objects, sweep_queue_bytes] = capacity;
    interfaces = m.getInterfaces(), addresses = m.getAddresses(), routes = m.getRoutes();
    neighbors = m.getNeighbors(), pending_packets = m.getPendingPackets(), destinations = m.getDestinations();
    sockets = m.getSockets(), tcp_connections = m.getTcpConnections(), tcp_listeners = m.getTcpListeners();
    tcp_tombstones = m.getTcpTombstones(), udp_sockets = m.getUdpSockets(), udp_datagrams = m.getUdpDatagrams();
    slice_nodes = m.getSliceNodes(), packet_buffers = m.getPacketBuffers(), transmit_ring = m.getTransmitRing();
    if (m.getSentRanges() != 0) sent_ranges = m.getSentRanges();
    shadow_objects = m.getShadowObjects(), sweep_queue_bytes = m.getSweepQueueBytes();
    return capacity;
}

Done read_header(kj::ArrayPtr<const capnp::word> words, HeaderFacts& header) {
    const FrameReader frame(words);
    if (frame->which() != schema::Frame::HEADER) return damaged("it does not start with a header");
    const auto m = frame->getHeader();
    durability::CutRecord& record = header.record;
    record.cut = wide(m.getCut(), m.getCutHigh());
    record.taken = {m.getInstant()};
    record.wire_clock_reserved_ns = m.getWireClockReserved();
    record.generations = m.getLastGeneration();
    record.id = m.getId();
    record.since = m.getBaseCut();
    record.since_id = m.getBaseId();
    header.epoch = m.getEpoch();
    if (m.getHasWallClock()) header.wall_clock_ns = m.getWallClock();
    header.capacity = capacity_of(m.getCapacity());
    const auto earlier = m.getEarlierCut();
    header.stamp_base = m.getStampBase();
    if (const CutNumber number = wide(earlier.getNumber(), m.getEarlierCutHigh()); number != 0) {
        In in{record.taken};
        in.in(header.earlier.taken, earlier.getInstant());
        record.earlier = number;
        header.earlier.cut = number;
        header.earlier.wire_clock_reserved_ns = earlier.getWireClockReserved();
        header.earlier.generations = earlier.getLastGeneration();
        header.earlier_place = earlier.getPlace();
        if (in.bad || number >= record.cut || header.earlier_place > 1) return damaged("an earlier cut that cannot be");
    }
    constexpr std::int64_t limit = INT64_MAX / 4;
    const auto in_range = [&](std::int64_t ns) { return ns >= -limit && ns <= limit; };
    if (record.cut == 0 || record.cut >= cut_number_max || header.stamp_base >= cut_number_max ||
        !in_range(record.taken.ns) || !in_range(record.wire_clock_reserved_ns) ||
        !in_range(header.earlier.wire_clock_reserved_ns) || record.generations > handle_generation_max ||
        (record.since != 0 && record.since >= record.cut)) {
        return damaged("a header that cannot be");
    }
    return {};
}

Done read_trailer(Layer& layer) {
    const FrameReader frame(layer.envelope.frames.back());
    if (frame->which() != schema::Frame::TRAILER) return damaged("it does not end with a trailer");
    const auto m = frame->getTrailer();
    const auto kinds = m.getKinds();
    constexpr auto kinds_at_first = static_cast<unsigned>(StateKind::slice_node);  // of version 1.0
    if (kinds.size() < kinds_at_first || m.getFrames() != layer.envelope.frames.size() - 1) {
        return damaged("the trailer counts something else");
    }
    for (unsigned i = 0; i < state_kinds && i < kinds.size(); ++i) layer.counts[i] = {kinds[i].getObjects(), kinds[i].getSlots()};
    layer.blobs = m.getBlobs();
    layer.packet_buffers = m.getPacketBuffers();
    return {};
}

}  // namespace

std::expected<Layer, Failure> Layer::open(ByteView snapshot) {
    auto envelope = open_envelope(snapshot);
    if (!envelope) return std::unexpected(envelope.error());
    Layer layer;
    layer.envelope = std::move(*envelope);
    if (layer.envelope.frames.size() < 2) return damaged("frames are missing");
    const Done ok = guarded([&]() -> Done {
        if (auto header = read_header(layer.envelope.frames.front(), layer.header); !header) return header;
        return read_trailer(layer);
    });
    if (!ok) return std::unexpected(ok.error());
    return layer;
}

std::expected<HeaderFacts, Failure> Layer::peek(ByteView start) {
    const auto frame = first_frame(start);
    if (!frame) return std::unexpected(frame.error());
    HeaderFacts header;
    const Done ok = guarded([&]() -> Done { return read_header(*frame, header); });
    if (!ok) return std::unexpected(ok.error());
    return header;
}

std::string_view kind_name(StateKind kind) {
    switch (kind) {
        case StateKind::stack: return "stack";
        case StateKind::statistics: return "statistics";
        case StateKind::interface: return "interface";
        case StateKind::address: return "address";
        case StateKind::route: return "route";
        case StateKind::neighbor: return "neighbour";
        case StateKind::pending_packet: return "waiting packet";
        case StateKind::destination: return "path";
        case StateKind::socket: return "socket";
        case StateKind::tcp_connection: return "TCP connection";
        case StateKind::tcp_listener: return "TCP listener";
        case StateKind::udp_socket: return "UDP socket";
        case StateKind::datagram: return "datagram";
        case StateKind::slice_node: return "queue entry";
        case StateKind::sent_range: return "sent range";
        case StateKind::invalid:
        case StateKind::count_: break;
    }
    return "object";
}

}  // namespace keepnet::checkpoint
