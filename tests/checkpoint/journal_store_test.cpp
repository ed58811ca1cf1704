// Stores of journals, and what a journal that is not as it was written may do: nothing.
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include <catch2/catch_test_macros.hpp>
#include <keepnet/journal_file.hpp>
#include <keepnet/journal_region.hpp>

#include "durability/entry_writer.hpp"
#include "durability/journal_format.hpp"
#include "durability/journal_layout.hpp"
#include "support/arena.hpp"
#include "support/folder.hpp"
#include "support/journal_store.hpp"
#include "support/tool.hpp"

using namespace keepnet;
using durability::Op;
using keepnet::test::Arena;
using keepnet::test::Folder;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t id = 0xfeed'0000'1234;
constexpr std::uint64_t capacity = 1U << 20;

/// A sealed record of one note.
std::vector<std::uint8_t> record_of(Lsn lsn, std::uint64_t epoch, Lsn durable, ByteView note) {
    std::vector<std::uint8_t> bytes(sizeof(durability::RecordHeader) + durability::entry_bytes(note.size()));
    durability::EntryWriter writer(bytes, sizeof(durability::RecordHeader));
    writer.append({.op = Op::note}, {note});
    REQUIRE(!writer.full());
    durability::seal_record(writer.written(), {.lsn = lsn, .id = id, .epoch = epoch, .durable = durable});
    return bytes;
}

std::vector<std::uint8_t> note_of(std::uint64_t n, std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(n * 31 + i);
    return bytes;
}

/// The notes of an image, in order.
std::vector<std::vector<std::uint8_t>> notes_in(const JournalImage& image, const JournalFacts& facts) {
    std::vector<std::vector<std::uint8_t>> notes;
    for (durability::EntryCursor at(image, facts.end, facts.start); !at.at_end(); at.next()) {
        const auto e = at.get();
        if (e.header.op == Op::note) notes.emplace_back(e.result.begin(), e.result.end());
    }
    return notes;
}

/// Writes, and waits for the end.
void write_durably(JournalStore& store, Lsn at, ByteView bytes) {
    REQUIRE(store.write(at, bytes));
    while (store.status().durable < at + bytes.size()) {
        REQUIRE(store.status().error == Error::invalid);
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
}

/// Laps around the ring with a window of the last 100 records; then what a new life finds.
template <class Reopen>
void go_around(JournalStore* store, Reopen&& reopen) {
    std::mt19937 dice(7);
    std::vector<std::pair<Lsn, std::uint64_t>> written;
    Lsn at = 0;
    for (std::uint64_t n = 0; n < 700; ++n) {
        const auto record = record_of(at, 1, at, note_of(n, dice() % 9000));
        write_durably(*store, at, record);
        written.emplace_back(at, n);
        at += record.size();
        if (written.size() > 100) store->truncate(written[written.size() - 100].first);
    }
    REQUIRE(at > 2 * capacity);
    const JournalImage image = reopen();
    REQUIRE(image.id == id);
    const auto facts = durability::scan(image);
    REQUIRE(facts.has_value());
    REQUIRE(facts->end == at);
    const auto notes = notes_in(image, *facts);
    REQUIRE(notes.size() >= 100);
    for (std::size_t i = 0; i < 100; ++i) {
        const auto& note = notes[notes.size() - 1 - i];
        REQUIRE(note == note_of(699 - i, note.size()));
    }
}

}  // namespace

TEST_CASE("journal file: laps around the ring, found again by another life") {
    Folder folder;
    const std::string path = (folder.path / "j").string();
    auto file = *FileJournal::open(path, capacity);
    REQUIRE(file->load()->id == 0);
    REQUIRE(file->format(id).has_value());
    go_around(&*file, [&] {
        file.reset();
        file = *FileJournal::open(path, capacity);
        return *file->load();
    });
}

TEST_CASE("journal region: laps around the ring, found again by another life") {
    Arena memory(RegionJournal::overhead_bytes + capacity);
    Arena room(capacity);
    const auto bytes = [](const Arena& a) {
        return MutableBytes(reinterpret_cast<std::uint8_t*>(a.span().data()), a.span().size());
    };
    RegionJournal region(bytes(memory));
    REQUIRE(region.load(bytes(room))->id == 0);
    REQUIRE(region.format(id).has_value());
    go_around(&region, [&] {
        RegionJournal again(bytes(memory));
        return *again.load(bytes(room));
    });
}

TEST_CASE("journal file: refused are a second owner, another size, a folder that is not there, and a broken header") {
    Folder folder;
    const std::string path = (folder.path / "j").string();
    {
        auto file = *FileJournal::open(path, capacity);
        struct stat s{};
        REQUIRE(::stat(path.c_str(), &s) == 0);
        REQUIRE((s.st_mode & 0777) == 0600);
        REQUIRE(file->format(id).has_value());
        REQUIRE(!FileJournal::open(path, capacity).has_value());
    }
    REQUIRE(!FileJournal::open(path, 2 * capacity).has_value());
    REQUIRE(!FileJournal::open((folder.path / "no" / "j").string(), capacity).has_value());
    REQUIRE(!FileJournal::open((folder.path / "k").string(), 12).has_value());
    const auto damage = [&](std::uint64_t at) {
        std::fstream f(path, std::ios::in | std::ios::out | std::ios::binary);
        f.seekp(static_cast<std::streamoff>(at));
        f.put('\x5a');
    };
    damage(20);
    REQUIRE((*FileJournal::open(path, capacity))->load().has_value());  // the other copy is whole
    damage(durability::header_block_bytes + 20);
    REQUIRE((*FileJournal::open(path, capacity))->load().error().code == checkpoint::Code::damaged);
}

TEST_CASE("journal file: takes nothing before it has a name, and no more than there is room for") {
    Folder folder;
    const std::string path = (folder.path / "j").string();
    auto file = *FileJournal::open(path, capacity);
    // Not formatted: it has no name yet, and takes nothing.
    const auto record = record_of(0, 1, 0, note_of(1, 100));
    REQUIRE(!file->write(0, record));
    REQUIRE(file->format(id).has_value());
    // More than there is room for is refused until something is not needed any more.
    std::vector<std::uint8_t> large(capacity);
    REQUIRE(file->write(8, large) == false);
    write_durably(*file, 0, record);
}

TEST_CASE("journal file: a disk without room is an error at once, and a write that fails is told and may be made again") {
    Folder folder;
    const std::string path = (folder.path / "j").string();
    // As far as a process can see, a file size limit is a full disk.
    struct Limit {
        rlimit before{};
        void (*handler)(int) = std::signal(SIGXFSZ, SIG_IGN);
        Limit() { ::getrlimit(RLIMIT_FSIZE, &before); }
        Limit(const Limit&) = delete;
        Limit& operator=(const Limit&) = delete;
        ~Limit() { lift(), std::signal(SIGXFSZ, handler); }
        void set(rlim_t bytes) const {
            const rlimit limit{bytes, before.rlim_max};
            REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
        }
        void lift() const { ::setrlimit(RLIMIT_FSIZE, &before); }
    } limit;
    limit.set(100'000);
    const auto refused = FileJournal::open(path, capacity);
    limit.lift();
    REQUIRE(!refused.has_value());
    REQUIRE(refused.error().code == checkpoint::Code::input_output);

    auto file = *FileJournal::open(path, capacity);
    REQUIRE(file->format(id).has_value());
    const auto record = record_of(0, 1, 0, note_of(1, 200'000));
    limit.set(100'000);
    REQUIRE(file->write(0, record));
    while (file->status().error == Error::invalid) std::this_thread::sleep_for(std::chrono::microseconds(50));
    limit.lift();
    REQUIRE(file->status().error == Error::journal_failed);
    REQUIRE(file->status().durable == 0);
    write_durably(*file, 0, record);
    const auto image = file->load();
    REQUIRE(image.has_value());
    REQUIRE(durability::scan(*image)->records == 1);
}

TEST_CASE("keepnet journal and keepnet verify say what a journal's file holds, and what is torn or damaged") {
    test::Tool tool;
    const std::string path = (tool.folder() / "j").string();
    std::vector<Lsn> starts;
    Lsn at = 0;
    {
        auto file = *FileJournal::open(path, capacity);
        REQUIRE(file->format(id).has_value());
        for (std::uint64_t n = 0; n < 3; ++n) {
            const auto record = record_of(at, 1, at, note_of(n, 200));
            write_durably(*file, at, record);
            starts.push_back(at);
            at += record.size();
        }
    }
    const auto flip = [&](Lsn lsn) {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(static_cast<std::streamoff>(durability::ring_offset + lsn));
        const auto byte = static_cast<char>(file.peek() ^ 4);
        file.seekp(static_cast<std::streamoff>(durability::ring_offset + lsn));
        REQUIRE(file.put(byte).good());
    };
    const auto whole = tool.run("journal " + path);
    REQUIRE(whole.status == 0);
    CHECK(test::has(whole.out, "3 records, LSN 0 to " + std::to_string(at) + ", epoch 1, journal "));
    CHECK(test::has(whole.out, "note           3 "));
    CHECK_FALSE(test::has(whole.out, "torn"));
    CHECK(tool.run("verify " + path).status == 0);

    flip(starts[2] + 100);  // nobody has said that the last record is durable
    const auto torn = tool.run("journal " + path);
    REQUIRE(torn.status == 0);
    CHECK(test::has(torn.out, "2 records, LSN 0 to " + std::to_string(starts[2])));
    CHECK(test::has(torn.out, "behind it a torn record of " + std::to_string(at - starts[2]) + " bytes"));
    const auto verified = tool.run("verify " + path);
    CHECK(verified.status == 0);
    CHECK(test::has(verified.out, "torn record"));

    flip(starts[0] + 100);
    const auto damaged = tool.run("journal " + path);
    CHECK(damaged.status == 1);
    CHECK(damaged.out.empty());
    CHECK(std::ranges::count(damaged.err, '\n') == 1);
    CHECK(tool.run("verify " + path).status == 1);
}

TEST_CASE("DURABILITY 6: a record that was durable and is not whole is damage, one behind it is a torn tail") {
    test::TestJournalStore store(1U << 20);
    Lsn at = 0;
    std::vector<Lsn> starts;
    for (std::uint64_t n = 0; n < 6; ++n) {
        // The last two were under way when the machine stopped: nobody says that they are durable.
        const auto record = record_of(at, 1, n < 5 ? at : starts[4], note_of(n, 200));
        write_durably(store, at, record);
        starts.push_back(at);
        at += record.size();
    }
    const auto original = store.bytes();
    const auto all = durability::scan(store.image(id));
    REQUIRE(all.has_value());
    REQUIRE(all->records == 6);
    REQUIRE(all->torn_bytes == 0);

    std::mt19937 dice(3);
    for (std::size_t byte = 0; byte < original.size(); ++byte) {
        store.bytes() = original;
        store.bytes()[byte] ^= static_cast<std::uint8_t>(1U << dice() % 8);
        const JournalImage image = store.image(id);
        const auto facts = durability::scan(image);
        const bool was_durable = byte < starts[4];
        INFO("byte " << byte);
        if (was_durable) {
            REQUIRE(facts == std::unexpected(Error::journal_damaged));
            continue;
        }
        REQUIRE(facts.has_value());
        const auto notes = notes_in(image, *facts);
        REQUIRE(notes.size() == (byte < starts[5] ? 4 : 5));
        // A header that is whole says how much of its record is missing; one that is not says nothing.
        const Lsn torn = byte < starts[5] ? starts[4] : starts[5];
        const bool has_header = byte >= torn + sizeof(durability::RecordHeader);
        REQUIRE(facts->torn_bytes == (has_header ? at - starts[5] : 0));  // all records are of one size
        for (std::size_t n = 0; n < notes.size(); ++n) REQUIRE(notes[n] == note_of(n, 200));
    }
    for (std::size_t length = 0; length < original.size(); ++length) {
        store.bytes() = original;
        store.bytes().resize(length);
        const auto facts = durability::scan(store.image(id));
        REQUIRE(facts.has_value());  // unsynced: the end is what is there
        REQUIRE(facts->end <= length);
    }
}

TEST_CASE("a hole in the torn tail does not bring back what lies behind it, not even for a later life") {
    test::TestJournalStore store(1U << 20);
    const auto first = record_of(0, 1, 0, note_of(1, 100));
    write_durably(store, 0, first);
    // The second was torn; the third, of the same life, came through whole.
    const Lsn second_at = first.size();
    const auto second = record_of(second_at, 1, first.size(), note_of(2, 100));
    const Lsn third_at = second_at + second.size();
    const auto third = record_of(third_at, 1, first.size(), note_of(3, 100));
    store.bytes().resize(third_at);
    store.bytes().insert(store.bytes().end(), third.begin(), third.end());
    REQUIRE(durability::scan(store.image(id))->end == second_at);
    // The next life writes a record of the same length in its place: what lies behind it is still not its own.
    const auto another = record_of(second_at, 2, first.size(), note_of(4, 100));
    std::copy(another.begin(), another.end(), store.bytes().begin() + static_cast<std::ptrdiff_t>(second_at));
    const JournalImage image = store.image(id);
    const auto facts = durability::scan(image);
    REQUIRE(facts->end == third_at);
    REQUIRE(facts->epoch == 2);
    REQUIRE(facts->torn_bytes == 0);
    REQUIRE(notes_in(image, *facts).back() == note_of(4, 100));
}

TEST_CASE("a record that says it is longer than its file, another journal's, and a newer format's") {
    test::TestJournalStore store(1U << 20);
    const auto first = record_of(0, 1, 0, note_of(1, 100));
    write_durably(store, 0, first);
    REQUIRE(durability::scan(store.image(id + 1))->records == 0);
    auto bytes = first;
    durability::RecordHeader header{};
    std::memcpy(&header, bytes.data(), sizeof header);
    const auto put = [&](const durability::RecordHeader& h) {
        store.bytes() = bytes;
        durability::seal_record(store.bytes(), h);
    };
    header.format = 2;
    put(header);
    REQUIRE(durability::scan(store.image(id)) == std::unexpected(Error::journal_foreign));
    header.format = 1;
    put(header);
    // Longer than all there is: sealed as such by hand.
    durability::RecordHeader longer{};
    std::memcpy(&longer, store.bytes().data(), sizeof longer);
    for (const std::uint32_t length : {0U, 8U, 63U, 65U, 1U << 20, 0xffff'fff8U}) {
        std::memcpy(store.bytes().data() + offsetof(durability::RecordHeader, bytes), &length, sizeof length);
        REQUIRE(durability::scan(store.image(id))->records == 0);
    }
}
