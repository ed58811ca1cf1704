#include <keepnet/hosted/snapshotter.hpp>

#include <chrono>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

namespace keepnet::hosted {

Snapshotter::Snapshotter(Stack& stack, checkpoint::SnapshotStore& store)
    : stack_(stack), store_(store), done_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { run(); }) {}

Snapshotter::~Snapshotter() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

Result<> Snapshotter::start(std::vector<checkpoint::Blob> blobs) {
    auto writer = store_.begin();
    if (!writer) return failed(writer.error().message);
    const auto cut = stack_.cut();
    if (!cut) return failed(std::string(keepnet::name(cut.error())));
    checkpoint::EncodeOptions options;
    options.blobs = std::move(blobs);
    options.wall_clock_ns = wall_clock_ns();
    checkpoint::Encoder encoder(stack_, *cut, std::move(options), **writer);
    cut_ = *cut;
    {
        const std::lock_guard lock(mutex_);
        job_.emplace(std::move(*writer), std::move(encoder));
    }
    changed_.notify_one();
    return {};
}

bool Snapshotter::sweep() { return busy() && stack_.sweep(); }

Result<> Snapshotter::finish() {
    std::uint64_t count = 0;
    if (::read(done_.get(), &count, sizeof count) < 0) return {};
    std::optional<Result<>> outcome;
    {
        const std::lock_guard lock(mutex_);
        outcome = std::exchange(outcome_, std::nullopt);
    }
    if (!outcome) return {};
    const auto cut = *std::exchange(cut_, std::nullopt);
    const auto told = *outcome ? stack_.committed(cut) : stack_.abandoned(cut);
    if (!*outcome) return std::unexpected(outcome->error());
    if (!told) return failed(std::string(keepnet::name(told.error())));
    return {};
}

void Snapshotter::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stop_ || job_; });
        if (stop_) return;
        auto job = *std::exchange(job_, std::nullopt);
        lock.unlock();
        auto outcome = write(job);
        {
            const auto done =
                std::move(job);  // before the stack is told, the encoder and the writer are gone
        }
        lock.lock();
        outcome_ = std::move(outcome);
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(done_.get(), &one, sizeof one);
    }
}

Result<> Snapshotter::write(Job& job) {
    using Progress = checkpoint::Encoder::Progress;
    for (;;) {
        const auto progress = job.encoder.step();
        if (!progress) return failed(progress.error().message);
        if (*progress == Progress::done) break;
        if (stop_) return failed("stopped");
        // The polling thread sweeps at once after a cut, so this is rare and short.
        if (*progress == Progress::waiting) std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    const auto committed = job.writer->commit();
    if (!committed) return failed(committed.error().message);
    return {};
}

}  // namespace keepnet::hosted
