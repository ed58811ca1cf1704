// A TCP segment in a script. The same words make one that the peer sends and describe one that the stack must
// send:
//     t.peer_sends(data(100));
//     t.expect(ack(101).window(8092));
// Sequence numbers are relative to each side's own initial one: its SYN is 0, its first byte 1. What a
// segment to be sent leaves open comes from the flow (its next sequence number, its highest in-order ACK, its
// window, its clock); what an expected segment leaves open is not compared. The content of both streams is
// pattern(), so a segment with data is always compared with what belongs at its sequence number.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <keepnet/time.hpp>

#include "support/packet.hpp"

namespace keepnet::test {

enum class Side : std::uint8_t { peer, stack };

/// The byte at a position of a stream; the first is at 1, as in sequence space.
constexpr std::uint8_t pattern(Side side, std::uint64_t position) {
    std::uint64_t x = position * 0x9e37'79b9'7f4a'7c15U + (side == Side::peer ? 0x51U : 0xa7U);
    x ^= x >> 29;
    x *= 0xbf58'476d'1ce4'e5b9U;
    return static_cast<std::uint8_t>(x >> 56);
}
Bytes pattern_bytes(Side side, std::uint64_t position, std::size_t n);

struct Flow;

class Segment {
  public:
    struct Check {
        std::string what;
        std::function<bool(const TcpFields&, const Flow&)> holds;
    };

    std::optional<std::uint8_t> flags_value{};
    bool psh_matters = false;
    std::optional<std::uint32_t> seq_value{};
    std::optional<std::uint32_t> ack_value{};
    std::optional<std::uint32_t> window_value{};  ///< as in the header
    std::optional<std::uint16_t> urgent_value{};
    std::optional<std::size_t> length_value{};
    std::optional<Bytes> payload_value{};  ///< instead of pattern()
    std::optional<std::uint16_t> mss_value{};
    std::optional<std::uint8_t> wscale_value{};
    std::optional<std::pair<std::uint32_t, std::uint32_t>> ts_value{};
    bool without_ts = false;
    bool sack_permitted = false;
    /// Blocks, relative to the stream of whoever receives the segment's data; empty and `sack_matters`: none.
    std::vector<std::pair<std::uint32_t, std::uint32_t>> sack_value{};
    bool sack_matters = false;
    bool wrong_checksum = false;
    std::uint8_t reserved_value = 0;
    std::optional<std::uint8_t> data_offset_value{};
    Bytes raw_options{};
    std::vector<Check> checks{};

    Segment seq(std::uint32_t v) && { return seq_value = v, std::move(*this); }
    Segment ack(std::uint32_t v) && { return ack_value = v, std::move(*this); }
    Segment flags(std::uint8_t v) && {
        return flags_value = v, psh_matters = (v & flag::psh) != 0, std::move(*this);
    }
    Segment also(std::uint8_t v) && {
        flags_value = static_cast<std::uint8_t>(flags_value.value_or(0) | v);
        psh_matters = psh_matters || (v & flag::psh) != 0;
        return std::move(*this);
    }
    Segment window(std::uint32_t v) && { return window_value = v, std::move(*this); }
    Segment urgent(std::uint16_t v) && { return urgent_value = v, std::move(*this); }
    Segment length(std::size_t v) && { return length_value = v, std::move(*this); }
    Segment payload(Bytes v) && { return payload_value = std::move(v), std::move(*this); }
    Segment mss(std::uint16_t v) && { return mss_value = v, std::move(*this); }
    Segment wscale(std::uint8_t v) && { return wscale_value = v, std::move(*this); }
    Segment ts(std::uint32_t val, std::uint32_t ecr) && {
        return ts_value = std::pair{val, ecr}, std::move(*this);
    }
    Segment no_ts() && { return without_ts = true, std::move(*this); }
    Segment sack_ok() && { return sack_permitted = true, std::move(*this); }
    Segment sack(std::vector<std::pair<std::uint32_t, std::uint32_t>> v) && {
        return sack_value = std::move(v), sack_matters = true, std::move(*this);
    }
    Segment bad_checksum() && { return wrong_checksum = true, std::move(*this); }
    Segment reserved(std::uint8_t v) && { return reserved_value = v, std::move(*this); }
    Segment data_offset(std::uint8_t v) && { return data_offset_value = v, std::move(*this); }
    Segment options(Bytes v) && { return raw_options = std::move(v), std::move(*this); }
    /// One more thing that must hold.
    Segment where(std::string what, std::function<bool(const TcpFields&, const Flow&)> holds) && {
        checks.push_back({std::move(what), std::move(holds)});
        return std::move(*this);
    }
    Segment window_at_least(std::uint32_t v) && {
        return std::move(*this).where("window >= " + std::to_string(v),
                                      [v](const TcpFields& t, const Flow&) { return t.window >= v; });
    }
    [[nodiscard]] std::string text() const;
};

inline Segment segment(std::uint8_t flags) { return Segment{}.flags(flags); }
inline Segment syn() { return Segment{}.flags(flag::syn).length(0); }
inline Segment syn_ack() { return Segment{}.flags(flag::syn | flag::ack).length(0); }
inline Segment ack() { return Segment{}.flags(flag::ack).length(0); }
inline Segment ack(std::uint32_t n) { return test::ack().ack(n); }
inline Segment data(std::size_t n) { return Segment{}.flags(flag::ack).length(n); }
inline Segment fin() { return Segment{}.flags(flag::fin | flag::ack).length(0); }
inline Segment rst() { return Segment{}.flags(flag::rst).length(0); }
inline Segment rst_ack() { return Segment{}.flags(flag::rst | flag::ack).length(0); }

/// One connection as the scripted peer sees it.
struct Flow {
    std::uint16_t peer_port = 40000;
    std::uint16_t stack_port = 80;
    std::uint32_t iss = 0x7fff'ff00;           ///< the peer's: wraps the sign early in every test
    std::optional<std::uint32_t> stack_iss{};  ///< known from its SYN
    std::uint32_t snd_nxt = 0;                 ///< relative: next that the peer sends
    std::uint32_t rcv_nxt = 0;                 ///< relative: next that it expects of the stack
    std::uint32_t window = 65535;              ///< bytes that the peer can take
    std::uint8_t peer_shift = 0;               ///< of windows that the peer sends, once negotiated
    std::uint8_t stack_shift = 0;              ///< of windows that the stack sends
    bool offers_ts = false;
    std::optional<std::uint8_t> offers_wscale{};
    std::optional<std::uint16_t> offers_mss{1440};
    bool stack_offers_ts = false;
    bool offers_sack = false;
    bool stack_offers_sack = false;
    bool ts = false;  ///< negotiated
    std::optional<std::uint8_t> stack_wscale{};
    std::uint32_t ts_recent = 0;  ///< TSval to echo
    // what the monitor remembers
    bool seen_any = false;
    std::uint32_t last_tsval = 0;
    bool seen_ts = false;
    Instant last_ts_at{};
    std::uint32_t last_ack = 0;    ///< relative
    std::uint32_t right_edge = 0;  ///< relative; highest that the stack has advertised
    bool seen_ack = false;
    std::uint32_t peer_edge = 0;   ///< relative; highest that the peer has advertised
    bool edge_may_shrink = false;  ///< a suspend permits it (DURABILITY 9)
    // durability monitor: what has been committed
    bool held = false;
    std::uint32_t rcv_durable = 0, snd_durable = 0;  ///< relative
    std::uint32_t edge_durable = 0;  ///< relative; furthest right edge that a durable consumption and buffer allow
};

}  // namespace keepnet::test
