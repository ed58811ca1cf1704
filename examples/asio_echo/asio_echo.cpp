// An echo server in coroutines, on a TAP interface:
//
//     asio_echo echo0 fd00::2 &
//     ip -6 address add fd00::1/64 dev echo0
//     nc fd00::2 7
#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>

#include <boost/asio.hpp>

#include <keepnet/asio/tcp.hpp>
#include <keepnet/drivers/tap/tap.hpp>

namespace net = boost::asio;
using keepnet::asio::tcp;

net::awaitable<void> echo(tcp::socket socket) try {
    std::array<char, 16384> data;
    for (;;) {
        const auto bytes = co_await socket.async_read_some(net::buffer(data), net::use_awaitable);
        co_await net::async_write(socket, net::buffer(data, bytes), net::use_awaitable);
    }
} catch (const boost::system::system_error& end) {
    if (end.code() != net::error::eof) std::cerr << "connection: " << end.code().message() << '\n';
}

net::awaitable<void> serve(tcp::acceptor acceptor) {
    for (;;) {
        auto socket = co_await acceptor.async_accept(net::use_awaitable);
        std::cerr << "connection from " << socket.remote_endpoint() << '\n';
        net::co_spawn(acceptor.get_executor(), echo(std::move(socket)), net::detached);
    }
}

int main(int argc, char** argv) {
    const auto address =
        argc == 3 ? keepnet::parse_ipv6(argv[2]) : std::unexpected(keepnet::Error::invalid_argument);
    if (!address) {
        std::cerr << "usage: asio_echo INTERFACE IPV6-ADDRESS\n";
        return 2;
    }
    auto tap = keepnet::drivers::TapDevice::open(
        {.name = argv[1], .mac = {{2, 0x6b, 0x6e, 0, 0, 7}}, .bring_up = true});
    if (!tap) {
        std::cerr << "asio_echo: " << tap.error().message << '\n';
        return 1;
    }

    const keepnet::StackConfig config;
    const auto bytes = keepnet::Stack::arena_bytes(config) / 4096 * 4096 + 4096;
    const std::unique_ptr<void, decltype(&std::free)> arena(std::aligned_alloc(4096, bytes), &std::free);
    keepnet::CreateOptions options{.now = keepnet::asio::context::steady_now()};
    std::random_device random;
    for (auto& octet : options.entropy) octet = static_cast<std::uint8_t>(random());
    auto stack = keepnet::Stack::create({static_cast<std::byte*>(arena.get()), bytes}, config, options);
    if (!stack) {
        std::cerr << "asio_echo: " << name(stack.error()) << '\n';
        return 1;
    }
    stack->add_address(*stack->attach_device(**tap, {}), *address, 64);

    net::io_context io;
    keepnet::asio::context context(io, *stack);
    context.watch((*tap)->fd());
    net::signal_set stop(io, SIGINT, SIGTERM);
    stop.async_wait([&](auto...) { io.stop(); });
    net::co_spawn(io, serve(tcp::acceptor(context, {tcp::v6(), 7})), net::detached);
    std::cerr << "echo on " << argv[1] << ", port 7\n";
    io.run();
}
