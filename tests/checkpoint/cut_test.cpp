// What a cut promises (DURABILITY 5): its content is the state of one instant, whatever is edited while it is read.
#include <catch2/catch_test_macros.hpp>

#include <random>
#include <thread>

#include "durability/cut.hpp"
#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::durability;
using Got = CutReader::Got;

namespace {

template <class S>
ObjectValue read_as(const CutReader& reader, const Image& image) {
    S object;
    REQUIRE(image.bytes.size() == sizeof(S));
    std::memcpy(static_cast<void*>(&object), image.bytes.data(), sizeof(S));
    return value_of(image.header.generation, object, [&](const Slice& s) { return reader.view(s); });
}

ObjectValue read_object(const CutReader& reader, const Image& image) {
    switch (image.header.kind) {
        case StateKind::stack: return read_as<StackState>(reader, image);
        case StateKind::statistics: return read_as<Statistics>(reader, image);
        case StateKind::interface: return read_as<InterfaceState>(reader, image);
        case StateKind::address: return read_as<AddressState>(reader, image);
        case StateKind::route: return read_as<RouteState>(reader, image);
        case StateKind::neighbor: return read_as<NeighborState>(reader, image);
        case StateKind::pending_packet: return read_as<PendingPacketState>(reader, image);
        case StateKind::destination: return read_as<DestinationState>(reader, image);
        case StateKind::socket: return read_as<SocketState>(reader, image);
        case StateKind::tcp_connection: return read_as<TcpConnectionState>(reader, image);
        case StateKind::tcp_listener: return read_as<TcpListenerState>(reader, image);
        case StateKind::udp_socket: return read_as<UdpSocketState>(reader, image);
        case StateKind::datagram: return read_as<DatagramState>(reader, image);
        case StateKind::slice_node: return read_as<SliceNodeState>(reader, image);
        case StateKind::sent_range: return read_as<SentRangeState>(reader, image);
        case StateKind::invalid:
        case StateKind::count_: break;
    }
    FAIL("an image of no kind");
    return {};
}

/// Takes up to `most` images. True: the cut has ended.
bool read_some(CutReader& reader, Content& content, std::size_t most) {
    for (Image image; most-- != 0;) {
        const Got got = reader.next(image);
        if (got == Got::nothing_yet) return false;
        if (got == Got::end) return true;
        REQUIRE(got == Got::image);
        const ObjectKey key{image.header.kind, image.header.index};
        REQUIRE(content.empty() == (key.first == StateKind::stack));
        REQUIRE((content.empty() || content.rbegin()->first < key));
        content[key] = read_object(reader, image);
        reader.pop();
    }
    return false;
}

Content read_all(World& w, SweepQueue& queue, CutNumber cut) {
    CutReader reader(w, queue, cut);
    Content content;
    while (!read_some(reader, content, 8)) sweep(w, queue, 3);
    return content;
}

/// Random edits of the kinds that a step makes: in place, objects that come and go, buffers that are freed and used
/// again at once.
class Editor {
  public:
    Editor(Sample& sample, std::uint64_t seed) : s_(sample), random_(seed) {}

    void edit() {
        World& w = s_.w();
        switch (below(7)) {
            case 0: ++w.count().frames_received; break;
            case 1: w.neighbors.edit(below(2)).last_used.ns += 1; break;
            case 2: w.connections.edit(below(3)).snd.wnd += 1; break;
            case 3: w.sockets.edit(below(4)).options.traffic_class ^= 1; break;
            case 4: come_or_go(w.destinations, [](DestinationState& d) { d.path_mtu = 1300; }); break;
            case 5: come_or_go(w.routes, [](RouteState& r) { r.prefix_length = 9; }); break;
            case 6: queue_or_free(); break;
            default: break;
        }
    }

  private:
    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

    template <class T, class F>
    void come_or_go(Slab<T>& slab, F&& f) {
        const std::uint32_t i = below(slab.capacity());
        if (slab.is_live(i)) {
            slab.destroy(i);
        } else if (const auto handle = slab.create()) {
            f(slab.edit(handle));
        }
    }
    /// Entries beside the sample's own, which come first.
    void queue_or_free() {
        World& w = s_.w();
        const std::uint32_t i = 5 + below(20);
        if (w.slice_nodes.is_live(i)) {
            w.pool.release(w.slice_nodes.get(i).slice.buffer);
            w.slice_nodes.destroy(i);
        } else if (w.slice_nodes.available() != 0 && w.pool.available() > 2) {
            const auto bytes = static_cast<std::uint16_t>(1 + below(500));
            s_.node(s_.slice(static_cast<std::uint16_t>(below(100)), bytes, static_cast<std::uint8_t>(random_())), {}, {});
        }
    }

    Sample& s_;
    std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("a cut holds the state of its instant, whatever is edited until it is read") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        INFO("seed " << seed);
        Sample sample;
        World& w = sample.w();
        SweepQueue& queue = sample.core().sweep_queue;
        Editor editor(sample, seed);
        std::mt19937_64 random(seed * 977);
        for (int round = 0; round < 4; ++round) {
            for (auto n = random() % 60; n-- != 0;) editor.edit();
            const Content expected = content_of(w);
            const auto n = cut(w, queue, w.stack().now);
            REQUIRE(n.has_value());
            Content swept;
            bool ended = false;
            {
                CutReader reader(w, queue, *n);
                while (!ended) {
                    for (auto k = random() % 6; k-- != 0;) editor.edit();
                    if (random() % 4 == 0) ++w.cuts().current;  // a number without a cut
                    sweep(w, queue, 1 + static_cast<std::uint32_t>(random() % 8));
                    for (auto k = random() % 6; k-- != 0;) editor.edit();
                    ended = read_some(reader, swept, random() % 12);
                }
            }
            REQUIRE(swept == expected);
            // Everything may be freed again once the reader is through.
            const std::uint32_t in_use = w.pool.in_use();
            while (sweep(w, queue, 100)) {}
            REQUIRE(w.pool.parked() == 0);
            REQUIRE(w.pool.in_use() == in_use);
            if (random() % 2 == 0) {
                committed(w, queue, *n);
            } else {
                abandoned(w, queue, *n);
            }
        }
    }
}

TEST_CASE("a buffer that an unread cut needs is parked when it is freed, a later one is not") {
    Sample sample;
    World& w = sample.w();
    SweepQueue& queue = sample.core().sweep_queue;
    const std::uint32_t free_before = w.pool.available();
    const Slice old = sample.slice(0, 10, 1);
    const auto n = cut(w, queue, w.stack().now);
    const Slice young = sample.slice(0, 10, 2);
    w.pool.release(young.buffer);
    REQUIRE(w.pool.parked() == 0);
    w.pool.release(old.buffer);
    REQUIRE(w.pool.parked() == 1);
    REQUIRE(w.pool.available() == free_before - 1);
    REQUIRE(sample.slice(0, 1, 3).buffer != old.buffer);
    {
        CutReader reader(w, queue, *n);
        while (sweep(w, queue, 100)) {}
        REQUIRE(w.pool.parked() == 1);
    }
    sweep(w, queue, 1);
    REQUIRE(w.pool.parked() == 0);
}

TEST_CASE("cuts are taken one after the other, and two may wait for their commit") {
    Sample sample;
    World& w = sample.w();
    SweepQueue& queue = sample.core().sweep_queue;
    const auto first = cut(w, queue, w.stack().now);
    REQUIRE(first.has_value());
    REQUIRE(cut(w, queue, w.stack().now).error() == Error::cut_unread);
    const Content one = read_all(w, queue, *first);
    ++w.count().frames_sent;
    const Content expected = content_of(w);
    const auto second = cut(w, queue, w.stack().now);
    REQUIRE(second.has_value());
    const Content two = read_all(w, queue, *second);
    REQUIRE(two == expected);
    REQUIRE(one != two);
    REQUIRE(cut(w, queue, w.stack().now).error() == Error::too_many_cuts);
    REQUIRE(is_outstanding(w, *first));
    REQUIRE(is_outstanding(w, *second));

    SECTION("a commit implies the earlier ones") {
        committed(w, queue, *second);
        REQUIRE_FALSE(is_outstanding(w, *first));
        REQUIRE_FALSE(is_outstanding(w, *second));
        REQUIRE(w.statistics.get(0U).cuts_committed == 2);
    }
    SECTION("the earlier one alone") {
        committed(w, queue, *first);
        REQUIRE_FALSE(is_outstanding(w, *first));
        REQUIRE(is_outstanding(w, *second));
    }
    SECTION("giving one up says nothing about the other") {
        abandoned(w, queue, *second);
        REQUIRE(is_outstanding(w, *first));
        REQUIRE(w.statistics.get(0U).cuts_abandoned == 1);
    }
    REQUIRE(cut(w, queue, w.stack().now).has_value());
}

TEST_CASE("a cut with more changes behind it than shadows fails, the stack goes on") {
    StackConfig config = sample_config();
    config.capacity.shadow_objects = 2;
    Sample sample(config);
    const auto n = sample.stack->cut();
    for (std::uint32_t i = 0; i < 3; ++i) sample.w().connections.edit(i).snd.wnd += 1;
    checkpoint::VectorSink sink;
    const auto encoded = checkpoint::encode(*sample.stack, *n, {}, sink);
    REQUIRE(encoded.error().code == checkpoint::Code::cut_overrun);
    REQUIRE(sample.stack->abandoned(*n).has_value());
    // The next one is whole.
    const Content expected = content_of(sample.w());
    const auto next = sample.stack->cut();
    REQUIRE(next.has_value());
    REQUIRE(read_all(sample.w(), sample.core().sweep_queue, *next) == expected);
}

TEST_CASE("a cut that nobody reads is over with its commit or its end") {
    Sample sample;
    World& w = sample.w();
    const auto n = sample.stack->cut();
    ++w.count().frames_sent;
    SECTION("committed") { REQUIRE(sample.stack->committed(*n).has_value()); }
    SECTION("abandoned") { REQUIRE(sample.stack->abandoned(*n).has_value()); }
    REQUIRE(w.cuts().unread == 0);
    REQUIRE_FALSE(w.cuts().sweeping);
    const Content expected = content_of(w);
    const auto next = sample.stack->cut();
    REQUIRE(next.has_value());
    REQUIRE(read_all(w, sample.core().sweep_queue, *next) == expected);
}

TEST_CASE("an encoder that is given up leaves the stack free to cut again") {
    Sample sample;
    const auto n = sample.stack->cut();
    {
        checkpoint::VectorSink sink;
        checkpoint::Encoder encoder(*sample.stack, *n, {}, sink);
        REQUIRE(encoder.step().has_value());
        sample.stack->sweep();
    }
    REQUIRE(sample.stack->abandoned(*n).has_value());
    const Content expected = content_of(sample.w());
    const auto next = sample.stack->cut();
    REQUIRE(next.has_value());
    REQUIRE(read_all(sample.w(), sample.core().sweep_queue, *next) == expected);
}

TEST_CASE("numbers that pass without a cut change nothing about the cuts around them") {
    StackConfig config = sample_config();
    config.policy = DurabilityPolicy::snapshot;
    Sample sample(config);
    World& w = sample.w();
    SweepQueue& queue = sample.core().sweep_queue;
    w.connections.edit(0U).policy = w.connections.edit(0U).send_policy = DurabilityPolicy::snapshot;
    const Seq at_first = w.connections.get(0U).rcv.nxt;
    const auto first = cut(w, queue, w.stack().now);
    (void)read_all(w, queue, *first);
    w.cuts().current += 5'000'000'000;  // more than 32 bits hold
    w.connections.edit(0U).rcv.nxt += 10;
    const Content expected = content_of(w);
    const auto second = cut(w, queue, w.stack().now);
    REQUIRE(*second > 5'000'000'000);
    w.connections.edit(0U).rcv.nxt += 100;
    ++w.cuts().current;
    w.connections.edit(0U).rcv.nxt += 1000;
    ++w.cuts().current;
    w.connections.edit(0U).rcv.nxt += 10'000;
    REQUIRE(read_all(w, queue, *second) == expected);
    // Each cut has its edge, and the later numbers have touched none.
    const auto& edges = w.connections.get(0U).marks.edges;
    REQUIRE(edges[0].cut == *first);
    REQUIRE(edges[0].rcv_nxt == at_first);
    REQUIRE(edges[1].cut == *second);
    REQUIRE(edges[1].rcv_nxt == at_first + 10);
    REQUIRE(sample.stack->committed(*second).has_value());
    REQUIRE(w.cuts().outstanding == std::array<CutNumber, 2>{});

    w.connections.edit(0U).rcv.nxt = at_first;
    // And all of it goes through a snapshot: cuts and stamps beyond 32 bits.
    const auto third = sample.stack->cut();
    (void)read_all(w, queue, *third);
    w.connections.edit(0U).rcv.adv += 1;
    w.edit_stack().silent_until = w.cuts().current;
    const auto bytes = snapshot_of(*sample.stack);
    Arena arena(Stack::arena_bytes(config));
    auto copy = checkpoint::decode(arena.span(), config, bytes, true);
    if (!copy) FAIL(copy.error().message);
    World& decoded = copy->core().world;
    REQUIRE(decoded.cuts().current == w.cuts().current - 1);
    REQUIRE(decoded.cuts().outstanding == w.cuts().outstanding);
    REQUIRE(decoded.connections.get(0U).marks.edges[0].cut == *third);
    REQUIRE(decoded.connections.changed_since(0, *third));
    REQUIRE_FALSE(decoded.connections.changed_since(1, *third));
    REQUIRE(decoded.stack().silent_until == w.stack().silent_until);
    REQUIRE(snapshot_of(*copy) == bytes);
    REQUIRE(checkpoint::summarize(bytes)->cut == *third + 1);
}

TEST_CASE("a cut that does not exist is refused") {
    Sample sample;
    checkpoint::VectorSink sink;
    REQUIRE(checkpoint::encode(*sample.stack, 17, {}, sink).error().code == checkpoint::Code::unknown_cut);
    REQUIRE(sample.stack->committed(17).error() == Error::unknown_cut);
    REQUIRE(sample.stack->abandoned(17).error() == Error::unknown_cut);
}

TEST_CASE("the encoder works on another thread while the stack is edited") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Sample sample;
        Sample other;
        Editor editor(sample, seed);
        const Content expected = content_of(sample.w());
        const auto n = sample.stack->cut();
        checkpoint::VectorSink sink;
        checkpoint::Encoder encoder(*sample.stack, *n, {.blobs = {{"b", {1, 2}}}}, sink);
        std::atomic<bool> over = false;
        bool failed = false;
        std::thread thread([&] {
            for (;;) {
                const auto progress = encoder.step();
                if (!progress) failed = true;
                if (!progress || *progress == checkpoint::Encoder::Progress::done) break;
                if (*progress == checkpoint::Encoder::Progress::waiting) std::this_thread::yield();
            }
            over = true;
        });
        while (!over) {
            for (int i = 0; i < 3; ++i) editor.edit();
            sweep(sample.w(), sample.core().sweep_queue, 5);
        }
        thread.join();
        REQUIRE_FALSE(failed);
        Arena arena(Stack::arena_bytes(sample.config));
        auto copy = checkpoint::decode(arena.span(), sample.config, sink.bytes, true);
        if (!copy) FAIL(copy.error().message);
        REQUIRE(content_of(copy->core().world) == expected);
    }
}

TEST_CASE("the sweep waits for room in its queue") {
    StackConfig config = sample_config();
    config.capacity.sockets = 2000;
    Sample sample(config);
    for (int i = 0; i < 1900; ++i) REQUIRE(sample.stack->open_tcp().has_value());
    World& w = sample.w();
    const Content expected = content_of(w);
    const auto n = sample.stack->cut();
    for (int i = 0; i < 20; ++i) REQUIRE(sweep(w, sample.core().sweep_queue, 1000));  // 64 KiB are soon full
    for (std::uint32_t i = 0; i < 60; ++i) w.sockets.edit(1800 + i).options.traffic_class = 4;
    REQUIRE(read_all(w, sample.core().sweep_queue, *n) == expected);
}

TEST_CASE("a commit moves the ceiling of the wire clock to what its cut reserved") {
    StackConfig config = sample_config();
    config.policy = DurabilityPolicy::snapshot;
    Sample sample(config);
    World& w = sample.w();
    SweepQueue& queue = sample.core().sweep_queue;
    REQUIRE(w.stack().wire_clock_ceiling_ns == INT64_MAX);
    const std::int64_t clock = wire_clock_ns(w.stack(), w.stack().now);
    const auto n = cut(w, queue, w.stack().now);
    w.edit_stack().now.ns += 5;
    (void)read_all(w, queue, *n);
    committed(w, queue, *n);
    REQUIRE(w.stack().wire_clock_ceiling_ns == clock + config.tcp.timestamp_reservation.ns);
    // Without another commit it stops there.
    const Instant late = w.stack().now + config.tcp.timestamp_reservation * 2;
    REQUIRE(wire_clock_ns(w.stack(), late) == w.stack().wire_clock_ceiling_ns);
}
