// RFC 9293 3.8.4: keep-alives.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

Fixture kept_alive(Way way) {
    auto t = established(way);
    t.set(SocketOption::keep_alive, 1);
    t.set(SocketOption::keep_alive_idle, (10_s).ns);
    t.set(SocketOption::keep_alive_interval, (5_s).ns);
    t.set(SocketOption::keep_alive_probes, 3);
    t.ignore_output();
    t.peer_sends(data(1));
    t.after(100_ms).ignore_output();
    t.app_reads(1);
    t.peer_sends(ack()).mark();
    return t;
}

}  // namespace

WIRE_CASE("RFC 9293 3.8.4: keep-alives are off by default", "[keepalive]") {
    auto t = established(way);
    CHECK(t.stack().option(t.socket, SocketOption::keep_alive) == 0);
    t.after(30'000_s).expect_silence().expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.8.4: the default interval is at least two hours", "[keepalive]") {
    auto t = established(way);
    t.set(SocketOption::keep_alive, 1).mark();
    const auto p = t.wait(100'000_s);
    REQUIRE(p.has_value());
    CHECK(t.elapsed() >= 7199_s);
    CHECK(t.elapsed() <= 7300_s);
    t.peer_sends(ack(1).seq(1));
}

WIRE_CASE("RFC 9293 3.8.4: a probe is one that the peer must answer, an answer ends it", "[keepalive]") {
    auto t = kept_alive(way);
    t.expect_silence_until(9_s);
    for (int i = 0; i < 5; ++i) {
        t.expect_by(t.elapsed() + 10'100_ms, ack(2).seq(0));
        t.peer_sends(ack(1));
        t.expect_silence();
    }
    t.expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.8.4: only several unanswered probes end a connection", "[keepalive]") {
    auto t = kept_alive(way);
    t.expect_by(10'100_ms, segment(flag::ack).seq(0));
    const Duration first = t.elapsed();
    t.expect_between(first + 5_s, first + 5_s, segment(flag::ack).seq(0));
    t.expect_between(first + 10_s, first + 10_s, segment(flag::ack).seq(0));
    t.expect(TcpPhase::established);
    t.at(first + 16_s).ignore_output();
    t.expect(TcpPhase::closed).expect_error(Error::timed_out);
}

WIRE_CASE("RFC 9293 3.8.4: traffic puts the probe off", "[keepalive]") {
    auto t = kept_alive(way);
    t.at(8_s).peer_sends(data(5));
    t.after(100_ms).ignore_output();
    t.app_reads(5).expect_silence_until(17_s);
    t.expect_by(18'200_ms, segment(flag::ack).seq(0));
    t.peer_sends(ack(1));
}

WIRE_CASE("RFC 9293 3.8.4: the peer's keep-alive probes are answered, with and without a byte of garbage",
          "[keepalive]") {
    auto t = established(way);
    t.after(1_s).peer_sends(ack().seq(0));
    t.expect(ack(1).seq(1));
    t.after(1_s).peer_sends(data(1).seq(0));
    t.expect(ack(1).seq(1)).expect_silence().expect_readable(0);
}

WIRE_CASE("RFC 9293 3.8.4: no probe while data is outstanding or the window is closed", "[keepalive]") {
    auto t = kept_alive(way);
    t.peer_sends(ack(1).window(0));
    t.app_sends(10);
    // The persist timer probes instead; an answering peer keeps the connection.
    for (int i = 0; i < 10; ++i) {
        REQUIRE(t.wait(t.elapsed() + 100_s).has_value());
        t.peer_sends(ack(1).window(0));
    }
    t.expect(TcpPhase::established);
}
