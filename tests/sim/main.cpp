// keepnet-sim: see README.md. Progress and errors on stderr, the trace of --verbose on stdout.
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "sim/run.hpp"
#include "sim/self_test.hpp"

namespace {

volatile std::uint64_t current_seed = 0;

/// A crash of the process itself, a sanitizer's abort included, names its seed.
void on_signal(int number) {
    char line[80];
    const int n = std::snprintf(line, sizeof line, "keepnet-sim: signal %d at seed %llu\n", number,
                                static_cast<unsigned long long>(current_seed));
    if (n > 0) (void)!::write(2, line, static_cast<std::size_t>(n));
    std::signal(number, SIG_DFL);
    std::raise(number);
}

struct Totals {
    std::uint64_t seeds = 0, turns = 0, segments = 0;
    keepnet::sim::Tally tally{};
};

void add(Totals& t, const keepnet::sim::Outcome& o) {
    ++t.seeds, t.turns += o.turns, t.segments += o.segments;
    t.tally.crashes += o.tally.crashes, t.tally.fresh_starts += o.tally.fresh_starts,
        t.tally.restores += o.tally.restores;
    t.tally.attaches += o.tally.attaches, t.tally.suspends += o.tally.suspends, t.tally.cuts += o.tally.cuts;
    t.tally.overruns += o.tally.overruns, t.tally.abandoned += o.tally.abandoned,
        t.tally.commits += o.tally.commits;
    t.tally.reencoded += o.tally.reencoded, t.tally.increments += o.tally.increments;
}

void report(std::uint64_t seed, const keepnet::sim::Outcome& o) {
    std::fprintf(stderr,
                 "%s\nseed %llu FAILED at %.6f s: %s\n  %s\nrepeat: keepnet-sim --seed %llu --verbose\n",
                 o.tail.c_str(), static_cast<unsigned long long>(seed), static_cast<double>(o.end.ns) / 1e9,
                 o.property.c_str(), o.detail.c_str(), static_cast<unsigned long long>(seed));
}

/// True when everything held.
bool run_one(std::uint64_t seed, bool verbose, bool twice, Totals& totals) {
    current_seed = seed;
    const auto o = keepnet::sim::run({.seed = seed, .verbose = verbose});
    add(totals, o);
    if (!o.ok) {
        report(seed, o);
        return false;
    }
    if (twice && keepnet::sim::run({.seed = seed}).hash != o.hash) {
        std::fprintf(stderr, "seed %llu FAILED: the same seed gave another trace\n",
                     static_cast<unsigned long long>(seed));
        return false;
    }
    if (verbose) std::printf("hash %016llx\n", static_cast<unsigned long long>(o.hash));
    return true;
}

std::vector<std::uint64_t> read_seeds(const std::string& file) {
    std::vector<std::uint64_t> seeds;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        if (!line.empty() && line[0] != '#') seeds.push_back(std::stoull(line));
    }
    return seeds;
}

}  // namespace

extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "keepnet: %s:%u: broken invariant: %s\n", file, line, expression);
    std::abort();
}

int main(int argc, char** argv) {
    CLI::App cli{"Deterministic simulator: two keepnet hosts, a bad network, crashes, one seed",
                 "keepnet-sim"};
    std::uint64_t seed = 0, first = 1, count = 0, twice_every = 0;
    bool verbose = false, self_test = false, keep_going = false;
    std::string regressions;
    cli.add_option("--seed", seed, "Run this one");
    cli.add_option("--seeds", count, "Run that many");
    cli.add_option("--first", first, "The first of them")->capture_default_str();
    cli.add_option("--regressions", regressions, "Run the seeds in a file, one a line")
        ->check(CLI::ExistingFile);
    cli.add_option("--twice-every", twice_every, "Run every n-th seed twice and compare the traces");
    cli.add_flag("--verbose", verbose, "Print the trace (with --seed)");
    cli.add_flag("--keep-going", keep_going, "Do not stop at the first failure");
    cli.add_flag("--self-test", self_test, "Check that what is wrong is noticed");
    CLI11_PARSE(cli, argc, argv);
    for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) std::signal(number, on_signal);

    std::vector<std::uint64_t> seeds;
    if (!regressions.empty()) seeds = read_seeds(regressions);
    if (seed != 0) seeds.push_back(seed);
    for (std::uint64_t i = 0; i < count; ++i) seeds.push_back(first + i);
    if (seeds.empty() && !self_test) {
        std::fprintf(stderr, "nothing to do: give --seed, --seeds, --regressions or --self-test\n");
        return 1;
    }
    if (self_test && !keepnet::sim::self_test()) return 1;

    Totals totals;
    std::uint64_t failures = 0;
    for (std::size_t i = 0; i < seeds.size(); ++i) {
        const bool twice = twice_every != 0 && i % twice_every == 0;
        if (!run_one(seeds[i], verbose, twice, totals)) {
            ++failures;
            if (!keep_going) break;
        }
        if ((i + 1) % 250 == 0) std::fprintf(stderr, "%zu of %zu seeds\n", i + 1, seeds.size());
    }
    const auto n = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
    const auto& t = totals.tally;
    if (!seeds.empty()) {
        std::fprintf(
            stderr,
            "seeds=%llu failures=%llu turns=%llu segments=%llu crashes=%llu restores=%llu attaches=%llu "
            "suspends=%llu fresh=%llu cuts=%llu commits=%llu overruns=%llu abandoned=%llu reencoded=%llu "
            "increments=%llu\n",
            n(totals.seeds), n(failures), n(totals.turns), n(totals.segments), n(t.crashes), n(t.restores),
            n(t.attaches), n(t.suspends), n(t.fresh_starts), n(t.cuts), n(t.commits), n(t.overruns),
            n(t.abandoned), n(t.reencoded), n(t.increments));
    }
    return failures == 0 ? 0 : 1;
}
