// Fixture: what holds for every frame, whatever the script says.
#include <algorithm>

#include "base/seq.hpp"
#include "support/fixture.hpp"

namespace keepnet::test {

void Fixture::monitor_syn(Flow& f, const TcpFields& t) {
    if (!f.stack_iss || *f.stack_iss != t.seq) {
        f.stack_iss = t.seq;
        f.seen_ack = f.seen_ts = false;
        f.last_ack = f.right_edge = 0;
    }
    f.stack_offers_ts = t.ts.has_value();
    f.stack_wscale = t.wscale;
    f.stack_offers_sack = t.sack_permitted;
    if ((t.flags & flag::ack) != 0) {
        f.ts = f.offers_ts && f.stack_offers_ts;
        const bool both = f.offers_wscale && f.stack_wscale;
        f.peer_shift = both ? std::min<std::uint8_t>(*f.offers_wscale, 14) : std::uint8_t{0};
        f.stack_shift = both ? *f.stack_wscale : std::uint8_t{0};
    }
}

void Fixture::monitor(const Packet& p) {
    if (p.eth_src != mac) FAIL("source MAC is not ours\n" << diary());
    if (!p.tcp) return;
    const TcpFields& t = *p.tcp;
    Flow* found = flow_of(t.dst_port, t.src_port);
    if (found == nullptr) return;
    Flow& f = *found;
    const auto must = [&](bool holds, const char* what) {
        if (!holds) FAIL("what always holds does not: " << what << "\n" << diary());
    };
    const bool is_syn = (t.flags & flag::syn) != 0;
    const bool is_rst = (t.flags & flag::rst) != 0;
    if (is_syn) monitor_syn(f, t);
    if (is_rst || !f.stack_iss) return;
    must(is_syn || (!t.mss && !t.wscale && !t.sack_permitted), "SYN options in a segment without SYN");
    if (!is_syn) must(t.ts.has_value() == f.ts, "timestamps in every segment or none (RFC 7323 3.2)");
    must(t.sack.empty() || (f.offers_sack && f.stack_offers_sack), "SACK that was not agreed (RFC 2018 2)");
    for (std::size_t i = 0; i < t.sack.size(); ++i) {
        const auto& [left, right] = t.sack[i];
        must(before(Seq{left}, Seq{right}), "an empty SACK block");
        // RFC 2883 4: below the ACK only the first may lie, and all of it does.
        must(before(Seq{t.ack}, Seq{left}) || (i == 0 && before_eq(Seq{right}, Seq{t.ack})),
             "a SACK block below the ACK");
    }
    if (t.ts) {
        // RFC 7323 5.5: after 24 days nobody compares, and half the circle lies behind.
        const bool compares = f.seen_ts && now_ - f.last_ts_at < 24LL * 86'400_s;
        must(!compares || before_eq(Seq{f.last_tsval}, Seq{t.ts->first}), "TSval goes back");
        f.last_tsval = t.ts->first;
        f.last_ts_at = now_;
        f.seen_ts = true;
    }
    const std::uint32_t seq = t.seq - *f.stack_iss;
    const std::uint32_t end = seq + p.tcp_length();
    if ((t.flags & flag::ack) != 0) {
        const std::uint32_t acked = t.ack - f.iss;
        const std::uint32_t edge =
            acked + (static_cast<std::uint32_t>(t.window) << (is_syn ? 0U : f.stack_shift));
        must(!f.seen_ack || before_eq(Seq{f.last_ack}, Seq{acked}), "ACK goes back");
        must(!f.seen_ack || f.edge_may_shrink || before_eq(Seq{f.right_edge}, Seq{edge}),
             "right edge goes back");
        if (f.held) must(before_eq(Seq{acked}, Seq{f.rcv_durable}), "ACK above what is durable");
        // With a scale the edge may move on by a unit for each ACK, rather than back.
        if (f.held && f.stack_shift == 0)
            must(before_eq(Seq{edge}, Seq{f.edge_durable}), "window beyond what is durably consumed");
        f.last_ack = acked;
        f.right_edge = edge;
        f.seen_ack = true;
    }
    if (f.held) must(before_eq(Seq{end}, Seq{f.snd_durable}), "sends what is not durable");
    must((t.flags & flag::urg) == 0 && t.urgent == 0, "an urgent pointer, which nobody asked for");
    if (!t.payload.empty()) {
        must(before_eq(Seq{end}, Seq{f.peer_edge + ((t.flags & flag::fin) != 0 ? 1U : 0U)}) ||
                 t.payload.size() == 1,
             "sends beyond the peer's window");
        if (check_content) {
            must(t.payload == pattern_bytes(Side::stack, seq + (is_syn ? 1U : 0U), t.payload.size()),
                 "content");
        }
        // No segment is made smaller than 48 bytes (Linux's TCP_MIN_SND_MSS), whatever the peer says.
        must(t.payload.size() <= std::max<std::size_t>(f.offers_mss.value_or(1220), 48), "larger than the peer's MSS");
    }
}

}  // namespace keepnet::test
