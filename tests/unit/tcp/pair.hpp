// Two stacks on a wire that can lose, delay, duplicate and reorder, under virtual time: for what takes a
// whole conversation to show. Scripted single segments belong to tests/wire.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <keepnet/stack.hpp>

#include "stack/core.hpp"
#include "support/arena.hpp"
#include "support/device.hpp"
#include "tcp/verbs.hpp"

namespace keepnet::test {

using namespace keepnet::literals;

/// Byte `i` of the stream that every test sends.
inline std::uint8_t stream_byte(std::uint64_t i) {
    return static_cast<std::uint8_t>(i * 131 + (i >> 8) * 17 + (i >> 16));
}

struct Host {
    Host(const StackConfig& config, std::uint8_t number);
    ~Host();
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    ScriptedDevice device;
    Arena arena;
    Stack stack;
    Ipv6Address address;

    Core& core() { return stack.core(); }
    TcpConnectionState connection(SocketHandle socket) {
        return core().world.connections.get(
            core().world.sockets.get(Handle<SocketState>{socket.raw}).connection);
    }
    std::uint64_t drops(DropReason reason) const {
        return stack.statistics().drops[static_cast<std::size_t>(reason)];
    }
};

class Pair {
  public:
    explicit Pair(const StackConfig& config = small());
    Pair(const StackConfig& a_config, const StackConfig& b_config);
    static StackConfig small();

    Host a, b;
    Instant now{1'000'000'000};
    Duration delay = milliseconds(1);
    /// What becomes of a frame: when it arrives; none, one or several copies. Default: once, after `delay`.
    std::function<std::vector<Duration>(bool from_a, const Bytes& frame)> wire;
    /// May change each copy of a frame.
    std::function<void(Bytes& frame)> spoil;
    /// Called after each poll of the pair.
    std::function<void()> each_poll;

    /// Polls both and moves frames until nothing happens at this instant.
    void settle();
    void run(Duration d);
    /// Until it holds; false when it did not within `limit`.
    bool run_until(const std::function<bool()>& holds, Duration limit);

    /// a connects to a listener of b on port 80; both sockets established.
    void connect();
    SocketHandle client{}, listener{}, server{};

  private:
    struct Flying {
        Instant at;
        std::uint64_t order;
        bool to_b;
        Bytes frame;
    };
    void collect(Host& from, bool from_a);
    bool deliver();
    std::vector<Flying> flying_;
    std::uint64_t order_ = 0;
};

/// Sends as much of n bytes of the stream as is taken; `sent` counts on.
void pump_send(Host& h, SocketHandle s, std::uint64_t& sent, std::uint64_t n);
/// Reads and checks all there is; `got` counts on. False at a wrong byte.
bool pump_receive(Host& h, SocketHandle s, std::uint64_t& got);
/// The text of a TCP frame of ours; how much payload, and the flags.
struct Peeked {
    bool is_tcp = false;
    std::uint8_t flags = 0;
    Seq seq{}, ack{};
    std::uint16_t window = 0;
    std::size_t payload = 0;
};
Peeked peek_frame(const Bytes& frame);

}  // namespace keepnet::test
