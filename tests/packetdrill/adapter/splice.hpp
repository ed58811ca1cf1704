// splice(2) where one end may be a socket of the stack.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace keepnet::packetdrill {

/// From a pipe into a socket, or from a socket into a pipe; two descriptors of the kernel are the kernel's affair.
ssize_t splice(int in, int out, std::size_t bytes, unsigned flags);

}  // namespace keepnet::packetdrill
