// keepnet::Error as a boost::system::error_code: Asio's own codes where it has one for the thing, so that
// code written for Asio's sockets finds what it compares with; else the POSIX code, in generic_category.
#pragma once

#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <keepnet/error.hpp>

namespace keepnet::asio {

/// Error::invalid becomes success.
inline boost::system::error_code to_error_code(Error error) {
    namespace codes = boost::asio::error;
    const auto generic = [](boost::system::errc::errc_t code) { return make_error_code(code); };
    switch (error) {
        case Error::invalid:
            return {};
        case Error::would_block:
            return codes::would_block;
        case Error::stale_handle:
            return codes::bad_descriptor;
        case Error::wrong_kind:
            return codes::operation_not_supported;
        case Error::invalid_argument:
            return codes::invalid_argument;
        case Error::invalid_state:
            return codes::invalid_argument;
        case Error::not_connected:
            return codes::not_connected;
        case Error::already_connected:
            return codes::already_connected;
        case Error::in_progress:
            return codes::in_progress;
        case Error::address_in_use:
            return codes::address_in_use;
        case Error::address_not_available:
            return generic(boost::system::errc::address_not_available);
        case Error::no_route:
            return codes::network_unreachable;
        case Error::no_ports:
            return generic(boost::system::errc::address_not_available);
        case Error::no_memory:
            return codes::no_buffer_space;
        case Error::message_too_long:
            return codes::message_size;
        case Error::connection_refused:
            return codes::connection_refused;
        case Error::connection_reset:
            return codes::connection_reset;
        case Error::connection_aborted:
            return codes::connection_aborted;
        case Error::timed_out:
            return codes::timed_out;
        case Error::host_unreachable:
            return codes::host_unreachable;
        case Error::end_of_stream:
            return codes::eof;
        case Error::closed:
            return codes::broken_pipe;
        case Error::address_gone:
            return codes::network_reset;
        case Error::dropped_by_policy:
        case Error::replay_diverged:
            return codes::connection_aborted;
        case Error::no_device:
            return codes::network_down;
        case Error::cut_unread:
        case Error::too_many_cuts:
        case Error::cut_overrun:
        case Error::unknown_cut:
        case Error::fenced:
        case Error::arena_too_small:
        case Error::arena_misaligned:
        case Error::arena_foreign:
        case Error::arena_in_step:
        case Error::arena_damaged:
        case Error::device_failed:
        case Error::journal_foreign:
        case Error::journal_damaged:
        case Error::journal_mismatch:
        case Error::journal_full:
        case Error::journal_failed:
        case Error::replaying:
            break;  // no call on a socket gives one of these
    }
    return generic(boost::system::errc::io_error);
}

}  // namespace keepnet::asio
