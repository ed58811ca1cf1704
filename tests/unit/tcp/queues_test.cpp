// Byte queues against a plain array of bytes.
#include "tcp/queues.hpp"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "support/arena.hpp"

using namespace keepnet;
using namespace keepnet::tcp;

namespace {

struct Bench {
    Bench() {
        config.capacity.slice_nodes = 256;
        config.capacity.packet_buffers = 128;
        config.capacity.tcp_connections = 4;
        config.capacity.sockets = 4;
        config.capacity.neighbors = 4;
        ArenaCarver size(nullptr);
        w.place(size, config);
        arena = test::Arena(size.bytes());
        ArenaCarver carver(arena.span().data());
        w.place(carver, config);
        w.initialize(config);
    }
    ~Bench() {
        CHECK(w.pool.in_use() == 0);
        CHECK(w.slice_nodes.in_use() == 0);
    }
    /// A received payload in a buffer of its own, whose reference is the caller's.
    Slice payload(const std::vector<std::uint8_t>& bytes) {
        const BufferIndex b = w.pool.allocate(PoolUse::receive);
        REQUIRE(b != no_buffer);
        const Slice s = w.pool.append(b, bytes);
        w.pool.set_used(b, packet_buffer_bytes);
        return s;
    }
    std::vector<std::uint8_t> read(const ByteQueueState& q) const {
        std::vector<std::uint8_t> out;
        for (Link at = q.head; at; at = w.slice_nodes.get(at.index()).next) {
            const ByteView v = w.pool.view(w.slice_nodes.get(at.index()).slice);
            out.insert(out.end(), v.begin(), v.end());
        }
        return out;
    }
    StackConfig config;
    test::Arena arena;
    World w;
};

std::vector<std::uint8_t> some_bytes(std::mt19937& random, std::size_t n) {
    std::vector<std::uint8_t> v(n);
    for (auto& b : v) b = static_cast<std::uint8_t>(random());
    return v;
}

}  // namespace

TEST_CASE("Queue: appending, packing and trimming keep the stream") {
    Bench t;
    std::mt19937 random(3);
    ByteQueueState q;
    std::vector<std::uint8_t> model;
    Seq front{0xffff'f000};
    for (int i = 0; i < 3000; ++i) {
        if (random() % 2 == 0) {
            const auto bytes = some_bytes(random, random() % 5 == 0 ? random() % 5000 : random() % 40);
            const std::uint32_t n =
                append_bytes(t.w, q, front + static_cast<std::uint32_t>(model.size()), bytes, PoolUse::send);
            REQUIRE((n == bytes.size() || t.w.pool.available() <= t.w.pool.capacity() / 4));
            model.insert(model.end(), bytes.begin(), bytes.begin() + n);
        } else {
            const auto n = static_cast<std::uint32_t>(random() % (model.size() / 2 + 2));
            if (n > model.size()) continue;
            trim_front(t.w, q, n, nullptr);
            model.erase(model.begin(), model.begin() + n);
            front += n;
        }
        REQUIRE(q.bytes == model.size());
        REQUIRE(is_queue_sane(t.w, q, true));
        // Packed: no buffer but the first and the last is less than full.
        REQUIRE(q.nodes <= model.size() / packet_buffer_bytes + 2);
    }
    CHECK((t.read(q) == model));
    clear_queue(t.w, q);
}

TEST_CASE("Queue: small payloads are packed, large ones are queued without a copy") {
    Bench t;
    std::mt19937 random(4);
    ByteQueueState q;
    std::vector<std::uint8_t> model;
    for (int i = 0; i < 500; ++i) {
        const auto bytes = some_bytes(random, 1 + random() % 20);
        const Slice s = t.payload(bytes);
        REQUIRE(append_payload(t.w, q, Seq{static_cast<std::uint32_t>(model.size())}, s));
        t.w.pool.release(s.buffer);
        model.insert(model.end(), bytes.begin(), bytes.end());
    }
    CHECK(t.w.pool.in_use() * packet_buffer_bytes <= model.size() + 2 * packet_buffer_bytes);
    const auto large = some_bytes(random, 1400);
    const Slice s = t.payload(large);
    REQUIRE(append_payload(t.w, q, Seq{static_cast<std::uint32_t>(model.size())}, s));
    CHECK(t.w.pool.references(s.buffer) == 2);
    t.w.pool.release(s.buffer);
    model.insert(model.end(), large.begin(), large.end());
    CHECK((t.read(q) == model));
    CHECK(is_queue_sane(t.w, q, true));
    clear_queue(t.w, q);
}

TEST_CASE("Queue: gather finds any stretch, from the head or from a cursor") {
    Bench t;
    std::mt19937 random(5);
    ByteQueueState q;
    const auto model = some_bytes(random, 60'000);
    const Seq front{0xffff'8000};
    REQUIRE(append_bytes(t.w, q, front, model, PoolUse::send) == model.size());
    Link cursor{};
    std::uint32_t at = 0;
    while (at < model.size()) {
        const Gathered g = gather(t.w, q, cursor, front + at, 1440);
        REQUIRE(g.bytes == std::min<std::size_t>(1440, model.size() - at));
        std::uint32_t i = at;
        for (std::size_t k = 0; k < g.count; ++k) {
            for (const std::uint8_t b : t.w.pool.view(g.slices[k])) REQUIRE(b == model[i++]);
        }
        cursor = g.cursor;
        at += g.bytes;
    }
    // A cursor that is ahead of what is asked for is not used.
    const Gathered again = gather(t.w, q, cursor, front + 5, 10);
    REQUIRE(again.bytes == 10);
    CHECK(t.w.pool.view(again.slices[0])[0] == model[5]);
    // And it does not stay on a node that goes.
    Link first = q.head;
    trim_front(t.w, q, 3000, &first);
    CHECK(first == q.head);
    clear_queue(t.w, q);
}

TEST_CASE("Reassembly: any overlap, any order, against a map of bytes") {
    for (unsigned seed = 1; seed <= 30; ++seed) {
        Bench t;
        std::mt19937 random(seed);
        const auto stream = some_bytes(random, 6000);
        const Seq base{0xffff'fa00};
        ByteQueueState ooo, receive;
        std::map<std::uint32_t, std::uint8_t> model;  // out of order, by offset
        std::uint32_t nxt = 0;
        for (int i = 0; i < 4000 && nxt < stream.size(); ++i) {
            const bool in_order = random() % 10 == 0;
            const auto from = static_cast<std::uint32_t>(
                nxt + (in_order ? 0 : random() % std::min<std::size_t>(1500, stream.size() - nxt)));
            const auto len =
                static_cast<std::uint32_t>(1 + random() % std::min<std::size_t>(700, stream.size() - from));
            const Slice s = t.payload({stream.begin() + from, stream.begin() + from + len});
            if (from == nxt) {
                REQUIRE(append_payload(t.w, receive, base + nxt, s));
                nxt += len;
                const std::uint32_t pulled = pull_in_order(t.w, ooo, receive, base + nxt);
                std::uint32_t expected = 0;
                while (model.contains(nxt + expected)) ++expected;
                REQUIRE(pulled == expected);
                nxt += pulled;
                model.erase(model.begin(), model.lower_bound(nxt));
            } else {
                bool is_new = false;
                for (std::uint32_t k = from; k < from + len; ++k)
                    is_new = model.insert({k, stream[k]}).second || is_new;
                const Insertion result = insert_out_of_order(t.w, ooo, base + from, s, 256);
                REQUIRE(result == (is_new ? Insertion::kept : Insertion::nothing_new));
            }
            t.w.pool.release(s.buffer);
            REQUIRE(ooo.bytes == model.size());
            REQUIRE(is_queue_sane(t.w, ooo, false));
            REQUIRE(is_queue_sane(t.w, receive, true));
        }
        CHECK(nxt == stream.size());
        CHECK((t.read(receive) == stream));
        clear_queue(t.w, receive);
        clear_queue(t.w, ooo);
    }
}

TEST_CASE("Reassembly: the limit of nodes is kept, and what does not fit is said") {
    Bench t;
    ByteQueueState q;
    for (std::uint32_t i = 0; i < 10; ++i) {
        const Slice s = t.payload({1, 2, 3});
        const Insertion result = insert_out_of_order(t.w, q, Seq{10 * i}, s, 4);
        CHECK(result == (i < 4 ? Insertion::kept : Insertion::full));
        t.w.pool.release(s.buffer);
    }
    CHECK(q.nodes == 4);
    clear_queue(t.w, q);
}
