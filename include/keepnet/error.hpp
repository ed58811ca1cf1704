// Everything a call can fail with. Nothing in the core throws: a fallible call returns std::expected<T, Error>.
#pragma once

#include <cstdint>
#include <string_view>

#include <keepnet/cxx23.hpp>

namespace keepnet {

enum class Error : std::uint8_t {
    invalid = 0,            ///< never returned; 0 is no error code
    would_block,            ///< nothing to read, no room to write, nothing to accept: wait for readiness
    stale_handle,           ///< the handle names nothing that exists (closed, or from another stack)
    wrong_kind,             ///< the handle names a socket of another kind
    invalid_argument,       ///< an argument is outside its range
    invalid_state,          ///< the call does not fit the socket's state (connect twice, bind after connect)
    not_connected,          ///< the connection does not exist yet, or no longer
    already_connected,      ///< connect on a connected socket
    in_progress,            ///< the connection is being made
    address_in_use,         ///< another socket has that local endpoint
    address_not_available,  ///< no interface has that address
    no_route,               ///< no way to the destination
    no_ports,               ///< every ephemeral port is taken
    no_memory,              ///< a capacity of the config is exhausted
    message_too_long,       ///< a datagram that one frame cannot carry
    connection_refused,     ///< the peer answered the SYN with a reset; or ICMPv6 port unreachable
    connection_reset,       ///< the peer reset the connection
    connection_aborted,     ///< this side aborted it
    timed_out,              ///< the peer stopped answering
    host_unreachable,       ///< the network says so, or neighbour discovery failed
    end_of_stream,          ///< the peer has closed its side and everything was read
    closed,                 ///< this side has closed its side for writing
    address_gone,           ///< the local address was lost (duplicate found, or taken away)
    dropped_by_policy,      ///< ended at restore by the embedder's policy
    no_device,              ///< no such interface, or no device attached to it
    cut_unread,             ///< the previous cut has not been read yet
    too_many_cuts,          ///< two cuts are already waiting for committed() or abandoned()
    cut_overrun,            ///< more changed behind the cut than the shadow holds; abandon it and cut again
    unknown_cut,            ///< not a cut that is outstanding
    fenced,                 ///< the embedder's fence refused this epoch
    arena_too_small,        ///< the arena is smaller than the config needs
    arena_misaligned,       ///< the arena does not start at a multiple of arena_alignment
    arena_foreign,          ///< not a keepnet arena, or one of another build or config
    arena_in_step,          ///< its owner died inside a step
    arena_damaged,          ///< an invariant of the state does not hold
    device_failed,          ///< the device gave an error that does not go away
    journal_foreign,        ///< the journal is another one's, or of a newer format
    journal_damaged,        ///< a journal record that was durable is not whole
    journal_mismatch,       ///< journal and snapshot do not belong together: one is too old for the other
    journal_full,           ///< no room until a snapshot is committed
    journal_failed,         ///< the journal's store gave an error; it is tried again
    replay_diverged,        ///< the program did not do again what it had done before the crash
    replaying,              ///< not while calls are served from the journal
};
inline constexpr Error last_error = Error::replaying;

/// Stable lower-case name, for logs and for `keepnet inspect`.
std::string_view name(Error e);

}  // namespace keepnet
