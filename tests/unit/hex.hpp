// Bytes for tests, written as in a capture.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <keepnet/address.hpp>

namespace keepnet::test {

using Bytes = std::vector<std::uint8_t>;

/// "60 00 0000": hexadecimal digits; everything else is for the eye.
inline Bytes hex(std::string_view text) {
    Bytes out;
    int high = -1;
    for (const char c : text) {
        int v = -1;
        if (c >= '0' && c <= '9') v = c - '0';
        if (c >= 'a' && c <= 'f') v = c - 'a' + 10;
        if (v < 0) continue;
        if (high < 0) {
            high = v;
        } else {
            out.push_back(static_cast<std::uint8_t>(high << 4 | v));
            high = -1;
        }
    }
    return out;
}

inline Ipv6Address ip(std::string_view text) { return parse_ipv6(text).value(); }
inline MacAddress mac(std::string_view text) { return parse_mac(text).value(); }

/// A copy that ends where its heap block ends, so that the address sanitizer sees one byte too many.
inline Bytes first(const Bytes& b, std::size_t n) {
    return {b.begin(), b.begin() + static_cast<std::ptrdiff_t>(n)};
}

inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

}  // namespace keepnet::test
