// What a snapshot keeps of descriptors: their flags and time-outs, and the members of epoll sets.
#pragma once

#include <expected>
#include <vector>

#include "posix/internals.hpp"

namespace keepnet::posix {

std::vector<std::uint8_t> save_descriptors(const Internals& in);
/// All or nothing.
std::expected<void, Error> restore_descriptors(Internals& in, ByteView saved);

}  // namespace keepnet::posix
