// The slabs of a stack, in the order in which a cut is swept and a snapshot written.
#pragma once

#include <cstdint>

namespace keepnet {

enum class StateKind : std::uint16_t {
    invalid = 0,
    stack,
    statistics,
    interface,
    address,
    route,
    neighbor,
    pending_packet,
    destination,
    socket,
    tcp_connection,
    tcp_listener,
    udp_socket,
    datagram,
    slice_node,
    sent_range,
    count_,
};

}  // namespace keepnet
