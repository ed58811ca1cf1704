// What a checkpoint costs, by the number of idle connections.
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

constexpr int rounds = 11;

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

struct Costs {
    std::vector<double> cut_us, encode_us, restore_us, worst_poll_us;
    std::size_t snapshot_bytes = 0;
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

void idle_connections(benchmark::State& state, std::uint32_t count) {
    StackConfig config = config_for(count);
    config.capacity.packet_buffers = 2048;  // idle: none is needed, and the arena is cleared for every round
    Pair pair(config);
    pair.connect(count);
    const ArenaMemory arena(Stack::arena_bytes(config));
    Costs costs;
    checkpoint::VectorSink sink;
    for (auto _ : state) {
        for (int i = 0; i < rounds; ++i) {
            checkpoint_once(pair.server(), sink, costs);
            costs.restore_us.push_back(restore_once(arena, config, sink.bytes));
            costs.worst_poll_us.push_back(worst_poll(pair));
        }
    }
    const double connections = count;
    auto& counters = state.counters;
    counters["cut_us"] = median(costs.cut_us);
    counters["sweep_poll_us_max"] = median(costs.worst_poll_us);
    counters["encode_us"] = median(costs.encode_us);
    counters["encode_ns_each"] = median(costs.encode_us) * 1e3 / connections;
    counters["restore_us"] = median(costs.restore_us);
    counters["restore_ns_each"] = median(costs.restore_us) * 1e3 / connections;
    counters["snapshot_bytes"] = static_cast<double>(costs.snapshot_bytes);
    counters["snapshot_bytes_each"] = static_cast<double>(costs.snapshot_bytes) / connections;
    StackConfig larger = config;
    larger.capacity.sockets += 100'000;
    larger.capacity.tcp_connections += 100'000;
    counters["arena_bytes_each"] =
        static_cast<double>(Stack::arena_bytes(larger) - Stack::arena_bytes(config)) / 100'000.0;
}

}  // namespace

void register_connections() {
    for (const auto& [name, count] : {std::pair{"connections/1", 1U}, std::pair{"connections/1,000", 1'000U},
                                      std::pair{"connections/10,000", 10'000U}})
        add(name, [n = count](benchmark::State& state) {
            idle_connections(state, n);
        })->Iterations(1);
}

}  // namespace keepnet::bench
