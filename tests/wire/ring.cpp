// What a device does not take stays queued and is offered again (DESIGN 4, link_device.hpp): nothing is lost
// by it.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

Fixture& shut(Fixture& t) {
    t.keep_still(true);  // what waits in a ring is no state
    t.device().transmit_room = 0;
    return t;
}
Fixture& open(Fixture& t) {
    t.device().transmit_room = SIZE_MAX;
    return t.settle();
}

}  // namespace

TEST_CASE("a full ring delays a SYN-ACK, data, an ACK, a FIN and a reset", "[ring]") {
    for (const Way way : {Way::plain, Way::seam}) {
        CAPTURE(name(way));
        {
            auto t = listening(way);
            shut(t).peer_sends(syn());
            t.expect_silence();
            open(t).expect(syn_ack().ack(1));
        }
        {
            auto t = established(way);
            shut(t).set(SocketOption::no_delay, 1);
            t.app_sends(5000).expect_silence();
            t.app_shuts_down();
            open(t);
            std::uint32_t next = 1;
            while (const auto p = t.take()) {
                CHECK(p->tcp->seq - *t.flow().stack_iss == next);
                next += p->tcp_length();
            }
            CHECK(next == 5002);
        }
        {
            auto t = established(way);
            shut(t).peer_sends(data(1440)).peer_sends(data(1440));
            t.expect_silence();
            open(t);
            t.ignore_output();
            CHECK(t.flow().last_ack == 2881);
            t.app_reads(2880);
        }
        {
            auto t = established(way);
            shut(t).app_aborts().expect_silence();
            open(t);
            CHECK((t.expect_packet().tcp->flags & flag::rst) != 0);
        }
    }
}

TEST_CASE("a ring of a few frames carries any amount, in order", "[ring]") {
    FixtureOptions options;
    options.config.capacity.transmit_ring = 4;
    auto t = established(Way::plain, options);
    t.app_sends(60'000);
    for (int i = 0; i < 200 && t.info().send_queue_bytes != 0; ++i) {
        t.device().transmit_room = static_cast<std::size_t>(i % 3);
        t.after(1_ms);
        while (t.take()) {
        }
        t.peer_sends(ack());
    }
    t.device().transmit_room = SIZE_MAX;
    for (int i = 0; i < 20 && t.info().send_queue_bytes != 0; ++i) {
        t.after(300_ms);
        while (t.take()) {
        }
        t.peer_sends(ack());
    }
    CHECK(t.info().tx_acknowledged == 60'000);
    t.ignore_output();
}

WIRE_CASE("a device can be taken away and put back while a connection lives", "[ring]") {
    auto t = established(way);
    t.keep_still(true);
    REQUIRE(t.stack().detach_device(t.interface()).has_value());
    t.app_sends(100).expect_silence();
    REQUIRE(t.stack().attach_device(t.device(), {}) == t.interface());
    t.after(1_s);
    std::uint32_t end = 0;
    while (const auto p = t.take()) end = p->tcp->seq - *t.flow().stack_iss + p->tcp_length();
    CHECK(end == 101);
    t.peer_sends(ack(101));
    CHECK(t.info().tx_acknowledged == 100);
}
