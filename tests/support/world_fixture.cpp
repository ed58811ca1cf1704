#include "support/world_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

namespace keepnet::test {

namespace {

LinkCapabilities with_mac(LinkCapabilities c) {
    c.mac = WorldFixture::own_mac;
    return c;
}

std::string name_of(DropReason reason) { return std::to_string(static_cast<int>(reason)); }

}  // namespace

StackConfig WorldOptions::small() {
    StackConfig c;
    c.capacity = {.interfaces = 2,
                  .addresses = 4,
                  .routes = 8,
                  .neighbors = 8,
                  .pending_packets = 6,
                  .destinations = 2,
                  .sockets = 16,
                  .tcp_connections = 4,
                  .tcp_listeners = 2,
                  .tcp_tombstones = 2,
                  .udp_sockets = 8,
                  .udp_datagrams = 12,
                  .slice_nodes = 64,
                  .packet_buffers = 64,
                  .transmit_ring = 16,
                  .sent_ranges = 64,
                  .shadow_objects = 64,
                  .sweep_queue_bytes = 1U << 16};
    c.nd.dad_transmits = 0;
    return c;
}

WorldFixture::WorldFixture(const WorldOptions& options) : device(own_mac) {
    const auto place = [&](ArenaCarver& carver) {
        w.place(carver, options.config);
        ports.place(carver, options.config.capacity);
        loopback.place(carver);
        udp_tables.place(carver, options.config.capacity);
    };
    ArenaCarver size{nullptr};
    place(size);
    arena_ = Arena{size.bytes()};
    ArenaCarver carver{arena_.span().data()};
    place(carver);
    w.initialize(options.config);
    ports.initialize();
    loopback.initialize();
    udp_tables.initialize();
    seed(w.edit_stack().random, std::array<std::uint8_t, 32>{1, 2, 3});
    w.edit_stack().flow_key = {1, 2};
    w.edit_stack().interface_key = {3, 4};

    InterfaceState& state = w.interfaces.edit(w.interfaces.create());
    state.index = nic;
    state.mac = own_mac;
    state.mtu = options.config.ip.mtu_max;
    state.link_local_wanted = options.link_local;
    ports.of(nic).device = &device;
    ports.of(nic).capabilities = with_mac(options.capabilities);
    auto c = cx();
    ip::on_interface_up(c, nic);
    if (options.add_address) REQUIRE(ip::add_address(c, nic, own, 64, false));
    if (options.config.nd.dad_transmits == 0) sent();
}

WorldFixture::~WorldFixture() {
    auto c = cx();
    for (std::uint32_t i = w.udp_sockets.next(0); i != BitTree::none; i = w.udp_sockets.next(i + 1)) {
        udp::release(c, i);
    }
    while (const auto looped = ip::take_loopback(c)) w.pool.release(looped->packet.buffer);
    w.interfaces.for_each([&](std::uint32_t i, const InterfaceState&) {
        nd::forget_interface(c, i + 1);
        link::discard(c, i + 1);
    });
    CHECK(w.pool.in_use() == 0);
    CHECK(w.datagrams.in_use() == 0);
    CHECK(w.pending_packets.in_use() == 0);
}

void WorldFixture::receive(const Bytes& frame) {
    auto c = cx();
    const BufferRef buffer{w.pool, w.pool.allocate(PoolUse::receive)};
    REQUIRE(buffer);
    std::copy(frame.begin(), frame.end(), w.pool.buffer(buffer.get()).begin());
    w.pool.set_used(buffer.get(), packet_buffer_bytes);
    const auto received = link::on_frame(c, nic, {buffer.get(), 0, static_cast<std::uint16_t>(frame.size())});
    if (!received) return;
    const ip::Delivery d = ip::on_packet(c, *received);
    if (d.kind == ip::Delivery::Kind::error) {
        errors.push_back(d.error);
        if (d.error.next_header == proto_udp) udp::on_error(c, d.error);
    } else if (d.kind == ip::Delivery::Kind::transport) {
        if (d.input.next_header == proto_udp) return udp::on_datagram(c, d.input);
        const ByteView payload = w.pool.view(d.input.payload);
        segments.push_back({d.input, {payload.begin(), payload.end()}});
    }
}

void WorldFixture::receive_ip(const IpFields& ip, ByteView payload) {
    const MacAddress mac = ip.dst.is_multicast() ? multicast_mac(ip.dst) : own_mac;
    receive(ethernet(mac, peer_mac, 0x86dd, ip_packet(ip, payload)));
}

void WorldFixture::receive_icmp(std::uint8_t type, std::uint8_t code, ByteView body, const Ipv6Address& src,
                                const Ipv6Address& dst, std::uint8_t hop_limit) {
    receive_ip({.src = src, .dst = dst, .next_header = proto_icmp, .hop_limit = hop_limit},
               icmp_message(src, dst, type, code, body));
}

void WorldFixture::receive_nd(std::uint8_t type, ByteView body, const Ipv6Address& src,
                              const Ipv6Address& dst) {
    receive_icmp(type, 0, body, src, dst, 255);
}

void WorldFixture::receive_udp(const UdpFields& udp, const Ipv6Address& src, const Ipv6Address& dst) {
    receive_ip({.src = src, .dst = dst, .next_header = proto_udp}, udp_datagram(src, dst, udp));
}

void WorldFixture::introduce(const Ipv6Address& who, const MacAddress& mac) {
    receive_nd(135, solicitation_body(own, mac), who, solicited_node(own));
    REQUIRE(neighbor(who) != nullptr);
    sent();
}

std::vector<Packet> WorldFixture::sent() {
    auto c = cx();
    link::flush(c, nic);
    std::vector<Packet> out;
    for (; !device.from_stack.empty(); device.from_stack.pop_front()) {
        auto packet = read_frame(device.from_stack.front());
        INFO((packet ? std::string{} : packet.error()));
        REQUIRE(packet.has_value());
        out.push_back(*packet);
    }
    return out;
}

Packet WorldFixture::sent_one() {
    const auto packets = sent();
    REQUIRE(packets.size() == 1);
    return packets[0];
}

void WorldFixture::run_loopback() {
    auto c = cx();
    while (const auto looped = ip::take_loopback(c)) {
        const BufferRef buffer{w.pool, looped->packet.buffer};
        const ip::Delivery d = ip::on_packet(c, *looped);
        if (d.kind == ip::Delivery::Kind::error) {
            errors.push_back(d.error);
            if (d.error.next_header == proto_udp) udp::on_error(c, d.error);
        } else if (d.kind == ip::Delivery::Kind::transport && d.input.next_header == proto_udp) {
            udp::on_datagram(c, d.input);
        }
    }
}

void WorldFixture::advance(Duration d) {
    const Instant end = now + d;
    for (;;) {
        const Deadline next = w.timers.next();
        if (next > end) break;
        now = later(now, next);
        const World::Timer timer = w.take_expired(now);
        auto c = cx();
        switch (timer.kind) {
            case StateKind::neighbor:
                nd::on_neighbor_timer(c, timer.index);
                break;
            case StateKind::address:
                nd::on_address_timer(c, timer.index);
                break;
            case StateKind::interface:
                nd::on_interface_timer(c, timer.index);
                break;
            case StateKind::route:
                ip::on_route_timer(c, timer.index);
                break;
            case StateKind::destination:
                ip::on_destination_timer(c, timer.index);
                break;
            default:
                FAIL("no such timer");
        }
        while (const auto delivery = ip::take_unreachable(c)) {
            errors.push_back(delivery->error);
            if (delivery->error.next_header == proto_udp) udp::on_error(c, delivery->error);
        }
    }
    now = end;
}

std::uint64_t WorldFixture::drops(DropReason reason) const {
    return w.statistics.get(0U).drops[static_cast<std::size_t>(reason)];
}

std::uint64_t WorldFixture::all_drops() const {
    std::uint64_t n = 0;
    for (const std::uint64_t d : w.statistics.get(0U).drops) n += d;
    return n;
}

void WorldFixture::expect_drops(std::initializer_list<DropReason> reasons) {
    std::array<std::uint64_t, drop_reasons> expected = seen_.drops;
    for (const DropReason r : reasons) ++expected[static_cast<std::size_t>(r)];
    for (std::size_t i = 0; i < drop_reasons; ++i) {
        INFO("drop reason " << name_of(static_cast<DropReason>(i)));
        CHECK(w.statistics.get(0U).drops[i] == expected[i]);
    }
    seen_ = w.statistics.get(0U);
}

const NeighborState* WorldFixture::neighbor(const Ipv6Address& address) const {
    for (std::uint32_t i = w.neighbors.next(0); i != BitTree::none; i = w.neighbors.next(i + 1)) {
        if (w.neighbors.get(i).address == address) return &w.neighbors.get(i);
    }
    return nullptr;
}

AddressStatus WorldFixture::status(const Ipv6Address& address) const {
    for (std::uint32_t i = w.addresses.next(0); i != BitTree::none; i = w.addresses.next(i + 1)) {
        const AddressState& a = w.addresses.get(i);
        if (a.address == address) return static_cast<AddressStatus>(a.status);
    }
    return AddressStatus::invalid;
}

Handle<SocketState> WorldFixture::open_udp(const Endpoint& local, const Endpoint& remote) {
    const auto socket = w.sockets.create();
    REQUIRE(socket);
    SocketState& s = w.sockets.edit(socket);
    s.kind = SocketKind::udp;
    s.is_bound = true;
    s.local = local;
    s.remote = remote;
    s.options.receive_buffer = w.config().udp.receive_queue;
    s.udp = w.udp_sockets.create();
    REQUIRE(s.udp);
    w.udp_sockets.edit(s.udp).socket = socket;
    auto c = cx();
    udp::enter(c, s.udp.index());
    return socket;
}

void WorldFixture::close_udp(Handle<SocketState> socket) {
    auto c = cx();
    udp::release(c, w.sockets.get(socket).udp.index());
    w.sockets.destroy(socket);
}

ip::OutputResult WorldFixture::output(const Ipv6Address& destination, std::size_t payload_bytes,
                                      InterfaceIndex interface) {
    auto c = cx();
    ip::OutputRequest r;
    r.destination = destination;
    r.interface = interface;
    r.next_header = proto_udp;
    r.header_length = 8;
    r.header[1] = 7;  // from port 7 to port 9
    r.header[3] = 9;
    r.header[4] = static_cast<std::uint8_t>((8 + payload_bytes) >> 8);
    r.header[5] = static_cast<std::uint8_t>(8 + payload_bytes);
    r.checksum_offset = 6;
    BufferRef buffer;
    if (payload_bytes != 0) {
        buffer = {w.pool, w.pool.allocate(PoolUse::send)};
        REQUIRE(buffer);
        r.slices[0] = w.pool.append(buffer.get(), Bytes(payload_bytes, 0x5a));
        r.slice_count = 1;
    }
    return ip::submit(c, r);
}

void WorldFixture::rebuild() {
    w.timers.clear();
    auto c = cx();
    ip::rebuild(c);
    nd::rebuild(c);
    udp::rebuild(c);
}

}  // namespace keepnet::test
