#include "checkpoint/decode.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include <capnp/serialize.h>
#include <kj/exception.h>

#include "checkpoint/codec_tcp.hpp"
#include "durability/attach.hpp"

namespace keepnet::checkpoint {
namespace {

using Done = std::expected<void, Failure>;

std::unexpected<Failure> damaged(const std::string& what) {
    return refuse(Code::damaged, "the snapshot is damaged: " + what);
}

/// One frame as a message. Reading it all once must be possible, reading it over and over must not.
class FrameReader {
  public:
    explicit FrameReader(kj::ArrayPtr<const capnp::word> words)
        : message_(words, {.traversalLimitInWords = 4 * words.size() + 64, .nestingLimit = 8}),
          frame_(message_.getRoot<schema::Frame>()) {}
    const schema::Frame::Reader* operator->() const { return &frame_; }

  private:
    capnp::FlatArrayMessageReader message_;
    schema::Frame::Reader frame_;
};

template <class F>
Done guarded(F&& f) {
    try {
        return f();
    } catch (const kj::Exception& e) {
        return damaged(e.getDescription().cStr());
    }
}

CapacityConfig capacity_of(schema::Header::Capacity::Reader m) {
    CapacityConfig capacity;
    auto& [interfaces, addresses, routes, neighbors, pending_packets, destinations, sockets, tcp_connections,
           tcp_listeners, tcp_tombstones, udp_sockets, udp_datagrams, slice_nodes, packet_buffers, transmit_ring,
           shadow_objects, sweep_queue_bytes] = capacity;
    interfaces = m.getInterfaces(), addresses = m.getAddresses(), routes = m.getRoutes();
    neighbors = m.getNeighbors(), pending_packets = m.getPendingPackets(), destinations = m.getDestinations();
    sockets = m.getSockets(), tcp_connections = m.getTcpConnections(), tcp_listeners = m.getTcpListeners();
    tcp_tombstones = m.getTcpTombstones(), udp_sockets = m.getUdpSockets(), udp_datagrams = m.getUdpDatagrams();
    slice_nodes = m.getSliceNodes(), packet_buffers = m.getPacketBuffers(), transmit_ring = m.getTransmitRing();
    shadow_objects = m.getShadowObjects(), sweep_queue_bytes = m.getSweepQueueBytes();
    return capacity;
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
        case StateKind::invalid:
        case StateKind::count_: break;
    }
    return "object";
}

}  // namespace

// --- before an arena is touched ---

std::expected<Decoder, Failure> Decoder::open(ByteView snapshot) {
    auto envelope = open_envelope(snapshot);
    if (!envelope) return std::unexpected(envelope.error());
    Decoder decoder;
    decoder.envelope_ = std::move(*envelope);
    if (decoder.envelope_.frames.size() < 2) return damaged("frames are missing");
    const Done ok = guarded([&]() -> Done {
        if (auto header = decoder.read_header(); !header) return header;
        return decoder.read_trailer();
    });
    if (!ok) return std::unexpected(ok.error());
    return decoder;
}

Done Decoder::read_header() {
    const FrameReader frame(envelope_.frames.front());
    if (frame->which() != schema::Frame::HEADER) return damaged("it does not start with a header");
    const auto m = frame->getHeader();
    header_.record = {wide(m.getCut(), m.getCutHigh()), 0, {m.getInstant()}, m.getWireClockReserved(), m.getLastGeneration()};
    header_.epoch = m.getEpoch();
    if (m.getHasWallClock()) header_.wall_clock_ns = m.getWallClock();
    header_.capacity = capacity_of(m.getCapacity());
    const auto earlier = m.getEarlierCut();
    header_.stamp_base = m.getStampBase();
    if (const CutNumber number = wide(earlier.getNumber(), m.getEarlierCutHigh()); number != 0) {
        In in{header_.record.taken};
        Instant taken;
        in.in(taken, earlier.getInstant());
        header_.record.earlier = number;
        header_.earlier = {number, 0, taken, earlier.getWireClockReserved(),
                           earlier.getLastGeneration()};
        header_.earlier_place = earlier.getPlace();
        if (in.bad || header_.earlier.cut >= header_.record.cut || header_.earlier_place > 1) {
            return damaged("an earlier cut that cannot be");
        }
    }
    constexpr std::int64_t limit = INT64_MAX / 4;
    const auto in_range = [&](std::int64_t ns) { return ns >= -limit && ns <= limit; };
    if (header_.record.cut == 0 || header_.record.cut >= cut_number_max || header_.stamp_base >= cut_number_max ||
        !in_range(header_.record.taken.ns) ||
        !in_range(header_.record.wire_clock_reserved_ns) || !in_range(header_.earlier.wire_clock_reserved_ns) ||
        header_.record.generations > handle_generation_max) {
        return damaged("a header that cannot be");
    }
    return {};
}

Done Decoder::read_trailer() {
    const FrameReader frame(envelope_.frames.back());
    if (frame->which() != schema::Frame::TRAILER) return damaged("it does not end with a trailer");
    const auto m = frame->getTrailer();
    const auto kinds = m.getKinds();
    if (kinds.size() < state_kinds || m.getFrames() != envelope_.frames.size() - 1) {
        return damaged("the trailer counts something else");
    }
    for (unsigned i = 0; i < state_kinds; ++i) counts_[i] = {kinds[i].getObjects(), kinds[i].getSlots()};
    blobs_ = m.getBlobs();
    packet_buffers_ = m.getPacketBuffers();
    return {};
}

Done Decoder::check_capacity(const CapacityConfig& n) const {
    struct Row {
        StateKind kind;
        std::uint32_t capacity;
        std::string_view field;
    };
    const Row rows[] = {
        {StateKind::stack, 1, "one stack"},
        {StateKind::statistics, 1, "one set of counters"},
        {StateKind::interface, n.interfaces, "CapacityConfig::interfaces"},
        {StateKind::address, n.addresses, "CapacityConfig::addresses"},
        {StateKind::route, n.routes, "CapacityConfig::routes"},
        {StateKind::neighbor, n.neighbors, "CapacityConfig::neighbors"},
        {StateKind::pending_packet, n.pending_packets, "CapacityConfig::pending_packets"},
        {StateKind::destination, n.destinations, "CapacityConfig::destinations"},
        {StateKind::socket, n.sockets, "CapacityConfig::sockets"},
        {StateKind::tcp_connection, n.tcp_connections, "CapacityConfig::tcp_connections"},
        {StateKind::tcp_listener, n.tcp_listeners, "CapacityConfig::tcp_listeners"},
        {StateKind::udp_socket, n.udp_sockets, "CapacityConfig::udp_sockets"},
        {StateKind::datagram, n.udp_datagrams, "CapacityConfig::udp_datagrams"},
        {StateKind::slice_node, n.slice_nodes, "CapacityConfig::slice_nodes"},
    };
    const auto too_large = [](std::string_view what, std::uint32_t slots, std::uint32_t capacity,
                              std::string_view field) {
        return refuse(Code::too_large, "the snapshot is too large for this config: it has a " + std::string(what) +
                                           " in slot " + std::to_string(slots - 1) + ", and there are " +
                                           std::to_string(capacity) + " (" + std::string(field) + ")");
    };
    static_assert(std::size(rows) == state_kinds);
    for (const auto& [kind, capacity, field] : rows) {
        const std::uint32_t slots = counts_[static_cast<std::size_t>(kind) - 1].slots;
        if (slots > capacity) return too_large(kind_name(kind), slots, capacity, field);
    }
    if (packet_buffers_ > n.packet_buffers) {
        return too_large("packet buffer", packet_buffers_, n.packet_buffers, "CapacityConfig::packet_buffers");
    }
    return {};
}

CapacityConfig Decoder::needed() const {
    const auto slots = [&](StateKind kind) {
        return std::max(1U, counts_[static_cast<std::size_t>(kind) - 1].slots);
    };
    CapacityConfig n;
    n.interfaces = slots(StateKind::interface);
    n.addresses = slots(StateKind::address);
    n.routes = slots(StateKind::route);
    n.neighbors = slots(StateKind::neighbor);
    n.pending_packets = slots(StateKind::pending_packet);
    n.destinations = slots(StateKind::destination);
    n.sockets = slots(StateKind::socket);
    n.tcp_connections = slots(StateKind::tcp_connection);
    n.tcp_tombstones = 0;
    n.tcp_listeners = slots(StateKind::tcp_listener);
    n.udp_sockets = slots(StateKind::udp_socket);
    n.udp_datagrams = slots(StateKind::datagram);
    n.slice_nodes = slots(StateKind::slice_node);
    n.packet_buffers = std::max(1U, packet_buffers_);
    n.transmit_ring = 1;
    n.shadow_objects = 1;
    n.sweep_queue_bytes = 64U * 1024;
    return n;
}

// --- the objects ---

struct Decoder::Filler {
    const Decoder& d;
    World& w;
    std::vector<Blob>& blobs;
    In in;
    std::array<Count, state_kinds> seen{};
    StateKind last_kind = StateKind::invalid;
    std::uint32_t next_buffer = 0;
    std::vector<std::uint16_t> used{};
    std::uint64_t blob_rest = 0;
    std::string_view fault{};

    void fail(std::string_view what) {
        if (fault.empty()) fault = what;
    }
    /// Kinds come in the order of the frames, slots in ascending order: nothing comes twice.
    void enter(StateKind kind) {
        if (kind < last_kind) fail("frames in another order");
        last_kind = kind;
    }
    template <class T, class M>
    void take(Slab<T>& slab, M m) {
        if (!fault.empty()) return;
        const std::uint32_t index = m.getIndex();
        const std::uint64_t generation = m.getGeneration();
        Count& count = seen[slab.kind() - 1U];
        if (index < count.slots || index >= slab.capacity()) return fail("slots out of order");
        if (generation == 0 || generation > slab.last_generation()) return fail("a generation out of range");
        const CutNumber stamp = m.getStamp() == 0 ? 0 : d.header_.stamp_base + m.getStamp();
        if (stamp > d.header_.record.cut) return fail("a stamp out of range");
        ++count.objects;
        count.slots = index + 1;
        if (slab.is_live(index)) slab.destroy(index);  // the two singletons of an empty world
        slab.create_at(index, generation);
        transfer(in, slab.edit(index), m);
        if (stamp != 0) slab.set_stamp(index, stamp);
        if (in.bad) fail("a field out of range");
    }
    template <class T, class List>
    void take_all(Slab<T>& slab, List list) {
        enter(static_cast<StateKind>(slab.kind()));
        for (const auto m : list) {
            if (!fault.empty()) return;
            take(slab, m);
        }
    }
    /// The bytes under the slices of one frame's objects.
    struct Payload {
        capnp::Data::Reader bytes;
        std::size_t at = 0;
    };
    void put(Payload& payload, const Slice& slice) {
        if (!fault.empty()) return;
        if (slice.buffer >= w.pool.capacity() || slice.offset + slice.length > packet_buffer_bytes) {
            return fail("a slice outside of its buffer");
        }
        if (payload.bytes.size() - payload.at < slice.length) return fail("payload is missing");
        if (slice.length == 0) return;
        std::memcpy(w.pool.buffer(slice.buffer).data() + slice.offset, payload.bytes.begin() + payload.at, slice.length);
        payload.at += slice.length;
    }
    void close(const Payload& payload) {
        if (payload.at != payload.bytes.size()) fail("payload that belongs to nothing");
    }

    void take_pending(schema::PendingPackets::Reader m) {
        take_all(w.pending_packets, m.getPackets());
        Payload payload{m.getBytes()};
        for (const auto packet : m.getPackets()) {
            if (!fault.empty()) return;
            const PendingPacketState& p = w.pending_packets.get(packet.getIndex());
            for (std::size_t i = 0; i < p.slice_count; ++i) put(payload, p.slices[i]);
        }
        close(payload);
    }
    void take_datagrams(schema::Datagrams::Reader m) {
        take_all(w.datagrams, m.getDatagrams());
        Payload payload{m.getBytes()};
        for (const auto datagram : m.getDatagrams()) {
            if (!fault.empty()) return;
            const Slice& slice = w.datagrams.get(datagram.getIndex()).payload;
            if (slice.length != 0) put(payload, slice);
        }
        close(payload);
    }
    void take_nodes(schema::SliceNodes::Reader m) {
        take_all(w.slice_nodes, m.getNodes());
        Payload payload{m.getBytes()};
        for (const auto node : m.getNodes()) {
            if (!fault.empty()) return;
            put(payload, w.slice_nodes.get(node.getIndex()).slice);
        }
        close(payload);
    }
    void take_buffers(capnp::List<schema::Buffer>::Reader list) {
        enter(StateKind::count_);
        for (const auto m : list) {
            const std::uint32_t buffer = m.getBuffer();
            if (buffer < next_buffer || buffer >= w.pool.capacity()) return fail("buffers out of order");
            next_buffer = buffer + 1;
            if (m.getUsed() > packet_buffer_bytes) return fail("a buffer that is too full");
            if (used.size() <= buffer) used.resize(buffer + 1);
            used[buffer] = m.getUsed();
        }
    }
    void take_blob(schema::Blob::Reader m) {
        enter(StateKind::count_);
        const std::string_view name(m.getName().begin(), m.getName().size());
        const auto bytes = m.getBytes();
        if (blob_rest == 0) {
            for (const Blob& blob : blobs) {
                if (blob.name == name) return fail("two blobs of one name");
            }
            blobs.push_back({std::string(name), {}});
            blob_rest = m.getSize();
        } else if (blobs.back().name != name || blobs.back().bytes.size() + blob_rest != m.getSize()) {
            return fail("parts of different blobs");
        }
        if (bytes.size() > blob_rest || (bytes.size() == 0 && blob_rest != 0)) return fail("a blob of another size");
        blobs.back().bytes.insert(blobs.back().bytes.end(), bytes.begin(), bytes.end());
        blob_rest -= bytes.size();
    }
    void take(const FrameReader& frame) {
        switch (frame->which()) {
            case schema::Frame::STACK: enter(StateKind::stack); return take(w.stacks, frame->getStack());
            case schema::Frame::STATISTICS:
                enter(StateKind::statistics);
                return take(w.statistics, frame->getStatistics());
            case schema::Frame::INTERFACES: return take_all(w.interfaces, frame->getInterfaces());
            case schema::Frame::ADDRESSES: return take_all(w.addresses, frame->getAddresses());
            case schema::Frame::ROUTES: return take_all(w.routes, frame->getRoutes());
            case schema::Frame::NEIGHBORS: return take_all(w.neighbors, frame->getNeighbors());
            case schema::Frame::PENDING_PACKETS: return take_pending(frame->getPendingPackets());
            case schema::Frame::DESTINATIONS: return take_all(w.destinations, frame->getDestinations());
            case schema::Frame::SOCKETS: return take_all(w.sockets, frame->getSockets());
            case schema::Frame::CONNECTIONS: return take_all(w.connections, frame->getConnections());
            case schema::Frame::LISTENERS: return take_all(w.listeners, frame->getListeners());
            case schema::Frame::UDP_SOCKETS: return take_all(w.udp_sockets, frame->getUdpSockets());
            case schema::Frame::DATAGRAMS: return take_datagrams(frame->getDatagrams());
            case schema::Frame::SLICE_NODES: return take_nodes(frame->getSliceNodes());
            case schema::Frame::BUFFERS: return take_buffers(frame->getBuffers());
            case schema::Frame::BLOB: return take_blob(frame->getBlob());
            case schema::Frame::INVALID:
            case schema::Frame::HEADER:
            case schema::Frame::TRAILER: return fail("a frame out of place");
        }
        fail("a frame of unknown kind");
    }
    void check_counts() {
        for (std::size_t i = 0; i < state_kinds; ++i) {
            if (seen[i].objects != d.counts_[i].objects || seen[i].slots != d.counts_[i].slots) {
                return fail("the trailer counts other objects");
            }
        }
        if (seen[0].objects != 1 || seen[1].objects != 1) fail("no stack");
        if (blob_rest != 0 || blobs.size() != d.blobs_) fail("the trailer counts other blobs");
        if (used.size() != d.packet_buffers_) fail("the trailer counts other buffers");
    }
    void close_pool() {
        if (!durability::recount_buffers(w)) return fail("a buffer that is named too often");
        for (std::uint32_t i = 0; i < used.size(); ++i) {
            if (w.pool.references(i) != 0) w.pool.set_used(i, used[i]);
        }
    }
};

Done Decoder::fill(World& w, durability::SweepQueue& queue, std::vector<Blob>& blobs) const {
    CutControl& cuts = w.cuts();
    cuts.current = header_.record.cut;
    w.header->generations = header_.record.generations;
    if (header_.earlier.cut != 0) {
        cuts.outstanding[header_.earlier_place] = header_.earlier.cut;
        queue.records()[header_.earlier_place] = header_.earlier;
    }
    Filler filler{*this, w, blobs, In{header_.record.taken}};
    const Done read = guarded([&]() -> Done {
        for (std::size_t i = 1; i + 1 < envelope_.frames.size() && filler.fault.empty(); ++i) {
            filler.take(FrameReader(envelope_.frames[i]));
        }
        return {};
    });
    if (!read) return read;
    if (filler.fault.empty()) filler.check_counts();
    if (filler.fault.empty()) filler.close_pool();
    if (!filler.fault.empty()) return damaged(std::string(filler.fault));

    std::random_device random;
    const auto word = [&] { return std::uint64_t{random()} << 32 | random(); };
    if (const auto found = durability::find_fault(w, {word(), word()})) {
        return damaged(std::string(kind_name(found->kind)) + " " + std::to_string(found->index) + ": " +
                       std::string(found->what));
    }
    return {};
}

}  // namespace keepnet::checkpoint
