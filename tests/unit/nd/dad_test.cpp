// Our own addresses: duplicate detection (RFC 4862 5.4, 4429, 7527), generated ones (RFC 7217), and how a
// restored host announces itself (DURABILITY 8).
#include <catch2/catch_test_macros.hpp>

#include "support/world_fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

using F = WorldFixture;
constexpr std::uint8_t solicitation = 135;
constexpr std::uint8_t advertisement = 136;
constexpr MacAddress other_mac{{0x02, 0, 0, 0, 0, 0x99}};

WorldOptions with_dad() {
    WorldOptions options;
    options.config.nd.dad_transmits = 1;
    return options;
}

WorldOptions only_link_local() {
    WorldOptions options = with_dad();
    options.link_local = true;
    options.add_address = false;
    return options;
}

void expect_probe(const Packet& p, const Ipv6Address& address) {
    REQUIRE(p.icmp);
    CHECK(p.icmp->type == solicitation);
    CHECK(p.src == ipv6_unspecified);
    CHECK(p.dst == solicited_node(address));
    CHECK(p.eth_dst == multicast_mac(p.dst));
    CHECK(p.hop_limit == 255);
    // target, and a nonce instead of a link address
    REQUIRE(p.icmp->body.size() == 4 + 16 + 8);
    CHECK(Bytes(p.icmp->body.begin() + 4, p.icmp->body.begin() + 20) ==
          Bytes(address.octets.begin(), address.octets.end()));
    CHECK(p.icmp->body[20] == 14);
    CHECK(p.icmp->body[21] == 1);
}

void expect_advertisement(const Packet& p, const Ipv6Address& target, const Ipv6Address& to, bool solicited,
                          bool override_cache) {
    REQUIRE(p.icmp);
    CHECK(p.icmp->type == advertisement);
    CHECK(p.icmp->body == advertisement_body(target, false, solicited, override_cache, F::own_mac));
    CHECK(p.src == target);
    CHECK(p.dst == to);
    CHECK(p.hop_limit == 255);
}

void receive_probe(F& f, const Ipv6Address& target, const Bytes& nonce = Bytes{14, 1, 9, 9, 9, 9, 9, 9}) {
    f.receive_nd(solicitation, solicitation_body(target) + nonce, ipv6_unspecified, solicited_node(target));
}

void receive_claim(F& f, const Ipv6Address& target, const MacAddress& mac = other_mac) {
    f.receive_nd(advertisement, advertisement_body(target, false, false, true, mac), target, ipv6_all_nodes);
}

Ipv6Address link_local(F& f) { return f.w.addresses.get(0U).address; }

}  // namespace

TEST_CASE("RFC 4862 5.4: a probe, a second of silence, and the address is ours, RFC 9131: routers are told") {
    F f{with_dad()};
    CHECK(f.status(F::own) == AddressStatus::tentative);
    expect_probe(f.sent_one(), F::own);
    f.advance(999_ms);
    CHECK(f.status(F::own) == AddressStatus::tentative);
    CHECK(f.sent().empty());
    f.advance(1_ms);
    CHECK(f.status(F::own) == AddressStatus::preferred);
    expect_advertisement(f.sent_one(), F::own, ipv6_all_routers, false, false);
    f.advance(10_s);
    CHECK(f.sent().empty());
}

TEST_CASE("RFC 4862 5.1: DupAddrDetectTransmits") {
    WorldOptions options = with_dad();
    options.config.nd.dad_transmits = 3;
    F f{options};
    std::vector<Bytes> nonces;
    for (int i = 0; i < 3; ++i) {
        const Packet p = f.sent_one();
        expect_probe(p, F::own);
        nonces.emplace_back(p.icmp->body.begin() + 22, p.icmp->body.end());
        f.advance(1_s);
    }
    CHECK(f.status(F::own) == AddressStatus::preferred);
    CHECK(nonces[0] != nonces[1]);
    f.sent();
}

TEST_CASE("RFC 4862 5.4: a tentative address is no source and answers nobody") {
    F f{with_dad()};
    f.sent();
    CHECK(f.output(F::peer) == ip::OutputResult::no_route);
    f.receive_nd(solicitation, solicitation_body(F::own, F::peer_mac), F::peer, solicited_node(F::own));
    f.expect_drops({DropReason::ipv6_tentative_destination});
    CHECK(f.sent().empty());
    CHECK(f.status(F::own) == AddressStatus::tentative);
}

TEST_CASE("RFC 4862 5.4.4: an advertisement for a tentative address ends it") {
    F f{with_dad()};
    f.sent();
    receive_claim(f, F::own);
    CHECK(f.status(F::own) == AddressStatus::duplicate);
    f.advance(10_s);
    CHECK(f.status(F::own) == AddressStatus::duplicate);
    CHECK(f.sent().empty());
    // It is nobody's here any more.
    f.expect_drops({});
    f.receive_nd(solicitation, solicitation_body(F::own, F::peer_mac), F::peer, solicited_node(F::own));
    f.expect_drops({DropReason::nd_not_for_us});
    f.receive_udp({.src_port = 1, .dst_port = 2});
    f.expect_drops({DropReason::ipv6_not_for_us});
    CHECK(f.output(F::peer) == ip::OutputResult::no_route);
}

TEST_CASE("RFC 4862 5.4.3: another host's probe for a tentative address ends it") {
    F f{with_dad()};
    f.sent();
    receive_probe(f, F::own);
    CHECK(f.status(F::own) == AddressStatus::duplicate);
    F g{with_dad()};
    g.sent();
    receive_probe(g, F::own, {});  // without a nonce
    CHECK(g.status(F::own) == AddressStatus::duplicate);
}

TEST_CASE("RFC 7527: our own probe, come back through a loop, is no conflict") {
    F f{with_dad()};
    const Packet p = f.sent_one();
    f.receive(p.frame);
    CHECK(f.status(F::own) == AddressStatus::tentative);
    f.advance(1_s);
    CHECK(f.status(F::own) == AddressStatus::preferred);
    f.sent();
}

TEST_CASE("RFC 4862 5.4.3: an address in use is defended, to all nodes") {
    F f;
    receive_probe(f, F::own);
    const Packet p = f.sent_one();
    expect_advertisement(p, F::own, ipv6_all_nodes, false, true);
    CHECK(p.eth_dst == multicast_mac(ipv6_all_nodes));
    CHECK(f.status(F::own) == AddressStatus::preferred);
    // A claim after our detection is over is no proof (RFC 4862 5.4.4).
    receive_claim(f, F::own);
    f.expect_drops({DropReason::nd_unmatched});
    CHECK(f.status(F::own) == AddressStatus::preferred);
}

TEST_CASE("RFC 7217: the link-local address is opaque and stable, and another one after a conflict") {
    F f{only_link_local()};
    const Ipv6Address first = link_local(f);
    CHECK(first.is_link_local());
    CHECK(first.octets[1] == 0x80);
    CHECK_FALSE(first.octets[11] == 0xff);  // no EUI-64
    expect_probe(f.sent_one(), first);
    {
        F again{only_link_local()};
        CHECK(link_local(again) == first);
        again.sent();
    }
    Ipv6Address last = first;
    for (int i = 0; i < 3; ++i) {
        receive_claim(f, last);
        const Ipv6Address next = link_local(f);
        CHECK(next != last);
        CHECK(f.status(next) == AddressStatus::tentative);
        CHECK(f.sent().empty());
        f.advance(1_s);  // IDGEN_DELAY
        expect_probe(f.sent_one(), next);
        last = next;
    }
    // IDGEN_RETRIES are used up.
    receive_claim(f, last);
    CHECK(link_local(f) == last);
    CHECK(f.status(last) == AddressStatus::duplicate);
}

TEST_CASE("RFC 4429: an optimistic address answers without Override and asks without its link address") {
    F f{with_dad()};
    f.sent();
    f.w.addresses.edit(0U).status = static_cast<std::uint8_t>(AddressStatus::optimistic);
    f.receive_nd(solicitation, solicitation_body(F::own, F::peer_mac), F::peer, solicited_node(F::own));
    expect_advertisement(f.sent_one(), F::own, F::peer, true, false);
    Ipv6Address stranger = F::peer;
    stranger.octets[15] = 9;
    CHECK(f.output(stranger) == ip::OutputResult::sent);
    CHECK(f.sent_one().icmp->body == solicitation_body(stranger));
    receive_claim(f, F::own);
    CHECK(f.status(F::own) == AddressStatus::duplicate);
}

TEST_CASE("DURABILITY 8: a restored host solicits each next hop, then advertises with Override") {
    WorldOptions options;
    F f{options};
    f.introduce();
    Ipv6Address unknown = F::peer;
    unknown.octets[15] = 9;
    f.output(unknown);
    f.sent();
    // Detection is on in the restored host.
    f.w.header->config.nd.dad_transmits = 1;
    auto cx = f.cx();
    nd::announce(cx, F::nic);
    auto packets = f.sent();
    REQUIRE(packets.size() == 3);
    CHECK(packets[0].icmp->type == solicitation);
    CHECK(packets[0].dst == F::peer);
    CHECK(packets[0].eth_dst == F::peer_mac);
    CHECK(packets[0].icmp->body == solicitation_body(F::peer, F::own_mac));
    expect_advertisement(packets[1], F::own, F::peer, false, true);
    CHECK(packets[1].eth_dst == F::peer_mac);
    expect_advertisement(packets[2], F::own, ipv6_all_nodes, false, true);
    CHECK(f.neighbor(F::peer)->phase == NeighborPhase::probe);
    // The address works meanwhile; a probe runs beside, and the packet that waited is asked for again.
    CHECK(f.status(F::own) == AddressStatus::preferred);
    f.advance(1_ms);
    packets = f.sent();
    REQUIRE(packets.size() == 2);
    expect_probe(packets[0], F::own);
    CHECK(packets[1].dst == solicited_node(unknown));
    f.advance(1_s);
    CHECK(f.status(F::own) == AddressStatus::preferred);
    f.advance(10_s);
    for (const Packet& p : f.sent()) CHECK(p.icmp->type == solicitation);  // nothing is announced twice
}

TEST_CASE("DURABILITY 8: a conflict after a restore takes the address away") {
    F f;
    f.w.header->config.nd.dad_transmits = 1;
    auto cx = f.cx();
    nd::announce(cx, F::nic);
    f.advance(1_ms);
    const auto packets = f.sent();
    REQUIRE(packets.size() == 2);
    // What we said ourselves comes back: no conflict.
    for (const Packet& p : packets) f.receive(p.frame);
    CHECK(f.status(F::own) == AddressStatus::preferred);
    CHECK_FALSE(f.w.address_lost);
    receive_claim(f, F::own);
    CHECK(f.status(F::own) == AddressStatus::duplicate);
    CHECK(f.w.address_lost);  // transports are to know
    f.sent();
}

TEST_CASE("DURABILITY 8: with a new MAC the announcement follows detection (RFC 4429)") {
    F f;
    f.introduce();
    f.w.header->config.nd.dad_transmits = 1;
    f.w.addresses.edit(0U).status = static_cast<std::uint8_t>(AddressStatus::optimistic);
    auto cx = f.cx();
    nd::announce(cx, F::nic);
    for (const Packet& p : f.sent()) {
        CHECK(p.icmp->type == solicitation);
        CHECK(p.icmp->body.size() == 20);  // no link address
    }
    f.advance(1_ms);
    expect_probe(f.sent_one(), F::own);
    f.receive_nd(advertisement, advertisement_body(F::peer, false, true, true, F::peer_mac), F::peer, F::own);
    f.advance(1_s);
    CHECK(f.status(F::own) == AddressStatus::preferred);
    const auto packets = f.sent();
    REQUIRE(packets.size() == 3);
    CHECK(packets[0].icmp->body == solicitation_body(F::peer, F::own_mac));
    expect_advertisement(packets[1], F::own, F::peer, false, true);
    expect_advertisement(packets[2], F::own, ipv6_all_nodes, false, true);
}

TEST_CASE("DURABILITY 8: an announcement that found the ring full is still owed") {
    F f;
    f.ports.of(F::nic).device = nullptr;
    for (int i = 0; i < 16; ++i) f.output(ipv6_all_nodes, 0, F::nic);
    auto cx = f.cx();
    nd::announce(cx, F::nic);
    CHECK(f.w.addresses.get(0U).announce);
    f.advance(20_ms);
    f.ports.of(F::nic).device = &f.device;
    f.sent();
    f.advance(20_ms);
    expect_advertisement(f.sent_one(), F::own, ipv6_all_nodes, false, true);
    CHECK_FALSE(f.w.addresses.get(0U).announce);
    f.advance(1_s);
    CHECK(f.sent().empty());
}

TEST_CASE("addresses: lifetimes end in deprecated, then in nothing (RFC 4862 5.5.4)") {
    F f;
    AddressState& a = f.w.addresses.edit(0U);
    a.preferred_until = f.now + 10_s;
    a.valid_until = f.now + 20_s;
    f.rebuild();
    f.advance(10_s);
    CHECK(f.status(F::own) == AddressStatus::deprecated);
    CHECK_FALSE(f.w.address_lost);
    f.advance(10_s);
    CHECK(f.status(F::own) == AddressStatus::invalid);
    CHECK(f.w.address_lost);
    CHECK(f.next_deadline() > f.now + 3600_s);
}

TEST_CASE("detection under way is rebuilt from the state") {
    F f{with_dad()};
    f.sent();
    f.rebuild();
    f.advance(1_s);
    CHECK(f.status(F::own) == AddressStatus::preferred);
    f.sent();
}
