// Watches what each host puts on the wire and what of it is durable (DURABILITY 1). It lives outside the
// hosts: their crashes do not make it forget.
//
// For each direction of each connection: the window's right edge, the ACK and the TSval never go back;
// nothing occupies a sequence number at or above what is durable, and no ACK is above it; nothing passes the
// peer's edge; ACKs that are withheld do not come out as duplicates, nor are gaps reported behind them; what is echoed of the
// peer's clock came with what is acknowledged; no reset comes that nobody caused, and none denies what a crash would bring back.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include <keepnet/stack.hpp>

#include "sim/draw.hpp"
#include "sim/frame.hpp"
#include "sim/trace.hpp"

namespace keepnet::sim {

class Monitor {
  public:
    /// How far the streams of a host's connections had come; the key is key_of() of the connection.
    struct Ends {
        std::uint32_t snd_end = 0;
        std::uint32_t rcv_nxt = 0;
        bool may_ack = false;  ///< rcv_nxt has a meaning
        bool has_ended = false;
        bool end_told = false;  ///< the ACK of the peer's end has been handed to the card
        bool is_half_open = false;  ///< passive, and no application's yet
        std::uint32_t irs = 0;
    };
    using Record = std::map<std::uint64_t, Ends>;
    static std::uint64_t key_of(unsigned peer, std::uint16_t own_port, std::uint16_t peer_port) {
        return std::uint64_t{peer} << 32 | static_cast<std::uint32_t>(own_port) << 16 | peer_port;
    }
    /// What only the host itself can say of a segment that it sends.
    struct Facts {
        Instant now{};
        bool is_ready = true;         ///< ready() was called since the restore
        bool has_connection = true;   ///< that it belongs to
        bool withholds = false;       ///< more was received than may be acknowledged
        bool may_be_aborted = false;  ///< an application aborts such a connection
        bool is_quiet = false;  ///< nothing came lately that a segment which waited somewhere might not know of
        std::uint64_t challenges = 0;
        Duration answer_interval = milliseconds(500);  ///< TcpConfig::invalid_ack_interval
    };

    /// Throws Failure.
    void on_frame(unsigned host, ByteView frame, const Facts& facts);
    /// What is durable of this host from now on; none: nothing is held back there.
    void set_durable(unsigned host, std::optional<Record> record);
    /// A commit brought it so far.
    void advance_durable(unsigned host, Record record);
    /// SYN-ACKs that no record covers: cookies that the host says it sent in this life.
    void set_cookies_sent(unsigned host, std::uint64_t n) { cookies_allowed_[host] = n; }
    void new_life(unsigned host) {
        cookies_seen_[host] = 0;
        ++lives_[host];
    }
    /// A suspend permits the one shrink (DURABILITY 9).
    void set_may_shrink(unsigned host, bool on) { may_shrink_[host] = on; }
    [[nodiscard]] std::uint64_t segments() const { return segments_; }

  private:
    /// The same pure ACK, while more was withheld.
    struct Repeated {
        std::uint32_t ack = 0, edge = 0;
        std::uint64_t challenges = 0, life = 0;
        Instant since{};
        unsigned times = 0;
    };
    /// What the peer's time stamps said, each with the lowest SEQ that it came with.
    struct Clock {
        std::uint32_t tsval = 0, seq = 0;
    };
    struct Direction {
        std::optional<std::uint32_t> iss{};
        std::optional<std::uint8_t> wscale{};
        std::optional<std::uint32_t> cookie{};  ///< a SYN-ACK that no record covered: its SEQ
        std::optional<std::uint32_t> edge{}, furthest{}, ack{}, tsval{};
        std::optional<std::uint32_t> end{};  ///< behind its FIN
        std::optional<Repeated> repeated{};
        std::deque<Clock> clocks{};
    };
    struct Flow {
        std::array<Direction, 2> from{};  ///< of the lower host, of the other
    };

    void check_order(unsigned host, Flow& flow, const TcpFrame& t);
    void check_echo(unsigned host, Direction& own, const Direction& peer, const TcpFrame& t) const;
    static void check_reports(const TcpFrame& t, const Facts& facts);
    void check_durable(unsigned host, Flow& flow, const TcpFrame& t);
    void check_repetition(unsigned host, Direction& own, const Direction& peer, const TcpFrame& t, const Facts& facts);
    void check_denial(unsigned host, const Direction& peer, const TcpFrame& t) const;
    void check_reset(unsigned host, const Direction& own, const Direction& peer, const TcpFrame& t, const Facts& facts) const;

    std::map<std::pair<std::uint64_t, unsigned>, Flow> flows_;  ///< by the lower host: its key, and its number
    std::array<std::optional<Record>, hosts_max> durable_{};
    std::array<std::map<std::uint64_t, std::uint32_t>, hosts_max> ends_told_{};  ///< before the last restart: behind them
    std::array<std::uint64_t, hosts_max> cookies_allowed_{}, cookies_seen_{}, lives_{};
    std::array<bool, hosts_max> may_shrink_{};
    std::uint64_t segments_ = 0;
};

/// The ends of all connections that wait for a commit, as the stack's state has them now.
Monitor::Record ends_of(const Stack& stack);

}  // namespace keepnet::sim
