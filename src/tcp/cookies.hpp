// SYN cookies (RFC 4987 3.6): a handshake remembered by the peer. Pure functions; the secrets are in
// StackState. Cookie: 1 bit of the secret's epoch, 3 bits of MSS, 28 bits of keyed hash plus the peer's ISN. With timestamps, the
// low bits of the SYN-ACK's TSval carry what else the SYN said.
#pragma once

#include <cstdint>
#include <optional>

#include <keepnet/endpoint.hpp>

#include "base/seq.hpp"
#include "base/siphash.hpp"

namespace keepnet::tcp {

/// The largest entry of the table that is not above the peer's MSS, by index; and back.
[[nodiscard]] std::uint32_t cookie_mss_index(std::uint16_t mss);
[[nodiscard]] std::uint16_t cookie_mss(std::uint32_t index);

[[nodiscard]] Seq make_cookie(const HashKey& key, std::uint32_t epoch, const Endpoint& local,
                              const Endpoint& remote, Seq irs, std::uint32_t mss_index);
/// The MSS index, if `cookie` was made with this key and epoch.
[[nodiscard]] std::optional<std::uint32_t> check_cookie(const HashKey& key, std::uint32_t epoch,
                                                        const Endpoint& local, const Endpoint& remote,
                                                        Seq irs, Seq cookie);
/// How far `seq` lies behind the ISN of the peer for whom `cookie` was made, if it was made with this key: any number of 28
/// bits when it was not.
[[nodiscard]] std::uint32_t distance_behind_cookie(const HashKey& key, const Endpoint& local, const Endpoint& remote,
                                                   Seq seq, Seq cookie);
/// The secret that follows `key`. Not random: a stack that goes back to a snapshot comes to the same ones
/// again, so cookies of its last seconds stay good.
[[nodiscard]] HashKey next_cookie_key(const HashKey& key);

struct TcpContext;
struct Segment;
/// Does the segment, whose peer's SYN was at `irs`, bring back a cookie of ours?
[[nodiscard]] bool brings_cookie(TcpContext& cx, const Segment& segment, Seq irs);

/// The peer's window scale as a cookie carries it: two shifts of 0 say the same as no option.
[[nodiscard]] constexpr std::optional<std::uint8_t> cookie_scale(std::uint8_t peer, std::uint8_t own) {
    return peer != 0 || own != 0 ? std::optional(peer) : std::nullopt;
}
/// A TSval not above `now_ms`, but for the last 32 ms, that carries the peer's window scale (none: it offered
/// none).
[[nodiscard]] std::uint32_t cookie_timestamp(std::uint32_t now_ms, std::optional<std::uint8_t> window_scale);
[[nodiscard]] std::optional<std::uint8_t> window_scale_of(std::uint32_t cookie_timestamp);

}  // namespace keepnet::tcp
