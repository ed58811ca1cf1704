// Clones (DESIGN 7), fencing and the address map: who a restored stack is, beside others of the same origin.
#include <algorithm>
#include <map>
#include <set>

#include "ip/inherited.hpp"
#include "support/fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr auto moved_address = Ipv6Address::from_words({0x2001, 0xdb8, 0xbeef, 0, 0, 0, 0, 1});
constexpr auto other_address = Ipv6Address::from_words({0x2001, 0xdb8, 0xbeef, 0, 0, 0, 0, 9});
const FixtureOptions held{DurabilityPolicy::snapshot};

/// One more restore of a fixture's last snapshot, with a device and a wire of its own.
class Copy {
  public:
    Copy(Fixture& original, std::uint8_t number, checkpoint::RestoreOptions options = {.clone = true})
        : now_(original.now()),
          arena_(Stack::arena_bytes(original.config())),
          device_(MacAddress{{2, 0, 0, 0, 1, number}}) {
        options.now = now_;
        options.elapsed = 1_s;
        options.entropy.fill(number);
        auto back = checkpoint::restore(arena_.span(), original.config(), original.durable_snapshot(), options);
        REQUIRE(back.has_value());
        reports = std::move(back->sockets);
        stack_.emplace(std::move(back->stack));
        interface = *stack_->attach_device(device_, {});
        poll();
    }
    Stack& stack() { return *stack_; }
    World& world() { return stack_->core().world; }
    InterfaceIndex interface = 0;
    std::vector<checkpoint::SocketReport> reports;
    std::vector<Packet> nd;

    Copy& poll() {
        for (int i = 0; i < 200; ++i) {
            stack_->poll(now_);
            if (device_.to_stack.empty() && stack_->next_deadline() > now_) break;
        }
        for (; !device_.from_stack.empty(); device_.from_stack.pop_front()) {
            auto p = read_frame(device_.from_stack.front());
            REQUIRE(p.has_value());
            CHECK(p->eth_src == device_.capabilities().mac);
            const bool asks = p->icmp && p->icmp->type == 135 && !p->src.is_unspecified();
            if (asks) answer_solicitation(*p);
            (p->is_nd() ? nd : sent_).push_back(std::move(*p));
        }
        return device_.to_stack.empty() ? *this : poll();
    }
    Copy& run(Duration d) {
        const Instant end = now_ + d;
        for (Instant next = stack_->next_deadline(); next <= end; next = stack_->next_deadline()) {
            now_ = later(now_, next);
            poll();
        }
        now_ = end;
        return poll();
    }
    /// What went out, but for neighbour discovery, since the last look.
    std::vector<Packet> sent() { return std::exchange(sent_, {}); }
    void arrives(const Bytes& ip) {
        device_.to_stack.push_back(ethernet(device_.capabilities().mac, peer_mac, 0x86dd, ip));
        poll();
    }
    void tcp_arrives(const TcpFields& tcp, const Ipv6Address& dst = stack_address) {
        arrives(ip_packet({.src = peer_address, .dst = dst, .next_header = proto_tcp},
                          tcp_segment(peer_address, dst, tcp)));
    }
    void nd_arrives(std::uint8_t type, const Bytes& body, const Ipv6Address& src, const Ipv6Address& dst) {
        device_.to_stack.push_back(ethernet(
            multicast_mac(dst), peer_mac, 0x86dd,
            ip_packet({.src = src, .dst = dst, .next_header = proto_icmp, .hop_limit = 255}, icmp_message(src, dst, type, 0, body))));
        poll();
    }
    AddressStatus status(const Ipv6Address& address) {
        std::array<AddressInfo, 8> all{};
        const std::size_t n = stack_->addresses(all);
        for (std::size_t i = 0; i < n; ++i) {
            if (all[i].address == address) return all[i].status;
        }
        return AddressStatus::invalid;
    }

  private:
    void answer_solicitation(const Packet& p) {
        Ipv6Address target;
        std::copy_n(p.icmp->body.begin() + 4, 16, target.octets.begin());
        if (target != peer_address) return;
        const IpFields ip{.src = target, .dst = p.src, .next_header = proto_icmp, .hop_limit = 255};
        const Bytes body = advertisement_body(target, false, true, true, peer_mac);
        device_.to_stack.push_back(ethernet(device_.capabilities().mac, peer_mac, 0x86dd,
                                            ip_packet(ip, icmp_message(ip.src, ip.dst, 136, 0, body))));
    }

    Instant now_;
    Arena arena_;
    ScriptedDevice device_;
    std::optional<Stack> stack_;
    std::vector<Packet> sent_;
};

/// A connection of the peer's port `n`, accepted.
SocketHandle one_more(Fixture& t, std::size_t n) {
    t.use_flow(n);
    t.peer_sends(syn());
    t.expect(syn_ack());
    t.peer_sends(ack(1)).app_accepts();
    return t.socket;
}

/// Connections in every phase, with data queued in both directions; UDP bound and connected, with something held.
std::map<std::size_t, SocketHandle> make_busy(Fixture& t) {
    std::map<std::size_t, SocketHandle> sockets;
    for (std::size_t n = 0; n < 6; ++n) sockets[n] = one_more(t, n);
    const auto use = [&](std::size_t n) { t.use_flow(n), t.socket = sockets[n]; };
    use(0), t.app_sends(3000).ignore_output(), t.peer_sends(data(100)).ignore_output();
    use(1), t.app_shuts_down().ignore_output();
    use(2), t.app_shuts_down().ignore_output(), t.peer_sends(ack(2));
    use(3), t.peer_sends(fin()).ignore_output();
    use(4), t.peer_sends(fin()).ignore_output(), t.app_shuts_down().ignore_output();
    use(5), t.app_shuts_down().ignore_output(), t.peer_sends(fin().ack(2)).ignore_output();
    t.use_flow(6), t.peer_sends(syn()).ignore_output();                            // half-open
    t.use_flow(7), t.peer_sends(syn()).ignore_output(), t.peer_sends(ack(1));      // to be accepted
    t.use_flow(8), t.socket = {}, t.app_connects().ignore_output();                // SYN-SENT
    sockets[8] = t.socket;
    return sockets;
}

Fence* no_fence = nullptr;

/// What an embedder would keep in a place that all copies see.
class SharedFence final : public Fence {
  public:
    bool may_speak(std::uint64_t epoch) override {
        asked.push_back(epoch);
        if (epoch <= highest) return false;
        highest = epoch;
        return true;
    }
    std::uint64_t highest = 0;
    std::vector<std::uint64_t> asked{};
};

}  // namespace

TEST_CASE("T8, fcvm#954: a clone says nothing on any inherited connection, in no phase, at no time", "[clone][T8]") {
    for (const DurabilityPolicy policy : {DurabilityPolicy::none, DurabilityPolicy::snapshot}) {
        CAPTURE(static_cast<int>(policy));
        Fixture t = listening(Way::plain, FixtureOptions(policy));
        const auto sockets = make_busy(t);
        t.snapshot().ignore_output();
        Copy clone(t, 1);
        CHECK(clone.sent().empty());
        for (const auto& [n, socket] : sockets) {
            CAPTURE(n);
            const auto info = clone.stack().info(socket);
            REQUIRE(info.has_value());
            CHECK(info->phase == TcpPhase::closed);
            // At once, and the reader wakes.
            const bool had_ended = n == 5;
            CHECK(info->verdict == (had_ended ? Verdict::closed : Verdict::dropped_by_policy));
            CHECK(clone.stack().readiness(socket)->has(Readiness::readable));
            CHECK(clone.stack().readiness(socket)->has(Readiness::error) == !had_ended);
        }
        // What had been received may be read, and then says why there is no more.
        Bytes read(200);
        CHECK(clone.stack().receive(sockets.at(0), read) == 100);
        CHECK(clone.stack().receive(sockets.at(0), read).error() == Error::dropped_by_policy);
        CHECK(clone.stack().send(sockets.at(0), read).error() == Error::dropped_by_policy);
        CHECK(clone.stack().accept(t.listener).error() == Error::would_block);
        CHECK(clone.stack().info(t.listener)->half_open == 0);
        CHECK(clone.stack().info(t.listener)->verdict == Verdict::resumed);

        clone.run(2 * 3600_s);
        CHECK(clone.sent().empty());
        clone.stack().ready(true);  // nobody claimed anything: all of them are closed
        clone.run(2 * 3600_s);
        CHECK(clone.sent().empty());
        CHECK(clone.world().connections.in_use() == 0);
        CHECK(clone.world().pool.in_use() == 0);
        const auto cut = clone.stack().cut();  // the listener's end is durable, too
        REQUIRE(clone.stack().committed(*cut).has_value());
        CHECK(clone.poll().sent().empty());
        // Peers of the original that end up here are not answered, whatever they say; a reset least of all.
        for (std::uint16_t port = 40'000; port < 40'008; ++port) {
            clone.tcp_arrives({.src_port = port, .dst_port = 80, .seq = 1, .ack = 1, .flags = flag::ack, .payload = {1, 2, 3}});
            clone.tcp_arrives({.src_port = port, .dst_port = 80, .seq = 1, .ack = 1, .flags = flag::ack | flag::fin});
        }
        CHECK(clone.sent().empty());
        // Strangers are, as by any host: the clone is ready.
        clone.tcp_arrives({.src_port = 50'000, .dst_port = 80, .seq = 1, .ack = 7, .flags = flag::ack});
        const auto answer = clone.sent();
        REQUIRE(answer.size() == 1);
        CHECK(answer[0].tcp->flags == flag::rst);
        // The original never noticed.
        t.socket = sockets.at(0);
        t.use_flow(0);
        t.flow().rcv_nxt = 3001;
        t.peer_sends(ack(3001));
        CHECK(t.info().tx_acknowledged == 3000);
        t.app_reads(100);
    }
}

TEST_CASE("T8: a clone's clone, and a restored clone, keep silence for what was inherited generations ago", "[clone][T8]") {
    Fixture t = established(Way::plain);
    t.app_sends(10).expect(data(10));
    t.snapshot();
    const StackConfig config = t.config();
    Bytes snapshot = t.durable_snapshot();
    for (const bool as_clone : {true, false, true, false}) {
        Arena arena(Stack::arena_bytes(config));
        checkpoint::RestoreOptions options{.now = t.now(), .clone = as_clone};
        options.entropy.fill(9);
        auto back = checkpoint::restore(arena.span(), config, snapshot, options);
        REQUIRE(back.has_value());
        World& w = back->stack.core().world;
        CHECK(ip::is_inherited(w, {stack_address, 80, 0}, {peer_address, 40'000, 0}));
        CHECK_FALSE(ip::is_inherited(w, {stack_address, 80, 0}, {peer_address, 40'001, 0}));
        back->stack.ready(true);
        const auto cut = back->stack.cut();
        checkpoint::VectorSink sink;
        REQUIRE(checkpoint::encode(back->stack, *cut, {}, sink).has_value());
        snapshot = std::move(sink.bytes);
    }
}

TEST_CASE("T8, smolvm#1273: two clones and their original have ports, ISNs, timestamps, handles and secrets of their own",
          "[clone][T8]") {
    FixtureOptions options;
    options.link_local = true;
    Fixture t = listening(Way::plain, options);
    t.snapshot();
    Copy a(t, 1);
    Copy b(t, 2);
    // As many tries as it takes to see that it is no chance.
    std::vector<std::array<std::uint64_t, 4>> seen;
    std::set<std::uint64_t> handles;
    const auto knock = [&](Copy& c) {
        c.tcp_arrives({.src_port = 50'000, .dst_port = 80, .seq = 7, .flags = flag::syn, .window = 1000, .mss = 1440, .ts = std::pair{1U, 0U}});
        const auto s = *c.stack().open_tcp();
        REQUIRE(c.stack().connect(s, {.address = peer_address, .port = 443}).has_value());
        c.poll();
        std::array<std::uint64_t, 4> facts{};
        for (const Packet& p : c.sent()) {
            if (p.tcp->src_port == 80) facts[0] = p.tcp->seq, facts[1] = p.tcp->ts->first;
            if (p.tcp->dst_port == 443) facts[2] = p.tcp->src_port, facts[3] = p.tcp->seq;
        }
        handles.insert(s.raw);
        return facts;
    };
    const auto in_a = knock(a);
    const auto in_b = knock(b);
    t.flow().peer_port = 50'000;
    t.flow().offers_ts = true;
    t.peer_sends(syn());
    const Packet here = t.expect_packet();
    for (std::size_t i = 0; i < in_a.size(); ++i) {
        CAPTURE(i);
        CHECK(in_a[i] != 0);
        CHECK(in_a[i] != in_b[i]);
    }
    CHECK(in_a[0] != here.tcp->seq);
    CHECK(in_a[1] != here.tcp->ts->first);
    CHECK(handles.size() == 2);
    const StackState& s = t.world().stack();
    for (Copy* c : {&a, &b}) {
        const StackState& k = c->world().stack();
        CHECK_FALSE(k.isn_key == s.isn_key);
        CHECK_FALSE(k.port_key == s.port_key);
        CHECK_FALSE(k.timestamp_key == s.timestamp_key);
        CHECK_FALSE(k.flow_key == s.flow_key);
        CHECK_FALSE(k.interface_key == s.interface_key);
        CHECK_FALSE(k.cookie_keys[0] == s.cookie_keys[0]);
        CHECK_FALSE(k.random == s.random);
    }
    CHECK_FALSE(a.world().stack().isn_key == b.world().stack().isn_key);
    // RFC 7217: each has an identifier of its own beside the address that the embedder gave.
    std::set<std::string> generated;
    for (World* w : {&t.world(), &a.world(), &b.world()}) {
        w->addresses.for_each([&](std::uint32_t, const AddressState& address) {
            if (address.is_generated) generated.insert(text(address.address));
        });
    }
    CHECK(generated.size() == 3);
}

TEST_CASE("T8: listeners and unconnected sockets of a clone serve at once, a connected UDP socket does not speak", "[clone][T8]") {
    Fixture t = listening(Way::plain, held);
    const auto bound = [&](std::uint16_t port) {
        const auto s = *t.stack().open_udp();
        return *t.stack().bind(s, {.port = port});
    };
    const SocketHandle server = bound(53);
    const SocketHandle client = bound(5353);
    const SocketHandle unbound = *t.stack().open_tcp();
    REQUIRE(t.stack().connect(client, {.address = peer_address, .port = 9}).has_value());
    for (const SocketHandle s : {server, client}) {
        REQUIRE(t.stack().set_option(s, SocketOption::hold_output, 1).has_value());
        REQUIRE(t.stack().send_datagram(s, {.destination = {.address = peer_address, .port = 9}}, Bytes{1, 2}).has_value());
    }
    t.peer_sends_udp({.src_port = 9, .dst_port = 53, .payload = {5}, .length = {}, .checksum = {}});
    t.cut();
    t.commit();
    t.ignore_output();
    Copy clone(t, 1);
    clone.run(10_s);
    CHECK(clone.sent().empty());  // what was held is the original's to send
    CHECK(clone.stack().info(client)->verdict == Verdict::dropped_by_policy);
    CHECK(clone.stack().take_error(client) == Error::dropped_by_policy);
    CHECK(clone.stack().send_datagram(client, {}, Bytes{1}).error() == Error::dropped_by_policy);
    clone.stack().ready(false);
    const auto udp_arrives = [&](std::uint16_t src, std::uint16_t dst) {
        clone.arrives(ip_packet({.src = peer_address, .dst = stack_address, .next_header = proto_udp},
                                udp_datagram(peer_address, stack_address, {.src_port = src, .dst_port = dst, .payload = {1}, .length = {}, .checksum = {}})));
    };
    udp_arrives(9, 5353);
    REQUIRE(clone.stack().close(client).has_value());
    udp_arrives(9, 5353);
    CHECK(clone.sent().empty());
    udp_arrives(10, 5353);  // a stranger learns that nobody is there
    CHECK(clone.sent().size() == 1);
    // The server has its queue, and speaks.
    CHECK(clone.stack().info(server)->verdict == Verdict::resumed);
    CHECK(clone.stack().peek_datagram(server)->payload.size() == 1);
    REQUIRE(clone.stack().set_option(server, SocketOption::hold_output, 0).has_value());
    REQUIRE(clone.stack().send_datagram(server, {.destination = {.address = peer_address, .port = 9}}, Bytes{1, 2}).has_value());
    clone.poll();
    CHECK(clone.sent().size() == 1);
    CHECK(clone.stack().connect(unbound, {.address = peer_address, .port = 80}).has_value());
}

TEST_CASE("T8: a clone with the original's address finds out that it is taken, and does not use it", "[clone][T8]") {
    FixtureOptions options;
    options.config.nd.dad_transmits = 1;
    Fixture t(Way::plain, options);
    t.after(3_s);
    t.app_listens();
    const SocketHandle specific = *t.stack().bind(*t.stack().open_tcp(), {stack_address, 8080, 0});
    t.snapshot();
    SECTION("taken") {
        Copy clone(t, 1);
        CHECK(clone.status(stack_address) == AddressStatus::optimistic);
        CHECK(std::ranges::any_of(clone.nd, [](const Packet& p) { return p.icmp->type == 135 && p.src.is_unspecified(); }));
        for (const Packet& p : clone.nd) {
            CHECK((p.icmp->type != 136 || (get32(p.icmp->body, 0) & 0x2000'0000U) == 0));
        }
        clone.nd_arrives(136, advertisement_body(stack_address, false, false, true, stack_mac), stack_address, ipv6_all_nodes);
        CHECK(clone.status(stack_address) == AddressStatus::duplicate);
        clone.nd.clear();
        clone.tcp_arrives({.src_port = 50'000, .dst_port = 80, .seq = 7, .flags = flag::syn, .window = 1000});
        clone.run(10_s);
        CHECK(clone.sent().empty());
        for (const Packet& p : clone.nd) CHECK(p.src != stack_address);
    }
    SECTION("another one by the map") {
        const AddressMapping map[] = {{stack_address, moved_address}};
        Copy clone(t, 1, {.clone = true, .address_map = map});
        clone.run(2_s);
        CHECK(clone.status(stack_address) == AddressStatus::invalid);
        CHECK(clone.status(moved_address) == AddressStatus::preferred);
        CHECK(clone.stack().info(specific)->local.address == moved_address);
    }
}

WIRE_CASE("address map: listeners, bound and unconnected sockets move, connections say that their address is gone",
          "[restore][map]") {
    auto t = established(way);
    const SocketHandle connected = t.socket;
    const auto bind = [&](std::expected<SocketHandle, Error> s, const Endpoint& local) { return *t.stack().bind(*s, local); };
    SocketHandle specific = bind(t.stack().open_tcp(), {stack_address, 8080, 0});
    specific = *t.stack().listen(specific, 4);
    const SocketHandle bound = bind(t.stack().open_tcp(), {stack_address, 8081, 0});
    const SocketHandle udp = bind(t.stack().open_udp(), {stack_address, 53, 0});
    const SocketHandle unmoved = bind(t.stack().open_udp(), {{}, 54, 0});
    const SocketHandle udp_connected = *t.stack().open_udp();
    REQUIRE(t.stack().connect(udp_connected, {.address = peer_address, .port = 9}).has_value());
    t.app_sends(100).ignore_output();
    t.take_nd();
    t.snapshot();
    const AddressMapping map[] = {{stack_address, moved_address}};
    t.crash_unready(1_s, {.address_map = map});
    t.expect_silence();
    // At once, before any packet could have told.
    CHECK(t.stack().info(connected)->verdict == Verdict::address_gone);
    CHECK(t.stack().receive(connected, MutableBytes{}).has_value());
    std::uint8_t byte = 0;
    CHECK(t.stack().receive(connected, {&byte, 1}).error() == Error::address_gone);
    CHECK(t.stack().info(udp_connected)->verdict == Verdict::address_gone);
    CHECK(t.stack().take_error(udp_connected) == Error::address_gone);
    for (const SocketHandle s : {specific, bound, udp}) {
        CHECK(t.stack().info(s)->local.address == moved_address);
        CHECK(t.stack().info(s)->verdict == Verdict::resumed);
    }
    CHECK(t.stack().info(unmoved)->local.address.is_unspecified());
    for (const Packet& p : t.take_nd()) CHECK(p.src != stack_address);
    // The new address has its route, answers, and the sockets serve there; a bind claims by the new name.
    CHECK(t.stack().bind(*t.stack().open_tcp(), {moved_address, 8081, 0}) == bound);
    t.stack().ready(false);
    REQUIRE(t.stack().add_route({}, 0, t.interface(), peer_link_local).has_value());
    for (const std::uint16_t port : {std::uint16_t{8080}, std::uint16_t{80}}) {
        CAPTURE(port);
        const IpFields ip{.src = t.peer, .dst = moved_address, .next_header = proto_tcp};
        t.peer_sends_ip(ip_packet(ip, tcp_segment(ip.src, ip.dst, {.src_port = 41'000, .dst_port = port, .seq = 7, .flags = flag::syn, .window = 1000})));
        const Packet p = t.expect_packet();
        CHECK(p.src == moved_address);
        CHECK(p.tcp->flags == (flag::syn | flag::ack));
    }
    t.ignore_output();
}

WIRE_CASE("address map: two entries that change places, and one that goes where somebody is already", "[restore][map]") {
    Fixture t(way);
    REQUIRE(t.stack().add_address(t.interface(), other_address, 64).has_value());
    const auto bind = [&](const Ipv6Address& address, std::uint16_t port) {
        return *t.stack().bind(*t.stack().open_tcp(), {address, port, 0});
    };
    const SocketHandle first = bind(stack_address, 80);
    const SocketHandle second = bind(other_address, 80);
    const SocketHandle third = bind(stack_address, 81);
    t.settle().ignore_output();
    t.snapshot();
    const auto local = [&](SocketHandle s) { return t.stack().info(s)->local.address; };
    SECTION("in a circle") {
        const AddressMapping map[] = {{stack_address, other_address}, {other_address, stack_address}};
        t.crash_unready(1_s, {.address_map = map});
        CHECK(local(first) == other_address);
        CHECK(local(second) == stack_address);
        CHECK(local(third) == other_address);
        for (const SocketHandle s : {first, second, third}) CHECK(t.stack().info(s)->verdict == Verdict::resumed);
    }
    SECTION("onto another socket") {
        const AddressMapping map[] = {{stack_address, other_address}};
        t.crash_unready(1_s, {.address_map = map});
        CHECK(local(second) == other_address);
        CHECK(t.stack().info(second)->verdict == Verdict::resumed);
        CHECK(local(third) == other_address);
        // 80 is taken there: it stays, on an address that is gone, and says so.
        CHECK(local(first) == stack_address);
        CHECK(t.stack().info(first)->verdict == Verdict::address_gone);
        CHECK(t.stack().take_error(first) == Error::address_gone);
        std::array<AddressInfo, 8> all{};
        CHECK(t.stack().addresses(all) == 1);
    }
    SECTION("to any address") {
        const AddressMapping map[] = {{stack_address, {}}};
        t.crash_unready(1_s, {.address_map = map});
        CHECK(local(first).is_unspecified());
        CHECK(local(third).is_unspecified());
        CHECK(local(second) == other_address);
    }
    t.stack().ready(false);
    t.settle().ignore_output();
}

TEST_CASE("fencing: of two copies of one snapshot the second one is refused before anything of it exists", "[fence]") {
    Fixture t = established(Way::plain);
    t.app_sends(10).ignore_output();
    t.snapshot();
    SharedFence fence;
    const auto restore = [&](Arena& arena, const Bytes& snapshot) {
        return checkpoint::restore(arena.span(), t.config(), snapshot,
                                   {.now = t.now(), .fence = [&](std::uint64_t epoch) { return fence.may_speak(epoch); }});
    };
    Arena first(Stack::arena_bytes(t.config()));
    auto one = restore(first, t.durable_snapshot());
    REQUIRE(one.has_value());
    Arena second(Stack::arena_bytes(t.config()));
    const auto two = restore(second, t.durable_snapshot());
    REQUIRE_FALSE(two.has_value());
    CHECK(two.error().code == checkpoint::Code::fenced);
    CHECK(std::ranges::all_of(second.span(), [](std::byte b) { return b == std::byte{0}; }));
    CHECK(fence.asked == std::vector<std::uint64_t>{1, 1});
    // A snapshot of the copy that lives is a later epoch; the one that was refused is not.
    one->stack.ready(false);
    checkpoint::VectorSink sink;
    REQUIRE(checkpoint::encode(one->stack, *one->stack.cut(), {}, sink).has_value());
    CHECK(restore(second, sink.bytes).has_value());
    CHECK_FALSE(restore(second, sink.bytes).has_value());
    CHECK(fence.asked.back() == 2);
}

TEST_CASE("fencing: an arena that was copied is adopted by one of two, and the other copy is left as it was", "[fence]") {
    Fixture t = established(Way::plain);
    t.app_sends(10).ignore_output();
    const auto original = t.stack().core().world.header;
    const std::span<const std::byte> bytes{reinterpret_cast<const std::byte*>(original), original->bytes};
    SharedFence fence;
    Arena first(bytes.size());
    Arena second(bytes.size());
    std::memcpy(first.span().data(), bytes.data(), bytes.size());
    std::memcpy(second.span().data(), bytes.data(), bytes.size());
    auto one = Stack::attach(first.span(), t.config(), {.now = t.now(), .fence = &fence});
    REQUIRE(one.has_value());
    CHECK(Stack::attach(second.span(), t.config(), {.now = t.now(), .fence = &fence}).error() == Error::fenced);
    CHECK(std::ranges::equal(second.span(), bytes));
    CHECK(Stack::attach(second.span(), t.config(), {.now = t.now(), .fence = no_fence}).has_value());
    // The one that may speak counts on from there.
    CHECK(Stack::attach(first.span(), t.config(), {.now = t.now(), .fence = &fence}).has_value());
    CHECK(fence.asked == std::vector<std::uint64_t>{1, 1, 2});
}

TEST_CASE("attach takes a clone and an address map as restore does", "[clone][map]") {
    Fixture t = established(Way::plain);
    t.app_sends(10).ignore_output();
    const auto original = t.stack().core().world.header;
    Arena copy(original->bytes);
    std::memcpy(copy.span().data(), original, original->bytes);
    const AddressMapping map[] = {{stack_address, moved_address}};
    AttachOptions options{.now = t.now(), .address_map = map};
    SECTION("clone") {
        options.clone = true;
        auto stack = Stack::attach(copy.span(), t.config(), options);
        REQUIRE(stack.has_value());
        CHECK(stack->info(t.socket)->verdict == Verdict::dropped_by_policy);
        CHECK_FALSE(stack->core().world.stack().isn_key == t.world().stack().isn_key);
    }
    SECTION("map alone") {
        auto stack = Stack::attach(copy.span(), t.config(), options);
        REQUIRE(stack.has_value());
        CHECK(stack->info(t.socket)->verdict == Verdict::address_gone);
        std::array<AddressInfo, 8> all{};
        REQUIRE(stack->addresses(all) == 1);
        CHECK(all[0].address == moved_address);
    }
}
