// Ethernet framing and transmit rings (RFC 2464).
#include "link/link.hpp"

#include <catch2/catch_test_macros.hpp>

#include "support/world_fixture.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

using F = WorldFixture;

/// A frame of 20 header bytes, and the slice if it has one.
bool queue(F& f, const MacAddress& to, const Slice* slice = nullptr) {
    auto cx = f.cx();
    link::QueuedFrame* frame = link::plan_frame(cx, F::nic);
    if (frame == nullptr) return false;
    frame->header_length = 20;
    if (slice != nullptr) {
        frame->slices[0] = *slice;
        frame->slice_count = 1;
    }
    link::commit_frame(cx, F::nic, *frame, to);
    return true;
}

Bytes frame_to(const MacAddress& mac, std::uint16_t type = 0x86dd) {
    return ethernet(mac, F::peer_mac, type, Bytes(46));
}

std::optional<link::Received> receive(F& f, const Bytes& bytes) {
    auto cx = f.cx();
    const BufferRef buffer{f.w.pool, f.w.pool.allocate(PoolUse::receive)};
    std::copy(bytes.begin(), bytes.end(), f.w.pool.buffer(buffer.get()).begin() + 2);
    return link::on_frame(cx, F::nic, {buffer.get(), 2, static_cast<std::uint16_t>(bytes.size()), true});
}

}  // namespace

TEST_CASE("link: a frame is taken by its destination, and its packet is what follows the header") {
    F f;
    const auto own = receive(f, frame_to(F::own_mac));
    REQUIRE(own);
    CHECK_FALSE(own->is_multicast);
    CHECK(own->checksum_verified);
    CHECK_FALSE(own->is_looped);
    CHECK(own->packet.offset == 16);
    CHECK(own->packet.length == 46);
    CHECK(receive(f, frame_to({{0x33, 0x33, 0, 0, 0, 1}}))->is_multicast);
    CHECK(receive(f, frame_to(mac_broadcast))->is_multicast);
    CHECK(f.w.statistics.get(0U).frames_received == 3);
    CHECK(f.w.statistics.get(0U).bytes_received == 180);
    f.expect_drops({});
}

TEST_CASE("link: frame_truncated") {
    F f;
    for (const std::size_t n : {0U, 1U, 13U}) {
        CHECK_FALSE(receive(f, Bytes(n)));
        f.expect_drops({DropReason::frame_truncated});
    }
    // A device that lies about its buffer harms nobody.
    auto cx = f.cx();
    CHECK_FALSE(link::on_frame(cx, F::nic, {9999, 0, 60, false}));
    f.expect_drops({DropReason::frame_truncated});
    CHECK_FALSE(link::on_frame(cx, F::nic, {0, 2000, 60, false}));
    f.expect_drops({DropReason::frame_truncated});
}

TEST_CASE("link: frame_not_for_us") {
    F f;
    CHECK_FALSE(receive(f, frame_to(F::peer_mac)));
    f.expect_drops({DropReason::frame_not_for_us});
    CHECK_FALSE(receive(f, frame_to({{0x01, 0x00, 0x5e, 0, 0, 1}})));
    f.expect_drops({DropReason::frame_not_for_us});
}

TEST_CASE("link: ethertype_unknown") {
    F f;
    for (const std::uint16_t type : std::initializer_list<std::uint16_t>{0x0800, 0x0806, 0x8100, 46}) {
        CHECK_FALSE(receive(f, frame_to(F::own_mac, type)));
        f.expect_drops({DropReason::ethertype_unknown});
    }
}

TEST_CASE("link: what the device does not take stays queued, in order") {
    F f;
    for (std::uint8_t i = 0; i < 5; ++i) REQUIRE(queue(f, {{0x02, 0, 0, 0, 0, i}}));
    auto cx = f.cx();
    f.device.transmit_room = 2;
    CHECK(link::flush(cx, F::nic) == 2);
    CHECK(link::flush(cx, F::nic) == 0);
    f.device.transmit_room = SIZE_MAX;
    CHECK(link::flush(cx, F::nic) == 3);
    REQUIRE(f.device.from_stack.size() == 5);
    for (std::uint8_t i = 0; i < 5; ++i) {
        CHECK(f.device.from_stack[i][5] == i);
        CHECK(f.device.from_stack[i][11] == 1);  // from us
        CHECK(f.device.from_stack[i][12] == 0x86);
        CHECK(f.device.from_stack[i].size() == 20);
    }
    CHECK(f.w.statistics.get(0U).frames_sent >= 5);
    f.device.from_stack.clear();
}

TEST_CASE("link: a ring has a limit, and no device empties it") {
    F f;
    f.ports.of(F::nic).device = nullptr;
    for (int i = 0; i < 16; ++i) REQUIRE(queue(f, F::peer_mac));
    CHECK_FALSE(queue(f, F::peer_mac));
    auto cx = f.cx();
    CHECK(link::flush(cx, F::nic) == 0);
    f.ports.of(F::nic).device = &f.device;
    CHECK(link::flush(cx, F::nic) == 16);
    CHECK(queue(f, F::peer_mac));
    f.device.from_stack.clear();
}

TEST_CASE("link: a queued frame holds its slices until it is sent or forgotten") {
    F f;
    for (const bool is_sent : {true, false}) {
        const BufferIndex buffer = f.w.pool.allocate(PoolUse::send);
        const Slice slice = f.w.pool.append(buffer, Bytes{1, 2, 3});
        REQUIRE(queue(f, F::peer_mac, &slice));
        f.w.pool.release(buffer);
        CHECK(f.w.pool.in_use() == 1);
        auto cx = f.cx();
        if (is_sent) {
            CHECK(link::flush(cx, F::nic) == 1);
            CHECK(f.device.from_stack.back().size() == 23);
            CHECK(f.device.from_stack.back().back() == 3);
            f.device.from_stack.clear();
        } else {
            link::discard(cx, F::nic);
        }
        CHECK(f.w.pool.in_use() == 0);
    }
}

TEST_CASE("link: more than one burst goes out in one flush") {
    WorldOptions options;
    options.config.capacity.transmit_ring = 128;
    F f{options};
    for (int i = 0; i < 100; ++i) REQUIRE(queue(f, F::peer_mac));
    auto cx = f.cx();
    CHECK(link::flush(cx, F::nic) == 100);
    f.device.from_stack.clear();
}

TEST_CASE("link: no interface, no frame") {
    F f;
    auto cx = f.cx();
    CHECK(link::plan_frame(cx, 0) == nullptr);
    CHECK(link::plan_frame(cx, 2) == nullptr);
    CHECK(link::plan_frame(cx, 77) == nullptr);
    CHECK(link::flush(cx, 2) == 0);
}
