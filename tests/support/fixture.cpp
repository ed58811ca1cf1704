#include "support/fixture.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/seq.hpp"
#include "support/owed.hpp"

extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "keepnet: %s:%u: broken invariant: %s\n", file, line, expression);
    std::abort();
}

namespace keepnet::test {

const char* name(Way way) {
    switch (way) {
        case Way::plain:
            return "plain";
        case Way::swapped:
            return "swapped";
        case Way::seam:
            return "seam";
    }
    return "?";
}

void run_three_ways(void (*body)(Way)) {
    for (const Way way : {Way::plain, Way::swapped, Way::seam}) {
        DYNAMIC_SECTION("way: " << name(way)) { body(way); }
    }
}

StackConfig small_config() {
    StackConfig c;
    c.capacity = {.interfaces = 2,
                  .addresses = 8,
                  .routes = 8,
                  .neighbors = 16,
                  .pending_packets = 16,
                  .destinations = 8,
                  .sockets = 64,
                  .tcp_connections = 64,
                  .tcp_listeners = 8,
                  .tcp_tombstones = 16,
                  .udp_sockets = 8,
                  .udp_datagrams = 64,
                  .slice_nodes = 2048,
                  .packet_buffers = 1024,
                  .transmit_ring = 128,
                  .sent_ranges = 512,
                  .shadow_objects = 1024,
                  .sweep_queue_bytes = 1U << 16};
    c.tcp.receive_buffer = 64U * 1024 - 1;
    c.tcp.send_buffer = 64U * 1024;
    c.tcp.receive_buffer_tuned = 0;
    c.tcp.quick_acks = 0;
    c.nd.dad_transmits = 0;
    return c;
}

Fixture::Fixture(Way way, const FixtureOptions& options)
    : way_(way),
      config_(options.config),
      device_(std::make_unique<ScriptedDevice>(stack_mac, 1500, options.point_to_point)),
      arena_(Stack::arena_bytes(options.config)) {
    flows_[0].held = config_.policy != DurabilityPolicy::none;
    CreateOptions create{.now = now_, .arena_is_zeroed = true};
    for (std::size_t i = 0; i < create.entropy.size(); ++i) {
        create.entropy[i] = static_cast<std::uint8_t>(options.seed * 131 + i * 7);
    }
    auto made = Stack::create(arena_.span(), config_, create);
    REQUIRE(made.has_value());
    stack_.emplace(std::move(*made));
    const auto index = stack_->attach_device(*device_, {.link_local = options.link_local, .private_link = options.private_link});
    REQUIRE(index.has_value());
    interface_ = *index;
    if (options.add_address) REQUIRE(stack_->add_address(interface_, stack_address, 64).has_value());
    install_seams();
    if (options.journal) journal_ = std::make_unique<JournaledProgram>(*stack_);
    settle();
    ignore_output();
    take_nd();
}

Fixture::~Fixture() {
    if (device_ == nullptr || !stack_) return;  // moved from
    if (std::uncaught_exceptions() == 0 && !skip_teardown) teardown();
}

void Fixture::install_seams() {
    if (way_ != Way::seam) return;
    if (!seams_) seams_ = std::make_unique<Seams>(7);
    seams_->install(stack_->core());
}

/// Everything that was opened is closed; the peer is silent. Then no buffer, queue entry or connection may be
/// left.
void Fixture::teardown() {
    still_ = true;
    auto_commit_ = true;
    INFO(diary());
    while (!cuts_.empty()) commit();
    if (stack_->core().world.stack().ready == false) stack_->ready(false);
    for (SocketHandle s = stack_->next_socket({}); s;) {
        const SocketHandle next = stack_->next_socket(s);
        CHECK(stack_->abort(s).has_value());
        s = next;
    }
    device_->to_stack.clear();
    answers_nd = true;
    device_->transmit_room = SIZE_MAX;
    device_->link = LinkState::up;
    settle();
    snapshot();  // deaths become durable
    for (int i = 0; i < 64 && world().connections.in_use() != 0; ++i) run_to(now_ + 60_s);
    run_to(now_ + 10_s);
    snapshot().settle();
    CHECK(world().connections.in_use() == 0);
    CHECK(world().listeners.in_use() == 0);
    CHECK(world().sockets.in_use() == 0);
    CHECK(world().slice_nodes.in_use() == 0);
    CHECK(world().sent_ranges.in_use() == 0);
    CHECK(world().datagrams.in_use() == 0);
    CHECK(world().pool.in_use() == 0);
}

// --- the engine ---

Stack& Fixture::stack() {
    between();
    return *stack_;
}

void Fixture::inject(Bytes frame) { device_->to_stack.push_back(std::move(frame)); }

Fixture& Fixture::settle() {
    for (int i = 0;; ++i) {
        if (i == 5000) FAIL("the stack has work for ever at one instant\n" << diary());
        between();
        stack_->poll(now_);
        const bool moved = seams_ && seams_->advance();
        collect();
        if (auto_commit_ && commit_is_wanted()) {
            snapshot();
            continue;
        }
        if (!device_->to_stack.empty() || moved) continue;
        if (stack_->next_deadline() <= now_ && device_->transmit_room != 0) continue;
        if (const std::string what = unpaid(stack_->core()); !what.empty()) FAIL(what << "\n" << diary());
        return *this;
    }
}

void Fixture::run_to(Instant t) {
    while (true) {
        const Instant next = stack_->next_deadline();
        if (next > t) break;
        now_ = later(now_, next);
        settle();
        if (device_->transmit_room == 0) break;
    }
    now_ = t;
    settle();
}

Fixture& Fixture::at(Duration since_mark) {
    REQUIRE(mark_ + since_mark >= now_);
    run_to(mark_ + since_mark);
    return *this;
}

Fixture& Fixture::after(Duration d) {
    run_to(now_ + d);
    return *this;
}

void Fixture::collect() {
    while (!device_->from_stack.empty()) {
        const Bytes frame = std::move(device_->from_stack.front());
        device_->from_stack.pop_front();
        auto packet = read_frame(frame);
        if (!packet) FAIL("the stack sent a bad frame: " << packet.error() << "\n" << diary());
        write_down("< ", *packet);
        monitor(*packet);
        if (packet->is_nd()) {
            answer_nd(*packet);
            nd_.push_back(std::move(*packet));
        } else {
            sent_.push_back({now_, std::move(*packet)});
        }
    }
}

void Fixture::answer_nd(const Packet& packet) {
    if (!answers_nd || packet.icmp->type != 135 || packet.src.is_unspecified()) return;
    Ipv6Address target;
    std::copy_n(packet.icmp->body.begin() + 4, 16, target.octets.begin());
    const Bytes body = advertisement_body(target, target == peer_link_local, true, true, peer_mac);
    const IpFields ip{.src = target, .dst = packet.src, .next_header = proto_icmp, .hop_limit = 255};
    inject(ethernet(mac, peer_mac, 0x86dd, ip_packet(ip, icmp_message(ip.src, ip.dst, 136, 0, body))));
}

// --- the peer ---

Fixture& Fixture::use_flow(std::size_t n) {
    while (flows_.size() <= n) {
        Flow flow;
        flow.peer_port = static_cast<std::uint16_t>(40000 + flows_.size());
        flow.held = config_.policy != DurabilityPolicy::none;
        flow.iss += static_cast<std::uint32_t>(flows_.size()) * 0x1000'0000U;
        flows_.push_back(flow);
    }
    current_flow_ = n;
    return *this;
}

Flow* Fixture::flow_of(std::uint16_t peer_port, std::uint16_t stack_port) {
    for (Flow& f : flows_) {
        if (f.peer_port == peer_port && f.stack_port == stack_port) return &f;
    }
    return nullptr;
}

TcpFields Fixture::fields_of(const Segment& s) {
    Flow& f = flow();
    TcpFields t;
    t.src_port = f.peer_port;
    t.dst_port = f.stack_port;
    t.flags = s.flags_value.value_or(flag::ack);
    const bool is_syn = (t.flags & flag::syn) != 0;
    const bool has_ack = (t.flags & flag::ack) != 0;
    const std::uint32_t seq = s.seq_value.value_or(is_syn ? 0 : f.snd_nxt);
    t.seq = f.iss + seq;
    if (has_ack || s.ack_value) t.ack = f.stack_iss.value_or(0) + s.ack_value.value_or(f.rcv_nxt);
    const bool answers = is_syn && has_ack;
    const bool scaled = !is_syn && f.peer_shift != 0;
    t.window = static_cast<std::uint16_t>(s.window_value.value_or(
        std::min<std::uint32_t>(scaled ? f.window >> f.peer_shift : f.window, 65535)));
    t.urgent = s.urgent_value.value_or(0);
    t.reserved = s.reserved_value;
    t.data_offset = s.data_offset_value;
    t.bad_checksum = s.wrong_checksum;
    t.raw_options = s.raw_options;
    t.sack_permitted = s.sack_permitted;
    for (const auto& [left, right] : s.sack_value) {
        t.sack.emplace_back(f.stack_iss.value_or(0) + left, f.stack_iss.value_or(0) + right);
    }
    const auto clock = static_cast<std::uint32_t>(now_.ns / 1'000'000);
    if (is_syn) {
        t.mss = s.mss_value ? s.mss_value : f.offers_mss;
        if (f.offers_wscale && (!answers || f.stack_wscale)) t.wscale = f.offers_wscale;
        if (s.wscale_value) t.wscale = s.wscale_value;
        if (f.offers_sack && (!answers || f.stack_offers_sack)) t.sack_permitted = true;
        if (f.offers_ts && !s.without_ts && (!answers || f.stack_offers_ts))
            t.ts = {clock, answers ? f.ts_recent : 0};
    } else if (f.ts && !s.without_ts && (t.flags & flag::rst) == 0) {
        t.ts = {clock, f.ts_recent};
    }
    if (s.ts_value) t.ts = s.ts_value;
    t.payload = s.payload_value.value_or(
        pattern_bytes(Side::peer, seq + (is_syn ? 1U : 0U), s.length_value.value_or(0)));
    return t;
}

Bytes Fixture::peer_packet(const Segment& segment) {
    const IpFields ip{
        .src = peer, .dst = stack_address, .next_header = proto_tcp, .traffic_class = traffic_class};
    return ip_packet(ip, tcp_segment(ip.src, ip.dst, fields_of(segment)));
}

Fixture& Fixture::peer_sends(const Segment& s) {
    Flow& f = flow();
    const TcpFields t = fields_of(s);
    const Bytes packet = peer_packet(s);
    const std::uint32_t seq = t.seq - f.iss;
    const std::uint32_t length = static_cast<std::uint32_t>(t.payload.size()) +
                                 ((t.flags & flag::syn) != 0 ? 1U : 0U) +
                                 ((t.flags & flag::fin) != 0 ? 1U : 0U);
    if (!t.bad_checksum && (t.flags & flag::rst) == 0) {
        if (before_eq(Seq{seq}, Seq{f.snd_nxt}) && before(Seq{f.snd_nxt}, Seq{seq + length}))
            f.snd_nxt = seq + length;
        if ((t.flags & flag::syn) != 0 && f.stack_iss && f.stack_offers_ts && f.offers_ts) f.ts = true;
        if ((t.flags & flag::syn) != 0 && f.stack_iss && f.stack_wscale && f.offers_wscale) {
            f.peer_shift = std::min<std::uint8_t>(*f.offers_wscale, 14);
            f.stack_shift = *f.stack_wscale;
        }
        if ((t.flags & flag::ack) != 0) {
            const unsigned shift = (t.flags & flag::syn) != 0 ? 0 : f.peer_shift;
            const std::uint32_t edge =
                t.ack - f.stack_iss.value_or(0) + (static_cast<std::uint32_t>(t.window) << shift);
            if (before(Seq{f.peer_edge}, Seq{edge})) f.peer_edge = edge;
        } else if ((t.flags & flag::syn) != 0) {
            f.peer_edge = 1 + t.window;
        }
    }
    return peer_sends_ip(packet);
}

Fixture& Fixture::peer_sends_ip(ByteView packet) {
    return peer_sends_frame(ethernet(mac, peer_mac, 0x86dd, packet));
}

Fixture& Fixture::peer_sends_frame(Bytes frame) {
    if (const auto p = read_frame(frame)) {
        write_down("> ", *p);
    } else {
        diary_.push_back("> " + std::to_string((now_ - mark_).us()) + " us (" + p.error() + ")");
    }
    inject(std::move(frame));
    return settle();
}

Fixture& Fixture::peer_sends_icmp(std::uint8_t type, std::uint8_t code, ByteView body,
                                  std::uint8_t hop_limit) {
    const IpFields ip{.src = peer, .dst = stack_address, .next_header = proto_icmp, .hop_limit = hop_limit};
    return peer_sends_ip(ip_packet(ip, icmp_message(ip.src, ip.dst, type, code, body)));
}

Fixture& Fixture::peer_sends_udp(const UdpFields& udp) {
    const IpFields ip{.src = peer, .dst = stack_address, .next_header = proto_udp};
    return peer_sends_ip(ip_packet(ip, udp_datagram(ip.src, ip.dst, udp)));
}

}  // namespace keepnet::test
