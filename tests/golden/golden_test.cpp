// Snapshots of released formats load for ever. v1.snapshot was written by `keepnet-test-golden "[write]"` from the sample
// state of tests/support/sample.cpp, and is never written again: a new format gets a file of its own.
#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <iterator>

#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;

namespace {

std::vector<std::uint8_t> read(const std::string& name) {
    std::ifstream in(KEEPNET_TESTS_DIR "/golden/" + name, std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("format 1.0") {
    const auto bytes = read("v1.snapshot");
    const auto summary = checkpoint::summarize(bytes);
    if (!summary) FAIL(summary.error().message);
    REQUIRE(summary->format_major == 1);
    REQUIRE(summary->format_minor == 0);
    REQUIRE(summary->cut == 1);
    REQUIRE(summary->epoch == 0);
    REQUIRE(summary->wall_clock_ns == 1'700'000'000'000'000'000);
    REQUIRE(summary->capacity.sockets == 16);

    StackConfig config;
    Arena arena(Stack::arena_bytes(config));
    auto restored = checkpoint::restore(arena.span(), config, bytes,
                                        {.now = Instant{} + 5_s, .elapsed = 2_s, .arena_is_zeroed = true});
    if (!restored) FAIL(restored.error().message);
    REQUIRE(restored->blobs.size() == 2);
    REQUIRE(restored->blobs[0].name == "application");
    REQUIRE(restored->blobs[0].bytes == std::vector<std::uint8_t>{'s', 't', 'a', 't', 'e'});
    REQUIRE(restored->blobs[1].bytes.empty());

    Stack& stack = restored->stack;
    REQUIRE(restored->sockets.size() == 4);
    const SocketHandle connected = restored->sockets[0].socket;
    REQUIRE(connected.raw == 0x0b00'0000);
    const auto info = stack.info(connected);
    REQUIRE(info->phase == TcpPhase::established);
    REQUIRE(info->local == Endpoint{*parse_ipv6("2001:db8::1"), 80, 1});
    REQUIRE(info->remote == Endpoint{*parse_ipv6("2001:db8::2"), 40000, 1});
    REQUIRE(info->send_queue_bytes == 600);
    REQUIRE(info->out_of_order_bytes == 99);
    REQUIRE(info->tx_accepted == 600);
    REQUIRE(info->verdict == Verdict::pending);
    std::array<std::uint8_t, 500> data{};
    REQUIRE(stack.receive(connected, data) == 400);
    for (std::size_t i = 0; i < 400; ++i) REQUIRE(data[i] == static_cast<std::uint8_t>(9 + i));

    const auto listening = stack.info(restored->sockets[1].socket);
    REQUIRE(listening->phase == TcpPhase::listen);
    REQUIRE(listening->accept_queue == 1);
    REQUIRE(listening->half_open == 1);
    REQUIRE(stack.info(restored->sockets[2].socket)->phase == TcpPhase::closed);
    const auto datagram = stack.peek_datagram(restored->sockets[3].socket);
    REQUIRE(datagram->source == Endpoint{*parse_ipv6("2001:db8::2"), 53, 1});
    REQUIRE(datagram->payload.size() == 33);
    REQUIRE(datagram->payload[32] == 72);

    World& w = stack.core().world;
    REQUIRE(fault_of(w) == "");
    REQUIRE(w.neighbors.get(0U).mac == MacAddress{{2, 0, 0, 0, 0, 2}});
    REQUIRE(w.neighbors.get(0U).timer == Instant{} + 5_s + 18_s);
    REQUIRE(w.routes.get(1U).next_hop == *parse_ipv6("2001:db8::2"));
    REQUIRE(w.destinations.get(0U).path_mtu == 1400);
    REQUIRE(w.interfaces.get(0U).device.length == 3);
    REQUIRE(w.interfaces.get(0U).device.bytes[2] == 9);

    // A restore does not send what waited for a link address; it is in the snapshot all the same.
    Arena other(Stack::arena_bytes(config));
    auto as_it_was = checkpoint::decode(other.span(), config, bytes, true);
    if (!as_it_was) FAIL(as_it_was.error().message);
    World& before = as_it_was->core().world;
    REQUIRE(before.neighbors.get(1U).pending_count == 2);
    const PendingPacketState& packet = before.pending_packets.get(before.neighbors.get(1U).pending_head.index());
    REQUIRE(packet.header_length == 60);
    REQUIRE(packet.slice_count == 2);
    REQUIRE(packet.slices[1].offset == 10);
    REQUIRE(before.pool.view(packet.slices[1])[49] == 51);
}

TEST_CASE("write a snapshot of the format as it is", "[.][write]") {
    Sample sample;
    const auto bytes = snapshot_of(*sample.stack, {.blobs = {{"application", {'s', 't', 'a', 't', 'e'}}, {"none", {}}},
                                                   .wall_clock_ns = 1'700'000'000'000'000'000});
    const auto summary = checkpoint::summarize(bytes);
    // Appended piece by piece: g++ 12 warns of operator+ (its bug 105651).
    std::string name = "v";
    name.append(std::to_string(summary->format_major)).append(".snapshot");
    std::ifstream there(KEEPNET_TESTS_DIR "/golden/" + name);
    REQUIRE_FALSE(there);  // a golden file is written once
    std::ofstream out(KEEPNET_TESTS_DIR "/golden/" + name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    REQUIRE(out.flush());
}
