// One snapshot of a chain: a base, or an increment on what stands before it. Its checksum has been verified, and its header
// and trailer read; nothing of the state.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>

#include <keepnet/checkpoint.hpp>

#include <capnp/serialize.h>
#include <kj/exception.h>

#include "checkpoint/format.hpp"
#include "checkpoint/header_facts.hpp"
#include "checkpoint/kinds.hpp"
#include "checkpoint/snapshot.capnp.h"

namespace keepnet::checkpoint {

inline std::unexpected<Failure> damaged(const std::string& what) {
    return refuse(Code::damaged, "the snapshot is damaged: " + what);
}

/// One frame as a message. Reading it all once must be possible, reading it over and over must not.
class FrameReader {
  public:
    explicit FrameReader(kj::ArrayPtr<const capnp::word> words)
        : message_(words, {.traversalLimitInWords = 4 * words.size() + 64, .nestingLimit = 8}),
          frame_(message_.getRoot<schema::Frame>()) {}
    const schema::Frame::Reader* operator->() const { return &frame_; }

  private:
    capnp::FlatArrayMessageReader message_;
    schema::Frame::Reader frame_;
};

/// What Cap'n Proto throws is damage.
template <class F>
std::expected<void, Failure> guarded(F&& f) {
    try {
        return f();
    } catch (const kj::Exception& e) {
        return damaged(e.getDescription().cStr());
    }
}

struct Layer {
    struct Count {
        std::uint32_t objects = 0;
        std::uint32_t slots = 0;
    };
    Envelope envelope{};
    HeaderFacts header{};
    std::array<Count, state_kinds> counts{};
    std::uint32_t blobs = 0;
    std::uint32_t packet_buffers = 0;

    static std::expected<Layer, Failure> open(ByteView snapshot);
    /// What the header says, of a file of which these are the first bytes. Nothing is verified.
    static std::expected<HeaderFacts, Failure> peek(ByteView start);
    [[nodiscard]] bool is_increment() const { return header.record.since != 0; }
};

}  // namespace keepnet::checkpoint
