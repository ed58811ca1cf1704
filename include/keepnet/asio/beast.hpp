// What Beast looks for by argument-dependent lookup: how to close a socket on a time-out, and how to tear a
// connection down under a WebSocket (RFC 6455 7.1.1: the server closes first, the client waits for it).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include <boost/asio/compose.hpp>
#include <boost/beast/core/role.hpp>

#include <keepnet/asio/tcp.hpp>

namespace keepnet::asio {

template <typename Executor>
void beast_close_socket(basic_stream_socket<Executor>& socket) {
    boost::system::error_code ignored;
    socket.close(ignored);
}

namespace detail {

/// Reads and drops what is there; answers would_block, or the stream's end or error.
template <typename Executor>
error_code drain(basic_stream_socket<Executor>& socket) {
    std::array<std::uint8_t, 2048> dropped;
    error_code failure;
    while (!failure) socket.read_some(net::buffer(dropped), failure);
    return failure;
}

template <typename Executor>
class teardown_operation {
  public:
    teardown_operation(boost::beast::role_type role, basic_stream_socket<Executor>& socket)
        : role_(role), socket_(socket) {}

    template <typename Self>
    void operator()(Self& self) {
        if (role_ == boost::beast::role_type::server) {
            error_code ignored;  // the peer may be gone: the read says so
            socket_.shutdown(net::socket_base::shutdown_send, ignored);
        }
        socket_.async_wait(net::socket_base::wait_read, std::move(self));
    }

    template <typename Self>
    void operator()(Self& self, error_code failure) {
        if (!failure) failure = drain(socket_);
        if (failure == net::error::would_block) {
            return socket_.async_wait(net::socket_base::wait_read, std::move(self));
        }
        if (failure == net::error::eof) failure = {};
        error_code ignored;
        if (!failure && role_ == boost::beast::role_type::client) {
            socket_.shutdown(net::socket_base::shutdown_send, ignored);
        }
        if (!failure) socket_.close(failure);
        self.complete(failure);
    }

  private:
    boost::beast::role_type role_;
    basic_stream_socket<Executor>& socket_;
};

}  // namespace detail

/// Does what can be done without waiting; a peer that has not closed yet finds the connection closed by us.
template <typename Executor>
void teardown(boost::beast::role_type, basic_stream_socket<Executor>& socket,
              boost::system::error_code& failure) {
    socket.shutdown(boost::asio::socket_base::shutdown_send, failure);
    if (!failure) failure = detail::drain(socket);
    if (failure == boost::asio::error::eof || failure == boost::asio::error::would_block) failure = {};
    if (!failure) socket.close(failure);
}

template <typename Executor, typename Handler>
void async_teardown(boost::beast::role_type role, basic_stream_socket<Executor>& socket, Handler&& handler) {
    boost::asio::async_compose<Handler, void(boost::system::error_code)>(
        detail::teardown_operation<Executor>(role, socket), handler, socket);
}

}  // namespace keepnet::asio
