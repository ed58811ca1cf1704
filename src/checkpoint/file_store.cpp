// A snapshot in a file. The new one is written under another name, synced, renamed over the old one, and the directory
// synced: whenever the machine dies, the name leads to a whole snapshot.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/format.hpp"

namespace keepnet::checkpoint {
namespace {

constexpr std::size_t buffer_bytes = 256U * 1024;

std::unexpected<Failure> failed(const std::string& doing, const std::string& path, int error) {
    return refuse(Code::input_output, "cannot " + doing + " " + path + ": " + std::strerror(error));
}

class File {
  public:
    explicit File(int fd) : fd_(fd) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { (void)close(); }
    [[nodiscard]] int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int close() { return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1)); }

  private:
    int fd_;
};

std::string directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}
std::string unfinished(const std::string& path) { return path + ".new"; }

std::expected<void, Failure> sync_directory(const std::string& path) {
    const std::string directory = directory_of(path);
    const File file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!file || ::fsync(file.get()) != 0) return failed("sync directory", directory, errno);
    return {};
}

class FileWriter final : public Writer {
  public:
    FileWriter(std::string path, int fd) : path_(std::move(path)), file_(fd) { buffer_.reserve(buffer_bytes); }
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;
    ~FileWriter() override {
        if (!committed_) ::unlink(unfinished(path_).c_str());
    }

    std::expected<void, Failure> write(ByteView bytes) override {
        if (buffer_.size() + bytes.size() > buffer_bytes) {
            if (auto ok = flush(); !ok) return ok;
        }
        if (bytes.size() >= buffer_bytes) return put(bytes);
        buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
        return {};
    }
    std::expected<void, Failure> commit() override {
        const std::string from = unfinished(path_);
        if (auto ok = flush(); !ok) return ok;
        if (::fdatasync(file_.get()) != 0) return failed("sync", from, errno);
        if (file_.close() != 0) return failed("close", from, errno);
        if (::rename(from.c_str(), path_.c_str()) != 0) return failed("rename to", path_, errno);
        committed_ = true;
        return sync_directory(path_);
    }

  private:
    std::expected<void, Failure> flush() {
        const auto ok = put(buffer_);
        buffer_.clear();
        return ok;
    }
    std::expected<void, Failure> put(ByteView bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::write(file_.get(), bytes.data(), bytes.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return failed("write", unfinished(path_), errno);
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
        return {};
    }

    std::string path_;
    File file_;
    std::vector<std::uint8_t> buffer_{};
    bool committed_ = false;
};

}  // namespace

std::expected<FileStore, Failure> FileStore::open(std::string path) {
    const std::string directory = directory_of(path);
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) return failed("use directory", directory, errno);
    if (!S_ISDIR(status.st_mode)) return failed("use directory", directory, ENOTDIR);
    if (::access(directory.c_str(), W_OK | X_OK) != 0) return failed("write to directory", directory, errno);
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
        return refuse(Code::input_output, path + " is not a regular file");
    }
    if (::unlink(unfinished(path).c_str()) != 0 && errno != ENOENT) {
        return failed("remove", unfinished(path), errno);
    }
    return FileStore(std::move(path));
}

std::expected<std::unique_ptr<Writer>, Failure> FileStore::begin() {
    const std::string to = unfinished(path_);
    (void)::unlink(to.c_str());  // of a writer that was given up; a link planted there is not followed
    const int fd = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return failed("create", to, errno);
    return std::make_unique<FileWriter>(path_, fd);
}

std::expected<std::vector<std::uint8_t>, Failure> FileStore::load() {
    const File file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file && errno == ENOENT) return refuse(Code::not_found, "there is no snapshot " + path_);
    if (!file) return failed("open", path_, errno);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return failed("read", path_, errno);
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(status.st_size));
    std::size_t at = 0;
    while (at < bytes.size()) {
        const ssize_t n = ::read(file.get(), bytes.data() + at, bytes.size() - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed("read", path_, errno);
        if (n == 0) break;
        at += static_cast<std::size_t>(n);
    }
    bytes.resize(at);
    return bytes;
}

}  // namespace keepnet::checkpoint
