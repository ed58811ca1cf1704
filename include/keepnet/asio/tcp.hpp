// TCP with Asio's face: keepnet::asio::tcp stands where boost::asio::ip::tcp stood. Its socket is an
// AsyncReadStream and an AsyncWriteStream, good for async_read, async_write, Beast and ssl::stream; bytes are
// taken from the stack, or given to it, in the same section in which the handler is called (DURABILITY 3).
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <keepnet/asio/basic_socket.hpp>
#include <keepnet/asio/resolver.hpp>

namespace keepnet::asio {

template <typename Executor = boost::asio::any_io_executor>
class basic_stream_socket : public basic_socket<boost::asio::ip::tcp, Executor> {
    using base = basic_socket<boost::asio::ip::tcp, Executor>;

  public:
    using typename base::endpoint_type;
    using typename base::error_code;
    using typename base::executor_type;
    using typename base::native_handle_type;
    using typename base::protocol_type;
    using default_token = boost::asio::default_completion_token_t<executor_type>;
    template <typename Other>
    struct rebind_executor {
        using other = basic_stream_socket<Other>;
    };
    using lowest_layer_type = basic_stream_socket;

    explicit basic_stream_socket(const home<Executor>& where) : base(where) {}
    basic_stream_socket(const home<Executor>& where, const protocol_type& protocol) : base(where) {
        this->open(protocol);
    }
    basic_stream_socket(const home<Executor>& where, const endpoint_type& local) : base(where) {
        this->open(local.protocol());
        this->bind(local);
    }
    /// A connection that exists: restored (it is claimed), or made through the native interface.
    basic_stream_socket(const home<Executor>& where, native_handle_type handle) : base(where) {
        this->assign(handle);
    }
    basic_stream_socket(basic_stream_socket&&) = default;
    basic_stream_socket& operator=(basic_stream_socket&&) = default;
    template <typename Other>
    requires(!std::same_as<Other, Executor> && std::convertible_to<Other, Executor>)
        basic_stream_socket(basic_stream_socket<Other>&& other)
        : base(static_cast<basic_socket<boost::asio::ip::tcp, Other>&&>(other)) {}
    ~basic_stream_socket() = default;

    lowest_layer_type& lowest_layer() { return *this; }
    [[nodiscard]] const lowest_layer_type& lowest_layer() const { return *this; }

    void shutdown(boost::asio::socket_base::shutdown_type what) {
        error_code failure;
        shutdown(what, failure);
        this->check(failure, "shutdown");
    }
    void shutdown(boost::asio::socket_base::shutdown_type what, error_code& failure) {
        auto direction = CloseDirection::both;
        if (what == boost::asio::socket_base::shutdown_send) direction = CloseDirection::send;
        if (what == boost::asio::socket_base::shutdown_receive) direction = CloseDirection::receive;
        this->call([&](Stack& stack, SocketHandle handle) { return stack.shutdown(handle, direction); },
                   failure);
    }

    /// Opens the socket if it is not. The handler is void(error_code).
    template <typename Token = default_token>
    auto async_connect(const endpoint_type& remote, Token&& token = default_token{}) {
        return boost::asio::async_initiate<Token, void(error_code)>(
            [this](auto handler, const endpoint_type& to) {
                detail::waiting how{.where = detail::lane::out, .wants = Readiness::connected};
                if (!this->is_open()) this->open(to.protocol(), how.failure);
                if (!how.failure) how.failure = start_connect(to);
                this->begin(std::move(handler), how, detail::performing_void(&connect_outcome));
            },
            token, remote);
    }

    /// The handler is void(error_code, std::size_t). The peer's FIN is boost::asio::error::eof.
    template <typename Buffers, typename Token = default_token>
    auto async_read_some(const Buffers& buffers, Token&& token = default_token{}) {
        return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
            [this](auto handler, const Buffers& into) {
                const detail::waiting how{.where = detail::lane::in,
                                          .wants = Readiness::readable,
                                          .at_once = boost::asio::buffer_size(into) == 0};
                this->begin(std::move(handler), how,
                            detail::performing<std::size_t>([into](Stack& stack, SocketHandle handle) {
                                return detail::receive_into(stack, handle, into);
                            }));
            },
            token, buffers);
    }

    template <typename Buffers, typename Token = default_token>
    auto async_write_some(const Buffers& buffers, Token&& token = default_token{}) {
        return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
            [this](auto handler, const Buffers& from) {
                const bool empty = boost::asio::buffer_size(from) == 0;
                const detail::waiting how{
                    .where = detail::lane::out, .wants = Readiness::writable, .at_once = empty};
                this->begin(std::move(handler), how,
                            detail::performing<std::size_t>([from, empty](Stack& stack, SocketHandle handle)
                                                                -> std::expected<std::size_t, Error> {
                                if (empty) return std::size_t{0};
                                return detail::send_from(stack, handle, from);
                            }));
            },
            token, buffers);
    }

    template <typename Buffers, typename Token = default_token>
    auto async_receive(const Buffers& buffers, Token&& token = default_token{}) {
        return async_read_some(buffers, std::forward<Token>(token));
    }
    template <typename Buffers, typename Token = default_token>
    auto async_send(const Buffers& buffers, Token&& token = default_token{}) {
        return async_write_some(buffers, std::forward<Token>(token));
    }

    /// Never blocks: fails with would_block.
    template <typename Buffers>
    std::size_t read_some(const Buffers& buffers, error_code& failure) {
        return this
            ->call([&](Stack& stack,
                       SocketHandle handle) { return detail::receive_into(stack, handle, buffers); },
                   failure)
            .value_or(0);
    }
    template <typename Buffers>
    std::size_t read_some(const Buffers& buffers) {
        error_code failure;
        const auto bytes = read_some(buffers, failure);
        this->check(failure, "read_some");
        return bytes;
    }
    template <typename Buffers>
    std::size_t write_some(const Buffers& buffers, error_code& failure) {
        return this
            ->call(
                [&](Stack& stack, SocketHandle handle) -> std::expected<std::size_t, Error> {
                    if (boost::asio::buffer_size(buffers) == 0) return std::size_t{0};
                    return detail::send_from(stack, handle, buffers);
                },
                failure)
            .value_or(0);
    }
    template <typename Buffers>
    std::size_t write_some(const Buffers& buffers) {
        error_code failure;
        const auto bytes = write_some(buffers, failure);
        this->check(failure, "write_some");
        return bytes;
    }

  private:
    error_code start_connect(const endpoint_type& remote) {
        const auto endpoint = detail::from_asio(remote);
        if (!endpoint) return endpoint.error();
        error_code failure;
        this->call([&](Stack& stack, SocketHandle handle) { return stack.connect(handle, *endpoint); },
                   failure);
        return failure;
    }

    static std::expected<void, Error> connect_outcome(Stack& stack, SocketHandle handle) {
        const auto ready = stack.readiness(handle);
        if (!ready) return std::unexpected(ready.error());
        if (ready->has(Readiness::connected)) return {};
        const auto error = stack.take_error(handle);
        if (!error) return std::unexpected(error.error());
        if (*error != Error::invalid) return std::unexpected(*error);
        return std::unexpected(ready->has(Readiness::hung_up) ? Error::connection_aborted
                                                              : Error::would_block);
    }
};

template <typename Executor = boost::asio::any_io_executor>
class basic_socket_acceptor : public basic_socket<boost::asio::ip::tcp, Executor> {
    using base = basic_socket<boost::asio::ip::tcp, Executor>;

  public:
    using typename base::endpoint_type;
    using typename base::error_code;
    using typename base::executor_type;
    using typename base::native_handle_type;
    using typename base::protocol_type;
    using default_token = boost::asio::default_completion_token_t<executor_type>;
    template <typename Other>
    struct rebind_executor {
        using other = basic_socket_acceptor<Other>;
    };
    /// What async_accept without a peer gives.
    using socket_type = typename basic_stream_socket<>::template rebind_executor<Executor>::other;

    explicit basic_socket_acceptor(const home<Executor>& where) : base(where) {}
    /// Opens, binds and listens; after a restore this returns to the listener that was there, and claims it.
    basic_socket_acceptor(const home<Executor>& where, const endpoint_type& local, bool reuse = true)
        : base(where) {
        this->open(local.protocol());
        if (reuse) this->set_option(boost::asio::socket_base::reuse_address(true));
        this->bind(local);
        listen();
    }
    /// A listener that exists.
    basic_socket_acceptor(const home<Executor>& where, native_handle_type handle) : base(where) {
        this->assign(handle);
    }
    basic_socket_acceptor(basic_socket_acceptor&&) = default;
    basic_socket_acceptor& operator=(basic_socket_acceptor&&) = default;
    template <typename Other>
    requires(!std::same_as<Other, Executor> && std::convertible_to<Other, Executor>)
        basic_socket_acceptor(basic_socket_acceptor<Other>&& other)
        : base(static_cast<basic_socket<boost::asio::ip::tcp, Other>&&>(other)) {}
    ~basic_socket_acceptor() = default;

    void listen(int backlog = boost::asio::socket_base::max_listen_connections) {
        error_code failure;
        listen(backlog, failure);
        this->check(failure, "listen");
    }
    void listen(int backlog, error_code& failure) {
        const auto waiting = static_cast<std::uint32_t>(std::max(backlog, 1));
        const auto listening = this->call(
            [&](Stack& stack, SocketHandle handle) -> std::expected<SocketHandle, Error> {
                // Already listening, because bind() found the restored listener: there is nothing to change.
                const auto known = stack.info(handle);
                if (known && known->phase == TcpPhase::listen) return handle;
                return stack.listen(handle, waiting);
            },
            failure);
        if (listening) this->state()->take(*listening);
    }

    /// Handler void(error_code); `peer` must not be open.
    template <typename Other, typename Token = default_token>
    auto async_accept(basic_stream_socket<Other>& peer, Token&& token = default_token{}) {
        return accept_into(peer, nullptr, std::forward<Token>(token));
    }
    template <typename Other, typename Token = default_token>
    auto async_accept(basic_stream_socket<Other>& peer, endpoint_type& remote,
                      Token&& token = default_token{}) {
        return accept_into(peer, &remote, std::forward<Token>(token));
    }
    /// Handler void(error_code, socket).
    template <typename Token = default_token>
    auto async_accept(Token&& token = default_token{}) {
        return accept_new(here(), nullptr, std::forward<Token>(token));
    }
    template <typename Token = default_token>
    auto async_accept(endpoint_type& remote, Token&& token = default_token{}) {
        return accept_new(here(), &remote, std::forward<Token>(token));
    }
    /// The accepted socket has this executor.
    template <typename Other, typename Token = default_token>
    requires(boost::asio::is_executor<Other>::value ||
             boost::asio::execution::is_executor<Other>::value) auto async_accept(const Other& executor,
                                                                                  Token&& token =
                                                                                      default_token{}) {
        return accept_new(home<Other>(this->state()->owner(), executor), nullptr, std::forward<Token>(token));
    }
    template <typename Other, typename Token = default_token>
    requires(boost::asio::is_executor<Other>::value ||
             boost::asio::execution::is_executor<Other>::value) auto async_accept(const Other& executor,
                                                                                  endpoint_type& remote,
                                                                                  Token&& token =
                                                                                      default_token{}) {
        return accept_new(home<Other>(this->state()->owner(), executor), &remote, std::forward<Token>(token));
    }
    template <typename Token = default_token>
    auto async_accept(boost::asio::io_context& io, Token&& token = default_token{}) {
        return async_accept(Executor(io.get_executor()), std::forward<Token>(token));
    }

    /// Never blocks: fails with would_block.
    template <typename Other>
    void accept(basic_stream_socket<Other>& peer, error_code& failure) {
        failure = {};
        if (peer.is_open()) failure = boost::asio::error::already_open;
        if (!this->is_beside(peer)) failure = boost::asio::error::invalid_argument;
        if (failure) return;
        const auto got =
            this->call([](Stack& stack, SocketHandle handle) { return stack.accept(handle); }, failure);
        if (got) peer.assign(*got, failure);
    }
    socket_type accept(error_code& failure) {
        socket_type peer(here());
        accept(peer, failure);
        return peer;
    }
    socket_type accept() {
        error_code failure;
        auto peer = accept(failure);
        this->check(failure, "accept");
        return peer;
    }

  private:
    static constexpr detail::waiting for_a_connection{.where = detail::lane::in,
                                                      .wants = Readiness::readable};

    [[nodiscard]] home<Executor> here() const { return {this->state()->owner(), this->get_executor()}; }

    /// Nothing: none waits.
    template <typename Other>
    static std::optional<error_code> take(detail::socket_state& state, error_code failure,
                                          basic_stream_socket<Other>& peer, endpoint_type* remote) {
        if (failure) return failure;
        auto* const stack = state.stack();
        if (stack == nullptr) return error_code(boost::asio::error::bad_descriptor);
        const auto accepted = stack->accept(state.handle());
        state.owner()->wake(state.owner());
        if (!accepted && accepted.error() == Error::would_block) return std::nullopt;
        if (!accepted) return to_error_code(accepted.error());
        peer.assign(*accepted, failure);
        error_code unconnected;
        if (remote != nullptr) *remote = peer.remote_endpoint(unconnected);
        return failure;
    }

    template <typename Other, typename Token>
    auto accept_into(basic_stream_socket<Other>& into, endpoint_type* remote, Token&& token) {
        return boost::asio::async_initiate<Token, void(error_code)>(
            [this](auto handler, basic_stream_socket<Other>* peer, endpoint_type* from) {
                auto how = for_a_connection;
                if (peer->is_open()) how.failure = boost::asio::error::already_open;
                if (!this->is_beside(*peer)) how.failure = boost::asio::error::invalid_argument;
                this->begin(std::move(handler), how,
                            [peer, from](detail::socket_state& state,
                                         error_code failure) -> std::optional<std::tuple<error_code>> {
                                const auto outcome = take(state, failure, *peer, from);
                                if (!outcome) return std::nullopt;
                                return std::tuple(*outcome);
                            });
            },
            token, &into, remote);
    }

    template <typename Other, typename Token>
    auto accept_new(const home<Other>& where, endpoint_type* remote, Token&& token) {
        using peer_type = basic_stream_socket<Other>;
        return boost::asio::async_initiate<Token, void(error_code, peer_type)>(
            [this](auto handler, const home<Other>& at, endpoint_type* from) {
                this->begin(
                    std::move(handler), for_a_connection,
                    [at, from](detail::socket_state& state,
                               error_code failure) -> std::optional<std::tuple<error_code, peer_type>> {
                        peer_type peer(at);
                        const auto outcome = take(state, failure, peer, from);
                        if (!outcome) return std::nullopt;
                        return std::tuple<error_code, peer_type>(*outcome, std::move(peer));
                    });
            },
            token, where, remote);
    }
};

/// Stands where boost::asio::ip::tcp stood.
struct tcp {
    using endpoint = boost::asio::ip::tcp::endpoint;
    using socket = basic_stream_socket<>;
    using acceptor = basic_socket_acceptor<>;
    using resolver = basic_resolver<boost::asio::ip::tcp>;
    using no_delay = boost::asio::ip::tcp::no_delay;
    static boost::asio::ip::tcp v6() { return boost::asio::ip::tcp::v6(); }
};

}  // namespace keepnet::asio

#include <keepnet/asio/beast.hpp>
#include <keepnet/asio/connect.hpp>
