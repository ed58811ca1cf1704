// What a clone has inherited (DESIGN 7): pairs of endpoints whose connections belong to the original, which lives. Nothing
// is ever sent to such a peer in the name of the connection, not even a reset, and long after its record is gone. A set
// of fixed size that forgets nothing and may say yes where it should not: then a stranger is not answered, no more.
#pragma once

#include <keepnet/endpoint.hpp>

#include "state/world.hpp"

namespace keepnet::ip {

void remember_inherited(World& w, const Endpoint& local, const Endpoint& remote);
[[nodiscard]] bool is_inherited(const World& w, const Endpoint& local, const Endpoint& remote);

}  // namespace keepnet::ip
