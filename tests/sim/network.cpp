#include "sim/network.hpp"

#include <algorithm>

#include "sim/frame.hpp"

namespace keepnet::sim {

void Network::send(Instant now, unsigned from, Frame frame) {
    const LinkPlan& link = plan_.link[from];
    if (forges && dice_.one_in(50)) forge(frame);
    if (!healed_) {
        const bool out = std::any_of(plan_.blackouts.begin(), plan_.blackouts.end(),
                                     [&](const Blackout& o) { return o.from <= now && now < o.until; });
        if (out || dice_.below(1000) < link.loss_permille) {
            trace_.frame(now, from, What::frame_lost, frame);
            return;
        }
        if (dice_.below(1000) < link.duplicate_permille) fly(now, from, frame);
        if (dice_.below(1000) < link.damage_permille && damage(frame)) {
            trace_.frame(now, from, What::frame_damaged, frame);
        }
    }
    fly(now, from, std::move(frame));
}

void Network::fly(Instant now, unsigned from, Frame frame) {
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
    flying_.emplace(std::pair{arrives, sent_++}, Arrival{1 - from, std::move(frame)});
}

Network::Arrival Network::take() {
    auto first = flying_.extract(flying_.begin());
    return std::move(first.mapped());
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
