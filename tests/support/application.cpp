// Fixture: the application's side.
#include <utility>

#include "support/fixture.hpp"

namespace keepnet::test {

Fixture& Fixture::app_listens(std::uint16_t port, std::uint32_t backlog) {
    auto s = stack().open_tcp();
    REQUIRE(s.has_value());
    s = stack().bind(*s, {.port = port});
    REQUIRE(s.has_value());
    s = stack().listen(*s, backlog);
    REQUIRE(s.has_value());
    listener = *s;
    return settle();
}

Fixture& Fixture::app_connects() {
    if (!socket) {
        const auto s = stack().open_tcp();
        REQUIRE(s.has_value());
        socket = *s;
    }
    REQUIRE(stack().connect(socket, {.address = peer, .port = flow().peer_port}).has_value());
    flow().stack_port = stack().info(socket)->local.port;
    return settle();
}

Fixture& Fixture::app_accepts() {
    const auto s = stack().accept(listener);
    INFO(diary());
    REQUIRE(s.has_value());
    socket = *s;
    return settle();
}

std::size_t Fixture::app_offers(std::size_t n) {
    const Bytes bytes = pattern_bytes(Side::stack, info().tx_accepted + 1, n);
    const auto took = stack().send(socket, bytes);
    settle();
    return took.value_or(0);
}

Fixture& Fixture::app_sends(std::size_t n, bool more) {
    const Bytes bytes = pattern_bytes(Side::stack, info().tx_accepted + 1, n);
    const auto took = stack().send(socket, bytes, more);
    INFO(diary());
    REQUIRE(took.has_value());
    REQUIRE(*took == n);
    return settle();
}

Fixture& Fixture::app_reads(std::size_t n) {
    if (n == 0) return *this;
    const Bytes want = pattern_bytes(Side::peer, info().rx_consumed + 1, n);
    Bytes have(n);
    const auto got = stack().receive(socket, have);
    INFO(diary());
    REQUIRE(got.has_value());
    REQUIRE(*got == n);
    REQUIRE(have == want);
    return settle();
}

std::size_t Fixture::readable() { return info().receive_queue_bytes; }

Fixture& Fixture::expect_readable(std::size_t n) {
    INFO(diary());
    CHECK(readable() == n);
    return *this;
}

Fixture& Fixture::expect_end_of_stream() {
    std::uint8_t byte = 0;
    INFO(diary());
    const auto got = stack().receive(socket, {&byte, 1});
    REQUIRE(!got.has_value());
    CHECK(keepnet::name(got.error()) == keepnet::name(Error::end_of_stream));
    CHECK(stack().readiness(socket)->has(Readiness::peer_closed));
    return *this;
}

Fixture& Fixture::expect_error(Error error) {
    INFO(diary());
    const auto got = stack().take_error(socket);
    REQUIRE(got.has_value());
    CHECK(keepnet::name(*got) == keepnet::name(error));
    return *this;
}

Fixture& Fixture::app_shuts_down(CloseDirection direction) {
    REQUIRE(stack().shutdown(socket, direction).has_value());
    return settle();
}

Fixture& Fixture::app_closes() {
    REQUIRE(stack().close(std::exchange(socket, {})).has_value());
    return settle();
}

Fixture& Fixture::app_aborts() {
    REQUIRE(stack().abort(std::exchange(socket, {})).has_value());
    return settle();
}

Fixture& Fixture::set(SocketOption option, std::int64_t value) {
    REQUIRE(stack().set_option(socket ? socket : listener, option, value).has_value());
    return settle();
}

std::expected<void, Error> Fixture::app_sends_datagram(SocketHandle from, const Endpoint& to, Bytes payload) {
    const auto sent = stack().send_datagram(from, {.destination = to}, payload);
    if (journal_) journal_->datagrams.push_back(std::move(payload));
    settle();
    return sent;
}

SocketInfo Fixture::info() {
    const auto i = stack().info(socket);
    REQUIRE(i.has_value());
    return *i;
}

}  // namespace keepnet::test
