// The allocator in the arena: blocks that neither overlap nor move without need, and the same addresses in
// every run.
#include <catch2/catch_test_macros.hpp>

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "runtime/arena.hpp"

namespace {

using namespace persistent_runtime;

struct Block {
    unsigned char* at;
    std::size_t bytes;
    unsigned char fill;
};

bool holds_its_fill(const Block& block) {
    for (std::size_t i = 0; i < block.bytes; ++i) {
        if (block.at[i] != block.fill) return false;
    }
    return true;
}

// What random calls give, as addresses; checks contents and overlaps on the way.
std::vector<std::uintptr_t> random_calls(unsigned seed) {
    auto arena = Arena::map().value();
    std::mt19937 random(seed);
    std::vector<Block> blocks;
    std::map<unsigned char*, std::size_t> live;
    std::vector<std::uintptr_t> addresses;
    const auto size = [&] { return std::size_t{1} << random() % 18 | random() % 64; };
    const auto enter = [&](void* at, std::size_t bytes, std::size_t kept, unsigned char old_fill) {
        Block block{static_cast<unsigned char*>(at), bytes, static_cast<unsigned char>(random())};
        REQUIRE(at != nullptr);
        REQUIRE(reinterpret_cast<std::uintptr_t>(at) % 16 == 0);
        for (std::size_t i = 0; i < kept; ++i) REQUIRE(block.at[i] == old_fill);
        const auto next = live.lower_bound(block.at);
        REQUIRE((next == live.end() || block.at + bytes <= next->first));
        REQUIRE((next == live.begin() || std::prev(next)->first + std::prev(next)->second <= block.at));
        std::memset(block.at, block.fill, bytes);
        live[block.at] = bytes;
        addresses.push_back(reinterpret_cast<std::uintptr_t>(at));
        blocks.push_back(block);
    };
    for (int i = 0; i < 3000; ++i) {
        const auto what = random() % 3;
        if (what == 0 || blocks.empty()) {
            const auto bytes = size();
            enter(arena.allocate(bytes), bytes, 0, 0);
            continue;
        }
        const auto index = random() % blocks.size();
        const auto block = blocks[index];
        REQUIRE(holds_its_fill(block));
        blocks[index] = blocks.back();
        blocks.pop_back();
        live.erase(block.at);
        if (what == 1) {
            arena.release(block.at, block.bytes);
        } else {
            const auto bytes = size();
            enter(arena.resize(block.at, block.bytes, bytes), bytes, std::min(bytes, block.bytes),
                  block.fill);
        }
    }
    for (const auto& block : blocks) arena.release(block.at, block.bytes);
    CHECK(arena.in_use() == 0);
    return addresses;
}

}  // namespace

TEST_CASE("size classes hold what they are for, and waste at most a quarter") {
    std::size_t last = 0;
    for (std::size_t bytes = 1; bytes <= arena_bytes_max; bytes += 1 + bytes / 97) {
        const auto index = size_class(bytes);
        REQUIRE(index < size_classes);
        REQUIRE(class_bytes(index) >= bytes);
        REQUIRE(class_bytes(index) <= bytes + bytes / 4 + 16);
        REQUIRE(size_class(class_bytes(index)) == index);
        REQUIRE(class_bytes(index) >= last);
        last = class_bytes(index);
    }
    CHECK(size_class(arena_bytes_max) == size_classes - 1);
}

TEST_CASE("random calls: contents stay, nothing overlaps, and the same calls give the same addresses") {
    const auto first = random_calls(7);
    CHECK(first == random_calls(7));
    CHECK(first.front() > arena_address);
}

TEST_CASE("a full arena refuses, and a block can still become smaller") {
    auto arena = Arena::map().value();
    const auto half = class_bytes(size_class(arena_bytes_max / 2));
    void* big = arena.allocate(half);
    REQUIRE(big != nullptr);
    CHECK(arena.allocate(half) == nullptr);
    CHECK(arena.allocate(arena_bytes_max + 1) == nullptr);
    std::vector<void*> rest;
    for (std::size_t bytes = arena_bytes_max / 4; bytes >= 16; bytes /= 2) {
        while (void* at = arena.allocate(bytes)) rest.push_back(at);
    }
    CHECK(arena.resize(big, half, half + 1) == nullptr);
    CHECK(arena.resize(big, half, 100) == big);
    CHECK(arena.resize(nullptr, 5, 100) == nullptr);
    arena.release(big, 100);
    CHECK(arena.allocate(100) == big);
}

TEST_CASE("only one arena fits at the address") {
    const auto arena = Arena::map();
    REQUIRE(arena);
    CHECK_FALSE(Arena::map());
}
