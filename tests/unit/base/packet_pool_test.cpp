// The packet pool: references, reserves, parking while a cut is unread.
#include <catch2/catch_test_macros.hpp>

#include <vector>

#include "base/packet_pool.hpp"

namespace keepnet {
namespace {

struct PoolFixture {
    explicit PoolFixture(std::uint32_t buffers) {
        ArenaCarver sizes(nullptr);
        pool.place(sizes, buffers, &control);
        memory.resize(sizes.bytes() + cache_line);
        auto address = reinterpret_cast<std::uintptr_t>(memory.data());
        ArenaCarver carver(memory.data() + (cache_line - address % cache_line) % cache_line);
        pool.place(carver, buffers, &control);
        pool.initialize();
    }
    CutControl control;
    std::vector<std::byte> memory;
    PacketPool pool;
};

TEST_CASE("A buffer is free again when its last reference goes") {
    PoolFixture f(8);
    const BufferIndex a = f.pool.allocate(PoolUse::receive);
    f.pool.retain(a);
    f.pool.release(a);
    CHECK(f.pool.in_use() == 1);
    f.pool.release(a);
    CHECK(f.pool.in_use() == 0);
    CHECK(f.pool.allocate(PoolUse::receive) == a);
}

TEST_CASE("Sending and what can be had again leave a reserve, receiving takes the last buffer") {
    PoolFixture f(16);
    int n = 0;
    while (f.pool.allocate(PoolUse::send) != no_buffer) ++n;
    CHECK(n == 12);
    while (f.pool.allocate(PoolUse::optional) != no_buffer) ++n;
    CHECK(n == 14);
    while (f.pool.allocate(PoolUse::receive) != no_buffer) ++n;
    CHECK(n == 16);
}

// DURABILITY 5: buffers filled before the cut are parked when freed, not reused, until it is read; later ones are not.
TEST_CASE("A buffer that an unread cut needs is parked") {
    PoolFixture f(8);
    const BufferIndex before = f.pool.allocate(PoolUse::receive);
    f.control.unread = f.control.current++;
    const BufferIndex after = f.pool.allocate(PoolUse::receive);
    f.pool.release(before);
    f.pool.release(after);
    CHECK(f.pool.parked() == 1);
    CHECK(f.pool.allocate(PoolUse::receive) == after);
    f.pool.unpark(100);
    CHECK(f.pool.parked() == 1);
    f.control.unread = 0;
    f.pool.unpark(100);
    CHECK(f.pool.parked() == 0);
    CHECK(f.pool.allocate(PoolUse::receive) == before);
}

TEST_CASE("append packs behind what is there and stops at the end") {
    PoolFixture f(2);
    const BufferIndex a = f.pool.allocate(PoolUse::send);
    const std::vector<std::uint8_t> data(1500, 7);
    const Slice first = f.pool.append(a, data);
    const Slice second = f.pool.append(a, data);
    CHECK(first.length == 1500);
    CHECK(second.offset == 1500);
    CHECK(second.length == packet_buffer_bytes - 1500);
    CHECK(f.pool.append(a, data).length == 0);
    CHECK(f.pool.view(second)[0] == 7);
    f.pool.release(a);
}

}  // namespace
}  // namespace keepnet
