#include "peer.hpp"

#include <array>
#include <cstdio>

namespace iperf3 {
namespace {

using keepnet::ByteView;
using keepnet::Error;
using keepnet::Readiness;
using keepnet::SocketHandle;

constexpr std::size_t cookie_bytes = 37;
constexpr std::size_t json_bytes_max = 65536;
constexpr std::size_t turn_bytes = 1024 * 1024;

ByteView bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::expected<void, Error> Peer::listen(std::uint16_t port) {
    auto socket = stack_.open_tcp();
    if (socket) socket = stack_.bind(*socket, {.port = port});
    if (socket) socket = stack_.listen(*socket, 16);
    if (!socket) return std::unexpected(socket.error());
    listener_ = *socket;
    return {};
}

bool Peer::progress() {
    if (control_ && (lost(control_) || (data_ && lost(data_)))) reset();
    while (accept() || step()) {
    }
    return phase_ == Phase::running && move_data();
}

// One test at a time: a connection that nobody waits for is closed.
bool Peer::accept() {
    const auto socket = stack_.accept(listener_);
    if (!socket) return false;
    if (phase_ == Phase::idle) {
        control_ = *socket;
        phase_ = Phase::cookie;
    } else if (phase_ == Phase::stream && !data_) {
        data_ = *socket;
    } else {
        (void)stack_.close(*socket);
    }
    return true;
}

// True: the phase changed.
bool Peer::step() {
    switch (phase_) {
        case Phase::idle:
            return false;
        case Phase::cookie:
            if (const auto cookie = take(control_, cookie_bytes)) {
                cookie_ = *cookie;
                phase_ = Phase::params;
                return send_state(State::param_exchange);
            }
            return false;
        case Phase::params:
            if (const auto json = take_json()) {
                reverse_ = json->find("\"reverse\":true") != std::string::npos;
                phase_ = Phase::stream;
                return send_state(State::create_streams);
            }
            return false;
        case Phase::stream:
            if (!data_) return false;
            if (const auto cookie = take(data_, cookie_bytes)) {
                if (*cookie != cookie_) {
                    reset();
                    return true;
                }
                bytes_ = 0;
                phase_ = Phase::running;
                return send_state(State::test_start) && send_state(State::test_running);
            }
            return false;
        case Phase::running:
            if (const auto state = take(control_, 1)) {
                phase_ = Phase::results;
                // As iperf3's own server does: a client that is still reading a block waits for its rest or the end.
                if (reverse_) {
                    (void)stack_.close(data_);
                    data_ = {};
                }
                return send_state(State::exchange_results);
            }
            return false;
        case Phase::results:
            if (const auto json = take_json()) {
                phase_ = Phase::done;
                return send_results() && send_state(State::display_results);
            }
            return false;
        case Phase::done:
            if (const auto state = take(control_, 1)) reset();
            return false;
    }
    return false;
}

bool Peer::move_data() {
    std::size_t moved = 0;
    while (moved < turn_bytes) {
        if (reverse_) {
            const auto sent = stack_.send(data_, pattern_, true);
            if (!sent) return false;
            moved += *sent;
            bytes_ += *sent;
            continue;
        }
        std::array<ByteView, 32> views;
        const auto filled = stack_.peek(data_, views);
        if (!filled) return false;
        std::size_t bytes = 0;
        for (const auto& view : std::span{views}.first(*filled)) bytes += view.size();
        if (!stack_.consume(data_, bytes)) return false;
        moved += bytes;
        bytes_ += bytes;
    }
    return true;
}

bool Peer::send_state(State state) {
    const std::array<std::uint8_t, 1> byte{static_cast<std::uint8_t>(state)};
    return stack_.send(control_, byte).has_value();
}

bool Peer::send_results() {
    std::array<char, 512> text;
    const int n = std::snprintf(
        text.data(), text.size(),
        R"({"cpu_util_total":0,"cpu_util_user":0,"cpu_util_system":0,"sender_has_retransmits":%d,"streams":[)"
        R"({"id":1,"bytes":%llu,"retransmits":%d,"jitter":0,"errors":0,"omitted_errors":0,"packets":0,)"
        R"("omitted_packets":0,"start_time":0,"end_time":0}]})",
        reverse_ ? 0 : -1, static_cast<unsigned long long>(bytes_), reverse_ ? 0 : -1);
    std::string message;
    for (int shift = 24; shift >= 0; shift -= 8) message.push_back(static_cast<char>(n >> shift & 0xff));
    message.append(text.data(), static_cast<std::size_t>(n));
    const auto sent = stack_.send(control_, bytes_of(message));
    return sent && *sent == message.size();
}

// Exactly so many bytes, once they are all there.
std::optional<std::string> Peer::take(SocketHandle socket, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) {
        std::array<ByteView, 4> views;
        const auto filled = stack_.peek(socket, views, text.size());
        if (!filled || *filled == 0) return std::nullopt;
        for (const auto& view : std::span{views}.first(*filled)) {
            text.append(reinterpret_cast<const char*>(view.data()), view.size());
        }
    }
    text.resize(bytes);
    if (!stack_.consume(socket, bytes)) return std::nullopt;
    return text;
}

// The length stays in the queue until all of it is there.
std::optional<std::string> Peer::take_json() {
    std::array<ByteView, 4> views;
    const auto filled = stack_.peek(control_, views);
    if (!filled) return std::nullopt;
    std::string start;
    for (const auto& view : std::span{views}.first(*filled)) {
        start.append(reinterpret_cast<const char*>(view.data()), std::min<std::size_t>(view.size(), 4));
    }
    if (start.size() < 4) return std::nullopt;
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<std::uint8_t>(start[i]);
    if (length > json_bytes_max) {
        reset();
        return std::nullopt;
    }
    const auto all = take(control_, 4 + length);
    if (!all) return std::nullopt;
    return all->substr(4);
}

bool Peer::lost(SocketHandle socket) const {
    const auto readiness = stack_.readiness(socket);
    return !readiness || readiness->has(Readiness::error | Readiness::hung_up);
}

void Peer::reset() {
    if (data_) (void)stack_.close(data_);
    if (control_) (void)stack_.close(control_);
    control_ = data_ = {};
    phase_ = Phase::idle;
}

}  // namespace iperf3
