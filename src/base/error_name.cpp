#include <keepnet/error.hpp>

namespace keepnet {

using namespace std::string_view_literals;  // the length is known: no call of strlen

std::string_view name(Error e) {
    switch (e) {
        case Error::invalid:
            return "invalid"sv;
        case Error::would_block:
            return "would_block"sv;
        case Error::stale_handle:
            return "stale_handle"sv;
        case Error::wrong_kind:
            return "wrong_kind"sv;
        case Error::invalid_argument:
            return "invalid_argument"sv;
        case Error::invalid_state:
            return "invalid_state"sv;
        case Error::not_connected:
            return "not_connected"sv;
        case Error::already_connected:
            return "already_connected"sv;
        case Error::in_progress:
            return "in_progress"sv;
        case Error::address_in_use:
            return "address_in_use"sv;
        case Error::address_not_available:
            return "address_not_available"sv;
        case Error::no_route:
            return "no_route"sv;
        case Error::no_ports:
            return "no_ports"sv;
        case Error::no_memory:
            return "no_memory"sv;
        case Error::message_too_long:
            return "message_too_long"sv;
        case Error::connection_refused:
            return "connection_refused"sv;
        case Error::connection_reset:
            return "connection_reset"sv;
        case Error::connection_aborted:
            return "connection_aborted"sv;
        case Error::timed_out:
            return "timed_out"sv;
        case Error::host_unreachable:
            return "host_unreachable"sv;
        case Error::end_of_stream:
            return "end_of_stream"sv;
        case Error::address_gone:
            return "address_gone"sv;
        case Error::dropped_by_policy:
            return "dropped_by_policy"sv;
        case Error::no_device:
            return "no_device"sv;
        case Error::cut_unread:
            return "cut_unread"sv;
        case Error::too_many_cuts:
            return "too_many_cuts"sv;
        case Error::cut_overrun:
            return "cut_overrun"sv;
        case Error::unknown_cut:
            return "unknown_cut"sv;
        case Error::fenced:
            return "fenced"sv;
        case Error::arena_too_small:
            return "arena_too_small"sv;
        case Error::arena_misaligned:
            return "arena_misaligned"sv;
        case Error::arena_foreign:
            return "arena_foreign"sv;
        case Error::arena_in_step:
            return "arena_in_step"sv;
        case Error::arena_damaged:
            return "arena_damaged"sv;
        case Error::device_failed:
            return "device_failed"sv;
        case Error::closed:
            return "closed"sv;
        case Error::journal_foreign:
            return "journal_foreign"sv;
        case Error::journal_damaged:
            return "journal_damaged"sv;
        case Error::journal_mismatch:
            return "journal_mismatch"sv;
        case Error::journal_full:
            return "journal_full"sv;
        case Error::journal_failed:
            return "journal_failed"sv;
        case Error::replay_diverged:
            return "replay_diverged"sv;
        case Error::replaying:
            return "replaying"sv;
    }
    return "unknown"sv;
}

}  // namespace keepnet
