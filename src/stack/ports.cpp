#include "stack/ports.hpp"

#include <array>
#include <cstring>

#include "ip/inherited.hpp"

namespace keepnet {

namespace {

constexpr std::uint32_t inherited_tries = 256;  ///< the set of inherited pairs may be full, and then knows nothing

std::uint64_t offset_of(const Core& core, const Endpoint& local, const Endpoint& remote) {
    std::array<std::uint64_t, 5> words{};
    std::memcpy(words.data(), local.address.octets.data(), 16);
    std::memcpy(words.data() + 2, remote.address.octets.data(), 16);
    words[4] = remote.port;
    return hash24_words(core.world.stack().port_key, words);
}

}  // namespace

bool is_endpoint_free(Core& core, SocketKind kind, const Endpoint& local, const SocketOptions& o) {
    return kind == SocketKind::tcp ? !tcp::is_taken(core.tcp_context(), local, o.reuse_address, o.reuse_port)
                                   : !udp::is_taken(core.udp_context(), local, o.reuse_address, o.reuse_port);
}

std::optional<std::uint16_t> pick_port(Core& core, SocketKind kind, const Endpoint& local, const Endpoint& remote) {
    const TcpConfig& config = core.world.config().tcp;
    const std::uint32_t count = 1U + config.ephemeral_last - config.ephemeral_first;
    const auto offset = static_cast<std::uint32_t>(offset_of(core, local, remote));
    for (std::uint32_t tries = 0; tries < count; ++tries) {
        const std::uint32_t at = (offset + core.world.edit_stack().port_cursor++) % count;
        Endpoint candidate = local;
        candidate.port = static_cast<std::uint16_t>(config.ephemeral_first + at);
        const bool is_free = kind == SocketKind::tcp && remote.port != 0
                                 ? tcp::is_pair_free(core.tcp_context(), candidate, remote)
                                 : is_endpoint_free(core, kind, candidate, {});
        // A clone keeps off its original's conversations, as long as that is no hard thing to do.
        const bool is_others = remote.port != 0 && tries < inherited_tries && ip::is_inherited(core.world, candidate, remote);
        if (is_free && !is_others) return candidate.port;
    }
    return {};
}

}  // namespace keepnet
