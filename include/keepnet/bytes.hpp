// Borrowed bytes. The stack owns what it keeps; a view is good until the call it was given to returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <keepnet/cxx23.hpp>

namespace keepnet {

using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

}  // namespace keepnet
