#include <keepnet/journal_region.hpp>

#include <algorithm>
#include <cstring>

#include "base/digest.hpp"
#include "durability/journal_format.hpp"
#include "durability/journal_layout.hpp"

namespace keepnet {

namespace durability {
namespace {

std::uint64_t digest_of(const StoreHeader& header) {
    Digest digest;
    digest.add(&header, offsetof(StoreHeader, digest));
    return digest.value();
}

}  // namespace

void seal(StoreHeader& header) { header.digest = digest_of(header); }

std::optional<StoreHeader> read_header(ByteView front) {
    std::optional<StoreHeader> best;
    for (std::size_t block = 0; block < 2; ++block) {
        StoreHeader h;
        if (front.size() < block * header_block_bytes + sizeof h) continue;
        std::memcpy(&h, front.data() + block * header_block_bytes, sizeof h);
        const bool is_whole = h.magic == store_magic && h.digest == digest_of(h) && h.id != 0 && h.capacity != 0 &&
                              h.capacity % 8 == 0 && h.start % 8 == 0 && h.sequence % 2 == block;
        if (is_whole && (!best || h.sequence > best->sequence)) best = h;
    }
    return best;
}

}  // namespace durability

using durability::ring_offset;
using durability::StoreHeader;

static_assert(RegionJournal::overhead_bytes == ring_offset);

RegionJournal::RegionJournal(MutableBytes region, Persist persist) : region_(region), persist_(persist) {}

std::uint64_t RegionJournal::capacity() const {
    return region_.size() > ring_offset ? (region_.size() - ring_offset) & ~std::uint64_t{7} : 0;
}

std::expected<void, Error> RegionJournal::format(std::uint64_t id) {
    if (id == 0 || capacity() < Journal::memory_bytes_min ||
        reinterpret_cast<std::uintptr_t>(region_.data()) % durability::header_block_bytes != 0) {
        return std::unexpected(Error::invalid_argument);
    }
    const auto old = durability::read_header(region_.first(ring_offset));
    sequence_ = old ? old->sequence : 0;
    id_ = id;
    start_ = durable_ = 0;
    // Both copies: the older one must not come back with another journal's records.
    write_header();
    write_header();
    return {};
}

std::expected<JournalImage, Error> RegionJournal::load(MutableBytes room) {
    if (room.size() != capacity() || capacity() == 0) return std::unexpected(Error::invalid_argument);
    const auto header = durability::read_header(region_.first(ring_offset));
    const auto front = region_.first(ring_offset);
    if (!header) {
        const bool is_blank = std::all_of(front.begin(), front.end(), [](std::uint8_t b) { return b == 0; });
        if (is_blank) return JournalImage{};
        return std::unexpected(Error::journal_damaged);
    }
    if (header->capacity != capacity()) return std::unexpected(Error::journal_damaged);
    id_ = header->id;
    sequence_ = header->sequence;
    start_ = header->start;
    durable_ = header->start;
    std::size_t at = 0;
    durability::for_each_stretch(capacity(), start_, room, [&](std::uint64_t offset, MutableBytes stretch) {
        std::memcpy(room.data() + at, region_.data() + ring_offset + offset, stretch.size());
        at += stretch.size();
    });
    return JournalImage{header->id, header->start, room};
}

bool RegionJournal::write(Lsn at, ByteView bytes) {
    if (bytes.size() > capacity() || at + bytes.size() - start_ > capacity()) return false;
    const auto put = [&](Lsn lsn, ByteView part) {
        durability::for_each_stretch(capacity(), lsn, part, [&](std::uint64_t offset, ByteView stretch) {
            const MutableBytes to = region_.subspan(ring_offset + static_cast<std::size_t>(offset), stretch.size());
            std::memcpy(to.data(), stretch.data(), stretch.size());
            persist_(to);
        });
    };
    const std::size_t header = std::min(bytes.size(), sizeof(durability::RecordHeader));
    put(at + header, bytes.subspan(header));
    put(at, bytes.first(header));
    durable_ = at + bytes.size();
    return true;
}

void RegionJournal::truncate(Lsn lsn) {
    if (lsn <= start_) return;
    start_ = lsn;
    durable_ = std::max(durable_, lsn);
    write_header();
}

void RegionJournal::write_header() {
    StoreHeader header{.id = id_, .start = start_, .sequence = ++sequence_, .capacity = capacity()};
    durability::seal(header);
    const MutableBytes to = region_.subspan(sequence_ % 2 * durability::header_block_bytes, sizeof header);
    std::memcpy(to.data(), &header, sizeof header);
    persist_(to);
}

void RegionJournal::flush_cache(ByteView bytes) {
#if defined(__x86_64__)
    constexpr std::uintptr_t line = 64;
    const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size());
    for (auto at = reinterpret_cast<std::uintptr_t>(bytes.data()) & ~(line - 1); at < end; at += line) {
        __builtin_ia32_clflush(reinterpret_cast<const void*>(at));
    }
    __builtin_ia32_mfence();
#else
    (void)bytes;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

}  // namespace keepnet
