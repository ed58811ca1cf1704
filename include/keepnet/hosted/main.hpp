// What the programs of keepnet have in common at their edges: one line for each failure, and one exit status for each
// kind of it (docs/programs.md). A program of your own may do as they do:
//
//     int main(int argc, char** argv) {
//         using namespace keepnet::hosted;
//         return run_main(argc, argv, {.name = "hello", .usage = "usage: hello TAP ADDRESS STATE"},
//                         [](std::span<const std::string_view> arguments) -> Result<> {
//                             if (arguments.size() != 3) return wrong_usage("three arguments are needed");
//                             return {};
//                         });
//     }
#pragma once

#include <expected>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include <keepnet/cxx23.hpp>

namespace keepnet::hosted {

enum class ExitStatus : int {
    done = 0,       ///< what was asked for is done; a question is answered with yes
    failed = 1,     ///< it could not be done, or what was looked at is not good
    usage = 2,      ///< the command line says what cannot be
    different = 3,  ///< two things that were compared differ
};

struct Failure {
    std::string message{};  ///< one line, for people
    ExitStatus status = ExitStatus::failed;
};
template <typename T = void>
using Result = std::expected<T, Failure>;

std::unexpected<Failure> failed(std::string what);
/// `what`, and the system's word for errno.
std::unexpected<Failure> failed_errno(const std::string& what);
std::unexpected<Failure> wrong_usage(std::string what);

/// Of keepnet, as in "0.1.0".
std::string_view version();

/// Runs `body`. What it fails with, or throws, is one line on stderr behind the program's name.
ExitStatus run(std::string_view name, const std::function<Result<ExitStatus>()>& body);

struct MainOptions {
    std::string name{};
    std::string usage{};  ///< what --help prints
};
/// For a program whose command line is a few words: answers --help and --version, knows no other option (a word behind
/// `--` is none), and runs `body` with the words. The exit status.
int run_main(int argc, const char* const* argv, const MainOptions& options,
             const std::function<Result<>(std::span<const std::string_view>)>& body);

}  // namespace keepnet::hosted
