// Addresses as values: prefixes, groups, scopes (RFC 4291, 2464).
#include <catch2/catch_test_macros.hpp>

#include <keepnet/address.hpp>

using namespace keepnet;

namespace {

constexpr auto documentation = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 1});

bool slowly_matches(const Ipv6Address& a, const Ipv6Address& b, unsigned bits) {
    for (unsigned i = 0; i < bits; ++i) {
        if ((((a.octets[i / 8] ^ b.octets[i / 8]) >> (7 - i % 8)) & 1) != 0) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("prefix_matches: every length against every differing bit") {
    static_assert(prefix_matches(ipv6_all_nodes, ipv6_all_routers, 126));
    static_assert(!prefix_matches(ipv6_all_nodes, ipv6_all_routers, 127));
    bool all = true;
    for (unsigned length = 0; length <= 128; ++length) {
        all = all && prefix_matches(documentation, documentation, length);
        for (unsigned bit = 0; bit < 128; ++bit) {
            Ipv6Address other = documentation;
            other.octets[bit / 8] = static_cast<std::uint8_t>(other.octets[bit / 8] ^ 0x80U >> (bit % 8));
            all = all && prefix_matches(documentation, other, length) == slowly_matches(documentation, other, length);
        }
    }
    CHECK(all);
}

TEST_CASE("addresses: kinds, groups and their link-layer addresses") {
    CHECK(ipv6_unspecified.is_unspecified());
    CHECK(ipv6_loopback.is_loopback());
    CHECK(ipv6_all_nodes.is_multicast());
    CHECK(ipv6_all_nodes.multicast_scope() == 2);
    CHECK(Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, 1}).is_link_local());
    CHECK(Ipv6Address::from_words({0xfebf, 0, 0, 0, 0, 0, 0, 1}).is_link_local());
    CHECK_FALSE(Ipv6Address::from_words({0xfec0, 0, 0, 0, 0, 0, 0, 1}).is_link_local());
    CHECK_FALSE(documentation.is_link_local());
    const auto a = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0x1111, 0x2222, 0x33ab, 0xcdef});
    CHECK(solicited_node(a) == Ipv6Address::from_words({0xff02, 0, 0, 0, 0, 1, 0xffab, 0xcdef}));
    CHECK(multicast_mac(solicited_node(a)) == MacAddress{{0x33, 0x33, 0xff, 0xab, 0xcd, 0xef}});
    CHECK(mac_broadcast.is_multicast());
    CHECK(MacAddress{}.is_unspecified());
    CHECK_FALSE(MacAddress{{2, 0, 0, 0, 0, 1}}.is_multicast());
}
