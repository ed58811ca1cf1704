#include "tcp/tables.hpp"

#include <array>
#include <bit>

#include <keepnet/assert.hpp>

namespace keepnet::tcp {

namespace {

constexpr std::uint32_t ports = 65536;

/// The zone counts only where an address means something else on each link.
bool same_place(const Endpoint& a, const Endpoint& b) {
    return a.port == b.port && a.address == b.address &&
           (!a.address.is_link_local() || a.interface == b.interface);
}

}  // namespace

void PairTable::place(ArenaCarver& carver, std::uint32_t connections) {
    const std::uint32_t slots = std::bit_ceil(connections * 2 + 2);
    slots_ = carver.take<Slot>(slots);
    mask_ = slots - 1;
}

void PairTable::clear(const HashKey& key) {
    key_ = key;
    for (std::uint32_t i = 0; i <= mask_; ++i) {
        if (slots_[i].connection_plus_one != 0) slots_[i] = {};
    }
}

std::uint32_t PairTable::hash(const Endpoint& local, const Endpoint& remote) const {
    std::array<std::uint64_t, 5> words;
    __builtin_memcpy(words.data(), local.address.octets.data(), 16);
    __builtin_memcpy(words.data() + 2, remote.address.octets.data(), 16);
    words[4] = std::uint64_t{local.port} << 16 | remote.port;
    return static_cast<std::uint32_t>(hash13_words(key_, words));
}

void PairTable::insert(const Slab<TcpConnectionState>& connections, std::uint32_t connection) {
    const TcpConnectionState& c = connections.get(connection);
    const std::uint32_t h = hash(c.local, c.remote);
    std::uint32_t i = h & mask_;
    while (slots_[i].connection_plus_one != 0) i = (i + 1) & mask_;
    slots_[i] = {connection + 1, h};
}

std::uint32_t PairTable::slot_of(std::uint32_t connection, std::uint32_t h) const {
    std::uint32_t i = h & mask_;
    while (slots_[i].connection_plus_one != connection + 1) {
        KEEPNET_ASSERT(slots_[i].connection_plus_one != 0);
        i = (i + 1) & mask_;
    }
    return i;
}

void PairTable::erase(const Slab<TcpConnectionState>& connections, std::uint32_t connection) {
    const TcpConnectionState& c = connections.get(connection);
    std::uint32_t gap = slot_of(connection, hash(c.local, c.remote));
    for (std::uint32_t i = gap;;) {
        i = (i + 1) & mask_;
        if (slots_[i].connection_plus_one == 0) break;
        // An entry may fill the gap unless its own place lies behind the gap.
        const std::uint32_t home = slots_[i].hash & mask_;
        if (((i - home) & mask_) >= ((i - gap) & mask_)) {
            slots_[gap] = slots_[i];
            gap = i;
        }
    }
    slots_[gap] = {};
}

std::uint32_t PairTable::find(const Slab<TcpConnectionState>& connections, const Endpoint& local,
                              const Endpoint& remote) const {
    const std::uint32_t h = hash(local, remote);
    for (std::uint32_t i = h & mask_; slots_[i].connection_plus_one != 0; i = (i + 1) & mask_) {
        if (slots_[i].hash != h) continue;
        const std::uint32_t connection = slots_[i].connection_plus_one - 1;
        const TcpConnectionState& c = connections.get(connection);
        if (same_place(c.local, local) && same_place(c.remote, remote)) return connection;
    }
    return none;
}

void Tables::place(ArenaCarver& carver, const StackConfig& config) {
    const CapacityConfig& n = config.capacity;
    pairs.place(carver, n.tcp_connections);
    run.place(carver, n.tcp_connections);
    held.place(carver, n.tcp_connections);
    waiting_send.place(carver, n.sockets);
    bound.place(carver, n.sockets);
    extra = carver.take<ConnectionExtra>(n.tcp_connections);
    port_uses = carver.take<std::uint32_t>(ports);
}

void Tables::clear(const World& w, const HashKey& secret) {
    // A key of its own: what an attacker learns from the table's timing tells nothing about ports.
    const std::array<std::uint64_t, 2> first{1, 0x7061'6972};
    const std::array<std::uint64_t, 2> second{2, 0x7061'6972};
    pairs.clear({hash24_words(secret, first), hash24_words(secret, second)});
    run.fill(false);
    held.fill(false);
    waiting_send.fill(false);
    bound.fill(false);
    for (std::uint32_t i = 0; i < w.connections.high_water(); ++i) extra[i] = {};
    for (std::uint32_t port = 0; port < ports; ++port) {
        if (port_uses[port] != 0) port_uses[port] = 0;
    }
    granted_total = 0;
    tombstones = 0;
    spent = 0;
    held_since = flush_since = never;
    held_stale = false;
}

}  // namespace keepnet::tcp
