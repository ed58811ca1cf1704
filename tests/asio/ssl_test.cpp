// boost::asio::ssl::stream over keepnet's sockets: a handshake, an echo, an orderly end, WebSocket on top.
#include <memory>
#include <string>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "rig.hpp"

namespace {

using test::Rig;
using test::tcp;
using test::net::awaitable;
using test::net::use_awaitable;
namespace net = test::net;
namespace websocket = boost::beast::websocket;

// A key and a certificate of its own making, for this run alone.
void give_identity(net::ssl::context& context) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("keepnet"), -1, -1, 0);
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
    REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
    REQUIRE(SSL_CTX_use_certificate(context.native_handle(), certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context.native_handle(), key.get()) == 1);
}

TEST_CASE("TLS: handshake, echo, shutdown") {
    Rig rig;
    auto ends = rig.connected(443);
    net::ssl::context server_context(net::ssl::context::tls_server);
    give_identity(server_context);
    net::ssl::context client_context(net::ssl::context::tls_client);
    const std::string message(100'000, 's');
    rig.spawn([&, socket = std::move(ends.second)]() mutable -> awaitable<void> {
        net::ssl::stream<tcp::socket> stream(std::move(socket), server_context);
        co_await stream.async_handshake(net::ssl::stream_base::server, use_awaitable);
        std::string got(message.size(), '.');
        co_await net::async_read(stream, net::buffer(got), use_awaitable);
        co_await net::async_write(stream, net::buffer(got), use_awaitable);
        co_await stream.async_shutdown(use_awaitable);
    });
    rig.spawn([&, socket = std::move(ends.first)]() mutable -> awaitable<void> {
        net::ssl::stream<tcp::socket> stream(std::move(socket), client_context);
        co_await stream.async_handshake(net::ssl::stream_base::client, use_awaitable);
        co_await net::async_write(stream, net::buffer(message), use_awaitable);
        std::string got(message.size(), '.');
        co_await net::async_read(stream, net::buffer(got), use_awaitable);
        CHECK(got == message);
        const auto [failure] = co_await stream.async_shutdown(net::as_tuple(use_awaitable));
        CHECK(!failure);
        CHECK(stream.lowest_layer().is_open());
    });
    rig.finish();
}

TEST_CASE("WebSocket over TLS") {
    Rig rig;
    auto ends = rig.connected(443);
    net::ssl::context server_context(net::ssl::context::tls_server);
    give_identity(server_context);
    net::ssl::context client_context(net::ssl::context::tls_client);
    rig.spawn([&, socket = std::move(ends.second)]() mutable -> awaitable<void> {
        websocket::stream<net::ssl::stream<tcp::socket>> stream(std::move(socket), server_context);
        co_await stream.next_layer().async_handshake(net::ssl::stream_base::server, use_awaitable);
        co_await stream.async_accept(use_awaitable);
        boost::beast::flat_buffer buffer;
        co_await stream.async_read(buffer, use_awaitable);
        co_await stream.async_write(buffer.data(), use_awaitable);
        buffer.clear();
        const auto [failure, bytes] = co_await stream.async_read(buffer, net::as_tuple(use_awaitable));
        CHECK(failure == websocket::error::closed);
    });
    rig.spawn([&, socket = std::move(ends.first)]() mutable -> awaitable<void> {
        websocket::stream<net::ssl::stream<tcp::socket>> stream(std::move(socket), client_context);
        co_await stream.next_layer().async_handshake(net::ssl::stream_base::client, use_awaitable);
        co_await stream.async_handshake("host.example", "/", use_awaitable);
        co_await stream.async_write(net::buffer("secret", 6), use_awaitable);
        boost::beast::flat_buffer buffer;
        co_await stream.async_read(buffer, use_awaitable);
        CHECK(boost::beast::buffers_to_string(buffer.data()) == "secret");
        co_await stream.async_close(websocket::close_code::normal, use_awaitable);
    });
    rig.finish();
}

}  // namespace
