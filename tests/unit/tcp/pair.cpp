#include "unit/tcp/pair.hpp"

#include <algorithm>
#include <array>

#include <catch2/catch_test_macros.hpp>

#include "wire/bytes.hpp"

namespace keepnet::test {

namespace {

CreateOptions create_options(std::uint8_t number) {
    CreateOptions o;
    o.now = Instant{1'000'000'000};
    o.arena_is_zeroed = true;
    for (std::size_t i = 0; i < o.entropy.size(); ++i)
        o.entropy[i] = static_cast<std::uint8_t>(number * 37 + i);
    return o;
}

}  // namespace

Host::Host(const StackConfig& config, std::uint8_t number)
    : device(MacAddress{{0x02, 0, 0, 0, 0, number}}),
      arena(Stack::arena_bytes(config)),
      stack(Stack::create(arena.span(), config, create_options(number)).value()),
      address(Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, number})) {
    InterfaceConfig interface;
    interface.link_local = false;
    const auto nic = stack.attach_device(device, interface);
    REQUIRE(nic);
    REQUIRE(stack.add_address(*nic, address, 64));
}

Host::~Host() {
    // Every socket gone, every connection forgotten: then nothing may hold a buffer.
    for (SocketHandle s = stack.next_socket({}); s; s = stack.next_socket({})) (void)stack.abort(s);
    World& w = core().world;
    const CutNumber last = w.cuts().current;
    auto cx = core().tcp_context();
    tcp::on_committed(cx, last);
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        TcpConnectionState& c = w.connections.edit(i);
        c.rst_owed = false;
        c.cookie_until = never;  // nor remembered as one that a cookie made
        tcp::end_connection(cx, c, Error::connection_aborted, Verdict::closed);
        tcp::settle(cx, c);
        tcp::on_committed(cx, last);
    }
    link::discard(cx, 1);
    for (std::uint32_t i = w.pending_packets.next(0); i != BitTree::none; i = w.pending_packets.next(i + 1)) {
        const PendingPacketState& p = w.pending_packets.get(i);
        for (std::size_t k = 0; k < p.slice_count; ++k) w.pool.release(p.slices[k].buffer);
    }
    w.pool.unpark(UINT32_MAX);
    CHECK(w.connections.in_use() == 0);
    CHECK(w.slice_nodes.in_use() == 0);
    CHECK(w.pool.in_use() == 0);
    CHECK(core().tcp_tables.granted_total == 0);
    CHECK(core().tcp_tables.tombstones == 0);
}

StackConfig Pair::small() {
    StackConfig c;
    c.capacity.tcp_connections = 64;
    c.capacity.tcp_tombstones = 16;
    c.capacity.sockets = 64;
    c.capacity.slice_nodes = 4096;
    c.capacity.packet_buffers = 2048;
    c.capacity.neighbors = 16;
    c.capacity.shadow_objects = 1024;
    c.nd.dad_transmits = 0;
    return c;
}

Pair::Pair(const StackConfig& config) : Pair(config, config) {}
Pair::Pair(const StackConfig& a_config, const StackConfig& b_config) : a(a_config, 1), b(b_config, 2) {}

void Pair::collect(Host& from, bool from_a) {
    auto& out = from.device.from_stack;
    while (!out.empty()) {
        const Bytes frame = std::move(out.front());
        out.pop_front();
        const std::vector<Duration> arrivals = wire ? wire(from_a, frame) : std::vector<Duration>{delay};
        for (const Duration d : arrivals) {
            flying_.push_back({now + d, order_++, from_a, frame});
            if (spoil) spoil(flying_.back().frame);
        }
    }
}

bool Pair::deliver() {
    std::sort(flying_.begin(), flying_.end(), [](const Flying& x, const Flying& y) {
        return std::pair(x.at.ns, x.order) < std::pair(y.at.ns, y.order);
    });
    bool any = false;
    while (!flying_.empty() && flying_.front().at <= now) {
        (flying_.front().to_b ? b : a).device.to_stack.push_back(std::move(flying_.front().frame));
        flying_.erase(flying_.begin());
        any = true;
    }
    return any;
}

void Pair::settle() {
    for (int rounds = 0; rounds < 10'000; ++rounds) {
        deliver();
        const PollResult ra = a.stack.poll(now);
        const PollResult rb = b.stack.poll(now);
        collect(a, true);
        collect(b, false);
        if (each_poll) each_poll();
        const bool more = a.stack.next_deadline() <= now || b.stack.next_deadline() <= now ||
                          (!flying_.empty() && std::any_of(flying_.begin(), flying_.end(),
                                                           [&](const Flying& f) { return f.at <= now; }));
        if (!more && ra.frames_received == 0 && rb.frames_received == 0 && a.device.from_stack.empty() &&
            b.device.from_stack.empty()) {
            return;
        }
    }
    FAIL("a stack is never done");
}

bool Pair::run_until(const std::function<bool()>& holds, Duration limit) {
    const Instant end = now + limit;
    for (;;) {
        settle();
        if (holds()) return true;
        Instant next = earlier(a.stack.next_deadline(), b.stack.next_deadline());
        for (const Flying& f : flying_) next = earlier(next, f.at);
        if (next > end) {
            now = end;
            settle();
            return holds();
        }
        now = later(next, now + nanoseconds(1));
    }
}

void Pair::run(Duration d) {
    (void)run_until([] { return false; }, d);
}

void Pair::connect() {
    listener = b.stack.open_tcp().value();
    REQUIRE(b.stack.bind(listener, {.port = 80}));
    REQUIRE(b.stack.listen(listener, 8));
    client = a.stack.open_tcp().value();
    REQUIRE(a.stack.connect(client, {.address = b.address, .port = 80}));
    REQUIRE(run_until([&] { return b.stack.readiness(listener)->has(Readiness::readable); }, seconds(20)));
    server = b.stack.accept(listener).value();
    REQUIRE(run_until([&] { return a.stack.readiness(client)->has(Readiness::connected); }, seconds(20)));
}

void pump_send(Host& h, SocketHandle s, std::uint64_t& sent, std::uint64_t n) {
    std::array<std::uint8_t, 4096> chunk{};
    while (sent < n) {
        const std::size_t len = std::min<std::uint64_t>(chunk.size(), n - sent);
        for (std::size_t i = 0; i < len; ++i) chunk[i] = stream_byte(sent + i);
        const auto took = h.stack.send(s, ByteView(chunk.data(), len));
        if (!took) {
            CHECK(took.error() == Error::would_block);
            return;
        }
        sent += *took;
    }
}

bool pump_receive(Host& h, SocketHandle s, std::uint64_t& got) {
    std::array<std::uint8_t, 8192> chunk{};
    for (;;) {
        const auto n = h.stack.receive(s, chunk);
        if (!n) return true;
        for (std::size_t i = 0; i < *n; ++i) {
            if (chunk[i] != stream_byte(got + i)) return false;
        }
        got += *n;
    }
}

Peeked peek_frame(const Bytes& frame) {
    Peeked p;
    if (frame.size() < 74 || frame[12] != 0x86 || frame[20] != 6) return p;
    const ByteView tcp(frame.data() + 54, frame.size() - 54);
    p.is_tcp = true;
    p.seq = Seq{wire::load_u32(tcp, 4)};
    p.ack = Seq{wire::load_u32(tcp, 8)};
    p.flags = tcp[13];
    p.window = wire::load_u16(tcp, 14);
    p.payload = tcp.size() - (std::size_t{tcp[12]} >> 4) * 4;
    return p;
}

}  // namespace keepnet::test
