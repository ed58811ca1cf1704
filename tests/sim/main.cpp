// keepnet-sim: see README.md.
#include <CLI/CLI.hpp>

#include "sim/command.hpp"
#include "tools/command_line.hpp"

int main(int argc, char** argv) {
    using keepnet::hosted::ExitStatus;
    CLI::App cli{"Deterministic simulator: keepnet hosts, a bad network, crashes, one seed", "keepnet-sim"};
    keepnet::sim::CommandOptions options;
    keepnet::sim::add_options(cli, options);
    return keepnet::tool::run_command_line(cli, argc, argv, [&]() -> keepnet::hosted::Result<ExitStatus> {
        if (const auto wrong = complaint(options); !wrong.empty()) return keepnet::hosted::wrong_usage(wrong);
        return execute(options) ? ExitStatus::done : ExitStatus::failed;
    });
}
