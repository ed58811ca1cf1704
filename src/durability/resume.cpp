#include "durability/resume.hpp"

#include <algorithm>

#include "base/planted.hpp"
#include "durability/fields.hpp"

namespace keepnet::durability {
namespace {

constexpr Instant latest{INT64_MAX / 4};
/// 2^31 ms of it would look like a step back (RFC 7323 5.2); 24.8 days.
constexpr Duration wire_clock_step_max = seconds(std::int64_t{20} * 24 * 3600);
constexpr Duration elapsed_max = seconds(std::int64_t{10} * 365 * 24 * 3600);

struct Shift {
    Duration by;
    Duration aged;

    void operator()(Instant& t) const { move(t, by); }
    void operator()(Instant& t, Ages) const { move(t, by - aged); }
    template <class T>
    void operator()(T&) const {}

    static void move(Instant& t, Duration d) {
        if (t == never || t == long_ago) return;
        t = std::clamp(t + d, Instant{long_ago.ns + 1}, latest);
    }
};

void renew_secrets(StackState& s, const ResumeOptions& options) {
    mix(s.random, options.entropy);
    std::array<std::uint8_t, 16> numbers{};
    for (std::size_t i = 0; i < 8; ++i) {
        numbers[i] = static_cast<std::uint8_t>(options.epoch >> (8 * i));
        numbers[8 + i] = static_cast<std::uint8_t>(s.restarts >> (8 * i));
    }
    mix(s.random, numbers);
    // A port that the lost run gave out may live on at the peer (RFC 6056). ISNs of one tuple grow with the wire clock.
    s.port_cursor += next_u32(s.random);
    // Both cookie secrets stay, and stay as long again: a peer may have got its SYN-ACK just before the outage.
    s.cookie_rotated = options.now;
}

bool anything_is_held(const World& w) {
    bool held = holds_output(w.stack().default_policy);
    w.connections.for_each([&](std::uint32_t, const TcpConnectionState& c) {
        held = held || c.policy != DurabilityPolicy::none;
    });
    return held;
}

// DURABILITY 1: a cut reserves TSval and the ISN clock ahead; the next run starts behind that, and stands there until
// it has committed a reservation of its own, or else a second crash would take the clock back. What it says beside a SYN
// cookie is rounded down, and is to lie behind the reservation too.
void renew_wire_clock(StackState& s, const ResumeOptions& options, Duration elapsed, bool hold) {
    const std::int64_t aged = wire_clock_ns(s, s.now) + std::min(elapsed, wire_clock_step_max).ns;
    const bool adopted = options.wire_clock_reserved_ns == INT64_MIN;
    const std::int64_t behind_reserved = adopted ? INT64_MIN : options.wire_clock_reserved_ns + cookie_timestamp_step.ns;
    const std::int64_t reserved = is_planted(Fault::tsval_moved_back) ? INT64_MIN : behind_reserved;
    const std::int64_t start = std::min(std::max(aged, reserved), wire_clock_last_ns);
    s.wire_clock_offset = Duration{start - options.now.ns};
    s.wire_clock_resumed_ns = start;
    if (!adopted) s.wire_clock_ceiling_ns = hold ? start : INT64_MAX;
    if (adopted && s.wire_clock_ceiling_ns < start) s.wire_clock_ceiling_ns = start;
}

void renew_sockets(World& w) {
    for (std::uint32_t i = w.sockets.next(0); i != BitTree::none; i = w.sockets.next(i + 1)) {
        SocketState& socket = w.sockets.edit(i);
        socket.claimed = false;
        // A connection's verdict needs the peer (tcp::resume); anything else is simply there again.
        socket.verdict = socket.connection ? Verdict::pending : Verdict::resumed;
    }
}

}  // namespace

void shift_times(World& w, Duration by, Duration aged) {
    const Shift shift{by, aged};
    w.for_each_slab([&](auto& slab) {
        for (std::uint32_t i = slab.next(0); i != BitTree::none; i = slab.next(i + 1)) {
            for_each_field(slab.edit(i), shift);
        }
    });
}

void renew(World& w, const ResumeOptions& options) {
    w.cuts().flush = 0;
    w.cuts().outstanding = {};  // before any edit: no edges for cuts that are over
    const Duration elapsed = std::clamp(options.elapsed, Duration{0}, elapsed_max);
    w.header->generations = std::min(w.header->generations + generation_jump, handle_generation_max);

    StackState& s = w.edit_stack();
    const bool hold = anything_is_held(w);
    renew_wire_clock(s, options, elapsed, hold);
    shift_times(w, options.now - s.now, elapsed);
    s.now = options.now;
    ++s.restarts;
    s.ready = false;
    s.kick_peers = options.icmp_kick;
    s.suspend = SuspendPhase::running;
    s.suspend_until = never;
    s.resume_cursor = 0;
    renew_secrets(s, options);
    renew_sockets(w);
    ++w.count().restores;
}

}  // namespace keepnet::durability
