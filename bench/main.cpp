// keepnet-bench: every figure in one command, as a table or as JSON.
#include <iostream>
#include <string>

#include <benchmark/benchmark.h>
#include <CLI/CLI.hpp>

#include "bench/benchmarks.hpp"
#include "bench/report.hpp"

int main(int argc, char** argv) {
    CLI::App app("Measures keepnet beside the TCP of this machine's kernel.");
    bool json = false;
    std::string filter = ".";
    double seconds = 1.0;
    app.add_flag("--json", json, "print JSON instead of tables");
    app.add_option("--filter", filter, "only the benchmarks whose name matches this regular expression");
    app.add_option("--seconds", seconds, "how long to run each that is repeated until then")
        ->check(CLI::Range(0.01, 600.0));
    CLI11_PARSE(app, argc, argv);

    keepnet::bench::register_transfers();
    keepnet::bench::register_connections();
    keepnet::bench::register_policies();
    keepnet::bench::register_parts();
    keepnet::bench::register_impaired();

    const std::string filter_flag = "--benchmark_filter=" + filter;
    const std::string time_flag = "--benchmark_min_time=" + std::to_string(seconds);
    const char* flags[] = {argv[0], filter_flag.c_str(), time_flag.c_str(), nullptr};
    int count = 3;
    benchmark::Initialize(&count, const_cast<char**>(flags));
    keepnet::bench::Collector collector;
    if (benchmark::RunSpecifiedBenchmarks(&collector) == 0) {
        std::cerr << "keepnet-bench: no benchmark is called " << filter << '\n';
        return 1;
    }
    json ? print_json(collector.rows(), std::cout) : print_tables(collector.rows(), std::cout);
    for (const auto& row : collector.rows())
        if (row.group + row.name == "transferkeepnet" && !row.error.empty()) return 1;
    return 0;
}
