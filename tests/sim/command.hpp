// The simulator as a command: `keepnet-sim`, and `keepnet sim`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace keepnet::sim {

struct CommandOptions {
    std::string name = "keepnet-sim";  ///< how it was called, for the line that says how to repeat
    std::optional<std::uint64_t> seed{};
    std::optional<std::uint64_t> seeds{};
    std::optional<std::uint64_t> first{};
    std::optional<double> minutes{};
    std::uint64_t twice_every = 0;
    std::string regressions{};
    std::string pcap{};
    bool small = false, journal = false;  ///< Setting
    bool fresh = false, verbose = false, keep_going = false, whole = false, self_test = false;
};

void add_options(CLI::App& cli, CommandOptions& options);
/// What is missing, or does not go together; empty: nothing.
std::string complaint(const CommandOptions& options);
/// Did every seed hold? Results go to stdout, the trace of --verbose too; progress to stderr, if that is a terminal. Throws
/// std::runtime_error for a file that cannot be read or written.
bool execute(const CommandOptions& options);

}  // namespace keepnet::sim
