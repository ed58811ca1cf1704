// Pure decisions about sequence numbers: is a segment acceptable, what does an ACK say, which window to
// advertise. RFC 9293 3.10.7.4, 3.8.6.2; RFC 5961 5; RFC 7323 2.3.
#pragma once

#include <cstdint>

#include "base/planted.hpp"
#include "base/seq.hpp"
#include "state/tcp_connection_state.hpp"

namespace keepnet::tcp {

/// RFC 9293 3.10.7.4, table 6. `edge` is the right edge of the window, first number outside.
[[nodiscard]] constexpr bool is_acceptable(Seq seq, std::uint32_t length, Seq nxt, Seq edge) {
    const std::uint32_t wnd = edge - nxt;
    if (length == 0) return wnd == 0 ? seq == nxt : in_window(seq, nxt, wnd);
    return wnd != 0 && (in_window(seq, nxt, wnd) || in_window(seq + (length - 1), nxt, wnd));
}

enum class AckKind : std::uint8_t {
    advances,  ///< una < ack <= max
    repeats,   ///< ack == una
    old,       ///< before una, but no further than the largest window (RFC 5961 5.2)
    ancient,   ///< further back: a challenge is due
    unsent,    ///< of what was never sent
};
[[nodiscard]] constexpr AckKind classify_ack(const SendSequence& snd, Seq ack) {
    if (after(ack, snd.max)) return AckKind::unsent;
    if (after(ack, snd.una)) return AckKind::advances;
    if (ack == snd.una) return AckKind::repeats;
    return snd.una - ack <= snd.wnd_max ? AckKind::old : AckKind::ancient;
}

/// RFC 9293 3.10.7.4: does a segment with these numbers carry a window newer than the last one?
[[nodiscard]] constexpr bool is_newer_window(const SendSequence& snd, Seq seq, Seq ack) {
    return before(snd.wl1, seq) || (snd.wl1 == seq && before_eq(snd.wl2, ack));
}

struct WindowNeed {
    Seq ack{};     ///< the ACK field it goes with
    Seq adv{};     ///< right edge so far
    Seq wanted{};  ///< right edge that the buffer allows
    std::uint32_t step =
        0;  ///< bytes; a smaller advance is not worth telling (silly window, RFC 9293 3.8.6.2.2)
    std::uint32_t room = 0;  ///< bytes by which the edge may advance at most
    std::uint8_t wscale = 0;
};
struct WindowChoice {
    std::uint16_t field = 0;  ///< for the header
    Seq adv{};                ///< right edge that the peer reads out of it; never before the old one
};
/// The edge never moves back, rounding by the scale included: where the field cannot say the old edge it says
/// more.
[[nodiscard]] inline WindowChoice choose_window(const WindowNeed& n) {
    const std::uint32_t unit = 1U << n.wscale;
    const std::uint32_t limit = 65535U << n.wscale;
    const std::uint32_t held = n.adv - n.ack;
    std::uint32_t gain = after(n.wanted, n.adv) ? n.wanted - n.adv : 0;
    if (gain > n.room) gain = n.room;
    if (gain < n.step) gain = 0;
    std::uint32_t window = held + gain < limit ? held + gain : limit;
    window &= ~(unit - 1);
    if (window < held && !is_planted(Fault::edge_moved_back)) window = (held + unit - 1) & ~(unit - 1);
    if (window > limit) window = limit;
    const Seq edge = n.ack + window;
    return {static_cast<std::uint16_t>(window >> n.wscale), max_seq(n.adv, edge)};
}

/// The shift with which a 16-bit field can say `buffer` bytes.
[[nodiscard]] constexpr std::uint8_t window_scale_for(std::uint32_t buffer) {
    std::uint8_t shift = 0;
    while (shift < 14 && (65535U << shift) < buffer) ++shift;
    return shift;
}

/// Milliseconds on the circle of TSval: is `a` older than `b`? RFC 7323 5.2.
[[nodiscard]] constexpr bool is_older_timestamp(std::uint32_t a, std::uint32_t b) {
    return before(Seq{a}, Seq{b});
}

}  // namespace keepnet::tcp
