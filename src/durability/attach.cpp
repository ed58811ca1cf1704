#include "durability/attach.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <keepnet/journal.hpp>

#include "durability/fields.hpp"
#include "durability/resume.hpp"
#include "ip/ip.hpp"
#include "nd/nd.hpp"
#include "state/limits.hpp"
#include "tcp/tcp.hpp"
#include "udp/udp.hpp"

namespace keepnet::durability {
namespace {

constexpr std::int64_t time_limit_ns = INT64_MAX / 4;  ///< sums of two stay representable

// The largest enumerator of each enumeration of the state, and whether 0 may stand there.
template <class E>
struct Range;
template <>
struct Range<TcpPhase> {
    static constexpr auto last = TcpPhase::time_wait;
    static constexpr bool zero = false;
};
template <>
struct Range<DurabilityPolicy> {
    static constexpr auto last = DurabilityPolicy::untracked;
    static constexpr bool zero = false;
};
template <>
struct Range<CongestionAlgorithm> {
    static constexpr auto last = CongestionAlgorithm::cubic;
    static constexpr bool zero = false;
};
template <>
struct Range<EcnMode> {
    static constexpr auto last = EcnMode::request;
    static constexpr bool zero = false;
};
template <>
struct Range<Verdict> {
    static constexpr auto last = last_verdict;
    static constexpr bool zero = false;
};
template <>
struct Range<Error> {
    static constexpr auto last = last_error;
    static constexpr bool zero = true;  // no error
};
template <>
struct Range<SocketKind> {
    static constexpr auto last = SocketKind::udp;
    static constexpr bool zero = false;
};
template <>
struct Range<SuspendPhase> {
    static constexpr auto last = SuspendPhase::suspended;
    static constexpr bool zero = false;
};
template <>
struct Range<FrtoStep> {
    static constexpr auto last = FrtoStep::sent_new;
    static constexpr bool zero = false;
};
template <>
struct Range<NeighborPhase> {
    static constexpr auto last = NeighborPhase::probe;
    static constexpr bool zero = false;
};
template <>
struct Range<SendLimit> {
    static constexpr auto last = SendLimit::buffer;
    static constexpr bool zero = true;  // idle
};

/// Each leaf by itself. A bool is looked at as a byte: whatever memory holds, reading it must be defined.
struct LeafCheck {
    std::string_view& what;

    void operator()(const bool& b) const {
        std::uint8_t raw = 0;
        std::memcpy(&raw, &b, 1);
        if (raw > 1) what = "a truth value that is neither";
    }
    void operator()(const Instant& t) const {
        if (!is_deadline_sane(t)) what = "an instant out of range";
    }
    void operator()(const Instant& t, Ages) const { (*this)(t); }
    void operator()(const Duration& d) const {
        if (d.ns < -time_limit_ns || d.ns > time_limit_ns) what = "a duration out of range";
    }
    template <class T>
    void operator()(const T& value) const {
        if constexpr (std::is_enum_v<T>) {
            const auto raw = static_cast<std::underlying_type_t<T>>(value);
            if (raw > static_cast<std::underlying_type_t<T>>(Range<T>::last) || (raw == 0 && !Range<T>::zero)) {
                what = "an enumeration out of range";
            }
        }
    }
};

class Checker {
  public:
    Checker(const World& w, const HashKey& key) : w_(w), key_(key) {}

    std::optional<Fault> run() {
        check_slabs();
        if (!fault_) check_leaves();
        if (!fault_) check_stack();
        if (!fault_) check_addresses();
        if (!fault_) check_slices();
        if (!fault_) check_sockets();
        if (!fault_) check_connections();
        if (!fault_) check_listeners();
        if (!fault_) check_udp();
        if (!fault_) check_owners();
        if (!fault_) check_protocols();
        return fault_;
    }

  private:
    /// Keyed sums over a set of slots: two sets with the same count and sum are the same set, unless somebody guesses
    /// the key. So that every link has exactly one owner can be checked without memory of its own.
    struct Tally {
        std::uint64_t count = 0;
        std::uint64_t sum = 0;
        friend bool operator==(const Tally&, const Tally&) = default;
    };

    void fail(StateKind kind, std::uint32_t index, std::string_view what) {
        if (!fault_) fault_ = Fault{kind, index, what};
    }
    void require(bool holds, StateKind kind, std::uint32_t index, std::string_view what) {
        if (!holds) fail(kind, index, what);
    }
    [[nodiscard]] std::uint64_t weight(StateKind kind, std::uint32_t index) const {
        const std::uint64_t words[] = {static_cast<std::uint64_t>(kind) << 32 | index};
        return hash13_words(key_, words);
    }
    void tally(Tally& t, StateKind kind, std::uint32_t index) const {
        ++t.count;
        t.sum += weight(kind, index);
    }
    template <class T>
    Tally tally_all(const Slab<T>& slab) const {
        Tally t;
        slab.for_each([&](std::uint32_t i, const T&) { tally(t, static_cast<StateKind>(slab.kind()), i); });
        return t;
    }

    template <class F>
    void each_slab(F&& f) {
        f(w_.stacks), f(w_.statistics), f(w_.interfaces), f(w_.addresses), f(w_.routes), f(w_.neighbors);
        f(w_.pending_packets), f(w_.destinations), f(w_.sockets), f(w_.connections), f(w_.listeners);
        f(w_.udp_sockets), f(w_.datagrams), f(w_.slice_nodes), f(w_.sent_ranges);
    }
    void check_slabs() {
        each_slab([&](const auto& slab) {
            require(slab.is_sane(), static_cast<StateKind>(slab.kind()), 0, "slots that make no sense");
        });
        require(w_.header->generations <= handle_generation_max, StateKind::stack, 0, "the counter behind all handles");
        require(w_.stacks.is_live(0) && w_.statistics.is_live(0), StateKind::stack, 0, "there is none");
    }
    void check_leaves() {
        each_slab([&](const auto& slab) {
            slab.for_each([&](std::uint32_t i, const auto& object) {
                std::string_view what;
                for_each_field(object, LeafCheck{what});
                if (!what.empty()) fail(static_cast<StateKind>(slab.kind()), i, what);
            });
        });
    }
    void check_stack() {
        const StackState& s = w_.stack();
        require(is_valid(s.random), StateKind::stack, 0, "the random generator's buffer");
        require(is_instant_sane(s.now), StateKind::stack, 0, "no time");
        const auto is_wire_clock = [](std::int64_t ns) { return ns >= 0 && ns <= wire_clock_last_ns; };
        require(s.journal_stack < Journal::stacks_max, StateKind::stack, 0, "its place in the journal");
        if (!is_instant_sane(s.now)) return;
        require(is_wire_clock(s.now.ns + s.wire_clock_offset.ns) && is_wire_clock(s.wire_clock_resumed_ns) &&
                    s.wire_clock_ceiling_ns >= 0,
                StateKind::stack, 0, "the wire clock");
    }

    // --- interfaces, addresses, routes, neighbours ---

    [[nodiscard]] bool may_be_interface(InterfaceIndex interface) const {
        return interface == 0 || w_.interfaces.is_live(interface - 1);
    }
    void check_addresses() {
        w_.interfaces.for_each([&](std::uint32_t i, const InterfaceState&) {
            require(ip::is_interface_sane(w_, i), StateKind::interface, i, "a field of an interface");
        });
        w_.addresses.for_each([&](std::uint32_t i, const AddressState&) {
            require(ip::is_address_sane(w_, i), StateKind::address, i, "a field of an address");
        });
        w_.routes.for_each([&](std::uint32_t i, const RouteState&) {
            require(ip::is_route_sane(w_, i), StateKind::route, i, "a field of a route");
        });
        w_.destinations.for_each([&](std::uint32_t i, const DestinationState&) {
            require(ip::is_destination_sane(w_, i), StateKind::destination, i, "a field of a path");
        });
        Tally owned;
        w_.neighbors.for_each([&](std::uint32_t i, const NeighborState& s) {
            require(nd::is_neighbor_sane(w_, i), StateKind::neighbor, i, "a field of a neighbour");
            walk(w_.pending_packets, s.pending_head, s.pending_tail, s.pending_count, owned, StateKind::neighbor, i);
        });
        require(owned == tally_all(w_.pending_packets), StateKind::pending_packet, 0, "not in exactly one queue");
    }

    // --- chains ---

    /// A chain of exactly `count` live objects that ends in `tail`.
    template <class T, class F>
    void walk(const Slab<T>& slab, Link head, Link tail, std::uint32_t count, Tally& owned, StateKind kind,
              std::uint32_t index, F&& each) {
        require(count <= slab.in_use() && (count == 0) == !head && !head == !tail, kind, index, "queue");
        Link last{};
        Link at = head;
        for (std::uint32_t n = 0; n < count && !fault_; ++n) {
            if (!at || !slab.is_live(at.index())) return fail(kind, index, "a queue's link leads nowhere");
            tally(owned, static_cast<StateKind>(slab.kind()), at.index());
            const T& object = slab.get(at.index());
            each(object);
            last = at;
            at = object.next;
        }
        require(!at && last == tail, kind, index, "a queue's end");
    }
    template <class T>
    void walk(const Slab<T>& slab, Link head, Link tail, std::uint32_t count, Tally& owned, StateKind kind,
              std::uint32_t index) {
        walk(slab, head, tail, count, owned, kind, index, [](const T&) {});
    }
    void check_queue(const ByteQueueState& queue, Tally& owned, std::uint32_t connection) {
        std::uint64_t bytes = 0;
        walk(w_.slice_nodes, queue.head, queue.tail, queue.nodes, owned, StateKind::tcp_connection, connection,
             [&](const SliceNodeState& node) { bytes += node.slice.length; });
        require(bytes == queue.bytes, StateKind::tcp_connection, connection, "bytes in a queue");
    }

    // --- slices ---

    void check_slices() {
        w_.pending_packets.for_each([&](std::uint32_t i, const PendingPacketState& s) {
            require(s.header_length <= pending_header_bytes && s.slice_count <= pending_slices,
                    StateKind::pending_packet, i, "lengths");
            for (std::size_t k = 0; k < s.slice_count && !fault_; ++k) {
                require(is_slice_sane(w_.pool, s.slices[k]), StateKind::pending_packet, i, "slice");
            }
        });
        w_.datagrams.for_each([&](std::uint32_t i, const DatagramState& s) {
            require(s.payload.length == 0 || is_slice_sane(w_.pool, s.payload), StateKind::datagram, i, "slice");
            require(may_be_interface(s.interface), StateKind::datagram, i, "interface");
            require(s.after_cut <= w_.cuts().current, StateKind::datagram, i, "cut");
        });
        w_.slice_nodes.for_each([&](std::uint32_t i, const SliceNodeState& s) {
            require(is_slice_sane(w_.pool, s.slice), StateKind::slice_node, i, "slice");
        });
    }

    // --- sockets and what they own ---

    void check_sockets() {
        w_.sockets.for_each([&](std::uint32_t i, const SocketState& s) {
            const auto self = w_.sockets.handle_of(i);
            const TcpConnectionState* c = w_.connections.find(s.connection);
            const TcpListenerState* l = w_.listeners.find(s.listener);
            const UdpSocketState* u = w_.udp_sockets.find(s.udp);
            require((!s.connection || (c != nullptr && c->socket == self)) &&
                        (!s.listener || (l != nullptr && l->socket == self)) &&
                        (!s.udp || (u != nullptr && u->socket == self)),
                    StateKind::socket, i, "names something that is not its own");
            const bool is_udp = s.kind == SocketKind::udp;
            require(is_udp == (u != nullptr) && !(is_udp && (c != nullptr || l != nullptr)) &&
                        (c == nullptr || l == nullptr),
                    StateKind::socket, i, "kind");
            check_endpoints(s.local, s.remote, StateKind::socket, i);
        });
    }
    void check_endpoints(const Endpoint& local, const Endpoint& remote, StateKind kind, std::uint32_t index) {
        require(may_be_interface(local.interface) && may_be_interface(remote.interface), kind, index, "interface");
    }
    void check_connections() {
        Tally owned;
        Tally sent;
        w_.connections.for_each([&](std::uint32_t i, const TcpConnectionState& c) {
            if (fault_) return;
            const SocketState* socket = w_.sockets.find(c.socket);
            require(!c.socket || (socket != nullptr && socket->connection == w_.connections.handle_of(i)),
                    StateKind::tcp_connection, i, "socket");
            require(!c.listener || w_.listeners.find(c.listener) != nullptr, StateKind::tcp_connection, i, "listener");
            check_endpoints(c.local, c.remote, StateKind::tcp_connection, i);
            require(c.marks.died_after <= w_.cuts().current, StateKind::tcp_connection, i, "cut");
            check_queue(c.send_queue, owned, i);
            check_queue(c.receive_queue, owned, i);
            check_queue(c.out_of_order, owned, i);
            walk(w_.sent_ranges, c.sack.head, c.sack.tail, c.sack.ranges, sent, StateKind::tcp_connection, i);
        });
        require(sent == tally_all(w_.sent_ranges), StateKind::sent_range, 0, "not in exactly one list");
        require(owned == tally_all(w_.slice_nodes), StateKind::slice_node, 0, "not in exactly one queue");
    }
    void check_listeners() {
        w_.listeners.for_each([&](std::uint32_t i, const TcpListenerState& l) {
            const SocketState* socket = w_.sockets.find(l.socket);
            require(!l.socket || (socket != nullptr && socket->listener == w_.listeners.handle_of(i)),
                    StateKind::tcp_listener, i, "socket");
            require(may_be_interface(l.local.interface), StateKind::tcp_listener, i, "interface");
            require(l.died_after <= w_.cuts().current, StateKind::tcp_listener, i, "cut");
            // No two accept queues meet: each holds its own listener's connections alone.
            if (!fault_) require(tcp::is_listener_sane(w_, i), StateKind::tcp_listener, i, "a rule of TCP");
        });
    }
    void check_udp() {
        Tally owned;
        w_.udp_sockets.for_each([&](std::uint32_t i, const UdpSocketState& u) {
            const SocketState* socket = w_.sockets.find(u.socket);
            require(socket != nullptr && socket->udp == w_.udp_sockets.handle_of(i), StateKind::udp_socket, i, "socket");
            walk(w_.datagrams, u.receive_head, u.receive_tail, u.receive_count, owned, StateKind::udp_socket, i);
            walk(w_.datagrams, u.held_head, u.held_tail, u.held_count, owned, StateKind::udp_socket, i);
            if (!fault_) require(udp::is_sane(w_, i), StateKind::udp_socket, i, "a field of a UDP socket");
        });
        require(owned == tally_all(w_.datagrams), StateKind::datagram, 0, "not in exactly one queue");
    }
    void check_owners() {
        const CutControl& cuts = w_.cuts();
        require(cuts.current != 0 && cuts.current <= cut_number_max, StateKind::stack, 0, "the number of the next cut");
        for (const CutNumber cut : cuts.outstanding) {
            require(cut < cuts.current, StateKind::stack, 0, "a cut that was never taken");
        }
    }
    void check_protocols() {
        w_.connections.for_each([&](std::uint32_t i, const TcpConnectionState&) {
            if (!fault_) require(tcp::is_sane(w_, i), StateKind::tcp_connection, i, "a rule of TCP");
        });
    }

    const World& w_;
    HashKey key_;
    std::optional<Fault> fault_{};
};

}  // namespace

std::expected<void, Error> check_header(std::span<const std::byte> arena, std::uint64_t layout_hash,
                                        std::size_t bytes) {
    if (reinterpret_cast<std::uintptr_t>(arena.data()) % arena_alignment != 0) {
        return std::unexpected(Error::arena_misaligned);
    }
    if (arena.size() < bytes || arena.size() < sizeof(ArenaHeader)) return std::unexpected(Error::arena_too_small);
    const auto word = [&](std::size_t offset) {
        std::uint64_t value = 0;
        std::memcpy(&value, arena.data() + offset, sizeof value);
        return value;
    };
    if (word(offsetof(ArenaHeader, magic)) != arena_magic ||
        word(offsetof(ArenaHeader, layout_hash)) != layout_hash || word(offsetof(ArenaHeader, bytes)) != bytes) {
        return std::unexpected(Error::arena_foreign);
    }
    if (word(offsetof(ArenaHeader, in_step)) != 0) return std::unexpected(Error::arena_in_step);
    return {};
}

std::optional<Fault> find_fault(const World& w, const HashKey& key) { return Checker(w, key).run(); }

bool recount_buffers(World& w) {
    bool fits = true;
    const auto count = [&](const Slice& slice) { fits = fits && w.pool.recount(slice); };
    w.pending_packets.for_each([&](std::uint32_t, const PendingPacketState& packet) {
        for (std::size_t i = 0; i < packet.slice_count; ++i) count(packet.slices[i]);
    });
    w.datagrams.for_each([&](std::uint32_t, const DatagramState& datagram) {
        if (datagram.payload.length != 0) count(datagram.payload);
    });
    w.slice_nodes.for_each([&](std::uint32_t, const SliceNodeState& node) { count(node.slice); });
    return fits;
}

bool rebuild_storage(World& w, SweepQueue& queue) {
    CutControl& cuts = w.cuts();
    cuts = {.current = cuts.current, .outstanding = {}};
    queue.initialize();
    w.for_each_slab([](auto& slab) { slab.rebuild(); });
    w.timers.reset();
    w.pool.reset();
    return recount_buffers(w);
}

}  // namespace keepnet::durability
