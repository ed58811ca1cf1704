// SO_REUSEPORT of streams: several listeners on one endpoint.
#include <map>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr std::uint16_t port = 80;

SocketHandle bound(Fixture& t, bool shares) {
    const auto s = t.stack().open_tcp();
    REQUIRE(s.has_value());
    if (shares) REQUIRE(t.stack().set_option(*s, SocketOption::reuse_port, 1).has_value());
    const auto done = t.stack().bind(*s, {.port = port});
    if (!done) {
        CHECK(done.error() == Error::address_in_use);
        REQUIRE(t.stack().close(*s).has_value());
        return {};
    }
    return *done;
}
SocketHandle listener(Fixture& t) {
    const auto listening = t.stack().listen(bound(t, true), 64);
    REQUIRE(listening.has_value());
    return *listening;
}

}  // namespace

WIRE_CASE("SO_REUSEPORT: both sockets must say so for listeners to share a port", "[listener]") {
    Fixture t(way);
    SECTION("one that shares, one that does not") {
        listener(t);
        CHECK_FALSE(bound(t, false));
        CHECK(bound(t, true));
    }
    SECTION("one that does not, one that would") {
        REQUIRE(t.stack().listen(bound(t, false), 8).has_value());
        CHECK_FALSE(bound(t, true));
    }
}

WIRE_CASE("SO_REUSEPORT: each connection has its listener, all of them have some, and one that goes leaves the others theirs",
          "[listener]") {
    Fixture t(way);
    t.keep_still(true);
    std::array<SocketHandle, 3> listeners{};
    for (SocketHandle& l : listeners) l = listener(t);
    const auto connect = [&](std::uint16_t from) {
        TcpFields s{.src_port = from, .dst_port = port, .seq = 100, .flags = flag::syn, .window = 8000};
        t.peer_sends_ip(ip_packet({.src = t.peer, .dst = stack_address, .next_header = proto_tcp}, tcp_segment(t.peer, stack_address, s)));
        const auto answer = t.take();
        REQUIRE(answer.has_value());
        s.seq = 101;
        s.ack = answer->tcp->seq + 1;
        s.flags = flag::ack;
        t.peer_sends_ip(ip_packet({.src = t.peer, .dst = stack_address, .next_header = proto_tcp}, tcp_segment(t.peer, stack_address, s)));
        std::size_t found = listeners.size();
        for (std::size_t i = 0; i < listeners.size(); ++i) {
            if (!listeners[i]) continue;
            const auto made = t.stack().accept(listeners[i]);
            if (!made) continue;
            CHECK(found == listeners.size());
            found = i;
            REQUIRE(t.stack().abort(*made).has_value());
        }
        t.settle().ignore_output();
        return found;
    };
    std::map<std::uint16_t, std::size_t> home;
    std::array<unsigned, 3> shares{};
    for (std::uint16_t from = 2000; from < 2048; ++from) {
        home[from] = connect(from);
        REQUIRE(home[from] < listeners.size());
        ++shares[home[from]];
        CHECK(connect(from) == home[from]);
    }
    for (const unsigned share : shares) CHECK(share >= 6);
    REQUIRE(t.stack().close(listeners[1]).has_value());
    listeners[1] = {};
    for (const auto& [from, before] : home) {
        const std::size_t now = connect(from);
        CHECK((before == 1 ? now == 0 || now == 2 : now == before));
    }
}
