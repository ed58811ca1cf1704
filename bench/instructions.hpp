// Counts the instructions of this process, where the machine lets it.
#pragma once

#include <cstdint>
#include <optional>

namespace keepnet::bench {

class InstructionCounter {
  public:
    /// `kernel`: also those that the kernel executes for us (needs perf_event_paranoid of 1 or less, or
    /// root).
    explicit InstructionCounter(bool kernel);
    ~InstructionCounter();
    InstructionCounter(const InstructionCounter&) = delete;
    InstructionCounter& operator=(const InstructionCounter&) = delete;

    void start();
    /// Instructions since start(); nothing where there is no counter.
    std::optional<std::uint64_t> stop();

  private:
    int fd_ = -1;
};

}  // namespace keepnet::bench
