#include <algorithm>
#include <random>
#include <utility>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/decode.hpp"
#include "stack/calls.hpp"
#include "stack/core.hpp"
#include "stack/journal_core.hpp"

namespace keepnet::checkpoint {
namespace {

/// An arena with the state of the snapshot in it, nothing derived, nothing resumed.
std::expected<Core*, Failure> decode_core(std::span<std::byte> arena, const StackConfig& config, const Decoder& decoder,
                                          bool arena_is_zeroed, std::vector<Blob>& blobs) {
    const auto core = create_core(arena, config, arena_is_zeroed);
    if (!core) return refuse(Code::bad_arena, "no stack fits: " + std::string(name(core.error())));
    (*core)->world.header->in_step = 1;  // until it is whole, nothing that attach() would take
    if (auto ok = decoder.fill((*core)->world, (*core)->sweep_queue, blobs); !ok) {
        (*core)->world.header->magic = 0;
        return std::unexpected(ok.error());
    }
    return *core;
}

Duration elapsed_of(const RestoreOptions& options, const HeaderFacts& header) {
    Duration elapsed{};
    if (options.elapsed) {
        elapsed = *options.elapsed;
    } else if (options.wall_clock_ns && header.wall_clock_ns) {
        if (__builtin_sub_overflow(*options.wall_clock_ns, *header.wall_clock_ns, &elapsed.ns)) elapsed = {};
    }
    return elapsed.ns > 0 ? elapsed : Duration{};
}

bool has_journaled_connection(const World& w) {
    bool found = false;
    w.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        found = found || c.policy == DurabilityPolicy::journal;
    });
    return found;
}

/// From the snapshot to the last durable instant. The wire clock that was reserved then.
std::expected<std::int64_t, Failure> redo_journal(Core& core, const RestoreOptions& options) {
    if (options.clone) {  // what the original went on to promise is not a clone's
        core.world.edit_stack().journal_id = 0;
        return INT64_MIN;
    }
    Journal* journal = options.journal;
    if (journal == nullptr) {
        if (!has_journaled_connection(core.world)) return INT64_MIN;
        return refuse(Code::journal, "the snapshot has connections whose peers were promised what only its journal holds");
    }
    std::random_device random;
    const auto word = [&] { return std::uint64_t{random()} << 32 | random(); };
    const auto reserved = journal::redo(journal->core(), core, {word(), word()});
    if (reserved) return *reserved;
    switch (reserved.error()) {
        case Error::journal_foreign: return refuse(Code::journal, "the journal is not that of this snapshot");
        case Error::journal_mismatch:
            return refuse(Code::journal, "the journal begins behind the snapshot: this is not the newest one");
        default: return refuse(Code::journal, "the journal does not fit: " + std::string(name(reserved.error())));
    }
}

std::vector<SocketReport> report_sockets(Stack& stack) {
    std::vector<SocketReport> reports;
    for (SocketHandle s = stack.next_socket({}); s; s = stack.next_socket(s)) {
        const auto info = calls::info(stack.core(), s);  // not the program's call
        if (info) reports.push_back({s, info->kind, info->phase, info->verdict, info->local, info->remote});
    }
    return reports;
}

void apply_policy(Core& core, const std::function<ConnectionPolicy(const SocketReport&)>& policy) {
    if (!policy) return;
    World& w = core.world;
    auto cx = core.tcp_context();
    for (std::uint32_t i = w.connections.next(0); i != BitTree::none; i = w.connections.next(i + 1)) {
        const TcpConnectionState& c = w.connections.get(i);
        if (c.phase == TcpPhase::closed && !c.socket) continue;
        const SocketReport report{{c.socket.raw}, SocketKind::tcp, c.phase, c.verdict, c.local, c.remote};
        const ConnectionPolicy wanted = policy(report);
        if (wanted == ConnectionPolicy::reset || wanted == ConnectionPolicy::drop) {
            tcp::drop_restored(cx, i, wanted == ConnectionPolicy::reset);
        }
    }
}

}  // namespace

std::expected<Summary, Failure> summarize(ByteView snapshot) {
    const auto layer = Layer::open(snapshot);
    if (!layer) return std::unexpected(layer.error());
    const HeaderFacts& header = layer->header;
    Summary summary;
    summary.format_major = layer->envelope.major;
    summary.format_minor = layer->envelope.minor;
    summary.cut = header.record.cut;
    summary.id = header.record.id;
    summary.base_cut = header.record.since;
    summary.base_id = header.record.since_id;
    summary.epoch = header.epoch;
    summary.wall_clock_ns = header.wall_clock_ns;
    summary.capacity = header.capacity;
    summary.bytes = snapshot.size();
    return summary;
}

std::expected<Stack, Failure> decode(std::span<std::byte> arena, const StackConfig& config,
                                     std::span<const ByteView> chain, bool arena_is_zeroed) {
    const auto decoder = Decoder::open(chain);
    if (!decoder) return std::unexpected(decoder.error());
    if (auto ok = decoder->check_capacity(config.capacity); !ok) return std::unexpected(ok.error());
    std::vector<Blob> blobs;
    const auto core = decode_core(arena, config, *decoder, arena_is_zeroed, blobs);
    if (!core) return std::unexpected(core.error());
    rebuild_derived(**core);
    (*core)->world.header->in_step = 0;
    return Stack(**core);
}

std::expected<Restored, Failure> restore(std::span<std::byte> arena, const StackConfig& config,
                                         std::span<const ByteView> chain, const RestoreOptions& options) {
    const auto decoder = Decoder::open(chain);
    if (!decoder) return std::unexpected(decoder.error());
    if (auto ok = decoder->check_capacity(config.capacity); !ok) return std::unexpected(ok.error());
    const HeaderFacts& header = decoder->header();
    const std::uint64_t epoch = header.epoch + 1;
    if (options.fence && !options.fence(epoch)) {
        return refuse(Code::fenced, "epoch " + std::to_string(epoch) + " is fenced off: another copy may be alive");
    }
    std::vector<Blob> blobs;
    const auto core = decode_core(arena, config, *decoder, options.arena_is_zeroed, blobs);
    if (!core) return std::unexpected(core.error());

    const auto reserved = redo_journal(**core, options);
    if (!reserved) {
        (*core)->world.header->magic = 0;
        return std::unexpected(reserved.error());
    }
    const durability::ResumeOptions resume{.now = options.now,
                                           .elapsed = elapsed_of(options, header),
                                           .entropy = options.entropy,
                                           .icmp_kick = options.icmp_kick,
                                           .epoch = epoch,
                                           .clone = options.clone,
                                           .address_map = options.address_map,
                                           .wire_clock_reserved_ns =
                                               std::max(header.record.wire_clock_reserved_ns, *reserved)};
    resume_core(**core, resume);
    if (options.journal != nullptr && !options.clone) journal::on_resumed(**core);
    if (!options.clone) apply_policy(**core, options.policy);
    if (use_undo(**core, options.undo) != Error::invalid) {
        (*core)->world.header->magic = 0;
        return refuse(Code::bad_arena, "the memory for the undo record is too small or misaligned");
    }
    (*core)->world.header->in_step = 0;
    Restored restored{.stack = Stack(**core),
                      .blobs = std::move(blobs),
                      .sockets = {},
                      .cut = header.record.cut,
                      .elapsed = resume.elapsed};
    restored.sockets = report_sockets(restored.stack);
    return restored;
}

}  // namespace keepnet::checkpoint
