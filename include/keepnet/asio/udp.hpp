// UDP with Asio's face: keepnet::asio::udp stands where boost::asio::ip::udp stood. A datagram leaves the
// receive queue in the same section in which the handler is called. One that is longer than the buffers is
// cut off, as on POSIX.
#pragma once

#include <cstddef>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/udp.hpp>

#include <keepnet/asio/basic_socket.hpp>
#include <keepnet/asio/resolver.hpp>

namespace keepnet::asio {

template <typename Executor = boost::asio::any_io_executor>
class basic_datagram_socket : public basic_socket<boost::asio::ip::udp, Executor> {
    using base = basic_socket<boost::asio::ip::udp, Executor>;

  public:
    using typename base::endpoint_type;
    using typename base::error_code;
    using typename base::executor_type;
    using typename base::native_handle_type;
    using typename base::protocol_type;
    using default_token = boost::asio::default_completion_token_t<executor_type>;
    template <typename Other>
    struct rebind_executor {
        using other = basic_datagram_socket<Other>;
    };
    using lowest_layer_type = basic_datagram_socket;

    explicit basic_datagram_socket(const home<Executor>& where) : base(where) {}
    basic_datagram_socket(const home<Executor>& where, const protocol_type& protocol) : base(where) {
        this->open(protocol);
    }
    basic_datagram_socket(const home<Executor>& where, const endpoint_type& local) : base(where) {
        this->open(local.protocol());
        this->bind(local);
    }
    basic_datagram_socket(const home<Executor>& where, native_handle_type handle) : base(where) {
        this->assign(handle);
    }
    basic_datagram_socket(basic_datagram_socket&&) = default;
    basic_datagram_socket& operator=(basic_datagram_socket&&) = default;
    template <typename Other>
    requires(!std::same_as<Other, Executor> && std::convertible_to<Other, Executor>)
        basic_datagram_socket(basic_datagram_socket<Other>&& other)
        : base(static_cast<basic_socket<boost::asio::ip::udp, Other>&&>(other)) {}
    ~basic_datagram_socket() = default;

    lowest_layer_type& lowest_layer() { return *this; }
    [[nodiscard]] const lowest_layer_type& lowest_layer() const { return *this; }

    void connect(const endpoint_type& remote) {
        error_code failure;
        connect(remote, failure);
        this->check(failure, "connect");
    }
    void connect(const endpoint_type& remote, error_code& failure) {
        const auto endpoint = detail::from_asio(remote);
        failure = endpoint ? error_code{} : endpoint.error();
        if (!failure && !this->is_open()) this->open(remote.protocol(), failure);
        if (failure) return;
        this->call([&](Stack& stack, SocketHandle handle) { return stack.connect(handle, *endpoint); },
                   failure);
    }
    template <typename Token = default_token>
    auto async_connect(const endpoint_type& remote, Token&& token = default_token{}) {
        return boost::asio::async_initiate<Token, void(error_code)>(
            [this](auto handler, const endpoint_type& to) {
                detail::waiting how{.at_once = true};
                this->connect(to, how.failure);
                this->begin(std::move(handler), how, detail::performing_void([](Stack&, SocketHandle) {
                                return std::expected<void, Error>{};
                            }));
            },
            token, remote);
    }

    /// Handlers are void(error_code, std::size_t).
    template <typename Buffers, typename Token = default_token>
    auto async_send_to(const Buffers& buffers, const endpoint_type& destination,
                       Token&& token = default_token{}) {
        return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
            [this](auto handler, const Buffers& from, const endpoint_type& to) {
                auto how = for_room;
                const auto endpoint = detail::from_asio(to);
                if (!endpoint) how.failure = endpoint.error();
                this->start_send(std::move(handler), how, from, endpoint.value_or(Endpoint{}));
            },
            token, buffers, destination);
    }
    /// To the connected peer.
    template <typename Buffers, typename Token = default_token>
    auto async_send(const Buffers& buffers, Token&& token = default_token{}) {
        return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
            [this](auto handler, const Buffers& from) {
                this->start_send(std::move(handler), for_room, from, Endpoint{});
            },
            token, buffers);
    }
    /// `sender` must live until the handler is called.
    template <typename Buffers, typename Token = default_token>
    auto async_receive_from(const Buffers& buffers, endpoint_type& sender, Token&& token = default_token{}) {
        return receive_initiation(buffers, &sender, std::forward<Token>(token));
    }
    template <typename Buffers, typename Token = default_token>
    auto async_receive(const Buffers& buffers, Token&& token = default_token{}) {
        return receive_initiation(buffers, nullptr, std::forward<Token>(token));
    }

    /// Never block: fail with would_block.
    template <typename Buffers>
    std::size_t send_to(const Buffers& buffers, const endpoint_type& destination, error_code& failure) {
        const auto endpoint = detail::from_asio(destination);
        if (!endpoint) {
            failure = endpoint.error();
            return 0;
        }
        return this
            ->call(
                [&](Stack& stack, SocketHandle handle) {
                    return detail::send_datagram_from(stack, handle, *endpoint, buffers);
                },
                failure)
            .value_or(0);
    }
    template <typename Buffers>
    std::size_t send_to(const Buffers& buffers, const endpoint_type& destination) {
        error_code failure;
        const auto bytes = send_to(buffers, destination, failure);
        this->check(failure, "send_to");
        return bytes;
    }
    template <typename Buffers>
    std::size_t receive_from(const Buffers& buffers, endpoint_type& sender, error_code& failure) {
        return this
            ->call([&](Stack& stack, SocketHandle handle) { return take(stack, handle, buffers, &sender); },
                   failure)
            .value_or(0);
    }

  private:
    static constexpr detail::waiting for_room{.where = detail::lane::out, .wants = Readiness::writable};

    template <typename Handler, typename Buffers>
    void start_send(Handler&& handler, const detail::waiting& how, const Buffers& buffers,
                    const Endpoint& to) {
        this->begin(std::forward<Handler>(handler), how,
                    detail::performing<std::size_t>([buffers, to](Stack& stack, SocketHandle handle) {
                        return detail::send_datagram_from(stack, handle, to, buffers);
                    }));
    }

    template <typename Buffers>
    static std::expected<std::size_t, Error> take(Stack& stack, SocketHandle handle, const Buffers& into,
                                                  endpoint_type* sender) {
        const auto datagram = stack.peek_datagram(handle);
        if (!datagram) {
            // An ICMPv6 error of an earlier datagram is told once.
            if (datagram.error() != Error::would_block) static_cast<void>(stack.take_error(handle));
            return std::unexpected(datagram.error());
        }
        const auto bytes = boost::asio::buffer_copy(
            into, boost::asio::buffer(datagram->payload.data(), datagram->payload.size()));
        if (sender != nullptr) *sender = detail::to_asio<protocol_type>(datagram->source);
        const auto consumed = stack.consume_datagram(handle);
        if (!consumed) return std::unexpected(consumed.error());
        return bytes;
    }

    template <typename Buffers, typename Token>
    auto receive_initiation(const Buffers& buffers, endpoint_type* sender, Token&& token) {
        return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
            [this](auto handler, const Buffers& into, endpoint_type* from) {
                const detail::waiting how{.where = detail::lane::in, .wants = Readiness::readable};
                this->begin(std::move(handler), how,
                            detail::performing<std::size_t>([into, from](Stack& stack, SocketHandle handle) {
                                return take(stack, handle, into, from);
                            }));
            },
            token, buffers, sender);
    }
};

/// Stands where boost::asio::ip::udp stood.
struct udp {
    using endpoint = boost::asio::ip::udp::endpoint;
    using socket = basic_datagram_socket<>;
    using resolver = basic_resolver<boost::asio::ip::udp>;
    static boost::asio::ip::udp v6() { return boost::asio::ip::udp::v6(); }
};

}  // namespace keepnet::asio
