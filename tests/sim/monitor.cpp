#include "sim/monitor.hpp"

#include <utility>

#include "stack/core.hpp"

namespace keepnet::sim {

namespace {

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
        if (c.policy != DurabilityPolicy::snapshot) return;
        record[static_cast<std::uint32_t>(c.local.port) << 16 | c.remote.port] = {
            snd_end(c).raw, c.rcv.nxt.raw, c.phase != TcpPhase::syn_sent};
    });
    return record;
}

void Monitor::on_frame(unsigned host, ByteView frame) {
    if (const std::string fault = fault_of(frame); !fault.empty())
        throw Failure("a stack sends sound frames", fault);
    const auto t = read_tcp(frame);
    if (!t || t->has(rst)) return;  // a reset promises nothing; who caused it is asked at the peer
    ++segments_;
    const std::uint32_t ports = host == 0 ? static_cast<std::uint32_t>(t->source) << 16 | t->destination
                                          : static_cast<std::uint32_t>(t->destination) << 16 | t->source;
    Flow& flow = flows_[ports];
    check_order(host, flow, *t);
    check_durable(host, flow, *t);
}

void Monitor::check_order(unsigned host, Flow& flow, const TcpFrame& t) {
    Direction& own = flow.from[host];
    const Direction& peer = flow.from[1 - host];
    if (t.has(syn) && own.iss != t.seq) {
        if (!t.has(ack)) flow.from[1 - host] = {};
        own = {};
        own.iss = t.seq;
    }
    if (t.has(syn)) own.wscale = t.wscale;
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
    const auto it = durable_[host]->find(static_cast<std::uint32_t>(t.source) << 16 | t.destination);
    if (it == durable_[host]->end()) {
        // A SYN cookie is its own record, in the next life too, and says as much as the handshake does.
        Direction& own = flow.from[host];
        const Direction& peer = flow.from[1 - host];
        if (t.has(syn) && t.has(ack) && ++cookies_seen_[host] <= cookies_allowed_[host]) {
            own.by_cookie = true;
            return;
        }
        const bool repeats_handshake =
            own.iss && peer.iss && t.occupies() == 0 && t.seq == *own.iss + 1 && t.ack == *peer.iss + 1;
        if (own.by_cookie && repeats_handshake) return;
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
