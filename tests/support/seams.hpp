// Both seams of the IP layer as queues (DESIGN 8): requests are delayed, the output queue is full now and
// then, and what it took is given back late. All drawn from a seed; no virtual time passes.
#pragma once

#include <cstdint>
#include <deque>

#include "ip/ip.hpp"
#include "stack/core.hpp"

namespace keepnet::test {

/// A small generator of the tests' own (xorshift64*): same seed, same numbers, everywhere.
class Dice {
  public:
    explicit Dice(std::uint64_t seed) : x_(seed * 0x9e37'79b9'7f4a'7c15U + 0x2545'f491'4f6c'dd1dU) {
        if (x_ == 0) x_ = 1;
        for (int i = 0; i < 4; ++i) (void)next();
    }
    std::uint64_t next() {
        x_ ^= x_ >> 12;
        x_ ^= x_ << 25;
        x_ ^= x_ >> 27;
        return x_ * 0x2545'f491'4f6c'dd1dU;
    }
    /// 0..bound-1; 0 when bound is 0.
    std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : (next() >> 11) % bound; }
    std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
    /// True once in n.
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    bool percent(unsigned p) { return below(100) < p; }

  private:
    std::uint64_t x_;
};

class Seams final : public InputSeam, public ip::OutputSeam {
  public:
    explicit Seams(std::uint64_t seed) : dice_(seed) {}
    void install(Core& core) {
        core_ = &core;
        core.input_seam = this;
        core.output_seam = this;
    }
    bool push(const ip::Delivery& delivery) override {
        if (lose_input && dice_.one_in(16)) return false;
        if (delivery.kind == ip::Delivery::Kind::transport)
            core_->world.pool.retain(delivery.input.packet.buffer);
        input_.push_back(delivery);
        return true;
    }
    bool push(const ip::OutputRequest& request) override {
        if (!is_one_shot(request) && (dice_.one_in(5) || output_.size() >= capacity)) return false;
        for (std::size_t i = 0; i < request.slice_count; ++i)
            core_->world.pool.retain(request.slices[i].buffer);
        output_.push_back(request);
        return true;
    }
    [[nodiscard]] bool is_idle() const { return input_.empty() && output_.empty() && completed_.empty(); }
    /// Moves some of what waits. Call it between two polls; true: another poll is needed.
    bool advance() {
        if (is_idle()) return false;
        Step step(*core_);
        for (std::uint64_t n = dice_.below(4); n != 0 && !completed_.empty(); --n) {
            complete(completed_.front());
            completed_.pop_front();
        }
        for (std::uint64_t n = dice_.below(4); n != 0 && !input_.empty(); --n) {
            const ip::Delivery delivery = input_.front();
            input_.pop_front();
            dispatch(*core_, delivery);
            if (delivery.kind == ip::Delivery::Kind::transport) {
                core_->world.pool.release(delivery.input.packet.buffer);
            }
        }
        for (std::uint64_t n = dice_.below(4); n != 0 && !output_.empty(); --n) {
            ip::IpContext cx = core_->ip_context();
            cx.seam = nullptr;
            if (ip::output(cx, output_.front()) == ip::OutputResult::busy) break;
            completed_.push_back(output_.front());
            output_.pop_front();
        }
        return true;
    }
    /// The components died: what was queued between them is gone, as with a transmit ring.
    void forget() {
        while (!completed_.empty()) complete(completed_.front()), completed_.pop_front();
        while (!output_.empty()) complete(output_.front()), output_.pop_front();
        for (const ip::Delivery& d : input_) {
            if (d.kind == ip::Delivery::Kind::transport) core_->world.pool.release(d.input.packet.buffer);
        }
        input_.clear();
    }
    /// The stack's arena is gone with everything in it.
    void abandon() {
        completed_.clear();
        output_.clear();
        input_.clear();
    }

    bool lose_input = false;
    std::size_t capacity = 8;

  private:
    /// What is said once: a full queue loses it, as a full ring does, and a script could not go on.
    static bool is_one_shot(const ip::OutputRequest& request) {
        if (request.next_header != 6) return true;
        const std::uint8_t flags = request.header[13];
        return (flags & 0x04) != 0 || (flags & 0x12) == 0x12;  // RST; SYN-ACK, which may be a cookie
    }
    void complete(const ip::OutputRequest& request) {
        for (std::size_t i = 0; i < request.slice_count; ++i)
            core_->world.pool.release(request.slices[i].buffer);
    }

    Core* core_ = nullptr;
    Dice dice_;
    std::deque<ip::Delivery> input_;
    std::deque<ip::OutputRequest> output_;
    std::deque<ip::OutputRequest> completed_;
};

}  // namespace keepnet::test
