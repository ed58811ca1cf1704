// Each state object filled field by field with different values survives its message: catches fields that were swapped,
// which no compiler does.
#include <capnp/message.h>
#include <catch2/catch_test_macros.hpp>

#include "checkpoint/codec_tcp.hpp"
#include "support/fields.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::checkpoint;

namespace {

constexpr Instant cut_at{123'456'789};

template <class S, class Message>
void check_round_trip() {
    for (unsigned round = 0; round < 8; ++round) {
        const S object = filled<S>(round);
        capnp::MallocMessageBuilder builder;
        auto message = builder.initRoot<Message>();
        Out out{cut_at};
        transfer(out, object, message);
        S back{};
        In in{cut_at};
        transfer(in, back, message.asReader());
        REQUIRE_FALSE(in.bad);
        REQUIRE(flatten(back) == flatten(object));
    }
}

struct ShiftAll {
    Duration by;
    void operator()(Instant& t) const { t = t + by; }
    void operator()(Instant& t, Ages) const { t = t + by; }
    template <class T>
    void operator()(T&) const {}
};

/// The list of fields moves exactly those instants that the message holds relative to the cut.
template <class S, class Message>
void check_instants(bool has_instants) {
    const S object = filled<S>(0);
    S moved = object;
    for_each_field(moved, ShiftAll{seconds(77)});
    const auto words = [](const S& s, Instant base) {
        capnp::MallocMessageBuilder builder;
        Out out{base};
        transfer(out, s, builder.initRoot<Message>());
        std::vector<std::uint8_t> bytes;
        for (const auto& segment : builder.getSegmentsForOutput()) {
            const auto raw = segment.asBytes();
            bytes.insert(bytes.end(), raw.begin(), raw.end());
        }
        return bytes;
    };
    REQUIRE(words(object, cut_at) == words(moved, cut_at + seconds(77)));
    REQUIRE((words(object, cut_at) != words(moved, cut_at)) == has_instants);
}

template <class S, class Message>
void check(bool has_instants) {
    check_round_trip<S, Message>();
    check_instants<S, Message>(has_instants);
}

}  // namespace

TEST_CASE("every field of every state object survives its message") {
    SECTION("stack") { check<StackState, schema::Stack>(true); }
    SECTION("statistics") { check<Statistics, schema::Statistics>(false); }
    SECTION("interface") { check<InterfaceState, schema::Interface>(true); }
    SECTION("address") { check<AddressState, schema::InterfaceAddress>(true); }
    SECTION("route") { check<RouteState, schema::Route>(true); }
    SECTION("neighbour") { check<NeighborState, schema::Neighbor>(true); }
    SECTION("waiting packet") { check<PendingPacketState, schema::PendingPacket>(false); }
    SECTION("path") { check<DestinationState, schema::Destination>(true); }
    SECTION("socket") { check<SocketState, schema::Socket>(false); }
    SECTION("TCP connection") { check<TcpConnectionState, schema::TcpConnection>(true); }
    SECTION("TCP listener") { check<TcpListenerState, schema::TcpListener>(true); }
    SECTION("UDP socket") { check<UdpSocketState, schema::UdpSocket>(false); }
    SECTION("datagram") { check<DatagramState, schema::Datagram>(true); }
    SECTION("queue entry") { check<SliceNodeState, schema::SliceNode>(false); }
    SECTION("sent range") { check<SentRangeState, schema::SentRange>(true); }
}

TEST_CASE("never and long ago stay what they are, whatever the cut") {
    const Out out{cut_at};
    In in{cut_at + seconds(5)};
    Instant t;
    in.in(t, out.out(never));
    REQUIRE(t == never);
    in.in(t, out.out(long_ago));
    REQUIRE(t == long_ago);
    in.in(t, out.out(cut_at + seconds(1)));
    REQUIRE(t == cut_at + seconds(6));
    REQUIRE_FALSE(in.bad);
    in.in(t, INT64_MAX - 1);
    REQUIRE(in.bad);
}
