// Boost.Beast, unchanged, on keepnet's sockets: HTTP and WebSocket, both ends.
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include "rig.hpp"

namespace {

using test::Rig;
using test::tcp;
using test::net::awaitable;
using test::net::use_awaitable;
namespace net = test::net;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;

static_assert(beast::is_async_stream<tcp::socket>::value);
static_assert(beast::is_sync_stream<tcp::socket>::value);

TEST_CASE("HTTP: requests and responses, kept alive, with a body of half a megabyte") {
    Rig rig;
    auto ends = rig.connected(80);
    rig.spawn([server = std::move(ends.second)]() mutable -> awaitable<void> {
        beast::flat_buffer buffer;
        for (;;) {
            http::request<http::string_body> request;
            const auto [failure, bytes] =
                co_await http::async_read(server, buffer, request, net::as_tuple(use_awaitable));
            if (failure == http::error::end_of_stream) break;
            CHECK(!failure);
            CHECK(bytes > 0);
            http::response<http::string_body> response(http::status::ok, 11);
            response.body() = std::string(request.target()) + request.body();
            response.prepare_payload();
            co_await http::async_write(server, response, use_awaitable);
        }
        server.shutdown(tcp::socket::shutdown_send);
    });
    rig.spawn([client = std::move(ends.first)]() mutable -> awaitable<void> {
        beast::flat_buffer buffer;
        for (const std::size_t size : {std::size_t{0}, std::size_t{500'000}, std::size_t{3}}) {
            http::request<http::string_body> request(http::verb::put, "/x", 11);
            request.body() = std::string(size, 'b');
            request.prepare_payload();
            co_await http::async_write(client, request, use_awaitable);
            http::response<http::string_body> response;
            co_await http::async_read(client, buffer, response, use_awaitable);
            CHECK(response.body() == "/x" + std::string(size, 'b'));
        }
        client.shutdown(tcp::socket::shutdown_send);
    });
    rig.finish();
}

TEST_CASE("WebSocket: echo, ping, an orderly close by either side") {
    for (const bool server_closes : {false, true}) {
        Rig rig;
        auto ends = rig.connected(80);
        const auto server_handle = ends.second.native_handle();
        rig.spawn([server_closes, socket = std::move(ends.second)]() mutable -> awaitable<void> {
            websocket::stream<tcp::socket> stream(std::move(socket));
            co_await stream.async_accept(use_awaitable);
            for (;;) {
                beast::flat_buffer buffer;
                const auto [failure, bytes] =
                    co_await stream.async_read(buffer, net::as_tuple(use_awaitable));
                if (failure == websocket::error::closed) break;
                CHECK(!failure);
                if (beast::buffers_to_string(buffer.data()) == "bye" && server_closes) {
                    co_await stream.async_close(websocket::close_code::going_away, use_awaitable);
                    break;
                }
                stream.text(stream.got_text());
                co_await stream.async_write(buffer.data(), use_awaitable);
            }
            CHECK_FALSE(beast::get_lowest_layer(stream).is_open());  // torn down
        });
        rig.spawn([server_closes, socket = std::move(ends.first)]() mutable -> awaitable<void> {
            websocket::stream<tcp::socket> stream(std::move(socket));
            co_await stream.async_handshake("host.example", "/chat", use_awaitable);
            co_await stream.async_ping({}, use_awaitable);
            for (const std::size_t size : {std::size_t{1}, std::size_t{100'000}}) {
                const std::string message(size, 'w');
                co_await stream.async_write(net::buffer(message), use_awaitable);
                beast::flat_buffer buffer;
                co_await stream.async_read(buffer, use_awaitable);
                CHECK(beast::buffers_to_string(buffer.data()) == message);
            }
            if (server_closes) {
                co_await stream.async_write(net::buffer("bye", 3), use_awaitable);
                beast::flat_buffer buffer;
                const auto [failure, bytes] =
                    co_await stream.async_read(buffer, net::as_tuple(use_awaitable));
                CHECK(failure == websocket::error::closed);
                CHECK(stream.reason().code == websocket::close_code::going_away);
            } else {
                co_await stream.async_close(websocket::close_code::normal, use_awaitable);
            }
            CHECK_FALSE(beast::get_lowest_layer(stream).is_open());
        });
        rig.finish();
        CHECK_FALSE(rig.b->stack.info(server_handle).has_value());
    }
}

TEST_CASE("Beast closes a socket through beast_close_socket") {
    Rig rig;
    auto [client, server] = rig.connected(80);
    beast::close_socket(client);
    CHECK_FALSE(client.is_open());
    boost::system::error_code failure;
    rig.settle();
    teardown(beast::role_type::server, server, failure);
    CHECK(!failure);
    CHECK_FALSE(server.is_open());
}

}  // namespace
