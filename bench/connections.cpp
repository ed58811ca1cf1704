// What a checkpoint costs, by the number of connections and by what is queued on each.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "bench/benchmarks.hpp"
#include "bench/measure.hpp"
#include "bench/pair.hpp"

namespace keepnet::bench {
namespace {

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

struct Costs {
    std::vector<double> cut_us, encode_us, restore_us, worst_poll_us, increment_us;
    std::size_t snapshot_bytes = 0;
    std::size_t increment_bytes = 0;
    CutId last_cut = 0;
};

/// cut, encode and commit in one go, on the polling thread. The sink's memory is reused, so that it is
/// faulted in.
void checkpoint_once(Stack& stack, checkpoint::VectorSink& sink, Costs& costs) {
    sink.bytes.clear();
    const Stopwatch cutting;
    const auto cut = stack.cut();
    costs.cut_us.push_back(cutting.microseconds());
    if (!cut) throw std::runtime_error("cut: " + std::string(name(cut.error())));
    const Stopwatch encoding;
    const auto encoded = checkpoint::encode(stack, *cut, {}, sink);
    costs.encode_us.push_back(encoding.microseconds());
    if (!encoded) throw std::runtime_error("encode: " + encoded.error().message);
    if (!stack.committed(*cut)) throw std::runtime_error("committed");
    costs.snapshot_bytes = sink.bytes.size();
    costs.last_cut = *cut;
}

/// The longest poll while polls sweep a cut piece by piece.
double worst_poll(Pair& pair) {
    Stack& stack = pair.server();
    const auto cut = stack.cut();
    if (!cut) throw std::runtime_error("cut");
    checkpoint::VectorSink sink;
    checkpoint::Encoder encoder(stack, *cut, {}, sink);
    double worst = 0;
    Instant now = pair.now();
    for (;;) {
        const Stopwatch polling;
        stack.poll(now);
        worst = std::max(worst, polling.microseconds());
        const auto progress = encoder.step();
        if (!progress) throw std::runtime_error("encode: " + progress.error().message);
        if (*progress == checkpoint::Encoder::Progress::done) break;
    }
    if (!stack.committed(*cut)) throw std::runtime_error("committed");
    return worst;
}

double restore_once(const ArenaMemory& arena, const StackConfig& config, ByteView snapshot) {
    std::ranges::fill(arena.bytes(), std::byte{0});  // and faulted in
    checkpoint::RestoreOptions options{.now = Instant{1}, .arena_is_zeroed = true};
    options.entropy.fill(3);
    const Stopwatch restoring;
    const auto restored = checkpoint::restore(arena.bytes(), config, snapshot, options);
    const double took = restoring.microseconds();
    if (!restored) throw std::runtime_error("restore: " + restored.error().message);
    return took;
}

struct Load {
    const char* name;
    std::uint32_t connections;
    std::size_t queued;  ///< bytes on each
    int rounds;
};

StackConfig config_of(const Load& load) {
    StackConfig config = config_for(load.connections);
    const auto buffers = static_cast<std::uint32_t>(load.connections * (load.queued / packet_buffer_bytes));
    config.capacity.packet_buffers = 2048 + buffers + buffers / 2;  // what is sent leaves a quarter
    config.capacity.slice_nodes = 4096 + buffers + buffers / 2;
    return config;
}

/// `bytes` more on every `step`th connection. Nothing leaves: the device is gone.
void queue(Pair& pair, std::size_t step, std::size_t bytes) {
    const std::vector<std::uint8_t> data(bytes, 'x');
    const auto sockets = pair.server_sockets();
    for (std::size_t i = 0; i < sockets.size(); i += step) {
        const auto sent = bytes == 0 ? 0 : pair.server().send(sockets[i], data);
        if (!sent || *sent != bytes) throw std::runtime_error("no room to queue what is to be queued");
    }
}

/// cut, encode and commit of what one connection in a hundred changed.
void increments(Pair& pair, int rounds, checkpoint::VectorSink& sink, Costs& costs) {
    for (int i = 0; i < rounds; ++i) {
        queue(pair, 100, 64);
        sink.bytes.clear();
        const auto cut = pair.server().cut(costs.last_cut);
        if (!cut) throw std::runtime_error("cut: " + std::string(name(cut.error())));
        const Stopwatch encoding;
        const auto encoded = checkpoint::encode(pair.server(), *cut, {}, sink);
        costs.increment_us.push_back(encoding.microseconds());
        if (!encoded) throw std::runtime_error("encode: " + encoded.error().message);
        if (!pair.server().committed(*cut)) throw std::runtime_error("committed");
        costs.last_cut = *cut;
        costs.increment_bytes = sink.bytes.size();
    }
}

void connections(benchmark::State& state, const Load& load) {
    const StackConfig config = config_of(load);
    Pair pair(config);
    pair.connect(load.connections);
    if (!pair.server().detach_device(1)) throw std::runtime_error("detach");
    queue(pair, 1, load.queued);
    const ArenaMemory arena(Stack::arena_bytes(config));
    Costs costs;
    checkpoint::VectorSink sink;
    for (auto _ : state) {
        for (int i = 0; i < load.rounds; ++i) {
            checkpoint_once(pair.server(), sink, costs);
            costs.restore_us.push_back(restore_once(arena, config, sink.bytes));
            costs.worst_poll_us.push_back(worst_poll(pair));
        }
        increments(pair, load.rounds, sink, costs);
    }
    const double count = load.connections;
    auto& counters = state.counters;
    counters["cut_us"] = median(costs.cut_us);
    counters["sweep_poll_us_max"] = median(costs.worst_poll_us);
    counters["encode_us"] = median(costs.encode_us);
    counters["encode_ns_each"] = median(costs.encode_us) * 1e3 / count;
    counters["restore_us"] = median(costs.restore_us);
    counters["restore_ns_each"] = median(costs.restore_us) * 1e3 / count;
    counters["increment_us"] = median(costs.increment_us);
    counters["increment_bytes"] = static_cast<double>(costs.increment_bytes);
    counters["snapshot_bytes"] = static_cast<double>(costs.snapshot_bytes);
    counters["snapshot_bytes_each"] = static_cast<double>(costs.snapshot_bytes) / count;
    StackConfig larger = config;
    larger.capacity.sockets += 100'000;
    larger.capacity.tcp_connections += 100'000;
    counters["arena_bytes_each"] =
        static_cast<double>(Stack::arena_bytes(larger) - Stack::arena_bytes(config)) / 100'000.0;
}

}  // namespace

void register_connections() {
    static constexpr std::size_t much = 64U * 1024;
    static constexpr Load loads[] = {{"connections/1", 1, 0, 11},
                                     {"connections/1,000", 1'000, 0, 11},
                                     {"connections/10,000", 10'000, 0, 11},
                                     {"connections/100,000", 100'000, 0, 5},
                                     {"connections/1,000, 64 KiB each", 1'000, much, 11},
                                     {"connections/10,000, 64 KiB each", 10'000, much, 3}};
    for (const Load& load : loads)
        add(load.name, [&load](benchmark::State& state) { connections(state, load); })->Iterations(1);
    add("connections/100,000, 64 KiB each", [](benchmark::State& state) {
        state.SkipWithError("it would need some 20 GiB of memory");
    })->Iterations(1);
}

}  // namespace keepnet::bench
