// Slabs against a naive model: handles, lowest-free order, and what a sweep sees while the objects change.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
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
                if (random() % 8 == 0) ++f.control.current;  // a journal's flush: a number without a cut
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
            if (random() % 2 == 0) ++f.control.current;
        }
    }
}

// The copy that the first edit behind a cut made is the cut's until it is read, whatever number the later edits carry.
TEST_CASE("Numbers that pass without a cut leave the unread cut's copies alone") {
    SlabFixture f(8, 8);
    const auto edited = f.slab.create();
    const auto replaced = f.slab.create();
    f.slab.edit(edited).value = 1;
    f.slab.edit(replaced).value = 2;
    f.cut();
    f.slab.edit(edited).value = 10;
    f.slab.destroy(replaced);
    ++f.control.current;
    f.slab.edit(edited).value = 100;
    const auto other = f.slab.create();
    REQUIRE(other.index() == replaced.index());
    f.slab.edit(other).value = 200;
    ++f.control.current;
    f.slab.edit(edited).value = 1000;
    f.slab.destroy(other);
    REQUIRE(f.slab.at_cut(0).value != nullptr);
    CHECK(f.slab.at_cut(0).value->value == 1);
    REQUIRE(f.slab.at_cut(1).value != nullptr);
    CHECK(f.slab.at_cut(1).value->value == 2);
    CHECK(f.slab.at_cut(1).generation == replaced.generation());
    CHECK_FALSE(f.control.overrun);
    const auto young = f.slab.create_at(2, 50);  // not there at the cut, whatever it does
    ++f.control.current;
    f.slab.edit(young).value = 3;
    CHECK(f.slab.at_cut(2).value == nullptr);
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

using Changes = std::map<std::uint32_t, bool>;

Changes changes_since(const SlabFixture& f, CutNumber n) {
    Changes changes;
    f.slab.for_each_changed(n, [&](std::uint32_t i, bool is_live) { changes[i] = is_live; });
    return changes;
}

TEST_CASE("What changed since any cut is found, also what is gone") {
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        std::mt19937 random(seed);
        SlabFixture f(10'000, 1);
        std::map<std::uint32_t, CutNumber> stamps;  // by slot that ever changed
        std::vector<CutNumber> cuts{0};
        for (int i = 0; i < 9000; ++i) stamps[f.slab.create().index()] = f.control.current;
        for (int round = 0; round < 12; ++round) {
            cuts.push_back(f.control.current++);
            for (auto n = random() % 200; n > 0; --n) {
                const auto i = static_cast<std::uint32_t>(random() % 9500);
                if (!f.slab.is_live(i)) {
                    if (const auto handle = f.slab.create()) stamps[handle.index()] = f.control.current;
                } else {
                    stamps[i] = f.control.current;
                    if (random() % 2 == 0) {
                        f.slab.destroy(i);
                    } else {
                        ++f.slab.edit(i).value;
                    }
                }
            }
            const auto check = [&] {
                for (const CutNumber n : cuts) {
                    Changes expected;
                    for (const auto& [i, stamp] : stamps) {
                        if (stamp > n) expected[i] = f.slab.is_live(i);
                    }
                    REQUIRE(changes_since(f, n) == expected);
                }
            };
            check();
            f.slab.rebuild();  // as attach does: the index follows from the slots
            check();
        }
    }
}

TEST_CASE("A slot put back by a decode counts as changed by its stamp") {
    SlabFixture f(300, 4);
    f.control.current = 9;
    f.slab.create_at(7, 3);
    f.slab.create_at(299, 4);
    f.slab.set_stamp(299, 5);
    CHECK(changes_since(f, 4) == Changes{{7, true}, {299, true}});
    CHECK(changes_since(f, 5) == Changes{{7, true}});
    CHECK(changes_since(f, 9).empty());
}

TEST_CASE("Looking for one change among many slots does not look at the others") {
    ArenaCarver sizes(nullptr);
    constexpr std::uint32_t slots = 1'000'000;
    ChangeIndex index;
    index.place(sizes, slots);
    std::vector<std::byte> memory(sizes.bytes() + cache_line);
    ArenaCarver carver(memory.data() + (cache_line - reinterpret_cast<std::uintptr_t>(memory.data()) % cache_line));
    index.place(carver, slots);
    index.clear();
    for (std::uint32_t i = 0; i < slots; ++i) index.note(i, 1);
    index.note(777'777, 2);
    std::uint32_t looked = 0;
    std::vector<std::uint32_t> maybe;
    for (std::uint32_t i = 0; i < slots; ++looked) {
        const std::uint32_t skip = index.unchanged_from(i, 1);
        if (skip == 0) maybe.push_back(i);
        i += skip == 0 ? 1 : skip;
    }
    CHECK(looked < slots / 4096 + 64 + 64 + 2);
    CHECK(maybe.size() == 64);
    CHECK(std::ranges::count(maybe, 777'777) == 1);
}

}  // namespace
}  // namespace keepnet
