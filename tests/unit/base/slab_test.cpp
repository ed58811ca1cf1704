// Slabs against a naive model: handles, lowest-free order, and what a sweep sees while the objects change.
#include <catch2/catch_test_macros.hpp>

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "base/slab.hpp"

namespace keepnet {
namespace {

struct Thing {
    std::uint64_t value = 0;
};

struct SlabFixture {
    explicit SlabFixture(std::uint32_t capacity, std::uint32_t shadows) {
        ArenaCarver sizes(nullptr);
        slab.place(sizes, 1, capacity, shadows, &control, &generations);
        memory.resize(sizes.bytes() + cache_line);
        auto address = reinterpret_cast<std::uintptr_t>(memory.data());
        ArenaCarver carver(memory.data() + (cache_line - address % cache_line) % cache_line);
        slab.place(carver, 1, capacity, shadows, &control, &generations);
        slab.initialize();
    }
    void cut() {
        control.unread = control.current++;
        control.sweeping = true;
        control.sweep_kind = 1;
        control.sweep_index = 0;
        control.overrun = false;
    }
    CutControl control;
    std::uint64_t generations = 0;
    std::vector<std::byte> memory;
    Slab<Thing> slab;
};

TEST_CASE("A slab takes the lowest free slot and never repeats a handle") {
    SlabFixture f(130, 4);
    std::vector<Handle<Thing>> handles;
    for (std::uint32_t i = 0; i < 130; ++i) {
        handles.push_back(f.slab.create());
        CHECK(handles.back().index() == i);
    }
    CHECK_FALSE(f.slab.create());
    CHECK(f.slab.available() == 0);
    f.slab.destroy(handles[100]);
    f.slab.destroy(handles[7]);
    CHECK(f.slab.find(handles[7]) == nullptr);
    const auto again = f.slab.create();
    CHECK(again.index() == 7);
    CHECK(again != handles[7]);
    CHECK(f.slab.find(handles[7]) == nullptr);
    CHECK(f.slab.create().index() == 100);
    CHECK(f.slab.find({}) == nullptr);
    CHECK(f.slab.find(Handle<Thing>::make(5000, 1)) == nullptr);
}

TEST_CASE("Slots above the high-water mark are not touched") {
    SlabFixture f(1000, 4);
    (void)f.slab.create();
    (void)f.slab.create();
    CHECK(f.slab.high_water() == 2);
    CHECK(f.slab.next(0) == 0);
    CHECK(f.slab.next(2) == BitTree::none);
}

// DURABILITY 5: the sweep gives each object as it was at the cut, whatever happens to it meanwhile.
TEST_CASE("A sweep between random edits sees exactly the cut") {
    for (std::uint32_t seed = 0; seed < 300; ++seed) {
        std::mt19937 random(seed);
        SlabFixture f(64, 64);
        std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> live;  // index -> generation, value
        const auto change = [&] {
            const auto index = static_cast<std::uint32_t>(random() % 64);
            if (live.contains(index) && random() % 3 == 0) {
                f.slab.destroy(f.slab.handle_of(index));
                live.erase(index);
            } else if (live.contains(index)) {
                live[index].second = f.slab.edit(index).value = random();
            } else if (const auto handle = f.slab.create()) {
                f.slab.edit(handle).value = handle.raw;
                live[handle.index()] = {handle.generation(), handle.raw};
            }
        };
        for (int round = 0; round < 5; ++round) {
            for (int i = 0; i < 50; ++i) change();
            const auto expected = live;
            f.cut();
            std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> seen;
            for (std::uint32_t i = 0; i < 64; ++i) {
                for (std::uint32_t n = random() % 4; n > 0; --n) change();
                if (i >= f.slab.high_water()) continue;
                const auto image = f.slab.at_cut(i);
                if (image.value != nullptr) seen[i] = {image.generation, image.value->value};
                f.control.sweep_index = i + 1;
            }
            f.control.sweeping = false;
            f.control.unread = 0;
            f.slab.forget_shadows();
            CHECK_FALSE(f.control.overrun);
            REQUIRE(seen == expected);
        }
    }
}

TEST_CASE("A full shadow fails the cut, not the edit") {
    SlabFixture f(8, 2);
    for (int i = 0; i < 8; ++i) (void)f.slab.create();
    f.cut();
    for (std::uint32_t i = 0; i < 3; ++i) f.slab.edit(i).value = 1;
    CHECK(f.control.overrun);
    CHECK(f.slab.get(2U).value == 1);
}

TEST_CASE("The first edit after a cut is the only one that copies") {
    SlabFixture f(8, 1);
    const auto a = f.slab.create();
    f.slab.edit(a).value = 1;
    f.cut();
    for (std::uint64_t i = 2; i < 100; ++i) f.slab.edit(a).value = i;
    CHECK_FALSE(f.control.overrun);
    CHECK(f.slab.at_cut(a.index()).value->value == 1);
    CHECK(f.slab.changed_since(a.index(), f.control.unread));
}

}  // namespace
}  // namespace keepnet
