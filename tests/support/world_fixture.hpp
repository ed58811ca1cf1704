// The layers below the stack on a scripted wire: a World, one interface, IP, neighbour discovery and UDP,
// without TCP and without the poll loop. Frames go in with receive(), what was sent comes out of sent(), time
// moves with advance(). When it ends every queue is emptied, and the packet pool must be whole.
#pragma once

#include <initializer_list>
#include <vector>

#include <keepnet/config.hpp>
#include <keepnet/statistics.hpp>

#include "ip/ip.hpp"
#include "link/link.hpp"
#include "nd/nd.hpp"
#include "state/world.hpp"
#include "support/arena.hpp"
#include "support/device.hpp"
#include "support/packet.hpp"
#include "udp/udp.hpp"

namespace keepnet::test {

struct WorldOptions {
    StackConfig config = small();
    bool link_local = false;  ///< generate one
    bool add_address = true;  ///< WorldFixture::own, valid at once when DAD is off, as it is in small()
    LinkCapabilities capabilities{};  ///< mtu and mac are the fixture's

    /// Small tables, no duplicate address detection.
    static StackConfig small();
};

class WorldFixture {
  public:
    static constexpr InterfaceIndex nic = 1;
    static constexpr MacAddress own_mac{{0x02, 0, 0, 0, 0, 0x01}};
    static constexpr MacAddress peer_mac{{0x02, 0, 0, 0, 0, 0x02}};
    static constexpr Ipv6Address own = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 1});
    static constexpr Ipv6Address peer = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 2});
    /// Not on the link; there is a route only if the test makes one.
    static constexpr Ipv6Address far = Ipv6Address::from_words({0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7});

    explicit WorldFixture(const WorldOptions& options = {});
    ~WorldFixture();
    WorldFixture(const WorldFixture&) = delete;
    WorldFixture& operator=(const WorldFixture&) = delete;

    World w;
    link::Ports ports;
    ip::Loopback loopback;
    udp::Tables udp_tables;
    ScriptedDevice device;
    Instant now{1'000'000'000'000};
    /// What IP handed up for TCP, with its payload copied.
    struct Segment {
        ip::TransportInput input{};
        Bytes payload{};
    };
    std::vector<Segment> segments{};
    /// Every error that IP handed up; those for UDP have gone there too.
    std::vector<ip::TransportError> errors{};

    [[nodiscard]] udp::UdpContext cx() { return {{{{w, now}, ports}, loopback, nullptr}, udp_tables}; }

    // --- the wire ---

    void receive(const Bytes& frame);
    /// An IPv6 packet from the peer to us, or whatever `ip` says.
    void receive_ip(const IpFields& ip, ByteView payload);
    void receive_icmp(std::uint8_t type, std::uint8_t code, ByteView body, const Ipv6Address& src = peer,
                      const Ipv6Address& dst = own, std::uint8_t hop_limit = 64);
    /// Neighbour discovery: hop limit 255.
    void receive_nd(std::uint8_t type, ByteView body, const Ipv6Address& src = peer,
                    const Ipv6Address& dst = own);
    void receive_udp(const UdpFields& udp, const Ipv6Address& src = peer, const Ipv6Address& dst = own);
    /// The peer tells its link address, so that what follows needs no resolution.
    void introduce(const Ipv6Address& who = peer, const MacAddress& mac = peer_mac);
    /// What has been sent since the last call; each frame has been checked (checksums, lengths).
    std::vector<Packet> sent();
    /// The only frame sent since the last call.
    Packet sent_one();
    /// Delivers what the stack sent to itself.
    void run_loopback();

    // --- time ---

    /// Every timer on the way runs at its own instant.
    void advance(Duration d);
    Deadline next_deadline() { return w.timers.next(); }

    // --- what was counted ---

    [[nodiscard]] std::uint64_t drops(DropReason reason) const;
    [[nodiscard]] std::uint64_t all_drops() const;
    /// Since the last call, exactly these were counted.
    void expect_drops(std::initializer_list<DropReason> reasons);

    // --- state ---

    [[nodiscard]] const NeighborState* neighbor(const Ipv6Address& address) const;
    [[nodiscard]] AddressStatus status(const Ipv6Address& address) const;
    /// A bound UDP socket.
    Handle<SocketState> open_udp(const Endpoint& local, const Endpoint& remote = {});
    void close_udp(Handle<SocketState> socket);
    /// One request of a transport: eight bytes of header, then the payload.
    ip::OutputResult output(const Ipv6Address& destination, std::size_t payload_bytes = 0,
                            InterfaceIndex interface = 0);
    /// Everything derived is forgotten and made anew; nothing else may change.
    void rebuild();

  private:
    Arena arena_;
    Statistics seen_{};
};

}  // namespace keepnet::test
