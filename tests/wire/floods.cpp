// Floods: a million frames, made as they are wanted, for one stack under virtual time. What is bounded is looked at while
// they come, not afterwards.
#include <cstring>
#include <functional>

#include "support/fixture.hpp"
#include "tcp/verbs.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

/// A point-to-point link whose other end is a function; what the stack sends is read and forgotten.
class FloodDevice final : public LinkDevice {
  public:
    std::size_t left = 0;                           ///< frames still to come
    std::function<void(MutableBytes)> change{};     ///< makes the next frame out of `frame`
    Bytes frame{};
    std::function<void(const Packet&)> on_sent{};   ///< of those that `looks_at` wants
    std::uint16_t looks_at = 0;                     ///< destination port; 0: none
    std::size_t sent = 0;

    [[nodiscard]] LinkCapabilities capabilities() const override {
        return {.mac = stack_mac, .rx_checksum_verified = true, .point_to_point = true};
    }
    [[nodiscard]] LinkState link_state() const override { return LinkState::up; }
    std::size_t receive(FramePool& pool, std::span<RxFrame> frames) override {
        std::size_t n = 0;
        for (; n < frames.size() && left != 0; ++n) {
            const BufferIndex buffer = pool.allocate();
            if (buffer == no_buffer) break;
            change(frame);
            std::memcpy(pool.bytes(buffer).data(), frame.data(), frame.size());
            frames[n] = {.buffer = buffer, .length = static_cast<std::uint16_t>(frame.size()), .checksum_verified = true};
            --left;
        }
        return n;
    }
    std::size_t transmit(std::span<const TxFrame> frames) override {
        for (const TxFrame& f : frames) {
            ++sent;
            const std::size_t port_at = 14 + 40 + 2;
            if (looks_at == 0 || f.header.size() < port_at + 2 || get16(f.header, port_at) != looks_at) continue;
            Bytes bytes(f.header.begin(), f.header.end());
            for (const ByteView slice : f.payload) bytes.insert(bytes.end(), slice.begin(), slice.end());
            const auto packet = read_frame(bytes);
            REQUIRE(packet.has_value());
            on_sent(*packet);
        }
        return frames.size();
    }
};

constexpr std::uint16_t legitimate_port = 40'000;
constexpr std::size_t source_at = 14 + 8;           // of the IPv6 source in a frame
constexpr std::size_t port_at = 14 + 40;            // of the TCP source port
constexpr std::size_t seq_at = port_at + 4;

Bytes frame_of(const TcpFields& tcp) {
    const IpFields ip{.src = peer_address, .dst = stack_address, .next_header = proto_tcp};
    return ethernet(stack_mac, peer_mac, 0x86dd, ip_packet(ip, tcp_segment(ip.src, ip.dst, tcp)));
}

void store32(MutableBytes out, std::size_t at, std::uint32_t v) {
    for (std::size_t i = 0; i < 4; ++i) out[at + i] = static_cast<std::uint8_t>(v >> (24 - 8 * i));
}

/// A stack that listens at port 80, and the one client that means it.
struct Flooded {
    Instant now{1'000'000'000'000};
    FloodDevice device{};
    StackConfig config;
    Arena arena;
    std::optional<Stack> stack{};
    SocketHandle listener{};
    std::optional<TcpFields> answer{};  ///< the last segment for the client

    explicit Flooded(const StackConfig& c) : config(c), arena(Stack::arena_bytes(c)) {
        auto made = Stack::create(arena.span(), config, {.now = now, .arena_is_zeroed = true});
        REQUIRE(made.has_value());
        stack.emplace(std::move(*made));
        const auto nic = stack->attach_device(device, {.link_local = false});
        REQUIRE(nic.has_value());
        REQUIRE(stack->add_address(*nic, stack_address, 64).has_value());
        REQUIRE(stack->add_route({}, 0, *nic, {}).has_value());
        listener = *stack->open_tcp();
        REQUIRE(stack->bind(listener, {.port = 80}).has_value());
        REQUIRE(stack->listen(listener, 16).has_value());
        device.looks_at = legitimate_port;
        device.on_sent = [this](const Packet& p) { answer = p.tcp; };
    }
    World& world() { return stack->core().world; }
    /// `n` frames like `frame`, each changed by `change`, a microsecond each; `look` after every burst.
    void pour(Bytes frame, std::size_t n, std::function<void(MutableBytes)> change, const std::function<void()>& look) {
        device.frame = std::move(frame);
        device.change = std::move(change);
        device.left = n;
        while (device.left != 0) {
            now = now + microseconds(config.poll.receive_burst);
            stack->poll(now);
            look();
        }
    }
    void one(const TcpFields& tcp) {
        pour(frame_of(tcp), 1, [](MutableBytes) {}, [] {});
    }
    TcpFields from_client(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack) {
        return {.src_port = legitimate_port, .dst_port = 80, .seq = seq, .ack = ack, .flags = flags, .window = 60'000};
    }
    /// Handshake, and two bytes each way.
    SocketHandle converse(bool sack = false) {
        TcpFields opening = from_client(flag::syn, 1000, 0);
        opening.mss = 1440;
        opening.sack_permitted = sack;
        answer.reset();
        one(opening);
        REQUIRE(answer);
        REQUIRE(answer->flags == (flag::syn | flag::ack));
        REQUIRE(answer->ack == 1001);
        const std::uint32_t iss = answer->seq;
        TcpFields hello = from_client(flag::ack | flag::psh, 1001, iss + 1);
        hello.payload = {'h', 'i'};
        one(hello);
        const auto socket = stack->accept(listener);
        REQUIRE(socket.has_value());
        Bytes got(2);
        CHECK(stack->receive(*socket, got) == std::size_t{2});
        CHECK(got == hello.payload);
        const Bytes reply{'y', 'o'};
        CHECK(stack->send(*socket, ByteView(reply)) == std::size_t{2});
        answer.reset();
        stack->poll(now);
        REQUIRE(answer);
        CHECK(answer->payload == reply);
        one(from_client(flag::ack, 1003, iss + 3));
        CHECK(stack->info(*socket)->tx_acknowledged == 2);
        return *socket;
    }
    void close_all(SocketHandle socket) {
        CHECK(stack->abort(socket).has_value());
        CHECK(stack->abort(listener).has_value());
        for (int i = 0; i < 400; ++i) stack->poll(now = now + 1_s);
        CHECK(world().connections.in_use() == 0);
        CHECK(world().pool.in_use() == 0);
    }
};

}  // namespace

TEST_CASE("RFC 4987: in a flood of 1,000,000 spoofed SYNs a client connects, and memory is bounded", "[floods]") {
    StackConfig config;
    config.poll.receive_burst = 64;
    Flooded f(config);
    std::uint64_t spoofed = 0;
    std::uint32_t connections_most = 0, buffers_most = 0;
    const auto spoof = [&](MutableBytes frame) {
        ++spoofed;
        store32(frame, source_at + 8, static_cast<std::uint32_t>(spoofed * 2654435761U));
        store32(frame, source_at + 12, static_cast<std::uint32_t>(spoofed));
        store32(frame, seq_at, static_cast<std::uint32_t>(spoofed * 40503U));
        frame[port_at] = static_cast<std::uint8_t>(1 + spoofed % 100);
    };
    const auto look = [&] {
        connections_most = std::max(connections_most, f.world().connections.in_use());
        buffers_most = std::max(buffers_most, f.world().pool.in_use());
    };
    TcpFields syn_of{.src_port = 3, .dst_port = 80, .flags = flag::syn, .window = 1000};
    syn_of.mss = 1440;
    f.pour(frame_of(syn_of), 500'000, spoof, look);
    const SocketHandle socket = f.converse();
    f.pour(frame_of(syn_of), 500'000, spoof, look);
    CHECK(spoofed == 1'000'000);
    // Half-open records, and the client's.
    CHECK(connections_most <= config.tcp.listen_half_open + 1);
    CHECK(buffers_most <= 2 * config.poll.receive_burst);
    CHECK(f.stack->statistics().tcp_cookies_sent > 900'000);
    CHECK(f.stack->info(socket)->phase == TcpPhase::established);
    f.close_all(socket);
}

TEST_CASE("RFC 9293 3.10.7.4, RFC 2018 3: a million one-byte segments out of order take bounded memory and lose nothing", "[floods]") {
    const bool sack = GENERATE(false, true);  // reported block by block, or not
    CAPTURE(sack);
    StackConfig config;
    Flooded f(config);
    const SocketHandle socket = f.converse(sack);
    const TcpConnectionState& c = f.world().connections.get(f.world().sockets.get(Handle<SocketState>{socket.raw}).connection);
    const std::uint32_t start = c.rcv.nxt.raw;
    const std::uint32_t window = c.rcv.adv - c.rcv.nxt;
    std::uint32_t place = 0;
    const auto scatter = [&](MutableBytes frame) {
        // Every second byte of the window, in no order, again and again.
        place = (place + 30'011) % (window / 2);
        store32(frame, seq_at, start + 1 + 2 * place);
    };
    std::uint32_t nodes_most = 0, buffers_most = 0, connections_most = 0;
    TcpFields byte = f.from_client(flag::ack, start, c.snd.nxt.raw);
    byte.payload = {'x'};
    f.device.looks_at = 0;
    f.pour(frame_of(byte), 1'000'000, scatter, [&] {
        nodes_most = std::max(nodes_most, f.world().slice_nodes.in_use());
        buffers_most = std::max(buffers_most, f.world().pool.in_use());
        connections_most = std::max(connections_most, f.world().connections.in_use());
    });
    CHECK(nodes_most <= config.tcp.out_of_order_segments);
    CHECK(nodes_most >= config.tcp.out_of_order_segments / 2);
    CHECK(buffers_most <= config.tcp.out_of_order_segments + 2 * config.poll.receive_burst);
    CHECK(connections_most == 1);
    // What is in order is taken as ever, whatever waits behind it.
    const std::uint32_t whole = 1400;
    byte.seq = start;
    byte.payload = Bytes(whole, 'x');
    f.device.looks_at = legitimate_port;
    f.one(byte);
    const std::size_t readable = f.stack->info(socket)->receive_queue_bytes;
    CHECK(readable >= whole);
    Bytes got(readable);
    CHECK(f.stack->receive(socket, got) == readable);
    CHECK(got == Bytes(readable, 'x'));
    f.stack->poll(f.now = f.now + 1_s);
    REQUIRE(f.answer);
    CHECK(f.answer->ack == start + readable);
    CHECK(f.stack->info(socket)->phase == TcpPhase::established);
    f.close_all(socket);
}

TEST_CASE("RFC 2018, 6675, bad input: a million segments with SACK blocks of every kind take bounded memory, and let out less than came",
          "[floods]") {
    StackConfig config;
    Flooded f(config);
    const SocketHandle socket = f.converse(true);
    const Bytes text(60'000, 'x');
    REQUIRE(f.stack->send(socket, ByteView(text)) == text.size());
    f.device.looks_at = 0;
    f.stack->poll(f.now);
    const TcpConnectionState& c = f.world().connections.get(f.world().sockets.get(Handle<SocketState>{socket.raw}).connection);
    REQUIRE(c.sack.permitted);
    REQUIRE(c.snd.max - c.snd.una >= 10'000);
    const Seq una = c.snd.una;
    const std::uint64_t bytes_before = c.counters.bytes_out;
    std::uint32_t dice = 1;
    const auto next = [&dice] { return (dice = dice * 1'664'525U + 1'013'904'223U) >> 8; };
    const auto report = [&](MutableBytes frame) {
        const std::size_t blocks_at = 14 + 40 + 20 + 4;
        for (std::size_t i = 0; i < 4; ++i) {
            // A byte here and there of what was sent, a little of what was not; or anything.
            const bool is_wild = next() % 8 == 0;
            const std::uint32_t left = is_wild ? next() * 257U : una.raw + next() % 62'000;
            store32(frame, blocks_at + 8 * i, left);
            store32(frame, blocks_at + 8 * i + 4, left + (is_wild ? next() : 1 + next() % 2));
        }
    };
    TcpFields ack = f.from_client(flag::ack, 1003, una.raw);
    ack.sack = {{1, 2}, {3, 4}, {5, 6}, {7, 8}};
    const Bytes frame = frame_of(ack);
    std::uint32_t ranges_most = 0, nodes_most = 0, buffers_most = 0;
    f.pour(frame, 1'000'000, report, [&] {
        ranges_most = std::max(ranges_most, f.world().sent_ranges.in_use());
        nodes_most = std::max(nodes_most, f.world().slice_nodes.in_use());
        buffers_most = std::max(buffers_most, f.world().pool.in_use());
    });
    CHECK(c.snd.una == una);
    CHECK(ranges_most == config.tcp.sent_ranges);
    CHECK(nodes_most <= 64);
    CHECK(buffers_most <= 64 + 2 * config.poll.receive_burst);
    CHECK(c.counters.bytes_out - bytes_before < frame.size() * 1'000'000 / 10);
    CHECK(f.stack->info(socket)->phase == TcpPhase::established);
    // What is acknowledged is acknowledged, and the rest follows.
    for (int i = 0; i < 100 && f.stack->info(socket)->tx_acknowledged != 2 + text.size(); ++i) {
        f.one(f.from_client(flag::ack, 1003, c.snd.max.raw));
        f.stack->poll(f.now = f.now + 100_ms);
    }
    CHECK(f.stack->info(socket)->tx_acknowledged == 2 + text.size());
    CHECK(f.world().sent_ranges.in_use() == 0);
    f.close_all(socket);
}
