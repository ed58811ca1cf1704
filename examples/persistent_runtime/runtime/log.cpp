#include "log.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

namespace persistent_runtime {
namespace {

// Two halves, each of which takes what the script was told between two writes of the store.
constexpr std::size_t memory_bytes = std::size_t{16} << 20;

std::unexpected<std::string> failed(const std::string& path, const std::string& what) {
    return std::unexpected(path + ": " + what);
}
std::unexpected<std::string> failed_errno(const std::string& path) {
    return failed(path, std::strerror(errno));
}

keepnet::MutableBytes bytes_of(std::span<std::byte> bytes) {
    return {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()};
}

// The process that writes an image has no use for it.
std::span<std::byte> map_memory(std::size_t bytes) {
    void* at =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED || ::madvise(at, bytes, MADV_DONTFORK) != 0) return {};
    return {static_cast<std::byte*>(at), bytes};
}

std::expected<std::span<std::byte>, std::string> map_file(const std::string& path, std::uint64_t bytes,
                                                          bool is_new) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (is_new ? O_CREAT : 0), 0600);
    if (fd < 0) return failed_errno(path);
    struct stat status {};
    void* at = MAP_FAILED;
    if (!is_new || ::ftruncate(fd, static_cast<off_t>(bytes)) == 0) {
        if (::fstat(fd, &status) == 0 && status.st_size > 0) {
            at = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ | PROT_WRITE, MAP_SHARED,
                        fd, 0);
        }
    }
    const int error = errno;
    ::close(fd);
    if (at == MAP_FAILED) return failed(path, status.st_size == 0 ? "it is empty" : std::strerror(error));
    return std::span{static_cast<std::byte*>(at), static_cast<std::size_t>(status.st_size)};
}

std::uint64_t random_id() {
    std::uint64_t id = 0;
    while (::getrandom(&id, sizeof id, 0) != sizeof id || id == 0) {
    }
    return id;
}

}  // namespace

void Log::Mapping::unmap() {
    if (!bytes.empty()) ::munmap(bytes.data(), bytes.size());
    bytes = {};
}

void Log::forget() {
    if (file_) file_->forget();
    room_.unmap();
}

Log::~Log() = default;

keepnet::JournalStore& Log::store() {
    if (file_) return *file_;
    return *mapped_;
}

std::expected<std::unique_ptr<Log>, std::string> Log::prepare(const LogConfig& config, bool is_new) {
    std::unique_ptr<Log> log(new Log);
    log->memory_.bytes = map_memory(memory_bytes);
    if (log->memory_.bytes.empty()) return failed_errno("memory for the journal");
    if (!config.is_persistent_memory) {
        auto file = keepnet::FileJournal::open(config.path, config.bytes);
        if (!file) return std::unexpected(file.error().message);
        log->file_ = std::move(*file);
        return log;
    }
    const auto region = map_file(config.path, config.bytes, is_new);
    if (!region) return std::unexpected(region.error());
    log->region_.bytes = *region;
    log->mapped_.emplace(bytes_of(*region));
    return log;
}

std::expected<void, std::string> Log::format(std::uint64_t id) {
    if (file_) {
        const auto done = file_->format(id);
        if (!done) return std::unexpected(done.error().message);
        return {};
    }
    const auto done = mapped_->format(id);
    if (!done) return std::unexpected(std::string(name(done.error())));
    return {};
}

std::expected<keepnet::JournalImage, std::string> Log::load() {
    if (file_) {
        const auto image = file_->load();
        if (!image) return std::unexpected(image.error().message);
        return *image;
    }
    room_.bytes = map_memory(mapped_->capacity());
    if (room_.bytes.empty()) return failed_errno("memory for what the journal holds");
    const auto image = mapped_->load(bytes_of(room_.bytes));
    if (!image) return std::unexpected(std::string(name(image.error())));
    return *image;
}

std::expected<std::unique_ptr<Log>, std::string> Log::create(const LogConfig& config) {
    auto log = prepare(config, true);
    if (!log) return log;
    auto& l = **log;
    const auto id = random_id();
    if (const auto ready = l.format(id); !ready) return failed(config.path, ready.error());
    auto journal = keepnet::Journal::create(l.memory_.bytes, l.store(), {.id = id});
    if (!journal) return failed(config.path, std::string(name(journal.error())));
    l.journal_.emplace(std::move(*journal));
    return log;
}

std::expected<std::unique_ptr<Log>, std::string> Log::open(const LogConfig& config) {
    auto log = prepare(config, false);
    if (!log) return log;
    auto& l = **log;
    const auto image = l.load();
    if (!image) return failed(config.path, image.error());
    if (image->id == 0) return failed(config.path, "it holds no journal");
    auto journal = keepnet::Journal::open(l.memory_.bytes, l.store(), *image, {});
    if (!journal) return failed(config.path, std::string(name(journal.error())));
    l.journal_.emplace(std::move(*journal));
    return log;
}

}  // namespace persistent_runtime
