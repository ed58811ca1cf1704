// Acceptors, UDP sockets, async_connect over a range, sockets from handles, a context on descriptors and a
// real clock.
#include <array>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "rig.hpp"

namespace {

using test::Rig;
using test::tcp;
using test::udp;
using test::net::awaitable;
using test::net::use_awaitable;
namespace net = test::net;
using boost::system::error_code;

TEST_CASE("every form of async_accept gives a connected socket") {
    Rig rig;
    tcp::acceptor acceptor(*rig.context_b, {tcp::v6(), 7});
    auto by_default = use_awaitable.as_default_on(tcp::acceptor(*rig.context_b, {tcp::v6(), 8}));
    std::vector<tcp::socket> clients;
    int accepted = 0;
    const auto good = [&](const auto& socket) {
        ++accepted;
        CHECK(socket.is_open());
        CHECK(rig.b->stack.info(socket.native_handle())->phase == keepnet::TcpPhase::established);
    };
    rig.spawn([&]() -> awaitable<void> {
        tcp::endpoint remote;
        good(co_await acceptor.async_accept(use_awaitable));
        good(co_await acceptor.async_accept(remote, use_awaitable));
        CHECK(remote == clients[1].local_endpoint());
        tcp::socket peer(*rig.context_b);
        co_await acceptor.async_accept(peer, use_awaitable);
        good(peer);
        const auto [failure] = co_await acceptor.async_accept(peer, net::as_tuple(use_awaitable));
        CHECK(failure == net::error::already_open);
        peer.close();
        co_await acceptor.async_accept(peer, remote, use_awaitable);
        good(peer);
        CHECK(remote == clients[3].local_endpoint());
        auto stranded = co_await acceptor.async_accept(net::make_strand(rig.io), use_awaitable);
        good(stranded);
        auto defaulted = co_await by_default.async_accept();
        good(defaulted);
        char byte = 0;
        co_await net::async_read(defaulted, net::buffer(&byte, 1));
        CHECK(byte == '!');
    });
    for (int i = 0; i < 6; ++i) {
        clients.emplace_back(rig.context_a);
        clients.back().async_connect(rig.at_b(i < 5 ? 7 : 8), [](error_code failure) { CHECK(!failure); });
        rig.settle();
    }
    CHECK(clients[5].write_some(net::buffer("!", 1)) == 1);
    rig.finish();
    CHECK(accepted == 6);
}

TEST_CASE("an acceptor without blocking, and its errors") {
    Rig rig;
    tcp::acceptor acceptor(*rig.context_b, {tcp::v6(), 7});
    CHECK(acceptor.local_endpoint().port() == 7);
    error_code failure;
    tcp::socket none = acceptor.accept(failure);
    CHECK(failure == net::error::would_block);
    tcp::socket of_another_stack(rig.context_a);
    acceptor.accept(of_another_stack, failure);
    CHECK(failure == net::error::invalid_argument);
    tcp::socket client(rig.context_a);
    client.async_connect(rig.at_b(7), [](error_code f) { CHECK(!f); });
    rig.settle();
    tcp::socket peer = acceptor.accept();
    CHECK(peer.remote_endpoint() == client.local_endpoint());
    acceptor.close();
    acceptor.accept(failure);
    CHECK(failure == net::error::bad_descriptor);
}

TEST_CASE("async_connect over a range goes on to the endpoint that answers") {
    Rig rig;
    tcp::acceptor acceptor(*rig.context_b, {tcp::v6(), 7});
    rig.spawn([&]() -> awaitable<void> {
        tcp::socket socket(rig.context_a);
        const std::vector<tcp::endpoint> endpoints{
            rig.at_b(8), {net::ip::make_address("192.0.2.1"), 7}, rig.at_b(7), rig.at_b(9)};
        const auto found = co_await async_connect(socket, endpoints, use_awaitable);
        CHECK(found == rig.at_b(7));
        CHECK(socket.remote_endpoint() == rig.at_b(7));

        const auto results =
            net::ip::tcp::resolver::results_type::create(endpoints.begin(), endpoints.end(), "b", "7");
        const auto again = co_await async_connect(socket, results, use_awaitable);
        CHECK(again == rig.at_b(7));

        const auto only_nine = [](const error_code&, const tcp::endpoint& e) { return e.port() == 9; };
        const auto [refused, none] =
            co_await async_connect(socket, endpoints, only_nine, net::as_tuple(use_awaitable));
        CHECK(refused == net::error::connection_refused);
        CHECK(none == tcp::endpoint());
        const auto [empty, nothing] =
            co_await async_connect(socket, std::vector<tcp::endpoint>(), net::as_tuple(use_awaitable));
        CHECK(empty == net::error::not_found);
        CHECK(nothing == tcp::endpoint());
    });
    rig.finish();
}

TEST_CASE("datagrams go both ways, gathered and scattered, connected and not") {
    Rig rig;
    udp::socket server(*rig.context_b, udp::endpoint(udp::v6(), 53));
    udp::socket client(rig.context_a, udp::v6());
    const udp::endpoint at_server(test::asio_address(rig.b->address), 53);
    rig.spawn([&]() -> awaitable<void> {
        std::array<char, 64> data{};
        udp::endpoint sender;
        auto bytes = co_await server.async_receive_from(net::buffer(data), sender, use_awaitable);
        CHECK(std::string(data.data(), bytes) == "one two");
        CHECK(sender.address() == test::asio_address(rig.a.address));
        co_await server.async_send_to(net::buffer(data, bytes), sender, use_awaitable);
        bytes = co_await server.async_receive_from(net::buffer(data, 3), sender, use_awaitable);
        CHECK(bytes == 3);  // the rest of the datagram is cut off
        bytes = co_await server.async_receive_from(net::buffer(data), sender, use_awaitable);
        CHECK(bytes == 0);  // an empty datagram is a datagram
    });
    rig.spawn([&]() -> awaitable<void> {
        const std::array<net::const_buffer, 2> pieces{net::buffer("one ", 4), net::buffer("two", 3)};
        const auto sent_bytes = co_await client.async_send_to(pieces, at_server, use_awaitable);
        CHECK(sent_bytes == 7);
        std::array<char, 4> head{};
        std::array<char, 16> tail{};
        const std::array<net::mutable_buffer, 2> rooms{net::buffer(head), net::buffer(tail)};
        co_await client.async_connect(at_server, use_awaitable);
        CHECK(client.remote_endpoint() == at_server);
        const auto received = co_await client.async_receive(rooms, use_awaitable);
        CHECK(received == 7);
        CHECK(std::string(head.data(), 4) == "one ");
        CHECK(std::string(tail.data(), 3) == "two");
        const auto longer = co_await client.async_send(net::buffer("longer than three", 17), use_awaitable);
        CHECK(longer == 17);
        const auto empty = co_await client.async_send(net::const_buffer(), use_awaitable);
        CHECK(empty == 0);
        const std::string huge(3000, 'x');
        const auto [failure, bytes] =
            co_await client.async_send(net::buffer(huge), net::as_tuple(use_awaitable));
        CHECK(failure == net::error::message_size);
        CHECK(bytes == 0);
    });
    rig.finish();
    error_code failure;
    udp::endpoint nobody;
    std::array<char, 4> data{};
    server.receive_from(net::buffer(data), nobody, failure);
    CHECK(failure == net::error::would_block);
}

TEST_CASE("a handle given up is taken over by another socket, and claimed") {
    Rig rig;
    auto [client, server] = rig.connected();
    bool aborted = false;
    std::array<char, 16> data{};
    server.async_read_some(net::buffer(data), [&](error_code failure, std::size_t) {
        aborted = failure == net::error::operation_aborted;
    });
    const auto handle = server.release();
    CHECK_FALSE(server.is_open());
    rig.settle();
    CHECK(aborted);
    tcp::socket again(*rig.context_b, handle);
    CHECK(again.native_handle() == handle);
    REQUIRE(client.write_some(net::buffer("still", 5)) == 5);
    rig.settle();
    CHECK(again.available() == 5);
    error_code failure;
    again.assign(handle, failure);
    CHECK(failure == net::error::already_open);
    udp::socket wrong(*rig.context_b);
    wrong.assign(handle, failure);
    CHECK(failure == net::error::operation_not_supported);
    again.close();
    tcp::socket stale(*rig.context_b);
    stale.assign(handle, failure);
    CHECK(failure == net::error::bad_descriptor);
}

// A device whose wire is a pair of datagram sockets: one that a context can watch.
class PairDevice final : public keepnet::LinkDevice {
  public:
    PairDevice(int descriptor, std::uint8_t number) : descriptor_(descriptor), number_(number) {}
    PairDevice(const PairDevice&) = delete;
    PairDevice& operator=(const PairDevice&) = delete;
    ~PairDevice() { ::close(descriptor_); }
    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] keepnet::LinkCapabilities capabilities() const override {
        return {.mac = {{2, 0, 0, 0, 0, number_}}};
    }
    [[nodiscard]] keepnet::LinkState link_state() const override { return keepnet::LinkState::up; }
    std::size_t receive(keepnet::FramePool& pool, std::span<keepnet::RxFrame> frames) override {
        std::size_t n = 0;
        for (; n < frames.size(); ++n) {
            const auto buffer = pool.allocate();
            if (buffer == keepnet::no_buffer) break;
            const auto room = pool.bytes(buffer);
            const auto got = ::recv(descriptor_, room.data(), room.size(), MSG_DONTWAIT);
            if (got <= 0) {
                pool.release(buffer);
                break;
            }
            frames[n] = {.buffer = buffer, .length = static_cast<std::uint16_t>(got)};
        }
        return n;
    }
    std::size_t transmit(std::span<const keepnet::TxFrame> frames) override {
        std::size_t n = 0;
        for (; n < frames.size(); ++n) {
            std::vector<std::uint8_t> whole(frames[n].header.begin(), frames[n].header.end());
            for (const auto& slice : frames[n].payload) whole.insert(whole.end(), slice.begin(), slice.end());
            if (::send(descriptor_, whole.data(), whole.size(), MSG_DONTWAIT) < 0) break;
        }
        return n;
    }

  private:
    int descriptor_;
    std::uint8_t number_;
};

TEST_CASE("on descriptors and the real clock, io_context::run() is all that drives it") {
    std::array<int, 2> pair{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair.data()) == 0);
    PairDevice device_a(pair[0], 1);
    PairDevice device_b(pair[1], 2);
    net::io_context io;
    test::Host a(1, device_a, {});
    test::Host b(2, device_b, {});
    keepnet::asio::context context_a(io, a.stack);
    keepnet::asio::context context_b(io, b.stack);
    context_a.watch(device_a.descriptor());
    context_b.watch(device_b.descriptor());
    std::string got(200'000, '.');
    const std::string sent(got.size(), 'k');
    net::co_spawn(
        io,
        [&]() -> awaitable<void> {
            tcp::acceptor acceptor(context_b, {tcp::v6(), 7});
            auto socket = co_await acceptor.async_accept(use_awaitable);
            co_await net::async_read(socket, net::buffer(got), use_awaitable);
            co_await net::async_write(socket, net::buffer(got), use_awaitable);
        },
        [](std::exception_ptr thrown) { CHECK(!thrown); });
    net::co_spawn(
        io,
        [&]() -> awaitable<void> {
            tcp::socket socket(context_a);
            co_await socket.async_connect({test::asio_address(b.address), 7}, use_awaitable);
            co_await net::async_write(socket, net::buffer(sent), use_awaitable);
            std::string echo(sent.size(), '.');
            co_await net::async_read(socket, net::buffer(echo), use_awaitable);
            CHECK(echo == sent);
        },
        [&](std::exception_ptr thrown) {
            CHECK(!thrown);
            context_a.stop();
            context_b.stop();
        });
    io.run_for(std::chrono::seconds(60));
    CHECK(io.stopped());  // it returned because nothing was left, not because the time was over
    CHECK(got == sent);
}

}  // namespace
