// RFC 4987: SYN floods: the half-open queue is bounded, and above it SYN cookies need no record.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

FixtureOptions few_half_open() {
    FixtureOptions options;
    options.config.tcp.listen_half_open = 4;
    return options;
}

/// A flood from ports of its own; none of these ever answers.
void flood(Fixture& t, int n) {
    for (int i = 0; i < n; ++i) {
        const IpFields ip{.src = t.peer, .dst = stack_address, .next_header = proto_tcp};
        const TcpFields f{.src_port = static_cast<std::uint16_t>(20'000 + i),
                          .dst_port = 80,
                          .seq = 77,
                          .flags = flag::syn,
                          .window = 1000,
                          .mss = 1440};
        t.peer_sends_ip(ip_packet(ip, tcp_segment(ip.src, ip.dst, f)));
    }
    t.ignore_output();
}

}  // namespace

WIRE_CASE("RFC 4987 3.6: in a flood a SYN is answered without a record, and its ACK makes the connection",
          "[cookies]") {
    auto t = listening(way, few_half_open());
    flood(t, 10);
    const std::uint32_t records = t.world().connections.in_use();
    CHECK(records <= 4);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1).mss(1440));
    CHECK(t.world().connections.in_use() == records);
    t.after(50_ms).peer_sends(ack(1));
    t.expect(TcpPhase::established);
    t.app_accepts();
    CHECK(t.stack().statistics().tcp_cookies_accepted == 1);
    t.app_sends(100).expect(data(100).seq(1).ack(1));
    t.peer_sends(data(50));
    t.app_reads(50);
    t.after(100_ms).ignore_output();
}

WIRE_CASE("RFC 4987 3.6: the cookie remembers an MSS that is no larger than the peer's", "[cookies]") {
    for (const std::uint16_t mss : {std::uint16_t{1440}, std::uint16_t{1300}, std::uint16_t{700}}) {
        CAPTURE(mss);
        auto t = listening(way, few_half_open());
        flood(t, 10);
        t.flow().offers_mss = mss;
        t.peer_sends(syn());
        t.expect(syn_ack());
        t.peer_sends(ack(1));
        t.app_accepts();
        t.app_sends(3000);
        const Packet p = t.expect_packet();
        CHECK(p.tcp->payload.size() <= mss);
        CHECK(p.tcp->payload.size() >= 500);
        t.ignore_output();
    }
}

WIRE_CASE("RFC 4987 3.6: with timestamps the cookie keeps what the SYN negotiated", "[cookies]") {
    auto t = listening(way, few_half_open());
    flood(t, 10);
    t.flow().offers_ts = true;
    t.flow().offers_wscale = 5;
    t.flow().window = 60'000;
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.after(20_ms).peer_sends(ack(1));
    t.app_accepts();
    t.app_sends(10);
    t.expect(data(10));  // the monitor wants timestamps if the SYN-ACK had them
    CHECK(t.info().send_window >= 60'000 - 31);
    CHECK(t.info().send_window <= 60'000);
}

WIRE_CASE("RFC 4987 3.6: an invented cookie is refused", "[cookies]") {
    auto t = listening(way, few_half_open());
    flood(t, 10);
    t.peer_sends(syn());
    t.expect(syn_ack());
    for (std::uint32_t i = 0; i < 50; ++i) {
        t.peer_sends(ack().seq(1).ack(2 + i * 0x0101'0101U));
        t.expect(rst().seq(2 + i * 0x0101'0101U));
    }
    t.expect(TcpPhase::closed).expect_dropped(DropReason::tcp_bad_cookie, 50);
    t.peer_sends(ack(1).seq(1));
    t.expect(TcpPhase::established);
}

WIRE_CASE("RFC 4987 3.6: a cookie grows old", "[cookies]") {
    auto t = listening(way, few_half_open());
    flood(t, 10);
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.after(300_s).ignore_output();
    t.peer_sends(ack(1).seq(1));
    t.expect(TcpPhase::closed);
    t.expect(rst().seq(1));
}

WIRE_CASE("without a flood no cookie is accepted", "[cookies]") {
    auto t = listening(way);
    t.peer_sends(ack().seq(1).ack(12345));
    t.expect(rst().seq(12345)).expect(TcpPhase::closed);
    CHECK(t.stack().statistics().tcp_cookies_accepted == 0);
}

WIRE_CASE("DURABILITY 2: cookies need no commit, and are accepted for a lifetime after a restore",
          "[cookies][restore]") {
    FixtureOptions options(DurabilityPolicy::snapshot);
    options.config.tcp.listen_half_open = 4;
    auto t = listening(way, options);
    t.snapshot().auto_commit(false);
    flood(t, 10);
    // The monitor of held output does not apply to a cookie: there is no record that could be lost.
    t.flow().held = false;
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1)).expect_silence();
    t.crash(1_s).ignore_output();
    t.peer_sends(ack(1).seq(1));
    t.expect(TcpPhase::established);
    CHECK(t.stack().statistics().tcp_cookies_accepted == 1);
}
