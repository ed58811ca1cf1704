// All the state of one stack: views of the slabs in the arena, in the order of StateKind. The views hold pointers
// and are made anew wherever the arena is; what they show is the value that a snapshot holds.
#pragma once

#include <cstdint>

#include <keepnet/config.hpp>
#include <keepnet/statistics.hpp>
#include <keepnet/time.hpp>

#include "base/arena.hpp"
#include "base/cut_control.hpp"
#include "base/deadline_queue.hpp"
#include "base/packet_pool.hpp"
#include "base/slab.hpp"
#include "state/interface_state.hpp"
#include "state/kinds.hpp"
#include "state/neighbor_state.hpp"
#include "state/sent_range_state.hpp"
#include "state/slice_node_state.hpp"
#include "state/socket_state.hpp"
#include "state/stack_state.hpp"
#include "state/tcp_connection_state.hpp"

namespace keepnet {

/// The first object of every arena.
struct ArenaHeader {
    std::uint64_t magic = 0;
    std::uint64_t layout_hash = 0;       ///< ArenaCarver::layout_hash(): build and capacities
    std::uint64_t bytes = 0;
    std::uint64_t steps = 0;             ///< how many steps have ended
    std::uint64_t in_step = 0;           ///< not 0: a step has begun and not ended
    std::uint64_t generations = 0;       ///< the one counter behind all handles
    CutControl cuts{};
    StackConfig config{};
};

inline constexpr std::uint64_t arena_magic = 0x0074'656e'7065'656bU;  // "keepnet"

class World {
  public:
    /// Sizes (carver over nothing) or places every array. Reads nothing of the memory.
    void place(ArenaCarver& carver, const StackConfig& config);
    /// Once, over zeroed memory: an empty state. The two singletons exist afterwards.
    void initialize(const StackConfig& config);

    ArenaHeader* header = nullptr;
    Slab<StackState> stacks;
    Slab<Statistics> statistics;
    Slab<InterfaceState> interfaces;
    Slab<AddressState> addresses;
    Slab<RouteState> routes;
    Slab<NeighborState> neighbors;
    Slab<PendingPacketState> pending_packets;
    Slab<DestinationState> destinations;
    Slab<SocketState> sockets;
    Slab<TcpConnectionState> connections;
    Slab<TcpListenerState> listeners;
    Slab<UdpSocketState> udp_sockets;
    Slab<DatagramState> datagrams;
    Slab<SliceNodeState> slice_nodes;
    Slab<SentRangeState> sent_ranges;
    PacketPool pool;
    DeadlineQueue timers;                ///< derived
    UndoBlock* undo = nullptr;           ///< of the step under way; null: steps cannot be taken back
    BitTree changed_sockets;             ///< derived: next_ready() has not given them yet
    std::uint64_t grant_room = UINT64_MAX; ///< derived: bytes by which all granted windows together may grow (journal)
    bool address_lost = false;           ///< derived: who uses an address that is no longer ours is to be told
    bool addresses_changed = false;      ///< derived: the embedder is to be told

    void set_undo(UndoBlock* block) {
        undo = block;
        pool.keep_freed(block != nullptr);
        for_each_slab([&](auto& slab) { slab.set_undo(block); });
    }
    [[nodiscard]] const StackConfig& config() const { return header->config; }
    [[nodiscard]] CutControl& cuts() const { return header->cuts; }
    [[nodiscard]] const StackState& stack() const { return stacks.get(0U); }
    StackState& edit_stack() { return stacks.edit(0U); }
    Statistics& count() { return statistics.edit(0U); }
    void drop(DropReason reason) { ++count().drops[static_cast<std::size_t>(reason)]; }

    /// Something about the socket's readiness may have changed; call it for each event the application may wait for.
    void notify(Handle<SocketState> socket) {
        if (sockets.find(socket) != nullptr) changed_sockets.set(socket.index());
    }

    /// f(slab) for each slab, in the order of StateKind.
    template <class F>
    void for_each_slab(F&& f) {
        f(stacks), f(statistics), f(interfaces), f(addresses), f(routes), f(neighbors), f(pending_packets);
        f(destinations), f(sockets), f(connections), f(listeners), f(udp_sockets), f(datagrams), f(slice_nodes), f(sent_ranges);
    }

    // --- timers: one for each object that has deadlines ---

    /// Starts, moves or (with `never`) stops the timer of object `index` of one of the kinds below.
    void arm(StateKind kind, std::uint32_t index, Deadline deadline) {
        timers.schedule(timer_base(kind) + index, deadline);
    }
    struct Timer {
        StateKind kind = StateKind::invalid;
        std::uint32_t index = 0;
    };
    /// Stops and gives the earliest timer that has expired; kind `invalid`: none has.
    Timer take_expired(Instant now);

  private:
    /// stack, interface, address, route, neighbor, destination, tcp_connection: in this order within one instant.
    [[nodiscard]] std::uint32_t timer_base(StateKind kind) const;
    [[nodiscard]] std::uint32_t timer_count() const;
};

/// What every protocol function is given: the state, and what time it is.
struct Context {
    World& w;
    Instant now;
};

/// Takes a token; false when the limit is reached. `per_second` 0: never a token.
bool take_token(RateLimitState& limit, std::uint32_t per_second, std::uint32_t burst, Instant now);

/// The clock of TSval and ISNs, in nanoseconds; never runs back, also over restores (DURABILITY 1).
[[nodiscard]] inline std::int64_t wire_clock_ns(const StackState& s, Instant now) {
    const std::int64_t t = now.ns + s.wire_clock_offset.ns;
    return t < s.wire_clock_ceiling_ns ? t : s.wire_clock_ceiling_ns;
}

}  // namespace keepnet
