// The world as a script sees it on Linux: keepnet's stack, a clock that goes on over restarts, files, stdout.
#pragma once

#include <optional>
#include <string>

#include <keepnet/stack.hpp>

#include "vm.hpp"

namespace persistent_runtime {

/// Nanoseconds since the script began; what passed while the program was not there counts, if the wall clock
/// knows.
class Clock {
  public:
    Clock() : Clock(keepnet::Instant{}, keepnet::Duration{}) {}
    Clock(keepnet::Instant last, keepnet::Duration away);
    [[nodiscard]] keepnet::Instant now() const;

  private:
    keepnet::Duration offset_{};
};

class World final : public Host {
  public:
    explicit World(const Clock& clock) : clock_(clock) {}
    void set_stack(keepnet::Stack* stack) { stack_ = stack; }

    keepnet::Stack* stack() override { return stack_; }
    keepnet::Instant now() override { return clock_.now(); }
    std::uint64_t random() override;
    std::optional<std::string> read_file(const std::string& path, std::uint64_t offset,
                                         std::size_t bytes) override;
    std::optional<std::uint64_t> file_bytes(const std::string& path) override;
    void write(std::string_view text) override;
    void complain(std::string_view text) override;

    [[nodiscard]] const Clock& clock() const { return clock_; }

  private:
    Clock clock_;
    keepnet::Stack* stack_ = nullptr;
};

}  // namespace persistent_runtime
