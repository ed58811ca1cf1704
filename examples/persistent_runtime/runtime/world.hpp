// The world as a script sees it on Linux: keepnet's stack, a clock that goes on over restarts, files, stdout.
// With a journal, everything that could be different the next time goes through it: after a kill the script,
// at its older image, is told again what it had been told.
#pragma once

#include <optional>
#include <string>

#include <keepnet/journal.hpp>
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
    void set_journal(keepnet::Journal* journal) { journal_ = journal; }

    keepnet::Stack* stack() override { return stack_; }
    keepnet::Instant now() override;
    std::uint64_t random() override;
    std::optional<std::string> read_file(const std::string& path, std::uint64_t offset,
                                         std::size_t bytes) override;
    std::optional<std::uint64_t> file_bytes(const std::string& path) override;
    void write(std::string_view text) override;
    void complain(std::string_view text) override;

    [[nodiscard]] const Clock& clock() const { return clock_; }
    /// Is the script being told what it had been told before?
    [[nodiscard]] bool is_replaying() const { return journal_ != nullptr && journal_->is_replaying(); }
    /// A choice that is the same in a replay: `live` now, what was chosen then. No value: no room to record
    /// it now.
    std::optional<Event> choose(Event live);

  private:
    void note(keepnet::MutableBytes bytes);
    void note_number(std::int64_t& number);
    void wait_for_room();

    Clock clock_;
    keepnet::Stack* stack_ = nullptr;
    keepnet::Journal* journal_ = nullptr;
    keepnet::Instant last_{};  ///< that the script has seen
};

}  // namespace persistent_runtime
