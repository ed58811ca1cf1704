// A snapshot that is not whole, not ours or does not fit is refused, with an error that says which; whatever the bytes
// are, nothing breaks.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <random>

#include "checkpoint/format.hpp"
#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;
using checkpoint::Code;

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Outcome {
    Code code = Code::invalid;  ///< invalid: it was taken
    std::string message{};
};

Outcome try_restore(const Arena& arena, const StackConfig& config, ByteView snapshot,
                    const checkpoint::RestoreOptions& options = {}) {
    const auto restored = checkpoint::restore(arena.span(), config, snapshot, options);
    if (restored) return {};
    return {restored.error().code, restored.error().message};
}

bool is_zero(const Arena& arena) {
    return std::ranges::all_of(arena.span(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

TEST_CASE("what is refused before an arena is touched") {
    Sample sample;
    const Bytes good = snapshot_of(*sample.stack);
    Arena arena(Stack::arena_bytes(sample.config));
    Bytes bytes = good;
    StackConfig config = sample.config;
    Code expected = Code::invalid;
    std::string says;
    SECTION("empty") {
        bytes.clear();
        expected = Code::empty;
        says = "empty";
    }
    SECTION("not ours") {
        bytes = {'G', 'I', 'F', '8', '9', 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        expected = Code::not_a_snapshot;
        says = "not a keepnet snapshot";
    }
    SECTION("newer major version") {
        bytes[8] = 2;
        sign(bytes);
        expected = Code::newer_version;
        says = "format 2.";
    }
    SECTION("the end is missing") {
        bytes.resize(bytes.size() - 8);
        expected = Code::truncated;
        says = "truncated";
    }
    SECTION("something behind the end") {
        bytes.insert(bytes.end(), 8, 0);
        expected = Code::truncated;
        says = "end";
    }
    SECTION("a flipped bit") {
        bytes[bytes.size() / 2] ^= 1;
        expected = Code::damaged;
        says = "checksum";
    }
    SECTION("a fence") {
        std::uint64_t asked = 0;
        const checkpoint::RestoreOptions options{.fence = [&](std::uint64_t epoch) {
            asked = epoch;
            return false;
        }};
        REQUIRE(try_restore(arena, config, bytes, options).code == Code::fenced);
        REQUIRE(asked == 1);
        REQUIRE(is_zero(arena));
        return;
    }
    const Outcome outcome = try_restore(arena, config, bytes);
    REQUIRE(outcome.code == expected);
    REQUIRE(outcome.message.find(says) != std::string::npos);
    REQUIRE(outcome.message.find('\n') == std::string::npos);
    REQUIRE(is_zero(arena));
    REQUIRE(checkpoint::summarize(bytes).error().code == expected);
}

TEST_CASE("a newer minor version is read") {
    Sample sample;
    Bytes bytes = snapshot_of(*sample.stack);
    bytes[10] = 9;
    sign(bytes);
    Arena arena(Stack::arena_bytes(sample.config));
    REQUIRE(try_restore(arena, sample.config, bytes).code == Code::invalid);
}

TEST_CASE("a snapshot that is larger than a capacity says which, and touches nothing") {
    Sample sample;
    const Bytes bytes = snapshot_of(*sample.stack);
    struct Row {
        std::uint32_t CapacityConfig::*field;
        std::uint32_t capacity;
        std::string_view name;
    };
    const Row rows[] = {
        {&CapacityConfig::addresses, 1, "addresses"},
        {&CapacityConfig::routes, 1, "routes"},
        {&CapacityConfig::neighbors, 1, "neighbors"},
        {&CapacityConfig::pending_packets, 1, "pending_packets"},
        {&CapacityConfig::sockets, 3, "sockets"},
        {&CapacityConfig::tcp_connections, 2, "tcp_connections"},
        {&CapacityConfig::udp_datagrams, 2, "udp_datagrams"},
        {&CapacityConfig::slice_nodes, 4, "slice_nodes"},
        {&CapacityConfig::packet_buffers, 4, "packet_buffers"},
    };
    for (const Row& row : rows) {
        StackConfig config = sample.config;
        config.capacity.tcp_tombstones = 1;
        config.capacity.*row.field = row.capacity;
        Arena arena(Stack::arena_bytes(config));
        const Outcome outcome = try_restore(arena, config, bytes);
        INFO(row.name << ": " << outcome.message);
        REQUIRE(outcome.code == Code::too_large);
        REQUIRE(outcome.message.find("CapacityConfig::" + std::string(row.name)) != std::string::npos);
        REQUIRE(is_zero(arena));
    }
}

TEST_CASE("an arena that no stack fits in") {
    Sample sample;
    const Bytes bytes = snapshot_of(*sample.stack);
    Arena arena(Stack::arena_bytes(sample.config));
    REQUIRE(checkpoint::restore(arena.span().first(1000), sample.config, bytes, {}).error().code == Code::bad_arena);
    REQUIRE(checkpoint::restore(arena.span().subspan(8), sample.config, bytes, {}).error().code == Code::bad_arena);
    REQUIRE(is_zero(arena));
}

TEST_CASE("a snapshot cut off at any length is refused") {
    Sample sample;
    const Bytes bytes = snapshot_of(*sample.stack, {.blobs = {{"app", {1, 2, 3}}}});
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        const auto refused = checkpoint::summarize(ByteView(bytes).first(n));
        REQUIRE_FALSE(refused.has_value());
        const Code code = refused.error().code;
        REQUIRE((n == 0 ? code == Code::empty : code == Code::truncated));
    }
}

TEST_CASE("a snapshot with any bit flipped is refused") {
    Sample sample;
    Bytes bytes = snapshot_of(*sample.stack);
    REQUIRE(checkpoint::summarize(bytes).has_value());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ 1U << bit);
            REQUIRE_FALSE(checkpoint::summarize(bytes).has_value());
            bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ 1U << bit);
        }
    }
}

TEST_CASE("a snapshot that was tampered with and signed again gives a state that may run, or an error") {
    Sample sample;
    const Bytes good = snapshot_of(*sample.stack, {.blobs = {{"app", {1, 2, 3}}}});
    Arena arena(Stack::arena_bytes(sample.config));
    std::mt19937_64 random(7);
    std::size_t refused = 0;
    std::size_t taken = 0;
    const auto attempt = [&](Bytes bytes) {
        sign(bytes);
        const auto stack = checkpoint::decode(arena.span(), sample.config, bytes);
        ++(stack ? taken : refused);
        if (stack) REQUIRE(fault_of(stack->core().world) == "");
        if (!stack) REQUIRE_FALSE(stack.error().message.empty());
    };
    constexpr std::uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (std::size_t i = checkpoint::prelude_bytes; i + checkpoint::ending_bytes < good.size(); ++i) {
        Bytes bytes = good;
        const std::uint8_t value = values[random() % std::size(values)];
        bytes[i] = bytes[i] == value ? static_cast<std::uint8_t>(value ^ 2) : value;
        attempt(std::move(bytes));
    }
    for (int round = 0; round < 2000; ++round) {
        Bytes bytes = good;
        for (auto n = 1 + random() % 6; n-- != 0;) {
            const std::size_t room = good.size() - checkpoint::prelude_bytes - checkpoint::ending_bytes;
            bytes[checkpoint::prelude_bytes + random() % room] = static_cast<std::uint8_t>(random());
        }
        attempt(std::move(bytes));
    }
    REQUIRE(refused > 1000);
    REQUIRE(taken > 100);
}

TEST_CASE("frames in another order, twice, or missing are refused") {
    Sample sample;
    const Bytes good = snapshot_of(*sample.stack);
    const auto envelope = checkpoint::open_envelope(good);
    REQUIRE(envelope.has_value());
    const auto& frames = envelope->frames;
    const auto compose = [&](const std::vector<std::size_t>& order) {
        Bytes bytes(good.begin(), good.begin() + checkpoint::prelude_bytes);
        for (const std::size_t i : order) {
            const auto raw = frames[i].asBytes();
            bytes.insert(bytes.end(), raw.begin(), raw.end());
        }
        bytes.insert(bytes.end(), good.end() - checkpoint::ending_bytes, good.end());
        sign(bytes);
        return bytes;
    };
    std::vector<std::size_t> order(frames.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    Arena arena(Stack::arena_bytes(sample.config));
    REQUIRE(try_restore(arena, sample.config, compose(order)).code == Code::invalid);
    for (std::size_t i = 0; i < order.size(); ++i) {
        auto without = order;
        without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
        REQUIRE(try_restore(arena, sample.config, compose(without)).code == Code::damaged);
        auto twice = order;
        twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(i), i);
        REQUIRE(try_restore(arena, sample.config, compose(twice)).code == Code::damaged);
        if (i + 1 == order.size()) continue;
        auto swapped = order;
        std::swap(swapped[i], swapped[i + 1]);
        REQUIRE(try_restore(arena, sample.config, compose(swapped)).code == Code::damaged);
        // The same number of frames, one of them replaced by its neighbour.
        auto replaced = order;
        replaced[i] = i + 1;
        REQUIRE(try_restore(arena, sample.config, compose(replaced)).code == Code::damaged);
    }
}

TEST_CASE("bytes that are not aligned are read all the same") {
    Sample sample;
    const Bytes good = snapshot_of(*sample.stack);
    Bytes shifted(good.size() + 3);
    std::copy(good.begin(), good.end(), shifted.begin() + 3);
    Arena arena(Stack::arena_bytes(sample.config));
    REQUIRE(try_restore(arena, sample.config, ByteView(shifted).subspan(3)).code == Code::invalid);
}

TEST_CASE("bytes that lie behind what their buffer holds are refused: the next ones would be written over them") {
    Sample sample;
    World& w = sample.w();
    const SliceNodeState& node = w.slice_nodes.get(0U);
    w.pool.set_used(node.slice.buffer, static_cast<std::uint16_t>(node.slice.offset + node.slice.length - 1));
    const Bytes bytes = snapshot_of(*sample.stack);
    Arena arena(Stack::arena_bytes(sample.config));
    const auto refused = checkpoint::decode(arena.span(), sample.config, bytes, true);
    REQUIRE(refused.error().code == Code::damaged);
    REQUIRE(refused.error().message.find("queue entry 0: slice") != std::string::npos);
}
