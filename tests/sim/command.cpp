#include "sim/command.hpp"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <optional>
#include <random>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "sim/run.hpp"
#include "sim/self_test.hpp"
#include "sim/shrink.hpp"
#include "sim/trace.hpp"
#include "tools/command_line.hpp"

namespace keepnet::sim {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto progress_every = std::chrono::seconds(5);

volatile std::uint64_t current_seed = 0;

/// A crash of the process itself, a sanitizer's abort included, names its seed.
void on_signal(int signal) {
    char line[80];
    const int n = std::snprintf(line, sizeof line, "simulator: signal %d at seed %llu\n", signal,
                                static_cast<unsigned long long>(current_seed));
    if (n > 0) (void)!::write(2, line, static_cast<std::size_t>(n));
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

unsigned long long number(std::uint64_t v) { return v; }
double in_seconds(Instant t) { return static_cast<double>(t.ns) / 1e9; }

struct Job {
    std::uint64_t seed = 0;
    Setting setting = Setting::all;
};

struct Word {
    Setting setting;
    std::string_view text;
};
/// Of a line in a file of seeds, and of an option.
constexpr Word words[] = {{Setting::small, "small"}, {Setting::journal, "journal"}};

std::optional<Job> read_job(std::string_view line) {
    Job job;
    for (const Word& w : words) {
        if (!line.starts_with(w.text)) continue;
        job.setting = w.setting;
        line.remove_prefix(w.text.size());
        break;
    }
    const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!line.empty() && space(line.front())) line.remove_prefix(1);
    while (!line.empty() && space(line.back())) line.remove_suffix(1);
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), job.seed);
    if (error != std::errc{} || end != line.data() + line.size()) return std::nullopt;
    return job;
}

std::string option_of(Setting setting) {
    for (const Word& w : words) {
        if (w.setting == setting) return " --" + std::string(w.text);
    }
    return "";
}

class Command {
  public:
    explicit Command(const CommandOptions& options) : options_(options), began_(Clock::now()) {}

    bool run() {
        for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, on_signal);
        const std::vector<Job> jobs = listed();
        const std::uint64_t first = options_.fresh ? fresh_seed() : options_.first.value_or(1);
        if (options_.fresh) std::printf("first seed: %llu\n", number(first));
        if (!options_.pcap.empty()) Trace().capture(options_.pcap);  // fails now, and not as a seed's finding
        for (const Job& job : jobs) {
            if (!play(job)) return finish();
        }
        for (std::uint64_t i = 0; is_more(i); ++i) {
            if (!play({first + i, setting()})) return finish();
        }
        return finish();
    }

  private:
    [[nodiscard]] bool is_more(std::uint64_t done) const {
        if (options_.minutes && elapsed() >= *options_.minutes * 60) return false;
        return options_.seeds ? done < *options_.seeds : options_.minutes.has_value();
    }
    [[nodiscard]] double elapsed() const {
        return std::chrono::duration<double>(Clock::now() - began_).count();
    }
    static std::uint64_t fresh_seed() {
        std::random_device device;
        return (std::uint64_t{device()} << 16 | (device() & 0xffff)) + 1;
    }
    [[nodiscard]] Setting setting() const {
        return options_.small ? Setting::small : options_.journal ? Setting::journal : Setting::all;
    }
    /// One a line; "small 42" is seed 42 in the small world.
    [[nodiscard]] std::vector<Job> listed() const {
        std::vector<Job> jobs;
        if (options_.seed) jobs.push_back({*options_.seed, setting()});
        if (options_.regressions.empty()) return jobs;
        std::ifstream in(options_.regressions);
        if (!in) throw std::runtime_error(options_.regressions + ": cannot be read");
        unsigned at = 0;
        for (std::string line; ++at, std::getline(in, line);) {
            if (line.empty() || line[0] == '#') continue;
            const auto job = read_job(line);
            if (!job) throw std::runtime_error(options_.regressions + ":" + std::to_string(at) + ": no seed: " + line);
            jobs.push_back(*job);
        }
        if (in.bad()) throw std::runtime_error(options_.regressions + ": cannot be read");
        return jobs;
    }
    /// False: it failed, and that was enough.
    bool play(const Job& job) {
        current_seed = job.seed;
        RunOptions run_options{.seed = job.seed, .verbose = options_.verbose && options_.whole, .setting = job.setting};
        if (options_.whole) run_options.pcap = options_.pcap;
        const Outcome o = sim::run(run_options);
        add(o);
        if (!o.ok) {
            report(job, o);
        } else if (options_.twice_every != 0 && (totals_.seeds - 1) % options_.twice_every == 0 &&
                   sim::run(run_options).hash != o.hash) {
            ++failures_;
            std::printf("seed %llu FAILED: the same seed gave another trace\n", number(job.seed));
        }
        if (o.ok && !options_.whole && (options_.verbose || !options_.pcap.empty())) show(run_options);
        if (options_.verbose) std::printf("hash %016llx\n", number(o.hash));
        progress();
        return failures_ == 0 || options_.keep_going;
    }
    void show(RunOptions run_options) const {
        run_options.verbose = options_.verbose;
        run_options.pcap = options_.pcap;
        (void)sim::run(run_options);
    }
    void report(const Job& job, const Outcome& o) {
        ++failures_;
        std::printf("seed %llu FAILED at %.6f s: %s\n  %s\n", number(job.seed), in_seconds(o.end),
                     o.property.c_str(), o.detail.c_str());
        Outcome shown = o;
        if (!options_.whole) {
            const Shrunk s = shrink({.seed = job.seed, .setting = job.setting}, o);
            RunOptions again{.seed = job.seed, .verbose = options_.verbose, .setting = job.setting, .without = s.without};
            again.pcap = options_.pcap;
            shown = sim::run(again);
            std::printf("without what is not needed (%s), in %u runs: at %.6f s: %s\n  %s\n",
                         s.description.c_str(), s.runs, in_seconds(shown.end), shown.property.c_str(),
                         shown.detail.c_str());
        }
        if (!options_.verbose) std::printf("%s", shown.tail.c_str());
        std::printf("repeat: %s --seed %llu%s --verbose   (--whole: everything that happened)\n",
                     options_.name.c_str(), number(job.seed), option_of(job.setting).c_str());
        if (!options_.pcap.empty()) std::printf("capture: %s\n", options_.pcap.c_str());
    }
    void progress() {
        if (!is_watched_ || Clock::now() - told_ < progress_every) return;
        told_ = Clock::now();
        std::fprintf(stderr, "%llu seeds in %.0f s, %llu failed; last: %llu\n", number(totals_.seeds), elapsed(),
                     number(failures_), number(current_seed));
    }
    void add(const Outcome& o) {
        ++totals_.seeds, totals_.turns += o.turns, totals_.segments += o.segments;
        totals_.tally.add(o.tally);
    }
    bool finish() const {
        const Tally& t = totals_.tally;
        std::printf("seeds=%llu failures=%llu turns=%llu segments=%llu %s\n", number(totals_.seeds),
                     number(failures_), number(totals_.turns), number(totals_.segments), t.text().c_str());
        return failures_ == 0 && std::fflush(stdout) == 0;
    }

    struct Totals {
        std::uint64_t seeds = 0, turns = 0, segments = 0;
        Tally tally{};
    };
    const CommandOptions& options_;
    Clock::time_point began_, told_ = Clock::now();
    bool is_watched_ = ::isatty(2) == 1;
    Totals totals_{};
    std::uint64_t failures_ = 0;
};

}  // namespace

void add_options(CLI::App& cli, CommandOptions& o) {
    const CLI::Validator natural(tool::is_natural, "NUMBER");
    cli.add_option("--seed", o.seed, "Run this one")->check(natural);
    cli.add_option("--seeds", o.seeds, "Run that many")->check(natural);
    auto* first = cli.add_option("--first", o.first, "The first of them [1]")->check(natural);
    cli.add_flag("--fresh", o.fresh, "The first of them is drawn by lot, and printed")->excludes(first);
    cli.add_option("--minutes", o.minutes, "Run so long, or until --seeds are done");
    cli.add_option("--regressions", o.regressions, "Run the seeds in a file, one a line")->check(CLI::ExistingFile);
    cli.add_option("--twice-every", o.twice_every, "Run every n-th seed twice and compare the traces")->check(natural);
    cli.add_option("--pcap", o.pcap, "Write what is on the wire of the seed that fails, or of --seed");
    auto* journal = cli.add_flag("--journal", o.journal, "Every host keeps a journal");
    cli.add_flag("--small", o.small, "Two hosts, and the faults of the first version")->excludes(journal);
    cli.add_flag("--verbose", o.verbose, "Print the trace (with --seed)");
    cli.add_flag("--whole", o.whole, "Show a failure as it came, not made smaller");
    cli.add_flag("--keep-going", o.keep_going, "Do not stop at the first failure");
    cli.add_flag("--self-test", o.self_test, "Check that what is wrong is noticed");
}

std::string complaint(const CommandOptions& o) {
    const bool has_range = o.seeds || o.minutes;
    if (o.minutes && !(*o.minutes > 0 && *o.minutes < 1e6)) return "--minutes: not between 0 and 1000000";
    if (o.fresh && !has_range) return "--fresh: say how many, with --seeds or --minutes";
    if (o.first && !has_range) return "--first: say how many, with --seeds or --minutes";
    if (!o.self_test && !o.seed && !has_range && o.regressions.empty())
        return "nothing to do: give --seed, --seeds, --minutes, --regressions or --self-test";
    return {};
}

bool execute(const CommandOptions& options) {
    if (options.self_test) return self_test();
    return Command(options).run();
}

}  // namespace keepnet::sim
