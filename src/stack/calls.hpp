// The calls of an application, as they are without a journal. Stack's methods (journaled.cpp) are these, recorded or
// replayed when there is one. What each does, and how it fails: keepnet/stack.hpp.
#pragma once

#include <expected>
#include <optional>
#include <span>

#include <keepnet/stack.hpp>

namespace keepnet::calls {

std::expected<SocketHandle, Error> open_tcp(Core& core);
std::expected<SocketHandle, Error> open_udp(Core& core);
std::expected<SocketHandle, Error> bind(Core& core, SocketHandle socket, const Endpoint& local);
std::expected<SocketHandle, Error> listen(Core& core, SocketHandle socket, std::uint32_t backlog);
std::expected<SocketHandle, Error> accept(Core& core, SocketHandle listener);
std::expected<void, Error> connect(Core& core, SocketHandle socket, const Endpoint& remote);

std::expected<std::size_t, Error> send(Core& core, SocketHandle socket, std::span<const ByteView> data, bool more);
std::expected<std::size_t, Error> send_room(Core& core, SocketHandle socket);
std::expected<std::size_t, Error> peek(Core& core, SocketHandle socket, std::span<ByteView> out, std::size_t skip);
std::expected<void, Error> consume(Core& core, SocketHandle socket, std::size_t bytes);
std::expected<std::size_t, Error> receive(Core& core, SocketHandle socket, MutableBytes out);
std::expected<void, Error> shutdown(Core& core, SocketHandle socket, CloseDirection direction);
std::expected<void, Error> close(Core& core, SocketHandle socket);
std::expected<void, Error> abort(Core& core, SocketHandle socket);

std::expected<void, Error> send_datagram(Core& core, SocketHandle socket, const SendDatagram& how, ByteView payload);
std::expected<ReceivedDatagram, Error> peek_datagram(Core& core, SocketHandle socket);
std::expected<void, Error> consume_datagram(Core& core, SocketHandle socket);

std::expected<void, Error> set_option(Core& core, SocketHandle socket, SocketOption option, std::int64_t value);
std::expected<std::int64_t, Error> option(Core& core, SocketHandle socket, SocketOption option);
std::expected<SocketInfo, Error> info(Core& core, SocketHandle socket);
std::expected<TcpInfo, Error> tcp_info(Core& core, SocketHandle socket);
std::expected<Error, Error> take_error(Core& core, SocketHandle socket);
std::expected<Readiness, Error> readiness(Core& core, SocketHandle socket);
std::optional<SocketHandle> next_ready(Core& core);

}  // namespace keepnet::calls
