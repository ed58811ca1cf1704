// What stores know about the snapshots that they hold: the header's word on what follows what.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/layer.hpp"

namespace keepnet::checkpoint {

/// A header lies within so many bytes of the start.
inline constexpr std::size_t head_bytes_max = 4096;

struct ChainLink {
    CutId cut = 0;
    std::uint64_t id = 0;
    CutId since = 0;
    std::uint64_t since_id = 0;
};
/// Of a snapshot that starts with these bytes; empty: it is none.
inline std::optional<ChainLink> link_of(ByteView start) {
    const ByteView head = start.first(std::min(start.size(), head_bytes_max) & ~std::size_t{7});
    std::vector<std::uint64_t> aligned(head.size() / 8);
    if (!head.empty()) std::memcpy(aligned.data(), head.data(), head.size());
    const auto header = Layer::peek({reinterpret_cast<const std::uint8_t*>(aligned.data()), head.size()});
    if (!header) return std::nullopt;
    return ChainLink{header->record.cut, header->record.id, header->record.since, header->record.since_id};
}

/// The files beside `path`, a store's, with the increments on the base that starts with these bytes, in order.
std::expected<std::vector<std::string>, Failure> increment_files(const std::string& path, ByteView base);

inline std::expected<void, Failure> check_follows(const StoreFacts& last, ByteView increment) {
    const auto link = link_of(increment);
    if (!link || link->since != last.cut || link->since_id != last.id) {
        return refuse(Code::wrong_chain, "not an increment on cut " + std::to_string(last.cut) + ", the store's last");
    }
    return {};
}

}  // namespace keepnet::checkpoint
