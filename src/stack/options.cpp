// Options, observation and enumeration of sockets.
#include "stack/calls.hpp"
#include "stack/core.hpp"

namespace keepnet::calls {

namespace {

using SocketRef = Handle<SocketState>;

/// Writes a value within [low, high] into `field`.
template <class T>
bool put(T& field, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high) return false;
    field = static_cast<T>(value);
    return true;
}
bool put(Duration& field, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high) return false;
    field.ns = value;
    return true;
}

template <class E>
bool put_enum(E& field, std::int64_t value, E low, E high) {
    return put(field, value, static_cast<std::int64_t>(low), static_cast<std::int64_t>(high));
}

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t duration_max_ns = 365LL * 86'400 * second_ns;

bool put_policy(SocketState& s, std::int64_t value) {
    const bool is_fixed = s.connection || s.listener || (s.kind == SocketKind::udp && s.is_bound);
    if (is_fixed || value < static_cast<std::int64_t>(DurabilityPolicy::none) ||
        value > static_cast<std::int64_t>(DurabilityPolicy::untracked)) {
        return false;
    }
    s.options.policy = s.options.send_policy = static_cast<DurabilityPolicy>(value);
    return true;
}
/// Sound is what can be rolled back together: bytes that are acknowledged early and answered late (DURABILITY 7). The other
/// way round a peer would have answers to bytes that are read again.
bool put_send_policy(SocketState& s, std::int64_t value) {
    const DurabilityPolicy receive = s.options.policy;
    if (!put_policy(s, value)) return false;
    s.options.policy = receive;
    return s.options.send_policy == receive ||
           (receive == DurabilityPolicy::journal && s.options.send_policy == DurabilityPolicy::snapshot);
}

bool put_option(SocketState& s, const StackConfig& config, SocketOption option, std::int64_t value) {
    SocketOptions& o = s.options;
    const bool is_tcp = s.kind == SocketKind::tcp;
    switch (option) {
        case SocketOption::invalid: return false;
        case SocketOption::receive_buffer:
            if (is_tcp) o.receive_buffer_fixed = true;
            return is_tcp ? put(o.receive_buffer, value, 4096, config.tcp.buffer_max)
                          : put(o.receive_buffer, value, 1, config.capacity.udp_datagrams);
        case SocketOption::send_buffer: return is_tcp && put(o.send_buffer, value, 4096, config.tcp.buffer_max);
        case SocketOption::no_delay: return is_tcp && put(o.no_delay, value, 0, 1);
        case SocketOption::cork: return is_tcp && put(o.cork, value, 0, 1);
        case SocketOption::quick_ack: return is_tcp && put(o.quick_ack, value, 0, 1);
        case SocketOption::keep_alive: return is_tcp && put(o.keep_alive, value, 0, 1);
        case SocketOption::keep_alive_idle:
            return is_tcp && put(o.keep_alive_idle, value, second_ns, duration_max_ns);
        case SocketOption::keep_alive_interval:
            return is_tcp && put(o.keep_alive_interval, value, second_ns, duration_max_ns);
        case SocketOption::keep_alive_probes: return is_tcp && put(o.keep_alive_probes, value, 1, 127);
        case SocketOption::user_timeout: return is_tcp && put(o.user_timeout, value, 0, duration_max_ns);
        case SocketOption::linger: return is_tcp && put(o.linger, value, -1, duration_max_ns);
        case SocketOption::max_segment:
            return is_tcp && !s.connection && (value == 0 || value >= 64) &&
                   put(o.max_segment, value, 0, 65535);
        case SocketOption::hop_limit: return put(o.hop_limit, value, 0, 255);
        case SocketOption::traffic_class:
            // The two ECN bits of a TCP segment are not the application's (RFC 3168).
            return put(o.traffic_class, is_tcp ? value & ~std::int64_t{3} : value, 0, 255);
        case SocketOption::reuse_address: return put(o.reuse_address, value, 0, 1);
        case SocketOption::policy: return put_policy(s, value);
        case SocketOption::send_policy: return put_send_policy(s, value);
        case SocketOption::hold_output: return !is_tcp && put(o.hold_output, value, 0, 1);
        case SocketOption::congestion:
            return is_tcp && put_enum(o.congestion, value, CongestionAlgorithm::newreno, CongestionAlgorithm::cubic);
        case SocketOption::ecn:
            return is_tcp && !s.connection && !s.listener && put_enum(o.ecn, value, EcnMode::off, EcnMode::request);
        case SocketOption::reuse_port: return put(o.reuse_port, value, 0, 1);
        case SocketOption::not_sent_low_water: return is_tcp && put(o.not_sent_low_water, value, 0, INT32_MAX);
        case SocketOption::multicast_hop_limit: return !is_tcp && put(o.multicast_hop_limit, value, 0, 255);
        case SocketOption::multicast_loop: return !is_tcp && put(o.multicast_loop, value, 0, 1);
        case SocketOption::multicast_interface:
            return !is_tcp && put(o.multicast_interface, value, 0, config.capacity.interfaces);
    }
    return false;
}

std::int64_t get_option(const SocketOptions& o, SocketOption option) {
    switch (option) {
        case SocketOption::invalid: break;
        case SocketOption::receive_buffer: return o.receive_buffer;
        case SocketOption::send_buffer: return o.send_buffer;
        case SocketOption::no_delay: return o.no_delay ? 1 : 0;
        case SocketOption::cork: return o.cork ? 1 : 0;
        case SocketOption::quick_ack: return o.quick_ack ? 1 : 0;
        case SocketOption::keep_alive: return o.keep_alive ? 1 : 0;
        case SocketOption::keep_alive_idle: return o.keep_alive_idle.ns;
        case SocketOption::keep_alive_interval: return o.keep_alive_interval.ns;
        case SocketOption::keep_alive_probes: return o.keep_alive_probes;
        case SocketOption::user_timeout: return o.user_timeout.ns;
        case SocketOption::linger: return o.linger.ns;
        case SocketOption::max_segment: return o.max_segment;
        case SocketOption::hop_limit: return o.hop_limit;
        case SocketOption::traffic_class: return o.traffic_class;
        case SocketOption::reuse_address: return o.reuse_address ? 1 : 0;
        case SocketOption::policy: return static_cast<std::int64_t>(o.policy);
        case SocketOption::send_policy: return static_cast<std::int64_t>(o.send_policy);
        case SocketOption::hold_output: return o.hold_output ? 1 : 0;
        case SocketOption::congestion: return static_cast<std::int64_t>(o.congestion);
        case SocketOption::ecn: return static_cast<std::int64_t>(o.ecn);
        case SocketOption::reuse_port: return o.reuse_port ? 1 : 0;
        case SocketOption::not_sent_low_water: return o.not_sent_low_water;
        case SocketOption::multicast_hop_limit: return o.multicast_hop_limit;
        case SocketOption::multicast_loop: return o.multicast_loop ? 1 : 0;
        case SocketOption::multicast_interface: return o.multicast_interface;
    }
    return -1;
}

bool is_known(SocketOption option) {
    return option > SocketOption::invalid && option <= SocketOption::multicast_interface;
}

Readiness readiness_of(Core& core, const SocketState& s) {
    return s.kind == SocketKind::tcp ? tcp::readiness(core.tcp_context(), s) : udp::readiness(core.udp_context(), s);
}

}  // namespace

std::expected<void, Error> set_option(Core& core, SocketHandle socket, SocketOption option, std::int64_t value) {
    const Step step(core);
    World& w = core.world;
    const SocketState* s = w.sockets.find({socket.raw});
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    SocketState changed = *s;
    if (!put_option(changed, w.config(), option, value)) return std::unexpected(Error::invalid_argument);
    w.sockets.edit(SocketRef{socket.raw}) = changed;
    if (changed.kind == SocketKind::tcp) {
        auto cx = core.tcp_context();
        tcp::on_option(cx, {socket.raw}, option);
    }
    return {};
}

std::expected<std::int64_t, Error> option(Core& core, SocketHandle socket, SocketOption option) {
    const SocketState* s = core.world.sockets.find({socket.raw});
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    if (!is_known(option)) return std::unexpected(Error::invalid_argument);
    return get_option(s->options, option);
}

std::expected<SocketInfo, Error> info(Core& core, SocketHandle socket) {
    const SocketState* s = core.world.sockets.find({socket.raw});
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    SocketInfo info;
    info.kind = s->kind;
    info.local = s->local;
    info.remote = s->remote;
    info.policy = s->options.policy;
    info.send_policy = s->options.send_policy;
    info.verdict = s->verdict;
    info.claimed = s->claimed;
    info.error = s->error;
    if (s->kind == SocketKind::tcp) tcp::fill_info(core.tcp_context(), *s, info);
    if (s->kind == SocketKind::udp) {
        const UdpSocketState& u = core.world.udp_sockets.get(s->udp);
        info.datagrams_dropped = u.dropped;
        info.datagrams_queued = u.receive_count;
    }
    return info;
}

std::expected<TcpInfo, Error> tcp_info(Core& core, SocketHandle socket) {
    const SocketState* s = core.world.sockets.find({socket.raw});
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    if (s->kind != SocketKind::tcp) return std::unexpected(Error::wrong_kind);
    return tcp::tcp_info(core.tcp_context(), *s);
}

std::expected<Error, Error> take_error(Core& core, SocketHandle socket) {
    const Step step(core);
    const SocketState* s = core.world.sockets.find({socket.raw});
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    const Error error = s->error;
    if (error != Error::invalid) core.world.sockets.edit(SocketRef{socket.raw}).error = Error::invalid;
    return error;
}

std::expected<Readiness, Error> readiness(Core& core, SocketHandle socket) {
    const SocketState* s = core.world.sockets.find({socket.raw});
    if (s == nullptr) return std::unexpected(Error::stale_handle);
    return readiness_of(core, *s);
}

std::optional<SocketHandle> next_ready(Core& core) {
    const Step step(core);
    World& w = core.world;
    for (;;) {
        const std::uint32_t i = w.changed_sockets.find_cyclic(w.stack().ready_cursor);
        if (i == BitTree::none) return {};
        w.changed_sockets.clear(i);
        if (!w.sockets.is_live(i) || readiness_of(core, w.sockets.get(i)).bits == 0) continue;
        w.edit_stack().ready_cursor = i + 1;
        return SocketHandle{w.sockets.handle_of(i).raw};
    }
}

}  // namespace keepnet::calls
