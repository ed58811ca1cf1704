// What a handle names, and what belongs to the application's side of it.
#pragma once

#include <cstdint>

#include <keepnet/config.hpp>
#include <keepnet/endpoint.hpp>
#include <keepnet/error.hpp>
#include <keepnet/stack.hpp>
#include <keepnet/time.hpp>

#include "base/cut_control.hpp"
#include "base/handle.hpp"
#include "base/packet_pool.hpp"
#include "base/slab.hpp"

namespace keepnet {

struct TcpConnectionState;
struct TcpListenerState;
struct UdpSocketState;

struct SocketOptions {
    std::uint32_t receive_buffer = 0;   ///< bytes (UDP: datagrams)
    std::uint32_t send_buffer = 0;      ///< bytes
    std::uint16_t max_segment = 0;      ///< bytes; 0: from the MTU
    std::uint8_t hop_limit = 0;         ///< 0: the interface's
    std::uint8_t traffic_class = 0;
    std::uint8_t keep_alive_probes = 0;
    bool no_delay = false;
    bool cork = false;
    bool quick_ack = false;
    bool keep_alive = false;
    bool reuse_address = false;
    bool hold_output = false;
    DurabilityPolicy policy = DurabilityPolicy::none;       ///< of what is received
    DurabilityPolicy send_policy = DurabilityPolicy::none;  ///< of what is sent: the same, or snapshot beside journal
    Duration keep_alive_idle{};
    Duration keep_alive_interval{};
    Duration user_timeout{};            ///< 0: TcpConfig::data_give_up
    Duration linger{-1};                ///< -1: off
    CongestionAlgorithm congestion = CongestionAlgorithm::newreno;
    EcnMode ecn = EcnMode::off;
    bool receive_buffer_fixed = false;  ///< set by the application: no auto-tuning
    std::uint32_t not_sent_low_water = 0;    ///< bytes; 0: off
    InterfaceIndex multicast_interface = 0;  ///< 0: by route
    std::uint8_t multicast_hop_limit = 1;
    bool multicast_loop = true;
    bool reuse_port = false;
};

struct SocketState {
    SocketKind kind = SocketKind::invalid;
    bool is_bound = false;
    bool claimed = true;
    bool receive_shut = false;          ///< shutdown(receive): what comes is discarded
    Error error = Error::invalid;       ///< pending, for take_error()
    Verdict verdict = Verdict::not_restored;
    Endpoint local{};
    Endpoint remote{};
    SocketOptions options{};
    Handle<TcpConnectionState> connection{};
    Handle<TcpListenerState> listener{};
    Handle<UdpSocketState> udp{};
};

struct UdpSocketState {
    Handle<SocketState> socket{};
    Link receive_head{};                ///< DatagramState, the oldest first
    Link receive_tail{};
    std::uint32_t receive_count = 0;
    Link held_head{};                   ///< datagrams to send after a commit
    Link held_tail{};
    std::uint32_t held_count = 0;
    std::uint64_t dropped = 0;          ///< queue full
};

struct DatagramState {
    Link next{};
    Ipv6Address source{};
    Ipv6Address destination{};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    InterfaceIndex interface = 0;
    std::uint8_t hop_limit = 0;
    std::uint8_t traffic_class = 0;
    CutNumber after_cut = 0;            ///< held: goes out when this cut, or a later one, is committed
    Instant held_since{};
    Slice payload{};                    ///< holds a reference, unless its length is 0
};

template <>
inline constexpr std::size_t delta_bytes_max<DatagramState> = sizeof(DatagramState) + packet_buffer_bytes + 96;

}  // namespace keepnet
