// keepnet COMMAND ...: tools for snapshots. Results on stdout, everything else on stderr; files are only read. Exit status:
// 2 for wrong usage; inspect and verify: 1 for what no stack would take; diff: 1 for a difference, 2 for trouble.
#include <iostream>

#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "sim/command.hpp"

namespace keepnet::tool {
namespace {

int print(const std::string& text, int status) {
    std::cout << text << std::flush;
    return std::cout ? status : 1;
}

int run(int argc, char** argv) {
    CLI::App app("Tools for keepnet, a TCP/IPv6 stack whose connections survive a restart.", "keepnet");
    app.require_subcommand(1);
    std::string path;
    std::string to;
    std::vector<std::string> paths;
    bool json = false;
    const char* const chain = "the snapshot; BASE,INCREMENT,... for a chain of other files than the store's";

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
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : 2;
    }

    if (*simulator) return sim::execute(simulation);
    if (*verify_command) {
        const Judgement judgement = verify(paths);
        return print(judgement.text, judgement.is_good ? 0 : 1);
    }
    if (*diff_command) {
        const auto difference = diff(path, to, json);
        if (difference) return print(difference->text, difference->is_empty ? 0 : 1);
        std::cerr << "keepnet: " << difference.error().message << '\n';
        return 2;
    }
    const auto text = *journal_command ? show_journal(path, entries) : inspect(path, json);
    if (text) return print(*text, 0);
    std::cerr << "keepnet: " << path << ": " << text.error().message << '\n';
    return 1;
}

}  // namespace
}  // namespace keepnet::tool

int main(int argc, char** argv) { return keepnet::tool::run(argc, argv); }
