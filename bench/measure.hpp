// What the benchmarks share.
#pragma once

#include <chrono>
#include <cstdint>

#include <benchmark/benchmark.h>

#include "bench/instructions.hpp"

namespace keepnet::bench {

/// Runs `body`, which says how many units it did, until the time is over; reports nanoseconds (of this
/// thread's processor time) and instructions for a unit.
template <class Body>
void measure(benchmark::State& state, bool kernel, Body&& body) {
    InstructionCounter counter(kernel);
    std::uint64_t units = 0;
    counter.start();
    for (auto _ : state) units += body();
    const auto instructions = counter.stop();
    if (units == 0) return state.SkipWithError("nothing was done");
    state.counters["ns"] = benchmark::Counter(static_cast<double>(units) * 1e-9,
                                              benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    if (instructions)
        state.counters["instructions"] = static_cast<double>(*instructions) / static_cast<double>(units);
}

using Clock = std::chrono::steady_clock;

inline double microseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

}  // namespace keepnet::bench
