// Walks the frames of one layer and gives each object to a visitor, with the bytes it names; and sees that their order,
// their payload and the trailer's counts fit, whatever the file holds.
//
//     visitor.object(std::type_identity<T>{}, message, payload)    visitor.freed(kind, slot)
//     visitor.buffer(number, used)                                 visitor.blob(message)
#pragma once

#include <string_view>

#include "checkpoint/layer.hpp"

namespace keepnet::checkpoint {

template <class Visitor>
class LayerReader {
  public:
    LayerReader(const Layer& layer, Visitor& visitor) : layer_(layer), visitor_(visitor) {}

    /// Empty: everything was read. The visitor may fail(), too.
    std::expected<void, Failure> run() {
        const auto read = guarded([&]() -> std::expected<void, Failure> {
            const auto& frames = layer_.envelope.frames;
            for (std::size_t i = 1; i + 1 < frames.size() && fault_.empty(); ++i) take(FrameReader(frames[i]));
            return {};
        });
        if (!read) return read;
        if (fault_.empty()) check_counts();
        if (!fault_.empty()) return damaged(std::string(fault_));
        return {};
    }
    void fail(std::string_view what) {
        if (fault_.empty()) fault_ = what;
    }

  private:
    /// Kinds come in the order of the frames, slots in ascending order: nothing comes twice.
    void enter(StateKind kind) {
        if (kind < last_kind_) fail("frames in another order");
        last_kind_ = kind;
    }
    template <StateKind kind, class T, class M>
    void take_object(M m, ByteView payload) {
        if (!fault_.empty()) return;
        const std::uint32_t index = m.getIndex();
        Layer::Count& count = seen_[static_cast<std::size_t>(kind) - 1];
        if (index < count.slots || index >= handle_index_max) return fail("slots out of order");
        ++count.objects;
        count.slots = index + 1;
        visitor_.object(*this, std::type_identity<T>{}, kind, m, payload);
    }
    template <StateKind kind, class T, class List>
    void take_all(List list) {
        enter(kind);
        for (const auto m : list) {
            if (!fault_.empty()) return;
            take_object<kind, T>(m, {});
        }
    }
    /// The bytes under the slices of one frame's objects stand one after the other.
    template <StateKind kind, class T, class List, class Length>
    void take_all(List list, capnp::Data::Reader bytes, Length&& length_of) {
        enter(kind);
        std::size_t at = 0;
        for (const auto m : list) {
            if (!fault_.empty()) return;
            const std::size_t length = length_of(m);
            if (bytes.size() - at < length) return fail("payload is missing");
            take_object<kind, T>(m, ByteView(bytes.begin() + at, length));
            at += length;
        }
        if (at != bytes.size()) fail("payload that belongs to nothing");
    }
    void take_freed(schema::Freed::Reader m) {
        enter(StateKind::count_);
        if (!layer_.is_increment()) return fail("freed slots in what is no increment");
        if (m.getKind() >= state_kinds || m.getKind() < freed_kind_) return fail("freed slots of an unknown kind");
        if (m.getKind() != freed_kind_) next_freed_ = 0;
        freed_kind_ = m.getKind();
        for (const std::uint32_t slot : m.getSlots()) {
            if (slot < next_freed_ || slot >= handle_index_max) return fail("freed slots out of order");
            next_freed_ = slot + 1;
            visitor_.freed(static_cast<StateKind>(freed_kind_ + 1), slot);
        }
    }
    void take_buffers(capnp::List<schema::Buffer>::Reader list) {
        enter(StateKind::count_);
        for (const auto m : list) {
            const std::uint32_t buffer = m.getBuffer();
            if (buffer < next_buffer_ || buffer >= handle_index_max) return fail("buffers out of order");
            next_buffer_ = buffer + 1;
            if (m.getUsed() > packet_buffer_bytes) return fail("a buffer that is too full");
            visitor_.buffer(*this, buffer, m.getUsed());
        }
    }
    void take_blob(schema::Blob::Reader m) {
        enter(StateKind::count_);
        visitor_.blob(*this, m);
    }
    void take(const FrameReader& frame) {
        const auto one = [](const auto& m) { return std::array{m}; };
        switch (frame->which()) {
            case schema::Frame::STACK: return take_all<StateKind::stack, StackState>(one(frame->getStack()));
            case schema::Frame::STATISTICS: return take_all<StateKind::statistics, Statistics>(one(frame->getStatistics()));
            case schema::Frame::INTERFACES: return take_all<StateKind::interface, InterfaceState>(frame->getInterfaces());
            case schema::Frame::ADDRESSES: return take_all<StateKind::address, AddressState>(frame->getAddresses());
            case schema::Frame::ROUTES: return take_all<StateKind::route, RouteState>(frame->getRoutes());
            case schema::Frame::NEIGHBORS: return take_all<StateKind::neighbor, NeighborState>(frame->getNeighbors());
            case schema::Frame::PENDING_PACKETS: return take_pending(frame->getPendingPackets());
            case schema::Frame::DESTINATIONS:
                return take_all<StateKind::destination, DestinationState>(frame->getDestinations());
            case schema::Frame::SOCKETS: return take_all<StateKind::socket, SocketState>(frame->getSockets());
            case schema::Frame::CONNECTIONS:
                return take_all<StateKind::tcp_connection, TcpConnectionState>(frame->getConnections());
            case schema::Frame::LISTENERS: return take_all<StateKind::tcp_listener, TcpListenerState>(frame->getListeners());
            case schema::Frame::UDP_SOCKETS: return take_all<StateKind::udp_socket, UdpSocketState>(frame->getUdpSockets());
            case schema::Frame::DATAGRAMS: {
                const auto m = frame->getDatagrams();
                return take_all<StateKind::datagram, DatagramState>(
                    m.getDatagrams(), m.getBytes(), [](const auto& d) { return d.getPayload().getLength(); });
            }
            case schema::Frame::SLICE_NODES: {
                const auto m = frame->getSliceNodes();
                return take_all<StateKind::slice_node, SliceNodeState>(
                    m.getNodes(), m.getBytes(), [](const auto& n) { return n.getSlice().getLength(); });
            }
            case schema::Frame::SENT_RANGES:
                return take_all<StateKind::sent_range, SentRangeState>(frame->getSentRanges());
            case schema::Frame::FREED: return take_freed(frame->getFreed());
            case schema::Frame::BUFFERS: return take_buffers(frame->getBuffers());
            case schema::Frame::BLOB: return take_blob(frame->getBlob());
            case schema::Frame::INVALID:
            case schema::Frame::HEADER:
            case schema::Frame::TRAILER: return fail("a frame out of place");
        }
        fail("a frame of unknown kind");
    }
    void take_pending(schema::PendingPackets::Reader m) {
        take_all<StateKind::pending_packet, PendingPacketState>(m.getPackets(), m.getBytes(), [](const auto& packet) {
            std::size_t length = 0;
            const auto slices = packet.getSlices();
            for (unsigned i = 0; i < slices.size() && i < pending_slices; ++i) length += slices[i].getLength();
            return length;
        });
    }
    void check_counts() {
        for (std::size_t i = 0; i < state_kinds; ++i) {
            if (seen_[i].objects != layer_.counts[i].objects || seen_[i].slots != layer_.counts[i].slots) {
                return fail("the trailer counts other objects");
            }
        }
        if (next_buffer_ != layer_.packet_buffers) fail("the trailer counts other buffers");
    }

    const Layer& layer_;
    Visitor& visitor_;
    std::array<Layer::Count, state_kinds> seen_{};
    StateKind last_kind_ = StateKind::invalid;
    std::size_t freed_kind_ = 0;
    std::uint32_t next_freed_ = 0;
    std::uint32_t next_buffer_ = 0;
    std::string_view fault_{};
};

}  // namespace keepnet::checkpoint
