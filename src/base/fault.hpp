// The faults that can be planted, each a mistake that one makes without a rule of DURABILITY. Their places say which.
#pragma once

#include <cstdint>

namespace keepnet {

enum class Fault : std::uint8_t {
    none,
    ack_before_durable,     ///< the ACK field says what has been received
    literal_snd_nxt,        ///< SND.NXT and SND.MAX are restored as the snapshot has them
    withheld_acks_sent,     ///< an ACK that may not move is sent all the same, for each segment
    early_end_of_last_ack,  ///< LAST-ACK ends when our FIN is acknowledged, whether or not theirs is
    reset_before_ready,     ///< what matches nothing is refused before the application has claimed its own
    lost_field,             ///< one field is not encoded
    stale_shadow,           ///< an object that has a copy aside from an earlier cut gets none for this one
    timer_not_rearmed,      ///< no time-out runs for what was sent again
    edge_moved_back,        ///< the window is rounded down, whatever was promised
    tsval_moved_back,       ///< a restore goes on with the cut's clock, not behind its reservation
    journal_not_synced,     ///< a record counts as durable when the store has been given it
    interior_hole,          ///< a record of which sectors are missing is accepted
    replay_off_by_one,      ///< a read gives back one byte less than it gave
    readiness_out_of_order, ///< a replay says who is ready now, not who was
    lost_delta,             ///< bytes that came into a buffer are not in the record
    count_,
};

}  // namespace keepnet
