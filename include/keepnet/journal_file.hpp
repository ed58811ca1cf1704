// A journal in a file: preallocated, written by a thread of its own, one fdatasync for each group commit (hosted; needs
// keepnet::checkpoint).
//
//     auto file = *FileJournal::open("/var/lib/echo.journal", 64 << 20);
//     auto image = *file->load();
//     auto journal = Journal::open(memory, *file, image, {});                          // image.id 0: format(id), create()
//     // the event loop also waits for file->completion_fd()
#pragma once

#include <expected>
#include <memory>
#include <string>

#include <keepnet/checkpoint.hpp>
#include <keepnet/journal.hpp>

namespace keepnet {

/// Mode 0600. Held by one process at a time: a second one is refused. Hosted; in keepnet::checkpoint.
class FileJournal final : public JournalStore {
  public:
    /// Creates the file, `capacity` bytes and 8 KiB, or opens it as it is. Fails: input_output (also: another process has
    /// it, it has another size, the disk is full).
    static std::expected<std::unique_ptr<FileJournal>, checkpoint::Failure> open(const std::string& path,
                                                                                 std::uint64_t capacity);
    FileJournal(const FileJournal&) = delete;
    FileJournal& operator=(const FileJournal&) = delete;
    /// Waits for the write that is under way.
    ~FileJournal();

    /// An empty journal named `id`, durable when this returns.
    std::expected<void, checkpoint::Failure> format(std::uint64_t id);
    /// What an earlier life has left; JournalImage::id is 0 where there is nothing. It stays until forget(), and is needed
    /// until the replay has ended. Fails: input_output, damaged.
    std::expected<JournalImage, checkpoint::Failure> load();
    void forget();

    /// Readable when a write has ended, until status() is asked: for the event loop, which polls the stack then.
    [[nodiscard]] int completion_fd() const;

    [[nodiscard]] std::uint64_t capacity() const override;
    bool write(Lsn at, ByteView bytes) override;
    Status status() override;
    void truncate(Lsn lsn) override;

  private:
    struct Work;
    explicit FileJournal(std::unique_ptr<Work> work);
    std::unique_ptr<Work> work_;
};

}  // namespace keepnet
