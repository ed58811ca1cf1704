// The application's blob: a header and the connections as they are. It is only ever read beside the stack's
// own state of the same instant, and nothing in it is believed that does not fit that state.
#include <cstring>
#include <type_traits>

#include "server.hpp"

namespace http_server {
namespace {

struct BlobHeader {
    std::uint64_t magic = 0;
    std::uint32_t version = 0;
    std::uint32_t record_bytes = 0;
    std::uint64_t listener = 0;
    std::uint64_t requests = 0;
    std::uint64_t count = 0;
};
static_assert(std::has_unique_object_representations_v<BlobHeader>);

constexpr std::uint64_t blob_magic = 0x31707474682d6e6b;  // "kn-http1" in a little-endian file
constexpr std::uint32_t blob_version = 1;

template <typename T>
void append(std::vector<std::uint8_t>& out, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
    out.insert(out.end(), bytes, bytes + sizeof value);
}

bool in_range(const ConnectionState& c) {
    return c.stage > Stage::invalid && c.stage < Stage::count_ && c.body < Body::count_ &&
           c.chunk < ChunkPhase::count_ && c.keep_alive <= 1 && c.head_only <= 1 && c.has_interim <= 1 &&
           c.allow_put <= 1;
}

// Does what the application remembers agree with where the socket's streams are?
bool fits(const ConnectionState& c, const keepnet::SocketInfo& info) {
    if (info.kind != keepnet::SocketKind::tcp || info.phase == keepnet::TcpPhase::listen) return false;
    if (c.stage == Stage::upload) {
        if (c.body_start > info.rx_consumed || c.interim_start > info.tx_accepted) return false;
        if (c.chunk == ChunkPhase::invalid && c.hash.bytes != info.rx_consumed - c.body_start) return false;
        const bool in_data = c.chunk == ChunkPhase::invalid || c.chunk == ChunkPhase::data;
        return !in_data || c.body_end >= info.rx_consumed;
    }
    if (c.stage == Stage::respond || c.stage == Stage::events) {
        if (status_line(c.status).empty() || c.body == Body::invalid) return false;
        if ((c.stage == Stage::events) != (c.body == Body::events)) return false;
        if (c.body != Body::bytes && c.body != Body::events && c.response_bytes != text_bytes(c))
            return false;
        if (c.response_start > info.tx_accepted) return false;
        TextBuffer buffer;
        const auto total = write_head(c, buffer).size() + (c.head_only ? 0 : c.response_bytes);
        return c.stage == Stage::events || info.tx_accepted - c.response_start <= total;
    }
    return true;
}

}  // namespace

void Server::save(std::vector<std::uint8_t>& blob) const {
    append(blob, BlobHeader{.magic = blob_magic,
                            .version = blob_version,
                            .record_bytes = sizeof(ConnectionState),
                            .listener = listener_.raw,
                            .requests = requests_,
                            .count = connections_.size()});
    for (const auto& c : connections_) append(blob, c);
}

std::expected<void, std::string_view> Server::load(keepnet::ByteView blob, keepnet::Instant now) {
    BlobHeader header;
    if (blob.size() < sizeof header) return std::unexpected("it is too short");
    std::memcpy(&header, blob.data(), sizeof header);
    blob = blob.subspan(sizeof header);
    if (header.magic != blob_magic) return std::unexpected("it is not this server's");
    if (header.version != blob_version || header.record_bytes != sizeof(ConnectionState)) {
        return std::unexpected("it is of another version of this server");
    }
    if (header.count > config_.connections)
        return std::unexpected("it holds more connections than are configured");
    if (blob.size() != header.count * sizeof(ConnectionState)) return std::unexpected("its length is wrong");

    listener_ = {header.listener};
    requests_ = header.requests;
    const auto listener = stack_->info(listener_);
    if (!listener || listener->phase != keepnet::TcpPhase::listen || !stack_->claim(listener_)) {
        return std::unexpected("its listener is not in the stack's state");
    }
    for (; !blob.empty(); blob = blob.subspan(sizeof(ConnectionState))) {
        ConnectionState c;
        std::memcpy(&c, blob.data(), sizeof c);
        const keepnet::SocketHandle socket{c.socket};
        const auto info = stack_->info(socket);
        if (!info) return std::unexpected("it names a socket that is not in the stack's state");
        if (!in_range(c) || !fits(c, *info))
            return std::unexpected("a connection does not fit the stack's state");
        if (!index_.emplace(c.socket, static_cast<std::uint32_t>(connections_.size())).second) {
            return std::unexpected("it names a socket twice");
        }
        if (!stack_->claim(socket)) return std::unexpected("a socket cannot be claimed");
        c.drain_until_ns = (now + config_.drain_max).ns;
        connections_.push_back(c);
        unfinished_.push_back(c.socket);  // readiness is not part of the state: look at each once
    }
    accept_waits_ = true;
    next_event_ = now;
    return {};
}

}  // namespace http_server
