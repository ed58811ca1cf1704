// Between Asio's values and keepnet's: addresses, endpoints, socket options, buffer sequences.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <limits>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <boost/asio/ip/basic_endpoint.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/unicast.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/system/error_code.hpp>

#include <keepnet/stack.hpp>

namespace keepnet::asio::detail {

namespace net = boost::asio;
using boost::system::error_code;

template <typename Protocol>
net::ip::basic_endpoint<Protocol> to_asio(const Endpoint& endpoint) {
    net::ip::address_v6::bytes_type bytes;
    std::copy(endpoint.address.octets.begin(), endpoint.address.octets.end(), bytes.begin());
    // A zone is part of an address only where it means something else on each link (RFC 4007).
    const auto multicast_link_local =
        endpoint.address.is_multicast() && endpoint.address.multicast_scope() == 2;
    const bool has_zone = endpoint.address.is_link_local() || multicast_link_local;
    return {net::ip::address_v6(bytes, has_zone ? endpoint.interface : 0), endpoint.port};
}

/// Fails for an IPv4 endpoint: keepnet speaks IPv6 alone.
template <typename Protocol>
std::expected<Endpoint, error_code> from_asio(const net::ip::basic_endpoint<Protocol>& endpoint) {
    if (!endpoint.address().is_v6()) return std::unexpected(net::error::address_family_not_supported);
    const auto address = endpoint.address().to_v6();
    const auto bytes = address.to_bytes();
    Endpoint result{.port = endpoint.port(), .interface = static_cast<InterfaceIndex>(address.scope_id())};
    std::copy(bytes.begin(), bytes.end(), result.address.octets.begin());
    return result;
}

/// How one of Asio's option types is said natively. Specialise it for an option type of your own.
template <typename Option>
struct option_traits;

template <typename Option, SocketOption Native>
struct boolean_option_traits {
    static constexpr SocketOption native = Native;
    static std::int64_t to(const Option& option) { return option.value() ? 1 : 0; }
    static Option from(std::int64_t value) { return Option(value != 0); }
};

template <typename Option, SocketOption Native>
struct integer_option_traits {
    static constexpr SocketOption native = Native;
    static std::int64_t to(const Option& option) { return option.value(); }
    static Option from(std::int64_t value) {
        return Option(static_cast<int>(std::min<std::int64_t>(value, std::numeric_limits<int>::max())));
    }
};

template <>
struct option_traits<net::ip::tcp::no_delay>
    : boolean_option_traits<net::ip::tcp::no_delay, SocketOption::no_delay> {};
template <>
struct option_traits<net::socket_base::keep_alive>
    : boolean_option_traits<net::socket_base::keep_alive, SocketOption::keep_alive> {};
template <>
struct option_traits<net::socket_base::reuse_address>
    : boolean_option_traits<net::socket_base::reuse_address, SocketOption::reuse_address> {};
template <>
struct option_traits<net::socket_base::send_buffer_size>
    : integer_option_traits<net::socket_base::send_buffer_size, SocketOption::send_buffer> {};
template <>
struct option_traits<net::socket_base::receive_buffer_size>
    : integer_option_traits<net::socket_base::receive_buffer_size, SocketOption::receive_buffer> {};
template <>
struct option_traits<net::ip::unicast::hops>
    : integer_option_traits<net::ip::unicast::hops, SocketOption::hop_limit> {};

template <>
struct option_traits<net::socket_base::linger> {
    static constexpr SocketOption native = SocketOption::linger;
    static std::int64_t to(const net::socket_base::linger& option) {
        return option.enabled() ? seconds(option.timeout()).ns : -1;
    }
    static net::socket_base::linger from(std::int64_t value) {
        constexpr std::int64_t second = 1'000'000'000;
        return {value >= 0, value < 0 ? 0 : static_cast<int>((value + second - 1) / second)};
    }
};

/// Fills the buffers one after another from the stream; what it answers has been consumed.
template <typename Buffers>
std::expected<std::size_t, Error> receive_into(Stack& stack, SocketHandle handle, const Buffers& buffers) {
    std::size_t total = 0;
    const auto end = net::buffer_sequence_end(buffers);
    for (auto it = net::buffer_sequence_begin(buffers); it != end; ++it) {
        net::mutable_buffer room(*it);
        while (room.size() != 0) {
            const auto got = stack.receive(handle, {static_cast<std::uint8_t*>(room.data()), room.size()});
            if (!got && total == 0) return got;
            if (!got || *got == 0) return total;
            total += *got;
            room += *got;
        }
    }
    return total;
}

/// Buffers that one call of Stack::send() is given; a write of more than these is a short write.
inline constexpr std::size_t gather_max = 64;

template <typename Buffers>
std::expected<std::size_t, Error> send_from(Stack& stack, SocketHandle handle, const Buffers& buffers) {
    std::array<ByteView, gather_max> views{};
    std::size_t count = 0;
    const auto end = net::buffer_sequence_end(buffers);
    for (auto it = net::buffer_sequence_begin(buffers); it != end && count < views.size(); ++it) {
        const net::const_buffer data(*it);
        if (data.size() != 0) views[count++] = {static_cast<const std::uint8_t*>(data.data()), data.size()};
    }
    return stack.send(handle, std::span(views).first(count));
}

/// The native interface takes a datagram in one piece, and none is larger than a packet buffer.
template <typename Buffers>
std::expected<std::size_t, Error> send_datagram_from(Stack& stack, SocketHandle handle,
                                                     const Endpoint& destination, const Buffers& buffers) {
    std::array<std::uint8_t, packet_buffer_bytes> whole;
    const auto bytes = net::buffer_size(buffers);
    if (bytes > whole.size()) return std::unexpected(Error::message_too_long);
    net::buffer_copy(net::buffer(whole), buffers);
    const auto sent =
        stack.send_datagram(handle, {.destination = destination}, ByteView(whole.data(), bytes));
    if (!sent) return std::unexpected(sent.error());
    return bytes;
}

}  // namespace keepnet::asio::detail
