// A device that takes no more: its frames wait, and the embedder is told when to try again.
#include <catch2/catch_test_macros.hpp>

#include <keepnet/stack.hpp>

#include "support/arena.hpp"
#include "support/device.hpp"

using namespace keepnet;
using namespace keepnet::test;

TEST_CASE("frames that a full device left behind are offered again within a millisecond") {
    StackConfig config;
    config.nd.dad_transmits = 0;
    Arena arena(Stack::arena_bytes(config));
    Instant now{1'000'000'000};
    auto stack = Stack::create(arena.span(), config, {.now = now, .arena_is_zeroed = true});
    REQUIRE(stack.has_value());
    ScriptedDevice device(MacAddress{{2, 0, 0, 0, 0, 1}});
    const auto interface = stack->attach_device(device, {});
    REQUIRE(interface.has_value());
    // Whatever the interface has to say first (addresses, neighbours).
    while (stack->poll(now).next_deadline <= now + seconds(60)) now = later(now, stack->next_deadline());
    device.from_stack.clear();

    const auto socket = stack->open_udp();
    REQUIRE(socket.has_value());
    device.transmit_room = 1;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(stack
                    ->send_datagram(*socket,
                                    {.destination = {.address = ipv6_all_nodes, .port = 9, .interface = *interface}}, {})
                    .has_value());
    }
    stack->poll(now);
    CHECK(device.from_stack.size() == 1);
    CHECK(stack->next_deadline() <= now + milliseconds(1));
    CHECK(stack->next_deadline() > now);  // no busy loop

    device.transmit_room = SIZE_MAX;
    now = stack->next_deadline();
    stack->poll(now);
    CHECK(device.from_stack.size() == 3);
    CHECK(stack->next_deadline() > now + seconds(1));

    // Without a device there is nobody to offer them to.
    device.transmit_room = 0;
    REQUIRE(
        stack->send_datagram(*socket, {.destination = {.address = ipv6_all_nodes, .port = 9, .interface = *interface}}, {})
            .has_value());
    stack->poll(now);
    REQUIRE(stack->detach_device(*interface).has_value());
    CHECK(stack->next_deadline() > now + seconds(1));
}
