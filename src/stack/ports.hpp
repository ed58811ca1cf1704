// Local endpoints: who has which, and how an ephemeral one is chosen (RFC 6056).
#pragma once

#include <cstdint>
#include <optional>

#include <keepnet/stack.hpp>

#include "stack/core.hpp"

namespace keepnet {

/// May a socket of this kind be bound there? With reuse_address, what is only bound or in TIME-WAIT is no obstacle; UDP: nor
/// who says the same, or has reuse_port as this one.
bool is_endpoint_free(Core& core, SocketKind kind, const Endpoint& local, const SocketOptions& options);
/// RFC 6056 3.3.3: a keyed hash of the other end, and a counter. `remote` without a port: for bind.
/// Nothing when every port is taken.
std::optional<std::uint16_t> pick_port(Core& core, SocketKind kind, const Endpoint& local, const Endpoint& remote);

}  // namespace keepnet
