#include "sim/frame.hpp"

#include <algorithm>
#include <cstdio>

namespace keepnet::sim {

namespace {

constexpr std::size_t ip_at = 14, upper_at = 54;
constexpr std::uint8_t tcp_protocol = 6, udp_protocol = 17, icmp_protocol = 58;

std::uint16_t get16(ByteView b, std::size_t at) { return static_cast<std::uint16_t>(b[at] << 8 | b[at + 1]); }
std::uint32_t get32(ByteView b, std::size_t at) {
    return static_cast<std::uint32_t>(get16(b, at)) << 16 | get16(b, at + 2);
}

/// RFC 8200 8.1; 0xffff over what has a right checksum.
std::uint16_t sum_of(ByteView frame) {
    std::uint64_t sum = frame.size() - upper_at + frame[ip_at + 6];
    for (std::size_t i = ip_at + 8; i + 1 < frame.size(); i += 2) sum += get16(frame, i);
    if ((frame.size() - ip_at) % 2 != 0) sum += static_cast<std::uint64_t>(frame.back()) << 8;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(sum);
}

void read_options(ByteView options, TcpFrame& tcp) {
    for (std::size_t i = 0; i < options.size();) {
        const std::uint8_t kind = options[i];
        if (kind == 0) return;
        if (kind == 1) {
            ++i;
            continue;
        }
        if (i + 1 >= options.size() || options[i + 1] < 2 || i + options[i + 1] > options.size()) return;
        if (kind == 3 && options[i + 1] == 3) tcp.wscale = options[i + 2];
        if (kind == 8 && options[i + 1] == 10) tcp.tsval = get32(options, i + 2), tcp.tsecr = get32(options, i + 6);
        for (std::size_t at = i + 2; kind == 5 && at + 8 <= i + options[i + 1] && tcp.sack_count < tcp.sack.size(); at += 8)
            tcp.sack[tcp.sack_count++] = {get32(options, at), get32(options, at + 4)};
        i += options[i + 1];
    }
}

}  // namespace

std::optional<TcpFrame> read_tcp(ByteView f) {
    if (f.size() < upper_at + 20 || get16(f, 12) != 0x86dd || f[ip_at + 6] != tcp_protocol) return {};
    const std::size_t header = static_cast<std::size_t>(f[upper_at + 12] >> 4) * 4;
    const std::size_t upper = get16(f, ip_at + 4);
    if (header < 20 || header > upper || upper_at + header > f.size()) return {};
    TcpFrame tcp;
    tcp.from = get16(f, ip_at + 22) - 1U;
    tcp.to = get16(f, ip_at + 38) - 1U;
    tcp.source = get16(f, upper_at);
    tcp.destination = get16(f, upper_at + 2);
    tcp.seq = get32(f, upper_at + 4);
    tcp.ack = get32(f, upper_at + 8);
    tcp.flags = f[upper_at + 13];
    tcp.window = get16(f, upper_at + 14);
    tcp.length = static_cast<std::uint32_t>(upper - header);
    read_options(f.subspan(upper_at + 20, header - 20), tcp);
    return tcp;
}

std::string fault_of(ByteView f) {
    if (f.size() < upper_at) return "shorter than its headers";
    if (get16(f, 12) != 0x86dd || f[ip_at] >> 4 != 6) return "not IPv6";
    if (get16(f, ip_at + 4) != f.size() - upper_at) return "IPv6 payload length";
    if (f[ip_at + 8] == 0xff) return "multicast source";
    const std::uint8_t next = f[ip_at + 6];
    if (next != tcp_protocol && next != udp_protocol && next != icmp_protocol) return "next header";
    if (sum_of(f) != 0xffff) return "transport checksum";
    if (next == tcp_protocol && !read_tcp(f)) return "TCP header";
    const std::uint8_t codepoint = f[ip_at + 1] & 0x30;
    if (next == tcp_protocol && codepoint == 0x30) return "CE from a host (RFC 3168 5)";
    if (next == tcp_protocol && codepoint != 0 && read_tcp(f)->length == 0) return "ECT without text (RFC 3168 6.1.4)";
    return "";
}

std::vector<std::uint8_t> make_segment(const TcpFrame& t) {
    std::vector<std::uint8_t> f(upper_at + 20);
    const auto put16 = [&](std::size_t at, std::uint32_t v) {
        f[at] = static_cast<std::uint8_t>(v >> 8), f[at + 1] = static_cast<std::uint8_t>(v);
    };
    const auto put32 = [&](std::size_t at, std::uint32_t v) { put16(at, v >> 16), put16(at + 2, v); };
    f[0] = f[6] = 0x02;
    put16(4, t.to + 1), put16(10, t.from + 1), put16(12, 0x86dd);
    f[ip_at] = 0x60, f[ip_at + 6] = tcp_protocol, f[ip_at + 7] = 64;
    put16(ip_at + 4, 20);
    put16(ip_at + 8, 0xfd00), put16(ip_at + 22, t.from + 1);
    put16(ip_at + 24, 0xfd00), put16(ip_at + 38, t.to + 1);
    put16(upper_at, t.source), put16(upper_at + 2, t.destination);
    put32(upper_at + 4, t.seq), put32(upper_at + 8, t.ack);
    f[upper_at + 12] = 0x50, f[upper_at + 13] = t.flags;
    put16(upper_at + 14, t.window);
    put16(upper_at + 16, 0xffffU - sum_of(f));
    return f;
}

std::vector<std::uint8_t> make_packet_too_big(ByteView frame, std::uint16_t mtu) {
    constexpr std::size_t quoted_max = 1280 - 40 - 8;
    const ByteView quoted = frame.subspan(ip_at, std::min(frame.size() - ip_at, quoted_max));
    std::vector<std::uint8_t> f(upper_at + 8 + quoted.size());
    std::copy_n(frame.begin() + 6, 6, f.begin());
    std::copy_n(frame.begin(), 6, f.begin() + 6);
    f[12] = 0x86, f[13] = 0xdd;
    const std::size_t upper = 8 + quoted.size();
    f[ip_at] = 0x60, f[ip_at + 6] = icmp_protocol, f[ip_at + 7] = 64;
    f[ip_at + 4] = static_cast<std::uint8_t>(upper >> 8), f[ip_at + 5] = static_cast<std::uint8_t>(upper);
    std::copy_n(frame.begin() + ip_at + 24, 16, f.begin() + ip_at + 8);
    std::copy_n(frame.begin() + ip_at + 8, 16, f.begin() + ip_at + 24);
    f[upper_at] = 2;
    f[upper_at + 6] = static_cast<std::uint8_t>(mtu >> 8), f[upper_at + 7] = static_cast<std::uint8_t>(mtu);
    std::copy(quoted.begin(), quoted.end(), f.begin() + upper_at + 8);
    const std::uint32_t sum = 0xffffU - sum_of(f);
    f[upper_at + 2] = static_cast<std::uint8_t>(sum >> 8), f[upper_at + 3] = static_cast<std::uint8_t>(sum);
    return f;
}

std::string describe(ByteView f, std::size_t bytes) {
    char line[200];
    if (const auto tcp = read_tcp(f)) {
        std::snprintf(line, sizeof line, "%u>%u %s%s%s%s seq=%u ack=%u win=%u len=%u ts=%u", tcp->source,
                      tcp->destination, tcp->has(syn) ? "S" : "", tcp->has(fin) ? "F" : "",
                      tcp->has(rst) ? "R" : "", tcp->has(ack) ? "." : "", tcp->seq, tcp->ack, tcp->window,
                      tcp->length, tcp->tsval.value_or(0));
        return line;
    }
    if (f.size() < upper_at + 2) return "short frame of " + std::to_string(bytes) + " bytes";
    std::snprintf(line, sizeof line, "protocol %u type/port %u code %u, %zu bytes", f[ip_at + 6], f[upper_at],
                  f[upper_at + 1], bytes);
    return line;
}

}  // namespace keepnet::sim
