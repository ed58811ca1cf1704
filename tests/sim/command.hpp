// The simulator as a command: `keepnet-sim`, and `keepnet sim`.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace keepnet::sim {

struct CommandOptions {
    std::string name = "keepnet-sim";  ///< how it was called, for the line that says how to repeat
    std::uint64_t seed = 0;
    std::uint64_t seeds = 0;
    std::uint64_t first = 1;
    double minutes = 0;
    std::uint64_t twice_every = 0;
    std::string regressions{};
    std::string pcap{};
    bool small = false, journal = false;  ///< Setting
    bool fresh = false, verbose = false, keep_going = false, whole = false, self_test = false;
};

void add_options(CLI::App& cli, CommandOptions& options);
/// The exit status. Progress and errors go to stderr, the trace of --verbose to stdout.
int execute(const CommandOptions& options);

}  // namespace keepnet::sim
