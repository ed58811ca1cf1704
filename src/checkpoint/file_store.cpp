// A snapshot in a file, its increments in files beside it. A new one is written under another name, synced, renamed, and
// the directory synced: whenever the machine dies, the names lead to a whole base and whole increments on it. Increments
// carry their base's id in their names, so that those of an earlier base are never taken for the new one's.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/chain_link.hpp"
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

// --- the names of increments ---

std::string increment_path(const std::string& path, std::uint64_t base, std::uint32_t number) {
    char id[17];
    std::snprintf(id, sizeof id, "%016llx", static_cast<unsigned long long>(base));
    return path + "." + id + "-" + std::to_string(number);
}

struct IncrementFile {
    std::uint64_t base = 0;
    std::uint32_t number = 0;
    std::string path{};
};
/// Every increment beside `path`, of whatever base, by number.
std::expected<std::vector<IncrementFile>, Failure> list_increments(const std::string& path) {
    namespace fs = std::filesystem;
    const std::string prefix = path.substr(path.rfind('/') + 1) + ".";
    std::vector<IncrementFile> found;
    std::error_code error;
    for (fs::directory_iterator at(directory_of(path), error), end; !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (!name.starts_with(prefix) || name.size() < prefix.size() + 18 || name[prefix.size() + 16] != '-') continue;
        IncrementFile file{.path = directory_of(path) + "/" + name};
        const char* id = name.data() + prefix.size();
        const char* last = name.data() + name.size();
        if (std::from_chars(id, id + 16, file.base, 16).ptr != id + 16) continue;
        if (std::from_chars(id + 17, last, file.number).ptr != last) continue;
        found.push_back(std::move(file));
    }
    if (error) return failed("list directory", directory_of(path), error.value());
    std::ranges::sort(found, {}, &IncrementFile::number);
    return found;
}

class FileWriter final : public Writer {
  public:
    /// `follows`: an increment on that, and `to` its name; else `to` is the base's.
    FileWriter(std::string path, std::string to, std::optional<StoreFacts> follows, int fd)
        : path_(std::move(path)), to_(std::move(to)), follows_(follows), file_(fd) {
        buffer_.reserve(buffer_bytes);
    }
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;
    ~FileWriter() override {
        if (!committed_) ::unlink(unfinished(path_).c_str());
    }

    std::expected<void, Failure> write(ByteView bytes) override {
        const std::size_t missing = std::min(head_bytes_max - head_.size(), bytes.size());
        head_.insert(head_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(missing));
        if (buffer_.size() + bytes.size() > buffer_bytes) {
            if (auto ok = flush(); !ok) return ok;
        }
        if (bytes.size() >= buffer_bytes) return put(bytes);
        buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
        return {};
    }
    std::expected<void, Failure> commit() override {
        const std::string from = unfinished(path_);
        if (follows_) {
            if (auto ok = check_follows(*follows_, head_); !ok) return ok;
        }
        if (auto ok = flush(); !ok) return ok;
        if (::fdatasync(file_.get()) != 0) return failed("sync", from, errno);
        if (file_.close() != 0) return failed("close", from, errno);
        if (::rename(from.c_str(), to_.c_str()) != 0) return failed("rename to", to_, errno);
        committed_ = true;
        if (auto ok = sync_directory(path_); !ok || follows_) return ok;
        remove_old_increments();
        return {};
    }

  private:
    /// The new base is durable: what followed an earlier one is of no use, nor of harm if it stays.
    void remove_old_increments() const {
        const auto files = list_increments(path_);
        const auto link = link_of(head_);
        for (const IncrementFile& file : files ? *files : std::vector<IncrementFile>{}) {
            if (!link || link->id != file.base) (void)::unlink(file.path.c_str());
        }
    }
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

    std::string path_;  ///< of the base
    std::string to_;
    std::optional<StoreFacts> follows_;
    File file_;
    std::vector<std::uint8_t> head_{};
    std::vector<std::uint8_t> buffer_{};
    bool committed_ = false;
};

std::expected<int, Failure> create_unfinished(const std::string& path) {
    const std::string to = unfinished(path);
    (void)::unlink(to.c_str());  // of a writer that was given up; a link planted there is not followed
    const int fd = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return failed("create", to, errno);
    return fd;
}

struct Loaded {
    std::vector<std::uint8_t> bytes{};
    std::uint64_t file_bytes = 0;
};
/// Up to `most` bytes of a file.
std::expected<Loaded, Failure> read_file(const std::string& path, std::size_t most) {
    const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file && errno == ENOENT) return refuse(Code::not_found, "there is no snapshot " + path);
    if (!file) return failed("open", path, errno);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return failed("read", path, errno);
    Loaded loaded{.file_bytes = static_cast<std::uint64_t>(status.st_size)};
    loaded.bytes.resize(std::min(static_cast<std::size_t>(status.st_size), most));
    std::size_t at = 0;
    while (at < loaded.bytes.size()) {
        const ssize_t n = ::read(file.get(), loaded.bytes.data() + at, loaded.bytes.size() - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed("read", path, errno);
        if (n == 0) break;
        at += static_cast<std::size_t>(n);
    }
    loaded.bytes.resize(at);
    return loaded;
}

/// The increments on base `id`, none left out.
std::expected<std::vector<IncrementFile>, Failure> increments_on(const std::string& path, std::uint64_t id) {
    auto files = list_increments(path);
    if (!files) return files;
    std::erase_if(*files, [&](const IncrementFile& file) { return id == 0 || file.base != id; });
    for (std::uint32_t i = 0; i < files->size(); ++i) {
        if ((*files)[i].number != i + 1) {
            return refuse(Code::wrong_chain, increment_path(path, id, i + 1) + " is missing");
        }
    }
    return files;
}

}  // namespace

std::expected<std::vector<std::string>, Failure> increment_files(const std::string& path, ByteView base) {
    const auto link = link_of(base);
    const auto files = increments_on(path, link ? link->id : 0);
    if (!files) return std::unexpected(files.error());
    std::vector<std::string> paths;
    for (const IncrementFile& file : *files) paths.push_back(file.path);
    return paths;
}

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
    const auto fd = create_unfinished(path_);
    if (!fd) return std::unexpected(fd.error());
    return std::make_unique<FileWriter>(path_, path_, std::nullopt, *fd);
}

std::expected<std::unique_ptr<Writer>, Failure> FileStore::begin_increment() {
    const auto last = facts();
    const auto base = read_file(path_, head_bytes_max);
    if (!base) return std::unexpected(base.error());
    if (!last) return refuse(Code::not_found, path_ + " is no snapshot that an increment could follow");
    const auto fd = create_unfinished(path_);
    if (!fd) return std::unexpected(fd.error());
    const std::string to = increment_path(path_, link_of(base->bytes)->id, last->increments + 1);
    return std::make_unique<FileWriter>(path_, to, last, *fd);
}

std::optional<StoreFacts> FileStore::facts() {
    const auto base = read_file(path_, head_bytes_max);
    auto link = base ? link_of(base->bytes) : std::nullopt;
    if (!link || link->id == 0) return std::nullopt;
    const auto files = increments_on(path_, link->id);
    if (!files) return std::nullopt;
    StoreFacts facts{.increments = static_cast<std::uint32_t>(files->size()), .base_bytes = base->file_bytes};
    for (const IncrementFile& file : *files) {
        const auto increment = read_file(file.path, head_bytes_max);
        link = increment ? link_of(increment->bytes) : std::nullopt;
        if (!link) return std::nullopt;
        facts.increment_bytes += increment->file_bytes;
    }
    facts.cut = link->cut;
    facts.id = link->id;
    return facts;
}

std::expected<std::vector<std::vector<std::uint8_t>>, Failure> FileStore::load_chain() {
    auto base = read_file(path_, SIZE_MAX);
    if (!base) return std::unexpected(base.error());
    const auto link = link_of(base->bytes);
    const auto files = increments_on(path_, link ? link->id : 0);
    if (!files) return std::unexpected(files.error());
    std::vector<std::vector<std::uint8_t>> chain;
    chain.push_back(std::move(base->bytes));
    for (const IncrementFile& file : *files) {
        auto increment = read_file(file.path, SIZE_MAX);
        if (!increment) return std::unexpected(increment.error());
        chain.push_back(std::move(increment->bytes));
    }
    return chain;
}

std::expected<std::vector<std::uint8_t>, Failure> FileStore::load() {
    auto chain = load_chain();
    if (!chain) return std::unexpected(chain.error());
    if (chain->size() == 1) return std::move(chain->front());
    const std::vector<ByteView> views(chain->begin(), chain->end());
    VectorSink sink;
    if (auto ok = checkpoint::compact(views, sink); !ok) return std::unexpected(ok.error());
    return std::move(sink.bytes);
}

}  // namespace keepnet::checkpoint
