// Stack's socket methods. Without a journal they are the calls themselves; with one a call is recorded when it returns,
// and after a restore it returns what it had returned before (DURABILITY 7).
#include <algorithm>
#include <array>
#include <cstring>

#include "base/digest.hpp"
#include "base/planted.hpp"
#include "stack/calls.hpp"
#include "stack/journal_core.hpp"

namespace keepnet {
namespace {

using durability::bytes_of;
using durability::EntryHeader;
using durability::Op;
using journal::Served;

// A result as a number, and back.
std::uint64_t number_of(SocketHandle h) { return h.raw; }
std::uint64_t number_of(std::size_t n) { return n; }
std::uint64_t number_of(std::int64_t n) { return static_cast<std::uint64_t>(n); }
std::uint64_t number_of(Error e) { return static_cast<std::uint64_t>(e); }
std::uint64_t number_of(Readiness r) { return r.bits; }
void from_number(SocketHandle& h, std::uint64_t n) { h.raw = n; }
void from_number(std::size_t& v, std::uint64_t n) { v = n; }
void from_number(std::int64_t& v, std::uint64_t n) { v = static_cast<std::int64_t>(n); }
void from_number(Error& e, std::uint64_t n) { e = n <= number_of(last_error) ? static_cast<Error>(n) : Error::invalid; }
void from_number(Readiness& r, std::uint64_t n) { r.bits = static_cast<std::uint8_t>(n); }

template <class T>
std::uint64_t result_of(const std::expected<T, Error>& r) {
    if constexpr (std::is_void_v<T>) {
        return 0;
    } else {
        return r ? number_of(*r) : 0;
    }
}
template <class T>
std::expected<T, Error> result_in(const durability::EntryView& e) {
    if (e.header.status != 0) return std::unexpected(static_cast<Error>(e.header.status));
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        T value{};
        from_number(value, e.header.value);
        return value;
    }
}

template <class T>
std::uint8_t status_of(const std::expected<T, Error>& r) {
    return r ? std::uint8_t{0} : static_cast<std::uint8_t>(r.error());
}

/// Is the call recorded?
JournalCore* recorder(Core& core, SocketHandle socket) {
    return core.journal != nullptr && journal::is_tracked(core, socket.raw) ? core.journal : nullptr;
}
bool is_replaying(const Core& core) { return core.journal != nullptr && core.journal->replay.active; }
bool is_replaying_bytes(const Core& core) { return is_replaying(core) && core.journal->mode == ReplayMode::bytes; }

/// There is no room to record what the call would give: would_block, which is recorded too.
std::unexpected<Error> starve(JournalCore& j, const Core& core, Op op, SocketHandle socket, ByteView arguments) {
    j.stacks[core.journal_stack].is_starved = true;
    journal::append(j,
                    {.op = op,
                     .stack = core.journal_stack,
                     .status = static_cast<std::uint8_t>(Error::would_block),
                     .argument_bytes = static_cast<std::uint32_t>(arguments.size()),
                     .handle = socket.raw},
                    {arguments});
    return std::unexpected(Error::would_block);
}

/// A call whose result is a number.
template <class T, class Live>
std::expected<T, Error> simple_call(Core& core, Op op, SocketHandle socket, ByteView arguments, Live&& live) {
    if (is_replaying(core)) {
        const Served s = journal::serve(*core.journal, &core, op, socket.raw, arguments);
        if (s.kind == Served::Kind::diverged) return std::unexpected(Error::replay_diverged);
        if (s.kind == Served::Kind::entry) {
            return result_in<T>(s.entry);
        }
    }
    JournalCore* j = recorder(core, socket);
    if (j == nullptr) return live();
    const std::expected<T, Error> r = live();
    journal::append(*j,
                    {.op = op,
                     .stack = core.journal_stack,
                     .status = status_of(r),
                     .argument_bytes = static_cast<std::uint32_t>(arguments.size()),
                     .handle = socket.raw,
                     .value = result_of(r)},
                    {arguments});
    return r;
}

/// An endpoint without padding.
struct EndpointBytes {
    std::array<std::uint8_t, 16> address{};
    std::uint32_t port = 0;
    std::uint32_t interface = 0;
    explicit EndpointBytes(const Endpoint& e) : address(e.address.octets), port(e.port), interface(e.interface) {}
};

std::uint64_t digest_of(std::span<const ByteView> data, std::size_t bytes) {
    Digest digest;
    std::array<std::uint8_t, 8> word{};
    std::size_t filled = 0;
    const auto put = [&](ByteView part) {
        while (!part.empty()) {
            if (filled == 0 && part.size() >= 8) {
                const std::size_t whole = part.size() & ~std::size_t{7};
                digest.add(part.data(), whole);
                part = part.subspan(whole);
                continue;
            }
            word[filled++] = part.front();
            part = part.subspan(1);
            if (filled == 8) digest.add(word.data(), 8), filled = 0;
        }
    };
    for (const ByteView& part : data) {
        const std::size_t n = std::min(bytes, part.size());
        put(part.first(n));
        bytes -= n;
    }
    std::fill(word.begin() + static_cast<std::ptrdiff_t>(filled), word.end(), std::uint8_t{0});
    if (filled != 0) digest.add(word.data(), 8);
    return digest.value();
}

std::size_t size_of(std::span<const ByteView> data) {
    std::size_t bytes = 0;
    for (const ByteView& part : data) bytes += part.size();
    return bytes;
}

constexpr std::size_t parts_max = 64;

/// The first `bytes` of the parts, or fewer when they are too many parts.
std::span<const ByteView> first_of(std::span<const ByteView> data, std::size_t bytes, std::array<ByteView, parts_max>& out) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < data.size() && n < out.size() && bytes != 0; ++i) {
        const std::size_t part = std::min(bytes, data[i].size());
        if (part != 0) out[n++] = data[i].first(part);
        bytes -= part;
    }
    return std::span<const ByteView>(out).first(n);
}

struct SendArguments {
    std::uint64_t offered = 0;
    std::uint64_t more = 0;
};

}  // namespace

// --- births ---

std::expected<SocketHandle, Error> Stack::open_tcp() {
    return simple_call<SocketHandle>(*core_, Op::open_tcp, {}, {}, [&] { return calls::open_tcp(*core_); });
}
std::expected<SocketHandle, Error> Stack::open_udp() {
    return simple_call<SocketHandle>(*core_, Op::open_udp, {}, {}, [&] { return calls::open_udp(*core_); });
}
std::expected<SocketHandle, Error> Stack::bind(SocketHandle socket, const Endpoint& local) {
    const EndpointBytes arguments(local);
    return simple_call<SocketHandle>(*core_, Op::bind, socket, bytes_of(arguments),
                                     [&] { return calls::bind(*core_, socket, local); });
}
std::expected<SocketHandle, Error> Stack::listen(SocketHandle socket, std::uint32_t backlog) {
    return simple_call<SocketHandle>(*core_, Op::listen, socket, bytes_of(backlog),
                                     [&] { return calls::listen(*core_, socket, backlog); });
}
std::expected<SocketHandle, Error> Stack::accept(SocketHandle listener) {
    return simple_call<SocketHandle>(*core_, Op::accept, listener, {}, [&] { return calls::accept(*core_, listener); });
}
std::expected<void, Error> Stack::connect(SocketHandle socket, const Endpoint& remote) {
    const EndpointBytes arguments(remote);
    return simple_call<void>(*core_, Op::connect, socket, bytes_of(arguments),
                             [&] { return calls::connect(*core_, socket, remote); });
}

// --- streams ---

std::expected<std::size_t, Error> Stack::send(SocketHandle socket, ByteView data, bool more) {
    const ByteView one[] = {data};
    return send(socket, std::span<const ByteView>(one), more);
}

std::expected<std::size_t, Error> Stack::send(SocketHandle socket, std::span<const ByteView> data, bool more) {
    Core& core = *core_;
    const SendArguments arguments{size_of(data), more};
    if (is_replaying_bytes(core)) {
        if (const auto served = journal::serve_bytes_out(*core.journal, core, socket.raw, data)) return *served;
    } else if (is_replaying(core)) {
        JournalCore& j = *core.journal;
        const Served s = journal::serve(j, &core, Op::send, socket.raw, bytes_of(arguments));
        if (s.kind == Served::Kind::diverged) return std::unexpected(Error::replay_diverged);
        if (s.kind == Served::Kind::entry) {
            const auto taken = result_in<std::size_t>(s.entry);
            std::uint64_t written = 0;
            if (s.entry.result.size() == sizeof written) std::memcpy(&written, s.entry.result.data(), sizeof written);
            if (taken && (*taken > arguments.offered || written != digest_of(data, *taken))) {
                journal::diverge(j, &core, socket.raw);
                return std::unexpected(Error::replay_diverged);
            }
            return taken;
        }
    }
    JournalCore* j = recorder(core, socket);
    if (j == nullptr) return calls::send(core, socket, data, more);
    const std::size_t room = j->data_room();
    if (room == 0) return starve(*j, core, Op::send, socket, bytes_of(arguments));
    std::array<ByteView, parts_max> parts;
    const auto some = first_of(data, room, parts);
    const auto r = calls::send(core, socket, some, more || size_of(some) < arguments.offered);
    const std::uint64_t written = r ? digest_of(some, *r) : 0;
    if (r && *r == size_of(some) && *r < arguments.offered) j->stacks[core.journal_stack].is_starved = true;
    j->last_was_idle = false;
    if (j->is_broken) return r;
    j->writer.begin({.op = Op::send,
                     .stack = core.journal_stack,
                     .status = status_of(r),
                     .argument_bytes = sizeof arguments,
                     .handle = socket.raw,
                     .value = result_of(r)});
    j->writer.put(&arguments, sizeof arguments);
    j->writer.put(&written, sizeof written);
    // Another program's pieces have other digests: its bytes are compared with these.
    std::size_t left = j->mode == ReplayMode::bytes ? result_of(r) : 0;
    for (const ByteView& part : some) {
        const std::size_t n = std::min(left, part.size());
        if (n != 0) j->writer.put(part.data(), n);
        left -= n;
    }
    j->writer.end();
    return r;
}

std::expected<std::size_t, Error> Stack::send_room(SocketHandle socket) const {
    if (is_replaying_bytes(*core_) && journal::replayed_readiness(*core_->journal, *core_, socket.raw).has(Readiness::writable)) {
        return std::size_t{core_->world.config().tcp.send_buffer};
    }
    return simple_call<std::size_t>(*core_, Op::send_room, socket, {}, [&] { return calls::send_room(*core_, socket); });
}

std::expected<std::size_t, Error> Stack::peek(SocketHandle socket, std::span<ByteView> out, std::size_t skip) const {
    Core& core = *core_;
    const std::array<std::uint64_t, 2> arguments{out.size(), skip};
    if (is_replaying(core)) {
        const Served s = journal::serve(*core.journal, &core, Op::peek, socket.raw, bytes_of(arguments));
        if (s.kind == Served::Kind::diverged) return std::unexpected(Error::replay_diverged);
        if (s.kind == Served::Kind::entry) {
            auto views = result_in<std::size_t>(s.entry);
            // The same cuts between the views: lengths first, then the bytes.
            ByteView rest = s.entry.result;
            if (views && (*views > out.size() || *views * sizeof(std::uint64_t) > rest.size())) views = 0;
            const ByteView lengths = views ? rest.first(*views * sizeof(std::uint64_t)) : ByteView{};
            rest = rest.subspan(lengths.size());
            for (std::size_t i = 0; views && i < *views; ++i) {
                std::uint64_t length = 0;
                std::memcpy(&length, lengths.data() + i * sizeof length, sizeof length);
                length = std::min<std::uint64_t>(length, rest.size());
                out[i] = rest.first(static_cast<std::size_t>(length));
                rest = rest.subspan(out[i].size());
            }
            return views;
        }
    }
    JournalCore* j = recorder(core, socket);
    if (j == nullptr) return calls::peek(core, socket, out, skip);
    const std::size_t room = j->data_room();
    const std::size_t least = sizeof arguments + (sizeof(std::uint64_t) + packet_buffer_bytes);
    if (room < least) return starve(*j, core, Op::peek, socket, bytes_of(arguments));
    auto r = calls::peek(core, socket, out, skip);
    std::size_t bytes = sizeof arguments;
    for (std::size_t i = 0; r && i < *r; ++i) {
        bytes += sizeof(std::uint64_t) + out[i].size();
        if (bytes > room) r = i;
    }
    j->last_was_idle = false;
    if (j->is_broken) return r;
    j->writer.begin({.op = Op::peek,
                     .stack = core.journal_stack,
                     .status = status_of(r),
                     .argument_bytes = sizeof arguments,
                     .handle = socket.raw,
                     .value = result_of(r)});
    j->writer.put(arguments.data(), sizeof arguments);
    for (std::size_t i = 0; r && i < *r; ++i) {
        const std::uint64_t length = out[i].size();
        j->writer.put(&length, sizeof length);
    }
    for (std::size_t i = 0; r && i < *r; ++i) j->writer.put(out[i].data(), out[i].size());
    j->writer.end();
    return r;
}

std::expected<void, Error> Stack::consume(SocketHandle socket, std::size_t bytes) {
    const std::uint64_t argument = bytes;
    return simple_call<void>(*core_, Op::consume, socket, bytes_of(argument),
                             [&] { return calls::consume(*core_, socket, bytes); });
}

std::expected<std::size_t, Error> Stack::receive(SocketHandle socket, MutableBytes out) {
    Core& core = *core_;
    const std::uint64_t argument = out.size();
    if (is_replaying_bytes(core)) {
        if (const auto served = journal::serve_bytes_in(*core.journal, core, socket.raw, out)) return *served;
    } else if (is_replaying(core)) {
        const Served s = journal::serve(*core.journal, &core, Op::receive, socket.raw, bytes_of(argument));
        if (s.kind == Served::Kind::diverged) return std::unexpected(Error::replay_diverged);
        if (s.kind == Served::Kind::entry) {
            auto n = result_in<std::size_t>(s.entry);
            if (n) *n = std::min({*n, out.size(), s.entry.result.size()});
            if (n && *n > 1 && is_planted(Fault::replay_off_by_one)) --*n;
            if (n && *n != 0) std::memcpy(out.data(), s.entry.result.data(), *n);
            return n;
        }
    }
    JournalCore* j = recorder(core, socket);
    if (j == nullptr) return calls::receive(core, socket, out);
    const std::size_t room = std::min(out.size(), j->data_room());
    if (room == 0 && !out.empty()) return starve(*j, core, Op::receive, socket, bytes_of(argument));
    const auto r = calls::receive(core, socket, out.first(room));
    if (r && *r == room && room < out.size()) j->stacks[core.journal_stack].is_starved = true;
    journal::append(*j,
                    {.op = Op::receive,
                     .stack = core.journal_stack,
                     .status = status_of(r),
                     .argument_bytes = sizeof argument,
                     .handle = socket.raw,
                     .value = result_of(r)},
                    {bytes_of(argument), out.first(r ? *r : 0)});
    return r;
}

std::expected<void, Error> Stack::shutdown(SocketHandle socket, CloseDirection direction) {
    return simple_call<void>(*core_, Op::shutdown, socket, bytes_of(direction),
                             [&] { return calls::shutdown(*core_, socket, direction); });
}
std::expected<void, Error> Stack::close(SocketHandle socket) {
    return simple_call<void>(*core_, Op::close, socket, {}, [&] { return calls::close(*core_, socket); });
}
std::expected<void, Error> Stack::abort(SocketHandle socket) {
    return simple_call<void>(*core_, Op::abort, socket, {}, [&] { return calls::abort(*core_, socket); });
}

// --- datagrams ---

std::expected<void, Error> Stack::send_datagram(SocketHandle socket, const SendDatagram& how, ByteView payload) {
    const ByteView one[] = {payload};
    const std::array<std::uint64_t, 2> what{payload.size(), digest_of(one, payload.size())};
    const EndpointBytes to(how.destination);
    std::array<std::uint8_t, sizeof what + sizeof to> arguments{};
    std::memcpy(arguments.data(), &what, sizeof what);
    std::memcpy(arguments.data() + sizeof what, &to, sizeof to);
    return simple_call<void>(*core_, Op::send_datagram, socket, arguments,
                             [&] { return calls::send_datagram(*core_, socket, how, payload); });
}

namespace {

/// What a ReceivedDatagram says beside its payload.
struct DatagramBytes {
    std::array<std::uint8_t, 16> source{};
    std::array<std::uint8_t, 16> destination{};
    std::uint32_t source_interface = 0;
    std::uint32_t interface = 0;
    std::uint16_t source_port = 0;
    std::uint8_t hop_limit = 0;
    std::uint8_t traffic_class = 0;
    std::uint32_t reserved = 0;
};

}  // namespace

std::expected<ReceivedDatagram, Error> Stack::peek_datagram(SocketHandle socket) const {
    Core& core = *core_;
    if (is_replaying(core)) {
        const Served s = journal::serve(*core.journal, &core, Op::peek_datagram, socket.raw, {});
        if (s.kind == Served::Kind::diverged) return std::unexpected(Error::replay_diverged);
        if (s.kind == Served::Kind::entry) {
            if (s.entry.header.status != 0) return std::unexpected(static_cast<Error>(s.entry.header.status));
            DatagramBytes d{};
            if (s.entry.result.size() < sizeof d) return std::unexpected(Error::replay_diverged);
            std::memcpy(&d, s.entry.result.data(), sizeof d);
            ReceivedDatagram r;
            r.source.address.octets = d.source;
            r.source.port = d.source_port;
            r.source.interface = d.source_interface;
            r.destination.octets = d.destination;
            r.interface = d.interface;
            r.hop_limit = d.hop_limit;
            r.traffic_class = d.traffic_class;
            r.payload = s.entry.result.subspan(sizeof d);
            return r;
        }
    }
    JournalCore* j = recorder(core, socket);
    if (j == nullptr) return calls::peek_datagram(core, socket);
    if (j->data_room() < sizeof(DatagramBytes) + packet_buffer_bytes) {
        return starve(*j, core, Op::peek_datagram, socket, {});
    }
    const auto r = calls::peek_datagram(core, socket);
    DatagramBytes d{};
    if (r) {
        d = {r->source.address.octets, r->destination.octets, r->source.interface, r->interface,
             r->source.port,           r->hop_limit,          r->traffic_class,    0};
    }
    journal::append(*j,
                    {.op = Op::peek_datagram, .stack = core.journal_stack, .status = status_of(r), .handle = socket.raw},
                    {r ? bytes_of(d) : ByteView{}, r ? r->payload : ByteView{}});
    return r;
}

std::expected<void, Error> Stack::consume_datagram(SocketHandle socket) {
    return simple_call<void>(*core_, Op::consume_datagram, socket, {},
                             [&] { return calls::consume_datagram(*core_, socket); });
}

// --- options and observation ---

namespace {

/// Each field by itself: what an older build did not have comes last.
template <class Info, class F>
void for_each_field(Info& info, F&& f) {
    auto& [kind, phase, local, remote, policy, send_policy, verdict, claimed, error, rx_consumed, tx_accepted,
           tx_acknowledged, receive_queue_bytes, send_queue_bytes, out_of_order_bytes, undurable_receive_bytes,
           undurable_send_bytes, receive_window, send_window, congestion_window, slow_start_threshold, mss, srtt, rttvar,
           rto, retransmissions, accept_queue, half_open, datagrams_dropped, datagrams_queued] = info;
    f(kind), f(phase), f(local.address.octets), f(local.port), f(local.interface), f(remote.address.octets);
    f(remote.port), f(remote.interface), f(policy), f(send_policy), f(verdict), f(claimed), f(error), f(rx_consumed);
    f(tx_accepted), f(tx_acknowledged), f(receive_queue_bytes), f(send_queue_bytes), f(out_of_order_bytes);
    f(undurable_receive_bytes), f(undurable_send_bytes), f(receive_window), f(send_window), f(congestion_window);
    f(slow_start_threshold), f(mss), f(srtt), f(rttvar), f(rto), f(retransmissions), f(accept_queue), f(half_open);
    f(datagrams_dropped), f(datagrams_queued);
}

std::size_t write_info(const SocketInfo& info, std::span<std::uint8_t> out) {
    std::size_t at = 0;
    for_each_field(info, [&](const auto& field) {
        std::memcpy(out.data() + at, &field, sizeof field);
        at += sizeof field;
    });
    return at;
}

void read_info(ByteView bytes, SocketInfo& info) {
    for_each_field(info, [&]<class T>(T& field) {
        if (bytes.size() < sizeof field) return;
        if constexpr (std::is_same_v<T, bool>) {
            field = bytes.front() != 0;
        } else {
            std::memcpy(static_cast<void*>(&field), bytes.data(), sizeof field);
        }
        bytes = bytes.subspan(sizeof field);
    });
}

/// As it lies: a newer build's has more at its end.
std::size_t write_info(const TcpInfo& info, std::span<std::uint8_t> out) {
    std::memcpy(out.data(), &info, sizeof info);
    return sizeof info;
}

void read_info(ByteView bytes, TcpInfo& info) {
    std::memcpy(static_cast<void*>(&info), bytes.data(), std::min(bytes.size(), sizeof info));
}

/// A call whose result is a struct, and that changes nothing.
template <class Info, class Live>
std::expected<Info, Error> info_call(Core& core, Op op, SocketHandle socket, Live&& live) {
    if (is_replaying(core)) {
        const Served s = journal::serve(*core.journal, &core, op, socket.raw, {});
        if (s.kind == Served::Kind::diverged) return std::unexpected(Error::replay_diverged);
        if (s.kind == Served::Kind::entry) {
            if (s.entry.header.status != 0) return std::unexpected(static_cast<Error>(s.entry.header.status));
            Info info;
            read_info(s.entry.result, info);
            return info;
        }
    }
    const std::expected<Info, Error> r = live();
    JournalCore* j = recorder(core, socket);
    if (j == nullptr) return r;
    std::array<std::uint8_t, sizeof(Info)> bytes{};
    const std::size_t n = r ? write_info(*r, bytes) : 0;
    journal::append(*j, {.op = op, .stack = core.journal_stack, .status = status_of(r), .handle = socket.raw},
                    {ByteView(bytes).first(n)});
    return r;
}

}  // namespace

std::expected<void, Error> Stack::set_option(SocketHandle socket, SocketOption option, std::int64_t value) {
    const std::array<std::int64_t, 2> arguments{static_cast<std::int64_t>(option), value};
    return simple_call<void>(*core_, Op::set_option, socket, bytes_of(arguments),
                             [&] { return calls::set_option(*core_, socket, option, value); });
}
std::expected<std::int64_t, Error> Stack::option(SocketHandle socket, SocketOption option) const {
    const auto argument = static_cast<std::uint64_t>(option);
    return simple_call<std::int64_t>(*core_, Op::option, socket, bytes_of(argument),
                                     [&] { return calls::option(*core_, socket, option); });
}
std::expected<Error, Error> Stack::take_error(SocketHandle socket) {
    return simple_call<Error>(*core_, Op::take_error, socket, {}, [&] { return calls::take_error(*core_, socket); });
}
std::expected<Readiness, Error> Stack::readiness(SocketHandle socket) const {
    if (is_replaying_bytes(*core_)) {
        const Readiness left = journal::replayed_readiness(*core_->journal, *core_, socket.raw);
        auto r = calls::readiness(*core_, socket);
        if (!r && left.bits == 0) return r;
        return Readiness{static_cast<std::uint8_t>((r ? r->bits : 0) | left.bits)};
    }
    return simple_call<Readiness>(*core_, Op::readiness, socket, {}, [&] { return calls::readiness(*core_, socket); });
}

std::expected<SocketInfo, Error> Stack::info(SocketHandle socket) const {
    return info_call<SocketInfo>(*core_, Op::info, socket, [&] { return calls::info(*core_, socket); });
}
std::expected<TcpInfo, Error> Stack::tcp_info(SocketHandle socket) const {
    return info_call<TcpInfo>(*core_, Op::tcp_info, socket, [&] { return calls::tcp_info(*core_, socket); });
}

std::optional<SocketHandle> Stack::next_ready() {
    Core& core = *core_;
    if (is_replaying_bytes(core)) {
        const std::uint64_t handle = journal::next_replayed(*core.journal, core);
        if (handle == 0) return {};
        return SocketHandle{handle};
    }
    if (is_replaying(core)) {
        const Served s = journal::serve_ready(*core.journal, core);
        if (s.kind == Served::Kind::diverged) return {};
        if (s.kind == Served::Kind::entry) {
            if (s.entry.header.handle == 0) return {};
            if (is_planted(Fault::readiness_out_of_order)) return calls::next_ready(core);
            return SocketHandle{s.entry.header.handle};
        }
    }
    JournalCore* j = core.journal;
    if (j == nullptr) return calls::next_ready(core);
    const auto ready = calls::next_ready(core);
    if (!ready && j->last_was_idle) return ready;
    if (ready && !journal::is_tracked(core, ready->raw)) return ready;
    journal::append(*j,
                    {.op = Op::next_ready, .stack = core.journal_stack, .handle = ready ? ready->raw : 0}, {});
    return ready;
}

SocketHandle Stack::next_socket(SocketHandle after) const {
    const auto& sockets = core_->world.sockets;
    const std::uint32_t i = sockets.next(after ? Handle<SocketState>{after.raw}.index() + 1 : 0);
    return i == BitTree::none ? SocketHandle{} : SocketHandle{sockets.handle_of(i).raw};
}

const Statistics& Stack::statistics() const { return core_->world.statistics.get(0U); }
const StackConfig& Stack::config() const { return core_->world.config(); }

}  // namespace keepnet
