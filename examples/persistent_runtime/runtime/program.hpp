// One running script: polls the stack, hands events to the interpreter, takes images, sleeps; suspends in
// order on SIGTERM, and ends when the script has ended.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include <keepnet/stack.hpp>

#include "checkpointer.hpp"
#include "log.hpp"
#include "vm.hpp"
#include "world.hpp"

namespace persistent_runtime {

struct ProgramConfig {
    std::string state{};                                     ///< file of the image
    std::string title{};                                     ///< of the script and its arguments
    std::string policy{};                                    ///< ImageInfo::policy
    std::string pmem{};                                      ///< ImageInfo::pmem
    std::uint64_t images = 0;                                ///< that were taken before
    keepnet::Instant last_image{};                           ///< when the last of them was
    keepnet::Duration interval = keepnet::milliseconds(20);  ///< between two images, at least
    Log* log = nullptr;  ///< with a journal output waits for no image: one that is asked for is taken at once
    keepnet::Duration suspend_max = keepnet::seconds(10);  ///< then it ends without
    keepnet::Duration linger =
        keepnet::milliseconds(500);  ///< how long the last words of an ended script may take
    int device_fd = -1;              ///< readable when frames wait
    int signal_fd = -1;              ///< readable at SIGTERM and SIGINT
    int done_fd = -1;                ///< an eventfd, for the checkpointer
};

/// How it ended.
enum class Ending : std::uint8_t { invalid = 0, script_ended, script_failed, suspended };

class Program {
  public:
    /// `stack`: nullptr without a network.
    Program(keepnet::Stack* stack, Arena& arena, Vm& vm, World& world, const ProgramConfig& config);

    /// Takes one image and waits for it: nothing the script does shows before it can be repeated.
    std::expected<void, std::string> save();
    /// Until the script ends, or SIGTERM. An error: it ended without order.
    std::expected<Ending, std::string> run();

  private:
    enum class Phase : std::uint8_t { invalid = 0, running, suspending, last_image, finished };

    std::expected<keepnet::Instant, std::string> turn();
    [[nodiscard]] bool has_ended() const { return looked_ && script_.tasks == 0; }
    [[nodiscard]] bool has_addresses(keepnet::Instant now) const;
    std::expected<bool, std::string> dispatch(Event event);
    std::expected<void, std::string> dispatch_live(keepnet::Instant now);
    keepnet::Instant progress_ending(keepnet::Instant now);
    keepnet::Instant progress_suspend(keepnet::Instant now);
    keepnet::Instant image_if_wanted(keepnet::Instant now);
    void take_image(keepnet::Instant now);
    void on_failure(const std::string& why);
    void sleep_until(keepnet::Instant wake);
    void on_image_done();
    void on_signal();

    keepnet::Stack* stack_;
    Vm& vm_;
    World& world_;
    ProgramConfig config_;
    Checkpointer checkpointer_;
    keepnet::Instant started_;
    Phase phase_ = Phase::running;
    Ending ending_ = Ending::invalid;
    TurnResult script_{};
    bool is_live_ = false;        ///< replay has ended, if there was one
    bool looked_ = false;         ///< at everything, once after the start
    bool changed_ = false;        ///< the script has run since the last image
    bool sockets_ready_ = false;  ///< next_ready() may have something
    keepnet::Instant next_image_{};
    keepnet::Instant retry_image_{};
    keepnet::Instant ended_since_ = keepnet::never;
    keepnet::Instant suspend_until_ = keepnet::never;
    std::string last_failure_{};
    bool last_failed_ = false;
};

}  // namespace persistent_runtime
