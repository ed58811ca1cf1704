// keepnet-sim-planted: the judge is judged. For each fault that can be planted in the stack, in an application or in an
// embedder: is it found within so many seeds, and by a property that speaks of it? And nothing is found where none is.
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/planted.hpp"
#include "sim/run.hpp"

namespace keepnet::sim {
namespace {

struct Planted {
    std::string_view name{};
    Fault fault = Fault::none;
    AppFault app_fault = AppFault::none;
    Setting setting = Setting::all;
};

constexpr Planted all_planted[] = {
    {"ack-before-durable", Fault::ack_before_durable},
    {"literal-snd-nxt", Fault::literal_snd_nxt},
    {"withheld-acks-sent", Fault::withheld_acks_sent},
    {"early-end-of-last-ack", Fault::early_end_of_last_ack},
    {"reset-before-ready", Fault::reset_before_ready},
    {"transfer-outside-the-handler", Fault::none, AppFault::takes_early},
    {"lost-field", Fault::lost_field},
    {"stale-shadow", Fault::stale_shadow},
    {"timer-not-rearmed", Fault::timer_not_rearmed},
    {"edge-moved-back", Fault::edge_moved_back},
    {"tsval-moved-back", Fault::tsval_moved_back},
    {"journal-not-synced", Fault::journal_not_synced, AppFault::none, Setting::journal},
    {"interior-hole", Fault::interior_hole, AppFault::none, Setting::journal},
    {"replay-off-by-one", Fault::replay_off_by_one, AppFault::none, Setting::journal},
    {"readiness-out-of-order", Fault::readiness_out_of_order, AppFault::none, Setting::journal},
    {"lost-delta", Fault::lost_delta, AppFault::none, Setting::journal},
};
// Every fault of the core, and the one that an application makes.
static_assert(std::size(all_planted) == static_cast<std::size_t>(Fault::count_) - 1 + 1);

unsigned long long number(std::uint64_t v) { return v; }

std::jmp_buf before_run;

/// As run(); a broken invariant is an outcome, too.
Outcome run_guarded(const RunOptions& options) {
    if (setjmp(before_run) != 0) return {.property = "no invariant is broken"};
    return run(options);
}

/// The first seed that fails, or 0.
std::uint64_t first_failure(const Planted& p, std::uint64_t first, std::uint64_t seeds, Outcome& outcome) {
    planted_fault = p.fault;
    planted_reached = 0;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        outcome = run_guarded({.seed = seed, .app_fault = p.app_fault, .setting = p.setting});
        if (!outcome.ok) return seed;
    }
    return 0;
}

bool is_found(const Planted& p, std::uint64_t first, std::uint64_t seeds) {
    Outcome outcome;
    const std::uint64_t seed = first_failure(p, first, seeds, outcome);
    if (seed == 0) {
        std::fprintf(stderr, "%s: NOT FOUND in %llu seeds; its place was reached %llu times\n",
                     std::string(p.name).c_str(), number(seeds), number(planted_reached));
        return false;
    }
    std::fprintf(stderr, "%s: found after %llu seeds (%llu): %s\n", std::string(p.name).c_str(),
                 number(seed - first + 1), number(seed), outcome.property.c_str());
    return true;
}

/// Without a fault this program is the simulator: nothing may fail.
bool is_clean(std::uint64_t first, std::uint64_t seeds) {
    Outcome outcome;
    std::uint64_t seed = first_failure({}, first, seeds, outcome);
    if (seed == 0) seed = first_failure({.setting = Setting::journal}, first, seeds, outcome);
    if (seed != 0)
        std::fprintf(stderr, "no fault: seed %llu FAILED: %s: %s\n", number(seed), outcome.property.c_str(),
                     outcome.detail.c_str());
    else
        std::fprintf(stderr, "no fault: nothing found in %llu seeds\n", number(seeds));
    return seed == 0;
}

}  // namespace
}  // namespace keepnet::sim

/// A fault may break an invariant before anything else notices it: that finds it, too. What was under way is left lying.
extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "keepnet: %s:%u: broken invariant: %s\n", file, line, expression);
    if (keepnet::planted_fault == keepnet::Fault::none) std::abort();
    std::longjmp(keepnet::sim::before_run, 1);
}

int main(int argc, char** argv) {
    namespace sim = keepnet::sim;
    CLI::App cli{"The simulator with faults planted in the stack: each must be found", "keepnet-sim-planted"};
    std::uint64_t seeds = 1000, first = 1;
    std::string only;
    cli.add_option("--seeds", seeds, "Within so many")->capture_default_str();
    cli.add_option("--first", first, "The first of them")->capture_default_str();
    cli.add_option("--fault", only, "This one alone");
    CLI11_PARSE(cli, argc, argv);
    bool ok = !only.empty() || sim::is_clean(first, seeds);
    bool any = false;
    for (const sim::Planted& p : sim::all_planted) {
        if (!only.empty() && p.name != only) continue;
        any = true;
        ok = sim::is_found(p, first, seeds) && ok;
    }
    return ok && any ? 0 : 1;
}
