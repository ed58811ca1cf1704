// Collects what the benchmarks measured and prints it, for people or for programs.
#pragma once

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace keepnet::bench {

/// One line: `group/name` is the benchmark's name, the figures are its counters. A figure that this machine
/// cannot measure is missing.
struct Row {
    std::string group;
    std::string name;
    std::map<std::string, double> figures;
    std::string error;
};

class Collector : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(const Context&) override { return true; }
    void ReportRuns(const std::vector<Run>& runs) override;
    [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }

  private:
    std::vector<Row> rows_;
};

void print_tables(const std::vector<Row>& rows, std::ostream& out);
void print_json(const std::vector<Row>& rows, std::ostream& out);

}  // namespace keepnet::bench
