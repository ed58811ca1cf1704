// Is io_uring better than FileJournal's writing thread? Group commits of a few sizes, one after another into a preallocated
// file, each waited for as an event loop does: by poll() on a file descriptor. Both ways take turns in one run.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <keepnet/journal_file.hpp>
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t capacity = 64U << 20;
constexpr int commits = 200;  ///< of one way in one turn
constexpr int turns = 8;

void must(bool holds, const char* what) {
    if (holds) return;
    std::perror(what);
    std::exit(1);
}

void wait_for(int fd) {
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    while (::poll(&p, 1, -1) != 1) {}
}

double cpu_us() {
    rusage u{};
    ::getrusage(RUSAGE_SELF, &u);
    const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
    return us(u.ru_utime) + us(u.ru_stime);
}

class Thread {
  public:
    explicit Thread(const std::string& path) : file_(*keepnet::FileJournal::open(path, capacity)) {
        must(file_->format(1).has_value(), "format");
    }
    void commit(keepnet::ByteView bytes) {
        if (at_ + bytes.size() > start_ + capacity / 2) file_->truncate(start_ = at_);
        must(file_->write(at_, bytes), "write");
        at_ += bytes.size();
        while (file_->status().durable < at_) wait_for(file_->completion_fd());
    }

  private:
    std::unique_ptr<keepnet::FileJournal> file_;
    keepnet::Lsn at_ = 0, start_ = 0;
};

class Uring {
  public:
    explicit Uring(const std::string& path)
        : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)), event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
        must(fd_ >= 0 && event_ >= 0 && ::posix_fallocate(fd_, 0, capacity) == 0 && ::fsync(fd_) == 0, "open");
        must(::io_uring_queue_init(8, &ring_, 0) == 0 && ::io_uring_register_eventfd(&ring_, event_) == 0, "io_uring");
    }
    Uring(const Uring&) = delete;
    Uring& operator=(const Uring&) = delete;
    ~Uring() {
        ::io_uring_queue_exit(&ring_);
        ::close(event_);
        ::close(fd_);
    }
    void commit(keepnet::ByteView bytes) {
        if (at_ + bytes.size() > capacity) at_ = 0;
        io_uring_sqe* write = ::io_uring_get_sqe(&ring_);
        ::io_uring_prep_write(write, fd_, bytes.data(), static_cast<unsigned>(bytes.size()), at_);
        write->flags |= IOSQE_IO_LINK;
        ::io_uring_prep_fsync(::io_uring_get_sqe(&ring_), fd_, IORING_FSYNC_DATASYNC);
        must(::io_uring_submit(&ring_) == 2, "submit");
        at_ += bytes.size();
        for (int ended = 0; ended < 2;) {
            wait_for(event_);
            std::uint64_t count = 0;
            if (::read(event_, &count, sizeof count) < 0) continue;
            for (io_uring_cqe* cqe = nullptr; ::io_uring_peek_cqe(&ring_, &cqe) == 0; ++ended) {
                must(cqe->res >= 0, "commit");
                ::io_uring_cqe_seen(&ring_, cqe);
            }
        }
    }

  private:
    int fd_;
    int event_;
    io_uring ring_{};
    std::uint64_t at_ = 0;
};

struct Times {
    std::vector<double> us{};
    double cpu = 0;
    template <class Way>
    void run(Way& way, keepnet::ByteView bytes) {
        const double before = cpu_us();
        for (int i = 0; i < commits; ++i) {
            const auto begin = Clock::now();
            way.commit(bytes);
            us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
        }
        cpu += cpu_us() - before;
    }
    void print(const char* name, std::size_t bytes) {
        std::sort(us.begin(), us.end());
        std::printf("%8zu bytes  %-8s p50 %8.0f us  p99 %8.0f us  processor %6.1f us a commit\n", bytes, name, us[us.size() / 2],
                    us[us.size() * 99 / 100], cpu / static_cast<double>(us.size()));
    }
};

}  // namespace

/// The argument: a folder on the disk in question.
int main(int argc, char** argv) {
    const std::string folder = (argc > 1 ? std::string(argv[1]) : std::string(".")) + "/keepnet-uring-XXXXXX";
    std::vector<char> name(folder.begin(), folder.end());
    name.push_back('\0');
    must(::mkdtemp(name.data()) != nullptr, "mkdtemp");
    const std::filesystem::path place(name.data());
    {
        Thread thread((place / "thread").string());
        Uring uring((place / "uring").string());
        for (const std::size_t bytes : {std::size_t{4096}, std::size_t{65536}, std::size_t{524288}}) {
            const std::vector<std::uint8_t> record(bytes, 0x5a);
            Times by_thread, by_uring;
            for (int turn = 0; turn < turns; ++turn) {
                by_thread.run(thread, record);
                by_uring.run(uring, record);
            }
            by_thread.print("thread", bytes);
            by_uring.print("io_uring", bytes);
        }
    }
    std::filesystem::remove_all(place);
    return 0;
}
