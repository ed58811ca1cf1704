// RFC 4862 5.4: duplicate address detection; RFC 7217: link-local identifiers; RFC 7527: looped probes.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

FixtureOptions with_dad() {
    FixtureOptions options;
    options.config.nd.dad_transmits = 1;
    options.add_address = false;
    return options;
}

AddressStatus status(Fixture& t, const Ipv6Address& address = stack_address) {
    std::array<AddressInfo, 8> all{};
    const std::size_t n = t.stack().addresses(all);
    for (std::size_t i = 0; i < n; ++i) {
        if (all[i].address == address) return all[i].status;
    }
    return AddressStatus::invalid;
}

Fixture& peer_nd(Fixture& t, std::uint8_t type, const Bytes& body, const Ipv6Address& dst,
                 const Ipv6Address& src) {
    const IpFields ip{.src = src, .dst = dst, .next_header = proto_icmp, .hop_limit = 255};
    return t.peer_sends_frame(ethernet(multicast_mac(dst), peer_mac, 0x86dd,
                                       ip_packet(ip, icmp_message(ip.src, ip.dst, type, 0, body))));
}

Fixture tentative(Way way) {
    Fixture t(way, with_dad());
    REQUIRE(t.stack().add_address(t.interface(), stack_address, 64).has_value());
    t.settle();
    t.mark();
    return t;
}

}  // namespace

WIRE_CASE("RFC 4862 5.4.2: a probe from the unspecified address, then the address is ours", "[dad]") {
    auto t = tentative(way);
    const auto nd = t.take_nd();
    REQUIRE(nd.size() == 1);
    CHECK(nd[0].icmp->type == 135);
    CHECK(nd[0].src.is_unspecified());
    CHECK(nd[0].dst == solicited_node(stack_address));
    // RFC 4861 4.3: no source link address option from the unspecified address.
    for (std::size_t at = 20; at + 1 < nd[0].icmp->body.size();
         at += std::size_t{8} * nd[0].icmp->body[at + 1]) {
        CHECK(nd[0].icmp->body[at] != 1);
        REQUIRE(nd[0].icmp->body[at + 1] != 0);
    }
    CHECK(status(t) == AddressStatus::tentative);
    t.at(999_ms);
    CHECK(status(t) == AddressStatus::tentative);
    t.at(1_s);
    CHECK(status(t) == AddressStatus::preferred);
    t.app_connects();
    t.expect(syn());
}

WIRE_CASE("RFC 4862 5.4: a tentative address takes no packets", "[dad]") {
    auto t = tentative(way);
    t.peer_sends_icmp(128, 0, echo_body(1, 1, {}));
    t.expect_silence().expect_dropped(DropReason::ipv6_tentative_destination);
}

WIRE_CASE("RFC 4862 5.4.3: a solicitation for a tentative address is not answered", "[dad]") {
    auto t = tentative(way);
    t.take_nd();
    peer_nd(t, 135, solicitation_body(stack_address, peer_mac), solicited_node(stack_address), peer_address);
    CHECK(t.take_nd().empty());
    t.at(1_s);
    CHECK(status(t) == AddressStatus::preferred);
}

WIRE_CASE("RFC 4862 5.4.3: another host's probe for the same address is a conflict", "[dad]") {
    auto t = tentative(way);
    t.take_nd();
    peer_nd(t, 135, solicitation_body(stack_address), solicited_node(stack_address), ipv6_unspecified);
    CHECK(status(t) == AddressStatus::duplicate);
    t.at(10_s);
    CHECK(status(t) == AddressStatus::duplicate);
    t.peer_sends_icmp(128, 0, echo_body(1, 1, {}));
    t.expect_silence();
}

WIRE_CASE("RFC 4862 5.4.4: an advertisement for it is a conflict", "[dad]") {
    auto t = tentative(way);
    t.take_nd();
    peer_nd(t, 136, advertisement_body(stack_address, false, false, true, peer_mac), ipv6_all_nodes,
            stack_address);
    CHECK(status(t) == AddressStatus::duplicate);
}

WIRE_CASE("RFC 7527 4.2: our own probe coming back is no conflict", "[dad]") {
    auto t = tentative(way);
    const auto nd = t.take_nd();
    REQUIRE(nd.size() == 1);
    t.peer_sends_frame(nd[0].frame);
    CHECK(status(t) == AddressStatus::tentative);
    t.at(10_s);
    CHECK(status(t) == AddressStatus::preferred);
}

WIRE_CASE("RFC 7217 5: the link-local identifier is stable, opaque, and another one after a conflict",
          "[dad]") {
    FixtureOptions options = with_dad();
    options.link_local = true;
    Fixture t(way, options);
    std::array<AddressInfo, 8> all{};
    REQUIRE(t.stack().addresses(all) == 1);
    const Ipv6Address first = all[0].address;
    CHECK(first.is_link_local());
    CHECK(all[0].prefix_length == 64);
    // not the modified EUI-64 of the MAC
    CHECK_FALSE((first.octets[11] == 0xff && first.octets[12] == 0xfe));
    peer_nd(t, 135, solicitation_body(first), solicited_node(first), ipv6_unspecified);
    t.after(3_s);
    REQUIRE(t.stack().addresses(all) == 1);
    CHECK(all[0].address.is_link_local());
    CHECK(all[0].address != first);
    CHECK(all[0].status == AddressStatus::preferred);
}

WIRE_CASE("RFC 4862 5.4.5: the probe of a restored address runs beside its use, a conflict takes it away",
          "[dad][restore]") {
    FixtureOptions options;
    options.config.nd.dad_transmits = 1;
    Fixture t(way, options);
    t.after(2_s).take_nd();
    open_active(t);
    t.snapshot();
    t.crash(1_s);
    // Valid at once: it is used and announced, and probed.
    CHECK(status(t) == AddressStatus::preferred);
    const auto nd = t.take_nd();
    const auto announced = [](const Packet& p) {
        return p.icmp->type == 136 && (get32(p.icmp->body, 0) & 0x2000'0000U) != 0;
    };
    const auto probed = [](const Packet& p) { return p.icmp->type == 135 && p.src.is_unspecified(); };
    CHECK(std::any_of(nd.begin(), nd.end(), announced));
    CHECK(std::any_of(nd.begin(), nd.end(), probed));
    t.ignore_output();
    peer_nd(t, 136, advertisement_body(stack_address, false, false, true, peer_mac), ipv6_all_nodes,
            stack_address);
    CHECK(status(t) == AddressStatus::duplicate);
    CHECK(t.info().verdict == Verdict::address_gone);
    t.expect_error(Error::address_gone);
}

WIRE_CASE("RFC 4862 5.1: where nobody else is on the link an address is usable at once, and is not asked for", "[dad]") {
    auto options = with_dad();
    options.private_link = true;
    Fixture t(way, options);
    REQUIRE(t.stack().add_address(t.interface(), stack_address, 64).has_value());
    CHECK(t.stack().address_status(stack_address) == AddressStatus::preferred);
    t.settle();
    for (const auto& nd : t.take_nd()) CHECK(nd.icmp->type != 135);
    t.app_connects();
    t.expect(syn());
    // What the link is, is state: so it is for an address of a later life too.
    const auto second = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 0x77});
    REQUIRE(t.stack().add_address(t.interface(), second, 64).has_value());
    CHECK(t.stack().address_status(second) == AddressStatus::preferred);
}

WIRE_CASE("RFC 4862 5.4: a tentative address connects nowhere, and the embedder is told when that is over", "[dad]") {
    Fixture t(way, with_dad());
    CHECK(!t.stack().address_status(stack_address).has_value());
    REQUIRE(t.stack().add_address(t.interface(), stack_address, 64).has_value());
    CHECK(!t.stack().poll(t.now()).addresses_changed);  // its own call is no news to the embedder
    CHECK(t.stack().address_status(stack_address) == AddressStatus::tentative);
    const auto socket = *t.stack().open_tcp();
    const Endpoint peer{.address = peer_address, .port = 80};
    CHECK(t.stack().connect(socket, peer) == std::unexpected(Error::address_not_available));
    CHECK(!t.stack().poll(t.now() + 999_ms).addresses_changed);
    CHECK(t.stack().poll(t.now() + 1_s).addresses_changed);
    CHECK(t.stack().address_status(stack_address) == AddressStatus::preferred);
    CHECK(t.stack().connect(socket, peer).has_value());
    REQUIRE(t.stack().remove_address(t.interface(), stack_address).has_value());
    CHECK(!t.stack().poll(t.now() + 1_s).addresses_changed);
    CHECK(!t.stack().address_status(stack_address).has_value());
}
