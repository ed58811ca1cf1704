#include "state/world.hpp"

namespace keepnet {

void World::place(ArenaCarver& carver, const StackConfig& config) {
    header = carver.take<ArenaHeader>(1);
    CutControl* control = header == nullptr ? nullptr : &header->cuts;
    std::uint64_t* generations = header == nullptr ? nullptr : &header->generations;
    const CapacityConfig& n = config.capacity;
    const auto slab = [&](auto& view, StateKind kind, std::uint32_t capacity) {
        const bool is_linked_by_index =
            kind == StateKind::pending_packet || kind == StateKind::datagram || kind == StateKind::slice_node ||
            kind == StateKind::sent_range;
        view.place(carver, static_cast<std::uint16_t>(kind), capacity, n.shadow_objects, control,
                   is_linked_by_index ? nullptr : generations);
    };
    slab(stacks, StateKind::stack, 1);
    slab(statistics, StateKind::statistics, 1);
    slab(interfaces, StateKind::interface, n.interfaces);
    slab(addresses, StateKind::address, n.addresses);
    slab(routes, StateKind::route, n.routes);
    slab(neighbors, StateKind::neighbor, n.neighbors);
    slab(pending_packets, StateKind::pending_packet, n.pending_packets);
    slab(destinations, StateKind::destination, n.destinations);
    slab(sockets, StateKind::socket, n.sockets);
    slab(connections, StateKind::tcp_connection, n.tcp_connections);
    slab(listeners, StateKind::tcp_listener, n.tcp_listeners);
    slab(udp_sockets, StateKind::udp_socket, n.udp_sockets);
    slab(datagrams, StateKind::datagram, n.udp_datagrams);
    slab(slice_nodes, StateKind::slice_node, n.slice_nodes);
    slab(sent_ranges, StateKind::sent_range, n.sent_ranges);
    pool.place(carver, n.packet_buffers, control);
    timers.place(carver, timer_count());
    changed_sockets.place(carver, n.sockets);
}

void World::initialize(const StackConfig& config) {
    *header = {};
    header->config = config;
    for_each_slab([](auto& slab) { slab.initialize(); });
    pool.initialize();
    timers.clear();
    changed_sockets.fill(false);
    stacks.create();
    statistics.create();
}

std::uint32_t World::timer_base(StateKind kind) const {
    std::uint32_t base = 0;
    const auto is_before = [&](StateKind k, std::uint32_t capacity) {
        if (k == kind) return true;
        base += capacity;
        return false;
    };
    const bool known = is_before(StateKind::stack, stacks.capacity()) ||
                       is_before(StateKind::interface, interfaces.capacity()) ||
                       is_before(StateKind::address, addresses.capacity()) ||
                       is_before(StateKind::route, routes.capacity()) ||
                       is_before(StateKind::neighbor, neighbors.capacity()) ||
                       is_before(StateKind::destination, destinations.capacity()) || kind == StateKind::tcp_connection;
    KEEPNET_ASSERT(known);
    return base;
}

std::uint32_t World::timer_count() const {
    return timer_base(StateKind::tcp_connection) + connections.capacity();
}

World::Timer World::take_expired(Instant now) {
    const std::uint32_t timer = timers.take_expired(now);
    if (timer == DeadlineQueue::none) return {};
    constexpr StateKind from_the_top[] = {StateKind::tcp_connection, StateKind::destination, StateKind::neighbor,
                                          StateKind::route,          StateKind::address,     StateKind::interface,
                                          StateKind::stack};
    for (const StateKind kind : from_the_top) {
        const std::uint32_t base = timer_base(kind);
        if (timer >= base) return {kind, timer - base};
    }
    return {};
}

bool take_token(RateLimitState& limit, std::uint32_t per_second, std::uint32_t burst, Instant now) {
    if (per_second == 0) return false;
    if (limit.refilled == long_ago) limit = {burst, now};
    const std::int64_t token_ns = 1'000'000'000 / per_second;
    if (const std::int64_t fresh = (now - limit.refilled).ns / token_ns; fresh > 0) {
        const std::int64_t tokens = limit.tokens + fresh;
        limit.tokens = tokens > burst ? burst : static_cast<std::uint32_t>(tokens);
        limit.refilled = limit.tokens == burst ? now : limit.refilled + Duration{fresh * token_ns};
    }
    if (limit.tokens == 0) return false;
    --limit.tokens;
    return true;
}

}  // namespace keepnet
