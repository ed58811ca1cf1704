// DURABILITY 10: an arena whose owner died inside a step is taken back to the step's start. The owner dies at every place
// where it goes from one page of the arena to another: pages are made read-only but for a few, and the fault handler copies
// what a survivor would find, in the middle of the store.
#include <catch2/catch_test_macros.hpp>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "durability/undo.hpp"
#include "support/device.hpp"
#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

constexpr std::size_t page = 4096;

/// Copies of an arena and its undo record, taken while they are being written.
class Deaths {
  public:
    struct Remains {
        Arena arena;
        Arena undo;
    };
    Deaths(std::span<std::byte> arena, std::span<std::byte> undo) : arena_(arena), undo_(undo) {
        for (auto& r : remains_) r = {Arena(arena.size()), Arena(undo.size())};
    }

    /// Runs f() while every `stride`-th change of pages is a death, the first at `offset`.
    template <class F>
    void watch(std::size_t stride, std::size_t offset, F&& f) {
        stride_ = stride;
        next_ = offset;
        taken_ = faults_ = 0;
        open_.fill(nullptr);
        active_ = this;
        struct sigaction action{};
        struct sigaction before{};
        action.sa_sigaction = [](int, siginfo_t* info, void*) { active_->on_fault(static_cast<std::byte*>(info->si_addr)); };
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        REQUIRE(sigaction(SIGSEGV, &action, &before) == 0);
        protect(arena_.data(), arena_.size(), PROT_READ);
        f();
        protect(arena_.data(), arena_.size(), PROT_READ | PROT_WRITE);
        REQUIRE(sigaction(SIGSEGV, &before, nullptr) == 0);
        active_ = nullptr;
    }
    [[nodiscard]] std::span<Remains> remains() { return std::span(remains_).first(taken_); }
    [[nodiscard]] std::size_t faults() const { return faults_; }

  private:
    static void protect(std::byte* at, std::size_t bytes, int how) {
        if (::mprotect(at, (bytes + page - 1) / page * page, how) != 0) std::abort();
    }
    void on_fault(std::byte* at) {
        if (at < arena_.data() || at >= arena_.data() + arena_.size()) std::abort();
        if (faults_++ == next_ && taken_ != remains_.size()) {
            next_ += stride_;
            std::memcpy(remains_[taken_].arena.span().data(), arena_.data(), arena_.size());
            std::memcpy(remains_[taken_].undo.span().data(), undo_.data(), undo_.size());
            ++taken_;
        }
        std::byte*& oldest = open_[faults_ % open_.size()];
        if (oldest != nullptr) protect(oldest, page, PROT_READ);
        oldest = reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(at) / page * page);
        protect(oldest, page, PROT_READ | PROT_WRITE);
    }

    static inline Deaths* active_ = nullptr;
    std::span<std::byte> arena_;
    std::span<std::byte> undo_;
    std::array<Remains, 6> remains_;
    std::array<std::byte*, 4> open_{};  // one store may touch two pages
    std::size_t stride_ = 1, next_ = 0, taken_ = 0, faults_ = 0;
};

StackConfig config_of() {
    StackConfig config = sample_config();
    config.capacity.packet_buffers = 96;
    config.capacity.slice_nodes = 256;
    config.nd.dad_transmits = 0;
    config.tcp.receive_buffer = config.tcp.send_buffer = 20'000;
    return config;
}
constexpr auto address_of(std::uint16_t host) { return Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, host}); }
std::uint8_t byte_at(unsigned side, std::uint64_t position) {
    return static_cast<std::uint8_t>(position * 31 + position / 251 + side * 101);
}

struct Host {
    unsigned number;
    std::span<std::byte> undo;
    Arena arena{};
    ScriptedDevice device{MacAddress{{2, 0, 0, 0, 0, static_cast<std::uint8_t>(number)}}};
    std::optional<Stack> stack{};
    SocketHandle listener{}, socket{};

    void create(Instant now) {
        const StackConfig config = config_of();
        arena = Arena(Stack::arena_bytes(config));
        CreateOptions options{.now = now, .arena_is_zeroed = true, .undo = undo};
        options.entropy.fill(static_cast<std::uint8_t>(number));
        stack.emplace(std::move(*Stack::create(arena.span(), config, options)));
        const auto nic = stack->attach_device(device, {.link_local = false});
        REQUIRE(stack->add_address(*nic, address_of(static_cast<std::uint16_t>(number)), 64).has_value());
    }
    void adopt(Arena&& from, Instant now) {
        arena = std::move(from);
        AttachOptions options{.now = now, .elapsed = 1_s, .undo = undo};
        options.entropy.fill(7);
        auto back = Stack::attach(arena.span(), config_of(), options);
        REQUIRE(back.has_value());
        stack.emplace(std::move(*back));
        REQUIRE(stack->attach_device(device, {}).has_value());
        stack->ready(false);
    }
    /// The next bytes of its stream, as many as fit.
    void sends(std::size_t n) {
        std::vector<std::uint8_t> bytes(n);
        const std::uint64_t from = stack->info(socket)->tx_accepted;
        for (std::size_t i = 0; i < n; ++i) bytes[i] = byte_at(number, from + i);
        (void)stack->send(socket, bytes);
    }
    void reads(unsigned peer) {
        std::array<std::uint8_t, 3000> bytes{};
        const std::uint64_t from = stack->info(socket)->rx_consumed;
        const auto n = stack->receive(socket, bytes);
        if (!n) return;
        for (std::size_t i = 0; i < *n; ++i) REQUIRE(bytes[i] == byte_at(peer, from + i));
    }
};

void carry(Host& from, Host& to) {
    while (!from.device.from_stack.empty()) {
        to.device.to_stack.push_back(std::move(from.device.from_stack.front()));
        from.device.from_stack.pop_front();
    }
}

/// Both ways, until both sides have `total` bytes; false: they did not get there.
bool finish(Host& a, Host& b, Instant now, std::uint64_t total) {
    for (int round = 0; round < 4000; ++round) {
        for (Host* h : {&a, &b}) {
            const std::uint64_t sent = h->stack->info(h->socket)->tx_accepted;
            if (sent < total) h->sends(static_cast<std::size_t>(std::min<std::uint64_t>(total - sent, 1500)));
            h->stack->poll(now);
            h->reads(h == &a ? b.number : a.number);
            carry(*h, h == &a ? b : a);
        }
        if (a.stack->info(a.socket)->rx_consumed == total && b.stack->info(b.socket)->rx_consumed == total) return true;
        now = now + 5_ms;
    }
    return false;
}

/// What is in an arena, seen through views of the test's own.
struct View {
    World w{};
    explicit View(std::span<std::byte> arena) {
        ArenaCarver carver(arena.data());
        w.place(carver, config_of());
    }
};

}  // namespace

TEST_CASE("DURABILITY 10: a death anywhere in a step is taken back to its start, and the connection goes on with every byte") {
    Instant now{1'000'000'000'000};
    Arena undo(Stack::undo_bytes(config_of()));
    Host a{1, undo.span()};
    Host b{2, {}};
    a.create(now);
    b.create(now);
    a.listener = *a.stack->open_tcp();
    REQUIRE(a.stack->bind(a.listener, {.port = 80}).has_value());
    Deaths deaths(a.arena.span(), undo.span());
    std::size_t died = 0;
    std::size_t adopted = 0;
    std::size_t later_steps = 0;
    std::size_t call = 0;
    // Whatever a does, it may die in.
    const auto step = [&](auto&& f) {
        const Content before = content_of(a.stack->core().world);
        const std::uint64_t steps = a.stack->core().world.header->steps;
        const std::uint64_t generations = a.stack->core().world.header->generations;
        const CutNumber cut = a.stack->core().world.cuts().current;
        ++call;
        deaths.watch(1 + call % 7, call % 5, f);
        for (Deaths::Remains& r : deaths.remains()) {
            View left(r.arena.span());
            if (left.w.header->in_step == 0) continue;  // on the way in or out
            ++died;
            Arena arena(r.arena.span().size());
            std::memcpy(arena.span().data(), r.arena.span().data(), arena.span().size());
            const auto taken_back = durability::take_back_step(left.w, r.undo.span());
            CAPTURE(call, died);
            REQUIRE(taken_back.has_value());
            REQUIRE(left.w.header->in_step == 0);
            if (reinterpret_cast<UndoBlock*>(r.undo.span().data())->step == steps && left.w.header->steps == steps) {
                REQUIRE(left.w.header->generations == generations);
                REQUIRE(left.w.cuts().current == cut);
                REQUIRE(content_of(left.w) == before);
            } else {
                ++later_steps;  // a poll is several steps
            }
            REQUIRE(fault_of(left.w) == "");
            if (died % 97 != 0 || !a.socket || !b.socket) continue;
            // And all the way: both hosts as they were left, on a wire that lost what was on it.
            ++adopted;
            Host survivor{1, r.undo.span()};
            survivor.socket = a.socket;
            survivor.adopt(std::move(arena), now);
            Arena copy(b.arena.span().size());
            std::memcpy(copy.span().data(), b.arena.span().data(), copy.span().size());
            Host peer{2, {}};
            peer.socket = b.socket;
            peer.adopt(std::move(copy), now);
            REQUIRE(finish(survivor, peer, now, 70'000));  // more than either has sent by then
        }
    };

    step([&] { REQUIRE(a.stack->listen(a.listener, 4).has_value()); });
    b.socket = *b.stack->open_tcp();
    REQUIRE(b.stack->connect(b.socket, {.address = address_of(1), .port = 80}).has_value());
    for (int round = 0; round < 60; ++round) {
        b.stack->poll(now);
        carry(b, a);
        step([&] { a.stack->poll(now); });
        carry(a, b);
        if (!a.socket) {
            step([&] {
                if (const auto s = a.stack->accept(a.listener)) a.socket = *s;
            });
        } else {
            step([&] { a.sends(900); });
            b.sends(1100);
            step([&] { a.reads(2); });
            if (round % 2 == 0) b.reads(1);
        }
        if (round % 9 == 0) {
            step([&] {
                if (const auto cut = a.stack->cut()) (void)a.stack->committed(*cut);
            });
            step([&] { (void)a.stack->close(*a.stack->open_tcp()); });
        }
        now = now + 5_ms;
    }
    CHECK(died > 500);
    CHECK(later_steps > 20);
    CHECK(adopted >= 5);
    // The one that never died has lost nothing either.
    CHECK(finish(a, b, now, 90'000));
}

namespace {

/// Looks at the arena in the instant in which frames leave.
class WatchedDevice final : public LinkDevice {
  public:
    WatchedDevice(ScriptedDevice& device, std::function<void(std::span<const TxFrame>)> on_transmit)
        : device_(device), on_transmit_(std::move(on_transmit)) {}
    [[nodiscard]] LinkCapabilities capabilities() const override { return device_.capabilities(); }
    [[nodiscard]] LinkState link_state() const override { return device_.link_state(); }
    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override { return device_.receive(pool, frames); }
    std::size_t transmit(std::span<const TxFrame> frames) override {
        on_transmit_(frames);
        return device_.transmit(frames);
    }

  private:
    ScriptedDevice& device_;
    std::function<void(std::span<const TxFrame>)> on_transmit_;
};

}  // namespace

TEST_CASE("DURABILITY 10: what was sent was not in the step that is taken back: ACKs and SEQs stay true") {
    Instant now{1'000'000'000'000};
    Arena undo(Stack::undo_bytes(config_of()));
    Host a{1, undo.span()};
    Host b{2, {}};
    a.create(now);
    b.create(now);
    std::size_t looked = 0;
    WatchedDevice watched(a.device, [&](std::span<const TxFrame> frames) {
        Arena arena(a.arena.span().size());
        Arena record(undo.span().size());
        std::memcpy(arena.span().data(), a.arena.span().data(), arena.span().size());
        std::memcpy(record.span().data(), undo.span().data(), record.span().size());
        View left(arena.span());
        REQUIRE(left.w.header->in_step == 1);
        REQUIRE(durability::take_back_step(left.w, record.span()).has_value());
        for (const TxFrame& frame : frames) {
            Bytes bytes(frame.header.begin(), frame.header.end());
            for (const ByteView slice : frame.payload) bytes.insert(bytes.end(), slice.begin(), slice.end());
            const auto packet = read_frame(bytes);
            REQUIRE(packet.has_value());
            if (!packet->tcp) continue;
            ++looked;
            REQUIRE(left.w.connections.is_live(0));
            const TcpConnectionState& c = left.w.connections.get(0U);
            CHECK_FALSE(after(Seq{packet->tcp->ack}, c.rcv.nxt));
            CHECK_FALSE(after(Seq{packet->tcp->seq} + packet->tcp_length(), c.snd.max));
        }
    });
    REQUIRE(a.stack->detach_device(1).has_value());
    REQUIRE(a.stack->attach_device(watched, {}).has_value());
    a.listener = *a.stack->open_tcp();
    REQUIRE(a.stack->bind(a.listener, {.port = 80}).has_value());
    REQUIRE(a.stack->listen(a.listener, 4).has_value());
    b.socket = *b.stack->open_tcp();
    REQUIRE(b.stack->connect(b.socket, {.address = address_of(1), .port = 80}).has_value());
    for (int round = 0; round < 10 && !a.socket; ++round) {
        b.stack->poll(now);
        carry(b, a);
        a.stack->poll(now);
        carry(a, b);
        if (const auto s = a.stack->accept(a.listener)) a.socket = *s;
    }
    REQUIRE(static_cast<bool>(a.socket));
    REQUIRE(finish(a, b, now, 30'000));
    CHECK(looked > 30);
}

namespace {

/// An arena in the middle of a step, with its record.
struct Unfinished {
    Arena undo{Stack::undo_bytes(config_of())};
    Host host{1, undo.span()};
    UndoBlock* log = reinterpret_cast<UndoBlock*>(undo.span().data());

    Unfinished() {
        host.create(Instant{5});
        host.socket = *host.stack->open_tcp();
        World& w = host.stack->core().world;
        const Step step(host.stack->core());
        w.edit_stack().port_cursor += 1;
        w.sockets.edit(Handle<SocketState>{host.socket.raw}).options.hop_limit = 77;
        left = Arena(host.arena.span().size());
        std::memcpy(left.span().data(), host.arena.span().data(), left.span().size());
    }
    Arena left;
    std::expected<Stack, Error> attach(std::span<std::byte> with) {
        return Stack::attach(left.span(), config_of(), {.now = Instant{9}, .undo = with});
    }
};

}  // namespace

TEST_CASE("DURABILITY 10: without its record, or with another one, an arena in a step is refused and left as it was") {
    Unfinished u;
    const std::vector<std::byte> before{u.left.span().begin(), u.left.span().end()};
    Error expected = Error::arena_in_step;
    std::span<std::byte> with = u.undo.span();
    SECTION("none") { with = {}; }
    SECTION("empty memory") {
        std::memset(u.undo.span().data(), 0, u.undo.span().size());
    }
    SECTION("of another layout") { u.log->layout_hash ^= 1; }
    SECTION("of an earlier step") { u.log->step -= 3; }
    SECTION("that had no room") { u.log->overflow = 1; }
    SECTION("larger than its memory") { u.log->bytes += 8; }
    SECTION("misaligned") { with = with.subspan(8); }
    SECTION("with a length that cannot be") {
        u.log->used += 8;
        expected = Error::arena_damaged;
    }
    SECTION("with more than there is") {
        u.log->used = u.log->bytes;
        expected = Error::arena_damaged;
    }
    SECTION("of an object that cannot be") {
        reinterpret_cast<UndoEntry*>(u.undo.span().data() + undo_entries_at)->index = 1U << 23;
        expected = Error::arena_damaged;
    }
    SECTION("of a cut to come") {
        u.log->cut += 1;
        expected = Error::arena_damaged;
    }
    CHECK(name(u.attach(with).error()) == name(expected));
    CHECK(std::ranges::equal(u.left.span(), before));
}

TEST_CASE("DURABILITY 10: what the record holds is what comes back, and it serves the next owner") {
    Unfinished u;
    const SocketHandle socket = u.host.socket;
    auto stack = u.attach(u.undo.span());
    REQUIRE(stack.has_value());
    CHECK(stack->option(socket, SocketOption::hop_limit) == 0);
    CHECK(stack->core().world.undo == u.log);
    REQUIRE(stack->set_option(socket, SocketOption::hop_limit, 5).has_value());
    // The next owner dies as well; and one that dies between its last store and the end has lost nothing.
    ArenaHeader& header = *stack->core().world.header;
    header.in_step = 1;
    auto again = u.attach(u.undo.span());
    REQUIRE(again.has_value());
    CHECK(again->option(socket, SocketOption::hop_limit) == 5);
}

TEST_CASE("DURABILITY 10: a buffer freed in a step keeps its bytes until the step is over") {
    Sample sample;
    Arena undo(Stack::undo_bytes(sample.config));
    auto stack = Stack::attach(sample.arena.span(), sample.config, {.now = Instant{9}, .undo = undo.span()});
    REQUIRE(stack.has_value());
    World& w = stack->core().world;
    const Content before = content_of(w);
    const SocketHandle socket = stack->next_socket({});
    const std::uint32_t parked = w.pool.parked();  // attach is a step, too
    const auto overwrite_what_is_free = [&] {
        std::vector<BufferIndex> taken;
        for (BufferIndex i = w.pool.allocate(PoolUse::receive); i != no_buffer; i = w.pool.allocate(PoolUse::receive)) {
            std::ranges::fill(w.pool.buffer(i), std::uint8_t{0xee});
            taken.push_back(i);
        }
        for (const BufferIndex i : taken) w.pool.release(i);
        return taken.size();
    };
    std::size_t free_in_step = 0;
    {
        const Step step(stack->core());
        auto cx = stack->core().tcp_context();
        REQUIRE(tcp::consume(cx, {socket.raw}, 400).has_value());  // all of one buffer
        REQUIRE(w.pool.parked() == parked + 1);
        free_in_step = overwrite_what_is_free();
        Arena left(sample.arena.span().size());
        std::memcpy(left.span().data(), sample.arena.span().data(), left.span().size());
        Arena record(undo.span().size());
        std::memcpy(record.span().data(), undo.span().data(), record.span().size());
        World looked_at{};
        ArenaCarver carver(left.span().data());
        looked_at.place(carver, sample.config);
        REQUIRE(durability::take_back_step(looked_at, record.span()).has_value());
        CHECK(content_of(looked_at) == before);
    }
    // And then it is free like any other.
    stack->poll(Instant{10});
    const Step step(stack->core());
    CHECK(overwrite_what_is_free() == free_in_step + parked + 1);
}

TEST_CASE("DURABILITY 10: a step too large for its record cannot be taken back, and the next one can") {
    Arena small(128 * 1024);
    Host host{1, small.span()};
    host.create(Instant{5});
    auto* log = reinterpret_cast<UndoBlock*>(small.span().data());
    World& w = host.stack->core().world;
    const SocketHandle s = *host.stack->open_tcp();
    {
        const Step step(host.stack->core());
        for (int i = 0; i < 2000; ++i) {
            log->seen.fill(0);
            w.sockets.edit(Handle<SocketState>{s.raw}).options.hop_limit = 9;
        }
        CHECK(log->overflow == 1);
        Arena left(host.arena.span().size());
        std::memcpy(left.span().data(), host.arena.span().data(), left.span().size());
        CHECK(Stack::attach(left.span(), config_of(), {.now = Instant{9}, .undo = small.span()}).error() == Error::arena_in_step);
    }
    {
        const Step step(host.stack->core());
        CHECK(log->overflow == 0);
        w.sockets.edit(Handle<SocketState>{s.raw}).options.hop_limit = 10;
        Arena left(host.arena.span().size());
        std::memcpy(left.span().data(), host.arena.span().data(), left.span().size());
        Arena record(small.span().size());
        std::memcpy(record.span().data(), small.span().data(), record.span().size());
        auto stack = Stack::attach(left.span(), config_of(), {.now = Instant{9}, .undo = record.span()});
        REQUIRE(stack.has_value());
        CHECK(stack->option(s, SocketOption::hop_limit) == 9);
    }
    CHECK(Stack::create(host.arena.span(), config_of(), {.undo = small.span().first(4096)}).error() == Error::invalid_argument);
}
