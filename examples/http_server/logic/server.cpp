#include "server.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "text.hpp"

namespace http_server {
namespace {

using keepnet::ByteView;
using keepnet::Error;
using keepnet::Instant;
using keepnet::Readiness;
using keepnet::SocketHandle;

constexpr std::size_t scratch_bytes = 64 * 1024;
constexpr std::uint8_t trailer_lines_max = 64;

ByteView bytes_of(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
std::string_view text_of(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// N of "/bytes/N"; nothing else is a number.
bool parse_count(std::string_view path, std::uint64_t& count) {
    constexpr std::string_view prefix = "/bytes/";
    if (!path.starts_with(prefix)) return false;
    path.remove_prefix(prefix.size());
    const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), count);
    return error == std::errc{} && end == path.data() + path.size();
}

// RFC 9112 7.1: chunk-size, then perhaps extensions, which are ignored.
bool parse_chunk_size(std::string_view line, std::uint64_t& size) {
    line = line.substr(0, line.find_first_of("; \t"));
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
    return error == std::errc{} && !line.empty() && end == line.data() + line.size();
}

// splitmix64 of the index of the 8-byte word, so that any offset costs the same.
std::uint64_t word_at(std::uint64_t index) {
    std::uint64_t z = (index + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

}  // namespace

void fill_bytes(std::uint64_t offset, keepnet::MutableBytes out) {
    std::size_t i = 0;
    const auto one = [&] {
        const auto at = offset + i;
        out[i++] = static_cast<std::uint8_t>(word_at(at / 8) >> (at % 8 * 8));
    };
    while (i < out.size() && (offset + i) % 8 != 0) one();
    for (; out.size() - i >= 8; i += 8) {
        const auto word = word_at((offset + i) / 8);
        for (std::size_t b = 0; b < 8; ++b) out[i + b] = static_cast<std::uint8_t>(word >> (8 * b));
    }
    while (i < out.size()) one();
}

Server::Server(keepnet::Stack& stack, const ServerConfig& config)
    : stack_(&stack), config_(config), scratch_(scratch_bytes) {
    connections_.reserve(config.connections);
    index_.reserve(config.connections);
}

std::expected<void, Error> Server::listen(const keepnet::Endpoint& local) {
    auto socket = stack_->open_tcp();
    if (socket) socket = stack_->bind(*socket, local);
    if (socket) socket = stack_->listen(*socket, config_.backlog);
    if (!socket) return std::unexpected(socket.error());
    listener_ = *socket;
    return {};
}

void Server::on_ready(SocketHandle socket, Instant now) {
    if (socket == listener_) return accept_all(now);
    if (const auto it = index_.find(socket.raw); it != index_.end()) serve(it->second, now);
}

void Server::on_time(Instant now) {
    turn_.swap(unfinished_);
    for (const auto socket : turn_) on_ready({socket}, now);
    turn_.clear();
    if (accept_waits_ && connections_.size() < config_.connections) accept_all(now);
    if (next_drain_ <= now) {
        next_drain_ = keepnet::never;
        for (std::uint32_t i = 0;
             i < connections_.size();) {  // backwards moves come from behind i: look again
            const auto socket = connections_[i].socket;
            if (connections_[i].stage == Stage::drain) serve(i, now);
            if (i < connections_.size() && connections_[i].socket == socket) ++i;
        }
    }
    if (next_event_ <= now) push_events(now);
}

Instant Server::next_deadline() const {
    if (!unfinished_.empty() || (accept_waits_ && connections_.size() < config_.connections))
        return Instant{0};
    return keepnet::earlier(next_event_, next_drain_);
}

void Server::accept_all(Instant now) {
    accept_waits_ = false;
    for (;;) {
        if (connections_.size() == config_.connections) {
            accept_waits_ = true;
            return;
        }
        const auto socket = stack_->accept(listener_);
        if (!socket) return;
        // A response's last segment must not wait for an ACK; a peer that vanished must not stay for ever.
        (void)stack_->set_option(*socket, keepnet::SocketOption::no_delay, 1);
        (void)stack_->set_option(*socket, keepnet::SocketOption::keep_alive, 1);
        const auto index = static_cast<std::uint32_t>(connections_.size());
        connections_.push_back({.socket = socket->raw, .stage = Stage::head});
        index_.emplace(socket->raw, index);
        serve(index, now);
    }
}

void Server::serve(std::uint32_t index, Instant now) {
    auto& c = connections_[index];
    const SocketHandle socket{c.socket};
    const auto readiness = stack_->readiness(socket);
    auto step = Step::go_on;
    if (!readiness || readiness->has(Readiness::error | Readiness::hung_up)) step = Step::finished;
    std::size_t budget = config_.turn_bytes;
    while (step == Step::go_on && budget > 0) step = advance(c, now, budget);
    if (step == Step::go_on) unfinished_.push_back(c.socket);
    if (step != Step::finished) return;
    (void)stack_->close(socket);
    forget(index);
}

void Server::forget(std::uint32_t index) {
    index_.erase(connections_[index].socket);
    if (index + 1 != connections_.size()) {
        connections_[index] = connections_.back();
        index_[connections_[index].socket] = index;
    }
    connections_.pop_back();
}

Server::Step Server::advance(ConnectionState& c, Instant now, std::size_t& budget) {
    switch (c.stage) {
        case Stage::head:
            return read_head(c);
        case Stage::upload:
            return read_upload(c, budget);
        case Stage::respond:
        case Stage::events:
            return send_response(c, now, budget);
        case Stage::drain:
            return drain(c, now, budget);
        case Stage::invalid:
        case Stage::count_:
            break;
    }
    return Step::finished;
}

// --- requests ---

// The first `limit` bytes that have come, in one piece.
std::expected<std::string_view, Error> Server::copy_peek(SocketHandle socket, std::size_t limit) {
    std::size_t used = 0;
    while (used < limit) {
        std::array<ByteView, 16> views;
        const auto filled = stack_->peek(socket, views, used);
        if (!filled && used == 0) return std::unexpected(filled.error());
        if (!filled || *filled == 0) break;
        for (const auto& view : std::span{views}.first(*filled)) {
            const auto n = std::min(view.size(), limit - used);
            std::copy_n(view.begin(), n, scratch_.begin() + static_cast<std::ptrdiff_t>(used));
            used += n;
        }
    }
    return text_of({scratch_.data(), used});
}

Server::Step Server::wait_or_finish(Error error) {
    return error == Error::would_block ? Step::wait : Step::finished;
}

// What is there, so many bytes, is not whole yet. A peer that has closed its side sends no more.
Server::Step Server::wait_for_rest(SocketHandle socket, std::size_t bytes) {
    const auto readiness = stack_->readiness(socket);
    if (readiness && !readiness->has(Readiness::peer_closed)) return Step::wait;
    (void)stack_->consume(socket, bytes);  // or the close would be a reset
    return Step::finished;
}

Server::Step Server::read_head(ConnectionState& c) {
    const SocketHandle socket{c.socket};
    const auto text = copy_peek(socket, head_bytes_max);
    if (!text) return wait_or_finish(text.error());
    const auto parsed = parse_head(*text);
    switch (parsed.outcome) {
        case HeadOutcome::need_more:
            if (text->size() < head_bytes_max) return wait_for_rest(socket, text->size());
            return refuse(c, 431);
        case HeadOutcome::complete:
            if (!stack_->consume(socket, parsed.bytes)) return Step::finished;
            ++c.requests;
            ++requests_;
            return begin(c, parsed.head);
        case HeadOutcome::malformed:
        case HeadOutcome::invalid:
            break;
    }
    return refuse(c, 400);
}

Server::Step Server::begin(ConnectionState& c, const RequestHead& head) {
    const bool reads = head.method == Method::get || head.method == Method::head;
    const bool writes = head.method == Method::put || head.method == Method::post;
    const bool has_body = head.chunked || head.length > 0;
    std::uint64_t count = 0;
    c.head_only = head.method == Method::head;
    c.allow_put = head.path == "/upload";
    // A body that nobody reads is drained behind the response, so the connection ends with it.
    c.keep_alive = head.keep_alive && !(has_body && !c.allow_put);

    if (head.unknown_coding || head.method == Method::unknown) return refuse(c, 501);
    if (c.allow_put) {
        if (!writes) return has_body ? refuse(c, 405) : start_response(c, 405, Body::text);
        if (head.length > config_.upload_bytes_max) return refuse(c, 413);
        return start_upload(c, head);
    }
    const bool counted = parse_count(head.path, count);
    if (!counted && head.path != "/" && head.path != "/events") return start_response(c, 404, Body::text);
    if (!reads) return start_response(c, 405, Body::text);
    if (head.path == "/") return start_response(c, 200, Body::page);
    if (head.path == "/events") {
        c.keep_alive = 0;
        return start_response(c, 200, Body::events);
    }
    if (count > config_.download_bytes_max) return start_response(c, 404, Body::text);
    return start_response(c, 200, Body::bytes, count);
}

// An answer after which the stream is of no more use.
Server::Step Server::refuse(ConnectionState& c, std::uint16_t status) {
    c.keep_alive = 0;
    return start_response(c, status, Body::text);
}

Server::Step Server::start_response(ConnectionState& c, std::uint16_t status, Body body,
                                    std::uint64_t bytes) {
    const auto info = stack_->info({c.socket});
    if (!info) return Step::finished;
    c.status = status;
    c.body = body;
    c.response_start = info->tx_accepted;
    if (body == Body::bytes) {
        c.response_bytes = bytes;
    } else {
        c.response_bytes = body == Body::events ? 0 : text_bytes(c);
    }
    c.stage = body == Body::events ? Stage::events : Stage::respond;
    return Step::go_on;
}

// --- uploads ---

Server::Step Server::start_upload(ConnectionState& c, const RequestHead& head) {
    const auto info = stack_->info({c.socket});
    if (!info) return Step::finished;
    c.stage = Stage::upload;
    c.hash = {};
    c.trailer_lines = 0;
    c.chunk = head.chunked ? ChunkPhase::size_line : ChunkPhase::invalid;
    c.body_start = info->rx_consumed;
    c.body_end = info->rx_consumed + head.length;
    // RFC 9110 10.1.1: only a 1.1 client, and only when there is a body to wait for.
    c.has_interim = head.expect_continue && head.is_http_1_1 && (head.chunked || head.length > 0);
    c.interim_start = info->tx_accepted;
    return Step::go_on;
}

Server::Step Server::read_upload(ConnectionState& c, std::size_t& budget) {
    const SocketHandle socket{c.socket};
    const auto info = stack_->info(socket);
    if (!info) return Step::finished;
    if (c.has_interim && info->tx_accepted - c.interim_start < interim_text.size()) {
        const auto sent =
            stack_->send(socket, bytes_of(interim_text.substr(info->tx_accepted - c.interim_start)));
        return sent ? Step::go_on : wait_or_finish(sent.error());
    }
    if (c.chunk != ChunkPhase::invalid && c.chunk != ChunkPhase::data)
        return read_chunk_line(c, info->rx_consumed);
    const auto left = c.body_end - info->rx_consumed;
    if (left == 0) {
        if (c.chunk == ChunkPhase::invalid) return start_response(c, 200, Body::digest);
        c.chunk = ChunkPhase::data_end;
        return Step::go_on;
    }
    std::array<ByteView, 32> views;
    const auto filled = stack_->peek(socket, views);
    if (!filled) return wait_or_finish(filled.error());
    std::size_t taken = 0;
    const auto limit = static_cast<std::size_t>(std::min<std::uint64_t>(left, budget));
    for (const auto& view : std::span{views}.first(*filled)) {
        const auto n = std::min(view.size(), limit - taken);
        update(c.hash, view.first(n));
        taken += n;
    }
    // The hash and the stream's offset move together: no cut can fall in between.
    if (!stack_->consume(socket, taken)) return Step::finished;
    budget -= taken;
    return Step::go_on;
}

// A chunked body's lines stay unconsumed until they are whole, like a head.
Server::Step Server::read_chunk_line(ConnectionState& c, std::uint64_t consumed) {
    const SocketHandle socket{c.socket};
    const auto text = copy_peek(socket, line_bytes_max);
    if (!text) return wait_or_finish(text.error());
    const auto end = text->find("\r\n");
    if (end == text->npos)
        return text->size() < line_bytes_max ? wait_for_rest(socket, text->size()) : refuse(c, 400);
    const auto line = text->substr(0, end);
    const auto next = consumed + end + 2;
    bool complete = false;
    std::uint64_t size = 0;
    switch (c.chunk) {
        case ChunkPhase::size_line:
            if (!parse_chunk_size(line, size)) return refuse(c, 400);
            if (size > config_.upload_bytes_max - c.hash.bytes) return refuse(c, 413);
            c.body_end = next + size;
            c.chunk = size == 0 ? ChunkPhase::trailer : ChunkPhase::data;
            break;
        case ChunkPhase::data_end:
            if (!line.empty()) return refuse(c, 400);
            c.chunk = ChunkPhase::size_line;
            break;
        case ChunkPhase::trailer:
            complete = line.empty();
            if (!complete && ++c.trailer_lines > trailer_lines_max) return refuse(c, 431);
            break;
        case ChunkPhase::invalid:
        case ChunkPhase::data:
        case ChunkPhase::count_:
            return Step::finished;
    }
    if (!stack_->consume(socket, end + 2)) return Step::finished;
    return complete ? start_response(c, 200, Body::digest) : Step::go_on;
}

// --- responses ---

Server::Step Server::send_response(ConnectionState& c, Instant now, std::size_t& budget) {
    const SocketHandle socket{c.socket};
    const auto info = stack_->info(socket);
    const auto room = stack_->send_room(socket);
    if (!info || !room) return Step::finished;
    const auto position = info->tx_accepted - c.response_start;
    TextBuffer head_buffer;
    const auto head = write_head(c, head_buffer);
    const auto body_bytes = c.head_only ? 0 : c.response_bytes;
    if (position == head.size() + body_bytes) {
        if (c.stage == Stage::events && !c.head_only) {
            next_event_ = keepnet::earlier(next_event_, now);
            return Step::wait;
        }
        if (!c.keep_alive) return start_drain(c, now);
        c.stage = Stage::head;
        return Step::go_on;
    }
    // Head events go out whole, so an event stream is only ever at its head's end, or behind it.
    if (c.stage == Stage::events && position > head.size()) return Step::wait;

    std::array<ByteView, 2> pieces;
    if (position < head.size()) pieces[0] = bytes_of(head.substr(static_cast<std::size_t>(position)));
    const auto offset = position - std::min<std::uint64_t>(position, head.size());
    const auto left = body_bytes - offset;
    const auto wanted =
        std::min<std::uint64_t>({left, budget, scratch_bytes, std::max<std::size_t>(*room, 1)});
    TextBuffer text_buffer;
    pieces[1] = write_body(c, offset, static_cast<std::size_t>(wanted), text_buffer);
    const auto sent = stack_->send(socket, pieces, pieces[1].size() < left);
    if (!sent) return wait_or_finish(sent.error());
    budget -= std::min(budget, *sent);
    return Step::go_on;
}

// Up to `bytes` bytes of the response's body from `offset` on.
ByteView Server::write_body(const ConnectionState& c, std::uint64_t offset, std::size_t bytes,
                            TextBuffer& buffer) {
    switch (c.body) {
        case Body::bytes: {
            const auto out = std::span{scratch_}.first(bytes);
            fill_bytes(offset, out);
            return out;
        }
        case Body::page:
            return bytes_of(page.substr(static_cast<std::size_t>(offset), bytes));
        case Body::text:
        case Body::digest:
            return bytes_of(write_text(c, buffer).substr(static_cast<std::size_t>(offset), bytes));
        case Body::events:
        case Body::invalid:
        case Body::count_:
            break;
    }
    return {};
}

// RFC 9112 9.6: close in two steps, or the reset for unread data could overtake the response.
Server::Step Server::start_drain(ConnectionState& c, Instant now) {
    if (!stack_->shutdown({c.socket}, keepnet::CloseDirection::send)) return Step::finished;
    c.stage = Stage::drain;
    c.drain_until_ns = (now + config_.drain_max).ns;
    return Step::go_on;
}

Server::Step Server::drain(ConnectionState& c, Instant now, std::size_t& budget) {
    const Instant until{c.drain_until_ns};
    if (until <= now) return Step::finished;
    next_drain_ = keepnet::earlier(next_drain_, until);
    std::array<ByteView, 32> views;
    const auto filled = stack_->peek({c.socket}, views);
    if (!filled) return wait_or_finish(filled.error());
    std::size_t bytes = 0;
    for (const auto& view : std::span{views}.first(*filled)) bytes += view.size();
    if (!stack_->consume({c.socket}, bytes)) return Step::finished;
    budget -= std::min(budget, bytes);
    return Step::go_on;
}

}  // namespace http_server
