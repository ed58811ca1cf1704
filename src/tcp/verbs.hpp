// What the files of tcp/ call of each other, in the order of a segment's life. A connection is edited once
// per event and handed on by reference; nothing here frees its slot: settle(), at the end of each event,
// does.
#pragma once

#include <cstdint>
#include <optional>

#include "base/planted.hpp"
#include "base/seq.hpp"
#include "state/world.hpp"
#include "tcp/tables.hpp"
#include "tcp/tcp.hpp"
#include "wire/tcp.hpp"

namespace keepnet::tcp {

/// A received segment: parsed, checksum right, not yet looked at.
struct Segment {
    wire::TcpRepr repr{};
    Endpoint local{};
    Endpoint remote{};
    Slice payload{};
    bool fin = false;            ///< cleared when the window cuts it off
    bool came_with_syn = false;  ///< its window is not scaled (RFC 7323 2.2), also when the SYN was taken off
    std::uint8_t traffic_class = 0;
    [[nodiscard]] std::uint32_t length() const {
        return std::uint32_t{payload.length} + (repr.flags.syn ? 1U : 0U) + (fin ? 1U : 0U);
    }
};

// --- phases ---

constexpr bool is_dead(const TcpConnectionState& c) { return c.phase == TcpPhase::closed; }
/// Both SYNs are acknowledged and the connection has not ended.
constexpr bool is_synchronized(const TcpConnectionState& c) {
    return c.phase >= TcpPhase::established && c.phase <= TcpPhase::time_wait;
}
/// May the application still put bytes into the stream?
constexpr bool can_accept_data(const TcpConnectionState& c) {
    return !c.snd.fin_queued && (c.phase == TcpPhase::syn_sent || c.phase == TcpPhase::syn_received ||
                                 c.phase == TcpPhase::established || c.phase == TcpPhase::close_wait);
}
/// No application: closed by it. (Not: waiting to be accepted.)
constexpr bool is_orphan(const TcpConnectionState& c) { return !c.socket && !c.listener; }

/// Over and done with, and remembered only because the SYN cookie that made it is still good. To everybody but that
/// cookie it is not there.
constexpr bool is_spent(const TcpConnectionState& c) {
    return is_dead(c) && c.cookie_until != never && !c.tombstone && !c.rst_owed;
}

inline constexpr std::uint32_t timestamps_bytes = 12;  ///< of the option, padded (RFC 7323 appendix A)

// --- connection.cpp: birth, end, and what every event ends with ---

/// A new connection, entered into the tables; null when there is no slot. Sequence numbers are the caller's.
std::uint32_t create_connection(TcpContext& cx, const Endpoint& local, const Endpoint& remote,
                                const SocketOptions& options);
/// Bytes; options that come from a snapshot may hold anything.
std::uint32_t receive_buffer_of(const SocketOptions& options);
void take_options(TcpConnectionState& c, const SocketOptions& options);
/// The connection is over: queues to the peer are dropped, timers stop. What was received stays readable
/// while there is a socket. Held policies leave a tombstone until it is durable.
void end_connection(TcpContext& cx, TcpConnectionState& c, Error why, Verdict verdict);
/// Timers, run set, marks and sums follow the state; a connection that nothing needs any more is freed.
void settle(TcpContext& cx, TcpConnectionState& c);
/// The socket, if there is one, gets the error (Error::invalid: none) and the verdict, and is reported ready.
void tell_socket(TcpContext& cx, const TcpConnectionState& c, Error e);
/// A new SYN takes the place of a connection in TIME-WAIT. No tombstone: whoever undoes this undoes the new
/// one too.
void replace_time_wait(TcpContext& cx, TcpConnectionState& c);
/// Enters TIME-WAIT; its clock starts once our ACK of the FIN has left (DURABILITY 2).
void enter_time_wait(TcpContext& cx, TcpConnectionState& c);
/// The FIN's ACK has been transmitted: what waited for it.
void on_fin_ack_transmitted(TcpContext& cx, TcpConnectionState& c);
/// The end has become durable: a reset that waited for it may leave, then the slot is free.
void lift_tombstone(TcpContext& cx, TcpConnectionState& c);
/// Restored, and the peer, which was away longer than we were, is back: what met nobody need not wait for a timer that
/// backed off meanwhile.
void on_sign_of_life(TcpConnectionState& c);
/// The peer is alive: keep-alive starts over.
void on_heard(TcpContext& cx, TcpConnectionState& c);
/// The send queue has shrunk: reported once a good part of it is free, so that a writer wakes for more than a
/// byte.
void notify_writable(TcpContext& cx, const TcpConnectionState& c);
/// Data left for the first time: reported to a writer that waits for that (TCP_NOTSENT_LOWAT).
void notify_sent(TcpContext& cx, const TcpConnectionState& c);

/// What the tables hold of a connection. Changes no state.
void rebuild_connection(TcpContext& cx, std::uint32_t connection, const TcpConnectionState& c);

// --- segment_arrives.cpp, synchronized.cpp, text.cpp ---

void on_synchronized(TcpContext& cx, TcpConnectionState& c, Segment& s);
/// RFC 7323 4, RFC 6298: the ACK ends a measurement.
void measure_round_trip(TcpContext& cx, TcpConnectionState& c, const Segment& s);
/// RFC 9293 3.10.7.4, seventh and eighth: text and FIN.
void take_text(TcpContext& cx, TcpConnectionState& c, Segment& s);
/// What lies out of order at rcv.nxt, and an early FIN, move on.
void take_queued_text(TcpContext& cx, TcpConnectionState& c);
/// RFC 9293 3.10.7.4, fifth. False: the segment goes no further.
bool take_ack(TcpContext& cx, TcpConnectionState& c, const Segment& s);

// --- handshake.cpp ---

void on_syn_sent(TcpContext& cx, TcpConnectionState& c, Segment& s);
/// Options of the peer's SYN; `offered`: what we said in ours.
void take_syn_options(TcpContext& cx, TcpConnectionState& c, const wire::TcpOptions& options,
                      bool timestamps_offered, bool scale_offered);
void learn_irs(TcpConnectionState& c, Seq irs);
/// The ACK `s` of our SYN was right.
void establish(TcpContext& cx, TcpConnectionState& c, const Segment& s);
/// Text and FIN that came with the peer's SYN wait out of order until the connection is established.
void queue_syn_text(TcpContext& cx, TcpConnectionState& c, const Segment& s);
/// RFC 6528: keyed, and growing by one every 4 microseconds.
Seq initial_sequence(const TcpContext& cx, const Endpoint& local, const Endpoint& remote);
/// RFC 7323 7.1: keyed offset of TSval.
std::uint32_t timestamp_offset(const World& w, const Endpoint& local, const Endpoint& remote);
std::uint32_t timestamp_now(const TcpContext& cx, std::uint32_t offset);
/// For the MSS option: what one packet of the interface takes (RFC 6691).
std::uint16_t advertised_mss(const TcpContext& cx, const Endpoint& remote, std::uint16_t max_segment);
/// Payload of a full segment: the peer's MSS and the path's MTU, less the options of every segment.
void update_mss(const TcpContext& cx, TcpConnectionState& c);

// --- user.cpp ---

/// A FIN follows what was accepted; the phase changes now, whenever the FIN leaves (DURABILITY 1).
void queue_fin(TcpConnectionState& c);
/// Nobody will read: what is there and what comes counts as taken.
void abandon_receiving(TcpContext& cx, TcpConnectionState& c);

// --- listener.cpp, cookies.cpp ---

/// The most specific listener for a destination, tombstones included; or none.
std::uint32_t find_listener(const TcpContext& cx, const Endpoint& local, const Endpoint& remote);
void on_listen(TcpContext& cx, std::uint32_t listener, Segment& s);
/// `old_max`: a TIME-WAIT connection with the same four numbers ended there (RFC 6191).
void on_listen_syn(TcpContext& cx, std::uint32_t listener, Segment& s, std::optional<Seq> old_max);
/// A connection that came in through the listener, with what it inherits; or none. Handshake and count are
/// the caller's.
std::uint32_t create_child(TcpContext& cx, std::uint32_t listener, const Segment& s, Seq iss, Seq irs);
void close_listener(TcpContext& cx, std::uint32_t listener);
/// A child has completed its handshake. False: the accept queue is full.
bool queue_for_accept(TcpContext& cx, TcpConnectionState& c);
/// The child leaves its listener's count or queue.
void leave_listener(TcpContext& cx, TcpConnectionState& c);

/// Has the listener answered SYNs with cookies lately, in this life or in one that was lost?
inline bool expects_cookies(const TcpContext& cx, std::uint32_t listener) {
    const Deadline until = cx.w.listeners.get(listener).cookies_until;
    return until != never && cx.now < until;
}
/// Answers a SYN without a record. False: it could not be sent.
bool send_cookie(TcpContext& cx, std::uint32_t listener, const Segment& s);
/// A cookie is good for two periods, and one that a lost life made with the next secret for one more.
[[nodiscard]] Deadline cookie_end(const TcpContext& cx);
/// An ACK that may carry a cookie: a connection if it does, or a reset.
void on_cookie_ack(TcpContext& cx, std::uint32_t listener, Segment& s);
/// New secrets when their time has come.
void rotate_cookies(TcpContext& cx);

// --- transmit.cpp ---

enum class Transmitted : std::uint8_t { nothing, sent, busy };
/// Plans, hands over and commits one segment.
Transmitted transmit_next(TcpContext& cx, TcpConnectionState& c);
/// One pure ACK at once, not in its turn: each out-of-order segment must get its own. Owed if the ring is
/// full.
void send_ack(TcpContext& cx, TcpConnectionState& c);
/// Is there anything that the next turn could send? May say yes in vain.
bool has_something_to_send(const TcpConnectionState& c);
/// Data waits for a window too small for it, and nothing is in flight that would bring a new one.
bool needs_persist(const TcpConnectionState& c);
/// A partial segment is being held back for the application to fill.
bool is_corked(const TcpConnectionState& c);
/// Would an update of the window be worth a segment?
bool is_window_update_due(const TcpContext& cx, const TcpConnectionState& c);

/// ACK field: how far the peer may be told, in steps of eight segments (DURABILITY 1).
Seq ack_field(const TcpConnectionState& c);
ip::OutputRequest request_for(const TcpConnectionState& c);
/// Asks the peer of a restored connection for what it may hold back, if the embedder wants that (DURABILITY
/// 8).
void kick_peer(TcpContext& cx, const TcpConnectionState& c);

// --- reset.cpp ---

/// RFC 9293 3.5.2: a reset in answer to a segment that matches nothing.
void answer_with_reset(TcpContext& cx, const Segment& s);
/// The same where nothing matched: counted, and silent where an answer would say too much (DURABILITY 1, 2).
void refuse(TcpContext& cx, const Segment& s);
/// This side gives up: a reset goes to the peer when that is durable (DURABILITY 1).
void abort_connection(TcpContext& cx, TcpConnectionState& c, Error why);
/// RFC 5961 7: at most so many a second. Also the answer to an unacceptable segment.
void send_challenge(TcpContext& cx, TcpConnectionState& c);
/// The ACK that a segment outside the window gets; rate-limited when it could be one of ours coming back.
void answer_unacceptable(TcpContext& cx, TcpConnectionState& c, const Segment& s);

// --- durability.cpp ---

/// Sequence numbers that may be acknowledged, and those that may be sent.
inline Seq acknowledgeable(const TcpConnectionState& c) {
    if (is_planted(Fault::ack_before_durable)) return c.rcv.nxt;
    return c.policy == DurabilityPolicy::none ? c.rcv.nxt : min_seq(c.rcv.nxt, c.marks.rcv_durable);
}
constexpr Seq sendable_end(const TcpConnectionState& c) {
    return c.policy == DurabilityPolicy::none ? snd_end(c) : min_seq(snd_end(c), c.marks.snd_durable);
}
/// May a segment with ACK leave? Not before the peer's SYN is durable.
constexpr bool may_acknowledge(const TcpConnectionState& c) {
    return c.policy == DurabilityPolicy::none || after(c.marks.rcv_durable, c.rcv.irs);
}
/// The right edge that durable consumption allows.
constexpr Seq wanted_edge(const TcpConnectionState& c) {
    return c.policy == DurabilityPolicy::none ? rcv_consumed(c) + c.rcv.buffer
                                              : c.marks.consumed + c.marks.buffer;
}
/// Marks of a connection that nothing of is durable.
void begin_marks(TcpConnectionState& c);
/// Has anything moved since the marks were set?
bool is_past_marks(const TcpConnectionState& c);
/// Notes what went past the marks.
void note_held(TcpContext& cx, TcpConnectionState& c);
void forget_held(TcpContext& cx, std::uint32_t connection);
/// Notes since when `c` waits, for whoever's commit lets out what is held of it.
void want_commit(Tables& t, const TcpConnectionState& c);

}  // namespace keepnet::tcp
