// Parts of a segment's way through the stack, each by itself.
#include <array>
#include <cstdint>
#include <numeric>

#include "base/checksum.hpp"
#include "base/siphash.hpp"
#include "bench/benchmarks.hpp"
#include "bench/measure.hpp"
#include "wire/tcp.hpp"

namespace keepnet::bench {
namespace {

constexpr std::size_t batch = 64;

template <class Once>
void repeat(benchmark::State& state, Once&& once) {
    measure(state, false, [&] {
        for (std::size_t i = 0; i < batch; ++i) once();
        return batch;
    });
}

void checksum(benchmark::State& state) {
    std::array<std::uint8_t, 1440> payload{};
    std::iota(payload.begin(), payload.end(), std::uint8_t{1});
    repeat(state, [&] {
        benchmark::DoNotOptimize(payload);
        Checksum sum;
        sum.add(payload);
        benchmark::DoNotOptimize(sum.fold());
    });
}

/// The key of the connection table: two addresses, two ports.
void connection_hash(benchmark::State& state) {
    const HashKey key{1, 2};
    std::array<std::uint64_t, 5> words{1, 2, 3, 4, 5};
    repeat(state, [&] {
        benchmark::DoNotOptimize(words);
        benchmark::DoNotOptimize(hash13_words(key, words));
    });
}

void tcp_header(benchmark::State& state) {
    wire::TcpRepr repr{.src_port = 80, .dst_port = 49152, .seq = Seq{1}, .ack = Seq{2}, .window = 1000};
    repr.flags.ack = true;
    repr.options.timestamps = wire::TcpTimestamps{.tsval = 1, .tsecr = 2};
    std::array<std::uint8_t, wire::tcp_header_bytes_max> bytes{};
    repeat(state, [&] {
        benchmark::DoNotOptimize(repr);
        const std::size_t length = wire::emit_tcp(repr, bytes);
        benchmark::DoNotOptimize(wire::parse_tcp(ByteView(bytes).first(length)));
    });
}

}  // namespace

void register_parts() {
    add("part/checksum of 1,440 bytes", checksum);
    add("part/SipHash-1-3 of a connection's key", connection_hash);
    add("part/TCP header with timestamps, emitted and parsed", tcp_header);
}

}  // namespace keepnet::bench
