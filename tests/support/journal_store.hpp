// A journal store for tests: durable when it is told so, failing when it is told so, and with a torn end.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <keepnet/journal.hpp>

namespace keepnet::test {

class TestJournalStore final : public JournalStore {
  public:
    explicit TestJournalStore(std::size_t capacity = 8U << 20) : capacity_(capacity) {}

    [[nodiscard]] std::uint64_t capacity() const override { return capacity_; }
    bool write(Lsn at, ByteView bytes) override {
        if (at + bytes.size() > start_ + capacity_) std::abort();  // nobody may ask for it
        if (!pending_.empty() || error != Error::invalid) return false;
        last_error_ = Error::invalid;
        pending_at_ = at;
        pending_.assign(bytes.begin(), bytes.end());
        ++writes;
        if (is_instant) sync();
        return true;
    }
    Status status() override { return {durable_, last_error_}; }
    void truncate(Lsn lsn) override {
        if (lsn <= start_) return;
        const std::uint64_t gone = std::min<std::uint64_t>(lsn - start_, bytes_.size());
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(gone));
        start_ = lsn;
        durable_ = std::max(durable_, lsn);
    }

    /// What is being written is durable now.
    void sync() {
        put(pending_);
        durable_ = pending_at_ + pending_.size();
        pending_.clear();
    }
    /// What is being written has failed.
    void fail(Error e) {
        pending_.clear();
        error = last_error_ = e;
    }
    [[nodiscard]] bool is_busy() const { return !pending_.empty(); }
    [[nodiscard]] ByteView pending() const { return pending_; }
    /// A crash: of what is being written so many bytes have come through.
    void crash(std::size_t survive = 0) {
        pending_.resize(std::min(survive, pending_.size()));
        put(pending_);
        pending_.clear();
        error = last_error_ = Error::invalid;
    }
    /// A crash: of what is being written those sectors have come through for which `survives` says so.
    template <class F>
    void crash_in_sectors(F&& survives) {
        constexpr std::size_t sector = 512;
        if (!pending_.empty()) {
            const std::uint64_t at = pending_at_ - start_;
            if (bytes_.size() < at + pending_.size()) bytes_.resize(at + pending_.size());
            for (std::size_t i = 0; i < pending_.size(); ++i) {
                // Sectors are the disk's, not the record's.
                const bool is_first = i == 0 || (at + i) % sector == 0;
                if (is_first) sector_survives_ = survives();
                if (sector_survives_) bytes_[at + i] = pending_[i];
            }
            pending_.clear();
        }
        error = last_error_ = Error::invalid;
    }
    /// For Journal::open(): room of the whole capacity.
    JournalImage image(std::uint64_t id) { return image(id, capacity_); }
    /// The same without the room behind what was written.
    JournalImage image(std::uint64_t id, std::size_t bytes) {
        room_.assign((bytes + 7) / 8, 0);
        auto* room = reinterpret_cast<std::uint8_t*>(room_.data());
        if (!bytes_.empty()) std::memcpy(room, bytes_.data(), std::min(bytes, bytes_.size()));
        return {id, start_, {room, bytes}};
    }
    [[nodiscard]] std::vector<std::uint8_t>& bytes() { return bytes_; }
    [[nodiscard]] Lsn start() const { return start_; }

    bool is_instant = true;
    Error error = Error::invalid;  ///< writes are refused while there is one
    unsigned writes = 0;

  private:
    void put(const std::vector<std::uint8_t>& what) {
        if (what.empty()) return;
        const std::uint64_t at = pending_at_ - start_;
        if (bytes_.size() < at + what.size()) bytes_.resize(at + what.size());
        std::copy(what.begin(), what.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(at));
    }

    std::size_t capacity_;
    std::vector<std::uint8_t> bytes_{};
    Lsn start_ = 0;
    Lsn durable_ = 0;
    Error last_error_ = Error::invalid;
    std::vector<std::uint8_t> pending_{};
    Lsn pending_at_ = 0;
    bool sector_survives_ = false;
    std::vector<std::uint64_t> room_{};
};

}  // namespace keepnet::test
