#include "world.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <ctime>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

namespace persistent_runtime {
namespace {

keepnet::Instant monotonic() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return {std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

class Fd {
  public:
    explicit Fd(int fd) : fd_(fd) {}
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

// How many bytes were read, or -1.
std::int64_t read_at(const std::string& path, std::uint64_t offset, std::size_t bytes, std::string& data) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.get() < 0) return -1;
    data.resize(bytes);
    std::size_t got = 0;
    while (got < bytes) {
        const auto n = ::pread(fd.get(), data.data() + got, bytes - got, static_cast<off_t>(offset + got));
        if (n < 0) return -1;
        if (n == 0) break;
        got += static_cast<std::size_t>(n);
    }
    return static_cast<std::int64_t>(got);
}

}  // namespace

Clock::Clock(keepnet::Instant last, keepnet::Duration away) : offset_(last + away - monotonic()) {}

keepnet::Instant Clock::now() const { return monotonic() + offset_; }

// The journal's room comes back as its store writes; a script in the middle of a line of its own cannot be
// sent away.
void World::wait_for_room() {
    (void)stack_->poll(clock_.now());
    ::usleep(100);
}

void World::note(keepnet::MutableBytes bytes) {
    if (journal_ == nullptr) return;
    std::expected<void, keepnet::Error> noted;
    while (!(noted = journal_->note(bytes)) && noted.error() == keepnet::Error::would_block) wait_for_room();
}

std::optional<Event> World::choose(Event live) {
    auto choice = static_cast<std::uint8_t>(live);
    if (journal_ != nullptr) {
        const auto noted = journal_->note({&choice, 1});
        if (!noted && noted.error() == keepnet::Error::would_block) return std::nullopt;
        // Where it diverges, replay is over, and the script had better look at everything.
        if (!noted) return Event::all;
    }
    return static_cast<Event>(choice);
}

keepnet::Instant World::now() {
    const auto live = keepnet::later(clock_.now(), last_);
    if (journal_ == nullptr) return last_ = live;
    std::expected<keepnet::Instant, keepnet::Error> shown;
    while (!(shown = journal_->now(live)) && shown.error() == keepnet::Error::would_block) wait_for_room();
    return last_ = keepnet::later(shown.value_or(live), last_);
}

std::uint64_t World::random() {
    std::array<std::uint8_t, sizeof(std::uint64_t)> bytes{};
    while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    }
    note(bytes);
    return std::bit_cast<std::uint64_t>(bytes);
}

std::optional<std::uint64_t> World::file_bytes(const std::string& path) {
    struct stat status {};
    std::int64_t bytes = -1;
    if (!is_replaying() && ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode))
        bytes = status.st_size;
    note_number(bytes);
    if (bytes < 0) return std::nullopt;
    return static_cast<std::uint64_t>(bytes);
}

std::optional<std::string> World::read_file(const std::string& path, std::uint64_t offset,
                                            std::size_t bytes) {
    std::string data;
    std::int64_t got = -1;
    if (!is_replaying()) got = read_at(path, offset, bytes, data);
    note_number(got);
    if (got < 0) return std::nullopt;
    data.resize(std::min(static_cast<std::size_t>(got), bytes));
    note({reinterpret_cast<std::uint8_t*>(data.data()), data.size()});
    return data;
}

void World::note_number(std::int64_t& number) {
    auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof number>>(number);
    note(bytes);
    number = std::bit_cast<std::int64_t>(bytes);
}

void World::write(std::string_view text) {
    if (is_replaying()) return;  // it was written then
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

void World::complain(std::string_view text) {
    if (is_replaying()) return;
    std::fprintf(stderr, "persistent_runtime: %.*s\n", static_cast<int>(text.size()), text.data());
}

}  // namespace persistent_runtime
