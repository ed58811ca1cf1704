// PSH: which segment carries it. RFC 9293 3.9.1.2 asks for the end of what the application pushed, which is each write but one
// with MSG_MORE; Linux also ends each super-frame with it that it hands to a card.
#pragma once

#include "tcp/verbs.hpp"

namespace keepnet::tcp::push {

/// A write ends there. While nothing of its text has been sent, the next one takes its place, as they leave as one.
void mark(TcpConnectionState& c, Seq end);
/// Everything before it is acknowledged.
void forget(PushState& p, Seq una);
/// Does a write end inside seq..end, or with it?
[[nodiscard]] bool is_marked(const PushState& p, Seq seq, Seq end);

/// Bytes of the stretch to which new text at snd.max belongs: of one that has begun what is left, else of one that begins with
/// the `bytes` that leave now. `available`: what may leave together with them.
[[nodiscard]] std::uint32_t stretch(const TcpContext& cx, const TcpConnectionState& c, std::uint32_t bytes,
                                    std::uint32_t available);

}  // namespace keepnet::tcp::push
