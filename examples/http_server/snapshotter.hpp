// Takes snapshots without stopping the server: the cut and the application's blob in one instant on the
// polling thread; encoding, writing and syncing on a thread of its own, which says through an eventfd that it
// is done.
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
#include <vector>

#include <keepnet/checkpoint.hpp>
#include <keepnet/stack.hpp>

namespace http_server {

class Snapshotter {
  public:
    /// `done_fd`: an eventfd that becomes readable when a snapshot is durable or has failed. All outlive this
    /// object.
    Snapshotter(keepnet::Stack& stack, keepnet::checkpoint::SnapshotStore& store, int done_fd);
    ~Snapshotter();
    Snapshotter(const Snapshotter&) = delete;
    Snapshotter& operator=(const Snapshotter&) = delete;

    /// A snapshot is being written.
    [[nodiscard]] bool busy() const { return cut_.has_value(); }
    /// Cuts now. Call it when not busy, between two polls.
    std::expected<void, std::string> start(std::vector<std::uint8_t> blob);
    /// Copies towards the encoder; true: call again soon. Call it after each poll.
    bool sweep();
    /// When done_fd was readable: tells the stack. An error means that the snapshot was given up.
    std::expected<void, std::string> finish();

  private:
    struct Job {
        std::unique_ptr<keepnet::checkpoint::Writer> writer;
        keepnet::checkpoint::Encoder encoder;
    };
    using Outcome = std::expected<void, std::string>;

    void run();
    Outcome write(Job& job);

    keepnet::Stack& stack_;
    keepnet::checkpoint::SnapshotStore& store_;
    int done_fd_;
    std::optional<keepnet::CutId> cut_;  // the polling thread's alone

    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<Job> job_;
    std::optional<Outcome> outcome_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

/// Name of the application's blob in the snapshot.
inline constexpr const char* blob_name = "http_server";

/// ns since 1970.
std::int64_t wall_clock_ns();

}  // namespace http_server
