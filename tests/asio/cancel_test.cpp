// Cancellation: by slot, by `||`, by cancel(), by close(), by destruction; nothing that was not transferred
// is lost.
#include <array>
#include <optional>
#include <string>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "rig.hpp"

namespace {

using test::Rig;
using test::tcp;
using test::net::awaitable;
using test::net::use_awaitable;
namespace net = test::net;
using boost::system::error_code;
using namespace net::experimental::awaitable_operators;

TEST_CASE("read || timer: the timer wins, the read is cancelled, the stream goes on whole") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    rig.spawn([&]() -> awaitable<void> {
        std::array<char, 16> data{};
        net::steady_timer timer(client.get_executor(), std::chrono::nanoseconds(0));
        const auto first = co_await (client.async_read_some(net::buffer(data), use_awaitable) ||
                                     timer.async_wait(use_awaitable));
        CHECK(first.index() == 1);
        co_await net::async_write(server, net::buffer("after", 5), use_awaitable);
        const auto bytes = co_await client.async_read_some(net::buffer(data), use_awaitable);
        CHECK(std::string(data.data(), bytes) == "after");
    });
    rig.finish();
}

TEST_CASE("read || timer: the read wins, the timer is cancelled") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    rig.spawn([&]() -> awaitable<void> {
        std::array<char, 16> data{};
        net::steady_timer timer(client.get_executor(), std::chrono::hours(1));
        co_await net::async_write(server, net::buffer("now", 3), use_awaitable);
        const auto first = co_await (client.async_read_some(net::buffer(data), use_awaitable) ||
                                     timer.async_wait(use_awaitable));
        REQUIRE(first.index() == 0);
        CHECK(std::get<0>(first) == 3);
    });
    rig.finish();
}

TEST_CASE("a slot cancels its own operation and no other") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    std::array<char, 16> one{};
    std::array<char, 16> two{};
    net::cancellation_signal signal;
    error_code first;
    std::optional<std::size_t> second;
    client.async_read_some(
        net::buffer(one),
        net::bind_cancellation_slot(signal.slot(), [&](error_code f, std::size_t) { first = f; }));
    client.async_read_some(net::buffer(two), [&](error_code f, std::size_t bytes) {
        CHECK(!f);
        second = bytes;
    });
    rig.settle();
    signal.emit(net::cancellation_type::total);
    CHECK(!first);  // not inside emit()
    rig.settle();
    CHECK(first == net::error::operation_aborted);
    REQUIRE(server.write_some(net::buffer("abc", 3)) == 3);
    rig.settle();
    CHECK(second == 3U);
    signal.emit(net::cancellation_type::all);  // after the end: nothing
    rig.settle();
}

TEST_CASE("a read that was ready but has not run can still be cancelled, and leaves its bytes") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    REQUIRE(server.write_some(net::buffer("kept", 4)) == 4);
    rig.settle();
    std::array<char, 16> data{};
    error_code seen;
    client.async_read_some(net::buffer(data), [&](error_code failure, std::size_t bytes) {
        seen = failure;
        CHECK(bytes == 0);
    });
    client.cancel();  // it is posted by now
    rig.settle();
    CHECK(seen == net::error::operation_aborted);
    CHECK(client.available() == 4);
}

TEST_CASE("close() completes everything with operation_aborted, and so does the destructor") {
    for (const bool by_destructor : {false, true}) {
        Rig rig;
        auto ends = rig.connected();
        auto client = std::make_unique<tcp::socket>(std::move(ends.first));
        std::array<char, 16> data{};
        int aborted = 0;
        const auto count = [&](error_code failure, std::size_t = 0) {
            aborted += failure == net::error::operation_aborted;
        };
        client->async_read_some(net::buffer(data), count);
        client->async_read_some(net::buffer(data), count);
        client->async_wait(tcp::socket::wait_error, count);
        tcp::acceptor acceptor(*rig.context_b, {tcp::v6(), 99});
        tcp::socket peer(*rig.context_b);
        acceptor.async_accept(peer, count);
        acceptor.async_accept([&](error_code failure, const tcp::socket& none) {
            CHECK_FALSE(none.is_open());
            count(failure);
        });
        rig.settle();
        CHECK(aborted == 0);
        if (by_destructor) {
            client.reset();
        } else {
            client->close();
            CHECK_FALSE(client->is_open());
        }
        acceptor.close();
        rig.settle();
        CHECK(aborted == 5);
    }
}

TEST_CASE("a connect that nobody answers is cancelled by its timer") {
    Rig rig;
    rig.spawn([&]() -> awaitable<void> {
        tcp::socket socket(rig.context_a);
        net::steady_timer timer(rig.io, std::chrono::nanoseconds(0));
        const tcp::endpoint nobody(net::ip::make_address("fd00::77"), 80);
        const auto first =
            co_await (socket.async_connect(nobody, use_awaitable) || timer.async_wait(use_awaitable));
        CHECK(first.index() == 1);
    });
    rig.finish();
}

TEST_CASE("a blocked write is cancelled, what it did accept arrives") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    const std::string block(100'000, 'x');
    std::size_t accepted = 0;
    error_code failure;
    while (!failure) accepted += client.write_some(net::buffer(block), failure), rig.settle();
    REQUIRE(failure == net::error::would_block);
    error_code seen;
    client.async_write_some(net::buffer(block), [&](error_code f, std::size_t) { seen = f; });
    rig.settle();
    CHECK(!seen);
    client.cancel();
    rig.settle();
    CHECK(seen == net::error::operation_aborted);
    client.shutdown(tcp::socket::shutdown_send);
    std::size_t arrived = 0;
    rig.spawn([&]() -> awaitable<void> {
        std::array<char, 16384> data;
        for (;;) {
            const auto [f, bytes] =
                co_await server.async_read_some(net::buffer(data), net::as_tuple(use_awaitable));
            if (f) break;
            arrived += bytes;
        }
    });
    rig.finish();
    CHECK(arrived == accepted);
}

}  // namespace
