// TCP_INFO as Linux's struct tcp_info lies in memory: behind its first eight bytes it is field by field keepnet's TcpInfo.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>

#include <netinet/tcp.h>

#include <keepnet/tcp_info.hpp>

namespace keepnet::posix {

inline constexpr std::size_t tcp_info_head = 8;
inline constexpr std::size_t tcp_info_bytes = tcp_info_head + sizeof(TcpInfo) - offsetof(TcpInfo, rto);
// What the C library knows of the structure, its oldest part.
static_assert(offsetof(tcp_info, tcpi_rto) == tcp_info_head);
static_assert(offsetof(tcp_info, tcpi_total_retrans) - tcp_info_head ==
              offsetof(TcpInfo, total_retrans) - offsetof(TcpInfo, rto));

inline std::array<std::uint8_t, tcp_info_bytes> linux_tcp_info(const TcpInfo& from) {
    std::array<std::uint8_t, tcp_info_bytes> out{};
    out[0] = from.state;
    out[1] = from.ca_state;
    out[2] = from.retransmits;
    out[3] = from.probes;
    out[4] = from.backoff;
    out[5] = from.options;
    out[6] = static_cast<std::uint8_t>((from.snd_wscale & 15) | (from.rcv_wscale & 15) << 4);
    out[7] = from.delivery_rate_app_limited & 1;
    const auto* rest = reinterpret_cast<const std::uint8_t*>(&from) + offsetof(TcpInfo, rto);
    std::memcpy(out.data() + tcp_info_head, rest, out.size() - tcp_info_head);
    return out;
}

}  // namespace keepnet::posix
