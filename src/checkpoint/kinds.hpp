// From the number of a kind to its type, and to the bytes that its objects name.
#pragma once

#include <string_view>
#include <type_traits>

#include "state/world.hpp"

namespace keepnet::checkpoint {

inline constexpr std::size_t state_kinds = static_cast<std::size_t>(StateKind::count_) - 1;

/// f(std::type_identity<T>{}) for the state object that `kind` stands for.
template <class F>
void with_type(StateKind kind, F&& f) {
    switch (kind) {
        case StateKind::stack: return f(std::type_identity<StackState>{});
        case StateKind::statistics: return f(std::type_identity<Statistics>{});
        case StateKind::interface: return f(std::type_identity<InterfaceState>{});
        case StateKind::address: return f(std::type_identity<AddressState>{});
        case StateKind::route: return f(std::type_identity<RouteState>{});
        case StateKind::neighbor: return f(std::type_identity<NeighborState>{});
        case StateKind::pending_packet: return f(std::type_identity<PendingPacketState>{});
        case StateKind::destination: return f(std::type_identity<DestinationState>{});
        case StateKind::socket: return f(std::type_identity<SocketState>{});
        case StateKind::tcp_connection: return f(std::type_identity<TcpConnectionState>{});
        case StateKind::tcp_listener: return f(std::type_identity<TcpListenerState>{});
        case StateKind::udp_socket: return f(std::type_identity<UdpSocketState>{});
        case StateKind::datagram: return f(std::type_identity<DatagramState>{});
        case StateKind::slice_node: return f(std::type_identity<SliceNodeState>{});
        case StateKind::sent_range: return f(std::type_identity<SentRangeState>{});
        case StateKind::invalid:
        case StateKind::count_: return;
    }
}

/// f(slice, number) for the slices of an object that have bytes, in order.
template <class T, class F>
void for_each_slice(const T& object, F&& f) {
    if constexpr (std::is_same_v<T, SliceNodeState>) {
        f(object.slice, std::size_t{0});
    } else if constexpr (std::is_same_v<T, DatagramState>) {
        if (object.payload.length != 0) f(object.payload, std::size_t{0});
    } else if constexpr (std::is_same_v<T, PendingPacketState>) {
        for (std::size_t i = 0; i < object.slice_count; ++i) f(object.slices[i], i);
    }
}

std::string_view kind_name(StateKind kind);

}  // namespace keepnet::checkpoint
