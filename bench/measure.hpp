// What the benchmarks share.
#pragma once

#include <cstdint>
#include <exception>

#include <time.h>

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

/// Processor time of this thread: what else the machine does is not measured.
class Stopwatch {
  public:
    [[nodiscard]] double microseconds() const { return now() - start_; }

  private:
    static double now() {
        timespec time{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
    }
    double start_ = now();
};

/// Registers `body(state)`; what it throws becomes the row's error.
template <class Body>
benchmark::internal::Benchmark* add(const char* name, Body body) {
    return benchmark::RegisterBenchmark(name, [body](benchmark::State& state) {
        try {
            body(state);
        } catch (const std::exception& e) {
            state.SkipWithError(e.what());
        }
    });
}

}  // namespace keepnet::bench
