// Takes snapshots without stopping the program: the cut and the application's blobs in one instant on the polling thread;
// encoding, writing and syncing on a thread of its own, which says through a descriptor that it is done.
//
//     hosted::Snapshotter snapshotter(stack, store);
//     if (stack.commit_wanted() != never && !snapshotter.busy()) snapshotter.start({{"my program", my_state()}});
//     ...
//     snapshotter.sweep();                                       // after each poll
//     if (is_readable(snapshotter.fd())) snapshotter.finish();   // what was held goes out at the next poll
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <keepnet/checkpoint.hpp>
#include <keepnet/hosted/main.hpp>
#include <keepnet/hosted/system.hpp>
#include <keepnet/stack.hpp>

namespace keepnet::hosted {

class Snapshotter {
  public:
    /// Both outlive this object.
    Snapshotter(Stack& stack, checkpoint::SnapshotStore& store);
    ~Snapshotter();
    Snapshotter(const Snapshotter&) = delete;
    Snapshotter& operator=(const Snapshotter&) = delete;

    /// A snapshot is being written.
    [[nodiscard]] bool busy() const { return cut_.has_value(); }
    /// Cuts now. Call it when not busy, between two polls.
    Result<> start(std::vector<checkpoint::Blob> blobs);
    /// Copies towards the encoder; true: call again soon. Call it after each poll.
    bool sweep();
    /// Readable when a snapshot is durable, or has failed.
    [[nodiscard]] int fd() const { return done_.get(); }
    /// Then: tells the stack. An error means that the snapshot was given up.
    Result<> finish();

  private:
    struct Job {
        std::unique_ptr<checkpoint::Writer> writer;
        checkpoint::Encoder encoder;
    };

    void run();
    Result<> write(Job& job);

    Stack& stack_;
    checkpoint::SnapshotStore& store_;
    Fd done_;
    std::optional<CutId> cut_{};  // the polling thread's alone

    std::mutex mutex_{};
    std::condition_variable changed_{};
    std::optional<Job> job_{};
    std::optional<Result<>> outcome_{};
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace keepnet::hosted
