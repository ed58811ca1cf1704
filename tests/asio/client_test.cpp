// What a client program needs: names, time-outs, an end of run(), an address that is usable at last.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include <keepnet/asio/resolver.hpp>
#include <keepnet/asio/tcp_stream.hpp>

#include "rig.hpp"
#include "support/folder.hpp"

namespace {

using keepnet::asio::tcp_stream;
using test::Rig;
using test::tcp;
using test::udp;
using test::net::awaitable;
using test::net::use_awaitable;
namespace net = test::net;
namespace beast = boost::beast;
using error_code = boost::system::error_code;

static_assert(beast::is_async_stream<tcp_stream>::value);

constexpr auto as_tuple = net::as_tuple(use_awaitable);

struct Files : keepnet::asio::name_files {
    explicit Files(const std::filesystem::path& folder) {
        hosts = (folder / "hosts").string();
        services = (folder / "services").string();
        std::ofstream(hosts) << "127.0.0.1 v4.example\n# fd00::9 hidden\nfd00::2  server.example Server # fd00::3 x\n"
                                "fd00::5 server.example\nfd00::5 server.example\nnonsense server.example\nfd00::6\n";
        std::ofstream(services) << "http 80/tcp www\nsyslog 514/udp\nbad x/tcp\n";
    }
};

TEST_CASE("Resolver: numbers, the hosts file, the services file, and what is not there") {
    Rig rig;
    const keepnet::test::Folder folder;
    tcp::resolver resolver(rig.context_a, Files(folder.path));
    using flags = tcp::resolver;
    struct Row {
        std::string host, service;
        flags::flags how{};
        std::vector<std::string> addresses{};
        unsigned port = 0;
        error_code failure{};
    };
    const error_code no_host = net::error::host_not_found;
    const error_code no_service = net::error::service_not_found;
    const Row rows[] = {
        {"fd00::2", "80", {}, {"fd00::2"}, 80},
        {"fd00::2", "", {}, {"fd00::2"}, 0},
        {"", "http", {}, {"::1"}, 80},
        {"", "http", flags::passive, {"::"}, 80},
        {"server.example", "www", {}, {"fd00::2", "fd00::5"}, 80},
        {"SERVER", "65535", {}, {"fd00::2"}, 65535},
        {"localhost", "1", {}, {"::1"}, 1},
        {"v4.example", "80", {}, {}, 0, no_host},
        {"192.0.2.1", "80", {}, {}, 0, no_host},
        {"hidden", "80", {}, {}, 0, no_host},
        {"x", "80", {}, {}, 0, no_host},
        {"server.example", "80", flags::numeric_host, {}, 0, no_host},
        {"fd00::2", "syslog", {}, {}, 0, no_service},
        {"fd00::2", "bad", {}, {}, 0, no_service},
        {"fd00::2", "65536", {}, {}, 0, no_service},
        {"fd00::2", "-1", {}, {}, 0, no_service},
        {"fd00::2", "http", flags::numeric_service, {}, 0, no_service},
    };
    for (const auto& row : rows) {
        INFO(row.host << " " << row.service);
        error_code failure;
        const auto results = resolver.resolve(row.host, row.service, row.how, failure);
        CHECK(failure == row.failure);
        std::vector<std::string> addresses;
        for (const auto& entry : results) {
            addresses.push_back(entry.endpoint().address().to_string());
            CHECK(entry.endpoint().port() == row.port);
            CHECK(entry.host_name() == row.host);
        }
        CHECK(addresses == row.addresses);
    }
    CHECK_THROWS_AS(resolver.resolve("hidden", "80"), boost::system::system_error);
    error_code failure;
    CHECK(resolver.resolve(net::ip::tcp::v4(), "server.example", "80", {}, failure).empty());
    CHECK(failure == no_host);
    CHECK(resolver.resolve(net::ip::tcp::v6(), "server.example", "80").size() == 2);
    CHECK(resolver.resolve(net::ip::tcp::endpoint(net::ip::make_address("fd00::2"), 80), failure)->host_name() ==
          "server.example");
    udp::resolver datagrams(rig.context_a, Files(folder.path));
    CHECK(datagrams.resolve("server.example", "syslog")->endpoint().port() == 514);
}

TEST_CASE("Resolver: the answer comes through the executor, or is cancelled") {
    Rig rig;
    const keepnet::test::Folder folder;
    std::vector<error_code> outcomes;
    std::size_t found = 0;
    const auto take = [&](error_code failed, const tcp::resolver::results_type& results) {
        outcomes.push_back(failed);
        found += results.size();
    };
    tcp::resolver resolver(rig.context_a, Files(folder.path));
    resolver.async_resolve("server.example", "http", take);
    CHECK(outcomes.empty());
    rig.settle();
    CHECK(outcomes == std::vector<error_code>{{}});
    CHECK(found == 2);
    resolver.async_resolve("server.example", "http", take);
    resolver.cancel();
    resolver.async_resolve("nobody", "http", take);
    {
        tcp::resolver gone(rig.context_a);
        gone.async_resolve("::1", "1", take);
    }
    rig.settle();
    REQUIRE(outcomes.size() == 4);
    CHECK(outcomes[1] == net::error::operation_aborted);
    CHECK(outcomes[2] == net::error::host_not_found);
    CHECK(outcomes[3] == net::error::operation_aborted);
    CHECK(found == 2);
}

TEST_CASE("A stream: resolve, connect to the first that answers, HTTP over it") {
    Rig rig;
    const keepnet::test::Folder folder;
    rig.spawn([&]() -> awaitable<void> {
        tcp::acceptor acceptor(*rig.context_b, {tcp::v6(), 80});
        tcp_stream stream(co_await acceptor.async_accept(use_awaitable));
        stream.expires_after(std::chrono::hours(1));
        beast::flat_buffer buffer;
        beast::http::request<beast::http::string_body> request;
        co_await beast::http::async_read(stream, buffer, request, use_awaitable);
        beast::http::response<beast::http::string_body> response(beast::http::status::ok, 11);
        response.body() = std::string(100'000, 'x');
        response.prepare_payload();
        co_await beast::http::async_write(stream, response, use_awaitable);
    });
    rig.spawn([&]() -> awaitable<void> {
        tcp::resolver resolver(rig.context_a, Files(folder.path));
        const auto results = co_await resolver.async_resolve("server.example", "http", use_awaitable);
        tcp_stream stream(co_await net::this_coro::executor);
        stream.expires_after(std::chrono::hours(1));
        const auto where = co_await stream.async_connect(results, use_awaitable);
        CHECK(where.address().to_string() == "fd00::2");
        beast::http::request<beast::http::empty_body> request(beast::http::verb::get, "/", 11);
        co_await beast::http::async_write(stream, request, use_awaitable);
        beast::flat_buffer buffer;
        beast::http::response<beast::http::string_body> response;
        co_await beast::http::async_read(stream, buffer, response, use_awaitable);
        CHECK(response.body().size() == 100'000);
    });
    rig.finish();
}

/// The time-outs of a stream are in real time, as Beast's: here they have passed already, or never come.
TEST_CASE("A stream whose time has passed closes, and what waits ends with beast::error::timeout") {
    enum class What { read, write, connect, connect_range };
    for (const auto what : {What::read, What::write, What::connect, What::connect_range}) {
        INFO(static_cast<int>(what));
        Rig rig;
        auto ends = rig.connected(80);
        tcp_stream stream(std::move(ends.first));
        if (what == What::connect || what == What::connect_range) stream.socket() = tcp::socket(rig.context_a);
        std::optional<error_code> outcome;
        std::vector<char> bytes(10'000'000);
        stream.expires_at(std::chrono::steady_clock::now() - std::chrono::seconds(1));
        const tcp::endpoint nobody(net::ip::make_address("fd00::77"), 80);
        switch (what) {
            case What::read:
                stream.async_read_some(net::buffer(bytes), [&](error_code failed, std::size_t) { outcome = failed; });
                break;
            case What::write:
                net::async_write(stream, net::buffer(bytes), [&](error_code failed, std::size_t) { outcome = failed; });
                break;
            case What::connect:
                stream.async_connect(nobody, [&](error_code failed) { outcome = failed; });
                break;
            case What::connect_range:
                stream.async_connect(std::vector{nobody, nobody}, [&](error_code failed, const tcp::endpoint&) { outcome = failed; });
                break;
        }
        rig.run_until([&] { return outcome.has_value(); }, keepnet::seconds(1));
        REQUIRE(outcome.has_value());
        CHECK(*outcome == beast::error::timeout);
        CHECK_FALSE(stream.socket().is_open());
    }
}

TEST_CASE("A stream: a time that is changed under way is for the next operation, cancel leaves the connection, never is never") {
    Rig rig;
    auto ends = rig.connected(80);
    tcp_stream stream(std::move(ends.first));
    std::array<char, 100> bytes{};
    std::vector<error_code> outcomes;
    const auto take = [&](error_code failed, std::size_t) { outcomes.push_back(failed); };
    stream.expires_never();
    stream.async_read_some(net::buffer(bytes), take);
    stream.expires_at(std::chrono::steady_clock::now() - std::chrono::seconds(1));
    rig.settle();
    CHECK(outcomes.empty());
    stream.cancel();
    rig.settle();
    REQUIRE(outcomes == std::vector<error_code>{net::error::operation_aborted});
    CHECK(stream.socket().is_open());
    stream.expires_never();
    stream.async_read_some(net::buffer(bytes), take);
    net::async_write(ends.second, net::buffer("x", 1), [](error_code, std::size_t) {});
    rig.settle();
    REQUIRE(outcomes.size() == 2);
    CHECK(!outcomes[1]);
    auto socket = stream.release_socket();
    CHECK(socket.is_open());
}

TEST_CASE("WebSocket on streams, torn down in order") {
    Rig rig;
    rig.spawn([&]() -> awaitable<void> {
        tcp::acceptor acceptor(*rig.context_b, {tcp::v6(), 80});
        beast::websocket::stream<tcp_stream> server(co_await acceptor.async_accept(use_awaitable));
        server.set_option(beast::websocket::stream_base::timeout::suggested(beast::role_type::server));
        co_await server.async_accept(use_awaitable);
        beast::flat_buffer buffer;
        co_await server.async_read(buffer, use_awaitable);
        co_await server.async_write(buffer.data(), use_awaitable);
        const auto [failure, bytes] = co_await server.async_read(buffer, as_tuple);
        CHECK(failure == beast::websocket::error::closed);
        CHECK_FALSE(beast::get_lowest_layer(server).socket().is_open());
    });
    rig.spawn([&]() -> awaitable<void> {
        beast::websocket::stream<tcp_stream> client(rig.context_a);
        co_await beast::get_lowest_layer(client).async_connect(rig.at_b(80), use_awaitable);
        beast::get_lowest_layer(client).expires_never();
        co_await client.async_handshake("server", "/", use_awaitable);
        co_await client.async_write(net::buffer("hello", 5), use_awaitable);
        beast::flat_buffer buffer;
        co_await client.async_read(buffer, use_awaitable);
        co_await client.async_close(beast::websocket::close_code::normal, use_awaitable);
    });
    rig.finish();
}

/// A stack alone on a context of its own, in real time.
struct Alone {
    explicit Alone(bool is_work)
        : host(1, link.a(), keepnet::asio::context::steady_now()), context(io, host.stack, {.is_work = is_work}) {}
    net::io_context io{1};
    keepnet::drivers::MemoryLink<256> link{};
    test::Host host;
    keepnet::asio::context context;
};

TEST_CASE("run() ends when nothing is left but the stack, and goes on while an operation waits") {
    Alone alone(false);
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    alone.context.watch(pipe[0]);  // a device that is silent
    CHECK(alone.io.run() > 0);     // the stack has deadlines, and is no reason to stay
    CHECK(alone.io.stopped());

    alone.io.restart();
    tcp::socket socket(alone.context);
    std::optional<error_code> outcome;
    socket.async_connect({net::ip::make_address("fd00::77"), 80}, [&](error_code failed) { outcome = failed; });
    alone.io.poll();
    CHECK_FALSE(alone.io.stopped());  // an operation is
    CHECK_FALSE(outcome.has_value());
    socket.close();
    alone.io.run();
    CHECK(outcome == error_code(net::error::operation_aborted));
    CHECK(alone.io.stopped());
    // It can be run again, as often as there is something to do.
    for (int i = 0; i < 3; ++i) {
        bool done = false;
        alone.io.restart();
        net::post(alone.io, [&] { done = true; });
        alone.context.wake();
        alone.io.run();
        CHECK(done);
    }
    ::close(pipe[1]);
    alone.context.stop();
    ::close(pipe[0]);
}

TEST_CASE("drain() waits for what was sent and closed, and says when that did not arrive") {
    Rig rig;
    auto ends = rig.connected(80);
    CHECK(keepnet::unacknowledged_connections(rig.a.stack) == 0);
    CHECK(rig.context_a.drain(keepnet::Duration{0}));
    ends.first.write_some(net::buffer("last words"));
    CHECK(keepnet::unacknowledged_connections(rig.a.stack) == 1);
    ends.first.close();
    CHECK(keepnet::unacknowledged_connections(rig.a.stack) == 1);
    CHECK_FALSE(rig.context_a.drain(keepnet::Duration{0}));
    ends.second.close();
    rig.settle(keepnet::seconds(5));
    CHECK(keepnet::unacknowledged_connections(rig.a.stack) == 0);
    CHECK(rig.context_a.drain(keepnet::Duration{0}));
}

TEST_CASE("async_wait_address: at once, after duplicate detection, or never") {
    Rig rig;
    std::vector<error_code> outcomes;
    const auto take = [&](error_code failed) { outcomes.push_back(failed); };
    rig.context_a.async_wait_address(rig.a.address, take);
    CHECK(outcomes.empty());
    rig.settle();
    CHECK(outcomes == std::vector<error_code>{{}});
    const auto unknown = keepnet::Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 0x66});
    rig.context_a.async_wait_address(unknown, take);
    rig.settle();
    REQUIRE(outcomes.size() == 2);
    CHECK(outcomes[1] == boost::system::errc::bad_address);

    auto config = test::Host::config();
    config.nd.dad_transmits = 1;
    std::vector<std::max_align_t> memory(keepnet::Stack::arena_bytes(config) / sizeof(std::max_align_t) + 1024);
    void* arena = memory.data();
    std::size_t room = memory.size() * sizeof(std::max_align_t);
    REQUIRE(std::align(4096, keepnet::Stack::arena_bytes(config), arena, room) != nullptr);
    keepnet::drivers::MemoryLink<64> link;
    keepnet::Instant now{keepnet::seconds(7).ns};
    auto stack = *keepnet::Stack::create({static_cast<std::byte*>(arena), room}, config, {.now = now});
    const auto nic = stack.attach_device(link.a(), {.link_local = false});
    REQUIRE(stack.add_address(*nic, unknown, 64).has_value());
    net::io_context io{1};
    keepnet::asio::context context(io, stack, {.clock = [&] { return now; }, .timer = false});
    context.async_wait_address(unknown, take);
    io.poll();
    CHECK(outcomes.size() == 2);
    now = now + keepnet::seconds(1);
    context.wake();
    io.restart();
    io.poll();
    REQUIRE(outcomes.size() == 3);
    CHECK(!outcomes[2]);
}

}  // namespace
