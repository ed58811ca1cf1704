#include "support/sample.hpp"

#include <catch2/catch_test_macros.hpp>

#include "base/digest.hpp"
#include "durability/attach.hpp"

namespace keepnet::test {
namespace {

using namespace keepnet::literals;

constexpr auto own = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 1});
constexpr auto own_local = Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, 1});
constexpr auto peer = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 2});
constexpr auto silent = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 3});
constexpr auto far_away = Ipv6Address::from_words({0x2001, 0xdb8, 9, 0, 0, 0, 0, 7});

template <class T>
T& make(Slab<T>& slab, Handle<T>& handle) {
    handle = slab.create();
    REQUIRE(handle);
    return slab.edit(handle);
}
template <class T>
T& make(Slab<T>& slab) {
    Handle<T> handle;
    return make(slab, handle);
}

}  // namespace

Sample::Sample() : Sample(sample_config()) {}

Sample::Sample(const StackConfig& c) : arena(Stack::arena_bytes(c)), config(c) {
    CreateOptions options{.now = Instant{} + 1000_s, .arena_is_zeroed = true};
    for (std::size_t i = 0; i < options.entropy.size(); ++i) options.entropy[i] = static_cast<std::uint8_t>(i + 1);
    auto created = Stack::create(arena.span(), config, options);
    REQUIRE(created.has_value());
    stack.emplace(std::move(*created));
    add_network();
    add_tcp();
    add_udp();
    rebuild_derived(core());
}

Slice Sample::slice(std::uint16_t offset, std::uint16_t bytes, std::uint8_t pattern) {
    const BufferIndex buffer = w().pool.allocate(PoolUse::receive);
    REQUIRE(buffer != no_buffer);
    for (std::size_t i = 0; i < bytes; ++i) {
        w().pool.buffer(buffer)[offset + i] = static_cast<std::uint8_t>(pattern + i);
    }
    w().pool.set_used(buffer, static_cast<std::uint16_t>(offset + bytes));
    return {buffer, offset, bytes};
}

Link Sample::node(const Slice& slice, Seq seq, Link next) {
    Handle<SliceNodeState> handle;
    make(w().slice_nodes, handle) = {slice, seq, next};
    return Link::to(handle.index());
}

void Sample::add_network() {
    const Instant now = w().stack().now;
    InterfaceState& interface = make(w().interfaces);
    interface.index = 1;
    interface.mac = {{2, 0, 0, 0, 0, 1}};
    interface.retransmit = 1_s;
    interface.reachable = 30_s;
    interface.reachable_redraw = now + 7200_s;
    interface.device.length = 3;
    interface.device.bytes[2] = 9;
    for (const auto& address : {own, own_local}) {
        AddressState& a = make(w().addresses);
        a.address = address;
        a.prefix_length = 64;
        a.status = static_cast<std::uint8_t>(AddressStatus::preferred);
        a.interface = 1;
    }
    make(w().routes) = {own, {}, 1, 64, true, never};
    make(w().routes) = {{}, peer, 1, 0, false, now + 1800_s};
    make(w().destinations) = {far_away, 1400, now + 500_s};

    NeighborState& known = make(w().neighbors);
    known.address = peer;
    known.mac = {{2, 0, 0, 0, 0, 2}};
    known.phase = NeighborPhase::reachable;
    known.interface = 1;
    known.timer = now + 20_s;
    known.last_used = now - 1_s;
    NeighborState& unknown = make(w().neighbors);
    unknown.address = silent;
    unknown.phase = NeighborPhase::incomplete;
    unknown.probes_sent = 1;
    unknown.pending_count = 2;
    unknown.interface = 1;
    unknown.timer = now + 1_s;
    Handle<PendingPacketState> first;
    Handle<PendingPacketState> second;
    PendingPacketState& a = make(w().pending_packets, first);
    PendingPacketState& b = make(w().pending_packets, second);
    a.header_length = 60;
    a.slice_count = 2;
    a.slices = {slice(0, 100, 1), slice(10, 50, 2)};
    a.next = Link::to(second.index());
    b.header_length = 48;
    for (std::size_t i = 0; i < 48; ++i) b.header[i] = static_cast<std::uint8_t>(i);
    unknown.pending_head = Link::to(first.index());
    unknown.pending_tail = Link::to(second.index());
}

void Sample::add_tcp() {
    const Instant now = w().stack().now;
    Handle<SocketState> connected;
    Handle<SocketState> listening;
    Handle<TcpListenerState> listener;
    Handle<TcpConnectionState> established;
    Handle<TcpConnectionState> waiting;
    Handle<TcpConnectionState> half_open;
    make(w().sockets, connected);
    make(w().sockets, listening);
    make(w().listeners, listener);
    const auto connection = [&](Handle<TcpConnectionState>& handle, std::uint16_t port) -> TcpConnectionState& {
        TcpConnectionState& c = make(w().connections, handle);
        c.phase = TcpPhase::established;
        c.local = {own, 80, 1};
        c.remote = {peer, port, 1};
        c.snd.iss = {999};
        c.snd.una = c.snd.up = c.snd.wl2 = {1000};
        c.snd.nxt = c.snd.max = {1600};
        c.snd.wl1 = {5000};
        c.snd.wnd = c.snd.wnd_max = 65535;
        c.rcv.irs = {4999};
        c.rcv.nxt = c.rcv.acked = c.rcv.up = {5000};
        c.rcv.adv = {5000 + 65535};
        c.rcv.buffer = 65535;
        c.rtt.rto = 300_ms;
        c.congestion = {.cwnd = 12200, .ssthresh = 1U << 30, .bytes_acked = 5, .last_sent = now - 5_ms};
        c.mss = c.mss_peer = 1220;
        c.last_heard = now - 20_ms;
        c.marks.rcv_durable = c.marks.consumed = {5000};
        c.marks.snd_durable = {1600};
        c.marks.buffer = 65535;
        return c;
    };
    TcpConnectionState& c = connection(established, 40000);
    c.socket = connected;
    c.rtt.srtt = 80_ms;
    c.rtt.rttvar = 10_ms;
    const Link last = node(slice(30, 100, 7), {1500}, {});
    const Link middle = node(slice(0, 300, 6), {1200}, last);
    const Link head = node(slice(64, 200, 5), {1000}, middle);
    c.send_queue = {head, last, 3, 600};
    c.tx_accepted = 600;
    c.push_seq_valid = 1;
    c.push_seq = {1600};
    c.timers.retransmit = now + 250_ms;
    c.rcv.nxt = {5400};
    c.rcv.acked = {5200};
    const Link received = node(slice(54, 400, 9), {5000}, {});
    c.receive_queue = {received, received, 1, 400};
    const Link early = node(slice(54, 99, 10), {6000}, {});
    c.out_of_order = {early, early, 1, 99};
    c.timers.delayed_ack = now + 30_ms;
    c.marks.rcv_durable = {5400};

    TcpConnectionState& child = connection(waiting, 40001);
    child.listener = listener;
    child.is_passive = true;
    child.snd.nxt = child.snd.max = child.marks.snd_durable = {1000};
    TcpConnectionState& opening = connection(half_open, 40002);
    opening.phase = TcpPhase::syn_received;
    opening.listener = listener;
    opening.is_passive = true;
    opening.snd.una = {999};
    opening.snd.nxt = opening.snd.max = opening.marks.snd_durable = {1000};
    opening.timers.retransmit = now + 1_s;

    TcpListenerState& l = w().listeners.edit(listener);
    l.socket = listening;
    l.local = {{}, 80, 0};
    l.backlog = 8;
    l.half_open = 1;
    l.accept_head = l.accept_tail = Link::to(waiting.index());
    l.accept_count = 1;

    SocketState& s = w().sockets.edit(connected);
    s.kind = SocketKind::tcp;
    s.is_bound = true;
    s.local = w().connections.get(established).local;
    s.remote = w().connections.get(established).remote;
    s.connection = established;
    s.options.receive_buffer = s.options.send_buffer = 65535;
    SocketState& ls = w().sockets.edit(listening);
    ls.kind = SocketKind::tcp;
    ls.is_bound = true;
    ls.local = {{}, 80, 0};
    ls.listener = listener;
    ls.options.receive_buffer = ls.options.send_buffer = 65535;
    SocketState& unbound = make(w().sockets);
    unbound.kind = SocketKind::tcp;
    unbound.options.receive_buffer = unbound.options.send_buffer = 65535;
}

void Sample::add_udp() {
    Handle<SocketState> handle;
    Handle<UdpSocketState> udp;
    SocketState& s = make(w().sockets, handle);
    UdpSocketState& u = make(w().udp_sockets, udp);
    s.kind = SocketKind::udp;
    s.is_bound = true;
    s.local = {{}, 5353, 0};
    s.udp = udp;
    s.options.receive_buffer = 64;
    s.options.hold_output = true;
    s.options.policy = s.options.send_policy = DurabilityPolicy::snapshot;
    const auto datagram = [&](const Slice& payload, Link next) {
        Handle<DatagramState> d;
        DatagramState& state = make(w().datagrams, d);
        state.next = next;
        state.source = peer;
        state.destination = own;
        state.source_port = 53;
        state.destination_port = 5353;
        state.interface = 1;
        state.hop_limit = 64;
        state.payload = payload;
        return Link::to(d.index());
    };
    const Link tail = datagram({}, {});
    const Link head = datagram(slice(62, 33, 40), tail);
    const Link held = datagram(slice(0, 12, 41), {});
    DatagramState& h = w().datagrams.edit(held.index());
    std::swap(h.source, h.destination);
    std::swap(h.source_port, h.destination_port);
    h.held_since = w().stack().now - 1_ms;
    h.after_cut = w().cuts().current;
    u.socket = handle;
    u.receive_head = head;
    u.receive_tail = tail;
    u.receive_count = 2;
    u.held_head = u.held_tail = held;
    u.held_count = 1;
}

Content content_of(World& w) {
    Content content;
    w.for_each_slab([&](auto& slab) {
        slab.for_each([&](std::uint32_t i, const auto& object) {
            content[{static_cast<StateKind>(slab.kind()), i}] =
                value_of(slab.handle_of(i).generation(), object, [&](const Slice& s) { return w.pool.view(s); });
        });
    });
    return content;
}

std::string fault_of(const World& w) {
    const auto fault = durability::find_fault(w, {1, 2});
    return fault ? std::to_string(static_cast<int>(fault->kind)) + "/" + std::to_string(fault->index) + ": " +
                       std::string(fault->what)
                 : "";
}

std::vector<std::uint8_t> snapshot_of(Stack& stack, const checkpoint::EncodeOptions& options) {
    const auto cut = stack.cut();
    REQUIRE(cut.has_value());
    checkpoint::VectorSink sink;
    const auto ok = checkpoint::encode(stack, *cut, options, sink);
    if (!ok) FAIL(ok.error().message);
    REQUIRE(stack.abandoned(*cut).has_value());
    return std::move(sink.bytes);
}

void sign(std::vector<std::uint8_t>& snapshot) {
    Digest digest;
    digest.add(snapshot.data(), snapshot.size() - 8);
    for (std::size_t i = 0; i < 8; ++i) {
        snapshot[snapshot.size() - 8 + i] = static_cast<std::uint8_t>(digest.value() >> (8 * i));
    }
}

}  // namespace keepnet::test
