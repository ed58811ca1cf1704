// sockaddr_in6, in and out. AF_INET6 alone: there is no IPv4 here.
#include <algorithm>
#include <cstring>

#include <netinet/in.h>

#include "posix/call.hpp"

namespace keepnet::posix {

namespace {
/// Up to the scope: what Linux takes (SIN6_LEN_RFC2133).
constexpr socklen_t shortest = 24;
}  // namespace

int take_address(const sockaddr* address, socklen_t length, Endpoint& out, bool* unspecified) {
    if (static_cast<int>(length) < 0 || length > sizeof(sockaddr_storage)) return EINVAL;
    if (!is_given(address, length)) return EFAULT;
    if (length < sizeof(sa_family_t)) return EINVAL;
    sa_family_t family = 0;
    std::memcpy(&family, address, sizeof family);
    if (unspecified != nullptr && family == AF_UNSPEC) {
        *unspecified = true;
        return 0;
    }
    if (length < shortest) return EINVAL;
    if (family != AF_INET6) return EAFNOSUPPORT;
    sockaddr_in6 a{};
    std::memcpy(&a, address, std::min<std::size_t>(length, sizeof a));
    out = {};
    std::memcpy(out.address.octets.data(), &a.sin6_addr, 16);
    out.port = ntohs(a.sin6_port);
    if (out.address.is_link_local() || out.address.is_multicast()) out.interface = a.sin6_scope_id;
    return 0;
}

int check_room(const sockaddr* address, const socklen_t* length) {
    if (!is_given(length, sizeof *length)) return EFAULT;
    if (static_cast<int>(*length) < 0) return EINVAL;
    return is_given(address, std::min<std::size_t>(*length, sizeof(sockaddr_in6))) ? 0 : EFAULT;
}

int give_address(const Endpoint& endpoint, sockaddr* address, socklen_t* length) {
    if (const int error = check_room(address, length); error != 0) return error;
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(endpoint.port);
    std::memcpy(&a.sin6_addr, endpoint.address.octets.data(), 16);
    if (endpoint.address.is_link_local()) a.sin6_scope_id = endpoint.interface;
    std::memcpy(address, &a, std::min<std::size_t>(*length, sizeof a));
    *length = sizeof a;
    return 0;
}

}  // namespace keepnet::posix
