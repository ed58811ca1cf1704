// Images without stopping the script: in one instant, between two polls, the stack is cut and the arena
// frozen; both are written out beside the running program, into one file, and the stack is told when that is
// durable.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <keepnet/checkpoint.hpp>
#include <keepnet/stack.hpp>

#include "arena.hpp"
#include "image.hpp"

namespace persistent_runtime {

class Checkpointer {
  public:
    /// `stack`: nullptr without a network. `done_fd`: an eventfd that becomes readable when an image is
    /// durable or has failed. All outlive this object.
    Checkpointer(keepnet::Stack* stack, const Arena& arena, std::string path, int done_fd);
    ~Checkpointer();
    Checkpointer(const Checkpointer&) = delete;
    Checkpointer& operator=(const Checkpointer&) = delete;

    /// An image is being written.
    [[nodiscard]] bool busy() const { return busy_; }
    /// Now. Call it when not busy, between two polls.
    std::expected<void, std::string> start(const ImageInfo& info);
    /// Copies towards the encoder; true: call again soon. Call it after each poll.
    bool sweep();
    /// When done_fd was readable: tells the stack. An error means that the image was given up.
    std::expected<void, std::string> finish();

  private:
    struct Job;
    using Outcome = std::expected<void, std::string>;

    void run();
    Outcome write(Job& job);

    keepnet::Stack* stack_;
    const Arena& arena_;
    std::string path_;
    int done_fd_;
    bool busy_ = false;                  // the polling thread's alone
    std::optional<keepnet::CutId> cut_;  // likewise

    std::mutex mutex_;
    std::condition_variable changed_;
    std::unique_ptr<Job> job_;
    std::optional<Outcome> outcome_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace persistent_runtime
