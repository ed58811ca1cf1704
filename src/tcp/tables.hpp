// What TCP keeps beside the state to find things fast. All of it is derived: rebuild() makes it anew from the
// connections, listeners and sockets, and nothing of it is in a snapshot.
#pragma once

#include <cstdint>
#include <optional>

#include <keepnet/config.hpp>

#include "base/arena.hpp"
#include "base/bit_tree.hpp"
#include "base/siphash.hpp"
#include "state/world.hpp"

namespace keepnet::tcp {

/// Finds connections by their four numbers. Open addressing: linear probing, removal by moving back what
/// follows.
class PairTable {
  public:
    static constexpr std::uint32_t none = 0xffff'ffff;

    void place(ArenaCarver& carver, std::uint32_t connections);
    void clear(const HashKey& key);
    /// The connection must not be in it, nor another one with its four numbers.
    void insert(const Slab<TcpConnectionState>& connections, std::uint32_t connection);
    void erase(const Slab<TcpConnectionState>& connections, std::uint32_t connection);
    /// `interface`: where the segment came in; it matters for link-local addresses (RFC 4007).
    [[nodiscard]] std::uint32_t find(const Slab<TcpConnectionState>& connections, const Endpoint& local,
                                     const Endpoint& remote) const;

  private:
    struct Slot {
        std::uint32_t connection_plus_one;
        std::uint32_t hash;
    };
    [[nodiscard]] std::uint32_t hash(const Endpoint& local, const Endpoint& remote) const;
    [[nodiscard]] std::uint32_t slot_of(std::uint32_t connection, std::uint32_t hash) const;

    Slot* slots_ = nullptr;
    std::uint32_t mask_ = 0;
    HashKey key_{};
};

/// Derived of one connection.
struct ConnectionExtra {
    Link cursor{};              ///< a node of the send queue at or before snd.nxt
    std::uint32_t granted = 0;  ///< bytes of its receive buffer that are promised or in use
    bool in_pairs = false;
    bool is_spent = false;      ///< in the pair table as is_spent() says, and not in port_uses
    CutNumber moved_in = 0;  ///< number of the coming cut when ...
    Instant moved_at{};      ///< ... something first went past the marks
};

struct Tables {
    PairTable pairs;
    BitTree run;   ///< connections that may have something to send
    BitTree held;  ///< connections whose ends are past their marks, or dead with the death not durable
    BitTree waiting_send;  ///< sockets that found no packet buffer for send()
    BitTree bound;         ///< TCP sockets counted in port_uses
    ConnectionExtra* extra = nullptr;
    std::uint32_t* port_uses = nullptr;  ///< by port: bound sockets, listeners and connections
    std::uint64_t granted_total = 0;
    std::uint32_t tombstones = 0;
    std::uint32_t spent = 0;     ///< connections for which is_spent() holds
    /// The smallest DurableMarks::held_since of those that wait for a snapshot, and for the journal; may be too early while
    /// held_stale.
    Instant held_since = never;
    Instant flush_since = never;
    bool held_stale = false;

    void place(ArenaCarver& carver, const StackConfig& config);
    /// Empties everything. `secret`: nobody outside must be able to make connections collide.
    void clear(const World& w, const HashKey& secret);
};

}  // namespace keepnet::tcp
