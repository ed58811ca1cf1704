// Watches what each host puts on the wire and what of it is durable (DURABILITY 1). It lives outside the
// hosts: their crashes do not make it forget.
//
// For each direction of each connection: the window's right edge, the ACK and the TSval never go back;
// nothing occupies a sequence number at or above what is durable, and no ACK is above it; nothing passes the
// peer's edge.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include <keepnet/stack.hpp>

#include "sim/frame.hpp"
#include "sim/trace.hpp"

namespace keepnet::sim {

class Monitor {
  public:
    /// How far the streams of a host's connections had come; the key is own port << 16 | peer's port.
    struct Ends {
        std::uint32_t snd_end = 0;
        std::uint32_t rcv_nxt = 0;
        bool may_ack = false;  ///< rcv_nxt has a meaning
    };
    using Record = std::map<std::uint32_t, Ends>;

    /// Throws Failure.
    void on_frame(unsigned host, ByteView frame);
    /// What is durable of this host from now on; none: nothing is held back there.
    void set_durable(unsigned host, std::optional<Record> record) { durable_[host] = std::move(record); }
    /// SYN-ACKs that no record covers: cookies that the host says it sent in this life.
    void set_cookies_sent(unsigned host, std::uint64_t n) { cookies_allowed_[host] = n; }
    void new_life(unsigned host) { cookies_seen_[host] = 0; }
    /// A suspend permits the one shrink (DURABILITY 9).
    void set_may_shrink(unsigned host, bool on) { may_shrink_[host] = on; }
    [[nodiscard]] std::uint64_t segments() const { return segments_; }

  private:
    struct Direction {
        std::optional<std::uint32_t> iss{};
        std::optional<std::uint8_t> wscale{};
        bool by_cookie = false;            ///< the SYN-ACK was one
        std::optional<std::uint32_t> edge{}, furthest{}, ack{}, tsval{};
    };
    struct Flow {
        std::array<Direction, 2> from{};
    };

    void check_order(unsigned host, Flow& flow, const TcpFrame& t);
    void check_durable(unsigned host, Flow& flow, const TcpFrame& t);

    std::map<std::uint32_t, Flow> flows_;  ///< host 0's port << 16 | host 1's
    std::array<std::optional<Record>, 2> durable_{};
    std::array<std::uint64_t, 2> cookies_allowed_{}, cookies_seen_{};
    std::array<bool, 2> may_shrink_{};
    std::uint64_t segments_ = 0;
};

/// The ends of all connections under policy snapshot, as the stack's state has them now.
Monitor::Record ends_of(const Stack& stack);

}  // namespace keepnet::sim
