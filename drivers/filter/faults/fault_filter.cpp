#include "drivers/filter/faults/fault_filter.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace keepnet::drivers {

namespace {

constexpr std::size_t burst = 64;
/// The IPv6 header of a received frame starts at a multiple of 16.
constexpr std::uint16_t rx_offset = 2;

/// The C++ standard fixes the generator's numbers and not a distribution's: the same seed does the same
/// everywhere.
bool happens(std::mt19937_64& random, std::uint32_t ppm) { return random() % 1'000'000 < ppm; }

}  // namespace

FaultFilter::Buffers::Buffers() : bytes_(burst, std::vector<std::uint8_t>(packet_buffer_bytes)) {
    for (std::size_t i = burst; i-- > 0;) free_.push_back(static_cast<BufferIndex>(i));
}

BufferIndex FaultFilter::Buffers::allocate() {
    if (free_.empty()) return no_buffer;
    const BufferIndex i = free_.back();
    free_.pop_back();
    return i;
}

FaultFilter::FaultFilter(LinkDevice& inner, FaultConfig config)
    : inner_(inner),
      config_(std::move(config)),
      out_{.random = std::mt19937_64(config_.seed)},
      in_{.random = std::mt19937_64(~config_.seed)} {}

LinkCapabilities FaultFilter::capabilities() const {
    LinkCapabilities c = inner_.capabilities();
    c.tx_checksum = false;
    c.tso_max_bytes = 0;
    c.rx_coalesces = false;
    return c;
}

void FaultFilter::enter(Path& path, Frame frame, Instant now) {
    ++path.counters.frames;
    // Every frame draws all its numbers: what one fault is set to does not move the others.
    const bool lost = happens(path.random, config_.lost_ppm);
    const bool doubled = happens(path.random, config_.doubled_ppm);
    const bool reordered = happens(path.random, config_.reordered_ppm);
    if (lost) {
        ++path.counters.lost;
        return;
    }
    Instant arrival = now;
    if (config_.bits_per_second != 0) {
        const auto time_for = [&](std::size_t bytes) {
            return Duration{static_cast<std::int64_t>(bytes * 8 * 1'000'000'000 / config_.bits_per_second)};
        };
        const Instant start = later(path.link_free, now);
        if (start - now > time_for(config_.queue_bytes)) {
            ++path.counters.overflowed;
            return;
        }
        arrival = path.link_free = start + time_for(frame.bytes.size());
    }
    arrival = arrival + config_.delay;
    if (reordered) arrival = arrival + config_.reordered_by;
    for (int copies = doubled ? 2 : 1; copies > 0; --copies) {
        if (path.under_way.size() >= config_.frames_max) {
            ++path.counters.overflowed;
            return;
        }
        path.under_way.emplace(std::pair{arrival, path.next_number++}, frame);
    }
    path.counters.doubled += doubled ? 1 : 0;
    path.counters.reordered += reordered ? 1 : 0;
}

/// All that the inner device has received.
void FaultFilter::collect(Instant now) {
    std::array<RxFrame, burst> frames;
    for (;;) {
        const std::size_t n = inner_.receive(buffers_, frames);
        for (const RxFrame& frame : std::span(frames).first(n)) {
            const MutableBytes bytes = buffers_.bytes(frame.buffer).subspan(frame.offset, frame.length);
            enter(in_, {{bytes.begin(), bytes.end()}, frame.checksum_verified}, now);
            buffers_.release(frame.buffer);
        }
        if (n < frames.size()) return;
    }
}

/// To the inner device, as far as it takes what has arrived.
void FaultFilter::hand_over(Instant now) {
    while (!out_.under_way.empty() && out_.under_way.begin()->first.first <= now) {
        const TxFrame frame{.header = out_.under_way.begin()->second.bytes};
        if (inner_.transmit({&frame, 1}) == 0) return;
        out_.under_way.erase(out_.under_way.begin());
    }
}

std::size_t FaultFilter::receive(FramePool& pool, std::span<RxFrame> frames) {
    const Instant now = config_.clock();
    hand_over(now);
    collect(now);
    std::size_t n = 0;
    while (n < frames.size() && !in_.under_way.empty() && in_.under_way.begin()->first.first <= now) {
        const BufferIndex buffer = pool.allocate();
        if (buffer == no_buffer) break;
        const Frame& frame = in_.under_way.begin()->second;
        const MutableBytes room = pool.bytes(buffer).subspan(rx_offset);
        if (frame.bytes.size() > room.size()) {
            pool.release(buffer);
            ++in_.counters.overflowed;
        } else {
            std::memcpy(room.data(), frame.bytes.data(), frame.bytes.size());
            frames[n++] = {buffer, rx_offset, static_cast<std::uint16_t>(frame.bytes.size()),
                           frame.checksum_verified};
        }
        in_.under_way.erase(in_.under_way.begin());
    }
    return n;
}

std::size_t FaultFilter::transmit(std::span<const TxFrame> frames) {
    const Instant now = config_.clock();
    for (const TxFrame& tx : frames) {
        Frame frame;
        frame.bytes.reserve(tx.bytes());
        frame.bytes.assign(tx.header.begin(), tx.header.end());
        for (const ByteView slice : tx.payload)
            frame.bytes.insert(frame.bytes.end(), slice.begin(), slice.end());
        enter(out_, std::move(frame), now);
    }
    hand_over(now);
    return frames.size();
}

Instant FaultFilter::next_arrival() const {
    const auto first = [](const Path& path) {
        return path.under_way.empty() ? never : path.under_way.begin()->first.first;
    };
    return earlier(first(out_), first(in_));
}

}  // namespace keepnet::drivers
