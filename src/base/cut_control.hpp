// What the slabs and the packet pool must know about cuts (DURABILITY 5). One object, in the arena's header.
#pragma once

#include <array>
#include <cstdint>

namespace keepnet {

/// Number of a cut; 0 is none. An object edited while `current` was n carries stamp n: it is unchanged since every
/// cut numbered n or more. Numbers also pass without a cut, ten thousand a second where a journal is flushed as often.
using CutNumber = std::uint64_t;
inline constexpr CutNumber cut_number_max = CutNumber{1} << 62;  ///< what somebody counts up to honestly lies far below

/// What made a state durable, and so which connections' marks it moves.
enum class CommitBy : std::uint8_t { snapshot, journal };

struct CutControl {
    CutNumber current = 1;                     ///< the number the next cut gets
    CutNumber unread = 0;                      ///< the cut whose content somebody still reads, or 0
    std::uint16_t sweep_kind = 0;              ///< slabs below it have been swept
    std::uint32_t sweep_index = 0;             ///< slots of slab `sweep_kind` below it have been swept
    bool sweeping = false;                     ///< objects of `unread` are still to be copied out
    bool overrun = false;                      ///< a shadow was full: `unread` cannot be completed
    std::array<CutNumber, 2> outstanding{};    ///< cuts not yet committed or abandoned; 0: free place
    CutNumber flush = 0;                       ///< flush of the journal that is being written, or 0
    CutNumber flushed = 0;                     ///< the last one that is durable
    std::uint64_t pending_bytes = 0;           ///< at most so much will the next flush write for what changed since the last

    [[nodiscard]] bool is_swept(std::uint16_t kind, std::uint32_t index) const {
        return !sweeping || kind < sweep_kind || (kind == sweep_kind && index < sweep_index);
    }
};

}  // namespace keepnet
