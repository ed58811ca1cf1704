#include "bench/report.hpp"

#include <algorithm>
#include <iomanip>
#include <iterator>
#include <sstream>
#include <string_view>

namespace keepnet::bench {
namespace {

struct Column {
    std::string_view figure;
    std::string_view heading;
    int decimals;
};

struct Table {
    std::string_view group;
    std::string_view title;
    std::vector<Column> columns;
    std::string_view note;
};

const std::vector<Table>& tables() {
    static const std::vector<Table> all{
        {"transfer",
         "Bulk transfer, for each 1,440 bytes of payload, both ends",
         {{"ns", "ns", 1},
          {"instructions", "instructions", 0},
          {"gbit_s", "Gbit/s", 2},
          {"ratio", "keepnet/this", 2}},
         "Time is processor time of the one thread that runs both ends. keepnet: two stacks over "
         "drivers/memory, checksums "
         "made and verified.\nLinux: the kernel of this machine through sockets, 64 KiB a call, over "
         "loopback, which has no "
         "checksums; `segments` handles each\n1,440 bytes by itself, as keepnet does here, `super-frames` up "
         "to 64 KiB at once."},
        {"exchange",
         "Request and response of 64 bytes, both ends",
         {{"ns", "ns", 1}, {"instructions", "instructions", 0}, {"ratio", "keepnet/this", 2}},
         ""},
        {"connections",
         "Checkpoints of connections, idle or with so much queued on each",
         {{"cut_us", "cut us", 2},
          {"sweep_poll_us_max", "worst poll us", 1},
          {"encode_us", "encode us", 1},
          {"encode_ns_each", "ns each", 0},
          {"restore_us", "restore us", 1},
          {"restore_ns_each", "ns each", 0},
          {"increment_us", "1 % dirty us", 1},
          {"increment_bytes", "bytes", 0},
          {"snapshot_bytes", "snapshot bytes", 0},
          {"snapshot_bytes_each", "bytes each", 0},
          {"arena_bytes_each", "arena bytes each", 0}},
         "Medians of processor time. `worst poll`: the longest poll while a cut was swept. `arena bytes`: "
         "what a connection "
         "adds to the arena's size.\n`1 % dirty`: encoding an increment when one connection in a hundred has "
         "changed."},
        {"policy",
         "Durability: one connection of 1 MiB buffers under each policy, by the clock on the wall",
         {{"up_gbit_s", "up Gbit/s", 2},
          {"down_gbit_s", "down Gbit/s", 2},
          {"p50_us", "p50 us", 0},
          {"p99_us", "p99 us", 0},
          {"commits_s", "commits/s", 0},
          {"commit_us", "commit us", 0}},
         "Both ends on one thread, over drivers/memory; the server has the policy. up: towards it. p50, p99: "
         "request "
         "and response of 64 bytes.\nThe interval is the least between two cuts. memory: what a commit costs "
         "is the "
         "encoding alone; disk: a thread of its own writes the\nsnapshot with checkpoint::FileStore into the "
         "working "
         "directory. commit us: from the cut until it is durable,\n"
         "median. journal: 256 MiB, in a file with fdatasync or in memory; commits: its records."},
        {"impaired",
         "Goodput of one connection over a bad path, by the clock on the wall",
         {{"mbit_s", "Mbit/s", 2},
          {"mbit_s_min", "least", 2},
          {"mbit_s_max", "most", 2},
          {"goodput_ratio", "of Linux", 2},
          {"lost", "lost", 0},
          {"retransmitted", "retransmitted", 0}},
         "Medians of five runs of 10 s through drivers/filter/faults and TAP: 20 ms round trip, 50 Mbit/s, a queue "
         "of 250 kB; loss 0.5 %,\nreordering 1 % by 3 ms, all: both, and 0.5 % doubled. Linux to Linux: through a "
         "bridge with the same filter, both CUBIC.\nof Linux: goodput as a part of Linux to Linux's; above 1, "
         "keepnet's is the better one. lost: frames of data, all runs."},
        {"part", "Parts", {{"ns", "ns", 1}, {"instructions", "instructions", 0}}, ""},
    };
    return all;
}

std::string figure(const Row& row, const Column& column) {
    const auto found = row.figures.find(std::string(column.figure));
    if (found == row.figures.end()) return "-";
    std::ostringstream text;
    text << std::fixed << std::setprecision(column.decimals) << found->second;
    return text.str();
}

void print_table(const Table& table, const std::vector<Row>& rows, std::ostream& out) {
    std::size_t name_width = 0;
    for (const Row& row : rows) name_width = std::max(name_width, row.name.size());
    std::vector<int> widths;
    for (const Column& column : table.columns) {
        std::size_t width = column.heading.size();
        for (const Row& row : rows) width = std::max(width, figure(row, column).size());
        widths.push_back(static_cast<int>(width));
    }
    out << table.title << "\n  " << std::string(name_width, ' ');
    for (std::size_t i = 0; i < widths.size(); ++i)
        out << "  " << std::setw(widths[i]) << table.columns[i].heading;
    out << '\n';
    for (const Row& row : rows) {
        out << "  " << std::left << std::setw(static_cast<int>(name_width)) << row.name << std::right;
        if (!row.error.empty()) {
            out << "  not measured: " << row.error << '\n';
            continue;
        }
        for (std::size_t i = 0; i < widths.size(); ++i)
            out << "  " << std::setw(widths[i]) << figure(row, table.columns[i]);
        out << '\n';
    }
    if (!table.note.empty()) out << table.note << '\n';
    out << '\n';
}

/// keepnet's time as a multiple of each peer's, on the peer's line: below 1, keepnet is the faster one.
std::vector<Row> with_ratios(std::vector<Row> rows) {
    for (const Row& ours : rows) {
        if (ours.name != "keepnet" || !ours.figures.contains("ns")) continue;
        for (Row& row : rows)
            if (row.group == ours.group && row.figures.contains("ns"))
                row.figures["ratio"] = ours.figures.at("ns") / row.figures.at("ns");
    }
    // The same path, Linux at both ends: "impaired/PATH, Linux to Linux".
    for (const Row& linux : rows) {
        const auto path = linux.name.find(", Linux to Linux");
        if (linux.group != "impaired" || path == std::string::npos || !linux.figures.contains("mbit_s")) continue;
        for (Row& row : rows)
            if (row.group == "impaired" && row.name.starts_with(linux.name.substr(0, path + 1)) && row.figures.contains("mbit_s"))
                row.figures["goodput_ratio"] = row.figures.at("mbit_s") / linux.figures.at("mbit_s");
    }
    return rows;
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + '"';
}

}  // namespace

void Collector::ReportRuns(const std::vector<Run>& runs) {
    for (const Run& run : runs) {
        const std::string& name = run.run_name.function_name;
        const std::size_t slash = name.find('/');
        Row row{
            name.substr(0, slash), name.substr(slash + 1), {}, run.error_occurred ? run.error_message : ""};
        for (const auto& [key, counter] : run.counters) row.figures[key] = counter.value;
        rows_.push_back(row);
    }
}

void print_tables(const std::vector<Row>& rows, std::ostream& out) {
    const std::vector<Row> all = with_ratios(rows);
    for (const Table& table : tables()) {
        std::vector<Row> of_group;
        std::ranges::copy_if(all, std::back_inserter(of_group),
                             [&](const Row& row) { return row.group == table.group; });
        if (!of_group.empty()) print_table(table, of_group, out);
    }
}

void print_json(const std::vector<Row>& rows, std::ostream& out) {
    out << "{\"keepnet_bench\": 1, \"rows\": [";
    const char* separator = "\n";
    for (const Row& row : with_ratios(rows)) {
        out << separator << "  {\"group\": " << json_string(row.group)
            << ", \"name\": " << json_string(row.name);
        for (const auto& [name, value] : row.figures)
            out << ", " << json_string(name) << ": " << std::setprecision(12) << value;
        if (!row.error.empty()) out << ", \"error\": " << json_string(row.error);
        out << '}';
        separator = ",\n";
    }
    out << "\n]}\n";
}

}  // namespace keepnet::bench
