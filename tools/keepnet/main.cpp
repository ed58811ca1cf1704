// keepnet COMMAND ...: tools for snapshots. Results on stdout, everything else on stderr; files are only read. The exit status:
// docs/programs.md.
#include <algorithm>
#include <iostream>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "sim/command.hpp"
#include "tools/command_line.hpp"

namespace keepnet::tool {
namespace {

using hosted::ExitStatus;
using hosted::Result;

Result<ExitStatus> print(const std::string& text, ExitStatus status) {
    std::cout << text << std::flush;
    if (!std::cout) return hosted::failed_errno("stdout");
    return status;
}

/// A first word that is no command is named: CLI11 would say only that one is missing.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
    if (argc < 2 || argv[1][0] == '-') return {};
    std::string all;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (command->get_name() == argv[1]) return {};
        all += (all.empty() ? "" : ", ") + command->get_name();
    }
    return std::string(argv[1]) + ": no such command; there are " + all;
}

int run(int argc, char** argv) {
    CLI::App app("Tools for keepnet, a TCP/IPv6 stack whose connections survive a restart.", "keepnet");
    app.require_subcommand(1);
    std::string path;
    std::string to;
    std::vector<std::string> paths;
    bool json = false;
    const char* const chain = "the snapshot, or the directory it is in; BASE,INCREMENT,... for a chain of other files than the store's";

    CLI::App* inspect_command = app.add_subcommand("inspect", "Print what a snapshot holds");
    inspect_command->add_option("FILE", path, chain)->required();
    inspect_command->add_flag("--json", json, "for programs: every object and field, names as in snapshot.capnp");
    CLI::App* diff_command = app.add_subcommand("diff", "Print what changed between two snapshots");
    diff_command->add_option("A", path, chain)->required();
    diff_command->add_option("B", to, "the later one")->required();
    diff_command->add_flag("--json", json, "for programs: every object and field, names as in snapshot.capnp");
    CLI::App* verify_command = app.add_subcommand("verify", "Say whether a restore would take these snapshots and journals");
    verify_command->add_option("FILE", paths, chain)->required();
    bool entries = false;
    CLI::App* journal_command = app.add_subcommand("journal", "Print what a journal holds");
    journal_command->add_option("FILE", path, "the journal's file")->required();
    journal_command->add_flag("--entries", entries, "each call, object and stretch of bytes, instead of sums");
    CLI::App* simulator = app.add_subcommand("sim", "Simulate hosts that crash, and judge them; a seed repeats it");
    sim::CommandOptions simulation{.name = "keepnet sim"};
    sim::add_options(*simulator, simulation);
    if (const auto unknown = unknown_command(app, argc, argv); !unknown.empty()) {
        return static_cast<int>(hosted::run("keepnet", [&]() -> Result<ExitStatus> { return hosted::wrong_usage(unknown); }));
    }
    return run_command_line(app, argc, argv, [&]() -> Result<ExitStatus> {
        if (*simulator) {
            if (const auto wrong = sim::complaint(simulation); !wrong.empty()) return hosted::wrong_usage(wrong);
            return sim::execute(simulation) ? ExitStatus::done : ExitStatus::failed;
        }
        if (*verify_command) {
            const Judgement judgement = verify(paths);
            return print(judgement.text, judgement.is_good ? ExitStatus::done : ExitStatus::failed);
        }
        if (*diff_command) {
            const auto difference = diff(path, to, json);
            if (!difference) return hosted::failed(difference.error().message);
            return print(difference->text, difference->is_empty ? ExitStatus::done : ExitStatus::different);
        }
        const auto text = *journal_command ? show_journal(path, entries) : inspect(path, json);
        if (!text) return hosted::failed(path + ": " + text.error().message);
        return print(*text, ExitStatus::done);
    });
}

}  // namespace
}  // namespace keepnet::tool

int main(int argc, char** argv) { return keepnet::tool::run(argc, argv); }
