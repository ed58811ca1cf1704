// The native interface in one file, as a kernel would use it: compiled with -ffreestanding -fno-exceptions
// -fno-rtti, with no library but keepnet's core. Two stacks talk over drivers/memory: one echoes, the other
// sends 100,000 bytes, checks what comes back, and closes. Time is a number that jumps to the next deadline.
// Gives 0 when all came back. (main.cpp is the hosted program around it.)
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/stack.hpp>

namespace {

using namespace keepnet;

constexpr std::uint16_t echo_port = 7;
constexpr std::uint32_t total = 100'000;

// A stack lives in one block of memory; this is all that it will ever use.
constexpr std::size_t arena_bytes = 8U << 20;
alignas(arena_alignment) std::byte memory_of_server[arena_bytes];
alignas(arena_alignment) std::byte memory_of_client[arena_bytes];

constexpr Ipv6Address server_address = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 1});
constexpr Ipv6Address client_address = Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 2});

constexpr StackConfig small() {
    StackConfig config;
    config.capacity.sockets = 16;
    config.capacity.tcp_connections = 16;
    config.capacity.tcp_tombstones = 4;
    config.capacity.tcp_listeners = 2;
    config.capacity.udp_sockets = 2;
    config.capacity.udp_datagrams = 16;
    config.capacity.slice_nodes = 2048;
    config.capacity.packet_buffers = 1024;
    config.capacity.shadow_objects = 64;
    config.capacity.sweep_queue_bytes = 1U << 16;
    return config;
}

std::expected<Stack, Error> make_host(std::span<std::byte> memory, LinkDevice& device,
                                      const Ipv6Address& address, Instant now, std::uint8_t seed) {
    CreateOptions options{.now = now, .arena_is_zeroed = true};
    options.entropy.fill(seed);  // a real embedder asks its hardware: nobody may guess these bytes
    auto stack = Stack::create(memory, small(), options);
    if (!stack) return stack;
    const auto interface = stack->attach_device(device, {});
    if (!interface) return std::unexpected(interface.error());
    if (const auto added = stack->add_address(*interface, address, 64); !added)
        return std::unexpected(added.error());
    return stack;
}

/// Serves any number of connections and keeps nothing of its own: what it has not echoed yet is still in the
/// socket.
class EchoServer {
  public:
    explicit EchoServer(Stack& stack) : stack_(stack) {}

    bool start() {
        const auto socket = stack_.open_tcp();
        if (!socket) return false;
        const auto bound = stack_.bind(*socket, {.port = echo_port});
        if (!bound) return false;
        const auto listening = stack_.listen(*bound, 8);
        if (!listening) return false;
        listener_ = *listening;
        return true;
    }

    void on_ready(SocketHandle socket) {
        if (socket == listener_) {
            while (const auto connection = stack_.accept(listener_)) echo(*connection);
        } else {
            echo(socket);
        }
    }

  private:
    void echo(SocketHandle socket) {
        for (;;) {
            ByteView piece[4];
            const auto pieces = stack_.peek(socket, piece);
            if (!pieces && pieces.error() == Error::would_block) return;
            if (!pieces) {  // end of stream, or the connection failed
                static_cast<void>(stack_.close(socket));
                return;
            }
            // What send() does not take stays where it is; writability will bring us back.
            const auto taken = stack_.send(socket, std::span<const ByteView>(piece, *pieces));
            if (!taken || !stack_.consume(socket, *taken)) return;
        }
    }

    Stack& stack_;
    SocketHandle listener_{};
};

class Client {
  public:
    explicit Client(Stack& stack) : stack_(stack) {}

    bool start() {
        const auto socket = stack_.open_tcp();
        if (!socket) return false;
        socket_ = *socket;
        return stack_.connect(socket_, {.address = server_address, .port = echo_port}).has_value();
    }

    void on_ready(SocketHandle) {
        const auto ready = stack_.readiness(socket_);
        if (!ready) return;
        if (ready->has(Readiness::error)) failed_ = true;
        if (ready->has(Readiness::writable)) write();
        if (ready->has(Readiness::readable)) read();
    }

    [[nodiscard]] bool done() const { return closed_; }
    [[nodiscard]] bool failed() const { return failed_; }

  private:
    static std::uint8_t byte_at(std::uint64_t offset) {
        return static_cast<std::uint8_t>(offset * 7 + offset / 251);
    }

    // Positions come from the handle's own offsets: they are right after any restart, too.
    void write() {
        for (auto info = stack_.info(socket_); info && info->tx_accepted < total;
             info = stack_.info(socket_)) {
            std::uint8_t block[1000];
            std::size_t size = 0;
            while (size < sizeof block && info->tx_accepted + size < total) {
                block[size] = byte_at(info->tx_accepted + size);
                ++size;
            }
            if (!stack_.send(socket_, ByteView(block, size))) return;
        }
        static_cast<void>(stack_.shutdown(socket_, CloseDirection::send));
    }

    void read() {
        for (;;) {
            const auto before = stack_.info(socket_);
            std::uint8_t block[1000];
            const auto got = stack_.receive(socket_, block);
            if (!before || (!got && got.error() == Error::would_block)) return;
            if (!got) {
                if (got.error() != Error::end_of_stream || before->rx_consumed != total) failed_ = true;
                closed_ = stack_.close(socket_).has_value();
                return;
            }
            for (std::size_t i = 0; i < *got; ++i) {
                if (block[i] != byte_at(before->rx_consumed + i)) failed_ = true;
            }
        }
    }

    Stack& stack_;
    SocketHandle socket_{};
    bool closed_ = false;
    bool failed_ = false;
};

/// One turn of an embedder's loop; answers when the stack wants the next one.
template <typename Application>
Instant turn(Stack& stack, Application& application, Instant now) {
    stack.poll(now);
    while (const auto socket = stack.next_ready()) application.on_ready(*socket);
    return stack.next_deadline();
}

}  // namespace

extern "C" int two_stacks();

extern "C" int two_stacks() {
    drivers::MemoryLink<64> link;
    Instant now{};
    auto server_stack = make_host(memory_of_server, link.a(), server_address, now, 1);
    auto client_stack = make_host(memory_of_client, link.b(), client_address, now, 2);
    if (!server_stack || !client_stack) return 2;

    EchoServer server(*server_stack);
    Client client(*client_stack);
    // A new address is probed for a second before it may be used (RFC 4862 5.4).
    const Instant address_ready = now + seconds(5);
    bool started = false;

    for (const Instant give_up = now + seconds(60); now < give_up && !client.done();) {
        if (!started && now >= address_ready) {
            if (!server.start() || !client.start()) return 3;
            started = true;
        }
        Instant next = earlier(turn(*server_stack, server, now), turn(*client_stack, client, now));
        if (!started) next = earlier(next, address_ready);
        // A real embedder sleeps here, until `next` or until its device has a frame.
        if (link.a().pending() == 0 && link.b().pending() == 0) now = later(now, earlier(next, give_up));
    }
    return client.done() && !client.failed() ? 0 : 1;
}
