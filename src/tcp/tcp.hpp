// TCP (RFC 9293) as the stack sees it: events in, requests out. The state is TcpConnectionState; what can be
// rebuilt from it is in Tables (tables.hpp).
#pragma once

#include <cstdint>
#include <expected>

#include <keepnet/stack.hpp>

#include "ip/ip.hpp"
#include "state/world.hpp"

namespace keepnet::tcp {

/// Derived: hash tables of connections and listeners, run set of connections with something to send, the set
/// of those with something held for a commit, sums of granted windows.
struct Tables;

struct TcpContext : ip::IpContext {
    Tables& tables;
};

// --- events ---

void on_segment(TcpContext& cx, const ip::TransportInput& input);
/// ICMPv6 errors, checked against the sequence numbers in flight (RFC 5927).
void on_error(TcpContext& cx, const ip::TransportError& error);
void on_timer(TcpContext& cx, std::uint32_t connection);
/// Ends every connection whose local address is no longer ours: its reader would wait for ever.
void on_address_lost(TcpContext& cx);
/// Gives each connection of the run set a turn of PollConfig::segments_per_turn segments, round robin from
/// the cursor, until all have sent what they may, the limit of turns is reached (true: work is left) or the
/// ring is full.
bool run_output(TcpContext& cx, std::uint32_t turns);

/// Does the run set hold a connection that could send now (its port's ring has room)?
bool has_output(const TcpContext& cx);

// --- calls by the application; all through the socket ---

/// The socket is bound and the local endpoint complete.
std::expected<void, Error> connect(TcpContext& cx, Handle<SocketState> socket, const Endpoint& remote);
std::expected<void, Error> listen(TcpContext& cx, Handle<SocketState> socket, std::uint32_t backlog);
/// A new socket for the oldest complete connection.
std::expected<Handle<SocketState>, Error> accept(TcpContext& cx, Handle<SocketState> listener);
std::expected<std::size_t, Error> send(TcpContext& cx, Handle<SocketState> socket,
                                       std::span<const ByteView> data, bool more);
std::expected<std::size_t, Error> send_room(const TcpContext& cx, Handle<SocketState> socket);
std::expected<std::size_t, Error> peek(const TcpContext& cx, Handle<SocketState> socket,
                                       std::span<ByteView> out, std::size_t skip);
std::expected<void, Error> consume(TcpContext& cx, Handle<SocketState> socket, std::size_t bytes);
std::expected<void, Error> shutdown(TcpContext& cx, Handle<SocketState> socket, CloseDirection direction);
/// Detaches the connection or listener from the socket and lets it end; the caller destroys the socket.
void close(TcpContext& cx, Handle<SocketState> socket);
void abort(TcpContext& cx, Handle<SocketState> socket);
/// The socket has got its local endpoint: from now on is_taken() knows it, until close() or abort().
void on_bound(TcpContext& cx, Handle<SocketState> socket);
/// An option changed that the connection must know of (buffers, keep-alive, cork, ...).
void on_option(TcpContext& cx, Handle<SocketState> socket, SocketOption option);

[[nodiscard]] Readiness readiness(const TcpContext& cx, const SocketState& socket);
void fill_info(const TcpContext& cx, const SocketState& socket, SocketInfo& info);
TcpInfo tcp_info(const TcpContext& cx, const SocketState& socket);
/// Is `local` taken by a listener, a bound socket or a connection?
bool is_taken(const TcpContext& cx, const Endpoint& local, bool reuse_address, bool reuse_port = false);
/// May a connection local <-> remote be made (no other has these four)?
bool is_pair_free(const TcpContext& cx, const Endpoint& local, const Endpoint& remote);

// --- durability ---

/// The instant since which the longest-waiting output is held; `never`: none is.
Instant commit_wanted(const TcpContext& cx, CommitBy by = CommitBy::snapshot);
/// Marks move to their values at cut `n`; each connection touched owes an ACK and window update; tombstones
/// go.
void on_committed(TcpContext& cx, CutNumber n, CommitBy by = CommitBy::snapshot);
/// The edges recorded for cut `n` are of no use.
void on_abandoned(TcpContext& cx, CutNumber n);
/// Windows are granted no more (or again): DURABILITY 9.
void on_suspend(TcpContext& cx);
/// A bounded check for the suspend's end: everything received is acknowledged and nothing moves.
bool is_quiet(const TcpContext& cx);
/// DURABILITY 8, for each connection of a restored state: marks from the ends, counts and back-off anew,
/// restart window; the run set gets those that have something to say. The times are in the new clock already.
void resume(TcpContext& cx);
/// The same for a clone: every connection is the original's, gets its verdict, and says nothing to anybody, ever.
void retire_inherited(TcpContext& cx);
/// A restored connection that shall not go on. Behind resume().
void drop_restored(TcpContext& cx, std::uint32_t connection, bool tell_peer, Error error = Error::dropped_by_policy,
                   Verdict verdict = Verdict::dropped_by_policy);
/// Everything derived, from the state. Changes no state.
void rebuild(TcpContext& cx);
/// False when an invariant of a (decoded) connection or listener does not hold. Reads only.
bool is_sane(const World& w, std::uint32_t connection);
bool is_listener_sane(const World& w, std::uint32_t listener);

}  // namespace keepnet::tcp
