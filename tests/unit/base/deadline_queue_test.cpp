// The timer queue against a naive model: order by (deadline, number), whatever the order of schedule() calls.
#include <catch2/catch_test_macros.hpp>

#include <map>
#include <random>
#include <vector>

#include "base/deadline_queue.hpp"

namespace keepnet {
namespace {

struct QueueFixture {
    explicit QueueFixture(std::uint32_t timers) {
        ArenaCarver sizes(nullptr);
        queue.place(sizes, timers);
        memory.resize(sizes.bytes() + cache_line);
        auto address = reinterpret_cast<std::uintptr_t>(memory.data());
        ArenaCarver carver(memory.data() + (cache_line - address % cache_line) % cache_line);
        queue.place(carver, timers);
    }
    std::vector<std::byte> memory;
    DeadlineQueue queue;
};

TEST_CASE("Timers fire by deadline, then by number") {
    QueueFixture f(10);
    f.queue.schedule(7, Instant{100});
    f.queue.schedule(3, Instant{100});
    f.queue.schedule(5, Instant{50});
    CHECK(f.queue.next() == Instant{50});
    CHECK(f.queue.take_expired(Instant{49}) == DeadlineQueue::none);
    CHECK(f.queue.take_expired(Instant{100}) == 5);
    CHECK(f.queue.take_expired(Instant{100}) == 3);
    CHECK(f.queue.take_expired(Instant{100}) == 7);
    CHECK(f.queue.next() == never);
}

TEST_CASE("Random schedules agree with a sorted model") {
    for (std::uint32_t seed = 0; seed < 100; ++seed) {
        std::mt19937 random(seed);
        QueueFixture f(40);
        std::map<std::uint32_t, Instant> model;
        Instant now{};
        for (int i = 0; i < 2000; ++i) {
            const auto timer = static_cast<std::uint32_t>(random() % 40);
            switch (random() % 4) {
                case 0:
                    f.queue.schedule(timer, never);
                    model.erase(timer);
                    break;
                case 1: {
                    now = now + Duration{static_cast<std::int64_t>(random() % 20)};
                    for (;;) {
                        auto first = model.end();
                        for (auto it = model.begin(); it != model.end(); ++it) {
                            if (first == model.end() || it->second < first->second) first = it;
                        }
                        const bool due = first != model.end() && first->second <= now;
                        const std::uint32_t fired = f.queue.take_expired(now);
                        REQUIRE(fired == (due ? first->first : DeadlineQueue::none));
                        if (!due) break;
                        model.erase(first);
                    }
                    break;
                }
                default: {
                    const Instant at = now + Duration{static_cast<std::int64_t>(random() % 100)};
                    f.queue.schedule(timer, at);
                    model[timer] = at;
                }
            }
            Instant earliest = never;
            for (const auto& [_, at] : model) earliest = earlier(earliest, at);
            REQUIRE(f.queue.next() == earliest);
        }
    }
}

}  // namespace
}  // namespace keepnet
