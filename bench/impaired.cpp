// Goodput over a path with faults, keepnet beside Linux.
#include <algorithm>
#include <vector>

#include "bench/bad_path.hpp"
#include "bench/benchmarks.hpp"
#include "bench/measure.hpp"

namespace keepnet::bench {
namespace {

constexpr Duration run_time = seconds(10);
constexpr int runs = 5;

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

void measure_path(benchmark::State& state, const Path& path, Sender sender) {
    std::vector<double> goodput;
    double retransmitted = 0;
    double lost = 0;
    for (auto _ : state) {
        for (std::uint64_t seed = 1; seed <= runs; ++seed) {
            const auto result =
                run_over_bad_path({.sender = sender, .faults = path.faults(seed), .time_max = run_time});
            if (!result) return state.SkipWithError(result.error().c_str());
            if (!result->intact)
                return state.SkipWithError("the bytes that came are not those that were sent");
            goodput.push_back(static_cast<double>(result->bytes) * 8e-6 /
                              (static_cast<double>(result->time.ns) * 1e-9));
            retransmitted += static_cast<double>(result->retransmitted);
            lost += static_cast<double>(result->data.lost + result->data.overflowed);
        }
    }
    state.counters["mbit_s"] = median(goodput);
    state.counters["mbit_s_min"] = std::ranges::min(goodput);
    state.counters["mbit_s_max"] = std::ranges::max(goodput);
    state.counters["lost"] = lost;
    state.counters["retransmitted"] = retransmitted;
}

}  // namespace

void register_impaired() {
    for (const Path& path : paths)
        for (const Direction& direction : directions) {
            const std::string name = std::string("impaired/") + path.name + ", " + direction.name;
            add(name.c_str(), [=](benchmark::State& state) {
                measure_path(state, path, direction.sender);
            })->Iterations(1);
        }
}

}  // namespace keepnet::bench
