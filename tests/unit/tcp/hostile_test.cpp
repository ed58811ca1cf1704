// Nothing that arrives, in any order, and nothing that the application does meanwhile, breaks an invariant:
// after each poll every connection and listener is one that a snapshot may hold, and what is derived equals
// what rebuild() makes.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <random>

#include "base/checksum.hpp"
#include "unit/tcp/pair.hpp"
#include "wire/bytes.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr std::size_t tcp_at = 54;

void fix_checksum(Bytes& f) {
    const Ipv6Address src = wire::load_ipv6(f, 22), dst = wire::load_ipv6(f, 38);
    const MutableBytes tcp = MutableBytes(f).subspan(tcp_at);
    wire::store_u16(tcp, 16, 0);
    Checksum sum = pseudo_header(src, dst, static_cast<std::uint32_t>(tcp.size()), 6);
    sum.add(tcp);
    wire::store_u16(tcp, 16, sum.fold());
}

/// Changes a field to something near, at an edge, or random.
void mutate(Bytes& f, std::mt19937& random) {
    const MutableBytes tcp = MutableBytes(f).subspan(tcp_at);
    const auto nudge = [&](std::uint32_t v) -> std::uint32_t {
        switch (random() % 5) {
            case 0:
                return v + 1;
            case 1:
                return v - 1;
            case 2:
                return v + static_cast<std::uint32_t>(random() % 100'000);
            case 3:
                return v - static_cast<std::uint32_t>(random() % 100'000);
            default:
                return static_cast<std::uint32_t>(random());
        }
    };
    for (unsigned n = 1 + random() % 2; n != 0; --n) {
        switch (random() % 6) {
            case 0:
                wire::store_u32(tcp, 4, nudge(wire::load_u32(tcp, 4)));
                break;
            case 1:
                wire::store_u32(tcp, 8, nudge(wire::load_u32(tcp, 8)));
                break;
            case 2:
                tcp[13] = static_cast<std::uint8_t>(tcp[13] ^ 1U << random() % 8);
                break;
            case 3:
                wire::store_u16(tcp, 14, static_cast<std::uint16_t>(random() % 3 == 0 ? 0 : random()));
                break;
            case 4:
                tcp[12] = static_cast<std::uint8_t>(random());
                break;
            default:
                if (tcp.size() > 20)
                    tcp[20 + random() % (tcp.size() - 20)] = static_cast<std::uint8_t>(random());
        }
    }
    fix_checksum(f);
}

void check_invariants(Host& h) {
    World& w = h.core().world;
    tcp::Tables& t = h.core().tcp_tables;
    std::uint64_t granted = 0;
    std::uint32_t tombstones = 0;
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        const TcpConnectionState& c = w.connections.get(i);
        INFO("connection " << i << " phase " << static_cast<int>(c.phase));
        REQUIRE(tcp::is_sane(w, i));
        granted += t.extra[i].granted;
        tombstones += c.tombstone ? 1 : 0;
        const std::uint32_t found = t.pairs.find(w.connections, c.local, c.remote);
        REQUIRE((t.extra[i].in_pairs ? found == i : found != i));
        // Who has something to send, and is not waiting for a timer, is in the run set.
        if (tcp::has_something_to_send(c) && !t.run.test(i)) FAIL("forgotten by the run set");
        if (c.policy != DurabilityPolicy::none && !tcp::is_dead(c)) {
            REQUIRE(t.held.test(i) == tcp::is_past_marks(c));
            // DURABILITY 1: nothing was sent above the marks.
            REQUIRE(before_eq(c.snd.max, c.marks.snd_durable));
            REQUIRE(before_eq(c.rcv.acked, c.marks.rcv_durable));
        }
        // Whatever is under way has a deadline.
        if (tcp::is_synchronized(c) && after(c.snd.max, c.snd.una) && !t.run.test(i)) {
            REQUIRE((c.timers.retransmit != never || c.timers.persist != never));
        }
    }
    REQUIRE(granted == t.granted_total);
    REQUIRE(tombstones == t.tombstones);
    for (std::uint32_t i = w.listeners.next(0); i != BitTree::none; i = w.listeners.next(i + 1)) {
        REQUIRE(tcp::is_listener_sane(w, i));
    }
    // The ports that are in use are those that rebuild() finds.
    auto cx = h.core().tcp_context();
    const std::uint32_t uses = t.port_uses[80];
    const Instant wanted = tcp::commit_wanted(cx);
    tcp::rebuild(cx);
    REQUIRE(t.port_uses[80] == uses);
    REQUIRE(t.granted_total == granted);
    REQUIRE(t.tombstones == tombstones);
    REQUIRE(tcp::commit_wanted(cx) == wanted);
}

struct Actor {
    Host& h;
    std::mt19937& random;
    std::vector<SocketHandle> sockets{};
    SocketHandle listener{};

    void act(const Ipv6Address& other) {
        std::array<std::uint8_t, 3000> bytes{};
        if (!listener || random() % 60 == 0) {
            if (listener) (void)h.stack.close(listener);
            listener = h.stack.open_tcp().value_or(SocketHandle{});
            if (!listener || !h.stack.bind(listener, {.port = 80}) ||
                !h.stack.listen(listener, 1 + static_cast<std::uint32_t>(random() % 3))) {
                if (listener) (void)h.stack.close(listener);
                listener = {};
            }
        }
        if (sockets.size() < 12 && random() % 3 == 0) {
            if (const auto s = h.stack.open_tcp()) {
                sockets.push_back(*s);
                (void)h.stack.connect(*s, {.address = other, .port = 80});
            }
        }
        if (listener && sockets.size() < 20) {
            if (const auto s = h.stack.accept(listener)) sockets.push_back(*s);
        }
        for (std::size_t i = 0; i < sockets.size(); ++i) {
            const SocketHandle s = sockets[i];
            switch (random() % 24) {
                case 0:
                case 1:
                case 2:
                case 3:
                    (void)h.stack.send(s, ByteView(bytes.data(), random() % bytes.size()), random() % 4 == 0);
                    break;
                case 4:
                case 5:
                case 6:
                case 7:
                    (void)h.stack.receive(s, MutableBytes(bytes.data(), random() % bytes.size()));
                    break;
                case 8:
                    (void)h.stack.shutdown(s, static_cast<CloseDirection>(1 + random() % 3));
                    break;
                case 9:
                    (void)h.stack.set_option(s, SocketOption::receive_buffer,
                                             4096 + static_cast<std::int64_t>(random() % 100'000));
                    break;
                case 10:
                    (void)h.stack.set_option(s, SocketOption::cork, random() % 2);
                    break;
                case 11:
                    (void)h.stack.set_option(s, SocketOption::keep_alive, random() % 2);
                    break;
                case 12:
                    (void)h.stack.set_option(s, SocketOption::keep_alive_idle, 1'000'000'000);
                    break;
                case 13:
                    (void)h.stack.set_option(s, SocketOption::no_delay, random() % 2);
                    break;
                case 14:
                    (void)(random() % 3 == 0 ? h.stack.abort(s) : h.stack.close(s));
                    sockets.erase(sockets.begin() + static_cast<std::ptrdiff_t>(i--));
                    break;
                default:
                    break;
            }
        }
    }
    void commit() {
        switch (random() % 4) {
            case 0:
                (void)h.stack.cut();
                break;
            case 1:
            case 2: {
                const auto& outstanding = h.core().world.cuts().outstanding;
                const CutNumber n = outstanding[random() % 2];
                if (n != 0) (void)(random() % 5 == 0 ? h.stack.abandoned(n) : h.stack.committed(n));
                break;
            }
            default:
                (void)h.stack.sweep();
        }
    }
};

}  // namespace

TEST_CASE("Random segments, random calls, random commits: every invariant holds after every poll") {
    const auto seed = GENERATE(range(1U, 25U));
    INFO("seed " << seed);
    std::mt19937 random(seed);
    StackConfig config = Pair::small();
    config.policy = seed % 2 == 0 ? DurabilityPolicy::snapshot : DurabilityPolicy::none;
    config.capacity.tcp_connections = 24;
    config.capacity.tcp_tombstones = 4;
    config.capacity.packet_buffers = seed % 3 == 0 ? 64 : 512;
    config.capacity.slice_nodes = seed % 5 == 0 ? 64 : 1024;
    config.tcp.listen_half_open = 2;
    config.tcp.receive_buffer = seed % 4 == 0 ? 300'000 : 20'000;
    config.tcp.send_buffer = 20'000;
    config.tcp.msl = milliseconds(500);
    Pair p(config);
    const unsigned badness = seed % 7 * 4;
    p.wire = [&](bool, const Bytes& frame) -> std::vector<Duration> {
        (void)frame;
        const auto dice = static_cast<unsigned>(random() % 100);
        if (dice < 5) return {};
        const Duration d = microseconds(static_cast<std::int64_t>(100 + random() % 5000));
        if (dice < 9) return {d, d + milliseconds(static_cast<std::int64_t>(random() % 30))};
        return {d};
    };
    p.spoil = [&](Bytes& frame) {
        if (peek_frame(frame).is_tcp && random() % 100 < badness) mutate(frame, random);
    };
    Actor a{p.a, random}, b{p.b, random};
    p.each_poll = [&] {
        check_invariants(p.a);
        check_invariants(p.b);
    };
    for (int step = 0; step < 400; ++step) {
        a.act(p.b.address);
        b.act(p.a.address);
        if (config.policy == DurabilityPolicy::snapshot) {
            a.commit();
            b.commit();
        }
        p.run(random() % 20 == 0 ? milliseconds(static_cast<std::int64_t>(random() % 3000))
                                 : microseconds(static_cast<std::int64_t>(random() % 8000)));
    }
    CHECK(p.a.stack.statistics().tcp_segments_received > 100);
}
