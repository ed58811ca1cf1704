#include "image.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <keepnet/hosted/system.hpp>

namespace persistent_runtime {
namespace {

using keepnet::ByteView;

constexpr std::array<char, 8> magic = {'K', 'N', 'R', 'U', 'N', '\r', '\n', '\x1a'};
constexpr std::uint32_t version = 2;
constexpr std::size_t header_room = 4096;
constexpr std::size_t block_bytes = std::size_t{1} << 20;

struct ImageHeader {
    std::array<char, 8> magic{};
    std::uint32_t version = 0;
    std::uint32_t title_bytes = 0;
    BuildIdentity build{};
    std::uint64_t arena_address = 0;
    std::uint64_t arena_bytes = 0;
    std::uint64_t snapshot_bytes = 0;
    std::uint64_t number = 0;
    std::int64_t wall_clock_ns = 0;
    std::int64_t runtime_now_ns = 0;
    std::uint64_t arena_checksum = 0;
    std::uint64_t snapshot_checksum = 0;
    std::array<char, title_bytes_max> title{};
    std::array<char, policy_bytes_max> policy{};  ///< zeros behind it, as behind the next
    std::array<char, pmem_bytes_max> pmem{};
    std::uint64_t header_checksum = 0;  ///< of everything before it
};
static_assert(std::is_trivially_copyable_v<ImageHeader> && sizeof(ImageHeader) <= header_room);
static_assert(std::has_unique_object_representations_v<ImageHeader>);

// Each step can be undone, so that two texts that differ in one word never have the same sum.
class Checksum {
  public:
    void add(ByteView bytes) {  // but for the last call a multiple of 8 bytes
        for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes.data(), 8);
            mix(word);
        }
        std::uint64_t rest = bytes.size();
        for (const auto byte : bytes) rest = rest << 8 | byte;
        if (!bytes.empty()) mix(rest);
    }
    [[nodiscard]] std::uint64_t value() const { return sum_; }

  private:
    void mix(std::uint64_t word) { sum_ = std::rotl((sum_ ^ word) * 0x9e3779b97f4a7c15, 29); }
    std::uint64_t sum_ = 0x6b65'6570'6e65'7421;
};

std::uint64_t checksum_of(ByteView bytes) {
    Checksum sum;
    sum.add(bytes);
    return sum.value();
}

std::uint64_t header_checksum(const ImageHeader& header) {
    return checksum_of(
        {reinterpret_cast<const std::uint8_t*>(&header), sizeof header - sizeof header.header_checksum});
}

ByteView bytes_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

template <std::size_t N>
std::string text_of(const std::array<char, N>& field) {
    return {field.begin(), std::ranges::find(field, '\0')};
}

std::unexpected<std::string> failed(const std::string& path, const std::string& what) {
    return std::unexpected(path + ": " + what);
}
std::unexpected<std::string> failed_errno(const std::string& path) {
    return failed(path, std::strerror(errno));
}

using keepnet::hosted::Fd;

// 0 or an errno. Calls nothing that a forked child of a program with threads may not call.
int write_all(int fd, ByteView bytes, std::size_t offset) {
    while (!bytes.empty()) {
        const auto n =
            ::pwrite(fd, bytes.data(), std::min(bytes.size(), block_bytes), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 ? errno : EIO;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::size_t>(n);
    }
    return 0;
}

std::expected<void, std::string> read_all(int fd, std::span<std::uint8_t> out, std::size_t offset,
                                          const std::string& path) {
    while (!out.empty()) {
        const auto n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed_errno(path);
        if (n == 0) return failed(path, "its end is missing");
        out = out.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::size_t>(n);
    }
    return {};
}

std::string directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

// Why the header is not one of ours, or nothing.
std::string refusal(const ImageHeader& header, const BuildIdentity& build, std::uint64_t file_bytes) {
    if (header.magic != magic) return "it is not an image of this runtime";
    if (header.version != version) return "it is of another version of the format";
    if (header.header_checksum != header_checksum(header)) return "its header is damaged";
    if (header.build != build) {
        return "it was written by another build of this program, and holds addresses of that one";
    }
    if (header.arena_address != arena_address || header.arena_bytes > arena_bytes_max ||
        header.title_bytes > title_bytes_max) {
        return "its header makes no sense";
    }
    if (header.snapshot_bytes > file_bytes ||
        file_bytes != header_room + header.arena_bytes + header.snapshot_bytes) {
        return "its length is wrong";
    }
    return {};
}

// The other process: it holds nothing of the program but its frozen memory and the file.
[[noreturn]] void write_arena(int fd, pid_t parent, ByteView arena, std::uint64_t* checksum) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The device and the lock must not outlive the program because of us.
    if (fd > 3) ::close_range(3, static_cast<unsigned>(fd) - 1, 0);
    ::close_range(static_cast<unsigned>(fd) + 1, ~0U, 0);
    if (::getppid() != parent) ::_exit(ESRCH);
    Checksum sum;
    int error = 0;
    for (std::size_t offset = 0; offset < arena.size() && error == 0; offset += block_bytes) {
        const auto block = arena.subspan(offset, std::min(block_bytes, arena.size() - offset));
        sum.add(block);
        error = write_all(fd, block, header_room + offset);
    }
    *checksum = sum.value();
    ::_exit(error);
}

}  // namespace

std::expected<BuildIdentity, std::string> build_identity() {
    struct Found {
        BuildIdentity identity{};
        bool present = false;
    } found;
    const auto visit = [](dl_phdr_info* info, std::size_t, void* result) {
        auto& out = *static_cast<Found*>(result);
        out.identity.load_address = info->dlpi_addr;
        for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
            const auto& segment = info->dlpi_phdr[i];
            if (segment.p_type != PT_NOTE) continue;
            const auto* at = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);  // NOLINT
            for (const char* end = at + segment.p_memsz; at + sizeof(ElfW(Nhdr)) <= end;) {
                ElfW(Nhdr) note;
                std::memcpy(&note, at, sizeof note);
                const char* name = at + sizeof note;
                const char* description = name + (note.n_namesz + 3U) / 4U * 4U;
                if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                    std::memcmp(name, "GNU", 4) == 0) {
                    const auto bytes = std::min<std::size_t>(note.n_descsz, out.identity.build_id.size());
                    std::memcpy(out.identity.build_id.data(), description, bytes);
                    out.present = true;
                }
                at = description + (note.n_descsz + 3U) / 4U * 4U;
            }
        }
        return 1;  // the program is the first object; no other matters
    };
    ::dl_iterate_phdr(visit, &found);
    if (!found.present) return std::unexpected("this program was linked without a build id");
    return found.identity;
}

std::expected<std::optional<Image>, std::string> load_image(const std::string& path, Arena& arena) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) {
        if (errno == ENOENT) return std::nullopt;
        return failed_errno(path);
    }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return failed_errno(path);
    ImageHeader header;
    std::array<std::uint8_t, header_room> raw{};
    if (auto read = read_all(fd.get(), raw, 0, path); !read) return std::unexpected(read.error());
    std::memcpy(&header, raw.data(), sizeof header);
    const bool blank =
        std::ranges::all_of(std::span{raw}.subspan(sizeof header), [](auto byte) { return byte == 0; });
    const auto build = build_identity();
    if (!build) return std::unexpected(build.error());
    if (const auto why = refusal(header, *build, static_cast<std::uint64_t>(status.st_size)); !why.empty()) {
        return failed(path, why);
    }
    if (!blank) return failed(path, "its header is damaged");

    Image image;
    image.info = {.number = header.number,
                  .wall_clock_ns = header.wall_clock_ns,
                  .runtime_now_ns = header.runtime_now_ns,
                  .title = std::string(header.title.data(), header.title_bytes),
                  .policy = text_of(header.policy),
                  .pmem = text_of(header.pmem)};
    image.snapshot.resize(header.snapshot_bytes);
    const auto space = arena.space(header.arena_bytes);
    const std::span memory{reinterpret_cast<std::uint8_t*>(space.data()), space.size()};
    if (auto read = read_all(fd.get(), memory, header_room, path); !read)
        return std::unexpected(read.error());
    const auto behind = header_room + header.arena_bytes;
    if (auto read = read_all(fd.get(), image.snapshot, behind, path); !read)
        return std::unexpected(read.error());
    if (checksum_of(memory) != header.arena_checksum ||
        checksum_of(image.snapshot) != header.snapshot_checksum || !arena.is_sane(memory.size())) {
        return failed(path, "it is damaged");
    }
    return image;
}

struct ImageWriter::Work {
    Work(std::string path_, Fd fd_) : path(std::move(path_)), temporary(path + ".new"), fd(std::move(fd_)) {}
    std::string path;
    std::string temporary;
    Fd fd;
    ImageHeader header{};
    pid_t child = -1;
    std::uint64_t* checksum = nullptr;  ///< shared with the child
    bool renamed = false;
};

ImageWriter::ImageWriter(std::unique_ptr<Work> work) : work_(std::move(work)) {}

std::expected<std::unique_ptr<ImageWriter>, std::string> ImageWriter::start(const std::string& path,
                                                                            const Arena& arena,
                                                                            const ImageInfo& info) {
    const auto build = build_identity();
    if (!build) return std::unexpected(build.error());
    if (info.title.size() > title_bytes_max) return failed(path, "script and arguments are too long");
    if (info.policy.size() > policy_bytes_max || info.pmem.size() > pmem_bytes_max)
        return failed(path, "the name of the journal's file is too long");
    const auto temporary = path + ".new";
    ::unlink(
        temporary.c_str());  // of a writer that was killed; if it is still about, it writes to no name now
    Fd fd(::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd.get() < 0) return failed_errno(temporary);
    auto work = std::make_unique<Work>(path, std::move(fd));
    std::unique_ptr<ImageWriter> writer(new ImageWriter(std::move(work)));
    auto& w = *writer->work_;

    void* shared =
        ::mmap(nullptr, sizeof *w.checksum, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return failed_errno(temporary);
    w.checksum = new (shared) std::uint64_t{0};
    const auto memory = bytes_of(arena.used());
    w.header.magic = magic;
    w.header.version = version;
    w.header.build = *build;
    w.header.arena_address = arena_address;
    w.header.arena_bytes = memory.size();
    w.header.number = info.number;
    w.header.wall_clock_ns = info.wall_clock_ns;
    w.header.runtime_now_ns = info.runtime_now_ns;
    w.header.title_bytes = static_cast<std::uint32_t>(info.title.size());
    std::ranges::copy(info.title, w.header.title.begin());
    std::ranges::copy(info.policy, w.header.policy.begin());
    std::ranges::copy(info.pmem, w.header.pmem.begin());

    const auto parent = ::getpid();
    w.child = ::fork();
    if (w.child < 0) return failed_errno("fork");
    if (w.child == 0) write_arena(w.fd.get(), parent, memory, w.checksum);
    return writer;
}

ImageWriter::~ImageWriter() {
    if (work_->child > 0) {
        ::kill(work_->child, SIGKILL);
        ::waitpid(work_->child, nullptr, 0);
    }
    if (work_->checksum != nullptr) ::munmap(work_->checksum, sizeof *work_->checksum);
    if (!work_->renamed) ::unlink(work_->temporary.c_str());
}

std::expected<void, std::string> ImageWriter::finish(ByteView snapshot) {
    auto& w = *work_;
    int status = 0;
    while (::waitpid(w.child, &status, 0) < 0 && errno == EINTR) {
    }
    w.child = -1;
    if (!WIFEXITED(status)) return failed(w.temporary, "the process that wrote it was killed");
    if (WEXITSTATUS(status) != 0) return failed(w.temporary, std::strerror(WEXITSTATUS(status)));

    w.header.snapshot_bytes = snapshot.size();
    w.header.snapshot_checksum = checksum_of(snapshot);
    w.header.arena_checksum = *w.checksum;
    w.header.header_checksum = header_checksum(w.header);
    std::array<std::uint8_t, header_room> head{};
    std::memcpy(head.data(), &w.header, sizeof w.header);
    int error = write_all(w.fd.get(), snapshot, header_room + w.header.arena_bytes);
    if (error == 0) error = write_all(w.fd.get(), head, 0);
    if (error == 0 && ::fdatasync(w.fd.get()) != 0) error = errno;
    if (error != 0) return failed(w.temporary, std::strerror(error));
    if (::rename(w.temporary.c_str(), w.path.c_str()) != 0) return failed_errno(w.path);
    w.renamed = true;
    const Fd directory(::open(directory_of(w.path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() < 0 || ::fsync(directory.get()) != 0) return failed_errno(directory_of(w.path));
    return {};
}

}  // namespace persistent_runtime
