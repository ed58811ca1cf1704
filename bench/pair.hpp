// Two stacks back to back over drivers/memory, on one thread, under a virtual clock, or the machine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <keepnet/drivers/memory/memory_link.hpp>
#include <keepnet/stack.hpp>

namespace keepnet::bench {

/// Memory for an arena: zeroed, page aligned, given back at the end.
class ArenaMemory {
  public:
    explicit ArenaMemory(std::size_t bytes);
    ~ArenaMemory();
    ArenaMemory(const ArenaMemory&) = delete;
    ArenaMemory& operator=(const ArenaMemory&) = delete;
    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  private:
    std::span<std::byte> bytes_;
};

/// `connections`: as many as either side can hold.
StackConfig config_for(std::uint32_t connections);

class Pair {
  public:
    explicit Pair(const StackConfig& config, std::uint16_t mtu = 1500);
    /// `prepare`: is given the server's stack before it has a socket.
    Pair(const StackConfig& client, const StackConfig& server, std::uint16_t mtu,
         const std::function<void(Stack&)>& prepare = {});

    /// Given: the time. Otherwise each poll is a few microseconds after the one before it.
    std::function<Instant()> clock{};
    /// After every poll of both: whoever commits the server's cuts.
    std::function<void()> after_poll{};

    /// Both stacks once, a little later than before.
    void poll();
    /// Opens `count` connections and waits until each is established on both sides.
    void connect(std::uint32_t count);
    /// Nothing left to send or to acknowledge.
    void settle();

    /// The peer interface of bench/transfers.cpp, over the first connection.
    std::size_t transfer(std::size_t bytes);
    enum class Direction : std::uint8_t { invalid = 0, to_server, to_client };
    /// The sender always has something to send, until `end`; how much came from `begin` on. Then all of it comes.
    std::size_t stream(Direction direction, Instant begin, Instant end);
    void exchange(std::size_t bytes);

    [[nodiscard]] Stack& server() { return server_.stack; }
    /// Of the server's end of each connection.
    [[nodiscard]] std::span<const SocketHandle> server_sockets() const { return server_sockets_; }
    [[nodiscard]] Instant now() const { return now_; }

  private:
    struct Host {
        Host(const StackConfig& config, std::uint8_t number);
        ArenaMemory memory;
        Stack stack;
        Ipv6Address address{};
    };
    void pass_time();
    std::uint16_t port_of(std::uint32_t n);
    std::size_t take_all(Host& to, SocketHandle socket);

    drivers::MemoryLink<256> link_;
    Host client_;
    Host server_;
    std::vector<SocketHandle> listeners_;  ///< one for so many connections as a client has ports
    std::vector<SocketHandle> client_sockets_;
    std::vector<SocketHandle> server_sockets_;
    Instant now_{1};
};

}  // namespace keepnet::bench
