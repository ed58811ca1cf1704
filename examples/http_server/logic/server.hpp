// The demo's web server as functions of (state, readiness, now). It stands on the native socket interface
// alone, so the same file serves on Linux and in a unikernel; the shell around it polls, sleeps and stores
// snapshots.
//
//   GET /           a page that shows the server live      GET /events     what feeds it: server-sent events
//   GET /bytes/N    N pseudo-random bytes                  PUT /upload     SHA-256 of what came
//
// save() and load() are the application's half of a checkpoint; both between two polls, save() at the instant
// of cut().
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <keepnet/stack.hpp>

#include "connection.hpp"
#include "head.hpp"
#include "text.hpp"

namespace http_server {

struct ServerConfig {
    std::uint32_t connections = 1024;  ///< more wait in the accept queue
    std::uint32_t backlog = 128;
    std::uint32_t turn_bytes = 256 * 1024;  ///< moved for one connection before the next one's turn
    std::uint64_t upload_bytes_max = std::uint64_t{1} << 40;  ///< 413 above it
    std::uint64_t download_bytes_max = std::uint64_t{1} << 50;
    keepnet::Duration event_interval = keepnet::milliseconds(200);
    keepnet::Duration drain_max = keepnet::seconds(5);  ///< how long a closing peer may keep us waiting
};

/// Bytes of a request head, and of a chunk's size line: 431 and 400 above them.
inline constexpr std::size_t head_bytes_max = 8192;
inline constexpr std::size_t line_bytes_max = 1024;

/// The bytes of GET /bytes/N at `offset`; the same for every N.
void fill_bytes(std::uint64_t offset, keepnet::MutableBytes out);

class Server {
  public:
    Server(keepnet::Stack& stack, const ServerConfig& config);

    /// Starts to listen. Fails as bind and listen do.
    std::expected<void, keepnet::Error> listen(const keepnet::Endpoint& local);

    void on_ready(keepnet::SocketHandle socket, keepnet::Instant now);
    /// What time asks for, and the turns that were cut short.
    void on_time(keepnet::Instant now);
    /// Call on_time() no later than this; a moment in the past: now.
    [[nodiscard]] keepnet::Instant next_deadline() const;

    [[nodiscard]] std::span<const ConnectionState> connections() const { return connections_; }

    /// Appends everything the server knows, as one blob.
    void save(std::vector<std::uint8_t>& blob) const;
    /// The opposite, on a new Server over the restored stack: claims the sockets and goes on at `now`. Fails
    /// with what is wrong with the blob; the server is then of no use.
    std::expected<void, std::string_view> load(keepnet::ByteView blob, keepnet::Instant now);

  private:
    enum class Step : std::uint8_t { invalid = 0, go_on, wait, finished };

    void accept_all(keepnet::Instant now);
    void serve(std::uint32_t index, keepnet::Instant now);
    void forget(std::uint32_t index);
    Step advance(ConnectionState& c, keepnet::Instant now, std::size_t& budget);

    std::expected<std::string_view, keepnet::Error> copy_peek(keepnet::SocketHandle socket,
                                                              std::size_t limit);
    static Step wait_or_finish(keepnet::Error error);
    Step wait_for_rest(keepnet::SocketHandle socket, std::size_t bytes);
    Step read_head(ConnectionState& c);
    Step begin(ConnectionState& c, const RequestHead& head);
    Step refuse(ConnectionState& c, std::uint16_t status);
    Step start_upload(ConnectionState& c, const RequestHead& head);
    Step read_upload(ConnectionState& c, std::size_t& budget);
    Step read_chunk_line(ConnectionState& c, std::uint64_t consumed);
    Step start_response(ConnectionState& c, std::uint16_t status, Body body, std::uint64_t bytes = 0);
    Step send_response(ConnectionState& c, keepnet::Instant now, std::size_t& budget);
    keepnet::ByteView write_body(const ConnectionState& c, std::uint64_t offset, std::size_t bytes,
                                 TextBuffer& buffer);
    Step start_drain(ConnectionState& c, keepnet::Instant now);
    Step drain(ConnectionState& c, keepnet::Instant now, std::size_t& budget);
    void push_events(keepnet::Instant now);
    [[nodiscard]] std::string_view write_rows();

    keepnet::Stack* stack_;
    ServerConfig config_;
    keepnet::SocketHandle listener_{};
    std::uint64_t requests_ = 0;
    std::vector<ConnectionState> connections_;

    // Derived, or scratch.
    std::unordered_map<std::uint64_t, std::uint32_t> index_;
    std::vector<std::uint64_t> unfinished_;  ///< sockets whose turn was cut short
    std::vector<std::uint64_t> turn_;
    bool accept_waits_ = false;
    keepnet::Instant next_event_ = keepnet::never;
    keepnet::Instant next_drain_ = keepnet::never;
    std::vector<std::uint8_t> scratch_;
};

}  // namespace http_server
