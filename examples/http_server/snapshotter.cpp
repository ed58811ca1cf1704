#include "snapshotter.hpp"

#include <chrono>
#include <ctime>
#include <utility>

#include <unistd.h>

namespace http_server {

namespace checkpoint = keepnet::checkpoint;

std::int64_t wall_clock_ns() {
    timespec t{};
    ::clock_gettime(CLOCK_REALTIME, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

Snapshotter::Snapshotter(keepnet::Stack& stack, checkpoint::SnapshotStore& store, int done_fd)
    : stack_(stack), store_(store), done_fd_(done_fd), thread_([this] { run(); }) {}

Snapshotter::~Snapshotter() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

std::expected<void, std::string> Snapshotter::start(std::vector<std::uint8_t> blob) {
    auto writer = store_.begin();
    if (!writer) return std::unexpected(writer.error().message);
    const auto cut = stack_.cut();
    if (!cut) return std::unexpected(std::string(keepnet::name(cut.error())));
    checkpoint::EncodeOptions options;
    options.blobs.push_back({blob_name, std::move(blob)});
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

std::expected<void, std::string> Snapshotter::finish() {
    std::optional<Outcome> outcome;
    {
        const std::lock_guard lock(mutex_);
        outcome = std::exchange(outcome_, std::nullopt);
    }
    if (!outcome) return {};
    const auto cut = *std::exchange(cut_, std::nullopt);
    const auto told = *outcome ? stack_.committed(cut) : stack_.abandoned(cut);
    if (!*outcome) return std::unexpected(outcome->error());
    if (!told) return std::unexpected(std::string(keepnet::name(told.error())));
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
        [[maybe_unused]] const auto written = ::write(done_fd_, &one, sizeof one);
    }
}

Snapshotter::Outcome Snapshotter::write(Job& job) {
    using Progress = checkpoint::Encoder::Progress;
    for (;;) {
        const auto progress = job.encoder.step();
        if (!progress) return std::unexpected(progress.error().message);
        if (*progress == Progress::done) break;
        if (stop_) return std::unexpected("stopped");
        // The polling thread sweeps at once after a cut, so this is rare and short.
        if (*progress == Progress::waiting) std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    const auto committed = job.writer->commit();
    if (!committed) return std::unexpected(committed.error().message);
    return {};
}

}  // namespace http_server
