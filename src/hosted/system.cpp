#include <keepnet/hosted/system.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace keepnet::hosted {
namespace {

std::int64_t ns_of(clockid_t clock) {
    timespec t{};
    ::clock_gettime(clock, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

Result<Fd> locked(Fd fd, const std::string& path, const std::string& who) {
    if (!fd) return failed_errno(path);
    const bool done = with_patience([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; });
    if (!done) return failed(path + ": another " + who + " uses it");
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return failed_errno(path);
    return fd;
}

}  // namespace

void Fd::close() {
    if (fd_ >= 0) ::close(fd_);
}

Instant monotonic_now() { return {ns_of(CLOCK_MONOTONIC)}; }

std::int64_t wall_clock_ns() { return ns_of(CLOCK_REALTIME); }

std::array<std::uint8_t, 32> entropy() {
    std::array<std::uint8_t, 32> bytes{};
    while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    }
    return bytes;
}

bool pause_for(Duration time) {
    const timespec t{.tv_sec = time.ns / 1'000'000'000, .tv_nsec = time.ns % 1'000'000'000};
    return ::nanosleep(&t, nullptr) == 0;
}

Result<Arena> Arena::map(std::size_t bytes, OnFork on_fork) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return failed_errno("memory of " + std::to_string(bytes) + " bytes for the stack");
    Arena arena(std::span{static_cast<std::byte*>(at), bytes});
    if (on_fork == OnFork::left_out && ::madvise(at, bytes, MADV_DONTFORK) != 0)
        return failed_errno("memory for the stack");
    return arena;
}

Arena::~Arena() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Result<Fd> lock_directory(const std::string& path, const std::string& who) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed_errno(path);
    return locked(Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), path, who);
}

Result<Fd> lock_file(const std::string& path, const std::string& who) {
    return locked(Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)), path, who);
}

Result<std::vector<std::uint8_t>> read_file(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return failed_errno(path);
    std::vector<std::uint8_t> bytes;
    for (std::size_t at = 0;; at = bytes.size()) {
        bytes.resize(at + (std::size_t{256} << 10));
        const auto n = ::read(fd.get(), bytes.data() + at, bytes.size() - at);
        if (n < 0 && errno != EINTR) return failed_errno(path);
        bytes.resize(at + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
        if (n == 0) return bytes;
    }
}

Result<Fd> catch_termination() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0) {
        if (Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)); fd) return fd;
    }
    return failed_errno("signalfd");
}

}  // namespace keepnet::hosted
