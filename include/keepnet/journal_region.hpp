// A journal in persistent memory: a region that is mapped into the address space and whose stores survive a power cut once
// they are flushed. No system call; a record is durable when write() returns. Over ordinary memory (a shared mapping, or
// a file's) it survives the process alone.
//
// A record commits in two phases: its content, flushed, then the header that makes it whole, flushed.
#pragma once

#include <keepnet/journal.hpp>

namespace keepnet {

class RegionJournal final : public JournalStore {
  public:
    /// Bytes of a region beside the journal's own.
    static constexpr std::size_t overhead_bytes = 8192;

    /// Bytes of the region have been stored and have to survive a power cut when it returns.
    using Persist = void (*)(ByteView bytes);
    /// Flushes the cache where it knows how (x86-64); elsewhere it orders the stores, and a platform brings its own.
    static void flush_cache(ByteView bytes);

    /// `region`: aligned to 4096, longer than overhead_bytes + Journal::memory_bytes_min. Must outlive this.
    explicit RegionJournal(MutableBytes region, Persist persist = flush_cache);

    /// An empty journal: what was there is forgotten. Fails: invalid_argument (region, id 0).
    std::expected<void, Error> format(std::uint64_t id);
    /// What an earlier life has left, copied into `room` (capacity() bytes, aligned to 8), for Journal::open(). Without one
    /// JournalImage::id is 0. Fails: invalid_argument (room), journal_damaged (it is another size, or no header is whole).
    std::expected<JournalImage, Error> load(MutableBytes room);

    [[nodiscard]] std::uint64_t capacity() const override;
    bool write(Lsn at, ByteView bytes) override;
    Status status() override { return {durable_, Error::invalid}; }
    void truncate(Lsn lsn) override;

  private:
    void write_header();

    MutableBytes region_{};
    Persist persist_;
    std::uint64_t id_ = 0;
    std::uint64_t sequence_ = 0;
    Lsn start_ = 0;
    Lsn durable_ = 0;
};

}  // namespace keepnet
