// Linux's settings as keepnet's.
#include <algorithm>

#include "packetdrill/adapter/flags.hpp"

namespace keepnet::packetdrill {

namespace {

constexpr std::uint32_t buffer_min = 4096;

std::uint32_t clamp_bytes(std::int64_t bytes, std::uint32_t most) {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(bytes, buffer_min, most));
}

/// A script has a handful of connections, and the tool pins all of our memory.
void set_capacities(CapacityConfig& c) {
    c.sockets = 256;
    c.tcp_connections = 256;
    c.tcp_tombstones = 16;
    c.udp_sockets = 16;
    c.neighbors = 4;
    c.packet_buffers = 32768;
    c.transmit_ring = 1024;
    c.shadow_objects = 16;
    c.sweep_queue_bytes = 64 * 1024;
}

}  // namespace

StackConfig make_config(const Flags& flags, const Sysctls& sysctls) {
    StackConfig config;
    set_capacities(config.capacity);
    config.ip.mtu_max = std::max(config.ip.mtu_max, flags.mtu);
    TcpConfig& tcp = config.tcp;
    // Nobody competes for the pool, so a window is granted whole.
    tcp.receive_grant_bytes = std::uint64_t{1} << 40;
    tcp.spent_cookies = std::min(tcp.spent_cookies, config.capacity.tcp_connections / 4);
    if (const auto rmem = sysctls.numbers("tcp_rmem"); rmem.size() == 3) {
        // Linux's window scale is that of the largest buffer to which it may grow by itself.
        tcp.receive_buffer = clamp_bytes(rmem[2], tcp.buffer_max);
    }
    if (flags.window) tcp.receive_buffer = *flags.window;
    tcp.receive_buffer_tuned = 0;  // a script says what the window is
    if (flags.quickack) tcp.quick_acks = static_cast<std::uint8_t>(*flags.quickack);
    if (const auto wmem = sysctls.numbers("tcp_wmem"); wmem.size() == 3) {
        tcp.send_buffer = clamp_bytes(wmem[1], tcp.buffer_max);
    }
    tcp.sack = sysctls.number("tcp_sack").value_or(1) != 0;
    tcp.timestamps = sysctls.number("tcp_timestamps").value_or(1) != 0;
    tcp.window_scaling = sysctls.number("tcp_window_scaling").value_or(1) != 0;
    tcp.restart_after_idle = sysctls.number("tcp_slow_start_after_idle").value_or(1) != 0;
    tcp.push_segments_min = static_cast<std::uint8_t>(std::clamp<std::int64_t>(sysctls.number("tcp_min_tso_segs").value_or(2), 1, 255));
    tcp.ack_burst_segments = 255;  // what a script injects as one packet, cut to frames, is one arrival
    if (sysctls.word("tcp_congestion_control") == "reno") tcp.congestion = CongestionAlgorithm::newreno;
    switch (sysctls.number("tcp_ecn").value_or(2)) {
        case 0: tcp.ecn = EcnMode::off; break;
        case 1: tcp.ecn = EcnMode::request; break;
        default: tcp.ecn = EcnMode::respond; break;
    }
    if (flags.iw) tcp.initial_window_segments = static_cast<std::uint8_t>(*flags.iw);
    return config;
}

}  // namespace keepnet::packetdrill
