// Where a socket is, or is to be: address, port, and the interface that a link-local address needs (RFC 4007).
#pragma once

#include <compare>
#include <cstdint>

#include <keepnet/address.hpp>

namespace keepnet {

/// 1-based number of an attached interface; 0 means "any".
using InterfaceIndex = std::uint32_t;

struct Endpoint {
    Ipv6Address address{};
    std::uint16_t port = 0;  ///< host order; 0: none, or any
    InterfaceIndex interface = 0;

    friend constexpr auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

}  // namespace keepnet
