#include <keepnet/journal_file.hpp>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/format.hpp"
#include "durability/journal_format.hpp"
#include "durability/journal_layout.hpp"

namespace keepnet {

using checkpoint::Code;
using checkpoint::Failure;
using checkpoint::refuse;
using durability::ring_offset;
using durability::StoreHeader;

namespace {

std::unexpected<Failure> failed(const std::string& what, const std::string& path) {
    return refuse(Code::input_output, what + " " + path + ": " + std::strerror(errno));
}

bool write_all(int fd, ByteView bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return true;
}

bool read_all(int fd, MutableBytes bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return true;
}

}  // namespace

struct FileJournal::Work {
    Work(int file, int event, std::string name, std::uint64_t ring)
        : fd(file), event_fd(event), path(std::move(name)), capacity(ring) {}
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    ~Work() {
        {
            const std::lock_guard lock(mutex);
            stop = true;
        }
        wake.notify_one();
        if (thread.joinable()) thread.join();
        ::close(fd);
        ::close(event_fd);
    }

    bool write_header(Lsn from) {
        StoreHeader header{.id = id, .start = from, .sequence = ++sequence, .capacity = capacity};
        durability::seal(header);
        const ByteView bytes{reinterpret_cast<const std::uint8_t*>(&header), sizeof header};
        return write_all(fd, bytes, sequence % 2 * durability::header_block_bytes);
    }

    /// On the thread. What a record overwrites must be out of the journal's range for good before.
    bool perform(Lsn at, ByteView bytes, Lsn start) {
        const bool overlaps = at + bytes.size() > durable_start + capacity;
        const bool moves = start != durable_start;
        if (moves && (!write_header(start) || (overlaps && ::fdatasync(fd) != 0))) return false;
        bool ok = true;
        durability::for_each_stretch(capacity, at, bytes, [&](std::uint64_t offset, ByteView stretch) {
            ok = ok && write_all(fd, stretch, ring_offset + offset);
        });
        if (!ok || ::fdatasync(fd) != 0) return false;
        durable_start = start;
        return true;
    }

    void run() {
        std::unique_lock lock(mutex);
        for (;;) {
            wake.wait(lock, [&] { return stop || job.has_value(); });
            if (!job) return;
            const auto [at, bytes] = *job;
            const Lsn start = wanted_start;
            lock.unlock();
            const bool ok = perform(at, bytes, start);
            lock.lock();
            job.reset();
            status = ok ? Status{at + bytes.size(), Error::invalid} : Status{status.durable, Error::journal_failed};
            const std::uint64_t one = 1;
            static_cast<void>(::write(event_fd, &one, sizeof one));
        }
    }

    struct Job {
        Lsn at = 0;
        ByteView bytes{};
    };

    const int fd;
    const int event_fd;
    const std::string path;
    const std::uint64_t capacity;
    std::uint64_t id = 0;
    std::uint64_t sequence = 0;
    Lsn durable_start = 0;  ///< in the header that is on the disk
    std::vector<std::uint64_t> image{};

    std::mutex mutex{};
    std::condition_variable wake{};
    std::optional<Job> job{};
    Lsn wanted_start = 0;
    Status status{};
    bool stop = false;
    std::thread thread{};
};

FileJournal::FileJournal(std::unique_ptr<Work> work) : work_(std::move(work)) {
    work_->thread = std::thread([work = work_.get()] { work->run(); });
}
FileJournal::~FileJournal() = default;

std::expected<std::unique_ptr<FileJournal>, Failure> FileJournal::open(const std::string& path, std::uint64_t capacity) {
    if (capacity % 8 != 0 || capacity < Journal::memory_bytes_min || capacity > (std::uint64_t{1} << 40)) {
        return refuse(Code::input_output, "a journal of " + std::to_string(capacity) + " bytes is out of range");
    }
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return failed("cannot open the journal", path);
    const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (event < 0) {
        ::close(fd);
        return failed("cannot make an eventfd for the journal", path);
    }
    auto work = std::make_unique<Work>(fd, event, path, capacity);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return failed("another process has the journal", path);
    struct stat now{};
    if (::fstat(fd, &now) != 0) return failed("cannot look at the journal", path);
    const auto size = static_cast<off_t>(ring_offset + capacity);
    if (now.st_size != 0 && now.st_size != size) {
        return refuse(Code::input_output, "the journal " + path + " has " + std::to_string(now.st_size) + " bytes and not " +
                                              std::to_string(size));
    }
    if (now.st_size == 0) {
        errno = ::posix_fallocate(fd, 0, size);
        if (errno != 0) {
            const int why = errno;
            static_cast<void>(::ftruncate(fd, 0));
            errno = why;
            return failed("no room for the journal", path);
        }
        const std::size_t slash = path.rfind('/');
        const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
        const int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const bool synced = ::fsync(fd) == 0 && directory >= 0 && ::fsync(directory) == 0;
        if (directory >= 0) ::close(directory);
        if (!synced) return failed("cannot sync the journal", path);
    }
    return std::unique_ptr<FileJournal>(new FileJournal(std::move(work)));
}

std::expected<void, Failure> FileJournal::format(std::uint64_t id) {
    Work& w = *work_;
    const std::lock_guard lock(w.mutex);
    if (id == 0 || w.job) return refuse(Code::input_output, "the journal cannot be emptied now");
    std::vector<std::uint8_t> front(ring_offset);
    if (!read_all(w.fd, front, 0)) return failed("cannot read the journal", w.path);
    if (const auto old = durability::read_header(front)) w.sequence = old->sequence;
    w.id = id;
    w.durable_start = w.wanted_start = 0;
    w.status = {};
    // Both copies: the older one must not come back with another journal's records.
    if (!w.write_header(0) || !w.write_header(0) || ::fdatasync(w.fd) != 0) return failed("cannot write the journal", w.path);
    return {};
}

std::expected<JournalImage, Failure> FileJournal::load() {
    Work& w = *work_;
    const std::lock_guard lock(w.mutex);
    std::vector<std::uint8_t> front(ring_offset);
    if (!read_all(w.fd, front, 0)) return failed("cannot read the journal", w.path);
    const auto header = durability::read_header(front);
    if (!header) {
        for (const std::uint8_t byte : front) {
            if (byte != 0) return refuse(Code::damaged, "neither copy of the header of the journal " + w.path + " is whole");
        }
        return JournalImage{};
    }
    if (header->capacity != w.capacity) return refuse(Code::damaged, "the journal " + w.path + " says another size than it has");
    w.image.assign(w.capacity / 8, 0);
    const MutableBytes room{reinterpret_cast<std::uint8_t*>(w.image.data()), static_cast<std::size_t>(w.capacity)};
    bool ok = true;
    std::size_t at = 0;
    durability::for_each_stretch(w.capacity, header->start, room, [&](std::uint64_t offset, MutableBytes stretch) {
        ok = ok && read_all(w.fd, room.subspan(at, stretch.size()), ring_offset + offset);
        at += stretch.size();
    });
    if (!ok) return failed("cannot read the journal", w.path);
    w.id = header->id;
    w.sequence = header->sequence;
    w.durable_start = w.wanted_start = header->start;
    w.status = {header->start, Error::invalid};
    return JournalImage{header->id, header->start, room};
}

void FileJournal::forget() { work_->image = {}; }

int FileJournal::completion_fd() const { return work_->event_fd; }
std::uint64_t FileJournal::capacity() const { return work_->capacity; }

bool FileJournal::write(Lsn at, ByteView bytes) {
    Work& w = *work_;
    {
        const std::lock_guard lock(w.mutex);
        if (w.job || w.id == 0 || at + bytes.size() > w.wanted_start + w.capacity) return false;
        w.status.error = Error::invalid;
        w.job = {at, bytes};
    }
    w.wake.notify_one();
    return true;
}

JournalStore::Status FileJournal::status() {
    Work& w = *work_;
    std::uint64_t count = 0;
    static_cast<void>(::read(w.event_fd, &count, sizeof count));
    const std::lock_guard lock(w.mutex);
    return w.status;
}

void FileJournal::truncate(Lsn lsn) {
    const std::lock_guard lock(work_->mutex);
    if (lsn > work_->wanted_start) work_->wanted_start = lsn;
}

}  // namespace keepnet
