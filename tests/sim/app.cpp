#include "sim/app.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "stack/calls.hpp"

namespace keepnet::sim {

namespace {

constexpr std::uint64_t block_bytes = 256;

std::uint64_t mix(std::uint64_t x) {
    x ^= x >> 31;
    x *= 0xbf58'476d'1ce4'e5b9U;
    x ^= x >> 29;
    return x;
}

std::uint8_t header_byte(std::uint32_t id, std::uint64_t offset) {
    const std::uint32_t word = offset < 4 ? id : ~id;
    return static_cast<std::uint8_t>(word >> (24 - 8 * (offset & 3)));
}

std::string label(const Conn& c) {
    return "connection " + std::to_string(c.id) + (c.is_client ? " client" : " server");
}

}  // namespace

Ipv6Address address_of(unsigned host) {
    return Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, static_cast<std::uint16_t>(host + 1)});
}

Ipv6Address link_local_of(unsigned host) {
    return Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, static_cast<std::uint16_t>(host + 1)});
}

unsigned host_of(const Ipv6Address& address) { return address.octets[15] - 1U; }

const Conn* AppValue::find(std::uint32_t id) const {
    for (const Conn& c : conns) {
        if (c.id == id) return &c;
    }
    return nullptr;
}

std::uint64_t AppValue::digest() const {
    std::uint64_t h = mix(listener.raw) ^ mix(udp.raw + 1) ^ datagrams_sent;
    for (const Conn& c : conns) {
        for (const std::uint64_t v : {c.socket.raw, c.tx_done, c.rx_taken, c.rx_handled, std::uint64_t{c.id}})
            h = mix(h ^ v);
        for (const std::uint64_t n : c.nonces) h = mix(h ^ n);
    }
    return h;
}

std::uint8_t content(const Conn& sender, std::uint64_t offset) {
    if (offset >= sender.tx_done) {
        throw Failure("no byte arrives that was not sent", label(sender) + " wrote " +
                                                               std::to_string(sender.tx_done) +
                                                               " bytes, offset " + std::to_string(offset));
    }
    if (sender.is_client && offset < header_bytes) return header_byte(sender.id, offset);
    return static_cast<std::uint8_t>(mix(sender.nonces[offset / block_bytes] + offset / 8) >>
                                     (8 * (offset & 7)));
}

App::App(const Plan& plan, unsigned host, Trace& trace)
    : plan_(plan),
      host_(host),
      trace_(trace),
      dice_(plan.seed ^ 0x617070 ^ static_cast<std::uint64_t>(host) << 56) {}

const SidePlan& App::side_of(const Conn& c) const {
    static const SidePlan unknown;
    return c.id == 0 ? unknown : plan_of(c).side[c.is_client ? 0 : 1];
}

std::uint64_t App::write_total(const Conn& c) const {
    return c.id == 0 ? UINT64_MAX : c.is_client ? plan_of(c).up : plan_of(c).down;
}

std::uint64_t App::write_allowed(const Conn& c, bool faults) const {
    if (c.id == 0) return 0;
    const ConnectionPlan& p = plan_of(c);
    switch (p.kind) {
        case Kind::request_response:
            if (c.is_client)
                return std::min(p.up, header_bytes + p.request * (c.rx_handled / p.response + 1));
            return c.rx_handled < header_bytes ? 0 : p.response * ((c.rx_handled - header_bytes) / p.request);
        case Kind::half_close:
            if (!c.is_client && !c.eof) return 0;
            break;
        case Kind::brief:
            if (!c.is_client && c.rx_handled != p.up) return 0;
            break;
        case Kind::idle_then_stream:
            if (faults) return c.is_client ? header_bytes : 0;
            break;
        case Kind::stream:
        case Kind::download:
        case Kind::upload:
        case Kind::aborted:
            break;
    }
    return write_total(c);
}

/// A server that answers the end of its client's stream with nothing waits for that end all the same.
bool App::may_shut(const Conn& c, bool faults) const {
    if (c.tx_done != write_total(c) || write_allowed(c, faults) != c.tx_done) return false;
    const Kind kind = plan_of(c).kind;
    return kind != Kind::brief && (kind != Kind::half_close || c.is_client || c.eof);
}

/// A header that has not come whole is left where it is.
bool App::has_to_handle(const Conn& c) { return c.inbox.size() >= (c.id == 0 ? header_bytes : 1); }

/// The one that closes without a shutdown before: a server with its answer's last byte, a client at the end.
bool App::closes_briefly(const Conn& c) const {
    if (c.id == 0 || plan_of(c).kind != Kind::brief || c.tx_done != write_total(c) || !c.inbox.empty())
        return false;
    return c.is_client ? c.eof : c.rx_handled == plan_of(c).up;
}

// --- lives ---

void App::boot(Stack& stack) {
    roll_back({});
    value.listener = stack.open_tcp().value();
    set_policy(stack, value.listener);
    value.listener = stack.bind(value.listener, {.port = server_port}).value();
    value.listener = stack.listen(value.listener, plan_.host[host_].backlog).value();
    value.udp = stack.open_udp().value();
    value.udp = stack.bind(value.udp, {.port = datagram_port}).value();
    if (plan_.host[host_].udp_held) (void)stack.set_option(value.udp, SocketOption::hold_output, 1).value();
}

void App::roll_back(AppValue to) {
    to.may_read_udp = value.may_read_udp;
    to.open_at = value.open_at, to.datagram_at = value.datagram_at;
    value = std::move(to);
}

void App::resume(Stack& stack, Instant now) {
    now_ = now;
    value.live.assign(value.conns.size(), {});
    value.may_accept = value.may_read_udp = true;
    if (dice_.one_in(2)) {
        if (!stack.claim(value.listener)) throw Failure("every socket comes back", "the listener did not");
    } else {  // as an application without persistence does it
        SocketHandle again = stack.open_tcp().value();
        again = stack.bind(again, {.port = server_port}).value();
        again = stack.listen(again, plan_.host[host_].backlog).value();
        if (again != value.listener)
            throw Failure("an equal listen claims the restored socket", "another handle");
    }
    if (!stack.claim(value.udp)) throw Failure("every socket comes back", "the UDP socket did not");
    for (std::size_t i = 0; i < value.conns.size(); ++i) {
        const Conn& c = value.conns[i];
        if (c.closed) continue;
        const auto info = stack.info(c.socket);
        if (!info || !stack.claim(c.socket)) throw Failure("every socket comes back", label(c));
        remember(*info, i);
        check(stack, i);
    }
    if (fault == AppFault::loses_a_byte) {
        for (Conn& c : value.conns) {
            if (!c.inbox.empty()) c.inbox.pop_back(), --c.rx_taken;
        }
    }
}

void App::remember(const SocketInfo& info, std::size_t i) {
    value.live[i].was_restored = value.conns[i].is_connecting;
    value.live[i].received_before = info.rx_consumed + info.receive_queue_bytes;
    value.live[i].acknowledged_before = info.tx_acknowledged;
}

void App::on_replayed(Stack& stack) {
    for (std::size_t i = 0; i < value.conns.size(); ++i) {
        if (value.conns[i].closed) continue;
        const auto info = calls::info(stack.core(), value.conns[i].socket);  // not a call of the program
        if (!info) throw Failure("every socket comes back", label(value.conns[i]));
        remember(*info, i);
        compare(*info, i);
    }
}

void App::on_ready(Stack& stack, SocketHandle socket) {
    if (socket == value.listener) value.may_accept = true;
    if (socket == value.udp) value.may_read_udp = true;
    for (std::size_t i = 0; i < value.conns.size(); ++i) {
        if (!value.conns[i].closed && value.conns[i].socket == socket)
            value.live[i].may_read = value.live[i].may_write = true;
    }
    if (fault == AppFault::takes_early) take_early(stack, socket);
}

/// What an asynchronous binding does that reads into its own buffer before it calls the handler.
void App::take_early(Stack& stack, SocketHandle socket) {
    for (std::size_t i = 0; i < value.conns.size(); ++i) {
        const Conn& c = value.conns[i];
        if (c.closed || !c.is_connected || c.socket != socket) continue;
        std::array<ByteView, 4> views;
        const auto n = stack.peek(c.socket, views);
        if (!n) continue;
        std::vector<std::uint8_t>& early = value.live[i].taken_early;
        const std::size_t before = early.size();
        for (std::size_t v = 0; v < *n; ++v) early.insert(early.end(), views[v].begin(), views[v].end());
        (void)stack.consume(c.socket, early.size() - before).value();
    }
}

bool may_abort(const Plan& plan, const AppValue& value, unsigned peer, std::uint16_t own_port,
               std::uint16_t peer_port) {
    const auto is = [](std::uint16_t known, std::uint16_t asked) { return known == 0 || known == asked; };
    return std::any_of(value.conns.begin(), value.conns.end(), [&](const Conn& c) {
        if (c.id == 0 || plan.connections[c.id - 1].kind != Kind::aborted) return false;
        return c.peer == peer && is(c.own_port, own_port) &&
               is(c.peer_port, peer_port);
    });
}

// --- what to do next ---

Instant App::work_of(std::size_t i, Instant now, bool faults) const {
    const Conn& c = value.conns[i];
    const Live& live = value.live[i];
    if (c.closed) return never;
    if (!c.is_connecting) return live.write_at;
    if (!c.is_connected) return live.may_read ? now : never;
    const bool in_hand = has_to_handle(c);
    if ((in_hand && live.handle_at <= now) || closes_briefly(c)) return now;
    if (!in_hand && c.fin_sent && c.eof) return now;
    Instant t = in_hand ? live.handle_at : never;
    if (!in_hand && !c.eof && live.may_read) t = earlier(t, live.read_at);
    if (!c.fin_sent) {
        if (c.tx_done < write_allowed(c, faults) && live.may_write) t = earlier(t, live.write_at);
        if (may_shut(c, faults)) return now;
    }
    return t;
}

const ConnectionPlan* App::next_to_open(Instant) const {
    for (const ConnectionPlan& p : plan_.connections) {
        if (p.client == host_ && !p.is_left_out && value.find(p.id) == nullptr) return &p;
    }
    return nullptr;
}

Instant App::next_work(Instant now, bool faults) const {
    if (value.may_accept || value.may_read_udp) return now;
    Instant t = never;
    for (std::size_t i = 0; i < value.conns.size(); ++i) t = earlier(t, work_of(i, now, faults));
    if (const ConnectionPlan* p = next_to_open(now)) t = earlier(t, later(p->start, value.open_at));
    if (faults && plan_.host[host_].udp_interval.ns != 0) t = earlier(t, value.datagram_at);
    return t;
}

App::Did App::step(Stack& stack, Instant now, bool faults, const Everyone& all) {
    now_ = now;
    if (value.may_accept && accept(stack)) return Did::other;
    if (exchange_datagrams(stack, now, faults, all)) return Did::other;
    if (const ConnectionPlan* p = next_to_open(now); p != nullptr && later(p->start, value.open_at) <= now) {
        open(stack, now, *p);
        return Did::other;
    }
    const std::size_t n = value.conns.size();
    for (std::size_t k = 0, first = dice_.below(n); k < n; ++k) {
        const std::size_t i = (first + k) % n;
        if (work_of(i, now, faults) > now) continue;
        if (const Did did = work_on(stack, i, now, faults, all); did != Did::nothing) return did;
    }
    return Did::nothing;
}

App::Did App::work_on(Stack& stack, std::size_t i, Instant now, bool faults, const Everyone& all) {
    Conn& c = value.conns[i];
    Live& live = value.live[i];
    if (!c.is_connecting) return connect(stack, i, now), Did::other;
    if (!c.is_connected) {
        live.may_read = false;
        const auto ready = stack.readiness(c.socket);
        if (!ready) throw Failure("a handle stays valid", label(c));
        if (ready->has(Readiness::error)) {
            const Error e = stack.take_error(c.socket).value_or(Error::invalid);
            // Solicitations went astray: an application tries again, and nothing had been promised yet.
            if (e == Error::host_unreachable) return forget(stack, i, now), Did::other;
            on_error(stack, c, e, all);
        }
        if (c.closed || !ready->has(Readiness::connected)) return Did::nothing;
        c.is_connected = live.may_read = live.may_write = true;
        return Did::other;
    }
    if (faults && dice_.below(1000) < side_of(c).abort_permille && c.is_connected) {
        (void)stack.abort(c.socket).value();
        c.closed = c.aborted = true;
        ++progress_;
        trace_.add(now, host_, What::aborted, c.id);
        return Did::other;
    }
    if (has_to_handle(c) && live.handle_at <= now && (c.eof || dice_.one_in(2))) return handle(stack, c, all), Did::handler;
    if (!c.eof && !has_to_handle(c) && live.may_read && live.read_at <= now && dice_.one_in(2)) {
        if (transfer(stack, i, now, all)) return Did::transfer;
    }
    if (!c.closed && !c.fin_sent && live.may_write && live.write_at <= now &&
        c.tx_done < write_allowed(c, faults)) {
        return write(stack, i, now, faults, all) ? Did::transfer : Did::other;
    }
    if (!c.closed && !c.fin_sent && may_shut(c, faults)) {
        const auto shut = stack.shutdown(c.socket, CloseDirection::send);
        if (!shut) return on_error(stack, c, shut.error(), all), Did::other;
        c.fin_sent = true;
        ++progress_;
        trace_.add(now, host_, What::shut, c.id);
        return Did::other;
    }
    if (!c.closed && c.inbox.empty() && ((c.fin_sent && c.eof) || closes_briefly(c))) {
        check(stack, i);
        return close(stack, c), Did::other;
    }
    return Did::other;  // the dice put it off
}

// --- births ---

void App::set_policy(Stack& stack, SocketHandle socket) const {
    if (!plan_.host[host_].sends_by_snapshot) return;
    (void)stack.set_option(socket, SocketOption::send_policy, static_cast<std::int64_t>(DurabilityPolicy::snapshot)).value();
}

void App::set_options(Stack& stack, const Conn& c) {
    const SidePlan& s = side_of(c);
    (void)stack.set_option(c.socket, SocketOption::no_delay, s.no_delay);
    (void)stack.set_option(c.socket, SocketOption::quick_ack, s.quick_ack);
    if (s.receive_buffer != 0)
        (void)stack.set_option(c.socket, SocketOption::receive_buffer, s.receive_buffer).value();
    if (s.send_buffer != 0)
        (void)stack.set_option(c.socket, SocketOption::send_buffer, s.send_buffer).value();
    keep_alive(stack, c, plan_of(c).kind == Kind::aborted);
}

/// A reset that gets lost is noticed by who asks.
void App::keep_alive(Stack& stack, const Conn& c, bool on) {
    (void)stack.set_option(c.socket, SocketOption::keep_alive, on);
    (void)stack.set_option(c.socket, SocketOption::keep_alive_idle, seconds(10).ns);
    (void)stack.set_option(c.socket, SocketOption::keep_alive_interval, seconds(30).ns);
    (void)stack.set_option(c.socket, SocketOption::keep_alive_probes, 127);
}

void App::open(Stack& stack, Instant now, const ConnectionPlan& plan) {
    const auto socket = stack.open_tcp();
    trace_.add(now, host_, What::opened, plan.id, socket ? 0 : static_cast<std::uint64_t>(socket.error()));
    if (!socket) {
        value.open_at = now + milliseconds(static_cast<std::int64_t>(dice_.between(1, 200)));
        return;
    }
    Conn c;
    c.id = plan.id;
    c.is_client = true;
    c.peer = plan.server;
    c.peer_port = server_port;
    c.socket = *socket;
    set_policy(stack, c.socket);
    set_options(stack, c);
    if (plan.side[0].max_segment != 0) {
        (void)stack.set_option(c.socket, SocketOption::max_segment, plan.side[0].max_segment).value();
    }
    if (plan.bind_first) {
        const auto port = static_cast<std::uint16_t>(first_client_port + plan.id);
        // Taken: by an attempt that was given up, whose end is not durable yet. Then any port will do.
        if (const auto bound = stack.bind(c.socket, {.port = port})) c.socket = *bound;
    }
    value.conns.push_back(std::move(c));
    value.live.push_back({});
    value.live.back().write_at = now;
    ++progress_;
}

void App::connect(Stack& stack, std::size_t i, Instant now) {
    Conn& c = value.conns[i];
    const auto connected = stack.connect(c.socket, {.address = address_of(c.peer), .port = server_port});
    if (connected) {
        c.is_connecting = true;
        c.own_port = stack.info(c.socket).value().local.port;
        ++progress_;
        return;
    }
    const Error e = connected.error();
    if (e != Error::no_route && e != Error::address_not_available && e != Error::no_memory &&
        e != Error::no_ports) {
        throw Failure("connect fails only for want of an address or of room", std::string(name(e)));
    }
    value.live[i].write_at = now + milliseconds(static_cast<std::int64_t>(dice_.between(1, 200)));
}

void App::forget(Stack& stack, std::size_t i, Instant now) {
    (void)stack.close(value.conns[i].socket).value();
    value.conns.erase(value.conns.begin() + static_cast<std::ptrdiff_t>(i));
    value.live.erase(value.live.begin() + static_cast<std::ptrdiff_t>(i));
    value.open_at = now + milliseconds(static_cast<std::int64_t>(dice_.between(1, 200)));
}

bool App::accept(Stack& stack) {
    const auto socket = stack.accept(value.listener);
    if (!socket) {
        if (socket.error() != Error::would_block && socket.error() != Error::no_memory) {
            throw Failure("a listener stays one", std::string(name(socket.error())));
        }
        value.may_accept = false;
        return false;
    }
    Conn c;
    c.is_connecting = c.is_connected = true;
    c.socket = *socket;
    const auto info = stack.info(c.socket).value();
    c.peer = static_cast<std::uint8_t>(host_of(info.remote.address));
    c.own_port = server_port;
    c.peer_port = info.remote.port;
    if (c.peer >= plan_.host.size()) throw Failure("a connection comes from a host", label(c));
    keep_alive(stack, c, true);  // until the header says that nobody resets it
    value.conns.push_back(std::move(c));
    value.live.push_back({});
    ++progress_;
    trace_.add(now_, host_, What::accepted, socket->raw);
    return true;
}

// --- the end ---

bool App::is_done(const Everyone& all) const {
    for (const ConnectionPlan& p : plan_.connections) {
        if (p.client != host_ || p.is_left_out) continue;
        const Conn* client = value.find(p.id);
        if (client == nullptr || !client->closed) return false;
        const Conn* server = all[p.server]->find(p.id);
        if (server == nullptr ? !client->aborted : !server->closed) return false;
    }
    return std::all_of(value.conns.begin(), value.conns.end(), [](const Conn& c) { return c.closed; });
}

void App::close_all(Stack& stack) {
    (void)stack.close(value.listener).value();
    (void)stack.close(value.udp).value();
    value.listener = value.udp = {};
    value.may_accept = value.may_read_udp = false;
}

std::string App::unfinished() const {
    std::string out;
    for (const Conn& c : value.conns) {
        if (c.closed) continue;
        out += "host " + std::string(1, static_cast<char>('A' + host_)) + " " + label(c);
        if (c.id != 0) {
            out += " kind " + std::to_string(static_cast<int>(plan_of(c).kind)) + " wrote " +
                   std::to_string(c.tx_done) + "/" + std::to_string(write_total(c)) + " took " +
                   std::to_string(c.rx_taken) + "/" +
                   std::to_string(c.is_client ? plan_of(c).down : plan_of(c).up);
        }
        if (!c.is_connected) out += c.is_connecting ? " connecting" : " opened";
        if (c.fin_sent) out += " fin_sent";
        if (c.eof) out += " eof";
        out += "\n";
    }
    if (const ConnectionPlan* p = next_to_open({})) out += "not opened: " + std::to_string(p->id) + "\n";
    return out;
}

}  // namespace keepnet::sim
