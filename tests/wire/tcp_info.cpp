// TCP_INFO and the MIB's counters: what Linux's fields mean, each made to move. And TCP_NOTSENT_LOWAT.
#include <set>

#include "recovery.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

TcpInfo info_of(Fixture& t) {
    const auto info = t.stack().tcp_info(t.socket ? t.socket : t.listener);
    REQUIRE(info.has_value());
    return *info;
}

std::uint64_t mib(Fixture& t, std::string_view name) {
    std::array<MibCounter, 256> counters{};
    const std::size_t n = t.stack().mib_counters(counters);
    REQUIRE(n <= counters.size());
    for (std::size_t i = 0; i < n; ++i) {
        if (counters[i].name == name) return counters[i].value;
    }
    FAIL("no counter " << name);
    return 0;
}

}  // namespace

WIRE_CASE("TCP_INFO: the phases have Linux's numbers", "[info]") {
    const std::pair<TcpPhase, int> numbers[] = {
        {TcpPhase::established, 1}, {TcpPhase::syn_sent, 2},   {TcpPhase::fin_wait_1, 4}, {TcpPhase::fin_wait_2, 5},
        {TcpPhase::time_wait, 6},   {TcpPhase::close_wait, 8}, {TcpPhase::last_ack, 9},   {TcpPhase::listen, 10},
        {TcpPhase::closing, 11}};
    for (const auto& [phase, number] : numbers) {
        CAPTURE(keepnet::name(phase));
        auto t = reach(phase, way);
        CHECK(info_of(t).state == number);
    }
}

WIRE_CASE("TCP_INFO: a listener tells its accept queue and its backlog", "[info]") {
    auto t = listening(way);
    CHECK(info_of(t).unacked == 0);
    CHECK(info_of(t).sacked == 8);
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1));
    CHECK(info_of(t).unacked == 1);
    t.app_accepts();
}

WIRE_CASE("TCP_INFO: what was agreed in the handshake", "[info]") {
    auto t = listening(way);
    t.flow().offers_ts = true;
    t.flow().offers_wscale = 5;
    t.flow().offers_mss = 1300;
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1));
    t.app_accepts();
    const TcpInfo i = info_of(t);
    CHECK((i.options & TcpInfo::option_timestamps) != 0);
    CHECK((i.options & TcpInfo::option_window_scale) != 0);
    CHECK(i.snd_wscale == 5);
    CHECK(i.snd_mss == 1288);
    CHECK(i.advmss == 1428);
    CHECK(i.pmtu == 1500);
    CHECK(i.snd_cwnd == 10);
    CHECK(i.snd_ssthresh == TcpInfo::infinite_ssthresh);
}

WIRE_CASE("TCP_INFO: what was sent, what is under way, what was acknowledged", "[info]") {
    auto t = established(way);
    CHECK(info_of(t).bytes_acked == 1);  // the SYN
    t.app_sends(3000);
    t.after(10_ms).ignore_output();
    TcpInfo i = info_of(t);
    CHECK(i.bytes_sent == 3000);
    CHECK(i.data_segs_out == 3);
    CHECK(i.unacked == 3);
    CHECK(i.notsent_bytes == 0);
    CHECK(i.last_data_sent == 10);
    t.peer_sends(ack(3001));
    t.after(5_ms);
    i = info_of(t);
    CHECK(i.unacked == 0);
    CHECK(i.bytes_acked == 3001);
    CHECK(i.last_ack_recv == 5);
    CHECK(i.rtt == 1250);  // the handshake took no time at all: 7/8 of that and 1/8 of 10 ms
    CHECK(i.rto == i.rtt + 200'000);  // Linux: SRTT + max(200 ms, 4 RTTVAR)
    CHECK(i.busy_time == 10'000);
    CHECK(i.total_retrans == 0);
}

WIRE_CASE("TCP_INFO: what a peer with SACK has, what is lost, what went again, and the shortest round trip", "[info]") {
    auto t = bulk_for_recovery(way);
    TcpInfo i = info_of(t);
    CHECK((i.options & TcpInfo::option_sack) != 0);
    CHECK(i.min_rtt == UINT32_MAX);
    CHECK(i.delivered == 1);  // the SYN
    t.after(recovery_rtt).peer_sends(sacks(0, {{5, 8}}));
    t.ignore_output();
    i = info_of(t);
    CHECK(i.sacked == 3);
    CHECK(i.delivered == 4);
    CHECK(i.min_rtt == 100'000);
    CHECK(i.retrans == t.connection()->recovery.retransmissions);
    CHECK(i.retrans != 0);
    CHECK(i.lost == 5);  // what went again is lost until it has arrived
    CHECK(i.ca_state == TcpInfo::ca_recovery);
    CHECK(i.reord_seen == 0);
    t.after(recovery_rtt).peer_sends(ack_before(10));
    i = info_of(t);
    CHECK(i.sacked == 0);
    CHECK(i.lost == 0);
    CHECK(i.retrans == 0);
    CHECK(i.delivered == 11);
    t.ignore_output();
}

WIRE_CASE("TCP_INFO: segments that come in another order are noted", "[info]") {
    auto t = bulk_for_recovery(way);
    t.after(recovery_rtt).peer_sends(sacks(0, {{1, 2}}));
    CHECK(info_of(t).reord_seen == 0);
    t.peer_sends(ack_before(2));
    CHECK(info_of(t).reord_seen == 1);
    t.ignore_output();
}

WIRE_CASE("TCP_INFO: of a peer without SACK nothing is known but what it acknowledged", "[info]") {
    auto t = bulk_for_recovery(way, {}, false);
    t.after(recovery_rtt).peer_sends(ack_before(4));
    const TcpInfo i = info_of(t);
    CHECK((i.options & TcpInfo::option_sack) == 0);
    CHECK(i.sacked == 0);
    CHECK(i.lost == 0);
    CHECK(i.delivered == 5);
    t.ignore_output();
}

WIRE_CASE("TCP_INFO: what came, in order and out of it", "[info]") {
    auto t = established(way);
    const std::uint32_t before = info_of(t).segs_in;
    t.peer_sends(data(100));
    t.peer_sends(data(300).seq(201));
    t.after(7_ms).ignore_output();
    TcpInfo i = info_of(t);
    CHECK(i.segs_in == before + 2);
    CHECK(i.data_segs_in == 2);
    CHECK(i.rcv_ooopack == 1);
    CHECK(i.bytes_received == 100);
    CHECK(i.rcv_mss == 300);
    CHECK(i.last_data_recv == 7);
    t.peer_sends(data(100).seq(101));
    t.peer_sends(fin().seq(501));
    t.ignore_output();
    CHECK(info_of(t).bytes_received == 501);  // the FIN counts
    t.app_reads(500);
}

WIRE_CASE("TCP_INFO: time-outs, and how long they lasted", "[info]") {
    auto t = established(way);
    t.app_sends(100).expect(data(100));
    t.mark();
    REQUIRE(t.wait(10_s));
    const Duration first = t.elapsed();
    REQUIRE(t.wait(10_s));
    TcpInfo i = info_of(t);
    CHECK(i.retransmits == 2);
    CHECK(i.backoff == 2);
    CHECK(i.ca_state == TcpInfo::ca_loss);
    CHECK(i.total_rto == 2);
    CHECK(i.total_rto_recoveries == 1);
    CHECK(i.total_retrans == 2);
    CHECK(i.bytes_sent == 300);
    CHECK(i.bytes_retrans == 200);
    t.at(first + 5_s).ignore_output();
    t.peer_sends(ack(101));
    i = info_of(t);
    CHECK(i.total_rto_time == 5000);
    CHECK(i.bytes_acked == 101);
    t.ignore_output();
}

WIRE_CASE("TCP_INFO: what limits a sender", "[info]") {
    auto t = established(way);
    t.flow().window = 1440;
    t.peer_sends(ack(1));
    t.app_sends(10'000);
    t.ignore_output();
    t.after(100_ms).ignore_output();
    TcpInfo i = info_of(t);
    CHECK(i.rwnd_limited == 100'000);
    CHECK(i.busy_time == 100'000);
    CHECK(i.snd_wnd == 1440);
    CHECK(i.notsent_bytes == 10'000 - 1440);
    t.flow().window = 60'000;
    t.peer_sends(ack());
    t.ignore_output();
    t.peer_sends(ack());
    i = info_of(t);
    CHECK(i.notsent_bytes == 0);
    CHECK(i.rwnd_limited == 100'000);
    t.after(1_s);
    CHECK(info_of(t).busy_time == i.busy_time);  // nothing to do is not busy
}

WIRE_CASE("TCP_INFO: a send buffer that is too small shows", "[info]") {
    auto t = established(way);
    t.flow().window = 60'000;
    t.peer_sends(ack(1));
    t.set(SocketOption::send_buffer, 4096);
    CHECK(t.app_offers(10'000) == 4096);
    t.ignore_output();
    t.after(20_ms);
    CHECK(info_of(t).sndbuf_limited == 20'000);
    CHECK(info_of(t).busy_time == 20'000);
}

WIRE_CASE("TCP_INFO: the counters survive a crash, and the outage counts in none", "[info][restore]") {
    auto t = established(way);
    t.app_sends(100).expect(data(100));
    t.after(10_ms).peer_sends(ack(101));
    t.peer_sends(data(50));
    t.after(100_ms).ignore_output();
    t.app_reads(50);
    t.snapshot();
    const TcpInfo before = info_of(t);
    t.crash(3600_s);
    t.ignore_output();
    const TcpInfo i = info_of(t);
    CHECK(i.bytes_sent == before.bytes_sent);
    CHECK(i.bytes_acked == before.bytes_acked);
    CHECK(i.bytes_received == 50);
    CHECK(i.data_segs_in == 1);
    CHECK(i.busy_time == 10'000);
    CHECK(i.last_data_recv == before.last_data_recv);
}

WIRE_CASE("TCP_NOTSENT_LOWAT: what is not sent yet is bounded, and its going makes the socket writable", "[info][lowat]") {
    auto t = established(way);
    t.flow().window = 4320;
    t.peer_sends(ack(1));
    t.set(SocketOption::not_sent_low_water, 2000).set(SocketOption::no_delay, 1);
    // 4,320 bytes leave at once; of what stays, no more than the mark, or the segment that passes it.
    std::size_t accepted = 0;
    while (const std::size_t n = t.app_offers(1000)) accepted += n;
    CHECK(info_of(t).notsent_bytes >= 2000);
    CHECK(info_of(t).notsent_bytes <= 2000 + 1440);
    CHECK(accepted <= 4320 + 2000 + 1440);
    CHECK_FALSE(t.stack().readiness(t.socket)->has(Readiness::writable));
    CHECK(t.app_offers(1) == 0);
    Stack& stack = t.stack();  // a swapped one tells of all its sockets anew
    while (stack.next_ready()) {
    }
    t.ignore_output();
    t.flow().window = 60'000;
    t.peer_sends(ack());
    t.ignore_output();
    CHECK(info_of(t).notsent_bytes == 0);
    CHECK(t.stack().readiness(t.socket)->has(Readiness::writable));
    CHECK(t.stack().next_ready() == t.socket);
    CHECK(t.app_offers(1000) == 1000);
    t.ignore_output();
    t.peer_sends(ack());
    CHECK(t.info().tx_acknowledged == t.info().tx_accepted);
}

WIRE_CASE("RFC 4022, 4293: counters have the names that nstat prints, each once, and they move", "[info][mib]") {
    auto t = established(way);
    std::array<MibCounter, 256> counters{};
    const std::size_t n = t.stack().mib_counters(counters);
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < n; ++i) names.insert(counters[i].name);
    CHECK(names.size() == n);
    CHECK(t.stack().mib_counters({}) == n);
    CHECK(mib(t, "TcpCurrEstab") == 1);
    CHECK(mib(t, "TcpPassiveOpens") == 1);
    const std::uint64_t segments = mib(t, "TcpInSegs");
    t.peer_sends(ack(1));
    CHECK(mib(t, "TcpInSegs") == segments + 1);
    t.app_sends(100).expect(data(100));
    CHECK(mib(t, "TcpExtTCPOrigDataSent") == 1);
    t.mark();
    REQUIRE(t.wait(5_s));
    CHECK(mib(t, "TcpRetransSegs") == 1);
    CHECK(mib(t, "TcpExtTCPTimeouts") == 1);
    t.peer_sends(ack(101));
    t.peer_sends(data(10).seq(21));
    CHECK(mib(t, "TcpExtTCPOFOQueue") == 1);
    t.peer_sends(syn().seq(500));
    CHECK(mib(t, "TcpExtTCPSYNChallenge") == 1);
    CHECK(mib(t, "TcpExtTCPChallengeACK") == 1);
    t.ignore_output();
    t.peer_sends(data(20).seq(1));
    t.ignore_output();
    t.app_closes();  // unread data
    t.expect(rst_ack());
    CHECK(mib(t, "TcpExtTCPAbortOnClose") == 1);
    CHECK(mib(t, "TcpOutRsts") == 1);
    CHECK(mib(t, "TcpCurrEstab") == 0);
}
