// The complete native interface: devices, addresses, sockets, the poll loop, and the core side of checkpoints.
//
// A Stack is a view of an arena, the block of memory that the embedder gives and that holds everything the stack
// knows. No call blocks, allocates, reads a clock or starts a thread; all calls of one Stack come from one thread.
// Time enters as an argument and must not run backwards.
//
//     auto stack = *Stack::create(arena, config, {.now = t, .entropy = seed});
//     auto nic = *stack.attach_device(device, {});
//     stack.add_address(nic, *parse_ipv6("2001:db8::2"), 64);
//     auto listener = *stack.open_tcp();
//     stack.bind(listener, {.port = 80});
//     stack.listen(listener, 64);
//     for (;;) {
//         auto result = stack.poll(clock_now());
//         while (auto ready = stack.next_ready()) serve(*ready);
//         sleep_until(result.next_deadline);   // or until the device has frames
//     }
//
// A SocketHandle is the persistent descriptor: the same number names the same socket before and after any number of
// restarts; a stale one is refused with Error::stale_handle and never names another socket.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include <keepnet/address.hpp>
#include <keepnet/bytes.hpp>
#include <keepnet/config.hpp>
#include <keepnet/endpoint.hpp>
#include <keepnet/error.hpp>
#include <keepnet/link_device.hpp>
#include <keepnet/statistics.hpp>
#include <keepnet/tcp_info.hpp>
#include <keepnet/time.hpp>

namespace keepnet {

struct Core;
class Journal;

/// Alignment of an arena, bytes.
inline constexpr std::size_t arena_alignment = 64;

struct SocketHandle {
    std::uint64_t raw = 0;  ///< 0 names no socket
    constexpr explicit operator bool() const { return raw != 0; }
    friend constexpr auto operator<=>(SocketHandle, SocketHandle) = default;
};

enum class SocketKind : std::uint8_t { invalid = 0, tcp, udp };

/// RFC 9293 3.3.2. `closed` is also what a socket shows that was never connected or whose connection has ended.
enum class TcpPhase : std::uint8_t {
    invalid = 0,
    closed,
    listen,
    syn_sent,
    syn_received,
    established,
    fin_wait_1,
    fin_wait_2,
    close_wait,
    closing,
    last_ack,
    time_wait,
};
std::string_view name(TcpPhase phase);

/// How a restored connection fares (DURABILITY 8).
enum class Verdict : std::uint8_t {
    invalid = 0,
    not_restored,       ///< born in this run
    pending,            ///< restored; the peer has not been heard yet
    resumed,            ///< the peer answered: it goes on
    closed,             ///< had ended on both sides: a normal end
    reset_by_peer,
    address_gone,       ///< its local address is no longer ours
    expired,            ///< the peer stayed silent too long
    dropped_by_policy,
    replay_diverged,    ///< the program did not do again what the peer had been told (DURABILITY 7)
};
inline constexpr Verdict last_verdict = Verdict::replay_diverged;
std::string_view name(Verdict verdict);

/// What a socket can do now; bits of Readiness::bits.
struct Readiness {
    static constexpr std::uint8_t readable = 1;      ///< bytes, a datagram, a connection to accept, or end of stream
    static constexpr std::uint8_t writable = 2;      ///< send() takes at least one byte
    static constexpr std::uint8_t connected = 4;     ///< the handshake is complete
    static constexpr std::uint8_t peer_closed = 8;   ///< the peer's FIN has come
    static constexpr std::uint8_t hung_up = 16;      ///< both directions are over
    static constexpr std::uint8_t error = 32;        ///< take_error() has something to say
    std::uint8_t bits = 0;
    [[nodiscard]] constexpr bool has(std::uint8_t bit) const { return (bits & bit) != 0; }
};

/// Values are integers; a Duration is given in nanoseconds, a bool as 0 or 1.
enum class SocketOption : std::uint8_t {
    invalid = 0,
    receive_buffer,      ///< bytes, 4096..TcpConfig::buffer_max (UDP: datagrams, 1..)
    send_buffer,         ///< bytes, 4096..TcpConfig::buffer_max
    no_delay,            ///< bool; off: Nagle (RFC 9293 3.7.4)
    cork,                ///< bool; hold a partial segment back, 200 ms at most
    quick_ack,           ///< bool; on: acknowledge at once
    keep_alive,          ///< bool, RFC 9293 3.8.4; default off
    keep_alive_idle,     ///< ns, 1 s or more
    keep_alive_interval, ///< ns, 1 s or more
    keep_alive_probes,   ///< 1..127
    user_timeout,        ///< ns; 0: TcpConfig::data_give_up (RFC 9293 3.9.1)
    linger,              ///< ns; -1: off; 0: close() resets. A positive value only informs the binding
    max_segment,         ///< bytes, 0: from the MTU; before connect; a listener's is that of connections to come
    hop_limit,           ///< 1..255; 0: the interface's
    traffic_class,       ///< 0..255; for TCP the ECN bits are the stack's
    reuse_address,       ///< bool
    policy,              ///< DurabilityPolicy, both directions; before connect, listen, or the first datagram
    hold_output,         ///< bool, UDP: a datagram waits for a commit (DURABILITY 1)
    /// DurabilityPolicy of what is sent, after `policy`: the same again, or `snapshot` where policy is `journal`: what is
    /// received is acknowledged with the journal, what is sent waits for the snapshot, and a replay may send something else.
    send_policy,
    congestion,          ///< CongestionAlgorithm; at any time
    ecn,                 ///< EcnMode; before connect or listen
    /// bool: several sockets, listeners too, may have the same endpoint, if all of them say so (SO_REUSEPORT). A unicast
    /// datagram, or a connection, goes to one of them, always the same for the same peer.
    reuse_port,
    /// bytes, 0: off. While so much is accepted but not sent, send() takes nothing and the socket is not writable
    /// (TCP_NOTSENT_LOWAT).
    not_sent_low_water,
    multicast_hop_limit, ///< 0..255, UDP; default 1. 0: not beyond this host
    multicast_loop,      ///< bool, UDP; default on: what is sent to a group also reaches this host's sockets
    multicast_interface, ///< InterfaceIndex, UDP; 0: by route. A destination's own interface goes before it
};

enum class CloseDirection : std::uint8_t { invalid = 0, send, receive, both };

struct SocketInfo {
    SocketKind kind = SocketKind::invalid;
    TcpPhase phase = TcpPhase::closed;
    Endpoint local{};
    Endpoint remote{};
    DurabilityPolicy policy = DurabilityPolicy::none;
    DurabilityPolicy send_policy = DurabilityPolicy::none;
    Verdict verdict = Verdict::not_restored;
    bool claimed = true;                     ///< false: restored, and nobody has asked for it yet
    Error error = Error::invalid;            ///< pending error; Error::invalid: none
    std::uint64_t rx_consumed = 0;           ///< bytes the application has taken from the stream, ever
    std::uint64_t tx_accepted = 0;           ///< bytes the application has put into the stream, ever
    std::uint64_t tx_acknowledged = 0;       ///< of these, how many the peer has acknowledged
    std::uint32_t receive_queue_bytes = 0;
    std::uint32_t send_queue_bytes = 0;
    std::uint32_t out_of_order_bytes = 0;
    std::uint32_t undurable_receive_bytes = 0;  ///< received, but not to be acknowledged before a commit
    std::uint32_t undurable_send_bytes = 0;     ///< accepted, but not to be sent before a commit
    std::uint32_t receive_window = 0;        ///< bytes, what the peer may still send
    std::uint32_t send_window = 0;           ///< bytes, as last advertised by the peer
    std::uint32_t congestion_window = 0;     ///< bytes
    std::uint32_t slow_start_threshold = 0;  ///< bytes
    std::uint32_t mss = 0;                   ///< bytes of payload in a full segment
    Duration srtt{};
    Duration rttvar{};
    Duration rto{};
    std::uint32_t retransmissions = 0;       ///< segments sent again, ever
    std::uint32_t accept_queue = 0;          ///< listener: complete connections waiting
    std::uint32_t half_open = 0;             ///< listener: handshakes under way
    std::uint64_t datagrams_dropped = 0;     ///< UDP: for want of room in the socket's queue or in the stack
    std::uint32_t datagrams_queued = 0;      ///< UDP
};

struct InterfaceConfig {
    /// Which restored interface this device takes the place of; 0: the lowest one without a device, else a new one.
    InterfaceIndex interface = 0;
    /// Unspecified: the device's. A restored interface keeps the MAC that it had unless this says otherwise.
    MacAddress mac{};
    bool link_local = true;                  ///< form fe80::/64 with a stable opaque identifier (RFC 7217)
    std::uint16_t mtu = 0;                   ///< bytes; 0: the device's
    /// Nobody else on the link can have an address of ours (a TAP to this machine's own kernel, a virtual machine's private
    /// link): addresses are usable at once, without duplicate detection. Said at each attachment. LinkCapabilities::
    /// point_to_point implies it.
    bool private_link = false;
};

enum class AddressStatus : std::uint8_t { invalid = 0, tentative, optimistic, preferred, deprecated, duplicate };

struct AddressInfo {
    Ipv6Address address{};
    std::uint8_t prefix_length = 0;
    InterfaceIndex interface = 0;
    AddressStatus status = AddressStatus::invalid;
};

struct RouteInfo {
    Ipv6Address prefix{};
    std::uint8_t prefix_length = 0;
    InterfaceIndex interface = 0;
    Ipv6Address next_hop{};                  ///< unspecified: on-link
};

struct InterfaceInfo {
    InterfaceIndex index = 0;
    MacAddress mac{};
    std::uint16_t mtu = 0;
    LinkState link = LinkState::down;
    bool has_device = false;
};

struct CreateOptions {
    Instant now{};
    /// 32 bytes nobody can guess. With the same bytes, config and events a stack does the same again.
    std::array<std::uint8_t, 32> entropy{};
    /// The arena is known to hold zeros (a fresh mapping): it need not be cleared.
    bool arena_is_zeroed = false;
    /// Memory for an undo record, aligned like an arena and preserved with it: attach() then takes an arena whose owner
    /// died inside a step back to the step's start. Empty: such an arena is refused. Stack::undo_bytes() is enough for any
    /// step; less, 64 KiB or more, for all but those that touch very many connections at once.
    std::span<std::byte> undo{};
};

/// At a restore: what was at `from` is at `to` from now on. `to` unspecified: `from` is gone, and who was bound to it is
/// bound to any address.
struct AddressMapping {
    Ipv6Address from{};
    Ipv6Address to{};
};

/// Keeps two copies of one state from both speaking. Epochs count restores; each is asked for once, before anything else
/// happens. A fence that says yes to an epoch says no to it, and to every lower one, from then on.
class Fence {
  public:
    virtual bool may_speak(std::uint64_t epoch) = 0;

  protected:
    Fence() = default;
    Fence(const Fence&) = default;
    Fence& operator=(const Fence&) = default;
    ~Fence() = default;
};

struct AttachOptions {
    Instant now{};
    Duration elapsed{};                      ///< since the arena's owner last ran; unknown or negative: 0
    std::array<std::uint8_t, 32> entropy{};
    Fence* fence = nullptr;                  ///< null: nobody else can have this arena
    /// The arena is a copy beside a living original. As RestoreOptions::clone.
    bool clone = false;
    std::span<const AddressMapping> address_map{};
    /// What CreateOptions::undo, RestoreOptions::undo or an earlier attach was given, as the arena's owner left it; or new
    /// memory, where the owner had none and no step is under way. Serves on.
    std::span<std::byte> undo{};
};

struct PollResult {
    /// Poll again no later than this; `now` itself when a limit of PollConfig was reached and work is left.
    Instant next_deadline = never;
    /// The instant since which output has been held for a commit; `never`: nothing is held.
    Instant commit_wanted = never;
    std::uint32_t frames_received = 0;
    std::uint32_t frames_sent = 0;
    bool sockets_ready = false;              ///< next_ready() has something
    bool addresses_changed = false;          ///< in this poll one came, went, or has another status
};

struct ReceivedDatagram {
    Endpoint source{};
    Ipv6Address destination{};
    InterfaceIndex interface = 0;
    std::uint8_t hop_limit = 0;
    std::uint8_t traffic_class = 0;
    ByteView payload{};                      ///< good until the datagram is consumed, or the next poll
};

struct SendDatagram {
    Endpoint destination{};                  ///< unspecified: the connected peer
    Ipv6Address source{};                    ///< unspecified: chosen (RFC 6724)
    std::uint8_t hop_limit = 0;              ///< 0: the socket's
    std::int16_t traffic_class = -1;         ///< -1: the socket's
};

/// Number of a cut; never 0.
using CutId = std::uint64_t;

class Stack {
  public:
    /// Bytes of arena that this config needs.
    static std::size_t arena_bytes(const StackConfig& config);
    /// Bytes of undo record with which every step of this config can be taken back.
    static std::size_t undo_bytes(const StackConfig& config);
    /// A new stack. Fails: arena_too_small, arena_misaligned, invalid_argument (config out of range, undo memory too small
    /// or misaligned).
    static std::expected<Stack, Error> create(std::span<std::byte> arena, const StackConfig& config,
                                              const CreateOptions& options);
    /// Adopts an arena that the embedder preserved itself (DURABILITY 10); behaves as after a restore.
    /// Fails: arena_foreign, arena_in_step, arena_damaged, arena_too_small, arena_misaligned, fenced,
    /// invalid_argument. A refused arena is left as it was, but for a step that was taken back.
    static std::expected<Stack, Error> attach(std::span<std::byte> arena, const StackConfig& config,
                                              const AttachOptions& options);

    Stack(Stack&& other) noexcept : core_(other.core_) { other.core_ = nullptr; }
    Stack& operator=(Stack&& other) noexcept {
        core_ = other.core_;
        other.core_ = nullptr;
        return *this;
    }
    Stack(const Stack&) = delete;
    Stack& operator=(const Stack&) = delete;
    ~Stack() = default;  // the arena is the embedder's; the state stays in it

    // --- interfaces and addresses ---

    /// The device must outlive its attachment. Fails: no_memory, no_device (InterfaceConfig::interface unknown).
    std::expected<InterfaceIndex, Error> attach_device(LinkDevice& device, const InterfaceConfig& config);
    /// Connections live on without it; frames wait.
    std::expected<void, Error> detach_device(InterfaceIndex interface);
    /// Starts duplicate address detection (RFC 4862 5.4), which takes NdConfig::dad_transmits times NdConfig::retransmit, a
    /// second: until then the address is tentative, nobody can reach it, and connect() from it fails with
    /// address_not_available. PollResult::addresses_changed tells the end. Off: InterfaceConfig::private_link, or
    /// dad_transmits 0. Adds the on-link route of the prefix.
    std::expected<void, Error> add_address(InterfaceIndex interface, const Ipv6Address& address,
                                           std::uint8_t prefix_length);
    std::expected<void, Error> remove_address(InterfaceIndex interface, const Ipv6Address& address);
    /// `next_hop` unspecified: on-link. Replaces a route to the same prefix through the same interface.
    std::expected<void, Error> add_route(const Ipv6Address& prefix, std::uint8_t prefix_length,
                                         InterfaceIndex interface, const Ipv6Address& next_hop);
    std::expected<void, Error> remove_route(const Ipv6Address& prefix, std::uint8_t prefix_length,
                                            InterfaceIndex interface);
    [[nodiscard]] std::optional<InterfaceInfo> interface_info(InterfaceIndex interface) const;
    /// Addresses in a stable order; copies up to out.size(), returns how many there are.
    std::size_t addresses(std::span<AddressInfo> out) const;
    /// Nothing: it is not ours. It can be used from `optimistic` on.
    [[nodiscard]] std::optional<AddressStatus> address_status(const Ipv6Address& address) const;
    /// Likewise, routes.
    std::size_t routes(std::span<RouteInfo> out) const;

    // --- the engine ---

    /// Takes a burst from each device, runs expired timers, sends what became eligible. See PollConfig for its bounds.
    PollResult poll(Instant now);
    /// Same as PollResult::next_deadline, also after calls that followed the poll.
    [[nodiscard]] Instant next_deadline() const;
    /// Same as PollResult::commit_wanted, also after calls that followed the poll.
    [[nodiscard]] Instant commit_wanted() const;
    /// Sockets whose readiness changed since they were last given here; lowest first, round robin.
    std::optional<SocketHandle> next_ready();
    [[nodiscard]] std::expected<Readiness, Error> readiness(SocketHandle socket) const;

    // --- sockets ---

    /// Fails: no_memory.
    std::expected<SocketHandle, Error> open_tcp();
    std::expected<SocketHandle, Error> open_udp();
    /// Unspecified address: any; port 0: an ephemeral one (RFC 6056). If a restored socket that nobody has claimed
    /// equals what results, the handle is exchanged for it: use the one returned.
    /// Fails: address_in_use, address_not_available, invalid_state, no_ports.
    std::expected<SocketHandle, Error> bind(SocketHandle socket, const Endpoint& local);
    /// `backlog`: complete connections that may wait, 1 or more. Claims like bind.
    std::expected<SocketHandle, Error> listen(SocketHandle socket, std::uint32_t backlog);
    /// Fails with would_block when none waits.
    std::expected<SocketHandle, Error> accept(SocketHandle listener);
    /// TCP: starts the handshake (readiness tells the end). UDP: sets the peer; an empty endpoint: there is none any more.
    /// Fails: no_route, no_ports, address_in_use, already_connected, in_progress, no_memory.
    std::expected<void, Error> connect(SocketHandle socket, const Endpoint& remote);

    /// Takes a prefix of `data`, copied; returns its length, never 0 for non-empty data. `more`: the end of `data` is
    /// not a good place for a segment to end (MSG_MORE). Fails: would_block, not_connected, closed, connection errors.
    std::expected<std::size_t, Error> send(SocketHandle socket, ByteView data, bool more = false);
    std::expected<std::size_t, Error> send(SocketHandle socket, std::span<const ByteView> data, bool more = false);
    /// Bytes send() would take now.
    [[nodiscard]] std::expected<std::size_t, Error> send_room(SocketHandle socket) const;

    /// The received bytes from `skip` on, in order, as up to out.size() views; returns how many it filled. The views
    /// are good until consume(), close() or the next poll. Nothing changes: what is peeked stays in the snapshot.
    /// Fails: would_block, end_of_stream, not_connected, connection errors.
    std::expected<std::size_t, Error> peek(SocketHandle socket, std::span<ByteView> out, std::size_t skip = 0) const;
    /// Takes the first `bytes` out of the stream: they are the application's now. Do it in the same section, with no
    /// cut in between, in which the application's own state takes them in (DURABILITY 3).
    std::expected<void, Error> consume(SocketHandle socket, std::size_t bytes);
    /// peek, copy and consume in one.
    std::expected<std::size_t, Error> receive(SocketHandle socket, MutableBytes out);

    /// send: a FIN follows what was accepted. receive: what comes is discarded.
    std::expected<void, Error> shutdown(SocketHandle socket, CloseDirection direction);
    /// The handle is gone. Sends what was accepted, then FIN; a reset if received data was not consumed (RFC 9293
    /// 3.6.1 and RFC 2525 2.17) or linger is 0.
    std::expected<void, Error> close(SocketHandle socket);
    /// The handle is gone; the peer is reset.
    std::expected<void, Error> abort(SocketHandle socket);

    // --- datagrams ---

    /// One datagram. Fails: message_too_long, would_block (queue or ring full), no_route, not_connected, no_memory.
    std::expected<void, Error> send_datagram(SocketHandle socket, const SendDatagram& how, ByteView payload);
    /// The oldest datagram; it stays queued until consume_datagram().
    [[nodiscard]] std::expected<ReceivedDatagram, Error> peek_datagram(SocketHandle socket) const;
    std::expected<void, Error> consume_datagram(SocketHandle socket);

    // --- options and observation ---

    std::expected<void, Error> set_option(SocketHandle socket, SocketOption option, std::int64_t value);
    [[nodiscard]] std::expected<std::int64_t, Error> option(SocketHandle socket, SocketOption option) const;
    [[nodiscard]] std::expected<SocketInfo, Error> info(SocketHandle socket) const;
    /// Linux's TCP_INFO. Fails: stale_handle, wrong_kind.
    [[nodiscard]] std::expected<TcpInfo, Error> tcp_info(SocketHandle socket) const;
    /// The pending error, once (SO_ERROR); Error::invalid: none.
    std::expected<Error, Error> take_error(SocketHandle socket);
    /// Every socket there is: start with an empty handle; ends with an empty handle.
    [[nodiscard]] SocketHandle next_socket(SocketHandle after) const;
    [[nodiscard]] const Statistics& statistics() const;
    /// The same under the MIBs' names, as Linux's nstat prints them (RFC 4022, 4113, 4293, 4898 and Linux's own).
    /// Copies up to out.size() counters, returns how many there are.
    std::size_t mib_counters(std::span<MibCounter> out) const;
    [[nodiscard]] const StackConfig& config() const;

    // --- checkpoints: the core's side; keepnet/checkpoint.hpp writes and reads the snapshot ---

    /// Marks this instant, O(1). Call it between two polls, in the instant of the application's own freeze.
    /// `since` not 0: only what changed behind that cut will be read, an increment. The snapshot of that cut must be
    /// durable before this one's is of use; it may still be on its way.
    /// Fails: cut_unread (the last one is still being read), too_many_cuts (two wait for their commit), unknown_cut
    /// (`since` was given up, is one of another run, or more than seven cuts ago: take a whole one).
    std::expected<CutId, Error> cut(CutId since = 0);
    /// Copies a bounded number of objects of the unread cut towards its reader; poll() does so too.
    /// True: there is more to copy. For an embedder that encodes on the polling thread.
    bool sweep();
    /// The snapshot of `cut` is durable, and with it every earlier one. Output that waited for it goes out.
    std::expected<void, Error> committed(CutId cut);
    /// The snapshot of `cut` will never be.
    std::expected<void, Error> abandoned(CutId cut);
    /// Stops granting window, lets what is in flight arrive and be acknowledged (DURABILITY 9). Poll and commit on
    /// until is_suspended(), then cut, commit and exit.
    void suspend(Instant now);
    [[nodiscard]] bool is_suspended() const;

    /// Records this stack's calls from now on, for DurabilityPolicy::journal, in a journal that outlives it. Once, before the first
    /// socket or, with a new journal, behind attach(). Fails: invalid_state, no_memory (stacks_max), journal_mismatch (not new).
    std::expected<void, Error> attach_journal(Journal& journal);

    // --- after a restore ---

    /// Takes a restored socket over by its handle; while calls are replayed any handle is good. Fails: stale_handle.
    std::expected<void, Error> claim(SocketHandle socket);
    /// The application has claimed what is its own. Unclaimed sockets are closed (`close_unclaimed`) or kept; from now
    /// on segments that match nothing are answered with a reset. A new stack is ready from the start.
    void ready(bool close_unclaimed);
    /// How many restores this state has been through.
    [[nodiscard]] std::uint64_t restarts() const;

    /// For this library's own modules and tests.
    [[nodiscard]] Core& core() { return *core_; }
    [[nodiscard]] const Core& core() const { return *core_; }
    explicit Stack(Core& core) : core_(&core) {}

  private:
    Core* core_ = nullptr;
};

}  // namespace keepnet
