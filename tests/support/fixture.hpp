// A whole stack on a scripted wire, under virtual time. The peer is the test; it answers neighbour
// solicitations by itself. A test reads like a packet diary:
//
//     WIRE_CASE("RFC 9293 3.6: ...") {
//         auto t = fin_wait_1(way);
//         t.at(10_ms).peer_sends(ack(2));
//         t.expect(TcpPhase::fin_wait_2).expect_silence();
//     }
//
// WIRE_CASE runs its body three ways: plain; with the value encoded, decoded into a new arena and swapped in
// before every call of the stack (no time passes, nobody is told); and with every request between the layers
// in a queue that delays it, is full now and then, and completes late. Nothing that the wire or the
// application sees may differ.
//
// Whatever the script says, each frame from the stack is checked for what always holds: checksums, lengths,
// option rules, content, windows, timestamps, and, while output is held, the marks (DURABILITY 1).
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <keepnet/checkpoint.hpp>
#include <keepnet/stack.hpp>

#include "stack/core.hpp"
#include "support/arena.hpp"
#include "support/device.hpp"
#include "support/journaled_program.hpp"
#include "support/seams.hpp"
#include "support/segment.hpp"

namespace keepnet::test {

using namespace keepnet::literals;

enum class Way : std::uint8_t { plain, swapped, seam };
const char* name(Way way);

inline constexpr MacAddress stack_mac{{0x02, 0, 0, 0, 0, 0x01}};
inline constexpr MacAddress peer_mac{{0x02, 0, 0, 0, 0, 0x02}};
inline constexpr auto stack_address = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 1});
inline constexpr auto peer_address = Ipv6Address::from_words({0x2001, 0xdb8, 0, 0, 0, 0, 0, 2});
inline constexpr auto peer_link_local = Ipv6Address::from_words({0xfe80, 0, 0, 0, 0, 0, 0, 2});
inline constexpr auto far_address = Ipv6Address::from_words({0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7});

/// Small tables, windows that need no scale, no duplicate address detection.
StackConfig small_config();

struct FixtureOptions {
    StackConfig config = small_config();
    bool link_local = false;
    bool add_address = true;
    bool point_to_point = false;
    bool private_link = false;
    std::uint64_t seed = 1;
    bool journal = false;  ///< cut() and commit() are those of a record, and crash() restores through the journal
    FixtureOptions() = default;
    explicit FixtureOptions(DurabilityPolicy policy) : journal(policy == DurabilityPolicy::journal) {
        config.policy = policy;
    }
    explicit FixtureOptions(const StackConfig& c) : config(c) {}
};

class Fixture {
  public:
    explicit Fixture(Way way, const FixtureOptions& options = {});
    ~Fixture();
    Fixture(Fixture&&) = default;
    Fixture& operator=(Fixture&&) = delete;
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    // --- time ---

    /// Runs the stack until that long after the last mark(); fixtures mark when they are done.
    Fixture& at(Duration since_mark);
    Fixture& after(Duration d);
    Fixture& mark() { return mark_ = now_, *this; }
    [[nodiscard]] Instant now() const { return now_; }
    [[nodiscard]] Duration elapsed() const { return now_ - mark_; }
    /// Polls at this instant until nothing is left to do.
    Fixture& settle();

    // --- the peer ---

    Fixture& peer_sends(const Segment& segment);
    /// An IPv6 packet, in a frame of its own.
    Fixture& peer_sends_ip(ByteView packet);
    Fixture& peer_sends_frame(Bytes frame);
    Fixture& peer_sends_icmp(std::uint8_t type, std::uint8_t code, ByteView body,
                             std::uint8_t hop_limit = 64);
    Fixture& peer_sends_udp(const UdpFields& udp);
    /// The TCP segment as the peer would put it into an IPv6 packet.
    Bytes peer_packet(const Segment& segment);
    Flow& flow() { return flows_[current_flow_]; }
    /// Makes the n-th connection of the peer the current one (port 40000 + n).
    Fixture& use_flow(std::size_t n);
    /// Does the peer answer neighbour solicitations?
    bool answers_nd = true;
    /// The peer's address on the wire; another one than peer_address is reached through a router at
    /// peer_link_local.
    Ipv6Address peer = peer_address;
    /// Of the packets that the peer sends; 3: marked on the way (CE, RFC 3168 5).
    std::uint8_t traffic_class = 0;
    /// The stack's link address; what a crash brings back has this one.
    MacAddress mac = stack_mac;

    // --- what must come ---

    /// The next frame that is not neighbour discovery was sent at this instant and is this one.
    Fixture& expect(const Segment& segment);
    /// The same, but it comes within [from, to] from the mark; time goes on to where it was sent.
    Fixture& expect_between(Duration from, Duration to, const Segment& segment);
    Fixture& expect_by(Duration to, const Segment& segment) { return expect_between(elapsed(), to, segment); }
    /// Nothing was sent that has not been expected.
    Fixture& expect_silence();
    /// And nothing is, until then.
    Fixture& expect_silence_until(Duration since_mark);
    Fixture& expect(TcpPhase phase);
    /// One more frame counted under this reason since the last look.
    Fixture& expect_dropped(DropReason reason, std::uint64_t times = 1);
    /// The next frame, whatever it is, if there is one.
    std::optional<Packet> take();
    /// The next frame must be ICMPv6 of this type and code.
    Packet expect_icmp(std::uint8_t type, std::uint8_t code);
    Packet expect_packet();
    /// Runs until something is sent, at most until then.
    std::optional<Packet> wait(Duration until_since_mark);
    /// Forgets what was sent; the flow takes note of it.
    Fixture& ignore_output();
    /// Neighbour discovery that the stack sent since the last look.
    std::vector<Packet> take_nd();
    /// Instant of the frame that take(), wait() or expect() gave last.
    [[nodiscard]] Instant taken_at() const { return taken_at_; }

    // --- the application ---

    SocketHandle listener{}, socket{};
    Fixture& app_listens(std::uint16_t port = 80, std::uint32_t backlog = 8);
    Fixture& app_connects();
    Fixture& app_accepts();
    /// All n bytes of the stream's pattern must be taken.
    Fixture& app_sends(std::size_t n, bool more = false);
    /// As many as are taken, n at most.
    std::size_t app_offers(std::size_t n);
    /// n bytes must be there and be the pattern.
    Fixture& app_reads(std::size_t n);
    [[nodiscard]] std::size_t readable();
    Fixture& app_shuts_down(CloseDirection direction = CloseDirection::send);
    Fixture& app_closes();
    Fixture& app_aborts();
    Fixture& expect_readable(std::size_t n);
    Fixture& expect_end_of_stream();
    Fixture& expect_error(Error error);
    Fixture& set(SocketOption option, std::int64_t value);
    std::expected<void, Error> app_sends_datagram(SocketHandle from, const Endpoint& to, Bytes payload);
    SocketInfo info();

    // --- checkpoints ---

    /// Freezes: the stack's value at this instant is encoded and not yet durable. With a journal: its record is closed.
    /// There is one of them at a time.
    Fixture& cut();
    /// The oldest cut that is not durable yet, is now.
    Fixture& commit();
    /// The newest is, and with it all before it.
    Fixture& commit_last();
    /// The oldest is given up. With a journal, which gives nothing up: its write fails, and is done before the next cut.
    Fixture& abandon();
    Fixture& snapshot() { return cut().commit(); }
    /// The machine dies; `elapsed` later the last committed snapshot comes back on the same wire.
    Fixture& crash(Duration elapsed = {}, const checkpoint::RestoreOptions& options = {});
    /// The same without ready(): claims come first.
    Fixture& crash_unready(Duration elapsed = {}, const checkpoint::RestoreOptions& options = {});
    /// The process dies, its arena does not (DURABILITY 10); the new one maps it somewhere else.
    Fixture& adopt(Duration elapsed);
    /// Snapshots whenever the stack wants one.
    Fixture& auto_commit(bool on);
    [[nodiscard]] const Bytes& durable_snapshot() const { return durable_; }
    /// What the last restore said of each socket.
    [[nodiscard]] const std::vector<checkpoint::SocketReport>& restored() const { return restored_; }
    [[nodiscard]] Verdict verdict() { return info().verdict; }
    /// Blobs that go into every snapshot; a crash brings back those of the snapshot.
    std::vector<checkpoint::Blob> blobs{};
    /// Since when something waits for a commit.
    [[nodiscard]] Instant commit_wanted() {
        return journal_ ? JournaledProgram::commit_wanted(*stack_) : stack_->commit_wanted();
    }
    [[nodiscard]] bool commit_is_wanted() { return commit_wanted() != never; }

    // --- below ---

    /// The stack; swapped for its copy first, when this is the way.
    Stack& stack();
    const TcpConnectionState* connection();
    [[nodiscard]] const StackConfig& config() const { return config_; }
    World& world() { return stack_->core().world; }
    ScriptedDevice& device() { return *device_; }
    [[nodiscard]] InterfaceIndex interface() const { return interface_; }
    [[nodiscard]] Way way() const { return way_; }
    /// Swaps stop (for what looks at views, or is only slow).
    Fixture& keep_still(bool on) { return still_ = on, *this; }
    /// The content of the stack's stream is not the pattern.
    bool check_content = true;
    /// A test that ends with the stack in pieces on purpose.
    bool skip_teardown = false;
    std::uint64_t drops(DropReason reason) {
        return stack_->statistics().drops[static_cast<std::size_t>(reason)];
    }

  private:
    struct Sent {
        Instant when;
        Packet packet;
    };
    /// How far both streams of a flow had come at a cut, relative.
    struct Ends {
        std::uint32_t rcv = 0;
        std::uint32_t snd = 0;
        std::uint32_t edge = 0;  ///< of the window that the application's reading and the buffer allow
    };
    struct PendingCut {
        CutId id;
        Bytes bytes;
        std::vector<Ends> ends;  ///< by flow
    };

    void between();
    PendingCut pending(CutId id);
    void note_durable(const PendingCut& done);
    void collect();
    void answer_nd(const Packet& packet);
    void run_to(Instant t);
    void inject(Bytes frame);
    void monitor(const Packet& packet);
    void monitor_syn(Flow& flow, const TcpFields& tcp);
    void note_received(const Packet& packet);
    void install_seams();
    [[nodiscard]] std::string diary() const;
    void write_down(const char* way_of_it, const Packet& packet);
    void teardown();
    TcpFields fields_of(const Segment& segment);
    [[nodiscard]] std::string mismatch(const Segment& segment, const Packet& packet, const Flow& flow) const;
    Flow* flow_of(std::uint16_t peer_port, std::uint16_t stack_port);

    Way way_;
    StackConfig config_;
    std::unique_ptr<ScriptedDevice> device_;
    Arena arena_;
    std::optional<Stack> stack_;
    std::unique_ptr<Seams> seams_;
    InterfaceIndex interface_ = 0;
    Instant now_{1'000'000'000'000};
    Instant mark_ = now_;
    Instant taken_at_ = now_;
    std::vector<Flow> flows_{1};
    std::size_t current_flow_ = 0;
    std::deque<Sent> sent_;
    std::vector<Packet> nd_;
    std::vector<std::string> diary_;
    std::array<std::uint64_t, drop_reasons> drops_seen_{};
    std::deque<PendingCut> cuts_;
    std::unique_ptr<JournaledProgram> journal_;
    std::optional<PendingCut> failed_;  ///< of the journal: written again
    Bytes durable_;
    std::vector<checkpoint::SocketReport> restored_;
    bool auto_commit_ = false;
    bool still_ = false;
    std::uint64_t restores_ = 0;
    std::uint64_t swaps_ = 0;
};

// --- each phase, reached from the one before it. The peer's SYN has an MSS option of 1440 and nothing else
// ---

Fixture listening(Way way, const FixtureOptions& options = {});
Fixture syn_received(Way way, const FixtureOptions& options = {});
/// Passive, accepted.
Fixture established(Way way, const FixtureOptions& options = {});
/// The handshake on the current flow, both opens, for a flow prepared by the test.
void open_passive(Fixture& t);
void open_active(Fixture& t);
Fixture syn_sent(Way way, const FixtureOptions& options = {});
Fixture established_active(Way way, const FixtureOptions& options = {});
Fixture fin_wait_1(Way way, const FixtureOptions& options = {});
Fixture fin_wait_2(Way way, const FixtureOptions& options = {});
Fixture close_wait(Way way, const FixtureOptions& options = {});
Fixture closing(Way way, const FixtureOptions& options = {});
Fixture last_ack(Way way, const FixtureOptions& options = {});
Fixture time_wait(Way way, const FixtureOptions& options = {});

inline constexpr TcpPhase synchronized_phases[] = {
    TcpPhase::established, TcpPhase::fin_wait_1, TcpPhase::fin_wait_2, TcpPhase::close_wait,
    TcpPhase::closing,     TcpPhase::last_ack,   TcpPhase::time_wait};
Fixture reach(TcpPhase phase, Way way, const FixtureOptions& options = {});

void run_three_ways(void (*body)(Way));

}  // namespace keepnet::test

#define KEEPNET_JOIN2(a, b) a##b
#define KEEPNET_JOIN(a, b) KEEPNET_JOIN2(a, b)
/// A scripted case: `way` is in scope.
#define WIRE_CASE(...) KEEPNET_WIRE_CASE(KEEPNET_JOIN(wire_case_, __LINE__), __VA_ARGS__)
#define KEEPNET_WIRE_CASE(function, ...)                                   \
    static void function(::keepnet::test::Way);                            \
    TEST_CASE(__VA_ARGS__) { ::keepnet::test::run_three_ways(&function); } \
    static void function([[maybe_unused]] ::keepnet::test::Way way)
