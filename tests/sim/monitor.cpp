#include "sim/monitor.hpp"

#include <utility>

#include "sim/app.hpp"

#include "stack/core.hpp"

namespace keepnet::sim {

namespace {

constexpr Duration planned_before = milliseconds(20);

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
            c.phase != TcpPhase::closed && c.rcv.fin_received && !c.fin_ack_owed};
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
            if (ends.has_ended && before != durable_[host]->end()) ends = before->second;
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
    if (facts.has_connection || own.cookie || peer.cookie || !own.iss || !own.ack || !peer.end) return;
    const auto told = ends_told_[host].find(key_of(t.to, t.source, t.destination));
    if (told != ends_told_[host].end() && told->second == *peer.end) return;
    if (is_above(t.seq, *own.iss) && is_above(*peer.end, *own.ack))
        throw Failure("no reset while the peer's end is not acknowledged",
                      std::to_string(*own.ack) + " of " + std::to_string(*peer.end));
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
