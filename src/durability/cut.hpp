// Cuts (DURABILITY 5): marking an instant, copying what it held out to a reader, and what a commit or its absence
// means for the clock behind TSval and ISNs. All functions but CutReader's belong to the polling thread.
//
// In Stack: cut() is cut(); poll() and sweep() call sweep(); committed(n) first asks is_outstanding(n), then calls
// tcp::on_committed(n) and udp::on_committed(n), which look at CutControl::outstanding and the edges, then
// committed(n) below, which clears them. abandoned(n) likewise.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>

#include <keepnet/error.hpp>
#include <keepnet/time.hpp>

#include "durability/sweep_queue.hpp"
#include "state/world.hpp"

namespace keepnet::durability {

/// O(1). `since` not 0: an increment, what changed behind that cut. Fails: cut_unread, too_many_cuts, unknown_cut.
std::expected<CutNumber, Error> cut(World& w, SweepQueue& queue, Instant now, CutNumber since = 0);

/// Looks at up to `budget` slots of the unread cut and copies out what they held, as long as the queue has room; notices
/// that the reader is through, and then frees parked buffers. Call it in every poll. True: there is more to copy.
bool sweep(World& w, SweepQueue& queue, std::uint32_t budget);

/// Is it a cut that waits for committed() or abandoned()?
[[nodiscard]] bool is_outstanding(const World& w, CutNumber cut);

/// What a commit, of a cut or of a journal's record, has reserved for TSval and ISNs. Whichever comes later, it stays.
void reserve_wire_clock(World& w, std::int64_t reserved_ns);
/// `cut` and every earlier one is durable: the wire clock may go on to what it reserved. Behind tcp's and udp's.
void committed(World& w, SweepQueue& queue, CutNumber cut);
/// `cut` will never be durable. Behind tcp's.
void abandoned(World& w, SweepQueue& queue, CutNumber cut);

/// When `cut` was taken and what it reserved. Only of an outstanding cut.
[[nodiscard]] CutRecord record_of(const SweepQueue& queue, CutNumber cut);
/// Can an increment start from `cut`? Its id, or 0.
[[nodiscard]] std::uint64_t id_of(const SweepQueue& queue, CutNumber cut);

/// Reads one cut. Made on the polling thread, used on any one thread; while it lives the cut counts as unread, so it
/// has to be finished or destroyed before the cut is abandoned.
class CutReader {
  public:
    enum class Got : std::uint8_t { invalid = 0, image, nothing_yet, end, overrun };

    CutReader(const World& w, SweepQueue& queue, CutNumber cut) : pool_(&w.pool), queue_(&queue), cut_(cut) {}
    CutReader(const CutReader&) = delete;
    CutReader& operator=(const CutReader&) = delete;
    ~CutReader() { finish(); }

    /// `nothing_yet`: the polling thread has to sweep first. After `end` or `overrun` nothing more comes.
    Got next(Image& image);
    /// Drops the image that next() gave.
    void pop() { queue_->pop(); }
    /// The bytes under a slice of an image; good until finish().
    [[nodiscard]] ByteView view(const Slice& slice) const { return pool_->view(slice); }
    /// Everything was read: objects and bytes may change and be freed again.
    void finish();

  private:
    const PacketPool* pool_;
    SweepQueue* queue_;
    CutNumber cut_;
};

}  // namespace keepnet::durability
