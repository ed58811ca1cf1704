// What a hostile snapshot could put into interfaces, addresses, routes, path MTUs, neighbours and UDP
// sockets: each field out of its range is found, and what the stack itself makes is sane at every moment.
#include <catch2/catch_test_macros.hpp>
#include <functional>

#include "support/world_fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

using F = WorldFixture;
constexpr Instant too_late{INT64_MAX - 1};
constexpr Instant too_early{INT64_MIN};

/// Each fault alone makes the object insane; the object as it was is sane before and after.
template <class T>
void expect_faults(Slab<T>& slab, std::uint32_t i, const std::function<bool()>& is_sane,
                   std::initializer_list<std::function<void(T&)>> faults) {
    REQUIRE(is_sane());
    const T good = slab.get(i);
    int n = 0;
    for (const auto& fault : faults) {
        INFO("fault " << n++);
        fault(slab.edit(i));
        CHECK_FALSE(is_sane());
        slab.edit(i) = good;
    }
    CHECK(is_sane());
}

bool is_everything_sane(const F& f) {
    bool sane = true;
    f.w.interfaces.for_each(
        [&](std::uint32_t i, const auto&) { sane = sane && ip::is_interface_sane(f.w, i); });
    f.w.addresses.for_each([&](std::uint32_t i, const auto&) { sane = sane && ip::is_address_sane(f.w, i); });
    f.w.routes.for_each([&](std::uint32_t i, const auto&) { sane = sane && ip::is_route_sane(f.w, i); });
    f.w.destinations.for_each(
        [&](std::uint32_t i, const auto&) { sane = sane && ip::is_destination_sane(f.w, i); });
    f.w.neighbors.for_each(
        [&](std::uint32_t i, const auto&) { sane = sane && nd::is_neighbor_sane(f.w, i); });
    f.w.udp_sockets.for_each([&](std::uint32_t i, const auto&) { sane = sane && udp::is_sane(f.w, i); });
    return sane;
}

}  // namespace

TEST_CASE("sane: interfaces") {
    F f;
    expect_faults<InterfaceState>(
        f.w.interfaces, 0, [&] { return ip::is_interface_sane(f.w, 0); },
        {[](auto& s) { s.index = 2; }, [](auto& s) { s.mac = mac_broadcast; }, [](auto& s) { s.mtu = 1279; },
         [](auto& s) { s.mtu = 1981; }, [](auto& s) { s.hop_limit = 0; },
         [](auto& s) { s.retransmit = {-1}; }, [](auto& s) { s.reachable = {INT64_MAX}; },
         [](auto& s) { s.reachable_redraw = too_late; }, [](auto& s) { s.device.length = 241; }});
}

TEST_CASE("sane: addresses") {
    F f;
    const auto status = [](AddressStatus s) { return static_cast<std::uint8_t>(s); };
    expect_faults<AddressState>(
        f.w.addresses, 0, [&] { return ip::is_address_sane(f.w, 0); },
        {[](auto& a) { a.interface = 0; }, [](auto& a) { a.interface = 2; }, [](auto& a) { a.address = {}; },
         [](auto& a) { a.address = ipv6_all_nodes; }, [](auto& a) { a.address = ipv6_loopback; },
         [](auto& a) { a.prefix_length = 129; }, [](auto& a) { a.status = 0; }, [](auto& a) { a.status = 6; },
         [&](auto& a) { a.status = status(AddressStatus::tentative); },  // and nothing will ever decide it
         [](auto& a) { a.dad = too_early; }, [](auto& a) { a.preferred_until = too_late; },
         [](auto& a) { a.valid_until = too_early; }});
}

TEST_CASE("sane: routes and path MTUs") {
    F f;
    auto cx = f.cx();
    REQUIRE(ip::add_route(cx, ipv6_unspecified, 0, F::nic, F::peer, false));
    ip::accept_path_mtu(cx, F::far, F::nic, 1300);
    expect_faults<RouteState>(
        f.w.routes, 0, [&] { return ip::is_route_sane(f.w, 0); },
        {[](auto& r) { r.interface = 0; }, [](auto& r) { r.interface = 9; },
         [](auto& r) { r.prefix_length = 129; }, [](auto& r) { r.prefix = ipv6_all_nodes; },
         [](auto& r) { r.next_hop = ipv6_all_nodes; }, [](auto& r) { r.next_hop = ipv6_loopback; },
         [](auto& r) { r.valid_until = too_early; }});
    expect_faults<DestinationState>(
        f.w.destinations, 0, [&] { return ip::is_destination_sane(f.w, 0); },
        {[](auto& d) { d.address = {}; }, [](auto& d) { d.path_mtu = 1279; },
         [](auto& d) { d.expires = never; }, [](auto& d) { d.expires = too_early; }});
}

TEST_CASE("sane: neighbours and the packets that wait for them") {
    F f;
    f.output(F::peer, 10);
    f.output(F::peer, 10);
    f.sent();
    const auto is_sane = [&] { return nd::is_neighbor_sane(f.w, 0); };
    expect_faults<NeighborState>(
        f.w.neighbors, 0, is_sane,
        {[](auto& n) { n.interface = 0; }, [](auto& n) { n.interface = 2; }, [](auto& n) { n.address = {}; },
         [](auto& n) { n.address = ipv6_all_nodes; }, [](auto& n) { n.phase = NeighborPhase::invalid; },
         [](auto& n) { n.phase = static_cast<NeighborPhase>(6); },
         [](auto& n) { n.phase = NeighborPhase::reachable; }, [](auto& n) { n.timer = too_late; },
         [](auto& n) { n.last_used = too_early; }, [](auto& n) { n.pending_count = 1; },
         [](auto& n) { n.pending_count = 3; }, [](auto& n) { n.pending_count = 0; },
         [](auto& n) { n.pending_head = {}; }, [](auto& n) { n.pending_tail = {}; },
         [](auto& n) { n.pending_head = Link::to(5); },
         [](auto& n) { n.pending_head = Link::to(0xffff'fff0); },
         [](auto& n) { n.pending_tail = n.pending_head; }});
    expect_faults<PendingPacketState>(
        f.w.pending_packets, 1, is_sane,
        {[](auto& p) { p.next = Link::to(0); },  // a ring
         [](auto& p) { p.header_length = 39; }, [](auto& p) { p.header_length = 121; },
         [](auto& p) { p.slice_count = 5; }, [](auto& p) { p.slices[0].buffer = 64; },
         [](auto& p) { p.slices[0].buffer = no_buffer; }, [](auto& p) { p.slices[0].length = 0; },
         [](auto& p) { p.slices[0].offset = 2040; }});
    F g;
    g.introduce();
    expect_faults<NeighborState>(g.w.neighbors, 0, [&] { return nd::is_neighbor_sane(g.w, 0); },
                                 {[](auto& n) { n.timer = never; }, [](auto& n) { n.mac = mac_broadcast; },
                                  [](auto& n) { n.phase = NeighborPhase::incomplete, n.timer = never; }});
}

TEST_CASE("sane: UDP sockets and their queues") {
    F f;
    const auto socket = f.open_udp({F::own, 9});
    f.w.sockets.edit(socket).options.hold_output = true;
    f.w.sockets.edit(socket).options.policy = f.w.sockets.edit(socket).options.send_policy = DurabilityPolicy::snapshot;
    for (int i = 0; i < 2; ++i) f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(10)});
    for (int i = 0; i < 2; ++i) {
        auto cx = f.cx();
        REQUIRE(udp::send(cx, socket, {.destination = {F::peer, 7}}, Bytes(3)));
    }
    const auto is_sane = [&] { return udp::is_sane(f.w, 0); };
    expect_faults<UdpSocketState>(
        f.w.udp_sockets, 0, is_sane,
        {[](auto& u) { u.socket = {}; }, [](auto& u) { u.socket.raw += 1; },
         [](auto& u) { u.receive_count = 3; }, [](auto& u) { u.receive_count = 1; },
         [](auto& u) { u.receive_count = 0xffff'ffff; }, [](auto& u) { u.receive_head = {}; },
         [](auto& u) { u.receive_tail = {}; }, [](auto& u) { u.receive_head = Link::to(0xffff'fff0); },
         [](auto& u) { u.held_count = 0; }, [](auto& u) { u.held_tail = u.held_head; },
         [](auto& u) { u.held_head = Link::to(11); }});
    expect_faults<DatagramState>(
        f.w.datagrams, 1, is_sane,
        {[](auto& d) { d.next = Link::to(0); }, [](auto& d) { d.interface = 2; },
         [](auto& d) { d.payload.buffer = no_buffer; }, [](auto& d) { d.payload.offset = 2047; },
         [](auto& d) { d.held_since = too_early; }});
    // In a held queue the numbers of the cuts do not fall.
    expect_faults<DatagramState>(f.w.datagrams, 2, is_sane, {[](auto& d) { d.after_cut = 9; }});
    expect_faults<SocketState>(f.w.sockets, 0, is_sane,
                               {[](auto& s) { s.kind = SocketKind::tcp; }, [](auto& s) { s.udp = {}; },
                                [](auto& s) { s.local.port = 0; }});
    f.close_udp(socket);
}

TEST_CASE("any frames in any order: no assertion, no leak, no growth, and the state stays sane") {
    const Bytes quoted_tcp = ip_packet({.src = F::own, .dst = F::peer, .next_header = proto_tcp}, Bytes(20));
    for (std::uint32_t seed = 1; seed <= 60; ++seed) {
        WorldOptions options;
        options.config.nd.dad_transmits = seed % 2;
        options.link_local = seed % 3 == 0;
        F f{options};
        RandomState random;
        keepnet::seed(random, std::array<std::uint8_t, 32>{static_cast<std::uint8_t>(seed), 7});
        const auto pick = [&](std::uint32_t n) { return uniform(random, n); };
        const auto address = [&] {
            Ipv6Address a = F::peer;
            const std::uint32_t which = pick(12);
            if (which == 0) return F::own;
            if (which == 1) return ipv6_unspecified;
            if (which == 2) return ipv6_all_nodes;
            if (which == 3) return solicited_node(F::own);
            if (which == 4) return f.w.addresses.get(f.w.addresses.next(0)).address;
            a.octets[15] = static_cast<std::uint8_t>(2 + pick(20));
            return a;
        };
        const auto mac = [&] { return MacAddress{{2, 0, 0, 0, 0, static_cast<std::uint8_t>(2 + pick(20))}}; };
        const auto any = f.open_udp({{}, 9});
        f.open_udp({F::own, 9}, {F::peer, 7});
        f.w.sockets.edit(any).options.hold_output = true;
        f.w.sockets.edit(any).options.policy = f.w.sockets.edit(any).options.send_policy = DurabilityPolicy::snapshot;
        for (int step = 0; step < 300; ++step) {
            const Ipv6Address src = address();
            const Ipv6Address dst = pick(2) == 0 ? F::own : address();
            auto cx = f.cx();
            switch (pick(12)) {
                case 0:
                    f.receive_nd(135, solicitation_body(address(), mac()), src, dst);
                    break;
                case 1:
                    f.receive_nd(135, solicitation_body(address()), src, dst);
                    break;
                case 2:
                    f.receive_nd(136, advertisement_body(address(), pick(2), pick(2), pick(2), mac()), src,
                                 dst);
                    break;
                case 3:
                    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(pick(1400))}, src, dst);
                    break;
                case 4:
                    f.receive_icmp(128, 0, echo_body(1, 2, Bytes(pick(1400))), src, dst);
                    break;
                case 5: {
                    const auto type = static_cast<std::uint8_t>(pick(5));
                    f.receive_icmp(type, static_cast<std::uint8_t>(pick(6)),
                                   icmp_error_body(pick(1600), quoted_tcp), src, dst);
                    break;
                }
                case 6:
                    f.output(address(), pick(1400), pick(2));
                    break;
                case 7:
                    static_cast<void>(udp::send(cx, any, {.destination = {address(), 7}}, Bytes(pick(1400))));
                    break;
                case 8:
                    static_cast<void>(udp::consume(cx, any));
                    break;
                case 9:
                    udp::on_committed(cx, pick(3));
                    break;
                case 10:
                    f.advance(milliseconds(pick(4000)));
                    break;
                default: {
                    Bytes frame = ethernet(
                        F::own_mac, F::peer_mac, 0x86dd,
                        ip_packet({.src = src, .dst = dst, .next_header = proto_icmp, .hop_limit = 255},
                                  icmp_message(src, dst, 135, 0, solicitation_body(address(), mac()))));
                    for (std::uint32_t n = pick(4); n != 0; --n) {
                        std::uint8_t& octet = frame[pick(static_cast<std::uint32_t>(frame.size()))];
                        octet = static_cast<std::uint8_t>(octet ^ 1U << pick(8));
                    }
                    frame.resize(frame.size() - pick(20));
                    f.receive(frame);
                }
            }
            f.run_loopback();
            udp::run_output(cx);
            if (pick(3) != 0) f.sent();
            if (pick(20) == 0) f.rebuild();
            if (!is_everything_sane(f)) FAIL("insane after step " << step << " of seed " << seed);
        }
    }
}
