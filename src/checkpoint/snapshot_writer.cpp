#include "checkpoint/snapshot_writer.hpp"

#include <algorithm>

#include "checkpoint/codec_tcp.hpp"

namespace keepnet::checkpoint {
namespace {

void put_capacity(schema::Header::Capacity::Builder m, const CapacityConfig& capacity) {
    const auto& [interfaces, addresses, routes, neighbors, pending_packets, destinations, sockets, tcp_connections,
                 tcp_listeners, tcp_tombstones, udp_sockets, udp_datagrams, slice_nodes, packet_buffers, transmit_ring,
                 sent_ranges, shadow_objects, sweep_queue_bytes] = capacity;
    m.setInterfaces(interfaces), m.setAddresses(addresses), m.setRoutes(routes), m.setNeighbors(neighbors);
    m.setPendingPackets(pending_packets), m.setDestinations(destinations), m.setSockets(sockets);
    m.setTcpConnections(tcp_connections), m.setTcpListeners(tcp_listeners), m.setTcpTombstones(tcp_tombstones);
    m.setUdpSockets(udp_sockets), m.setUdpDatagrams(udp_datagrams), m.setSliceNodes(slice_nodes);
    m.setPacketBuffers(packet_buffers), m.setTransmitRing(transmit_ring), m.setShadowObjects(shadow_objects);
    m.setSentRanges(sent_ranges), m.setSweepQueueBytes(sweep_queue_bytes);
}

}  // namespace

SnapshotWriter::Done SnapshotWriter::begin() {
    if (auto ok = writer_.begin(); !ok) return ok;
    return writer_.frame([&](capnp::MessageBuilder& message) {
        auto m = message.initRoot<schema::Frame>().initHeader();
        m.setCut(low_half(facts_.record.cut));
        m.setCutHigh(high_half(facts_.record.cut));
        m.setInstant(facts_.record.taken.ns);
        m.setEpoch(facts_.epoch);
        m.setHasWallClock(facts_.wall_clock_ns.has_value());
        m.setWallClock(facts_.wall_clock_ns.value_or(0));
        m.setWireClockReserved(facts_.record.wire_clock_reserved_ns);
        m.setLastGeneration(facts_.record.generations);
        auto earlier = m.getEarlierCut();
        earlier.setNumber(low_half(facts_.earlier.cut));
        m.setEarlierCutHigh(high_half(facts_.earlier.cut));
        m.setStampBase(facts_.earlier.cut == 0 ? 0 : facts_.earlier.cut - 1);
        m.setId(facts_.record.id);
        m.setBaseCut(facts_.record.since);
        m.setBaseId(facts_.record.since_id);
        earlier.setPlace(facts_.earlier_place);
        earlier.setInstant(facts_.earlier.cut == 0 ? 0 : out_.out(facts_.earlier.taken));
        earlier.setWireClockReserved(facts_.earlier.wire_clock_reserved_ns);
        earlier.setLastGeneration(facts_.earlier.generations);
        put_capacity(m.getCapacity(), facts_.capacity);
    });
}

// --- objects ---

SnapshotWriter::Done SnapshotWriter::put_batch() {
    if (items_.empty()) return {};
    auto ok = writer_.frame([&](capnp::MessageBuilder& message) { fill(message.initRoot<schema::Frame>()); });
    items_.clear();
    raw_.clear();
    views_.clear();
    payload_bytes_ = 0;
    return ok;
}

void SnapshotWriter::fill(schema::Frame::Builder frame) {
    const auto n = static_cast<unsigned>(items_.size());
    switch (kind_) {
        case StateKind::stack: return put_object<StackState>(items_.front(), frame.initStack());
        case StateKind::statistics: return put_object<Statistics>(items_.front(), frame.initStatistics());
        case StateKind::interface: return put_objects<InterfaceState>(frame.initInterfaces(n));
        case StateKind::address: return put_objects<AddressState>(frame.initAddresses(n));
        case StateKind::route: return put_objects<RouteState>(frame.initRoutes(n));
        case StateKind::neighbor: return put_objects<NeighborState>(frame.initNeighbors(n));
        case StateKind::destination: return put_objects<DestinationState>(frame.initDestinations(n));
        case StateKind::socket: return put_objects<SocketState>(frame.initSockets(n));
        case StateKind::tcp_connection: return put_objects<TcpConnectionState>(frame.initConnections(n));
        case StateKind::tcp_listener: return put_objects<TcpListenerState>(frame.initListeners(n));
        case StateKind::udp_socket: return put_objects<UdpSocketState>(frame.initUdpSockets(n));
        case StateKind::pending_packet: {
            auto m = frame.initPendingPackets();
            put_objects<PendingPacketState>(m.initPackets(n));
            return put_payload(m.initBytes(static_cast<unsigned>(payload_bytes_)));
        }
        case StateKind::datagram: {
            auto m = frame.initDatagrams();
            put_objects<DatagramState>(m.initDatagrams(n));
            return put_payload(m.initBytes(static_cast<unsigned>(payload_bytes_)));
        }
        case StateKind::slice_node: {
            auto m = frame.initSliceNodes();
            put_objects<SliceNodeState>(m.initNodes(n));
            return put_payload(m.initBytes(static_cast<unsigned>(payload_bytes_)));
        }
        case StateKind::sent_range: return put_objects<SentRangeState>(frame.initSentRanges(n));
        case StateKind::invalid:
        case StateKind::count_: return;
    }
}

template <class T, class M>
void SnapshotWriter::put_object(const Item& item, M m) {
    m.setIndex(item.object.index);
    m.setGeneration(item.object.generation);
    m.setStamp(stamp_of(item.object.stamp));
    T object;
    std::memcpy(static_cast<void*>(&object), raw_.data() + item.at, sizeof(T));
    transfer(out_, std::as_const(object), m);
}

template <class T, class List>
void SnapshotWriter::put_objects(List list) {
    for (unsigned i = 0; i < items_.size(); ++i) put_object<T>(items_[i], list[i]);
}

/// Straight from the packet buffers: they are parked until the cut is read.
void SnapshotWriter::put_payload(capnp::Data::Builder bytes) const {
    auto* to = bytes.begin();
    for (const ByteView& from : views_) to = std::copy(from.begin(), from.end(), to);
}

/// All that anybody will ask: did it change behind the earlier cut that is outstanding?
std::uint32_t SnapshotWriter::stamp_of(CutNumber stamp) const {
    if (facts_.earlier.cut == 0) return 0;
    if (stamp <= facts_.earlier.cut) return 1;
    return static_cast<std::uint32_t>(std::min<CutNumber>(stamp - facts_.earlier.cut + 1, UINT32_MAX));
}

// --- what follows the objects ---

SnapshotWriter::Done SnapshotWriter::put_freed_part(std::size_t kind, std::size_t from) {
    const std::size_t n = std::min(list_part, freed_[kind].size() - from);
    return writer_.frame([&](capnp::MessageBuilder& message) {
        auto m = message.initRoot<schema::Frame>().initFreed();
        m.setKind(static_cast<std::uint16_t>(kind));
        auto slots = m.initSlots(static_cast<unsigned>(n));
        for (unsigned i = 0; i < n; ++i) slots.set(i, freed_[kind][from + i]);
    });
}

SnapshotWriter::Done SnapshotWriter::put_freed() {
    // At least one frame, so that no build that knows nothing of increments takes one for a whole snapshot.
    if (std::ranges::all_of(freed_, [](const auto& slots) { return slots.empty(); })) return put_freed_part(0, 0);
    for (std::size_t kind = 0; kind < state_kinds; ++kind) {
        for (std::size_t from = 0; from < freed_[kind].size(); from += list_part) {
            if (auto ok = put_freed_part(kind, from); !ok) return ok;
        }
    }
    return {};
}

SnapshotWriter::Done SnapshotWriter::put_buffers() {
    std::vector<std::uint32_t> buffers;
    for (std::uint32_t i = 0; i < used_.size(); ++i) {
        if (used_[i] != 0) buffers.push_back(i);
    }
    for (std::size_t from = 0; from < buffers.size(); from += list_part) {
        const std::size_t n = std::min(list_part, buffers.size() - from);
        auto ok = writer_.frame([&](capnp::MessageBuilder& message) {
            auto list = message.initRoot<schema::Frame>().initBuffers(static_cast<unsigned>(n));
            for (unsigned i = 0; i < n; ++i) {
                list[i].setBuffer(buffers[from + i]);
                list[i].setUsed(static_cast<std::uint16_t>(used_[buffers[from + i]] - 1));
            }
        });
        if (!ok) return ok;
    }
    return {};
}

SnapshotWriter::Done SnapshotWriter::put_blob_part(const Blob& blob, std::size_t from, std::size_t bytes) {
    return writer_.frame([&](capnp::MessageBuilder& message) {
        auto m = message.initRoot<schema::Frame>().initBlob();
        m.setName(capnp::Text::Reader(blob.name.c_str(), blob.name.size()));
        m.setSize(blob.bytes.size());
        m.setBytes(capnp::Data::Reader(blob.bytes.data() + from, bytes));
    });
}

SnapshotWriter::Done SnapshotWriter::end(std::size_t blobs) {
    const std::uint64_t before = writer_.frames();
    auto ok = writer_.frame([&](capnp::MessageBuilder& message) {
        auto m = message.initRoot<schema::Frame>().initTrailer();
        auto kinds = m.initKinds(state_kinds);
        for (unsigned i = 0; i < state_kinds; ++i) {
            kinds[i].setObjects(counts_[i].objects);
            kinds[i].setSlots(counts_[i].slots);
        }
        m.setBlobs(static_cast<std::uint32_t>(blobs));
        m.setFrames(before);
        m.setPacketBuffers(static_cast<std::uint32_t>(used_.size()));
    });
    return ok ? writer_.end() : ok;
}

}  // namespace keepnet::checkpoint
