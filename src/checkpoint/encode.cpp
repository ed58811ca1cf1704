#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include <kj/exception.h>

#include "checkpoint/codec_tcp.hpp"
#include "checkpoint/format.hpp"
#include "checkpoint/frame_writer.hpp"
#include "durability/cut.hpp"
#include "stack/core.hpp"

namespace keepnet::checkpoint {
namespace {

using durability::CutReader;
using durability::CutRecord;
using durability::Image;
using durability::ImageHeader;
using Done = std::expected<void, Failure>;

/// What must be known of the stack but is not in the sweep. Taken on the polling thread.
struct CutFacts {
    CutRecord record{};
    CutRecord earlier{};
    std::uint8_t earlier_place = 0;
    std::uint64_t epoch = 0;
    CapacityConfig capacity{};
};

CutFacts facts_of(const Core& core, CutId cut) {
    CutFacts facts;
    facts.record = durability::record_of(core.sweep_queue, cut);
    facts.epoch = core.world.stack().restarts;
    facts.capacity = core.world.config().capacity;
    const auto& records = core.sweep_queue.records();
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (facts.record.earlier == 0 || records[i].cut != facts.record.earlier) continue;
        facts.earlier = records[i];
        facts.earlier_place = static_cast<std::uint8_t>(i);
    }
    return facts;
}

void put_capacity(schema::Header::Capacity::Builder m, const CapacityConfig& capacity) {
    const auto& [interfaces, addresses, routes, neighbors, pending_packets, destinations, sockets, tcp_connections,
                 tcp_listeners, tcp_tombstones, udp_sockets, udp_datagrams, slice_nodes, packet_buffers, transmit_ring,
                 shadow_objects, sweep_queue_bytes] = capacity;
    m.setInterfaces(interfaces), m.setAddresses(addresses), m.setRoutes(routes), m.setNeighbors(neighbors);
    m.setPendingPackets(pending_packets), m.setDestinations(destinations), m.setSockets(sockets);
    m.setTcpConnections(tcp_connections), m.setTcpListeners(tcp_listeners), m.setTcpTombstones(tcp_tombstones);
    m.setUdpSockets(udp_sockets), m.setUdpDatagrams(udp_datagrams), m.setSliceNodes(slice_nodes);
    m.setPacketBuffers(packet_buffers), m.setTransmitRing(transmit_ring), m.setShadowObjects(shadow_objects);
    m.setSweepQueueBytes(sweep_queue_bytes);
}

/// The slices of an object that have bytes, in order.
template <class T, class F>
void for_each_slice(const T& object, F&& f) {
    if constexpr (std::is_same_v<T, SliceNodeState>) {
        f(object.slice, 0);
    } else if constexpr (std::is_same_v<T, DatagramState>) {
        if (object.payload.length != 0) f(object.payload, 0);
    } else if constexpr (std::is_same_v<T, PendingPacketState>) {
        for (std::size_t i = 0; i < object.slice_count; ++i) f(object.slices[i], i);
    }
}

}  // namespace

struct Encoder::Work {
    enum class Stage { header, objects, buffers, blobs, trailer, over };
    struct Item {
        ImageHeader header;
        std::size_t at;  ///< offset in raw
    };

    Work(Core& core, CutId cut, EncodeOptions&& given, Sink& sink)
        : reader(core.world, core.sweep_queue, cut), options(std::move(given)), facts(facts_of(core, cut)),
          out{facts.record.taken}, writer(sink) {
        is_known = facts.record.cut == cut && cut != 0 && core.world.cuts().unread == cut;
    }

    std::expected<Progress, Failure> step() {
        switch (stage) {
            case Stage::header: return then(put_header(), Stage::objects);
            case Stage::objects: return objects();
            case Stage::buffers: return then(put_buffers(), Stage::blobs);
            case Stage::blobs:
                if (blob == options.blobs.size()) return then({}, Stage::trailer);
                return then(put_blob_part(), Stage::blobs);
            case Stage::trailer: {
                auto ok = put_trailer();
                if (ok) ok = writer.end();
                if (!ok) return std::unexpected(ok.error());
                stage = Stage::over;
                return Progress::done;
            }
            case Stage::over: break;
        }
        return refuse(Code::unknown_cut, "this cut has been encoded already");
    }
    std::expected<Progress, Failure> then(const Done& done, Stage next) {
        if (!done) return std::unexpected(done.error());
        stage = next;
        return Progress::more;
    }

    Done put_header() {
        if (!is_known) return refuse(Code::unknown_cut, "no such cut waits to be read");
        if (auto ok = writer.begin(); !ok) return ok;
        return writer.frame([&](capnp::MessageBuilder& message) {
            auto m = message.initRoot<schema::Frame>().initHeader();
            m.setCut(low_half(facts.record.cut));
            m.setCutHigh(high_half(facts.record.cut));
            m.setInstant(facts.record.taken.ns);
            m.setEpoch(facts.epoch);
            m.setHasWallClock(options.wall_clock_ns.has_value());
            m.setWallClock(options.wall_clock_ns.value_or(0));
            m.setWireClockReserved(facts.record.wire_clock_reserved_ns);
            m.setLastGeneration(facts.record.generations);
            auto earlier = m.getEarlierCut();
            earlier.setNumber(low_half(facts.earlier.cut));
            m.setEarlierCutHigh(high_half(facts.earlier.cut));
            m.setStampBase(facts.earlier.cut == 0 ? 0 : facts.earlier.cut - 1);
            earlier.setPlace(facts.earlier_place);
            earlier.setInstant(facts.earlier.cut == 0 ? 0 : out.out(facts.earlier.taken));
            earlier.setWireClockReserved(facts.earlier.wire_clock_reserved_ns);
            earlier.setLastGeneration(facts.earlier.generations);
            put_capacity(m.getCapacity(), facts.capacity);
        });
    }

    // --- objects ---

    std::expected<Progress, Failure> objects() {
        Image image;
        for (;;) {
            switch (reader.next(image)) {
                case CutReader::Got::nothing_yet: return Progress::waiting;
                case CutReader::Got::end: {
                    const auto ok = put_batch();
                    reader.finish();
                    return then(ok, Stage::buffers);
                }
                case CutReader::Got::image: break;
                case CutReader::Got::overrun:
                case CutReader::Got::invalid:
                    reader.finish();
                    return refuse(Code::cut_overrun, "more changed behind the cut than its shadows hold");
            }
            if (!items.empty() && (is_full() || image.header.kind != kind)) return then(put_batch(), stage);
            take(image);
        }
    }
    [[nodiscard]] bool is_full() const {
        return items.size() == frame_objects_max || payload_bytes >= frame_payload_bytes_max;
    }
    void take(const Image& image) {
        kind = image.header.kind;
        items.push_back({image.header, raw.size()});
        raw.insert(raw.end(), image.bytes.begin(), image.bytes.end());
        raw.resize((raw.size() + 7) & ~std::size_t{7});
        auto& [objects, slots] = counts[static_cast<std::size_t>(kind) - 1];
        ++objects;
        slots = std::max(slots, image.header.index + 1);
        with_type([&]<class T>(std::type_identity<T>) {
            const T object = get<T>(items.back());
            for_each_slice(object, [&](const Slice& slice, std::size_t i) {
                payload_bytes += slice.length;
                if (used.size() <= slice.buffer) used.resize(slice.buffer + 1);
                used[slice.buffer] = std::max(used[slice.buffer], static_cast<std::uint32_t>(image.header.used[i]) + 1);
            });
        });
        reader.pop();
    }
    template <class T>
    [[nodiscard]] T get(const Item& item) const {
        T object;
        std::memcpy(static_cast<void*>(&object), raw.data() + item.at, sizeof(T));
        return object;
    }
    template <class F>
    void with_type(F&& f) {
        switch (kind) {
            case StateKind::stack: return f(std::type_identity<StackState>{});
            case StateKind::statistics: return f(std::type_identity<Statistics>{});
            case StateKind::interface: return f(std::type_identity<InterfaceState>{});
            case StateKind::address: return f(std::type_identity<AddressState>{});
            case StateKind::route: return f(std::type_identity<RouteState>{});
            case StateKind::neighbor: return f(std::type_identity<NeighborState>{});
            case StateKind::pending_packet: return f(std::type_identity<PendingPacketState>{});
            case StateKind::destination: return f(std::type_identity<DestinationState>{});
            case StateKind::socket: return f(std::type_identity<SocketState>{});
            case StateKind::tcp_connection: return f(std::type_identity<TcpConnectionState>{});
            case StateKind::tcp_listener: return f(std::type_identity<TcpListenerState>{});
            case StateKind::udp_socket: return f(std::type_identity<UdpSocketState>{});
            case StateKind::datagram: return f(std::type_identity<DatagramState>{});
            case StateKind::slice_node: return f(std::type_identity<SliceNodeState>{});
            case StateKind::invalid:
            case StateKind::count_: return;
        }
    }
    Done put_batch() {
        if (items.empty()) return {};
        auto ok = writer.frame([&](capnp::MessageBuilder& message) { fill(message.initRoot<schema::Frame>()); });
        items.clear();
        raw.clear();
        payload_bytes = 0;
        return ok;
    }
    void fill(schema::Frame::Builder frame) {
        const auto n = static_cast<unsigned>(items.size());
        switch (kind) {
            case StateKind::stack: return put_object<StackState>(items.front(), frame.initStack());
            case StateKind::statistics: return put_object<Statistics>(items.front(), frame.initStatistics());
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
                return put_payload<PendingPacketState>(m.initBytes(static_cast<unsigned>(payload_bytes)));
            }
            case StateKind::datagram: {
                auto m = frame.initDatagrams();
                put_objects<DatagramState>(m.initDatagrams(n));
                return put_payload<DatagramState>(m.initBytes(static_cast<unsigned>(payload_bytes)));
            }
            case StateKind::slice_node: {
                auto m = frame.initSliceNodes();
                put_objects<SliceNodeState>(m.initNodes(n));
                return put_payload<SliceNodeState>(m.initBytes(static_cast<unsigned>(payload_bytes)));
            }
            case StateKind::invalid:
            case StateKind::count_: return;
        }
    }
    template <class T, class M>
    void put_object(const Item& item, M m) {
        m.setIndex(item.header.index);
        m.setGeneration(item.header.generation);
        m.setStamp(stamp_of(item.header.stamp));
        const T object = get<T>(item);
        transfer(out, object, m);
    }
    /// All that anybody will ask: did it change behind the earlier cut that is outstanding?
    [[nodiscard]] std::uint32_t stamp_of(CutNumber stamp) const {
        if (facts.earlier.cut == 0) return 0;
        if (stamp <= facts.earlier.cut) return 1;
        return static_cast<std::uint32_t>(std::min<CutNumber>(stamp - facts.earlier.cut + 1, UINT32_MAX));
    }
    template <class T, class List>
    void put_objects(List list) {
        for (unsigned i = 0; i < items.size(); ++i) put_object<T>(items[i], list[i]);
    }
    /// Straight from the packet buffers: they are parked until the cut is read.
    template <class T>
    void put_payload(capnp::Data::Builder bytes) {
        auto* to = bytes.begin();
        for (const Item& item : items) {
            for_each_slice(get<T>(item), [&](const Slice& slice, std::size_t) {
                const ByteView from = reader.view(slice);
                to = std::copy(from.begin(), from.end(), to);
            });
        }
    }

    // --- what follows the objects ---

    Done put_buffers() {
        std::vector<std::uint32_t> buffers;
        for (std::uint32_t i = 0; i < used.size(); ++i) {
            if (used[i] != 0) buffers.push_back(i);
        }
        constexpr std::size_t part = 4096;
        for (std::size_t from = 0; from < buffers.size(); from += part) {
            const std::size_t n = std::min(part, buffers.size() - from);
            auto ok = writer.frame([&](capnp::MessageBuilder& message) {
                auto list = message.initRoot<schema::Frame>().initBuffers(static_cast<unsigned>(n));
                for (unsigned i = 0; i < n; ++i) {
                    list[i].setBuffer(buffers[from + i]);
                    list[i].setUsed(static_cast<std::uint16_t>(used[buffers[from + i]] - 1));
                }
            });
            if (!ok) return ok;
        }
        return {};
    }
    Done put_blob_part() {
        const Blob& b = options.blobs[blob];
        const std::size_t n = std::min(blob_part_bytes, b.bytes.size() - blob_at);
        auto ok = writer.frame([&](capnp::MessageBuilder& message) {
            auto m = message.initRoot<schema::Frame>().initBlob();
            m.setName(capnp::Text::Reader(b.name.c_str(), b.name.size()));
            m.setSize(b.bytes.size());
            m.setBytes(capnp::Data::Reader(b.bytes.data() + blob_at, n));
        });
        blob_at += n;
        if (blob_at == b.bytes.size()) {
            blob_at = 0;
            ++blob;
        }
        return ok;
    }
    Done put_trailer() {
        const std::uint64_t before = writer.frames();
        return writer.frame([&](capnp::MessageBuilder& message) {
            auto m = message.initRoot<schema::Frame>().initTrailer();
            auto kinds = m.initKinds(state_kinds);
            for (unsigned i = 0; i < state_kinds; ++i) {
                kinds[i].setObjects(counts[i].objects);
                kinds[i].setSlots(counts[i].slots);
            }
            m.setBlobs(static_cast<std::uint32_t>(options.blobs.size()));
            m.setFrames(before);
            m.setPacketBuffers(static_cast<std::uint32_t>(used.size()));
        });
    }

    struct Count {
        std::uint32_t objects = 0;
        std::uint32_t slots = 0;
    };

    CutReader reader;
    EncodeOptions options;
    CutFacts facts;
    Out out;
    FrameWriter writer;
    bool is_known = false;
    Stage stage = Stage::header;
    StateKind kind = StateKind::invalid;  ///< of the batch
    std::vector<Item> items{};
    std::vector<std::byte> raw{};
    std::size_t payload_bytes = 0;
    std::vector<std::uint32_t> used{};    ///< by buffer: 1 + PacketPool::used; 0: not named
    std::array<Count, state_kinds> counts{};
    std::size_t blob = 0;
    std::size_t blob_at = 0;
};

Encoder::Encoder(Stack& stack, CutId cut, EncodeOptions options, Sink& sink)
    : work_(std::make_unique<Work>(stack.core(), cut, std::move(options), sink)) {}
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;
Encoder::~Encoder() = default;

std::expected<Encoder::Progress, Failure> Encoder::step() {
    try {
        return work_->step();
    } catch (const kj::Exception& e) {
        return refuse(Code::input_output, std::string("cannot encode: ") + e.getDescription().cStr());
    }
}

std::expected<void, Failure> encode(Stack& stack, CutId cut, EncodeOptions options, Sink& sink) {
    Encoder encoder(stack, cut, std::move(options), sink);
    for (bool is_swept = false;;) {
        const auto progress = encoder.step();
        if (!progress) return std::unexpected(progress.error());
        if (*progress == Encoder::Progress::done) return {};
        if (*progress != Encoder::Progress::waiting) continue;
        if (is_swept) return refuse(Code::unknown_cut, "this cut is no longer there to be read");
        is_swept = !stack.sweep();
    }
}

std::expected<CutId, Failure> save(Stack& stack, SnapshotStore& store, EncodeOptions options) {
    const auto cut = stack.cut();
    if (!cut) return refuse(Code::unknown_cut, "no cut possible: " + std::string(name(cut.error())));
    const auto written = [&]() -> Done {
        auto writer = store.begin();
        if (!writer) return std::unexpected(writer.error());
        if (auto ok = encode(stack, *cut, std::move(options), **writer); !ok) return ok;
        return (*writer)->commit();
    }();
    if (!written) {
        (void)stack.abandoned(*cut);
        return std::unexpected(written.error());
    }
    (void)stack.committed(*cut);
    return *cut;
}

}  // namespace keepnet::checkpoint
