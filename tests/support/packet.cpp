#include "support/packet.hpp"

#include <algorithm>
#include <sstream>

namespace keepnet::test {

std::string flags_text(std::uint8_t flags) {
    static constexpr const char* names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
    std::string out;
    for (unsigned i = 0; i < 8; ++i) {
        if ((flags >> i & 1) == 0) continue;
        if (!out.empty()) out += '|';
        out += names[i];
    }
    return out.empty() ? "none" : out;
}

Bytes operator+(Bytes a, ByteView b) {
    a.reserve(a.size() + b.size());  // g++ 12 misreads a vector that grows in insert()
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
void put16(Bytes& out, std::uint32_t v) {
    const std::size_t at = out.size();
    out.resize(at + 2);
    out[at] = static_cast<std::uint8_t>(v >> 8);
    out[at + 1] = static_cast<std::uint8_t>(v);
}
void put32(Bytes& out, std::uint32_t v) {
    put16(out, v >> 16);
    put16(out, v & 0xffff);
}
std::uint16_t get16(ByteView b, std::size_t at) {
    return static_cast<std::uint16_t>(b[at] * 256U + b[at + 1]);
}
std::uint32_t get32(ByteView b, std::size_t at) {
    return static_cast<std::uint32_t>(get16(b, at)) << 16 | get16(b, at + 2);
}

std::uint16_t checksum(const Ipv6Address& src, const Ipv6Address& dst, std::uint8_t next_header,
                       ByteView data) {
    Bytes all(src.octets.begin(), src.octets.end());
    all.insert(all.end(), dst.octets.begin(), dst.octets.end());
    put32(all, static_cast<std::uint32_t>(data.size()));
    put32(all, next_header);
    all.insert(all.end(), data.begin(), data.end());
    if (all.size() % 2 != 0) all.push_back(0);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < all.size(); i += 2) {
        sum += get16(all, i);
        if (sum > 0xffff) sum -= 0xffff;
    }
    return static_cast<std::uint16_t>(~sum);
}

Bytes ip_packet(const IpFields& ip, ByteView payload) {
    Bytes out;
    put32(out, static_cast<std::uint32_t>(ip.version) << 28 |
                   static_cast<std::uint32_t>(ip.traffic_class) << 20 | ip.flow_label);
    put16(out, ip.payload_length.value_or(static_cast<std::uint16_t>(payload.size())));
    out.push_back(ip.next_header);
    out.push_back(ip.hop_limit);
    out.insert(out.end(), ip.src.octets.begin(), ip.src.octets.end());
    out.insert(out.end(), ip.dst.octets.begin(), ip.dst.octets.end());
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

Bytes ethernet(const MacAddress& dst, const MacAddress& src, std::uint16_t type, ByteView payload) {
    Bytes out(dst.octets.begin(), dst.octets.end());
    out.insert(out.end(), src.octets.begin(), src.octets.end());
    put16(out, type);
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

namespace {

void set16(Bytes& out, std::size_t at, std::uint16_t v) {
    out[at] = static_cast<std::uint8_t>(v >> 8);
    out[at + 1] = static_cast<std::uint8_t>(v);
}

Bytes tcp_options(const TcpFields& tcp) {
    Bytes o = tcp.raw_options;
    if (tcp.mss) {
        o.insert(o.end(), {2, 4});
        put16(o, *tcp.mss);
    }
    if (tcp.sack_permitted) o.insert(o.end(), {4, 2});
    if (tcp.ts) {
        o.insert(o.end(), {8, 10});
        put32(o, tcp.ts->first);
        put32(o, tcp.ts->second);
    }
    if (tcp.wscale) o.insert(o.end(), {3, 3, *tcp.wscale});
    if (!tcp.sack.empty()) {
        while (o.size() % 4 != 2) o.push_back(1);
        o.insert(o.end(), {5, static_cast<std::uint8_t>(2 + 8 * tcp.sack.size())});
        for (const auto& [left, right] : tcp.sack) put32(o, left), put32(o, right);
    }
    while (o.size() % 4 != 0) o.push_back(1);
    return o;
}

}  // namespace

Bytes tcp_segment(const Ipv6Address& src, const Ipv6Address& dst, const TcpFields& tcp) {
    const Bytes options = tcp_options(tcp);
    Bytes out;
    put16(out, tcp.src_port);
    put16(out, tcp.dst_port);
    put32(out, tcp.seq);
    put32(out, tcp.ack);
    const unsigned words = tcp.data_offset.value_or(static_cast<std::uint8_t>(5 + options.size() / 4));
    out.push_back(static_cast<std::uint8_t>(words << 4 | (tcp.reserved & 0xfU)));
    out.push_back(tcp.flags);
    put16(out, tcp.window);
    put16(out, 0);
    put16(out, tcp.urgent);
    out.insert(out.end(), options.begin(), options.end());
    out.insert(out.end(), tcp.payload.begin(), tcp.payload.end());
    set16(out, 16, checksum(src, dst, proto_tcp, out));
    if (tcp.bad_checksum) out[16] ^= 0x5a;
    return out;
}

Bytes udp_datagram(const Ipv6Address& src, const Ipv6Address& dst, const UdpFields& udp) {
    Bytes out;
    put16(out, udp.src_port);
    put16(out, udp.dst_port);
    put16(out, udp.length.value_or(static_cast<std::uint16_t>(8 + udp.payload.size())));
    put16(out, 0);
    out.insert(out.end(), udp.payload.begin(), udp.payload.end());
    std::uint16_t sum = checksum(src, dst, proto_udp, out);
    if (sum == 0) sum = 0xffff;
    set16(out, 6, udp.checksum.value_or(sum));
    return out;
}

Bytes icmp_message(const Ipv6Address& src, const Ipv6Address& dst, std::uint8_t type, std::uint8_t code,
                   ByteView body, bool bad_checksum) {
    Bytes out = Bytes{type, code, 0, 0} + body;
    set16(out, 2, checksum(src, dst, proto_icmp, out));
    if (bad_checksum) out[2] ^= 0x5a;
    return out;
}

Bytes icmp_error_body(std::uint32_t parameter, ByteView quoted) {
    Bytes out;
    put32(out, parameter);
    return std::move(out) + quoted;
}

Bytes echo_body(std::uint16_t identifier, std::uint16_t sequence, ByteView data) {
    Bytes out;
    put16(out, identifier);
    put16(out, sequence);
    return std::move(out) + data;
}

Bytes solicitation_body(const Ipv6Address& target, std::optional<MacAddress> source_link) {
    Bytes out;
    put32(out, 0);
    out.insert(out.end(), target.octets.begin(), target.octets.end());
    if (source_link) {
        out.insert(out.end(), {1, 1});
        out.insert(out.end(), source_link->octets.begin(), source_link->octets.end());
    }
    return out;
}

Bytes advertisement_body(const Ipv6Address& target, bool router, bool solicited, bool override_cache,
                         std::optional<MacAddress> target_link) {
    Bytes out;
    put32(out, (router ? 0x8000'0000U : 0U) | (solicited ? 0x4000'0000U : 0U) |
                   (override_cache ? 0x2000'0000U : 0U));
    out.insert(out.end(), target.octets.begin(), target.octets.end());
    if (target_link) {
        out.insert(out.end(), {2, 1});
        out.insert(out.end(), target_link->octets.begin(), target_link->octets.end());
    }
    return out;
}

namespace {

Ipv6Address address_at(ByteView b, std::size_t at) {
    Ipv6Address a;
    std::copy_n(b.begin() + static_cast<std::ptrdiff_t>(at), 16, a.octets.begin());
    return a;
}

/// "" when the options are well formed.
std::string read_options(ByteView o, TcpFields& tcp) {
    std::size_t i = 0;
    while (i < o.size()) {
        const std::uint8_t kind = o[i];
        if (kind == 0) break;
        if (kind == 1) {
            ++i;
            continue;
        }
        if (i + 1 >= o.size() || o[i + 1] < 2 || i + o[i + 1] > o.size())
            return "TCP option runs past the header";
        const std::size_t length = o[i + 1];
        if (kind == 2 && length == 4) {
            tcp.mss = get16(o, i + 2);
        } else if (kind == 3 && length == 3) {
            tcp.wscale = o[i + 2];
        } else if (kind == 4 && length == 2) {
            tcp.sack_permitted = true;
        } else if (kind == 5 && length >= 10 && length % 8 == 2) {
            for (std::size_t at = i + 2; at < i + length; at += 8) tcp.sack.emplace_back(get32(o, at), get32(o, at + 4));
        } else if (kind == 8 && length == 10) {
            tcp.ts = std::pair{get32(o, i + 2), get32(o, i + 6)};
        } else {
            return "TCP option " + std::to_string(kind) + " of length " + std::to_string(length);
        }
        i += length;
    }
    return "";
}

std::string read_tcp(Packet& p, ByteView b) {
    if (b.size() < 20) return "TCP header truncated";
    TcpFields tcp;
    tcp.src_port = get16(b, 0);
    tcp.dst_port = get16(b, 2);
    tcp.seq = get32(b, 4);
    tcp.ack = get32(b, 8);
    tcp.flags = b[13];
    tcp.window = get16(b, 14);
    tcp.urgent = get16(b, 18);
    tcp.reserved = b[12] & 0xf;
    const std::size_t header = static_cast<std::size_t>(b[12] >> 4) * 4;
    if (header < 20 || header > b.size()) return "TCP data offset";
    if (tcp.reserved != 0) return "reserved TCP bits are not zero (RFC 9293 3.1)";
    if ((tcp.flags & flag::ack) == 0 && tcp.ack != 0) return "ACK field without ACK flag is not zero";
    if (auto problem = read_options(b.subspan(20, header - 20), tcp); !problem.empty()) return problem;
    tcp.payload.assign(b.begin() + static_cast<std::ptrdiff_t>(header), b.end());
    p.tcp = std::move(tcp);
    return "";
}

std::string read_upper(Packet& p, ByteView b) {
    if (p.next_header != proto_tcp && p.next_header != proto_udp && p.next_header != proto_icmp) {
        return "next header " + std::to_string(p.next_header);
    }
    if (checksum(p.src, p.dst, p.next_header, b) != 0) return "transport checksum is wrong";
    if (p.next_header == proto_tcp) return read_tcp(p, b);
    if (p.next_header == proto_icmp) {
        if (b.size() < 8) return "ICMPv6 message truncated";
        p.icmp = Packet::Icmp{b[0], b[1], Bytes(b.begin() + 4, b.end())};
        if (p.is_nd() && p.hop_limit != 255) return "neighbour discovery with a hop limit that is not 255";
        return "";
    }
    if (b.size() < 8 || get16(b, 4) != b.size()) return "UDP length";
    if (get16(b, 6) == 0) return "UDP checksum 0 (RFC 8200 8.1)";
    p.udp = UdpFields{get16(b, 0), get16(b, 2), Bytes(b.begin() + 8, b.end()), {}, {}};
    return "";
}

}  // namespace

std::expected<Packet, std::string> read_frame(ByteView frame) {
    Packet p;
    p.frame.assign(frame.begin(), frame.end());
    if (frame.size() < 54) return std::unexpected("frame of " + std::to_string(frame.size()) + " bytes");
    std::copy_n(frame.begin(), 6, p.eth_dst.octets.begin());
    std::copy_n(frame.begin() + 6, 6, p.eth_src.octets.begin());
    if (get16(frame, 12) != 0x86dd) return std::unexpected("ethertype is not IPv6");
    const ByteView ip = frame.subspan(14);
    p.ip.assign(ip.begin(), ip.end());
    const std::uint32_t first = get32(ip, 0);
    if (first >> 28 != 6) return std::unexpected("IP version");
    p.traffic_class = static_cast<std::uint8_t>(first >> 20);
    p.flow_label = first & 0xf'ffff;
    if (get16(ip, 4) != ip.size() - 40) return std::unexpected("IPv6 payload length");
    p.next_header = ip[6];
    p.hop_limit = ip[7];
    p.src = address_at(ip, 8);
    p.dst = address_at(ip, 24);
    if (p.src.is_multicast()) return std::unexpected("multicast source");
    if (p.dst.is_multicast() && p.eth_dst != multicast_mac(p.dst))
        return std::unexpected("RFC 2464 7 mapping");
    if (!p.dst.is_multicast() && p.eth_dst.is_multicast())
        return std::unexpected("unicast in a multicast frame");
    ByteView upper = ip.subspan(40);
    if (auto problem = read_upper(p, upper); !problem.empty())
        return std::unexpected(problem + ": " + p.text());
    return p;
}

std::uint32_t Packet::tcp_length() const {
    if (!tcp) return 0;
    return static_cast<std::uint32_t>(tcp->payload.size()) + ((tcp->flags & flag::syn) != 0 ? 1U : 0U) +
           ((tcp->flags & flag::fin) != 0 ? 1U : 0U);
}

std::string Packet::text() const {
    std::ostringstream out;
    out << test::text(src) << " > " << test::text(dst);
    if (tcp) {
        out << " TCP " << tcp->src_port << ">" << tcp->dst_port << " " << flags_text(tcp->flags)
            << " seq=" << tcp->seq << " ack=" << tcp->ack << " win=" << tcp->window
            << " len=" << tcp->payload.size();
        if (tcp->mss) out << " mss=" << *tcp->mss;
        if (tcp->wscale) out << " ws=" << static_cast<unsigned>(*tcp->wscale);
        if (tcp->sack_permitted) out << " sackOK";
        for (const auto& [left, right] : tcp->sack) out << " sack=" << left << "-" << right;
        if (tcp->ts) out << " ts=" << tcp->ts->first << "," << tcp->ts->second;
    } else if (udp) {
        out << " UDP " << udp->src_port << ">" << udp->dst_port << " len=" << udp->payload.size();
    } else if (icmp) {
        out << " ICMPv6 type=" << static_cast<unsigned>(icmp->type)
            << " code=" << static_cast<unsigned>(icmp->code);
        if ((icmp->type == 135 || icmp->type == 136) && icmp->body.size() >= 20) {
            out << " target=" << test::text(address_at(icmp->body, 4));
        }
    } else {
        out << " next_header=" << static_cast<unsigned>(next_header) << " bytes=" << ip.size();
    }
    return out.str();
}

std::string text(const Ipv6Address& a) {
    char buffer[ipv6_text_max];
    return std::string(format(a, buffer));
}

}  // namespace keepnet::test
