// The commands. Each gives what is to be printed; a failure goes to stderr in one line.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include <keepnet/checkpoint.hpp>

namespace keepnet::tool {

/// What a snapshot holds.
std::expected<std::string, checkpoint::Failure> inspect(const std::string& argument, bool json);

struct Difference {
    std::string text{};
    bool is_empty = true;
};
/// What changed between two snapshots. Where a failure is one of the arguments', it starts with its name.
std::expected<Difference, checkpoint::Failure> diff(const std::string& from, const std::string& to, bool json);

struct Judgement {
    std::string text{};  ///< a line for each file
    bool is_good = true;
};
/// Would a restore take these? An increment alone is looked at as far as it goes.
Judgement verify(const std::vector<std::string>& arguments);

/// Does the file call itself a journal?
bool is_journal(const std::string& path);
std::expected<std::string, checkpoint::Failure> verify_journal(const std::string& path);
/// What a journal holds: sums, or each entry.
std::expected<std::string, checkpoint::Failure> show_journal(const std::string& path, bool entries);

}  // namespace keepnet::tool
