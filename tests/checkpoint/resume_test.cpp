// What a restored state becomes (DURABILITY 8), and an arena that survived (10).
#include <catch2/catch_test_macros.hpp>

#include <cstring>
#include <random>

#include "durability/resume.hpp"
#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

struct Back {
    Arena arena;
    checkpoint::Restored restored;
    World& w() { return restored.stack.core().world; }
};

Back restore_sample(Sample& sample, const checkpoint::RestoreOptions& options,
                    std::optional<std::int64_t> wall_clock_ns = {}) {
    const auto bytes = snapshot_of(*sample.stack, {.blobs = {}, .wall_clock_ns = wall_clock_ns});
    Arena arena(Stack::arena_bytes(sample.config));
    auto restored = checkpoint::restore(arena.span(), sample.config, bytes, options);
    if (!restored) FAIL(restored.error().message);
    return {std::move(arena), std::move(*restored)};
}

/// A connection of the sample turned into one that waits for its 2 MSL to pass.
void make_time_wait(World& w, std::uint32_t i) {
    TcpConnectionState& c = w.connections.edit(i);
    REQUIRE(c.send_queue.nodes == 0);
    if (c.listener) {
        TcpListenerState& l = w.listeners.edit(c.listener);
        l.accept_head = l.accept_tail = {};
        l.accept_count = 0;
        c.listener = {};
    }
    c.phase = TcpPhase::time_wait;
    c.snd.fin_queued = c.snd.fin_acked = true;
    c.rcv.fin_received = true;
    c.rcv.nxt += 1;
    c.snd.una = c.snd.nxt = c.snd.max = {1001};
    c.timers.time_wait = w.stack().now + 60_s;
}

}  // namespace

TEST_CASE("times go into the new clock, what ages has aged, what we owe has not") {
    Sample sample;
    make_time_wait(sample.w(), 1);
    sample.w().connections.edit(0U).ts.recent_at = sample.w().stack().now - 3_s;
    const Instant now{777};
    Back back = restore_sample(sample, {.now = now, .elapsed = 10_s});
    World& w = back.w();
    REQUIRE(back.restored.elapsed == 10_s);
    REQUIRE(w.stack().now == now);
    REQUIRE(w.connections.get(1U).timers.time_wait == now + 50_s);
    REQUIRE(w.connections.get(0U).ts.recent_at == now - 13_s);
    REQUIRE(w.connections.get(0U).timers.retransmit >= now);
    REQUIRE(w.neighbors.get(0U).timer == now + 10_s);
    REQUIRE(w.neighbors.get(0U).last_used == now - 11_s);
    REQUIRE(w.routes.get(0U).valid_until == never);
    REQUIRE(w.routes.get(1U).valid_until == now + 1790_s);
    REQUIRE(w.destinations.get(0U).expires == now + 490_s);
    REQUIRE(w.interfaces.get(0U).reachable_redraw == now + 7190_s);
    REQUIRE(w.connections.get(0U).last_invalid_ack == long_ago);
    REQUIRE(w.timers.next() != never);
}

TEST_CASE("how long we were away") {
    Sample sample;
    const auto elapsed = [&](const checkpoint::RestoreOptions& options, std::optional<std::int64_t> wall_clock_ns) {
        return restore_sample(sample, options, wall_clock_ns).restored.elapsed;
    };
    REQUIRE(elapsed({}, {}) == Duration{});
    REQUIRE(elapsed({.elapsed = Duration{-5}}, 1) == Duration{});
    REQUIRE(elapsed({.elapsed = 7_s, .wall_clock_ns = 10}, 1) == 7_s);
    REQUIRE(elapsed({.wall_clock_ns = 5'000'000'000}, 1'000'000'000) == 4_s);
    REQUIRE(elapsed({.wall_clock_ns = 1}, 1'000'000'000) == Duration{});
    REQUIRE(elapsed({.wall_clock_ns = 1}, {}) == Duration{});
    REQUIRE(elapsed({.wall_clock_ns = INT64_MAX}, INT64_MIN) == Duration{});
}

TEST_CASE("the wire clock starts behind what the cut reserved, and never runs back") {
    for (const DurabilityPolicy policy : {DurabilityPolicy::none, DurabilityPolicy::snapshot}) {
        StackConfig config = sample_config();
        config.policy = policy;
        for (const Duration elapsed : {0_s, 10_s, 7200_s}) {
            Sample sample(config);
            if (policy == DurabilityPolicy::none) {
                sample.w().sockets.edit(3U).options.policy = policy;
            }
            const std::int64_t at_cut = wire_clock_ns(sample.w().stack(), sample.w().stack().now);
            Back back = restore_sample(sample, {.now = Instant{5}, .elapsed = elapsed});
            const StackState& s = back.w().stack();
            // What a SYN cookie's TSval is rounded down by lies behind the reservation too.
            const Duration behind_reserved = config.tcp.timestamp_reservation + 32_ms;
            const std::int64_t start = at_cut + std::max(behind_reserved, elapsed).ns;
            REQUIRE(wire_clock_ns(s, Instant{5}) == start);
            REQUIRE(s.wire_clock_resumed_ns == start);
            // Held output waits for a commit, and so does the clock: this very snapshot may be restored once more.
            const std::int64_t later = wire_clock_ns(s, Instant{5} + 9_s);
            REQUIRE(later == (policy == DurabilityPolicy::snapshot ? start : start + (9_s).ns));
        }
    }
}

TEST_CASE("a restored stack is not ready, its sockets belong to nobody yet, and it counts its restarts") {
    Sample sample;
    const std::uint64_t before = sample.w().header->generations;
    Back back = restore_sample(sample, {.now = Instant{5}});
    World& w = back.w();
    REQUIRE_FALSE(w.stack().ready);
    REQUIRE(w.stack().restarts == 1);
    REQUIRE(w.statistics.get(0U).restores == 1);
    REQUIRE(w.stack().suspend == SuspendPhase::running);
    w.sockets.for_each([](std::uint32_t, const SocketState& s) { REQUIRE_FALSE(s.claimed); });
    REQUIRE(back.restored.sockets.size() == 4);
    REQUIRE(back.restored.sockets[0].phase == TcpPhase::established);
    REQUIRE(back.restored.sockets[0].verdict == Verdict::pending);
    REQUIRE(back.restored.sockets[0].socket.raw == sample.w().sockets.handle_of(0).raw);
    REQUIRE(back.restored.sockets[0].remote.port == 40000);
    REQUIRE(back.restored.sockets[1].phase == TcpPhase::listen);
    REQUIRE(back.restored.sockets[1].verdict == Verdict::resumed);
    REQUIRE(back.restored.sockets[3].kind == SocketKind::udp);
    // Handles of the run that was lost do not come again.
    const auto fresh = back.restored.stack.open_tcp();
    REQUIRE(fresh->raw >> handle_index_bits > before + durability::generation_jump);
}

TEST_CASE("each connection may be resumed, reset or dropped") {
    using checkpoint::ConnectionPolicy;
    Sample sample;
    std::vector<std::uint16_t> asked;
    Back back = restore_sample(sample, {.now = Instant{5}, .policy = [&](const checkpoint::SocketReport& report) {
                                            asked.push_back(report.remote.port);
                                            REQUIRE(bool{report.socket} == (report.remote.port == 40000));
                                            return report.remote.port == 40000   ? ConnectionPolicy::reset
                                                   : report.remote.port == 40001 ? ConnectionPolicy::drop
                                                                                 : ConnectionPolicy::resume;
                                        }});
    REQUIRE(asked == std::vector<std::uint16_t>{40000, 40001, 40002});
    Stack& stack = back.restored.stack;
    const checkpoint::SocketReport& reset = back.restored.sockets[0];
    REQUIRE(reset.phase == TcpPhase::closed);
    REQUIRE(reset.verdict == Verdict::dropped_by_policy);
    REQUIRE(stack.take_error(reset.socket) == Error::dropped_by_policy);
    const auto listening = stack.info(back.restored.sockets[1].socket);
    REQUIRE(listening->accept_queue == 0);
    REQUIRE(listening->half_open == 1);
    REQUIRE(back.w().connections.get(0U).rst_owed);
    REQUIRE_FALSE(back.w().connections.is_live(1));
    REQUIRE(back.w().connections.get(2U).phase == TcpPhase::syn_received);
    REQUIRE(fault_of(back.w()) == "");
    // Nothing of what was queued is left, but what the application has received it may read.
    REQUIRE(back.w().connections.get(0U).send_queue.bytes == 0);
}

TEST_CASE("randomness: what must not repeat does not, what must stay stays") {
    Sample sample;
    std::array<std::uint8_t, 32> entropy{};
    Back one = restore_sample(sample, {.now = Instant{5}, .entropy = entropy});
    Back same = restore_sample(sample, {.now = Instant{5}, .entropy = entropy});
    entropy[31] = 1;
    Back other = restore_sample(sample, {.now = Instant{5}, .entropy = entropy});
    const StackState& before = sample.w().stack();
    const StackState& s = one.w().stack();
    REQUIRE_FALSE(s.random == before.random);
    REQUIRE(s.random == same.w().stack().random);
    REQUIRE_FALSE(s.random == other.w().stack().random);
    REQUIRE(s.port_cursor != before.port_cursor);
    REQUIRE(s.port_cursor != other.w().stack().port_cursor);
    REQUIRE(s.isn_key == before.isn_key);
    REQUIRE(s.flow_key == before.flow_key);
    REQUIRE(s.timestamp_key == before.timestamp_key);
    REQUIRE(s.interface_key == before.interface_key);
    // Both cookie secrets serve a whole period more.
    REQUIRE(s.cookie_keys == before.cookie_keys);
    REQUIRE(s.cookie_epoch == before.cookie_epoch);
    REQUIRE(s.cookie_rotated == Instant{5});
}

TEST_CASE("a thousand restores of a restored state") {
    Sample sample;
    auto bytes = snapshot_of(*sample.stack);
    std::int64_t clock = 0;
    std::size_t size = 0;
    for (int i = 1; i <= 1000; ++i) {
        Arena arena(Stack::arena_bytes(sample.config));
        auto restored = checkpoint::restore(arena.span(), sample.config, bytes, {.now = Instant{i}});
        if (!restored) FAIL(restored.error().message);
        World& w = restored->stack.core().world;
        REQUIRE(fault_of(w) == "");
        REQUIRE(w.stack().restarts == static_cast<std::uint64_t>(i));
        const std::int64_t now = wire_clock_ns(w.stack(), Instant{i});
        REQUIRE(now > clock);
        clock = now;
        bytes = snapshot_of(restored->stack);
        if (i == 1) size = bytes.size();
        REQUIRE(bytes.size() == size);
    }
}

// --- an arena that survived ---

namespace {

std::vector<std::byte> copy_of(const Arena& arena) { return {arena.span().begin(), arena.span().end()}; }

std::expected<Stack, Error> attach(Arena& arena, const StackConfig& config) {
    return Stack::attach(arena.span(), config, {.now = Instant{99}, .elapsed = 10_s});
}

}  // namespace

TEST_CASE("an arena that survived is adopted where it is, or where it was copied to") {
    Sample sample;
    const auto cut = sample.stack->cut();  // one that nobody will read
    REQUIRE(cut.has_value());
    sample.w().connections.edit(0U).snd.wnd -= 1;
    const Instant timer = sample.w().neighbors.get(0U).timer;
    const Duration to_go = timer - sample.w().stack().now;
    // Packets that waited for a link address are not sent: their two buffers come back.
    const std::uint32_t in_use = sample.w().pool.in_use() - 2;
    const std::uint32_t window = sample.w().connections.get(0U).snd.wnd;
    const std::int64_t clock = wire_clock_ns(sample.w().stack(), sample.w().stack().now);

    Arena moved(sample.arena.span().size());
    std::memcpy(moved.span().data(), sample.arena.span().data(), sample.arena.span().size());
    for (Arena* arena : {&sample.arena, &moved}) {
        auto stack = attach(*arena, sample.config);
        REQUIRE(stack.has_value());
        World& w = stack->core().world;
        REQUIRE(fault_of(w) == "");
        REQUIRE(w.neighbors.get(0U).timer == Instant{99} + to_go - 10_s);
        REQUIRE(w.connections.get(0U).snd.wnd == window);
        REQUIRE(w.pool.in_use() == in_use);
        REQUIRE(w.pending_packets.in_use() == 0);
        REQUIRE(w.stack().restarts == 1);
        REQUIRE(wire_clock_ns(w.stack(), Instant{99}) == clock + (10_s).ns);
        REQUIRE(stack->cut().has_value());
    }
}

TEST_CASE("an arena that cannot be adopted is refused and left as it was") {
    Sample sample;
    ArenaHeader& header = *sample.w().header;
    StackConfig config = sample.config;
    Error expected = Error::invalid;
    SECTION("not ours") {
        header.magic ^= 1;
        expected = Error::arena_foreign;
    }
    SECTION("of another build") {
        header.layout_hash ^= 1;
        expected = Error::arena_foreign;
    }
    SECTION("of another config") {
        config.capacity.sockets -= 1;
        expected = Error::arena_foreign;
    }
    SECTION("its owner died inside a step") {
        header.in_step = 1;
        expected = Error::arena_in_step;
    }
    SECTION("a queue that does not end") {
        const Link head = sample.w().connections.get(0U).send_queue.head;
        sample.w().slice_nodes.edit(sample.w().connections.get(0U).send_queue.tail.index()).next = head;
        expected = Error::arena_damaged;
    }
    SECTION("one queue in another") {
        TcpConnectionState& c = sample.w().connections.edit(0U);
        c.out_of_order = c.receive_queue;
        expected = Error::arena_damaged;
    }
    SECTION("a handle that leads nowhere") {
        sample.w().sockets.edit(0U).connection.raw += std::uint64_t{1} << handle_index_bits;
        expected = Error::arena_damaged;
    }
    SECTION("a truth value that is neither") {
        std::memset(&sample.w().sockets.edit(0U).claimed, 7, 1);
        expected = Error::arena_damaged;
    }
    SECTION("an enumeration out of range") {
        std::memset(&sample.w().connections.edit(0U).phase, 99, 1);
        expected = Error::arena_damaged;
    }
    SECTION("a slice outside of its buffer") {
        sample.w().slice_nodes.edit(0U).slice.offset = 2000;
        expected = Error::arena_damaged;
    }
    const auto before = copy_of(sample.arena);
    REQUIRE(attach(sample.arena, config).error() == expected);
    REQUIRE(copy_of(sample.arena) == before);
}

TEST_CASE("an arena that is too small or misaligned") {
    Sample sample;
    const auto span = sample.arena.span();
    REQUIRE(Stack::attach(span.first(span.size() / 2), sample.config, {}).error() == Error::arena_too_small);
    REQUIRE(Stack::attach(span.subspan(8), sample.config, {}).error() == Error::arena_misaligned);
}

TEST_CASE("an arena with any word damaged is adopted as a state that may run, or refused and left as it was") {
    Sample sample;
    const auto good = copy_of(sample.arena);
    // Where there is anything: most of an arena is zeros that nobody looks at.
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i + 8 <= good.size(); i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, good.data() + i, 8);
        if (word != 0) places.push_back(i);
    }
    std::mt19937_64 random(3);
    Arena arena(good.size());
    std::size_t adopted = 0;
    std::size_t refused = 0;
    for (int round = 0; round < 3000; ++round) {
        std::memcpy(arena.span().data(), good.data(), good.size());
        for (auto n = 1 + random() % 3; n-- != 0;) {
            std::byte* at = arena.span().data() + places[random() % places.size()];
            if (random() % 2 == 0) {
                at[random() % 8] ^= static_cast<std::byte>(1U << random() % 8);
            } else {
                const std::uint64_t word = random();
                std::memcpy(at, &word, 8);
            }
        }
        const auto before = copy_of(arena);
        const auto stack = attach(arena, sample.config);
        if (stack) {
            ++adopted;
            REQUIRE(fault_of(stack->core().world) == "");
        } else {
            ++refused;
            REQUIRE(copy_of(arena) == before);
        }
    }
    REQUIRE(adopted > 100);
    REQUIRE(refused > 100);
}
