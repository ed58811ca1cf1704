// The neighbour cache's own verbs (RFC 4861 5.1, 7.2): what the files of nd/ share.
#pragma once

#include "nd/nd.hpp"

namespace keepnet::nd {

inline constexpr std::uint32_t none = BitTree::none;
/// How soon something that found the transmit ring full is tried again.
inline constexpr Duration retry_interval = milliseconds(10);

[[nodiscard]] inline AddressStatus status_of(const AddressState& a) {
    return static_cast<AddressStatus>(a.status);
}
/// May be a source, and answers for itself (RFC 4429: an optimistic one too).
[[nodiscard]] constexpr bool is_usable(AddressStatus s) {
    return s == AddressStatus::preferred || s == AddressStatus::deprecated || s == AddressStatus::optimistic;
}
/// An incomplete entry whose packets only wait to be taken as unreachable.
[[nodiscard]] inline bool has_given_up(const NeighborState& n) {
    return n.phase == NeighborPhase::incomplete && n.timer == never;
}

/// The slot of our own address on this interface, whatever its status; or none.
std::uint32_t find_own(const World& w, InterfaceIndex interface, const Ipv6Address& address);
std::uint32_t find_neighbor(const link::LinkContext& cx, InterfaceIndex interface,
                            const Ipv6Address& address);
/// A new incomplete entry, to be probed now; none when nothing can make room.
std::uint32_t create_neighbor(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& address);
/// With the packets that wait in it; the caller counts them.
void destroy_neighbor(link::LinkContext& cx, std::uint32_t neighbor);

/// Before an entry that has given up gets another phase.
void retire_unreachable(link::LinkContext& cx, std::uint32_t neighbor);
void set_reachable(link::LinkContext& cx, std::uint32_t neighbor);
void set_stale(link::LinkContext& cx, std::uint32_t neighbor);
void set_timer(link::LinkContext& cx, std::uint32_t neighbor, Deadline deadline);

/// The frame's packet waits in an incomplete entry; the oldest one goes when there are too many (RFC
/// 4861 7.2.2).
void enqueue_pending(link::LinkContext& cx, std::uint32_t neighbor, const link::QueuedFrame& frame);
/// The oldest packet that waits; its references pass to the caller.
std::optional<PendingPacketState> pop_pending(link::LinkContext& cx, std::uint32_t neighbor);
void release_packet(PacketPool& pool, const PendingPacketState& packet);
/// The link address is known: everything that waits goes out.
void send_pending(link::LinkContext& cx, std::uint32_t neighbor);

/// A source for a solicitation: `preferred` if it is ours here, else the usable address nearest to the
/// target.
std::optional<Ipv6Address> solicitation_source(const World& w, InterfaceIndex interface,
                                               const Ipv6Address& target, const Ipv6Address& preferred);

// Each is false when the ring is full (and counts it).
bool solicit_multicast(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& target,
                       const Ipv6Address& source);
bool solicit_unicast(link::LinkContext& cx, InterfaceIndex interface, const Ipv6Address& target,
                     const Ipv6Address& source, const MacAddress& mac);
bool send_dad_probe(link::LinkContext& cx, const AddressState& address);
/// An advertisement that nobody asked for.
struct Announcement {
    Ipv6Address target{};
    Ipv6Address destination{};
    MacAddress mac{};
    bool override_cache = false;
};
bool advertise(link::LinkContext& cx, InterfaceIndex interface, const Announcement& announcement);
/// The answer to a solicitation; `to` unspecified: to all nodes (RFC 4861 7.2.4).
void answer_solicitation(link::LinkContext& cx, const AddressState& address, const Ipv6Address& to);

/// Somebody else has the address (RFC 4862 5.4.5).
void on_conflict(link::LinkContext& cx, std::uint32_t address);

}  // namespace keepnet::nd
