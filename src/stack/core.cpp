#include "stack/core.hpp"

#include <cstring>
#include <new>

#include "durability/attach.hpp"
#include "durability/identity.hpp"
#include "durability/undo.hpp"
#include "nd/nd.hpp"

namespace keepnet {

namespace {

struct CoreStorage {
    alignas(cache_line) std::byte bytes[sizeof(Core)];
};
static_assert(alignof(Core) <= cache_line);

/// The whole layout. Over a null base only the carver's sums are of use.
CoreStorage* place(ArenaCarver& carver, Core& core, const StackConfig& config) {
    core.world.place(carver, config);
    core.sweep_queue.place(carver, config.capacity);
    core.ports.place(carver, config.capacity);
    core.loopback.place(carver);
    core.tcp_tables.place(carver, config);
    core.udp_tables.place(carver, config.capacity);
    return carver.take<CoreStorage>(1);
}

Error check_arena(std::span<std::byte> arena, const ArenaCarver& layout) {
    if (reinterpret_cast<std::uintptr_t>(arena.data()) % arena_alignment != 0) return Error::arena_misaligned;
    return arena.size() < layout.bytes() ? Error::arena_too_small : Error::invalid;
}

ArenaCarver layout_of(const StackConfig& config) {
    Core core{};
    ArenaCarver carver(nullptr);
    place(carver, core, config);
    return carver;
}

Core* place_core(std::span<std::byte> arena, const StackConfig& config) {
    Core core{};
    ArenaCarver carver(arena.data());
    CoreStorage* storage = place(carver, core, config);
    core.ports.initialize();
    core.loopback.initialize();
    return new (storage->bytes) Core(core);
}

}  // namespace

Error check_config(const StackConfig& config) {
    const CapacityConfig& n = config.capacity;
    const std::uint32_t capacities[] = {n.interfaces,    n.addresses,       n.routes,        n.neighbors,
                                        n.pending_packets, n.destinations,  n.sockets,       n.tcp_connections,
                                        n.tcp_listeners, n.udp_sockets,     n.udp_datagrams, n.slice_nodes,
                                        n.packet_buffers, n.sent_ranges,     n.shadow_objects};
    for (const std::uint32_t c : capacities) {
        if (c == 0 || c > handle_index_max) return Error::invalid_argument;
    }
    const auto is_power_of_two = [](std::uint32_t x) { return x != 0 && (x & (x - 1)) == 0; };
    if (!is_power_of_two(n.transmit_ring) || !is_power_of_two(n.sweep_queue_bytes) ||
        n.sweep_queue_bytes < 64U * 1024 || n.tcp_tombstones > n.tcp_connections) {
        return Error::invalid_argument;
    }
    if (config.ip.mtu_max < 1280 || config.ip.mtu_max > 1980 || config.ip.hop_limit == 0) {
        return Error::invalid_argument;
    }
    const TcpConfig& t = config.tcp;
    if (t.receive_buffer < 4096 || t.send_buffer < 4096 || t.receive_buffer > t.buffer_max ||
        t.send_buffer > t.buffer_max || t.buffer_max > (1U << 30) || t.mss_default < 64 ||
        t.initial_window_segments == 0 || t.rto_min.ns <= 0 || t.rto_max < t.rto_min || t.msl.ns <= 0 ||
        t.delayed_ack.ns < 0 || t.delayed_ack >= milliseconds(500) || t.syn_cookie_lifetime.ns <= 0 ||
        t.ephemeral_first == 0 || t.ephemeral_first > t.ephemeral_last || t.timestamp_reservation.ns < 0 ||
        t.suspend_drain_max < t.suspend_drain_min || t.keepalive_idle.ns <= 0 || t.keepalive_interval.ns <= 0 ||
        t.congestion < CongestionAlgorithm::newreno || t.congestion > CongestionAlgorithm::cubic ||
        t.ack_burst_segments == 0 || t.push_segments_min == 0 || t.receive_buffer_tuned > (1U << 30) || t.mtu_probe_interval.ns <= 0 || t.ecn < EcnMode::off || t.ecn > EcnMode::request) {
        return Error::invalid_argument;
    }
    const PollConfig& p = config.poll;
    if (p.receive_burst == 0 || p.timers == 0 || p.outputs == 0 || p.segments_per_turn == 0 || p.sweep_objects == 0) {
        return Error::invalid_argument;
    }
    if (config.policy < DurabilityPolicy::none || config.policy > DurabilityPolicy::untracked) {
        return Error::invalid_argument;
    }
    return Error::invalid;
}

std::expected<Core*, Error> create_core(std::span<std::byte> arena, const StackConfig& config,
                                        bool arena_is_zeroed) {
    if (const Error e = check_config(config); e != Error::invalid) return std::unexpected(e);
    const ArenaCarver layout = layout_of(config);
    if (const Error e = check_arena(arena, layout); e != Error::invalid) return std::unexpected(e);
    if (!arena_is_zeroed) std::memset(arena.data(), 0, layout.bytes());
    Core* core = place_core(arena, config);
    core->world.initialize(config);
    core->sweep_queue.initialize();
    core->world.header->magic = arena_magic;
    core->world.header->layout_hash = layout.layout_hash();
    core->world.header->bytes = layout.bytes();
    rebuild_derived(*core);
    return core;
}

void rebuild_derived(Core& core) {
    World& w = core.world;
    w.timers.clear();
    w.changed_sockets.fill(false);
    w.sockets.for_each([&](std::uint32_t i, const SocketState&) { w.changed_sockets.set(i); });
    w.arm(StateKind::stack, 0, w.stack().suspend_until);
    auto ip_cx = core.ip_context();
    ip::rebuild(ip_cx);
    nd::rebuild(ip_cx);
    auto udp_cx = core.udp_context();
    udp::rebuild(udp_cx);
    auto tcp_cx = core.tcp_context();
    tcp::rebuild(tcp_cx);
}

std::size_t Stack::arena_bytes(const StackConfig& config) { return layout_of(config).bytes(); }

std::size_t Stack::undo_bytes(const StackConfig& config) {
    World w;
    ArenaCarver carver(nullptr);
    w.place(carver, config);
    return durability::undo_bytes(w);
}

Error use_undo(Core& core, std::span<std::byte> undo) {
    if (undo.empty()) return Error::invalid;
    UndoBlock* block = durability::make_undo_block(undo, core.world.header->layout_hash);
    if (block == nullptr) return Error::invalid_argument;
    core.world.set_undo(block);
    return Error::invalid;
}

std::expected<Stack, Error> Stack::create(std::span<std::byte> arena, const StackConfig& config,
                                          const CreateOptions& options) {
    const auto core = create_core(arena, config, options.arena_is_zeroed);
    if (!core) return std::unexpected(core.error());
    StackState& s = (*core)->world.edit_stack();
    s.now = options.now;
    s.default_policy = config.policy;
    seed(s.random, options.entropy);
    durability::draw_secrets(s);
    s.cookie_rotated = options.now;
    if (const Error e = use_undo(**core, options.undo); e != Error::invalid) return std::unexpected(e);
    return Stack(**core);
}

std::expected<Stack, Error> Stack::attach(std::span<std::byte> arena, const StackConfig& config,
                                          const AttachOptions& options) {
    if (const Error e = check_config(config); e != Error::invalid) return std::unexpected(e);
    const ArenaCarver layout = layout_of(config);
    const auto header = durability::check_header(arena, layout.layout_hash(), layout.bytes());
    if (!header && (header.error() != Error::arena_in_step || options.undo.empty())) {
        return std::unexpected(header.error());
    }
    // Checked through views of its own, so that a refused arena is left as it was.
    World looked_at{};
    ArenaCarver carver(arena.data());
    looked_at.place(carver, config);
    if (!header) {
        if (const auto ok = durability::take_back_step(looked_at, options.undo); !ok) return std::unexpected(ok.error());
    }
    HashKey key{};
    std::memcpy(&key, options.entropy.data(), sizeof key);
    if (durability::find_fault(looked_at, key)) return std::unexpected(Error::arena_damaged);
    const std::uint64_t epoch = looked_at.stack().restarts + 1;
    if (options.fence != nullptr && !options.fence->may_speak(epoch)) return std::unexpected(Error::fenced);
    Core* core = place_core(arena, config);
    if (const Error e = use_undo(*core, options.undo); e != Error::invalid) return std::unexpected(e);
    const Step step(*core);  // to die in here is to die in a step
    if (!durability::rebuild_storage(core->world, core->sweep_queue)) {
        return std::unexpected(Error::arena_damaged);
    }
    core->world.header->config = config;
    durability::ResumeOptions resume{};
    resume.now = options.now;
    resume.elapsed = options.elapsed.ns > 0 ? options.elapsed : Duration{};
    resume.entropy = options.entropy;
    resume.epoch = epoch;
    resume.clone = options.clone;
    resume.address_map = options.address_map;
    resume_core(*core, resume);
    return Stack(*core);
}

void resume_core(Core& core, const durability::ResumeOptions& options) {
    durability::renew(core.world, options);
    auto ip_cx = core.ip_context();
    if (options.clone) durability::become_clone(ip_cx);
    durability::move_addresses(ip_cx, options.address_map);
    rebuild_derived(core);
    nd::forget_pending(ip_cx);
    nd::expire_addresses(ip_cx);
    auto tcp_cx = core.tcp_context();
    auto udp_cx = core.udp_context();
    if (options.clone) {
        tcp::retire_inherited(tcp_cx);
        udp::retire_inherited(udp_cx);
    } else {
        tcp::resume(tcp_cx);
        udp::resume(udp_cx);
    }
    tcp::on_address_lost(tcp_cx);
    durability::tell_homeless_sockets(ip_cx);
    core.world.address_lost = false;
}

}  // namespace keepnet
