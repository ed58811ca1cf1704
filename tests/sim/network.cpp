#include "sim/network.hpp"

#include <algorithm>

#include "sim/app.hpp"
#include "sim/frame.hpp"

namespace keepnet::sim {

/// A multicast goes to everybody else, a unicast where its MAC address says.
void Network::send(Instant now, unsigned from, Frame frame) {
    if (plan_.has_attacker) watch(frame);
    const bool is_group = !frame.empty() && (frame[0] & 1) != 0;
    const unsigned to = frame.size() < 6 ? hosts_max : frame[5] - 1U;
    for (unsigned host = 0; host < plan_.host.size(); ++host) {
        if (host != from && (is_group || host == to)) send_to(now, from, host, frame);
    }
}

bool Network::is_too_big(Instant now, unsigned from, unsigned to, const Frame& frame) {
    constexpr std::size_t ethernet = 14, smallest = 54;
    if (frame.size() < smallest) return false;
    for (const Narrow& n : plan_.narrows) {
        if (now < n.from || n.until <= now || frame.size() - ethernet <= n.mtu) continue;
        trace_.frame(now, from, What::frame_lost, frame);
        if (!n.is_silent) fly(now, to, from, make_packet_too_big(frame, n.mtu));
        return true;
    }
    return false;
}

bool Network::is_cut_off(Instant now, unsigned from, unsigned to) const {
    return std::any_of(plan_.blackouts.begin(), plan_.blackouts.end(), [&](const Blackout& o) {
        return o.from <= now && now < o.until && (o.group >> from & 1) != (o.group >> to & 1);
    });
}

void Network::send_to(Instant now, unsigned from, unsigned to, Frame frame) {
    const LinkPlan& link = plan_.link[from];
    if (forges && dice_.one_in(50)) forge(frame);
    if (is_too_big(now, from, to, frame)) return;
    if (!healed_) {
        if (is_cut_off(now, from, to) || dice_.below(1000) < link.loss_permille) {
            trace_.frame(now, from, What::frame_lost, frame);
            return;
        }
        mark(frame, link);
        if (dice_.below(1000) < link.duplicate_permille) fly(now, from, to, frame);
        if (dice_.below(1000) < link.damage_permille && damage(frame)) {
            trace_.frame(now, from, What::frame_damaged, frame);
        }
    }
    fly(now, from, to, std::move(frame));
}

/// RFC 3168 5: a router that is nearly congested says so where the sender has allowed it.
void Network::mark(Frame& frame, const LinkPlan& link) {
    constexpr std::size_t traffic_class = 15;
    constexpr std::uint8_t codepoint = 0x30;
    if (link.mark_permille == 0 || frame.size() < 54 || (frame[traffic_class] & codepoint) == 0) return;
    if (mark_dice_.below(1000) < link.mark_permille) frame[traffic_class] |= codepoint;
}

void Network::fly(Instant now, unsigned from, unsigned to, Frame frame) {
    const LinkPlan& link = plan_.link[from];
    Instant leaves = now;
    if (link.bytes_per_second != 0) {
        leaves = later(now, line_free_[from]);
        if (leaves - now > link.queue_max) {
            trace_.frame(now, from, What::frame_lost, frame);
            return;
        }
        leaves = leaves +
                 nanoseconds(static_cast<std::int64_t>(frame.size() * 1'000'000'000 / link.bytes_per_second));
        line_free_[from] = leaves;
    }
    Instant arrives = leaves + link.latency;
    if (!healed_ && link.jitter.ns > 0) {
        arrives =
            arrives +
            nanoseconds(static_cast<std::int64_t>(dice_.below(static_cast<std::uint64_t>(link.jitter.ns))));
    }
    flying_.emplace(std::pair{arrives, sent_++}, Arrival{to, std::move(frame)});
}

Network::Arrival Network::take() {
    if (flying_.empty() || next_arrival() < flying_.begin()->first.first) return stray();
    auto first = flying_.extract(flying_.begin());
    return std::move(first.mapped());
}

/// What nobody sent, as if from another host: a connection that both have long forgotten.
Network::Arrival Network::stray() {
    stray_at_ = stray_at_ + plan_.stray_interval;
    Dice& d = stray_dice_;
    if (plan_.has_attacker && d.percent(70)) {
        if (const auto guessed = guess()) return {guessed->to, make_segment(*guessed)};
    }
    TcpFrame t;
    t.from = static_cast<unsigned>(d.below(plan_.host.size()));
    t.to = static_cast<unsigned>((t.from + d.between(1, plan_.host.size() - 1)) % plan_.host.size());
    t.source = static_cast<std::uint16_t>(d.between(1024, 19999));
    t.destination = static_cast<std::uint16_t>(d.one_in(2) ? 80 : d.between(100, 19999));
    t.seq = static_cast<std::uint32_t>(d.next()), t.ack = static_cast<std::uint32_t>(d.next());
    t.flags = static_cast<std::uint8_t>(ack | (d.one_in(3) ? fin : 0));
    t.window = 1000;
    return {t.to, make_segment(t)};
}

void Network::watch(ByteView frame) {
    const auto t = read_tcp(frame);
    if (!t || t->has(rst)) return;
    Known& k = known_[{t->from, t->to, t->source, t->destination}];
    const auto is_above = [](std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; };
    const std::uint32_t end = t->seq + t->occupies();
    if (t->has(syn)) k = {.seq_end = end};
    if (is_above(end, k.seq_end)) k.seq_end = end;
    if (!t->has(ack) || t->has(syn)) return;
    if (!k.has_data || is_above(t->ack, k.ack)) k.ack = t->ack;
    k.has_data = true;
}

/// RFC 5961: who knows the four numbers, and more or less how far both have come, but not exactly. A reset is near RCV.NXT, and
/// never at it; a SYN is behind it; text and ACKs lie outside of the window, or acknowledge what was never sent.
std::optional<TcpFrame> Network::guess() {
    Dice& d = stray_dice_;
    if (known_.empty()) return {};
    auto it = known_.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(d.below(known_.size())));
    const auto [from, to, source, destination] = it->first;
    const auto back = known_.find({to, from, destination, source});
    if (back == known_.end() || !it->second.has_data || !back->second.has_data) return {};
    TcpFrame t{.from = from, .to = to, .source = source, .destination = destination, .window = 1000};
    // The receiver's RCV.NXT, and whatever it has acknowledged, lie between these two.
    const std::uint32_t low = back->second.ack, high = it->second.seq_end;
    const auto off = static_cast<std::uint32_t>(1 + (d.one_in(2) ? d.below(3) : d.below(60'000)));
    t.seq = d.one_in(2) ? high + off : low - off;
    t.ack = it->second.ack;
    switch (d.below(4)) {
        case 0: t.flags = rst; break;
        case 1: t.flags = rst | ack; break;
        case 2:
            // A listener would take it for a peer of its own.
            if (destination == server_port) return {};
            t.flags = syn, t.seq = low - off;
            break;
        default:
            // In the window it would be as good as the peer's own, so what it acknowledges is nonsense, or it is far off.
            t.flags = static_cast<std::uint8_t>(ack | (d.one_in(3) ? fin : 0));
            t.seq = low - off - (1U << 30);
    }
    return t;
}

/// What the Internet checksum is sure to notice: one burst of up to 15 bits, or a frame cut short.
bool Network::damage(Frame& frame) {
    if (frame.empty()) return false;
    if (dice_.one_in(8)) {
        frame.resize(dice_.below(frame.size()));
        return true;
    }
    const std::size_t bit = dice_.below(frame.size() * 8);
    const std::size_t burst = dice_.between(1, 15);
    frame[bit / 8] ^= static_cast<std::uint8_t>(0x80U >> bit % 8);
    for (std::size_t i = bit + 1; i < std::min(bit + burst, frame.size() * 8); ++i) {
        if (dice_.one_in(2)) frame[i / 8] ^= static_cast<std::uint8_t>(0x80U >> i % 8);
    }
    return true;
}

/// Two words of payload change places: the sum stays what it was.
void Network::forge(Frame& frame) {
    const auto tcp = read_tcp(frame);
    if (!tcp || tcp->length < 64) return;
    const std::size_t at = (frame.size() - 40) & ~std::size_t{1};
    for (std::size_t i = 0; i < 2; ++i) std::swap(frame[at + i], frame[at + 16 + i]);
}

}  // namespace keepnet::sim
