// IPv6 input and output (RFC 8200), source address selection (RFC 6724), routes, ICMPv6 (RFC 4443), path MTU (RFC 8201).
#pragma once

#include <expected>
#include <optional>

#include <keepnet/error.hpp>

#include "ip/loopback.hpp"
#include "ip/request.hpp"
#include "link/link.hpp"
#include "state/world.hpp"

namespace keepnet::ip {

/// Where output requests wait in seam mode (tests; later a shared-memory queue of the split stack).
class OutputSeam {
  public:
    /// False when it is full. Retains the slices of what it takes.
    virtual bool push(const OutputRequest& request) = 0;

  protected:
    ~OutputSeam() = default;
};

struct IpContext : link::LinkContext {
    Loopback& loopback;
    OutputSeam* seam = nullptr;       ///< null: submit() is output()
};

/// The one door for transports.
OutputResult submit(IpContext& cx, const OutputRequest& request);
/// Route, next hop, IPv6 header, transport checksum (or offload), neighbour, frame.
OutputResult output(IpContext& cx, const OutputRequest& request);

/// What input() leaves for the stack to hand on.
struct Delivery {
    enum class Kind : std::uint8_t { none, transport, error } kind = Kind::none;
    TransportInput input{};
    TransportError error{};
};
/// Checks and handles an IPv6 packet: extension headers, ICMPv6, neighbour discovery. What is left is for a transport.
Delivery on_packet(IpContext& cx, const link::Received& packet);
/// ICMPv6 error about a received packet, under RFC 4443 2.4's rules and rate limit. `pointer`: for Parameter Problem;
/// MTU for Packet Too Big. `copies`: as many of the same, which the rate limit counts as one.
void send_error(IpContext& cx, const TransportInput& about, std::uint8_t type, std::uint8_t code,
                std::uint32_t pointer = 0, unsigned copies = 1);

struct RouteChoice {
    InterfaceIndex interface = 0;
    Ipv6Address next_hop{};           ///< the destination itself when on-link
};
std::optional<RouteChoice> find_route(const Context& cx, const Ipv6Address& destination, InterfaceIndex interface);
/// RFC 6724 5, rules 1 to 8 as far as the address table knows; only addresses that may be used.
std::optional<Ipv6Address> select_source(const Context& cx, const Ipv6Address& destination,
                                         const RouteChoice& route);
/// Bytes of an IPv6 packet that may go to `destination`, 1280 or more.
std::uint16_t path_mtu(const Context& cx, const Ipv6Address& destination, InterfaceIndex interface);
/// The address's slot if it is ours and may be used as a source or destination; any status if `any_status`.
std::optional<std::uint32_t> find_address(const Context& cx, const Ipv6Address& address, InterfaceIndex interface,
                                          bool any_status = false);

/// RFC 6437: the same for a flow for ever, over restores too; never 0.
std::uint32_t flow_label(const Context& cx, const Ipv6Address& source, const Ipv6Address& destination,
                         std::uint16_t source_port, std::uint16_t destination_port, std::uint8_t next_header);

std::expected<void, Error> add_address(IpContext& cx, InterfaceIndex interface, const Ipv6Address& address,
                                       std::uint8_t prefix_length, bool generated);
std::expected<void, Error> remove_address(IpContext& cx, InterfaceIndex interface, const Ipv6Address& address);
/// Address `address` (a slot) becomes `to`, optimistic until it is detected (RFC 4429), with the on-link route of its
/// prefix; unspecified: it goes. For nd::announce to start, and nobody is told.
void replace_address(IpContext& cx, std::uint32_t address, const Ipv6Address& to);
std::expected<void, Error> add_route(IpContext& cx, const Ipv6Address& prefix, std::uint8_t prefix_length,
                                     InterfaceIndex interface, const Ipv6Address& next_hop, bool from_address);
std::expected<void, Error> remove_route(IpContext& cx, const Ipv6Address& prefix, std::uint8_t prefix_length,
                                        InterfaceIndex interface);
/// An interface got a (new) device: RFC 7217 link-local address, ReachableTime.
void on_interface_up(IpContext& cx, InterfaceIndex interface);

/// A known interface got another MAC address: its addresses are optimistic until they are detected anew (RFC 4429), for
/// nd::announce to start.
void on_mac_changed(IpContext& cx, InterfaceIndex interface);

/// Timers of routes, destinations.
void on_route_timer(IpContext& cx, std::uint32_t route);
void on_destination_timer(IpContext& cx, std::uint32_t destination);
/// A packet that waited in vain for a link address, as the error its transport is to see (type 1 code 3).
std::optional<Delivery> take_unreachable(IpContext& cx);
bool has_loopback(const IpContext& cx);
/// Re-arms timers and rebuilds tables from the state. Changes no state.
void rebuild(IpContext& cx);
/// The transport found a Packet Too Big to be about something it sent (RFC 8201, 5927): the path's MTU may sink.
void accept_path_mtu(IpContext& cx, const Ipv6Address& destination, InterfaceIndex interface, std::uint32_t mtu);
/// Upper-layer reachability confirmation for the next hop towards `destination` (RFC 4861 7.3.1); cheap.
void confirm_reachable(IpContext& cx, const Ipv6Address& destination, InterfaceIndex interface);
/// False when a field of a (decoded) object cannot be. Reads only.
bool is_interface_sane(const World& w, std::uint32_t interface);
bool is_address_sane(const World& w, std::uint32_t address);
bool is_route_sane(const World& w, std::uint32_t route);
bool is_destination_sane(const World& w, std::uint32_t destination);
/// The next packet that the stack sent to itself; its slice's reference passes to the caller.
std::optional<link::Received> take_loopback(IpContext& cx);

}  // namespace keepnet::ip
