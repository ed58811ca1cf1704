// Two hosts, both of which go away: frozen at one instant, restored minutes apart in any order; and everything that was
// on its way, unread, half closed or half open at that instant arrives once.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <optional>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "support/arena.hpp"
#include "support/device.hpp"
#include "support/sample_config.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

constexpr auto address_of(std::uint16_t host) {
    return Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, host});
}
constexpr Duration one_way = 1_ms;

std::uint8_t byte_at(std::uint8_t side, std::uint64_t position) {
    return static_cast<std::uint8_t>(position * 31 + position / 251 + side * 101);
}

/// A stack and the one thing that its application knows: its handles.
class Host {
  public:
    Host(std::uint8_t number, Instant now) : number_(number), device_(MacAddress{{2, 0, 0, 0, 0, number}}) {
        config_ = sample_config();
        config_.capacity.packet_buffers = 512;
        config_.capacity.slice_nodes = 1024;
        config_.nd.dad_transmits = 0;
        config_.tcp.receive_buffer = config_.tcp.send_buffer = 64U * 1024 - 1;
        arena_ = Arena(Stack::arena_bytes(config_));
        CreateOptions options{.now = now, .arena_is_zeroed = true};
        options.entropy.fill(number);
        stack_.emplace(std::move(*Stack::create(arena_.span(), config_, options)));
        const auto nic = stack_->attach_device(device_, {.link_local = false});
        REQUIRE(stack_->add_address(*nic, address_of(number), 64).has_value());
    }

    [[nodiscard]] bool is_up() const { return stack_.has_value(); }
    Stack& stack() { return *stack_; }
    ScriptedDevice& device() { return device_; }
    SocketHandle listener{};
    SocketHandle socket{};

    void freeze() {
        const auto cut = stack_->cut();
        checkpoint::VectorSink sink;
        REQUIRE(checkpoint::encode(*stack_, *cut, {}, sink).has_value());
        snapshot_ = std::move(sink.bytes);
        stack_.reset();
        device_.from_stack.clear();
        device_.to_stack.clear();
    }
    void thaw(Instant now, Duration elapsed) {
        arena_ = Arena(Stack::arena_bytes(config_));
        checkpoint::RestoreOptions options{.now = now, .elapsed = elapsed, .arena_is_zeroed = true};
        options.entropy.fill(static_cast<std::uint8_t>(number_ + 10));
        auto back = checkpoint::restore(arena_.span(), config_, snapshot_, options);
        REQUIRE(back.has_value());
        stack_.emplace(std::move(back->stack));
        REQUIRE(stack_->attach_device(device_, {}).has_value());
        for (const SocketHandle s : {listener, socket}) {
            if (s) REQUIRE(stack_->claim(s).has_value());
        }
        stack_->ready(true);
    }

    /// The bytes of its stream at the peer are byte_at(number, position).
    void sends(std::size_t n) {
        std::vector<std::uint8_t> bytes(n);
        const std::uint64_t from = stack_->info(socket)->tx_accepted;
        for (std::size_t i = 0; i < n; ++i) bytes[i] = byte_at(number_, from + i);
        REQUIRE(stack_->send(socket, bytes) == n);
    }
    /// Everything there is; false: the stream has not ended. Bytes must be the peer's, each once.
    bool reads_all(std::uint8_t peer) {
        for (;;) {
            std::array<std::uint8_t, 4096> bytes{};
            const std::uint64_t from = stack_->info(socket)->rx_consumed;
            const auto n = stack_->receive(socket, bytes);
            if (!n) return n.error() == Error::end_of_stream;
            for (std::size_t i = 0; i < *n; ++i) REQUIRE(bytes[i] == byte_at(peer, from + i));
        }
    }

  private:
    std::uint8_t number_;
    StackConfig config_;
    ScriptedDevice device_;
    Arena arena_;
    std::optional<Stack> stack_;
    std::vector<std::uint8_t> snapshot_;
};

/// Both hosts and the wire between them. A frame for a host that is down is lost.
class Pair {
  public:
    Instant now{1'000'000'000'000};
    Host a{1, now};
    Host b{2, now};

    void run(Duration d) {
        const Instant end = now + d;
        for (;;) {
            step();
            Instant next = end;
            for (Host* h : {&a, &b}) {
                if (h->is_up()) next = earlier(next, later(h->stack().next_deadline(), now));
            }
            for (const Flight& f : wire_) next = earlier(next, f.due);
            if (next >= end && now >= end) return;
            now = next > now ? next : now;
            if (now >= end) {
                step();
                return;
            }
        }
    }
    void connect() {
        a.listener = *a.stack().open_tcp();
        REQUIRE(a.stack().bind(a.listener, {.port = 80}).has_value());
        REQUIRE(a.stack().listen(a.listener, 4).has_value());
        b.socket = *b.stack().open_tcp();
        REQUIRE(b.stack().connect(b.socket, {.address = address_of(1), .port = 80}).has_value());
    }
    void accept() {
        const auto s = a.stack().accept(a.listener);
        REQUIRE(s.has_value());
        a.socket = *s;
    }

  private:
    struct Flight {
        Instant due;
        Host* to;
        Bytes frame;
    };
    void step() {
        for (bool moved = true; moved;) {
            moved = false;
            for (auto f = wire_.begin(); f != wire_.end();) {
                if (f->due > now) {
                    ++f;
                    continue;
                }
                if (f->to->is_up()) f->to->device().to_stack.push_back(std::move(f->frame));
                f = wire_.erase(f);
            }
            for (Host* h : {&a, &b}) {
                if (!h->is_up()) continue;
                const bool due = !h->device().to_stack.empty() || h->stack().next_deadline() <= now;
                if (due) h->stack().poll(now);
                Host* other = h == &a ? &b : &a;
                while (!h->device().from_stack.empty()) {
                    wire_.push_back({now + one_way, other, std::move(h->device().from_stack.front())});
                    h->device().from_stack.pop_front();
                }
                moved = moved || due;
            }
        }
    }
    std::vector<Flight> wire_;
};

/// Who comes back first, and how long after it the other one.
struct Order {
    bool a_first;
    Duration gap;
};
constexpr Order orders[] = {{true, Duration{}}, {true, 3_s}, {false, 3_s}, {true, 180_s}, {false, 180_s}};

void freeze_both(Pair& p) {
    p.a.freeze();
    p.b.freeze();
}
/// Both back, 30 s and 30 s + gap after the freeze.
void thaw_both(Pair& p, const Order& order) {
    Host& first = order.a_first ? p.a : p.b;
    Host& second = order.a_first ? p.b : p.a;
    p.run(30_s);
    first.thaw(p.now, 30_s);
    p.run(order.gap);
    second.thaw(p.now, 30_s + order.gap);
}

}  // namespace

TEST_CASE("both ends frozen, restored minutes apart in any order: every byte once, and no timer is waited for") {
    for (const Order& order : orders) {
        CAPTURE(order.a_first, order.gap.ms());
        Pair p;
        p.connect();
        p.run(100_ms);
        p.accept();
        p.a.sends(60'000);
        p.b.sends(50'000);
        p.run(5_ms);  // data and ACKs are on the wire in both directions, and some is unread
        freeze_both(p);
        thaw_both(p, order);
        // Two round trips and a delayed ACK, not what a back-off of minutes has come to.
        p.run(100_ms);
        CHECK(p.a.stack().info(p.a.socket)->verdict == Verdict::resumed);
        CHECK(p.b.stack().info(p.b.socket)->verdict == Verdict::resumed);
        CHECK(p.b.stack().info(p.b.socket)->receive_queue_bytes > 20'000);
        CHECK(p.a.stack().info(p.a.socket)->receive_queue_bytes > 20'000);
        REQUIRE(p.a.stack().shutdown(p.a.socket, CloseDirection::send).has_value());
        REQUIRE(p.b.stack().shutdown(p.b.socket, CloseDirection::send).has_value());
        bool a_ended = false;
        bool b_ended = false;
        for (int i = 0; i < 20 && !(a_ended && b_ended); ++i) {
            a_ended = p.a.reads_all(2);
            b_ended = p.b.reads_all(1);
            p.run(100_ms);
        }
        CHECK(a_ended);
        CHECK(b_ended);
        CHECK(p.a.stack().info(p.a.socket)->rx_consumed == 50'000);
        CHECK(p.b.stack().info(p.b.socket)->rx_consumed == 60'000);
    }
}

TEST_CASE("every way to end, frozen at both ends at every point of it, with unread data and FINs") {
    // Each script runs step by step; the freeze comes behind step `at`.
    using Step = void (*)(Pair&);
    constexpr Step a_closes = [](Pair& p) { (void)p.a.stack().shutdown(p.a.socket, CloseDirection::send); };
    constexpr Step b_closes = [](Pair& p) { (void)p.b.stack().shutdown(p.b.socket, CloseDirection::send); };
    constexpr Step half_way = [](Pair& p) { p.run(one_way); };
    constexpr Step arrive = [](Pair& p) { p.run(100_ms); };
    const std::vector<std::vector<Step>> scripts{
        {a_closes, half_way, arrive, b_closes, half_way, half_way, arrive},
        {b_closes, half_way, arrive, a_closes, half_way, half_way, arrive},
        {[](Pair& p) { a_closes(p), b_closes(p); }, half_way, half_way, half_way, arrive},
        {a_closes, half_way, b_closes, half_way, half_way, arrive},
    };
    for (std::size_t script = 0; script < scripts.size(); ++script) {
        for (std::size_t at = 0; at < scripts[script].size(); ++at) {
            for (const Order& order : {orders[0], orders[1], orders[2]}) {
                CAPTURE(script, at, order.a_first, order.gap.ms());
                Pair p;
                p.connect();
                p.run(100_ms);
                p.accept();
                p.a.sends(3000);
                p.b.sends(2000);
                for (std::size_t i = 0; i < scripts[script].size(); ++i) {
                    scripts[script][i](p);
                    if (i != at) continue;
                    freeze_both(p);
                    thaw_both(p, order);
                }
                p.run(1_s);
                CHECK(p.a.reads_all(2));
                CHECK(p.b.reads_all(1));
                CHECK(p.a.stack().info(p.a.socket)->rx_consumed == 2000);
                CHECK(p.b.stack().info(p.b.socket)->rx_consumed == 3000);
                p.run(70_s);
                for (Host* h : {&p.a, &p.b}) {
                    const auto info = h->stack().info(h->socket);
                    CHECK(info->phase == TcpPhase::closed);
                    CHECK(keepnet::name(info->error) == keepnet::name(Error::invalid));
                    // `closed` where both sides had ended by then; `resumed` where the end came after.
                    CHECK((info->verdict == Verdict::closed || info->verdict == Verdict::resumed));
                }
            }
        }
    }
}

TEST_CASE("a handshake frozen at both ends at each of its instants is completed") {
    for (const Duration at : {Duration{}, 1_ms, 2_ms, 3_ms, 4_ms, 5_ms, 6_ms}) {
        // A client that finds nobody on the link for seconds says so, and a server forgets a handshake after a minute, as
        // they always do.
        for (const Order& order : {orders[0], orders[1]}) {
            CAPTURE(at.us(), order.a_first, order.gap.ms());
            Pair p;
            p.connect();
            p.run(at);
            freeze_both(p);
            thaw_both(p, order);
            p.run(4_s);  // RFC 6298 5.7: a SYN may wait out its first time-out
            p.accept();
            p.b.sends(100);
            p.run(1_s);
            CHECK_FALSE(p.a.reads_all(2));
            CHECK(p.a.stack().info(p.a.socket)->rx_consumed == 100);
        }
    }
}
