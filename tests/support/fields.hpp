// Any state object as a list of numbers, and back: by the list of fields in durability/fields.hpp.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "durability/fields.hpp"

namespace keepnet::test {

using durability::Ages;
using durability::for_each_field;

/// f(number) for each number in a leaf; `number` is a reference to an integer, a bool or an enumeration.
template <class T, class F>
void for_each_number(T& leaf, F&& f) {
    using U = std::remove_const_t<T>;
    if constexpr (std::is_integral_v<U> || std::is_enum_v<U>) {
        f(leaf);
    } else if constexpr (std::is_same_v<U, Instant> || std::is_same_v<U, Duration>) {
        f(leaf.ns);
    } else if constexpr (std::is_same_v<U, Link>) {
        f(leaf.plus_one);
    } else if constexpr (std::is_same_v<U, HashKey>) {
        f(leaf.k0), f(leaf.k1);
    } else if constexpr (std::is_same_v<U, Ipv6Address> || std::is_same_v<U, MacAddress>) {
        for (auto& octet : leaf.octets) f(octet);
    } else if constexpr (requires { leaf.raw; }) {
        f(leaf.raw);
    } else {
        for (auto& element : leaf) f(element);
    }
}

struct Flatten {
    std::vector<std::uint64_t>& numbers;
    template <class T>
    void operator()(const T& leaf) const {
        for_each_number(leaf, [&](const auto& n) { numbers.push_back(static_cast<std::uint64_t>(n)); });
    }
    void operator()(const Instant& t, Ages) const { (*this)(t); }
};

template <class S>
std::vector<std::uint64_t> flatten(const S& object) {
    std::vector<std::uint64_t> numbers;
    for_each_field(object, Flatten{numbers});
    return numbers;
}

/// Gives each number a value of its own. A truth value or an enumeration has few: over the rounds 0..7 no two of them
/// in one object take the same values in the same order.
struct Fill {
    unsigned round;
    std::uint64_t& next;

    template <class T>
    void operator()(T& leaf) const {
        for_each_number(leaf, [&](auto& number) { fill(number); });
    }
    void operator()(Instant& t, Ages) const { (*this)(t); }

    template <class N>
    void fill(N& number) const {
        const std::uint64_t n = ++next;
        if constexpr (std::is_same_v<N, bool>) {
            number = (n >> round & 1) != 0;
        } else if constexpr (std::is_enum_v<N>) {
            number = static_cast<N>(1 + (n >> round & 1));
        } else if constexpr (sizeof(N) == 1) {
            number = static_cast<N>(n + round);
        } else {
            number = static_cast<N>(n * 257 + round);
        }
    }
};

template <class S>
S filled(unsigned round) {
    S object{};
    std::uint64_t next = 0;
    for_each_field(object, Fill{round, next});
    // What is a length says how much of what follows counts.
    if constexpr (std::is_same_v<S, PendingPacketState>) {
        object.header_length = pending_header_bytes;
        object.slice_count = pending_slices;
    }
    if constexpr (std::is_same_v<S, InterfaceState>) object.device.length = device_state_bytes_max;
    if constexpr (std::is_same_v<S, AddressState>) object.status = static_cast<std::uint8_t>(1 + round % 5);
    return object;
}

}  // namespace keepnet::test
