#include "bench/pair.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <sys/mman.h>

namespace keepnet::bench {
namespace {

constexpr std::uint16_t port = 7;
constexpr Duration poll_interval = microseconds(5);

/// A benchmark cannot go on after a failure; Google Benchmark shows the message.
template <class T>
T must(std::expected<T, Error> result, const char* what) {
    if (!result) throw std::runtime_error(std::string(what) + ": " + std::string(name(result.error())));
    if constexpr (!std::is_void_v<T>) return *std::move(result);
}

Stack make_stack(std::span<std::byte> arena, const StackConfig& config, std::uint8_t number) {
    CreateOptions options{.now = Instant{1}, .arena_is_zeroed = true};
    options.entropy.fill(number);
    return must(Stack::create(arena, config, options), "create");
}

LinkCapabilities capabilities(std::uint16_t mtu, std::uint8_t number) {
    LinkCapabilities of_device = drivers::memory_capabilities(number);
    of_device.mtu = mtu;
    return of_device;
}

}  // namespace

ArenaMemory::ArenaMemory(std::size_t bytes) {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    bytes_ = {static_cast<std::byte*>(memory), bytes};
}

ArenaMemory::~ArenaMemory() { munmap(bytes_.data(), bytes_.size()); }

StackConfig config_for(std::uint32_t connections) {
    StackConfig config;
    config.capacity.sockets = connections + 16;
    config.capacity.tcp_connections = connections + 16;
    config.capacity.tcp_tombstones = connections + 16;
    config.nd.dad_transmits = 0;
    return config;
}

Pair::Host::Host(const StackConfig& config, std::uint8_t number)
    : memory(Stack::arena_bytes(config)), stack(make_stack(memory.bytes(), config, number)) {
    address = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, number});
}

Pair::Pair(const StackConfig& config, std::uint16_t mtu) : Pair(config, config, mtu) {}

Pair::Pair(const StackConfig& client, const StackConfig& server, std::uint16_t mtu,
           const std::function<void(Stack&)>& prepare)
    : link_(capabilities(mtu, 1), capabilities(mtu, 2)), client_(client, 1), server_(server, 2) {
    if (prepare) prepare(server_.stack);
    for (auto [host, device] : {std::pair{&client_, &link_.a()}, std::pair{&server_, &link_.b()}}) {
        const InterfaceIndex interface = must(host->stack.attach_device(*device, {}), "attach");
        must(host->stack.add_address(interface, host->address, 64), "add_address");
    }
}

/// The port of connection number `n`; the server listens on it from now on.
std::uint16_t Pair::port_of(std::uint32_t n) {
    constexpr std::uint32_t connections_each = 8192;  // well below the number of ephemeral ports
    const std::uint32_t listener = n / connections_each;
    const auto result = static_cast<std::uint16_t>(port + listener);
    if (listener == listeners_.size()) {
        SocketHandle socket = must(server_.stack.open_tcp(), "open");
        socket = must(server_.stack.bind(socket, {.port = result}), "bind");
        listeners_.push_back(must(server_.stack.listen(socket, 256), "listen"));
    }
    return result;
}

void Pair::pass_time() { now_ = clock ? later(now_, clock()) : now_ + poll_interval; }

void Pair::poll() {
    pass_time();
    client_.stack.poll(now_);
    server_.stack.poll(now_);
    if (after_poll) after_poll();
}

void Pair::settle() {
    for (const Instant end = now_ + milliseconds(100); now_ < end;) poll();  // longer than a delayed ACK
}

void Pair::connect(std::uint32_t count) {
    constexpr std::uint32_t batch = 64;  // below the listener's half-open limit: no SYN cookies here
    for (std::uint32_t begun = 0; begun < count;) {
        for (std::uint32_t i = 0; i < batch && begun < count; ++i, ++begun) {
            const SocketHandle socket = must(client_.stack.open_tcp(), "open");
            must(client_.stack.set_option(socket, SocketOption::no_delay, 1), "set_option");
            const Endpoint server{.address = server_.address, .port = port_of(begun)};
            must(client_.stack.connect(socket, server), "connect");
            client_sockets_.push_back(socket);
        }
        for (int patience = 0; server_sockets_.size() < client_sockets_.size(); ++patience) {
            if (patience > 2'000'000) throw std::runtime_error("connections are not established");
            poll();
            while (const auto socket = server_.stack.accept(listeners_.back())) {
                must(server_.stack.set_option(*socket, SocketOption::no_delay, 1), "set_option");
                server_sockets_.push_back(*socket);
            }
        }
    }
    // Accepted in an order of the stack's own: put the peer of the first client socket first.
    const std::uint16_t first_port = must(client_.stack.info(client_sockets_[0]), "info").local.port;
    for (SocketHandle& socket : server_sockets_)
        if (must(server_.stack.info(socket), "info").remote.port == first_port)
            std::swap(socket, server_sockets_[0]);
    settle();
}

std::size_t Pair::take_all(Host& to, SocketHandle socket) {
    std::array<ByteView, 64> views;
    std::size_t taken = 0;
    while (const auto count = to.stack.peek(socket, views)) {
        std::size_t bytes = 0;
        for (std::size_t i = 0; i < *count; ++i) bytes += views[i].size();
        must(to.stack.consume(socket, bytes), "consume");
        taken += bytes;
    }
    return taken;
}

std::size_t Pair::transfer(std::size_t bytes) {
    static const std::vector<std::uint8_t> data(64 * 1024, 'x');
    std::size_t sent = 0;
    std::size_t received = 0;
    while (received < bytes) {
        while (sent < bytes) {
            const auto n = client_.stack.send(client_sockets_[0],
                                              ByteView(data).first(std::min(data.size(), bytes - sent)));
            if (!n) break;
            sent += *n;
        }
        poll();
        received += take_all(server_, server_sockets_[0]);
    }
    return received;
}

std::size_t Pair::stream(Direction direction, Instant begin, Instant end) {
    static const std::vector<std::uint8_t> data(64 * 1024, 'x');
    const bool up = direction == Direction::to_server;
    Host& from = up ? client_ : server_;
    Host& to = up ? server_ : client_;
    const SocketHandle sender = up ? client_sockets_[0] : server_sockets_[0];
    const SocketHandle receiver = up ? server_sockets_[0] : client_sockets_[0];
    std::size_t sent = 0;
    std::size_t received = 0;
    std::size_t counted = 0;
    while (now_ < end || received < sent) {
        while (now_ < end) {
            const auto n = from.stack.send(sender, data);
            if (!n) break;
            sent += *n;
        }
        poll();
        const std::size_t n = take_all(to, receiver);
        received += n;
        if (now_ >= begin && now_ < end) counted += n;
    }
    return counted;
}

void Pair::exchange(std::size_t bytes) {
    static const std::array<std::uint8_t, 4096> data{};
    const auto all = [&](Host& from, SocketHandle from_socket, Host& to, SocketHandle to_socket) {
        must(from.stack.send(from_socket, ByteView(data).first(bytes)), "send");
        for (std::size_t got = 0; got < bytes; got += take_all(to, to_socket)) {
            pass_time();
            from.stack.poll(now_);
            to.stack.poll(now_);
            if (after_poll) after_poll();
        }
    };
    all(client_, client_sockets_[0], server_, server_sockets_[0]);
    all(server_, server_sockets_[0], client_, client_sockets_[0]);
}

}  // namespace keepnet::bench
