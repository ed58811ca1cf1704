// async_connect over a range of endpoints. Asio's own function accepts only Asio's own sockets; this one is
// found by argument-dependent lookup when it is called without a namespace.
#pragma once

#include <iterator>
#include <ranges>
#include <utility>

#include <boost/asio/compose.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <keepnet/asio/tcp.hpp>

namespace keepnet::asio {

namespace detail {

template <typename Socket, typename Range, typename Condition>
class range_connect {
  public:
    range_connect(Socket& socket, Range&& range, Condition&& condition)
        : socket_(socket), range_(std::move(range)), condition_(std::move(condition)) {}

    template <typename Self>
    void operator()(Self& self) {
        next(self, {});
    }

    template <typename Self>
    void operator()(Self& self, error_code failure) {
        if (!failure) return self.complete({}, current_);
        // A cancelled attempt is the end, and so is a socket that somebody closed meanwhile.
        if (self.cancelled() != boost::asio::cancellation_type::none ||
            failure == net::error::operation_aborted) {
            return self.complete(net::error::operation_aborted, {});
        }
        next(self, failure);
    }

  private:
    template <typename Self>
    void next(Self& self, error_code last) {
        // An index, because the operation is moved between attempts and iterators would go on pointing into
        // the old range.
        for (auto at = std::next(std::ranges::begin(range_), tried_); at != std::ranges::end(range_); ++at) {
            ++tried_;
            const net::ip::tcp::endpoint candidate(*at);
            if (!condition_(last, candidate)) continue;
            current_ = candidate;
            error_code ignored;
            socket_.close(ignored);
            started_ = true;
            return socket_.async_connect(current_, std::move(self));
        }
        if (!last) last = net::error::not_found;
        if (started_) return self.complete(last, {});
        // The handler must not run inside the initiating function.
        net::post(socket_.get_executor(),
                  [self = std::move(self), last]() mutable { self.complete(last, {}); });
    }

    Socket& socket_;
    Range range_;
    Condition condition_;
    std::ptrdiff_t tried_ = 0;
    bool started_ = false;
    net::ip::tcp::endpoint current_{};
};

struct any_endpoint {
    bool operator()(const error_code&, const net::ip::tcp::endpoint&) const { return true; }
};

template <typename Range>
concept endpoint_range = std::ranges::forward_range<const Range> &&
    std::convertible_to<std::ranges::range_reference_t<const Range>, net::ip::tcp::endpoint>;

}  // namespace detail

/// Tries the endpoints in order, each with a socket opened anew, until one answers. The handler is
/// void(error_code, endpoint). `condition(last_error, endpoint)` says whether to try an endpoint.
template <typename Executor, detail::endpoint_range Range, typename Condition,
          typename Token = boost::asio::default_completion_token_t<Executor>>
requires std::predicate<Condition&, const boost::system::error_code&, const boost::asio::ip::tcp::endpoint&>
auto async_connect(basic_stream_socket<Executor>& socket, const Range& endpoints, Condition condition,
                   Token&& token = boost::asio::default_completion_token_t<Executor>{}) {
    return boost::asio::async_compose<Token, void(boost::system::error_code, boost::asio::ip::tcp::endpoint)>(
        detail::range_connect<basic_stream_socket<Executor>, Range, Condition>(socket, Range(endpoints),
                                                                               std::move(condition)),
        token, socket);
}

template <typename Executor, detail::endpoint_range Range,
          typename Token = boost::asio::default_completion_token_t<Executor>>
requires(!std::predicate<
         std::decay_t<Token>&, const boost::system::error_code&,
         const boost::asio::ip::tcp::
             endpoint&>) auto async_connect(basic_stream_socket<Executor>& socket, const Range& endpoints,
                                            Token&& token =
                                                boost::asio::default_completion_token_t<Executor>{}) {
    return async_connect(socket, endpoints, detail::any_endpoint{}, std::forward<Token>(token));
}

}  // namespace keepnet::asio
