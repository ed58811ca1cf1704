// Everything that a seed decides before the run: limits, faults, policies, and the work that the applications
// do.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <keepnet/config.hpp>
#include <keepnet/time.hpp>

#include "support/seams.hpp"

namespace keepnet::sim {

using test::Dice;

inline constexpr unsigned hosts_max = 5;

/// One direction of the wire, while faults last.
struct LinkPlan {
    Duration latency{};
    Duration jitter{};  ///< on top, drawn for each frame: reorders
    unsigned loss_permille = 0;
    unsigned duplicate_permille = 0;
    unsigned damage_permille = 0;        ///< bits flipped, or the end cut off
    unsigned mark_permille = 0;          ///< CE on what may be marked (RFC 3168 5)
    std::uint64_t bytes_per_second = 0;  ///< 0: no limit
    Duration queue_max = milliseconds(100);
};

/// A router on the way that takes no larger packets, and says so.
struct Narrow {
    std::uint16_t mtu = 1500;
    Instant from{};
    Instant until{};
    bool is_silent = false;  ///< or does not say so: a black hole
};

/// The hosts of the group and the others do not reach each other.
struct Blackout {
    unsigned group = 1;  ///< bit for each host
    Instant from{};
    Instant until{};
};

enum class Life : std::uint8_t {
    steady,    ///< never dies
    crashing,  ///< policy snapshot; loses everything behind its last committed snapshot
    orderly,   ///< any policy; freezes, or suspends, is saved at its very last instant, and comes back
};

/// What a host's restores know of the time it was away. The same all its lives: one that knows must not
/// forget, or its clock on the wire would stand where it has been.
enum class Outage : std::uint8_t { unknown, by_wall_clock, exact };

/// Of a host under policy journal.
struct JournalPlan {
    std::uint64_t capacity = 8U << 20;    ///< bytes of its store
    Duration write_min{}, write_max{};    ///< until what was written is durable
    unsigned write_error_percent = 0;     ///< writes that fail
    Duration broken_max{};                ///< how long the store takes nothing after one, at most
    Duration replay_pause_max{};          ///< between two turns that are replayed
};

/// Where in a host's life a crash is tried besides the drawn instants; permille for each such place.
enum class Place : std::uint8_t { poll, transfer, handler, cut, encode, durable, committed, restore, journal, count_ };

/// The network card is replaced by one that takes frames of another size.
struct Card {
    Instant at{};
    std::uint16_t mtu = 1500;
};

struct HostPlan {
    StackConfig config{};
    std::uint16_t mtu = 1500;
    Life life = Life::steady;
    bool takes_cuts = false;
    bool on_demand =
        false;  ///< cuts when the stack wants a commit; else every cut_interval, if anything happened
    Duration cut_interval{};                ///< on demand: how long it waits after it is wanted
    Duration storage_min{}, storage_max{};  ///< until a written snapshot is durable
    Duration told_max{};                    ///< and until the stack hears of it
    unsigned sync_encode_percent = 0;       ///< encoded at the cut, in one piece
    unsigned abandon_percent = 0;
    unsigned write_error_percent = 0;  ///< snapshots whose writing ends with an error: a full disk, a bad one
    unsigned suspended_crash_percent = 0;  ///< suspends that the power does not wait for
    unsigned crashes = 0;  ///< at most
    std::array<unsigned, static_cast<std::size_t>(Place::count_)> crash_permille{};
    std::vector<Instant> crash_at{};
    Duration downtime_max{};
    Outage outage_is = Outage::exact;
    Duration ready_max = milliseconds(5);  ///< until the application has claimed what is its own, at most
    unsigned attach_percent = 0;            ///< crashes that the arena survives
    Duration poll_latency{};                ///< from a frame or deadline to the poll, at most
    unsigned transmit_refusal_percent = 0;  ///< of the device's bursts
    bool link_local = false;
    std::uint32_t backlog = 8;
    bool udp_held = false;
    bool sends_by_snapshot = false;         ///< beside a journal: what it sends waits for the snapshot (DURABILITY 7)
    Duration udp_interval{};  ///< 0: no datagrams
    JournalPlan journal{};
    bool receives = false;      ///< reads into a buffer of its own, instead of looking and then consuming
    std::vector<Card> cards{};  ///< in order
};

enum class Kind : std::uint8_t {
    stream,  ///< both ways at once
    download,
    upload,
    request_response,
    half_close,        ///< the server answers when it has seen the end
    brief,             ///< one small request, one small answer, closed without ceremony
    idle_then_stream,  ///< nothing while faults last
    aborted,           ///< one side may reset it, or may not
};

/// How one side of a connection behaves.
struct SidePlan {
    std::uint32_t read_chunk = 65536;
    std::uint32_t write_chunk = 65536;
    Duration read_pause{};
    Duration write_pause{};
    Duration handle_pause{};  ///< what was read is in hand so long
    bool no_delay = false;
    bool quick_ack = false;
    std::uint32_t receive_buffer = 0;  ///< 0: the default
    std::uint32_t send_buffer = 0;
    std::uint16_t max_segment = 0;
    unsigned abort_permille = 0;  ///< for each action, while faults last
};

struct ConnectionPlan {
    std::uint32_t id = 0;     ///< 1, 2, ...: place in Plan::connections + 1
    std::uint8_t client = 0;  ///< host
    std::uint8_t server = 1;
    Kind kind = Kind::stream;
    std::uint64_t up = 0;  ///< bytes of the client's stream, header included
    std::uint64_t down = 0;
    std::uint32_t request = 0;  ///< bytes of each, for request_response
    std::uint32_t response = 0;
    bool bind_first = false;
    bool is_left_out = false;
    Instant start{};
    std::array<SidePlan, 2> side{};  ///< client, server
};

/// A client's stream begins with this: its id, and the id's complement.
inline constexpr std::uint64_t header_bytes = 8;

struct Plan {
    std::uint64_t seed = 0;
    Instant faults_end{};
    std::vector<HostPlan> host{};
    std::vector<LinkPlan> link{};  ///< from each host to the switch
    std::vector<Blackout> blackouts{};
    std::vector<Narrow> narrows{};
    Duration stray_interval{};  ///< segments that belong to nothing, while faults last; 0: none
    bool has_attacker = false;  ///< and some that nearly belong to something: who knows the four numbers guesses the rest
    std::vector<ConnectionPlan> connections{};
};

/// Which worlds are drawn.
enum class Setting : std::uint8_t {
    all,
    small,    ///< two hosts, and the faults that the first version knew; what a seed meant then it means there for ever
    journal,  ///< every host keeps a journal, and one at least dies
};

Plan draw(std::uint64_t seed, Setting setting = Setting::all);

}  // namespace keepnet::sim
