// Bulk and request-response, keepnet beside the kernel of this machine.
#include <cstdint>
#include <memory>
#include <utility>

#include "bench/benchmarks.hpp"
#include "bench/linux_peer.hpp"
#include "bench/measure.hpp"
#include "bench/pair.hpp"

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

/// An MTU at which a segment carries 1,440 bytes, as the kernel's do.
void register_keepnet() {
    constexpr std::uint16_t mtu = segment_bytes + 40 + 20 + 12;
    add("transfer/keepnet", [](benchmark::State& state) {
        Pair pair(config_for(1), mtu);
        pair.connect(1);
        bulk(state, false, pair);
    });
    for (const auto& [name, count] :
         {std::pair{"exchange/keepnet", 1U}, std::pair{"exchange/keepnet, 10,000 connections", 10'000U}})
        add(name, [n = count](benchmark::State& state) {
            Pair pair(config_for(n), mtu);
            pair.connect(n);
            request_response(state, false, pair);
        });
}

void register_linux(const char* transfer, const char* exchange, bool segments) {
    const auto with_peer = [segments](benchmark::State& state, auto run) {
        auto peer = LinuxPeer::create(segments);
        if (!peer) return state.SkipWithError(peer.error().c_str());
        run(state, true, **peer);
    };
    add(transfer, [=](benchmark::State& state) { with_peer(state, bulk<LinuxPeer>); });
    add(exchange, [=](benchmark::State& state) { with_peer(state, request_response<LinuxPeer>); });
}

}  // namespace

void register_transfers() {
    register_keepnet();
    register_linux("transfer/Linux, segments", "exchange/Linux, segments", true);
    register_linux("transfer/Linux, super-frames", "exchange/Linux", false);
}

}  // namespace keepnet::bench
