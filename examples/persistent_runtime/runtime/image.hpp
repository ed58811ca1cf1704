// The runtime's own image: one file that holds the interpreter's memory and, inside it, the stack's encoded
// snapshot of the same instant. This is how an embedding system captures the stack: as a part of what it
// saves anyway.
//
//     0      header: magic, what program wrote it, sizes, times, checksums
//     4096   the arena, from its fixed address on
//     ...    the snapshot, as keepnet::checkpoint encoded it
//
// The memory holds addresses of functions, so an image is of use to the very build that wrote it and is
// refused by any other. Checksums find damage, not malice: who can write the file can make the program do
// anything.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <keepnet/bytes.hpp>

#include "arena.hpp"

namespace persistent_runtime {

struct ImageInfo {
    std::uint64_t number = 0;         ///< counts the images of one program
    std::int64_t wall_clock_ns = 0;   ///< at the cut, since 1970
    std::int64_t runtime_now_ns = 0;  ///< what the program's clock showed
    std::string title{};              ///< whose image it is: script and arguments
    std::string policy{};             ///< what lets its output out, as on the command line: "snapshot", "journal"
    std::string pmem{};               ///< where its journal is mapped; empty: it is in a file beside the image
};

/// Bytes of ImageInfo::title.
inline constexpr std::size_t title_bytes_max = 1024;
/// Of ImageInfo::policy, and of ImageInfo::pmem.
inline constexpr std::size_t policy_bytes_max = 16;
inline constexpr std::size_t pmem_bytes_max = 1024;

struct Image {
    ImageInfo info{};
    std::vector<std::uint8_t> snapshot{};
};

/// Reads the image at `path` into the arena, which must be fresh. No file: no value. An error, one line,
/// leaves the arena of no use.
std::expected<std::optional<Image>, std::string> load_image(const std::string& path, Arena& arena);

/// Writes one image, beside the running program. A crash at any instant leaves the previous image or this
/// one.
class ImageWriter {
  public:
    /// Freezes the arena: a process of its own has it from here on (copy on write) and writes it out.
    static std::expected<std::unique_ptr<ImageWriter>, std::string> start(const std::string& path,
                                                                          const Arena& arena,
                                                                          const ImageInfo& info);
    ImageWriter(const ImageWriter&) = delete;
    ImageWriter& operator=(const ImageWriter&) = delete;
    /// Without finish(): no trace.
    ~ImageWriter();

    /// Waits for the other process, adds the snapshot, and when it returns without an error the image is
    /// durable. May run on any thread.
    std::expected<void, std::string> finish(keepnet::ByteView snapshot);

  private:
    struct Work;
    explicit ImageWriter(std::unique_ptr<Work> work);
    std::unique_ptr<Work> work_;
};

/// Of this very program: its build, and where it lies in memory. The error says why it has none.
struct BuildIdentity {
    std::array<std::uint8_t, 24> build_id{};
    std::uint64_t load_address = 0;
    friend bool operator==(const BuildIdentity&, const BuildIdentity&) = default;
};
std::expected<BuildIdentity, std::string> build_identity();

}  // namespace persistent_runtime
