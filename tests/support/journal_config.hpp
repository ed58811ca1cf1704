// Capacities of a small stack that writes to a journal. Apart from the tests: a fuzz target has no Catch.
#pragma once

#include <cstdint>

#include <keepnet/config.hpp>

namespace keepnet::test {

inline constexpr std::uint64_t journal_id = 0x1234'5678'9abc'def0;

inline StackConfig journal_config(DurabilityPolicy policy) {
    StackConfig c;
    c.capacity = {.interfaces = 1, .addresses = 4, .routes = 4, .neighbors = 8, .pending_packets = 8, .destinations = 8,
                  .sockets = 32, .tcp_connections = 32, .tcp_listeners = 4, .tcp_tombstones = 8, .udp_sockets = 4,
                  .udp_datagrams = 16, .slice_nodes = 1024, .packet_buffers = 1024, .transmit_ring = 64, .sent_ranges = 256,
                  .shadow_objects = 512, .sweep_queue_bytes = 1U << 16};
    c.tcp.receive_buffer = 16384;
    c.tcp.send_buffer = 16384;
    c.nd.dad_transmits = 0;
    c.policy = policy;
    return c;
}

}  // namespace keepnet::test
