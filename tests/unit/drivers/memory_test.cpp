#include <catch2/catch_test_macros.hpp>
#include <memory>

#include <keepnet/drivers/memory/memory_link.hpp>

#include "base/checksum.hpp"
#include "unit/drivers/frame_pool.hpp"
#include "wire/bytes.hpp"

using namespace keepnet;
using namespace keepnet::test;
using drivers::MemoryLink;

namespace {

Bytes numbered(std::uint8_t n) { return Bytes(60, n); }

std::size_t send(LinkDevice& device, const Bytes& frame) {
    const TxFrame tx{.header = frame};
    return device.transmit({&tx, 1});
}

}  // namespace

TEST_CASE("memory link: frames arrive at the other end, in order, gathered from their slices") {
    MemoryLink<4> link;
    HeapPool pool(4);
    const Bytes header = hex("0102030405");
    const Bytes one = hex("aa");
    const Bytes two = hex("bbcc");
    const ByteView slices[] = {one, {}, two};
    const TxFrame frames[] = {{.header = header, .payload = slices}, {.header = two}};
    CHECK(link.a().transmit(frames) == 2);
    CHECK(link.b().pending() == 2);
    CHECK(drain(link.b(), pool) == std::vector<Bytes>{hex("0102030405aabbcc"), hex("bbcc")});
    CHECK(drain(link.a(), pool).empty());
    CHECK(send(link.b(), numbered(7)) == 1);
    CHECK(drain(link.a(), pool) == std::vector<Bytes>{numbered(7)});
    CHECK(pool.free() == 4);
    CHECK(link.a().counters().transmitted == 2);
    CHECK(link.b().counters().received == 2);
}

TEST_CASE("memory link: the IPv6 header of a received frame is aligned") {
    MemoryLink<1> link;
    HeapPool pool(1);
    send(link.a(), numbered(1));
    RxFrame frame;
    REQUIRE(link.b().receive(pool, {&frame, 1}) == 1);
    CHECK((frame.offset + 14) % 16 == 0);
    CHECK_FALSE(frame.checksum_verified);
}

TEST_CASE("memory link: a full ring takes a prefix, and goes on when there is room") {
    MemoryLink<3> link;
    HeapPool pool(8);
    std::vector<Bytes> sent;
    std::vector<TxFrame> frames;
    for (std::uint8_t i = 0; i < 5; ++i) sent.push_back(numbered(i));
    for (const auto& b : sent) frames.push_back({.header = b});
    CHECK(link.a().transmit(frames) == 3);
    CHECK(link.a().transmit(std::span(frames).subspan(3)) == 0);
    RxFrame got[2];
    REQUIRE(link.b().receive(pool, got) == 2);
    CHECK(pool.take(got[0]) == numbered(0));
    CHECK(pool.take(got[1]) == numbered(1));
    CHECK(link.a().transmit(std::span(frames).subspan(3)) == 2);
    CHECK(drain(link.b(), pool) == std::vector<Bytes>{numbered(2), numbered(3), numbered(4)});
    CHECK(link.a().counters().transmitted == 5);
}

TEST_CASE("memory link: without buffers frames stay in the link") {
    MemoryLink<4> link;
    HeapPool pool(1);
    for (std::uint8_t i = 0; i < 3; ++i) send(link.a(), numbered(i));
    RxFrame got[4];
    REQUIRE(link.b().receive(pool, got) == 1);
    CHECK(link.b().receive(pool, std::span(got).subspan(1)) == 0);
    CHECK(pool.take(got[0]) == numbered(0));
    CHECK(drain(link.b(), pool) == std::vector<Bytes>{numbered(1), numbered(2)});
}

TEST_CASE("memory link: longer than the MTU is dropped and counted, not queued for ever") {
    MemoryLink<4> link;
    HeapPool pool(4);
    CHECK(send(link.a(), Bytes(1514, 1)) == 1);
    CHECK(send(link.a(), Bytes(1515, 2)) == 1);
    CHECK(send(link.a(), Bytes(9000, 3)) == 1);
    CHECK(link.a().counters().too_long == 2);
    CHECK(drain(link.b(), pool) == std::vector<Bytes>{Bytes(1514, 1)});
}

TEST_CASE("memory link: capabilities are what it is told, but no offload that it has not") {
    LinkCapabilities wish = drivers::memory_capabilities(1);
    wish.mtu = 9000;
    wish.tx_checksum = wish.rx_checksum_verified = wish.rx_coalesces = wish.multi_queue = true;
    wish.tso_max_bytes = 65535;
    MemoryLink<1> link(wish, drivers::memory_capabilities(2));
    const LinkCapabilities c = link.a().capabilities();
    CHECK(c.mtu == packet_buffer_bytes - 16);
    CHECK(c.tx_checksum);
    CHECK(c.rx_checksum_verified);
    CHECK(c.tso_max_bytes == 0);
    CHECK_FALSE(c.rx_coalesces);
    CHECK_FALSE(c.multi_queue);
    CHECK(link.b().capabilities().mtu == 1500);
    CHECK(link.a().capabilities().mac != link.b().capabilities().mac);

    HeapPool pool(1);
    const Bytes largest(std::size_t{c.mtu} + 14, 9);
    send(link.a(), largest);
    CHECK(drain(link.b(), pool) == std::vector<Bytes>{largest});
}

TEST_CASE("memory link: a checksum left to the device is completed, or vouched for") {
    const Ipv6Address src = ip("fe80::1");
    const Ipv6Address dst = ip("fe80::2");
    for (const std::size_t payload : {4U, 5U}) {
        Bytes frame(14 + 40, 0);
        Bytes udp = hex("1234 5678 000c 0000") + Bytes(payload, 0x61);
        const Checksum pseudo = pseudo_header(src, dst, static_cast<std::uint32_t>(udp.size()), 17);
        wire::store_u16(udp, 6, pseudo.sum());
        frame = frame + udp;
        const TxFrame tx{.header = frame, .needs_checksum = true, .checksum_start = 54, .checksum_offset = 6};

        for (const bool verified : {false, true}) {
            LinkCapabilities sender = drivers::memory_capabilities(1);
            sender.tx_checksum = true;
            LinkCapabilities receiver = drivers::memory_capabilities(2);
            receiver.rx_checksum_verified = verified;
            MemoryLink<1> link(sender, receiver);
            HeapPool pool(1);
            REQUIRE(link.a().transmit({&tx, 1}) == 1);
            RxFrame rx;
            REQUIRE(link.b().receive(pool, {&rx, 1}) == 1);
            CHECK(rx.checksum_verified == verified);
            const Bytes got = pool.take(rx);
            CHECK(transport_checksum_ok(src, dst, 17, ByteView(got).subspan(54)) == !verified);
        }
    }
}

TEST_CASE("memory link: a computed zero is sent as 0xffff, and a field outside the frame is left alone") {
    Bytes frame = hex("ffff 0000");
    drivers::complete_checksum(frame, 0, 2);  // the sum is 0xffff, its complement 0
    CHECK(frame == hex("ffff ffff"));
    drivers::complete_checksum(frame, 0, 3);
    drivers::complete_checksum(frame, 65535, 65535);
    CHECK(frame == hex("ffff ffff"));
}

TEST_CASE("memory link: down loses what is under way and what is sent, up works again") {
    MemoryLink<4> link;
    HeapPool pool(4);
    send(link.a(), numbered(1));
    link.set_up(false);
    CHECK(link.a().link_state() == LinkState::down);
    CHECK(link.b().link_state() == LinkState::down);
    CHECK(send(link.a(), numbered(2)) == 1);
    CHECK(link.a().counters().link_down == 1);
    link.set_up(true);
    CHECK(link.a().link_state() == LinkState::up);
    CHECK(drain(link.b(), pool).empty());
    send(link.a(), numbered(3));
    CHECK(drain(link.b(), pool) == std::vector<Bytes>{numbered(3)});
}

TEST_CASE("memory link: a thousand rounds around the ring keep order") {
    auto link = std::make_unique<MemoryLink<7>>();
    HeapPool pool(16);
    std::uint8_t next_in = 0;
    std::uint8_t next_out = 0;
    for (int round = 0; round < 1000; ++round) {
        for (int i = 0; i < round % 5 + 1; ++i)
            next_in = static_cast<std::uint8_t>(next_in + send(link->a(), numbered(next_in)));
        RxFrame got[4];
        const std::size_t n =
            link->b().receive(pool, std::span(got).first(static_cast<std::size_t>(round) % 4 + 1));
        for (std::size_t i = 0; i < n; ++i) {
            if (pool.take(got[i]) != numbered(next_out++)) FAIL("out of order in round " << round);
        }
    }
    for (const auto& frame : drain(link->b(), pool)) CHECK(frame == numbered(next_out++));
    CHECK(next_in == next_out);
    CHECK(pool.free() == 16);
}
