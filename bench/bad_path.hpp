// One TCP connection over a path that loses, doubles, delays and reorders frames, by the clock on the wall:
// keepnet to Linux, Linux to keepnet, or Linux to Linux through a bridge. The path is the same
// drivers/filter/faults in each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>

#include <keepnet/drivers/filter/faults/fault_filter.hpp>
#include <keepnet/time.hpp>

namespace keepnet::bench {

enum class Sender : std::uint8_t { invalid = 0, keepnet, linux_to_keepnet, linux_to_linux };

struct BadPathRun {
    Sender sender = Sender::invalid;
    drivers::FaultConfig faults{};  ///< its clock is the machine's
    std::size_t bytes_max = 0;      ///< 0: until the time is over
    Duration time_max = seconds(60);
};

struct BadPathResult {
    std::size_t bytes = 0;            ///< that arrived, in order and unchanged
    bool intact = true;               ///< nothing that arrived was anything else
    bool ended = false;               ///< the receiver saw the end of the stream
    Duration time{};                  ///< from the start of the handshake
    std::uint64_t retransmitted = 0;  ///< segments, by the sender's own count
    drivers::FaultCounters data{};    ///< frames from the sender
    drivers::FaultCounters acks{};    ///< and towards it
};

/// The error says what this machine does not allow.
std::expected<BadPathResult, std::string> run_over_bad_path(const BadPathRun& run);

}  // namespace keepnet::bench
