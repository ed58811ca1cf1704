// The live page's feed: one event holds a number that grows by one on each connection, and the connection
// table.
#include <array>
#include <cstdio>

#include "server.hpp"

namespace http_server {
namespace {

constexpr std::size_t rows_max = 32;
constexpr std::size_t row_bytes = 256;
constexpr std::size_t intro_bytes = 160;

struct Progress {
    const char* doing = "";
    std::uint64_t done = 0;
    std::uint64_t of = 0;  ///< 0: unknown
};

Progress progress_of(const ConnectionState& c, const keepnet::SocketInfo& info) {
    switch (c.stage) {
        case Stage::head:
            return {"waiting", c.requests, 0};
        case Stage::upload:
            return {"upload", c.hash.bytes, c.chunk == ChunkPhase::invalid ? c.body_end - c.body_start : 0};
        case Stage::respond: {
            TextBuffer buffer;
            const auto total = write_head(c, buffer).size() + (c.head_only ? 0 : c.response_bytes);
            return {c.body == Body::bytes ? "download" : "response", info.tx_accepted - c.response_start,
                    total};
        }
        case Stage::events:
            return {"events", c.events, 0};
        case Stage::drain:
            return {"closing", 0, 0};
        case Stage::invalid:
        case Stage::count_:
            break;
    }
    return {};
}

}  // namespace

// The rows of the table, as JSON; the lower half of the scratch buffer.
std::string_view Server::write_rows() {
    std::size_t used = 0;
    std::size_t rows = 0;
    for (const auto& c : connections_) {
        const auto info = stack_->info({c.socket});
        if (!info || rows == rows_max) continue;
        std::array<char, keepnet::ipv6_text_max> address;
        const auto peer = keepnet::format(info->remote.address, address);
        const auto phase = keepnet::name(info->phase);
        const auto progress = progress_of(c, *info);
        std::array<char, 24> of{"null"};
        if (progress.of != 0) {
            std::snprintf(of.data(), of.size(), "%llu", static_cast<unsigned long long>(progress.of));
        }
        const auto held = info->undurable_receive_bytes + info->undurable_send_bytes;
        const int n = std::snprintf(
            reinterpret_cast<char*>(scratch_.data()) + used, row_bytes,
            R"(%s{"peer":"[%.*s]:%u","phase":"%.*s","doing":"%s","done":%llu,"of":%s,"held":%u})",
            rows == 0 ? "" : ",", static_cast<int>(peer.size()), peer.data(),
            static_cast<unsigned>(info->remote.port), static_cast<int>(phase.size()), phase.data(),
            progress.doing, static_cast<unsigned long long>(progress.done), of.data(), held);
        if (n < 0 || static_cast<std::size_t>(n) >= row_bytes) continue;
        used += static_cast<std::size_t>(n);
        ++rows;
    }
    return {reinterpret_cast<const char*>(scratch_.data()), used};
}

void Server::push_events(keepnet::Instant now) {
    const auto rows = write_rows();
    next_event_ = keepnet::never;
    static constexpr std::string_view outro = "]}\n\n";
    for (std::uint32_t i = 0; i < connections_.size();) {
        auto& c = connections_[i];
        const auto info = stack_->info({c.socket});
        TextBuffer head;
        if (c.stage != Stage::events || c.head_only || !info ||
            info->tx_accepted - c.response_start < write_head(c, head).size()) {
            ++i;
            continue;
        }
        next_event_ = now + config_.event_interval;
        std::array<char, intro_bytes> intro;
        const int n = std::snprintf(
            intro.data(), intro.size(),
            "id: %llu\ndata: {\"n\":%llu,\"restarts\":%llu,\"requests\":%llu,\"connections\":[",
            static_cast<unsigned long long>(c.events + 1), static_cast<unsigned long long>(c.events + 1),
            static_cast<unsigned long long>(stack_->restarts()), static_cast<unsigned long long>(requests_));
        const std::array<std::string_view, 3> texts{
            std::string_view{intro.data(), static_cast<std::size_t>(n)}, rows, outro};
        std::array<keepnet::ByteView, 3> pieces;
        std::size_t bytes = 0;
        for (std::size_t p = 0; p < pieces.size(); ++p) {
            pieces[p] = {reinterpret_cast<const std::uint8_t*>(texts[p].data()), texts[p].size()};
            bytes += texts[p].size();
        }
        // A slow reader misses an event rather than getting half of one.
        const auto room = stack_->send_room({c.socket});
        if (!room || *room < bytes) {
            ++i;
            continue;
        }
        const auto sent = stack_->send({c.socket}, pieces);
        if (sent && *sent == bytes) {
            ++c.events;
            ++i;
        } else {
            (void)stack_->abort({c.socket});
            forget(i);
        }
    }
}

}  // namespace http_server
