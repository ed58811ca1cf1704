// PSH: the end of each write, and of each stretch that leaves together; RFC 9293 3.9.1.2, and Linux's habits.
#include <string>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// What leaves now, one word for each segment of text: its bytes, and P where it is pushed.
std::string pushed(Fixture& t) {
    std::string out;
    while (const auto p = t.take()) {
        if (p->tcp->payload.empty()) continue;
        if (!out.empty()) out.push_back(' ');
        out.append(std::to_string(p->tcp->payload.size()));
        if ((p->tcp->flags & flag::psh) != 0) out.push_back('P');
    }
    return out;
}

}  // namespace

WIRE_CASE("RFC 9293 3.9.1.2: each write is pushed, at its end", "[push]") {
    auto t = established(way);
    t.app_sends(100);
    CHECK(pushed(t) == "100P");
    t.peer_sends(ack(101));
    t.app_sends(1441);
    CHECK(pushed(t) == "1440 1P");
    t.app_sends(30);
    CHECK(pushed(t).empty());  // RFC 9293 3.7.4
    t.app_sends(40);
    t.peer_sends(ack(1542));
    CHECK(pushed(t) == "70P");
}

WIRE_CASE("RFC 9293 3.9.1.2: what is sent with `more` is not pushed, and what follows it pushes both", "[push]") {
    auto t = established(way);
    t.app_sends(1500, true);
    CHECK(pushed(t) == "1440");
    t.app_sends(40);
    t.peer_sends(ack(1441));
    CHECK(pushed(t) == "100P");
}

WIRE_CASE("MSG_MORE: as Linux, an ACK lets go what is held, without pushing it", "[push]") {
    auto t = established(way);
    t.app_sends(1500, true);
    CHECK(pushed(t) == "1440");
    t.peer_sends(ack(1441));
    CHECK(pushed(t) == "60");
    SECTION("corked it stays") {
        t.peer_sends(ack(1501)).set(SocketOption::cork, 1);
        t.app_sends(1500);
        CHECK(pushed(t) == "1440");
        t.peer_sends(ack(2941));
        CHECK(pushed(t).empty());
        t.set(SocketOption::cork, 0);
        CHECK(pushed(t) == "60P");
    }
}

WIRE_CASE("MSG_MORE: what its timer lets go is pushed", "[push]") {
    auto t = established(way);
    t.app_sends(40, true);
    CHECK(pushed(t).empty());
    t.after(250_ms);
    CHECK(pushed(t) == "40P");
}

WIRE_CASE("RFC 9293 3.9.1.2: a write is pushed when it is sent again too", "[push]") {
    auto t = established(way);
    t.set(SocketOption::no_delay, 1);
    t.app_sends(100);
    t.app_sends(200);
    CHECK(pushed(t) == "100P 200P");
    t.peer_sends(ack(1));
    t.ignore_output();
    t.after(3_s);
    // A tail probe, if there is one, is the last segment; a time-out sends the first.
    const std::string again = pushed(t);
    CHECK(again.find("300P") != std::string::npos);
    CHECK(again.find("300 ") == std::string::npos);
}

WIRE_CASE("PSH ends each stretch of what leaves together, as Linux's super-frames, and one segment is none", "[push]") {
    FixtureOptions options;
    const auto open = [&] {
        Fixture t(way, options);
        t.app_listens();
        t.peer_sends(syn()).expect(syn_ack().ack(1));
        t.after(100_ms).peer_sends(ack(1));
        t.app_accepts().app_sends(30'000);
        return t;
    };
    SECTION("two segments each, and one that is left over") {
        auto t = open();
        CHECK(pushed(t) == "1440 1440P 1440 1440P 1440 1440P 1440 1440P 1440 1440P");
        t.after(100_ms).peer_sends(ack(1 + 1440));
        CHECK(pushed(t) == "1440 1440P");
    }
    SECTION("half of the window at most") {
        options.config.tcp.push_segments_min = 100;
        auto t = open();
        CHECK(pushed(t) == "1440 1440 1440 1440 1440P 1440 1440 1440 1440 1440P");
    }
}

WIRE_CASE("RFC 7323 3.2: a reset because of unread text has time stamps too", "[push]") {
    auto t = listening(way);
    t.flow().offers_ts = true;
    open_passive(t);
    t.peer_sends(data(10).seq(1).ack(1));
    t.app_closes();
    const Packet p = t.expect_packet();
    CHECK(p.tcp->flags == (flag::rst | flag::ack));
    CHECK(p.tcp->ts.has_value());
}

WIRE_CASE("RFC 1122 4.2.2.13: text after close() is answered with a reset where the peer takes it", "[push]") {
    auto t = established(way);
    t.app_closes().expect(fin().seq(1));
    // The FIN was lost: a reset behind it (RFC 5961 3.2) would only be questioned.
    t.peer_sends(data(10).seq(1).ack(1));
    const Packet p = t.expect_packet();
    CHECK(p.tcp->flags == flag::rst);
    CHECK(p.tcp->seq == *t.flow().stack_iss + 1);
    t.expect_silence();
}
