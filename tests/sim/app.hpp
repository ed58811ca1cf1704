// The application on a host. Its value is plain data: it is copied at the cut and comes back with the
// snapshot, as a persistent runtime's heap would. What it takes from a stream (transfer) and what it makes of
// it (handler) are two steps, so a cut or a crash may fall between them.
//
// What it writes is not a function of its state: each block of a stream has a nonce drawn when it is written.
// A host that was rolled back writes something else than before, so a byte that got out too early is a wrong
// byte.
#pragma once

#include <cstdint>
#include <vector>

#include <keepnet/stack.hpp>

#include "sim/draw.hpp"
#include "sim/trace.hpp"

namespace keepnet::sim {

inline constexpr std::uint16_t server_port = 80, datagram_port = 9, first_client_port = 20000;
Ipv6Address address_of(unsigned host);
/// A host whose first address is still tentative speaks with this one, if it has it (RFC 6724 5).
Ipv6Address link_local_of(unsigned host);
unsigned host_of(const Ipv6Address& address);

/// One side of a connection, as the application knows it.
struct Conn {
    std::uint32_t id = 0;  ///< of its ConnectionPlan; 0: a server that has not read the header yet
    bool is_client = false;
    bool is_connecting = false;  ///< connect() was called
    bool is_connected = false;
    bool fin_sent = false;
    bool eof = false;
    bool closed = false;   ///< the handle is gone
    bool aborted = false;  ///< by this side
    bool reset = false;    ///< by the other
    std::uint8_t peer = 0;                       ///< host
    std::uint16_t own_port = 0, peer_port = 0;  ///< 0: not known yet
    SocketHandle socket{};
    std::uint64_t tx_done = 0;          ///< bytes that the stack took
    std::uint64_t rx_taken = 0;         ///< bytes taken from the stack
    std::uint64_t rx_handled = 0;       ///< of these
    std::vector<std::uint8_t> inbox{};  ///< the rest of these
    std::vector<std::uint64_t> nonces{};
};

/// What a connection waits for. Without a journal it begins anew with each life.
struct Live {
    bool may_read = true;
    bool may_write = true;
    Instant read_at{}, handle_at{}, write_at{};
    bool was_restored = false;
    std::vector<std::uint8_t> taken_early{};  ///< AppFault::takes_early
    std::uint64_t received_before = 0, acknowledged_before = 0;
};

struct AppValue {
    SocketHandle listener{};
    SocketHandle udp{};
    std::vector<Conn> conns{};
    std::uint64_t datagrams_sent = 0;
    std::vector<Live> live{};  ///< of each of conns
    bool may_accept = true;
    bool may_read_udp = true;
    Instant open_at{}, datagram_at{};

    [[nodiscard]] const Conn* find(std::uint32_t id) const;
    [[nodiscard]] std::uint64_t digest() const;
};

/// The applications of all hosts, by host.
using Everyone = std::vector<const AppValue*>;

/// The byte at an offset of the stream that `sender` wrote. Throws Failure when it never wrote it.
std::uint8_t content(const Conn& sender, std::uint64_t offset);

/// For the self-test: an application that is wrong in a way that must be noticed.
enum class AppFault : std::uint8_t {
    none,
    loses_a_byte,
    takes_twice,
    takes_early,  ///< bytes leave the stack when they are announced, and come to the application later
};

/// May a reset on these ports come from an application?
bool may_abort(const Plan& plan, const AppValue& value, unsigned peer, std::uint16_t own_port,
               std::uint16_t peer_port);

class App {
  public:
    App(const Plan& plan, unsigned host, Trace& trace);

    AppValue value{};
    AppFault fault = AppFault::none;

    /// The value is that of a snapshot from now on, but for what says when it tries again: a clock does not go back.
    void roll_back(AppValue to);
    /// A stack that nobody used before.
    void boot(Stack& stack);
    /// The value is that of the snapshot: claims what is its own, and compares it with what is there.
    void resume(Stack& stack, Instant now);
    /// It was rolled back and did again what its journal holds; it does not know (DURABILITY 7). What it knows is compared
    /// with what is there.
    void on_replayed(Stack& stack);
    void on_ready(Stack& stack, SocketHandle socket);
    /// What chance decides in the next step: the same seed, the same step.
    void set_chance(std::uint64_t seed) { dice_ = Dice(seed); }
    /// When step() has something to do, as far as the application itself knows.
    [[nodiscard]] Instant next_work(Instant now, bool faults) const;

    enum class Did : std::uint8_t { nothing, transfer, handler, other };
    /// One action of one connection.
    Did step(Stack& stack, Instant now, bool faults, const Everyone& all);
    /// Every connection that was planned is complete on this side.
    [[nodiscard]] bool is_done(const Everyone& all) const;
    /// Closes what only the end closes.
    void close_all(Stack& stack);
    /// Counts what gets done, to tell a slow run from one that is stuck.
    [[nodiscard]] std::uint64_t progress() const { return progress_; }
    /// What is not complete, for people.
    [[nodiscard]] std::string unfinished() const;

  private:
    [[nodiscard]] const ConnectionPlan& plan_of(const Conn& c) const { return plan_.connections[c.id - 1]; }
    [[nodiscard]] const SidePlan& side_of(const Conn& c) const;
    [[nodiscard]] std::uint64_t write_total(const Conn& c) const;
    [[nodiscard]] std::uint64_t write_allowed(const Conn& c, bool faults) const;
    [[nodiscard]] bool may_shut(const Conn& c, bool faults) const;
    [[nodiscard]] static bool has_to_handle(const Conn& c);
    [[nodiscard]] bool closes_briefly(const Conn& c) const;
    [[nodiscard]] Instant work_of(std::size_t i, Instant now, bool faults) const;
    [[nodiscard]] const ConnectionPlan* next_to_open(Instant now) const;

    Did work_on(Stack& stack, std::size_t i, Instant now, bool faults, const Everyone& all);
    void open(Stack& stack, Instant now, const ConnectionPlan& plan);
    void connect(Stack& stack, std::size_t i, Instant now);
    /// A connection that never was; it is opened again later.
    void forget(Stack& stack, std::size_t i, Instant now);
    bool accept(Stack& stack);
    bool transfer(Stack& stack, std::size_t i, Instant now, const Everyone& all);
    std::expected<std::size_t, Error> receive(Stack& stack, Conn& c);
    std::expected<std::size_t, Error> peek_and_consume(Stack& stack, Conn& c);
    void handle(Stack& stack, Conn& c, const Everyone& all);
    void on_header(Stack& stack, Conn& c, const Everyone& all);
    bool write(Stack& stack, std::size_t i, Instant now, bool faults, const Everyone& all);
    void on_end(Conn& c, const Everyone& all);
    void on_error(Stack& stack, Conn& c, Error error, const Everyone& all);
    void close(Stack& stack, Conn& c);
    void check(Stack& stack, std::size_t i);
    void compare(const SocketInfo& info, std::size_t i) const;
    void remember(const SocketInfo& info, std::size_t i);
    void set_policy(Stack& stack, SocketHandle socket) const;
    void set_options(Stack& stack, const Conn& c);
    void take_early(Stack& stack, SocketHandle socket);
    static void keep_alive(Stack& stack, const Conn& c, bool on);
    bool exchange_datagrams(Stack& stack, Instant now, bool faults, const Everyone& all);
    void check_datagram(const ReceivedDatagram& datagram, const Everyone& all) const;

    const Plan& plan_;
    unsigned host_;
    Trace& trace_;
    Dice dice_;      ///< live: not captured
    Instant now_{};  ///< of the step, for the trace
    std::uint64_t progress_ = 0;
};

}  // namespace keepnet::sim
