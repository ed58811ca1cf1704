#include "support/fixture.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/seq.hpp"

extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "keepnet: %s:%u: broken invariant: %s\n", file, line, expression);
    std::abort();
}

namespace keepnet::test {

const char* name(Way way) {
    switch (way) {
        case Way::plain: return "plain";
        case Way::swapped: return "swapped";
        case Way::seam: return "seam";
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
                  .shadow_objects = 1024,
                  .sweep_queue_bytes = 1U << 16};
    c.tcp.receive_buffer = 64U * 1024 - 1;
    c.tcp.send_buffer = 64U * 1024;
    c.nd.dad_transmits = 0;
    return c;
}

Fixture::Fixture(Way way, const FixtureOptions& options)
    : way_(way),
      config_(options.config),
      device_(std::make_unique<ScriptedDevice>(stack_mac)),
      arena_(Stack::arena_bytes(options.config)) {
    flows_[0].held = config_.policy == DurabilityPolicy::snapshot;
    CreateOptions create{.now = now_, .arena_is_zeroed = true};
    for (std::size_t i = 0; i < create.entropy.size(); ++i) {
        create.entropy[i] = static_cast<std::uint8_t>(options.seed * 131 + i * 7);
    }
    auto made = Stack::create(arena_.span(), config_, create);
    REQUIRE(made.has_value());
    stack_.emplace(std::move(*made));
    const auto index = stack_->attach_device(*device_, {.link_local = options.link_local});
    REQUIRE(index.has_value());
    interface_ = *index;
    if (options.add_address) REQUIRE(stack_->add_address(interface_, stack_address, 64).has_value());
    install_seams();
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

/// Everything that was opened is closed; the peer is silent. Then no buffer, queue entry or connection may be left.
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
    snapshot();
    CHECK(world().connections.in_use() == 0);
    CHECK(world().listeners.in_use() == 0);
    CHECK(world().sockets.in_use() == 0);
    CHECK(world().slice_nodes.in_use() == 0);
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
        if (auto_commit_ && stack_->commit_wanted() != never) {
            snapshot();
            continue;
        }
        if (!device_->to_stack.empty() || moved) continue;
        if (stack_->next_deadline() <= now_ && device_->transmit_room != 0) continue;
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
    inject(ethernet(stack_mac, peer_mac, 0x86dd, ip_packet(ip, icmp_message(ip.src, ip.dst, 136, 0, body))));
}

// --- the peer ---

Fixture& Fixture::use_flow(std::size_t n) {
    while (flows_.size() <= n) {
        Flow flow;
        flow.peer_port = static_cast<std::uint16_t>(40000 + flows_.size());
        flow.held = config_.policy == DurabilityPolicy::snapshot;
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
    const auto clock = static_cast<std::uint32_t>(now_.ns / 1'000'000);
    if (is_syn) {
        t.mss = s.mss_value ? s.mss_value : f.offers_mss;
        if (f.offers_wscale && (!answers || f.stack_wscale)) t.wscale = f.offers_wscale;
        if (s.wscale_value) t.wscale = s.wscale_value;
        if (f.offers_ts && !s.without_ts && (!answers || f.stack_offers_ts)) t.ts = {clock, answers ? f.ts_recent : 0};
    } else if (f.ts && !s.without_ts && (t.flags & flag::rst) == 0) {
        t.ts = {clock, f.ts_recent};
    }
    if (s.ts_value) t.ts = s.ts_value;
    t.payload = s.payload_value.value_or(
        pattern_bytes(Side::peer, seq + (is_syn ? 1U : 0U), s.length_value.value_or(0)));
    return t;
}

Bytes Fixture::peer_packet(const Segment& segment) {
    const IpFields ip{.src = peer, .dst = stack_address, .next_header = proto_tcp};
    return ip_packet(ip, tcp_segment(ip.src, ip.dst, fields_of(segment)));
}

Fixture& Fixture::peer_sends(const Segment& s) {
    Flow& f = flow();
    const TcpFields t = fields_of(s);
    const Bytes packet = peer_packet(s);
    const std::uint32_t seq = t.seq - f.iss;
    const std::uint32_t length = static_cast<std::uint32_t>(t.payload.size()) + ((t.flags & flag::syn) != 0 ? 1U : 0U) +
                                 ((t.flags & flag::fin) != 0 ? 1U : 0U);
    if (!t.bad_checksum && (t.flags & flag::rst) == 0) {
        if (before_eq(Seq{seq}, Seq{f.snd_nxt}) && before(Seq{f.snd_nxt}, Seq{seq + length})) f.snd_nxt = seq + length;
        if ((t.flags & flag::syn) != 0 && f.stack_iss && f.stack_offers_ts && f.offers_ts) f.ts = true;
        if ((t.flags & flag::syn) != 0 && f.stack_iss && f.stack_wscale && f.offers_wscale) {
            f.peer_shift = std::min<std::uint8_t>(*f.offers_wscale, 14);
            f.stack_shift = *f.stack_wscale;
        }
        if ((t.flags & flag::ack) != 0) {
            const unsigned shift = (t.flags & flag::syn) != 0 ? 0 : f.peer_shift;
            const std::uint32_t edge = t.ack - f.stack_iss.value_or(0) + (static_cast<std::uint32_t>(t.window) << shift);
            if (before(Seq{f.peer_edge}, Seq{edge})) f.peer_edge = edge;
        } else if ((t.flags & flag::syn) != 0) {
            f.peer_edge = 1 + t.window;
        }
    }
    return peer_sends_ip(packet);
}

Fixture& Fixture::peer_sends_ip(ByteView packet) {
    return peer_sends_frame(ethernet(stack_mac, peer_mac, 0x86dd, packet));
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

Fixture& Fixture::peer_sends_icmp(std::uint8_t type, std::uint8_t code, ByteView body, std::uint8_t hop_limit) {
    const IpFields ip{.src = peer, .dst = stack_address, .next_header = proto_icmp, .hop_limit = hop_limit};
    return peer_sends_ip(ip_packet(ip, icmp_message(ip.src, ip.dst, type, code, body)));
}

Fixture& Fixture::peer_sends_udp(const UdpFields& udp) {
    const IpFields ip{.src = peer, .dst = stack_address, .next_header = proto_udp};
    return peer_sends_ip(ip_packet(ip, udp_datagram(ip.src, ip.dst, udp)));
}

// --- what always holds ---

void Fixture::monitor_syn(Flow& f, const TcpFields& t) {
    if (!f.stack_iss || *f.stack_iss != t.seq) {
        f.stack_iss = t.seq;
        f.seen_ack = f.seen_ts = false;
        f.last_ack = f.right_edge = 0;
    }
    f.stack_offers_ts = t.ts.has_value();
    f.stack_wscale = t.wscale;
    if ((t.flags & flag::ack) != 0) {
        f.ts = f.offers_ts && f.stack_offers_ts;
        const bool both = f.offers_wscale && f.stack_wscale;
        f.peer_shift = both ? std::min<std::uint8_t>(*f.offers_wscale, 14) : std::uint8_t{0};
        f.stack_shift = both ? *f.stack_wscale : std::uint8_t{0};
    }
}

void Fixture::monitor(const Packet& p) {
    if (p.eth_src != stack_mac) FAIL("source MAC is not ours\n" << diary());
    if (!p.tcp) return;
    const TcpFields& t = *p.tcp;
    Flow* found = flow_of(t.dst_port, t.src_port);
    if (found == nullptr) return;
    Flow& f = *found;
    const auto must = [&](bool holds, const char* what) {
        if (!holds) FAIL("what always holds does not: " << what << "\n" << diary());
    };
    const bool is_syn = (t.flags & flag::syn) != 0;
    const bool is_rst = (t.flags & flag::rst) != 0;
    if (is_syn) monitor_syn(f, t);
    if (is_rst || !f.stack_iss) return;
    must(is_syn || (!t.mss && !t.wscale && !t.sack_permitted), "SYN options in a segment without SYN");
    if (!is_syn) must(t.ts.has_value() == f.ts, "timestamps in every segment or none (RFC 7323 3.2)");
    if (t.ts) {
        // RFC 7323 5.5: after 24 days nobody compares, and half the circle lies behind.
        const bool compares = f.seen_ts && now_ - f.last_ts_at < 24LL * 86'400_s;
        must(!compares || before_eq(Seq{f.last_tsval}, Seq{t.ts->first}), "TSval goes back");
        f.last_tsval = t.ts->first;
        f.last_ts_at = now_;
        f.seen_ts = true;
    }
    const std::uint32_t seq = t.seq - *f.stack_iss;
    const std::uint32_t end = seq + p.tcp_length();
    if ((t.flags & flag::ack) != 0) {
        const std::uint32_t acked = t.ack - f.iss;
        const std::uint32_t edge = acked + (static_cast<std::uint32_t>(t.window) << (is_syn ? 0U : f.stack_shift));
        must(!f.seen_ack || before_eq(Seq{f.last_ack}, Seq{acked}), "ACK goes back");
        must(!f.seen_ack || f.edge_may_shrink || before_eq(Seq{f.right_edge}, Seq{edge}), "right edge goes back");
        if (f.held) must(before_eq(Seq{acked}, Seq{f.rcv_durable}), "ACK above what is durable");
        f.last_ack = acked;
        f.right_edge = edge;
        f.seen_ack = true;
    }
    if (f.held && p.tcp_length() != 0) must(before_eq(Seq{end}, Seq{f.snd_durable}), "sends what is not durable");
    if (!t.payload.empty()) {
        must(before_eq(Seq{end}, Seq{f.peer_edge + ((t.flags & flag::fin) != 0 ? 1U : 0U)}) || t.payload.size() == 1,
             "sends beyond the peer's window");
        if (check_content) {
            must(t.payload == pattern_bytes(Side::stack, seq + (is_syn ? 1U : 0U), t.payload.size()), "content");
        }
        must(t.payload.size() <= f.offers_mss.value_or(1220), "larger than the peer's MSS");
    }
}

// --- what must come ---

namespace {

template <class T>
void compare(std::string& out, const char* what, const std::optional<T>& want, std::uint64_t have) {
    if (!want || *want == have) return;
    out += std::string(out.empty() ? "" : ", ") + what + " is " + std::to_string(have);
}

}  // namespace

std::string Fixture::mismatch(const Segment& s, const Packet& p, const Flow& f) const {
    if (!p.tcp) return "not TCP";
    const TcpFields& t = *p.tcp;
    std::string out;
    if (t.dst_port != f.peer_port || t.src_port != f.stack_port) out = "another connection";
    const auto flags = static_cast<std::uint8_t>(s.psh_matters ? t.flags : t.flags & ~flag::psh);
    if (s.flags_value && *s.flags_value != flags) out += " flags are " + flags_text(t.flags);
    compare(out, "seq", s.seq_value, t.seq - f.stack_iss.value_or(0));
    compare(out, "ack", s.ack_value, t.ack - f.iss);
    compare(out, "window", s.window_value, t.window);
    compare(out, "length", s.length_value, t.payload.size());
    if (s.mss_value && s.mss_value != t.mss) out += " MSS option";
    if (s.wscale_value && s.wscale_value != t.wscale) out += " window scale option";
    if (s.ts_value && s.ts_value != t.ts) out += " timestamps";
    if (s.without_ts && t.ts) out += " has timestamps";
    if (s.sack_permitted && !t.sack_permitted) out += " no SACK permitted";
    if (s.payload_value && *s.payload_value != t.payload) out += " payload";
    for (const Segment::Check& check : s.checks) {
        if (!check.holds(t, f)) out += " does not hold: " + check.what;
    }
    return out;
}

void Fixture::note_received(const Packet& p) {
    if (!p.tcp) return;
    Flow* f = flow_of(p.tcp->dst_port, p.tcp->src_port);
    if (f == nullptr || !f->stack_iss || (p.tcp->flags & flag::rst) != 0) return;
    const std::uint32_t seq = p.tcp->seq - *f->stack_iss;
    const std::uint32_t end = seq + p.tcp_length();
    if (before_eq(Seq{seq}, Seq{f->rcv_nxt}) && before(Seq{f->rcv_nxt}, Seq{end})) f->rcv_nxt = end;
    if (p.tcp->ts) f->ts_recent = p.tcp->ts->first;
}

std::optional<Packet> Fixture::take() {
    if (sent_.empty()) return std::nullopt;
    Packet p = std::move(sent_.front().packet);
    taken_at_ = sent_.front().when;
    sent_.pop_front();
    note_received(p);
    return p;
}

Packet Fixture::expect_packet() {
    auto p = take();
    if (!p) FAIL("expected a packet, nothing was sent\n" << diary());
    if (taken_at_ != now_) FAIL("expected a packet now; it was sent earlier: " << p->text() << "\n" << diary());
    return *std::move(p);
}

Fixture& Fixture::expect(const Segment& s) {
    const auto p = take();
    if (!p) FAIL("expected " << s.text() << ", nothing was sent\n" << diary());
    if (taken_at_ != now_) FAIL("expected " << s.text() << " now, but earlier came " << p->text() << "\n" << diary());
    const std::string problem = mismatch(s, *p, flow());
    if (!problem.empty()) FAIL("expected " << s.text() << ", but " << problem << ": " << p->text() << "\n" << diary());
    CHECK(problem.empty());
    return *this;
}

std::optional<Packet> Fixture::wait(Duration until) {
    const Instant limit = mark_ + until;
    while (sent_.empty()) {
        const Instant next = stack_->next_deadline();
        if (next > limit) {
            run_to(limit);
            break;
        }
        run_to(later(now_, next));
    }
    return take();
}

Fixture& Fixture::expect_between(Duration from, Duration to, const Segment& s) {
    auto p = wait(to);
    if (!p) FAIL("expected " << s.text() << " until " << to.us() << " us, nothing was sent\n" << diary());
    const std::string problem = mismatch(s, *p, flow());
    if (!problem.empty()) FAIL("expected " << s.text() << ", but " << problem << ": " << p->text() << "\n" << diary());
    if (taken_at_ < mark_ + from) FAIL("too early: " << p->text() << "\n" << diary());
    CHECK(problem.empty());
    return *this;
}

Fixture& Fixture::expect_silence() {
    if (!sent_.empty()) FAIL("expected silence: " << sent_.front().packet.text() << "\n" << diary());
    CHECK(sent_.empty());
    return *this;
}

Fixture& Fixture::expect_silence_until(Duration since_mark) { return expect_silence().at(since_mark).expect_silence(); }

Fixture& Fixture::expect(TcpPhase phase) {
    const TcpConnectionState* c = connection();
    const TcpPhase have = c == nullptr ? TcpPhase::closed : c->phase;
    if (have != phase) FAIL("phase is " << keepnet::name(have) << ", not " << keepnet::name(phase) << "\n" << diary());
    CHECK(have == phase);
    return *this;
}

Fixture& Fixture::expect_dropped(DropReason reason, std::uint64_t times) {
    INFO(diary());
    const auto i = static_cast<std::size_t>(reason);
    CHECK(drops(reason) - drops_seen_[i] == times);
    drops_seen_[i] = drops(reason);
    return *this;
}

Packet Fixture::expect_icmp(std::uint8_t type, std::uint8_t code) {
    Packet p = expect_packet();
    if (!p.icmp || p.icmp->type != type || p.icmp->code != code) {
        FAIL("expected ICMPv6 " << unsigned{type} << "/" << unsigned{code} << ": " << p.text() << "\n" << diary());
    }
    return p;
}

Fixture& Fixture::ignore_output() {
    while (take()) {
    }
    return *this;
}

std::vector<Packet> Fixture::take_nd() { return std::exchange(nd_, {}); }

const TcpConnectionState* Fixture::connection() {
    const TcpConnectionState* found = nullptr;
    world().connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        if (!c.tombstone && c.local.port == flow().stack_port && c.remote.port == flow().peer_port) found = &c;
    });
    return found;
}

/// TCP in relative numbers, everything else as it is.
void Fixture::write_down(const char* way_of_it, const Packet& p) {
    std::string line = way_of_it + std::to_string((now_ - mark_).us()) + " us ";
    const bool is_sent = *way_of_it == '<';
    const Flow* f = !p.tcp ? nullptr : is_sent ? flow_of(p.tcp->dst_port, p.tcp->src_port)
                                               : flow_of(p.tcp->src_port, p.tcp->dst_port);
    if (f == nullptr) {
        diary_.push_back(line + p.text());
        return;
    }
    const TcpFields& t = *p.tcp;
    const std::uint32_t ours = f->stack_iss.value_or(is_sent && (t.flags & flag::syn) != 0 ? t.seq : 0);
    line += flags_text(t.flags) + " seq=" + std::to_string(t.seq - (is_sent ? ours : f->iss));
    if ((t.flags & flag::ack) != 0) line += " ack=" + std::to_string(t.ack - (is_sent ? f->iss : ours));
    line += " win=" + std::to_string(t.window) + " len=" + std::to_string(t.payload.size());
    if (t.ts) line += " ts=" + std::to_string(t.ts->first) + "," + std::to_string(t.ts->second);
    if (flows_.size() > 1) line += " (port " + std::to_string(f->peer_port) + ")";
    diary_.push_back(std::move(line));
}

std::string Fixture::diary() const {
    std::string out = std::string("way: ") + test::name(way_) + ", the wire (> to the stack, < from it):\n";
    const std::size_t first = diary_.size() > 60 ? diary_.size() - 60 : 0;
    for (std::size_t i = first; i < diary_.size(); ++i) out += "  " + diary_[i] + "\n";
    return out;
}

// --- the application ---

Fixture& Fixture::app_listens(std::uint16_t port, std::uint32_t backlog) {
    auto s = stack().open_tcp();
    REQUIRE(s.has_value());
    s = stack().bind(*s, {.port = port});
    REQUIRE(s.has_value());
    s = stack().listen(*s, backlog);
    REQUIRE(s.has_value());
    listener = *s;
    return settle();
}

Fixture& Fixture::app_connects() {
    if (!socket) {
        const auto s = stack().open_tcp();
        REQUIRE(s.has_value());
        socket = *s;
    }
    REQUIRE(stack().connect(socket, {.address = peer, .port = flow().peer_port}).has_value());
    flow().stack_port = stack().info(socket)->local.port;
    return settle();
}

Fixture& Fixture::app_accepts() {
    const auto s = stack().accept(listener);
    INFO(diary());
    REQUIRE(s.has_value());
    socket = *s;
    return settle();
}

std::size_t Fixture::app_offers(std::size_t n) {
    const Bytes bytes = pattern_bytes(Side::stack, info().tx_accepted + 1, n);
    const auto took = stack().send(socket, bytes);
    settle();
    return took.value_or(0);
}

Fixture& Fixture::app_sends(std::size_t n, bool more) {
    const Bytes bytes = pattern_bytes(Side::stack, info().tx_accepted + 1, n);
    const auto took = stack().send(socket, bytes, more);
    INFO(diary());
    REQUIRE(took.has_value());
    REQUIRE(*took == n);
    return settle();
}

Fixture& Fixture::app_reads(std::size_t n) {
    if (n == 0) return *this;
    const Bytes want = pattern_bytes(Side::peer, info().rx_consumed + 1, n);
    Bytes have(n);
    const auto got = stack().receive(socket, have);
    INFO(diary());
    REQUIRE(got.has_value());
    REQUIRE(*got == n);
    REQUIRE(have == want);
    return settle();
}

std::size_t Fixture::readable() { return info().receive_queue_bytes; }

Fixture& Fixture::expect_readable(std::size_t n) {
    INFO(diary());
    CHECK(readable() == n);
    return *this;
}

Fixture& Fixture::expect_end_of_stream() {
    std::uint8_t byte = 0;
    INFO(diary());
    const auto got = stack().receive(socket, {&byte, 1});
    REQUIRE(!got.has_value());
    CHECK(keepnet::name(got.error()) == keepnet::name(Error::end_of_stream));
    CHECK(stack().readiness(socket)->has(Readiness::peer_closed));
    return *this;
}

Fixture& Fixture::expect_error(Error error) {
    INFO(diary());
    const auto got = stack().take_error(socket);
    REQUIRE(got.has_value());
    CHECK(keepnet::name(*got) == keepnet::name(error));
    return *this;
}

Fixture& Fixture::app_shuts_down(CloseDirection direction) {
    REQUIRE(stack().shutdown(socket, direction).has_value());
    return settle();
}

Fixture& Fixture::app_closes() {
    REQUIRE(stack().close(std::exchange(socket, {})).has_value());
    return settle();
}

Fixture& Fixture::app_aborts() {
    REQUIRE(stack().abort(std::exchange(socket, {})).has_value());
    return settle();
}

Fixture& Fixture::set(SocketOption option, std::int64_t value) {
    REQUIRE(stack().set_option(socket ? socket : listener, option, value).has_value());
    return settle();
}

SocketInfo Fixture::info() {
    const auto i = stack().info(socket);
    REQUIRE(i.has_value());
    return *i;
}

}  // namespace keepnet::test
