// The journal beside an image: what the script has been told since then (DURABILITY 6). In a file, or in
// persistent memory that is mapped. Images may then be rare: output waits for the journal alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <keepnet/journal.hpp>
#include <keepnet/journal_file.hpp>
#include <keepnet/journal_region.hpp>

namespace persistent_runtime {

struct LogConfig {
    std::string path{};  ///< of the journal's file
    bool is_persistent_memory =
        false;  ///< the file is mapped, on a DAX file system: no system call for a record
    /// Of a new one. An image is asked for when half of it is full; all of it is read at a start.
    std::uint64_t bytes = 64U << 20;
};

class Log {
  public:
    /// An empty journal: what was there is forgotten.
    static std::expected<std::unique_ptr<Log>, std::string> create(const LogConfig& config);
    /// The one of an earlier life.
    static std::expected<std::unique_ptr<Log>, std::string> open(const LogConfig& config);
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    ~Log();

    [[nodiscard]] keepnet::Journal& journal() { return *journal_; }
    /// Replay has ended: what was loaded for it is not needed any more.
    void forget();
    /// Readable when a record has become durable: the stack is to be polled. -1: records need no waiting.
    [[nodiscard]] int completion_fd() const { return file_ ? file_->completion_fd() : -1; }

  private:
    struct Mapping {
        std::span<std::byte> bytes{};
        Mapping() = default;
        Mapping(const Mapping&) = delete;
        Mapping& operator=(const Mapping&) = delete;
        ~Mapping() { unmap(); }
        void unmap();
    };
    Log() = default;
    static std::expected<std::unique_ptr<Log>, std::string> prepare(const LogConfig& config, bool is_new);
    std::expected<void, std::string> format(std::uint64_t id);
    std::expected<keepnet::JournalImage, std::string> load();
    [[nodiscard]] keepnet::JournalStore& store();

    Mapping region_;  ///< the store's, if it is mapped
    Mapping memory_;  ///< the journal's own
    Mapping room_;    ///< of what is replayed, likewise
    std::optional<keepnet::RegionJournal> mapped_;
    std::unique_ptr<keepnet::FileJournal> file_;
    std::optional<keepnet::Journal> journal_;
};

}  // namespace persistent_runtime
