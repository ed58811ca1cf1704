// What the server knows of one connection, as plain data. It is in the snapshot as it is; every position in a
// stream follows from the socket's own offsets (SocketInfo::rx_consumed, tx_accepted), which the same
// snapshot holds.
#pragma once

#include <cstdint>
#include <type_traits>

#include "sha256.hpp"

namespace http_server {

enum class Stage : std::uint8_t {
    invalid = 0,
    head,     ///< waits for a whole request head, which stays unconsumed until then
    upload,   ///< takes in a body
    respond,  ///< sends a response
    events,   ///< sends one response that never ends
    drain,    ///< has sent its last byte and waits for the peer's
    count_
};

enum class Body : std::uint8_t {
    invalid = 0,
    text,    ///< the status in words
    page,    ///< the live page
    bytes,   ///< pseudo-random bytes
    digest,  ///< SHA-256 of the upload, in hexadecimal
    events,  ///< server-sent events
    count_
};

enum class ChunkPhase : std::uint8_t {
    invalid = 0,  ///< not a chunked body
    size_line,
    data,
    data_end,  ///< the CRLF behind the data
    trailer,
    count_
};

struct ConnectionState {
    std::uint64_t socket = 0;          ///< SocketHandle::raw
    std::uint64_t body_start = 0;      ///< rx offset of the body's first byte
    std::uint64_t body_end = 0;        ///< rx offset behind the body, or behind the chunk's data
    std::uint64_t interim_start = 0;   ///< tx offset of "100 Continue"
    std::uint64_t response_start = 0;  ///< tx offset of the response's head
    std::uint64_t response_bytes = 0;  ///< of the response's body
    std::uint64_t events = 0;          ///< events sent on this connection; the last one's number
    std::uint64_t requests = 0;        ///< begun on this connection
    std::int64_t drain_until_ns = 0;   ///< Instant; starts anew after a restore
    Sha256State hash{};                ///< of the upload so far
    Stage stage = Stage::invalid;
    Body body = Body::invalid;
    ChunkPhase chunk = ChunkPhase::invalid;
    std::uint8_t keep_alive = 0;   ///< bool
    std::uint8_t head_only = 0;    ///< bool: the request was HEAD
    std::uint8_t has_interim = 0;  ///< bool: the upload is answered with "100 Continue" first
    std::uint8_t allow_put = 0;    ///< bool: which methods a 405 names
    std::uint8_t trailer_lines = 0;
    std::uint16_t status = 0;
    std::uint16_t reserved16 = 0;
    std::uint32_t reserved32 = 0;
};

// No padding: two equal states are equal bytes, and no byte of the process leaks into a snapshot.
static_assert(std::is_trivially_copyable_v<ConnectionState>);
static_assert(std::has_unique_object_representations_v<ConnectionState>);

}  // namespace http_server
