#include "checkpoint/decode.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "checkpoint/codec_tcp.hpp"
#include "checkpoint/layer_reader.hpp"
#include "durability/attach.hpp"

namespace keepnet::checkpoint {
namespace {

using Done = std::expected<void, Failure>;

std::unexpected<Failure> wrong_chain(std::string what) { return refuse(Code::wrong_chain, std::move(what)); }

/// Does `next` continue where `last` ends?
Done check_link(const HeaderFacts& last, const HeaderFacts& next) {
    const auto number = [](CutNumber n) { return std::to_string(n); };
    const std::string on = "an increment on cut " + number(next.record.since);
    const std::string behind = " stands behind cut " + number(last.record.cut);
    if (next.record.since == 0) {
        return wrong_chain("a whole snapshot, of cut " + number(next.record.cut) + "," + behind);
    }
    if (next.record.since != last.record.cut) {
        return wrong_chain(on + behind + ": one is missing, or they are in another order");
    }
    if (next.record.since_id == 0 || next.record.since_id != last.record.id || next.epoch != last.epoch) {
        return wrong_chain(on + behind + " of another run or another stack");
    }
    return {};
}

}  // namespace

Failure in_layer(Failure failure, std::size_t layer, std::size_t layers) {
    if (layers > 1) {
        failure.message =
            "snapshot " + std::to_string(layer + 1) + " of " + std::to_string(layers) + ": " + failure.message;
    }
    return failure;
}

// --- before an arena is touched ---

std::expected<Decoder, Failure> Decoder::open(std::span<const ByteView> chain) {
    if (chain.empty()) return refuse(Code::empty, "no snapshot was given");
    if (chain.size() > Merge::layers_max) {
        return wrong_chain("more than " + std::to_string(Merge::layers_max) + " snapshots in a chain");
    }
    Decoder decoder;
    for (std::size_t i = 0; i < chain.size(); ++i) {
        auto layer = Layer::open(chain[i]);
        if (!layer) return std::unexpected(in_layer(layer.error(), i, chain.size()));
        if (i == 0 && layer->is_increment()) {
            return std::unexpected(in_layer({Code::wrong_chain, "an increment on cut " +
                                                                    std::to_string(layer->header.record.since) +
                                                                    ", whose snapshot is not there"},
                                            i, chain.size()));
        }
        if (i != 0) {
            const Done fits = check_link(decoder.header(), layer->header);
            if (!fits) return std::unexpected(in_layer(fits.error(), i, chain.size()));
        }
        decoder.layers_.push_back(std::move(*layer));
    }
    if (auto ok = decoder.merge_.read(decoder.layers_); !ok) return std::unexpected(ok.error());
    return decoder;
}

// --- which layer has the last word ---

struct Merge::Collector {
    Merge& merge;
    std::uint16_t layer;

    void note(StateKind kind, std::uint32_t slot, std::uint16_t value) const {
        auto& layers = merge.layer_of_[static_cast<std::size_t>(kind) - 1];
        if (layers.size() <= slot) {
            if (value == 0) return;
            layers.resize(slot + 1);
        }
        layers[slot] = value;
    }
    template <class Reader, class T, class M>
    void object(Reader&, std::type_identity<T>, StateKind kind, M m, ByteView) const {
        note(kind, m.getIndex(), layer);
    }
    void freed(StateKind kind, std::uint32_t slot) const { note(kind, slot, 0); }
    template <class Reader>
    void buffer(Reader&, std::uint32_t, std::uint16_t) const {}
    template <class Reader>
    void blob(Reader&, schema::Blob::Reader) const {}
};

/// The highest buffer that what is left names.
struct Merge::BufferCounter {
    Merge& merge;
    std::size_t layer;

    void note(std::uint32_t buffer) const {
        if (buffer < handle_index_max) merge.packet_buffers_ = std::max(merge.packet_buffers_, buffer + 1);
    }
    template <class Reader, class T, class M>
    void object(Reader&, std::type_identity<T>, StateKind kind, M m, ByteView payload) const {
        if (!merge.wins(layer, kind, m.getIndex())) return;
        if constexpr (std::is_same_v<T, SliceNodeState>) note(m.getSlice().getBuffer());
        if constexpr (std::is_same_v<T, DatagramState>) {
            if (!payload.empty()) note(m.getPayload().getBuffer());
        }
        if constexpr (std::is_same_v<T, PendingPacketState>) {
            for (const auto slice : m.getSlices()) note(slice.getBuffer());
        }
    }
    void freed(StateKind, std::uint32_t) const {}
    template <class Reader>
    void buffer(Reader&, std::uint32_t, std::uint16_t) const {}
    template <class Reader>
    void blob(Reader&, schema::Blob::Reader) const {}
};

Done Merge::read(std::span<const Layer> layers) {
    counts_ = layers.front().counts;
    packet_buffers_ = layers.front().packet_buffers;
    if (layers.size() == 1) return {};
    is_single_ = false;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        Collector collector{*this, static_cast<std::uint16_t>(i + 1)};
        if (auto ok = LayerReader(layers[i], collector).run(); !ok) {
            return std::unexpected(in_layer(ok.error(), i, layers.size()));
        }
    }
    for (std::size_t k = 0; k < state_kinds; ++k) {
        counts_[k] = {};
        for (std::uint32_t slot = 0; slot < layer_of_[k].size(); ++slot) {
            if (layer_of_[k][slot] != 0) counts_[k] = {counts_[k].objects + 1, slot + 1};
        }
    }
    packet_buffers_ = 0;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        BufferCounter counter{*this, i};
        if (auto ok = LayerReader(layers[i], counter).run(); !ok) return ok;
    }
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
        {StateKind::sent_range, n.sent_ranges, "CapacityConfig::sent_ranges"},
    };
    const auto too_large = [](std::string_view what, std::uint32_t slots, std::uint32_t capacity,
                              std::string_view field) {
        return refuse(Code::too_large, "the snapshot is too large for this config: it has a " + std::string(what) +
                                           " in slot " + std::to_string(slots - 1) + ", and there are " +
                                           std::to_string(capacity) + " (" + std::string(field) + ")");
    };
    static_assert(std::size(rows) == state_kinds);
    for (const auto& [kind, capacity, field] : rows) {
        const std::uint32_t slots = merge_.counts()[static_cast<std::size_t>(kind) - 1].slots;
        if (slots > capacity) return too_large(kind_name(kind), slots, capacity, field);
    }
    if (merge_.packet_buffers() > n.packet_buffers) {
        return too_large("packet buffer", merge_.packet_buffers(), n.packet_buffers, "CapacityConfig::packet_buffers");
    }
    return {};
}

CapacityConfig Decoder::needed() const {
    const auto slots = [&](StateKind kind) {
        return std::max(1U, merge_.counts()[static_cast<std::size_t>(kind) - 1].slots);
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
    n.sent_ranges = slots(StateKind::sent_range);
    n.packet_buffers = std::max(1U, merge_.packet_buffers());
    n.transmit_ring = 1;
    n.shadow_objects = 1;
    n.sweep_queue_bytes = 64U * 1024;
    return n;
}

// --- the objects ---

namespace {

struct Filler {
    World& w;
    const Merge& merge;
    std::vector<std::uint16_t>& used;
    const Layer& layer;
    std::size_t number;
    bool is_last;
    In in;
    BlobReader blobs{};

    template <class Reader, class T, class M>
    void object(Reader& reader, std::type_identity<T>, StateKind kind, M m, ByteView payload) {
        const std::uint32_t index = m.getIndex();
        if (!merge.wins(number, kind, index)) return;
        Slab<T>& slab = slab_of(std::type_identity<T>{});
        const std::uint64_t generation = m.getGeneration();
        if (index >= slab.capacity()) return reader.fail("slots out of order");
        if (generation == 0 || generation > slab.last_generation()) return reader.fail("a generation out of range");
        const CutNumber cut = layer.header.record.cut;
        // One that says nothing changed before this layer's cut, and nobody asks for more.
        const CutNumber stamp = m.getStamp() == 0 ? cut : layer.header.stamp_base + m.getStamp();
        if (stamp > cut) return reader.fail("a stamp out of range");
        if (slab.is_live(index)) slab.destroy(index);  // the two singletons of an empty world
        slab.create_at(index, generation);
        T& object = slab.edit(index);
        transfer(in, object, m);
        if (stamp != w.cuts().current) slab.set_stamp(index, stamp);
        if (in.bad) return reader.fail("a field out of range");
        for_each_slice(object, [&](const Slice& slice, std::size_t) { put(reader, payload, slice); });
    }
    template <class Reader>
    void put(Reader& reader, ByteView& payload, const Slice& slice) {
        if (slice.buffer >= w.pool.capacity() || slice.offset + slice.length > packet_buffer_bytes) {
            return reader.fail("a slice outside of its buffer");
        }
        if (slice.length == 0) return;
        if (payload.size() < slice.length) return reader.fail("payload is missing");
        std::memcpy(w.pool.buffer(slice.buffer).data() + slice.offset, payload.data(), slice.length);
        payload = payload.subspan(slice.length);
    }
    void freed(StateKind, std::uint32_t) {}
    template <class Reader>
    void buffer(Reader& reader, std::uint32_t buffer, std::uint16_t bytes) {
        if (buffer >= w.pool.capacity()) {
            // In a chain it may be one that is no longer named.
            if (is_last) reader.fail("buffers out of order");
            return;
        }
        if (used.size() <= buffer) used.resize(buffer + 1);
        used[buffer] = bytes;
    }
    template <class Reader>
    void blob(Reader& reader, schema::Blob::Reader m) {
        if (is_last) blobs.take(reader, m);
    }

    Slab<StackState>& slab_of(std::type_identity<StackState>) { return w.stacks; }
    Slab<Statistics>& slab_of(std::type_identity<Statistics>) { return w.statistics; }
    Slab<InterfaceState>& slab_of(std::type_identity<InterfaceState>) { return w.interfaces; }
    Slab<AddressState>& slab_of(std::type_identity<AddressState>) { return w.addresses; }
    Slab<RouteState>& slab_of(std::type_identity<RouteState>) { return w.routes; }
    Slab<NeighborState>& slab_of(std::type_identity<NeighborState>) { return w.neighbors; }
    Slab<PendingPacketState>& slab_of(std::type_identity<PendingPacketState>) { return w.pending_packets; }
    Slab<DestinationState>& slab_of(std::type_identity<DestinationState>) { return w.destinations; }
    Slab<SocketState>& slab_of(std::type_identity<SocketState>) { return w.sockets; }
    Slab<TcpConnectionState>& slab_of(std::type_identity<TcpConnectionState>) { return w.connections; }
    Slab<TcpListenerState>& slab_of(std::type_identity<TcpListenerState>) { return w.listeners; }
    Slab<UdpSocketState>& slab_of(std::type_identity<UdpSocketState>) { return w.udp_sockets; }
    Slab<DatagramState>& slab_of(std::type_identity<DatagramState>) { return w.datagrams; }
    Slab<SliceNodeState>& slab_of(std::type_identity<SliceNodeState>) { return w.slice_nodes; }
    Slab<SentRangeState>& slab_of(std::type_identity<SentRangeState>) { return w.sent_ranges; }
};

}  // namespace

Done Decoder::fill(World& w, durability::SweepQueue& queue, std::vector<Blob>& blobs) const {
    CutControl& cuts = w.cuts();
    cuts.current = header().record.cut;
    w.header->generations = header().record.generations;
    if (header().earlier.cut != 0) {
        cuts.outstanding[header().earlier_place] = header().earlier.cut;
        queue.records()[header().earlier_place] = header().earlier;
    }
    std::vector<std::uint16_t> used;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const Layer& layer = layers_[i];
        const bool is_last = i + 1 == layers_.size();
        Filler filler{w, merge_, used, layer, i, is_last, In{layer.header.record.taken}};
        Done read = LayerReader(layer, filler).run();
        if (read && is_last && !filler.blobs.is_whole(layer.blobs)) read = damaged("the trailer counts other blobs");
        if (!read) return std::unexpected(in_layer(read.error(), i, layers_.size()));
        if (is_last) blobs = std::move(filler.blobs.blobs);
    }
    if (merge_.counts()[0].objects != 1 || merge_.counts()[1].objects != 1) return damaged("no stack");
    if (!durability::recount_buffers(w)) return damaged("a buffer that is named too often");
    for (std::uint32_t i = 0; i < used.size(); ++i) {
        if (w.pool.references(i) != 0) w.pool.set_used(i, used[i]);
    }

    std::random_device random;
    const auto word = [&] { return std::uint64_t{random()} << 32 | random(); };
    if (const auto found = durability::find_fault(w, {word(), word()})) {
        return damaged(std::string(kind_name(found->kind)) + " " + std::to_string(found->index) + ": " +
                       std::string(found->what));
    }
    return {};
}

}  // namespace keepnet::checkpoint
