// Capacities of a small stack, for snapshots. Apart from sample.hpp, whose code needs Catch: a fuzz target has none.
#pragma once

#include <keepnet/config.hpp>

namespace keepnet::test {

inline StackConfig sample_config() {
    StackConfig config;
    config.capacity = {.interfaces = 2,
                       .addresses = 4,
                       .routes = 4,
                       .neighbors = 8,
                       .pending_packets = 4,
                       .destinations = 4,
                       .sockets = 16,
                       .tcp_connections = 16,
                       .tcp_listeners = 4,
                       .tcp_tombstones = 4,
                       .udp_sockets = 4,
                       .udp_datagrams = 8,
                       .slice_nodes = 64,
                       .packet_buffers = 64,
                       .transmit_ring = 16,
                       .sent_ranges = 64,
                       .shadow_objects = 64,
                       .sweep_queue_bytes = 64 * 1024};
    return config;
}

}  // namespace keepnet::test
