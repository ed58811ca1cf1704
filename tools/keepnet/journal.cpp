#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "commands.hpp"
#include "durability/delta.hpp"
#include "durability/journal_format.hpp"
#include "durability/journal_layout.hpp"
#include "files.hpp"

namespace keepnet::tool {
namespace {

using checkpoint::Failure;
using durability::EntryView;
using durability::Op;

/// A journal's file, straightened out.
struct JournalFile {
    durability::StoreHeader header{};
    std::vector<std::uint64_t> words{};
    JournalImage image{};
    JournalFacts facts{};

    static std::expected<JournalFile, Failure> read(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        if (!in) return failed("cannot be read");
        std::vector<std::uint8_t> front(durability::ring_offset);
        in.read(reinterpret_cast<char*>(front.data()), static_cast<std::streamsize>(front.size()));
        const auto header = in ? durability::read_header(front) : std::nullopt;
        if (!header) return failed("is no journal, or neither copy of its header is whole");
        std::error_code none;
        if (std::filesystem::file_size(path, none) != durability::ring_offset + header->capacity || none) {
            return failed("does not have the size that it says, " + std::to_string(header->capacity));
        }
        JournalFile file;
        file.header = *header;
        std::vector<std::uint8_t> ring(static_cast<std::size_t>(header->capacity));
        in.read(reinterpret_cast<char*>(ring.data()), static_cast<std::streamsize>(ring.size()));
        if (!in) return failed("cannot be read to its end");
        file.words.resize(ring.size() / 8);
        auto* bytes = reinterpret_cast<std::uint8_t*>(file.words.data());
        std::size_t at = 0;
        durability::for_each_stretch(header->capacity, header->start, ByteView(ring),
                                     [&](std::uint64_t offset, ByteView stretch) {
                                         std::memcpy(bytes + at, ring.data() + offset, stretch.size());
                                         at += stretch.size();
                                     });
        file.image = {header->id, header->start, {bytes, ring.size()}};
        const auto facts = durability::scan(file.image);
        if (!facts) {
            return failed(facts.error() == Error::journal_damaged ? "has a record that was durable and is not whole"
                                                                  : "is not readable: " + std::string(name(facts.error())));
        }
        file.facts = *facts;
        return file;
    }
};

std::string hex(std::uint64_t n) {
    std::array<char, 20> text{};
    std::snprintf(text.data(), text.size(), "%llx", static_cast<unsigned long long>(n));
    return text.data();
}

std::string line_of(const EntryView& e) {
    const auto& h = e.header;
    std::string line = std::to_string(e.lsn) + "  " + std::string(durability::name(h.op)) + " stack " + std::to_string(h.stack);
    if (h.op >= Op::first_of_state) {
        switch (h.op) {
            case Op::object:
            case Op::gone:
                return line + " kind " + std::to_string(h.handle >> 32) + " slot " + std::to_string(h.handle & 0xffff'ffff);
            case Op::bytes:
                return line + " buffer " + std::to_string(h.handle) + " at " + std::to_string(h.value & 0xffff'ffff) + ", " +
                       std::to_string(e.result.size()) + " bytes";
            case Op::cut: return line + " number " + std::to_string(h.value);
            default: return line;
        }
    }
    if (h.handle != 0) line += " socket " + hex(h.handle);
    line += h.status != 0 ? " fails with " + std::string(name(static_cast<Error>(h.status))) : " gives " + std::to_string(h.value);
    if (!e.result.empty()) line += ", " + std::to_string(e.result.size()) + " bytes";
    return line;
}

std::string summary_of(const JournalFile& file) {
    std::string line = std::to_string(file.facts.records) + " records, LSN " + std::to_string(file.facts.start) + " to " +
                       std::to_string(file.facts.end) + ", epoch " + std::to_string(file.facts.epoch) + ", journal " +
                       hex(file.facts.id);
    if (file.facts.torn_bytes != 0) line += ", behind it a torn record of " + std::to_string(file.facts.torn_bytes) + " bytes";
    return line;
}

}  // namespace

bool is_journal(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    for (const std::size_t block : {std::size_t{0}, durability::header_block_bytes}) {
        std::uint64_t magic = 0;
        in.seekg(static_cast<std::streamoff>(block));
        in.read(reinterpret_cast<char*>(&magic), sizeof magic);
        if (in && magic == durability::store_magic) return true;
    }
    return false;
}

std::expected<std::string, Failure> verify_journal(const std::string& path) {
    const auto file = JournalFile::read(path);
    if (!file) return std::unexpected(file.error());
    return summary_of(*file);
}

std::expected<std::string, Failure> show_journal(const std::string& path, bool entries) {
    const auto file = JournalFile::read(path);
    if (!file) return std::unexpected(file.error());
    std::string out = summary_of(*file) + "\n" + std::to_string(file->facts.end - file->facts.start) + " of " +
                      std::to_string(file->header.capacity) + " bytes in use\n";
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> kinds;
    for (durability::EntryCursor at(file->image, file->facts.end, file->facts.start); !at.at_end(); at.next()) {
        const EntryView e = at.get();
        if (entries) out += line_of(e) + "\n";
        auto& [count, bytes] = kinds[std::string(durability::name(e.header.op))];
        ++count;
        bytes += durability::entry_bytes(e.header.bytes);
    }
    if (entries) return out;
    out += "\nENTRIES        COUNT       BYTES\n";
    for (const auto& [kind, sums] : kinds) {
        std::array<char, 80> text{};
        std::snprintf(text.data(), text.size(), "%-14s %-11llu %llu\n", kind.c_str(),
                      static_cast<unsigned long long>(sums.first), static_cast<unsigned long long>(sums.second));
        out += text.data();
    }
    return out;
}

}  // namespace keepnet::tool
