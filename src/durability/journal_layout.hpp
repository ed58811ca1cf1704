// How a store lays a journal out in a file or a region: two copies of a header, each in a block of its own, of which the
// newer whole one counts; behind them a ring of bytes, in which LSN n lies at n modulo the capacity.
#pragma once

#include <cstdint>
#include <optional>

#include <keepnet/journal.hpp>

namespace keepnet::durability {

inline constexpr std::uint64_t store_magic = 0x7264'686a'7065'656bU;  // "keepjhdr"
inline constexpr std::size_t header_block_bytes = 4096;
inline constexpr std::size_t ring_offset = 2 * header_block_bytes;

struct StoreHeader {
    std::uint64_t magic = store_magic;
    std::uint64_t id = 0;        ///< JournalOptions::id
    Lsn start = 0;               ///< of the first record that is needed
    std::uint64_t sequence = 0;  ///< of two whole copies the higher counts; it lies in block sequence % 2
    std::uint64_t capacity = 0;  ///< of the ring, bytes; a multiple of 8
    std::uint64_t reserved[2]{};
    std::uint64_t digest = 0;    ///< of what stands before it
};
static_assert(sizeof(StoreHeader) == 64);

void seal(StoreHeader& header);
/// From the two blocks at the front of a store; nothing when neither is whole.
std::optional<StoreHeader> read_header(ByteView front);

/// `bytes` from LSN `at` on, in at most two stretches of the ring: f(offset in the ring, stretch).
template <class Bytes, class F>
void for_each_stretch(std::uint64_t capacity, Lsn at, Bytes bytes, F&& f) {
    const std::uint64_t offset = at % capacity;
    const std::uint64_t first = capacity - offset < bytes.size() ? capacity - offset : bytes.size();
    if (first != 0) f(offset, bytes.first(static_cast<std::size_t>(first)));
    if (first < bytes.size()) f(std::uint64_t{0}, bytes.subspan(static_cast<std::size_t>(first)));
}

}  // namespace keepnet::durability
