// Every DropReason is reached from the wire, by the frames of one row.
#include <algorithm>

#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

using R = DropReason;

IpFields from_peer(std::uint8_t next_header) {
    return {.src = peer_address, .dst = stack_address, .next_header = next_header};
}
Bytes echo() { return icmp_message(peer_address, stack_address, 128, 0, echo_body(1, 1, {})); }
void ip(Fixture& t, std::uint8_t next_header, const Bytes& payload) {
    t.peer_sends_ip(ip_packet(from_peer(next_header), payload));
}
UdpFields udp(std::uint16_t port) {
    return {.src_port = 9, .dst_port = port, .payload = {1}, .length = {}, .checksum = {}};
}

Fixture with_timestamps(Way way) {
    auto t = listening(way);
    t.flow().offers_ts = true;
    open_passive(t);
    t.after(10_s);
    return t;
}

Fixture held_established(Way way) {
    auto t = established(way, FixtureOptions(DurabilityPolicy::snapshot));
    t.auto_commit(false).snapshot().ignore_output();
    return t;
}

Fixture with(Way way, void (*change)(StackConfig&)) {
    FixtureOptions options;
    change(options.config);
    return listening(way, options);
}

SocketHandle open_udp(Fixture& t, std::uint16_t port) {
    const auto s = t.stack().bind(*t.stack().open_udp(), {.port = port});
    REQUIRE(s.has_value());
    return *s;
}

struct Row {
    DropReason reason;
    Fixture (*provoke)(Way);
};

const Row rows[] = {
    {R::frame_truncated,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_frame(Bytes(13, 0));
         return t;
     }},
    {R::frame_not_for_us,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_frame(
             ethernet({{2, 9, 9, 9, 9, 9}}, peer_mac, 0x86dd, ip_packet(from_peer(58), echo())));
         return t;
     }},
    {R::ethertype_unknown,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_frame(ethernet(stack_mac, peer_mac, 0x0800, Bytes(40, 0)));
         return t;
     }},
    {R::ipv6_truncated,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_ip(Bytes(39, 0x60));
         return t;
     }},
    {R::ipv6_bad_version,
     [](Way w) {
         Fixture t(w);
         IpFields f = from_peer(58);
         f.version = 5;
         t.peer_sends_ip(ip_packet(f, echo()));
         return t;
     }},
    {R::ipv6_bad_source,
     [](Way w) {
         Fixture t(w);
         IpFields f = from_peer(58);
         f.src = ipv6_all_nodes;
         t.peer_sends_ip(ip_packet(f, echo()));
         return t;
     }},
    {R::ipv6_bad_destination,
     [](Way w) {
         Fixture t(w);
         IpFields f = from_peer(58);
         f.dst = {};
         t.peer_sends_ip(ip_packet(f, echo()));
         return t;
     }},
    {R::ipv6_not_for_us,
     [](Way w) {
         Fixture t(w);
         IpFields f = from_peer(58);
         f.dst = far_address;
         t.peer_sends_ip(ip_packet(f, echo()));
         return t;
     }},
    {R::ipv6_extension_malformed,
     [](Way w) {
         Fixture t(w);
         ip(t, 60, {58, 9, 1, 4, 0, 0, 0, 0});
         return t;
     }},
    {R::ipv6_option_refused,
     [](Way w) {
         Fixture t(w);
         ip(t, 60, Bytes{58, 0, 0x5e, 4, 0, 0, 0, 0} + echo());
         return t;
     }},
    {R::ipv6_routing_header,
     [](Way w) {
         Fixture t(w);
         ip(t, 43, Bytes{58, 0, 0, 1, 0, 0, 0, 0} + echo());
         return t;
     }},
    {R::ipv6_fragment,
     [](Way w) {
         Fixture t(w);
         ip(t, 44, Bytes{58, 0, 0, 8, 0, 0, 0, 1} + echo());
         return t;
     }},
    {R::ipv6_next_header_unknown,
     [](Way w) {
         Fixture t(w);
         ip(t, 200, Bytes(8, 0));
         return t;
     }},
    {R::ipv6_tentative_destination,
     [](Way w) {
         FixtureOptions o;
         o.config.nd.dad_transmits = 1;
         Fixture t(w, o);
         ip(t, 58, echo());
         return t;
     }},
    {R::icmpv6_truncated,
     [](Way w) {
         Fixture t(w);
         ip(t, 58, {128, 0, 0});
         return t;
     }},
    {R::icmpv6_bad_checksum,
     [](Way w) {
         Fixture t(w);
         ip(t, 58, icmp_message(peer_address, stack_address, 128, 0, echo_body(1, 1, {}), true));
         return t;
     }},
    {R::icmpv6_type_unknown,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_icmp(201, 0, Bytes(8, 0));
         return t;
     }},
    {R::icmpv6_error_malformed,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_icmp(1, 4, icmp_error_body(0, Bytes(20, 0x60)));
         return t;
     }},
    {R::icmpv6_error_unmatched,
     [](Way w) {
         Fixture t(w);
         const Bytes quoted = ip_packet(
             {.src = stack_address, .dst = peer_address, .next_header = 6},
             tcp_segment(stack_address, peer_address, {.src_port = 5, .dst_port = 6, .flags = flag::ack}));
         t.peer_sends_icmp(1, 4, icmp_error_body(0, quoted));
         return t;
     }},
    {R::nd_bad_hop_limit,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_icmp(135, 0, solicitation_body(stack_address, peer_mac), 64);
         return t;
     }},
    {R::nd_malformed,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_icmp(135, 3, solicitation_body(stack_address, peer_mac), 255);
         return t;
     }},
    {R::nd_not_for_us,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_icmp(135, 0, solicitation_body(far_address, peer_mac), 255);
         return t;
     }},
    {R::nd_unmatched,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_icmp(136, 0, advertisement_body(far_address, false, true, true, peer_mac), 255);
         return t;
     }},
    {R::neighbor_unreachable,
     [](Way w) {
         Fixture t(w);
         t.answers_nd = false;
         ip(t, 58, echo());
         t.after(4_s);
         return t;
     }},
    {R::pending_queue_full,
     [](Way w) {
         Fixture t(w);
         t.answers_nd = false;
         for (int i = 0; i < 9; ++i) ip(t, 58, echo());
         return t;
     }},
    {R::no_route,
     [](Way w) {
         Fixture t(w);
         t.peer = far_address;
         t.peer_sends_icmp(128, 0, echo_body(1, 1, {}));
         return t;
     }},
    {R::transmit_ring_full,
     [](Way w) {
         Fixture t(w);
         t.keep_still(true);  // what waits in a ring is no state
         ip(t, 58, echo());
         t.ignore_output();
         t.device().transmit_room = 0;
         for (int i = 0; i < 200; ++i) ip(t, 58, echo());
         return t;
     }},
    {R::error_rate_limited,
     [](Way w) {
         Fixture t(w);
         for (int i = 0; i < 40; ++i) t.peer_sends_udp(udp(9));
         t.ignore_output();
         return t;
     }},
    {R::udp_truncated,
     [](Way w) {
         Fixture t(w);
         ip(t, 17, Bytes(7, 0));
         return t;
     }},
    {R::udp_bad_length,
     [](Way w) {
         Fixture t(w);
         UdpFields u = udp(9);
         u.length = 4;
         t.peer_sends_udp(u);
         return t;
     }},
    {R::udp_bad_checksum,
     [](Way w) {
         Fixture t(w);
         UdpFields u = udp(9);
         u.checksum = 0;
         t.peer_sends_udp(u);
         return t;
     }},
    {R::udp_no_socket,
     [](Way w) {
         Fixture t(w);
         t.peer_sends_udp(udp(9));
         return t;
     }},
    {R::udp_queue_full,
     [](Way w) {
         Fixture t(w);
         open_udp(t, 53);
         for (int i = 0; i < 80; ++i) t.peer_sends_udp(udp(53));
         return t;
     }},
    {R::tcp_truncated,
     [](Way w) {
         Fixture t(w);
         ip(t, 6, Bytes(19, 0));
         return t;
     }},
    {R::tcp_bad_header_length,
     [](Way w) {
         auto t = listening(w);
         t.peer_sends(syn().data_offset(4));
         return t;
     }},
    {R::tcp_bad_checksum,
     [](Way w) {
         auto t = listening(w);
         t.peer_sends(syn().bad_checksum());
         return t;
     }},
    {R::tcp_bad_address,
     [](Way w) {
         auto t = listening(w);
         const IpFields f{.src = peer_address, .dst = ipv6_all_nodes, .next_header = 6};
         const Bytes s = tcp_segment(f.src, f.dst, {.src_port = 4, .dst_port = 80, .flags = flag::syn});
         t.peer_sends_frame(ethernet(multicast_mac(f.dst), peer_mac, 0x86dd, ip_packet(f, s)));
         return t;
     }},
    {R::tcp_no_connection,
     [](Way w) {
         Fixture t(w);
         t.peer_sends(syn());
         return t;
     }},
    {R::tcp_reset_unmatched,
     [](Way w) {
         Fixture t(w);
         t.peer_sends(rst().seq(5));
         return t;
     }},
    {R::tcp_not_ready,
     [](Way w) {
         auto t = listening(w);
         t.snapshot().crash_unready(1_s);
         t.flow().stack_port = 81;
         t.peer_sends(ack().seq(4).ack(4));
         return t;
     }},
    {R::tcp_tombstone,
     [](Way w) {
         auto t = held_established(w);
         t.peer_sends(rst());
         t.peer_sends(data(5).seq(1));
         return t;
     }},
    {R::tcp_unacceptable_sequence,
     [](Way w) {
         auto t = established(w);
         t.peer_sends(ack().seq(0x9000'0000));
         return t;
     }},
    {R::tcp_paws,
     [](Way w) {
         auto t = with_timestamps(w);
         t.peer_sends(data(5));
         t.peer_sends(data(5).seq(6).ts(1, 0));
         return t;
     }},
    {R::tcp_no_timestamp,
     [](Way w) {
         auto t = with_timestamps(w);
         t.peer_sends(data(5).no_ts());
         return t;
     }},
    {R::tcp_bad_ack,
     [](Way w) {
         auto t = established(w);
         t.peer_sends(ack(999));
         return t;
     }},
    {R::tcp_no_ack_flag,
     [](Way w) {
         auto t = established(w);
         t.peer_sends(segment(0).length(3));
         return t;
     }},
    {R::tcp_challenged_syn,
     [](Way w) {
         auto t = established(w);
         t.peer_sends(syn().seq(9));
         return t;
     }},
    {R::tcp_challenged_reset,
     [](Way w) {
         auto t = established(w);
         t.peer_sends(rst().seq(9));
         return t;
     }},
    {R::tcp_reset_in_time_wait,
     [](Way w) {
         auto t = time_wait(w);
         t.peer_sends(rst());
         return t;
     }},
    {R::tcp_listen_overflow,
     [](Way w) {
         Fixture t(w);
         t.app_listens(80, 1);
         for (std::size_t i = 0; i < 4; ++i) {
             t.use_flow(i);
             t.peer_sends(syn()).ignore_output();
             if (t.flow().stack_iss) t.peer_sends(ack(1));
             t.ignore_output();
         }
         return t;
     }},
    {R::tcp_half_open_overflow,
     [](Way w) {
         // No room for a record, and no way back for a cookie.
         auto t = with(w, [](StackConfig& c) { c.tcp.listen_half_open = 1; });
         t.peer_sends(syn()).ignore_output();
         t.peer = far_address;
         t.use_flow(1).peer_sends(syn());
         return t;
     }},
    {R::tcp_bad_cookie,
     [](Way w) {
         auto t = with(w, [](StackConfig& c) { c.tcp.listen_half_open = 1; });
         for (std::size_t i = 0; i < 3; ++i) t.use_flow(i).peer_sends(syn()).ignore_output();
         t.use_flow(3).peer_sends(ack().seq(1).ack(5));
         return t;
     }},
    {R::tcp_out_of_order_full,
     [](Way w) {
         FixtureOptions o;
         o.config.tcp.out_of_order_segments = 2;
         auto t = established(w, o);
         for (std::uint32_t i = 1; i < 6; ++i) t.peer_sends(data(10).seq(i * 100));
         return t;
     }},
    {R::tcp_data_after_close,
     [](Way w) {
         auto t = established(w);
         t.app_closes();
         t.ignore_output().peer_sends(data(5));
         return t;
     }},
    {R::tcp_beyond_window,
     [](Way w) {
         FixtureOptions o;
         o.config.tcp.receive_buffer = 4096;
         auto t = established(w, o);
         t.peer_sends(data(1400)).peer_sends(data(1400)).peer_sends(data(1400));
         return t;
     }},
    {R::out_of_buffers,
     [](Way w) {
         FixtureOptions o;
         o.config.capacity.packet_buffers = 32;
         auto t = established(w, o);
         for (std::uint32_t i = 1; i < 40; ++i) t.peer_sends(data(1).seq(1 + i * 2)).ignore_output();
         return t;
     }},
    {R::no_slot,
     [](Way w) {
         FixtureOptions o;
         o.config.capacity.slice_nodes = 4;
         auto t = established(w, o);
         for (std::uint32_t i = 0; i < 6; ++i) t.peer_sends(data(1400)).ignore_output();
         return t;
     }},
};

}  // namespace

WIRE_CASE("every reason to drop has frames that reach it", "[drops]") {
    for (const Row& row : rows) {
        // Between the layers nobody learns at once that there is no way.
        if (way == Way::seam && row.reason == R::tcp_half_open_overflow) continue;
        CAPTURE(keepnet::name(row.reason));
        Fixture t = row.provoke(way);
        CHECK(t.drops(row.reason) >= 1);
        t.ignore_output();
    }
}

TEST_CASE("every reason to drop is in the table above", "[drops]") {
    for (std::size_t i = 1; i < drop_reasons; ++i) {
        const auto reason = static_cast<DropReason>(i);
        CAPTURE(keepnet::name(reason));
        CHECK(
            std::any_of(std::begin(rows), std::end(rows), [&](const Row& r) { return r.reason == reason; }));
    }
}
