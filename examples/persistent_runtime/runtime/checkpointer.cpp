#include "checkpointer.hpp"

#include <chrono>
#include <utility>

#include <unistd.h>

namespace persistent_runtime {

namespace checkpoint = keepnet::checkpoint;

struct Checkpointer::Job {
    std::unique_ptr<ImageWriter> writer;
    checkpoint::VectorSink snapshot{};
    std::optional<checkpoint::Encoder> encoder{};
};

Checkpointer::Checkpointer(keepnet::Stack* stack, const Arena& arena, std::string path, int done_fd)
    : stack_(stack), arena_(arena), path_(std::move(path)), done_fd_(done_fd), thread_([this] { run(); }) {}

Checkpointer::~Checkpointer() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

std::expected<void, std::string> Checkpointer::start(const ImageInfo& info) {
    // The arena first: if there is no process for it, nothing was cut. Nothing happens between the two.
    auto writer = ImageWriter::start(path_, arena_, info);
    if (!writer) return std::unexpected(writer.error());
    auto job = std::make_unique<Job>(Job{.writer = std::move(*writer)});
    if (stack_ != nullptr) {
        const auto cut = stack_->cut();
        if (!cut) return std::unexpected(std::string(keepnet::name(cut.error())));
        cut_ = *cut;
        checkpoint::EncodeOptions options;
        options.wall_clock_ns = info.wall_clock_ns;
        job->encoder.emplace(*stack_, *cut, std::move(options), job->snapshot);
    }
    busy_ = true;
    {
        const std::lock_guard lock(mutex_);
        job_ = std::move(job);
    }
    changed_.notify_one();
    return {};
}

bool Checkpointer::sweep() { return cut_ && stack_->sweep(); }

std::expected<void, std::string> Checkpointer::finish() {
    std::optional<Outcome> outcome;
    {
        const std::lock_guard lock(mutex_);
        outcome = std::exchange(outcome_, std::nullopt);
    }
    if (!outcome) return {};
    busy_ = false;
    if (!cut_) return *outcome;
    const auto cut = *std::exchange(cut_, std::nullopt);
    const auto told = *outcome ? stack_->committed(cut) : stack_->abandoned(cut);
    if (!*outcome) return *outcome;
    if (!told) return std::unexpected(std::string(keepnet::name(told.error())));
    return {};
}

void Checkpointer::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stop_ || job_; });
        if (stop_) return;
        auto job = std::move(job_);
        lock.unlock();
        auto outcome = write(*job);
        job.reset();  // before the stack is told, the encoder is gone
        lock.lock();
        outcome_ = std::move(outcome);
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(done_fd_, &one, sizeof one);
    }
}

Checkpointer::Outcome Checkpointer::write(Job& job) {
    using Progress = checkpoint::Encoder::Progress;
    while (job.encoder) {
        const auto progress = job.encoder->step();
        if (!progress) return std::unexpected(progress.error().message);
        if (*progress == Progress::done) break;
        if (stop_) return std::unexpected("stopped");
        // The polling thread sweeps at once after a cut, so this is rare and short.
        if (*progress == Progress::waiting) std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    return job.writer->finish(job.snapshot.bytes);
}

}  // namespace persistent_runtime
