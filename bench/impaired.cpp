// Goodput over a path with faults, keepnet beside Linux.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "bench/bad_path.hpp"
#include "bench/benchmarks.hpp"
#include "bench/measure.hpp"

namespace keepnet::bench {
namespace {

constexpr Duration run_time = seconds(10);
constexpr std::uint64_t runs = 5;

/// A round trip of 20 ms, 50 Mbit/s, and a queue for two round trips.
drivers::FaultConfig base(std::uint64_t seed) {
    return {.seed = seed, .delay = milliseconds(10), .bits_per_second = 50'000'000, .queue_bytes = 250'000};
}
drivers::FaultConfig loss(std::uint64_t seed) {
    auto faults = base(seed);
    faults.lost_ppm = 5'000;
    return faults;
}
drivers::FaultConfig reordering(std::uint64_t seed) {
    auto faults = base(seed);
    faults.reordered_ppm = 10'000;
    faults.reordered_by = milliseconds(3);
    return faults;
}
drivers::FaultConfig all_faults(std::uint64_t seed) {
    auto faults = reordering(seed);
    faults.lost_ppm = 5'000;
    faults.doubled_ppm = 5'000;
    return faults;
}

struct Path {
    const char* name;
    drivers::FaultConfig (*faults)(std::uint64_t seed);
};
constexpr Path paths[] = {
    {"full queue", base}, {"loss", loss}, {"reordering", reordering}, {"all", all_faults}};

struct Direction {
    const char* name;
    Sender sender;
};
constexpr Direction directions[] = {{"Linux to Linux", Sender::linux_to_linux},
                                    {"keepnet to Linux", Sender::keepnet},
                                    {"Linux to keepnet", Sender::linux_to_keepnet}};

double median(std::vector<double> of) {
    std::ranges::sort(of);
    return of[of.size() / 2];
}

struct Figures {
    std::vector<double> goodput{};
    std::uint64_t lost = 0;
    std::uint64_t retransmitted = 0;
    std::string error{};
};

Figures& run_once(Figures& figures, const Path& path, Sender sender, std::uint64_t seed) {
    const auto result =
        run_over_bad_path({.sender = sender, .faults = path.faults(seed), .time_max = run_time});
    if (!result) return figures.error = result.error(), figures;
    if (!result->intact) return figures.error = "the bytes that came are not those that were sent", figures;
    const double seconds_taken = static_cast<double>(result->time.ns) * 1e-9;
    figures.goodput.push_back(static_cast<double>(result->bytes) * 8e-6 / seconds_taken);
    figures.retransmitted += result->retransmitted;
    figures.lost += result->data.lost + result->data.overflowed;
    return figures;
}

/// All directions of a path in turn, so that what else the machine does meanwhile meets each of them.
const std::map<Sender, Figures>& figures_of(const Path& path) {
    static std::map<const Path*, std::map<Sender, Figures>> all;
    auto& figures = all[&path];
    if (!figures.empty()) return figures;
    for (std::uint64_t seed = 1; seed <= runs; ++seed)
        for (const Direction& direction : directions) {
            Figures& of_direction = figures[direction.sender];
            if (of_direction.error.empty()) run_once(of_direction, path, direction.sender, seed);
        }
    return figures;
}

void measure_path(benchmark::State& state, const Path& path, Sender sender) {
    for (auto _ : state) {
        const Figures& figures = figures_of(path).at(sender);
        if (!figures.error.empty()) return state.SkipWithError(figures.error.c_str());
        state.counters["mbit_s"] = median(figures.goodput);
        state.counters["mbit_s_min"] = std::ranges::min(figures.goodput);
        state.counters["mbit_s_max"] = std::ranges::max(figures.goodput);
        state.counters["lost"] = static_cast<double>(figures.lost);
        state.counters["retransmitted"] = static_cast<double>(figures.retransmitted);
    }
}

}  // namespace

void register_impaired() {
    for (const Path& path : paths)
        for (const Direction& direction : directions) {
            const std::string name = std::string("impaired/") + path.name + ", " + direction.name;
            add(name.c_str(), [&path, sender = direction.sender](benchmark::State& state) {
                measure_path(state, path, sender);
            })->Iterations(1);
        }
}

}  // namespace keepnet::bench
