// An interface: what stays when its device is replaced.
#pragma once

#include <array>
#include <cstdint>

#include <keepnet/address.hpp>
#include <keepnet/endpoint.hpp>
#include <keepnet/link_device.hpp>
#include <keepnet/time.hpp>

namespace keepnet {

struct InterfaceState {
    InterfaceIndex index = 0;         ///< slot + 1
    MacAddress mac{};
    std::uint16_t mtu = 1500;         ///< bytes
    bool link_local_wanted = true;
    std::uint8_t hop_limit = 64;
    Duration retransmit{};            ///< RetransTimer of neighbour discovery
    Duration reachable{};             ///< ReachableTime, drawn from 0.5 to 1.5 of the base (RFC 4861 6.3.2)
    Deadline reachable_redraw = never;
    DeviceState device{};             ///< as the device gave it at the last cut
    bool private_link = false;        ///< nobody else can have an address of ours: no duplicate detection
};

struct AddressState {
    Ipv6Address address{};
    std::uint8_t prefix_length = 0;
    std::uint8_t status = 0;          ///< AddressStatus
    std::uint8_t dad_probes_left = 0; ///< solicitations still to send
    std::uint8_t dad_counter = 0;     ///< RFC 7217: conflicts so far of an address that we made ourselves
    bool is_generated = false;        ///< link-local with an RFC 7217 identifier
    bool announce = false;            ///< owes an unsolicited advertisement (restore, RFC 9131)
    InterfaceIndex interface = 0;
    std::array<std::uint8_t, 6> dad_nonce{};  ///< RFC 7527
    Deadline dad = never;             ///< next probe, or the end of the detection
    Deadline preferred_until = never;
    Deadline valid_until = never;
};

struct RouteState {
    Ipv6Address prefix{};
    Ipv6Address next_hop{};           ///< unspecified: on-link
    InterfaceIndex interface = 0;
    std::uint8_t prefix_length = 0;
    bool from_address = false;        ///< came with add_address and goes with it
    Deadline valid_until = never;
};

/// Path MTU (RFC 8201), one for each destination that told us a smaller one.
struct DestinationState {
    Ipv6Address address{};
    std::uint16_t path_mtu = 0;       ///< bytes, 1280 or more
    Deadline expires = never;
};

}  // namespace keepnet
