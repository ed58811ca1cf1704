// Any frames, in any order, and an application that does anything, into a whole stack with a listener, an
// established connection and a UDP socket, under virtual time. Nothing asserts, every frame that comes out is
// sound, the counters add up, and when everything is closed nothing is left.
//
// The input is a program of small records (make_frames_corpus.py writes some), so that the fuzzer need not
// find checksums and sequence numbers by chance:
//
//     00..3f  TCP segment: bits 0-2 connection, 3 payload, 4 options, 5 wrong checksum; flags, seq, ack,
//     window 40..7f  frame as it is: bits 0 Ethernet made right, 1 IPv6 made right, 2 checksum made right;
//     length, bytes 80..9f  IPv6 payload with a right checksum: bits 0 hop limit 64, 1 to all nodes, 2 from
//     link-local; next header, length, bytes a0..bf  time passes: milliseconds << bits 0-3 c0..ff  the
//     application: bits 0-3 say what
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include <keepnet/stack.hpp>

#include "stack/core.hpp"
#include "support/arena.hpp"
#include "support/device.hpp"
#include "support/packet.hpp"

using namespace keepnet;
using namespace keepnet::literals;
using test::Bytes;

extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "keepnet: %s:%u: broken invariant: %s\n", file, line, expression);
    std::abort();
}

namespace {

constexpr MacAddress own_mac{{2, 0, 0, 0, 0, 1}}, peer_mac{{2, 0, 0, 0, 0, 2}};
constexpr auto own = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 1});
constexpr auto peer = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 2});
constexpr auto peer_local = Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, 2});
constexpr std::uint32_t peer_iss = 0xffff'fe00;  // wraps soon
constexpr std::uint16_t peer_port = 40000;

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

StackConfig config_for(bool held) {
    StackConfig c;
    c.capacity = {.interfaces = 2,
                  .addresses = 6,
                  .routes = 6,
                  .neighbors = 6,
                  .pending_packets = 6,
                  .destinations = 4,
                  .sockets = 16,
                  .tcp_connections = 16,
                  .tcp_listeners = 4,
                  .tcp_tombstones = 6,
                  .udp_sockets = 4,
                  .udp_datagrams = 8,
                  .slice_nodes = 96,
                  .packet_buffers = 64,
                  .transmit_ring = 16,
                  .sent_ranges = 64,
                  .shadow_objects = 32,
                  .sweep_queue_bytes = 1U << 16};
    c.tcp.receive_buffer = 16 * 1024;
    c.tcp.send_buffer = 16 * 1024;
    c.tcp.listen_half_open = 3;
    c.nd.dad_transmits = 0;
    c.policy = held ? DurabilityPolicy::snapshot : DurabilityPolicy::none;
    return c;
}

/// What is left of the input; past its end come zeros.
class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}
    [[nodiscard]] bool empty() const { return bytes_.empty(); }
    std::uint8_t u8() {
        if (bytes_.empty()) return 0;
        const std::uint8_t v = bytes_.front();
        bytes_ = bytes_.subspan(1);
        return v;
    }
    std::uint16_t u16() {
        const unsigned high = u8();
        return static_cast<std::uint16_t>(high << 8 | u8());
    }
    Bytes take(std::size_t n) {
        const ByteView part = bytes_.first(std::min(n, bytes_.size()));
        bytes_ = bytes_.subspan(part.size());
        return {part.begin(), part.end()};
    }

  private:
    ByteView bytes_;
};

class Machine {
  public:
    explicit Machine(bool held)
        : config_(config_for(held)),
          device_(own_mac),
          arena_(Stack::arena_bytes(config_)),
          stack_(Stack::create(arena_.span(), config_, {.now = now_, .arena_is_zeroed = true}).value()) {
        const auto nic = stack_.attach_device(device_, {}).value();
        require(stack_.add_address(nic, own, 64).has_value(), "add_address");
        listener_ = stack_.bind(stack_.open_tcp().value(), {.port = 80}).value();
        listener_ = stack_.listen(listener_, 2).value();
        udp_ = stack_.bind(stack_.open_udp().value(), {.port = 9}).value();
        poll();
        // The peer makes itself known, and a connection.
        packet(255, peer, own, test::proto_icmp,
               test::icmp_message(peer, own, 135, 0, test::solicitation_body(own, peer_mac)));
        segment(0, test::flag::syn, 0, 0, 65535, {}, {});
        segment(0, test::flag::ack, 1, 1, 65535, {}, {});
        commit();
        if (const auto s = stack_.accept(listener_)) sockets_.push_back(*s);
    }

    void step(Input& in) {
        const std::uint8_t op = in.u8();
        if (op < 0x40) return tcp_record(op, in);
        if (op < 0x80) return frame_record(op, in);
        if (op < 0xa0) return payload_record(op, in);
        if (op >= 0xc0) return application(op & 15, in);
        now_ = now_ + milliseconds(in.u8()) * (std::int64_t{1} << (op & 15));
        poll();
    }

    void finish() {
        device_.transmit_room = SIZE_MAX;
        while (!cuts_.empty()) commit();
        for (SocketHandle s = stack_.next_socket({}); s; s = stack_.next_socket({})) {
            require(stack_.abort(s).has_value(), "a socket can be aborted");
        }
        const World& w = stack_.core().world;
        const auto is_left = [&w] {
            return w.connections.in_use() != 0 || w.pool.in_use() != 0 || w.listeners.in_use() != 0 ||
                   w.pending_packets.in_use() != 0;
        };
        // An orphan gives up after 924 s; what was sent once more shortly before may take as long again. A packet
        // without text, an ACK, holds no buffer while it waits for a neighbour.
        for (int i = 0; i < 200 && is_left(); ++i) {
            now_ = now_ + 10_s;
            poll();
            if (config_.policy == DurabilityPolicy::snapshot) cut(), commit();
        }
        require(w.connections.in_use() == 0, "no connection is left");
        require(w.listeners.in_use() == 0 && w.sockets.in_use() == 0, "no socket is left");
        require(w.slice_nodes.in_use() == 0 && w.datagrams.in_use() == 0, "no queue entry is left");
        require(w.pending_packets.in_use() == 0, "nothing waits for a neighbour");
        require(w.pool.in_use() == 0, "the packet pool is whole");
    }

  private:
    // --- what comes from the wire ---

    void frame(Bytes bytes) {
        device_.to_stack.push_back(std::move(bytes));
        poll();
    }
    void packet(std::uint8_t hop_limit, const Ipv6Address& from, const Ipv6Address& to,
                std::uint8_t next_header, const Bytes& payload) {
        const MacAddress mac = to.is_multicast() ? multicast_mac(to) : own_mac;
        frame(test::ethernet(
            mac, peer_mac, 0x86dd,
            test::ip_packet({.src = from, .dst = to, .next_header = next_header, .hop_limit = hop_limit},
                            payload)));
    }
    /// Sequence numbers relative to both initial ones.
    void segment(unsigned connection, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack,
                 std::uint16_t window, const Bytes& options, const Bytes& payload,
                 bool bad_checksum = false) {
        test::TcpFields t{.src_port = static_cast<std::uint16_t>(peer_port + connection),
                          .dst_port = 80,
                          .seq = peer_iss + seq,
                          .flags = flags,
                          .window = window,
                          .raw_options = options,
                          .payload = payload,
                          .bad_checksum = bad_checksum};
        if ((flags & test::flag::ack) != 0) t.ack = stack_iss_[connection] + ack;
        packet(64, peer, own, test::proto_tcp, test::tcp_segment(peer, own, t));
    }
    void tcp_record(std::uint8_t op, Input& in) {
        const std::uint8_t flags = in.u8();
        const auto seq = static_cast<std::uint32_t>(static_cast<std::int16_t>(in.u16()));
        const auto ack = static_cast<std::uint32_t>(static_cast<std::int16_t>(in.u16()));
        const std::uint16_t window = in.u16();
        Bytes options, payload;
        if ((op & 0x10) != 0) options = in.take(in.u8() % 41);
        if ((op & 0x08) != 0) {
            const std::size_t n = in.u16() % 1441;
            payload.assign(n, in.u8());
        }
        segment(op & 7, flags, seq, ack, window, options, payload, (op & 0x20) != 0);
    }
    void payload_record(std::uint8_t op, Input& in) {
        const std::uint8_t next = in.u8();
        Bytes payload = in.take(in.u16() % 1461);
        const Ipv6Address from = (op & 4) != 0 ? peer_local : peer;
        const Ipv6Address to = (op & 2) != 0 ? ipv6_all_nodes : own;
        mend_checksum(from, to, next, payload);
        packet((op & 1) != 0 ? 64 : 255, from, to, next, payload);
    }
    void frame_record(std::uint8_t op, Input& in) {
        Bytes f = in.take(in.u16() % 1515);
        if ((op & 1) != 0 && f.size() >= 14) {
            std::copy(own_mac.octets.begin(), own_mac.octets.end(), f.begin());
            f[12] = 0x86, f[13] = 0xdd;
        }
        if ((op & 2) != 0 && f.size() >= 54) {
            f[14] = 0x60;
            f[18] = static_cast<std::uint8_t>((f.size() - 54) >> 8),
            f[19] = static_cast<std::uint8_t>(f.size() - 54);
            std::copy(peer.octets.begin(), peer.octets.end(), f.begin() + 22);
            std::copy(own.octets.begin(), own.octets.end(), f.begin() + 38);
        }
        if ((op & 4) != 0 && f.size() > 54) {
            Ipv6Address from, to;
            std::copy_n(f.begin() + 22, 16, from.octets.begin());
            std::copy_n(f.begin() + 38, 16, to.octets.begin());
            Bytes upper(f.begin() + 54, f.end());
            mend_checksum(from, to, f[20], upper);
            std::copy(upper.begin(), upper.end(), f.begin() + 54);
        }
        frame(std::move(f));
    }
    static void mend_checksum(const Ipv6Address& from, const Ipv6Address& to, std::uint8_t next,
                              Bytes& upper) {
        const std::size_t at = next == test::proto_tcp ? 16 : next == test::proto_udp ? 6 : 2;
        if ((next != test::proto_tcp && next != test::proto_udp && next != test::proto_icmp) ||
            upper.size() < at + 2)
            return;
        upper[at] = upper[at + 1] = 0;
        const std::uint16_t sum = test::checksum(from, to, next, upper);
        upper[at] = static_cast<std::uint8_t>(sum >> 8), upper[at + 1] = static_cast<std::uint8_t>(sum);
    }

    // --- what the application does ---

    void application(unsigned what, Input& in) {
        const std::uint8_t which = in.u8();
        const SocketHandle s = sockets_.empty() ? SocketHandle{} : sockets_[which % sockets_.size()];
        switch (what) {
            case 0:
                if (const auto accepted = stack_.accept(listener_)) sockets_.push_back(*accepted);
                break;
            case 1: {
                std::array<std::uint8_t, 3000> room{};
                (void)stack_.receive(s, MutableBytes(room).first(in.u16() % room.size()));
                break;
            }
            case 2:
                (void)stack_.send(s, Bytes(in.u16() % 6000, 0x77), (which & 0x80) != 0);
                break;
            case 3:
                (void)stack_.shutdown(s, CloseDirection::send);
                break;
            case 4:
                (void)stack_.shutdown(s, CloseDirection::receive);
                break;
            case 5:
            case 6:
                (void)(what == 5 ? stack_.close(s) : stack_.abort(s));
                std::erase(sockets_, s);
                break;
            case 7:
                cut();
                break;
            case 8:
                commit();
                break;
            case 9:
                if (cuts_.empty()) break;
                require(stack_.abandoned(cuts_.back()).has_value(), "an outstanding cut can be abandoned");
                cuts_.pop_back();
                break;
            case 10:
                (void)stack_.send_datagram(udp_,
                                           {.destination = {.address = (which & 1) != 0 ? peer : peer_local,
                                                            .port = 53,
                                                            .interface = 1}},
                                           Bytes(in.u16() % 1500, 0x55));
                break;
            case 11:
                (void)stack_.consume_datagram(udp_);
                break;
            case 12:
                if (const auto made = stack_.open_tcp()) {
                    sockets_.push_back(*made);
                    (void)stack_.connect(
                        *made, {.address = peer, .port = static_cast<std::uint16_t>(peer_port + which % 8)});
                }
                break;
            case 13:
                (void)stack_.set_option(s, static_cast<SocketOption>(which % 20), in.u16());
                break;
            case 14:
                device_.transmit_room = which < 0x80 ? which : SIZE_MAX;
                break;
            default:
                (void)stack_.info(s);
                break;
        }
        poll();
    }
    void cut() {
        if (const auto id = stack_.cut()) cuts_.push_back(*id);
    }
    /// The embedder keeps the arena itself, so nobody need read the cut.
    void commit() {
        if (cuts_.empty()) cut();
        require(!cuts_.empty() && stack_.committed(cuts_.front()).has_value(),
                "an outstanding cut can be committed");
        cuts_.erase(cuts_.begin());
        poll();
    }

    // --- what must hold ---

    void poll() {
        for (int i = 0;; ++i) {
            require(i < 2000, "the stack has work for ever at one instant");
            const PollResult r = stack_.poll(now_);
            while (stack_.next_ready()) {
            }
            read_output();
            if (device_.to_stack.empty() && (r.next_deadline > now_ || device_.transmit_room == 0)) break;
            if (!device_.to_stack.empty() && r.frames_received == 0) {  // no buffer: the card loses it
                device_.to_stack.clear();
            }
        }
        check_counters();
    }
    void read_output() {
        for (; !device_.from_stack.empty(); device_.from_stack.pop_front()) {
            const auto p = test::read_frame(device_.from_stack.front());
            if (!p) std::fprintf(stderr, "%s\n", p.error().c_str());
            require(p.has_value(), "every frame that comes out is sound");
            if (!p->tcp || (p->tcp->flags & test::flag::syn) == 0) continue;
            const unsigned connection = p->tcp->dst_port - unsigned{peer_port};
            if (connection < stack_iss_.size()) stack_iss_[connection] = p->tcp->seq;
        }
    }
    void check_counters() {
        const World& w = stack_.core().world;
        const Statistics& s = stack_.statistics();
        const auto drops = [&](DropReason r) { return s.drops[static_cast<std::size_t>(r)]; };
        require(w.pool.in_use() + w.pool.parked() <= w.pool.capacity(), "the pool is bounded");
        require(s.frames_received == s.ip_received + drops(DropReason::frame_truncated) +
                                         drops(DropReason::frame_not_for_us) +
                                         drops(DropReason::ethertype_unknown),
                "every frame is either an IP packet or a counted drop");
        require(s.tcp_segments_received + s.udp_received <= s.ip_received, "no more segments than packets");
        require(s.tcp_resets_sent <= s.tcp_segments_sent && s.tcp_segments_sent + s.udp_sent <= s.ip_sent,
                "no more sent above than below");
    }

    Instant now_{1'000'000'000'000};
    StackConfig config_;
    test::ScriptedDevice device_;
    test::Arena arena_;
    Stack stack_;
    SocketHandle listener_{}, udp_{};
    std::vector<SocketHandle> sockets_{};
    std::vector<CutId> cuts_{};
    std::array<std::uint32_t, 8> stack_iss_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in(data, std::min<std::size_t>(size, 16384));
    Machine machine((in.u8() & 1) != 0);
    while (!in.empty()) machine.step(in);
    machine.finish();
    return 0;
}
