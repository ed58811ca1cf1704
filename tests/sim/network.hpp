// A switch with a host at each port. Each host's line to it delays, loses, doubles, reorders and damages frames, and the
// switch falls apart now and then, until faults end.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "sim/draw.hpp"
#include "sim/frame.hpp"
#include "sim/trace.hpp"

namespace keepnet::sim {

using Frame = std::vector<std::uint8_t>;

class Network {
  public:
    Network(const Plan& plan, Trace& trace)
        : plan_(plan), trace_(trace), dice_(plan.seed ^ 0x6e65'7477), stray_dice_(plan.seed ^ 0x7374'7261),
          mark_dice_(plan.seed ^ 0x6d61'726b) {}

    void send(Instant now, unsigned from, Frame frame);
    [[nodiscard]] Instant next_arrival() const {
        const Instant first = flying_.empty() ? never : flying_.begin()->first.first;
        return healed_ || plan_.stray_interval.ns == 0 ? first : earlier(first, stray_at_);
    }
    struct Arrival {
        unsigned to = 0;
        Frame frame{};
    };
    /// The earliest one; only when next_arrival() has come.
    Arrival take();
    /// From now on every frame arrives, once, in order.
    void heal() { healed_ = true; }
    [[nodiscard]] bool is_idle() const { return flying_.empty(); }
    /// For the self-test: payload bytes are changed and the checksum made right.
    bool forges = false;

  private:
    void send_to(Instant now, unsigned from, unsigned to, Frame frame);
    /// True: a router had to refuse it, and said so.
    bool is_too_big(Instant now, unsigned from, unsigned to, const Frame& frame);
    [[nodiscard]] bool is_cut_off(Instant now, unsigned from, unsigned to) const;
    void mark(Frame& frame, const LinkPlan& link);
    void fly(Instant now, unsigned from, unsigned to, Frame frame);
    Arrival stray();
    bool damage(Frame& frame);
    void forge(Frame& frame);
    /// What a stranger could not know of a conversation: how far it has come.
    struct Known {
        std::uint32_t seq_end = 0;  ///< behind all that this side has said
        std::uint32_t ack = 0;
        bool has_data = false;      ///< it has got past its SYN
    };
    void watch(ByteView frame);
    std::optional<TcpFrame> guess();

    const Plan& plan_;
    Trace& trace_;
    Dice dice_, stray_dice_, mark_dice_;
    Instant stray_at_{};
    bool healed_ = false;
    std::uint64_t sent_ = 0;
    std::array<Instant, hosts_max> line_free_{};
    std::map<std::pair<Instant, std::uint64_t>, Arrival> flying_;
    std::map<std::tuple<unsigned, unsigned, std::uint16_t, std::uint16_t>, Known> known_;  ///< by sender, receiver, ports
};

}  // namespace keepnet::sim
