// Snapshots of released formats load for ever. v1.snapshot, and what has a minor number in its name, was written by
// `keepnet-test-golden "[write]"` from the sample state of tests/support/sample.cpp, and is never written again: a new format
// gets files of its own.
#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <iterator>

#include <keepnet/journal.hpp>

#include "support/journal_config.hpp"
#include "support/journal_store.hpp"
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

TEST_CASE("format 1.1: a base and an increment on it") {
    const auto base = read("v1.1.snapshot");
    const auto increment = read("v1.1.increment");
    REQUIRE(checkpoint::summarize(base)->format_minor == 1);
    REQUIRE(checkpoint::summarize(base)->base_cut == 0);
    REQUIRE(checkpoint::summarize(increment)->cut == 5'000'000'001);
    REQUIRE(checkpoint::summarize(increment)->base_cut == 1);
    REQUIRE(checkpoint::summarize(increment)->base_id == checkpoint::summarize(base)->id);

    StackConfig config;
    Arena arena(Stack::arena_bytes(config));
    auto copy = checkpoint::decode(arena.span(), config, std::vector<ByteView>{base, increment}, true);
    if (!copy) FAIL(copy.error().message);
    World& w = copy->core().world;
    REQUIRE(fault_of(w) == "");
    REQUIRE(w.cuts().current == 5'000'000'001);
    REQUIRE_FALSE(w.sockets.is_live(2U));  // closed behind the base
    REQUIRE(w.sockets.get(0U).options.traffic_class == 32);
    REQUIRE(w.connections.get(0U).receive_queue.bytes == 470);
    REQUIRE(w.connections.get(1U).remote.port == 40001);  // of the base
    std::array<ByteView, 4> received{};
    REQUIRE(copy->peek({w.sockets.handle_of(0U).raw}, received) == 2);
    REQUIRE(received[0].size() == 400);
    REQUIRE(received[0][399] == static_cast<std::uint8_t>(9 + 399));
    REQUIRE(received[1].size() == 70);
    REQUIRE(received[1][69] == 3 + 69);
    REQUIRE(w.neighbors.get(0U).timer == Instant{} + 1020_s);  // as it was, though the increment's cut is later
}

TEST_CASE("write snapshots of the format as it is", "[.][write]") {
    Sample sample;
    World& w = sample.w();
    const auto cut_to_bytes = [&](CutId since) {
        const auto cut = sample.stack->cut(since);
        REQUIRE(cut.has_value());
        checkpoint::VectorSink sink;
        REQUIRE(checkpoint::encode(*sample.stack, *cut,
                                   {.blobs = {{"application", {'s', 't', 'a', 't', 'e'}}, {"none", {}}},
                                    .wall_clock_ns = 1'700'000'000'000'000'000},
                                   sink)
                    .has_value());
        REQUIRE(sample.stack->committed(*cut).has_value());
        return sink.bytes;
    };
    const auto base = cut_to_bytes(0);
    w.cuts().current += 4'999'999'999;
    w.edit_stack().now = w.stack().now + 2_s;
    REQUIRE(sample.stack->close({w.sockets.handle_of(2U).raw}).has_value());
    w.sockets.edit(0U).options.traffic_class = 32;
    TcpConnectionState& c = w.connections.edit(0U);
    const Link entry = sample.node(sample.slice(0, 70, 3), {5400}, {});
    w.slice_nodes.edit(c.receive_queue.tail.index()).next = entry;
    c.receive_queue.tail = entry;
    ++c.receive_queue.nodes;
    c.receive_queue.bytes += 70;
    c.rcv.nxt = c.rcv.nxt + 70U;
    const auto increment = cut_to_bytes(1);
    const auto summary = checkpoint::summarize(base);
    const auto write = [&](const char* suffix, const std::vector<std::uint8_t>& bytes) {
        // Appended piece by piece: g++ 12 warns of operator+ (its bug 105651).
        std::string name = "v";
        name.append(std::to_string(summary->format_major)).append(".").append(std::to_string(summary->format_minor));
        name.append(suffix);
        std::ifstream there(KEEPNET_TESTS_DIR "/golden/" + name);
        REQUIRE_FALSE(there);  // a golden file is written once
        std::ofstream out(KEEPNET_TESTS_DIR "/golden/" + name, std::ios::binary);
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        REQUIRE(out.flush());
    };
    write(".snapshot", base);
    write(".increment", increment);
}

TEST_CASE("journal format 1") {
    // Of a server that answers each read with frames: written by keepnet-test-checkpoint "[write]", and never again.
    TestJournalStore store(1U << 20);
    store.bytes() = read("v1.journal");
    Arena memory(Journal::memory_bytes_min);
    auto journal = Journal::open(memory.span(), store, store.image(journal_id), {});
    REQUIRE(journal.has_value());
    const StackConfig config = journal_config(DurabilityPolicy::journal);
    Arena arena(Stack::arena_bytes(config));
    auto restored = checkpoint::restore(arena.span(), config, read("v1.journal.snapshot"),
                                        {.now = Instant{} + 5_s, .elapsed = 2_s, .journal = &*journal});
    if (!restored) FAIL(restored.error().message);
    Stack& stack = restored->stack;
    REQUIRE(journal->is_replaying());
    const auto next = [&] {
        std::optional<SocketHandle> ready;
        for (int i = 0; i < 10 && !ready; ++i) ready = stack.next_ready();
        return ready;
    };
    const auto listener = next();
    REQUIRE(listener.has_value());
    const auto connection = stack.accept(*listener);
    REQUIRE(connection.has_value());
    REQUIRE(stack.accept(*listener) == std::unexpected(Error::would_block));
    REQUIRE(next() == *connection);
    std::array<std::uint8_t, 700> data{};
    const auto n = stack.receive(*connection, data);
    REQUIRE(n == 700);
    for (std::size_t i = 0; i < *n; ++i) REQUIRE(data[i] == static_cast<std::uint8_t>(i * 131 + (i >> 8) * 17 + 7));
    std::array<std::uint8_t, 1> choice{};
    REQUIRE(journal->note(choice).has_value());
}
