// CLI11 as every command here uses it: --help and --version, and what is wrong with a command line in one line on stderr,
// with status 2 (docs/programs.md).
#pragma once

#include <charconv>
#include <cstdint>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include <keepnet/hosted/main.hpp>

namespace keepnet::tool {

/// What is unknown is named before what is missing, for that may be what was meant.
inline std::string complaint_of(const CLI::App& app, const CLI::ParseError& error) {
    for (const auto& word : app.remaining(true)) {
        if (word.size() > 1 && word.front() == '-') return word + ": no such option";
    }
    return error.what();
}

/// A message, or nothing. (What CLI11 reads as unsigned takes -1, and what is too large.)
inline std::string is_natural(const std::string& text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? "" : text + " is no number from 0 to 2^64 - 1";
}

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
            if (ended.get_exit_code() != 0) return hosted::wrong_usage(complaint_of(app, ended) + "; see " + name + " --help");
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
