// The bit tree against std::set, at sizes around the powers of 64.
#include <catch2/catch_test_macros.hpp>

#include <random>
#include <set>
#include <vector>

#include "base/bit_tree.hpp"

namespace keepnet {
namespace {

TEST_CASE("A bit tree finds what an ordered set finds") {
    for (const std::uint32_t capacity : {1U, 63U, 64U, 65U, 4095U, 4096U, 4097U, 300'000U}) {
        CAPTURE(capacity);
        BitTree tree;
        ArenaCarver sizes(nullptr);
        tree.place(sizes, capacity);
        std::vector<std::byte> memory(sizes.bytes() + cache_line);
        auto address = reinterpret_cast<std::uintptr_t>(memory.data());
        ArenaCarver carver(memory.data() + (cache_line - address % cache_line) % cache_line);
        tree.place(carver, capacity);
        std::set<std::uint32_t> model;
        std::mt19937 random(capacity);
        CHECK(tree.empty());
        CHECK(tree.find(0) == BitTree::none);
        for (int i = 0; i < 4000; ++i) {
            const auto x = static_cast<std::uint32_t>(random() % capacity);
            if (random() % 2 == 0) {
                tree.set(x);
                model.insert(x);
            } else {
                tree.clear(x);
                model.erase(x);
            }
            const auto from = static_cast<std::uint32_t>(random() % (capacity + 2));
            const auto it = model.lower_bound(from);
            REQUIRE(tree.find(from) == (it == model.end() ? BitTree::none : *it));
            const std::uint32_t cyclic = it != model.end() ? *it : model.empty() ? BitTree::none : *model.begin();
            REQUIRE(tree.find_cyclic(from) == cyclic);
            REQUIRE(tree.empty() == model.empty());
            REQUIRE(tree.test(x) == model.contains(x));
        }
        tree.fill(true);
        CHECK(tree.find(capacity - 1) == capacity - 1);
        CHECK(tree.find(capacity) == BitTree::none);
        tree.fill(false);
        CHECK(tree.empty());
    }
}

}  // namespace
}  // namespace keepnet
