#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <memory>
#include <set>

#include <keepnet/drivers/filter/faults/fault_filter.hpp>
#include <keepnet/drivers/memory/memory_link.hpp>

#include "unit/drivers/frame_pool.hpp"

using namespace keepnet;
using namespace keepnet::test;
using drivers::FaultConfig;
using drivers::FaultFilter;
using drivers::MemoryLink;

namespace {

/// A link whose end `a` has faults; frames carry their number.
struct BadPath {
    Instant now{1'000'000'000};
    std::unique_ptr<MemoryLink<1024>> storage =
        std::make_unique<MemoryLink<1024>>();  // too large for a stack
    MemoryLink<1024>& link = *storage;
    HeapPool pool{1100};
    FaultFilter filter;

    explicit BadPath(FaultConfig config) : filter(link.a(), with_clock(std::move(config))) {}

    FaultConfig with_clock(FaultConfig config) {
        config.clock = [this] { return now; };
        return config;
    }
    static Bytes frame(int number) {
        Bytes b(100, 0);
        b[0] = static_cast<std::uint8_t>(number >> 8);
        b[1] = static_cast<std::uint8_t>(number);
        return b;
    }
    static void send(LinkDevice& device, int first, int count) {
        for (int i = first; i < first + count; ++i) {
            const Bytes b = frame(i);
            const ByteView slices[] = {ByteView(b).subspan(40)};
            const TxFrame tx{.header = ByteView(b).first(40), .payload = slices};
            REQUIRE(device.transmit({&tx, 1}) == 1);
        }
    }
    static std::vector<int> numbers(const std::vector<Bytes>& frames) {
        std::vector<int> out;
        for (const Bytes& b : frames) {
            CHECK(b.size() == 100);
            out.push_back(b[0] << 8 | b[1]);
        }
        return out;
    }
    /// What has come out, at the far end and at the filter.
    std::vector<int> far() {
        std::vector<RxFrame> none(0);
        CHECK(filter.receive(pool, none) == 0);  // what is due is handed over with every turn
        return numbers(drain(link.b(), pool));
    }
    std::vector<int> near() { return numbers(drain(filter, pool)); }
};

std::vector<int> range(int first, int count) {
    std::vector<int> out;
    for (int i = first; i < first + count; ++i) out.push_back(i);
    return out;
}

}  // namespace

TEST_CASE("fault filter: without faults frames pass at once, whole and in order, both ways") {
    BadPath p({});
    BadPath::send(p.filter, 0, 300);
    CHECK(p.far() == range(0, 300));
    BadPath::send(p.link.b(), 0, 300);
    CHECK(p.near() == range(0, 300));
    CHECK(p.filter.next_arrival() == never);
    CHECK(p.filter.sent().frames == 300);
    CHECK(p.filter.received().frames == 300);
    CHECK(p.pool.free() == 1100);
}

TEST_CASE("fault filter: each segment has a fate of its own, so nothing is left to the device") {
    BadPath p({});
    const LinkCapabilities c = p.filter.capabilities();
    CHECK_FALSE(c.tx_checksum);
    CHECK(c.tso_max_bytes == 0);
    CHECK(c.mtu == p.link.a().capabilities().mtu);
}

TEST_CASE("fault filter: the share that is set is lost, and counted, in each direction by its own draw") {
    BadPath p({.seed = 7, .lost_ppm = 100'000});
    BadPath::send(p.filter, 0, 1000);
    const auto out = p.far();
    BadPath::send(p.link.b(), 0, 1000);
    const auto in = p.near();
    CHECK(p.filter.sent().lost == 1000 - out.size());
    CHECK(p.filter.received().lost == 1000 - in.size());
    CHECK(p.filter.sent().lost > 50);
    CHECK(p.filter.sent().lost < 200);
    CHECK(std::ranges::is_sorted(out));
    CHECK(out != in);
    BadPath again({.seed = 7, .lost_ppm = 100'000, .doubled_ppm = 0});
    BadPath::send(again.filter, 0, 1000);
    CHECK(again.far() == out);
    BadPath other({.seed = 8, .lost_ppm = 100'000});
    BadPath::send(other.filter, 0, 1000);
    CHECK(other.far() != out);
}

TEST_CASE("fault filter: a doubled frame comes twice in a row") {
    BadPath p({.doubled_ppm = 200'000});
    BadPath::send(p.filter, 0, 200);
    const auto got = p.far();
    CHECK(got.size() == 200 + p.filter.sent().doubled);
    CHECK(p.filter.sent().doubled > 10);
    CHECK(std::ranges::is_sorted(got));
    CHECK(std::set<int>(got.begin(), got.end()).size() == 200);
}

TEST_CASE("fault filter: everything is late by the delay, what is reordered by so much more") {
    BadPath p({.reordered_ppm = 100'000, .reordered_by = milliseconds(3), .delay = milliseconds(10)});
    BadPath::send(p.filter, 0, 200);
    CHECK(p.far().empty());
    CHECK(p.filter.next_arrival() == p.now + milliseconds(10));
    p.now = p.now + milliseconds(10) - Duration{1};
    CHECK(p.far().empty());
    p.now = p.now + Duration{1};
    const auto first = p.far();
    CHECK(first.size() == 200 - p.filter.sent().reordered);
    CHECK(p.filter.sent().reordered > 5);
    CHECK(p.filter.next_arrival() == p.now + milliseconds(3));
    p.now = p.now + milliseconds(3);
    auto all = p.far();
    CHECK(all.size() == p.filter.sent().reordered);
    all.insert(all.end(), first.begin(), first.end());
    std::ranges::sort(all);
    CHECK(all == range(0, 200));
}

TEST_CASE(
    "fault filter: a slow link takes its time for each frame, and loses what its queue has no room for") {
    // 100 bytes at 800,000 bit/s: one millisecond.
    BadPath p({.bits_per_second = 800'000, .queue_bytes = 1000});
    BadPath::send(p.filter, 0, 20);
    CHECK(p.filter.sent().overflowed == 9);
    CHECK(p.far().empty());
    for (int i = 0; i < 11; ++i) {
        p.now = p.now + milliseconds(1);
        CHECK(p.far() == std::vector{i});
    }
    CHECK(p.filter.next_arrival() == never);
}

TEST_CASE("fault filter: what nobody takes waits, and no more than its limit is under way") {
    BadPath p({.frames_max = 5});
    HeapPool none(0);
    RxFrame rx[8];
    BadPath::send(p.link.b(), 0, 8);
    CHECK(p.filter.receive(none, rx) == 0);
    CHECK(p.filter.received().overflowed == 3);
    CHECK(p.near() == range(0, 5));
    CHECK(p.pool.free() == 1100);
}
