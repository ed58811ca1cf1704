// IPv6 output: routes, source addresses (RFC 6724), headers, checksums, and packets to ourselves.
#include <catch2/catch_test_macros.hpp>

#include "base/checksum.hpp"
#include "support/world_fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

using F = WorldFixture;
constexpr auto link_local_1 = Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, 1});
constexpr auto link_local_2 = Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, 2});
constexpr auto unique_local = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 1});
constexpr auto router_2 = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe});

void add_default_route(F& f, const Ipv6Address& router = F::peer, InterfaceIndex interface = F::nic) {
    auto cx = f.cx();
    REQUIRE(ip::add_route(cx, ipv6_unspecified, 0, interface, router, false));
}

void add_address(F& f, const Ipv6Address& a, std::uint8_t bits = 64, InterfaceIndex interface = F::nic) {
    auto cx = f.cx();
    REQUIRE(ip::add_address(cx, interface, a, bits, false));
    f.sent();
}

/// A second interface without a device.
InterfaceIndex add_interface(F& f) {
    const auto handle = f.w.interfaces.create();
    REQUIRE(handle);
    InterfaceState& s = f.w.interfaces.edit(handle);
    s.index = handle.index() + 1;
    s.mac = {{2, 0, 0, 0, 0, 0x77}};
    return s.index;
}

void set_status(F& f, const Ipv6Address& address, AddressStatus status) {
    f.w.addresses.for_each([&](std::uint32_t i, const AddressState& a) {
        if (a.address == address) f.w.addresses.edit(i).status = static_cast<std::uint8_t>(status);
    });
}

std::optional<Ipv6Address> source_for(F& f, const Ipv6Address& destination) {
    return ip::select_source(f.cx(), destination, {F::nic, destination});
}

ip::OutputRequest request(const Ipv6Address& destination) {
    ip::OutputRequest r;
    r.destination = destination;
    r.next_header = proto_udp;
    r.header_length = 8;
    r.header[1] = 7;
    r.header[3] = 9;
    r.header[5] = 8;
    r.checksum_offset = 6;
    return r;
}

class Queue final : public ip::OutputSeam {
  public:
    std::vector<ip::OutputRequest> requests{};
    bool is_full = false;
    bool push(const ip::OutputRequest& r) override {
        if (!is_full) requests.push_back(r);
        return !is_full;
    }
};

}  // namespace

TEST_CASE("output: the header says what the request says (RFC 8200 3)") {
    F f;
    f.introduce();
    auto cx = f.cx();
    ip::OutputRequest r = request(F::peer);
    r.traffic_class = 0xb8;
    r.flow_label = 0xabcde;
    CHECK(ip::output(cx, r) == ip::OutputResult::sent);
    Packet p = f.sent_one();
    CHECK(p.traffic_class == 0xb8);
    CHECK(p.flow_label == 0xabcde);
    CHECK(p.hop_limit == 64);
    CHECK(p.src == F::own);
    CHECK(p.eth_src == F::own_mac);
    CHECK(p.ip.size() == 48);
    r.hop_limit = 7;
    ip::output(cx, r);
    CHECK(f.sent_one().hop_limit == 7);
}

TEST_CASE("output: the checksum covers header and slices of any length") {
    F f;
    f.introduce();
    auto cx = f.cx();
    const BufferRef buffer{f.w.pool, f.w.pool.allocate(PoolUse::send)};
    f.w.pool.append(buffer.get(), Bytes(100, 0x33));
    for (const std::uint16_t cut : std::initializer_list<std::uint16_t>{1, 2, 7, 50}) {
        ip::OutputRequest r = request(F::peer);
        r.header[5] = 108;
        r.slices[0] = {buffer.get(), 0, cut};
        r.slices[1] = {buffer.get(), cut, static_cast<std::uint16_t>(99 - cut)};
        r.slices[2] = {buffer.get(), 99, 1};
        r.slice_count = 3;
        CHECK(ip::output(cx, r) == ip::OutputResult::sent);
        CHECK(f.sent_one().udp->payload == Bytes(100, 0x33));
    }
}

TEST_CASE("output: a device that completes checksums gets the pseudo-header's sum") {
    WorldOptions options;
    options.capabilities.tx_checksum = true;
    F f{options};
    f.introduce();
    auto cx = f.cx();
    CHECK(f.output(F::peer, 3) == ip::OutputResult::sent);
    const link::Port& port = f.ports.of(F::nic);
    const link::QueuedFrame& frame = port.ring[port.head & port.ring_mask];
    CHECK(frame.needs_checksum);
    CHECK(frame.checksum_start == 54);
    CHECK(frame.checksum_offset == 6);
    // As the device does it: the sum from checksum_start on, the field included.
    Checksum sum;
    sum.add({frame.header.data() + 54, 8});
    sum.add(f.w.pool.view(frame.slices[0]));
    Checksum field;
    field.add_u16(static_cast<std::uint16_t>(frame.header[60] << 8 | frame.header[61]));
    CHECK(field.sum() == pseudo_header(F::own, F::peer, 11, 17).sum());
    Bytes datagram(frame.header.begin() + 54, frame.header.begin() + 62);
    datagram[6] = static_cast<std::uint8_t>(sum.fold() >> 8);
    datagram[7] = static_cast<std::uint8_t>(sum.fold());
    CHECK(checksum(F::own, F::peer, 17, datagram + Bytes(3, 0x5a)) == 0);
    link::discard(cx, F::nic);
}

TEST_CASE("output: what waits for a neighbour has its checksum completed") {
    WorldOptions options;
    options.capabilities.tx_checksum = true;
    F f{options};
    CHECK(f.output(F::peer, 3) == ip::OutputResult::sent);
    f.sent();
    f.receive_nd(136, advertisement_body(F::peer, false, true, true, F::peer_mac), F::peer, F::own);
    CHECK(f.sent_one().udp->payload == Bytes(3, 0x5a));  // read_frame checks it
}

TEST_CASE("output: a computed UDP checksum of 0 goes out as 0xffff (RFC 768)") {
    F f;
    f.introduce();
    auto cx = f.cx();
    ip::OutputRequest r = request(F::peer);
    r.header_length = 10;
    r.header[5] = 10;
    ip::output(cx, r);
    const Packet p = f.sent_one();
    const std::uint16_t field = get16(p.ip, 46);
    // Put into the two bytes behind the header what makes the sum come out as 0xffff.
    r.header[8] = static_cast<std::uint8_t>(field >> 8);
    r.header[9] = static_cast<std::uint8_t>(field);
    ip::output(cx, r);
    CHECK(get16(f.sent_one().ip, 46) == 0xffff);
}

TEST_CASE("output: too big for the link, and for the path") {
    F f;
    f.introduce();
    add_default_route(f);
    CHECK(f.output(F::peer, 1452) == ip::OutputResult::sent);
    CHECK(f.output(F::peer, 1453) == ip::OutputResult::too_big);
    auto cx = f.cx();
    ip::accept_path_mtu(cx, F::far, F::nic, 1300);
    CHECK(f.output(F::far, 1252) == ip::OutputResult::sent);
    CHECK(f.output(F::far, 1253) == ip::OutputResult::too_big);
    CHECK(f.output(F::peer, 1452) == ip::OutputResult::sent);
    CHECK(f.sent().size() == 3);
    f.expect_drops({});
}

TEST_CASE("output: super-frames are for devices that cut them") {
    WorldOptions options;
    options.capabilities.tso_max_bytes = 4000;
    F f{options};
    f.introduce();
    auto cx = f.cx();
    const BufferRef buffer{f.w.pool, f.w.pool.allocate(PoolUse::send)};
    f.w.pool.append(buffer.get(), Bytes(2000));
    ip::OutputRequest r = request(F::peer);
    r.segment_bytes = 1400;
    r.slices[0] = r.slices[1] = {buffer.get(), 0, 2000};
    r.slice_count = 2;
    CHECK(ip::output(cx, r) == ip::OutputResult::sent);
    CHECK(f.ports.of(F::nic).ring[(f.ports.of(F::nic).tail - 1) & 15].segment_bytes == 1400);
    r.slices[2] = {buffer.get(), 0, 1};
    r.slice_count = 3;
    CHECK(ip::output(cx, r) == ip::OutputResult::too_big);
    r.slice_count = 1;
    r.segment_bytes = 1453;
    CHECK(ip::output(cx, r) == ip::OutputResult::too_big);
    // It does not wait for a neighbour: its transport will send it again.
    r.segment_bytes = 1400;
    r.destination = router_2;
    ip::output(cx, r);
    f.expect_drops({DropReason::pending_queue_full});
    link::discard(cx, F::nic);
}

TEST_CASE("output: a full ring is busy, and nothing has happened") {
    F f;
    f.introduce();
    f.ports.of(F::nic).device = nullptr;
    for (int i = 0; i < 16; ++i) CHECK(f.output(F::peer, 10) == ip::OutputResult::sent);
    const std::uint64_t before = f.w.statistics.get(0U).ip_sent;
    CHECK(f.output(F::peer, 10) == ip::OutputResult::busy);
    CHECK(f.w.statistics.get(0U).ip_sent == before);
    CHECK(f.w.pool.in_use() == 16);
    f.expect_drops({});
}

TEST_CASE("output: no_route, and a source that is not ours") {
    F f;
    CHECK(f.output(F::far) == ip::OutputResult::no_route);
    CHECK(f.output(ipv6_unspecified) == ip::OutputResult::no_route);
    CHECK(f.output(F::peer, 0, 7) == ip::OutputResult::no_route);
    auto cx = f.cx();
    ip::OutputRequest r = request(F::peer);
    r.source = F::far;
    CHECK(ip::output(cx, r) == ip::OutputResult::address_gone);
    r.destination = F::own;
    CHECK(ip::output(cx, r) == ip::OutputResult::address_gone);
    r.destination = ipv6_loopback;
    CHECK(ip::output(cx, r) == ip::OutputResult::address_gone);
    r.source = F::own;
    r.destination = F::peer;
    CHECK(ip::output(cx, r) == ip::OutputResult::sent);
    REQUIRE(ip::remove_address(cx, F::nic, F::own));
    CHECK(f.w.address_lost);
    CHECK(ip::output(cx, r) == ip::OutputResult::no_route);  // the prefix went with the address
    f.sent();
}

TEST_CASE("routes: the longest prefix, on-link or through a router") {
    F f;
    auto cx = f.cx();
    const auto hop = [&](const Ipv6Address& d) { return ip::find_route(cx, d, 0)->next_hop; };
    CHECK(hop(F::peer) == F::peer);
    CHECK_FALSE(ip::find_route(cx, F::far, 0));
    add_default_route(f);
    CHECK(hop(F::far) == F::peer);
    REQUIRE(ip::add_route(cx, Ipv6Address::from_words({0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x55}), 48, F::nic,
                          router_2, false));
    CHECK(hop(F::far) == router_2);
    CHECK(hop(unique_local) == F::peer);
    // The same prefix again replaces its next hop.
    REQUIRE(ip::add_route(cx, F::far, 48, F::nic, F::peer, false));
    CHECK(hop(F::far) == F::peer);
    REQUIRE(ip::remove_route(cx, F::far, 48, F::nic));
    CHECK(ip::remove_route(cx, F::far, 48, F::nic).error() == Error::no_route);
    CHECK(hop(F::far) == F::peer);
    CHECK_FALSE(ip::find_route(cx, F::far, 2));
    CHECK_FALSE(ip::find_route(cx, ipv6_loopback, 0));
}

TEST_CASE("routes: what add_route and add_address refuse") {
    F f;
    auto cx = f.cx();
    CHECK(ip::add_route(cx, F::far, 129, F::nic, F::peer, false).error() == Error::invalid_argument);
    CHECK(ip::add_route(cx, F::far, 64, F::nic, ipv6_all_nodes, false).error() == Error::invalid_argument);
    CHECK(ip::add_route(cx, F::far, 64, 0, F::peer, false).error() == Error::no_device);
    CHECK(ip::add_route(cx, F::far, 64, 9, F::peer, false).error() == Error::no_device);
    CHECK(ip::remove_route(cx, F::far, 200, F::nic).error() == Error::invalid_argument);
    for (const Ipv6Address& a : {ipv6_unspecified, ipv6_loopback, ipv6_all_nodes}) {
        CHECK(ip::add_address(cx, F::nic, a, 64, false).error() == Error::invalid_argument);
    }
    CHECK(ip::add_address(cx, F::nic, F::far, 129, false).error() == Error::invalid_argument);
    CHECK(ip::add_address(cx, 0, F::far, 64, false).error() == Error::no_device);
    CHECK(ip::add_address(cx, F::nic, F::own, 64, false).error() == Error::address_in_use);
    CHECK(ip::remove_address(cx, F::nic, F::far).error() == Error::address_not_available);
}

TEST_CASE("routes and addresses: full tables refuse, and leave nothing behind") {
    F f;
    auto cx = f.cx();
    Ipv6Address a = F::far;
    for (std::uint8_t i = 0; i < 3; ++i) {
        a.octets[5] = i;
        REQUIRE(ip::add_address(cx, F::nic, a, 64, false));
    }
    a.octets[5] = 9;
    CHECK(ip::add_address(cx, F::nic, a, 64, false).error() == Error::no_memory);
    REQUIRE(ip::remove_address(cx, F::nic, F::own));
    for (std::uint8_t i = 0; f.w.routes.available() != 0; ++i) {
        a.octets[5] = static_cast<std::uint8_t>(100 + i);
        REQUIRE(ip::add_route(cx, a, 64, F::nic, {}, false));
    }
    a.octets[5] = 99;
    CHECK(ip::add_route(cx, a, 64, F::nic, {}, false).error() == Error::no_memory);
    const std::uint32_t before = f.w.addresses.in_use();
    CHECK(ip::add_address(cx, F::nic, a, 64, false).error() == Error::no_memory);
    CHECK(f.w.addresses.in_use() == before);
    f.sent();
}

TEST_CASE("addresses: the on-link route goes with the last address of its prefix") {
    F f;
    Ipv6Address second = F::own;
    second.octets[15] = 0x10;
    add_address(f, second);
    auto cx = f.cx();
    REQUIRE(ip::remove_address(cx, F::nic, F::own));
    CHECK(ip::find_route(cx, F::peer, 0));
    REQUIRE(ip::remove_address(cx, F::nic, second));
    CHECK_FALSE(ip::find_route(cx, F::peer, 0));
    // A route of the user's stays, whoever came first.
    REQUIRE(ip::add_route(cx, F::own, 64, F::nic, {}, false));
    add_address(f, F::own);
    auto again = f.cx();
    REQUIRE(ip::remove_address(again, F::nic, F::own));
    CHECK(ip::find_route(again, F::peer, 0));
}

TEST_CASE("routes: a lifetime ends") {
    F f;
    add_default_route(f);
    f.w.routes.for_each([&](std::uint32_t i, const RouteState& r) {
        if (r.prefix_length == 0) f.w.routes.edit(i).valid_until = f.now + 5_s;
    });
    f.rebuild();
    f.advance(4_s);
    CHECK(ip::find_route(f.cx(), F::far, 0));
    f.advance(1_s);
    CHECK_FALSE(ip::find_route(f.cx(), F::far, 0));
}

TEST_CASE("RFC 4861 6.3.6: of two default routers the one that answers") {
    F f;
    const auto second = add_interface(f);
    add_default_route(f);
    CHECK(f.output(F::far) == ip::OutputResult::sent);  // the router is asked for
    add_default_route(f, router_2, second);
    CHECK(ip::find_route(f.cx(), F::far, 0)->next_hop == router_2);
    f.receive_nd(136, advertisement_body(F::peer, true, true, true, F::peer_mac), F::peer, F::own);
    CHECK(ip::find_route(f.cx(), F::far, 0)->next_hop == F::peer);
    f.sent();
}

TEST_CASE("RFC 4007: a link-local destination needs its interface when there are two") {
    F f;
    add_address(f, link_local_1);
    CHECK(ip::find_route(f.cx(), link_local_2, 0)->interface == F::nic);
    const auto second = add_interface(f);
    CHECK_FALSE(ip::find_route(f.cx(), link_local_2, 0));
    CHECK(ip::find_route(f.cx(), link_local_2, F::nic)->interface == F::nic);
    // RFC 4861 5.1: on that link, too, although we have no such address there.
    CHECK(ip::find_route(f.cx(), link_local_2, second)->interface == second);
    CHECK(ip::find_address(f.cx(), link_local_1, F::nic));
    CHECK_FALSE(ip::find_address(f.cx(), link_local_1, second));
    CHECK(ip::find_address(f.cx(), F::own, second));  // an address belongs to the host
}

TEST_CASE("RFC 6724 5: source selection") {
    F f;
    add_address(f, link_local_1);
    add_address(f, unique_local);
    Ipv6Address sibling = F::own;
    sibling.octets[7] = 1;  // another /64
    add_address(f, sibling);
    Ipv6Address near_sibling = sibling;
    near_sibling.octets[15] = 0x44;
    const auto six_to_four = Ipv6Address::from_words({0x2002, 1, 2, 0, 0, 0, 0, 1});
    const auto multicast_wide = Ipv6Address::from_words({0xff0e, 0, 0, 0, 0, 0, 0, 1});
    CHECK(source_for(f, F::own) == F::own);  // rule 1
    CHECK(source_for(f, sibling) == sibling);
    CHECK(source_for(f, link_local_2) == link_local_1);  // rule 2
    CHECK(source_for(f, ipv6_all_nodes) == link_local_1);
    CHECK(source_for(f, multicast_wide) == F::own);
    CHECK(source_for(f, F::far) == F::own);
    // Rule 6: the label of unique local addresses is theirs alone.
    CHECK(source_for(f, Ipv6Address::from_words({0xfd12, 0, 0, 0, 0, 0, 0, 9})) == unique_local);
    CHECK(source_for(f, six_to_four) == F::own);
    CHECK(source_for(f, near_sibling) == sibling);      // rule 8
    set_status(f, sibling, AddressStatus::deprecated);  // rule 3
    CHECK(source_for(f, near_sibling) == F::own);
    CHECK(source_for(f, sibling) == sibling);  // rule 1 comes first
    set_status(f, F::own, AddressStatus::duplicate);
    CHECK(source_for(f, near_sibling) == unique_local);  // rule 3 comes before 6 and 8
    set_status(f, F::own, AddressStatus::tentative);
    CHECK(source_for(f, F::own) != F::own);
    set_status(f, F::own, AddressStatus::optimistic);  // RFC 4429: behind a preferred one
    CHECK(source_for(f, F::far) == unique_local);
}

TEST_CASE("RFC 6437: a flow's label is stable, not 0, and another flow's differs") {
    F f;
    const auto label = [&](std::uint16_t port) {
        return ip::flow_label(f.cx(), F::own, F::peer, port, 80, proto_tcp);
    };
    CHECK(label(1000) == label(1000));
    CHECK(label(1000) != label(1001));
    for (std::uint16_t port = 0; port < 2000; ++port) {
        CHECK(label(port) != 0);
        CHECK(label(port) <= 0xfffff);
    }
    const std::uint32_t before = label(7);
    f.w.edit_stack().flow_key = {9, 9};
    CHECK(label(7) != before);
}

TEST_CASE("loopback: our own address and ::1, by a queue and not by recursion") {
    F f;
    const auto socket = f.open_udp({{}, 9});
    CHECK(f.output(F::own, 5) == ip::OutputResult::sent);
    CHECK(f.output(ipv6_loopback, 6) == ip::OutputResult::sent);
    CHECK(ip::has_loopback(f.cx()));
    CHECK(f.sent().empty());
    f.run_loopback();
    CHECK_FALSE(ip::has_loopback(f.cx()));
    auto cx = f.cx();
    const auto first = udp::peek(cx, socket);
    REQUIRE(first);
    CHECK(first->source.address == F::own);
    CHECK(first->interface == F::nic);
    CHECK(first->payload.size() == 5);
    REQUIRE(udp::consume(cx, socket));
    const auto second = udp::peek(cx, socket);
    REQUIRE(second);
    CHECK(second->source.address == ipv6_loopback);
    CHECK(second->payload.size() == 6);
    f.expect_drops({});
    f.close_udp(socket);
}

TEST_CASE("loopback: a closed port answers through it") {
    F f;
    const auto socket = f.open_udp({{}, 7}, {F::own, 9});
    CHECK(f.output(F::own, 5) == ip::OutputResult::sent);
    f.run_loopback();
    f.expect_drops({DropReason::udp_no_socket});
    REQUIRE(f.errors.size() == 1);
    CHECK(f.errors[0].code == 4);
    CHECK(f.w.sockets.get(socket).error == Error::connection_refused);
    f.close_udp(socket);
}

TEST_CASE("loopback: its ring has a limit, like a device's") {
    WorldOptions options;
    options.config.capacity.packet_buffers = 600;
    F f{options};
    for (std::uint32_t i = 0; i < ip::loopback_packets; ++i)
        CHECK(f.output(F::own) == ip::OutputResult::sent);
    CHECK(f.output(F::own) == ip::OutputResult::busy);
    CHECK(f.output(F::own, 1500) == ip::OutputResult::too_big);
    CHECK(ip::path_mtu(f.cx(), F::own, 0) == 1500);
    F g;  // fewer buffers than places
    std::uint32_t sent = 0;
    while (g.output(F::own) == ip::OutputResult::sent) ++sent;
    CHECK(sent == 64);
}

TEST_CASE("seam: a request goes through the queue, and a full queue is busy") {
    F f;
    f.introduce();
    Queue queue;
    auto cx = f.cx();
    cx.seam = &queue;
    CHECK(ip::submit(cx, request(F::peer)) == ip::OutputResult::sent);
    CHECK(f.sent().empty());
    REQUIRE(queue.requests.size() == 1);
    CHECK(ip::output(cx, queue.requests[0]) == ip::OutputResult::sent);
    CHECK(f.sent_one().udp);
    queue.is_full = true;
    CHECK(ip::submit(cx, request(F::peer)) == ip::OutputResult::busy);
}
