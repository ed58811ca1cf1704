// keepnet::asio::tcp_stream stands where boost::beast::tcp_stream stood: a socket whose operations have a time-out, without a
// rate policy. When one passes, the socket is closed and what waits completes with beast::error::timeout.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <utility>

#include <boost/asio/compose.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/role.hpp>

#include <keepnet/asio/beast.hpp>
#include <keepnet/asio/connect.hpp>
#include <keepnet/asio/tcp.hpp>

namespace keepnet::asio {

namespace detail {

/// A socket, and for each direction the time at which an operation under way ends.
template <typename Executor>
struct timed_socket {
    using clock = std::chrono::steady_clock;
    struct direction {
        explicit direction(const Executor& executor) : timer(executor) {}
        boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, Executor> timer;
        clock::time_point expiry = clock::time_point::max();
        std::uint64_t operation = 0;  ///< counts them; a timer that comes late finds another one
        bool pending = false;
        bool timed_out = false;
    };

    explicit timed_socket(basic_stream_socket<Executor> s)
        : socket(std::move(s)), in(socket.get_executor()), out(socket.get_executor()) {}

    static void begin(const std::shared_ptr<timed_socket>& self, direction timed_socket::*which) {
        direction& way = (*self).*which;
        way.pending = true;
        way.timed_out = false;
        const auto number = ++way.operation;
        if (way.expiry == clock::time_point::max()) return;
        way.timer.expires_at(way.expiry);
        way.timer.async_wait([weak = std::weak_ptr(self), which, number](const error_code& failure) {
            const auto still = weak.lock();
            if (failure || !still) return;
            direction& late = (*still).*which;
            if (!late.pending || late.operation != number) return;
            late.timed_out = true;
            error_code ignored;
            still->socket.close(ignored);
        });
    }
    static void end(direction& way, error_code& failure) {
        way.pending = false;
        if (way.timed_out) failure = boost::beast::error::timeout;
        way.timer.cancel();
    }

    basic_stream_socket<Executor> socket;
    direction in, out;
};

/// One operation under a time-out. Start: void(basic_stream_socket&, handler).
template <typename Executor, typename Start>
class timed_operation {
  public:
    using shared = std::shared_ptr<timed_socket<Executor>>;
    using direction = typename timed_socket<Executor>::direction;
    timed_operation(shared state, direction timed_socket<Executor>::*which, Start start)
        : state_(std::move(state)), which_(which), start_(std::move(start)) {}

    template <typename Self>
    void operator()(Self& self) {
        timed_socket<Executor>::begin(state_, which_);
        auto& socket = state_->socket;
        auto start = std::move(start_);
        start(socket, std::move(self));
    }
    template <typename Self, typename... Results>
    void operator()(Self& self, error_code failure, Results... results) {
        timed_socket<Executor>::end((*state_).*which_, failure);
        state_.reset();
        self.complete(failure, std::move(results)...);
    }

  private:
    shared state_;
    direction timed_socket<Executor>::*which_;
    Start start_;
};

}  // namespace detail

template <typename Executor = boost::asio::any_io_executor>
class basic_tcp_stream {
    using timed = detail::timed_socket<Executor>;

  public:
    using executor_type = Executor;
    using socket_type = basic_stream_socket<Executor>;
    using protocol_type = typename socket_type::protocol_type;
    using endpoint_type = typename socket_type::endpoint_type;
    using lowest_layer_type = socket_type;
    using error_code = boost::system::error_code;
    using default_token = boost::asio::default_completion_token_t<executor_type>;
    template <typename Other>
    struct rebind_executor {
        using other = basic_tcp_stream<Other>;
    };

    /// A connection, which is taken over.
    template <typename Other>
    explicit basic_tcp_stream(basic_stream_socket<Other>&& socket)
        : state_(std::make_shared<timed>(socket_type(std::move(socket)))) {}
    explicit basic_tcp_stream(const home<Executor>& where) : state_(std::make_shared<timed>(socket_type(where))) {}
    basic_tcp_stream(basic_tcp_stream&&) = default;
    basic_tcp_stream& operator=(basic_tcp_stream&&) = delete;
    template <typename Other>
    requires(!std::same_as<Other, Executor> && std::convertible_to<Other, Executor>)
        basic_tcp_stream(basic_tcp_stream<Other>&& other)
        : state_(std::make_shared<timed>(socket_type(other.release_socket()))) {}
    basic_tcp_stream(const basic_tcp_stream&) = delete;
    basic_tcp_stream& operator=(const basic_tcp_stream&) = delete;
    ~basic_tcp_stream() {
        if (!state_) return;
        state_->in.timer.cancel();
        state_->out.timer.cancel();
        close();  // an operation under way keeps the state, and is aborted
    }

    [[nodiscard]] executor_type get_executor() noexcept { return state_->socket.get_executor(); }
    [[nodiscard]] socket_type& socket() noexcept { return state_->socket; }
    [[nodiscard]] const socket_type& socket() const noexcept { return state_->socket; }
    [[nodiscard]] lowest_layer_type& lowest_layer() noexcept { return state_->socket; }
    [[nodiscard]] const lowest_layer_type& lowest_layer() const noexcept { return state_->socket; }
    /// The socket itself, what waits on it cancelled.
    socket_type release_socket() {
        cancel();
        return std::move(state_->socket);
    }

    /// For the operations that begin from now on: together, not each.
    void expires_after(std::chrono::nanoseconds time) { expires_at(timed::clock::now() + time); }
    void expires_at(std::chrono::steady_clock::time_point when) {
        if (!state_->in.pending) state_->in.expiry = when;
        if (!state_->out.pending) state_->out.expiry = when;
    }
    void expires_never() { expires_at(std::chrono::steady_clock::time_point::max()); }

    /// What waits completes with operation_aborted; the connection stays.
    void cancel() {
        error_code ignored;
        state_->socket.cancel(ignored);
        state_->in.timer.cancel();
        state_->out.timer.cancel();
    }
    void close() {
        error_code ignored;
        state_->socket.close(ignored);
    }

    template <typename Token = default_token>
    auto async_connect(const endpoint_type& remote, Token&& token = default_token{}) {
        return start<void(error_code)>(
            &timed::out,
            [remote](socket_type& socket, auto handler) { socket.async_connect(remote, std::move(handler)); }, token);
    }
    /// Tries the endpoints in order. The handler is void(error_code, endpoint).
    template <detail::endpoint_range Range, typename Token = default_token>
    auto async_connect(const Range& endpoints, Token&& token = default_token{}) {
        return async_connect(endpoints, detail::any_endpoint{}, std::forward<Token>(token));
    }
    template <detail::endpoint_range Range, typename Condition, typename Token = default_token>
    requires std::predicate<Condition&, const error_code&, const endpoint_type&>
    auto async_connect(const Range& endpoints, Condition condition, Token&& token = default_token{}) {
        return start<void(error_code, endpoint_type)>(
            &timed::out,
            [endpoints, condition](socket_type& socket, auto handler) mutable {
                keepnet::asio::async_connect(socket, endpoints, std::move(condition), std::move(handler));
            },
            token);
    }

    template <typename Buffers, typename Token = default_token>
    auto async_read_some(const Buffers& buffers, Token&& token = default_token{}) {
        return start<void(error_code, std::size_t)>(
            &timed::in,
            [buffers](socket_type& socket, auto handler) { socket.async_read_some(buffers, std::move(handler)); }, token);
    }
    template <typename Buffers, typename Token = default_token>
    auto async_write_some(const Buffers& buffers, Token&& token = default_token{}) {
        return start<void(error_code, std::size_t)>(
            &timed::out,
            [buffers](socket_type& socket, auto handler) { socket.async_write_some(buffers, std::move(handler)); }, token);
    }
    /// Never block, and have no time-out: fail with would_block.
    template <typename Buffers>
    std::size_t read_some(const Buffers& buffers, error_code& failure) {
        return state_->socket.read_some(buffers, failure);
    }
    template <typename Buffers>
    std::size_t read_some(const Buffers& buffers) {
        return state_->socket.read_some(buffers);
    }
    template <typename Buffers>
    std::size_t write_some(const Buffers& buffers, error_code& failure) {
        return state_->socket.write_some(buffers, failure);
    }
    template <typename Buffers>
    std::size_t write_some(const Buffers& buffers) {
        return state_->socket.write_some(buffers);
    }

  private:
    template <typename Signature, typename Start, typename Token>
    auto start(typename timed::direction timed::*which, Start how, Token& token) {
        return boost::asio::async_compose<Token, Signature>(
            detail::timed_operation<Executor, Start>(state_, which, std::move(how)), token, state_->socket);
    }

    std::shared_ptr<timed> state_;
};

using tcp_stream = basic_tcp_stream<>;

template <typename Executor>
void beast_close_socket(basic_tcp_stream<Executor>& stream) {
    stream.close();
}
template <typename Executor>
void teardown(boost::beast::role_type role, basic_tcp_stream<Executor>& stream, boost::system::error_code& failure) {
    teardown(role, stream.socket(), failure);
}
template <typename Executor, typename Handler>
void async_teardown(boost::beast::role_type role, basic_tcp_stream<Executor>& stream, Handler&& handler) {
    async_teardown(role, stream.socket(), std::forward<Handler>(handler));
}

}  // namespace keepnet::asio
