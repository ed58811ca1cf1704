#include "checkpoint/format.hpp"

#include <algorithm>
#include <cstring>

#include "base/digest.hpp"

namespace keepnet::checkpoint {
namespace {

std::uint64_t little_endian(ByteView bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- != 0;) value = value << 8 | bytes[i];
    return value;
}

/// Words of the message that starts at `words`; 0: it does not end within them.
std::size_t message_words(kj::ArrayPtr<const capnp::word> words) {
    const auto bytes = words.asBytes();
    const auto entry = [&](std::size_t i) -> std::uint64_t { return little_endian({bytes.begin() + 4 * i, 4}); };
    if (words.size() == 0) return 0;
    const std::uint64_t segments = entry(0) + 1;
    std::uint64_t total = segments / 2 + 1;
    if (total > words.size()) return 0;
    for (std::size_t i = 0; i < segments; ++i) total += entry(i + 1);
    return total <= words.size() ? static_cast<std::size_t>(total) : 0;
}

std::expected<void, Failure> check_start(ByteView snapshot, Envelope& envelope) {
    if (snapshot.empty()) return refuse(Code::empty, "the snapshot is empty");
    const auto common = std::min(snapshot.size(), prelude_magic.size());
    if (!std::equal(prelude_magic.begin(), prelude_magic.begin() + common, snapshot.begin())) {
        return refuse(Code::not_a_snapshot, "not a keepnet snapshot");
    }
    if (snapshot.size() < prelude_bytes) return refuse(Code::truncated, "the snapshot is truncated");
    envelope.major = static_cast<std::uint16_t>(little_endian(snapshot.subspan(8, 2)));
    envelope.minor = static_cast<std::uint16_t>(little_endian(snapshot.subspan(10, 2)));
    if (envelope.major > format_major) {
        return refuse(Code::newer_version, "the snapshot has format " + std::to_string(envelope.major) + "." +
                                               std::to_string(envelope.minor) + ", this build reads up to " +
                                               std::to_string(format_major) + ".x");
    }
    return {};
}

std::expected<void, Failure> check_ends(ByteView snapshot, Envelope& envelope) {
    if (auto ok = check_start(snapshot, envelope); !ok) return ok;
    const bool has_end = snapshot.size() >= prelude_bytes + ending_bytes && snapshot.size() % 8 == 0 &&
                         std::equal(ending_magic.begin(), ending_magic.end(), snapshot.end() - ending_bytes);
    if (!has_end) return refuse(Code::truncated, "the snapshot is truncated: its end is missing");
    return {};
}

}  // namespace

std::expected<Envelope, Failure> open_envelope(ByteView snapshot) {
    Envelope envelope;
    if (const auto ok = check_ends(snapshot, envelope); !ok) return std::unexpected(ok.error());
    const bool aligned = reinterpret_cast<std::uintptr_t>(snapshot.data()) % alignof(capnp::word) == 0;
    const std::uint8_t* data = snapshot.data();
    if (!aligned) {
        envelope.copy = kj::heapArray<capnp::word>(snapshot.size() / sizeof(capnp::word));
        std::memcpy(envelope.copy.begin(), snapshot.data(), snapshot.size());
        data = envelope.copy.asBytes().begin();
    }
    Digest digest;
    digest.add(data, snapshot.size() - 8);
    if (digest.value() != little_endian(snapshot.last(8)) || envelope.major == 0) {
        return refuse(Code::damaged, "the snapshot is damaged: its checksum is wrong");
    }
    kj::ArrayPtr<const capnp::word> rest(reinterpret_cast<const capnp::word*>(data + prelude_bytes),
                                         (snapshot.size() - prelude_bytes - ending_bytes) / sizeof(capnp::word));
    while (rest.size() != 0) {
        const std::size_t words = message_words(rest);
        if (words == 0) return refuse(Code::damaged, "the snapshot is damaged: a frame does not end");
        envelope.frames.push_back(rest.slice(0, words));
        rest = rest.slice(words, rest.size());
    }
    return envelope;
}

std::expected<kj::ArrayPtr<const capnp::word>, Failure> first_frame(ByteView start) {
    Envelope envelope;
    if (const auto ok = check_start(start, envelope); !ok) return std::unexpected(ok.error());
    const kj::ArrayPtr<const capnp::word> rest(reinterpret_cast<const capnp::word*>(start.data() + prelude_bytes),
                                               (start.size() - prelude_bytes) / sizeof(capnp::word));
    const std::size_t words = message_words(rest);
    if (words == 0) return refuse(Code::truncated, "the snapshot is truncated");
    return rest.slice(0, words);
}

std::string_view name(Code code) {
    switch (code) {
        case Code::invalid: return "invalid";
        case Code::not_found: return "not_found";
        case Code::empty: return "empty";
        case Code::not_a_snapshot: return "not_a_snapshot";
        case Code::truncated: return "truncated";
        case Code::damaged: return "damaged";
        case Code::newer_version: return "newer_version";
        case Code::too_large: return "too_large";
        case Code::bad_arena: return "bad_arena";
        case Code::fenced: return "fenced";
        case Code::cut_overrun: return "cut_overrun";
        case Code::unknown_cut: return "unknown_cut";
        case Code::input_output: return "input_output";
        case Code::wrong_chain: return "wrong_chain";
        case Code::journal: return "journal";
    }
    return "invalid";
}

}  // namespace keepnet::checkpoint
