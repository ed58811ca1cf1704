// The TCP socket as an Asio stream: coroutines, composed operations, gather and scatter, ends, options,
// executors.
#include <array>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
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

awaitable<void> echo_until_end(tcp::socket socket) {
    std::array<char, 4096> data;
    for (;;) {
        const auto [failure, bytes] =
            co_await socket.async_read_some(net::buffer(data), net::as_tuple(use_awaitable));
        if (failure == net::error::eof) break;
        if (failure) throw boost::system::system_error(failure);
        co_await net::async_write(socket, net::buffer(data, bytes), use_awaitable);
    }
    socket.shutdown(tcp::socket::shutdown_send);
}

TEST_CASE("a megabyte is echoed, gathered and scattered, and the FIN is eof") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    rig.spawn(echo_until_end(std::move(server)));

    constexpr std::size_t total = 1'000'000;
    std::vector<std::uint8_t> sent(total);
    for (std::size_t i = 0; i < total; ++i) sent[i] = test::pattern(i);
    std::vector<std::uint8_t> got(total);

    rig.spawn([&]() -> awaitable<void> {
        // Pieces of unlike sizes, an empty one among them.
        std::vector<net::const_buffer> pieces;
        for (std::size_t at = 0, size = 0; at < total;
             at += size, size = std::min(total - at, size * 3 % 70'001 + 1)) {
            pieces.emplace_back(sent.data() + at, size);
        }
        const auto bytes = co_await net::async_write(client, pieces, use_awaitable);
        CHECK(bytes == total);
        client.shutdown(tcp::socket::shutdown_send);
    });
    rig.spawn([&]() -> awaitable<void> {
        const std::array<net::mutable_buffer, 3> rooms{net::buffer(got.data(), 1),
                                                       net::buffer(got.data() + 1, 99'999),
                                                       net::buffer(got.data() + 100'000, total - 100'000)};
        const auto read = co_await net::async_read(client, rooms, use_awaitable);
        CHECK(read == total);
        char more = 0;
        const auto [failure, bytes] =
            co_await client.async_read_some(net::buffer(&more, 1), net::as_tuple(use_awaitable));
        CHECK(failure == net::error::eof);
        CHECK(bytes == 0);
    });
    rig.finish();
    CHECK(got == sent);
}

TEST_CASE("a line is read with read_until into a string") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    rig.spawn(echo_until_end(std::move(server)));
    std::string line;
    rig.spawn([&]() -> awaitable<void> {
        co_await net::async_write(client, net::buffer(std::string("first\nsecond\n")), use_awaitable);
        const auto bytes =
            co_await net::async_read_until(client, net::dynamic_buffer(line), '\n', use_awaitable);
        CHECK(line.substr(0, bytes) == "first\n");
        client.close();
    });
    rig.finish();
}

TEST_CASE("no handler runs inside the function that starts its operation") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    REQUIRE(server.write_some(net::buffer("ready", 5)) == 5);
    rig.settle();
    REQUIRE(client.available() == 5);

    int called = 0;
    bool inside = true;
    const auto handler = [&](error_code, std::size_t = 0) {
        ++called;
        CHECK_FALSE(inside);
    };
    std::array<char, 8> data{};
    client.async_read_some(net::buffer(data), handler);
    client.async_write_some(net::buffer(data), handler);
    client.async_read_some(net::mutable_buffer(), handler);
    client.async_write_some(net::const_buffer(), handler);
    client.async_wait(tcp::socket::wait_write, handler);
    tcp::socket never_opened(rig.context_a);
    never_opened.async_read_some(net::buffer(data), handler);
    std::array<char, 8> other{};
    server.async_read_some(net::buffer(other), handler);
    server.close();
    inside = false;
    rig.settle();
    CHECK(called == 7);
}

TEST_CASE("a read or write of nothing completes at once, with nothing there and while another read waits") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    std::array<char, 8> data{};
    int waiting = 0;
    client.async_read_some(net::buffer(data), [&](error_code, std::size_t) { ++waiting; });
    std::vector<std::pair<error_code, std::size_t>> outcomes;
    const auto note = [&](error_code failure, std::size_t bytes) { outcomes.emplace_back(failure, bytes); };
    client.async_read_some(net::mutable_buffer(), note);
    client.async_write_some(std::vector<net::const_buffer>(), note);
    rig.settle();
    CHECK(waiting == 0);
    REQUIRE(outcomes.size() == 2);
    for (const auto& [failure, bytes] : outcomes) {
        CHECK(!failure);
        CHECK(bytes == 0);
    }
    client.close();
    rig.settle();
    CHECK(waiting == 1);
}

TEST_CASE("bytes leave the stack in the call that runs the handler, not before") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    const auto handle = server.native_handle();
    std::array<char, 16> data{};
    std::uint64_t consumed_in_handler = 0;
    bool called = false;
    server.async_read_some(net::buffer(data), [&](error_code failure, std::size_t bytes) {
        called = true;
        CHECK(!failure);
        CHECK(bytes == 5);
        consumed_in_handler = rig.b->stack.info(handle)->rx_consumed;
    });
    rig.settle();
    REQUIRE(client.write_some(net::buffer("hello", 5)) == 5);
    // Step by step: at each instant before the handler the bytes are whole in the stack, so a cut there loses
    // nothing.
    bool seen_ready_and_untaken = false;
    while (!called) {
        const auto before = rig.b->stack.info(handle);
        REQUIRE(before.has_value());
        CHECK(before->rx_consumed == 0);
        seen_ready_and_untaken = seen_ready_and_untaken || before->receive_queue_bytes == 5;
        REQUIRE(rig.run_until([step = 0]() mutable { return ++step == 1; }));
    }
    CHECK(seen_ready_and_untaken);
    CHECK(consumed_in_handler == 5);
    CHECK(std::string(data.data(), 5) == "hello");
}

TEST_CASE("a write is accepted by the stack in the call that runs its handler") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    std::uint64_t accepted = 0;
    client.async_write_some(net::buffer("hello", 5),
                            [&](error_code failure, std::size_t bytes) {
                                CHECK(!failure);
                                accepted = rig.a.stack.info(client.native_handle())->tx_accepted;
                                CHECK(accepted == bytes);
                            });
    CHECK(rig.a.stack.info(client.native_handle())->tx_accepted == 0);
    rig.settle();
    CHECK(accepted == 5);
}

TEST_CASE("a handler on another context's thread: cut is refused until it has returned") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    // Nobody runs this pool until the test does.
    net::io_context elsewhere;
    std::array<char, 16> data{};
    std::size_t got = 0;
    bool refused_inside = false;
    server.async_read_some(net::buffer(data),
                           net::bind_executor(elsewhere, [&](error_code failure, std::size_t bytes) {
                               CHECK(!failure);
                               got = bytes;
                               const auto cut = rig.context_b->cut();
                               refused_inside = !cut && cut.error() == keepnet::Error::invalid_state;
                           }));
    REQUIRE(client.write_some(net::buffer("hello", 5)) == 5);
    rig.settle();
    CHECK(rig.b->stack.info(server.native_handle())->rx_consumed == 5);
    CHECK(rig.context_b->has_undelivered());
    const auto undelivered = rig.context_b->cut();
    REQUIRE_FALSE(undelivered.has_value());
    CHECK(undelivered.error() == keepnet::Error::invalid_state);
    CHECK(elsewhere.run() == 1);  // returns: the work it was given is done
    CHECK(got == 5);
    CHECK(refused_inside);
    const auto cut = rig.context_b->cut();
    REQUIRE(cut.has_value());
    CHECK(rig.context_b->abandoned(*cut).has_value());
}

TEST_CASE("handlers on a strand of the io_context run there, with the transfer") {
    Rig rig;
    auto strand = net::make_strand(rig.io);
    tcp::acceptor acceptor(*rig.context_b, {tcp::v6(), 7});
    bool accepted = false;
    using stranded = keepnet::asio::basic_stream_socket<net::strand<net::io_context::executor_type>>;
    stranded peer({*rig.context_b, strand});
    acceptor.async_accept(peer, [&](error_code failure) {
        CHECK(!failure);
        accepted = true;
    });
    tcp::socket client(rig.context_a);
    client.async_connect(rig.at_b(7), [](error_code failure) { CHECK(!failure); });
    REQUIRE(rig.run_until([&] { return accepted; }));
    std::array<char, 8> data{};
    bool called = false;
    peer.async_read_some(net::buffer(data), [&](error_code failure, std::size_t) {
        called = true;
        CHECK(!failure);
        CHECK(strand.running_in_this_thread());
    });
    REQUIRE(client.write_some(net::buffer("x", 1)) == 1);
    rig.settle();
    CHECK(called);
}

TEST_CASE("a waiting operation is outstanding work, a finished one is not") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    rig.settle();
    std::array<char, 8> data{};
    client.async_read_some(net::buffer(data), [](error_code, std::size_t) {});
    rig.settle();
    rig.io.restart();
    rig.io.poll();
    CHECK_FALSE(rig.io.stopped());
    client.cancel();
    rig.settle();
    rig.io.restart();
    rig.io.poll();
    CHECK(rig.io.stopped());  // with the virtual clock there is no timer either
}

TEST_CASE("endpoints and options are Asio's") {
    Rig rig;
    auto ends = rig.connected(4711);
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    CHECK(client.remote_endpoint() == rig.at_b(4711));
    CHECK(server.local_endpoint() == rig.at_b(4711));
    CHECK(server.remote_endpoint() == client.local_endpoint());
    CHECK(client.local_endpoint().address() == test::asio_address(rig.a.address));

    client.set_option(tcp::no_delay(true));
    tcp::no_delay no_delay;
    client.get_option(no_delay);
    CHECK(no_delay.value());
    client.set_option(tcp::socket::keep_alive(true));
    tcp::socket::keep_alive keep_alive;
    client.get_option(keep_alive);
    CHECK(keep_alive.value());
    client.set_option(tcp::socket::send_buffer_size(65536));
    tcp::socket::send_buffer_size send_buffer;
    client.get_option(send_buffer);
    CHECK(send_buffer.value() == 65536);
    client.set_option(tcp::socket::receive_buffer_size(32768));
    tcp::socket::receive_buffer_size receive_buffer;
    client.get_option(receive_buffer);
    CHECK(receive_buffer.value() == 32768);
    tcp::socket::linger linger;
    client.get_option(linger);
    CHECK_FALSE(linger.enabled());
    client.set_option(tcp::socket::linger(true, 3));
    client.get_option(linger);
    CHECK(linger.enabled());
    CHECK(linger.timeout() == 3);

    error_code failure;
    client.set_option(tcp::socket::send_buffer_size(1), failure);
    CHECK(failure == net::error::invalid_argument);
    client.set_option(net::ip::v6_only(false), failure);
    CHECK(failure == net::error::address_family_not_supported);
    client.non_blocking(true);
    client.non_blocking(false, failure);
    CHECK(failure == net::error::operation_not_supported);
}

TEST_CASE("what fails says so with Asio's error codes") {
    Rig rig;
    error_code failure;
    std::array<char, 8> data{};

    tcp::socket closed(rig.context_a);
    CHECK_FALSE(closed.is_open());
    closed.local_endpoint(failure);
    CHECK(failure == net::error::bad_descriptor);
    CHECK(closed.read_some(net::buffer(data), failure) == 0);
    CHECK(failure == net::error::bad_descriptor);
    closed.cancel(failure);
    CHECK(failure == net::error::bad_descriptor);
    closed.close(failure);
    CHECK(!failure);
    CHECK_THROWS_AS(closed.available(), boost::system::system_error);

    tcp::socket unconnected(rig.context_a, tcp::v6());
    unconnected.open(tcp::v6(), failure);
    CHECK(failure == net::error::already_open);
    unconnected.remote_endpoint(failure);
    CHECK(failure == net::error::not_connected);
    unconnected.shutdown(tcp::socket::shutdown_both, failure);
    CHECK(failure == net::error::not_connected);
    std::vector<error_code> seen;
    const auto note = [&](error_code f, std::size_t = 0) { seen.push_back(f); };
    unconnected.async_read_some(net::buffer(data), note);
    rig.settle();
    REQUIRE(seen.size() == 1);
    CHECK(seen[0] == net::error::not_connected);

    tcp::socket refused(rig.context_a);
    refused.async_connect(rig.at_b(9), note);
    REQUIRE(rig.run_until([&] { return seen.size() == 2; }));
    CHECK(seen[1] == net::error::connection_refused);

    tcp::socket old(rig.context_a);
    old.async_connect({net::ip::make_address_v4("192.0.2.1"), 80}, note);
    REQUIRE(rig.run_until([&] { return seen.size() == 3; }));
    CHECK(seen[2] == net::error::address_family_not_supported);

    tcp::socket far(rig.context_a);
    far.async_connect({net::ip::make_address("2001:db8::1"), 80}, note);
    REQUIRE(rig.run_until([&] { return seen.size() == 4; }));
    CHECK(seen[3] == net::error::network_unreachable);

    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    CHECK(client.read_some(net::buffer(data), failure) == 0);
    CHECK(failure == net::error::would_block);
    client.shutdown(tcp::socket::shutdown_send);
    client.write_some(net::buffer(data), failure);
    CHECK(failure == net::error::broken_pipe);
    tcp::acceptor taken(*rig.context_b);
    taken.open(tcp::v6());
    tcp::acceptor listening(*rig.context_b, {tcp::v6(), 80});
    taken.bind({tcp::v6(), 80}, failure);
    CHECK(failure == net::error::address_in_use);
}

TEST_CASE("a peer's reset is connection_reset") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    std::array<char, 8> data{};
    error_code seen;
    client.async_read_some(net::buffer(data), [&](error_code failure, std::size_t) { seen = failure; });
    server.set_option(tcp::socket::linger(true, 0));
    server.close();
    REQUIRE(rig.run_until([&] { return static_cast<bool>(seen); }));
    CHECK(seen == net::error::connection_reset);
}

TEST_CASE("a socket made from a bare executor belongs to the first context of its io_context") {
    Rig rig;
    tcp::socket from_io(rig.io);
    tcp::socket from_executor(rig.io.get_executor());
    tcp::socket from_strand{net::make_strand(rig.io)};
    from_io.open();
    from_executor.open();
    from_strand.open();
    for (const auto* socket : {&from_io, &from_executor, &from_strand}) {
        CHECK(rig.a.stack.info(socket->native_handle()).has_value());
    }
    net::io_context without;
    CHECK_THROWS_AS(tcp::socket(without), boost::system::system_error);
}

TEST_CASE("sockets and operations may outlive the context, and their connections do too") {
    Rig rig;
    auto ends = rig.connected();
    [[maybe_unused]] auto& client = ends.first;
    [[maybe_unused]] auto& server = ends.second;
    keepnet::SocketHandle handle;
    auto shared = std::make_shared<int>(0);
    {
        net::io_context io;
        keepnet::asio::context other(io, rig.a.stack, {.clock = [&] { return rig.now; }, .timer = false});
        auto socket = std::make_unique<tcp::socket>(other, client.release());
        handle = socket->native_handle();
        std::array<char, 8> data{};
        auto& reading = *socket;
        reading.async_read_some(net::buffer(data),
                                [shared, socket = std::move(socket)](error_code, std::size_t) { ++*shared; });
        io.poll();
    }
    CHECK(shared.use_count() == 1);  // the handler is gone, uncalled
    CHECK(*shared == 0);
    CHECK(rig.a.stack.info(handle)->phase == keepnet::TcpPhase::established);
}

}  // namespace
