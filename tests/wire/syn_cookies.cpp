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

/// A listener under policy `snapshot` that is durable as it is before the flood, and nothing behind that.
Fixture flooded_and_durable(Way way) {
    FixtureOptions options(DurabilityPolicy::snapshot);
    options.config.tcp.listen_half_open = 4;
    auto t = listening(way, options);
    t.snapshot().auto_commit(false);
    flood(t, 10);
    // The monitor of held output does not apply to a cookie: there is no record that could be lost.
    t.flow().held = false;
    return t;
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
    for (std::uint32_t i = 1; i <= 50; ++i) {
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

WIRE_CASE("RFC 4987 3.6: a repeated SYN that finds room for a record does not shut out the peer that has a cookie", "[cookies]") {
    auto t = listening(way, few_half_open());
    flood(t, 10);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
    const Flow cookie = t.flow();
    // A half-open record of the flood goes, and a duplicate of the SYN takes its place.
    const IpFields ip{.src = t.peer, .dst = stack_address, .next_header = proto_tcp};
    const TcpFields reset{.src_port = 20'000, .dst_port = 80, .seq = 78, .flags = flag::rst};
    t.peer_sends_ip(ip_packet(ip, tcp_segment(ip.src, ip.dst, reset)));
    t.flow().snd_nxt = t.flow().rcv_nxt = 0;
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
    REQUIRE(t.flow().stack_iss != cookie.stack_iss);
    t.flow() = cookie;
    t.peer_sends(ack(1));
    t.expect(TcpPhase::established);
    CHECK(t.stack().statistics().tcp_cookies_accepted == 1);
    t.app_accepts();
    t.app_sends(100).expect(data(100).seq(1).ack(1));
    t.peer_sends(data(50));
    t.app_reads(50);
    t.after(100_ms).ignore_output();
}

WIRE_CASE("without a flood no cookie is accepted", "[cookies]") {
    auto t = listening(way);
    t.peer_sends(ack().seq(1).ack(12345));
    t.expect(rst().seq(12345)).expect(TcpPhase::closed);
    CHECK(t.stack().statistics().tcp_cookies_accepted == 0);
}

WIRE_CASE("DURABILITY 2: cookies need no commit, and are accepted for a lifetime after a restore",
          "[cookies][restore]") {
    auto t = flooded_and_durable(way);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1)).expect_silence();
    t.crash(1_s).ignore_output();
    t.peer_sends(ack(1).seq(1));
    t.expect(TcpPhase::established);
    CHECK(t.stack().statistics().tcp_cookies_accepted == 1);
}

namespace {

/// A connection by a cookie, with `n` bytes in the peer's first segment.
Fixture by_cookie(Way way, const FixtureOptions& options, std::size_t n) {
    auto t = listening(way, options);
    flood(t, 10);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
    t.peer_sends(n == 0 ? ack(1) : data(n).ack(1));
    t.ignore_output();
    REQUIRE(t.stack().statistics().tcp_cookies_accepted == 1);
    return t;
}

/// The whole life of one whose peer sent ten bytes and closed first; nothing of it is left but the cookie.
Fixture come_and_gone(Way way, const FixtureOptions& options) {
    auto t = by_cookie(way, options, 10);
    t.app_accepts().app_reads(10);
    t.peer_sends(fin()).ignore_output();
    t.app_closes();
    t.expect(fin().seq(1).ack(12));
    t.peer_sends(ack(2)).expect_silence();
    return t;
}

}  // namespace

WIRE_CASE("RFC 4987 3.6, RFC 9293 3.10.7.2: a late duplicate of the first segment does not bring a finished connection back",
          "[cookies]") {
    auto t = come_and_gone(way, few_half_open());
    const auto again = [&] { t.peer_sends(data(10).seq(1).ack(1)); };
    again();
    t.expect(rst().seq(1));
    SECTION("nor after a restore, which makes cookies good for longer") {
        t.after(100_s).ignore_output();
        t.snapshot().crash(30_s).ignore_output();
        again();
        t.expect(rst().seq(1));
        t.after(100_s).ignore_output();
        again();
        t.expect(rst().seq(1));
    }
    SECTION("nor does its SYN, with which the first segment would find a record") {
        t.after(100_ms).peer_sends(syn().seq(0)).expect_silence();
        again();
        t.expect(rst().seq(1));
    }
    SECTION("it does not stand in the way of a new one, by a cookie") {
        t.flow().iss += 100'000;
        t.flow().snd_nxt = t.flow().rcv_nxt = 0;
        t.peer_sends(syn());
        t.expect(syn_ack());
        t.peer_sends(ack(1)).app_accepts();
        CHECK(t.stack().statistics().tcp_cookies_accepted == 2);
        t.app_sends(5).expect(data(5).seq(1));
    }
    SECTION("nor of one with a record, nor of the port") {
        t.after(100_s).ignore_output();  // the flood has been forgotten
        t.flow().iss += 100'000;
        t.flow().snd_nxt = t.flow().rcv_nxt = 0;
        open_passive(t);
        t.app_sends(5).expect(data(5).seq(1));
    }
    SECTION("it is forgotten with the cookie") {
        CHECK(t.world().connections.in_use() >= 1);
        t.after(300_s).ignore_output();
        CHECK(t.world().connections.in_use() == 0);
        again();
        t.expect(rst().seq(1));
    }
    CHECK(t.stack().accept(t.listener).error() == Error::would_block);
}

WIRE_CASE("RFC 4987: what finished connections are remembered for is bounded", "[cookies]") {
    auto options = few_half_open();
    options.config.tcp.spent_cookies = 0;
    auto t = come_and_gone(way, options);
    t.after(70_s).ignore_output();
    CHECK(t.world().connections.in_use() == 0);
}

WIRE_CASE("DURABILITY 2: a peer whose cookie connection a rollback took away is not reset, whatever it sends first",
          "[cookies][restore]") {
    auto t = flooded_and_durable(way);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
    t.peer_sends(data(1000).ack(1));
    t.app_accepts().app_reads(1000).expect_silence();
    t.crash(1_s).ignore_output();
    // From the middle of its flight, a pure ACK, a FIN: it is waited for its beginning.
    t.peer_sends(data(100).seq(501).ack(1));
    t.peer_sends(ack(1).seq(1001));
    t.peer_sends(fin().seq(1001).ack(1));
    t.expect_silence();
    // Somebody else's are refused at once; they need not wait for a cookie lifetime.
    t.use_flow(1);
    t.flow().held = false;
    t.peer_sends(data(100).seq(501).ack(0x1234'5678));
    t.expect(rst().seq(0x1234'5678));
    t.use_flow(0);
    t.peer_sends(data(1000).seq(1).ack(1));
    t.app_accepts().app_reads(1000);
    t.snapshot();
    t.expect(ack(1001));
}

WIRE_CASE("DURABILITY 2: a probe brings back a cookie connection that a rollback took away: its peer may have seen the window shut",
          "[cookies][restore]") {
    auto t = flooded_and_durable(way);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
    t.peer_sends(data(1000).ack(1));
    t.app_accepts().expect_silence();
    t.crash(1_s).ignore_output();
    t.peer_sends(ack(1).seq(0));
    t.expect(ack(1).seq(1));
    CHECK(t.stack().statistics().tcp_cookies_accepted == 1);
    t.peer_sends(data(1000).seq(1).ack(1));
    t.app_accepts().app_reads(1000);
    t.snapshot();
    t.expect(ack(1001));
}

WIRE_CASE("DURABILITY 2: a cookie connection that a rollback took away keeps its window scale, whichever of our time stamps the "
          "peer echoes",
          "[cookies][restore]") {
    auto t = flooded_and_durable(way);
    t.flow().offers_ts = true;
    t.flow().offers_wscale = 5;
    t.flow().window = 60'000;
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(data(10).seq(1).ack(1));
    for (int i = 0; i < 8; ++i) {
        t.after(milliseconds(505 + 3 * i)).peer_sends(ack(1).seq(0)).ignore_output();  // a keep-alive
        t.crash(1_s).ignore_output();
        t.peer_sends(data(10).seq(1).ack(1));
        t.app_accepts();
        CHECK(t.info().send_window >= 60'000 - 31);
        CHECK(t.info().send_window <= 60'000);
    }
}
