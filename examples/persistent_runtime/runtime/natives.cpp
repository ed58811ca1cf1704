#include "natives.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>

#include <lua.hpp>

namespace persistent_runtime {
namespace {

using keepnet::ByteView;
using keepnet::Endpoint;
using keepnet::Error;
using keepnet::Readiness;
using keepnet::SocketHandle;
using keepnet::Stack;

constexpr std::size_t receive_bytes_max = std::size_t{1} << 20;
constexpr std::size_t read_bytes_max = 65536;  // a journal's record has to hold it
/// Instructions of the interpreter between two interruptions of a task that does not wait.
constexpr int instructions_max = 1'000'000;

Host* host = nullptr;

int fail(lua_State* L, std::string_view why) {
    lua_pushnil(L);
    lua_pushlstring(L, why.data(), why.size());
    return 2;
}
int fail(lua_State* L, Error error) {
    return fail(L, error == Error::end_of_stream ? std::string_view("closed") : name(error));
}
int succeed(lua_State* L) {
    lua_pushboolean(L, 1);
    return 1;
}

Stack& stack_of(lua_State* L) {
    Stack* stack = host->stack();
    if (stack == nullptr) luaL_error(L, "this runtime was started without a network");
    return *stack;
}
SocketHandle socket_at(lua_State* L, int index) {
    return {static_cast<std::uint64_t>(luaL_checkinteger(L, index))};
}
int push_socket(lua_State* L, SocketHandle socket) {
    lua_pushinteger(L, static_cast<lua_Integer>(socket.raw));
    return 1;
}
ByteView bytes_at(lua_State* L, int index) {
    std::size_t length = 0;
    const char* text = luaL_checklstring(L, index, &length);
    return {reinterpret_cast<const std::uint8_t*>(text), length};
}
std::size_t count_at(lua_State* L, int index, std::size_t max) {
    return static_cast<std::size_t>(
        std::clamp<lua_Integer>(luaL_checkinteger(L, index), 1, static_cast<lua_Integer>(max)));
}
std::uint16_t port_at(lua_State* L, int index) {
    const auto port = luaL_checkinteger(L, index);
    luaL_argcheck(L, port >= 0 && port <= 65535, index, "not a port");
    return static_cast<std::uint16_t>(port);
}
Endpoint endpoint_at(lua_State* L, int address, int port) {
    const auto parsed = keepnet::parse_ipv6(luaL_checkstring(L, address));
    luaL_argcheck(L, parsed.has_value(), address, "not an IPv6 address");
    return {.address = *parsed, .port = port_at(L, port)};
}
int push_endpoint(lua_State* L, const Endpoint& endpoint) {
    std::array<char, keepnet::ipv6_text_max> buffer;
    const auto text = keepnet::format(endpoint.address, buffer);
    lua_pushlstring(L, text.data(), text.size());
    lua_pushinteger(L, endpoint.port);
    return 2;
}

// --- streams ---

// A small segment must not wait for the ACK of the one before.
void tune(Stack& stack, SocketHandle socket) {
    (void)stack.set_option(socket, keepnet::SocketOption::no_delay, 1);
}

int connect(lua_State* L) {
    const auto remote = endpoint_at(L, 1, 2);
    auto& stack = stack_of(L);
    const auto socket = stack.open_tcp();
    if (!socket) return fail(L, socket.error());
    tune(stack, *socket);
    const auto started = stack.connect(*socket, remote);
    if (started) return push_socket(L, *socket);
    (void)stack.close(*socket);
    return fail(L, started.error());
}

int connected(lua_State* L) {
    auto& stack = stack_of(L);
    const auto socket = socket_at(L, 1);
    const auto readiness = stack.readiness(socket);
    if (!readiness) return fail(L, readiness.error());
    if (readiness->has(Readiness::error)) {
        const auto error = stack.take_error(socket);
        if (!error) return fail(L, error.error());
        if (*error != Error::invalid) return fail(L, *error);
    }
    if (readiness->has(Readiness::connected)) return succeed(L);
    return fail(L, readiness->has(Readiness::hung_up) ? Error::connection_aborted : Error::would_block);
}

int listen(lua_State* L) {
    const auto port = port_at(L, 1);
    const auto backlog = static_cast<std::uint32_t>(count_at(L, 2, 4096));
    auto& stack = stack_of(L);
    const auto opened = stack.open_tcp();
    if (!opened) return fail(L, opened.error());
    auto socket = stack.bind(*opened, {.port = port});
    if (socket) socket = stack.listen(*socket, backlog);
    if (socket) return push_socket(L, *socket);
    (void)stack.close(*opened);
    return fail(L, socket.error());
}

int accept(lua_State* L) {
    auto& stack = stack_of(L);
    const auto socket = stack.accept(socket_at(L, 1));
    if (!socket) return fail(L, socket.error());
    tune(stack, *socket);
    return push_socket(L, *socket);
}

int receive(lua_State* L) {
    auto& stack = stack_of(L);
    const auto socket = socket_at(L, 1);
    const auto max = count_at(L, 2, receive_bytes_max);
    std::array<ByteView, 64> views;
    const auto filled = stack.peek(socket, views);
    if (!filled) return fail(L, filled.error());
    // The string is made first: if there is no memory for it, the bytes are still in the stream.
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    std::size_t taken = 0;
    for (const auto& view : std::span{views}.first(*filled)) {
        const auto part = view.first(std::min(view.size(), max - taken));
        luaL_addlstring(&buffer, reinterpret_cast<const char*>(part.data()), part.size());
        taken += part.size();
    }
    luaL_pushresult(&buffer);
    const auto consumed = stack.consume(socket, taken);
    return consumed ? 1 : fail(L, consumed.error());
}

int send(lua_State* L) {
    auto& stack = stack_of(L);
    const auto data = bytes_at(L, 2);
    const auto from = count_at(L, 3, data.size() + 1) - 1;
    const auto sent = stack.send(socket_at(L, 1), data.subspan(from));
    if (!sent) return fail(L, sent.error());
    lua_pushinteger(L, static_cast<lua_Integer>(*sent));
    return 1;
}

int finish(lua_State* L) {
    const auto done = stack_of(L).shutdown(socket_at(L, 1), keepnet::CloseDirection::send);
    return done ? succeed(L) : fail(L, done.error());
}

int close(lua_State* L) {
    const auto done = stack_of(L).close(socket_at(L, 1));
    return done ? succeed(L) : fail(L, done.error());
}

int peer(lua_State* L) {
    const auto info = stack_of(L).info(socket_at(L, 1));
    return info ? push_endpoint(L, info->remote) : fail(L, info.error());
}

// --- datagrams ---

int udp(lua_State* L) {
    const auto port = port_at(L, 1);
    auto& stack = stack_of(L);
    const auto opened = stack.open_udp();
    if (!opened) return fail(L, opened.error());
    // What a datagram says must not be taken back by a rollback.
    (void)stack.set_option(*opened, keepnet::SocketOption::hold_output, 1);
    const auto socket = stack.bind(*opened, {.port = port});
    if (socket) return push_socket(L, *socket);
    (void)stack.close(*opened);
    return fail(L, socket.error());
}

int send_to(lua_State* L) {
    const auto payload = bytes_at(L, 2);
    const auto destination = endpoint_at(L, 3, 4);
    const auto sent = stack_of(L).send_datagram(socket_at(L, 1), {.destination = destination}, payload);
    return sent ? succeed(L) : fail(L, sent.error());
}

int receive_from(lua_State* L) {
    auto& stack = stack_of(L);
    const auto socket = socket_at(L, 1);
    const auto datagram = stack.peek_datagram(socket);
    if (!datagram) return fail(L, datagram.error());
    const auto& payload = datagram->payload;
    lua_pushlstring(L, reinterpret_cast<const char*>(payload.data()), payload.size());
    push_endpoint(L, datagram->source);
    (void)stack.consume_datagram(socket);
    return 3;
}

// --- the rest of the world ---

int now(lua_State* L) {
    lua_pushinteger(L, host->now().ns);
    return 1;
}

int random(lua_State* L) {
    lua_pushinteger(L, static_cast<lua_Integer>(host->random()));
    return 1;
}

int file_size(lua_State* L) {
    const auto bytes = host->file_bytes(luaL_checkstring(L, 1));
    if (!bytes) return fail(L, "not_found");
    lua_pushinteger(L, static_cast<lua_Integer>(*bytes));
    return 1;
}

int read_file(lua_State* L) {
    const auto offset = luaL_checkinteger(L, 2);
    luaL_argcheck(L, offset >= 0, 2, "negative");
    const auto data = host->read_file(luaL_checkstring(L, 1), static_cast<std::uint64_t>(offset),
                                      count_at(L, 3, read_bytes_max));
    if (!data) return fail(L, "not_readable");
    lua_pushlstring(L, data->data(), data->size());
    return 1;
}

int write(lua_State* L) {
    const auto text = bytes_at(L, 1);
    host->write({reinterpret_cast<const char*>(text.data()), text.size()});
    return 0;
}

int complain(lua_State* L) {
    const auto text = bytes_at(L, 1);
    host->complain({reinterpret_cast<const char*>(text.data()), text.size()});
    return 0;
}

int traceback(lua_State* L) {
    lua_State* thread = lua_tothread(L, 1);
    luaL_argcheck(L, thread != nullptr, 1, "not a coroutine");
    luaL_traceback(L, thread, luaL_tolstring(L, 2, nullptr), 0);
    return 1;
}

// --- interruption ---

void interrupt(lua_State* L, lua_Debug* where) {
    if (lua_isyieldable(L) == 0) return;
    lua_getinfo(L, "S", where);
    if (std::strcmp(where->source, prelude_name) != 0) lua_yield(L, 0);
}

int preempt(lua_State* L) {
    lua_State* thread = lua_tothread(L, 1);
    luaL_argcheck(L, thread != nullptr, 1, "not a coroutine");
    lua_sethook(thread, interrupt, LUA_MASKCOUNT, instructions_max);
    return 0;
}

// A coroutine of the script's own would be interrupted towards whoever resumed it, who expects nothing of the
// kind.
int unhook(lua_State* L) {
    lua_State* thread = lua_tothread(L, 1);
    luaL_argcheck(L, thread != nullptr, 1, "not a coroutine");
    lua_sethook(thread, nullptr, 0, 0);
    return 0;
}

constexpr luaL_Reg functions[] = {{"connect", connect},
                                  {"connected", connected},
                                  {"listen", listen},
                                  {"accept", accept},
                                  {"receive", receive},
                                  {"send", send},
                                  {"finish", finish},
                                  {"close", close},
                                  {"peer", peer},
                                  {"udp", udp},
                                  {"send_to", send_to},
                                  {"receive_from", receive_from},
                                  {"now", now},
                                  {"random", random},
                                  {"file_size", file_size},
                                  {"read_file", read_file},
                                  {"write", write},
                                  {"complain", complain},
                                  {"traceback", traceback},
                                  {"preempt", preempt},
                                  {"unhook", unhook},
                                  {nullptr, nullptr}};

}  // namespace

void set_host(Host* now_host) { host = now_host; }

void push_natives(lua_State* L) {
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
}

}  // namespace persistent_runtime
