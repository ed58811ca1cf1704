// A whole state through a snapshot and back.
#include <catch2/catch_test_macros.hpp>

#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;

TEST_CASE("the sample state is one that may run") {
    Sample sample;
    REQUIRE(fault_of(sample.w()).empty());
}

TEST_CASE("a decoded state is the one that was encoded, and encodes to the same bytes") {
    Sample sample;
    const Content before = content_of(sample.w());
    const std::uint64_t generations = sample.w().header->generations;
    const CutNumber current = sample.w().cuts().current;
    const auto bytes = snapshot_of(*sample.stack);

    Arena arena(Stack::arena_bytes(sample.config));
    auto copy = checkpoint::decode(arena.span(), sample.config, bytes, true);
    if (!copy) FAIL(copy.error().message);
    World& w = copy->core().world;
    REQUIRE(content_of(w) == before);
    REQUIRE(w.header->generations == generations);
    REQUIRE(w.cuts().current == current);
    REQUIRE(w.cuts().outstanding == std::array<CutNumber, 2>{});
    REQUIRE(w.pool.in_use() == sample.w().pool.in_use());
    for (std::uint32_t i = 0; i < w.pool.capacity(); ++i) {
        if (w.pool.references(i) == 0) continue;
        REQUIRE(w.pool.references(i) == sample.w().pool.references(i));
        REQUIRE(w.pool.used(i) == sample.w().pool.used(i));
    }
    REQUIRE(snapshot_of(*copy) == bytes);
}

TEST_CASE("a snapshot taken while an earlier cut waits for its commit carries that cut") {
    Sample sample;
    sample.w().connections.edit(0U).policy = sample.w().connections.edit(0U).send_policy = DurabilityPolicy::snapshot;
    const auto first = sample.stack->cut();
    checkpoint::VectorSink sink;
    REQUIRE(checkpoint::encode(*sample.stack, *first, {}, sink).has_value());
    const Seq before = sample.w().connections.get(0U).rcv.nxt;
    sample.w().connections.edit(0U).rcv.adv += 10;  // the first edit: its edge is recorded
    const auto bytes = snapshot_of(*sample.stack);

    Arena arena(Stack::arena_bytes(sample.config));
    auto copy = checkpoint::decode(arena.span(), sample.config, bytes, true);
    if (!copy) FAIL(copy.error().message);
    World& w = copy->core().world;
    REQUIRE(w.cuts().outstanding == sample.w().cuts().outstanding);
    REQUIRE(w.connections.get(0U).marks.edges[0].cut == *first);
    REQUIRE(w.connections.get(0U).marks.edges[0].rcv_nxt == before);
    REQUIRE(w.connections.changed_since(0, *first));
    REQUIRE_FALSE(w.connections.changed_since(1, *first));
    REQUIRE(snapshot_of(*copy) == bytes);
    REQUIRE(copy->committed(*first).has_value());
}

TEST_CASE("blobs of any size come back, in order") {
    Sample sample;
    std::vector<checkpoint::Blob> blobs{{"empty", {}}, {"small", {1, 2, 3}}, {"", {7}}, {"large", {}}};
    for (std::size_t i = 0; i < 300'000; ++i) blobs[3].bytes.push_back(static_cast<std::uint8_t>(i * 7 >> 3));
    const auto bytes = snapshot_of(*sample.stack, {.blobs = blobs});
    Arena arena(Stack::arena_bytes(sample.config));
    const auto restored = checkpoint::restore(arena.span(), sample.config, bytes, {.now = Instant{1}});
    if (!restored) FAIL(restored.error().message);
    REQUIRE(restored->blobs.size() == blobs.size());
    for (std::size_t i = 0; i < blobs.size(); ++i) {
        REQUIRE(restored->blobs[i].name == blobs[i].name);
        REQUIRE(restored->blobs[i].bytes == blobs[i].bytes);
    }
}

TEST_CASE("two blobs of one name are refused when they are read") {
    Sample sample;
    const auto bytes = snapshot_of(*sample.stack, {.blobs = {{"a", {1}}, {"a", {2}}}});
    Arena arena(Stack::arena_bytes(sample.config));
    REQUIRE(checkpoint::restore(arena.span(), sample.config, bytes, {}).error().code == checkpoint::Code::damaged);
}

TEST_CASE("many objects go in many frames, and steps are bounded") {
    StackConfig config = sample_config();
    config.capacity.sockets = 2000;
    Sample sample(config);
    for (int i = 0; i < 1500; ++i) REQUIRE(sample.stack->open_tcp().has_value());
    const Content before = content_of(sample.w());
    const auto cut = sample.stack->cut();
    checkpoint::VectorSink sink;
    checkpoint::Encoder encoder(*sample.stack, *cut, {}, sink);
    std::size_t steps = 0;
    std::size_t largest = 0;
    for (;;) {
        const std::size_t size = sink.bytes.size();
        const auto progress = encoder.step();
        REQUIRE(progress.has_value());
        ++steps;
        largest = std::max(largest, sink.bytes.size() - size);
        if (*progress == checkpoint::Encoder::Progress::done) break;
        if (*progress == checkpoint::Encoder::Progress::waiting) sample.stack->sweep();
    }
    REQUIRE(steps > 1500 / 64);
    REQUIRE(largest < 200'000);
    Arena arena(Stack::arena_bytes(config));
    auto copy = checkpoint::decode(arena.span(), config, sink.bytes, true);
    REQUIRE(copy.has_value());
    REQUIRE(content_of(copy->core().world) == before);
}

TEST_CASE("a snapshot says what it is without being decoded") {
    Sample sample;
    const auto bytes = snapshot_of(*sample.stack, {.blobs = {}, .wall_clock_ns = 77});
    const auto summary = checkpoint::summarize(bytes);
    REQUIRE(summary.has_value());
    REQUIRE(summary->format_major == 1);
    REQUIRE(summary->cut == sample.w().cuts().current - 1);
    REQUIRE(summary->wall_clock_ns == 77);
    REQUIRE(summary->bytes == bytes.size());
    REQUIRE(summary->capacity.sockets == sample.config.capacity.sockets);
    REQUIRE(summary->capacity.sweep_queue_bytes == sample.config.capacity.sweep_queue_bytes);
}

TEST_CASE("a state fits in a larger config, and in one that is just large enough") {
    Sample sample;
    const Content before = content_of(sample.w());
    const auto bytes = snapshot_of(*sample.stack);
    StackConfig config = sample.config;
    config.capacity.sockets = 5000;
    config.capacity.tcp_connections = 3;
    config.capacity.tcp_tombstones = 1;
    config.capacity.packet_buffers = 200;
    config.capacity.routes = 2;
    Arena arena(Stack::arena_bytes(config));
    auto copy = checkpoint::decode(arena.span(), config, bytes, true);
    if (!copy) FAIL(copy.error().message);
    REQUIRE(content_of(copy->core().world) == before);
}
