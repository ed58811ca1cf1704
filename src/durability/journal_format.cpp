#include "durability/journal_format.hpp"

#include <algorithm>

#include "base/digest.hpp"
#include "base/planted.hpp"

namespace keepnet::durability {
namespace {

static_assert(std::endian::native == std::endian::little, "a journal is written as it lies in memory");

template <class T>
T load(const std::uint8_t* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

std::uint64_t digest_of(ByteView bytes) {
    Digest digest;
    digest.add(bytes.data(), bytes.size());
    return digest.value();
}

constexpr std::size_t digested_header = offsetof(RecordHeader, header_digest);

/// A header that somebody of this journal wrote for this place; nothing is said about the payload.
bool is_header(const RecordHeader& h, ByteView at, std::uint64_t id, Lsn lsn) {
    return h.magic == record_magic && h.lsn == lsn && h.id == id && h.bytes >= sizeof(RecordHeader) &&
           h.bytes % 8 == 0 && h.header_digest == digest_of(at.first(digested_header));
}

/// The highest LSN that a header behind the torn one says is durable. Each place is looked at once.
Lsn claimed_durable(const JournalImage& image, Lsn from) {
    Lsn highest = 0;
    for (std::size_t at = static_cast<std::size_t>(from - image.start); at + sizeof(RecordHeader) <= image.bytes.size();
         at += 8) {
        const ByteView rest = ByteView(image.bytes).subspan(at);
        if (load<std::uint64_t>(rest.data()) != record_magic) continue;
        const auto h = load<RecordHeader>(rest.data());
        if (is_header(h, rest, image.id, image.start + at)) highest = std::max(highest, h.durable);
    }
    return highest;
}

/// Of a record at the end whose header came through, and the rest did not.
std::uint64_t torn_bytes(const JournalImage& image, const JournalFacts& facts) {
    const ByteView rest = ByteView(image.bytes).subspan(static_cast<std::size_t>(facts.end - image.start));
    if (rest.size() < sizeof(RecordHeader)) return 0;
    const auto h = load<RecordHeader>(rest.data());
    // One of an earlier life has been given up by the one that wrote on here.
    return is_header(h, rest, image.id, facts.end) && h.epoch >= facts.epoch ? h.bytes : 0;
}

}  // namespace

std::string_view name(Op op) {
    switch (op) {
        case Op::invalid: break;
        case Op::open_tcp: return "open_tcp";
        case Op::open_udp: return "open_udp";
        case Op::bind: return "bind";
        case Op::listen: return "listen";
        case Op::accept: return "accept";
        case Op::connect: return "connect";
        case Op::send: return "send";
        case Op::send_room: return "send_room";
        case Op::peek: return "peek";
        case Op::consume: return "consume";
        case Op::receive: return "receive";
        case Op::shutdown: return "shutdown";
        case Op::close: return "close";
        case Op::abort: return "abort";
        case Op::send_datagram: return "send_datagram";
        case Op::peek_datagram: return "peek_datagram";
        case Op::consume_datagram: return "consume_datagram";
        case Op::set_option: return "set_option";
        case Op::option: return "option";
        case Op::info: return "info";
        case Op::tcp_info: return "tcp_info";
        case Op::take_error: return "take_error";
        case Op::readiness: return "readiness";
        case Op::next_ready: return "next_ready";
        case Op::note: return "note";
        case Op::now: return "now";
        case Op::cut: return "cut";
        case Op::delta: return "delta";
        case Op::object: return "object";
        case Op::gone: return "gone";
        case Op::bytes: return "bytes";
    }
    return "invalid";
}

void seal_record(MutableBytes bytes, const RecordHeader& header) {
    RecordHeader h = header;
    h.bytes = static_cast<std::uint32_t>(bytes.size());
    h.payload_digest = digest_of(bytes.subspan(sizeof h));
    std::memcpy(bytes.data(), &h, sizeof h);
    h.header_digest = digest_of(bytes.first(digested_header));
    std::memcpy(bytes.data(), &h, sizeof h);
}

std::optional<RecordHeader> open_record(ByteView bytes, std::uint64_t id, Lsn lsn) {
    if (bytes.size() < sizeof(RecordHeader)) return {};
    const auto h = load<RecordHeader>(bytes.data());
    if (!is_header(h, bytes, id, lsn) || h.bytes > bytes.size()) return {};
    if (!is_planted(Fault::interior_hole) && h.payload_digest != digest_of(bytes.subspan(sizeof h, h.bytes - sizeof h))) return {};
    return h;
}

bool are_entries_sound(ByteView payload) {
    while (!payload.empty()) {
        if (payload.size() < sizeof(EntryHeader)) return false;
        const auto e = load<EntryHeader>(payload.data());
        const bool is_known = (e.op > Op::invalid && e.op <= Op::next_ready) || (e.op >= Op::note && e.op <= Op::last_call) ||
                              (e.op >= Op::first_of_state && e.op <= Op::last);
        if (!is_known || e.argument_bytes > e.bytes || e.stack >= Journal::stacks_max || e.link != 0 ||
            entry_bytes(e.bytes) > payload.size() || e.status > static_cast<std::uint8_t>(last_error)) {
            return false;
        }
        payload = payload.subspan(entry_bytes(e.bytes));
    }
    return true;
}

std::expected<JournalFacts, Error> scan(const JournalImage& image) {
    if (image.bytes.size() % 8 != 0 || reinterpret_cast<std::uintptr_t>(image.bytes.data()) % 8 != 0 || image.id == 0) {
        return std::unexpected(Error::invalid_argument);
    }
    JournalFacts facts{.id = image.id, .start = image.start, .end = image.start};
    Lsn durable = image.start;
    for (;;) {
        const ByteView rest = ByteView(image.bytes).subspan(static_cast<std::size_t>(facts.end - image.start));
        const auto record = open_record(rest, image.id, facts.end);
        // What an earlier life wrote behind a torn record may lie, whole, behind what a later one wrote in its place.
        if (!record || record->epoch < facts.epoch) break;
        if (record->format != journal_format) return std::unexpected(Error::journal_foreign);
        if (!are_entries_sound(rest.subspan(sizeof *record, record->bytes - sizeof *record))) {
            return std::unexpected(Error::journal_damaged);
        }
        facts.epoch = record->epoch;
        durable = std::max(durable, record->durable);
        facts.end += record->bytes;
        ++facts.records;
    }
    const Lsn claimed = std::max(durable, claimed_durable(image, facts.end));
    if (claimed > facts.end) return std::unexpected(Error::journal_damaged);
    facts.torn_bytes = torn_bytes(image, facts);
    return facts;
}

// --- the entries ---

EntryCursor::EntryCursor(const JournalImage& image, Lsn end, Lsn at)
    : bytes_(image.bytes.data()), start_(image.start), end_(end), at_(at), record_(at), record_end_(at) {
    enter_record();
}

void EntryCursor::enter_record() {
    while (at_ == record_end_ && at_ < end_) {  // a record may be empty
        record_ = at_;
        record_end_ = at_ + load<RecordHeader>(at(at_)).bytes;
        at_ += sizeof(RecordHeader);
    }
}

EntryCursor EntryCursor::from(const JournalImage& image, Lsn end, Lsn from) {
    EntryCursor cursor(image, end, image.start);
    while (!cursor.at_end() && cursor.record_end_ <= from) {
        cursor.at_ = cursor.record_end_;
        cursor.enter_record();
    }
    while (!cursor.at_end() && cursor.at_ < from) cursor.next();
    return cursor;
}

EntryView EntryCursor::get() const {
    const auto header = load<EntryHeader>(at(at_));
    const std::uint8_t* payload = at(at_) + sizeof header;
    return {header, at_, {payload, header.argument_bytes}, {payload + header.argument_bytes, header.bytes - header.argument_bytes}};
}

void EntryCursor::set_link(std::uint64_t link) const {
    std::memcpy(at(at_) + offsetof(EntryHeader, link), &link, sizeof link);
}

void EntryCursor::next() {
    at_ += entry_bytes(load<EntryHeader>(at(at_)).bytes);
    enter_record();
}

}  // namespace keepnet::durability
