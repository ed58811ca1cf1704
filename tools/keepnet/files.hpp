// Files that a command is given: read, never changed.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/decode.hpp"
#include "stack/core.hpp"

namespace keepnet::tool {

std::unexpected<checkpoint::Failure> failed(const std::string& message);

/// Address space that costs nothing until it is touched.
class Pages {
  public:
    explicit Pages(std::size_t bytes);
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    ~Pages();
    explicit operator bool() const;
    [[nodiscard]] std::span<std::byte> span() const { return {static_cast<std::byte*>(data_), bytes_}; }

  private:
    void* data_;
    std::size_t bytes_;
};

/// A state's directory is its snapshot; anything else is itself.
std::expected<std::string, checkpoint::Failure> snapshot_path(const std::string& path);

/// A base and its increments: `BASE`, or the directory it is in, with the increments that a FileStore keeps beside it, or `BASE,INCREMENT,...`, these
/// files and no others.
struct ChainFiles {
    std::vector<std::vector<std::uint8_t>> files{};

    static std::expected<ChainFiles, checkpoint::Failure> read(const std::string& argument);
    [[nodiscard]] std::vector<ByteView> views() const { return {files.begin(), files.end()}; }
    [[nodiscard]] std::size_t bytes() const;
};

/// A state, decoded and checked as for a restore.
struct State {
    ChainFiles chain;
    checkpoint::Decoder decoder;  ///< looks into the files
    std::unique_ptr<Pages> arena;
    Core* core = nullptr;
    std::vector<checkpoint::Blob> blobs{};

    static std::expected<State, checkpoint::Failure> decode(ChainFiles chain);
};

}  // namespace keepnet::tool
