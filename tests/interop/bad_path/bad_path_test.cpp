// A transfer over a path that loses, doubles and reorders, between keepnet and Linux: every byte arrives,
// once and in order, and what is sent again has to do with what was lost. The program makes its own network
// namespaces. Exit status 77: not possible here.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdio>
#include <cstdlib>

#include "bench/bad_path.hpp"
#include "bench/linux_host.hpp"

using namespace keepnet;
using namespace keepnet::bench;

namespace {

constexpr std::size_t bytes = 8U << 20;

/// A round trip of 20 ms, and a queue at 50 Mbit/s that holds two of them.
drivers::FaultConfig path(std::uint64_t seed) {
    return {.seed = seed, .delay = milliseconds(10), .bits_per_second = 50'000'000, .queue_bytes = 250'000};
}

/// Namespaces and TAP interfaces need root.
void skip_without_root() {
    if (const auto host = LinuxHost::create(Ipv6Address::from_words({0xfd00, 0x6b6e, 0, 0, 0, 0, 0, 1}));
        !host) {
        std::fprintf(stderr, "skipped: %s\n", host.error().c_str());
        std::_Exit(77);
    }
}

BadPathResult transfer(Sender sender, const drivers::FaultConfig& faults) {
    const auto result =
        run_over_bad_path({.sender = sender, .faults = faults, .bytes_max = bytes, .time_max = seconds(100)});
    INFO((result ? std::string() : result.error()));
    REQUIRE(result.has_value());
    CHECK(result->intact);
    CHECK(result->ended);
    CHECK(result->bytes == bytes);
    return *result;
}

}  // namespace

TEST_CASE("bad path: loss, duplicates and reordering, and no storm of retransmissions") {
    skip_without_root();
    const Sender sender = GENERATE(Sender::keepnet, Sender::linux_to_keepnet);
    const std::uint64_t seed = GENERATE(1U, 2U);
    CAPTURE(static_cast<int>(sender), seed);
    auto faults = path(seed);
    faults.lost_ppm = 10'000;
    faults.doubled_ppm = 10'000;
    faults.reordered_ppm = 10'000;
    faults.reordered_by = milliseconds(3);
    const auto r = transfer(sender, faults);
    const std::uint64_t lost = r.data.lost + r.data.overflowed;
    std::printf("%s: %llu frames of data, %llu lost, %llu sent again, %llu reordered, %lld ms\n",
                sender == Sender::keepnet ? "keepnet to Linux" : "Linux to keepnet",
                static_cast<unsigned long long>(r.data.frames), static_cast<unsigned long long>(lost),
                static_cast<unsigned long long>(r.retransmitted),
                static_cast<unsigned long long>(r.data.reordered), static_cast<long long>(r.time.ms()));
    CHECK(lost > 20);
    CHECK(r.data.doubled > 20);
    CHECK(r.data.reordered > 20);
    CHECK(r.retransmitted >= lost);
    CHECK(r.retransmitted <= 2 * lost);
}
