// CLI11 as every command here uses it: --help and --version, and what is wrong with a command line in one line on stderr,
// with status 2 (docs/programs.md).
#pragma once

#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <keepnet/hosted/main.hpp>

namespace keepnet::tool {

/// Parses, and if there is something to do, runs `body`. The exit status.
inline int run_command_line(CLI::App& app, int argc, char** argv,
                            const std::function<hosted::Result<hosted::ExitStatus>()>& body) {
    using hosted::ExitStatus;
    const std::string name = app.get_name();
    app.set_version_flag("--version", name + " " + std::string(hosted::version()));
    const auto status = hosted::run(name, [&]() -> hosted::Result<ExitStatus> {
        try {
            app.parse(argc, argv);
        } catch (const CLI::ParseError& ended) {
            if (ended.get_exit_code() != 0) return hosted::wrong_usage(std::string(ended.what()) + "; see " + name + " --help");
            (void)app.exit(ended);
            return ExitStatus::done;
        }
        return body();
    });
    return static_cast<int>(status);
}

/// An option was given, on the command line.
inline bool is_given(const CLI::Option* option) { return option->count() != 0; }

}  // namespace keepnet::tool
