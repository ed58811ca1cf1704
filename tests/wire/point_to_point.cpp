// A link with one host at the other end and no link addresses (LinkCapabilities::point_to_point).
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

FixtureOptions tunnel() {
    FixtureOptions options;
    options.config.nd.dad_transmits = 1;
    options.add_address = false;
    options.point_to_point = true;
    return options;
}

/// The other end answers nothing but what the script says; no route but the default one.
Fixture at_one_end(Way way) {
    Fixture t(way, tunnel());
    t.answers_nd = false;
    REQUIRE(t.stack().add_address(t.interface(), stack_address, 128).has_value());
    REQUIRE(t.stack().add_route({}, 0, t.interface(), {}).has_value());
    t.settle();
    t.mark();
    return t;
}

}  // namespace

WIRE_CASE("RFC 4861 3.2: on a point-to-point link an address is valid and a peer is reached without a question", "[p2p]") {
    auto t = at_one_end(way);
    std::array<AddressInfo, 4> all{};
    REQUIRE(t.stack().addresses(all) == 1);
    CHECK(all[0].status == AddressStatus::preferred);
    t.app_connects();
    t.expect(syn());
    t.peer_sends(syn_ack().ack(1));
    t.expect(ack(1)).expect(TcpPhase::established);
    CHECK(t.take_nd().empty());
}

WIRE_CASE("RFC 4861 7.1: neighbour discovery that comes from a point-to-point link is not for us", "[p2p]") {
    auto t = at_one_end(way);
    Bytes body(20);
    std::copy(stack_address.octets.begin(), stack_address.octets.end(), body.begin() + 4);
    const IpFields ip{.src = peer_address, .dst = stack_address, .next_header = proto_icmp, .hop_limit = 255};
    t.peer_sends_frame(ethernet({}, {}, 0x86dd, ip_packet(ip, icmp_message(ip.src, ip.dst, 135, 0, body))));
    t.expect_dropped(DropReason::nd_not_for_us);
    t.expect_silence();
    CHECK(t.take_nd().empty());
}

WIRE_CASE("RFC 4443 2.4: a frame to any link address is taken from a point-to-point link, and answered", "[p2p]") {
    auto t = at_one_end(way);
    const IpFields ip{.src = far_address, .dst = stack_address, .next_header = proto_icmp};
    const Bytes echo{0, 1, 0, 2, 'x'};
    t.peer_sends_frame(ethernet({{0x33, 0x33, 0, 0, 0, 1}}, {}, 0x86dd,
                                ip_packet(ip, icmp_message(ip.src, ip.dst, 128, 0, echo))));
    t.expect_icmp(129, 0);
    CHECK(t.take_nd().empty());
}

WIRE_CASE("DURABILITY 8: a host that comes back on a point-to-point link announces itself to nobody", "[p2p]") {
    auto t = at_one_end(way);
    t.app_listens();
    t.cut();
    t.commit();
    t.crash(10_s);
    t.after(5_s);
    CHECK(t.take_nd().empty());
    t.expect_silence();
    std::array<AddressInfo, 4> all{};
    REQUIRE(t.stack().addresses(all) == 1);
    CHECK(all[0].status == AddressStatus::preferred);
}
