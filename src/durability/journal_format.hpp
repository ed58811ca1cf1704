// What a journal is made of (docs/journal-format.md): records, one for each group commit, and in them entries: what a
// call returned, an object of the state that changed, the bytes of a packet buffer. Little-endian, everything a multiple
// of 8 bytes.
//
// A record carries the LSN that was known durable when it was written. One that is not whole at or below the highest
// such LSN is damage; above it, it is a torn tail, whatever lies behind it, because unsynced writes persist in any order
// (DURABILITY 6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <optional>

#include <keepnet/journal.hpp>

namespace keepnet::durability {

inline constexpr std::uint64_t record_magic = 0x6c6e'726a'7065'656bU;  // "keepjrnl"
inline constexpr std::uint32_t journal_format = 1;

struct RecordHeader {
    std::uint64_t magic = record_magic;
    Lsn lsn = 0;
    std::uint32_t bytes = 0;           ///< with this header
    std::uint32_t format = journal_format;
    std::uint64_t id = 0;
    std::uint64_t epoch = 0;
    Lsn durable = 0;
    std::uint64_t payload_digest = 0;
    std::uint64_t header_digest = 0;   ///< of what stands before it
};
static_assert(sizeof(RecordHeader) == 64);

/// What an entry is. Calls come below `first_of_state`; `decode` never meets another number than these.
enum class Op : std::uint16_t {
    invalid = 0,
    open_tcp,
    open_udp,
    bind,
    listen,
    accept,
    connect,
    send,
    send_room,
    peek,
    consume,
    receive,
    shutdown,
    close,
    abort,
    send_datagram,
    peek_datagram,
    consume_datagram,
    set_option,
    option,
    info,
    take_error,
    readiness,
    next_ready,
    note = 25,  ///< 24 was never written
    now,
    tcp_info,
    last_call = tcp_info,

    first_of_state = 64,
    cut = first_of_state,  ///< the program's snapshot was taken here; value: number of the cut
    delta,                 ///< a stack's changes follow; handle: its counter of generations, value: reserved wire clock
    object,                ///< handle: slot | kind << 32, value: generation; the fields follow
    gone,                  ///< handle: slot | kind << 32
    bytes,                 ///< handle: buffer, value: offset | used << 32; the bytes follow
    last = bytes,
};
std::string_view name(Op op);

struct EntryHeader {
    Op op = Op::invalid;
    std::uint8_t stack = 0;            ///< whose; notes and instants belong to none, and say 0
    std::uint8_t status = 0;           ///< of a call: an Error; 0: it succeeded
    std::uint32_t bytes = 0;           ///< behind this header, before padding
    std::uint32_t argument_bytes = 0;  ///< the first of these: the call's arguments, the same again when it is replayed
    std::uint32_t reserved = 0;
    std::uint64_t handle = 0;
    std::uint64_t value = 0;           ///< of a call: its result
    std::uint64_t link = 0;            ///< 0 in the store; in an image how much of it was replayed (ReplayMode::bytes)
};
static_assert(sizeof(EntryHeader) == 40);

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 7) & ~std::size_t{7}; }
constexpr std::size_t entry_bytes(std::size_t payload) { return sizeof(EntryHeader) + padded(payload); }

/// One entry of a whole record.
struct EntryView {
    EntryHeader header{};
    Lsn lsn = 0;
    ByteView arguments{};
    ByteView result{};
};

/// Fills in the digests of a record whose payload is complete. `bytes`: header and payload.
void seal_record(MutableBytes bytes, const RecordHeader& header);
/// The record at the front of `bytes`, when it is whole and is the one that belongs to (id, lsn).
std::optional<RecordHeader> open_record(ByteView bytes, std::uint64_t id, Lsn lsn);
/// Is each entry inside of its record and of a known kind?
bool are_entries_sound(ByteView payload);

/// Finds the end of the journal in what a store holds, from the record at image.start on.
/// Fails: journal_damaged, journal_foreign (of a newer format).
std::expected<JournalFacts, Error> scan(const JournalImage& image);

/// Walks over the entries of an image that scan() has accepted, up to `end`.
class EntryCursor {
  public:
    EntryCursor() = default;
    /// `at`: image.start or what position() once said.
    EntryCursor(const JournalImage& image, Lsn end, Lsn at);
    /// Starts at the record that holds `from`, behind the entries before it.
    static EntryCursor from(const JournalImage& image, Lsn end, Lsn from);
    [[nodiscard]] bool at_end() const { return at_ >= end_; }
    [[nodiscard]] Lsn position() const { return at_; }
    /// The entry at the position. Not at the end.
    [[nodiscard]] EntryView get() const;
    void next();
    /// Notes in the image how much of the entry at the position was replayed.
    void set_link(std::uint64_t link) const;
    /// The record around the position begins here.
    [[nodiscard]] Lsn record() const { return record_; }

  private:
    void enter_record();
    [[nodiscard]] std::uint8_t* at(Lsn lsn) const { return bytes_ + (lsn - start_); }

    std::uint8_t* bytes_ = nullptr;
    Lsn start_ = 0;
    Lsn end_ = 0;
    Lsn at_ = 0;
    Lsn record_ = 0;
    Lsn record_end_ = 0;
};

}  // namespace keepnet::durability
