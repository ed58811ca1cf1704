#include "sim/monitor.hpp"

#include <utility>

#include "sim/app.hpp"

#include "stack/core.hpp"

namespace keepnet::sim {

namespace {

constexpr Duration planned_before = milliseconds(20);
constexpr std::size_t clocks_max = 256;

bool is_above(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; }

/// Moves `last` on to `value`; Failure when that would be back.
void forward(std::optional<std::uint32_t>& last, std::uint32_t value, const char* property) {
    if (last && is_above(*last, value)) {
        throw Failure(property, std::to_string(value) + " behind " + std::to_string(*last));
    }
    last = value;
}

}  // namespace

Monitor::Record ends_of(const Stack& stack) {
    Monitor::Record record;
    stack.core().world.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        if (c.policy == DurabilityPolicy::none) return;
        record[Monitor::key_of(host_of(c.remote.address), c.local.port, c.remote.port)] = {
            snd_end(c).raw, c.rcv.nxt.raw, c.phase != TcpPhase::syn_sent, c.phase == TcpPhase::closed,
            c.phase != TcpPhase::closed && c.rcv.fin_received && !c.fin_ack_owed,
            c.phase == TcpPhase::syn_received, c.rcv.irs.raw};
    });
    return record;
}

void Monitor::set_durable(unsigned host, std::optional<Record> record) {
    durable_[host] = std::move(record);
    if (!durable_[host]) return;
    for (const auto& [key, ends] : *durable_[host]) {
        if (ends.end_told) ends_told_[host][key] = ends.rcv_nxt;
    }
}

void Monitor::advance_durable(unsigned host, Record record) {
    if (durable_[host]) {
        // Of what was aborted the device may still hold segments that were durable when they were made.
        for (auto& [key, ends] : record) {
            const auto before = durable_[host]->find(key);
            if (!ends.has_ended || before == durable_[host]->end()) continue;
            ends = before->second;
            ends.has_ended = true;
        }
    }
    durable_[host] = std::move(record);
}

void Monitor::on_frame(unsigned host, ByteView frame, const Facts& facts) {
    if (const std::string fault = fault_of(frame); !fault.empty())
        throw Failure("a stack sends sound frames", fault);
    const auto t = read_tcp(frame);
    if (!t) return;
    Flow& flow = host < t->to ? flows_[{key_of(t->to, t->source, t->destination), host}]
                              : flows_[{key_of(host, t->destination, t->source), t->to}];
    Direction& own = flow.from[host < t->to ? 0 : 1];
    if (t->has(rst)) {  // promises nothing
        return check_reset(host, own, flow.from[host < t->to ? 1 : 0], *t, facts);
    }
    ++segments_;
    check_order(host, flow, *t);
    check_echo(host, own, flow.from[host < t->to ? 1 : 0], *t);
    check_reports(*t, facts);
    check_durable(host, flow, *t);
    check_repetition(host, own, flow.from[host < t->to ? 1 : 0], *t, facts);
}

/// Three duplicates make the peer send again what we have (RFC 5681), so what is withheld may be said again only now
/// and then: in answer to what is unacceptable, and in the first breath after a restore.
void Monitor::check_repetition(unsigned host, Direction& own, const Direction& peer, const TcpFrame& t,
                               const Facts& facts) {
    std::optional<Repeated>& last = own.repeated;
    if (t.occupies() != 0 || !t.has(ack)) return;
    if (!facts.withholds) return last.reset();
    // A probe of a window or of a silent peer: it lies before what was sent, and has timers of its own.
    if (peer.ack && t.seq + 1 == *peer.ack) return;
    const Repeated now{t.ack, own.edge.value_or(0), facts.challenges, lives_[host], facts.now};
    if (!last || last->ack != now.ack || last->edge != now.edge || last->challenges != now.challenges ||
        last->life != now.life || now.since - last->since >= facts.answer_interval) {
        last = now;
        return;
    }
    // What has just been sent may have been planned before the rest came: the card did not take it at once.
    if (now.since - last->since > planned_before && ++last->times >= 3)
        throw Failure("withheld ACKs are no duplicates", std::to_string(t.ack) + " again and again");
}

/// In answer to a segment that matches nothing: none before the embedder is ready; and none while the peer waits for the
/// ACK of its FIN, of which this side knew. (Whether an open connection was reset is asked where it ends.) An ACK that died in the
/// card with its host is as one that was lost on the way: TIME-WAIT may be over when the peer asks again.
void Monitor::check_reset(unsigned host, const Direction& own, const Direction& peer, const TcpFrame& t,
                          const Facts& facts) const {
    if (facts.may_be_aborted) return;
    if (!facts.is_ready && !facts.has_connection)
        throw Failure("no reset before the embedder is ready", "port " + std::to_string(t.source));
    if (!facts.has_connection) check_denial(host, peer, t);
    if (facts.has_connection || own.cookie || peer.cookie || !own.iss || !own.ack || !peer.end) return;
    const auto told = ends_told_[host].find(key_of(t.to, t.source, t.destination));
    if (told != ends_told_[host].end() && told->second == *peer.end) return;
    if (is_above(t.seq, *own.iss) && is_above(*peer.end, *own.ack))
        throw Failure("no reset while the peer's end is not acknowledged",
                      std::to_string(*own.ack) + " of " + std::to_string(*peer.end));
}

/// A death that is not durable is not shown (DURABILITY 2): a crash would bring the connection back. A half-open one has no
/// application that would miss it.
void Monitor::check_denial(unsigned host, const Direction& peer, const TcpFrame& t) const {
    if (!durable_[host]) return;
    const auto it = durable_[host]->find(key_of(t.to, t.source, t.destination));
    if (it == durable_[host]->end() || it->second.has_ended || it->second.is_half_open || !it->second.may_ack) return;
    if (peer.iss != it->second.irs) return;  // another one, behind it
    throw Failure("nothing is denied that a crash would bring back", "ports " + std::to_string(t.source) + " to " + std::to_string(t.destination));
}

/// RFC 7323 4.3: what is echoed came with a segment that began no later than what had been acknowledged. The first word after
/// a restore is another matter (DURABILITY 8), so hosts in their first life alone are judged.
void Monitor::check_echo(unsigned host, Direction& own, const Direction& peer, const TcpFrame& t) const {
    if (!t.tsval) return;
    if (own.clocks.empty() || own.clocks.back().tsval != *t.tsval) own.clocks.push_back({*t.tsval, t.seq});
    if (is_above(own.clocks.back().seq, t.seq)) own.clocks.back().seq = t.seq;
    if (own.clocks.size() > clocks_max) own.clocks.pop_front();
    if (!t.has(ack) || lives_[host] > 1 || peer.clocks.empty()) return;
    if (is_above(t.tsecr, peer.clocks.back().tsval))
        throw Failure("what is echoed was said", std::to_string(t.tsecr) + " above " + std::to_string(peer.clocks.back().tsval));
    for (const Clock& c : peer.clocks) {
        if (c.tsval == t.tsecr && is_above(c.seq, t.ack))
            throw Failure("what is echoed came with what is acknowledged", std::to_string(c.seq) + " above " + std::to_string(t.ack));
    }
}

/// A gap lies above the ACK, but for a duplicate (RFC 2883 4), and is reported with the ACK of all that is before it alone
/// (DURABILITY 1).
void Monitor::check_reports(const TcpFrame& t, const Facts& facts) {
    const auto lies_in = [](const TcpFrame::Block& a, const TcpFrame::Block& b) {
        return !is_above(b.left, a.left) && !is_above(a.right, b.right);
    };
    for (std::size_t i = 0; i < t.sack_count; ++i) {
        const TcpFrame::Block& b = t.sack[i];
        const bool is_duplicate = i == 0 && (!is_above(b.right, t.ack) || (t.sack_count > 1 && lies_in(b, t.sack[1])));
        if (is_duplicate) continue;
        if (!is_above(b.left, t.ack) || !is_above(b.right, b.left))
            throw Failure("a SACK block lies above the ACK", std::to_string(b.left) + ", ACK " + std::to_string(t.ack));
        if (facts.withholds && facts.is_quiet)
            throw Failure("no gap is reported behind a withheld ACK", std::to_string(b.left) + ", ACK " + std::to_string(t.ack));
    }
}

void Monitor::check_order(unsigned host, Flow& flow, const TcpFrame& t) {
    const unsigned side = host < t.to ? 0 : 1;
    Direction& own = flow.from[side];
    const Direction& peer = flow.from[1 - side];
    if (t.has(syn) && own.iss != t.seq) {
        if (!t.has(ack)) flow.from[1 - side] = {};
        const auto cookie = own.cookie;  // for the same SYN of the peer's
        own = {};
        own.iss = t.seq;
        own.cookie = cookie;
    }
    if (t.has(syn)) own.wscale = t.wscale;
    if (t.has(fin)) own.end = t.seq + t.occupies();
    if (t.tsval) forward(own.tsval, *t.tsval, "TSval never goes back");
    if (t.has(ack)) {
        const unsigned shift = !t.has(syn) && own.wscale && peer.wscale ? *own.wscale : 0;
        const std::uint32_t edge = t.ack + (static_cast<std::uint32_t>(t.window) << shift);
        // A SYN that is sent again, after a restore, cannot say more than 65535; whoever saw more does not
        // look at it.
        const bool is_old_syn = t.has(syn) && own.edge && is_above(*own.edge, edge);
        if (may_shrink_[host]) own.edge = edge;
        if (!is_old_syn) forward(own.edge, edge, "the window's right edge never goes back");
        if (!own.furthest || is_above(edge, *own.furthest)) own.furthest = edge;
        forward(own.ack, t.ack, "the ACK never goes back");
    }
    // A probe of a closed window may show one byte beyond it.
    if (peer.furthest && !t.has(syn) && t.length > 1 && is_above(t.seq + t.length, *peer.furthest)) {
        throw Failure("nothing is sent beyond the peer's window",
                      std::to_string(t.seq + t.length) + " above " + std::to_string(*peer.furthest));
    }
}

void Monitor::check_durable(unsigned host, Flow& flow, const TcpFrame& t) {
    if (!durable_[host]) return;
    Direction& own = flow.from[host < t.to ? 0 : 1];
    const Direction& peer = flow.from[host < t.to ? 1 : 0];
    // A SYN cookie is its own record, in the next life and beside a half-open one, and says as much as the handshake does. A
    // probe (RFC 9293 3.8.4), which lies one before it, says no more.
    const bool repeats_handshake = own.cookie && peer.iss && t.occupies() == 0 && t.ack == *peer.iss + 1 &&
                                   (t.seq == *own.cookie + 1 || t.seq == *own.cookie);
    if (repeats_handshake) return;
    const auto it = durable_[host]->find(key_of(t.to, t.source, t.destination));
    if (it == durable_[host]->end()) {
        if (t.has(syn) && t.has(ack) && ++cookies_seen_[host] <= cookies_allowed_[host]) {
            own.cookie = t.seq;
            return;
        }
        throw Failure("a connection that is not durable is silent", "flags " + std::to_string(t.flags));
    }
    const Ends& ends = it->second;
    if (is_above(t.seq + t.occupies(), ends.snd_end)) {
        throw Failure("nothing is sent above what is durable",
                      "ends at " + std::to_string(t.seq + t.occupies()) + ", durable to " +
                          std::to_string(ends.snd_end));
    }
    if (t.has(ack) && (!ends.may_ack || is_above(t.ack, ends.rcv_nxt))) {
        throw Failure("no ACK above what is durable",
                      std::to_string(t.ack) + ", durable to " + std::to_string(ends.rcv_nxt));
    }
}

}  // namespace keepnet::sim
