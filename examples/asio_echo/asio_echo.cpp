// An echo server in coroutines whose connections survive kill -9. Start it again with the same arguments and every one
// goes on:
//
//     asio_echo echo0 fd00::2 &
//     ip -6 address add fd00::1/64 dev echo0 nodad
//     nc fd00::2 7
#include <array>
#include <csignal>
#include <iostream>
#include <vector>

#include <boost/asio.hpp>

#include <keepnet/asio/tcp.hpp>
#include <keepnet/hosted/host.hpp>

namespace net = boost::asio;
namespace hosted = keepnet::hosted;
using keepnet::asio::tcp;

// A buffer of a coroutine's own would be lost with the process: what async_read_some has taken is in no snapshot. So the
// bytes stay where they are, in the stack, until they can be sent, and change sides in one piece.
std::expected<void, keepnet::Error> relay(keepnet::Stack& stack, keepnet::SocketHandle socket) {
    std::array<keepnet::ByteView, 16> views;
    for (;;) {
        const auto count = stack.peek(socket, views);
        if (!count) return std::unexpected(count.error());
        const auto sent = stack.send(socket, std::span(views).first(*count));
        if (!sent) return std::unexpected(sent.error());
        if (const auto taken = stack.consume(socket, *sent); !taken) return taken;
    }
}

net::awaitable<void> echo(keepnet::asio::context& context, tcp::socket socket) try {
    for (;;) {
        co_await socket.async_wait(tcp::socket::wait_read, net::use_awaitable);
        co_await socket.async_wait(tcp::socket::wait_write, net::use_awaitable);
        const auto done = relay(context.stack(), socket.native_handle());
        context.wake();
        if (!done && done.error() == keepnet::Error::end_of_stream) co_return;
        if (!done && done.error() != keepnet::Error::would_block)
            throw boost::system::system_error(keepnet::asio::to_error_code(done.error()));
    }
} catch (const boost::system::system_error& end) {
    std::cerr << "connection: " << end.code().message() << '\n';
}

net::awaitable<void> serve(keepnet::asio::context& context, tcp::acceptor acceptor) {
    for (;;) {
        auto socket = co_await acceptor.async_accept(net::use_awaitable);
        net::co_spawn(acceptor.get_executor(), echo(context, std::move(socket)), net::detached);
    }
}

// What was there before: each connection again has a coroutine, the listener is found by its port.
void resume(keepnet::asio::context& context, net::io_context& io) {
    auto& stack = context.stack();
    std::vector<keepnet::SocketHandle> all;
    for (auto socket = stack.next_socket({}); socket; socket = stack.next_socket(socket)) all.push_back(socket);
    for (const auto socket : all) {
        const auto info = stack.info(socket);
        if (info && info->phase != keepnet::TcpPhase::listen)
            net::co_spawn(io, echo(context, tcp::socket(context, socket)), net::detached);
    }
}

int main(int argc, char** argv) {
    const hosted::MainOptions options{.name = "asio_echo",
                                      .usage = "usage: asio_echo TAP-INTERFACE IPV6-ADDRESS [STATE-DIRECTORY]"};
    return hosted::run_main(argc, argv, options, [](auto arguments) -> hosted::Result<> {
        if (arguments.size() != 2 && arguments.size() != 3)
            return hosted::wrong_usage("two or three arguments are needed; --help names them");
        const std::string tap(arguments[0]), address(arguments[1]);
        const std::string state(arguments.size() == 3 ? arguments[2] : "asio_echo-state");
        auto opened = hosted::Host::open(
            {.name = "asio_echo",
             .state = state,
             .network = {.tap = tap, .address = address, .bring_up = true},
             .catch_signals = false});
        if (!opened) return std::unexpected(opened.error());
        auto& host = **opened;

        net::io_context io;
        keepnet::asio::context context(io, host.stack());
        context.watch(host.network().fd());
        hosted::Result<> ended;
        // What is said waits for a snapshot of what it answers. (Host::run() writes it on a thread of its own.)
        context.on_commit_wanted([&](keepnet::Instant) {
            ended = host.save();
            if (!ended) io.stop();
            context.wake();
        });
        net::signal_set stop(io, SIGINT, SIGTERM);
        stop.async_wait([&](auto...) { io.stop(); });
        resume(context, io);
        net::co_spawn(io, serve(context, tcp::acceptor(context, {tcp::v6(), 7})), net::detached);
        host.stack().ready(true);
        std::cerr << "echo on [" << host.network().address_text() << "]:7, restarts survived: " << host.stack().restarts()
                  << '\n';
        io.run();
        return ended;
    });
}
