#include "world.hpp"

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

}  // namespace

Clock::Clock(keepnet::Instant last, keepnet::Duration away) : offset_(last + away - monotonic()) {}

keepnet::Instant Clock::now() const { return monotonic() + offset_; }

std::uint64_t World::random() {
    std::uint64_t number = 0;
    while (::getrandom(&number, sizeof number, 0) != sizeof number) {
    }
    return number;
}

std::optional<std::uint64_t> World::file_bytes(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    return static_cast<std::uint64_t>(status.st_size);
}

std::optional<std::string> World::read_file(const std::string& path, std::uint64_t offset,
                                            std::size_t bytes) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.get() < 0) return std::nullopt;
    std::string data(bytes, '\0');
    std::size_t got = 0;
    while (got < bytes) {
        const auto n = ::pread(fd.get(), data.data() + got, bytes - got, static_cast<off_t>(offset + got));
        if (n < 0) return std::nullopt;
        if (n == 0) break;
        got += static_cast<std::size_t>(n);
    }
    data.resize(got);
    return data;
}

void World::write(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

void World::complain(std::string_view text) {
    std::fprintf(stderr, "persistent_runtime: %.*s\n", static_cast<int>(text.size()), text.data());
}

}  // namespace persistent_runtime
