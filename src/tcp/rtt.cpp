#include "tcp/rtt.hpp"

namespace keepnet::tcp {

namespace {

constexpr std::uint8_t backoff_max = 16;           // far beyond rto_max

Duration rto_of(const RttState& rtt, const TcpConfig& config) {
    // As Linux: the minimum is one of the variance. With RFC 6298's (2.4, of the sum) a path of 200 ms or more without any
    // jitter would have a time-out of its round trip.
    const Duration spread = rtt.rttvar * 4;
    const Duration rto = rtt.srtt + (spread > config.rto_min ? spread : config.rto_min);
    return rto < config.rto_max ? rto : config.rto_max;
}

}  // namespace

void take_sample(RttState& rtt, Duration sample, const TcpConfig& config) {
    if (sample < microseconds(1)) sample = microseconds(1);  // 0 means that there is none
    if (rtt.srtt.ns == 0) {
        rtt.srtt = sample;
        rtt.rttvar = sample / 2;
    } else {
        const Duration error = rtt.srtt > sample ? rtt.srtt - sample : sample - rtt.srtt;
        rtt.rttvar = rtt.rttvar - rtt.rttvar / 4 + error / 4;
        rtt.srtt = rtt.srtt - rtt.srtt / 8 + sample / 8;
    }
    rtt.rto = rto_of(rtt, config);
    rtt.backoff = 0;
}

Duration current_rto(const RttState& rtt, const TcpConfig& config) {
    Duration rto = rtt.rto.ns > 0 ? rtt.rto : config.rto_initial;
    for (unsigned i = 0; i < rtt.backoff && rto < config.rto_max; ++i) rto = rto * 2;
    return rto < config.rto_max ? rto : config.rto_max;
}

void back_off(RttState& rtt) {
    rtt.timing = false;  // Karn: what is sent again measures nothing
    if (rtt.backoff < backoff_max) ++rtt.backoff;
}

void restart_rtt(RttState& rtt, const TcpConfig& config) {
    rtt.backoff = 0;
    rtt.timing = false;
    rtt.rto = rtt.srtt.ns > 0 ? rto_of(rtt, config) : config.rto_initial;
}

}  // namespace keepnet::tcp
