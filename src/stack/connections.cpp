#include <keepnet/connections.hpp>

#include "stack/core.hpp"

namespace keepnet {

std::uint32_t unacknowledged_connections(const Stack& stack) {
    std::uint32_t count = 0;
    stack.core().world.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        if (c.phase != TcpPhase::closed && c.phase != TcpPhase::time_wait && snd_end(c) != c.snd.una) ++count;
    });
    return count;
}

}  // namespace keepnet
