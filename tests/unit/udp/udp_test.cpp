// UDP (RFC 768, 8085; RFC 8200 8.1): who gets a datagram, what is refused, what is held for a commit.
#include <catch2/catch_test_macros.hpp>

#include "support/world_fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

using F = WorldFixture;

Ipv6Address neighbour(std::uint8_t n) {
    Ipv6Address a = F::peer;
    a.octets[15] = n;
    return a;
}

std::uint32_t queued(const F& f, Handle<SocketState> socket) {
    return f.w.udp_sockets.get(f.w.sockets.get(socket).udp).receive_count;
}
std::uint32_t held(const F& f, Handle<SocketState> socket) {
    return f.w.udp_sockets.get(f.w.sockets.get(socket).udp).held_count;
}

Readiness ready(F& f, Handle<SocketState> socket) { return udp::readiness(f.cx(), f.w.sockets.get(socket)); }

Bytes take(F& f, Handle<SocketState> socket) {
    auto cx = f.cx();
    const auto d = udp::peek(cx, socket);
    REQUIRE(d);
    Bytes payload(d->payload.begin(), d->payload.end());
    REQUIRE(udp::consume(cx, socket));
    return payload;
}

std::expected<void, Error> send(F& f, Handle<SocketState> socket, const Endpoint& to, ByteView payload,
                                SendDatagram how = {}) {
    auto cx = f.cx();
    how.destination = to;
    return udp::send(cx, socket, how, payload);
}

Handle<SocketState> open_holding(F& f, const Endpoint& local) {
    const auto socket = f.open_udp(local);
    f.w.sockets.edit(socket).options.hold_output = true;
    f.w.sockets.edit(socket).options.policy = f.w.sockets.edit(socket).options.send_policy = DurabilityPolicy::snapshot;
    return socket;
}

void commit(F& f, CutNumber n) {
    auto cx = f.cx();
    udp::on_committed(cx, n);
}

}  // namespace

TEST_CASE("UDP: a datagram waits with everything that came with it") {
    F f;
    const auto socket = f.open_udp({F::own, 9});
    f.receive_ip(
        {.src = F::peer, .dst = F::own, .next_header = proto_udp, .hop_limit = 3, .traffic_class = 0x20},
        udp_datagram(F::peer, F::own, {.src_port = 7, .dst_port = 9, .payload = Bytes{1, 2, 3}}));
    auto cx = f.cx();
    const auto d = udp::peek(cx, socket);
    REQUIRE(d);
    CHECK(d->source == Endpoint{F::peer, 7, F::nic});
    CHECK(d->destination == F::own);
    CHECK(d->interface == F::nic);
    CHECK(d->hop_limit == 3);
    CHECK(d->traffic_class == 0x20);
    CHECK(Bytes(d->payload.begin(), d->payload.end()) == Bytes{1, 2, 3});
    CHECK(ready(f, socket).has(Readiness::readable));
    CHECK(f.w.changed_sockets.test(socket.index()));
    CHECK(udp::peek(cx, socket)->payload.size() == 3);  // it stays until it is consumed
    REQUIRE(udp::consume(cx, socket));
    CHECK(udp::peek(cx, socket).error() == Error::would_block);
    CHECK(udp::consume(cx, socket).error() == Error::would_block);
    CHECK_FALSE(ready(f, socket).has(Readiness::readable));
    CHECK(f.w.pool.in_use() == 0);
    CHECK(f.w.statistics.get(0U).udp_received == 1);
    f.expect_drops({});
    f.close_udp(socket);
}

TEST_CASE("UDP: an empty datagram is one, and bytes behind the UDP length are none of it") {
    F f;
    const auto socket = f.open_udp({{}, 9});
    f.receive_udp({.src_port = 7, .dst_port = 9});
    CHECK(f.w.pool.in_use() == 0);
    CHECK(take(f, socket).empty());
    Bytes longer = udp_datagram(F::peer, F::own, {.src_port = 7, .dst_port = 9, .payload = Bytes{1, 2}});
    longer.resize(longer.size() + 5, 0xee);
    f.receive_ip({.src = F::peer, .dst = F::own, .next_header = proto_udp}, longer);
    CHECK(take(f, socket) == Bytes{1, 2});
    f.close_udp(socket);
}

TEST_CASE("UDP: large payloads keep the device's buffer, small ones share one") {
    F f;
    const auto socket = f.open_udp({{}, 9});
    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(1000, 1)});
    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(1000, 2)});
    CHECK(f.w.pool.in_use() == 2);
    for (std::uint8_t i = 0; i < 10; ++i)
        f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(200, i)});
    CHECK(f.w.pool.in_use() == 3);  // 2000 bytes of ten
    CHECK(take(f, socket) == Bytes(1000, 1));
    CHECK(take(f, socket) == Bytes(1000, 2));
    for (std::uint8_t i = 0; i < 10; ++i) CHECK(take(f, socket) == Bytes(200, i));
    CHECK(f.w.pool.in_use() == 0);
    f.close_udp(socket);
}

TEST_CASE("UDP: nothing is packed into a buffer whose fill is not known after a restore") {
    F f;
    const auto socket = f.open_udp({{}, 9});
    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(100, 1)});
    const Slice first = f.w.datagrams.get(f.w.udp_sockets.get(0U).receive_tail.index()).payload;
    f.w.pool.set_used(first.buffer, 0);  // as after a decode
    f.rebuild();
    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(100, 2)});
    CHECK(take(f, socket) == Bytes(100, 1));
    CHECK(take(f, socket) == Bytes(100, 2));
    f.close_udp(socket);
}

TEST_CASE("UDP: the most specific socket gets it") {
    F f;
    const auto any = f.open_udp({{}, 9});
    const auto on_link = f.open_udp({{}, 9, F::nic});
    const auto own = f.open_udp({F::own, 9});
    const auto connected_any = f.open_udp({{}, 9}, {neighbour(8), 7});
    const auto connected = f.open_udp({F::own, 9}, {F::peer, 7});
    const auto other_port = f.open_udp({F::own, 10});
    f.receive_udp({.src_port = 7, .dst_port = 9});
    CHECK(queued(f, connected) == 1);
    f.receive_udp({.src_port = 8, .dst_port = 9});
    CHECK(queued(f, own) == 1);
    f.receive_udp({.src_port = 7, .dst_port = 9}, neighbour(8));
    CHECK(queued(f, connected_any) == 1);
    f.close_udp(own);
    f.receive_udp({.src_port = 8, .dst_port = 9});
    CHECK(queued(f, on_link) == 1);
    f.close_udp(on_link);
    f.receive_udp({.src_port = 8, .dst_port = 9});
    CHECK(queued(f, any) == 1);
    f.close_udp(any);
    f.receive_udp({.src_port = 8, .dst_port = 9});
    f.expect_drops({DropReason::udp_no_socket});
    CHECK(queued(f, other_port) == 0);
    CHECK(queued(f, connected) == 1);
}

TEST_CASE("UDP: among equals the lowest slot, whatever the order of binding, also after a rebuild") {
    F f;
    const auto first = f.open_udp({{}, 9});
    const auto second = f.open_udp({{}, 9});
    auto cx = f.cx();
    udp::leave(cx, f.w.sockets.get(first).udp.index());
    udp::enter(cx, f.w.sockets.get(first).udp.index());
    f.receive_udp({.src_port = 7, .dst_port = 9});
    f.rebuild();
    f.receive_udp({.src_port = 7, .dst_port = 9});
    CHECK(queued(f, first) == 2);
    CHECK(queued(f, second) == 0);
}

TEST_CASE("UDP: a multicast datagram goes to every socket on its port, and is never answered") {
    F f;
    const auto a = f.open_udp({{}, 9});
    const auto b = f.open_udp({ipv6_all_nodes, 9});
    const auto c = f.open_udp({F::own, 9});
    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(700, 3)}, F::peer, ipv6_all_nodes);
    CHECK(queued(f, a) == 1);
    CHECK(queued(f, b) == 1);
    CHECK(queued(f, c) == 0);
    CHECK(f.w.pool.in_use() == 1);  // one buffer, two references
    f.receive_udp({.src_port = 7, .dst_port = 99}, F::peer, ipv6_all_nodes);
    f.expect_drops({DropReason::udp_no_socket});
    CHECK(f.sent().empty());
}

TEST_CASE("UDP: udp_truncated") {
    F f;
    for (const std::size_t n : {0U, 1U, 7U}) {
        f.receive_ip({.src = F::peer, .dst = F::own, .next_header = proto_udp}, Bytes(n));
        f.expect_drops({DropReason::udp_truncated});
    }
}

TEST_CASE("UDP: udp_bad_length") {
    F f;
    for (const std::uint16_t length : std::initializer_list<std::uint16_t>{0, 7, 13, 0xffff}) {
        f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(4), .length = length});
        f.expect_drops({DropReason::udp_bad_length});
    }
    CHECK(f.sent().empty());
}

TEST_CASE("RFC 8200 8.1: udp_bad_checksum, zero included") {
    F f;
    const auto socket = f.open_udp({{}, 9});
    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(4), .checksum = std::uint16_t{0}});
    f.expect_drops({DropReason::udp_bad_checksum});
    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(4), .checksum = std::uint16_t{0x1234}});
    f.expect_drops({DropReason::udp_bad_checksum});
    CHECK(queued(f, socket) == 0);
}

TEST_CASE("RFC 4443 3.1: udp_no_socket is answered with port unreachable") {
    F f;
    f.introduce();
    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(4)});
    f.expect_drops({DropReason::udp_no_socket});
    const Packet p = f.sent_one();
    CHECK(p.icmp->type == 1);
    CHECK(p.icmp->code == 4);
    CHECK(get16(p.icmp->body, 4 + 40 + 2) == 9);
    // After shutdown(receive) it is silently discarded.
    const auto socket = f.open_udp({{}, 9});
    f.w.sockets.edit(socket).receive_shut = true;
    f.receive_udp({.src_port = 7, .dst_port = 9});
    f.expect_drops({DropReason::udp_no_socket});
    CHECK(f.sent().empty());
}

TEST_CASE("UDP: udp_queue_full, no_slot, out_of_buffers") {
    F f;
    const auto socket = f.open_udp({{}, 9});
    f.w.sockets.edit(socket).options.receive_buffer = 3;
    for (int i = 0; i < 3; ++i) f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(4)});
    f.expect_drops({});
    f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(4)});
    f.expect_drops({DropReason::udp_queue_full});

    f.w.sockets.edit(socket).options.receive_buffer = 100;
    for (int i = 0; i < 9; ++i) f.receive_udp({.src_port = 7, .dst_port = 9});
    f.expect_drops({});
    f.receive_udp({.src_port = 7, .dst_port = 9});
    f.expect_drops({DropReason::no_slot});
    for (int i = 0; i < 12; ++i) take(f, socket);

    std::vector<BufferIndex> taken;
    while (f.w.pool.may_take(PoolUse::optional)) taken.push_back(f.w.pool.allocate(PoolUse::optional));
    for (const std::size_t n : {4U, 1000U}) {
        f.receive_udp({.src_port = 7, .dst_port = 9, .payload = Bytes(n)});
        f.expect_drops({DropReason::out_of_buffers});
    }
    for (const BufferIndex b : taken) f.w.pool.release(b);
    CHECK(f.w.udp_sockets.get(0U).dropped == 4);
    CHECK(queued(f, socket) == 0);
}

TEST_CASE("UDP: a datagram goes out with the right everything") {
    F f;
    f.introduce();
    const auto socket = f.open_udp({{}, 9});
    REQUIRE(send(f, socket, {F::peer, 7}, Bytes{1, 2, 3}));
    Packet p = f.sent_one();
    REQUIRE(p.udp);
    CHECK(p.src == F::own);
    CHECK(p.udp->src_port == 9);
    CHECK(p.udp->dst_port == 7);
    CHECK(p.udp->payload == Bytes{1, 2, 3});
    CHECK(p.hop_limit == 64);
    CHECK(p.flow_label == ip::flow_label(f.cx(), F::own, F::peer, 9, 7, proto_udp));
    f.w.sockets.edit(socket).options.hop_limit = 5;
    f.w.sockets.edit(socket).options.traffic_class = 0x28;
    REQUIRE(send(f, socket, {F::peer, 7}, {}));
    p = f.sent_one();
    CHECK(p.hop_limit == 5);
    CHECK(p.traffic_class == 0x28);
    CHECK(p.udp->payload.empty());
    REQUIRE(send(f, socket, {F::peer, 7}, {}, {.source = F::own, .hop_limit = 9, .traffic_class = 0}));
    p = f.sent_one();
    CHECK(p.hop_limit == 9);
    CHECK(p.traffic_class == 0);
    CHECK(f.w.statistics.get(0U).udp_sent == 3);
    CHECK(f.w.pool.in_use() == 0);
}

TEST_CASE("UDP: a multicast leaves with hop limit 1 unless somebody says otherwise (RFC 3493 5.2)") {
    F f;
    const auto socket = f.open_udp({{}, 9});
    REQUIRE(send(f, socket, {ipv6_all_nodes, 7, F::nic}, Bytes{1}));
    const Packet p = f.sent_one();
    CHECK(p.hop_limit == 1);
    CHECK(p.eth_dst == multicast_mac(ipv6_all_nodes));
    f.w.sockets.edit(socket).options.hop_limit = 9;  // that is for unicast
    f.w.sockets.edit(socket).options.multicast_hop_limit = 4;
    REQUIRE(send(f, socket, {ipv6_all_nodes, 7, F::nic}, Bytes{1}));
    CHECK(f.sent_one().hop_limit == 4);
}

TEST_CASE("UDP: connected sockets, and what send refuses") {
    F f;
    f.introduce();
    const auto connected = f.open_udp({F::own, 9}, {F::peer, 7});
    REQUIRE(send(f, connected, {}, Bytes{1}));
    CHECK(f.sent_one().udp->dst_port == 7);
    const auto socket = f.open_udp({{}, 10});
    CHECK(send(f, socket, {}, Bytes{1}).error() == Error::not_connected);
    CHECK(send(f, socket, {F::far, 7}, Bytes{1}).error() == Error::no_route);
    CHECK(send(f, socket, {F::peer, 7}, Bytes(1453)).error() == Error::message_too_long);
    CHECK(send(f, socket, {F::peer, 7}, Bytes{1}, {.source = F::far}).error() ==
          Error::address_not_available);
    f.w.sockets.edit(socket).is_bound = false;
    CHECK(send(f, socket, {F::peer, 7}, Bytes{1}).error() == Error::invalid_state);
    f.w.sockets.edit(socket).is_bound = true;
    f.ports.of(F::nic).device = nullptr;
    for (int i = 0; i < 16; ++i) REQUIRE(send(f, socket, {F::peer, 7}, Bytes{1}));
    CHECK(send(f, socket, {F::peer, 7}, Bytes{1}).error() == Error::would_block);
    std::vector<BufferIndex> taken;
    while (f.w.pool.may_take(PoolUse::send)) taken.push_back(f.w.pool.allocate(PoolUse::send));
    CHECK(send(f, socket, {F::peer, 7}, Bytes{1}).error() == Error::no_memory);
    for (const BufferIndex b : taken) f.w.pool.release(b);
    auto cx = f.cx();
    CHECK(udp::send(cx, {}, {}, {}).error() == Error::stale_handle);
    CHECK(udp::peek(cx, {}).error() == Error::stale_handle);
    CHECK(udp::consume(cx, {}).error() == Error::stale_handle);
    f.expect_drops({});
}

TEST_CASE("UDP: port unreachable is a connected socket's error, once it is about what it sent") {
    F f;
    const auto connected = f.open_udp({F::own, 9}, {F::peer, 7});
    const auto free = f.open_udp({F::own, 10});
    const auto quote = [&](std::uint16_t from, std::uint16_t to, const Ipv6Address& whom = F::peer) {
        return ip_packet({.src = F::own, .dst = whom, .next_header = proto_udp},
                         udp_datagram(F::own, whom, {.src_port = from, .dst_port = to}));
    };
    f.receive_icmp(1, 4, icmp_error_body(0, quote(9, 8)));  // another port of the peer
    f.expect_drops({DropReason::icmpv6_error_unmatched});
    f.receive_icmp(1, 4, icmp_error_body(0, quote(9, 7, neighbour(5))));  // another host
    f.expect_drops({DropReason::icmpv6_error_unmatched});
    f.receive_icmp(1, 4, icmp_error_body(0, quote(10, 7)));  // not connected: nobody to tell
    f.expect_drops({});
    CHECK(f.w.sockets.get(free).error == Error::invalid);
    CHECK(f.w.sockets.get(connected).error == Error::invalid);
    f.receive_icmp(1, 4, icmp_error_body(0, quote(9, 7)));
    CHECK(f.w.sockets.get(connected).error == Error::connection_refused);
    CHECK(ready(f, connected).has(Readiness::error));
    auto cx = f.cx();
    CHECK(udp::peek(cx, connected).error() == Error::connection_refused);
    f.receive_icmp(1, 0, icmp_error_body(0, quote(9, 7)));
    CHECK(f.w.sockets.get(connected).error == Error::host_unreachable);
    f.expect_drops({});
}

TEST_CASE("UDP: a neighbour that does not answer is a connected socket's error") {
    F f;
    const auto socket = f.open_udp({F::own, 9}, {F::peer, 7});
    REQUIRE(send(f, socket, {}, Bytes{1, 2}));
    f.advance(3_s);
    CHECK(f.w.sockets.get(socket).error == Error::host_unreachable);
    CHECK(f.w.pool.in_use() == 0);
    f.sent();
    f.expect_drops({DropReason::neighbor_unreachable});
}

TEST_CASE(
    "RFC 8201: Packet Too Big about a bound port lowers the path's MTU, about an unknown one it does not") {
    F f;
    f.introduce();
    const auto socket = f.open_udp({F::own, 9});
    const auto too_big = [&](std::uint16_t from) {
        const Bytes quoted = ip_packet({.src = F::own, .dst = F::peer, .next_header = proto_udp},
                                       udp_datagram(F::own, F::peer, {.src_port = from, .dst_port = 7}));
        f.receive_icmp(2, 0, icmp_error_body(1300, quoted));
    };
    too_big(11);
    f.expect_drops({DropReason::icmpv6_error_unmatched});
    REQUIRE(send(f, socket, {F::peer, 7}, Bytes(1400)));
    too_big(9);
    CHECK(send(f, socket, {F::peer, 7}, Bytes(1253)).error() == Error::message_too_long);
    REQUIRE(send(f, socket, {F::peer, 7}, Bytes(1252)));
    CHECK(f.w.sockets.get(socket).error == Error::invalid);
    f.sent();
}

TEST_CASE("UDP: is_taken") {
    F f;
    const auto own = f.open_udp({F::own, 9});
    const auto taken = [&](const Endpoint& e, bool reuse = false) { return udp::is_taken(f.cx(), e, reuse); };
    CHECK(taken({F::own, 9}));
    CHECK(taken({{}, 9}));
    CHECK(taken({F::own, 9, F::nic}));
    CHECK_FALSE(taken({neighbour(8), 9}));
    CHECK_FALSE(taken({F::own, 10}));
    CHECK_FALSE(taken({F::own, 9 + 8}));  // the same bucket
    CHECK_FALSE(taken({F::own, 0}));
    CHECK(taken({F::own, 9}, true));
    f.w.sockets.edit(own).options.reuse_address = true;
    CHECK_FALSE(taken({F::own, 9}, true));
    CHECK(taken({F::own, 9}));
    f.close_udp(own);
    CHECK_FALSE(taken({F::own, 9}));
}

TEST_CASE("DURABILITY 1: a held datagram goes when the cut that covers it, or a later one, is committed") {
    F f;
    f.introduce();
    const auto socket = open_holding(f, {F::own, 9});
    const Instant first = f.now;
    REQUIRE(send(f, socket, {F::peer, 7}, Bytes{1}));
    CHECK(f.sent().empty());
    CHECK(udp::commit_wanted(f.cx()) == first);
    f.advance(1_s);
    ++f.w.cuts().current;  // a cut between the two
    REQUIRE(send(f, socket, {F::peer, 7}, Bytes{2}));
    CHECK(udp::commit_wanted(f.cx()) == first);
    commit(f, 1);
    CHECK(f.sent_one().udp->payload == Bytes{1});
    CHECK(udp::commit_wanted(f.cx()) == first + 1_s);
    commit(f, 1);
    CHECK(f.sent().empty());
    commit(f, 3);
    CHECK(f.sent_one().udp->payload == Bytes{2});
    CHECK(udp::commit_wanted(f.cx()) == never);
    CHECK(held(f, socket) == 0);
    CHECK(f.w.pool.in_use() == 0);
}

TEST_CASE("DURABILITY 1: the held queue is bounded, and only policy snapshot holds") {
    WorldOptions options;
    options.config.udp.held_queue = 2;
    F f{options};
    f.introduce();
    const auto socket = open_holding(f, {F::own, 9});
    REQUIRE(send(f, socket, {F::peer, 7}, Bytes{1}));
    CHECK(ready(f, socket).has(Readiness::writable));
    REQUIRE(send(f, socket, {F::peer, 7}, {}));
    CHECK_FALSE(ready(f, socket).has(Readiness::writable));
    CHECK(send(f, socket, {F::peer, 7}, Bytes{3}).error() == Error::would_block);
    f.w.changed_sockets.clear(socket.index());
    commit(f, 1);
    CHECK(f.w.changed_sockets.test(socket.index()));
    CHECK(ready(f, socket).has(Readiness::writable));
    CHECK(f.sent().size() == 2);
    f.w.sockets.edit(socket).options.policy = f.w.sockets.edit(socket).options.send_policy = DurabilityPolicy::none;
    REQUIRE(send(f, socket, {F::peer, 7}, Bytes{4}));
    CHECK(f.sent_one().udp->payload == Bytes{4});
    f.w.sockets.edit(socket).options.policy = f.w.sockets.edit(socket).options.send_policy = DurabilityPolicy::snapshot;
    for (int i = 0; i < 2; ++i) REQUIRE(send(f, socket, {F::peer, 7}, Bytes{1}));
    f.close_udp(socket);  // what nobody committed goes with the socket
    CHECK(udp::commit_wanted(f.cx()) == never);
    commit(f, 9);
    CHECK(f.sent().empty());
}

TEST_CASE("DURABILITY 1: released datagrams that find the ring full go later, in order") {
    F f;
    f.introduce();
    const auto socket = open_holding(f, {F::own, 9});
    for (std::uint8_t i = 0; i < 4; ++i) REQUIRE(send(f, socket, {F::peer, 7}, Bytes{i}));
    f.ports.of(F::nic).device = nullptr;
    for (int i = 0; i < 14; ++i) f.output(F::peer);
    commit(f, 1);
    CHECK(held(f, socket) == 2);
    CHECK(udp::commit_wanted(f.cx()) == never);
    CHECK_FALSE(udp::has_output(f.cx()));
    f.ports.of(F::nic).device = &f.device;
    CHECK(f.sent().size() == 16);
    CHECK(udp::has_output(f.cx()));
    f.rebuild();
    auto cx = f.cx();
    udp::run_output(cx);
    const auto packets = f.sent();
    REQUIRE(packets.size() == 2);
    CHECK(packets[0].udp->payload == Bytes{2});
    CHECK(packets[1].udp->payload == Bytes{3});
    CHECK_FALSE(udp::has_output(f.cx()));
}

TEST_CASE("DURABILITY 8: what a snapshot holds is durable: after a restore it goes out") {
    F f;
    f.introduce();
    const auto socket = open_holding(f, {F::own, 9});
    REQUIRE(send(f, socket, {F::peer, 7}, Bytes{1}));
    f.rebuild();
    auto cx = f.cx();
    udp::resume(cx);
    CHECK(f.sent().empty());
    udp::run_output(cx);
    CHECK(f.sent_one().udp->payload == Bytes{1});
    CHECK(held(f, socket) == 0);
}

TEST_CASE("UDP: a held datagram whose source address is lost meanwhile is counted (no_route)") {
    F f;
    const auto socket = open_holding(f, {F::own, 9});
    REQUIRE(send(f, socket, {F::peer, 7}, Bytes{1}));
    auto cx = f.cx();
    REQUIRE(ip::remove_address(cx, F::nic, F::own));
    commit(f, 1);
    f.expect_drops({DropReason::no_route});
    CHECK(held(f, socket) == 0);
}
