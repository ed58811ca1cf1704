// RFC 9293 3.5: connections come into being; 3.10.7.1 to 3.10.7.3: CLOSED, LISTEN, SYN-SENT.
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

WIRE_CASE("RFC 9293 3.5: passive open, basic three-way handshake", "[handshake]") {
    auto t = listening(way);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1).mss(1440).no_ts()).expect(TcpPhase::syn_received).expect_silence();
    t.peer_sends(ack(1));
    t.expect_silence().expect(TcpPhase::established);
    t.app_accepts();
    CHECK(t.info().remote.port == t.flow().peer_port);
    CHECK(t.info().remote.address == peer_address);
    CHECK(t.info().local.port == 80);
    CHECK(t.stack().readiness(t.socket)->has(Readiness::connected));
}

WIRE_CASE("RFC 9293 3.5: active open, basic three-way handshake", "[handshake]") {
    Fixture t(way);
    t.app_connects();
    t.expect(syn().seq(0).mss(1440)).expect(TcpPhase::syn_sent);
    CHECK_FALSE(t.stack().readiness(t.socket)->has(Readiness::connected));
    t.peer_sends(syn_ack().ack(1));
    t.expect(ack(1).seq(1)).expect(TcpPhase::established);
    CHECK(t.stack().readiness(t.socket)->has(Readiness::connected));
    CHECK(t.stack().readiness(t.socket)->has(Readiness::writable));
}

WIRE_CASE("RFC 9293 3.5 figure 8: simultaneous open, completed by the peer's SYN-ACK", "[handshake]") {
    auto t = syn_sent(way);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1)).expect(TcpPhase::syn_received);
    t.peer_sends(syn_ack().seq(0).ack(1));
    t.expect(TcpPhase::established);
    t.ignore_output();
    t.app_sends(10);
    t.expect(data(10).seq(1).ack(1));
}

WIRE_CASE("RFC 9293 3.5: simultaneous open, completed by a plain ACK", "[handshake]") {
    auto t = syn_sent(way);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
    t.peer_sends(ack(1));
    t.expect_silence().expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.5 figure 9: an old duplicate SYN is undone by the peer's reset", "[handshake]") {
    auto t = listening(way);
    t.flow().iss += 90;
    t.peer_sends(syn());
    t.expect(syn_ack().ack(1));
    t.peer_sends(rst().seq(1));
    t.expect_silence().expect(TcpPhase::closed);
    t.flow().iss += 10;
    t.flow().snd_nxt = 0;
    t.peer_sends(syn());
    t.expect(syn_ack().ack(1));
    t.peer_sends(ack(1));
    t.expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.5.1 figure 10: a peer that crashed finds out and resets us", "[handshake]") {
    auto t = established(way);
    const std::uint32_t next = t.flow().snd_nxt;
    t.peer_sends(syn().seq(400));
    t.expect(ack(1).seq(1)).expect(TcpPhase::established);
    t.peer_sends(rst().seq(next));
    t.expect_silence().expect(TcpPhase::closed).expect_error(Error::connection_reset);
}

WIRE_CASE("RFC 9293 3.10.7.1: a closed port answers", "[handshake]") {
    Fixture t(way);
    SECTION("a segment without ACK: SEQ 0, ACK of all that it held") {
        t.peer_sends(syn().seq(0));
        t.expect(rst_ack().ack(1).where("SEQ 0", [](const TcpFields& s, const Flow&) { return s.seq == 0; }));
    }
    SECTION("data and FIN count") {
        t.peer_sends(segment(flag::fin).seq(10).length(5));
        t.expect(
            rst_ack().ack(16).where("SEQ 0", [](const TcpFields& s, const Flow&) { return s.seq == 0; }));
    }
    SECTION("a segment with ACK: SEQ from its ACK") {
        t.peer_sends(data(5).seq(10).ack(777));
        t.expect(rst().where("SEQ 777",
                             [](const TcpFields& s, const Flow&) { return s.seq == 777 && s.ack == 0; }));
    }
    SECTION("a reset: nothing") { t.peer_sends(rst().seq(10)).peer_sends(rst_ack().seq(10).ack(4)); }
    t.expect_silence();
}

WIRE_CASE("RFC 9293 3.10.7.2: LISTEN ignores resets, resets ACKs, drops the rest", "[handshake]") {
    auto t = listening(way);
    SECTION("RST") { t.peer_sends(rst().seq(1)); }
    SECTION("RST with ACK") { t.peer_sends(rst_ack().seq(1).ack(1)); }
    SECTION("ACK") {
        t.peer_sends(ack().seq(1).ack(4711));
        t.expect(rst().where("SEQ 4711", [](const TcpFields& s, const Flow&) { return s.seq == 4711; }));
    }
    SECTION("SYN and ACK") {
        t.peer_sends(syn_ack().seq(0).ack(4711));
        t.expect(rst().where("SEQ 4711", [](const TcpFields& s, const Flow&) { return s.seq == 4711; }));
    }
    SECTION("no flag at all") { t.peer_sends(segment(0).seq(0).length(4)); }
    SECTION("FIN") { t.peer_sends(segment(flag::fin).seq(0)); }
    t.expect_silence().expect(TcpPhase::closed);
    t.peer_sends(syn().seq(0));
    t.expect(syn_ack().ack(1)).expect_silence();
}

WIRE_CASE("RFC 9293 3.10.7.3: SYN-SENT, an unacceptable ACK is reset and changes nothing", "[handshake]") {
    auto t = syn_sent(way);
    for (const std::uint32_t wrong : {0U, 2U, 1000U, 0x8000'0000U}) {
        CAPTURE(wrong);
        for (const std::uint8_t flags : {std::uint8_t{flag::ack}, std::uint8_t{flag::syn | flag::ack}}) {
            t.peer_sends(segment(flags).seq(0).ack(wrong));
            t.expect(rst().seq(wrong)).expect_silence().expect(TcpPhase::syn_sent);
        }
        t.peer_sends(rst_ack().seq(0).ack(wrong));
        t.expect_silence().expect(TcpPhase::syn_sent);
    }
    t.flow().snd_nxt = 0;
    t.peer_sends(syn_ack().ack(1));
    t.expect(ack(1)).expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.10.7.3: SYN-SENT, resets", "[handshake]") {
    auto t = syn_sent(way);
    t.peer_sends(rst().seq(0));
    t.expect_silence().expect(TcpPhase::syn_sent);
    t.peer_sends(rst_ack().seq(0).ack(1));
    t.expect_silence().expect(TcpPhase::closed).expect_error(Error::connection_refused);
}

WIRE_CASE("RFC 9293 3.10.7.3: SYN-SENT, an acceptable ACK alone is dropped", "[handshake]") {
    auto t = syn_sent(way);
    t.peer_sends(ack().seq(0).ack(1));
    t.expect_silence().expect(TcpPhase::syn_sent);
    t.peer_sends(segment(flag::fin).seq(0));
    t.expect_silence().expect(TcpPhase::syn_sent);
}

WIRE_CASE("RFC 9293 3.10.7.3: data with the SYN-ACK is not lost", "[handshake]") {
    auto t = syn_sent(way);
    t.peer_sends(syn_ack().seq(0).ack(1).length(20));
    const Packet first = t.expect_packet();
    CHECK((first.tcp->flags & flag::ack) != 0);
    t.ignore_output();
    // Whether or not it was taken at once: the peer repeats what was not acknowledged.
    t.peer_sends(data(20).seq(1));
    t.at(500_ms).ignore_output();
    t.expect(TcpPhase::established).app_reads(20);
    CHECK(t.readable() == 0);
}

WIRE_CASE("RFC 9293 3.10.7.4: data with the handshake's last ACK", "[handshake]") {
    auto t = syn_received(way);
    t.peer_sends(data(30).ack(1));
    t.expect(TcpPhase::established);
    t.app_accepts();
    t.app_reads(30);
    t.expect_by(500_ms, ack(31).seq(1));
}

WIRE_CASE("RFC 9293 3.10.7.2: data with a SYN to a listener is delivered once", "[handshake]") {
    auto t = listening(way);
    t.peer_sends(syn().length(10));
    const Packet first = t.expect_packet();
    const std::uint32_t acked = first.tcp->ack - t.flow().iss;
    CHECK((first.tcp->flags == (flag::syn | flag::ack)));
    CHECK((acked == 1 || acked == 11));
    t.flow().snd_nxt = acked;
    t.peer_sends(data(12).seq(1).ack(1));
    t.expect(TcpPhase::established);
    t.app_accepts();
    t.app_reads(12);
    t.at(500_ms).ignore_output();
}

WIRE_CASE("RFC 9293 3.10.7.4: SYN-RECEIVED, a wrong ACK is reset and changes nothing", "[handshake]") {
    auto t = syn_received(way);
    for (const std::uint32_t wrong : {2U, 100'000U}) {
        t.peer_sends(ack().seq(1).ack(wrong));
        t.expect(rst().seq(wrong)).expect_silence().expect(TcpPhase::syn_received);
    }
    t.peer_sends(ack(1));
    t.expect_silence().expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.10.7.4: SYN-RECEIVED of an active open is reset to the caller", "[handshake]") {
    auto t = syn_sent(way);
    t.peer_sends(syn());
    t.expect(syn_ack().ack(1)).expect(TcpPhase::syn_received);
    t.peer_sends(rst().seq(1));
    t.expect_silence().expect(TcpPhase::closed).expect_error(Error::connection_refused);
}

WIRE_CASE("RFC 9293 3.10.7.4: a repeated SYN in SYN-RECEIVED is acknowledged", "[handshake]") {
    auto t = syn_received(way);
    t.peer_sends(syn());
    const Packet answer = t.expect_packet();
    CHECK((answer.tcp->flags & flag::ack) != 0);
    CHECK((answer.tcp->flags & flag::rst) == 0);
    CHECK(answer.tcp->ack == t.flow().iss + 1);
    t.expect_silence().expect(TcpPhase::syn_received);
    t.peer_sends(ack(1).seq(1));
    t.expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.10.7.4: FIN with the handshake's last ACK", "[handshake]") {
    auto t = syn_received(way);
    t.peer_sends(fin().ack(1));
    t.expect(TcpPhase::close_wait);
    t.expect(ack(2).seq(1));
    t.app_accepts();
    t.expect_end_of_stream();
}

WIRE_CASE("RFC 9293 3.7.1: no MSS option means 1220 bytes on IPv6", "[handshake][mss]") {
    auto t = listening(way);
    t.flow().offers_mss.reset();
    open_passive(t);
    t.set(SocketOption::no_delay, 1).app_sends(3000);
    t.expect(data(1220).seq(1)).expect(data(1220).seq(1221)).expect(data(560).seq(2441)).expect_silence();
}

WIRE_CASE("RFC 9293 3.7.1: segments are no larger than the peer's MSS", "[handshake][mss]") {
    auto t = listening(way);
    t.flow().offers_mss = 700;
    open_passive(t);
    t.set(SocketOption::no_delay, 1).app_sends(1500);
    t.expect(data(700)).expect(data(700)).expect(data(100)).expect_silence();
}

WIRE_CASE("RFC 9293 3.7.1: a larger MSS than the path has room for is not used", "[handshake][mss]") {
    auto t = listening(way);
    t.flow().offers_mss = 9000;
    open_passive(t);
    t.set(SocketOption::no_delay, 1).app_sends(2000);
    t.expect(data(1440)).expect(data(560)).expect_silence();
}

WIRE_CASE("RFC 6691 2: the MSS leaves room for the timestamps of each segment", "[handshake][mss]") {
    auto t = listening(way);
    t.flow().offers_ts = true;
    open_passive(t);
    t.set(SocketOption::no_delay, 1).app_sends(2000);
    t.expect(data(1428)).expect(data(572)).expect_silence();
}

WIRE_CASE("RFC 9293 3.1: unknown options are skipped, broken ones do no harm", "[handshake]") {
    auto t = listening(way);
    SECTION("unknown kind") {
        t.peer_sends(syn().options({253, 6, 1, 2, 3, 4}));
        t.expect(syn_ack().ack(1));
    }
    SECTION("length 0") {
        t.peer_sends(syn().options({253, 0, 1, 1}));
        t.expect(syn_ack().ack(1));
    }
    SECTION("runs past the header") {
        t.flow().offers_mss.reset();
        t.peer_sends(syn().options({1, 1, 2, 9}));
        t.expect(syn_ack().ack(1));
    }
    SECTION("an MSS option of the wrong length") {
        t.flow().offers_mss.reset();
        t.peer_sends(syn().options({2, 3, 5, 1}));
        t.expect(syn_ack().ack(1));
    }
    t.expect_silence();
    t.peer_sends(ack(1));
    t.expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.1: reserved bits are ignored", "[handshake]") {
    auto t = listening(way);
    t.peer_sends(syn().reserved(0xf));
    t.expect(syn_ack().ack(1));
    t.peer_sends(ack(1).reserved(0xf));
    t.expect(TcpPhase::established);
}

WIRE_CASE("RFC 9293 3.1: a wrong checksum is dropped without an answer", "[handshake]") {
    auto t = listening(way);
    t.peer_sends(syn().bad_checksum());
    t.expect_silence().expect_dropped(DropReason::tcp_bad_checksum).expect(TcpPhase::closed);
}

WIRE_CASE("RFC 9293 3.8.3: SYN is repeated with doubling time-outs, for three minutes at least",
          "[handshake][rto]") {
    auto t = syn_sent(way);
    Duration next = 1_s;
    Duration wait = 1_s;
    for (; next < 180_s; next = next + wait) {
        t.expect_between(next, next, syn().seq(0).mss(1440));
        wait = wait * 2 < 60_s ? wait * 2 : 60_s;
    }
    t.expect(TcpPhase::syn_sent);
    t.at(400_s).ignore_output();
    t.expect(TcpPhase::closed).expect_error(Error::timed_out);
}

WIRE_CASE("RFC 9293 3.8.3: SYN-ACK is repeated, then the half-open connection goes away",
          "[handshake][rto]") {
    auto t = syn_received(way);
    t.expect_between(1_s, 1_s, syn_ack().seq(0).ack(1).mss(1440));
    t.expect_between(3_s, 3_s, syn_ack().seq(0).ack(1));
    t.expect_between(7_s, 7_s, syn_ack());
    t.at(400_s).ignore_output();
    t.expect(TcpPhase::closed);
    t.peer_sends(ack(1).seq(1));
    t.expect(rst().seq(1)).expect_silence();
}

WIRE_CASE("RFC 9293 3.4.1: initial sequence numbers of one pair grow with time, of two are unrelated",
          "[isn]") {
    auto t = listening(way);
    const auto isn = [&] {
        t.flow().snd_nxt = 0;
        t.peer_sends(syn());
        t.expect(syn_ack().ack(1));
        const std::uint32_t iss = *t.flow().stack_iss;
        t.peer_sends(rst().seq(1));
        return iss;
    };
    const std::uint32_t first = isn();
    t.after(100_ms);
    const std::uint32_t second = isn();
    // 4 microseconds a step (3.4.1): 25,000 steps in 100 ms; a clock of another speed must at least go
    // forward.
    CHECK(second - first > 0);
    CHECK(second - first < 0x1000'0000);
    t.use_flow(1);
    const std::uint32_t other = isn();
    CHECK(other - second > 0x1'0000);
    CHECK(second - other > 0x1'0000);
}

WIRE_CASE("RFC 9293 3.9.2.3: no connection with a multicast or unspecified peer", "[handshake]") {
    auto t = listening(way);
    const IpFields ip{.src = ipv6_all_nodes, .dst = stack_address, .next_header = proto_tcp};
    const TcpFields f{.src_port = 9, .dst_port = 80, .seq = 5, .flags = flag::syn, .window = 1000};
    t.peer_sends_ip(ip_packet(ip, tcp_segment(ip.src, ip.dst, f)));
    t.expect_silence();
    const IpFields multicast{.src = peer_address, .dst = ipv6_all_nodes, .next_header = proto_tcp};
    t.peer_sends_frame(ethernet(multicast_mac(ipv6_all_nodes), peer_mac, 0x86dd,
                                ip_packet(multicast, tcp_segment(multicast.src, multicast.dst, f))));
    t.expect_silence().expect_dropped(DropReason::tcp_bad_address);
}
