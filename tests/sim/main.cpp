// keepnet-sim: see README.md.
#include <cstdio>
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "sim/command.hpp"

extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "keepnet: %s:%u: broken invariant: %s\n", file, line, expression);
    std::abort();
}

int main(int argc, char** argv) {
    CLI::App cli{"Deterministic simulator: keepnet hosts, a bad network, crashes, one seed", "keepnet-sim"};
    keepnet::sim::CommandOptions options;
    keepnet::sim::add_options(cli, options);
    CLI11_PARSE(cli, argc, argv);
    return keepnet::sim::execute(options);
}
