// Bulk and request-response, keepnet beside the kernel of this machine.
#include <memory>

#include "bench/benchmarks.hpp"
#include "bench/linux_peer.hpp"
#include "bench/measure.hpp"

namespace keepnet::bench {
namespace {

constexpr std::size_t segment_bytes = 1440;
constexpr std::size_t bulk_bytes = 4U << 20;
constexpr std::size_t exchange_bytes = 64;

/// `peer` has transfer(bytes) -> bytes moved.
template <class Peer>
void bulk(benchmark::State& state, bool kernel, Peer& peer) {
    peer.transfer(bulk_bytes);  // windows open, memory faulted in
    std::uint64_t bytes = 0;
    measure(state, kernel, [&] {
        const std::size_t moved = peer.transfer(bulk_bytes);
        bytes += moved;
        return moved / segment_bytes;
    });
    state.counters["gbit_s"] =
        benchmark::Counter(static_cast<double>(bytes) * 8e-9, benchmark::Counter::kIsRate);
}

template <class Peer>
void request_response(benchmark::State& state, bool kernel, Peer& peer) {
    peer.exchange(exchange_bytes);
    measure(state, kernel, [&] {
        peer.exchange(exchange_bytes);
        return 1U;
    });
}

void register_linux(const char* transfer, const char* exchange, bool segments) {
    const auto with_peer = [segments](benchmark::State& state, auto run) {
        auto peer = LinuxPeer::create(segments);
        if (!peer) return state.SkipWithError(peer.error().c_str());
        run(state, true, **peer);
    };
    benchmark::RegisterBenchmark(transfer,
                                 [=](benchmark::State& state) { with_peer(state, bulk<LinuxPeer>); });
    benchmark::RegisterBenchmark(
        exchange, [=](benchmark::State& state) { with_peer(state, request_response<LinuxPeer>); });
}

}  // namespace

void register_transfers() {
    register_linux("transfer/Linux, segments", "exchange/Linux, segments", true);
    register_linux("transfer/Linux, super-frames", "exchange/Linux", false);
}

}  // namespace keepnet::bench
