// The server's side of the iperf3 protocol, as much as `iperf3 -c` and `iperf3 -c -R` with one TCP stream
// need: a control connection (a cookie, one byte for each change of state, JSON behind a length of four
// bytes), and a data connection that begins with the same cookie.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <keepnet/stack.hpp>

namespace iperf3 {

/// iperf3's own numbers.
enum class State : std::uint8_t {
    test_start = 1,
    test_running = 2,
    test_end = 4,
    param_exchange = 9,
    create_streams = 10,
    exchange_results = 13,
    display_results = 14,
    iperf_done = 16,
};

class Peer {
  public:
    explicit Peer(keepnet::Stack& stack) : stack_(stack) {}
    std::expected<void, keepnet::Error> listen(std::uint16_t port);
    /// Call it after each poll. True: there is more to do at once.
    bool progress();

  private:
    enum class Phase : std::uint8_t { idle, cookie, params, stream, running, results, done };

    bool accept();
    bool step();
    bool move_data();
    bool send_state(State state);
    bool send_results();
    [[nodiscard]] std::optional<std::string> take(keepnet::SocketHandle socket, std::size_t bytes);
    [[nodiscard]] std::optional<std::string> take_json();
    [[nodiscard]] bool lost(keepnet::SocketHandle socket) const;
    void reset();

    keepnet::Stack& stack_;
    keepnet::SocketHandle listener_{};
    keepnet::SocketHandle control_{};
    keepnet::SocketHandle data_{};
    Phase phase_ = Phase::idle;
    std::string cookie_;
    bool reverse_ = false;
    std::uint64_t bytes_ = 0;
    std::vector<std::uint8_t> pattern_ = std::vector<std::uint8_t>(65536, 0x6b);
};

}  // namespace iperf3
