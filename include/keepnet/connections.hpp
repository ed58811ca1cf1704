// What all connections of a stack have in common to do, those that no socket names any more included.
#pragma once

#include <cstdint>

#include <keepnet/cxx23.hpp>

namespace keepnet {

class Stack;

/// Connections with something that the peer has not acknowledged yet: text, or a FIN, those of closed sockets too. A program
/// that wants its last words to arrive polls until it is 0. Looks at each connection.
std::uint32_t unacknowledged_connections(const Stack& stack);

}  // namespace keepnet
